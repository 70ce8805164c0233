"""Two layers over the plants: a coordinator for each area, who once a minute sets targets, and the plants themselves.

Every 60 s (15 intervals) the coordinator of an area sees the area's control error, its ties, energy and outputs as
SCADA shows them, forecast and hour, and answers with two numbers from -1 to 1 that are held until the next time:

    share    the output that gas plants and demand response are to carry of the imbalance, of their range
    energy   the charge that batteries are to keep, 0..1 as -1..1

The plants of the area are shown both behind their own 15 numbers, and both pull at their actions:

    action_i + PULL (target_i - output_i)     target = share, of a battery (charge - energy), of its range

A pull, and not only numbers to be shown: fresh plants would not heed them, and the coordinator would see nothing come
of what it does. A pull towards a level, and not a bias of the rate: held for a minute, it ends by itself.

All of it in arrays. `LayeredBatch` (`layered_batch.py`) is the environment that a learner is taught by; a policy that
plays among controllers keeps the targets itself (`LayeredByPlant` of `held_out.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from control.controllers.agc import area_bias_mw_per_decihertz, area_control_error_mw
from control.controllers.area_agc import COORDINATION_S
from control.controllers.base import DF_HZ, FORECAST, HOUR, OWN_OUTPUT, UTILISATION
from control.plants.fleet_state import BESS
from control.task.area_telemetry import AREA_DF, AREA_SIZE, AREA_TIES, TIES_MW
from control.task.description import TaskDescription
from control.task.layout import OBSERVATION_SIZE
from marl.protocol import Float32Array

__all__ = [
    "COORDINATOR",
    "COORDINATOR_SIZE",
    "FAST_SIZE",
    "HIERARCHY",
    "N_TARGET",
    "Hierarchy",
]

HIERARCHY = "hierarchy"  # what configurations call this observation
COORDINATOR = "coordinator"  # name of the slow layer's group
N_TARGET = 2  # share, energy
PULL = 0.2  # of the ramp of an interval, for a whole range away from the target
# Control error, numbers of the area, forecast, hour, and the targets that were held last.
COORDINATOR_SIZE = 1 + AREA_SIZE + (FORECAST.stop - FORECAST.start) + 1 + N_TARGET
FAST_SIZE = OBSERVATION_SIZE + N_TARGET


class Hierarchy:
    """Targets of all areas of a batch, and when they are set next."""

    def __init__(self, task: TaskDescription, n_env: int) -> None:
        """No target has been set: plants are pulled nowhere but to their schedule and to half a charge."""
        fleet, case = task.fleet, task.case
        self.areas, self._area = np.unique(case.bus.area[fleet.bus], return_inverse=True)  # that have plants
        self._first = np.array([np.flatnonzero(self._area == a)[0] for a in range(len(self.areas))])
        self._bias = area_bias_mw_per_decihertz(case, task.swing, task.load_share)[self.areas]
        self._ties_mw = TIES_MW * case.setting.size
        self._is_bess = fleet.kind == BESS
        self.held_steps = max(round(COORDINATION_S / fleet.interval_s), 1)
        self.clock = np.zeros(n_env, dtype=np.int64)  # intervals since the last decision; 0: one is due
        self.targets = np.zeros((n_env, len(self.areas), N_TARGET))

    @property
    def decides(self) -> BoolArray:
        """Whether coordinators decide in the coming interval, [env]."""
        return self.clock == 0

    def reset(self, envs: IntArray | BoolArray) -> None:
        """Episodes begin in these environments."""
        self.clock[envs] = 0
        self.targets[envs] = 0.0

    def seen_by_coordinators(self, plants: Float32Array) -> Float32Array:
        """What coordinators see, [env, area, 13], of what plants are shown with the observation `areas`."""
        one: FloatArray = plants[:, self._first].astype(np.float64)  # a plant of each area
        df_hz, exchange_mw = one[:, :, AREA_DF] * DF_HZ, one[:, :, AREA_TIES] * self._ties_mw
        ace_mw = area_control_error_mw(exchange_mw, 0.0, df_hz, self._bias)
        parts: list[FloatArray] = [
            ace_mw[:, :, None] / self._ties_mw,
            one[:, :, OBSERVATION_SIZE : OBSERVATION_SIZE + AREA_SIZE],
            one[:, :, FORECAST],
            one[:, :, HOUR, None],
            self.targets,
        ]
        return np.concatenate(parts, axis=2).astype(np.float32)

    def seen_by_plants(self, plants: Float32Array) -> Float32Array:
        """What plants see: their own 15 numbers and the targets of their area, [env, resource, 17]."""
        targets = self.targets[:, self._area].astype(np.float32)
        return np.concatenate([plants[:, :, :OBSERVATION_SIZE], targets], axis=2)

    def state(self) -> Float32Array:
        """What a critic must see besides: held targets, and how long they are held already, [env, 2 areas + 1]."""
        n_env = len(self.clock)
        phase = self.clock[:, None] / self.held_steps
        return np.concatenate([self.targets.reshape(n_env, -1), phase], axis=1).astype(np.float32)

    def act(self, plants: Float32Array, action: FloatArray, orders: FloatArray) -> FloatArray:
        """Takes orders where they are due, and one interval passes.

        Args:
            plants: what was shown with the observation `areas`, [env, resource, 21].
            action: of the plants themselves, [env, resource].
            orders: of the coordinators, cut at -1 and 1; heeded where they decide, [env, area, 2].

        Returns:
            Actions of the plants with the pull of the targets, [env, resource].
        """
        self.targets = np.where(self.decides[:, None, None], np.clip(orders, -1.0, 1.0), self.targets)
        self.clock = (self.clock + 1) % self.held_steps
        share, energy = (self.targets[:, self._area, k] for k in range(N_TARGET))
        target = np.where(self._is_bess, plants[:, :, UTILISATION] - energy, share)
        pulled: FloatArray = np.clip(action, -1.0, 1.0) + PULL * (target - plants[:, :, OWN_OUTPUT])
        return np.clip(pulled, -1.0, 1.0)

    def get_state(self) -> dict[str, Any]:
        """Everything a later `set_state` needs."""
        return {"clock": self.clock.copy(), "targets": self.targets.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what get_state gave."""
        self.clock, self.targets = np.array(state["clock"]), np.array(state["targets"])
