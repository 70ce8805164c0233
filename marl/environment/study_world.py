"""The grid as the world that a study of recipes is played in."""

from __future__ import annotations

from cases.ieee68 import load_ieee68
from control.scenario.file import scenario_named
from control.scenario.suites import VALIDATION_SEEDS
from marl.environment.curricula import curriculum_of
from marl.environment.grid_training import CASE, beginning
from marl.environment.held_out import HeldOut
from marl.environment.warm_start import with_own_zones
from marl.training.study import World

__all__ = ["grid_world", "require_scenario"]


def require_scenario(name: str) -> None:
    """Raises ScenarioError where the grid has no such scenario."""
    scenario_named(name, load_ieee68())


def grid_world() -> World:
    """What the runs are played in; functions that another process can be sent."""
    from marl.environment.batch import make_batch  # compiled kernels: seconds, after the names were looked at

    return World(
        make_batch=make_batch,
        warm_start=beginning,
        held_out=HeldOut,
        require_scenario=require_scenario,
        validation_seeds=range(VALIDATION_SEEDS.first, VALIDATION_SEEDS.first + VALIDATION_SEEDS.count),
        case=CASE,
        complete=with_own_zones,
        curriculum=curriculum_of,
    )
