"""Model-predictive control with the agents' information, and the best that perfect information could do.

Both solve the same quadratic program over a one-mass model of the grid, with the reward's own costs:

    min  sum_k  w_f h_k/h (f_k-1^2 + f_k-1 f_k + f_k^2)/3  +  sum_class w_m C |dU|  +  w_e W dU^2 / n

    M df/dt    = U_bess + p_gas + p_dr + F_hp g + (1 - F_hp) x + d - D f
    T_r dx/dt  = g - x,                   g = -K (f -+ b) where |f| > b, else 0
    T dp/dt    = u - p                    gas and demand response
    dE/dt      = -U_bess;    de/dt = p_dr,    u_dr = U_dr - e / tau

within ramps, ranges and the batteries' energy. d is the power that is missing or left over, U the sum of a class's
commands, which move along straight lines within a stage, as does d; stages are discretised exactly. A governor with
a dead band is not linear: each stage is taken as inside or outside of it as the previous solution was, and the
perfect-information program is solved again until that no longer changes.

Left out, in favour of the bound: losses of the batteries, differences between plants of a class and between areas,
limits of the governors, limits of branches and voltages. So `perfect_information` is a loose bound: with
the model's errors it may err by a few per cent, and it does not count violations.

The weights w_f, w_m and w_e are those of the task's reward; violations are in no program. The controller knows the
published grid, not what a scenario changes in it, nor which of its machines a commitment has turned off. It measures
frequency as the mean over the agents' own buses (fresh), and estimates d, its slope and the share of the machines that
turns by a bank of Kalman filters, which the loads at the agents' buses help (`disturbance_filter.py`).

References:
    J. B. Rawlings, D. Q. Mayne, M. Diehl, Model Predictive Control, 2nd ed., 2017, ch. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.agc import Tunable, Within
from control.controllers.base import CLASSES, DF_HZ, OWN_DF, OWN_LOAD, OWN_OUTPUT, SetPoints, state_of_charge
from control.controllers.disturbance_filter import DisturbanceFilter, FilterConfig
from control.controllers.load_watch import LoadWatch
from control.controllers.one_mass import Start, one_mass
from control.controllers.receding_horizon import HorizonConfig, RecedingHorizon
from control.plants.battery import S_PER_H
from control.plants.fleet_state import DR, GAS
from control.task.description import TaskDescription

__all__ = ["PredictiveConfig", "PredictiveController", "PredictiveParameters"]


@dataclass(frozen=True, kw_only=True)
class PredictiveConfig:
    """Choices of the predictive controller."""

    horizon: HorizonConfig = field(default_factory=HorizonConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    # Imbalances pass within many minutes: noise fades, and dispatch errors are made good.
    disturbance_fades_s: float = 3600.0

    @classmethod
    def of(cls, case: Case) -> PredictiveConfig:
        """The usual choices at the size of a grid."""
        return cls(horizon=HorizonConfig.of(case), filter=FilterConfig.of(case))


@dataclass(frozen=True, kw_only=True)
class PredictiveParameters:
    """What is tuned of it, at the size of the 68-bus system; each a number or [env].

    The filters' gains depend on the ratios of their spreads. Two spreads stay: frequency is read all but exactly, and
    by how much the disturbance changes in an interval was measured.

    Raises:
        ValueError: one is zero or less.
    """

    model_sd_hz: Annotated[Tunable, Within(3e-5, 3e-3, log=True)] = FilterConfig.model_sd_hz
    slope_sd_mw_per_s: Annotated[Tunable, Within(5e-3, 1.0, log=True)] = FilterConfig.slope_sd_mw_per_s
    slope_fades_s: Annotated[Tunable, Within(8.0, 240.0, log=True)] = FilterConfig.slope_fades_s
    disturbance_fades_s: Annotated[Tunable, Within(300.0, 30000.0, log=True)] = (
        PredictiveConfig.disturbance_fades_s
    )
    half_full_per_mwh2: Annotated[Tunable, Within(3e-3, 1.0, log=True)] = HorizonConfig.half_full_per_mwh2

    def __post_init__(self) -> None:
        for one in fields(self):
            value = np.asarray(getattr(self, one.name), dtype=np.float64)
            if not np.all(value > 0.0):
                raise ValueError(f"{one.name} = {value}, expected above zero")

    def of_each(self, case: Case, n_env: int) -> list[PredictiveConfig]:
        """For each environment of a grid, at its size, [env]."""
        columns = {one.name: np.broadcast_to(getattr(self, one.name), n_env) for one in fields(self)}
        size = case.setting.size
        usual = PredictiveConfig.of(case)
        found = []
        for env in range(n_env):
            number = {name: float(column[env]) for name, column in columns.items()}
            found.append(
                PredictiveConfig(
                    horizon=replace(usual.horizon, half_full_per_mwh2=number["half_full_per_mwh2"] / size**2),
                    filter=replace(
                        usual.filter,
                        model_sd_hz=number["model_sd_hz"],
                        slope_sd_mw_per_s=number["slope_sd_mw_per_s"] * size,
                        slope_fades_s=number["slope_fades_s"],
                    ),
                    disturbance_fades_s=number["disturbance_fades_s"],
                )
            )
        return found


class PredictiveController:
    """Causal model-predictive control of the fleet by class, with what the agents together can see.

    Attributes:
        horizon: the plans, and how often there was none.
        filter: what is taken for the disturbance, and for the machines in service.
    """

    def __init__(
        self,
        task: TaskDescription,
        n_env: int,
        config: PredictiveConfig | Sequence[PredictiveConfig] | None = None,
    ) -> None:
        """For a grid.

        Args:
            task: the grid and its plants.
            n_env: environments.
            config: of all environments, or of each; the usual choices at the size of the grid if None.
        """
        config = config or PredictiveConfig.of(task.case)
        of_each = [config] * n_env if isinstance(config, PredictiveConfig) else list(config)
        fleet = task.fleet
        self.fleet, self.model = fleet, one_mass(task)
        self.horizon = RecedingHorizon(self.model, n_env, [one.horizon for one in of_each])
        self.filter = DisturbanceFilter(self.model, n_env, [one.filter for one in of_each])
        self._loads = LoadWatch(task)
        self._set_points = SetPoints(fleet, n_env)
        self._member = (fleet.kind[:, None] == np.array(CLASSES)).astype(np.float64)  # [resource, class]
        self._owed_mwh, self._dr_set_point_mw = np.zeros((2, n_env))
        self._output_mw = np.zeros((n_env, len(CLASSES)))
        self._fresh = np.ones(n_env, dtype=np.bool_)
        slope_s = np.array([[one.filter.slope_fades_s] for one in of_each])
        # Integral of a slope that fades, [env, stage + 1].
        self._reach_s = slope_s * (1.0 - np.exp(-self.horizon.ends_s / slope_s))
        self._stays = np.exp(-self.horizon.ends_s / np.array([[one.disturbance_fades_s] for one in of_each]))

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Forget estimates and plans of these environments."""
        self._set_points.reset(envs)
        self.horizon.reset(envs)
        self.filter.reset(envs)
        for state in (self._owed_mwh, self._dr_set_point_mw, self._output_mw):
            state[envs] = 0.0
        self._fresh[envs] = True

    def took(self, action: FloatArray) -> None:
        """Something else was done than `act` answered last, [env, resource], see `SetPoints.took`."""
        self._set_points.took(action)

    def act(self, observation: FloatArray) -> FloatArray:
        """Estimate the disturbance, plan for each environment, take the first move; [env, resource]."""
        fleet, model = self.fleet, self.model
        self._set_points.observe(observation)
        output_mw = (observation[:, :, OWN_OUTPUT] * fleet.range_mw) @ self._member
        owed = self._owed_mwh + 0.5 * (self._output_mw + output_mw)[:, DR] * model.interval_s / S_PER_H
        self._owed_mwh = np.where(self._fresh, 0.0, owed)
        self._output_mw = output_mw
        known_mw = self._loads.change_mw(observation[:, :, OWN_LOAD], self._fresh)
        self._fresh[:] = False
        self.filter.observe(observation[:, :, OWN_DF].mean(axis=1) * DF_HZ, output_mw.sum(axis=1), known_mw)
        for env, share in enumerate(self.filter.likeliest.tolist()):
            if self.horizon.program[env].model is not self.filter.masses[share]:
                self.horizon.plan_on(env, self.filter.masses[share])
        energy_mwh = state_of_charge(observation, fleet) @ fleet.energy_mwh[fleet.bess]
        command_mw = self._set_points.command_mw @ self._member
        df_hz, d_mw, slope, reheat_mw = self.filter.estimate()
        starts = [
            Start(
                df_hz=float(df_hz[env]),
                reheat_mw=float(reheat_mw[env]),
                gas_mw=float(output_mw[env, GAS]),
                dr_mw=float(output_mw[env, DR]),
                energy_mwh=float(energy_mwh[env]),
                owed_mwh=float(self._owed_mwh[env]),
                command_mw=tuple(command_mw[env]),
                dr_set_point_mw=float(self._dr_set_point_mw[env]),
            )
            for env in range(len(observation))
        ]
        target_mw = self.horizon.targets(
            starts, (d_mw[:, None] + slope[:, None] * self._reach_s) * self._stays
        )
        self._dr_set_point_mw = target_mw[:, DR] - self._owed_mwh * S_PER_H / model.rebound_s
        change_mw = self.horizon.moves(target_mw, command_mw)
        return self._set_points.towards(self._set_points.command_mw + change_mw[:, fleet.kind])

    def tell(self) -> dict[str, FloatArray]:
        """What a rollout's record keeps, see `RecedingHorizon.tell`."""
        return self.horizon.tell()
