"""The plants of eight environments at once, by the equations of `fleet_state.advance_plants`.

Rare cases, a battery whose output changes sign within the interval or whose energy is at an end, are worked out one by
one by `limit_battery`. Buses are all energised here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.arrays import FloatArray
from control.plants.battery import GUARD_MWH, S_PER_H, limit_battery
from control.plants.fleet_state import BESS, GAS, PlantParameters
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, any_above, floor, larger, load, select, smaller, spread, store

__all__ = ["advance_block"]


@compiled
def _stopping_area(u: Any, step_mw: float, h_s: float) -> Any:
    """See `battery.stopping_area`."""
    n = floor(u * (1.0 / step_mw))
    return (n * u - n * n * (0.5 * step_mw)) * h_s + larger(u - n * step_mw, 0.0) * (0.5 * h_s)


@compiled
def advance_block(
    base: int,
    command: FloatArray,
    set_point: FloatArray,
    output: FloatArray,
    energy: FloatArray,
    plants: PlantParameters,
    decay: FloatArray,
    action: FloatArray,
    change: FloatArray,
) -> None:
    """Every plant of a block through one interval, in place.

    Args:
        base: row of the block's first plant.
        command: of all blocks [MW], as the next three, [block x resource, 8].
        set_point: what plants follow [MW].
        output: into the grid, beyond schedule [MW].
        energy: see `FleetState` [MWh].
        plants: the parameters.
        decay: exp(-h/T) of each plant, [resource].
        action: of this block, -1 to 1, [resource, 8].
        change: filled with the change of each command [MW], [resource, 8].
    """
    h_s = plants.interval_s
    fresh = np.empty((5, N_LANE))
    for i in range(plants.kind.size):
        row = base + i
        c0, u0, x0, e0 = load(command, row), load(set_point, row), load(output, row), load(energy, row)
        step_mw, low_mw, high_mw, lag_s = (
            plants.step_mw[i],
            plants.low_mw[i],
            plants.high_mw[i],
            plants.lag_s[i],
        )
        target = c0 + smaller(larger(load(action, i), -1.0), 1.0) * step_mw
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
