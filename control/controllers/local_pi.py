"""Proportional-integral control of every plant on the frequency of its own bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.controllers.agc import Tunable, Within
from control.controllers.base import DF_HZ, OWN_DF, SetPoints, by_class, state_of_charge
from control.task.description import TaskDescription

__all__ = ["LocalPi", "LocalPiParameters"]


@dataclass(frozen=True, kw_only=True)
class LocalPiParameters:
    """Decentralised PI, one set of gains a class; each a number or [env]."""

    gain_bess: Annotated[Tunable, Within(10.0, 3000.0, log=True)] = 200.0  # MW/Hz of a plant
    gain_gas: Annotated[Tunable, Within(3.0, 3000.0, log=True)] = 50.0
    gain_dr: Annotated[Tunable, Within(1.0, 1000.0, log=True)] = 20.0
    integral_bess: Annotated[Tunable, Within(0.05, 100.0, log=True)] = 2.0  # MW/Hz/s of a plant
    integral_gas: Annotated[Tunable, Within(0.05, 100.0, log=True)] = 4.0
    integral_dr: Annotated[Tunable, Within(0.01, 50.0, log=True)] = 0.5
    leak_bess_s: Annotated[Tunable, Within(20.0, 3000.0, log=True)] = 300.0  # in which its integral fades
    leak_gas_s: Annotated[Tunable, Within(100.0, 20000.0, log=True)] = 3000.0
    leak_dr_s: Annotated[Tunable, Within(50.0, 10000.0, log=True)] = 1000.0
    soc_recovery_mw: Annotated[Tunable, Within(0.0, 80.0)] = 5.0  # of a battery, for a whole charge too much
    dead_zone_bess_mw: Annotated[Tunable, Within(0.0, 3.0)] = 0.2
    dead_zone_gas_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.2
    dead_zone_dr_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.2


class LocalPi:
    """Every plant by itself on the frequency of its own bus, which comes without delay.

        u = -C Df - I,     dI/dt = Df / T - I / leak

    The leak keeps plants with slightly different frequencies from drifting against each other.
    """

    def __init__(self, task: TaskDescription, n_env: int, parameters: LocalPiParameters) -> None:
        fleet = task.fleet
        self.fleet, self.parameters = fleet, parameters
        self._set_points = SetPoints(fleet, n_env)
        self._integral_mw = np.zeros((n_env, fleet.n_resource))
        p = parameters
        self._gain = by_class(fleet, *map(np.asarray, (p.gain_bess, p.gain_gas, p.gain_dr)))
        self._rate = by_class(fleet, *map(np.asarray, (p.integral_bess, p.integral_gas, p.integral_dr)))
        leak_s = by_class(fleet, *map(np.asarray, (p.leak_bess_s, p.leak_gas_s, p.leak_dr_s)))
        self._keep = np.exp(-fleet.interval_s / leak_s)
        self._dead_zone_mw = by_class(
            fleet, *map(np.asarray, (p.dead_zone_bess_mw, p.dead_zone_gas_mw, p.dead_zone_dr_mw))
        )

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Forget the integrals of these environments."""
        self._set_points.reset(envs)
        self._integral_mw[envs] = 0.0

    def took(self, action: FloatArray) -> None:
        """Something else was done than `act` answered last, [env, resource], see `SetPoints.took`."""
        self._set_points.took(action)

    def act(self, observation: FloatArray) -> FloatArray:
        """Every plant towards P = I - K Df of its own bus; actions, [env, resource]."""
        fleet = self.fleet
        self._set_points.observe(observation)
        df_hz = observation[:, :, OWN_DF] * DF_HZ
        integral_mw = self._integral_mw * self._keep - self._rate * fleet.interval_s * df_hz
        # Not beyond what the plant can give, so that it comes back at once.
        self._integral_mw = np.clip(integral_mw, fleet.low_mw, fleet.high_mw)
        target_mw = self._integral_mw - self._gain * df_hz
        surplus = state_of_charge(observation, fleet) - 0.5
        target_mw[:, fleet.bess] += np.atleast_1d(self.parameters.soc_recovery_mw)[:, None] * surplus
        return self._set_points.towards(target_mw, self._dead_zone_mw)
