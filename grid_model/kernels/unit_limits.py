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
from grid_model.kernels.swing_rows import BAND, DF, HIGH, LOW, MINUS_GAIN, N_QUANTITY, POWER

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
def calm_within_units(lanes: Lanes, units: UnitLimits | None, block: FloatArray) -> None:
    """Narrow a range of frequency to where no machine is at a limit, so that a step within it need look at none.

    Args:
        lanes: the environments in the block.
        units: the machines; nothing is narrowed without.
        block: of it gains and dead bands are read, the range is changed; see `swing_rows`.
    """
    if units is not None:
        for g in range(lanes.n_group):
            for lane in range(lanes.width):
                own, column = (g * lanes.n_part + lane // N_LANE) * N_QUANTITY, lane % N_LANE
                gain, band_hz = -block[own + MINUS_GAIN, column], block[own + BAND, column]
                up_hz = units.free_up_mw[g, lanes.first + lane] / gain
                down_hz = units.free_down_mw[g, lanes.first + lane] / gain
                below_hz = band_hz + max(up_hz * (1.0 - ROUNDING) - ROUNDING_HZ, 0.0)
                above_hz = band_hz + max(down_hz * (1.0 - ROUNDING) - ROUNDING_HZ, 0.0)
                block[own + LOW, column] = max(block[own + LOW, column], -below_hz)
                block[own + HIGH, column] = min(block[own + HIGH, column], above_hz)


@compiled
def keep_within_units(lanes: Lanes, units: UnitLimits | None, block: FloatArray) -> None:
    """Correct what a group's governors together ask for where one of its machines is at a limit.

    Args:
        lanes: the environments in the block.
        units: the machines; nothing is corrected without.
        block: of it deviations and dead bands are read; what governors ask for by the sum of gains and limits is
            changed; see `swing_rows`.
    """
    if units is not None:
        for g in range(lanes.n_group):
            for lane in range(lanes.width):
                own, column = (g * lanes.n_part + lane // N_LANE) * N_QUANTITY, lane % N_LANE
                e, asks_mw = lanes.first + lane, block[own + POWER, column]
                if asks_mw > units.free_up_mw[g, e] or asks_mw < -units.free_down_mw[g, e]:
                    f, band_hz = block[own + DF, column], block[own + BAND, column]
                    beyond = max(f - band_hz, 0.0) + min(f + band_hz, 0.0)
                    total_mw = 0.0
                    for i in range(units.machine_group.shape[0]):
                        if units.machine_group[i, e] == g:
                            asked_mw = -units.gain_mw_per_hz[i, e] * beyond
                            total_mw += min(max(asked_mw, -units.down_mw[i, e]), units.up_mw[i, e])
                    block[own + POWER, column] = total_mw
