"""Swing equations of single machines behind the reduced network."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.leapfrog import (
    _width,
    ask_governors,
    drive_profile,
    drive_step,
    end_lags,
    gather_step,
    trace_step,
)
from grid_model.kernels.linear_algebra import _sine_and_cosine
from grid_model.kernels.over_frequency import calm_below_threshold, curtail
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

__all__ = ["integrate_machines", "network_power"]


@compiled
def _accumulate_power(
    n_env: int | None,
    reduced: ReducedNetwork,
    sine: FloatArray,
    cosine: FloatArray,
    real: FloatArray,
    imaginary: FloatArray,
    power_mw: FloatArray,
) -> None:
    """power[i] = cos_i sum_j (C cos_j - S sin_j) + sin_i sum_j (C sin_j + S cos_j)."""
    conductance_mw, susceptance_mw = reduced.conductance_mw, reduced.susceptance_mw
    n, width = power_mw.shape[0], _width(n_env, power_mw.shape[1])
    for i in range(n):
        for e in range(width):
            real[e] = 0.0
            imaginary[e] = 0.0
        for j in range(n):
            for e in range(width):
                c, s = conductance_mw[i, j, e], susceptance_mw[i, j, e]
                real[e] += c * cosine[j, e] - s * sine[j, e]
                imaginary[e] += c * sine[j, e] + s * cosine[j, e]
        for e in range(width):
            power_mw[i, e] = cosine[i, e] * real[e] + sine[i, e] * imaginary[e]


@compiled
def network_power(
    n_env: int | None,
    reduced: ReducedNetwork,
    theta_rad: FloatArray,
    power_mw: FloatArray,
) -> None:
    """P_i(theta) of the machines through the reduced network [MW].

    Args:
        n_env: see `compiled_width`.
        reduced: C and S [MW], see `grid_model.kernels.group_swing`.
        theta_rad: turn of each rotor since C and S were taken [rad], [machine, env].
        power_mw: filled in [MW], [machine, env].
    """
    width = _width(n_env, theta_rad.shape[1])
    sine, cosine = np.empty_like(theta_rad), np.empty_like(theta_rad)
    _sine_and_cosine(n_env, theta_rad, sine, cosine)
    _accumulate_power(n_env, reduced, sine, cosine, np.empty(width), np.empty(width), power_mw)


@compiled
def integrate_machines(
    n_env: int | None,
    n_steps: int,
    swing: SwingVariables,
    drive: Drive,
    parameters: SwingParameters,
    reduced: ReducedNetwork,
    constants: SwingConstants,
    record: IntervalRecord,
    control: PrimaryControl | None = None,
) -> None:
    """Move single machines on by n_steps x dt_s; a group is a machine here. Arguments as in `integrate_groups`, but

        swing: `synchronising_mw` is filled with P_i(theta) - P_i(0) at the end of the macro step.
        reduced: C and S for the angles as they stand at the start of the macro step.

    A machine out of service needs an inertia above zero and no power; it then stays where it is.
    """
    df_hz, theta_rad, synchronising_mw = swing.df_hz, swing.theta_rad, swing.synchronising_mw
    valve_mw, reheat_mw, lagged_mw = swing.valve_mw, swing.reheat_mw, drive.lagged_mw
    damping_mw_per_hz, p_start_mw = drive.damping_mw_per_hz, drive.p_start_mw
    rate_mw_per_s, dead_band_hz = parameters.rate_mw_per_s, parameters.dead_band_hz
    dt_s, f_high = constants.dt_s, constants.high_pressure_fraction
    n_group, width = df_hz.shape[0], _width(n_env, df_hz.shape[1])
    profile = drive_profile(n_env, n_steps, drive, constants)
    storage = None if control is None else control.storage
    units = None if control is None else control.units
    over = None if control is None else control.over
    # Within this range of frequency there is nothing but governors as designed: a step need look at no more.
    low_hz, high_hz = np.full((n_group, width), -np.inf), np.full((n_group, width), np.inf)
    calm_within_units(width, units, parameters.gain_mw_per_hz, dead_band_hz, low_hz, high_hz)
    calm_below_threshold(over, high_hz)
    turn = np.pi * dt_s
    lead = 2.0 * np.pi * constants.tie_damping_s
    theta_rad[:] = 0.0
    anchor = np.empty((n_group, width))
    network_power(n_env, reduced, theta_rad, anchor)

    p_mw, power, angle = np.empty((n_group, width)), np.empty((n_group, width)), np.empty((n_group, width))
    sine, cosine = np.empty((n_group, width)), np.empty((n_group, width))
    real, imaginary = np.empty(width), np.empty(width)
    yielding = 1.0 / (parameters.inertia_mws_per_hz / dt_s + 0.5 * damping_mw_per_hz)
    # Growth of the frequency in the last step and the one before; at the start as if the present push had lasted.
    growth = p_start_mw + f_high * valve_mw + (1.0 - f_high) * reheat_mw
    growth -= damping_mw_per_hz * df_hz
    for k in range(lagged_mw.shape[0]):
        growth += lagged_mw[k]
    growth *= yielding
    earlier = growth.copy()
    correction = turn / 6.0  # h^2 / 12 times 2 pi / h
    trace_step(n_env, 0, swing, record, f_high)
    for step in range(n_steps):
        outside = ask_governors(n_env, df_hz, parameters, low_hz, high_hz, p_mw)
        if outside:
            keep_within_units(width, units, df_hz, dead_band_hz, p_mw)
        drive_step(
            n_env,
            (step + 0.5) / n_steps,
            swing,
            profile,
            damping_mw_per_hz,
            rate_mw_per_s,
            constants,
            p_mw,
        )
        respond(width, storage, df_hz, dt_s, p_mw)
        if outside:
            curtail(width, over, df_hz, p_mw)
        for a in range(n_group):
            for e in range(width):
                theta_rad[a, e] += turn * df_hz[a, e]
                coming = 2.0 * growth[a, e] - earlier[a, e]
                ahead = lead * (df_hz[a, e] + 0.5 * coming) + correction * coming
                angle[a, e] = theta_rad[a, e] + ahead
        _sine_and_cosine(n_env, angle, sine, cosine)
        _accumulate_power(n_env, reduced, sine, cosine, real, imaginary, power)
        for a in range(n_group):
            for e in range(width):
                earlier[a, e] = growth[a, e]
                growth[a, e] = (p_mw[a, e] - (power[a, e] - anchor[a, e])) * yielding[a, e]
                df_hz[a, e] += growth[a, e]
                theta_rad[a, e] += turn * df_hz[a, e]
        gather_step(n_env, df_hz, constants.mean_weight, record)
        trace_step(n_env, step + 1, swing, record, f_high)
    end_lags(profile, drive.lagged_mw)
    network_power(n_env, reduced, theta_rad, synchronising_mw)
    for a in range(n_group):
        for e in range(width):
            synchronising_mw[a, e] -= anchor[a, e]
