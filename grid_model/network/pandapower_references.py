"""Numbers by which tables of a pandapower net name buses, lines and transformers: each is that of one in the net.

pandapower trusts them. Its compiled loops read at any place that a number points to, without a look at whether there is
one, and its arrays take a negative number for one counted from the end: a number that is wrong gives another grid, or
ends the process. So all of them are looked at before it computes, in every table and column that pandapower itself
gives a net, of elements in and out of service alike.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any

import numpy as np

from cases.arrays import CaseDataError

__all__ = ["require_references"]

# Tables of which pandapower makes arrays as long as their highest number, and places in them by number.
NUMBERED = ("bus", "bus_dc", "ext_grid", "gen", "xward")
MOST = 10**8  # highest number in these: an array of as many is 0.8 GB
OF_SWITCH = {
    "b": "bus",
    "l": "line",
    "t": "trafo",
    "t3": "trafo3w",
}  # what `element` of a switch is, by its `et`
OPTIONAL = ("ref_bus",)  # pandapower itself leaves these empty
CALLED = {"bus_dc": "DC bus", "trafo": "transformer", "trafo3w": "three-winding transformer"}


def require_references(net: Any) -> None:
    """Every element is at buses of the net, and every switch at one of its buses, lines or transformers.

    Raises:
        CaseDataError: one names what is not there, or a number is none.
    """
    import pandas as pd

    # A net from another version may lack a table, which is pandapower's to say.
    tables = {name: net[name] for name in _references() if isinstance(net.get(name), pd.DataFrame)}
    for name, table in tables.items():
        for what, labels in (("index", table.index), ("columns", table.columns)):
            if not _are_plain(labels):
                raise CaseDataError(
                    f"{net.name}: the {what} of {name} has labels of several parts, expected plain ones."
                )
        if not table.columns.is_unique:
            twice = table.columns[table.columns.duplicated()][0]
            raise CaseDataError(
                f"{net.name}: {name} has two columns {_told(twice)}, expected one of each name."
            )
    for name in NUMBERED:
        if name in tables:
            _require_numbered(net.name, name, tables[name].index)
    known = {
        name: {label for label in tables[name].index if isinstance(label, (int, np.integer))}
        for name in ("bus_dc", *OF_SWITCH.values())
        if name in tables
    }
    for name, table in tables.items():
        for column, target in _references()[name].items():
            if column in table:
                entries = table[column].dropna() if column in OPTIONAL else table[column]
                _require_known(net.name, name, column, entries, target, known.get(target, set()))
    switches = tables.get("switch")
    if switches is not None and {"et", "element"} <= set(switches.columns):
        for k, kind in enumerate(switches["et"]):
            if not isinstance(kind, str) or kind not in OF_SWITCH:
                raise CaseDataError(
                    f"{net.name}: switch {_told(switches.index[k])}: et = {_told(kind)}, expected one of "
                    f"{', '.join(OF_SWITCH)}."
                )
        for kind, target in OF_SWITCH.items():
            at = switches["element"][switches["et"] == kind]
            _require_known(net.name, "switch", "element", at, target, known.get(target, set()))


@cache
def _references() -> dict[str, dict[str, str]]:
    """What each column of each of pandapower's own tables names, where it names a bus; by table and column."""
    import pandapower as pp
    import pandas as pd

    return {
        name: {column: _named_by(column) for column in table.columns if _named_by(column)}
        for name, table in pp.create_empty_network().items()
        if isinstance(table, pd.DataFrame) and not name.startswith(("_", "res_"))
    }


def _named_by(column: str) -> str:
    """The table whose numbers a column holds; empty where it holds none."""
    if column.startswith("bus_dc") or column.endswith("_bus_dc"):
        return "bus_dc"
    return "bus" if column == "bus" or column.endswith("_bus") else ""


def _are_plain(labels: Any) -> bool:
    """Whether labels of rows or columns can be looked up: a file can make lists and levels of them."""
    return labels.nlevels == 1 and (
        labels.dtype.kind in "iuf" or all(isinstance(label, Hashable) for label in labels)
    )


def _require_numbered(source: str, name: str, index: Any) -> None:
    """Elements have whole numbers from 0 on, no higher than an array can be long.

    Raises:
        CaseDataError: one has another.
    """
    if not len(index):
        return
    if index.dtype.kind not in "iu":
        raise CaseDataError(
            f"{source}: {name} {_told(index[0])}: its index is of {index.dtype}, expected whole numbers from 0 on."
        )
    for number in (index.min(), index.max()):
        if not 0 <= number <= MOST:
            raise CaseDataError(
                f"{source}: {name} {number}, expected a number from 0 to {MOST}; pandapower's "
                "create_continuous_elements_index gives new ones."
            )


def _require_known(source: str, name: str, column: str, entries: Any, target: str, known: set[Any]) -> None:
    """Every entry of a column is a number of a table.

    Raises:
        CaseDataError: one is not.
    """
    for index, entry in zip(entries.index, entries.tolist(), strict=True):
        # A truth value is no number, though Python counts it as 0 or 1.
        if not isinstance(entry, (int, float, np.integer, np.floating)) or isinstance(entry, bool):
            is_known = False
        else:
            is_known = entry in known
        if not is_known:
            what = CALLED.get(target, target)
            raise CaseDataError(
                f"{source}: {name} {_told(index)}: {column} = {_told(entry)}, expected a {what} of the net."
            )


def _told(value: Any) -> str:
    """A number or name for a message, in one line of bearable length."""
    return str(value)[:40] if isinstance(value, (int, float, np.number)) else ascii(value)[:40]
