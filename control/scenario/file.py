"""Scenarios by name: the suites, the training distributions, and a user's own as a file.

A scenario of one's own is a small TOML file that starts from a suite and changes what it names:

    base = "n1"
    name = "evening peak, G6 trips"
    start_minute = 281_000.0
    outage_rate_per_h = 0.0
    outages_min = 0

    [forecast]
    dispatch_wind_percent = 6.0

    [gas_turbine]
    operating_point_mw = 120.0

    [[event]]
    time_s = 120.0
    kind = "machine_out"
    element = "G6"
"""

from __future__ import annotations

from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

from cases.case import Case
from cases.nearest_name import perhaps
from cases.toml_file import read_toml
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.gas_turbine import GasTurbineParameters
from control.scenario.config import LARGEST, ScenarioConfig, ScenarioError
from control.scenario.fleet_sizing import sized
from control.scenario.suites import SCENARIOS
from control.scheduling.dispatch import DispatchConfig, dispatch_limits
from control.telemetry.forecast import ForecastConfig
from grid_model.dynamics.events import TABLE_OF_KIND, DisturbanceError, Event, check_events
from grid_model.dynamics.parameters import swing_of

__all__ = ["read_scenario", "scenario_named"]

Config = TypeVar(
    "Config",
    ScenarioConfig,
    ForecastConfig,
    DispatchConfig,
    BatteryParameters,
    GasTurbineParameters,
    DemandResponseParameters,
)
# Fields of a scenario that are tables of their own.
TABLES = ("forecast", "dispatch", "battery", "gas_turbine", "demand_response")


def scenario_named(name: str | Path, case: Case) -> ScenarioConfig:
    """A suite or training distribution by its name, or a user's own by the path of its .toml file.

    Suites come at the size of the grid, see `fleet_sizing.sized`.

    Raises:
        ScenarioError: there is none of this name, or its file is wrong.
    """
    name = str(name)
    if name in SCENARIOS:
        return sized(SCENARIOS[name], case)
    if name.endswith(".toml"):
        return read_scenario(Path(name), case)
    raise ScenarioError(
        f"no scenario is called {name!r}, expected one of {', '.join(SCENARIOS)}, or a file ending in .toml"
        f"{perhaps(name, SCENARIOS)}."
    )


def read_scenario(path: Path, case: Case) -> ScenarioConfig:
    """Read a user's own scenario; elements of events are named as in the tables of the case.

    Raises:
        ScenarioError: the file cannot be read, or no episode on this grid can be made from it; names the file.
    """
    content = read_toml(path, "scenario", ScenarioError)
    base_name = content.pop("base", "normal")
    if not isinstance(base_name, str) or base_name not in SCENARIOS:
        raise ScenarioError(f"{path}: base = {shown(base_name)}, expected one of {', '.join(SCENARIOS)}.")
    base = sized(SCENARIOS[base_name], case)  # so that what the file says in MW is the user's own
    rows = content.pop("event", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ScenarioError(f"{path}: event = {shown(rows)}, expected a table [[event]] for each event.")
    events = tuple(_read_event(path, row, case) for row in rows)
    changes: dict[str, Any] = {"name": path.stem}
    for key, value in content.items():
        if key in TABLES:
            if not isinstance(value, dict):
                raise ScenarioError(f"{path}: {key} = {shown(value)}, expected a table: [{key}].")
            value = _changed(path, getattr(base, key), value, f"{key}.")
        changes[key] = value
    config = replace(_changed(path, base, changes, ""), events=base.events + events)
    _check_on_grid(path, config, case)
    return config


def shown(value: Any) -> str:
    """A value as a message shows it: what is long or nested is cut."""
    short = Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value)


def _check_on_grid(path: Path, config: ScenarioConfig, case: Case) -> None:
    """Raise ScenarioError if the grid or its model refuses what is right as such.

    Raises:
        ScenarioError: it does.
    """
    # As `GridSimulator` asks, for the frequency model that all scripts take.
    dt_s = swing_of(case).dt_s
    n_step = round(config.interval_s / dt_s)
    if n_step < 1 or abs(n_step * dt_s - config.interval_s) > 1e-9:
        raise ScenarioError(
            f"{path}: interval_s = {config.interval_s}, expected a whole number of steps of {dt_s:g} s."
        )
    try:
        dispatch_limits(case.machine, config.dispatch)
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from error
    for event in config.events:
        if event.time_s >= config.duration_s:
            name = getattr(case, TABLE_OF_KIND[event.kind]).name[event.index]
            raise ScenarioError(
                f"{path}: element {name!r}, event {event.kind} at {event.time_s:g} s, expected before the end of the "
                f"episode at {config.duration_s:g} s."
            )
    # One more at a time, so that the one at fault is known and can be called by its name.
    for k, event in enumerate(config.events, start=1):
        try:
            check_events(
                config.events[:k],
                n_branch=case.n_branch,
                n_machine=case.n_machine,
                n_load=case.n_load,
                n_renewable=case.n_renewable,
                can_trip=[not equivalent for equivalent in case.machine.is_equivalent],
            )
        except DisturbanceError as error:
            name = getattr(case, TABLE_OF_KIND[event.kind]).name[event.index]
            raise ScenarioError(f"{path}: element {name!r}, {error}") from error


def _changed(path: Path, base: Config, changes: dict[str, Any], prefix: str) -> Config:
    """A copy with some fields replaced; unknown fields and wrong types are named.

    Raises:
        ScenarioError: a field is unknown, has a wrong type, or contradicts another.
    """
    # Events have tables of their own, in which elements go by their names.
    known: dict[str, Any] = {f.name: getattr(base, f.name) for f in fields(base) if f.name != "events"}
    checked: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in known:
            names = [*known] if prefix else ["base", *known, "event"]
            raise ScenarioError(
                f"{path}: unknown key {prefix}{shown(key)[1:-1]}, expected one of {', '.join(names)}."
            )
        old = known[key]
        if isinstance(old, float) or key in ("start_minute", "inertia_scale_to_mws"):
            value = _number(path, f"{prefix}{key}", value)
        elif isinstance(old, bool):
            if not isinstance(value, bool):
                raise ScenarioError(f"{path}: {prefix}{key} = {shown(value)}, expected true or false.")
        elif isinstance(old, int) and (isinstance(value, bool) or not isinstance(value, int)):
            raise ScenarioError(f"{path}: {prefix}{key} = {shown(value)}, expected a whole number.")
        elif isinstance(old, str) and not isinstance(value, str):
            raise ScenarioError(f"{path}: {prefix}{key} = {shown(value)}, expected text.")
        checked[key] = value
    try:
        return replace(base, **checked)
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from error


def _number(path: Path, name: str, value: Any) -> float:
    """A number of a file as a float.

    Raises:
        ScenarioError: it is no number, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScenarioError(f"{path}: {name} = {shown(value)}, expected a number.")
    try:
        number = float(value)
    except OverflowError as error:
        raise ScenarioError(f"{path}: {name} is beyond 1e308, expected a smaller number.") from error
    if isfinite(number) and abs(number) > LARGEST:  # the others are told of with the rest of the scenario
        raise ScenarioError(f"{path}: {name} = {number:g}, expected -{LARGEST:g} to {LARGEST:g}.")
    return number


def _read_event(path: Path, row: dict[str, Any], case: Case) -> Event:
    """One [[event]] table; `element` is the name of the circuit, machine, load or plant.

    Raises:
        ScenarioError: kind or element is unknown, a key is missing or unknown, or the event contradicts
            itself.
    """
    row = dict(row)
    kind, element = row.pop("kind", None), row.pop("element", None)
    if not isinstance(kind, str) or kind not in TABLE_OF_KIND:
        raise ScenarioError(
            f"{path}: event kind = {shown(kind)}, expected one of {', '.join(TABLE_OF_KIND)}."
        )
    names: tuple[str, ...] = getattr(case, TABLE_OF_KIND[kind]).name
    if not names:
        raise ScenarioError(
            f"{path}: event kind = {kind!r}, but the grid's {TABLE_OF_KIND[kind]} table is empty."
        )
    if element not in names:
        raise ScenarioError(
            f"{path}: event element = {shown(element)}, expected a name of the {TABLE_OF_KIND[kind]} table, "
            f"such as {names[0]!r}."
        )
    unknown = set(row) - {"time_s", "p_mw", "duration_s"}
    if unknown or "time_s" not in row:
        what = f"unknown key {shown(sorted(unknown)[0])[1:-1]}" if unknown else "no time_s"
        raise ScenarioError(f"{path}: event with {what}, expected time_s, kind, element, p_mw, duration_s.")
    numbers = {name: _number(path, f"event {name}", value) for name, value in row.items()}
    try:
        return Event(kind=kind, index=names.index(element), **numbers)
    except DisturbanceError as error:
        raise ScenarioError(f"{path}: {error}") from error
