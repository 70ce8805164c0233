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

Eight environments go through all steps side by side (`lanes`), in an array that stays in the processor's first cache;
then come the next eight. Nothing is summed across environments and no operation is re-associated, so a result does not
depend on the size of its batch.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import (
    N_LANE,
    any_above,
    larger,
    load,
    smaller,
    spread,
    store,
    store_at,
)
from grid_model.kernels.linear_algebra import invert, network_power
from grid_model.kernels.over_frequency import curtail
from grid_model.kernels.storage_response import respond
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    PrimaryControl,
    ReducedNetwork,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)
from grid_model.kernels.unit_limits import calm_within_units, keep_within_units

__all__ = ["integrate_swing"]

N_GROUP_ROW = 25  # quantities of which a block has one row a group


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
    n_group, n = swing.df_hz.shape
    n_pair, n_lagged = n_group * n_group, drive.lagged_mw.shape[0] * n_group
    n_row = N_GROUP_ROW * n_group + 4 * n_pair + 2 * n_lagged + 2 * drive.lagged_mw.shape[0] + 1
    room = np.empty((n_row + 1) * N_LANE)
    aside = -(room.ctypes.data // room.itemsize) % N_LANE  # to where a row is one line of the cache
    block = room[aside : aside + n_row * N_LANE].reshape(n_row, N_LANE)
    for first in range(0, n, N_LANE):
        width = min(N_LANE, n - first)
        _integrate_block(
            first,
            width,
            n_steps,
            block,
            swing,
            drive,
            parameters,
            synchronising_mw_per_rad,
            reduced,
            constants,
            record,
            control,
        )


@compiled
def _integrate_block(
    first: int,
    width: int,
    n_steps: int,
    block: FloatArray,
    swing: SwingVariables,
    drive: Drive,
    parameters: SwingParameters,
    synchronising_mw_per_rad: FloatArray,
    reduced: ReducedNetwork | None,
    constants: SwingConstants,
    record: IntervalRecord,
    control: PrimaryControl | None,
) -> None:
    """The same for up to eight environments from the first on; lanes beyond them hold a grid at rest.

    A quantity's rows of `block` begin at its number below; of single groups first, then of pairs, then of lags. All of
    one environment are in one column.
    """
    n_group, n = swing.df_hz.shape
    n_pair, n_lag = n_group * n_group, drive.lagged_mw.shape[0]
    dt_s, f_high = constants.dt_s, constants.high_pressure_fraction
    df, theta, valve, reheat, power, pull = 0, n_group, 2 * n_group, 3 * n_group, 4 * n_group, 5 * n_group
    minus_gain, up, minus_down, most = 6 * n_group, 7 * n_group, 8 * n_group, 9 * n_group
    damping, inertia, line, slope = 10 * n_group, 11 * n_group, 12 * n_group, 13 * n_group
    low, high, lowest, highest = 14 * n_group, 15 * n_group, 16 * n_group, 17 * n_group
    growth, earlier, yielding, anchor = 18 * n_group, 19 * n_group, 20 * n_group, 21 * n_group
    sine, cosine, synchronising = 22 * n_group, 23 * n_group, 24 * n_group
    # Either T and the inverse, or C and S.
    tie = N_GROUP_ROW * n_group
    inverse, moment, spare = tie + n_pair, tie + 2 * n_pair, tie + 3 * n_pair
    gap = tie + 4 * n_pair
    straight_end = gap + n_lag * n_group
    closing, half_closing = straight_end + n_lag * n_group, straight_end + n_lag * n_group + n_lag
    band = half_closing + n_lag

    _take(swing.df_hz, first, width, 0.0, block, df)
    _take(swing.theta_rad, first, width, 0.0, block, theta)
    _take(swing.valve_mw, first, width, 0.0, block, valve)
    _take(swing.reheat_mw, first, width, 0.0, block, reheat)
    _take(parameters.inertia_mws_per_hz, first, width, 1.0, block, inertia)
    _take(parameters.gain_mw_per_hz, first, width, 0.0, block, minus_gain)
    _take(parameters.limit_up_mw, first, width, 0.0, block, up)
    _take(parameters.limit_down_mw, first, width, 0.0, block, minus_down)
    _take(parameters.rate_mw_per_s, first, width, 0.0, block, most)
    _take(drive.damping_mw_per_hz, first, width, 0.0, block, damping)
    _take(drive.p_start_mw, first, width, 0.0, block, line)
    _take(drive.p_end_mw, first, width, 0.0, block, slope)
    _take(record.df_min_hz, first, width, 0.0, block, lowest)
    _take(record.df_max_hz, first, width, 0.0, block, highest)
    _take_pairs(record.second_moment_hz2, first, width, block, moment)
    for lane in range(N_LANE):
        block[band, lane] = parameters.dead_band_hz[first + min(lane, width - 1)]

    # What drives the groups: straight lines, to which the straight part of the resources is added, and gaps to it that
    # close. T dx/dt = u - x with u = u0 + s t has x = (u0 - s T + s t) + (x0 - u0 + s T) exp(-t/T).
    _take_pairs(drive.set_point_start_mw, first, width, block, gap)
    _take_pairs(drive.set_point_end_mw, first, width, block, straight_end)
    if reduced is not None:
        # Growth of the frequency in the last step and the one before; at first as if the present push had lasted.
        for a in range(n_group):
            push = load(block, line + a) + load(block, valve + a) * f_high
            push = push + load(block, reheat + a) * (1.0 - f_high)
            store(block, growth + a, push - load(block, damping + a) * load(block, df + a))
    for k in range(n_lag):
        store(block, closing + k, np.exp(-dt_s / constants.lag_s[k]))
        store(block, half_closing + k, np.exp(-(0.5 * dt_s) / constants.lag_s[k]))
        for a in range(n_group):
            at = k * n_group + a
            start, end = load(block, gap + at), load(block, straight_end + at)
            behind = (end - start) / (n_steps * dt_s) * constants.lag_s[k]
            start, end = start - behind, end - behind
            for lane in range(N_LANE):
                block[gap + at, lane] = drive.lagged_mw[k, a, first + lane] if lane < width else 0.0
            lagged = load(block, gap + at)
            if reduced is not None:
                store(block, growth + a, load(block, growth + a) + lagged)
            store(block, gap + at, lagged - start)
            store(block, straight_end + at, end)
            store(block, line + a, load(block, line + a) + start)
            store(block, slope + a, load(block, slope + a) + end)
    for a in range(n_group):
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
    calm_within_units(first, width, units, n_group, block, minus_gain, band, low, high)
    if over is not None:
        for a in range(n_group):
            store(block, high + a, smaller(load(block, high + a), over.from_hz))

    decay_valve, decay_reheat = np.exp(-dt_s / constants.t_valve_s), np.exp(-dt_s / constants.t_reheat_s)
    turn = np.pi * dt_s
    lead = 2.0 * np.pi * constants.tie_damping_s
    correction = turn / 6.0  # h^2 / 12 times 2 pi / h
    if reduced is None:
        _take_pairs(synchronising_mw_per_rad, first, width, block, tie)
        for a in range(n_group):
            for b in range(n_group):
                at = a * n_group + b
                entry = load(block, tie + at) * (0.5 * lead)
                if a == b:
                    entry = entry + (load(block, inertia + a) / dt_s + load(block, damping + a) * 0.5)
                store(block, spare + at, entry)
        invert(n_group, block, spare, inverse)
    else:
        _take_pairs(reduced.conductance_mw, first, width, block, tie)
        _take_pairs(reduced.susceptance_mw, first, width, block, inverse)
        for a in range(n_group):
            store(block, theta + a, 0.0)
            yields = load(block, inertia + a) / dt_s + load(block, damping + a) * 0.5
            store(block, yielding + a, spread(1.0) / yields)
            store(block, growth + a, load(block, growth + a) * load(block, yielding + a))
            store(block, earlier + a, load(block, growth + a))
        network_power(n_group, block, tie, inverse, theta, sine, cosine, anchor)

    _trace(record.trace_hz, 0, first, width, block, df)
    _trace_turbines(record.trace_mechanical_mw, 0, first, width, block, valve, reheat, f_high)
    whole = n_group - n_group % 3
    half = (1.0 - decay_reheat) * 0.5
    dead_band = load(block, band)
    for step in range(n_steps):
        beyond_calm = spread(0.0)
        for a in range(n_group):
            f = load(block, df + a)
            beyond_calm = larger(larger(load(block, low + a) - f, f - load(block, high + a)), beyond_calm)
            beyond = larger(0.0, f - dead_band) + smaller(0.0, f + dead_band)
            asked = larger(load(block, minus_down + a), load(block, minus_gain + a) * beyond)
            store(block, power + a, smaller(load(block, up + a), asked))
        outside = any_above(beyond_calm, 0.0)
        if outside:
            keep_within_units(first, width, units, n_group, block, df, band, power)
        fraction = (step + 0.5) / n_steps
        for a in range(n_group):
            before, limit = load(block, valve + a), load(block, most + a)
            move = (load(block, power + a) - before) * (1.0 - decay_valve)
            after = before + smaller(limit, larger(limit * -1.0, move))
            x = load(block, reheat + a) * decay_reheat + (before + after) * half
            store(block, valve + a, after)
            store(block, reheat + a, x)
            governor = after * f_high + x * (1.0 - f_high)
            along = load(block, line + a) + load(block, slope + a) * fraction
            store(
                block, power + a, (along + governor) - load(block, damping + a) * load(block, df + a)
            )
        for k in range(n_lag):
            for a in range(n_group):
                left = load(block, gap + k * n_group + a)
                store(block, power + a, load(block, power + a) + left * load(block, half_closing + k))
                store(block, gap + k * n_group + a, left * load(block, closing + k))
        respond(first, width, storage, n_group, block, df, dt_s, power)
        if outside:
            curtail(first, width, over, n_group, block, df, power)
        if reduced is None:
            for a in range(n_group):
                f = load(block, df + a)
                turned = load(block, theta + a) + f * turn
                store(block, theta + a, turned)
                store(block, pull + a, turned + f * lead)
            for a in range(n_group):
                left, row = load(block, power + a), tie + a * n_group
                for b in range(0, whole, 3):
                    part = load(block, row + b) * load(block, pull + b)
                    part = part + load(block, row + b + 1) * load(block, pull + b + 1)
                    left = left - (part + load(block, row + b + 2) * load(block, pull + b + 2))
                if n_group - whole == 2:
                    part = load(block, row + n_group - 2) * load(block, pull + n_group - 2)
                    left = left - (part + load(block, row + n_group - 1) * load(block, pull + n_group - 1))
                elif n_group - whole == 1:
                    left = left - load(block, row + n_group - 1) * load(block, pull + n_group - 1)
                store(block, power + a, left)
            for a in range(n_group):
                f, row = load(block, df + a), inverse + a * n_group
                for b in range(0, whole, 3):
                    part = load(block, row + b) * load(block, power + b)
                    part = part + load(block, row + b + 1) * load(block, power + b + 1)
                    f = f + (part + load(block, row + b + 2) * load(block, power + b + 2))
                if n_group - whole == 2:
                    part = load(block, row + n_group - 2) * load(block, power + n_group - 2)
                    f = f + (part + load(block, row + n_group - 1) * load(block, power + n_group - 1))
                elif n_group - whole == 1:
                    f = f + load(block, row + n_group - 1) * load(block, power + n_group - 1)
                store(block, df + a, f)
        else:
            for a in range(n_group):
                f = load(block, df + a)
                turned = load(block, theta + a) + f * turn
                coming = load(block, growth + a) * 2.0 - load(block, earlier + a)
                ahead = (f + coming * 0.5) * lead + coming * correction
                store(block, theta + a, turned)
                store(block, pull + a, turned + ahead)
            network_power(n_group, block, tie, inverse, pull, sine, cosine, synchronising)
            for a in range(n_group):
                store(block, earlier + a, load(block, growth + a))
                given = load(block, synchronising + a) - load(block, anchor + a)
                grows = (load(block, power + a) - given) * load(block, yielding + a)
                store(block, growth + a, grows)
                store(block, df + a, load(block, df + a) + grows)
        for a in range(n_group):
            f = load(block, df + a)
            store(block, theta + a, load(block, theta + a) + f * turn)
            store(block, lowest + a, smaller(f, load(block, lowest + a)))
            store(block, highest + a, larger(f, load(block, highest + a)))
            weighed = f * constants.mean_weight
            for b in range(a + 1):
                at = moment + a * n_group + b
                store(block, at, load(block, at) + weighed * load(block, df + b))
        _trace(record.trace_hz, step + 1, first, width, block, df)
        _trace_turbines(record.trace_mechanical_mw, step + 1, first, width, block, valve, reheat, f_high)
    if reduced is None:
        for a in range(n_group):
            flows = spread(0.0)
            for b in range(n_group):
                flows = flows + load(block, tie + a * n_group + b) * load(block, theta + b)
            store(block, synchronising + a, flows)
    else:
        network_power(n_group, block, tie, inverse, theta, sine, cosine, synchronising)
        for a in range(n_group):
            store(block, synchronising + a, load(block, synchronising + a) - load(block, anchor + a))
    _give(block, df, first, width, swing.df_hz)
    _give(block, theta, first, width, swing.theta_rad)
    _give(block, valve, first, width, swing.valve_mw)
    _give(block, reheat, first, width, swing.reheat_mw)
    _give(block, synchronising, first, width, swing.synchronising_mw)
    _give(block, lowest, first, width, record.df_min_hz)
    _give(block, highest, first, width, record.df_max_hz)
    for a in range(n_group):
        for b in range(n_group):
            for lane in range(width):
                record.second_moment_hz2[a, b, first + lane] = block[moment + a * n_group + b, lane]
    for k in range(n_lag):
        for a in range(n_group):
            at = k * n_group + a
            for lane in range(width):
                ended = block[straight_end + at, lane] + block[gap + at, lane]
                drive.lagged_mw[k, a, first + lane] = ended


@compiled
def _take(wide: FloatArray, first: int, width: int, rest: float, block: FloatArray, base: int) -> None:
    """Bring the lanes of an array [group, n] into rows of a block; `rest` goes to lanes without an environment."""
    for a in range(wide.shape[0]):
        store(block, base + a, rest)
        for lane in range(width):
            block[base + a, lane] = wide[a, first + lane]


@compiled
def _take_pairs(wide: FloatArray, first: int, width: int, block: FloatArray, base: int) -> None:
    """The same of an array [row, column, n]."""
    for a in range(wide.shape[0]):
        for b in range(wide.shape[1]):
            store(block, base + a * wide.shape[1] + b, 0.0)
            for lane in range(width):
                block[base + a * wide.shape[1] + b, lane] = wide[a, b, first + lane]


@compiled
def _give(block: FloatArray, base: int, first: int, width: int, wide: FloatArray) -> None:
    """Put rows of a block back into an array [group, n]."""
    for a in range(wide.shape[0]):
        for lane in range(width):
            wide[a, first + lane] = block[base + a, lane]


@compiled
def _trace(trace: FloatArray, step: int, first: int, width: int, block: FloatArray, base: int) -> None:
    """Write one row of the groups' frequencies, unless the trace has length 0."""
    if trace.shape[0] > 0:
        for a in range(trace.shape[1]):
            if width == N_LANE:
                at = (step * trace.shape[1] + a) * trace.shape[2] + first
                store_at(trace, at, load(block, base + a))
            else:
                for lane in range(width):
                    trace[step, a, first + lane] = block[base + a, lane]


@compiled
def _trace_turbines(
    trace: FloatArray,
    step: int,
    first: int,
    width: int,
    block: FloatArray,
    valve: int,
    reheat: int,
    high_pressure_fraction: float,
) -> None:
    """Write one row of what the groups' turbines give, unless the trace has length 0."""
    if trace.shape[0] > 0:
        for a in range(trace.shape[1]):
            for lane in range(width):
                opened, heated = block[valve + a, lane], block[reheat + a, lane]
                given = high_pressure_fraction * opened + (1.0 - high_pressure_fraction) * heated
                trace[step, a, first + lane] = given
