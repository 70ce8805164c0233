"""AGC of each area by itself, with a coordinator that shares the demand among its plants by the energy they hold.

In every interval, for each area with plants,

    ACE_a = (NI_a - NI_S,a) - 10 B_a Df_a,     P_a = PI law of ACE_a (`pi_demand`)

from the telemetry of the area and its ties. Every 60 s its coordinator sets participation factors, held until the next
time: each plant's part of the demand is in proportion to the power that it can keep up,

    up_i   = min(range up, energy stored / tau)          down_i = min(range down, energy missing / tau)

of a battery, and the range itself of gas plants and demand response. Factors of each direction sum to one, so that the
plants of an area give P_a together.

References:
    N. Jaleeli et al., Understanding automatic generation control, IEEE Trans. Power Systems 7(3), 1992: area control
    error, participation factors, and their slower revision by economic dispatch.
    NERC BAL-001-2, R1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.controllers.agc import (
    TEXTBOOK_GAIN,
    TEXTBOOK_TIME_S,
    Tunable,
    Within,
    area_bias_mw_per_decihertz,
    area_control_error_mw,
    low_pass,
    outside_dead_band,
    pi_demand,
)
from control.controllers.base import DF_HZ, BaselineError, SetPoints, by_class, state_of_charge
from control.plants.battery import S_PER_H
from control.plants.fleet import Fleet
from control.task.area_telemetry import AREA_DF, AREA_TIES, TIES_MW
from control.task.description import TaskDescription

__all__ = ["COORDINATION_S", "AreaAgc", "AreaAgcParameters", "participation"]

COORDINATION_S = 60.0  # between two decisions of an area's coordinator


@dataclass(frozen=True, kw_only=True)
class AreaAgcParameters:
    """One set for all areas; each a number, or [env] to try several side by side."""

    gain: Annotated[Tunable, Within(0.02, 1.5, log=True)] = TEXTBOOK_GAIN  # C
    time_s: Annotated[Tunable, Within(8.0, 1000.0, log=True)] = TEXTBOOK_TIME_S  # T
    filter_s: Annotated[Tunable, Within(0.3, 60.0, log=True)] = 0.0
    dead_band_mw: Annotated[Tunable, Within(0.0, 60.0)] = 0.0
    # Share of the deviation of exchange from its schedule that counts in ACE: one is NERC's, zero frequency alone.
    tie_share: Annotated[Tunable, Within(0.0, 1.0)] = 1.0
    sustain_s: Annotated[Tunable, Within(60.0, 14400.0, log=True)] = 3600.0  # tau
    # Smaller changes of the set-point of a plant are not made [MW].
    dead_zone_bess_mw: Annotated[Tunable, Within(0.0, 3.0)] = 0.0
    dead_zone_gas_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.0
    dead_zone_dr_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.0


def participation(headroom_mw: FloatArray, area: IntArray, n_area: int) -> FloatArray:
    """Factors in proportion to headroom that sum to one in every area; equal ones where an area has none left.

    Args:
        headroom_mw: power that each plant can give [MW], 0 or more, [env, resource].
        area: of each plant, [resource].
        n_area: number of areas.

    Returns:
        [env, resource].
    """
    member = np.equal.outer(area, np.arange(n_area)).astype(np.float64)
    total_mw = (headroom_mw @ member)[:, area]
    equal = 1.0 / member.sum(axis=0)[area]
    share: FloatArray = np.where(total_mw > 0.0, headroom_mw / np.where(total_mw > 0.0, total_mw, 1.0), equal)
    return share


class AreaAgc:
    """Area AGC with participation by energy, on what SCADA shows of each area."""

    def __init__(self, task: TaskDescription, n_env: int, parameters: AreaAgcParameters) -> None:
        fleet, case = task.fleet, task.case
        self.fleet, self.parameters = fleet, parameters
        self._ties_mw = TIES_MW * case.setting.size
        areas, self._area = np.unique(case.bus.area[fleet.bus], return_inverse=True)  # those that have plants
        self._first = np.array(
            [np.flatnonzero(self._area == a)[0] for a in range(len(areas))]
        )  # a plant of each
        self._bias = area_bias_mw_per_decihertz(case, task.swing, task.load_share)[areas]
        self._low_mw: FloatArray = np.bincount(self._area, fleet.low_mw).astype(np.float64)
        self._high_mw: FloatArray = np.bincount(self._area, fleet.high_mw).astype(np.float64)
        self._set_points = SetPoints(fleet, n_env)
        self._every = max(round(COORDINATION_S / fleet.interval_s), 1)
        self._interval = np.zeros(n_env, dtype=np.int64)
        self._filtered_mw, self._integral_mw = np.zeros((2, n_env, len(areas)))
        self._up, self._down = np.zeros((2, n_env, fleet.n_resource))

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Forget errors, integrals and factors of these environments; their coordinators decide at once."""
        self._set_points.reset(envs)
        self._interval[envs] = 0
        for state in (self._filtered_mw, self._integral_mw):
            state[envs] = 0.0

    def act(self, observation: FloatArray) -> FloatArray:
        """Demand of each area, shared by its present factors; actions, [env, resource].

        Raises:
            BaselineError: telemetry of areas is not in the observation.
        """
        if observation.shape[2] <= AREA_TIES:
            raise BaselineError("area AGC needs the telemetry of areas: choose the observation `areas`")
        p, fleet, dt_s = self.parameters, self.fleet, self.fleet.interval_s
        self._set_points.observe(observation)
        self._coordinate(observation)
        df_hz = observation[:, self._first, AREA_DF] * DF_HZ
        exchange_mw = observation[:, self._first, AREA_TIES] * self._ties_mw * _column(p.tie_share)
        ace_mw = area_control_error_mw(exchange_mw, 0.0, df_hz, self._bias)
        self._filtered_mw = low_pass(self._filtered_mw, ace_mw, dt_s, _column(p.filter_s))
        error_mw = outside_dead_band(self._filtered_mw, _column(p.dead_band_mw))
        demand_mw, self._integral_mw = pi_demand(
            error_mw,
            self._integral_mw,
            _column(p.gain),
            _column(p.time_s),
            dt_s,
            self._low_mw,
            self._high_mw,
        )
        of_plant_mw = demand_mw[:, self._area]
        target_mw = of_plant_mw * np.where(of_plant_mw > 0.0, self._up, self._down)
        dead_zones = (p.dead_zone_bess_mw, p.dead_zone_gas_mw, p.dead_zone_dr_mw)
        return self._set_points.towards(target_mw, by_class(fleet, *map(np.asarray, dead_zones)))

    def _coordinate(self, observation: FloatArray) -> None:
        """New participation factors where 60 s have passed."""
        due = self._interval % self._every == 0
        self._interval += 1
        if due.any():
            up_mw, down_mw = sustained_mw(self.fleet, observation, self.parameters.sustain_s)
            n_area = len(self._first)
            self._up[due] = participation(up_mw, self._area, n_area)[due]
            self._down[due] = participation(down_mw, self._area, n_area)[due]


def sustained_mw(fleet: Fleet, observation: FloatArray, sustain_s: Tunable) -> tuple[FloatArray, FloatArray]:
    """Power that each plant can give upward and downward for so long, both 0 or more [MW], [env, resource]."""
    shape = observation.shape[:2]
    up_mw = np.broadcast_to(np.maximum(fleet.high_mw, 0.0), shape).copy()
    down_mw = np.broadcast_to(np.maximum(-fleet.low_mw, 0.0), shape).copy()
    rows = fleet.bess
    charge = np.clip(state_of_charge(observation, fleet), 0.0, 1.0)
    of_full_mw = fleet.energy_mwh[rows] * S_PER_H / np.maximum(_column(sustain_s), 1e-9)
    up_mw[:, rows] = np.minimum(up_mw[:, rows], charge * of_full_mw)
    down_mw[:, rows] = np.minimum(down_mw[:, rows], (1.0 - charge) * of_full_mw)
    return up_mw, down_mw


def _column(value: Tunable) -> FloatArray:
    """A number, or [env], beside arrays [env, area]."""
    return np.atleast_1d(np.asarray(value, dtype=np.float64))[:, None]
