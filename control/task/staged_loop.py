"""A closed loop whose next episodes can be drawn from other scenarios than the one it was built with.

A curriculum moves on while episodes are under way: each environment keeps the episode that it has, and the next one of
each comes from where it is told to. What a batch is built around stays: see `FIXED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cases.arrays import IntArray
from control.scenario.config import ScenarioConfig, ScenarioError
from control.scenario.episode import EpisodeBuilder
from control.scenario.wide import WideScenarioConfig
from control.task.closed_loop import ClosedLoop

__all__ = ["FIXED", "ScenarioChanged", "StagedLoop", "require_same_grid"]

# What grid, plants, telemetry, observations and prices of a batch are built from; all else shapes single episodes.
FIXED = (
    "n_intervals",
    "interval_s",
    "renewable_scale",
    "inertia_scale_to_mws",
    "governor_dead_band_hz",
    "dispatch",
    "commitment",
    "scada_delay_intervals",
    "scada_class_delays",
    "packet_loss",
    "packet_loss_burst_intervals",
    "scada_noise",
    "scada_bias",
    "battery",
    "gas_turbine",
    "demand_response",
)


class ScenarioChanged(ScenarioError):
    """A scenario changes what a batch keeps as it was built."""


def require_same_grid(built: ScenarioConfig, other: ScenarioConfig) -> None:
    """Whether a batch of one scenario can draw episodes of the other.

    Args:
        built: the scenario that the batch was built with.
        other: the one it is to draw from.

    Raises:
        ScenarioChanged: they differ in what a batch keeps as it was built; the message names it.
    """
    changed = [name for name in FIXED if getattr(built, name) != getattr(other, name)]
    if isinstance(built, WideScenarioConfig) != isinstance(other, WideScenarioConfig):
        changed.append("dynamics drawn for every episode")
    if changed:
        raise ScenarioChanged(
            f"scenario {other.name!r} differs from {built.name!r} in {', '.join(changed)}, which a batch keeps as it "
            "was built: play it in a batch of its own."
        )


class StagedLoop(ClosedLoop):
    """`ClosedLoop`, with a builder of episodes for each environment."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Arguments as of `ClosedLoop`, whose scenario all environments draw from at first."""
        super().__init__(*arguments, **options)
        self.builders: list[EpisodeBuilder] = [self._builder] * self.n_env  # of the next episode, [env]

    def reset(self, envs: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Start a new episode in each environment named, drawn from its own builder and generator."""
        for builder in dict.fromkeys(self.builders[env] for env in envs):
            rows = [row for row, env in enumerate(envs) if self.builders[env] is builder]
            self._builder = builder
            super().reset(envs[rows], [generators[row] for row in rows])
