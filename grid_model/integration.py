"""Fixed-step integrators of the swing equations, compiled.

Staggered leapfrog, second order, one evaluation a step. Frequency lives at whole steps; rotor angle, valve and
turbine live half a step later, so that every right-hand side is taken at the middle of the step it drives:

    valve     g(n+1/2) = e_v g(n-1/2) + (1 - e_v) u(f(n)),      e_v = exp(-h / T_valve)
    reheater  x(n+1/2) = e_r x(n-1/2) + (1 - e_r) [g(n-1/2) + g(n+1/2)] / 2
    angle     theta(n+1/2) = theta(n) + pi h f(n)
    frequency M/h (f(n+1) - f(n)) = p(n+1/2) - exchange(n+1/2) - damping(n+1/2)
    angle     theta(n+1) = theta(n+1/2) + pi h f(n+1)

`integrate_groups` serves areas and the centre of inertia. Its exchange is linear, T theta, and load damping D and tie
damping K enter as the mean of both ends (Crank-Nicolson): [M/h + (D + K)/2] is inverted once a call.

`integrate_machines` serves single machines. Its exchange is the power that the machines' internal voltages drive
through the reduced network,

    P_i(theta) - P_i(0),     P_i(theta) = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)]

from the sines and cosines of the 16 angles by the addition theorem. Tie damping is the same exchange at angles that
lead by 2 pi K f, which to first order adds K dP_i/dt; the f of half a step ahead is extrapolated. Leapfrog makes a
swing of omega faster by (omega h)^2 / 24, which in a minute would shift the local modes of 1 to 2 Hz by half a radian.
Taking the power at angles advanced by h^2/12 times their acceleration cancels that term (M. Takahashi, M. Imada, J.
Phys. Soc. Japan 53, 1984); the acceleration is extrapolated from the last two steps.

Both are time-symmetric for the undamped swing, so that they neither damp nor feed an oscillation, and stable while
the fastest mode has omega h < 2 (0.02 s holds up to 15.9 Hz).

The inner loops run over the environments, which the compiler turns into vector instructions. For a single one they
are compiled apart (`n_env` is None), without the loops, in half the time. Nothing is summed across environments and no
operation is re-associated, so a result does not depend on the size of its batch.
"""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import FloatArray

__all__ = ["compiled_width", "integrate_groups", "integrate_machines", "network_power"]

# pi/2 in two parts (Cody and Waite): the first has 33 bits, so that its product with a whole number is exact.
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_HEAD = 1.57079632673412561417
_HALF_PI_TAIL = 6.07710050650619224932e-11


def compiled_width(n_env: int) -> int | None:
    """Number of environments as the functions of this module take it: None for one, which is compiled apart."""
    return None if n_env == 1 else n_env


@numba.njit(cache=True, error_model="numpy")
def _width(n_env: int | None, length: int) -> int:
    """Length of the last axis: known when compiling if n_env is None, so that loops over one environment vanish."""
    if n_env is None:
        return 1
    return length


@numba.njit(cache=True, error_model="numpy")
def _inverse(n_env: int | None, matrix: FloatArray) -> FloatArray:
    """Inverse of a batch of small symmetric positive definite matrices, [row, column, env], by Gauss-Jordan."""
    n, width = matrix.shape[0], _width(n_env, matrix.shape[2])
    a = matrix.copy()
    inverse = np.zeros_like(matrix)
    for i in range(n):
        for e in range(width):
            inverse[i, i, e] = 1.0
    for i in range(n):
        for k in range(n):
            if k == i:
                for c in range(n):
                    if c != i:
                        for e in range(width):
                            a[i, c, e] /= a[i, i, e]
                    for e in range(width):
                        inverse[i, c, e] /= a[i, i, e]
                for e in range(width):
                    a[i, i, e] = 1.0
        for k in range(n):
            if k != i:
                for c in range(n):
                    if c != i:
                        for e in range(width):
                            a[k, c, e] -= a[k, i, e] * a[i, c, e]
                    for e in range(width):
                        inverse[k, c, e] -= a[k, i, e] * inverse[i, c, e]
                for e in range(width):
                    a[k, i, e] = 0.0
    return inverse


@numba.njit(cache=True, error_model="numpy")
def _sine_and_cosine(n_env: int | None, angle_rad: FloatArray, sine: FloatArray, cosine: FloatArray) -> None:
    """Sine and cosine of a whole array [row, env] without a branch, so that it becomes vector instructions.

    The polynomials are those of fdlibm (Sun Microsystems, 1993) for |r| <= pi/4; the result is right to 2e-16.
    """
    n, width = angle_rad.shape[0], _width(n_env, angle_rad.shape[1])
    for i in range(n):
        for e in range(width):
            turns = np.floor(angle_rad[i, e] * _TWO_OVER_PI + 0.5)
            r = (angle_rad[i, e] - turns * _HALF_PI_HEAD) - turns * _HALF_PI_TAIL
            z = r * r
            s = 1.58969099521155010221e-10
            s = s * z - 2.50507602534068634195e-08
            s = s * z + 2.75573137070700676789e-06
            s = s * z - 1.98412698298579493134e-04
            s = s * z + 8.33333333332248946124e-03
            s = s * z - 1.66666666666666324348e-01
            s = r + r * z * s
            c = -1.13596475577881948265e-11
            c = c * z + 2.08757232129817482790e-09
            c = c * z - 2.75573143513906633035e-07
            c = c * z + 2.48015872894767294178e-05
            c = c * z - 1.38888888888741095749e-03
            c = c * z + 4.16666666666666019037e-02
            c = (1.0 - 0.5 * z) + z * z * c
            quarter = turns - 4.0 * np.floor(0.25 * turns)  # 0, 1, 2 or 3
            odd = quarter == 1.0 or quarter == 3.0
            first = c if odd else s
            second = s if odd else c
            sine[i, e] = -first if quarter >= 2.0 else first
            cosine[i, e] = -second if quarter == 1.0 or quarter == 2.0 else second


@numba.njit(cache=True, error_model="numpy")
def _accumulate_power(
    n_env: int | None,
    in_phase_mw: FloatArray,
    quadrature_mw: FloatArray,
    sine: FloatArray,
    cosine: FloatArray,
    real: FloatArray,
    imaginary: FloatArray,
    power_mw: FloatArray,
) -> None:
    """power[i] = cos_i sum_j (C cos_j - S sin_j) + sin_i sum_j (C sin_j + S cos_j)."""
    n, width = power_mw.shape[0], _width(n_env, power_mw.shape[1])
    for i in range(n):
        for e in range(width):
            real[e] = 0.0
            imaginary[e] = 0.0
        for j in range(n):
            for e in range(width):
                c, s = in_phase_mw[i, j, e], quadrature_mw[i, j, e]
                real[e] += c * cosine[j, e] - s * sine[j, e]
                imaginary[e] += c * sine[j, e] + s * cosine[j, e]
        for e in range(width):
            power_mw[i, e] = cosine[i, e] * real[e] + sine[i, e] * imaginary[e]


@numba.njit(cache=True, error_model="numpy")
def network_power(
    n_env: int | None,
    in_phase_mw: FloatArray,
    quadrature_mw: FloatArray,
    theta_rad: FloatArray,
    power_mw: FloatArray,
) -> None:
    """P_i(theta) of the machines through the reduced network [MW].

    Args:
        n_env: see `compiled_width`; in_phase_mw, quadrature_mw: C and S of the module's text, [machine, machine, env].
        theta_rad: turn of each rotor since C and S were taken, [machine, env].
        power_mw: filled in, [machine, env].
    """
    width = _width(n_env, theta_rad.shape[1])
    sine, cosine = np.empty_like(theta_rad), np.empty_like(theta_rad)
    _sine_and_cosine(n_env, theta_rad, sine, cosine)
    _accumulate_power(
        n_env, in_phase_mw, quadrature_mw, sine, cosine, np.empty(width), np.empty(width), power_mw
    )


@numba.njit(cache=True, error_model="numpy")
def _drive(
    n_env: int | None,
    step: int,
    n_steps: int,
    dt_s: float,
    df_hz: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    gap_mw: FloatArray,
    line_start_mw: FloatArray,
    line_end_mw: FloatArray,
    damping_mw_per_hz: FloatArray,
    gain_mw_per_hz: FloatArray,
    limit_up_mw: FloatArray,
    limit_down_mw: FloatArray,
    rate_mw_per_s: FloatArray,
    dead_band_hz: FloatArray,
    decay_valve: float,
    decay_reheat: float,
    decay_lag: FloatArray,
    half_lag: FloatArray,
    f_high: float,
    p: FloatArray,
) -> None:
    """Move valves, reheaters and the gaps of `_follow` over one step; p becomes what drives its middle, less D f."""
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    t_mid = (step + 0.5) / n_steps
    for a in range(n_group):
        for e in range(width):
            f = df_hz[a, e]
            beyond = max(f - dead_band_hz[e], 0.0) + min(f + dead_band_hz[e], 0.0)
            target = min(max(-gain_mw_per_hz[a, e] * beyond, -limit_down_mw[a, e]), limit_up_mw[a, e])
            before = valve_mw[a, e]
            move = (1.0 - decay_valve) * (target - before)
            most = rate_mw_per_s[a, e] * dt_s
            after = before + min(max(move, -most), most)
            x = decay_reheat * reheat_mw[a, e] + (1.0 - decay_reheat) * 0.5 * (before + after)
            valve_mw[a, e] = after
            reheat_mw[a, e] = x
            governor = f_high * after + (1.0 - f_high) * x
            line = line_start_mw[a, e] + (line_end_mw[a, e] - line_start_mw[a, e]) * t_mid
            p[a, e] = line + governor - damping_mw_per_hz[a, e] * f
    for k in range(gap_mw.shape[0]):
        for a in range(n_group):
            for e in range(width):
                p[a, e] += gap_mw[k, a, e] * half_lag[k]
                gap_mw[k, a, e] *= decay_lag[k]


@numba.njit(cache=True, error_model="numpy")
def _follow(
    n_env: int | None,
    lagged_mw: FloatArray,
    set_point_start_mw: FloatArray,
    set_point_end_mw: FloatArray,
    lag_s: FloatArray,
    span_s: float,
    line_start_mw: FloatArray,
    line_end_mw: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Split resources that follow straight lines into straight lines, added to those given, and gaps that decay.

    T dx/dt = u - x with u = u0 + s t has x = (u0 - s T + s t) + (x0 - u0 + s T) exp(-t/T).

    Returns:
        Gap at the start of the span, and straight part at its end [MW], both [lag, group, env].
    """
    n_lag, n_group, width = lagged_mw.shape[0], lagged_mw.shape[1], _width(n_env, lagged_mw.shape[2])
    gap_mw, end_mw = np.empty_like(lagged_mw), np.empty_like(lagged_mw)
    for k in range(n_lag):
        for a in range(n_group):
            for e in range(width):
                behind = (set_point_end_mw[k, a, e] - set_point_start_mw[k, a, e]) / span_s * lag_s[k]
                start = set_point_start_mw[k, a, e] - behind
                end_mw[k, a, e] = set_point_end_mw[k, a, e] - behind
                gap_mw[k, a, e] = lagged_mw[k, a, e] - start
                line_start_mw[a, e] += start
                line_end_mw[a, e] += end_mw[k, a, e]
    return gap_mw, end_mw


@numba.njit(cache=True, error_model="numpy")
def _decays(lag_s: FloatArray, dt_s: float) -> FloatArray:
    """exp(-dt / T) of each lag; an array of its own, since a scalar loop and a vector one may round differently."""
    decay = np.empty(lag_s.size)
    for k in range(lag_s.size):
        decay[k] = np.exp(-dt_s / lag_s[k])
    return decay


@numba.njit(cache=True, error_model="numpy")
def _note(
    n_env: int | None,
    row: int,
    df_hz: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    f_high: float,
    trace_hz: FloatArray,
    trace_mechanical_mw: FloatArray,
) -> None:
    """Write one row of each trace, unless it has length 0."""
    if trace_hz.shape[0] > 0:
        n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
        for a in range(n_group):
            for e in range(width):
                trace_hz[row, a, e] = df_hz[a, e]
    if trace_mechanical_mw.shape[0] > 0:
        n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
        for a in range(n_group):
            for e in range(width):
                trace_mechanical_mw[row, a, e] = f_high * valve_mw[a, e] + (1.0 - f_high) * reheat_mw[a, e]


@numba.njit(cache=True, error_model="numpy")
def _gather(
    n_env: int | None,
    df_hz: FloatArray,
    weight: float,
    second_moment_hz2: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
) -> None:
    """Take one step into extremes and second moments, of these the lower triangle."""
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    for a in range(n_group):
        for e in range(width):
            df_min_hz[a, e] = min(df_min_hz[a, e], df_hz[a, e])
            df_max_hz[a, e] = max(df_max_hz[a, e], df_hz[a, e])
        for b in range(a + 1):
            for e in range(width):
                second_moment_hz2[a, b, e] += weight * df_hz[a, e] * df_hz[b, e]


@numba.njit(cache=True, error_model="numpy")
def _add_product(n_env: int | None, matrix: FloatArray, vector: FloatArray, out: FloatArray) -> None:
    """out += matrix vector, three columns at a time: fewer passes over out."""
    n, width = out.shape[0], _width(n_env, out.shape[1])
    whole = n - n % 3
    for a in range(n):
        for b in range(0, whole, 3):
            for e in range(width):
                out[a, e] += (
                    matrix[a, b, e] * vector[b, e] + matrix[a, b + 1, e] * vector[b + 1, e]
                ) + matrix[a, b + 2, e] * vector[b + 2, e]
        if n - whole == 2:
            for e in range(width):
                out[a, e] += matrix[a, n - 2, e] * vector[n - 2, e] + matrix[a, n - 1, e] * vector[n - 1, e]
        elif n - whole == 1:
            for e in range(width):
                out[a, e] += matrix[a, n - 1, e] * vector[n - 1, e]


@numba.njit(cache=True, error_model="numpy")
def _subtract_product(n_env: int | None, matrix: FloatArray, vector: FloatArray, out: FloatArray) -> None:
    """out -= matrix vector, three columns at a time: fewer passes over out."""
    n, width = out.shape[0], _width(n_env, out.shape[1])
    whole = n - n % 3
    for a in range(n):
        for b in range(0, whole, 3):
            for e in range(width):
                out[a, e] -= (
                    matrix[a, b, e] * vector[b, e] + matrix[a, b + 1, e] * vector[b + 1, e]
                ) + matrix[a, b + 2, e] * vector[b + 2, e]
        if n - whole == 2:
            for e in range(width):
                out[a, e] -= matrix[a, n - 2, e] * vector[n - 2, e] + matrix[a, n - 1, e] * vector[n - 1, e]
        elif n - whole == 1:
            for e in range(width):
                out[a, e] -= matrix[a, n - 1, e] * vector[n - 1, e]


@numba.njit(cache=True, error_model="numpy")
def integrate_groups(
    n_env: int | None,
    df_hz: FloatArray,
    theta_rad: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    lagged_mw: FloatArray,
    p_start_mw: FloatArray,
    p_end_mw: FloatArray,
    set_point_start_mw: FloatArray,
    set_point_end_mw: FloatArray,
    inertia_mws_per_hz: FloatArray,
    damping_mw_per_hz: FloatArray,
    synchronising_mw_per_rad: FloatArray,
    exchange_mw: FloatArray,
    gain_mw_per_hz: FloatArray,
    limit_up_mw: FloatArray,
    limit_down_mw: FloatArray,
    rate_mw_per_s: FloatArray,
    dead_band_hz: FloatArray,
    lag_s: FloatArray,
    t_valve_s: float,
    t_reheat_s: float,
    high_pressure_fraction: float,
    tie_damping_s: float,
    dt_s: float,
    n_steps: int,
    mean_weight: float,
    second_moment_hz2: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
    trace_hz: FloatArray,
    trace_mechanical_mw: FloatArray,
) -> None:
    """Move the groups of every environment on by n_steps x dt_s; environments are the LAST axis here.

    Powers follow straight lines between their values at the two ends of the span. Resources follow their
    set-points with a first-order lag, advanced exactly for a straight-line set-point.

    Args (all arrays float64 and contiguous; *changed in place*):
        n_env: see `compiled_width`.
        df_hz: *frequency deviation [Hz], [group, env].
        theta_rad: *group angle since the last power flow [rad], [group, env].
        valve_mw, reheat_mw: *governor valve and reheater state [MW], [group, env].
        lagged_mw: *output of the resources by kind of lag [MW], [lag, group, env].
        p_start_mw, p_end_mw: schedule + renewables - load at 60 Hz - losses - net export at the last power flow
            [MW] at the two ends of the span, [group, env].
        set_point_start_mw, set_point_end_mw: resources' set-points [MW], [lag, group, env].
        inertia_mws_per_hz: M [MW s/Hz], [group, env]; damping_mw_per_hz: D [MW/Hz], [group, env].
        synchronising_mw_per_rad: T, d(net export of a)/d(angle of b), symmetric, rows sum to zero, [group, group, env].
        exchange_mw: *filled with T theta at the end of the span [MW], [group, env].
        gain_mw_per_hz, limit_up_mw, limit_down_mw, rate_mw_per_s: governors of the group together, [group, env].
        dead_band_hz: [env]; lag_s: [lag].
        mean_weight: weight of one step in the means, one over the steps of the whole interval.
        second_moment_hz2: *mean over the steps of f_a f_b is added here [Hz^2], lower triangle, [group, group, env].
        df_min_hz, df_max_hz: *extremes, widened by this span [Hz], [group, env].
        trace_hz, trace_mechanical_mw: *values at steps 0..n_steps, [step, group, env]; length 0 to skip.
    """
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    decay_valve, decay_reheat = np.exp(-dt_s / t_valve_s), np.exp(-dt_s / t_reheat_s)
    decay_lag, half_lag = _decays(lag_s, dt_s), _decays(lag_s, 0.5 * dt_s)
    line_start_mw, line_end_mw = p_start_mw.copy(), p_end_mw.copy()
    gap_mw, straight_mw = _follow(
        n_env,
        lagged_mw,
        set_point_start_mw,
        set_point_end_mw,
        lag_s,
        n_steps * dt_s,
        line_start_mw,
        line_end_mw,
    )
    f_high = high_pressure_fraction
    turn = np.pi * dt_s
    lead = 2.0 * np.pi * tie_damping_s

    system = np.empty((n_group, n_group, width))
    for a in range(n_group):
        for b in range(n_group):
            for e in range(width):
                system[a, b, e] = 0.5 * lead * synchronising_mw_per_rad[a, b, e]
        for e in range(width):
            system[a, a, e] += inertia_mws_per_hz[a, e] / dt_s + 0.5 * damping_mw_per_hz[a, e]
    inverse = _inverse(n_env, system)

    p = np.empty((n_group, width))
    pull = np.empty((n_group, width))
    _note(n_env, 0, df_hz, valve_mw, reheat_mw, f_high, trace_hz, trace_mechanical_mw)
    for step in range(n_steps):
        _drive(
            n_env,
            step,
            n_steps,
            dt_s,
            df_hz,
            valve_mw,
            reheat_mw,
            gap_mw,
            line_start_mw,
            line_end_mw,
            damping_mw_per_hz,
            gain_mw_per_hz,
            limit_up_mw,
            limit_down_mw,
            rate_mw_per_s,
            dead_band_hz,
            decay_valve,
            decay_reheat,
            decay_lag,
            half_lag,
            f_high,
            p,
        )
        for a in range(n_group):
            for e in range(width):
                theta_rad[a, e] += turn * df_hz[a, e]
                pull[a, e] = theta_rad[a, e] + lead * df_hz[a, e]
        _subtract_product(n_env, synchronising_mw_per_rad, pull, p)
        _add_product(n_env, inverse, p, df_hz)
        for a in range(n_group):
            for e in range(width):
                theta_rad[a, e] += turn * df_hz[a, e]
        _gather(n_env, df_hz, mean_weight, second_moment_hz2, df_min_hz, df_max_hz)
        _note(n_env, step + 1, df_hz, valve_mw, reheat_mw, f_high, trace_hz, trace_mechanical_mw)
    lagged_mw[:] = straight_mw + gap_mw
    for a in range(n_group):
        for e in range(width):
            exchange_mw[a, e] = 0.0
        for b in range(n_group):
            for e in range(width):
                exchange_mw[a, e] += synchronising_mw_per_rad[a, b, e] * theta_rad[b, e]


@numba.njit(cache=True, error_model="numpy")
def integrate_machines(
    n_env: int | None,
    df_hz: FloatArray,
    theta_rad: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    lagged_mw: FloatArray,
    p_start_mw: FloatArray,
    p_end_mw: FloatArray,
    set_point_start_mw: FloatArray,
    set_point_end_mw: FloatArray,
    inertia_mws_per_hz: FloatArray,
    damping_mw_per_hz: FloatArray,
    in_phase_mw: FloatArray,
    quadrature_mw: FloatArray,
    exchange_mw: FloatArray,
    gain_mw_per_hz: FloatArray,
    limit_up_mw: FloatArray,
    limit_down_mw: FloatArray,
    rate_mw_per_s: FloatArray,
    dead_band_hz: FloatArray,
    lag_s: FloatArray,
    t_valve_s: float,
    t_reheat_s: float,
    high_pressure_fraction: float,
    tie_damping_s: float,
    dt_s: float,
    n_steps: int,
    mean_weight: float,
    second_moment_hz2: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
    trace_hz: FloatArray,
    trace_mechanical_mw: FloatArray,
) -> None:
    """Move single machines on by n_steps x dt_s; a group is a machine here. Arguments as in `integrate_groups`, but

        in_phase_mw, quadrature_mw: C and S of the module's text, for theta as it stands at the start of the span,
            [machine, machine, env]. Rows and columns of machines out of service are zero.
        exchange_mw: *filled with P_i(theta) - P_i(0) at the end of the span, [machine, env].

    A machine out of service needs an inertia above zero and no power; it then stays where it is.
    """
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    decay_valve, decay_reheat = np.exp(-dt_s / t_valve_s), np.exp(-dt_s / t_reheat_s)
    decay_lag, half_lag = _decays(lag_s, dt_s), _decays(lag_s, 0.5 * dt_s)
    line_start_mw, line_end_mw = p_start_mw.copy(), p_end_mw.copy()
    gap_mw, straight_mw = _follow(
        n_env,
        lagged_mw,
        set_point_start_mw,
        set_point_end_mw,
        lag_s,
        n_steps * dt_s,
        line_start_mw,
        line_end_mw,
    )
    f_high = high_pressure_fraction
    turn = np.pi * dt_s
    lead = 2.0 * np.pi * tie_damping_s
    theta_rad[:] = 0.0
    anchor = np.empty((n_group, width))
    network_power(n_env, in_phase_mw, quadrature_mw, theta_rad, anchor)

    p, power, angle = np.empty((n_group, width)), np.empty((n_group, width)), np.empty((n_group, width))
    sine, cosine = np.empty((n_group, width)), np.empty((n_group, width))
    real, imaginary = np.empty(width), np.empty(width)
    yielding = 1.0 / (inertia_mws_per_hz / dt_s + 0.5 * damping_mw_per_hz)
    # Growth of the frequency in the last step and the one before; at the start as if the present push had lasted.
    growth = p_start_mw + high_pressure_fraction * valve_mw + (1.0 - high_pressure_fraction) * reheat_mw
    growth -= damping_mw_per_hz * df_hz
    for k in range(lag_s.size):
        growth += lagged_mw[k]
    growth *= yielding
    earlier = growth.copy()
    correction = turn / 6.0  # h^2 / 12 times 2 pi / h
    _note(n_env, 0, df_hz, valve_mw, reheat_mw, f_high, trace_hz, trace_mechanical_mw)
    for step in range(n_steps):
        _drive(
            n_env,
            step,
            n_steps,
            dt_s,
            df_hz,
            valve_mw,
            reheat_mw,
            gap_mw,
            line_start_mw,
            line_end_mw,
            damping_mw_per_hz,
            gain_mw_per_hz,
            limit_up_mw,
            limit_down_mw,
            rate_mw_per_s,
            dead_band_hz,
            decay_valve,
            decay_reheat,
            decay_lag,
            half_lag,
            f_high,
            p,
        )
        for a in range(n_group):
            for e in range(width):
                theta_rad[a, e] += turn * df_hz[a, e]
                coming = 2.0 * growth[a, e] - earlier[a, e]
                ahead = lead * (df_hz[a, e] + 0.5 * coming) + correction * coming
                angle[a, e] = theta_rad[a, e] + ahead
        _sine_and_cosine(n_env, angle, sine, cosine)
        _accumulate_power(n_env, in_phase_mw, quadrature_mw, sine, cosine, real, imaginary, power)
        for a in range(n_group):
            for e in range(width):
                earlier[a, e] = growth[a, e]
                growth[a, e] = (p[a, e] - (power[a, e] - anchor[a, e])) * yielding[a, e]
                df_hz[a, e] += growth[a, e]
                theta_rad[a, e] += turn * df_hz[a, e]
        _gather(n_env, df_hz, mean_weight, second_moment_hz2, df_min_hz, df_max_hz)
        _note(n_env, step + 1, df_hz, valve_mw, reheat_mw, f_high, trace_hz, trace_mechanical_mw)
    lagged_mw[:] = straight_mw + gap_mw
    network_power(n_env, in_phase_mw, quadrature_mw, theta_rad, exchange_mw)
    for a in range(n_group):
        for e in range(width):
            exchange_mw[a, e] -= anchor[a, e]
