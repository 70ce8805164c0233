"""A run's actors go on from their start by gradients of what recorded episodes cost, see `marl.training.refinement`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from control.scenario.suites import VALIDATION_SEEDS
from marl import checkpoint
from marl.config.check import ConfigError, require
from marl.config.training import TrainingConfig
from marl.environment.batch import GridBatch
from marl.environment.differentiable_grid import MassState, PlayedAgain
from marl.environment.recorded_episodes import record
from marl.networks.policy import Policy
from marl.training.curriculum import training_seeds
from marl.training.progress_report import StartReport
from marl.training.refinement import Refined, Refinement
from marl.training.run_directory import REFINEMENT

__all__ = ["begin_refining"]

KIND = "refinement"


def begin_refining(
    policy: Policy,
    *,
    start: Callable[[Policy], None] | None,
    config: TrainingConfig,
    build: Callable[[str, int], GridBatch],
    directory: Path | None,
) -> Refined:
    """Episodes of training seeds are recorded as the policy plays them, and it goes on by what they cost.

    Args:
        policy: fresh.
        start: what it begins with; None is as drawn.
        config: of the run.
        build: makes a batch of the reduced model from (scenario, n_env).
        directory: of the run, where it is kept how far this is until its first checkpoint; None keeps nothing.

    Raises:
        marl.checkpoint.CheckpointError: what is kept is of other settings, or cannot be read or written; see `start`.
        ConfigError: the grid is lost in all recorded episodes, the reduced model cannot play them, or see `start`.
    """
    for scenario in config.refinement.scenarios_of(config.scenario):
        # What cannot be recorded is told before a start that may take long.
        _built(build, scenario, 1).close()
    if start is not None:
        start(policy)
    settings, device = config.refinement, policy.device
    policy.to("cpu")
    learned_from, judged_on, lost = [], [], 0
    kinds: dict[str, str] = {}
    for k, scenario in enumerate(settings.scenarios_of(config.scenario)):
        episodes, kinds[scenario] = _recorded(policy, build, scenario, config, k)
        require(
            episodes.n_env > 1,
            f"refining asks for two whole episodes of {scenario} at least, to learn from and to judge by: in "
            f"{settings.refine_episodes - episodes.n_env} of {settings.refine_episodes} the grid is lost",
        )
        lost += settings.refine_episodes - episodes.n_env
        n_judged = max(1, min(settings.n_judged, episodes.n_env - 1))
        judged_on.append(episodes.some(range(n_judged)))
        learned_from.append(episodes.some(range(n_judged, episodes.n_env)))
    decisive = _decisive(policy, config, kinds)
    path = None if directory is None else directory / REFINEMENT

    def save(state: dict[str, Any]) -> None:
        if path is not None:
            checkpoint.save(path, KIND, {"settings": decisive, "state": state})

    refinement: Refinement[MassState] = Refinement(
        policy=policy,
        learned_from=learned_from,
        judged_on=judged_on,
        passes=settings.refine_passes,
        n_env=settings.refine_envs,
        window=settings.refine_window,
        lr=settings.refine_lr,
        seed=config.seed,
        cut=settings.refine_cut,
        save=save,
    )
    if path is not None:
        _take_up(refinement, path, decisive)
    with StartReport("refining", settings.refine_passes, refinement.done, unit="pass") as report:
        refinement.on_pass = report
        found = refinement.run()
    policy.to(device)
    print(_told(found, lost), flush=True)
    return found


def _told(found: Refined, lost: int) -> str:
    """What came of a refinement, in a line."""
    left_out = f"; {lost} recorded episodes in which the grid is lost were left out" if lost else ""
    if found.at_pass == 0:
        return f"Refined: no pass was better than the start, which is kept, at a cost of {found.before:,.1f}{left_out}."
    return (
        f"Refined: judged episodes cost {found.after:,.1f} after pass {found.at_pass}, {found.before:,.1f} before"
        f"{left_out}."
    )


def _built(build: Callable[[str, int], GridBatch], scenario: str, n_env: int) -> GridBatch:
    """A batch of the reduced model.

    Raises:
        ConfigError: it cannot play this scenario.
    """
    try:
        return build(scenario, n_env)
    except ValueError as error:  # what the reduced model has not, such as batteries with a droop of their own
        raise ConfigError(f"--refine-passes records {scenario} on the reduced model: {error}") from error


def _recorded(
    policy: Policy, build: Callable[[str, int], GridBatch], scenario: str, config: TrainingConfig, k: int
) -> tuple[PlayedAgain, str]:
    """Episodes of the scenario at this place of the list, and what tells grid and scenario from others.

    Raises:
        ConfigError: the reduced model cannot play them, or the grid is lost in all.
    """
    n = config.refinement.refine_episodes
    seeds = training_seeds(2**41 + 1000 * config.seed + k, n, VALIDATION_SEEDS.first)
    environment = _built(build, scenario, n)
    try:
        played = environment.task.loop.scenario
        content = f"{environment.case.identity} {played!r}"
        return record(environment, policy, seeds), hashlib.sha256(content.encode()).hexdigest()
    finally:
        environment.close()


def _decisive(policy: Policy, config: TrainingConfig, kinds: Mapping[str, str]) -> dict[str, Any]:
    """What decides how a refinement goes, as plain data: actors count by their weights, episodes by what is in them."""
    weights = hashlib.sha256()
    for name, x in policy.state_dict().items():
        weights.update(name.encode())
        weights.update(np.ascontiguousarray(x.detach().cpu().numpy()).tobytes())
    return {
        "actors": weights.hexdigest(),
        "refinement": asdict(config.refinement),
        "network": asdict(config.network),
        "episodes": dict(kinds),
        "level": config.level,
        "seed": config.seed,
        "steps": config.episode_steps,
    }


def _take_up(refinement: Refinement[MassState], path: Path, decisive: dict[str, Any]) -> None:
    """Goes on from what is kept, if that is whole; what is broken is done once more.

    Raises:
        CheckpointError: it is of other settings, or cannot be read.
    """
    if not path.exists():
        return
    try:
        content = checkpoint.load(path, KIND)
    except checkpoint.BrokenCheckpoint:
        return
    if content.get("settings") != decisive:
        raise checkpoint.CheckpointError(
            f"{path} is of a refinement with other settings; delete it to begin anew"
        )
    refinement.load(content["state"])
