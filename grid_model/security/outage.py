"""Outages of a grid: what can be lost, and what each loss means before any power flow is solved.

The list of single outages holds every circuit, transformer, machine, renewable plant and controllable plant, once
each; other lists join several of them, such as all pairs of circuits (N-2) or what somebody has written down.
Losing a circuit may cut buses off; what stands on them is lost with it. What is lost in power is left to
the remaining machines, which share it by governor gain. Left out: common-mode and busbar faults, and
protection that trips more than the faulted element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.network.topology import live_buses

KINDS = ("line", "transformer", "machine", "renewable", "resource", "dc_line")
COMBINATION = "combination"
JOINED = " + "


class UnknownOutage(ValueError):
    """A list names an element that the grid does not have."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Scheduled powers of everything in a grid; machines add their share of what is unbalanced."""

    p_load_mw: FloatArray  # [load]
    q_load_mvar: FloatArray  # [load]
    p_machine_mw: FloatArray  # [machine]
    p_renewable_mw: FloatArray  # [renewable]
    p_resource_mw: FloatArray  # [resource]
    reactor_share: FloatArray | float  # of each shunt reactor, [reactor], or one share for all


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One element that can be lost, or several at once."""

    kind: str  # one of KINDS, or COMBINATION
    row: int  # in the case's table of that kind; of a combination its first element's
    name: str
    from_bus_number: int  # in the order in which the source names the ends
    to_bus_number: int | None  # None for a plant, which has one bus
    parts: tuple[Outage, ...] = ()  # of a combination: what is lost at once


@dataclass(frozen=True, kw_only=True)
class OutageTopology:
    """What is left in service after each outage of a list; the first axis is the outage."""

    branch_in_service: BoolArray  # [outage, branch]
    machine_in_service: BoolArray  # [outage, machine]
    renewable_in_service: BoolArray  # [outage, renewable]
    resource_in_service: BoolArray  # [outage, resource]
    dc_line_in_service: BoolArray  # [outage, dc line]
    bus_live: BoolArray  # [outage, bus]

    @property
    def islanding(self) -> BoolArray:
        """Whether buses are cut off, [outage]."""
        n_live: IntArray = np.count_nonzero(self.bus_live, axis=1)
        cut: BoolArray = n_live < self.bus_live.shape[1]
        return cut


@dataclass(frozen=True, kw_only=True)
class OutagePower:
    """What each outage leaves and takes at one operating point; the first axis is the outage."""

    injection_mva: ComplexArray  # [outage, bus], zero on dead buses
    lost_load_mw: FloatArray  # [outage]
    lost_generation_mw: FloatArray  # [outage], machines, wind, sun and plants that fed in


@dataclass(frozen=True, kw_only=True)
class LostPower:
    """What each outage takes [MW], [outage]."""

    load_mw: FloatArray  # on buses that are cut off
    generation_mw: FloatArray  # machines, wind, sun and plants that fed in
    islanded_generation_mw: FloatArray  # the part of it that stood on buses that are cut off


def published_point(case: Case) -> OperatingPoint:
    """Loads, machines and shunts as published; plants of this project's own at zero."""
    return OperatingPoint(
        p_load_mw=case.load.p_mw,
        q_load_mvar=case.load.q_mvar,
        p_machine_mw=case.machine.p_mw,
        p_renewable_mw=np.zeros(case.n_renewable),
        p_resource_mw=np.zeros(case.n_resource),
        reactor_share=case.base_reactor_share,
    )


def scaled_point(
    case: Case, *, load_level: float = 1.0, wind: float = 0.0, sun: float = 0.0
) -> OperatingPoint:
    """A load level with shares of wind and sun; machines give way in proportion to their published output.

    Losses scale with the square of the level, as far as the schedule knows; reactors follow the level from
    none at 1 to all at 0.4.
    """
    is_wind = np.array([kind == "wind" for kind in case.renewable.kind], dtype=np.bool_)
    p_renewable_mw = case.renewable.p_max_mw * np.where(is_wind, wind, sun)
    published_mw = case.machine.p_mw.sum()
    losses_mw = (published_mw - case.load.p_mw.sum()) * load_level**2
    demand_mw = load_level * case.load.p_mw.sum() + losses_mw - p_renewable_mw.sum()
    return OperatingPoint(
        p_load_mw=load_level * case.load.p_mw,
        q_load_mvar=load_level * case.load.q_mvar,
        p_machine_mw=case.machine.p_mw * demand_mw / published_mw,
        p_renewable_mw=p_renewable_mw,
        p_resource_mw=np.zeros(case.n_resource),
        reactor_share=max(case.base_reactor_share, float(np.clip((1.0 - load_level) / 0.6, 0.0, 1.0))),
    )


def bus_injection_mva(case: Case, point: OperatingPoint) -> ComplexArray:
    """Complex power into every bus, the machines' share of the imbalance left out [MVA], shape [bus]."""
    injection = np.zeros(case.n_bus, dtype=np.complex128)
    np.add.at(injection, case.load.bus, -(point.p_load_mw + 1j * point.q_load_mvar))
    np.add.at(injection, case.machine.bus, point.p_machine_mw)
    np.add.at(injection, case.renewable.bus, point.p_renewable_mw)
    np.add.at(injection, case.resource.bus, point.p_resource_mw)
    return injection


def single_outages(case: Case) -> tuple[Outage, ...]:
    """Every single outage: circuits in table order, then machines, renewable and controllable plants, DC lines."""
    number = case.bus.bus_number
    found = []
    for row, name in enumerate(case.branch.name):
        ends = int(number[case.branch.from_bus[row]]), int(number[case.branch.to_bus[row]])
        if name.split(" ")[0] == f"{ends[1]}-{ends[0]}":  # the source names the ends the other way round
            ends = ends[::-1]
        kind = "transformer" if case.branch.is_transformer[row] else "line"
        found.append(Outage(kind=kind, row=row, name=name, from_bus_number=ends[0], to_bus_number=ends[1]))
    for kind, table in (
        ("machine", case.machine),
        ("renewable", case.renewable),
        ("resource", case.resource),
    ):
        for row, name in enumerate(table.name):
            bus = int(number[table.bus[row]])
            found.append(Outage(kind=kind, row=row, name=name, from_bus_number=bus, to_bus_number=None))
    for row, name in enumerate(case.dc_line.name):
        ends = int(number[case.dc_line.from_bus[row]]), int(number[case.dc_line.to_bus[row]])
        found.append(
            Outage(kind="dc_line", row=row, name=name, from_bus_number=ends[0], to_bus_number=ends[1])
        )
    return tuple(found)


def combined(parts: tuple[Outage, ...]) -> Outage:
    """Several elements lost at once; a single one is itself."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Outage(
        kind=COMBINATION,
        row=first.row,
        name=JOINED.join(part.name for part in parts),
        from_bus_number=first.from_bus_number,
        to_bus_number=first.to_bus_number,
        parts=parts,
    )


def circuit_pairs(case: Case) -> tuple[Outage, ...]:
    """Every pair of circuits lost at once (N-2), in table order."""
    circuits = single_outages(case)[: case.n_branch]
    return tuple(combined(pair) for pair in combinations(circuits, 2))


def what_there_is(case: Case, name: str) -> str:
    """What may have been meant by the name of an element that a case does not have, for messages."""
    ends = name.split(" ")[0].split("-")
    corridor = ("-".join(ends), "-".join(reversed(ends)))
    near = [other for other in case.branch.name if other.split(" ")[0] in corridor]
    if near:
        return f"circuits of that corridor: {', '.join(near)}"
    some = (case.branch.name[:1], case.machine.name[:1])
    return f"expected e.g. {' or '.join(names[0] for names in some if names)}"


def outages_named(case: Case, lines: Sequence[str]) -> tuple[Outage, ...]:
    """Outages by the names of their elements, one a line, several at once joined by +; blank lines and # say nothing.

    Raises:
        UnknownOutage: an element is not in the grid, or stands twice in a line, or there is no outage at all.
    """
    known = {outage.name: outage for outage in single_outages(case)}
    found = []
    for number, line in enumerate(lines, start=1):
        text = "" if line.lstrip().startswith("#") else line.strip()
        if not text:
            continue
        names = [name.strip() for name in text.split("+")]
        for name in names:
            if name not in known:
                hint = what_there_is(case, name)
                raise UnknownOutage(f"line {number}: {name!r} is no element of case {case.name}; {hint}")
        if len(set(names)) < len(names):
            raise UnknownOutage(f"line {number}: {text!r} names an element twice")
        found.append(combined(tuple(known[name] for name in names)))
    if not found:
        raise UnknownOutage("no outage in the list, expected one a line, its elements joined by +")
    return tuple(found)


def outage_topology(case: Case, outages: tuple[Outage, ...]) -> OutageTopology:
    """What each outage leaves in service; what stands on buses that are cut off goes with them.

    Raises:
        CaseDataError: the grid has several islands.
    """
    if case.n_island > 1:
        raise CaseDataError(
            f"case {case.name}: {case.n_island} islands, expected one for a screening of outages. Open them as grids "
            "of their own."
        )
    n = len(outages)
    branch = np.ones((n, case.n_branch), dtype=np.bool_)
    plants = {
        "machine": np.ones((n, case.n_machine), dtype=np.bool_),
        "renewable": np.ones((n, case.n_renewable), dtype=np.bool_),
        "resource": np.ones((n, case.n_resource), dtype=np.bool_),
        "dc_line": np.ones((n, case.n_dc_line), dtype=np.bool_),
    }
    bus_live = np.ones((n, case.n_bus), dtype=np.bool_)
    for k, outage in enumerate(outages):
        for part in outage.parts or (outage,):
            if part.kind in plants:
                plants[part.kind][k, part.row] = False
            else:
                branch[k, part.row] = False
        if not branch[k].all():
            bus_live[k] = live_buses(case, branch[k])
    return OutageTopology(
        branch_in_service=branch & bus_live[:, case.branch.from_bus] & bus_live[:, case.branch.to_bus],
        machine_in_service=plants["machine"] & bus_live[:, case.machine.bus],
        renewable_in_service=plants["renewable"] & bus_live[:, case.renewable.bus],
        resource_in_service=plants["resource"] & bus_live[:, case.resource.bus],
        dc_line_in_service=plants["dc_line"]
        & bus_live[:, case.dc_line.from_bus]
        & bus_live[:, case.dc_line.to_bus],
        bus_live=bus_live,
    )


def part_of(topology: OutageTopology, rows: slice) -> OutageTopology:
    """Some outages of a list."""
    return OutageTopology(
        branch_in_service=topology.branch_in_service[rows],
        machine_in_service=topology.machine_in_service[rows],
        renewable_in_service=topology.renewable_in_service[rows],
        resource_in_service=topology.resource_in_service[rows],
        dc_line_in_service=topology.dc_line_in_service[rows],
        bus_live=topology.bus_live[rows],
    )


def lost_power(case: Case, point: OperatingPoint, topology: OutageTopology) -> LostPower:
    """What each outage takes of the scheduled powers."""
    dead = ~topology.bus_live
    machine_mw, resource_mw = np.maximum(point.p_machine_mw, 0.0), np.maximum(point.p_resource_mw, 0.0)
    return LostPower(
        load_mw=dead[:, case.load.bus] @ point.p_load_mw,
        generation_mw=~topology.machine_in_service @ machine_mw
        + ~topology.renewable_in_service @ point.p_renewable_mw
        + ~topology.resource_in_service @ resource_mw,
        islanded_generation_mw=dead[:, case.machine.bus] @ machine_mw
        + dead[:, case.renewable.bus] @ point.p_renewable_mw
        + dead[:, case.resource.bus] @ resource_mw,
    )


def outage_power(case: Case, point: OperatingPoint, topology: OutageTopology) -> OutagePower:
    """What each outage leaves of the scheduled powers, and what it takes."""
    load_in_service = topology.bus_live[:, case.load.bus]
    injection = np.zeros(topology.bus_live.shape, dtype=np.complex128)
    for bus, s_mva, in_service in (
        (case.load.bus, -(point.p_load_mw + 1j * point.q_load_mvar), load_in_service),
        (case.machine.bus, point.p_machine_mw, topology.machine_in_service),
        (case.renewable.bus, point.p_renewable_mw, topology.renewable_in_service),
        (case.resource.bus, point.p_resource_mw, topology.resource_in_service),
    ):
        at_bus = np.zeros((len(bus), case.n_bus))
        at_bus[np.arange(len(bus)), bus] = 1.0
        injection += (in_service * s_mva) @ at_bus
    lost = lost_power(case, point, topology)
    return OutagePower(
        injection_mva=injection,
        lost_load_mw=lost.load_mw,
        lost_generation_mw=lost.generation_mw,
    )
