"""Fixed-step integrators of the swing equations, compiled.

Staggered leapfrog, second order, one evaluation a step. Frequency lives at whole steps; rotor angle, valve and
turbine live half a step later, so that every right-hand side is taken at the middle of the step it drives:

    valve     g(n+1/2) = e_v g(n-1/2) + (1 - e_v) u(f(n)),      e_v = exp(-h / T_valve)
    reheater  x(n+1/2) = e_r x(n-1/2) + (1 - e_r) [g(n-1/2) + g(n+1/2)] / 2
    angle     theta(n+1/2) = theta(n) + pi h f(n)
    frequency M/h (f(n+1) - f(n)) = p(n+1/2) - synchronising power(n+1/2) - damping(n+1/2)
    angle     theta(n+1) = theta(n+1/2) + pi h f(n+1)

`integrate_groups` serves areas and the centre of inertia. Their synchronising power is linear, T theta, and load
damping D and tie damping K enter as the mean of both ends (Crank-Nicolson): [M/h + (D + K)/2] is inverted once a call.

`integrate_machines` serves single machines. Their synchronising power is what the machines' internal voltages drive
through the reduced network,

    P_i(theta) - P_i(0),     P_i(theta) = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)]

from the sines and cosines of the 16 angles by the addition theorem. Tie damping is the same power at angles that
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
from grid_model.kernels.linear_algebra import _add_product, _inverse, _subtract_product
from grid_model.kernels.over_frequency import calm_below_threshold, curtail
from grid_model.kernels.storage_response import respond
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    PrimaryControl,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)
from grid_model.kernels.unit_limits import calm_within_units, keep_within_units

__all__ = ["integrate_groups"]


@compiled
def integrate_groups(
    n_env: int | None,
    n_steps: int,
    swing: SwingVariables,
    drive: Drive,
    parameters: SwingParameters,
    synchronising_mw_per_rad: FloatArray,
    constants: SwingConstants,
    record: IntervalRecord,
    control: PrimaryControl | None = None,
) -> None:
    """Move the groups of every environment on by n_steps x dt_s; environments are the LAST axis here.

    Powers follow straight lines between their values at the two ends of the macro step. Resources follow their
    set-points with a first-order lag, advanced exactly for a straight-line set-point.

    Args (all arrays float64 and contiguous):
        n_env: see `compiled_width`.
        swing: changed in place; `synchronising_mw` is filled with T theta at the end of the macro step.
        drive: between its two ends; `lagged_mw` is changed in place.
        parameters: of the groups.
        synchronising_mw_per_rad: T with the losses, d(power sent out by a)/d(angle of b), rows sum to zero,
            [group, group, n].
        constants: of the integration.
        record: moments are added to, extremes widened, traces filled from their first row on.
        control: what answers frequency besides governors as designed, changed in place.
    """
    df_hz, theta_rad, synchronising_mw = swing.df_hz, swing.theta_rad, swing.synchronising_mw
    inertia_mws_per_hz, damping_mw_per_hz = parameters.inertia_mws_per_hz, drive.damping_mw_per_hz
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

    system = np.empty((n_group, n_group, width))
    for a in range(n_group):
        for b in range(n_group):
            for e in range(width):
                system[a, b, e] = 0.5 * lead * synchronising_mw_per_rad[a, b, e]
        for e in range(width):
            system[a, a, e] += inertia_mws_per_hz[a, e] / dt_s + 0.5 * damping_mw_per_hz[a, e]
    inverse = _inverse(n_env, system)

    p_mw = np.empty((n_group, width))
    pull = np.empty((n_group, width))
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
                pull[a, e] = theta_rad[a, e] + lead * df_hz[a, e]
        _subtract_product(n_env, synchronising_mw_per_rad, pull, p_mw)
        _add_product(n_env, inverse, p_mw, df_hz)
        for a in range(n_group):
            for e in range(width):
                theta_rad[a, e] += turn * df_hz[a, e]
        gather_step(n_env, df_hz, constants.mean_weight, record)
        trace_step(n_env, step + 1, swing, record, f_high)
    end_lags(profile, drive.lagged_mw)
    for a in range(n_group):
        for e in range(width):
            synchronising_mw[a, e] = 0.0
        for b in range(n_group):
            for e in range(width):
                synchronising_mw[a, e] += synchronising_mw_per_rad[a, b, e] * theta_rad[b, e]
