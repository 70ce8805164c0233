"""Fixed-step integrator of the swing equations, compiled.

Staggered leapfrog, second order, one evaluation a step. Frequency lives at whole steps; rotor angle, valve and
turbine live half a step later, so that every right-hand side is taken at the middle of the step it drives:

    valve     g(n+1/2) = e_v g(n-1/2) + (1 - e_v) u(f(n)),      e_v = exp(-h / T_valve)
    reheater  x(n+1/2) = e_r x(n-1/2) + (1 - e_r) [g(n-1/2) + g(n+1/2)] / 2
    angle     theta(n+1/2) = theta(n) + pi h f(n)
    frequency M/h (f(n+1) - f(n)) = p(n+1/2) - synchronising power(n+1/2) - damping(n+1/2)
    angle     theta(n+1) = theta(n+1/2) + pi h f(n+1)

Of areas and of the centre of inertia the synchronising power is linear, T theta, and load damping D and tie damping K
enter as the mean of both ends (Crank-Nicolson): [M/h + (D + K)/2] is inverted once a call.

Of single machines it is what the machines' internal voltages drive through the reduced network,

    P_i(theta) - P_i(0),     P_i(theta) = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)]

from the sines and cosines of the 16 angles by the addition theorem. Tie damping is the same power at angles that
lead by 2 pi K f, which to first order adds K dP_i/dt; the f of half a step ahead is extrapolated. Leapfrog makes a
swing of omega faster by (omega h)^2 / 24, which in a minute would shift the local modes of 1 to 2 Hz by half a radian.
Taking the power at angles advanced by h^2/12 times their acceleration cancels that term (M. Takahashi, M. Imada, J.
Phys. Soc. Japan 53, 1984); the acceleration is extrapolated from the last two steps.

Both are time-symmetric for the undamped swing, so that they neither damp nor feed an oscillation, and stable while
the fastest mode has omega h < 2 (0.02 s holds up to 15.9 Hz).

Eight environments go through all steps side by side (`lanes`), in an array that stays in the processor's first cache.
Each step has to wait for the one before, so a second eight goes through in between where there are as many. Nothing is
summed across environments and no operation is re-associated, so a result does not depend on the size of its batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, any_above, larger, load, smaller, spread, store
from grid_model.kernels.linear_algebra import add_product, invert, network_power
from grid_model.kernels.over_frequency import calm_below_threshold, curtail
from grid_model.kernels.storage_response import respond
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    Lanes,
    PrimaryControl,
    ReducedNetwork,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)
from grid_model.kernels.swing_rows import give, give_pairs, take, take_pairs, trace_groups, trace_turbines
from grid_model.kernels.unit_limits import calm_within_units, keep_within_units

__all__ = ["integrate_swing"]

N_GROUP_ROW = 26  # quantities of which a block has one row a group


class _Motion(NamedTuple):
    """All that `integrate_swing` is given of every level."""

    swing: SwingVariables
    drive: Drive
    parameters: SwingParameters
    synchronising_mw_per_rad: FloatArray
    constants: SwingConstants
    record: IntervalRecord


@compiled
def integrate_swing(
    n_steps: int,
    swing: SwingVariables,
    drive: Drive,
    parameters: SwingParameters,
    synchronising_mw_per_rad: FloatArray,
    reduced: ReducedNetwork | None,
    constants: SwingConstants,
    record: IntervalRecord,
    control: PrimaryControl | None = None,
) -> None:
    """Move the groups of every environment on by n_steps x dt_s; environments are the LAST axis here.

    Powers follow straight lines between their values at the two ends of the macro step. Resources follow their
    set-points with a first-order lag, advanced exactly for a straight-line set-point.

    Args (all arrays float64 and contiguous):
        n_steps: how many.
        swing: changed in place; `synchronising_mw` is filled with T theta, or with P(theta) - P(0), at the end of the
            macro step.
        drive: between its two ends; `lagged_mw` is changed in place.
        parameters: of the groups. One out of service needs an inertia above zero and no power; it then stays where it
            is.
        synchronising_mw_per_rad: T with the losses, d(power sent out by a)/d(angle of b), rows sum to zero,
            [group, group, n].
        reduced: C and S for the angles as they stand at the start of the macro step, where groups are single machines;
            then T is not read.
        constants: of the integration.
        record: moments are added to, extremes widened, traces filled from their first row on.
        control: what answers frequency besides governors as designed, changed in place.
    """
    n_group, n_env = swing.df_hz.shape
    n_part = 1 if n_env <= N_LANE else 2
    n_lag = drive.lagged_mw.shape[0]
    n_row = n_part * (N_GROUP_ROW * n_group + 4 * n_group * n_group + 3 * n_lag * n_group) + 2 * n_lag
    room = np.empty((n_row + 1) * N_LANE)
    aside = -(room.ctypes.data // room.itemsize) % N_LANE  # to where a row is one line of the cache
    block = room[aside : aside + n_row * N_LANE].reshape(n_row, N_LANE)
    motion = _Motion(swing, drive, parameters, synchronising_mw_per_rad, constants, record)
    for first in range(0, n_env, n_part * N_LANE):
        lanes = Lanes(first, min(n_part * N_LANE, n_env - first), n_part, n_group)
        _integrate_block(lanes, n_steps, block, motion, reduced, control)


@compiled
def _integrate_block(
    lanes: Lanes,
    n_steps: int,
    block: FloatArray,
    motion: _Motion,
    reduced: ReducedNetwork | None,
    control: PrimaryControl | None,
) -> None:
    """The same for the environments in one block; lanes without one hold a grid at rest.

    A quantity's rows of `block` begin at its number below: first those with a row a group and part, then those with a
    row a pair and part, then those by lags. Arguments otherwise as above.
    """
    swing, drive, parameters = motion.swing, motion.drive, motion.parameters
    constants, record = motion.constants, motion.record
    n_group, n_part, n_lag = lanes.n_group, lanes.n_part, drive.lagged_mw.shape[0]
    n, n_pair = n_part * n_group, n_part * n_group * n_group
    dt_s, f_high = constants.dt_s, constants.high_pressure_fraction
    df, theta, valve, reheat, power, pull = 0, n, 2 * n, 3 * n, 4 * n, 5 * n
    minus_gain, up, minus_down, most, band = 6 * n, 7 * n, 8 * n, 9 * n, 10 * n
    damping, inertia, line, slope = 11 * n, 12 * n, 13 * n, 14 * n
    low, high, lowest, highest = 15 * n, 16 * n, 17 * n, 18 * n
    growth, earlier, yielding, anchor = 19 * n, 20 * n, 21 * n, 22 * n
    sine, cosine, synchronising = 23 * n, 24 * n, 25 * n
    first_pair = N_GROUP_ROW * n
    tie, inverse = first_pair, first_pair + n_pair  # of areas; of machines C and S
    moment, spare = first_pair + 2 * n_pair, first_pair + 3 * n_pair
    gap = first_pair + 4 * n_pair
    straight_end, output = gap + n_lag * n, gap + 2 * n_lag * n
    closing, half_closing = gap + 3 * n_lag * n, gap + 3 * n_lag * n + n_lag

    take(lanes, swing.df_hz, 0.0, block, df)
    take(lanes, swing.theta_rad, 0.0, block, theta)
    take(lanes, swing.valve_mw, 0.0, block, valve)
    take(lanes, swing.reheat_mw, 0.0, block, reheat)
    take(lanes, parameters.inertia_mws_per_hz, 1.0, block, inertia)
    take(lanes, parameters.gain_mw_per_hz, 0.0, block, minus_gain)
    take(lanes, parameters.limit_up_mw, 0.0, block, up)
    take(lanes, parameters.limit_down_mw, 0.0, block, minus_down)
    take(lanes, parameters.rate_mw_per_s, 0.0, block, most)
    take(lanes, drive.damping_mw_per_hz, 0.0, block, damping)
    take(lanes, drive.p_start_mw, 0.0, block, line)
    take(lanes, drive.p_end_mw, 0.0, block, slope)
    take(lanes, record.df_min_hz, 0.0, block, lowest)
    take(lanes, record.df_max_hz, 0.0, block, highest)
    take_pairs(lanes, record.second_moment_hz2, block, moment)
    take_pairs(lanes, drive.set_point_start_mw, block, gap)
    take_pairs(lanes, drive.set_point_end_mw, block, straight_end)
    take_pairs(lanes, drive.lagged_mw, block, output)
    for lane in range(n_part * N_LANE):
        band_hz = parameters.dead_band_hz[lanes.first + lane] if lane < lanes.width else 0.0
        for a in range(n_group):
            block[band + a * n_part + lane // N_LANE, lane % N_LANE] = band_hz

    if reduced is not None:
        # Growth of the frequency in the last step and the one before; at first as if the present push had lasted.
        for a in range(n):
            push = load(block, line + a) + load(block, valve + a) * f_high
            push = push + load(block, reheat + a) * (1.0 - f_high)
            push = push - load(block, damping + a) * load(block, df + a)
            for k in range(n_lag):
                push = push + load(block, output + k * n + a)
            stiff = load(block, inertia + a) / dt_s + load(block, damping + a) * 0.5
            store(block, yielding + a, spread(1.0) / stiff)
            store(block, growth + a, push * load(block, yielding + a))
            store(block, earlier + a, load(block, growth + a))
    # What drives the groups: straight lines, to which the straight part of the resources is added, and gaps to it that
    # close. T dx/dt = u - x with u = u0 + s t has x = (u0 - s T + s t) + (x0 - u0 + s T) exp(-t/T).
    for k in range(n_lag):
        store(block, closing + k, np.exp(-dt_s / constants.lag_s[k]))
        store(block, half_closing + k, np.exp(-(0.5 * dt_s) / constants.lag_s[k]))
        for a in range(n):
            at = k * n + a
            start, end = load(block, gap + at), load(block, straight_end + at)
            behind = (end - start) / (n_steps * dt_s) * constants.lag_s[k]
            start, end = start - behind, end - behind
            store(block, gap + at, load(block, output + at) - start)
            store(block, straight_end + at, end)
            store(block, line + a, load(block, line + a) + start)
            store(block, slope + a, load(block, slope + a) + end)
    for a in range(n):
        store(block, slope + a, load(block, slope + a) - load(block, line + a))
        store(block, minus_gain + a, load(block, minus_gain + a) * -1.0)
        store(block, minus_down + a, load(block, minus_down + a) * -1.0)
        store(block, most + a, load(block, most + a) * dt_s)
        # Within this range of frequency there is nothing but governors as designed: a step need look at no more.
        store(block, low + a, -np.inf)
        store(block, high + a, np.inf)
    storage = None if control is None else control.storage
    units = None if control is None else control.units
    over = None if control is None else control.over
    calm_within_units(lanes, units, block, minus_gain, band, low, high)
    calm_below_threshold(lanes, over, block, high)

    turn, lead = np.pi * dt_s, 2.0 * np.pi * constants.tie_damping_s
    correction = turn / 6.0  # h^2 / 12 times 2 pi / h
    if reduced is None:
        take_pairs(lanes, motion.synchronising_mw_per_rad, block, tie)
        for at in range(n_pair):
            store(block, spare + at, load(block, tie + at) * (0.5 * lead))
        for a in range(n):
            own = spare + a // n_part * (n_group + 1) * n_part + a % n_part
            stiff = load(block, inertia + a) / dt_s + load(block, damping + a) * 0.5
            store(block, own, load(block, own) + stiff)
        invert(n_group, n_part, block, spare, inverse)
    else:
        take_pairs(lanes, reduced.conductance_mw, block, tie)
        take_pairs(lanes, reduced.susceptance_mw, block, inverse)
        for a in range(n):
            store(block, theta + a, 0.0)
        network_power(n_group, n_part, block, tie, inverse, theta, sine, cosine, anchor)

    valve_stays, reheat_stays = np.exp(-dt_s / constants.t_valve_s), np.exp(-dt_s / constants.t_reheat_s)
    valve_moves, reheat_moves = 1.0 - valve_stays, (1.0 - reheat_stays) * 0.5
    trace_groups(lanes, block, df, record.trace_hz, 0)
    trace_turbines(lanes, block, valve, reheat, f_high, record.trace_mechanical_mw, 0)
    for step in range(n_steps):
        not_calm = spread(0.0)
        for a in range(n):
            f, dead_hz = load(block, df + a), load(block, band + a)
            not_calm = larger(larger(load(block, low + a) - f, f - load(block, high + a)), not_calm)
            beyond = larger(0.0, f - dead_hz) + smaller(0.0, f + dead_hz)
            asked = larger(load(block, minus_down + a), load(block, minus_gain + a) * beyond)
            store(block, power + a, smaller(load(block, up + a), asked))
        outside = any_above(not_calm, 0.0)
        if outside:
            keep_within_units(lanes, units, block, df, band, power)
        fraction = (step + 0.5) / n_steps
        for a in range(n):
            before, limit = load(block, valve + a), load(block, most + a)
            move = (load(block, power + a) - before) * valve_moves
            after = before + smaller(limit, larger(limit * -1.0, move))
            x = load(block, reheat + a) * reheat_stays + (before + after) * reheat_moves
            store(block, valve + a, after)
            store(block, reheat + a, x)
            drives = load(block, line + a) + load(block, slope + a) * fraction
            drives = drives + (after * f_high + x * (1.0 - f_high))
            drives = drives - load(block, damping + a) * load(block, df + a)
            for k in range(n_lag):
                left = load(block, gap + k * n + a)
                drives = drives + left * load(block, half_closing + k)
                store(block, gap + k * n + a, left * load(block, closing + k))
            store(block, power + a, drives)
        respond(lanes, storage, block, df, dt_s, power)
        if outside:
            curtail(lanes, over, block, df, power)
        if reduced is None:
            for a in range(n):
                f = load(block, df + a)
                turned = load(block, theta + a) + f * turn
                store(block, theta + a, turned)
                store(block, pull + a, (turned + f * lead) * -1.0)
            add_product(n_group, n_part, block, tie, pull, power)
            add_product(n_group, n_part, block, inverse, power, df)
        else:
            for a in range(n):
                f = load(block, df + a)
                turned = load(block, theta + a) + f * turn
                coming = load(block, growth + a) * 2.0 - load(block, earlier + a)
                ahead = (f + coming * 0.5) * lead + coming * correction
                store(block, theta + a, turned)
                store(block, pull + a, turned + ahead)
            network_power(n_group, n_part, block, tie, inverse, pull, sine, cosine, synchronising)
            for a in range(n):
                store(block, earlier + a, load(block, growth + a))
                flows = load(block, synchronising + a) - load(block, anchor + a)
                grows = (load(block, power + a) - flows) * load(block, yielding + a)
                store(block, growth + a, grows)
                store(block, df + a, load(block, df + a) + grows)
        for a in range(n):
            f, group, part = load(block, df + a), a // n_part, a % n_part
            store(block, theta + a, load(block, theta + a) + f * turn)
            store(block, lowest + a, smaller(f, load(block, lowest + a)))
            store(block, highest + a, larger(f, load(block, highest + a)))
            weighed = f * constants.mean_weight
            for b in range(group + 1):
                at = moment + (group * n_group + b) * n_part + part
                store(block, at, load(block, at) + weighed * load(block, df + b * n_part + part))
        trace_groups(lanes, block, df, record.trace_hz, step + 1)
        trace_turbines(lanes, block, valve, reheat, f_high, record.trace_mechanical_mw, step + 1)

    if reduced is None:
        for a in range(n):
            flows = spread(0.0)
            for b in range(n_group):
                entry = tie + (a // n_part * n_group + b) * n_part + a % n_part
                flows = flows + load(block, entry) * load(block, theta + b * n_part + a % n_part)
            store(block, synchronising + a, flows)
    else:
        network_power(n_group, n_part, block, tie, inverse, theta, sine, cosine, synchronising)
        for a in range(n):
            store(block, synchronising + a, load(block, synchronising + a) - load(block, anchor + a))
    for at in range(n_lag * n):
        store(block, output + at, load(block, straight_end + at) + load(block, gap + at))
    give(lanes, block, df, swing.df_hz)
    give(lanes, block, theta, swing.theta_rad)
    give(lanes, block, valve, swing.valve_mw)
    give(lanes, block, reheat, swing.reheat_mw)
    give(lanes, block, synchronising, swing.synchronising_mw)
    give(lanes, block, lowest, record.df_min_hz)
    give(lanes, block, highest, record.df_max_hz)
    give_pairs(lanes, block, moment, record.second_moment_hz2)
    give_pairs(lanes, block, output, drive.lagged_mw)
