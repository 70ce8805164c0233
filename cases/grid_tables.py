"""A grid in MATPOWER's matrices -> Case, with every assumption listed.

The matrices are close to the tables of a `Case`, and MATPOWER's files and pandapower's both come through
`case_from_tables`. What the format does not hold is read from a side-car CSV (see `typical_machines`; one row a
machine, named as the machines of the case are: G and the bus number) or assumed; `ImportedCase.notes` says what was
assumed and how often.

Where an island has several machines at buses of type 3 the first keeps the angle, and the others' powers are to be
found, see `HeldAngle`. Shifts that any path adds up to the same (vector groups) turn the angles of buses, what is left
of the others makes a phase shifter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray, IntArray
from cases.case import Case, connected_buses
from cases.matpower_matrices import (
    BASE_KV,
    BR_B,
    BR_R,
    BR_X,
    BS,
    BUS_AREA,
    BUS_I,
    BUS_TYPE,
    F_BUS,
    GEN_BUS,
    GS,
    PD,
    PG,
    PMAX,
    PQ,
    QD,
    QG,
    RATE_A,
    RATE_B,
    RATE_C,
    SHIFT,
    T_BUS,
    TAP,
    VA,
    VG,
    VMAX,
    VMIN,
    ZONE,
    GridTables,
    TwoPortColumns,
    living,
    require_buses_there,
    without_loops,
)
from cases.reference_angles import HeldAngle, further_references, slack_machines, turns
from cases.tables import (
    BranchTable,
    BusTable,
    DcLineTable,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
    ShuntTable,
)
from cases.typical_machines import TYPICAL, read_machine_data, typical_data, typical_kind

# What is assumed where nothing is given; each is listed when used.
UNLIMITED_MVA = 9900.0  # MATPOWER writes this for a circuit without a rating
MOST_RATIO = 20.0  # of a tap, or one over it: no transformer is so far off its nominal ratio
RATE_B_FACTOR, RATE_C_FACTOR = 1.2, 1.4
VOLTAGE_BAND_PU = (0.90, 1.10)
NOMINAL_KV = 345.0
CONDENSER_MVA = 1.0  # size of a machine without active power: next to no share of an imbalance
COST_LINEAR, MARGINAL_COST = 18.0, 30.0  # USD/MWh


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
    require_buses_there(tables)
    tables = without_loops(living(tables, notes), notes)
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
    slack = slack_machines(bus, machine_bus, island)
    root = np.array([machine_bus[k] for k in slack], dtype=np.int64)
    turn_rad, shift_rad = turns(bus, branch, from_bus, to_bus, root)
    held_angles = tuple(
        HeldAngle(
            machine=int(k),
            angle_rad=float(np.deg2rad(bus[machine_bus[k], VA]) - turn_rad[machine_bus[k]]),
        )
        for k in further_references(bus, machine_bus, root, notes)
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
