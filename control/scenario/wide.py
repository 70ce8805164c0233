"""Scenarios whose dynamics are drawn anew for every episode, within a stated range.

Inertia, the governors' dead band, the delay of telemetry and the size of wind and sun belong to a grid, and a scenario
has one number for each. To learn or tune for a grid that nobody knows exactly, each is drawn here, uniformly and
independently: domain randomisation.

    J. Tobin et al., Domain randomization for transferring deep neural networks from simulation to the real world,
    IROS 2017.

Batches, observations and controllers are built for the scenario's own numbers, as the operator knows the grid. Agents
are not told what was drawn. Exponents of the loads are not among it: a batch has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from control.scenario.config import LARGEST, ScenarioConfig, ScenarioError

__all__ = ["Dynamics", "WideScenarioConfig"]


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """What one episode's grid is like."""

    inertia_mws: float  # sum of H S with all machines running
    governor_dead_band_hz: float
    scada_delay_intervals: int
    renewable_scale: float  # of the capacity in the case


@dataclass(frozen=True, kw_only=True)
class WideScenarioConfig(ScenarioConfig):
    """A scenario and the ranges of its episodes' dynamics, ends included."""

    inertia_range_mws: tuple[float, float] = (80_000.0, 250_000.0)
    dead_band_range_hz: tuple[float, float] = (0.010, 0.036)
    scada_delay_range_intervals: tuple[int, int] = (1, 4)
    renewable_range: tuple[float, float] = (1.0, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least, most in (
            ("inertia_range_mws", 1.0, LARGEST),
            ("dead_band_range_hz", 0.0, 1.0),
            ("scada_delay_range_intervals", 0, 5),
            ("renewable_range", 0.0, 100.0),
        ):
            given = getattr(self, name)
            whole = name == "scada_delay_range_intervals"
            kinds = (int,) if whole else (int, float)
            sound = (
                isinstance(given, tuple | list)
                and len(given) == 2
                and all(type(x) in kinds and isfinite(x) for x in given)
                and least <= given[0] <= given[1] <= most
            )
            if not sound:
                what = "whole numbers" if whole else "numbers"
                raise ScenarioError(
                    f"scenario {self.name!r}: {name} = {given!r}, expected two {what}, {least:g} to {most:g}, "
                    "the lower first."
                )
            object.__setattr__(self, name, tuple(given))

    def drawn(self, rng: np.random.Generator) -> Dynamics:
        """The dynamics of the next episode of a generator, before all else of it is drawn."""
        return Dynamics(
            inertia_mws=float(rng.uniform(*self.inertia_range_mws)),
            governor_dead_band_hz=float(rng.uniform(*self.dead_band_range_hz)),
            scada_delay_intervals=int(rng.integers(*self.scada_delay_range_intervals, endpoint=True)),
            renewable_scale=float(rng.uniform(*self.renewable_range)),
        )
