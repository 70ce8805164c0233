"""Learned policies among the contenders of a comparison, and the grid that all of them play in."""

from __future__ import annotations

import glob
import hashlib
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from cases.compiler.announcement import announced
from control.controllers.base import Controller
from control.evaluation.contender import ComparisonError, Contender, is_pattern
from control.evaluation.grid_record import GridEnvironment
from control.scenario.file import scenario_named
from control.scenario.task_grid import open_task_grid
from control.task.area_telemetry import AREAS
from control.task.layout import SIZE
from control.task.plant_telemetry import TELEMETRY
from control.task.task import Physics
from marl.environment.batch import GridBatch, make_batch
from marl.environment.held_out import LayeredByPlant, PolicyByPlant
from marl.environment.hierarchy import COORDINATOR, HIERARCHY
from marl.environment.trained_grid import require_its_grid
from marl.kernels.rehearsal import PACKAGES, rehearse
from marl.networks.policy import Policy

__all__ = ["MakeGrid", "MakeTrainingGrid", "learned", "make_grid"]


@dataclass(frozen=True)
class MakeGrid:
    """Builds environments of a suite or of a scenario file; processes are sent it, and equal ones build the same."""

    case: str = ""  # name or file of the grid; the 68-bus system if empty

    def __call__(self, suite: str, n_env: int, observation: str) -> GridBatch:
        """A batch of the suite."""
        return make_batch(suite, n_env, observation=observation, case=self.case, check=False)


@dataclass(frozen=True)
class MakeTrainingGrid:
    """Builds environments of a training distribution, with episodes of so many intervals or as long as there."""

    case: str = ""
    physics: Physics = "full"

    def __call__(self, scenario: str, n_intervals: int | None, n_env: int, observation: str) -> GridBatch:
        """A batch of the distribution."""
        config = scenario_named(scenario, open_task_grid(self.case).case)
        if n_intervals is not None:
            config = replace(config, n_intervals=n_intervals)
        return make_batch(
            config, n_env, observation=observation, physics=self.physics, case=self.case, check=False
        )


make_grid = MakeGrid()  # of the 68-bus system


def learned(name: str) -> Contender:
    """A model file, or all files that a pattern fits: then every episode's mean over them counts.

    Raises:
        ComparisonError: no file fits. CheckpointError: a file holds no policy.
    """
    paths = (name,) if not is_pattern(name) else tuple(sorted(glob.glob(name)))
    if not paths:
        raise ComparisonError(f"no file fits {name!r}, expected model files such as best_model.pt")
    if is_pattern(name):
        # runs/presets/recommended-seed*/best_model.pt is "recommended".
        part = next(part for part in Path(name).parts if is_pattern(part))
        title = f"MAPPO, {re.split(r'[-_]*(?:seed)?[*?[]', part)[0]}, mean of {len(paths)} seeds"
    else:
        title = f"MAPPO, {Path(name).name}"
    with announced(PACKAGES):
        rehearse(learning=False)  # before processes are started that would all compile the same
    contents = [Path(path).read_bytes() for path in paths]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    observation = str(Policy.load(paths[0]).metadata.get("observation", "default"))
    beside = {TELEMETRY: " and telemetry of all plants", AREAS: " and telemetry of their area"}
    if observation == HIERARCHY:  # a controller keeps its coordinators to itself
        observation = AREAS
    return Contender(
        name=name,
        title=title,
        information=f"the agents' {SIZE[observation]} numbers"
        if observation in SIZE
        else f"the agents' {SIZE['default']} numbers{beside[observation]}",
        observation=observation,
        builders=tuple(partial(_controller, path) for path in paths),
        label=Path(paths[0]).stem,
        content="".join(digests).encode(),
    )


def _controller(path: str, environment: GridEnvironment) -> Controller:
    torch.set_num_threads(1)  # processes share the cores
    policy = Policy.load(path)  # one for each that plays: it remembers its episodes
    require_its_grid(policy.metadata, environment.case, path)
    if any(group.name == COORDINATOR for group in policy.groups):
        return LayeredByPlant(policy, environment.description, environment.n_env)
    return PolicyByPlant(policy, environment.case)
