"""What the integrators share: driving powers, lags and governors at each step."""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import FloatArray

__all__ = ["compiled_width"]


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
        Gap at the start of the macro step, and straight part at its end [MW], both [lag, group, env].
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
