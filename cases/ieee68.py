"""The IEEE 68-bus, 16-machine, 5-area system of New England and New York (NETS-NYPS).

Reads the CSV tables of data/ieee68 into a `Case` and checks every entry on the way, so that wrong data ends
here with file, row, value and what was expected, and not as an odd power flow. Rows are counted as an editor
counts lines: the header is row 1. Sources, corrections and the figures that are this project's own are told
in data/ieee68/SOURCE.md.

Two variants differ in three things: the bus that carries the ratio of a step-up transformer, the loads at
buses 56 and 60, and the slack machine. `rogers` is the operating case; `tr18` is the one with a published
power-flow solution, which only validation may read (`load_published_solution`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray, IntArray
from cases.case import Case, connected_buses
from cases.csv_table import CsvTable, read_csv_table
from cases.excitation import ExcitationTable
from cases.tables import (
    RENEWABLE_KINDS,
    RESOURCE_KINDS,
    BranchTable,
    BusTable,
    LoadTable,
    MachineTable,
    ReactorTable,
    RenewableTable,
    ResourceTable,
)

DATA_DIRECTORY = Path(__file__).parent / "data" / "ieee68"
VARIANTS = ("rogers", "tr18")
SYSTEM = "ieee68"  # as runs, messages and pictures call the operating case
NAMES = (SYSTEM, *VARIANTS)  # by which it is asked for
AREA_NAMES = ("NETS", "NYPS", "area3", "area4", "area5")

# Chosen for all buses: no voltage level is published, and 345 kV fits the lines' surge impedances.
NOMINAL_VOLTAGE_KV = 345.0
VOLTAGE_BAND_PU = (0.95, 1.10)
# G13 to G16 stand for New York's remainder and three neighbouring systems.
EQUIVALENT_MACHINES = ("G13", "G14", "G15", "G16")
LINE_KINDS = ("line", "line, no charging")
TRANSFORMER_KINDS = ("gen step-up", "network transformer")


@dataclass(frozen=True, kw_only=True)
class PublishedSolution:
    """Printed power-flow solution, 4 decimals; every array has shape [bus], in the order of the file."""

    bus_number: IntArray
    vm_pu: FloatArray
    va_degree: FloatArray


def variant_named(name: str) -> str | None:
    """The variant that is asked for by one of NAMES; None for any other name."""
    name = VARIANTS[0] if name == SYSTEM else name
    return name if name in VARIANTS else None


def load_ieee68(variant: str = "rogers", directory: Path = DATA_DIRECTORY) -> Case:
    """Read one variant of the system.

    Args:
        variant: rogers (operating case) or tr18 (the case with a published solution).
        directory: folder with the CSV tables.

    Raises:
        CaseDataError: a table is missing, or an entry of it cannot be true.
    """
    if variant not in VARIANTS:
        raise CaseDataError(f"variant = {variant!r}, expected one of {', '.join(VARIANTS)}.")
    directory = Path(directory)
    bus_csv = read_csv_table(directory / "bus.csv")
    bus_number = bus_csv.integers("bus_number")
    bus_csv.require_unique("bus_number")
    position = {int(number): k for k, number in enumerate(bus_number)}
    machine_csv = read_csv_table(directory / "generator.csv")
    branch_csv = read_csv_table(directory / "branch.csv")
    branch = _branches(branch_csv, position, variant)
    machine = _machines(directory, machine_csv, position, variant)
    root = int(machine.bus[machine.slack_machine])
    island = connected_buses(len(bus_number), branch.from_bus, branch.to_bus)
    for k in np.flatnonzero(island != island[root]):
        raise bus_csv.error(
            int(k), "bus_number", f"a chain of branches in branch.csv that joins it to bus {bus_number[root]}"
        )
    return Case(
        name=f"ieee68-{variant}",
        base_mva=100.0,
        f0_hz=60.0,
        area_names=AREA_NAMES,
        bus=_buses(directory, bus_csv),
        branch=branch,
        machine=machine,
        load=_loads(bus_csv, variant),
        reactor=_reactors(read_csv_table(directory / "reactor.csv"), position),
        renewable=_renewables(read_csv_table(directory / "renewable.csv"), position),
        resource=_resources(read_csv_table(directory / "resource.csv"), position),
        excitation=_excitation(directory, machine.name),
    )


def load_published_solution(directory: Path = DATA_DIRECTORY) -> PublishedSolution:
    """Read the published solution of variant tr18; for validation only, the model never sees it."""
    table = read_csv_table(Path(directory) / "published_solution_tr18.csv")
    table.require_unique("bus_number")
    return PublishedSolution(
        bus_number=table.integers("bus_number"),
        vm_pu=table.floats("vm_pu", above=0.0),
        va_degree=table.floats("va_degree"),
    )


def _buses(directory: Path, table: CsvTable) -> BusTable:
    """Bus table with the drawing positions of position.csv."""
    n = table.n_row
    area = np.array([AREA_NAMES.index(a) for a in table.choices("area", AREA_NAMES)], dtype=np.int64)
    drawing = read_csv_table(directory / "position.csv")
    row = drawing.rows_by("bus", table.texts("bus_number"))
    return BusTable(
        bus_number=table.integers("bus_number"),
        area=area,
        vn_kv=np.full(n, NOMINAL_VOLTAGE_KV),
        vm_min_pu=np.full(n, VOLTAGE_BAND_PU[0]),
        vm_max_pu=np.full(n, VOLTAGE_BAND_PU[1]),
        x=drawing.floats("x")[row],
        y=drawing.floats("y")[row],
    )


def _branches(table: CsvTable, position: dict[int, int], variant: str) -> BranchTable:
    """One row a rated circuit, lines first. A corridor of n circuits has r/n, x/n and b n."""
    table.require_unique("corridor")
    from_bus = table.positions("from_bus_number", position)
    to_bus = table.positions("to_bus_number", position)
    kind = table.choices("kind", LINE_KINDS + TRANSFORMER_KINDS)
    is_transformer = np.array([k in TRANSFORMER_KINDS for k in kind])
    r_pu = table.floats("r_pu", at_least=0.0)
    x_pu = table.floats("x_pu", above=0.0)
    b_pu = table.floats("b_pu", at_least=0.0)
    circuits = table.integers("circuits_rated", at_least=1)
    tap_number = table.texts(f"tap_bus_number_{variant}", may_be_empty=True)
    tap_text = table.texts("tap_ratio", may_be_empty=True)
    tap, tap_bus = np.ones(table.n_row), np.full(table.n_row, -1, dtype=np.int64)
    rate_a = table.floats("rate_a_mva", above=0.0)
    rate_b = table.floats("rate_b_mva", above=0.0)
    rate_c = table.floats("rate_c_mva", above=0.0)
    ends: set[frozenset[int]] = set()
    for k in range(table.n_row):
        pair = frozenset((int(from_bus[k]), int(to_bus[k])))
        if len(pair) == 1:
            raise table.error(k, "to_bus_number", "another bus than from_bus_number")
        if pair in ends:
            raise table.error(
                k, "to_bus_number", "each pair of buses once (parallel circuits go into circuits_rated)"
            )
        ends.add(pair)
        if not rate_a[k] <= rate_b[k] <= rate_c[k]:
            raise table.error(k, "rate_b_mva", "rate_a_mva <= rate_b_mva <= rate_c_mva")
        if tap_text[k]:
            tap[k] = table.number(k, "tap_ratio", above=0.0)
        if not is_transformer[k] and tap[k] != 1.0:
            raise table.error(k, "tap_ratio", "no ratio on a line")
        if tap_number[k]:
            side = position.get(int(table.number(k, f"tap_bus_number_{variant}")), -1)
            if side not in pair:
                raise table.error(k, f"tap_bus_number_{variant}", "one of the two ends of the branch")
            tap_bus[k] = side
        elif tap[k] != 1.0:
            raise table.error(k, f"tap_bus_number_{variant}", "the bus that carries the ratio")
    order = np.concatenate([np.flatnonzero(~is_transformer), np.flatnonzero(is_transformer)])
    row = np.repeat(order, circuits[order])
    circuit = np.concatenate([np.arange(1, circuits[k] + 1) for k in order])
    number = {k: bus for bus, k in position.items()}
    name = tuple(
        f"{number[int(from_bus[k])]}-{number[int(to_bus[k])]}" + (f" #{c}" if circuits[k] > 1 else "")
        for k, c in zip(row, circuit, strict=True)
    )
    reverse = (tap_bus == to_bus) & (tap_bus >= 0)
    n = circuits[row].astype(np.float64)
    basis = table.texts("rating_basis")
    return BranchTable(
        name=name,
        corridor=table.integers("corridor")[row],
        circuit=circuit.astype(np.int64),
        from_bus=np.where(reverse, to_bus, from_bus)[row],
        to_bus=np.where(reverse, from_bus, to_bus)[row],
        is_transformer=is_transformer[row],
        r_pu=r_pu[row] * n,
        x_pu=x_pu[row] * n,
        b_pu=b_pu[row] / n,
        tap=tap[row],
        tap_bus=tap_bus[row],
        rate_a_mva=rate_a[row],
        rate_b_mva=rate_b[row],
        rate_c_mva=rate_c[row],
        rating_basis=tuple(basis[k] for k in row),
    )


def _machines(directory: Path, table: CsvTable, position: dict[int, int], variant: str) -> MachineTable:
    """Schedule of generator.csv, dynamic data of machine.csv, cost of dispatch_cost.csv, joined by name.

    Raises:
        CaseDataError: not exactly one slack machine is marked, or the tables disagree on machines or buses.
    """
    table.require_unique("machine")
    name = table.texts("machine")
    bus = table.positions("bus_number", position)
    slack = table.integers(f"slack_{variant}", at_least=0)
    if np.count_nonzero(slack) != 1:
        raise CaseDataError(
            f"{table.file}: slack_{variant} marks {np.count_nonzero(slack)} machines, expected exactly one."
        )
    dynamic = read_csv_table(directory / "machine.csv")
    row = dynamic.rows_by("machine", name)
    dynamic_bus = dynamic.positions("bus_number", position)
    for k, r in enumerate(row):
        if dynamic_bus[r] != bus[k]:
            raise dynamic.error(int(r), "bus_number", f"the bus of {name[k]} in {table.file}")
    cost = read_csv_table(directory / "dispatch_cost.csv")
    cost_row = cost.rows_by("machine", name)
    return MachineTable(
        name=tuple(name),
        bus=bus,
        p_mw=table.floats(f"p_{variant}_mw"),
        vm_set_pu=table.floats("vm_set_pu", above=0.0),
        slack=slack.astype(np.bool_),
        base_mva=dynamic.floats("base_mva", above=0.0)[row],
        h_s=dynamic.floats("h_s", above=0.0)[row],
        xd_pu=dynamic.floats("xd_pu", above=0.0)[row],
        xd1_pu=dynamic.floats("xd1_pu", above=0.0)[row],
        rating_mva=dynamic.floats("rating_mva", above=0.0)[row],
        is_equivalent=np.array([n in EQUIVALENT_MACHINES for n in name]),
        cost_linear=cost.floats("cost_linear_usd_per_mwh", at_least=0.0)[cost_row],
        cost_quadratic=cost.floats("cost_quadratic_usd_per_mw2h", above=0.0)[cost_row],
    )


def _excitation(directory: Path, name: tuple[str, ...]) -> ExcitationTable:
    """Fields of machine.csv and regulators of exciter.csv, in the order of the machines named.

    ST1A is K_A at once. DC4B is a PID regulator with rate feedback around a rotating exciter,

        H(s) = g (K_P + K_I/s + K_D s) (1 + s T_F) / [(1 + s t) (1 + s T_F) + g K_F s (K_P + K_D s)]

    with g = K_A / K_E and t = T_E / K_E. To first order it is what H is at once, without K_I in the long run, and the
    slower of its two poles; K_I / K_P is the rate of the integral part. Its ceiling is E2, at which the saturated
    exciter takes all that V_Rmax gives. MANUAL keeps its field.
    """
    table, dynamic = read_csv_table(directory / "exciter.csv"), read_csv_table(directory / "machine.csv")
    t_field_s = dynamic.floats("td01_s", above=0.0)[dynamic.rows_by("machine", list(name))]
    row = table.rows_by("machine", list(name))
    model = table.choices("model", ("DC4B", "ST1A", "MANUAL"))
    n = len(name)
    gain, transient, reset = np.zeros(n), np.zeros(n), np.zeros(n)
    lag_s, ceiling, floor = np.full(n, 0.01), np.full(n, np.inf), np.full(n, -np.inf)
    for k, r in enumerate(row):
        if model[r] == "MANUAL":
            continue
        k_a = table.number(r, "ka", above=0.0)
        if model[r] == "ST1A":
            gain[k] = transient[k] = k_a
            ceiling[k], floor[k] = table.number(r, "vr_max_pu"), table.number(r, "vr_min_pu")
            continue
        k_e = table.number(r, "ke", above=0.0)
        g, t_s = k_a / k_e, table.number(r, "te_s", above=0.0) / k_e
        k_p, k_d = table.number(r, "kp", above=0.0), table.number(r, "kd", above=0.0)
        k_f, t_f_s = table.number(r, "kf", above=0.0), table.number(r, "tf_s", above=0.0)
        square, linear = t_s * t_f_s + g * k_f * k_d, t_s + t_f_s + g * k_f * k_p
        gain[k], transient[k] = g * k_p, g * k_d * t_f_s / square
        lag_s[k] = 2.0 * square / (linear - np.sqrt(linear**2 - 4.0 * square))
        reset[k] = table.number(r, "ki", at_least=0.0) / k_p
        ceiling[k] = table.number(r, "e2_pu", above=0.0)
        floor[k] = -ceiling[k]
    return ExcitationTable(
        t_field_s=t_field_s,
        gain=gain,
        transient_gain=transient,
        lag_s=lag_s,
        reset_per_s=reset,
        efd_min_pu=floor,
        efd_max_pu=ceiling,
    )


def _loads(table: CsvTable, variant: str) -> LoadTable:
    """One load for each bus whose active or reactive load is not zero."""
    number = table.integers("bus_number")
    p_mw = table.floats(f"p_load_{variant}_mw", at_least=0.0)
    q_mvar = table.floats(f"q_load_{variant}_mvar")
    bus = np.flatnonzero((p_mw != 0.0) | (q_mvar != 0.0))
    return LoadTable(
        name=tuple(f"load {number[k]}" for k in bus), bus=bus, p_mw=p_mw[bus], q_mvar=q_mvar[bus]
    )


def _reactors(table: CsvTable, position: dict[int, int]) -> ReactorTable:
    """Switchable reactors; this project's own."""
    table.require_unique("bus_number")
    return ReactorTable(bus=table.positions("bus_number", position), q_mvar=table.floats("q_mvar", above=0.0))


def _renewables(table: CsvTable, position: dict[int, int]) -> RenewableTable:
    """Wind and photovoltaic plants; this project's own."""
    table.require_unique("plant")
    return RenewableTable(
        name=tuple(table.texts("plant")),
        kind=tuple(table.choices("kind", RENEWABLE_KINDS)),
        bus=table.positions("bus_number", position),
        p_max_mw=table.floats("p_max_mw", above=0.0),
        series=tuple(table.texts("series")),
    )


def _resources(table: CsvTable, position: dict[int, int]) -> ResourceTable:
    """The plants the agents control; this project's own."""
    table.require_unique("resource")
    return ResourceTable(
        name=tuple(table.texts("resource")),
        kind=tuple(table.choices("kind", RESOURCE_KINDS)),
        bus=table.positions("bus_number", position),
    )
