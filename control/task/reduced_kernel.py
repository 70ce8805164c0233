"""One control interval of the reduced model for a whole batch, block by block of eight environments.

Plants move within their limits, the groups move through the interval in pieces between switchings, and what came of it
is written down. Environments beyond the batch in the last block have masses and nothing else; nobody looks at them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from control.plants.fleet_lanes import advance_block
from control.plants.fleet_state import BESS, PlantParameters
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, fma, load, store
from grid_model.reduced.lanes import gather_columns
from grid_model.reduced.motion import (
    Constants,
    Groups,
    Piece,
    PieceDrive,
    Record,
    Sizes,
    begin_record,
    move_groups,
)

__all__ = ["Outcome", "ReducedArrays", "ReducedState", "Stored", "advance_interval", "take_segment"]


class Stored(NamedTuple):
    """Episodes as the kernel reads them; `slot` is where an episode lies."""

    # At an interval's beginning D and what is curtailed per Hz of each group, rooms up and down of each machine; at its
    # end A of each group, and what is observed: see `reduced_store.Columns`. Flat: [slot x time x column].
    rows: npt.NDArray[np.float32]
    n_time: int
    n_column: int
    # Interval and step at which it begins, A before and after, share of governors kept, then `motion`'s rows of it,
    # [slot, segment, row].
    segments: FloatArray
    slot: IntArray  # of each environment, [env]


class ReducedState(NamedTuple):
    """What an environment remembers from interval to interval, [row, 8] by blocks, or [env]."""

    groups: FloatArray
    segment: FloatArray
    dead_band_hz: FloatArray
    command_mw: FloatArray
    set_point_mw: FloatArray
    output_mw: FloatArray
    energy_mwh: FloatArray
    interval: IntArray  # done, [env]
    segment_now: IntArray  # position of the present one, [env]


class ReducedArrays(NamedTuple):
    """All that the compiled functions know."""

    sizes: Sizes
    constants: Constants
    plants: PlantParameters
    plant_decay: FloatArray  # exp(-h/T), [resource]
    load_fade: float  # what loads remember of a voltage after an interval
    stored: Stored
    state: ReducedState
    record: Record


class Outcome(NamedTuple):
    """What an interval came to for the plants, to be filled, [env, resource]."""

    change_mw: FloatArray  # of the commands
    rebound_mw: FloatArray  # by which rebound moved the set-points besides
    output_mw: FloatArray
    utilisation: FloatArray  # state of charge, or share of the range in use


@compiled
def take_segment(arrays: ReducedArrays, env: int, which: int) -> None:
    """From now on this segment of its episode holds in an environment."""
    n_group, stored, state = arrays.sizes.n_group, arrays.stored, arrays.state
    first = 2 + 3 * n_group
    n_row = stored.segments.shape[2] - first
    base, lane, slot = env // N_LANE * n_row, env % N_LANE, stored.slot[env]
    for k in range(n_row):
        state.segment[base + k, lane] = stored.segments[slot, which, first + k]
    state.segment_now[env] = which


@compiled
def advance_interval(arrays: ReducedArrays, action: FloatArray, outcome: Outcome) -> None:
    """Every environment through one control interval.

    Args:
        arrays: of them state and record are changed.
        action: -1 to 1, [env, resource].
        outcome: filled in.
    """
    sizes, constants, stored, state = arrays.sizes, arrays.constants, arrays.stored, arrays.state
    n_group, n_plant, n_machine = sizes.n_group, sizes.n_plant, sizes.n_machine
    n_env, n_step = action.shape[0], constants.n_step
    n_given = 2 * n_group + 2 * n_machine
    n_time, n_column = stored.n_time, stored.n_column
    asked, change = np.zeros((n_plant, N_LANE)), np.empty((n_plant, N_LANE))
    given, end_mw = np.zeros((n_given + N_LANE, N_LANE)), np.zeros((n_group, N_LANE))
    interval_mw = np.zeros((n_group, N_LANE))  # A at the interval's end
    before_at = np.zeros(N_LANE, dtype=np.int64)
    plants = arrays.plants
    set_point = np.empty((3 * n_plant, N_LANE))
    work = np.empty((8 * n_group + sizes.n_lag * n_group + n_group * n_group, N_LANE))
    groups = Groups(state.groups, state.segment, state.dead_band_hz)
    drive = PieceDrive(given, end_mw, set_point, work)
    last = np.empty(N_LANE, dtype=np.int64)  # step at which a lane's present line ends
    switching = np.empty(N_LANE, dtype=np.bool_)  # whether it ends with a switching
    for block in range(record_blocks(arrays)):
        first, base = block * N_LANE, block * n_plant
        here = min(n_env - first, N_LANE)
        for lane in range(here):
            e = first + lane
            state.interval[e] += 1
            before_at[lane] = (stored.slot[e] * n_time + state.interval[e] - 1) * n_column
            for g in range(n_group):
                interval_mw[g, lane] = stored.rows[before_at[lane] + n_column + n_given + g]
            for i in range(n_plant):
                asked[i, lane] = action[e, i]
        for column in range(0, n_given, N_LANE):
            gather_columns(stored.rows, before_at, column, given, column)
        for i in range(n_plant):
            store(set_point, i, load(state.set_point_mw, base + i))
            store(set_point, n_plant + i, load(state.output_mw, base + i))
        advance_block(
            base,
            state.command_mw,
            state.set_point_mw,
            state.output_mw,
            state.energy_mwh,
            arrays.plants,
            arrays.plant_decay,
            asked,
            change,
        )
        for i in range(n_plant):
            store(set_point, 2 * n_plant + i, load(state.set_point_mw, base + i))
            for lane in range(here):
                e, x = first + lane, state.output_mw[base + i, lane]
                outcome.change_mw[e, i] = change[i, lane]
                moved_mw = set_point[2 * n_plant + i, lane] - set_point[i, lane]
                outcome.rebound_mw[e, i] = moved_mw - change[i, lane]
                outcome.output_mw[e, i] = x
                if plants.kind[i] == BESS:
                    outcome.utilisation[e, i] = state.energy_mwh[base + i, lane] / plants.capacity_mwh[i]
                else:
                    reach_mw = plants.high_mw[i] if x >= 0.0 else -plants.low_mw[i]
                    outcome.utilisation[e, i] = x / reach_mw if reach_mw > 0.0 else 0.0
        begin_record(sizes, block, state.groups, arrays.record)
        step = 0
        while True:
            nearest = n_step
            for lane in range(here):
                last[lane], switching[lane] = _line_end(arrays, first + lane, step)
                nearest = min(nearest, last[lane])
            if nearest > step:
                for lane in range(here):
                    e = first + lane
                    for g in range(n_group):
                        target = interval_mw[g, lane]
                        if switching[lane]:
                            target = stored.segments[stored.slot[e], state.segment_now[e] + 1, 2 + g]
                        now = state.groups[block * 7 * n_group + 4 * n_group + g, lane]
                        end_mw[g, lane] = now + (target - now) * (nearest - step) / (last[lane] - step)
                move_groups(sizes, constants, Piece(block, step, nearest), groups, drive, arrays.record)
                step = nearest
            any_switching = False
            for lane in range(here):
                if switching[lane] and last[lane] == step:
                    any_switching = True
                    _switch(arrays, first + lane)
            if step == n_step and not any_switching:
                break
        _draw_by_voltage(arrays, block, set_point)


@compiled
def _draw_by_voltage(arrays: ReducedArrays, block: int, set_point: FloatArray) -> None:
    """What loads draw more of each group because plants have moved their voltage; they forget it as they recover."""
    sizes, state = arrays.sizes, arrays.state
    n_group, n_plant = sizes.n_group, sizes.n_plant
    at = block * 7 * n_group + 5 * n_group
    n_row = state.segment.shape[0] // record_blocks(arrays)
    relief = block * n_row + 2 * n_group + 2 * n_group * n_group + sizes.n_machine + n_plant * n_group
    for g in range(n_group):
        more = load(state.groups, at + g)
        store(state.groups, at + n_group + g, more)
        for i in range(n_plant):
            change = load(state.output_mw, block * n_plant + i) - load(set_point, n_plant + i)
            more = fma(change, load(state.segment, relief + i * n_group + g), more)
        store(state.groups, at + g, more * arrays.load_fade)


@compiled
def record_blocks(arrays: ReducedArrays) -> int:
    """Number of blocks."""
    return int(arrays.record.square_hz2.shape[0])


@compiled
def _line_end(arrays: ReducedArrays, env: int, step: int) -> tuple[int, bool]:
    """Step at which A's present line ends in an environment, and whether by a switching."""
    stored, state, n_step = arrays.stored, arrays.state, arrays.constants.n_step
    following = state.segment_now[env] + 1
    if following < stored.segments.shape[1]:
        slot = stored.slot[env]
        if stored.segments[slot, following, 0] == state.interval[env]:
            return max(int(stored.segments[slot, following, 1]), step), True
    return n_step, False


@compiled
def _switch(arrays: ReducedArrays, env: int) -> None:
    """The next segment of an environment begins: A jumps, and governors that leave take their part along."""
    n_group, stored, state = arrays.sizes.n_group, arrays.stored, arrays.state
    slot, following = stored.slot[env], state.segment_now[env] + 1
    base, lane = env // N_LANE * 7 * n_group, env % N_LANE
    for g in range(n_group):
        keep = stored.segments[slot, following, 2 + 2 * n_group + g]
        state.groups[base + 2 * n_group + g, lane] *= keep
        state.groups[base + 3 * n_group + g, lane] *= keep
        state.groups[base + 4 * n_group + g, lane] = stored.segments[slot, following, 2 + n_group + g]
    take_segment(arrays, env, following)
