"""N-1: one result for every single outage, always.

    secure     every branch within rate B, every live bus within its band
    violated   a solution exists and breaks a limit; the result says which, where and by how much
    islanded   buses are cut off; the result says which, what is lost with them and how the rest fares
    diverged   no solution from the base case, none from a flat start, and none by pandapower

Three engines stand behind `screen`: lightsim2grid's contingency analysis (quick), pandapower outage by
outage (the oracle), and DC sensitivities (`dc_power_flow.LinearScreen`, the quickest, blind to voltages and
losses). An outage that
the quick one leaves unsolved is never dropped: it is tried from a second start, then by pandapower. Power
that is lost is picked up by the remaining machines by governor gain, without regard to their headroom.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.admittance import ComplexArray, branch_admittance, branch_flows
from grid_model.dc_power_flow import LinearScreen
from grid_model.limits import apparent_power_mva, loading_percent
from grid_model.network import build_network, set_reactor_share
from grid_model.outage import (
    OperatingPoint,
    Outage,
    OutageEffect,
    bus_injection_mva,
    outage_effects,
    published_point,
    single_outages,
)
from grid_model.power_flow import PowerFlowDiverged, PowerFlowEngine, governor_share, solve_with_pandapower
from grid_model.topology import bridges

EngineName = Literal["lightsim2grid", "pandapower", "dc"]
Verdict = Literal["secure", "violated", "islanded", "diverged"]

MAX_ITERATION = 15  # a solvable outage takes 3 to 6 from the base case
TOLERANCE_PU = 1e-9
BY_ENGINE, BY_SECOND_START, BY_PANDAPOWER, BY_NONE = "engine", "second start", "pandapower", "none"


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
    solved_by: str  # engine, second start, pandapower or none

    @property
    def rest(self) -> Literal["secure", "violated", "diverged"]:
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
class Screening:
    """Every single outage of a case at one operating point, in the order of `outage.single_outages`."""

    case: Case
    engine: EngineName
    base: Condition  # before any outage, against rate A
    results: tuple[OutageResult, ...]
    bridges: tuple[tuple[int, int], ...]  # bus numbers of the circuits whose loss alone cuts buses off

    def count(self) -> Counter[str]:
        """Number of outages by verdict."""
        return Counter(result.verdict for result in self.results)

    def ranked(self) -> list[OutageResult]:
        """Worst first."""
        return sorted(self.results, key=lambda result: result.rank)


@dataclass(frozen=True, kw_only=True)
class AcSolutions:
    """AC solutions of a list of outages; dead and unsolved buses are at zero."""

    v_pu: ComplexArray  # [outage, bus]
    flow_mva: FloatArray  # larger apparent power of both ends, [outage, branch]
    solved: BoolArray  # [outage]
    solved_by: tuple[str, ...]  # [outage]


def screen(case: Case, point: OperatingPoint, engine: EngineName = "lightsim2grid") -> Screening:
    """Screen every single outage of a case at one operating point.

    Raises:
        PowerFlowDiverged: the grid has no solution even before any outage.
    """
    outages = single_outages(case)
    effect = outage_effects(case, point, outages)
    if engine == "dc":
        return _screen_dc(case, point, effect)
    if engine == "pandapower":
        base_v_pu = _pandapower_voltages(case, point, outage_effects(case, point, ()), None)
        if base_v_pu is None:
            raise PowerFlowDiverged(f"case {case.name}: no solution before any outage")
        solutions = solve_outages_with_pandapower(case, point, effect)
    else:
        quick = EngineScreen(case)
        solutions = quick.confirm(point, quick.solve(point))
        base_v_pu = quick.base_v_pu
    everything = np.ones((1, case.n_branch), dtype=np.bool_)
    base_flow_mva = _flows(case, base_v_pu[None, :], everything)
    return Screening(
        case=case,
        engine=engine,
        base=judge(case, base_v_pu, base_flow_mva[0], everything[0], case.branch.rate_a_mva),
        results=_results(case, outages, effect, solutions),
        bridges=_bridge_ends(case, outages),
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
        for k in np.flatnonzero(loading > 100.0)
    ]
    for k in live:
        if vm_pu[k] > case.bus.vm_max_pu[k]:
            allowed = float(case.bus.vm_max_pu[k])
            violations.append(
                Violation(
                    limit="vm_max_pu", element=f"bus {number[k]}", value=float(vm_pu[k]), allowed=allowed
                )
            )
        elif vm_pu[k] < case.bus.vm_min_pu[k]:
            allowed = float(case.bus.vm_min_pu[k])
            violations.append(
                Violation(
                    limit="vm_min_pu", element=f"bus {number[k]}", value=float(vm_pu[k]), allowed=allowed
                )
            )
    return Condition(
        worst_branch=name[worst],
        worst_loading_percent=float(loading[worst]),
        vm_min_pu=float(vm_pu[low]),
        vm_min_bus=int(number[low]),
        vm_max_pu=float(vm_pu[high]),
        vm_max_bus=int(number[high]),
        violations=tuple(violations),
    )


class EngineScreen:
    """AC screening with lightsim2grid; built once for a case, then quick for every operating point.

    Circuits that island nothing go through lightsim2grid's contingency analysis. Every other outage has a
    solver of its own in a `PowerFlowEngine` whose topology is set here, so that each is a warm solve. One
    more solver is kept for second starts.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.outages = single_outages(case)
        effect = outage_effects(case, published_point(case), self.outages)
        meshed = ~effect.islanding
        meshed[case.n_branch :] = False
        self._meshed: IntArray = np.flatnonzero(meshed)
        self._own: IntArray = np.flatnonzero(~meshed)  # outage of environment 1, 2, ...
        self._engine = PowerFlowEngine(case, 2 + len(self._own), check=False)
        self._scratch = 1 + len(self._own)
        for env, k in enumerate(self._own, start=1):
            self._engine.set_topology(env, effect.branch_in_service[k], effect.machine_in_service[k])
        self._start_v_pu = self._engine.v_pu[0].copy()
        self.base_v_pu = self._start_v_pu

    def solve(self, point: OperatingPoint, *, circuits_only: bool = False) -> AcSolutions:
        """Solve each outage once, starting at the base case.

        Args:
            point: the operating point.
            circuits_only: leave out machines and plants; their rows stay unsolved.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        case, engine = self.case, self._engine
        effect = outage_effects(case, point, self.outages)
        self._prepare(point, effect)
        v_pu = np.zeros((len(self.outages), case.n_bus), dtype=np.complex128)
        solved = np.zeros(len(self.outages), dtype=np.bool_)
        v_pu[self._meshed], solved[self._meshed] = self._contingency_analysis()

        own = self._own[self._own < case.n_branch] if circuits_only else self._own
        envs = np.arange(1, 1 + len(own))
        start = engine.v_pu.copy()
        start[1 : self._scratch] = np.where(effect.bus_live[self._own], self.base_v_pu, 0.0)
        engine.restore_voltages(start)
        injection = np.zeros(start.shape, dtype=np.complex128)
        injection[envs] = effect.injection_mva[own]
        solved[own] = engine.solve(injection, envs)[envs]
        v_pu[own] = np.where(solved[own][:, None], engine.v_pu[envs], 0.0)
        return AcSolutions(
            v_pu=v_pu,
            flow_mva=_flows(case, v_pu, effect.branch_in_service),
            solved=solved,
            solved_by=tuple(BY_ENGINE if s else BY_NONE for s in solved),
        )

    def confirm(self, point: OperatingPoint, solutions: AcSolutions) -> AcSolutions:
        """Try what is unsolved from a flat start, then with pandapower; only what fails there too has diverged."""
        case, engine, env = self.case, self._engine, self._scratch
        effect = outage_effects(case, point, self.outages)
        v_pu, solved, solved_by = solutions.v_pu.copy(), solutions.solved.copy(), list(solutions.solved_by)
        flat = np.ones(case.n_bus, dtype=np.complex128)
        flat[case.machine.bus] = case.machine.vm_set_pu
        for k in np.flatnonzero(~solved):
            engine.set_topology(env, effect.branch_in_service[k], effect.machine_in_service[k])
            start = engine.v_pu.copy()
            start[env] = np.where(effect.bus_live[k], flat, 0.0)
            engine.restore_voltages(start)
            injection = np.zeros(start.shape, dtype=np.complex128)
            injection[env] = effect.injection_mva[k]
            if engine.solve(injection, np.array([env]))[env]:
                v_pu[k], solved[k], solved_by[k] = engine.v_pu[env], True, BY_SECOND_START
                continue
            found = _pandapower_voltages(case, point, effect, int(k))
            if found is not None:
                v_pu[k], solved[k], solved_by[k] = found, True, BY_PANDAPOWER
        return AcSolutions(
            v_pu=v_pu,
            flow_mva=_flows(case, v_pu, effect.branch_in_service),
            solved=solved,
            solved_by=tuple(solved_by),
        )

    def _prepare(self, point: OperatingPoint, effect: OutageEffect) -> None:
        """Switch reactors and solve the base case, from where every outage starts."""
        engine = self._engine
        if np.any(engine.reactor_share[0] != point.reactor_share):
            for env in range(engine.n_env):
                engine.set_reactors(env, point.reactor_share)
        start = engine.v_pu.copy()
        start[0] = self._start_v_pu  # so that a result does not depend on what was screened before
        engine.restore_voltages(start)
        injection = np.zeros(start.shape, dtype=np.complex128)
        injection[0] = bus_injection_mva(self.case, point)
        if not engine.solve(injection, np.array([0]))[0]:
            raise PowerFlowDiverged(f"case {self.case.name}: no solution before any outage")
        self.base_v_pu = engine.v_pu[0].copy()

    def _contingency_analysis(self) -> tuple[ComplexArray, BoolArray]:
        """Voltages and success of each meshed circuit's outage; lightsim2grid numbers lines first, as we do."""
        from lightsim2grid.contingencyAnalysis import ContingencyAnalysisCPP

        analysis: Any = ContingencyAnalysisCPP(self._engine._grids[0])
        analysis.add_multiple_n1(self._meshed.tolist())
        analysis.compute(self.base_v_pu, MAX_ITERATION, TOLERANCE_PU)
        row = {branch: r for r, (branch,) in enumerate(analysis.my_defaults())}
        order = [row[int(k)] for k in self._meshed]
        solved = np.array(analysis.converged_mask(), dtype=np.bool_)[order]
        v_pu = np.where(solved[:, None], analysis.get_voltages()[order], 0.0)
        return v_pu, solved


def solve_outages_with_pandapower(case: Case, point: OperatingPoint, effect: OutageEffect) -> AcSolutions:
    """Solve every outage on its own with pandapower, each from its own DC start; some 30 ms each."""
    n = len(effect.bus_live)
    v_pu = np.zeros((n, case.n_bus), dtype=np.complex128)
    solved = np.zeros(n, dtype=np.bool_)
    for k in range(n):
        found = _pandapower_voltages(case, point, effect, k)
        if found is not None:
            v_pu[k], solved[k] = found, True
    return AcSolutions(
        v_pu=v_pu,
        flow_mva=_flows(case, v_pu, effect.branch_in_service),
        solved=solved,
        solved_by=tuple(BY_PANDAPOWER if s else BY_NONE for s in solved),
    )


def _pandapower_voltages(
    case: Case, point: OperatingPoint, effect: OutageEffect, outage: int | None
) -> ComplexArray | None:
    """Voltages after one outage (none if it is None), dead buses at zero; None if there is no solution."""
    net = build_network(case)
    set_reactor_share(net, case, point.reactor_share)
    kinds = np.array(case.resource.kind, dtype=object)
    feeding = np.concatenate([case.resource.of_kind("gas"), case.resource.of_kind("dr")])
    net.load["p_mw"], net.load["q_mvar"] = point.p_load_mw, point.q_load_mvar
    net.gen["p_mw"] = point.p_machine_mw
    if len(net.sgen):
        net.sgen["p_mw"] = np.concatenate([point.p_renewable_mw, point.p_resource_mw[feeding]])
    if len(net.storage):
        net.storage["p_mw"] = -point.p_resource_mw[
            kinds == "bess"
        ]  # pandapower counts storage as consumption
    if outage is not None:
        live, branch_on = effect.bus_live[outage], effect.branch_in_service[outage]
        machine_on = effect.machine_in_service[outage]
        resource_on = effect.resource_in_service[outage]
        net.bus["in_service"] = live
        net.line["in_service"] = branch_on[: case.n_line]
        net.trafo["in_service"] = branch_on[case.n_line :]
        net.load["in_service"] = live[case.load.bus]
        net.shunt["in_service"] = live[case.reactor.bus]
        if len(net.sgen):
            net.sgen["in_service"] = np.concatenate(
                [effect.renewable_in_service[outage], resource_on[feeding]]
            )
        if len(net.storage):
            net.storage["in_service"] = resource_on[kinds == "bess"]
        net.gen["in_service"] = machine_on
        net.gen["slack_weight"] = governor_share(case.machine, machine_on)
        if not machine_on[case.machine.slack_machine]:  # another machine has to hold the reference angle
            largest = int(np.where(machine_on, case.machine.rating_mva, -1.0).argmax())
            net.gen["slack"] = np.arange(case.n_machine) == largest
    try:
        v_pu = solve_with_pandapower(net).v_pu
    except PowerFlowDiverged:
        return None
    return np.where(np.isnan(v_pu), 0.0, v_pu)


def _flows(case: Case, v_pu: ComplexArray, in_service: BoolArray) -> FloatArray:
    """Apparent power of every circuit, larger end [MVA], shape [outage, branch]."""
    y = branch_admittance(case)
    s_from = np.empty(in_service.shape, dtype=np.complex128)
    s_to = np.empty(in_service.shape, dtype=np.complex128)
    branch_flows(
        v_pu, in_service, y.from_bus, y.to_bus, y.y_ff_pu, y.y_ft_pu, y.y_tt_pu, case.base_mva, s_from, s_to
    )
    return apparent_power_mva(s_from, s_to)


def _results(
    case: Case, outages: tuple[Outage, ...], effect: OutageEffect, solutions: AcSolutions
) -> tuple[OutageResult, ...]:
    """One result for each outage."""
    conditions: list[Condition | None] = [
        judge(
            case,
            solutions.v_pu[k],
            solutions.flow_mva[k],
            effect.branch_in_service[k],
            case.branch.rate_b_mva,
        )
        if solutions.solved[k]
        else None
        for k in range(len(outages))
    ]
    return _with_verdicts(case, outages, effect, conditions, solutions.solved_by)


def _with_verdicts(
    case: Case,
    outages: tuple[Outage, ...],
    effect: OutageEffect,
    conditions: list[Condition | None],
    solved_by: tuple[str, ...],
) -> tuple[OutageResult, ...]:
    """Join conditions with what is islanded and lost."""
    results = []
    for k, (outage, condition) in enumerate(zip(outages, conditions, strict=True)):
        dead = case.bus.bus_number[~effect.bus_live[k]]
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
                lost_load_mw=float(effect.lost_load_mw[k]),
                lost_generation_mw=float(effect.lost_generation_mw[k]),
                solved_by=solved_by[k],
            )
        )
    return tuple(results)


def _screen_dc(case: Case, point: OperatingPoint, effect: OutageEffect) -> Screening:
    """Screen by sensitivities: loading only."""
    linear = LinearScreen(case)
    percent, worst = linear.worst((point,))
    base_percent, base_worst = linear.base((point,))

    def condition(loading: float, branch: int) -> Condition:
        name = case.branch.name[branch]
        over = Violation(limit="loading_percent", element=name, value=loading, allowed=100.0)
        return Condition(
            worst_branch=name,
            worst_loading_percent=loading,
            violations=(over,) if loading > 100.0 else (),
        )

    conditions: list[Condition | None] = [
        condition(float(p), int(w)) for p, w in zip(percent[0], worst[0], strict=True)
    ]
    outages = linear.outages
    return Screening(
        case=case,
        engine="dc",
        base=condition(float(base_percent[0]), int(base_worst[0])),
        results=_with_verdicts(case, outages, effect, conditions, (BY_ENGINE,) * len(outages)),
        bridges=_bridge_ends(case, outages),
    )


def _bridge_ends(case: Case, outages: tuple[Outage, ...]) -> tuple[tuple[int, int], ...]:
    """Ends of the bridges that networkx finds, in the source's order."""
    ends = []
    for row in bridges(case):
        outage = outages[int(row)]
        assert outage.to_bus_number is not None  # circuits stand first in the list
        ends.append((outage.from_bus_number, outage.to_bus_number))
    return tuple(ends)
