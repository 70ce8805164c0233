"""A user's own controller, FILE.py:CLASS: read, built and watched, so that a fault in it is told in one line.

Its code may do anything: raise, end the program, answer with what is no action. Whoever plays it learns of all of that
by ComparisonError, with file, method and line. A process that its code ends outright, by `os._exit`, can tell nothing;
`suite_runner` tells of it.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.controllers.base import Controller, ControllerError, require_controller
from control.evaluation.grid_record import GridEnvironment
from control.evaluation.refusal import ComparisonError

__all__ = ["users_controller"]


def users_controller(file: str, class_name: str, environment: GridEnvironment) -> Controller:
    """An object of a class in a user's file, made with (fleet, n_env), or without arguments if it takes none.

    Args:
        file: of Python.
        class_name: of a class with `reset` and `act` in it.
        environment: that it is to act in.

    Raises:
        ComparisonError: the file cannot be read or run, or has no such class, or one that is no controller or that
            cannot be built. Methods of what is returned raise it too, where the user's own fail.
    """
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise ComparisonError(f"cannot read {file}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # of any kind, as the file is the user's
        raise ComparisonError(f"{file} cannot be run: {_told(error, file)}") from error
    if not hasattr(module, class_name):
        raise ComparisonError(f"{file} has no class {class_name!r}; name it as {file}:CLASS")
    make = getattr(module, class_name)
    if not inspect.isclass(make):
        raise ComparisonError(
            f"{file}: {class_name} is a {type(make).__name__}, expected a class with reset and act"
        )
    signature = inspect.signature(make)
    arguments = (environment.loop.fleet, environment.n_env) if signature.parameters else ()
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ComparisonError(
            f"{file}: {class_name}{signature} cannot be built, expected (fleet, n_env) or no arguments"
        ) from error
    with _in_one_line(file, f"{class_name}.__init__"):
        made = make(*arguments)
    try:
        require_controller(made, class_name)
    except ControllerError as error:
        raise ComparisonError(f"{file}: {error}") from error
    watched = _WatchedTelling if callable(getattr(made, "tell", None)) else _Watched
    return watched(made, file, class_name)


class _Watched:
    """The user's controller, whose faults are told with file, method and line; all else of it is as it is."""

    def __init__(self, users: Any, file: str, class_name: str) -> None:
        """Args: users: the object; file, class_name: where it is from."""
        self._users, self._file, self._class = users, file, class_name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._users, name)
        return self._watched(name, found) if inspect.ismethod(found) else found

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with _in_one_line(self._file, f"{self._class}.{name}"):
                return method(*arguments)

        return call

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """See `Controller`.

        Raises:
            ComparisonError: the user's own raises.
        """
        with _in_one_line(self._file, f"{self._class}.reset"):
            self._users.reset(envs, seeds)

    def act(self, observation: FloatArray) -> FloatArray:
        """See `Controller`.

        Raises:
            ComparisonError: the user's own raises, or answers with what is no action of every plant.
        """
        with _in_one_line(self._file, f"{self._class}.act"):
            action: FloatArray = self._users.act(observation)
        expected = observation.shape[:2]
        if not isinstance(action, np.ndarray) or action.dtype.kind not in "biuf":
            found = f"an array of {action.dtype}" if isinstance(action, np.ndarray) else type(action).__name__
        elif action.shape != expected:
            found = f"shape {action.shape}"
        elif not np.isfinite(action).all():
            found = f"{action[~np.isfinite(action)][0]}"
        else:
            return action
        raise ComparisonError(
            f"{self._file}: {self._class}.act answered with {found}, expected an array [env, resource] of shape "
            f"{expected} with numbers from -1 to 1"
        )


class _WatchedTelling(_Watched):
    """One that tells of itself; see `rollout.Telling`."""

    def tell(self) -> Mapping[str, FloatArray]:
        """See `Telling`.

        Raises:
            ComparisonError: the user's own raises.
        """
        with _in_one_line(self._file, f"{self._class}.tell"):
            told: Mapping[str, FloatArray] = self._users.tell()
        return told


@contextmanager
def _in_one_line(file: str, what: str) -> Iterator[None]:
    """What is raised meanwhile, by code of the user's, is told with where it was.

    Raises:
        ComparisonError: something was raised.
    """
    try:
        yield
    # An exit is the user's code's, and must not be taken for this program's.
    except (Exception, SystemExit) as error:
        raise ComparisonError(f"{file}: {what} raised {_told(error, file)}") from error


def _told(error: BaseException, file: str) -> str:
    """Kind and words of an exception, and the last line of the user's file on its way."""
    words = " ".join(str(error).split())
    here = os.path.abspath(file)
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.abspath(frame.filename) == here
    ]
    where = f" (line {lines[-1]})" if lines else ""
    return type(error).__name__ + (f": {words}" if words else "") + where
