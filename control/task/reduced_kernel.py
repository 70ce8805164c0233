"""One control interval of the reduced model for a whole batch, block by block of eight environments.

Plants move within their limits, the groups move through the interval in pieces between switchings, and what came of it
is written down. Environments beyond the batch in the last block have masses and nothing else; nobody looks at them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from control.plants.fleet import PlantParameters
from control.plants.fleet_lanes import advance_block
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, fma, load, store
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

__all__ = ["NEVER", "ReducedArrays", "ReducedState", "Stored", "advance_interval", "take_segment"]

NEVER = 2**62  # an interval that does not come


class Stored(NamedTuple):
    """Episodes as the kernel reads them; `slot` is where an episode lies."""

    # A, D, curtailable power of each group, rooms up and down of each machine, then what is observed: loads, wind and
    # sun, schedule, forecast, hour, weekday, elements out, [slot, time, column].
    rows: npt.NDArray[np.float32]
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
def advance_interval(arrays: ReducedArrays, action: FloatArray, change_mw: FloatArray) -> None:
    """Every environment through one control interval.

    Args:
        arrays: of them state and record are changed.
        action: -1 to 1, [env, resource].
        change_mw: filled with the change of each plant's command [MW], [env, resource].
    """
    sizes, constants, stored, state = arrays.sizes, arrays.constants, arrays.stored, arrays.state
    n_group, n_plant, n_machine = sizes.n_group, sizes.n_plant, sizes.n_machine
    n_env, n_step = action.shape[0], constants.n_step
    n_given = 3 * n_group + 2 * n_machine
    asked, change = np.zeros((n_plant, N_LANE)), np.empty((n_plant, N_LANE))
    given, end_mw = np.zeros((n_given, N_LANE)), np.zeros((n_group, N_LANE))
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
            slot, at = stored.slot[e], state.interval[e]
            for k in range(n_group):
                given[k, lane] = stored.rows[slot, at, k]
            for k in range(n_group, n_given):
                given[k, lane] = stored.rows[slot, at - 1, k]
            for i in range(n_plant):
                asked[i, lane] = action[e, i]
        for i in range(n_plant):
            for lane in range(N_LANE):
                set_point[i, lane] = state.set_point_mw[base + i, lane]
                set_point[n_plant + i, lane] = state.output_mw[base + i, lane]
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
            for lane in range(N_LANE):
                set_point[2 * n_plant + i, lane] = state.set_point_mw[base + i, lane]
            for lane in range(here):
                change_mw[first + lane, i] = change[i, lane]
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
                        target = given[g, lane]
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
