"""Automatic generation control: the area control error and its PI law.

    ACE = (NI - NI_S) - 10 B Df           B < 0 [MW/0.1 Hz]
    y   = ACE behind a first-order filter and a dead band
    P   = -C y - (1/T) int y dt           what the plants on AGC are asked for [MW]

On the agents' information the grid is one area without ties, so its ACE is -10 B times the system frequency
that SCADA shows. P is split in a slow and a fast part, S = P behind a first-order lag, and shared among the classes:

    P_class = slow_class S + fast_class (P - S),     shares of both kinds sum to one

so that batteries can take what is fast and hand it over to gas plants within minutes; besides, the energy by which
batteries are away from half full is moved between them and the gas plants. Forecast feed-forward adds to P

    -G F,     F = forecast deviation of wind and sun from their schedule, 5 min ahead, behind a first-order lag

whose lag stands for those 5 minutes.

References:
    N. Jaleeli et al., Understanding automatic generation control, IEEE Trans. Power Systems 7(3), 1992.
    UCTE Operation Handbook, Policy 1 appendix: proportional factor 0 to 0.5, time constant 50 to 200 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.base import (
    DF_HZ,
    FORECAST,
    SYSTEM_DF,
    SetPoints,
    by_class,
    mean_state_of_charge,
)
from control.plants.fleet import Fleet
from control.plants.fleet_state import BESS, DR, GAS
from control.task.description import TaskDescription
from grid_model.dynamics.parameters import SwingConfig
from grid_model.power_flow.solution import governor_share

__all__ = [
    "AgcParameters",
    "PiAgc",
    "Tunable",
    "Within",
    "area_bias_mw_per_decihertz",
    "area_control_error_mw",
    "frequency_bias_mw_per_decihertz",
    "low_pass",
    "outside_dead_band",
    "pi_demand",
    "textbook_parameters",
]

Tunable = float | FloatArray  # a number for all environments, or one for each, [env]

TEXTBOOK_GAIN = 0.2
TEXTBOOK_TIME_S = 100.0


@dataclass(frozen=True)
class Within:
    """The range in which tuning may look for a parameter."""

    low: float
    high: float
    log: bool = False  # look by factors, not by differences


def area_control_error_mw(
    net_interchange_mw: FloatArray | float,
    scheduled_mw: FloatArray | float,
    df_hz: FloatArray,
    bias_mw_per_decihertz: FloatArray | float,
) -> FloatArray:
    """ACE = (NI_A - NI_S) - 10 B Df [MW]; positive when the area sends out more than it should.

    Args:
        net_interchange_mw: NI_A, export of the area [MW].
        scheduled_mw: NI_S, its scheduled export [MW].
        df_hz: Df, deviation from the scheduled frequency [Hz].
        bias_mw_per_decihertz: B, negative [MW/0.1 Hz].

    Reference:
        NERC BAL-001-2, R1, which counts B in MW per 0.1 Hz.
    """
    return (net_interchange_mw - scheduled_mw) - 10.0 * bias_mw_per_decihertz * df_hz


def low_pass(state: FloatArray, value: FloatArray, interval_s: float, time_s: Tunable) -> FloatArray:
    """First-order lag at the end of an interval through which its input stood still; no lag if time_s is 0."""
    keep = np.exp(-interval_s / np.maximum(time_s, 1e-9))
    return value + (state - value) * keep


def outside_dead_band(value: FloatArray, width: Tunable) -> FloatArray:
    """What exceeds a dead band of +-width, without a step at its edge."""
    return np.sign(value) * np.maximum(np.abs(value) - width, 0.0)


def pi_demand(
    error_mw: FloatArray,
    integral_mw: FloatArray,
    gain: Tunable,
    time_s: Tunable,
    interval_s: float,
    low_mw: FloatArray | float,
    high_mw: FloatArray | float,
) -> tuple[FloatArray, FloatArray]:
    """One interval of the PI law, held back where the plants can give no more.

        I' = I - dt y / T,     P = clip(I' - C y)

    Anti-windup: where P would pass its limit, I goes only as far as takes P there.

    Args:
        error_mw: y [MW], [env].
        integral_mw: I [MW], [env].
        gain: C, a number or [env].
        time_s: T [s], a number or [env].
        interval_s: dt [s].
        low_mw: the least that the plants can give [MW].
        high_mw: the most that they can give [MW].

    Returns:
        P and I' [MW].
    """
    step_mw = -interval_s / np.asarray(time_s) * error_mw
    wanted = integral_mw + step_mw - gain * error_mw
    limit = np.where(step_mw > 0.0, high_mw, low_mw) + gain * error_mw
    ends = integral_mw, integral_mw + step_mw
    outward = ((wanted > high_mw) & (step_mw > 0.0)) | ((wanted < low_mw) & (step_mw < 0.0))
    integral = np.where(outward, np.clip(limit, np.minimum(*ends), np.maximum(*ends)), ends[1])
    return np.clip(integral - gain * error_mw, low_mw, high_mw), integral


@dataclass(frozen=True, kw_only=True)
class AgcParameters:
    """Everything about a PI-AGC; each a number, or [env] to try several side by side."""

    gain: Annotated[Tunable, Within(0.02, 1.5, log=True)] = TEXTBOOK_GAIN  # C
    time_s: Annotated[Tunable, Within(8.0, 300.0, log=True)] = TEXTBOOK_TIME_S  # T
    filter_s: Annotated[Tunable, Within(0.3, 60.0, log=True)] = 0.0
    dead_band_mw: Annotated[Tunable, Within(0.0, 60.0)] = 0.0
    handover_s: Annotated[Tunable, Within(10.0, 600.0, log=True)] = 0.0
    # Of the fast and of the slow part; batteries take the rest.
    fast_gas: Annotated[Tunable, Within(0.0, 1.0)] = 0.0
    fast_dr: Annotated[Tunable, Within(0.0, 0.5)] = 0.0
    slow_gas: Annotated[Tunable, Within(0.0, 1.0)] = 0.0
    slow_dr: Annotated[Tunable, Within(0.0, 0.6)] = 0.0
    soc_recovery_mw: Annotated[Tunable, Within(0.0, 400.0)] = (
        0.0  # all batteries, for a whole charge too much
    )
    # Smaller changes of the set-point of a plant are not made [MW].
    dead_zone_bess_mw: Annotated[Tunable, Within(0.0, 3.0)] = 0.0
    dead_zone_gas_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.0
    dead_zone_dr_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.0
    # Feed-forward of the forecast.
    forecast_gain: Annotated[Tunable, Within(0.0, 1.2)] = 0.0  # G
    forecast_filter_s: Annotated[Tunable, Within(10.0, 600.0, log=True)] = 150.0


FEED_FORWARD = ("forecast_gain", "forecast_filter_s")  # fields that only feed-forward uses


def textbook_parameters(fleet: Fleet) -> AgcParameters:
    """Handbook gains, no filter, no dead band, every plant taking part in proportion to its range."""
    range_mw = fleet.high_mw - fleet.low_mw
    share = [float(range_mw[fleet.kind == code].sum() / range_mw.sum()) for code in (BESS, GAS, DR)]
    return AgcParameters(fast_gas=share[GAS], slow_gas=share[GAS], fast_dr=share[DR], slow_dr=share[DR])


def frequency_bias_mw_per_decihertz(task: TaskDescription) -> float:
    """B of the whole grid: minus its frequency response, to three digits, as control centres set it [MW/0.1 Hz].

    Minus 268 MW/0.1 Hz on the 68-bus system, whose load damping at mean load and governors make 2679 MW/Hz.

    Reference:
        NERC BAL-003-2, Frequency Response and Frequency Bias Setting: the setting follows the measured response.
    """
    response = task.frequency_response_mw_per_hz
    return -float(f"{response:.3g}") / 10.0


def area_bias_mw_per_decihertz(case: Case, swing: SwingConfig, load_share: float) -> FloatArray:
    """B of each area, minus its frequency response: load damping at mean load and its part of the governors, [area].

    Negative, in MW/0.1 Hz, as NERC counts it.

    Args:
        case: the grid.
        swing: its frequency model.
        load_share: mean load, of nominal load.
    """
    load_mw = np.bincount(case.bus.area[case.load.bus], case.load.p_mw, minlength=case.n_area)
    share = np.bincount(case.bus.area[case.machine.bus], governor_share(case.machine), minlength=case.n_area)
    damping = swing.load_damping / case.f0_hz * load_share * load_mw
    bias: FloatArray = -0.1 * (damping + share * swing.governor.gain_mw_per_hz)
    return bias


class PiAgc:
    """PI-AGC of the whole grid on the system frequency that SCADA shows."""

    def __init__(self, task: TaskDescription, n_env: int, parameters: AgcParameters) -> None:
        fleet = task.fleet
        self.fleet, self.parameters = fleet, parameters
        self._per_forecast_mw = task.forecast_mw
        self._bias_mw_per_decihertz = frequency_bias_mw_per_decihertz(task)
        self._set_points = SetPoints(fleet, n_env)
        self._filtered_mw, self._integral_mw, self._slow_mw, self._forecast_mw = np.zeros((4, n_env))
        per_class = [fleet.high_mw * (fleet.kind == code) for code in (BESS, GAS, DR)]
        total_mw = np.array([high.sum() for high in per_class])
        self._part = fleet.high_mw / np.maximum(total_mw[fleet.kind], 1e-9)  # of its class, [resource]
        self._high_mw = float(fleet.high_mw.sum())
        self._low_mw = float(fleet.low_mw.sum())

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Forget error, integral, demand and forecast of these environments."""
        self._set_points.reset(envs)
        for state in (self._filtered_mw, self._integral_mw, self._slow_mw, self._forecast_mw):
            state[envs] = 0.0

    def took(self, action: FloatArray) -> None:
        """Something else was done than `act` answered last, [env, resource], see `SetPoints.took`."""
        self._set_points.took(action)

    def act(self, observation: FloatArray) -> FloatArray:
        """Demand of the PI law and of the feed-forward, divided among the classes; actions, [env, resource]."""
        p, fleet, dt_s = self.parameters, self.fleet, self.fleet.interval_s
        self._set_points.observe(observation)
        df_hz = observation[:, 0, SYSTEM_DF] * DF_HZ
        ace_mw = area_control_error_mw(0.0, 0.0, df_hz, self._bias_mw_per_decihertz)
        self._filtered_mw = low_pass(self._filtered_mw, ace_mw, dt_s, p.filter_s)
        error_mw = outside_dead_band(self._filtered_mw, p.dead_band_mw)
        demand_mw, self._integral_mw = pi_demand(
            error_mw, self._integral_mw, p.gain, p.time_s, dt_s, self._low_mw, self._high_mw
        )
        ahead_mw = observation[:, 0, FORECAST.start] * self._per_forecast_mw
        self._forecast_mw = low_pass(self._forecast_mw, ahead_mw, dt_s, p.forecast_filter_s)
        demand_mw = np.clip(demand_mw - p.forecast_gain * self._forecast_mw, self._low_mw, self._high_mw)

        self._slow_mw = low_pass(self._slow_mw, demand_mw, dt_s, p.handover_s)
        fast_mw = demand_mw - self._slow_mw
        gas_mw = p.slow_gas * self._slow_mw + p.fast_gas * fast_mw
        dr_mw = p.slow_dr * self._slow_mw + p.fast_dr * fast_mw
        surplus_mw = p.soc_recovery_mw * (mean_state_of_charge(observation, fleet) - 0.5)
        target_mw = (
            by_class(fleet, demand_mw - gas_mw - dr_mw + surplus_mw, gas_mw - surplus_mw, dr_mw) * self._part
        )
        dead_zone_mw = by_class(
            fleet,
            np.asarray(p.dead_zone_bess_mw),
            np.asarray(p.dead_zone_gas_mw),
            np.asarray(p.dead_zone_dr_mw),
        )
        return self._set_points.towards(target_mw, dead_zone_mw)
