"""A linear law per class of plants on the agents' own observation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.controllers.base import BaselineError
from control.task.description import TaskDescription

__all__ = ["LinearParameters", "LinearPolicy"]


@dataclass(frozen=True, kw_only=True)
class LinearParameters:
    """One row of weights a class, and the smallest action worth making."""

    weight: FloatArray  # by bess, gas, dr; the last is the constant: [class, observation + 1], or [env, ...]
    dead_zone: FloatArray  # [class], or [env, class]
    soft_zone: FloatArray | float = 0.0  # how far actions are drawn towards zero, likewise


class LinearPolicy:
    """Action = w_class . observation + b_class, drawn towards zero, cut at +-1, left out where small. No memory at all.

    A move costs in proportion to its size, so within some zone none is worth making, and beyond it the best one ends at
    the zone's edge: M. H. A. Davis, A. R. Norman, Portfolio selection with transaction costs, Mathematics of Operations
    Research 15, 1990. That is the soft zone, x -> sign(x) max(|x| - s, 0); the dead zone leaves the rest as it is.
    """

    def __init__(self, task: TaskDescription, n_env: int, parameters: LinearParameters) -> None:
        """Build it for a task.

        Raises:
            BaselineError: the weights are for another observation than the task's.
        """
        weight, dead_zone = np.asarray(parameters.weight), np.asarray(parameters.dead_zone)
        if weight.ndim == 2:
            weight, dead_zone = weight[None], dead_zone[None]
        if weight.shape[2] != task.observation_size + 1:
            raise BaselineError(
                f"the linear policy has {weight.shape[2] - 1} weights, the observation "
                f"{task.observation_size} numbers; choose the environment's observation to match"
            )
        self._weight = weight[:, task.fleet.kind]  # [env or 1, resource, observation + 1]
        self._dead_zone = dead_zone[:, task.fleet.kind]
        soft_zone = np.broadcast_to(np.asarray(parameters.soft_zone, dtype=np.float64), dead_zone.shape)
        self._soft_zone = soft_zone[:, task.fleet.kind]

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing is remembered."""
        pass

    def before_zones(self, observation: FloatArray) -> FloatArray:
        """w x + b of each agent's own observation, neither cut nor drawn towards zero; [env, resource]."""
        wanted: FloatArray = np.sum(self._weight[:, :, :-1] * observation, axis=2) + self._weight[:, :, -1]
        return wanted

    def act(self, observation: FloatArray) -> FloatArray:
        """w x + b of each agent's own observation, zero in the zones; [env, resource]."""
        action = self.before_zones(observation)
        if self._soft_zone.any():
            action = np.copysign(np.maximum(np.abs(action) - self._soft_zone, 0.0), action)
        return np.where(np.abs(action) <= self._dead_zone, 0.0, np.clip(action, -1.0, 1.0))
