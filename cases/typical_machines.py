"""Machine data for grids that come without: typical values by kind and size, or a CSV of the user's.

Power-flow files know a machine's power and its limit, nothing of its rotor. A CSV says what its owner knows, a row for
each machine, with the columns machine and any of kind, base_mva, h_s, xd_pu, xd1_pu, rating_mva; an empty entry is
filled in by the kind. Without a kind a machine is taken for what its size suggests: without active power for a
synchronous condenser, below 50 MVA for a hydro unit, above 900 MVA for a four-pole unit of a nuclear plant, else for a
thermal one.

The values are typical ones, in the middle of the ranges of P. Kundur, Power System Stability and Control, 1994, tables
3.2 (inertia: thermal 2.5 to 6 s with two poles and 4 to 10 s with four, hydro 2 to 4 s) and 4.2 (reactances: x'd 0.15
to 0.4 pu thermal, 0.2 to 0.5 hydro; xd 1.0 to 2.3 and 0.6 to 1.5); condensers, which no turbine adds to, have 1 to 2 s.
They are no grid's own data: results on them are those of a grid of this size and make-up.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray
from cases.csv_table import read_csv_table

__all__ = ["TYPICAL", "MachineData", "read_machine_data", "typical_data", "typical_kind"]

COLUMNS = ("machine", "kind", "base_mva", "h_s", "xd_pu", "xd1_pu", "rating_mva")
HYDRO_BELOW_MVA, NUCLEAR_FROM_MVA = 50.0, 900.0


class Typical(NamedTuple):
    """Of one kind, on the machine's own rating."""

    h_s: float
    xd_pu: float
    xd1_pu: float


TYPICAL = {
    "thermal": Typical(4.0, 1.8, 0.30),
    "gas": Typical(4.5, 1.8, 0.25),
    "nuclear": Typical(6.0, 1.8, 0.35),
    "hydro": Typical(3.0, 1.0, 0.30),
    "condenser": Typical(1.5, 1.8, 0.35),
}


class MachineData(NamedTuple):
    """Dynamic data of machines; every array has shape [machine]."""

    kind: tuple[str, ...]
    base_mva: FloatArray
    h_s: FloatArray  # on base_mva
    xd_pu: FloatArray
    xd1_pu: FloatArray
    rating_mva: FloatArray  # of the turbine: governors share by it


def typical_kind(p_mw: float, rating_mva: float) -> str:
    """What a machine of this power and rating is taken for."""
    if p_mw == 0.0:
        return "condenser"
    if rating_mva < HYDRO_BELOW_MVA:
        return "hydro"
    return "nuclear" if rating_mva >= NUCLEAR_FROM_MVA else "thermal"


def typical_data(kind: tuple[str, ...], rating_mva: FloatArray) -> MachineData:
    """Typical data of machines of these kinds and ratings."""
    row = np.array([TYPICAL[k] for k in kind]).reshape(len(kind), 3)
    return MachineData(kind, rating_mva.copy(), row[:, 0], row[:, 1], row[:, 2], rating_mva.copy())


def read_machine_data(path: Path, name: list[str], p_mw: FloatArray, rating_mva: FloatArray) -> MachineData:
    """Machine data of a CSV, one row a machine of the case, what is left empty filled in by kind.

    Args:
        path: of the file.
        name: of the machines, in the order of the case.
        p_mw: their power in the grid's file.
        rating_mva: their rating there.

    Raises:
        CaseDataError: the file cannot be read, a column is unknown, a machine has no row, or an entry cannot be true.
    """
    table = read_csv_table(path)
    table.require_known(COLUMNS)
    row = table.rows_by("machine", name)
    kinds = [typical_kind(p, s) for p, s in zip(p_mw, rating_mva, strict=True)]
    if "kind" in table.columns:
        given = table.texts("kind", may_be_empty=True)
        for k, r in enumerate(row):
            if given[r] and given[r] not in TYPICAL:
                raise table.error(int(r), "kind", f"one of {', '.join(TYPICAL)}, or nothing")
            kinds[k] = given[r] or kinds[k]

    def filled(column: str, usual: FloatArray) -> FloatArray:
        if column not in table.columns:
            return usual
        text = table.columns[column]
        return np.array(
            [table.number(int(r), column, above=0.0) if text[r] else usual[k] for k, r in enumerate(row)]
        )

    rating = filled("rating_mva", rating_mva)
    usual = typical_data(tuple(kinds), rating)
    return MachineData(
        tuple(kinds),
        filled("base_mva", usual.base_mva),
        filled("h_s", usual.h_s),
        filled("xd_pu", usual.xd_pu),
        filled("xd1_pu", usual.xd1_pu),
        rating,
    )
