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
published grid, not what a scenario changes in it. It measures frequency as the mean over the agents' own buses (fresh)
and estimates d and its slope by a Kalman filter.

References:
    J. B. Rawlings, D. Q. Mayne, M. Diehl, Model Predictive Control, 2nd ed., 2017, ch. 1.
    B. Stellato et al., OSQP: an operator splitting solver for quadratic programs, Math. Prog. Comp. 12, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import linalg

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.controllers.base import CLASSES, DF_HZ, OWN_DF, OWN_OUTPUT, SetPoints, state_of_charge
from control.controllers.one_mass import OneMass, Start, one_mass
from control.controllers.receding_horizon import HorizonConfig, RecedingHorizon
from control.plants.battery import S_PER_H
from control.plants.fleet_state import DR, GAS
from control.task.description import TaskDescription

__all__ = ["PredictiveConfig", "PredictiveController"]


@dataclass(frozen=True, kw_only=True)
class PredictiveConfig:
    """Choices of the predictive controller."""

    horizon: HorizonConfig = field(default_factory=HorizonConfig)
    # The Kalman filter's picture of the world, per interval. Against 5 MW and 0.1 MW/s, disturbance and slope as here
    # cost 5 % less on eight episodes of training seeds: what the filter takes for real is answered by movement.
    frequency_sd_hz: float = 0.0006  # mean of the agents' buses against the common motion
    model_sd_hz: float = 0.0003
    disturbance_sd_mw: float = 2.0
    slope_sd_mw_per_s: float = 0.05
    slope_fades_s: float = 120.0
    # Imbalances pass: noise fades within minutes and dispatch errors are made good, so a plan of many minutes takes the
    # disturbance of now to fade as well.
    disturbance_fades_s: float = 600.0

    @classmethod
    def of(cls, case: Case) -> PredictiveConfig:
        """The usual choices at the size of a grid: its imbalances are in proportion to its load."""
        usual, size = cls(), case.setting.size
        return replace(
            usual,
            horizon=HorizonConfig.of(case),
            disturbance_sd_mw=usual.disturbance_sd_mw * size,
            slope_sd_mw_per_s=usual.slope_sd_mw_per_s * size,
        )


def kalman_gain(model: OneMass, config: PredictiveConfig) -> FloatArray:
    """Stationary gain of the filter on frequency, disturbance and its slope, from frequency alone, [3].

        f' = f + (h/M) d,    d' = d + h s,    s' = fade s

    Damping and governors are known inputs here, they hardly matter within an interval.
    """
    h = model.interval_s
    a = np.array(
        [
            [1.0, h / model.inertia_mws_per_hz, 0.5 * h * h / model.inertia_mws_per_hz],
            [0.0, 1.0, h],
            [0.0, 0.0, np.exp(-h / config.slope_fades_s)],
        ]
    )
    q = np.diag(np.square([config.model_sd_hz, config.disturbance_sd_mw, config.slope_sd_mw_per_s]))
    # The walk of d within the interval moves f too.
    walk = np.array([[h / (2.0 * model.inertia_mws_per_hz)], [1.0], [0.0]]) * config.disturbance_sd_mw
    q = q + walk @ walk.T
    c = np.array([[1.0, 0.0, 0.0]])
    r = np.array([[config.frequency_sd_hz**2]])
    p = linalg.solve_discrete_are(a.T, c.T, q, r)
    gain: FloatArray = (p @ c.T / (c @ p @ c.T + r))[:, 0]
    return gain


class PredictiveController:
    """Causal model-predictive control of the fleet by class, with what the agents together can see.

    Attributes:
        horizon: the plans, and how often there was none.
    """

    def __init__(self, task: TaskDescription, n_env: int, config: PredictiveConfig | None = None) -> None:
        self.config = config or PredictiveConfig.of(task.case)
        fleet = task.fleet
        self.fleet, self.model = fleet, one_mass(task)
        self.horizon = RecedingHorizon(self.model, n_env, self.config.horizon)
        self._gain = kalman_gain(self.model, self.config)
        self._set_points = SetPoints(fleet, n_env)
        self._member = (fleet.kind[:, None] == np.array(CLASSES)).astype(np.float64)  # [resource, class]
        self._estimate = np.zeros((n_env, 3))  # f [Hz], d [MW], slope [MW/s]
        self._reheat_mw, self._owed_mwh, self._dr_set_point_mw = np.zeros((3, n_env))
        self._output_mw = np.zeros((n_env, len(CLASSES)))
        self._fresh = np.ones(n_env, dtype=np.bool_)
        fade_s = self.config.slope_fades_s
        # Integral of a slope that fades.
        self._reach_s = fade_s * (1.0 - np.exp(-self.horizon.ends_s / fade_s))
        self._stays = np.exp(-self.horizon.ends_s / self.config.disturbance_fades_s)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Forget estimates and plans of these environments."""
        self._set_points.reset(envs)
        self.horizon.reset(envs)
        for state in (
            self._estimate, self._reheat_mw, self._owed_mwh, self._dr_set_point_mw, self._output_mw,
        ):  # fmt: skip
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
        self._observe(observation[:, :, OWN_DF].mean(axis=1) * DF_HZ, output_mw)
        energy_mwh = state_of_charge(observation, fleet) @ fleet.energy_mwh[fleet.bess]
        command_mw = self._set_points.command_mw @ self._member
        df_hz, d_mw, slope = self._estimate.T
        starts = [
            Start(
                df_hz=float(df_hz[env]),
                reheat_mw=float(self._reheat_mw[env]),
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

    def _observe(self, df_hz: FloatArray, output_mw: FloatArray) -> None:
        """Kalman filter over the interval that has just ended; there is none before the first observation."""
        model, g, h = self.model, self.model.governor, self.model.interval_s
        f, d, s = self._estimate.T.copy()
        # Governors over the interval at its mean frequency.
        middle = 0.5 * (f + df_hz)
        target = -g.gain_mw_per_hz * np.sign(middle) * np.maximum(np.abs(middle) - g.dead_band_hz, 0.0)
        keep = np.exp(-h / g.t_reheat_s)
        after = target + (self._reheat_mw - target) * keep
        mean_reheat = target + (self._reheat_mw - target) * (1.0 - keep) * g.t_reheat_s / h
        governor = g.high_pressure_fraction * target + (1.0 - g.high_pressure_fraction) * mean_reheat
        plants = 0.5 * (self._output_mw + output_mw).sum(axis=1)
        power = plants + governor + d + 0.5 * h * s - model.damping_mw_per_hz * middle
        expected = f + h / model.inertia_mws_per_hz * power
        surprise = df_hz - expected
        fade = np.exp(-h / self.config.slope_fades_s)
        estimate = np.stack([expected, d + h * s, fade * s], axis=1) + surprise[:, None] * self._gain
        first = self._fresh[:, None]
        self._estimate = np.where(first, np.stack([df_hz, 0.0 * d, 0.0 * s], axis=1), estimate)
        self._reheat_mw = np.where(self._fresh, 0.0, after)
        owed = self._owed_mwh + 0.5 * (self._output_mw + output_mw)[:, DR] * h / S_PER_H
        self._owed_mwh = np.where(self._fresh, 0.0, owed)
        self._output_mw = output_mw
        self._fresh[:] = False
