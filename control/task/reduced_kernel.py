"""One control interval of the reduced model for a whole batch, block by block of eight environments.

Plants move within their limits, the groups move through the interval in pieces between switchings, and what came of it
is written down. Environments beyond the batch in the last block have masses and nothing that drives them; nobody looks
at them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from control.plants.fleet_lanes import PlantRows, advance_block
from control.plants.fleet_state import BESS, PlantParameters
from control.telemetry.scada import MAX_DELAY_INTERVALS
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, fma, load, select, spread, store
from grid_model.reduced.lanes import gather_columns, rows_of_lanes, write_columns
from grid_model.reduced.motion import (
    N_PART,
    GroupMotion,
    Sizes,
    begin_piece,
    begin_record,
    end_piece,
    move_groups,
)

__all__ = [
    "N_SLOT",
    "JudgedBy",
    "Outcome",
    "ReducedArrays",
    "ReducedState",
    "Scratch",
    "Stored",
    "advance_interval",
    "own_frequency",
    "scratch_of",
    "take_segment",
]

N_SLOT = MAX_DELAY_INTERVALS + 1  # intervals whose frequencies are on their way to the control centre


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
    sent_hz: FloatArray  # groups and their centre of inertia at the last intervals, [slot x block x (group + 1), 8]


class Scratch(NamedTuple):
    """Of one block, [row, 8], unless said otherwise."""

    rebound_mw: FloatArray  # as in Outcome, [plant, 8]
    utilisation: FloatArray  # likewise
    centre_hz: FloatArray  # of inertia, [1, 8]
    target_mw: FloatArray  # A at the interval's end, [group, 8], and then some
    before_at: IntArray  # where the rows at the interval's beginning lie, [lane]
    last: IntArray  # step at which a lane's present line ends, [lane]
    switching: BoolArray  # whether it ends with a switching, [lane]
    waiting: IntArray  # blocks that have begun a piece, [part]


class JudgedBy(NamedTuple):
    """Deviations of frequency [Hz] that are a violation, and that lose the grid; see `FrequencyLimits`."""

    violation_hz: float
    lost_hz: float


class ReducedArrays(NamedTuple):
    """All that the compiled functions know."""

    motion: GroupMotion
    plants: PlantParameters
    plant_decay: FloatArray  # exp(-h/T), [resource]
    plant_rows: PlantRows
    limits: JudgedBy
    load_fade: float  # what loads remember of a voltage after an interval
    stored: Stored
    state: ReducedState
    scratch: Scratch


class Outcome(NamedTuple):
    """What an interval came to, to be filled: for the plants, rows for whole blocks, [env, resource], and [env]."""

    change_mw: FloatArray  # of the commands
    rebound_mw: FloatArray  # by which rebound moved the set-points besides
    output_mw: FloatArray
    utilisation: FloatArray  # state of charge, or share of the range in use
    sum_bus_square_hz2: FloatArray  # as the following of `LimitCheck`
    max_abs_df_hz: FloatArray
    within_36_mhz: FloatArray
    within_200_mhz: FloatArray
    violations: IntArray
    frequency_violation: BoolArray
    grid_lost: BoolArray


def scratch_of(sizes: Sizes) -> Scratch:
    """For any block."""
    return Scratch(
        rebound_mw=rows_of_lanes(sizes.n_plant),
        utilisation=rows_of_lanes(sizes.n_plant),
        centre_hz=rows_of_lanes(1),
        target_mw=rows_of_lanes(sizes.n_group + N_LANE),
        before_at=np.zeros(N_LANE, dtype=np.int64),
        last=np.zeros(N_LANE, dtype=np.int64),
        switching=np.zeros(N_LANE, dtype=np.bool_),
        waiting=np.zeros(N_PART, dtype=np.int64),
    )


@compiled
def take_segment(arrays: ReducedArrays, env: int, which: int) -> None:
    """From now on this segment of its episode holds in an environment."""
    n_group, stored, state = arrays.motion.sizes.n_group, arrays.stored, arrays.state
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
    motion, state, scratch = arrays.motion, arrays.state, arrays.scratch
    n_group, n_step = motion.sizes.n_group, motion.constants.n_step
    n_block, waiting = motion.dead_band_hz.shape[0], 0
    for block in range(n_block):
        _move_plants(arrays, block, action, outcome)
        begin_record(motion, block)
        # Blocks without a switching go through the interval in twos.
        if _find_line_ends(arrays, block, 0):
            _move_between_switchings(arrays, block, waiting)
            _draw_by_voltage(arrays, block)
            _send(arrays, block)
        else:
            now = block * 7 * n_group + 4 * n_group
            for g in range(n_group):
                start = load(state.groups, now + g)
                rise = load(scratch.target_mw, g) - start
                store(motion.end_mw, g, start + rise * float(n_step) / float(n_step))
            begin_piece(motion, block, waiting, 0, n_step)
            _draw_by_voltage(arrays, block)
            scratch.waiting[waiting] = block
            waiting += 1
        if waiting == N_PART or (block == n_block - 1 and waiting > 0):
            move_groups(motion, 0, waiting, n_step)
            for part in range(waiting):
                end_piece(motion, scratch.waiting[part], part)
                _send(arrays, scratch.waiting[part])
            waiting = 0
    _judge(arrays, outcome)


@compiled
def _move_plants(arrays: ReducedArrays, block: int, action: FloatArray, outcome: Outcome) -> None:
    """Plants of a block move, and what the coming interval holds for its groups is looked up."""
    motion, stored, state, scratch = arrays.motion, arrays.stored, arrays.state, arrays.scratch
    plants, set_point = arrays.plants, motion.set_point
    n_group, n_plant = motion.sizes.n_group, motion.sizes.n_plant
    n_given, n_column = 2 * n_group + 2 * motion.sizes.n_machine, stored.n_column
    first, base = block * N_LANE, block * n_plant
    here = min(action.shape[0] - first, N_LANE)
    for lane in range(here):
        e = first + lane
        state.interval[e] += 1
        scratch.before_at[lane] = (stored.slot[e] * stored.n_time + state.interval[e] - 1) * n_column
        for i in range(n_plant):
            arrays.plant_rows.action[i, lane] = action[e, i]
    for column in range(0, n_given, N_LANE):
        gather_columns(stored.rows, scratch.before_at, column, motion.given, column)
    for g in range(0, n_group, N_LANE):
        gather_columns(stored.rows, scratch.before_at, n_column + n_given + g, scratch.target_mw, g)
    for lane in range(here, N_LANE):
        for g in range(n_group):
            scratch.target_mw[g, lane] = 0.0
    for i in range(n_plant):
        store(set_point, i, load(state.set_point_mw, base + i))
        store(set_point, n_plant + i, load(state.output_mw, base + i))
    advance_block(base, plants, arrays.plant_decay, arrays.plant_rows)
    for i in range(n_plant):
        u1, x = load(state.set_point_mw, base + i), load(state.output_mw, base + i)
        store(set_point, 2 * n_plant + i, u1)
        store(scratch.rebound_mw, i, (u1 - load(set_point, i)) - load(arrays.plant_rows.change_mw, i))
        if plants.kind[i] == BESS:
            use = load(state.energy_mwh, base + i) / plants.capacity_mwh[i]
        else:
            reach_mw = select(x, spread(plants.high_mw[i]), spread(-plants.low_mw[i]))
            use = select(reach_mw, x / reach_mw, spread(0.0))
        store(scratch.utilisation, i, use)
    write_columns(outcome.change_mw, first, arrays.plant_rows.change_mw, 0)
    write_columns(outcome.rebound_mw, first, scratch.rebound_mw, 0)
    write_columns(outcome.output_mw, first, state.output_mw, base)
    write_columns(outcome.utilisation, first, scratch.utilisation, 0)


@compiled
def _move_between_switchings(arrays: ReducedArrays, block: int, part: int) -> None:
    """A block with switchings goes through the interval piece by piece, in a part of the scratch that is free."""
    motion, state, stored, scratch = arrays.motion, arrays.state, arrays.stored, arrays.scratch
    n_group, n_step, first = motion.sizes.n_group, motion.constants.n_step, block * N_LANE
    last, switching = scratch.last, scratch.switching
    here = min(state.interval.size - first, N_LANE)
    step = 0
    while True:
        nearest = n_step
        for lane in range(here):
            nearest = min(nearest, last[lane])
        if nearest > step:
            for lane in range(here):
                e = first + lane
                for g in range(n_group):
                    target = scratch.target_mw[g, lane]
                    if switching[lane]:
                        target = stored.segments[stored.slot[e], state.segment_now[e] + 1, 2 + g]
                    now = state.groups[block * 7 * n_group + 4 * n_group + g, lane]
                    motion.end_mw[g, lane] = now + (target - now) * (nearest - step) / (last[lane] - step)
            begin_piece(motion, block, part, step, nearest)
            move_groups(motion, part, part + 1, nearest - step)
            end_piece(motion, block, part)
            step = nearest
        any_switching = False
        for lane in range(here):
            if switching[lane] and last[lane] == step:
                any_switching = True
                _switch(arrays, first + lane)
        if step == n_step and not any_switching:
            break
        _find_line_ends(arrays, block, step)


@compiled
def _draw_by_voltage(arrays: ReducedArrays, block: int) -> None:
    """What loads draw more of each group because plants have moved their voltage; they forget it as they recover."""
    sizes, state, set_point = arrays.motion.sizes, arrays.state, arrays.motion.set_point
    n_group, n_plant = sizes.n_group, sizes.n_plant
    at = block * 7 * n_group + 5 * n_group
    n_row = state.segment.shape[0] // state.dead_band_hz.shape[0]
    relief = block * n_row + 2 * n_group + 2 * n_group * n_group + sizes.n_machine + n_plant * n_group
    for g in range(n_group):
        more = load(state.groups, at + g)
        store(state.groups, at + n_group + g, more)
        for i in range(n_plant):
            change = load(state.output_mw, block * n_plant + i) - load(set_point, n_plant + i)
            more = fma(change, load(state.segment, relief + i * n_group + g), more)
        store(state.groups, at + g, more * arrays.load_fade)


@compiled
def _send(arrays: ReducedArrays, block: int) -> None:
    """Put the groups' frequencies, and that of their centre of inertia, on their way to the control centre."""
    n_group, state = arrays.motion.sizes.n_group, arrays.state
    n_block = state.dead_band_hz.shape[0]
    df, inertia = block * 7 * n_group, block * (state.segment.shape[0] // n_block)
    weighted, total = spread(0.0), spread(0.0)
    for g in range(n_group):
        m = load(state.segment, inertia + g)
        weighted = weighted + m * load(state.groups, df + g)
        total = total + m
    store(arrays.scratch.centre_hz, 0, weighted / total)
    for lane in range(min(state.interval.size - block * N_LANE, N_LANE)):
        slot = state.interval[block * N_LANE + lane] % N_SLOT
        at = (slot * n_block + block) * (n_group + 1)
        for g in range(n_group):
            state.sent_hz[at + g, lane] = state.groups[df + g, lane]
        state.sent_hz[at + n_group, lane] = arrays.scratch.centre_hz[0, lane]


@compiled
def _judge(arrays: ReducedArrays, outcome: Outcome) -> None:
    """Frequency against its limits; what is no number is beyond them."""
    record, limits = arrays.motion.record, arrays.limits
    for e in range(outcome.violations.size):
        block, lane = e // N_LANE, e % N_LANE
        largest_hz = np.maximum(-record.lowest_hz[block, lane], record.highest_hz[block, lane])
        beyond = not largest_hz <= limits.violation_hz
        outcome.sum_bus_square_hz2[e] = record.square_hz2[block, lane]
        outcome.max_abs_df_hz[e] = largest_hz
        outcome.within_36_mhz[e] = record.narrow[block, lane]
        outcome.within_200_mhz[e] = record.wide[block, lane]
        outcome.violations[e] = int(beyond)
        outcome.frequency_violation[e] = beyond
        outcome.grid_lost[e] = not largest_hz <= limits.lost_hz


@compiled
def own_frequency(arrays: ReducedArrays, bus: IntArray, own_hz: FloatArray) -> None:
    """Frequency deviation at some buses, [bus]: own_hz is filled, rows for whole blocks, [env, bus]."""
    sizes, state = arrays.motion.sizes, arrays.state
    n_group, n_block = sizes.n_group, state.dead_band_hz.shape[0]
    n_row, rows = state.segment.shape[0] // n_block, arrays.scratch.utilisation
    for block in range(n_block):
        df, weight = block * 7 * n_group, (block + 1) * n_row - sizes.n_bus * n_group
        for i in range(bus.size):
            f = spread(0.0)
            for g in range(n_group):
                part = load(state.segment, weight + bus[i] * n_group + g)
                f = f + part * load(state.groups, df + g)
            store(rows, i, f)
        write_columns(own_hz, block * N_LANE, rows, 0)


@compiled
def _find_line_ends(arrays: ReducedArrays, block: int, step: int) -> bool:
    """Where A's present line ends in the environments of a block, from a step on; whether any does by a switching."""
    stored, state, scratch = arrays.stored, arrays.state, arrays.scratch
    n_step, any_switching = arrays.motion.constants.n_step, False
    for lane in range(min(state.interval.size - block * N_LANE, N_LANE)):
        e = block * N_LANE + lane
        slot, following = stored.slot[e], state.segment_now[e] + 1
        scratch.last[lane], scratch.switching[lane] = n_step, False
        if following < stored.segments.shape[1] and stored.segments[slot, following, 0] == state.interval[e]:
            scratch.last[lane] = max(int(stored.segments[slot, following, 1]), step)
            scratch.switching[lane] = any_switching = True
    return any_switching


@compiled
def _switch(arrays: ReducedArrays, env: int) -> None:
    """The next segment of an environment begins: A jumps, and governors that leave take their part along."""
    n_group, stored, state = arrays.motion.sizes.n_group, arrays.stored, arrays.state
    slot, following = stored.slot[env], state.segment_now[env] + 1
    base, lane = env // N_LANE * 7 * n_group, env % N_LANE
    for g in range(n_group):
        keep = stored.segments[slot, following, 2 + 2 * n_group + g]
        state.groups[base + 2 * n_group + g, lane] *= keep
        state.groups[base + 3 * n_group + g, lane] *= keep
        state.groups[base + 4 * n_group + g, lane] = stored.segments[slot, following, 2 + n_group + g]
    take_segment(arrays, env, following)
