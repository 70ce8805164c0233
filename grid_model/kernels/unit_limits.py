"""Governors within the limits of their own units.

A group's governors together ask for

    sum_i clip(-K_i db(f), -down_i, up_i),      up_i = P_max,i - P_schedule,i,  down_i = P_schedule,i - P_min,i

which is that of one governor of the sum of gains until the first unit is at a limit. Valve and reheater are those of
the group; what they give is shared among the machines in the same way, by the deviation at which they would rest there.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.bus_injection import between, unit_room
from grid_model.kernels.lanes import N_LANE
from grid_model.kernels.structs import GridArrays, Lanes, SwingParameters, UnitLimits

__all__ = ["begin_units", "calm_within_units", "empty_unit_limits", "keep_within_units"]

# A bound of frequency is moved in by so much that no rounding of what governors ask for lies beyond it.
ROUNDING = 1e-9  # of the distance from the dead band
ROUNDING_HZ = 1e-12


def empty_unit_limits(n_machine: int, n_group: int, n: int) -> UnitLimits:
    """Working arrays for a macro step of n environments."""
    machines = [np.zeros((n_machine, n)) for _ in range(3)]
    groups = [np.zeros((n_group, n)) for _ in range(2)]
    return UnitLimits(np.zeros((n_machine, n), dtype=np.int64), *machines, *groups)


@compiled
def begin_units(
    grid: GridArrays, envs: IntArray, a: float, parameters: SwingParameters, units: UnitLimits | None
) -> None:
    """Limits of groups and machines at the fraction a of an interval, where they follow the schedule."""
    if not grid.within_units:
        return
    limit_up_mw, limit_down_mw = parameters.limit_up_mw, parameters.limit_down_mw
    limit_up_mw[:] = 0.0
    limit_down_mw[:] = 0.0
    group = grid.placement.machine_group
    begin, end = grid.profile.begin.schedule_mw, grid.profile.end.schedule_mw
    for row in range(envs.size):
        e = envs[row]
        for i in range(group.shape[1]):
            up_mw, down_mw = unit_room(grid, e, i, between(begin[e, i], end[e, i], a))
            limit_up_mw[group[e, i], row] += up_mw
            limit_down_mw[group[e, i], row] += down_mw
            _keep_unit(grid, e, row, i, up_mw, down_mw, parameters.gain_mw_per_hz, units)
    _find_free(parameters.gain_mw_per_hz, units)


@compiled
def _keep_unit(
    grid: GridArrays,
    env: int,
    row: int,
    machine: int,
    up_mw: float,
    down_mw: float,
    gain_mw_per_hz: FloatArray,
    units: UnitLimits | None,
) -> None:
    if units is not None:
        g = grid.placement.machine_group[env, machine]
        units.machine_group[machine, row] = g
        share = grid.machines.governor_share[env, machine] / max(grid.groups.governor_share[g, env], 1e-12)
        units.gain_mw_per_hz[machine, row] = share * gain_mw_per_hz[g, row]
        units.up_mw[machine, row], units.down_mw[machine, row] = up_mw, down_mw


@compiled
def _find_free(gain_mw_per_hz: FloatArray, units: UnitLimits | None) -> None:
    if units is not None:
        units.free_up_mw[:] = np.inf
        units.free_down_mw[:] = np.inf
        for i in range(units.machine_group.shape[0]):
            for row in range(units.up_mw.shape[1]):
                g = units.machine_group[i, row]
                if units.gain_mw_per_hz[i, row] > 0.0:
                    ratio = gain_mw_per_hz[g, row] / units.gain_mw_per_hz[i, row]
                    up_mw, down_mw = units.up_mw[i, row] * ratio, units.down_mw[i, row] * ratio
                    units.free_up_mw[g, row] = min(units.free_up_mw[g, row], up_mw)
                    units.free_down_mw[g, row] = min(units.free_down_mw[g, row], down_mw)


@compiled
def calm_within_units(
    lanes: Lanes,
    units: UnitLimits | None,
    block: FloatArray,
    minus_gain: int,
    band: int,
    low: int,
    high: int,
) -> None:
    """Narrow a range of frequency to where no machine is at a limit, so that a step within it need look at none.

    Args:
        lanes: the environments in the block.
        units: the machines; nothing is narrowed without.
        block: rows of eight lanes, see `swing_rows`.
        minus_gain: first row of the groups' governor gains together, with the sign that these have [MW/Hz].
        band: first row of the governors' dead band [Hz].
        low: first row of the lowest deviations of the range, changed [Hz].
        high: of the highest, likewise.
    """
    if units is not None:
        for g in range(lanes.n_group):
            for lane in range(lanes.width):
                row, column, e = g * lanes.n_part + lane // N_LANE, lane % N_LANE, lanes.first + lane
                gain, band_hz = -block[minus_gain + row, column], block[band + row, column]
                up_hz = units.free_up_mw[g, e] / gain
                down_hz = units.free_down_mw[g, e] / gain
                below_hz = band_hz + max(up_hz * (1.0 - ROUNDING) - ROUNDING_HZ, 0.0)
                above_hz = band_hz + max(down_hz * (1.0 - ROUNDING) - ROUNDING_HZ, 0.0)
                block[low + row, column] = max(block[low + row, column], -below_hz)
                block[high + row, column] = min(block[high + row, column], above_hz)


@compiled
def keep_within_units(
    lanes: Lanes,
    units: UnitLimits | None,
    block: FloatArray,
    df: int,
    band: int,
    target: int,
) -> None:
    """Correct what a group's governors together ask for where one of its machines is at a limit.

    Args:
        lanes: the environments in the block.
        units: the machines; nothing is corrected without.
        block: rows of eight lanes, see `swing_rows`.
        df: first row of the groups' deviations [Hz].
        band: first row of the governors' dead band [Hz].
        target: first row of what they ask for by the sum of gains and limits, changed [MW].
    """
    if units is not None:
        for g in range(lanes.n_group):
            for lane in range(lanes.width):
                row, column, e = g * lanes.n_part + lane // N_LANE, lane % N_LANE, lanes.first + lane
                asks_mw = block[target + row, column]
                if asks_mw > units.free_up_mw[g, e] or asks_mw < -units.free_down_mw[g, e]:
                    f, band_hz = block[df + row, column], block[band + row, column]
                    beyond = max(f - band_hz, 0.0) + min(f + band_hz, 0.0)
                    total_mw = 0.0
                    for i in range(units.machine_group.shape[0]):
                        if units.machine_group[i, e] == g:
                            asked_mw = -units.gain_mw_per_hz[i, e] * beyond
                            total_mw += min(max(asked_mw, -units.down_mw[i, e]), units.up_mw[i, e])
                    block[target + row, column] = total_mw
