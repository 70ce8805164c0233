"""Any grid made ready for a task: a name or a file -> Case with plants, wind, sun, areas and sizes.

    rogers, tr18                the 68-bus system, as published; ieee68 is rogers
    case39, *.m, *.mat, *.json  any other, see `grid_model.power_flow.open_case`, and all else by rule
    *.toml                      a grid file, which names one and says what is known about it:

    grid = "mine.m"              # a name or a file beside this one
    machines = "machines.csv"    # data of machines (`cases.typical_machines`), else typical ones
    plants = "plants.csv"        # or tables [[plant]]; else by rule (`control.plants.placement`)
    renewables = "wind.csv"      # or tables [[renewable]]; else by rule
    areas = "coherency"          # or "file" or "zones", its own; or a CSV with columns bus, area
    n_areas = 3                  # of coherency; else as many as the modes suggest
    limits = "fit"               # widened to what the year brings about, or "file", as they are
    load_scale = 0.9             # of loads and machines' powers

Areas are the file's own where it has several, else coherent ones. What a file leaves open for the dynamics is settled
here, and told in the notes: a machine without active power gets no governor; machines are dispatched in proportion to
their published powers, as on the 68 buses, and run all the time; shunts stay as they are; a load without active power
is a shunt.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.case import Case
from cases.csv_table import read_csv_table
from cases.grid_setting import PUBLISHED_BUSES, GridSetting
from cases.grid_tables import CONDENSER_MVA, COST_LINEAR, MARGINAL_COST
from cases.ieee68 import load_ieee68, variant_named
from cases.series import NOMINAL_LOAD_MW, Series, load_series
from cases.tables import ReactorTable, ShuntTable
from cases.toml_file import read_toml
from control.plants.placement import (
    PLANT_KEYS,
    RENEWABLE_KEYS,
    Row,
    csv_rows,
    plant_size,
    plants_by_rule,
    plants_of,
    renewables_by_rule,
    renewables_of,
)
from control.scenario.base_case import fitted, in_words, undisturbed
from control.scenario.config import LARGEST
from control.scenario.suites import NORMAL, STRESS
from grid_model.dynamics.slow_coherency import with_coherent_areas
from grid_model.power_flow.open_case import OpenedGrid, balanced, open_grid

__all__ = [
    "PUBLISHED",
    "TaskGrid",
    "equipped",
    "open_as_it_is",
    "open_task_grid",
    "published_case",
    "published_series",
]

PUBLISHED = "rogers"
N_REGION = 3  # of the year's load
NO_LOAD_MW = 1e-6
KEYS = ("grid", "machines", "plants", "renewables", "areas", "n_areas", "limits", "load_scale")


@dataclass(frozen=True, kw_only=True)
class TaskGrid:
    """A grid ready for a task."""

    case: Case
    notes: tuple[str, ...]  # what was assumed
    warnings: tuple[str, ...]  # what it breaks before anybody acts, and what to do


@lru_cache(maxsize=4)
def published_case(variant: str = PUBLISHED) -> Case:
    """The 68-bus system, read once."""
    return load_ieee68(variant)


@lru_cache(maxsize=1)
def published_series() -> Series:
    """The real year, read once."""
    return load_series()


def open_task_grid(source: str = "") -> TaskGrid:
    """Open a grid and put on it what a task needs; kept for the next call as long as its file stays as it is.

    Args:
        source: see the module's head; the 68-bus system if empty.

    Raises:
        CaseDataError: there is no such grid, or it or what stands on it cannot be.
    """
    source = source or PUBLISHED
    variant = variant_named(source)
    if variant is not None:
        return TaskGrid(case=published_case(variant), notes=(), warnings=())
    return _opened(source, _stamp(source))


def _stamp(source: str) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of the file, and of all tables beside a grid file."""
    path = Path(source)
    files = sorted(path.parent.glob("*.*")) if path.suffix == ".toml" else [path]
    found = []
    for file in files:
        if file.suffix in (".toml", ".csv", ".m", ".mat", ".json") and os.path.isfile(file):
            about = file.stat()
            found.append((file.name, about.st_size, about.st_mtime_ns))
    return tuple(found)


def open_as_it_is(source: str, dynamics: Path | None = None) -> OpenedGrid:
    """The grid that a source names without anything put on it: what power flows and screenings look at.

    Args:
        source: see the module's head.
        dynamics: side-car CSV with machine data; a grid file names its own.

    Raises:
        CaseDataError: see `open_task_grid`.
    """
    if not source.endswith(".toml"):
        return open_grid(source, dynamics)
    if dynamics is not None:
        raise CaseDataError(
            f"{source}: a grid file names its machine data itself, expected no side-car file."
        )
    path = Path(source)
    choices = _read(path)
    beside, machines = path.parent / choices["grid"], choices.get("machines")
    opened = open_grid(
        str(beside) if os.path.isfile(beside) else choices["grid"],
        None if machines is None else path.parent / machines,
    )
    return replace(opened, case=replace(opened.case, name=path.stem))


@lru_cache(maxsize=4)
def _opened(source: str, stamp: tuple[tuple[str, int, int], ...]) -> TaskGrid:
    opened = open_as_it_is(source)
    is_file = source.endswith(".toml")
    choices = _read(Path(source)) if is_file else {}
    directory = Path(source).parent if is_file else Path()
    return equipped(opened.case, choices, directory, where=source, notes=opened.notes, zone=opened.zone)


def _read(path: Path) -> dict[str, Any]:
    """The entries of a grid file.

    Raises:
        CaseDataError: it cannot be read, or holds what no grid file does.
    """
    content = read_toml(path, "grid file", CaseDataError)
    for key, value in content.items():
        if key in ("plant", "renewable"):
            good = isinstance(value, list) and all(isinstance(row, dict) for row in value)
            expected = f"tables [[{key}]]"
        elif key in ("n_areas", "load_scale"):
            good = isinstance(value, int | float) and not isinstance(value, bool)
            if key == "load_scale":
                good, expected = good and 0.0 < value <= 10.0, "a number above 0 and at most 10"
            else:
                good = good and 1 <= value <= LARGEST and value == round(value)
                expected = "a whole number of at least 1"
        elif key in KEYS:
            good, expected = isinstance(value, str) and value != "", "text"
        else:
            raise CaseDataError(
                f"{path}: unknown key {key}, expected one of {', '.join(KEYS)}, plant, renewable."
            )
        if not good:
            raise CaseDataError(f"{path}: {key} = {reprlib.repr(value)}, expected {expected}.")
    for table, listed in (("plant", "plants"), ("renewable", "renewables")):
        if table in content and listed in content:
            raise CaseDataError(f"{path}: {listed} and [[{table}]], expected one of them.")
    if "grid" not in content:
        raise CaseDataError(f"{path}: no grid, expected the name or file of one.")
    if str(content["grid"]).lower().endswith(".toml"):
        raise CaseDataError(
            f"{path}: grid = {content['grid']!r} is a grid file itself, expected the name of a grid or a file that "
            "ends in .json, .m or .mat."
        )
    if content.get("limits", "fit") not in ("fit", "file"):
        raise CaseDataError(f"{path}: limits = {content['limits']!r}, expected fit or file.")
    return content


def equipped(
    case: Case,
    choices: Mapping[str, Any] | None = None,
    directory: Path = Path(),
    *,
    where: str = "",
    notes: tuple[str, ...] = (),
    zone: tuple[float, ...] = (),
) -> TaskGrid:
    """A grid with everything on it that a task needs.

    Args:
        case: the grid, as it was opened.
        choices: entries of a grid file; none if None.
        directory: where files of theirs are.
        where: of the choices, for messages.
        notes: what was assumed already.
        zone: of each bus, as its source has it.

    Raises:
        CaseDataError: the grid has no load, several islands, or a table of the user's is wrong.
    """
    choices, said = choices or {}, list(notes)
    if case.n_island > 1:
        by_size = np.argsort(-np.bincount(case.island))
        apart = [str(case.bus.bus_number[np.argmax(case.island == k)]) for k in by_size[1:5]]
        raise CaseDataError(
            f"case {case.name}: {case.n_island} islands, expected one, as each has a frequency of its own; "
            f"apart from the largest are those of bus {', '.join(apart)}. Open them as grids of their own, or close "
            "what joins them."
        )
    if case.n_dc_line > 0:
        raise CaseDataError(
            f"case {case.name}: {', '.join(case.dc_line.name[:4])}, which the frequency model has no law for. "
            "Put a load at one end and a generator at the other in its place; power flow, screening and pictures "
            "take it as it is."
        )
    case = _settled(case, float(choices.get("load_scale", 1.0)), said)
    case = _with_areas(case, choices, directory, zone, said)
    total_mw = float(case.load.p_mw.sum())
    if not total_mw > 0.0:
        raise CaseDataError(f"case {case.name}: {total_mw:g} MW of load, expected some to balance.")
    size = total_mw / NOMINAL_LOAD_MW
    inertia_mws = float((case.machine.h_s * case.machine.base_mva).sum())
    if not inertia_mws <= LARGEST:
        raise CaseDataError(
            f"case {case.name}: its machines turn with {inertia_mws:g} MWs, expected at most {LARGEST:g}; see their "
            "rating_mva, base_mva and h_s."
        )
    rows = _rows(choices, "plant", PLANT_KEYS, directory, where)
    plants = plants_by_rule(case) if rows is None else plants_of(rows, case, size)
    rows = _rows(choices, "renewable", RENEWABLE_KEYS, directory, where)
    renewables = renewables_by_rule(case) if rows is None else renewables_of(rows, case)
    case = replace(
        case,
        resource=plants,
        renewable=renewables,
        setting=GridSetting(
            size=size,
            plant_size=plant_size(plants.kind, size),
            bus_count=case.n_bus / PUBLISHED_BUSES,
            region_of_area=tuple(k % N_REGION for k in range(case.n_area)),
            inertia_mws=inertia_mws,
            unit_p_mw=_units(case.machine.p_mw, size),
            always_running=True,
        ),
    )
    counts = {kind: plants.kind.count(kind) for kind in dict.fromkeys(plants.kind)}
    said.append(
        f"{total_mw:.0f} MW of load, {100.0 * size:.1f} % of the 68-bus system's, in {case.n_area} areas; "
        + ", ".join(f"{n} {kind}" for kind, n in counts.items())
        + f"; {case.n_renewable} plants of wind and sun, {renewables.p_max_mw.sum():.0f} MW"
    )
    found = undisturbed(case, published_series())
    if choices.get("limits", "fit") == "fit":
        case, widened = fitted(case, found)
        said += widened
    return TaskGrid(case=case, notes=tuple(said), warnings=in_words(case, found))


def _rows(
    choices: Mapping[str, Any], table: str, keys: tuple[str, ...], directory: Path, where: str
) -> Mapping[str, Row] | None:
    """Rows of a table of the user's by where they stand: in the grid file, or in a CSV; None where there is none.

    Raises:
        CaseDataError: the CSV cannot be read.
    """
    if table in choices:
        return {f"{where}, {table} {k}": row for k, row in enumerate(choices[table], 1)}
    listed = f"{table}s"
    return csv_rows(directory / choices[listed], keys) if listed in choices else None


def _settled(case: Case, load_scale: float, said: list[str]) -> Case:
    """The grid with what its file leaves open for the dynamics settled, see the module's head.

    Raises:
        CaseDataError: no machine has active power, or the scaled grid has no power flow.
    """
    load, machine, shunt = case.load, case.machine, case.shunt
    if load_scale != 1.0:
        load = replace(load, p_mw=load.p_mw * load_scale, q_mvar=load.q_mvar * load_scale)
        machine = replace(machine, p_mw=machine.p_mw * load_scale)
        said.append(f"loads and machines at {100.0 * load_scale:g} % of their file's powers")
    reactive = np.abs(load.p_mw) < NO_LOAD_MW
    banks = case.base_reactor_share * case.reactor.q_mvar
    shunt = ShuntTable(
        bus=np.concatenate([shunt.bus, case.reactor.bus, load.bus[reactive]]),
        p_mw=np.concatenate([shunt.p_mw, np.zeros(len(banks) + np.count_nonzero(reactive))]),
        q_mvar=np.concatenate([shunt.q_mvar, banks, load.q_mvar[reactive]]),
    )
    if reactive.any():
        said.append(f"{np.count_nonzero(reactive)} loads without active power are shunts")
    keep = ~reactive
    load = replace(
        load,
        name=tuple(name for name, k in zip(load.name, keep, strict=True) if k),
        bus=load.bus[keep],
        p_mw=load.p_mw[keep],
        q_mvar=load.q_mvar[keep],
        **{column: getattr(load, column)[keep] for column in load.share_columns},
    )
    case = replace(
        case,
        load=load,
        shunt=shunt,
        machine=machine,
        reactor=ReactorTable(bus=np.zeros(0, dtype=np.int64), q_mvar=np.zeros(0)),
        base_reactor_share=0.0,
    )
    case = balanced(case)
    machine = case.machine
    turning = machine.p_mw > 0.0
    if not turning.any():
        raise CaseDataError(f"case {case.name}: no machine with active power, expected one that governs.")
    rating = np.where(turning, machine.rating_mva, np.minimum(machine.rating_mva, CONDENSER_MVA))
    # A slack that was left with more than its file's limit is as large as what it gives.
    rating = np.maximum(rating, np.where(turning, machine.p_mw / NORMAL.dispatch.p_max_share, 0.0))
    # At the published powers all marginal costs are one, so the dispatch there is the file's own.
    least_mw = 1e-3 * rating
    cost_quadratic = (MARGINAL_COST - COST_LINEAR) / (2.0 * np.maximum(machine.p_mw, least_mw))
    if np.any(~turning):
        said.append(f"{np.count_nonzero(~turning)} machines without active power have no governor")
    return replace(case, machine=replace(machine, rating_mva=rating, cost_quadratic=cost_quadratic))


def _by_zone(case: Case, zone: tuple[float, ...]) -> Case:
    """The grid with its source's zones as areas; a bus without one, such as a star point, takes a neighbour's.

    Raises:
        CaseDataError: the source has no zones.
    """
    known = np.array(zone, dtype=np.float64)
    if len(known) != case.n_bus or np.isnan(known).all():
        raise CaseDataError(f"case {case.name}: its file has no zones; take areas = coherency or a CSV.")
    f, t = case.branch.from_bus, case.branch.to_bus
    while np.isnan(
        known
    ).any():  # the grid is one island, so every bus has a chain of neighbours to a known one
        for here, there in ((f, t), (t, f)):
            take = np.isnan(known[here]) & ~np.isnan(known[there])
            known[here[take]] = known[there[take]]
    values, area = np.unique(known, return_inverse=True)
    names = tuple(f"zone {k + 1}" for k in range(len(values)))
    return replace(case, area_names=names, bus=replace(case.bus, area=area.astype(np.int64)))


def _with_areas(
    case: Case, choices: Mapping[str, Any], directory: Path, zone: tuple[float, ...], said: list[str]
) -> Case:
    """The grid with areas: coherent ones, its file's areas or zones, or those of a CSV.

    Raises:
        CaseDataError: more areas than machines are asked for, or the CSV does not list the buses.
    """
    areas = str(choices.get("areas", "file" if case.n_area > 1 else "coherency"))
    if areas == "coherency":
        try:
            n_area = choices.get("n_areas")
            found = with_coherent_areas(case, None if n_area is None else int(n_area))
        except ValueError as error:
            raise CaseDataError(str(error)) from error
        said.append(f"{found.n_area} areas by slow coherency of the machines")
        return found
    if "n_areas" in choices:
        raise CaseDataError(f"case {case.name}: n_areas is of areas = coherency, not of areas = {areas}.")
    if areas == "file":
        return case
    if areas == "zones":
        return _by_zone(case, zone)
    table = read_csv_table(directory / areas)
    table.require_unique("bus")
    position = {int(n): k for k, n in enumerate(case.bus.bus_number)} | dict(case.fused)
    bus, name = table.positions("bus", position), table.texts("area")
    by_bus = dict(zip(bus.tolist(), name, strict=True))
    missing = [int(n) for k, n in enumerate(case.bus.bus_number) if k not in by_bus]
    if missing:
        raise CaseDataError(f"{areas}: no area for bus {missing[0]}, expected one for every bus.")
    names = list(dict.fromkeys(name))
    area = np.array([names.index(by_bus[k]) for k in range(case.n_bus)], dtype=np.int64)
    return replace(case, area_names=tuple(names), bus=replace(case.bus, area=area))


def _units(p_mw: FloatArray, size: float) -> tuple[float, float, float]:
    """Least and largest power of units that may trip, and the largest of `stress` [MW].

    As large a part of the load as on the 68-bus system; where no unit is, all smaller ones may.
    """
    least_mw, most_mw = NORMAL.unit_p_min_mw * size, NORMAL.unit_p_max_mw * size
    if not np.any((p_mw >= least_mw) & (p_mw <= most_mw)):
        least_mw = NO_LOAD_MW
    return least_mw, most_mw, max(STRESS.unit_p_max_mw * size, most_mw)
