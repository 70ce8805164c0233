"""Under-frequency load shedding: the last line of defence, by stages and area.

A relay measures the frequency of its area, counts how long it has stayed below its stage without a break, and after
the pick-up time opens the breakers of a fixed share of the area's load. Every stage operates once. Load that was shed
stays shed until an operator restores it by hand, which within an episode nobody does.

What an area's relays measure is the mean of its buses' frequencies weighted by their load, from the frequency divider:
half the loads of an area do not see the mean of its machines. Left out: breaker time (a cycle or two, part of the
pick-up here), relays on the rate of change of frequency, and the spread of settings within an area.

Stages, shares and pick-up are typical of the Northeast Power Coordinating Council's programme in order of magnitude,
not a copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case

__all__ = ["LoadSheddingConfig", "first_operation", "nothing_to_count", "relay_weight"]


@dataclass(frozen=True, kw_only=True)
class LoadSheddingConfig:
    """Settings of the relays, the same in every area."""

    stage_hz: tuple[float, ...] = (59.5, 59.3, 59.1, 58.9)
    share: float = 0.07  # of the area's load as it was before any stage, per stage
    pick_up_s: float = 0.3

    def __post_init__(self) -> None:
        if any(a <= b for a, b in zip(self.stage_hz[:-1], self.stage_hz[1:], strict=True)):
            raise ValueError(f"load shedding: stage_hz = {self.stage_hz}, expected falling stages")
        if any(not stage > 0.0 for stage in self.stage_hz):
            raise ValueError(f"load shedding: stage_hz = {self.stage_hz}, expected > 0")
        if not 0.0 <= self.share * self.n_stage <= 1.0:
            raise ValueError(
                f"load shedding: {self.n_stage} stages of share = {self.share}, expected 0 to 1 together"
            )
        if not self.pick_up_s >= 0.0:
            raise ValueError(f"load shedding: pick_up_s = {self.pick_up_s} s, expected >= 0")

    @property
    def n_stage(self) -> int:
        """Number of stages."""
        return len(self.stage_hz)


def relay_weight(case: Case, bus_frequency: FloatArray, bus_live: BoolArray) -> FloatArray:
    """What the relays of each area measure, as weights of the groups' deviations, [area, group].

    Args:
        case: the grid; bus_frequency: the frequency divider on groups, [bus, group]; bus_live: [bus].

    Returns:
        Rows sum to one, or to zero in an area without live load, whose relays measure nothing.
    """
    weight = np.zeros((case.n_area, bus_frequency.shape[1]))
    area = case.bus.area[case.load.bus]
    p_mw = np.where(bus_live[case.load.bus], case.load.p_mw, 0.0)
    total_mw = np.bincount(area, p_mw, minlength=case.n_area)
    np.add.at(weight, area, p_mw[:, None] * bus_frequency[case.load.bus])
    return weight / np.where(total_mw > 0.0, total_mw, 1.0)[:, None]


@numba.njit(cache=True)
def nothing_to_count(lowest_hz: FloatArray, threshold_hz: float, pending: IntArray) -> bool:
    """Whether no group has fallen below the highest stage and no relay has picked up.

    Args:
        lowest_hz: [group, env]; threshold_hz: highest stage, as a deviation; pending: [env, area, stage].
    """
    for value in lowest_hz.flat:
        if not value >= threshold_hz:
            return False
    counting = False
    for steps in pending.flat:
        counting |= steps != 0
    return not counting


def first_operation(
    area_hz: FloatArray,
    pending: IntArray,
    operated: BoolArray,
    stage_df_hz: FloatArray,
    pick_up_s: float,
    dt_s: float,
) -> tuple[int, BoolArray, IntArray]:
    """The first moment of a trace at which any relay operates.

    Args:
        area_hz: deviation that the relays measure, row 0 where the last trace ended, [step, area].
        pending: steps for which each relay has seen its stage undercut, one for the first, [area, stage].
        operated: stages that have operated already, [area, stage].
        stage_df_hz: stages as deviations from nominal, [stage]; pick_up_s; dt_s: length of a step.

    Returns:
        The step (-1 if no relay operates), the relays that operate at it, [area, stage], and `pending` at that step, or
        at the end of the trace.
    """
    none = np.zeros_like(operated)
    pending = pending.copy()
    for step in range(1, len(area_hz)):
        below = (area_hz[step][:, None] < stage_df_hz[None, :]) & ~operated
        pending = np.where(below, pending + 1, 0)
        ready = below & ((pending - 1) * dt_s >= pick_up_s - 1e-9 * dt_s)
        if ready.any():
            return step, ready, pending
    return -1, none, pending
