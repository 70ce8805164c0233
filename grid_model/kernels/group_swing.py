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
from grid_model.kernels.swing_rows import (
    ANCHOR,
    BAND,
    DAMPING,
    DF,
    EARLIER,
    GROWTH,
    HIGH,
    HIGHEST,
    INERTIA,
    LINE,
    LOW,
    LOWEST,
    MINUS_DOWN,
    MINUS_GAIN,
    MOST,
    N_QUANTITY,
    POWER,
    PULL,
    REHEAT,
    SLOPE,
    SYNCHRONISING,
    THETA,
    UP,
    VALVE,
    YIELDING,
    give,
    give_pairs,
    take,
    take_pairs,
    trace_groups,
    trace_turbines,
)
from grid_model.kernels.unit_limits import calm_within_units, keep_within_units

__all__ = ["integrate_swing"]


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
    n_row = n_part * (N_QUANTITY * n_group + 4 * n_group * n_group + 3 * n_lag * n_group) + 2 * n_lag
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

    In `block` quantities of groups come first, see `swing_rows`, then those with a row a pair and part, then those by
    lags. Arguments otherwise as above.
    """
    swing, drive, parameters = motion.swing, motion.drive, motion.parameters
    constants, record = motion.constants, motion.record
    n_group, n_part, n_lag = lanes.n_group, lanes.n_part, drive.lagged_mw.shape[0]
    n, n_pair = n_part * n_group, n_part * n_group * n_group
    dt_s, f_high = constants.dt_s, constants.high_pressure_fraction
    first_pair = N_QUANTITY * n
    tie, inverse = first_pair, first_pair + n_pair  # of areas; of machines C and S
    moment, spare = first_pair + 2 * n_pair, first_pair + 3 * n_pair
    gap = first_pair + 4 * n_pair
    straight_end, output = gap + n_lag * n, gap + 2 * n_lag * n
    closing, half_closing = gap + 3 * n_lag * n, gap + 3 * n_lag * n + n_lag

    take(lanes, swing.df_hz, 0.0, block, DF)
    take(lanes, swing.theta_rad, 0.0, block, THETA)
    take(lanes, swing.valve_mw, 0.0, block, VALVE)
    take(lanes, swing.reheat_mw, 0.0, block, REHEAT)
    take(lanes, parameters.inertia_mws_per_hz, 1.0, block, INERTIA)
    take(lanes, parameters.gain_mw_per_hz, 0.0, block, MINUS_GAIN)
    take(lanes, parameters.limit_up_mw, 0.0, block, UP)
    take(lanes, parameters.limit_down_mw, 0.0, block, MINUS_DOWN)
    take(lanes, parameters.rate_mw_per_s, 0.0, block, MOST)
    take(lanes, drive.damping_mw_per_hz, 0.0, block, DAMPING)
    take(lanes, drive.p_start_mw, 0.0, block, LINE)
    take(lanes, drive.p_end_mw, 0.0, block, SLOPE)
    take(lanes, record.df_min_hz, 0.0, block, LOWEST)
    take(lanes, record.df_max_hz, 0.0, block, HIGHEST)
    take_pairs(lanes, record.second_moment_hz2, block, moment)
    take_pairs(lanes, drive.set_point_start_mw, block, gap)
    take_pairs(lanes, drive.set_point_end_mw, block, straight_end)
    take_pairs(lanes, drive.lagged_mw, block, output)
    for lane in range(n_part * N_LANE):
        band_hz = parameters.dead_band_hz[lanes.first + lane] if lane < lanes.width else 0.0
        for a in range(n_group):
            block[(a * n_part + lane // N_LANE) * N_QUANTITY + BAND, lane % N_LANE] = band_hz

    if reduced is not None:
        # Growth of the frequency in the last step and the one before; at first as if the present push had lasted.
        for a in range(n):
            own = a * N_QUANTITY
            push = load(block, own + LINE) + load(block, own + VALVE) * f_high
            push = push + load(block, own + REHEAT) * (1.0 - f_high)
            push = push - load(block, own + DAMPING) * load(block, own + DF)
            for k in range(n_lag):
                push = push + load(block, output + k * n + a)
            stiff = load(block, own + INERTIA) / dt_s + load(block, own + DAMPING) * 0.5
            store(block, own + YIELDING, spread(1.0) / stiff)
            store(block, own + GROWTH, push * load(block, own + YIELDING))
            store(block, own + EARLIER, load(block, own + GROWTH))
    # What drives the groups: straight lines, to which the straight part of the resources is added, and gaps to it that
    # close. T dx/dt = u - x with u = u0 + s t has x = (u0 - s T + s t) + (x0 - u0 + s T) exp(-t/T).
    for k in range(n_lag):
        store(block, closing + k, np.exp(-dt_s / constants.lag_s[k]))
        store(block, half_closing + k, np.exp(-(0.5 * dt_s) / constants.lag_s[k]))
        for a in range(n):
            own = a * N_QUANTITY
            at = k * n + a
            start, end = load(block, gap + at), load(block, straight_end + at)
            behind = (end - start) / (n_steps * dt_s) * constants.lag_s[k]
            start, end = start - behind, end - behind
            store(block, gap + at, load(block, output + at) - start)
            store(block, straight_end + at, end)
            store(block, own + LINE, load(block, own + LINE) + start)
            store(block, own + SLOPE, load(block, own + SLOPE) + end)
    for a in range(n):
        own = a * N_QUANTITY
        store(block, own + SLOPE, load(block, own + SLOPE) - load(block, own + LINE))
        store(block, own + MINUS_GAIN, load(block, own + MINUS_GAIN) * -1.0)
        store(block, own + MINUS_DOWN, load(block, own + MINUS_DOWN) * -1.0)
        store(block, own + MOST, load(block, own + MOST) * dt_s)
        # Within this range of frequency there is nothing but governors as designed: a step need look at no more.
        store(block, own + LOW, -np.inf)
        store(block, own + HIGH, np.inf)
    storage = None if control is None else control.storage
    units = None if control is None else control.units
    over = None if control is None else control.over
    calm_within_units(lanes, units, block)
    calm_below_threshold(lanes, over, block)

    turn, lead = np.pi * dt_s, 2.0 * np.pi * constants.tie_damping_s
    correction = turn / 6.0  # h^2 / 12 times 2 pi / h
    if reduced is None:
        take_pairs(lanes, motion.synchronising_mw_per_rad, block, tie)
        for at in range(n_pair):
            store(block, spare + at, load(block, tie + at) * (0.5 * lead))
        for a in range(n):
            own, diagonal = a * N_QUANTITY, spare + a // n_part * (n_group + 1) * n_part + a % n_part
            stiff = load(block, own + INERTIA) / dt_s + load(block, own + DAMPING) * 0.5
            store(block, diagonal, load(block, diagonal) + stiff)
        invert(n_group, n_part, block, spare, inverse)
    else:
        take_pairs(lanes, reduced.conductance_mw, block, tie)
        take_pairs(lanes, reduced.susceptance_mw, block, inverse)
        for a in range(n):
            own = a * N_QUANTITY
            store(block, own + THETA, 0.0)
        network_power(n_group, n_part, block, tie, inverse, THETA, ANCHOR)

    valve_stays, reheat_stays = np.exp(-dt_s / constants.t_valve_s), np.exp(-dt_s / constants.t_reheat_s)
    valve_moves, reheat_moves = 1.0 - valve_stays, (1.0 - reheat_stays) * 0.5
    trace_groups(lanes, block, record.trace_hz, 0)
    trace_turbines(lanes, block, f_high, record.trace_mechanical_mw, 0)
    for step in range(n_steps):
        not_calm = spread(0.0)
        for a in range(n):
            own = a * N_QUANTITY
            f, dead_hz = load(block, own + DF), load(block, own + BAND)
            not_calm = larger(larger(load(block, own + LOW) - f, f - load(block, own + HIGH)), not_calm)
            beyond = larger(0.0, f - dead_hz) + smaller(0.0, f + dead_hz)
            asked = larger(load(block, own + MINUS_DOWN), load(block, own + MINUS_GAIN) * beyond)
            store(block, own + POWER, smaller(load(block, own + UP), asked))
        outside = any_above(not_calm, 0.0)
        if outside:
            keep_within_units(lanes, units, block)
        fraction = (step + 0.5) / n_steps
        for a in range(n):
            own = a * N_QUANTITY
            before, limit = load(block, own + VALVE), load(block, own + MOST)
            move = (load(block, own + POWER) - before) * valve_moves
            after = before + smaller(limit, larger(limit * -1.0, move))
            x = load(block, own + REHEAT) * reheat_stays + (before + after) * reheat_moves
            store(block, own + VALVE, after)
            store(block, own + REHEAT, x)
            drives = load(block, own + LINE) + load(block, own + SLOPE) * fraction
            drives = drives + (after * f_high + x * (1.0 - f_high))
            drives = drives - load(block, own + DAMPING) * load(block, own + DF)
            for k in range(n_lag):
                left = load(block, gap + k * n + a)
                drives = drives + left * load(block, half_closing + k)
                store(block, gap + k * n + a, left * load(block, closing + k))
            store(block, own + POWER, drives)
        respond(lanes, storage, block, dt_s)
        if outside:
            curtail(lanes, over, block)
        if reduced is None:
            for a in range(n):
                own = a * N_QUANTITY
                f = load(block, own + DF)
                turned = load(block, own + THETA) + f * turn
                store(block, own + THETA, turned)
                store(block, own + PULL, (turned + f * lead) * -1.0)
            add_product(n_group, n_part, block, tie, PULL, POWER)
            add_product(n_group, n_part, block, inverse, POWER, DF)
        else:
            for a in range(n):
                own = a * N_QUANTITY
                f = load(block, own + DF)
                turned = load(block, own + THETA) + f * turn
                coming = load(block, own + GROWTH) * 2.0 - load(block, own + EARLIER)
                ahead = (f + coming * 0.5) * lead + coming * correction
                store(block, own + THETA, turned)
                store(block, own + PULL, turned + ahead)
            network_power(n_group, n_part, block, tie, inverse, PULL, SYNCHRONISING)
            for a in range(n):
                own = a * N_QUANTITY
                store(block, own + EARLIER, load(block, own + GROWTH))
                flows = load(block, own + SYNCHRONISING) - load(block, own + ANCHOR)
                grows = (load(block, own + POWER) - flows) * load(block, own + YIELDING)
                store(block, own + GROWTH, grows)
                store(block, own + DF, load(block, own + DF) + grows)
        for a in range(n):
            own = a * N_QUANTITY
            f, group, part = load(block, own + DF), a // n_part, a % n_part
            store(block, own + THETA, load(block, own + THETA) + f * turn)
            store(block, own + LOWEST, smaller(f, load(block, own + LOWEST)))
            store(block, own + HIGHEST, larger(f, load(block, own + HIGHEST)))
            weighed = f * constants.mean_weight
            for b in range(group + 1):
                at = moment + (group * n_group + b) * n_part + part
                store(
                    block, at, load(block, at) + weighed * load(block, (b * n_part + part) * N_QUANTITY + DF)
                )
        trace_groups(lanes, block, record.trace_hz, step + 1)
        trace_turbines(lanes, block, f_high, record.trace_mechanical_mw, step + 1)

    if reduced is None:
        for a in range(n):
            own = a * N_QUANTITY
            flows = spread(0.0)
            for b in range(n_group):
                entry = tie + (a // n_part * n_group + b) * n_part + a % n_part
                flows = flows + load(block, entry) * load(
                    block, (b * n_part + a % n_part) * N_QUANTITY + THETA
                )
            store(block, own + SYNCHRONISING, flows)
    else:
        network_power(n_group, n_part, block, tie, inverse, THETA, SYNCHRONISING)
        for a in range(n):
            own = a * N_QUANTITY
            store(block, own + SYNCHRONISING, load(block, own + SYNCHRONISING) - load(block, own + ANCHOR))
    for at in range(n_lag * n):
        store(block, output + at, load(block, straight_end + at) + load(block, gap + at))
    give(lanes, block, DF, swing.df_hz)
    give(lanes, block, THETA, swing.theta_rad)
    give(lanes, block, VALVE, swing.valve_mw)
    give(lanes, block, REHEAT, swing.reheat_mw)
    give(lanes, block, SYNCHRONISING, swing.synchronising_mw)
    give(lanes, block, LOWEST, record.df_min_hz)
    give(lanes, block, HIGHEST, record.df_max_hz)
    give_pairs(lanes, block, moment, record.second_moment_hz2)
    give_pairs(lanes, block, output, drive.lagged_mw)
