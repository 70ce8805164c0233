"""Wind and sun above their threshold: they give up output in proportion to frequency.

    P = P_available (1 - (f - f_on) / (s f0))        above f_on, s the droop

As with loads, what a change of power at a bus means for the groups are its impact shares Phi, and each group's part
follows the group's own frequency. Inverters do this within a cycle or two, so it has no lag here.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.bus_injection import between
from grid_model.kernels.lanes import N_LANE, load, smaller, store
from grid_model.kernels.structs import GridArrays, GroupState, Lanes, OverFrequency, OverFrequencyStep
from grid_model.kernels.swing_rows import DF, HIGH, N_QUANTITY, POWER

__all__ = ["adopt_curtailment", "begin_curtailment", "calm_below_threshold", "curtail", "nothing_above"]


@compiled
def begin_curtailment(
    grid: GridArrays, envs: IntArray, a: float, over: OverFrequency | None, macro: OverFrequencyStep | None
) -> None:
    """What the plants give up per Hz in a macro step that begins at the fraction a of an interval."""
    if over is not None and macro is not None:
        begin, end = grid.profile.begin.renewable_mw, grid.profile.end.renewable_mw
        macro.gain_mw_per_hz[:] = 0.0
        for i in range(grid.placement.renewable_bus.size):
            bus = grid.placement.renewable_bus[i]
            for row in range(envs.size):
                e = envs[row]
                if grid.status.bus[e, bus]:
                    per_hz = between(begin[e, i], end[e, i], a) * over.share_per_hz
                    for g in range(macro.gain_mw_per_hz.shape[0]):
                        macro.gain_mw_per_hz[g, row] += per_hz * grid.network.impact_share[e, bus, g]


@compiled
def calm_below_threshold(lanes: Lanes, over: OverFrequencyStep | None, block: FloatArray) -> None:
    """Narrow the range of frequency of a block, see `swing_rows`, to where the plants give up nothing."""
    if over is not None:
        for own in range(0, lanes.n_group * lanes.n_part * N_QUANTITY, N_QUANTITY):
            store(block, own + HIGH, smaller(load(block, own + HIGH), over.from_hz))


@compiled
def curtail(lanes: Lanes, over: OverFrequencyStep | None, block: FloatArray) -> None:
    """Take from what drives the groups of a block, see `swing_rows`, what the plants give up."""
    if over is not None:
        for g in range(lanes.n_group):
            for lane in range(lanes.width):
                own, column = (g * lanes.n_part + lane // N_LANE) * N_QUANTITY, lane % N_LANE
                beyond = max(block[own + DF, column] - over.from_hz, 0.0)
                block[own + POWER, column] -= over.gain_mw_per_hz[g, lanes.first + lane] * beyond


@compiled
def adopt_curtailment(
    envs: IntArray, state: GroupState, df_hz: FloatArray, start_hz: FloatArray, over: OverFrequencyStep | None
) -> None:
    """The groups' machines send out more by what the plants give up more at the end of a macro step."""
    if over is not None:
        for g in range(df_hz.shape[0]):
            for row in range(envs.size):
                beyond = max(df_hz[g, row] - over.from_hz, 0.0) - max(start_hz[g, row] - over.from_hz, 0.0)
                state.p_elec_mw[g, envs[row]] += over.gain_mw_per_hz[g, row] * beyond


@compiled
def nothing_above(highest_hz: FloatArray, threshold_hz: float, pending: IntArray) -> bool:
    """Whether no group has come above the lowest stage at which machines trip, and no relay has picked up.

    Args:
        highest_hz: highest deviation of each group [Hz], [group, n].
        threshold_hz: lowest stage, as a deviation from nominal [Hz].
        pending: steps for which each relay has seen its stage exceeded, of all environments, [env, machine].
    """
    if threshold_hz == np.inf:
        return True
    for value in highest_hz.flat:
        if not value <= threshold_hz:
            return False
    counting = False
    for steps in pending.flat:
        counting |= steps != 0
    return not counting
