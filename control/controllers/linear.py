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


class LinearPolicy:
    """Action = w_class . observation + b_class, cut at +-1 and left out where it is small. No memory at all."""

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

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing is remembered."""
        pass

    def act(self, observation: FloatArray) -> FloatArray:
        """w x + b of each agent's own observation, zero in the dead zone; [env, resource]."""
        action = np.sum(self._weight[:, :, :-1] * observation, axis=2) + self._weight[:, :, -1]
        return np.where(np.abs(action) <= self._dead_zone, 0.0, np.clip(action, -1.0, 1.0))
