"""A task by the names of its grid and its scenario."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cases.case import Case
from cases.compiler.announcement import announced
from control.scenario.config import ScenarioConfig
from control.scenario.file import scenario_named
from control.scenario.task_grid import PUBLISHED, open_task_grid, published_case, published_series
from control.task.reward import RewardConfig
from control.task.shield import ShieldConfig
from control.task.task import Physics, Task
from grid_model.compilation import PACKAGES
from grid_model.dynamics.parameters import Level, SwingConfig, swing_of

__all__ = ["make_task"]


def make_task(
    scenario: str | Path | ScenarioConfig = "training",
    n_env: int = 1,
    seed: int = 0,
    observation: str = "default",
    *,
    case: str | Path | Case = "",
    variant: str = "rogers",
    level: Level | None = None,
    swing: SwingConfig | None = None,
    reward: RewardConfig | None = None,
    stagger: bool = False,
    auto_reset: bool = True,
    check: bool = True,
    physics: Physics = "full",
    pool: int = 0,
    shield: ShieldConfig | None = None,
) -> Task:
    """A task on the 68-bus system, or on any other grid.

    Args:
        scenario: a suite or training distribution by name, the path of a scenario file, or a configuration.
        n_env: episodes at once.
        seed: see `Task`, as for the arguments below but for the next three.
        observation: see `Task`.
        case: a grid by its name or file (`control.scenario.task_grid`), or a `Case` with plants on it; the 68-bus
            system if empty.
        variant: of the 68-bus system, `rogers` or `tr18`.
        level: of aggregation of the frequency model, `machine`, `area` or `system`; that of `swing` if None.
        swing: see `Task`.
        reward: see `Task`.
        stagger: see `Task`.
        auto_reset: see `Task`.
        check: see `Task`.
        physics: see `Task`, as for the next two.
        pool: see there.
        shield: see there.

    Raises:
        ScenarioError: there is no such scenario, or it contradicts itself.
        CaseDataError: there is no such grid, or it cannot be played on.
        ValueError: see `Task`; or a variant of the 68-bus system and another grid are named.
        TypeError: the grid or the number of environments is none.
    """
    if isinstance(n_env, bool) or not isinstance(n_env, int | np.integer):
        raise TypeError(f"n_env = {n_env!r}, expected a whole number of at least 1")
    if isinstance(scenario, Path):
        scenario = str(scenario)
    if isinstance(case, Path):
        case = str(case)
    if not isinstance(case, str | Case):
        raise TypeError(f"case = {case!r}, expected a grid by its name or file, or a Case")
    if case and variant != PUBLISHED:
        raise ValueError(f"variant = {variant!r} is of the 68-bus system: leave it out beside case")
    if isinstance(case, str):
        case = open_task_grid(case).case if case else published_case(variant)
    if level is not None:
        swing = replace(swing or swing_of(case), level=level)
    config = scenario if isinstance(scenario, ScenarioConfig) else scenario_named(scenario, case)
    build = partial(
        Task,
        case,
        published_series(),
        config,
        seed=seed,
        observation=observation,
        swing=swing,
        reward=reward,
        stagger=stagger,
        auto_reset=auto_reset,
        physics=physics,
        pool=pool,
        shield=shield,
    )
    with announced(PACKAGES) as compilation:
        task = build(n_env=n_env, check=check)
        if compilation.n_compiled:
            # The first start on this machine: everything else is compiled here too, where it is told of.
            rehearsal = build(n_env=min(n_env, 2), check=False)
            rehearsal.reset()
            for _ in range(2):
                rehearsal.step(np.zeros((rehearsal.n_env, case.n_resource)))
    return task
