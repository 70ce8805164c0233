"""A grid in MATPOWER's matrices -> Case, with every assumption listed.

The format (bus, gen and branch matrices in per unit, ratio at the from end) is close to the tables of a
`Case`, and pandapower keeps its solved grids in the same one, so files of both come through
`case_from_tables`. What the format does not hold is read from a side-car CSV (see `typical_machines`; one row a
machine, named as the machines of the case are: G and the bus number) or assumed; `ImportedCase.notes` says what was
assumed and how often.

An island is alive if a machine in service stands at a bus of type 3 in it; buses of others are dark and left out, with
a note. Where an island has several such machines the first keeps the angle, and the others' powers are to be found, see
`HeldAngle`. Shifts that any path adds up to the same (vector groups) turn the angles of buses, what is left of the
others makes a phase shifter.

Reference: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 7.1, 2020, app. B.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cases.arrays import BoolArray, CaseDataError, ComplexArray, FloatArray, IntArray
from cases.case import (
    BranchTable,
    BusTable,
    Case,
    DcLineTable,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
    ShuntTable,
    connected_buses,
)
from cases.typical_machines import TYPICAL, read_machine_data, typical_data, typical_kind

# Columns of the matrices, named as in the manual.
BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VA, BASE_KV, ZONE, VMAX, VMIN = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    9,
    10,
    11,
    12,
)
GEN_BUS, PG, QG, VG, MBASE, GEN_STATUS, PMAX = 0, 1, 2, 5, 6, 7, 8
F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, TAP, SHIFT, BR_STATUS = range(11)
PQ, PV, REFERENCE, ISOLATED = 1, 2, 3, 4
N_COLUMN = {"bus": 13, "gen": 9, "branch": 11}

# What is assumed where nothing is given; each is listed when used.
UNLIMITED_MVA = 9900.0  # MATPOWER writes this for a circuit without a rating
LARGEST_NUMBER = 2.0**53  # of a bus: float64 tells whole numbers below this apart
MOST_RATIO = 20.0  # of a tap, or one over it: no transformer is so far off its nominal ratio
RATE_B_FACTOR, RATE_C_FACTOR = 1.2, 1.4
VOLTAGE_BAND_PU = (0.90, 1.10)
NOMINAL_KV = 345.0
CONDENSER_MVA = 1.0  # size of a machine without active power: next to no share of an imbalance
COST_LINEAR, MARGINAL_COST = 18.0, 30.0  # USD/MWh


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


@dataclass(frozen=True, kw_only=True)
class HeldAngle:
    """A machine at a second reference of its island: its power is what keeps its bus at this angle.

    The machine is a row of the case's table, the angle in radians is that against the island's slack bus as this
    project counts angles. The power in the table is only the source's first guess.
    """

    machine: int
    angle_rad: float


@dataclass(frozen=True, kw_only=True)
class ImportedCase:
    """A case and what had to be assumed for it."""

    case: Case
    notes: tuple[str, ...]
    held_angles: tuple[HeldAngle, ...] = ()
    zone: tuple[float, ...] = ()  # of each bus, as the source numbers them; nan where it has none


def case_from_tables(tables: GridTables, dynamics: Path | None = None) -> ImportedCase:
    """Turn MATPOWER's matrices into a Case.

    Args:
        tables: the matrices; elements out of service and dark buses are left out.
        dynamics: side-car CSV with machine data.

    Raises:
        CaseDataError: the grid cannot be represented, or the data cannot be true.
    """
    notes = list(tables.notes)
    source = tables.source
    _require_buses_there(tables)
    tables = _without_loops(living(tables, notes), notes)
    bus, gen, branch = tables.bus, tables.gen, tables.branch
    number = bus[:, BUS_I].astype(np.int64)
    position = {int(n): k for k, n in enumerate(number)}
    gen_bus, from_bus, to_bus = (
        np.array([position[int(n)] for n in column], dtype=np.int64)
        for column in (gen[:, GEN_BUS], branch[:, F_BUS], branch[:, T_BUS])
    )
    fixed = bus[gen_bus, BUS_TYPE] == PQ  # a machine that holds no voltage is a negative load
    p_load, q_load = bus[:, PD].copy(), bus[:, QD].copy()
    np.add.at(p_load, gen_bus[fixed], -gen[fixed, PG])
    np.add.at(q_load, gen_bus[fixed], -gen[fixed, QG])
    machine_bus = gen_bus[~fixed]
    island = connected_buses(len(number), from_bus, to_bus)
    slack = _slack_machines(bus, machine_bus, island)
    root = np.array([machine_bus[k] for k in slack], dtype=np.int64)
    turn_rad, shift_rad = _turns(bus, branch, from_bus, to_bus, root)
    held_angles = tuple(
        HeldAngle(
            machine=int(k),
            angle_rad=float(np.deg2rad(bus[machine_bus[k], VA]) - turn_rad[machine_bus[k]]),
        )
        for k in _further_references(bus, machine_bus, root, notes)
    )
    if len(root) > 1:
        sizes = ", ".join(str(n) for n in np.bincount(island))
        notes.append(f"{len(root)} islands with a reference of their own, of {sizes} buses")
    shunted = np.flatnonzero(bus[:, BS])
    conducting = np.flatnonzero(bus[:, GS])
    none = np.zeros(0, dtype=np.int64)
    case = Case(
        name=Path(source).stem,
        base_mva=tables.base_mva,
        f0_hz=tables.f0_hz,
        area_names=tuple(f"area {a:g}" for a in np.unique(bus[:, BUS_AREA])),
        bus=_bus_table(tables, turn_rad, notes),
        branch=_branch_table(tables, from_bus, to_bus, shift_rad, notes),
        machine=_machine_table(gen[~fixed], machine_bus, number, slack, dynamics, notes),
        load=_load_table(tables, p_load, q_load),
        reactor=ReactorTable(bus=shunted, q_mvar=-bus[shunted, BS]),
        shunt=ShuntTable(bus=conducting, p_mw=bus[conducting, GS], q_mvar=np.zeros(len(conducting))),
        renewable=RenewableTable(name=(), kind=(), bus=none, p_max_mw=np.zeros(0), series=()),
        resource=ResourceTable(name=(), kind=(), bus=none),
        base_reactor_share=1.0,
        dc_line=_dc_line_table(tables, position),
        fused=tuple((other, position[first]) for other, first in tables.fused if first in position),
    )
    notes.append(
        "reactive limits of machines are not enforced, as MATPOWER and pandapower do unless asked to"
    )
    return ImportedCase(
        case=case, notes=tuple(notes), held_angles=held_angles, zone=tuple(bus[:, ZONE].tolist())
    )


def _require_buses_there(tables: GridTables) -> None:
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


def _without_loops(tables: GridTables, notes: list[str]) -> GridTables:
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


def _slack_machines(bus: FloatArray, machine_bus: IntArray, island: IntArray) -> list[int]:
    """The first machine at a bus of type 3 of each island, in order of the islands."""
    first: dict[int, int] = {}
    for k in np.flatnonzero(bus[machine_bus, BUS_TYPE] == REFERENCE).tolist():
        first.setdefault(int(island[machine_bus[k]]), k)
    return [first[name] for name in sorted(first)]


def _further_references(
    bus: FloatArray, machine_bus: IntArray, root: IntArray, notes: list[str]
) -> list[int]:
    """The first machine at each bus of type 3 that is not its island's slack bus."""
    found: dict[int, int] = {}
    for k in np.flatnonzero(bus[machine_bus, BUS_TYPE] == REFERENCE).tolist():
        if machine_bus[k] not in root:
            found.setdefault(int(machine_bus[k]), k)
    if found:
        numbers = ", ".join(f"{bus[k, BUS_I]:g}" for k in found)
        notes.append(
            f"{len(found)} further reference buses ({numbers}): machines with the power that keeps their angle"
        )
    return list(found.values())


def _turns(
    bus: FloatArray, branch: FloatArray, from_bus: IntArray, to_bus: IntArray, root: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Angles by which buses are turned, [bus], and shifts that are left of each branch, [branch], both in radians.

    theta_source = theta + turn with turn_to = turn_from - shift along a tree. Branches without a shift come first, so
    that what does not add up around a loop is left to branches with one. At each root the turn is the angle given.
    """
    shift_degree = branch[:, SHIFT]
    plain = shift_degree == 0.0
    group = connected_buses(len(bus), from_bus[plain], to_bus[plain])
    shifted = np.flatnonzero(~plain)
    ways: dict[int, list[tuple[int, float]]] = {}
    for k in shifted.tolist():
        a, b = int(group[from_bus[k]]), int(group[to_bus[k]])
        ways.setdefault(a, []).append((b, -shift_degree[k]))
        ways.setdefault(b, []).append((a, shift_degree[k]))
    turn = dict(zip(group[root].tolist(), bus[root, VA].tolist(), strict=True))
    waiting = list(turn)
    while waiting:
        here = waiting.pop(0)
        for there, step in ways.get(here, ()):
            if there not in turn:
                turn[there] = turn[here] + step
                waiting.append(there)
    turn_degree = np.array([turn[g] for g in group.tolist()])
    left_degree = shift_degree - turn_degree[from_bus] + turn_degree[to_bus]
    left_degree = (left_degree + 180.0) % 360.0 - 180.0
    # Sums of shifts round in the last digits; a real shifter turns by a thousand times more.
    left_degree[plain | (np.abs(left_degree) < 1e-9)] = 0.0
    return np.deg2rad(turn_degree), np.deg2rad(left_degree)


def _bus_table(tables: GridTables, turn_rad: FloatArray, notes: list[str]) -> BusTable:
    """Buses with their band and, where it is known, their place in drawings."""
    bus = tables.bus
    vn_kv = bus[:, BASE_KV].copy()
    _assume(notes, vn_kv <= 0.0, vn_kv, NOMINAL_KV, "buses have no nominal voltage: {value:g} kV")
    vm_min, vm_max = bus[:, VMIN].copy(), bus[:, VMAX].copy()
    unknown = ~((vm_min > 0.0) & (vm_max > vm_min) & np.isfinite(vm_max))
    low, high = VOLTAGE_BAND_PU
    _assume(notes, unknown, vm_min, low, f"buses have no voltage band: {low} to {high} pu")
    vm_max[unknown] = high
    xy = np.full((len(bus), 2), np.nan) if tables.xy is None else tables.xy
    if tables.xy is None:
        notes.append("no positions for drawings: laid out by springs when drawn")
    return BusTable(
        bus_number=bus[:, BUS_I].astype(np.int64),
        area=np.unique(bus[:, BUS_AREA], return_inverse=True)[1].astype(np.int64),
        vn_kv=vn_kv,
        vm_min_pu=vm_min,
        vm_max_pu=vm_max,
        x=xy[:, 0],
        y=xy[:, 1],
        turn_rad=turn_rad,
    )


def _load_table(tables: GridTables, p_mw: FloatArray, q_mvar: FloatArray) -> LoadTable:
    """One load for each bus that draws anything."""
    loaded = np.flatnonzero((p_mw != 0.0) | (q_mvar != 0.0))
    share = np.zeros((len(p_mw), 4)) if tables.load_share is None else tables.load_share
    return LoadTable(
        name=tuple(f"load {tables.bus[k, BUS_I]:.0f}" for k in loaded),
        bus=loaded,
        p_mw=p_mw[loaded],
        q_mvar=q_mvar[loaded],
        p_current_share=share[loaded, 0],
        p_impedance_share=share[loaded, 1],
        q_current_share=share[loaded, 2],
        q_impedance_share=share[loaded, 3],
    )


def _dc_line_table(tables: GridTables, position: dict[int, int]) -> DcLineTable:
    """DC lines at the positions of their buses."""
    lines = tables.dc_lines
    if lines is None:
        return DcLineTable.none()
    return DcLineTable(
        name=lines.name,
        from_bus=np.array([position[int(n)] for n in lines.from_number], dtype=np.int64),
        to_bus=np.array([position[int(n)] for n in lines.to_number], dtype=np.int64),
        p_from_mw=lines.p_from_mw,
        p_to_mw=lines.p_to_mw,
        vm_from_pu=lines.vm_from_pu,
        vm_to_pu=lines.vm_to_pu,
    )


def _branch_table(
    tables: GridTables, from_bus: IntArray, to_bus: IntArray, shift_rad: FloatArray, notes: list[str]
) -> BranchTable:
    """Branches, lines first.

    Raises:
        CaseDataError: a branch has no impedance, or a ratio, shift or rating that none has.
    """
    branch, number, base_kv = tables.branch, tables.bus[:, BUS_I].astype(np.int64), tables.bus[:, BASE_KV]
    row = tables.branch_row
    for name, values, good, expected in (
        (
            "BR_X",
            branch[:, BR_X],
            (branch[:, BR_R] != 0.0) | (branch[:, BR_X] != 0.0),
            "other than 0, as BR_R is 0",
        ),
        (
            "TAP",
            branch[:, TAP],
            (branch[:, TAP] == 0.0) | ((branch[:, TAP] >= 1.0 / MOST_RATIO) & (branch[:, TAP] <= MOST_RATIO)),
            f"0 for none, or a ratio from {1.0 / MOST_RATIO:g} to {MOST_RATIO:g}",
        ),
        ("SHIFT", branch[:, SHIFT], np.abs(branch[:, SHIFT]) <= 360.0, "at most 360 degrees either way"),
        ("RATE_A", branch[:, RATE_A], ~(branch[:, RATE_A] < 0.0), "0 for none, or MVA above 0"),
    ):
        for k in np.flatnonzero(~good):
            ends = f"{number[from_bus[k]]}-{number[to_bus[k]]}"
            raise CaseDataError(
                f"{tables.source}, mpc.branch row {row[k]} ({ends}): {name} = {values[k]:g}, expected {expected}."
            )
    ratio = np.where(branch[:, TAP] == 0.0, 1.0, branch[:, TAP])
    is_transformer: BoolArray = (ratio != 1.0) | (shift_rad != 0.0) | (base_kv[from_bus] != base_kv[to_bus])
    rates = [branch[:, column].copy() for column in (RATE_A, RATE_B, RATE_C)]
    unlimited = ~((rates[0] > 0.0) & (rates[0] < 0.999 * UNLIMITED_MVA))
    _assume(
        notes, unlimited, rates[0], UNLIMITED_MVA, "circuits have no rating: {value:g} MVA, never binding"
    )
    for rate, below, factor, letter in (
        (rates[1], rates[0], RATE_B_FACTOR, "B"),
        (rates[2], rates[1], RATE_C_FACTOR / RATE_B_FACTOR, "C"),
    ):
        unknown = ~((rate > 0.0) & np.isfinite(rate)) | (rate < below)
        rate[unknown] = factor * below[unknown]
        if unknown.any():
            what = RATE_B_FACTOR if letter == "B" else RATE_C_FACTOR
            notes.append(f"{np.count_nonzero(unknown)} circuits have no rate {letter}: {what} times rate A")
    order = np.concatenate([np.flatnonzero(~is_transformer), np.flatnonzero(is_transformer)])
    pairs = [f"{number[from_bus[k]]}-{number[to_bus[k]]}" for k in order]
    total, seen, names, circuit = Counter(pairs), Counter[str](), [], []
    for pair in pairs:
        seen[pair] += 1
        circuit.append(seen[pair])
        names.append(f"{pair} #{seen[pair]}" if total[pair] > 1 else pair)
    tapped = ratio[order] != 1.0
    none = np.zeros(len(branch), dtype=np.complex128)
    columns = tables.two_ports or TwoPortColumns(shunt_from_pu=none, shunt_to_pu=none, asymmetry_pu=none)
    return BranchTable(
        name=tuple(names),
        corridor=row[order].astype(np.int64),
        circuit=np.array(circuit, dtype=np.int64),
        from_bus=from_bus[order],
        to_bus=to_bus[order],
        is_transformer=is_transformer[order],
        r_pu=branch[order, BR_R],
        x_pu=branch[order, BR_X],
        b_pu=branch[order, BR_B],
        tap=ratio[order],
        tap_bus=np.where(tapped, from_bus[order], -1),
        rate_a_mva=rates[0][order],
        rate_b_mva=rates[1][order],
        rate_c_mva=rates[2][order],
        rating_basis=tuple("assumed unlimited" if u else tables.source for u in unlimited[order]),
        shift_rad=shift_rad[order],
        shunt_from_pu=columns.shunt_from_pu[order],
        shunt_to_pu=columns.shunt_to_pu[order],
        asymmetry_pu=columns.asymmetry_pu[order],
    )


def _machine_table(
    gen: FloatArray,
    gen_bus: IntArray,
    number: IntArray,
    slack_machines: list[int],
    dynamics: Path | None,
    notes: list[str],
) -> MachineTable:
    """Machines that hold a voltage, with dynamic data from the side-car or assumed.

    Raises:
        CaseDataError: the side-car does not list these machines.
    """
    at_bus, seen, names = Counter(gen_bus.tolist()), Counter[int](), []
    for k in gen_bus.tolist():
        seen[k] += 1
        names.append(f"G{number[k]}" + (f" #{seen[k]}" if at_bus[k] > 1 else ""))
    rating = gen[:, PMAX].copy()
    unsized = ~((rating > 0.0) & (rating < 1e6))
    rating[unsized] = np.maximum(1.25 * np.abs(gen[unsized, PG]), CONDENSER_MVA)
    if unsized.any():
        notes.append(
            f"{np.count_nonzero(unsized)} machines have no PMAX: 1.25 times their output, "
            f"at least {CONDENSER_MVA:g} MVA"
        )
    p_mw = gen[:, PG]
    if dynamics is None:
        data = typical_data(tuple(map(typical_kind, p_mw.tolist(), rating.tolist())), rating)
        kinds = Counter(data.kind)
        notes.append(
            f"{len(gen)} machines have no dynamic data: typical H, xd and x'd on their size (PMAX), "
            + ", ".join(f"{n} as {kind}, H = {TYPICAL[kind].h_s:g} s" for kind, n in kinds.items())
        )
    else:
        data = read_machine_data(dynamics, names, p_mw, rating)
    rating = data.rating_mva
    notes.append(
        f"cost of {len(gen)} machines: {COST_LINEAR:g} USD/MWh rising to {MARGINAL_COST:g} at their rating"
    )
    slack = np.zeros(len(gen), dtype=np.bool_)
    slack[slack_machines] = True
    return MachineTable(
        name=tuple(names),
        bus=gen_bus,
        p_mw=gen[:, PG],
        vm_set_pu=gen[:, VG],
        slack=slack,
        base_mva=data.base_mva,
        h_s=data.h_s,
        xd_pu=data.xd_pu,
        xd1_pu=data.xd1_pu,
        rating_mva=rating,
        is_equivalent=np.zeros(len(gen), dtype=np.bool_),
        cost_linear=np.full(len(gen), COST_LINEAR),
        cost_quadratic=(MARGINAL_COST - COST_LINEAR) / (2.0 * rating),
    )


def _assume(notes: list[str], unknown: BoolArray, values: FloatArray, value: float, what: str) -> None:
    """Fill in what is unknown and note it."""
    values[unknown] = value
    if unknown.any():
        notes.append(f"{np.count_nonzero(unknown)} " + what.format(value=value))


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
