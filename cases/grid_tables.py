"""A grid in MATPOWER's matrices -> Case, with every assumption listed.

The format (bus, gen and branch matrices in per unit, ratio at the from end) is close to the tables of a
`Case`, and pandapower keeps its solved grids in the same one, so files of both come through
`case_from_tables`. What the format does not hold is read from a side-car CSV
(machine,base_mva,h_s,xd_pu,xd1_pu,rating_mva; one row a machine, named as the
machines of the case are: G and the bus number) or assumed; `ImportedCase.notes` says what was assumed and
how often.

Not representable, and refused by name: series capacitors, shunt conductance, phase shifters that act around a
loop. Charging of a transformer stands as fixed shunts at its ends; it stays when the transformer is lost.

Reference: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 7.1, 2020, app. B.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray, IntArray
from cases.case import (
    BranchTable,
    BusTable,
    Case,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
)
from cases.csv_table import read_csv_table
from cases.placement import place_buses

# Columns of the matrices, named as in the manual.
BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, BASE_KV, VMAX, VMIN = 0, 1, 2, 3, 4, 5, 6, 9, 11, 12
GEN_BUS, PG, QG, VG, MBASE, GEN_STATUS, PMAX = 0, 1, 2, 5, 6, 7, 8
F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, TAP, SHIFT, BR_STATUS = range(11)
PQ, PV, REFERENCE, ISOLATED = 1, 2, 3, 4
N_COLUMN = {"bus": 13, "gen": 9, "branch": 11}

# What is assumed where nothing is given; each is listed when used.
UNLIMITED_MVA = 9900.0  # MATPOWER writes this for a circuit without a rating
RATE_B_FACTOR, RATE_C_FACTOR = 1.2, 1.4
VOLTAGE_BAND_PU = (0.90, 1.10)
NOMINAL_KV = 345.0
INERTIA_S, XD_PU, XD1_PU = 4.0, 1.8, 0.3  # typical of steam units, on the machine's rating
CONDENSER_MVA = 1.0  # size of a machine without active power: next to no share of an imbalance
COST_LINEAR, MARGINAL_COST = 18.0, 30.0  # USD/MWh


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


@dataclass(frozen=True, kw_only=True)
class ImportedCase:
    """A case and what had to be assumed for it."""

    case: Case
    notes: tuple[str, ...]


def case_from_tables(tables: GridTables, dynamics: Path | None = None) -> ImportedCase:
    """Turn MATPOWER's matrices into a Case.

    Args:
        tables: the matrices; elements out of service and isolated buses are left out.
        dynamics: side-car CSV with machine data.

    Raises:
        CaseDataError: the grid cannot be represented, or the data cannot be true.
    """
    notes = list(tables.notes)
    source = tables.source
    bus = tables.bus[tables.bus[:, BUS_TYPE] != ISOLATED]
    number = _whole(source, "mpc.bus", "BUS_I", bus[:, BUS_I])
    position = {int(n): k for k, n in enumerate(number)}
    if len(position) < len(number):
        twice = next(n for n, count in Counter(number.tolist()).items() if count > 1)
        raise CaseDataError(f"{source}, mpc.bus: BUS_I = {twice} occurs twice, expected once.")
    gen_on = tables.gen[:, GEN_STATUS] > 0
    gen_bus = _positions(source, "mpc.gen", "GEN_BUS", tables.gen[:, GEN_BUS], position, gen_on)
    gen = tables.gen[gen_on]
    branch_on = tables.branch[:, BR_STATUS] > 0
    from_bus = _positions(source, "mpc.branch", "F_BUS", tables.branch[:, F_BUS], position, branch_on)
    to_bus = _positions(source, "mpc.branch", "T_BUS", tables.branch[:, T_BUS], position, branch_on)
    branch = tables.branch[branch_on]
    if np.any(bus[:, GS] != 0.0):
        at = int(number[np.flatnonzero(bus[:, GS])[0]])
        raise CaseDataError(f"{source}, mpc.bus: GS is not 0 at bus {at}, expected no shunt conductance.")
    _require_no_phase_shift(source, branch, from_bus, to_bus, len(number), number)

    fixed = bus[gen_bus, BUS_TYPE] == PQ  # a machine that holds no voltage is a negative load
    p_load, q_load = bus[:, PD].copy(), bus[:, QD].copy()
    np.add.at(p_load, gen_bus[fixed], -gen[fixed, PG])
    np.add.at(q_load, gen_bus[fixed], -gen[fixed, QG])
    branch_table, shunt_mvar = _branch_table(tables, branch, from_bus, to_bus, number, bus[:, BASE_KV], notes)
    shunt_mvar -= bus[:, BS]
    loaded = np.flatnonzero((p_load != 0.0) | (q_load != 0.0))
    shunted = np.flatnonzero(shunt_mvar)
    none = np.zeros(0, dtype=np.int64)
    case = Case(
        name=Path(source).stem,
        base_mva=tables.base_mva,
        f0_hz=tables.f0_hz,
        area_names=tuple(f"area {a:g}" for a in np.unique(bus[:, BUS_AREA])),
        bus=_bus_table(tables, bus, number, from_bus, to_bus, notes),
        branch=branch_table,
        machine=_machine_table(source, gen[~fixed], gen_bus[~fixed], bus, number, dynamics, notes),
        load=LoadTable(
            name=tuple(f"load {number[k]}" for k in loaded),
            bus=loaded,
            p_mw=p_load[loaded],
            q_mvar=q_load[loaded],
        ),
        reactor=ReactorTable(bus=shunted, q_mvar=shunt_mvar[shunted]),
        renewable=RenewableTable(name=(), kind=(), bus=none, p_max_mw=np.zeros(0), series=()),
        resource=ResourceTable(name=(), kind=(), bus=none),
        base_reactor_share=1.0,
    )
    return ImportedCase(case=case, notes=tuple(notes))


def _bus_table(
    tables: GridTables,
    bus: FloatArray,
    number: IntArray,
    from_bus: IntArray,
    to_bus: IntArray,
    notes: list[str],
) -> BusTable:
    """Buses with their band and a place in drawings."""
    vn_kv = bus[:, BASE_KV].copy()
    _assume(notes, vn_kv <= 0.0, vn_kv, NOMINAL_KV, "buses have no nominal voltage: {value:g} kV")
    vm_min, vm_max = bus[:, VMIN].copy(), bus[:, VMAX].copy()
    unknown = ~((vm_min > 0.0) & (vm_max > vm_min) & np.isfinite(vm_max))
    low, high = VOLTAGE_BAND_PU
    _assume(notes, unknown, vm_min, low, f"buses have no voltage band: {low} to {high} pu")
    vm_max[unknown] = high
    xy = place_buses(len(number), from_bus, to_bus, tables.xy)
    if tables.xy is None:
        notes.append("no positions for drawings: laid out by springs")
    return BusTable(
        bus_number=number,
        area=np.unique(bus[:, BUS_AREA], return_inverse=True)[1].astype(np.int64),
        vn_kv=vn_kv,
        vm_min_pu=vm_min,
        vm_max_pu=vm_max,
        x=xy[:, 0],
        y=xy[:, 1],
    )


def _branch_table(
    tables: GridTables,
    branch: FloatArray,
    from_bus: IntArray,
    to_bus: IntArray,
    number: IntArray,
    base_kv: FloatArray,
    notes: list[str],
) -> tuple[BranchTable, FloatArray]:
    """Branches, lines first, and the shunts [Mvar absorbed at each bus] that stand for transformers' charging.

    Raises:
        CaseDataError: a resistance or tap ratio is below 0, or a reactance is not above 0.
    """
    row = np.flatnonzero(tables.branch[:, BR_STATUS] > 0) + 1
    for name, values, good, expected in (
        ("BR_R", branch[:, BR_R], branch[:, BR_R] >= 0.0, ">= 0"),
        ("BR_X", branch[:, BR_X], branch[:, BR_X] > 0.0, "> 0"),
        ("TAP", branch[:, TAP], branch[:, TAP] >= 0.0, ">= 0"),
    ):
        for k in np.flatnonzero(~good):
            ends = f"{number[from_bus[k]]}-{number[to_bus[k]]}"
            raise CaseDataError(
                f"{tables.source}, mpc.branch row {row[k]} ({ends}): {name} = {values[k]:g}, expected {expected}."
            )
    ratio = np.where(branch[:, TAP] == 0.0, 1.0, branch[:, TAP])
    is_transformer: BoolArray = (ratio != 1.0) | (base_kv[from_bus] != base_kv[to_bus])
    b_pu = branch[:, BR_B].copy()
    shunt_mvar = np.zeros(len(number))
    charged = (is_transformer & (b_pu != 0.0)) | (b_pu < 0.0)
    half_mvar = 0.5 * tables.base_mva * b_pu
    np.add.at(shunt_mvar, from_bus[charged], -(half_mvar / ratio**2)[charged])
    np.add.at(shunt_mvar, to_bus[charged], -half_mvar[charged])
    b_pu[charged] = 0.0
    if charged.any():
        notes.append(f"{np.count_nonzero(charged)} transformers have charging: fixed shunts at their ends")
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
    table = BranchTable(
        name=tuple(names),
        corridor=row[order].astype(np.int64),
        circuit=np.array(circuit, dtype=np.int64),
        from_bus=from_bus[order],
        to_bus=to_bus[order],
        is_transformer=is_transformer[order],
        r_pu=branch[order, BR_R],
        x_pu=branch[order, BR_X],
        b_pu=b_pu[order],
        tap=ratio[order],
        tap_bus=np.where(tapped, from_bus[order], -1),
        rate_a_mva=rates[0][order],
        rate_b_mva=rates[1][order],
        rate_c_mva=rates[2][order],
        rating_basis=tuple("assumed unlimited" if u else tables.source for u in unlimited[order]),
    )
    return table, shunt_mvar


def _machine_table(
    source: str,
    gen: FloatArray,
    gen_bus: IntArray,
    bus: FloatArray,
    number: IntArray,
    dynamics: Path | None,
    notes: list[str],
) -> MachineTable:
    """Machines that hold a voltage, with dynamic data from the side-car or assumed.

    Raises:
        CaseDataError: no machine in service stands at a bus of type 3, or the side-car does not list these
            machines.
    """
    reference = np.flatnonzero(bus[gen_bus, BUS_TYPE] == REFERENCE)
    if len(reference) == 0:
        raise CaseDataError(
            f"{source}: no machine in service at a bus of type 3, expected one reference machine."
        )
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
    base_mva, h_s = rating.copy(), np.full(len(gen), INERTIA_S)
    xd_pu, xd1_pu = np.full(len(gen), XD_PU), np.full(len(gen), XD1_PU)
    if dynamics is None:
        notes.append(
            f"{len(gen)} machines have no dynamic data: H = {INERTIA_S:g} s, xd = {XD_PU:g} and "
            f"x'd = {XD1_PU:g} pu on their size (PMAX)"
        )
    else:
        table = read_csv_table(dynamics)
        row = table.rows_by("machine", names)
        base_mva, h_s = table.floats("base_mva", above=0.0)[row], table.floats("h_s", above=0.0)[row]
        xd_pu, xd1_pu = table.floats("xd_pu", above=0.0)[row], table.floats("xd1_pu", above=0.0)[row]
        rating = table.floats("rating_mva", above=0.0)[row]
    notes.append(
        f"cost of {len(gen)} machines: {COST_LINEAR:g} USD/MWh rising to {MARGINAL_COST:g} at their rating"
    )
    slack = np.zeros(len(gen), dtype=np.bool_)
    slack[reference[0]] = True
    return MachineTable(
        name=tuple(names),
        bus=gen_bus,
        p_mw=gen[:, PG],
        vm_set_pu=gen[:, VG],
        slack=slack,
        base_mva=base_mva,
        h_s=h_s,
        xd_pu=xd_pu,
        xd1_pu=xd1_pu,
        rating_mva=rating,
        is_equivalent=np.zeros(len(gen), dtype=np.bool_),
        cost_linear=np.full(len(gen), COST_LINEAR),
        cost_quadratic=(MARGINAL_COST - COST_LINEAR) / (2.0 * rating),
    )


def _require_no_phase_shift(
    source: str, branch: FloatArray, from_bus: IntArray, to_bus: IntArray, n_bus: int, number: IntArray
) -> None:
    """Shifts that any path adds up to the same (vector groups) turn angles only and are dropped; others are refused.

    Raises:
        CaseDataError: the shifts around a loop do not add up to 0.
    """
    shift_degree = branch[:, SHIFT]
    turn = np.full(n_bus, np.nan)
    for root in range(n_bus):
        if not np.isnan(turn[root]):
            continue
        turn[root] = 0.0
        changed = True
        while changed:
            forward = np.isnan(turn[to_bus]) & ~np.isnan(turn[from_bus])
            turn[to_bus[forward]] = turn[from_bus[forward]] - shift_degree[forward]
            backward = np.isnan(turn[from_bus]) & ~np.isnan(turn[to_bus])
            turn[from_bus[backward]] = turn[to_bus[backward]] + shift_degree[backward]
            changed = bool(forward.any() or backward.any())
    for k in np.flatnonzero(np.abs(turn[from_bus] - shift_degree - turn[to_bus]) > 1e-9):
        raise CaseDataError(
            f"{source}, mpc.branch {number[from_bus[k]]}-{number[to_bus[k]]}: closes a loop whose SHIFT does not "
            "add up to 0, expected no phase shifter."
        )


def _assume(notes: list[str], unknown: BoolArray, values: FloatArray, value: float, what: str) -> None:
    """Fill in what is unknown and note it."""
    values[unknown] = value
    if unknown.any():
        notes.append(f"{np.count_nonzero(unknown)} " + what.format(value=value))


def _whole(source: str, matrix: str, column: str, values: FloatArray) -> IntArray:
    """Bus numbers as integers.

    Raises:
        CaseDataError: a number is not whole.
    """
    for row in np.flatnonzero(~(values == np.round(values))):
        raise CaseDataError(
            f"{source}, {matrix} row {row + 1}: {column} = {values[row]:g}, expected a bus number."
        )
    return values.astype(np.int64)


def _positions(
    source: str,
    matrix: str,
    column: str,
    values: FloatArray,
    position: dict[int, int],
    in_service: BoolArray,
) -> IntArray:
    """Positions of the buses of what is in service.

    Raises:
        CaseDataError: something in service is connected to a bus that is not there or isolated.
    """
    numbers = _whole(source, matrix, column, values)
    for row in np.flatnonzero(in_service):
        if int(numbers[row]) not in position:
            raise CaseDataError(
                f"{source}, {matrix} row {row + 1}: {column} = {numbers[row]}, expected a bus of mpc.bus that is "
                "not isolated."
            )
    return np.array([position[int(n)] for n in numbers[in_service]], dtype=np.int64)
