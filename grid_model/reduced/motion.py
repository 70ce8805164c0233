"""Motion of the groups through a piece of a control interval, eight environments at once.

    M df/dt = A + agents + P_governor - D f - T (theta + K 2 pi f),      dtheta/dt = 2 pi f

by the leapfrog of `grid_model.kernels.group_swing`, with the governors of `grid_model.dynamics.governor`: every machine
has a dead band and limits of its own, valve and reheater are those of its group. A and the loads' damping D come from
`control.task.reduced_episode`, the agents' outputs follow their set-points with their lags, exactly. What is left out
beside the full model is the renewal of T at power flows.

A block is eight environments. Rows of a block's arrays [row, 8] are counted from `base`, in the order of the tuples
below; `Sizes` says how many there are of each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import any_above, fma, fnma, larger, load, select, smaller, spread, store

__all__ = ["Constants", "Groups", "Piece", "PieceDrive", "Record", "Sizes", "begin_record", "move_groups"]

NARROW_HZ, WIDE_HZ = 0.036, 0.2


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
        """Rows of what holds between switchings, see `control.task.reduced_loop`."""
        g = self.n_group
        return 2 * g + 2 * g * g + self.n_machine + (2 * self.n_plant + self.n_bus) * g


class Constants(NamedTuple):
    """The same in all environments."""

    first_machine: IntArray  # of each group, machines being sorted by group, [group + 1]
    lag_s: FloatArray  # of the plants, [lag]
    lag_decay: FloatArray  # of each over a step, exp(-dt/T), [lag]
    half_decay: FloatArray  # over half a step, [lag]
    lag_kind: IntArray  # which of them is each plant's, [plant]
    interval_s: float
    dt_s: float
    t_valve_s: float
    t_reheat_s: float
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


@compiled
def begin_record(sizes: Sizes, block: int, state: FloatArray, record: Record) -> None:
    """Nothing recorded; extremes are where the interval begins."""
    base = block * 7 * sizes.n_group
    low = high = load(state, base)
    for g in range(1, sizes.n_group):
        low, high = smaller(load(state, base + g), low), larger(load(state, base + g), high)
    store(record.square_hz2, block, 0.0)
    store(record.narrow, block, 0.0)
    store(record.wide, block, 0.0)
    store(record.lowest_hz, block, low)
    store(record.highest_hz, block, high)


class Piece(NamedTuple):
    """A part of an interval of one block."""

    block: int
    step_a: int  # at which it begins
    step_b: int  # at which it ends


class Groups(NamedTuple):
    """States of all blocks, and what holds for them."""

    state: FloatArray
    segment: FloatArray
    dead_band_hz: FloatArray  # of the governors, a row a block


class PieceDrive(NamedTuple):
    """What drives one block through a piece of an interval, [row, 8]."""

    given: FloatArray  # D, curtailed per Hz, rooms of governors up and down
    end_mw: FloatArray  # A at the piece's end, [group, 8]
    set_point: (
        FloatArray  # set-point and output at the interval's beginning, set-point at its end, each [plant, 8]
    )
    work: FloatArray  # scratch: 7 group + lag group + group^2 rows


@compiled
def move_groups(
    sizes: Sizes, constants: Constants, piece: Piece, groups: Groups, drive: PieceDrive, record: Record
) -> None:
    """Move one block through a piece of an interval.

    Args:
        sizes: of the grid.
        constants: the same everywhere.
        piece: which block, from which step to which.
        groups: their state is changed.
        drive: what acts.
        record: added to.
    """
    block, step_a, step_b = piece.block, piece.step_a, piece.step_b
    state, segment, dead_band_hz = groups.state, groups.segment, groups.dead_band_hz
    given, end_mw, set_point, work = drive.given, drive.end_mw, drive.set_point, drive.work
    n_group, n_machine, n_plant, n_lag = sizes.n_group, sizes.n_machine, sizes.n_plant, sizes.n_lag
    df = block * 7 * n_group
    theta, valve, reheat, now = df + n_group, df + 2 * n_group, df + 3 * n_group, df + 4 * n_group
    inertia = block * (
        2 * n_group + 2 * n_group * n_group + n_machine + (2 * n_plant + sizes.n_bus) * n_group
    )
    rate = inertia + n_group
    tie = rate + n_group
    gram = tie + n_group * n_group
    gain = gram + n_group * n_group
    share = gain + n_machine
    damping, curtail = 0, n_group
    up, down = 2 * n_group, 2 * n_group + n_machine
    line, slope, power, pull, per_mw, most = 0, n_group, 2 * n_group, 3 * n_group, 4 * n_group, 5 * n_group
    gap = 6 * n_group
    moment = gap + n_lag * n_group
    coi = moment + n_group * n_group
    dt, n = constants.dt_s, step_b - step_a
    h_s, t_a, t_b = constants.interval_s, step_a * constants.dt_s, step_b * constants.dt_s

    # What drives the groups: A along a straight line, and the plants as straight lines and gaps that close.
    for g in range(n_group):
        drawn = load(state, now + 2 * n_group + g)
        start, end = load(state, now + g) - drawn, load(end_mw, g) - drawn
        store(work, line + g, start)
        store(work, slope + g, end)
        for k in range(n_lag):
            store(work, gap + k * n_group + g, 0.0)
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
        open_mw = (x0 - straight) * np.exp(-t_a / lag_s)
        begin, finish = straight + rise * t_a, straight + rise * t_b
        for g in range(n_group):
            part = load(segment, share + i * n_group + g)
            store(work, line + g, fma(begin, part, load(work, line + g)))
            store(work, slope + g, fma(finish, part, load(work, slope + g)))
            at = gap + k * n_group + g
            store(work, at, fma(open_mw, part, load(work, at)))
    total = spread(0.0)
    for g in range(n_group):
        m = load(segment, inertia + g)
        total = total + m
        store(work, per_mw + g, dt / (m + load(given, damping + g) * (0.5 * dt)))
        store(work, most + g, load(segment, rate + g) * dt)
        begin = load(work, line + g)
        store(work, slope + g, (load(work, slope + g) - begin) * (1.0 / n))
        store(work, line + g, begin + load(work, slope + g) * 0.5)
        for j in range(n_group):
            store(work, moment + g * n_group + j, 0.0)
    for g in range(n_group):
        store(work, coi + g, load(segment, inertia + g) / total)

    decay_valve, decay_reheat = np.exp(-dt / constants.t_valve_s), np.exp(-dt / constants.t_reheat_s)
    half_reheat = 0.5 * (1.0 - decay_reheat)
    f_high = constants.high_pressure_fraction
    turn, lead = np.pi * dt, 2.0 * np.pi * constants.tie_damping_s
    dead_hz = load(dead_band_hz, block)
    low, high = load(record.lowest_hz, block), load(record.highest_hz, block)
    narrow, wide = spread(0.0), spread(0.0)
    one = spread(1.0)
    for _ in range(n):
        for g in range(n_group):
            f = load(state, df + g)
            beyond = larger(f - dead_hz, 0.0) + smaller(f + dead_hz, 0.0)
            target = spread(0.0)
            if any_above(beyond * beyond, 0.0):
                for i in range(constants.first_machine[g], constants.first_machine[g + 1]):
                    asked = 0.0 - load(segment, gain + i) * beyond
                    asked = larger(asked, 0.0 - load(given, down + i))
                    target = target + smaller(asked, load(given, up + i))
            before, limit = load(state, valve + g), load(work, most + g)
            move = (target - before) * (1.0 - decay_valve)
            after = before + smaller(larger(move, 0.0 - limit), limit)
            x = load(state, reheat + g) * decay_reheat + (before + after) * half_reheat
            store(state, valve + g, after)
            store(state, reheat + g, x)
            p = load(work, line + g)
            store(work, line + g, p + load(work, slope + g))
            p = p + after * f_high + x * (1.0 - f_high)
            p = fnma(load(given, damping + g), f, p)
            p = fnma(load(given, curtail + g), larger(f - constants.curtail_from_hz, 0.0), p)
            for k in range(n_lag):
                at = gap + k * n_group + g
                open_mw = load(work, at)
                p = p + open_mw * constants.half_decay[k]
                store(work, at, open_mw * constants.lag_decay[k])
            store(work, power + g, p)
            angle = load(state, theta + g) + f * turn
            store(state, theta + g, angle)
            store(work, pull + g, angle + f * lead)
        centre = spread(0.0)
        for g in range(n_group):
            p = load(work, power + g)
            if n_group > 1:
                for j in range(n_group):
                    p = fnma(load(segment, tie + g * n_group + j), load(work, pull + j), p)
            f = fma(p, load(work, per_mw + g), load(state, df + g))
            store(state, df + g, f)
            store(state, theta + g, load(state, theta + g) + f * turn)
            low, high = smaller(f, low), larger(f, high)
            centre = fma(load(work, coi + g), f, centre)
            for j in range(g + 1):
                at = moment + g * n_group + j
                store(work, at, fma(f, load(state, df + j), load(work, at)))
        size = larger(centre, 0.0 - centre)
        narrow = narrow + select(size - NARROW_HZ, spread(0.0), one)
        wide = wide + select(size - WIDE_HZ, spread(0.0), one)
    square = load(record.square_hz2, block)
    weight = 1.0 / constants.n_step
    for g in range(n_group):
        for j in range(g + 1):
            # The Gram matrix is symmetric; the lower triangle counts twice off the diagonal.
            twice = weight if j == g else 2.0 * weight
            product = load(segment, gram + g * n_group + j) * load(work, moment + g * n_group + j)
            square = square + product * twice
        store(state, now + g, load(end_mw, g))
    store(record.square_hz2, block, square)
    store(record.narrow, block, load(record.narrow, block) + narrow * weight)
    store(record.wide, block, load(record.wide, block) + wide * weight)
    store(record.lowest_hz, block, low)
    store(record.highest_hz, block, high)
