"""How any controller is plugged in: observations in, set-point changes out.

A controller sees what the agents see, [env, resource, 15] in the layout below (18 with `extended`, 22 with `memory`),
and answers with an action in [-1, 1] for each resource: the share of its ramp by which the set-point moves in the
coming interval. Information, SCADA delay, ramps and ranges are those of the agents, because it stands in their place.
What it remembers is its own business; `reset` tells it where an episode begins.

A controller of one's own is a class with these two methods:

    class Droop:
        def reset(self, envs, seeds):
            pass

        def act(self, observation):
            return -2.0 * observation[:, :, OWN_DF]

where the layout of an observation is that of `control.task.layout`, offered here too for whoever writes a controller.
What else a controller may know of its task (weights of the reward, plants, load level, frequency model) is in
`control.task.description`, and the controllers that plan are built from it.
"""

from __future__ import annotations

from inspect import isfunction
from typing import Protocol

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.plants.fleet import Fleet
from control.plants.fleet_state import BESS, DR, GAS
from control.task.layout import (
    AVERAGE_DF,
    BEFORE_DF,
    DF_HZ,
    EARLIER_DF,
    FORECAST,
    FORECAST_MW,
    HOUR,
    LAST_ACTION,
    NEAR_LIMIT,
    NEAREST_DF,
    OWN_DF,
    OWN_LOAD,
    OWN_OUTPUT,
    SLOPE,
    SLOPE_MW,
    SYSTEM_DF,
    UTILISATION,
    WEEKDAY,
)

__all__ = [
    "AVERAGE_DF",
    "BEFORE_DF",
    "CLASSES",
    "DF_HZ",
    "EARLIER_DF",
    "FORECAST",
    "FORECAST_MW",
    "HOUR",
    "LAST_ACTION",
    "NEAREST_DF",
    "NEAR_LIMIT",
    "OWN_DF",
    "OWN_LOAD",
    "OWN_OUTPUT",
    "SLOPE",
    "SLOPE_MW",
    "SYSTEM_DF",
    "UTILISATION",
    "WEEKDAY",
    "Controller",
    "ControllerError",
    "SetPoints",
    "by_class",
    "mean_state_of_charge",
    "require_controller",
    "state_of_charge",
]

CLASSES = (BESS, GAS, DR)
# How far a battery may be from where its set-point should have taken it before that is put down to an energy limit.
SLIPPED_MW = 0.05
LARGE_MW = 40.0  # range of a plant of which that holds; of smaller ones in proportion


class Controller(Protocol):
    """Anything that moves the resources' set-points of a batch of episodes.

    What it remembers, a hidden state included, it keeps itself, one for each environment; `reset` says which to forget.
    """

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Episodes with these seeds begin in these environments: forget what was before."""
        ...

    def act(self, observation: FloatArray) -> FloatArray:
        """Actions, -1 to 1, [env, resource], from observations [env, resource, 15, 18 or 22]."""
        ...


class ControllerError(TypeError):
    """What was handed in as a controller is none; the message says what it lacks."""


def require_controller(given: object, name: str = "") -> None:
    """Refuse what has not the two methods of a controller, before an episode is begun with it.

    Args:
        given: an object, expected to have `reset` and `act`.
        name: what messages call it; its type's name if empty.

    Raises:
        ControllerError: it is a class or a function, or a method is missing.
    """
    name = name or repr(getattr(given, "__name__", type(given).__name__))
    if isinstance(given, type):
        raise ControllerError(f"{name} is a class, expected an object of it")
    missing = [method for method in ("reset", "act") if not callable(getattr(given, method, None))]
    if missing:
        what = "is a function" if isfunction(given) else f"has no method {' and no method '.join(missing)}"
        raise ControllerError(
            f"{name} {what}, expected an object with reset(envs, seeds) and act(observation)"
        )


def by_class(fleet: Fleet, bess: FloatArray, gas: FloatArray, dr: FloatArray) -> FloatArray:
    """A value per class, numbers or [env], spread over the resources: [env or 1, resource]."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (bess, gas, dr)))
    return np.stack(columns, axis=1)[:, fleet.kind]


def state_of_charge(observation: FloatArray, fleet: Fleet) -> FloatArray:
    """Share of its energy that each battery holds, 0 to 1, [env, bess]."""
    share: FloatArray = 0.5 * (observation[:, fleet.bess, UTILISATION] + 1.0)
    return share


def mean_state_of_charge(observation: FloatArray, fleet: Fleet) -> FloatArray:
    """Mean over the batteries, 0 to 1, [env]; half where there is none, so that nothing is asked for its sake."""
    if not len(fleet.bess):
        return np.full(len(observation), 0.5)
    mean: FloatArray = state_of_charge(observation, fleet).mean(axis=1)
    return mean


class SetPoints:
    """Commands of the resources as their controller knows them, and actions that lead to target commands.

    An observation holds outputs, which lag behind. So a controller keeps the sum of its own changes, within the
    ranges it knows, and corrects a battery's when the output shows that its energy held it back.
    """

    def __init__(self, fleet: Fleet, n_env: int) -> None:
        self.fleet = fleet
        self.command_mw = np.zeros((n_env, fleet.n_resource))
        self._change_mw = np.zeros((n_env, fleet.n_resource))
        self._slipped_mw = SLIPPED_MW * np.minimum(fleet.range_mw[fleet.bess] / LARGE_MW, 1.0)

    def reset(self, envs: IntArray) -> None:
        """All plants of these environments are on schedule."""
        self.command_mw[envs] = 0.0
        self._change_mw[envs] = 0.0

    def observe(self, observation: FloatArray) -> None:
        """Correct the batteries' commands by their outputs, once an interval before `towards`."""
        fleet, rows = self.fleet, self.fleet.bess
        output_mw = observation[:, rows, OWN_OUTPUT] * fleet.range_mw[rows]
        behind_mw = self._change_mw[:, rows] * (fleet.lag_s[rows] / fleet.interval_s)
        slipped = np.abs(self.command_mw[:, rows] - behind_mw - output_mw) > self._slipped_mw
        self.command_mw[:, rows] = np.where(slipped, output_mw, self.command_mw[:, rows])

    def towards(self, target_mw: FloatArray, dead_zone_mw: FloatArray | float = 0.0) -> FloatArray:
        """Actions that take the commands to their targets as fast as ramps and ranges allow.

        Args:
            target_mw: commands aimed at [MW], [env, resource].
            dead_zone_mw: smaller changes than this are not worth making [MW], [env or 1, resource].

        Returns:
            Actions, [env, resource].
        """
        fleet = self.fleet
        target_mw = np.clip(target_mw, fleet.low_mw, fleet.high_mw)
        change_mw = np.clip(target_mw - self.command_mw, -fleet.step_mw, fleet.step_mw)
        change_mw = np.where(np.abs(target_mw - self.command_mw) <= dead_zone_mw, 0.0, change_mw)
        self.command_mw = self.command_mw + change_mw
        self._change_mw = change_mw
        return change_mw / fleet.step_mw

    def took(self, action: FloatArray) -> None:
        """Something else was done in the place of what `towards` answered last.

        Args:
            action: share of the largest change, [env, resource].
        """
        fleet, before_mw = self.fleet, self.command_mw - self._change_mw
        moved_mw = before_mw + np.clip(action, -1.0, 1.0) * fleet.step_mw
        self.command_mw = np.clip(moved_mw, fleet.low_mw, fleet.high_mw)
        self._change_mw = self.command_mw - before_mw


class BaselineError(ValueError):
    """A baseline is unknown or has not been tuned; the message says what to do."""
