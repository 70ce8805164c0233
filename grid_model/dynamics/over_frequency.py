"""Above nominal frequency: wind and sun give way by a droop, and plants trip by stages.

Wind and sun reduce their output above 60.5 Hz with a droop of 5 % of nominal frequency on what is available, a third of
it a Hz. That is the form of grid codes (limited frequency sensitive mode, Commission Regulation (EU) 2016/631, article
13(2): a threshold 0.2 to 0.5 Hz above nominal, a droop of 2 to 12 %); the threshold is ours, at the edge of the
frequency limits, so that everyday regulation does not meet it.

Plants trip from 61.7 Hz on, in three stages 0.15 Hz apart, so that not all leave at once; each unit belongs to the
stage that its place in the table gives, one after the other. Stages and pick-up time are typical values, in the range
of protections that must not act before 61.8 Hz or for some seconds (NERC PRC-024), not those of any plant.
Equivalents of neighbouring systems do not trip: their many units would by stages of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.kernels.over_frequency import nothing_above
from grid_model.kernels.structs import OverFrequency

__all__ = ["OverFrequencyConfig", "OverFrequencyRelays", "Trip", "curtailment_of"]


@dataclass(frozen=True, kw_only=True)
class OverFrequencyConfig:
    """Settings of plants, the same everywhere."""

    renewable_from_hz: float = 60.5
    renewable_droop: float = 0.05  # of nominal frequency, for all of the output
    trip_stage_hz: tuple[float, ...] = (61.7, 61.85, 62.0)  # of the machines
    trip_pick_up_s: float = 0.3

    def __post_init__(self) -> None:
        stages = self.trip_stage_hz
        if any(a >= b for a, b in itertools.pairwise(stages)):
            raise ValueError(f"over-frequency: trip_stage_hz = {stages}, expected rising stages")
        for name in ("renewable_from_hz", "renewable_droop"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"over-frequency: {name} = {getattr(self, name)}, expected > 0")
        if not self.trip_pick_up_s >= 0.0:
            raise ValueError(f"over-frequency: trip_pick_up_s = {self.trip_pick_up_s} s, expected >= 0")


def curtailment_of(config: OverFrequencyConfig | None, f0_hz: float) -> OverFrequency | None:
    """What the compiled functions know of wind and sun."""
    if config is None:
        return None
    return OverFrequency(config.renewable_from_hz - f0_hz, 1.0 / (config.renewable_droop * f0_hz))


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What the plants' relays of one environment do in a macro step that has been integrated."""

    step: int  # of the macro step at which the first of them operates; -1: none
    machines: BoolArray  # that trip at it, [machine]
    pending: IntArray  # counters at that step, or at the macro step's end, [machine]


class OverFrequencyRelays:
    """The relays of every machine.

    Attributes (read them, change them only through the methods):
        pending: steps for which each relay has seen its stage exceeded, [env, machine].
        threshold_hz: the lowest stage, as a deviation from nominal; infinite without stages.
    """

    def __init__(self, config: OverFrequencyConfig | None, case: Case, n_env: int, dt_s: float) -> None:
        """No relay has picked up.

        Args:
            config: settings, None for plants without relays.
            case: the grid.
            n_env: number of environments.
            dt_s: length of an integration step [s].
        """
        self._bus, self._dt_s = case.machine.bus, dt_s
        self._pick_up_s = 0.0 if config is None else config.trip_pick_up_s
        stages_hz = np.array(() if config is None else config.trip_stage_hz) - case.f0_hz
        self.stage_hz: FloatArray = np.full(case.n_machine, np.inf)
        units = np.flatnonzero(~case.machine.is_equivalent)
        if len(stages_hz) > 0 and len(units) > 0:
            self.stage_hz[units] = stages_hz[np.arange(len(units)) % len(stages_hz)]
        self.threshold_hz = float(self.stage_hz.min(initial=np.inf))
        self.pending = np.zeros((n_env, case.n_machine), dtype=np.int64)

    def start(self, envs: IntArray) -> None:
        """Everything is connected again in these environments."""
        self.pending[envs] = 0

    def operations(
        self,
        envs: IntArray,
        trace_hz: FloatArray,
        highest_hz: FloatArray,
        bus_frequency: FloatArray,
        in_service: BoolArray,
    ) -> dict[int, Trip]:
        """What the relays do in a macro step that has been integrated; changes nothing.

        Args:
            envs: positions of the environments integrated, [n].
            trace_hz: groups of all environments, row 0 where the last trace ended, [step, group, env].
            highest_hz: highest value of the interval of those integrated, [group, n].
            bus_frequency: the frequency divider on groups, of all environments, [env, bus, group].
            in_service: which machines are, [env, machine].

        Returns:
            For each environment whose relays have something to count.
        """
        if nothing_above(highest_hz, self.threshold_hz, self.pending):
            return {}
        found: dict[int, Trip] = {}
        busy = (highest_hz.max(axis=0) > self.threshold_hz) | self.pending[envs].any(axis=1)
        for row in np.flatnonzero(busy):
            env = int(envs[row])
            # Contiguous, so that the product is the same to the bit in a batch of any size.
            own_hz = np.ascontiguousarray(trace_hz[:, :, env]) @ bus_frequency[env, self._bus].T
            pending, trip = self.pending[env].copy(), np.zeros(len(self._bus), dtype=np.bool_)
            at = -1
            for step in range(1, len(own_hz)):
                above = (own_hz[step] > self.stage_hz) & in_service[env]
                pending = np.where(above, pending + 1, 0)
                trip = above & ((pending - 1) * self._dt_s >= self._pick_up_s - 1e-9 * self._dt_s)
                if trip.any():
                    at = step
                    break
            found[env] = Trip(step=at, machines=trip, pending=pending)
        return found

    def count(self, env: int, trip: Trip) -> None:
        """The macro step of which `operations` told has been taken over: its counters are those of the relays."""
        self.pending[env] = np.where(trip.machines, 0, trip.pending)
