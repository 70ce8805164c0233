"""A held-out episode of the grid, played by one controller, as tables for whoever goes on with pandas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from control.evaluation.contender import BOUND, Contender
from control.evaluation.export import Everything, ExportError, write_tables
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.scenario.config import ScenarioConfig
from grid_model.dynamics.parameters import Level
from marl.environment.batch import make_batch

__all__ = ["export_episode"]


def export_episode(
    path: Path,
    contender: Contender,
    scenario: str | ScenarioConfig,
    seed: int,
    *,
    case: str = "",
    level: Level = "area",
    progress: Callable[[int], Any],
) -> list[Path]:
    """Plays an episode and writes its tables.

    Args:
        path: see `control.evaluation.export.write_tables`.
        contender: who plays; of one with several policies the first.
        scenario: a suite by name, the path of a scenario file, or a configuration.
        seed: of the episode.
        case: name or file of the grid; the 68-bus system if empty.
        level: of aggregation of the frequency model.
        progress: given the number of intervals, the progress bar.

    Returns:
        The files.

    Raises:
        ExportError: the contender plays nothing, or the format is not to be had. OutputError: a file cannot be written.
        ScenarioError: there is no such scenario.
    """
    if contender.name == BOUND:
        raise ExportError("the bound is a plan and plays no episode")
    environment = make_batch(
        scenario, 1, observation=contender.observation, case=case, level=level, auto_reset=False
    )
    with progress(environment.loop.scenario.n_intervals) as bar:
        controller = contender.builders[0](environment)
        record = rollout(controller, ByPlant(environment), np.array([seed]), Everything, bar.update)
    return write_tables(path, record)
