"""The controllers every learned policy is compared with, and the information each of them uses.

All stand in the agents' place (`controller.py`). Parameters may be numbers or [env], so that tuning can try many
candidates side by side in one batch. Tuned ones are data: `data/NAME.json`, written by scripts/tune_baselines.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.agc import AgcParameters, PiAgc, Tunable, Within, textbook_parameters
from control.controller import DF_HZ, OWN_DF, Controller, SetPoints, by_class, state_of_charge
from control.fleet import Fleet

__all__ = [
    "BASELINES",
    "Baseline",
    "BaselineError",
    "DoNothing",
    "LinearParameters",
    "LinearPolicy",
    "LocalPi",
    "LocalPiParameters",
    "RandomActions",
    "make_baseline",
    "stored_parameters",
]


class BaselineError(ValueError):
    """A baseline is unknown or has not been tuned; the message says what to do."""


class DoNothing:
    """No secondary control: set-points stay on schedule."""

    def __init__(self, fleet: Fleet, n_env: int) -> None:
        self._action = np.zeros((n_env, fleet.n_resource))

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        pass

    def act(self, observation: FloatArray) -> FloatArray:
        return self._action


class RandomActions:
    """Uniform actions, from a generator that belongs to the episode's seed."""

    def __init__(self, fleet: Fleet, n_env: int) -> None:
        self._n_resource = fleet.n_resource
        self._generators = [np.random.default_rng(env) for env in range(n_env)]

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        for env, seed in zip(envs, seeds, strict=True):
            # A stream of its own: the seed itself has drawn the episode.
            self._generators[env] = np.random.default_rng([int(seed), 1])

    def act(self, observation: FloatArray) -> FloatArray:
        return np.stack([rng.uniform(-1.0, 1.0, self._n_resource) for rng in self._generators])


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
    zone_bess_mw: Annotated[Tunable, Within(0.0, 3.0)] = 0.2
    zone_gas_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.2
    zone_dr_mw: Annotated[Tunable, Within(0.0, 4.0)] = 0.2


class LocalPi:
    """Every plant by itself on the frequency of its own bus, which comes without delay.

        u = -C Df - I,     dI/dt = Df / T - I / leak

    The leak keeps plants with slightly different frequencies from drifting against each other.
    """

    def __init__(self, fleet: Fleet, n_env: int, parameters: LocalPiParameters) -> None:
        self.fleet, self.parameters = fleet, parameters
        self._set_points = SetPoints(fleet, n_env)
        self._integral_mw = np.zeros((n_env, fleet.n_resource))
        p = parameters
        self._gain = by_class(fleet, *map(np.asarray, (p.gain_bess, p.gain_gas, p.gain_dr)))
        self._rate = by_class(fleet, *map(np.asarray, (p.integral_bess, p.integral_gas, p.integral_dr)))
        leak_s = by_class(fleet, *map(np.asarray, (p.leak_bess_s, p.leak_gas_s, p.leak_dr_s)))
        self._keep = np.exp(-fleet.interval_s / leak_s)
        self._zone_mw = by_class(fleet, *map(np.asarray, (p.zone_bess_mw, p.zone_gas_mw, p.zone_dr_mw)))

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        self._set_points.reset(envs)
        self._integral_mw[envs] = 0.0

    def act(self, observation: FloatArray) -> FloatArray:
        fleet = self.fleet
        self._set_points.observe(observation)
        df_hz = observation[:, :, OWN_DF] * DF_HZ
        integral_mw = self._integral_mw * self._keep - self._rate * fleet.interval_s * df_hz
        # Not beyond what the plant can give, so that it comes back at once.
        self._integral_mw = np.clip(integral_mw, fleet.low_mw, fleet.high_mw)
        wish_mw = self._integral_mw - self._gain * df_hz
        surplus = state_of_charge(observation, fleet) - 0.5
        wish_mw[:, fleet.bess] += np.atleast_1d(self.parameters.soc_recovery_mw)[:, None] * surplus
        return self._set_points.towards(wish_mw, self._zone_mw)


@dataclass(frozen=True, kw_only=True)
class LinearParameters:
    """One row of weights a class, and the smallest action worth making."""

    weight: FloatArray  # by bess, gas, dr; the last is the constant: [class, observation + 1], or [env, ...]
    zone: FloatArray  # [class], or [env, class]


class LinearPolicy:
    """Action = w_class . observation + b_class, cut at +-1 and left out where it is small. No memory at all."""

    def __init__(self, fleet: Fleet, n_env: int, parameters: LinearParameters) -> None:
        weight, zone = np.asarray(parameters.weight), np.asarray(parameters.zone)
        if weight.ndim == 2:
            weight, zone = weight[None], zone[None]
        self._weight = weight[:, fleet.kind]  # [env or 1, resource, observation + 1]
        self._zone = zone[:, fleet.kind]

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        pass

    def act(self, observation: FloatArray) -> FloatArray:
        if observation.shape[2] + 1 != self._weight.shape[2]:
            raise BaselineError(
                f"the linear policy has {self._weight.shape[2] - 1} weights, the observation "
                f"{observation.shape[2]} numbers; choose the environment's observation to match"
            )
        action = np.sum(self._weight[:, :, :-1] * observation, axis=2) + self._weight[:, :, -1]
        return np.where(np.abs(action) <= self._zone, 0.0, np.clip(action, -1.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One of the controllers to compare with."""

    title: str
    information: str  # what it sees of the grid
    build: Callable[[Fleet, int, Any], Controller]  # from fleet, n_env and parameters
    parameters: Callable[[dict[str, Any]], Any] | None = None  # from stored numbers; None: nothing to tune
    observation: str = "default"


def _linear(numbers: dict[str, Any]) -> LinearParameters:
    return LinearParameters(weight=np.array(numbers["weight"]), zone=np.array(numbers["zone"]))


BASELINES: dict[str, Baseline] = {
    "do_nothing": Baseline(
        title="do nothing",
        information="none",
        build=lambda fleet, n_env, _: DoNothing(fleet, n_env),
    ),
    "random": Baseline(
        title="random actions",
        information="none",
        build=lambda fleet, n_env, _: RandomActions(fleet, n_env),
    ),
    "agc_textbook": Baseline(
        title="textbook PI-AGC",
        information="system frequency by SCADA",
        build=lambda fleet, n_env, _: PiAgc(fleet, n_env, textbook_parameters(fleet)),
    ),
    "agc": Baseline(
        title="tuned PI-AGC",
        information="system frequency by SCADA",
        build=PiAgc,
        parameters=lambda numbers: AgcParameters(**numbers),
    ),
    "agc_forecast": Baseline(
        title="tuned PI-AGC with feed-forward",
        information="system frequency and forecast by SCADA",
        build=PiAgc,
        parameters=lambda numbers: AgcParameters(**numbers),
    ),
    "local_pi": Baseline(
        title="tuned local PI",
        information="own bus frequency, fresh",
        build=LocalPi,
        parameters=lambda numbers: LocalPiParameters(**numbers),
    ),
    "linear": Baseline(
        title="linear policy",
        information="the agents' 15 numbers",
        build=LinearPolicy,
        parameters=_linear,
    ),
    "linear_extended": Baseline(
        title="linear policy, extended",
        information="the agents' 18 numbers",
        build=LinearPolicy,
        parameters=_linear,
        observation="extended",
    ),
    # The same, with batteries alone: what the other two classes are worth.
    "linear_bess": Baseline(
        title="linear policy, batteries alone",
        information="the agents' 18 numbers",
        build=LinearPolicy,
        parameters=_linear,
        observation="extended",
    ),
}


def stored_parameters(name: str) -> dict[str, Any]:
    """The file of a tuned baseline: `parameters`, and where they come from in `provenance`."""
    source = files("control") / "data" / f"{name}.json"
    if not source.is_file():
        raise BaselineError(f"{name} has not been tuned; run: python scripts/tune_baselines.py --only {name}")
    content: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return content


def make_baseline(name: str, fleet: Fleet, n_env: int, parameters: Any = None) -> Controller:
    """A baseline by its name, with the tuned parameters that are stored or with those given."""
    if name not in BASELINES:
        raise BaselineError(f"no baseline is called {name!r}, expected one of {', '.join(BASELINES)}")
    baseline = BASELINES[name]
    if parameters is None and baseline.parameters is not None:
        parameters = baseline.parameters(stored_parameters(name)["parameters"])
    return baseline.build(fleet, n_env, parameters)
