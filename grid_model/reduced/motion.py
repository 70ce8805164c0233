"""Motion of the groups through a piece of a control interval, eight environments at once.

    M df/dt = A + agents + P_governor - D f - T (theta + K 2 pi f),      dtheta/dt = 2 pi f

by the leapfrog of `grid_model.kernels.group_swing`, with the governors of `grid_model.dynamics.governor`: every machine
has a dead band and limits of its own, valve and reheater are those of its group. A and the loads' damping D come from
`control.task.reduced_episode`, the agents' outputs follow their set-points with their lags, exactly. What is left out
beside the full model is the renewal of T at power flows.

A block is eight environments, and `Sizes` says how many rows a block has of each array [row, 8]. `begin_piece` brings
all that the steps need of a block into a part of a scratch that stays in the processor's first cache, `move_groups`
takes the steps, and `end_piece` writes down where they led. Each step has to wait for the one before, so two blocks go
through their steps in turn. No operation depends on how many do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import any_above, fma, fnma, larger, load, select, smaller, spread, store

__all__ = [
    "N_PART",
    "Constants",
    "GroupMotion",
    "Record",
    "Sizes",
    "begin_piece",
    "begin_record",
    "end_piece",
    "move_groups",
    "scratch_rows",
]

N_PART = 2  # blocks that go through their steps in turn
NARROW_HZ, WIDE_HZ = 0.036, 0.2

# What the scratch has a row of for each group and part.
(
    DF,
    THETA,
    VALVE,
    REHEAT,
    POWER,  # all that drives the group besides its ties
    PULL,  # angle that ties feel
    BAND,  # from nominal frequency to the edge of the governors' dead band
    MOST,  # that valves move in a step
    LINE,  # straight part of what drives the group, at the middle of the step
    SLOPE,  # and its growth in a step
    DAMPING,
    CURTAIL,  # of renewables per Hz
    PER_MW,  # growth of the frequency in a step
    SHARE,  # of the inertia of all groups
    END_MW,  # A at the end of the piece
) = range(15)
N_QUANTITY = 15
# For each machine and part.
MINUS_GAIN, MINUS_DOWN, UP = range(3)
N_LIMIT = 3
# For each part.
LOWEST, HIGHEST, NARROW, WIDE = range(4)
N_RECORD = 4


class Sizes(NamedTuple):
    """How many there are of each."""

    n_group: int
    n_machine: int
    n_plant: int
    n_bus: int
    n_lag: int

    @property
    def state(self) -> int:
        """Rows of a block's state: df, theta, valve, reheat, A now, and what loads draw more by plants, at the last
        two ends, each [group]."""
        return 7 * self.n_group

    @property
    def segment(self) -> int:
        """Rows of what holds between switchings, see `control.task.reduced_store`."""
        g = self.n_group
        return 2 * g + 2 * g * g + self.n_machine + (2 * self.n_plant + self.n_bus) * g

    @property
    def given(self) -> int:
        """Rows of what holds in an interval: D and what is curtailed per Hz, [group], rooms of governors up and down,
        [machine]."""
        return 2 * self.n_group + 2 * self.n_machine


class Constants(NamedTuple):
    """The same in all environments."""

    first_machine: IntArray  # of each group, machines being sorted by group, [group + 1]
    lag_s: FloatArray  # of the plants, [lag]
    lag_decay: FloatArray  # of each over a step, exp(-dt/T), [lag]
    half_decay: FloatArray  # over half a step, [lag]
    lag_kind: IntArray  # which of them is each plant's, [plant]
    interval_s: float
    dt_s: float
    valve_decay: float  # over a step
    reheat_decay: float
    high_pressure_fraction: float
    tie_damping_s: float
    curtail_from_hz: float
    n_step: int  # of an interval


class Record(NamedTuple):
    """What an interval came to, rows of a block [row, 8]."""

    square_hz2: FloatArray  # sum over buses of the mean of df^2, one row a block
    narrow: FloatArray  # share of steps with the centre of inertia within NARROW_HZ
    wide: FloatArray
    lowest_hz: FloatArray  # of any group
    highest_hz: FloatArray


class GroupMotion(NamedTuple):
    """All that moves groups."""

    sizes: Sizes
    constants: Constants
    state: FloatArray  # of all blocks
    segment: FloatArray  # likewise
    dead_band_hz: FloatArray  # of the governors, a row a block
    record: Record
    given: FloatArray  # of the block that a piece begins of, see `Sizes.given`
    end_mw: FloatArray  # A at its end, [group, 8]
    set_point: (
        FloatArray  # set-point and output at the interval's beginning, set-point at its end, each [plant, 8]
    )
    scratch: FloatArray  # `scratch_rows` of them


def scratch_rows(sizes: Sizes) -> int:
    """Rows of the scratch: quantities of groups, of machines, of parts, then moments, ties and gaps of plants."""
    g = sizes.n_group
    n_row = N_QUANTITY * g + N_LIMIT * sizes.n_machine + N_RECORD + 2 * g * g + sizes.n_lag * g
    return N_PART * n_row + sizes.n_lag


@compiled
def begin_record(motion: GroupMotion, block: int) -> None:
    """Nothing recorded; extremes are where the interval begins."""
    state, record = motion.state, motion.record
    base = block * 7 * motion.sizes.n_group
    low = high = load(state, base)
    for g in range(1, motion.sizes.n_group):
        low, high = smaller(load(state, base + g), low), larger(load(state, base + g), high)
    store(record.square_hz2, block, 0.0)
    store(record.narrow, block, 0.0)
    store(record.wide, block, 0.0)
    store(record.lowest_hz, block, low)
    store(record.highest_hz, block, high)


@compiled
def begin_piece(motion: GroupMotion, block: int, part: int, step_a: int, step_b: int) -> None:
    """Write down what a block needs in its steps through a piece of an interval.

    Args:
        motion: of it the scratch is changed.
        block: which one.
        part: of the scratch, which this block has until `end_piece`.
        step_a: at which the piece begins.
        step_b: at which it ends.
    """
    sizes, constants, state, segment = motion.sizes, motion.constants, motion.state, motion.segment
    given, end_mw, set_point, scratch = motion.given, motion.end_mw, motion.set_point, motion.scratch
    n_group, n_machine, n_plant, n_lag = sizes.n_group, sizes.n_machine, sizes.n_plant, sizes.n_lag
    df = block * 7 * n_group
    inertia = block * (segment.shape[0] // motion.dead_band_hz.shape[0])
    rate, tie = inertia + n_group, inertia + 2 * n_group
    gain = tie + 2 * n_group * n_group
    share = gain + n_machine
    limits = N_PART * N_QUANTITY * n_group
    recorded = limits + N_PART * N_LIMIT * n_machine
    moment = recorded + N_PART * N_RECORD
    springs = moment + N_PART * n_group * n_group
    gap = springs + N_PART * n_group * n_group
    left = gap + N_PART * n_lag * n_group
    dt, h_s = constants.dt_s, constants.interval_s
    t_a, t_b = step_a * dt, step_b * dt

    # What drives the groups: A along a straight line, and the plants as straight lines and gaps that close.
    total = spread(0.0)
    for g in range(n_group):
        own = (g * N_PART + part) * N_QUANTITY
        drawn = load(state, df + 6 * n_group + g)
        store(scratch, own + LINE, load(state, df + 4 * n_group + g) - drawn)
        store(scratch, own + SLOPE, load(end_mw, g) - drawn)
        store(scratch, own + END_MW, load(end_mw, g))
        for k in range(n_lag):
            store(scratch, gap + (k * n_group + g) * N_PART + part, 0.0)
        total = total + load(segment, inertia + g)
    for k in range(n_lag):
        store(scratch, left + k, 1.0 if step_a == 0 else np.exp(-t_a / constants.lag_s[k]))
    for i in range(n_plant):
        k = constants.lag_kind[i]
        lag_s = constants.lag_s[k]
        u0, x0, u1 = (
            load(set_point, i),
            load(set_point, n_plant + i),
            load(set_point, 2 * n_plant + i),
        )
        rise = (u1 - u0) * (1.0 / h_s)
        straight = u0 - rise * lag_s
        open_mw = (x0 - straight) * load(scratch, left + k)
        begin, finish = straight + rise * t_a, straight + rise * t_b
        for g in range(n_group):
            own, at = (g * N_PART + part) * N_QUANTITY, gap + (k * n_group + g) * N_PART + part
            met = load(segment, share + i * n_group + g)
            store(scratch, own + LINE, fma(begin, met, load(scratch, own + LINE)))
            store(scratch, own + SLOPE, fma(finish, met, load(scratch, own + SLOPE)))
            store(scratch, at, fma(open_mw, met, load(scratch, at)))
    for g in range(n_group):
        own = (g * N_PART + part) * N_QUANTITY
        m, d = load(segment, inertia + g), load(given, g)
        begin = load(scratch, own + LINE)
        slope = (load(scratch, own + SLOPE) - begin) * (1.0 / (step_b - step_a))
        store(scratch, own + DF, load(state, df + g))
        store(scratch, own + THETA, load(state, df + n_group + g))
        store(scratch, own + VALVE, load(state, df + 2 * n_group + g))
        store(scratch, own + REHEAT, load(state, df + 3 * n_group + g))
        store(scratch, own + BAND, load(motion.dead_band_hz, block))
        store(scratch, own + MOST, load(segment, rate + g) * dt)
        store(scratch, own + LINE, begin + slope * 0.5)
        store(scratch, own + SLOPE, slope)
        store(scratch, own + DAMPING, d)
        store(scratch, own + CURTAIL, load(given, n_group + g))
        store(scratch, own + PER_MW, dt / (m + d * (0.5 * dt)))
        store(scratch, own + SHARE, m / total)
        for j in range(n_group):
            at = (g * n_group + j) * N_PART + part
            store(scratch, moment + at, 0.0)
            store(scratch, springs + at, load(segment, tie + g * n_group + j))
    for i in range(n_machine):
        own = limits + (i * N_PART + part) * N_LIMIT
        store(scratch, own + MINUS_GAIN, load(segment, gain + i) * -1.0)
        store(scratch, own + MINUS_DOWN, load(given, 2 * n_group + n_machine + i) * -1.0)
        store(scratch, own + UP, load(given, 2 * n_group + i))
    own = recorded + part * N_RECORD
    store(scratch, own + LOWEST, load(motion.record.lowest_hz, block))
    store(scratch, own + HIGHEST, load(motion.record.highest_hz, block))
    store(scratch, own + NARROW, 0.0)
    store(scratch, own + WIDE, 0.0)


@compiled
def move_groups(motion: GroupMotion, first: int, last: int, n_step: int) -> None:
    """Move the blocks in some parts of the scratch on by n_step steps, in turn.

    Args:
        motion: of it the scratch is changed.
        first: part.
        last: behind the last one.
        n_step: how many steps.
    """
    sizes, constants, scratch = motion.sizes, motion.constants, motion.scratch
    n_group, n_machine, n_lag = sizes.n_group, sizes.n_machine, sizes.n_lag
    limits = N_PART * N_QUANTITY * n_group
    recorded = limits + N_PART * N_LIMIT * n_machine
    moment = recorded + N_PART * N_RECORD
    springs = moment + N_PART * n_group * n_group
    gap = springs + N_PART * n_group * n_group
    valve_moves, reheat_decay = 1.0 - constants.valve_decay, constants.reheat_decay
    half_reheat = 0.5 * (1.0 - reheat_decay)
    f_high, curtail_from_hz = constants.high_pressure_fraction, constants.curtail_from_hz
    turn, lead = np.pi * constants.dt_s, 2.0 * np.pi * constants.tie_damping_s
    for _ in range(n_step):
        for g in range(n_group):
            for part in range(first, last):
                own = (g * N_PART + part) * N_QUANTITY
                f, dead_hz = load(scratch, own + DF), load(scratch, own + BAND)
                beyond = larger(f - dead_hz, 0.0) + smaller(f + dead_hz, 0.0)
                target = spread(0.0)
                if any_above(beyond * beyond, 0.0):
                    for i in range(constants.first_machine[g], constants.first_machine[g + 1]):
                        at = limits + (i * N_PART + part) * N_LIMIT
                        asked = load(scratch, at + MINUS_GAIN) * beyond
                        asked = larger(asked, load(scratch, at + MINUS_DOWN))
                        target = target + smaller(asked, load(scratch, at + UP))
                before, limit = load(scratch, own + VALVE), load(scratch, own + MOST)
                move = (target - before) * valve_moves
                after = before + smaller(larger(move, 0.0 - limit), limit)
                x = load(scratch, own + REHEAT) * reheat_decay + (before + after) * half_reheat
                store(scratch, own + VALVE, after)
                store(scratch, own + REHEAT, x)
                p = load(scratch, own + LINE)
                store(scratch, own + LINE, p + load(scratch, own + SLOPE))
                p = p + after * f_high + x * (1.0 - f_high)
                p = fnma(load(scratch, own + DAMPING), f, p)
                p = fnma(load(scratch, own + CURTAIL), larger(f - curtail_from_hz, 0.0), p)
                for k in range(n_lag):
                    at = gap + (k * n_group + g) * N_PART + part
                    open_mw = load(scratch, at)
                    p = p + open_mw * constants.half_decay[k]
                    store(scratch, at, open_mw * constants.lag_decay[k])
                store(scratch, own + POWER, p)
                angle = load(scratch, own + THETA) + f * turn
                store(scratch, own + THETA, angle)
                store(scratch, own + PULL, angle + f * lead)
        for part in range(first, last):
            kept = recorded + part * N_RECORD
            low, high = load(scratch, kept + LOWEST), load(scratch, kept + HIGHEST)
            centre = spread(0.0)
            for g in range(n_group):
                own = (g * N_PART + part) * N_QUANTITY
                p = load(scratch, own + POWER)
                if n_group > 1:
                    for j in range(n_group):
                        spring = load(scratch, springs + (g * n_group + j) * N_PART + part)
                        p = fnma(spring, load(scratch, (j * N_PART + part) * N_QUANTITY + PULL), p)
                f = fma(p, load(scratch, own + PER_MW), load(scratch, own + DF))
                store(scratch, own + DF, f)
                store(scratch, own + THETA, load(scratch, own + THETA) + f * turn)
                low, high = smaller(f, low), larger(f, high)
                centre = fma(load(scratch, own + SHARE), f, centre)
                for j in range(g + 1):
                    at = moment + (g * n_group + j) * N_PART + part
                    other = load(scratch, (j * N_PART + part) * N_QUANTITY + DF)
                    store(scratch, at, fma(f, other, load(scratch, at)))
            size = larger(centre, 0.0 - centre)
            store(scratch, kept + LOWEST, low)
            store(scratch, kept + HIGHEST, high)
            beyond = select(size - NARROW_HZ, spread(0.0), spread(1.0))
            store(scratch, kept + NARROW, load(scratch, kept + NARROW) + beyond)
            beyond = select(size - WIDE_HZ, spread(0.0), spread(1.0))
            store(scratch, kept + WIDE, load(scratch, kept + WIDE) + beyond)


@compiled
def end_piece(motion: GroupMotion, block: int, part: int) -> None:
    """Write down where the steps of a piece have led a block, in state and record; arguments as of `begin_piece`."""
    sizes, state, segment = motion.sizes, motion.state, motion.segment
    record, scratch = motion.record, motion.scratch
    n_group = sizes.n_group
    df = block * 7 * n_group
    gram = block * (segment.shape[0] // motion.dead_band_hz.shape[0]) + 2 * n_group + n_group * n_group
    recorded = N_PART * (N_QUANTITY * n_group + N_LIMIT * sizes.n_machine)
    moment = recorded + N_PART * N_RECORD
    square = load(record.square_hz2, block)
    weight = 1.0 / motion.constants.n_step
    for g in range(n_group):
        own = (g * N_PART + part) * N_QUANTITY
        for j in range(g + 1):
            # The Gram matrix is symmetric; the lower triangle counts twice off the diagonal.
            twice = weight if j == g else 2.0 * weight
            at = g * n_group + j
            square = square + load(segment, gram + at) * load(scratch, moment + at * N_PART + part) * twice
        store(state, df + g, load(scratch, own + DF))
        store(state, df + n_group + g, load(scratch, own + THETA))
        store(state, df + 2 * n_group + g, load(scratch, own + VALVE))
        store(state, df + 3 * n_group + g, load(scratch, own + REHEAT))
        store(state, df + 4 * n_group + g, load(scratch, own + END_MW))
    kept = recorded + part * N_RECORD
    store(record.square_hz2, block, square)
    narrow, wide = load(scratch, kept + NARROW), load(scratch, kept + WIDE)
    store(record.narrow, block, load(record.narrow, block) + narrow * weight)
    store(record.wide, block, load(record.wide, block) + wide * weight)
    store(record.lowest_hz, block, load(scratch, kept + LOWEST))
    store(record.highest_hz, block, load(scratch, kept + HIGHEST))
