"""Fixed-step integrators of the swing equations, compiled.

Staggered leapfrog, second order, one evaluation a step. Frequency lives at whole steps; rotor angle, valve and
turbine live half a step later, so that every right-hand side is taken at the middle of the step it drives:

    valve     g(n+1/2) = e_v g(n-1/2) + (1 - e_v) u(f(n)),      e_v = exp(-h / T_valve)
    reheater  x(n+1/2) = e_r x(n-1/2) + (1 - e_r) [g(n-1/2) + g(n+1/2)] / 2
    angle     theta(n+1/2) = theta(n) + pi h f(n)
    frequency [M/h + (D + K)/2] (f(n+1) - f(n)) = p(n+1/2) - T theta(n+1/2) - (D + K) f(n)
    angle     theta(n+1) = theta(n+1/2) + pi h f(n+1)

Load damping D and tie damping K enter as the mean of both ends (Crank-Nicolson), the synchronising power T theta
explicitly. The scheme is time-symmetric for the undamped swing, so that it neither damps nor feeds an oscillation;
it is stable while the fastest mode has omega h < 2 (0.02 s holds up to 15.9 Hz).

The inner loop runs over the environments, which the compiler turns into vector instructions. Nothing is summed
across environments and no operation is re-associated, so a result does not depend on the size of its batch.
"""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import FloatArray

__all__ = ["integrate_areas"]


@numba.njit(cache=True, error_model="numpy")
def _inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a batch of small symmetric positive definite matrices, [row, column, env], by Gauss-Jordan."""
    n, _, n_env = matrix.shape
    a = matrix.copy()
    inverse = np.zeros_like(matrix)
    for i in range(n):
        for e in range(n_env):
            inverse[i, i, e] = 1.0
    for i in range(n):
        for k in range(n):
            if k == i:
                for c in range(n):
                    if c != i:
                        for e in range(n_env):
                            a[i, c, e] /= a[i, i, e]
                    for e in range(n_env):
                        inverse[i, c, e] /= a[i, i, e]
                for e in range(n_env):
                    a[i, i, e] = 1.0
        for k in range(n):
            if k != i:
                for c in range(n):
                    if c != i:
                        for e in range(n_env):
                            a[k, c, e] -= a[k, i, e] * a[i, c, e]
                    for e in range(n_env):
                        inverse[k, c, e] -= a[k, i, e] * inverse[i, c, e]
                for e in range(n_env):
                    a[k, i, e] = 0.0
    return inverse


@numba.njit(cache=True, error_model="numpy")
def integrate_areas(
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
    """Move the areas of every environment on by n_steps x dt_s; environments are the LAST axis here.

    Powers follow straight lines between their values at the two ends of the span. Resources follow their
    set-points with a first-order lag, advanced exactly for a straight-line set-point.

    Args (all arrays float64 and contiguous; *changed in place*):
        df_hz: *frequency deviation [Hz], [area, env].
        theta_rad: *area angle since the last power flow [rad], [area, env].
        valve_mw, reheat_mw: *governor valve and reheater state [MW], [area, env].
        lagged_mw: *output of the resources by kind of lag [MW], [lag, area, env].
        p_start_mw, p_end_mw: schedule + renewables - load at 60 Hz - losses - net export at the last power flow
            [MW] at the two ends of the span, [area, env].
        set_point_start_mw, set_point_end_mw: resources' set-points [MW], [lag, area, env].
        inertia_mws_per_hz: M [MW s/Hz], [area, env]; damping_mw_per_hz: D [MW/Hz], [area, env].
        synchronising_mw_per_rad: T, d(net export of a)/d(angle of b), symmetric, rows sum to zero, [area, area, env].
        gain_mw_per_hz, limit_up_mw, limit_down_mw, rate_mw_per_s: governors of the area together, [area, env].
        dead_band_hz: [env]; lag_s: [lag].
        mean_weight: weight of one step in the means, one over the steps of the whole interval.
        second_moment_hz2: *mean over the steps of f_a f_b is added here [Hz^2], lower triangle, [area, area, env].
        df_min_hz, df_max_hz: *extremes, widened by this span [Hz], [area, env].
        trace_hz, trace_mechanical_mw: *values at steps 0..n_steps, [step, area, env]; length 0 to skip.
    """
    n_area, n_env = df_hz.shape
    n_lag = lag_s.size
    decay_valve = np.exp(-dt_s / t_valve_s)
    decay_reheat = np.exp(-dt_s / t_reheat_s)
    f_high = high_pressure_fraction
    turn = np.pi * dt_s
    tie = 2.0 * np.pi * tie_damping_s
    h_over = 1.0 / dt_s

    system = np.empty((n_area, n_area, n_env))
    for a in range(n_area):
        for b in range(n_area):
            for e in range(n_env):
                system[a, b, e] = 0.5 * tie * synchronising_mw_per_rad[a, b, e]
        for e in range(n_env):
            system[a, a, e] += inertia_mws_per_hz[a, e] * h_over + 0.5 * damping_mw_per_hz[a, e]
    inverse = _inverse(system)

    decay_lag = np.empty(n_lag)
    half_lag = np.empty(n_lag)  # from whole to half step, for the power at the middle of a step
    for k in range(n_lag):
        decay_lag[k] = np.exp(-dt_s / lag_s[k])
        half_lag[k] = np.exp(-0.5 * dt_s / lag_s[k])
    span_s = n_steps * dt_s
    keep_trace = trace_hz.shape[0] > 0
    p = np.empty((n_area, n_env))
    pull = np.empty((n_area, n_env))
    if keep_trace:
        for a in range(n_area):
            for e in range(n_env):
                trace_hz[0, a, e] = df_hz[a, e]
                trace_mechanical_mw[0, a, e] = f_high * valve_mw[a, e] + (1.0 - f_high) * reheat_mw[a, e]
    for step in range(n_steps):
        t_mid = (step + 0.5) / n_steps
        for a in range(n_area):
            for e in range(n_env):
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
                line = p_start_mw[a, e] + (p_end_mw[a, e] - p_start_mw[a, e]) * t_mid
                p[a, e] = line + governor - damping_mw_per_hz[a, e] * f
                theta_rad[a, e] += turn * f
                pull[a, e] = theta_rad[a, e] + tie * f
        for k in range(n_lag):
            for a in range(n_area):
                for e in range(n_env):
                    slope = (set_point_end_mw[k, a, e] - set_point_start_mw[k, a, e]) / span_s
                    # T dx/dt = u - x with u = u0 + s t has x = u - s T + (x0 - u0 + s T) exp(-t/T).
                    behind = slope * lag_s[k]
                    u0 = set_point_start_mw[k, a, e] + slope * (step * dt_s)
                    gap = lagged_mw[k, a, e] - u0 + behind
                    p[a, e] += u0 + slope * (0.5 * dt_s) - behind + gap * half_lag[k]
                    lagged_mw[k, a, e] = u0 + slope * dt_s - behind + gap * decay_lag[k]
        for a in range(n_area):
            for b in range(n_area):
                for e in range(n_env):
                    p[a, e] -= synchronising_mw_per_rad[a, b, e] * pull[b, e]
        for a in range(n_area):
            for b in range(n_area):
                for e in range(n_env):
                    df_hz[a, e] += inverse[a, b, e] * p[b, e]
        for a in range(n_area):
            for e in range(n_env):
                f = df_hz[a, e]
                theta_rad[a, e] += turn * f
                df_min_hz[a, e] = min(df_min_hz[a, e], f)
                df_max_hz[a, e] = max(df_max_hz[a, e], f)
            for b in range(a + 1):
                for e in range(n_env):
                    second_moment_hz2[a, b, e] += mean_weight * df_hz[a, e] * df_hz[b, e]
        if keep_trace:
            for a in range(n_area):
                for e in range(n_env):
                    trace_hz[step + 1, a, e] = df_hz[a, e]
                    trace_mechanical_mw[step + 1, a, e] = (
                        f_high * valve_mw[a, e] + (1.0 - f_high) * reheat_mw[a, e]
                    )
