"""What agents and critic see on the reduced model: the numbers of `observation.Observer`, eight environments at once.

Telemetry without losses and noise is late and nothing else. So the groups' frequencies of the last intervals are kept
instead of those of all buses, and forecasts are read where they stood then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from control.task.layout import (
    BEFORE_DF,
    DF_HZ,
    EARLIER_DF,
    EXTENDED_SIZE,
    FORECAST,
    FORECAST_STEPS,
    HOUR,
    LAST_ACTION,
    NEAR_LIMIT,
    NEAR_LIMIT_FROM,
    NEAREST_DF,
    OBSERVATION_SIZE,
    OWN_DF,
    OWN_LOAD,
    OWN_OUTPUT,
    SLOPE,
    SYSTEM_DF,
    UTILISATION,
    WEEKDAY,
)
from control.task.memory import Past
from control.task.observation import ELEMENTS_OUT, FIRST_AVERAGE, ObservedPlants
from control.task.reduced_kernel import ReducedArrays
from control.telemetry.scada import MAX_DELAY_INTERVALS
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, fma, larger, load, select, spread, store
from grid_model.reduced.lanes import gather_columns, store_columns

__all__ = ["N_SLOT", "View", "observe_blocks", "remember_blocks"]

Float32Array = npt.NDArray[np.float32]
N_SLOT = MAX_DELAY_INTERVALS + 1
FIRST_NEAREST, FIRST_FORECAST = NEAREST_DF.start, FORECAST.start


class View(NamedTuple):
    """How the views are made."""

    plants: ObservedPlants
    per_range_mw: FloatArray  # one over it, [resource]
    per_high_mw: FloatArray  # zero where there is no range, [resource]
    per_low_mw: FloatArray  # of the downward range, [resource]
    per_capacity_mwh: FloatArray  # [resource]
    load: int  # columns of the stored rows where they begin
    renewable: int
    schedule: int
    forecast: int
    hour: int
    weekday: int
    feature: int
    elements_out: int
    delay: IntArray  # intervals by class: system, neighbours, forecast, [3]
    sent_hz: FloatArray  # groups and their centre of inertia at the last intervals, [slot x block x (group + 1), 8]


@compiled
def remember_blocks(arrays: ReducedArrays, view: View, own_hz: FloatArray) -> None:
    """Put the groups' frequencies on their way to the control centre; own_hz is filled, at the plants' buses [Hz]."""
    n_group, state = arrays.sizes.n_group, arrays.state
    n_block = arrays.record.square_hz2.shape[0]
    n_row = state.segment.shape[0] // n_block
    for e in range(state.interval.size):
        block, lane = e // N_LANE, e % N_LANE
        at = (state.interval[e] % N_SLOT * n_block + block) * (n_group + 1)
        weighted, total = 0.0, 0.0
        for g in range(n_group):
            f = state.groups[block * 7 * n_group + g, lane]
            m = state.segment[block * n_row + g, lane]
            view.sent_hz[at + g, lane] = f
            weighted += m * f
            total += m
        view.sent_hz[at + n_group, lane] = weighted / total
        first_weight = (block + 1) * n_row - arrays.sizes.n_bus * n_group
        for i in range(own_hz.shape[1]):
            f = 0.0
            for g in range(n_group):
                weight = state.segment[first_weight + view.plants.bus[i] * n_group + g, lane]
                f += weight * state.groups[block * 7 * n_group + g, lane]
            own_hz[e, i] = f


@compiled
def observe_blocks(
    arrays: ReducedArrays,
    view: View,
    past: Past,
    blocks: IntArray,
    agents: Float32Array,
    critic: Float32Array,
) -> None:
    """Fill in both views of some blocks.

    Args:
        arrays: the batch.
        view: how views are made.
        past: what the task remembers.
        blocks: which ones.
        agents: rows for whole blocks, [env, resource x numbers].
        critic: likewise, [env, state].
    """
    sizes, state, stored, plants = arrays.sizes, arrays.state, arrays.stored, view.plants
    n_group, n_plant, n_bus, n_env = sizes.n_group, sizes.n_plant, sizes.n_bus, state.interval.size
    n_block = arrays.record.square_hz2.shape[0]
    n_row = state.segment.shape[0] // n_block
    n_number = agents.shape[1] // n_plant
    n_time, n_column = stored.n_time, stored.n_column
    n_renewable, n_largest, n_nearest = plants.renewable_mw.size, plants.largest.size, plants.nearest.shape[1]
    seen = np.empty((n_column + N_LANE, N_LANE))
    late_forecast = np.empty((N_LANE, N_LANE))
    late_hz = np.empty((n_group + 1, N_LANE))
    bus_hz, late_bus = np.empty((n_bus, N_LANE)), np.empty((n_bus, N_LANE))
    rows = np.zeros((agents.shape[1] + N_LANE, N_LANE))
    whole = np.zeros((critic.shape[1] + N_LANE, N_LANE))
    now_at, then_at = np.zeros(N_LANE, dtype=np.int64), np.zeros(N_LANE, dtype=np.int64)
    first_column = view.load - n_group
    for b in range(blocks.size):
        block = blocks[b]
        first = block * N_LANE
        for lane in range(N_LANE):
            e = min(first + lane, n_env - 1)
            k = state.interval[e]
            now_at[lane] = (stored.slot[e] * n_time + k) * n_column
            then_at[lane] = (stored.slot[e] * n_time + max(k - view.delay[2], 0)) * n_column
            near = ((k - view.delay[1] + 2 * N_SLOT) % N_SLOT * n_block + block) * (n_group + 1)
            central = ((k - view.delay[0] + 2 * N_SLOT) % N_SLOT * n_block + block) * (n_group + 1)
            for g in range(n_group):
                late_hz[g, lane] = view.sent_hz[near + g, lane]
            late_hz[n_group, lane] = view.sent_hz[central + n_group, lane]
        for column in range(first_column, n_column, N_LANE):
            gather_columns(stored.rows, now_at, column, seen, column)
        gather_columns(stored.rows, then_at, view.forecast, late_forecast, 0)
        df, weight = block * 7 * n_group, (block + 1) * n_row - n_bus * n_group
        for bus in range(n_bus):
            now, late = spread(0.0), spread(0.0)
            for g in range(n_group):
                part = load(state.segment, weight + bus * n_group + g)
                now = fma(part, load(state.groups, df + g), now)
                late = fma(part, load(late_hz, g), late)
            now = now * (1.0 / DF_HZ)
            store(bus_hz, bus, now)
            store(whole, bus, now)
            store(late_bus, bus, late * (1.0 / DF_HZ))
        system = load(late_hz, n_group) * (1.0 / DF_HZ)
        hour, weekday = (
            load(seen, view.hour) * (1.0 / 12.0) - 1.0,
            load(seen, view.weekday) * (1.0 / 3.0) - 1.0,
        )
        soc_sum, n_bess = spread(0.0), 0
        at = n_bus
        for i in range(n_plant):
            out, row = i * n_number, block * n_plant + i
            x = load(state.output_mw, row)
            share = x * view.per_range_mw[i]
            if plants.is_bess[i]:
                soc = load(state.energy_mwh, row) * view.per_capacity_mwh[i]
                soc_sum = soc_sum + soc
                n_bess += 1
                use = soc * 2.0 - 1.0
            else:
                use = select(x, x * view.per_high_mw[i], x * view.per_low_mw[i])
            store(rows, out + OWN_DF, load(bus_hz, plants.bus[i]))
            store(
                rows, out + OWN_LOAD, load(seen, view.load + plants.own_load[i]) * plants.per_own_load_mw[i]
            )
            store(rows, out + OWN_OUTPUT, share)
            store(rows, out + SYSTEM_DF, system)
            for j in range(n_nearest):
                store(rows, out + FIRST_NEAREST + j, load(late_bus, plants.nearest[i, j]))
            for j, step in enumerate(FORECAST_STEPS):
                store(rows, out + FIRST_FORECAST + j, load(late_forecast, step) * (1.0 / plants.forecast_mw))
            store(rows, out + HOUR, hour)
            store(rows, out + WEEKDAY, weekday)
            store(rows, out + UTILISATION, use)
            store(whole, at + i, share)
            if n_number > EXTENDED_SIZE:
                size = larger(use, 0.0 - use)
                beyond = larger(size - NEAR_LIMIT_FROM, 0.0) * (1.0 / (1.0 - NEAR_LIMIT_FROM))
                store(rows, out + NEAR_LIMIT, select(use, beyond, 0.0 - beyond))
        if n_number > OBSERVATION_SIZE:
            for lane in range(min(n_env - first, N_LANE)):
                e = first + lane
                k = state.interval[e]
                place = stored.slot[e] * n_time * n_column + view.schedule
                slope_mw = (
                    stored.rows[place + min(k + 1, n_time - 1) * n_column] - stored.rows[place + k * n_column]
                )
                for i in range(n_plant):
                    out = i * n_number
                    rows[out + BEFORE_DF, lane] = past.before_hz[e, i] / DF_HZ
                    rows[out + LAST_ACTION, lane] = past.last_action[e, i]
                    rows[out + SLOPE, lane] = slope_mw / plants.slope_mw
                    if n_number > EXTENDED_SIZE:
                        rows[out + EARLIER_DF, lane] = past.past_hz[0, e, i] / DF_HZ
                        for j in range(1, past.past_hz.shape[0]):
                            rows[out + FIRST_AVERAGE + j - 1, lane] = past.past_hz[j, e, i] / DF_HZ
        at += n_plant
        for k in range(n_renewable):
            store(whole, at + k, load(seen, view.renewable + k) * (1.0 / plants.renewable_mw[k]))
        at += n_renewable
        for k in range(n_largest):
            per_mw = 1.0 / plants.nominal_mw[plants.largest[k]]
            store(whole, at + k, load(seen, view.load + plants.largest[k]) * per_mw)
        at += n_largest
        for k in range(6):
            store(whole, at + k, load(seen, view.feature + k))
        store(whole, at + 6, soc_sum * (2.0 / max(n_bess, 1)) - 1.0)
        store(whole, at + 7, load(seen, view.elements_out) * (1.0 / ELEMENTS_OUT))
        _write(agents, first, rows)
        _write(critic, first, whole)


@compiled
def _write(view: Float32Array, first: int, rows: FloatArray) -> None:
    """Columns of a block's rows into the views of its environments."""
    n = view.shape[1]
    for column in range(0, n - N_LANE + 1, N_LANE):
        store_columns(view, first, column, rows, column)
    for column in range(n - n % N_LANE, n):
        for lane in range(N_LANE):
            view[first + lane, column] = rows[column, lane]
