"""Governors within the limits of their units, and wind and sun above 60.5 Hz, against equations solved elsewhere."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from grid_model.kernels.group_swing import integrate_swing
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    OverFrequencyStep,
    PrimaryControl,
    SwingConstants,
    SwingParameters,
    SwingVariables,
    UnitLimits,
)

M_MWS_PER_HZ, D_MW_PER_HZ, DEAD_BAND_HZ = 400.0, 30.0, 0.017
GAIN_MW_PER_HZ = np.array([100.0, 50.0, 50.0])  # of three machines of one group
T_VALVE_S, T_REHEAT_S, HIGH = 0.2, 8.0, 0.3


def trace_hz(
    p_mw: float,
    *,
    up_mw: np.ndarray,
    down_mw: np.ndarray,
    curtailed_mw_per_hz: float = 0.0,
    time_s: float = 20.0,
) -> np.ndarray:
    """Deviation of one mass with three machines, [step]."""
    n_steps, zero, nothing = round(time_s / 0.02), np.zeros((1, 1)), np.zeros((0, 1, 1))
    trace = np.empty((n_steps + 1, 1, 1))
    total = GAIN_MW_PER_HZ.sum()
    with np.errstate(divide="ignore"):
        ratio = total / GAIN_MW_PER_HZ
    control = PrimaryControl(
        storage=None,
        units=UnitLimits(
            np.zeros((3, 1), dtype=np.int64),
            GAIN_MW_PER_HZ[:, None],
            up_mw[:, None],
            down_mw[:, None],
            np.array([[(up_mw * ratio).min()]]),
            np.array([[(down_mw * ratio).min()]]),
        ),
        over=OverFrequencyStep(0.5, zero + curtailed_mw_per_hz),
    )
    integrate_swing(
        n_steps,
        SwingVariables(*(zero.copy() for _ in range(5))),
        Drive(zero + p_mw, zero + p_mw, zero + D_MW_PER_HZ, nothing, nothing, nothing),
        SwingParameters(
            zero + M_MWS_PER_HZ,
            zero + total,
            zero + up_mw.sum(),
            zero + down_mw.sum(),
            zero + 1e9,
            dead_band_hz=np.full(1, DEAD_BAND_HZ),
        ),
        np.zeros((1, 1, 1)),
        None,
        SwingConstants(
            lag_s=np.zeros(0),
            t_valve_s=T_VALVE_S,
            t_reheat_s=T_REHEAT_S,
            high_pressure_fraction=HIGH,
            tie_damping_s=0.0,
            dt_s=0.02,
            mean_weight=1.0,
        ),
        IntervalRecord(np.zeros((1, 1, 1)), zero.copy(), zero.copy(), trace, np.empty_like(trace)),
        control,
    )
    return trace[:, 0, 0]


def solved_hz(p_mw: float, up_mw: np.ndarray, down_mw: np.ndarray, time_s: float) -> np.ndarray:
    """Three governors, each with its own limits, valve and reheater, by an adaptive Runge-Kutta method."""

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        f, valve, reheat = state[0], state[1:4], state[4:]
        beyond = np.sign(f) * max(abs(f) - DEAD_BAND_HZ, 0.0)
        target = np.clip(-GAIN_MW_PER_HZ * beyond, -down_mw, up_mw)
        governor = (HIGH * valve + (1.0 - HIGH) * reheat).sum()
        f_rate = (p_mw - D_MW_PER_HZ * f + governor) / M_MWS_PER_HZ
        return np.concatenate([[f_rate], (target - valve) / T_VALVE_S, (valve - reheat) / T_REHEAT_S])

    at_s = np.arange(round(time_s / 0.02) + 1) * 0.02
    return solve_ivp(slope, (0.0, time_s), np.zeros(7), t_eval=at_s, rtol=1e-9, atol=1e-11, max_step=0.02).y[
        0
    ]


@pytest.mark.parametrize("p_mw", [-60.0, 60.0])
def test_a_unit_at_its_limit_gives_no_more_and_the_others_follow_their_droop(p_mw):
    limits = np.array([5.0, 30.0, 200.0])
    exact = solved_hz(p_mw, limits, limits, 20.0)
    found = trace_hz(p_mw, up_mw=limits, down_mw=limits)
    # Second order: (h / T_valve)^2 / 12 = 8e-4 of a swing of 0.3 Hz, and corners met up to half a step late.
    np.testing.assert_allclose(found, exact, rtol=0.0, atol=3e-4)
    free = trace_hz(p_mw, up_mw=np.full(3, 1e3), down_mw=np.full(3, 1e3))
    assert np.abs(free[-1] - found[-1]) > 0.05  # the limits matter here


def test_wind_and_sun_give_way_above_their_threshold():
    """Settled: D f + G (f - 0.5) = dP, with governors that cannot close any further."""
    none = np.zeros(3)
    settled = trace_hz(40.0, up_mw=none, down_mw=none, curtailed_mw_per_hz=60.0, time_s=100.0)[-1]
    # M / (D + G) = 4 s beyond the threshold: e^-20 of 0.3 Hz is left.
    assert settled == pytest.approx((40.0 + 60.0 * 0.5) / (D_MW_PER_HZ + 60.0), abs=1e-8)
