"""What stands on a grid that has no plants of its own: by rule, or by tables of the user's.

By rule there are as many plants as on the 68-bus system where the grid has places for them, and all of a kind together
are as large a part of its load as there: 5 batteries at the largest loads, 7 demand-response units at the next, 8 gas
plants at the buses of the largest machines; 6 wind plants of 2600/18,234 and 8 of sun of 1700/18,234 of the load, one
for each real column of the year, at the largest loads too.

A table has a row a plant. Plants: name, kind (bess, gas, dr), bus, and any of mw (range around the schedule, both
ways), mwh (batteries), ramp_mw_per_min, lag_s, cost_per_mw, cost_per_mw2. Wind and sun: name, kind (wind, pv), bus, mw
and, if wanted, series, the column of the year that drives it. What is left out follows from the kind and the size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, FloatArray, IntArray
from cases.case import Case
from cases.csv_table import read_csv_table
from cases.series import NOMINAL_LOAD_MW, RENEWABLE_NAMES
from cases.tables import RENEWABLE_KINDS, RESOURCE_KINDS, RenewableTable, ResourceTable
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.gas_turbine import GasTurbineParameters

__all__ = [
    "PLANT_KEYS",
    "PUBLISHED_COUNT",
    "RENEWABLE_KEYS",
    "Row",
    "csv_rows",
    "plant_size",
    "plants_by_rule",
    "plants_of",
    "renewables_by_rule",
    "renewables_of",
]

PUBLISHED_COUNT = {"bess": 5, "gas": 8, "dr": 7}
PUBLISHED_MW = {"wind": 2600.0, "pv": 1700.0}  # of all plants together
PLANT_KEYS = ("name", "kind", "bus", "mw", "mwh", "ramp_mw_per_min", "lag_s", "cost_per_mw", "cost_per_mw2")
RENEWABLE_KEYS = ("name", "kind", "bus", "mw", "series")

Row = Mapping[str, Any]  # of a table: text or numbers by column


def plant_size(kinds: Sequence[str], size: float) -> tuple[float, float, float]:
    """Size of one plant over one of the 68-bus system, by kind, on a grid `size` times as large."""
    bess, gas, dr = (size * PUBLISHED_COUNT[k] / max(sum(x == k for x in kinds), 1) for k in RESOURCE_KINDS)
    return bess, gas, dr


def plants_by_rule(case: Case) -> ResourceTable:
    """Batteries and demand response at the largest loads, gas at the largest machines.

    Raises:
        CaseDataError: the grid has no load.
    """
    load_bus, machine_bus = _largest_loads(case), _largest_machines(case)
    n_load = len(load_bus)
    n_bess, n_dr = min(PUBLISHED_COUNT["bess"], n_load), min(PUBLISHED_COUNT["dr"], n_load)
    at = {
        "bess": load_bus[np.arange(n_bess)],
        "gas": machine_bus[: PUBLISHED_COUNT["gas"]],
        "dr": load_bus[(n_bess + np.arange(n_dr)) % n_load],
    }
    return ResourceTable(
        name=tuple(f"{kind}_{i}" for kind, bus in at.items() for i in range(len(bus))),
        kind=tuple(kind for kind, bus in at.items() for _ in bus),
        bus=np.concatenate(list(at.values())),
    )


def renewables_by_rule(case: Case) -> RenewableTable:
    """A plant for each real column of wind and sun, one after the other at the largest loads."""
    load_bus, size = _largest_loads(case), float(case.load.p_mw.sum()) / NOMINAL_LOAD_MW
    kinds = [name.split("_")[0] for name in RENEWABLE_NAMES]
    return RenewableTable(
        name=RENEWABLE_NAMES,
        kind=tuple(kinds),
        bus=load_bus[np.arange(len(kinds)) % len(load_bus)],
        p_max_mw=np.array([PUBLISHED_MW[kind] * size / kinds.count(kind) for kind in kinds]),
        series=RENEWABLE_NAMES,
    )


def _largest_loads(case: Case) -> IntArray:
    """Buses by falling load, those that feed in left out.

    Raises:
        CaseDataError: there is none.
    """
    order = np.argsort(-case.load.p_mw, kind="stable")
    found: IntArray = case.load.bus[order[case.load.p_mw[order] > 0.0]]
    if len(found) == 0:
        raise CaseDataError(f"case {case.name}: no load, expected some to balance.")
    return found


def _largest_machines(case: Case) -> IntArray:
    """Buses by the falling power of their machines, each once, those without power left out."""
    total_mw = np.bincount(case.machine.bus, np.maximum(case.machine.p_mw, 0.0), minlength=case.n_bus)
    order: IntArray = np.argsort(-total_mw, kind="stable")
    return order[total_mw[order] > 0.0]


def csv_rows(path: Path, keys: tuple[str, ...]) -> dict[str, Row]:
    """Rows of a CSV by where they stand, for messages; empty entries are left out.

    Args:
        path: of the file.
        keys: columns there may be.

    Raises:
        CaseDataError: it cannot be read, or has another column.
    """
    table = read_csv_table(path)
    table.require_known(keys)
    return {
        f"{table.file}, row {row}": {
            column: values[k] for column, values in table.columns.items() if values[k]
        }
        for k, row in enumerate(table.row)
    }


def plants_of(rows: Mapping[str, Row], case: Case, size: float) -> ResourceTable:
    """Plants of a user's table.

    Args:
        rows: a plant each, by where it stands, for messages.
        case: the grid.
        size: its load over that of the 68-bus system.

    Raises:
        CaseDataError: a plant has no name, kind or bus, or an entry cannot be true.
    """
    entries = [_Entry(row, where, PLANT_KEYS) for where, row in rows.items()]
    kinds = [entry.word("kind", RESOURCE_KINDS) for entry in entries]
    b, g, d = BatteryParameters(), GasTurbineParameters(), DemandResponseParameters()
    # Range, ramp and costs of one of the 68-bus system.
    usual = {
        "bess": (b.p_max_mw, b.ramp_mw_per_min, b.cost_per_mw, b.cost_per_mw2),
        "gas": (g.range_mw, g.ramp_mw_per_min, g.cost_per_mw, g.cost_per_mw2),
        "dr": (d.depth_mw, d.ramp_mw_per_min, d.cost_per_mw, d.cost_per_mw2),
    }
    by_kind = dict(zip(RESOURCE_KINDS, plant_size(kinds, size), strict=True))
    columns: dict[str, list[float]] = {name: [] for name in PLANT_KEYS[3:]}
    for entry, kind in zip(entries, kinds, strict=True):
        range_mw, ramp, cost, cost2 = usual[kind]
        mw = entry.number("mw", range_mw * by_kind[kind])
        plant = mw / range_mw
        if kind != "bess" and "mwh" in entry.row:
            raise CaseDataError(f"{entry.where}: mwh = {entry.row['mwh']}, expected it of batteries alone.")
        columns["mw"].append(mw)
        columns["mwh"].append(
            entry.number("mwh", b.energy_mwh / b.p_max_mw * mw) if kind == "bess" else np.nan
        )
        columns["ramp_mw_per_min"].append(entry.number("ramp_mw_per_min", ramp * plant))
        columns["lag_s"].append(entry.number("lag_s", np.nan))
        columns["cost_per_mw"].append(entry.number("cost_per_mw", cost / size, at_least=0.0))
        columns["cost_per_mw2"].append(entry.number("cost_per_mw2", cost2 / (size * plant), at_least=0.0))
    return ResourceTable(
        name=tuple(entry.text("name") for entry in entries),
        kind=tuple(kinds),
        bus=np.array([entry.bus(case) for entry in entries], dtype=np.int64),
        p_max_mw=np.array(columns["mw"]),
        energy_mwh=np.array(columns["mwh"]),
        ramp_mw_per_min=np.array(columns["ramp_mw_per_min"]),
        lag_s=np.array(columns["lag_s"]),
        cost_per_mw=np.array(columns["cost_per_mw"]),
        cost_per_mw2=np.array(columns["cost_per_mw2"]),
    )


def renewables_of(rows: Mapping[str, Row], case: Case) -> RenewableTable:
    """Wind and sun of a user's table; arguments and errors as of `plants_of`."""
    entries = [_Entry(row, where, RENEWABLE_KEYS) for where, row in rows.items()]
    kinds = [entry.word("kind", RENEWABLE_KINDS) for entry in entries]
    series = []
    for k, (entry, kind) in enumerate(zip(entries, kinds, strict=True)):
        columns = [name for name in RENEWABLE_NAMES if name.startswith(kind)]
        usual = columns[kinds[:k].count(kind) % len(columns)]
        series.append(entry.word("series", RENEWABLE_NAMES, usual))
    p_max_mw: FloatArray = np.array([entry.number("mw") for entry in entries])
    return RenewableTable(
        name=tuple(entry.text("name") for entry in entries),
        kind=tuple(kinds),
        bus=np.array([entry.bus(case) for entry in entries], dtype=np.int64),
        p_max_mw=p_max_mw,
        series=tuple(series),
    )


class _Entry:
    """A row of a user's table, read with complaints that say which."""

    def __init__(self, row: Row, where: str, keys: tuple[str, ...]) -> None:
        """Read by its columns.

        Args:
            row: by column.
            where: of it, for messages.
            keys: columns there may be.

        Raises:
            CaseDataError: there is another one.
        """
        self.row, self.where = row, where
        unknown = [key for key in row if key not in keys]
        if unknown:
            raise CaseDataError(f"{where}: unknown column {unknown[0]}, expected of {', '.join(keys)}.")

    def text(self, key: str, usual: str = "") -> str:
        """A word; `usual` if none is given.

        Raises:
            CaseDataError: it is not given, or is something else.
        """
        found = str(self.row.get(key, usual))
        if not found:
            raise CaseDataError(f"{self.where}: no {key}, expected one.")
        return found

    def word(self, key: str, allowed: Sequence[str], usual: str = "") -> str:
        """One of the allowed words.

        Raises:
            CaseDataError: it is not given, or is something else.
        """
        found = self.text(key, usual)
        if found not in allowed:
            raise CaseDataError(f"{self.where}: {key} = {found}, expected one of {', '.join(allowed)}.")
        return found

    def number(self, key: str, usual: float | None = None, at_least: float | None = None) -> float:
        """A number above 0, or at least something; `usual` if none is given.

        Raises:
            CaseDataError: it is not given, or is something else.
        """
        if key not in self.row:
            if usual is None:
                raise CaseDataError(f"{self.where}: no {key}, expected a number.")
            return usual
        given = self.row[key]
        try:
            value = float("nan") if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            value = float("nan")
        good = value > 0.0 if at_least is None else value >= at_least
        if not good or not np.isfinite(value):
            expected = "a number above 0" if at_least is None else f"a number of at least {at_least:g}"
            raise CaseDataError(f"{self.where}: {key} = {given}, expected {expected}.")
        return value

    def bus(self, case: Case) -> int:
        """Position of its bus, named by its number in the source.

        Raises:
            CaseDataError: it is not given, or is something else.
        """
        number = self.number("bus", at_least=0.0)
        if number != round(number):
            raise CaseDataError(f"{self.where}: bus = {number:g}, expected a bus number.")
        try:
            return case.bus_position(int(number))
        except CaseDataError as error:
            raise CaseDataError(f"{self.where}: {error}") from error
