"""What the integrators share: driving powers, lags and governors at each step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)

__all__ = [
    "DriveProfile",
    "ask_governors",
    "compiled_width",
    "drive_profile",
    "drive_step",
    "end_lags",
    "gather_step",
    "trace_step",
]


def compiled_width(n_env: int) -> int | None:
    """Number of environments as the functions of this module take it: None for one, which is compiled apart."""
    return None if n_env == 1 else n_env


@compiled
def _width(n_env: int | None, length: int) -> int:
    """Length of the last axis: known when compiling if n_env is None, so that loops over one environment vanish."""
    if n_env is None:
        return 1
    return length


class DriveProfile(NamedTuple):
    """Straight lines, decays and gaps of a macro step, worked out once for all its steps."""

    line_start_mw: (
        FloatArray  # what drives the groups at both ends, straight part of the resources included, [group, n]
    )
    line_end_mw: FloatArray
    gap_mw: FloatArray  # of the resources to their straight part; decays, [lag, group, n]
    straight_end_mw: FloatArray  # straight part of the resources at the end, [lag, group, n]
    decay_valve: float  # of each lag over a step
    decay_reheat: float
    decay_lag: FloatArray  # [lag]
    half_lag: FloatArray  # over half a step, [lag]


@compiled
def drive_profile(n_env: int | None, n_steps: int, drive: Drive, constants: SwingConstants) -> DriveProfile:
    """Split resources that follow straight lines into straight lines, added to what drives the groups, and gaps.

    T dx/dt = u - x with u = u0 + s t has x = (u0 - s T + s t) + (x0 - u0 + s T) exp(-t/T).
    """
    lagged_mw, lag_s, dt_s = drive.lagged_mw, constants.lag_s, constants.dt_s
    set_point_start_mw, set_point_end_mw = drive.set_point_start_mw, drive.set_point_end_mw
    n_lag, n_group, width = lagged_mw.shape[0], lagged_mw.shape[1], _width(n_env, lagged_mw.shape[2])
    length_s = n_steps * dt_s
    line_start_mw, line_end_mw = drive.p_start_mw.copy(), drive.p_end_mw.copy()
    gap_mw, end_mw = np.empty_like(lagged_mw), np.empty_like(lagged_mw)
    for k in range(n_lag):
        for a in range(n_group):
            for e in range(width):
                behind = (set_point_end_mw[k, a, e] - set_point_start_mw[k, a, e]) / length_s * lag_s[k]
                start = set_point_start_mw[k, a, e] - behind
                end_mw[k, a, e] = set_point_end_mw[k, a, e] - behind
                gap_mw[k, a, e] = lagged_mw[k, a, e] - start
                line_start_mw[a, e] += start
                line_end_mw[a, e] += end_mw[k, a, e]
    return DriveProfile(
        line_start_mw,
        line_end_mw,
        gap_mw,
        end_mw,
        np.exp(-dt_s / constants.t_valve_s),
        np.exp(-dt_s / constants.t_reheat_s),
        _decays(lag_s, dt_s),
        _decays(lag_s, 0.5 * dt_s),
    )


@compiled
def ask_governors(
    n_env: int | None,
    df_hz: FloatArray,
    parameters: SwingParameters,
    low_hz: FloatArray,
    high_hz: FloatArray,
    p_mw: FloatArray,
) -> bool:
    """Fill in what each group's governors ask for at these deviations, by their gains and limits together, [group, n].

    Returns:
        Whether any frequency is outside the range from low_hz to high_hz, [group, n].
    """
    gain_mw_per_hz, dead_band_hz = parameters.gain_mw_per_hz, parameters.dead_band_hz
    limit_up_mw, limit_down_mw = parameters.limit_up_mw, parameters.limit_down_mw
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    outside = False
    for a in range(n_group):
        for e in range(width):
            f = df_hz[a, e]
            outside |= f < low_hz[a, e] or f > high_hz[a, e]
            beyond = max(f - dead_band_hz[e], 0.0) + min(f + dead_band_hz[e], 0.0)
            p_mw[a, e] = min(max(-gain_mw_per_hz[a, e] * beyond, -limit_down_mw[a, e]), limit_up_mw[a, e])
    return outside


@compiled
def drive_step(
    n_env: int | None,
    fraction: float,
    swing: SwingVariables,
    profile: DriveProfile,
    damping_mw_per_hz: FloatArray,
    rate_mw_per_s: FloatArray,
    constants: SwingConstants,
    p_mw: FloatArray,
) -> None:
    """Move valves, reheaters and gaps over one step, whose middle is at a fraction of the macro step.

    p_mw, what governors ask for, becomes what drives the step's middle, less D f, [group, n]. No other kernel is called
    in here: numba would count references to every array in the arguments, 0.4 us a step.
    """
    df_hz, valve_mw, reheat_mw = swing.df_hz, swing.valve_mw, swing.reheat_mw
    line_start_mw, line_end_mw, gap_mw = profile.line_start_mw, profile.line_end_mw, profile.gap_mw
    decay_valve, decay_reheat = profile.decay_valve, profile.decay_reheat
    decay_lag, half_lag = profile.decay_lag, profile.half_lag
    f_high, dt_s = constants.high_pressure_fraction, constants.dt_s
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    for a in range(n_group):
        for e in range(width):
            target = p_mw[a, e]
            before = valve_mw[a, e]
            move = (1.0 - decay_valve) * (target - before)
            most = rate_mw_per_s[a, e] * dt_s
            after = before + min(max(move, -most), most)
            x = decay_reheat * reheat_mw[a, e] + (1.0 - decay_reheat) * 0.5 * (before + after)
            valve_mw[a, e] = after
            reheat_mw[a, e] = x
            governor = f_high * after + (1.0 - f_high) * x
            line = line_start_mw[a, e] + (line_end_mw[a, e] - line_start_mw[a, e]) * fraction
            p_mw[a, e] = line + governor - damping_mw_per_hz[a, e] * df_hz[a, e]
    for k in range(gap_mw.shape[0]):
        for a in range(n_group):
            for e in range(width):
                p_mw[a, e] += gap_mw[k, a, e] * half_lag[k]
                gap_mw[k, a, e] *= decay_lag[k]


@compiled
def end_lags(profile: DriveProfile, lagged_mw: FloatArray) -> None:
    """Outputs of the resources at the macro step's end, lagged_mw [lag, group, n]."""
    straight_end_mw, gap_mw = profile.straight_end_mw, profile.gap_mw
    for k in range(lagged_mw.shape[0]):
        for a in range(lagged_mw.shape[1]):
            for e in range(lagged_mw.shape[2]):
                lagged_mw[k, a, e] = straight_end_mw[k, a, e] + gap_mw[k, a, e]


@compiled
def _decays(lag_s: FloatArray, dt_s: float) -> FloatArray:
    """exp(-dt / T) of each lag; an array of its own, since a scalar loop and a vector one may round differently."""
    decay = np.empty(lag_s.size)
    for k in range(lag_s.size):
        decay[k] = np.exp(-dt_s / lag_s[k])
    return decay


@compiled
def trace_step(
    n_env: int | None, row: int, swing: SwingVariables, record: IntervalRecord, high_pressure_fraction: float
) -> None:
    """Write one row of each trace, unless it has length 0."""
    df_hz, valve_mw, reheat_mw = swing.df_hz, swing.valve_mw, swing.reheat_mw
    trace_hz, trace_mechanical_mw = record.trace_hz, record.trace_mechanical_mw
    f_high = high_pressure_fraction
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    if trace_hz.shape[0] > 0:
        for a in range(n_group):
            for e in range(width):
                trace_hz[row, a, e] = df_hz[a, e]
    if trace_mechanical_mw.shape[0] > 0:
        for a in range(n_group):
            for e in range(width):
                trace_mechanical_mw[row, a, e] = f_high * valve_mw[a, e] + (1.0 - f_high) * reheat_mw[a, e]


@compiled
def gather_step(n_env: int | None, df_hz: FloatArray, weight: float, record: IntervalRecord) -> None:
    """Take one step into extremes and second moments, of these the lower triangle."""
    second_moment_hz2, df_min_hz, df_max_hz = record.second_moment_hz2, record.df_min_hz, record.df_max_hz
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    for a in range(n_group):
        for e in range(width):
            df_min_hz[a, e] = min(df_min_hz[a, e], df_hz[a, e])
            df_max_hz[a, e] = max(df_max_hz[a, e], df_hz[a, e])
        for b in range(a + 1):
            for e in range(width):
                second_moment_hz2[a, b, e] += weight * df_hz[a, e] * df_hz[b, e]
