"""A grid in MATPOWER's matrices, and what of it is in service.

The format (bus, gen and branch matrices in per unit, ratio at the from end) is also what pandapower keeps its solved
grids in. An island is alive if a machine in service stands at a bus of type 3 in it; buses of others are dark and left
out, with a note.

Reference: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 7.1, 2020, app. B.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from cases.arrays import CaseDataError, ComplexArray, FloatArray, IntArray
from cases.case import connected_buses

# Columns of the matrices, named as in the manual.
BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, _, VA, BASE_KV, ZONE, VMAX, VMIN = range(13)
GEN_BUS, PG, QG, VG, MBASE, GEN_STATUS, PMAX = 0, 1, 2, 5, 6, 7, 8
F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, TAP, SHIFT, BR_STATUS = range(11)
PQ, PV, REFERENCE, ISOLATED = 1, 2, 3, 4
N_COLUMN = {"bus": 13, "gen": 9, "branch": 11}
LARGEST_NUMBER = 2.0**53  # of a bus: float64 tells whole numbers below this apart


@dataclass(frozen=True, kw_only=True)
class TwoPortColumns:
    """What pandapower's branches have beyond MATPOWER's, as in `BranchTable`; every array has shape [branch]."""

    shunt_from_pu: ComplexArray
    shunt_to_pu: ComplexArray
    asymmetry_pu: ComplexArray

    def rows(self, row: IntArray) -> TwoPortColumns:
        """The columns of some branches."""
        return TwoPortColumns(
            shunt_from_pu=self.shunt_from_pu[row],
            shunt_to_pu=self.shunt_to_pu[row],
            asymmetry_pu=self.asymmetry_pu[row],
        )


@dataclass(frozen=True, kw_only=True)
class DcLines:
    """DC lines in service, as in `DcLineTable` with bus numbers; every array has shape [dc line]."""

    name: tuple[str, ...]
    from_number: IntArray
    to_number: IntArray
    p_from_mw: FloatArray
    p_to_mw: FloatArray
    vm_from_pu: FloatArray
    vm_to_pu: FloatArray


@dataclass(frozen=True, kw_only=True)
class GridTables:
    """MATPOWER's matrices, and what else the source knows."""

    source: str  # name of the file, for messages
    base_mva: float
    f0_hz: float
    bus: FloatArray
    gen: FloatArray
    branch: FloatArray
    xy: FloatArray | None = None  # drawing position of each bus, [bus, 2]
    notes: tuple[str, ...] = ()  # what its reader settled
    two_ports: TwoPortColumns | None = None
    load_share: FloatArray | None = None  # of PD at constant current and impedance, of QD likewise, [bus, 4]
    dc_lines: DcLines | None = None
    fused: tuple[tuple[int, int], ...] = ()  # further bus numbers, each with that of the bus it is one with
    branch_row: IntArray = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # rows in the source, from 1


def require_buses_there(tables: GridTables) -> None:
    """Bus numbers are whole and distinct, and what is in service stands at buses that are there.

    Raises:
        CaseDataError: a number is not whole or occurs twice, or a bus is not there or isolated.
    """
    source = tables.source
    number = _whole(source, "mpc.bus", "BUS_I", tables.bus[:, BUS_I])
    if len(set(number.tolist())) < len(number):
        twice = next(n for n, count in Counter(number.tolist()).items() if count > 1)
        raise CaseDataError(f"{source}, mpc.bus: BUS_I = {twice} occurs twice, expected once.")
    there = tables.bus[tables.bus[:, BUS_TYPE] != ISOLATED, BUS_I]
    for matrix, column, values, in_service in (
        ("mpc.gen", "GEN_BUS", tables.gen[:, GEN_BUS], tables.gen[:, GEN_STATUS] > 0),
        ("mpc.branch", "F_BUS", tables.branch[:, F_BUS], tables.branch[:, BR_STATUS] > 0),
        ("mpc.branch", "T_BUS", tables.branch[:, T_BUS], tables.branch[:, BR_STATUS] > 0),
    ):
        numbers = _whole(source, matrix, column, values)
        for row in np.flatnonzero(in_service & ~np.isin(values, there)):
            raise CaseDataError(
                f"{source}, {matrix} row {row + 1}: {column} = {numbers[row]}, expected a bus of mpc.bus that is "
                "not isolated."
            )


def living(tables: GridTables, notes: list[str]) -> GridTables:
    """What is in service and alive: islands with a machine at a bus of type 3.

    Raises:
        CaseDataError: no island is alive.
    """
    bus = tables.bus
    gen = tables.gen[tables.gen[:, GEN_STATUS] > 0]
    on = np.flatnonzero(tables.branch[:, BR_STATUS] > 0)
    position = {n: k for k, n in enumerate(bus[:, BUS_I].tolist())}
    ends = [[position[n] for n in tables.branch[on, column].tolist()] for column in (F_BUS, T_BUS)]
    from_bus, to_bus = (np.array(end, dtype=np.int64) for end in ends)
    island = connected_buses(len(bus), from_bus, to_bus)
    gen_bus = np.array([position[n] for n in gen[:, GEN_BUS].tolist()], dtype=np.int64)
    at_reference = bus[gen_bus, BUS_TYPE] == REFERENCE
    if not at_reference.any():
        raise CaseDataError(
            f"{tables.source}: no machine in service at a bus of type 3, expected one reference machine."
        )
    alive = np.isin(island, island[gen_bus[at_reference]]) & (bus[:, BUS_TYPE] != ISOLATED)
    dark = np.flatnonzero(~alive & (bus[:, BUS_TYPE] != ISOLATED))
    if len(dark):
        numbers = ", ".join(f"{n:g}" for n in bus[dark[:12], BUS_I]) + (", ..." if len(dark) > 12 else "")
        lost = np.count_nonzero(~alive[gen_bus])
        notes.append(
            f"{len(dark)} buses are dark, in islands without a reference machine: left out with {lost} machines "
            f"({numbers})"
        )
    kept = on[alive[from_bus]]
    columns, lines = tables.two_ports, tables.dc_lines
    if lines is not None:
        for number, name in zip([*lines.from_number, *lines.to_number], lines.name * 2, strict=True):
            if int(number) not in position or not alive[position[int(number)]]:
                raise CaseDataError(
                    f"{tables.source}: {name} ends at bus {number}, which is dark or not there, expected a living bus."
                )
    return replace(
        tables,
        bus=bus[alive],
        gen=gen[alive[gen_bus]],
        branch=tables.branch[kept],
        branch_row=kept + 1,
        xy=None if tables.xy is None else tables.xy[alive],
        load_share=None if tables.load_share is None else tables.load_share[alive],
        two_ports=None if columns is None else columns.rows(kept),
    )


def without_loops(tables: GridTables, notes: list[str]) -> GridTables:
    """A branch with both ends at one bus draws what its admittances to ground draw; it stands there as a shunt."""
    branch, columns = tables.branch, tables.two_ports
    loop = branch[:, F_BUS] == branch[:, T_BUS]
    if not loop.any():
        return tables
    bus = tables.bus.copy()
    position = {n: k for k, n in enumerate(bus[:, BUS_I].tolist())}
    ratio = np.where(branch[:, TAP] == 0.0, 1.0, branch[:, TAP]) * np.exp(1j * np.deg2rad(branch[:, SHIFT]))
    for k in np.flatnonzero(loop):
        y = 1.0 / (branch[k, BR_R] + 1j * branch[k, BR_X])
        back = y if columns is None else 1.0 / (1.0 / y + columns.asymmetry_pu[k])
        at_from = at_to = np.complex128(0.5j * branch[k, BR_B])
        if columns is not None:
            at_from, at_to = at_from + columns.shunt_from_pu[k], at_to + columns.shunt_to_pu[k]
        t = ratio[k]
        total = (y + at_from) / abs(t) ** 2 - y / np.conj(t) - back / t + back + at_to
        bus[position[branch[k, F_BUS]], [GS, BS]] += tables.base_mva * np.array([total.real, total.imag])
    notes.append(f"{np.count_nonzero(loop)} branches have both ends at one bus: shunts there")
    kept = np.flatnonzero(~loop)
    return replace(
        tables,
        bus=bus,
        branch=branch[kept],
        branch_row=tables.branch_row[kept],
        two_ports=None if columns is None else columns.rows(kept),
    )


def _whole(source: str, matrix: str, column: str, values: FloatArray) -> IntArray:
    """Bus numbers as integers.

    Raises:
        CaseDataError: a number is not whole, or so large that it cannot be told from the next one.
    """
    for row in np.flatnonzero(~((values == np.round(values)) & (np.abs(values) < LARGEST_NUMBER))):
        raise CaseDataError(
            f"{source}, {matrix} row {row + 1}: {column} = {values[row]:g}, expected a bus number."
        )
    return values.astype(np.int64)
