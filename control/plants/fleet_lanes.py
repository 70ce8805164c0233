"""The plants of eight environments at once, by the equations of `fleet_state.advance_plants`.

Rare cases, a battery whose output changes sign within the interval or whose energy is at an end, are worked out one by
one by `limit_battery`. Buses are all energised here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cases.arrays import FloatArray
from control.plants.battery import GUARD_MWH, S_PER_H, limit_battery
from control.plants.fleet_state import BESS, GAS, PlantParameters
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, any_above, floor, larger, load, select, smaller, spread, store

__all__ = ["PlantRows", "advance_block"]


@compiled
def _stopping_area(u: Any, step_mw: float, h_s: float) -> Any:
    """See `battery.stopping_area`."""
    n = floor(u * (1.0 / step_mw))
    return (n * u - n * n * (0.5 * step_mw)) * h_s + larger(u - n * step_mw, 0.0) * (0.5 * h_s)


class PlantRows(NamedTuple):
    """Plants of all blocks, [block x resource, 8], what is asked of one block, [resource, 8], and what comes of it."""

    command_mw: FloatArray
    set_point_mw: FloatArray  # what plants follow
    output_mw: FloatArray  # into the grid, beyond schedule
    energy_mwh: FloatArray  # see `FleetState`
    action: FloatArray  # of one block, -1 to 1
    change_mw: FloatArray  # of its commands
    fresh: FloatArray  # scratch, [5, 8]


@compiled
def advance_block(base: int, plants: PlantParameters, decay: FloatArray, rows: PlantRows) -> None:
    """Every plant of a block through one interval, in place.

    Args:
        base: row of the block's first plant.
        plants: the parameters.
        decay: exp(-h/T) of each plant, [resource].
        rows: plants of all blocks, of which those of this block are moved.
    """
    command, set_point, output, energy = rows.command_mw, rows.set_point_mw, rows.output_mw, rows.energy_mwh
    fresh, change = rows.fresh, rows.change_mw
    h_s = plants.interval_s
    for i in range(plants.kind.size):
        row = base + i
        c0, u0, x0, e0 = load(command, row), load(set_point, row), load(output, row), load(energy, row)
        step_mw, low_mw, high_mw, lag_s = (
            plants.step_mw[i],
            plants.low_mw[i],
            plants.high_mw[i],
            plants.lag_s[i],
        )
        target = c0 + smaller(larger(load(rows.action, i), -1.0), 1.0) * step_mw
        c1 = smaller(smaller(larger(larger(target, c0 - step_mw), low_mw), c0 + step_mw), high_mw)
        u1 = c1
        if plants.kind[i] != BESS and plants.kind[i] != GAS:
            u1 = c1 - e0 * (S_PER_H / plants.rebound_s[i])
            u1 = smaller(smaller(larger(larger(u1, u0 - step_mw), low_mw), u0 + step_mw), high_mw)
        behind = (u1 - u0) * (lag_s / h_s)
        x1 = u1 - behind + (x0 - u0 + behind) * decay[i]
        whole = (u0 + u1) * (0.5 * h_s) - (x1 - x0) * lag_s
        if plants.kind[i] != BESS:
            store(command, row, c1)
            store(set_point, row, u1)
            store(output, row, x1)
            store(energy, row, e0 + whole * (1.0 / S_PER_H))
            store(change, i, c1 - c0)
            continue
        per_out, per_in = (
            1.0 / (plants.discharging_efficiency[i] * S_PER_H),
            plants.charging_efficiency[i] / S_PER_H,
        )
        e1 = e0 - larger(whole, 0.0) * per_out + larger(0.0 - whole, 0.0) * per_in
        out_mws = _stopping_area(larger(u1, 0.0), step_mw, h_s) + larger(x1, 0.0) * lag_s
        in_mws = _stopping_area(larger(0.0 - u1, 0.0), step_mw, h_s) + larger(0.0 - x1, 0.0) * lag_s
        short = larger(
            out_mws * per_out + GUARD_MWH - e1, in_mws * per_in + GUARD_MWH + e1 - plants.capacity_mwh[i]
        )
        # Both signs within the interval: above zero if the largest and the smallest of the three differ in sign.
        mixed = smaller(larger(larger(x0, u0), u1), 0.0 - smaller(smaller(x0, u0), u1))
        odd = larger(select(short, spread(1.0), spread(0.0)), mixed)
        store(fresh, 0, u1)
        store(fresh, 1, x1)
        store(fresh, 2, e1)
        if any_above(odd, 0.0):
            store(fresh, 3, target)
            store(fresh, 4, odd)
            for lane in range(N_LANE):
                if fresh[4, lane] > 0.0:
                    fresh[0, lane], fresh[1, lane], fresh[2, lane] = limit_battery(
                        fresh[3, lane],
                        energy[row, lane],
                        output[row, lane],
                        set_point[row, lane],
                        high_mw,
                        plants.capacity_mwh[i],
                        step_mw,
                        lag_s,
                        h_s,
                        plants.charging_efficiency[i],
                        plants.discharging_efficiency[i],
                    )
        u1 = load(fresh, 0)
        store(command, row, u1)
        store(set_point, row, u1)
        store(output, row, load(fresh, 1))
        store(energy, row, load(fresh, 2))
        store(change, i, u1 - c0)
