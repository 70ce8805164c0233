"""Swing equations of single machines behind the reduced network."""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import FloatArray
from grid_model.kernels.leapfrog import _decays, _drive, _follow, _gather, _note, _width
from grid_model.kernels.linear_algebra import _sine_and_cosine

__all__ = ["integrate_machines", "network_power"]


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

        in_phase_mw, quadrature_mw: C and S of the module's text, for theta as it stands at the start of the macro step,
            [machine, machine, env]. Rows and columns of machines out of service are zero.
        exchange_mw: *filled with P_i(theta) - P_i(0) at the end of the macro step, [machine, env].

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
