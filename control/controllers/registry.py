"""The controllers every learned policy is compared with, and the information each of them uses.

All stand in the agents' place (`base.py`) and are built from the task's description. Parameters may be numbers or
[env], so that tuning can try many candidates side by side in one batch. Tuned ones are data: `data/NAME.json`, written
by scripts/tune_baselines.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from cases.case import Case
from cases.nearest_name import perhaps
from control.controllers.agc import AgcParameters, PiAgc, textbook_parameters
from control.controllers.area_agc import AreaAgc, AreaAgcParameters
from control.controllers.base import CLASSES, BaselineError, Controller
from control.controllers.linear import LinearParameters, LinearPolicy
from control.controllers.local_pi import LocalPi, LocalPiParameters
from control.controllers.predictive import PredictiveController, PredictiveParameters
from control.controllers.simple import DoNothing, RandomActions
from control.task.area_telemetry import AREAS
from control.task.description import TaskDescription

__all__ = [
    "BASELINES",
    "Baseline",
    "content_of",
    "is_tuned",
    "make_baseline",
    "stored_parameters",
    "tuned_content",
    "tuned_directory",
]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One of the controllers to compare with."""

    title: str
    information: str  # what it sees of the grid
    build: Callable[[TaskDescription, int, Any], Controller]  # from task, n_env and parameters
    parameters: Callable[[dict[str, Any]], Any] | None = None  # from stored numbers; None: nothing to tune
    observation: str = "default"
    # What is tuned on the 68-bus system serves other grids at their size, until it has been tuned on one.
    serves_all: bool = False


def _linear(numbers: dict[str, Any]) -> LinearParameters:
    """Args: numbers: as they are stored.

    Raises:
        ValueError: they are not of as many classes as there are.
    """
    weight, dead_zone = np.array(numbers["weight"]), np.array(numbers["dead_zone"])
    soft_zone = np.array(numbers.get("soft_zone", 0.0))  # laws tuned by earlier versions have none
    n = len(CLASSES)
    if weight.shape[-2:-1] != (n,) or dead_zone.shape[-1:] != (n,) or soft_zone.shape[-1:] not in ((), (n,)):
        raise ValueError(
            f"weights {weight.shape} and zones {dead_zone.shape}, expected {n} classes of plants"
        )
    return LinearParameters(weight=weight, dead_zone=dead_zone, soft_zone=soft_zone)


def _predictive(numbers: dict[str, Any]) -> PredictiveParameters:
    """Args: numbers: as they are stored, all of them: another one's place would be taken by what is not tuned.

    Raises:
        ValueError: one is missing.
    """
    missing = [field.name for field in fields(PredictiveParameters) if field.name not in numbers]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return PredictiveParameters(**numbers)


BASELINES: dict[str, Baseline] = {
    "do_nothing": Baseline(
        title="do nothing",
        information="none",
        build=lambda task, n_env, _: DoNothing(task.fleet, n_env),
    ),
    "random": Baseline(
        title="random actions",
        information="none",
        build=lambda task, n_env, _: RandomActions(task.fleet, n_env),
    ),
    "agc_textbook": Baseline(
        title="textbook PI-AGC",
        information="system frequency by SCADA",
        build=lambda task, n_env, _: PiAgc(task, n_env, textbook_parameters(task.fleet)),
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
    "area_agc_textbook": Baseline(
        title="textbook area AGC",
        information="frequency, ties and plants of each area by SCADA",
        build=lambda task, n_env, _: AreaAgc(task, n_env, AreaAgcParameters()),
        observation=AREAS,
    ),
    "area_agc": Baseline(
        title="tuned area AGC",
        information="frequency, ties and plants of each area by SCADA",
        build=AreaAgc,
        parameters=lambda numbers: AreaAgcParameters(**numbers),
        observation=AREAS,
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
    "linear_memory": Baseline(
        title="linear policy with memory",
        information="the agents' 22 numbers",
        build=LinearPolicy,
        parameters=_linear,
        observation="memory",
    ),
    # The same, tuned on grids with all kinds of inertia, dead band, delay of telemetry, wind and sun.
    "linear_wide": Baseline(
        title="linear policy with memory, tuned on randomised dynamics",
        information="the agents' 22 numbers",
        build=LinearPolicy,
        parameters=_linear,
        observation="memory",
    ),
    # The extended one with batteries alone: what the other two classes are worth.
    "linear_bess": Baseline(
        title="linear policy, batteries alone",
        information="the agents' 18 numbers",
        build=LinearPolicy,
        parameters=_linear,
        observation="extended",
    ),
    "mpc": Baseline(
        title="causal MPC",
        information="all agents' 15 numbers together",
        build=lambda task, n_env, parameters: PredictiveController(
            task, n_env, parameters.of_each(task.case, n_env)
        ),
        parameters=_predictive,
        serves_all=True,
    ),
}


def tuned_directory(case: Case) -> Path:
    """Where parameters tuned for a grid of one's own are kept; those of the 68-bus system come with this package."""
    return Path("runs") / "tuned" / case.identity.replace(" ", "-")


def _stored(name: str, case: Case | None) -> Path | Traversable:
    """The file of a tuned baseline, whether it is there or not."""
    file = f"{name}.json"
    if case is not None and not case.setting.is_published:
        own = tuned_directory(case) / file
        if own.is_file() or not BASELINES[name].serves_all:
            return own
    return files("control") / "data" / file


def is_tuned(name: str, case: Case | None = None) -> bool:
    """Whether a baseline can act on a grid (the 68-bus system if None): there is nothing to tune, or it has been."""
    return BASELINES[name].parameters is None or _stored(name, case).is_file()


def tuned_content(name: str, case: Case | None = None) -> bytes:
    """What the file of a tuned baseline holds; nothing where there is nothing to tune or it has not been tuned."""
    source = _stored(name, case)
    if BASELINES[name].parameters is None or not source.is_file():
        return b""
    return source.read_bytes()


def stored_parameters(name: str, case: Case | None = None) -> dict[str, Any]:
    """The file of a tuned baseline: `parameters`, and where they come from in `provenance`.

    Args:
        name: of the baseline.
        case: the grid it was tuned for; the 68-bus system if None.

    Raises:
        BaselineError: there is no such file, or it holds no numbers for this baseline; the message tells the command
            that writes it.
    """
    source = _stored(name, case)
    own = case is not None and not case.setting.is_published
    # A case does not know by which name or file it was opened.
    grid, option = (
        (f" for {case.identity}", " with the same --case") if own and case is not None else ("", "")
    )
    command = f"python scripts/tune_baselines.py --only {name}{option}"
    if not source.is_file():
        raise BaselineError(f"{name} has not been tuned{grid}; run: {command}")
    try:
        return content_of(source.read_text(encoding="utf-8"), name)
    except ValueError as error:
        raise BaselineError(
            f"{source} holds no parameters of {name}: {error}; delete it and tune anew: {command}"
        ) from error


def content_of(text: str, name: str) -> dict[str, Any]:
    """What a file of a tuned baseline holds: an object whose `parameters` are finite numbers that make one.

    Raises:
        ValueError: it holds something else; the message says what.
    """
    try:
        content: dict[str, Any] = json.loads(text)
    except RecursionError as error:
        raise ValueError("lists within lists without end") from error
    numbers = content.get("parameters") if isinstance(content, dict) else None
    if not isinstance(numbers, dict):
        raise ValueError('expected an object with "parameters", an object of numbers')
    make = BASELINES[name].parameters
    assert make is not None
    try:
        for key, value in numbers.items():
            array = np.asarray(value)
            if array.dtype.kind not in "fi" or not np.isfinite(array).all():
                raise ValueError(f"{key} = {value!r}, expected finite numbers")
        make(numbers)
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except TypeError as error:  # of a dataclass: what it does not know, or lacks
        raise ValueError(str(error)) from error
    return content


def make_baseline(name: str, task: TaskDescription, n_env: int, parameters: Any = None) -> Controller:
    """A baseline by its name, with the tuned parameters that are stored or with those given.

    Raises:
        BaselineError: the name is unknown, the baseline has not been tuned, or it sees another observation.
    """
    if name not in BASELINES:
        raise BaselineError(
            f"no baseline is called {name!r}, expected one of {', '.join(BASELINES)}"
            + perhaps(name, BASELINES)
        )
    baseline = BASELINES[name]
    if parameters is None and baseline.parameters is not None:
        parameters = baseline.parameters(stored_parameters(name, task.case)["parameters"])
    return baseline.build(task, n_env, parameters)
