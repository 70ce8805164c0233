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
from control.task.reduced_kernel import N_SLOT, ReducedArrays
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, fma, larger, load, select, spread, store
from grid_model.reduced.lanes import (
    copy_single,
    gather_columns,
    load_single,
    rows_of_lanes,
    store_single,
    write_columns,
)

__all__ = ["View", "ViewRows", "observe_blocks", "view_rows"]

Float32Array = npt.NDArray[np.float32]
FIRST_NEAREST, FIRST_FORECAST = NEAREST_DF.start, FORECAST.start
N_FORECAST = len(FORECAST_STEPS)
N_SHARED = 3 + N_FORECAST


class ViewRows(NamedTuple):
    """Scratch of one block, [row, 8] unless said otherwise."""

    seen: FloatArray  # what is stored of the present
    late_forecast: FloatArray  # of the renewables
    late_hz: FloatArray  # as it has arrived, of groups and their centre of inertia
    bus_hz: FloatArray  # [bus, 8]
    late_bus: Float32Array  # scaled, as it has arrived, [bus, 8]
    shared: Float32Array  # what all agents are shown: system frequency, forecasts, hour and day, scaled
    agents: Float32Array
    critic: Float32Array
    now_at: IntArray  # where stored rows lie, [lane]
    then_at: IntArray


class View(NamedTuple):
    """How the views are made."""

    plants: ObservedPlants
    per_range_mw: FloatArray  # one over it, [resource]
    per_high_mw: FloatArray  # zero where there is no range, [resource]
    per_low_mw: FloatArray  # of the downward range, [resource]
    per_capacity_mwh: FloatArray  # [resource]
    per_renewable_mw: FloatArray  # [renewable]
    per_largest_mw: FloatArray  # of the largest loads, [load]
    load: int  # columns of the stored rows where they begin
    renewable: int
    schedule: int
    forecast: int
    hour: int
    weekday: int
    feature: int
    elements_out: int
    delay: IntArray  # intervals by class: system, neighbours, forecast, [3]
    rows: ViewRows


def view_rows(n_column: int, n_group: int, n_bus: int, n_agents: int, n_critic: int) -> ViewRows:
    """For so many columns of the stored rows, groups, buses, and numbers of all agents and of the critic."""
    return ViewRows(
        seen=rows_of_lanes(n_column + N_LANE),
        late_forecast=rows_of_lanes(N_LANE),
        late_hz=rows_of_lanes(n_group + 1),
        bus_hz=rows_of_lanes(n_bus),
        late_bus=rows_of_lanes(n_bus, np.float32),
        shared=rows_of_lanes(N_SHARED, np.float32),
        agents=rows_of_lanes(n_agents, np.float32),
        critic=rows_of_lanes(n_critic, np.float32),
        now_at=np.zeros(N_LANE, dtype=np.int64),
        then_at=np.zeros(N_LANE, dtype=np.int64),
    )


@compiled
def observe_blocks(
    arrays: ReducedArrays,
    view: View,
    past: Past,
    blocks: IntArray,
    agents: Float32Array,
    critic: Float32Array,
    bus_df_hz: FloatArray,
) -> None:
    """Fill in both views of some blocks.

    Args:
        arrays: the batch.
        view: how views are made.
        past: what the task remembers.
        blocks: which ones.
        agents: rows for whole blocks, [env, resource x numbers].
        critic: likewise, [env, state].
        bus_df_hz: filled with the critic's frequencies in Hz, likewise, [env, bus]; of no length where nobody asks.
    """
    sizes, state, stored, plants = arrays.motion.sizes, arrays.state, arrays.stored, view.plants
    n_group, n_plant, n_bus, n_env = sizes.n_group, sizes.n_plant, sizes.n_bus, state.interval.size
    n_block = state.dead_band_hz.shape[0]
    n_row = state.segment.shape[0] // n_block
    n_number = agents.shape[1] // n_plant
    n_time, n_column = stored.n_time, stored.n_column
    n_renewable, n_largest, n_nearest = plants.renewable_mw.size, plants.largest.size, plants.nearest.shape[1]
    seen, late_forecast, late_hz = view.rows.seen, view.rows.late_forecast, view.rows.late_hz
    bus_hz, late_bus, shared = view.rows.bus_hz, view.rows.late_bus, view.rows.shared
    rows, whole = view.rows.agents, view.rows.critic
    now_at, then_at = view.rows.now_at, view.rows.then_at
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
                late_hz[g, lane] = state.sent_hz[near + g, lane]
            late_hz[n_group, lane] = state.sent_hz[central + n_group, lane]
        for column in range(first_column, n_column, N_LANE):
            gather_columns(stored.rows, now_at, column, seen, column)
        gather_columns(stored.rows, then_at, view.forecast, late_forecast, 0)
        df, weight = block * 7 * n_group, (block + 1) * n_row - n_bus * n_group
        for bus in range(n_bus):
            part = load(state.segment, weight + bus * n_group)
            now = fma(part, load(state.groups, df), spread(0.0))
            late = fma(part, load(late_hz, 0), spread(0.0))
            for g in range(1, n_group):
                part = load(state.segment, weight + bus * n_group + g)
                now = fma(part, load(state.groups, df + g), now)
                late = fma(part, load(late_hz, g), late)
            store_single(whole, bus, now * (1.0 / DF_HZ))
            store_single(late_bus, bus, late * (1.0 / DF_HZ))
        store_single(shared, 0, load(late_hz, n_group) * (1.0 / DF_HZ))
        store_single(shared, 1, load(seen, view.hour) * (1.0 / 12.0) - 1.0)
        store_single(shared, 2, load(seen, view.weekday) * (1.0 / 3.0) - 1.0)
        for j, step in enumerate(FORECAST_STEPS):
            store_single(shared, 3 + j, load(late_forecast, step) * (1.0 / plants.forecast_mw))
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
            copy_single(rows, out + OWN_DF, whole, plants.bus[i])
            own_load = load(seen, view.load + plants.own_load[i]) * plants.per_own_load_mw[i]
            store_single(rows, out + OWN_LOAD, own_load)
            store_single(rows, out + OWN_OUTPUT, share)
            copy_single(rows, out + SYSTEM_DF, shared, 0)
            for j in range(n_nearest):
                copy_single(rows, out + FIRST_NEAREST + j, late_bus, plants.nearest[i, j])
            for j in range(N_FORECAST):
                copy_single(rows, out + FIRST_FORECAST + j, shared, 3 + j)
            copy_single(rows, out + HOUR, shared, 1)
            copy_single(rows, out + WEEKDAY, shared, 2)
            store_single(rows, out + UTILISATION, use)
            store_single(whole, at + i, share)
            if n_number > EXTENDED_SIZE:
                size = larger(use, 0.0 - use)
                beyond = larger(size - NEAR_LIMIT_FROM, 0.0) * (1.0 / (1.0 - NEAR_LIMIT_FROM))
                store_single(rows, out + NEAR_LIMIT, select(use, beyond, 0.0 - beyond))
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
            store_single(whole, at + k, load(seen, view.renewable + k) * view.per_renewable_mw[k])
        at += n_renewable
        for k in range(n_largest):
            load_share = load(seen, view.load + plants.largest[k]) * view.per_largest_mw[k]
            store_single(whole, at + k, load_share)
        at += n_largest
        for k in range(6):
            store_single(whole, at + k, load(seen, view.feature + k))
        store_single(whole, at + 6, soc_sum * (2.0 / max(n_bess, 1)) - 1.0)
        store_single(whole, at + 7, load(seen, view.elements_out) * (1.0 / ELEMENTS_OUT))
        write_columns(agents, first, rows, 0)
        write_columns(critic, first, whole, 0)
        if bus_df_hz.shape[0] > 0:
            for bus in range(n_bus):
                store(bus_hz, bus, load_single(whole, bus) * DF_HZ)
            write_columns(bus_df_hz, first, bus_hz, 0)
