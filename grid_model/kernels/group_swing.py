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
from grid_model.kernels.leapfrog import _decays, _drive, _follow, _gather, _note, _width
from grid_model.kernels.linear_algebra import _add_product, _inverse, _subtract_product

__all__ = ["integrate_groups"]


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

    Powers follow straight lines between their values at the two ends of the macro step. Resources follow their
    set-points with a first-order lag, advanced exactly for a straight-line set-point.

    Args (all arrays float64 and contiguous; *changed in place*):
        n_env: see `compiled_width`.
        df_hz: *frequency deviation [Hz], [group, env].
        theta_rad: *group angle since the last power flow [rad], [group, env].
        valve_mw, reheat_mw: *governor valve and reheater state [MW], [group, env].
        lagged_mw: *output of the resources by kind of lag [MW], [lag, group, env].
        p_start_mw, p_end_mw: schedule + renewables - load at 60 Hz - losses - net export at the last power flow
            [MW] at the two ends of the macro step, [group, env].
        set_point_start_mw, set_point_end_mw: resources' set-points [MW], [lag, group, env].
        inertia_mws_per_hz: M [MW s/Hz], [group, env]; damping_mw_per_hz: D [MW/Hz], [group, env].
        synchronising_mw_per_rad: T, d(net export of a)/d(angle of b), symmetric, rows sum to zero, [group, group, env].
        exchange_mw: *filled with T theta at the end of the macro step [MW], [group, env].
        gain_mw_per_hz, limit_up_mw, limit_down_mw, rate_mw_per_s: governors of the group together, [group, env].
        dead_band_hz: [env]; lag_s: [lag].
        mean_weight: weight of one step in the means, one over the steps of the whole interval.
        second_moment_hz2: *mean over the steps of f_a f_b is added here [Hz^2], lower triangle, [group, group, env].
        df_min_hz, df_max_hz: *extremes, widened by this macro step [Hz], [group, env].
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
