"""Verdicts on outages: what a state breaks, what is lost with an element, and the table of them all.

    secure     every branch within rate B, every live bus within its band
    violated   a solution exists and breaks a limit; the condition says which, where and by how much
    islanded   buses are cut off; the result says which, what is lost with them and how the rest fares
    diverged   there is no solution

That buses are cut off says nothing about the grid that is left, so an outcome tells both: `islanded_secure`,
`islanded_violated` and `islanded_diverged` are islanded, with what is left secure, violated or without a solution.
The part that is left has to make up for what it lost: the imbalance, lost generation less lost load and the change of
losses, is shared by its machines by governor gain (in proportion to rating), as everywhere, whatever their headroom.

Every outage has a result: one that is missing from the table would make the grid look safer than it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.network.limits import LOADING_TOLERANCE_PERCENT, VOLTAGE_TOLERANCE_PU, loading_percent
from grid_model.network.topology import bridges
from grid_model.security.outage import OperatingPoint, Outage, OutageTopology, lost_power

Verdict = Literal["secure", "violated", "islanded", "diverged"]
Rest = Literal["secure", "violated", "diverged"]
Outcome = Literal[
    "secure", "violated", "diverged", "islanded_secure", "islanded_violated", "islanded_diverged"
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One limit that is broken."""

    limit: Literal["loading_percent", "vm_max_pu", "vm_min_pu"]
    element: str  # name of the circuit, or the bus
    value: float
    allowed: float


@dataclass(frozen=True, kw_only=True)
class Condition:
    """State of the solved part of the grid; voltages are None where only active power was solved."""

    worst_branch: str
    worst_loading_percent: float
    vm_min_pu: float | None = None
    vm_min_bus: int | None = None
    vm_max_pu: float | None = None
    vm_max_bus: int | None = None
    violations: tuple[Violation, ...] = ()

    @property
    def severity(self) -> float:
        """Sum of what exceeds limits: loading in ratings, voltages in tenths of a per unit."""
        weight = {"loading_percent": 0.01, "vm_max_pu": 10.0, "vm_min_pu": 10.0}
        return sum(weight[v.limit] * abs(v.value - v.allowed) for v in self.violations)


@dataclass(frozen=True, kw_only=True)
class OutageResult:
    """What one outage does to the grid."""

    outage: Outage
    verdict: Verdict
    condition: Condition | None  # of what is left; None if that has no solution
    islanded_bus_numbers: tuple[int, ...]
    lost_load_mw: float
    lost_generation_mw: float
    islanded_load_mw: float  # the part of what is lost that stood on the buses cut off
    islanded_generation_mw: float
    solved_by: str  # engine, second start, pandapower or none

    @property
    def outcome(self) -> Outcome:
        """Whether buses are cut off and how the rest fares, in one word."""
        if self.verdict != "islanded":
            return self.rest
        cut_off: dict[Rest, Outcome] = {
            "secure": "islanded_secure",
            "violated": "islanded_violated",
            "diverged": "islanded_diverged",
        }
        return cut_off[self.rest]

    @property
    def rest(self) -> Rest:
        """How the part of the grid that is left fares."""
        if self.condition is None:
            return "diverged"
        return "violated" if self.condition.violations else "secure"

    @property
    def rank(self) -> tuple[float, float, float]:
        """Sorts the worst first: lost grids, then broken limits by how much, then loading."""
        order = {"diverged": 0.0, "violated": 1.0, "secure": 2.0}[self.rest]
        if self.condition is None:
            return order, -self.lost_generation_mw, 0.0
        return order, -self.condition.severity, -self.condition.worst_loading_percent


@dataclass(frozen=True, kw_only=True)
class OutageStates:
    """What a screening solved, the state before any outage first and then the list's; NaN where nothing solves."""

    vm_pu: FloatArray  # zero at buses that are cut off, [1 + outage, bus]
    flow_mva: FloatArray  # larger apparent power of both ends, [1 + outage, branch]
    branch_in_service: BoolArray  # [1 + outage, branch]
    machine_in_service: BoolArray  # [1 + outage, machine]


@dataclass(frozen=True, kw_only=True)
class Screening:
    """A list of outages of a case at one operating point, in the list's order."""

    case: Case
    engine: str
    base: Condition  # before any outage, against rate A
    results: tuple[OutageResult, ...]
    bridges: tuple[tuple[int, int], ...]  # bus numbers of the circuits whose loss alone cuts buses off
    reactive_limits: str | None = None  # where those come from that the machines kept to; None: to none
    states: OutageStates | None = None  # where they were asked for

    def count(self) -> Counter[str]:
        """Number of outages by verdict."""
        return Counter(result.verdict for result in self.results)

    def outcomes(self) -> Counter[str]:
        """Number of outages by outcome."""
        return Counter(result.outcome for result in self.results)

    def ranked(self) -> list[OutageResult]:
        """Worst first."""
        return sorted(self.results, key=lambda result: result.rank)


def joined(states: Sequence[OutageStates]) -> OutageStates:
    """Parts of a list, one after the other."""
    return OutageStates(
        vm_pu=np.concatenate([part.vm_pu for part in states]),
        flow_mva=np.concatenate([part.flow_mva for part in states]),
        branch_in_service=np.concatenate([part.branch_in_service for part in states]),
        machine_in_service=np.concatenate([part.machine_in_service for part in states]),
    )


def judge(
    case: Case, v_pu: ComplexArray, flow_mva: FloatArray, in_service: BoolArray, rating_mva: FloatArray
) -> Condition:
    """Condition of one solved state; a bus at zero volts is dead.

    Args:
        case: the grid, with its voltage bands.
        v_pu: [bus].
        flow_mva: [branch].
        in_service: [branch].
        rating_mva: rating that applies, [branch].
    """
    number, name = case.bus.bus_number, case.branch.name
    loading = np.where(in_service, loading_percent(flow_mva, rating_mva), 0.0)
    worst = int(loading.argmax())
    vm_pu = np.abs(v_pu)
    live = np.flatnonzero(vm_pu > 0.0)
    low, high = int(live[vm_pu[live].argmin()]), int(live[vm_pu[live].argmax()])
    violations = [
        Violation(limit="loading_percent", element=name[k], value=float(loading[k]), allowed=100.0)
        for k in np.flatnonzero(loading > 100.0 + LOADING_TOLERANCE_PERCENT)
    ]
    bands: tuple[tuple[Literal["vm_max_pu", "vm_min_pu"], FloatArray, FloatArray], ...] = (
        ("vm_max_pu", case.bus.vm_max_pu, vm_pu - case.bus.vm_max_pu),
        ("vm_min_pu", case.bus.vm_min_pu, np.where(vm_pu > 0.0, case.bus.vm_min_pu - vm_pu, 0.0)),
    )
    for limit, allowed, excess_pu in bands:
        violations += [
            Violation(
                limit=limit, element=f"bus {number[k]}", value=float(vm_pu[k]), allowed=float(allowed[k])
            )
            for k in np.flatnonzero(excess_pu > VOLTAGE_TOLERANCE_PU)
        ]
    return Condition(
        worst_branch=name[worst],
        worst_loading_percent=float(loading[worst]),
        vm_min_pu=float(vm_pu[low]),
        vm_min_bus=int(number[low]),
        vm_max_pu=float(vm_pu[high]),
        vm_max_bus=int(number[high]),
        violations=tuple(violations),
    )


def outage_results(
    case: Case,
    point: OperatingPoint,
    outages: tuple[Outage, ...],
    topology: OutageTopology,
    conditions: list[Condition | None],
    solved_by: tuple[str, ...],
) -> tuple[OutageResult, ...]:
    """One result for each outage: its condition joined with what is islanded and lost."""
    lost = lost_power(case, point, topology)
    results = []
    for k, (outage, condition) in enumerate(zip(outages, conditions, strict=True)):
        dead = case.bus.bus_number[~topology.bus_live[k]]
        verdict: Verdict
        if len(dead):
            verdict = "islanded"
        elif condition is None:
            verdict = "diverged"
        else:
            verdict = "violated" if condition.violations else "secure"
        results.append(
            OutageResult(
                outage=outage,
                verdict=verdict,
                condition=condition,
                islanded_bus_numbers=tuple(int(number) for number in dead),
                lost_load_mw=float(lost.load_mw[k]),
                lost_generation_mw=float(lost.generation_mw[k]),
                islanded_load_mw=float(lost.load_mw[k]),
                islanded_generation_mw=float(lost.islanded_generation_mw[k]),
                solved_by=solved_by[k],
            )
        )
    return tuple(results)


def bridge_ends(case: Case, outages: tuple[Outage, ...]) -> tuple[tuple[int, int], ...]:
    """Ends of the bridges that networkx finds, in the source's order."""
    ends = []
    for row in bridges(case):
        outage = outages[int(row)]
        assert outage.to_bus_number is not None  # circuits stand first in the list
        ends.append((outage.from_bus_number, outage.to_bus_number))
    return tuple(ends)
