"""N-1 and any other list of outages: one result for each, always.

Four engines stand behind `screen`: the batched Newton method (quick), lightsim2grid's contingency analysis (a
second opinion), pandapower outage by outage (the oracle), and DC sensitivities (`sensitivity.LinearScreen`, the
quickest, blind to voltages and losses). An outage that a quick one leaves unsolved is never dropped: it is tried
from a second start, then by pandapower. Power that is lost is picked up by the remaining machines by governor gain,
without regard to their headroom. The Newton method and pandapower can hold the machines to reactive limits; then an
outage has a solution only within them. Verdicts are told in `verdict.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray, branch_admittance, branch_flows
from grid_model.network.limits import LOADING_TOLERANCE_PERCENT, apparent_power_mva
from grid_model.network.pandapower_net import build_network, set_reactor_share, switch_circuits
from grid_model.power_flow.lightsim import PowerFlowEngine
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.power_flow.solution import PowerFlowDiverged, governor_share
from grid_model.security.newton_screen import NewtonScreen
from grid_model.security.outage import (
    OperatingPoint,
    Outage,
    bus_injection_mva,
    outage_power,
    outage_topology,
    part_of,
    single_outages,
)
from grid_model.security.sensitivity import LinearScreen
from grid_model.security.verdict import (
    Condition,
    OutageResult,
    OutageStates,
    Screening,
    Violation,
    bridge_ends,
    joined,
    judge,
    outage_results,
)

EngineName = Literal["newton", "lightsim2grid", "pandapower", "dc"]

MAX_ITERATION = 15  # a solvable outage takes 3 to 6 from the base case
TOLERANCE_PU = 1e-9
PART = 2048  # outages that are solved together at most
PART_BYTES = 256 * 2**20  # what they may take
BY_ENGINE, BY_SECOND_START, BY_PANDAPOWER, BY_NONE = "engine", "second start", "pandapower", "none"


@dataclass(frozen=True, kw_only=True)
class AcSolutions:
    """AC solutions of a list of outages; dead and unsolved buses are at zero."""

    v_pu: ComplexArray  # [outage, bus]
    flow_mva: FloatArray  # larger apparent power of both ends, [outage, branch]
    solved: BoolArray  # [outage]
    solved_by: tuple[str, ...]  # [outage]


def screen(
    case: Case,
    point: OperatingPoint,
    engine: EngineName = "newton",
    outages: tuple[Outage, ...] | None = None,
    limits: ReactiveLimits | None = None,
    *,
    with_states: bool = False,
) -> Screening:
    """Screen outages of a case at one operating point.

    Args:
        case: the grid.
        point: loads, plants, machines and reactors before any outage.
        engine: that solves the outages, `newton`, `lightsim2grid`, `pandapower` or `dc`.
        outages: every single outage if None; another list goes through `newton` and `pandapower` only.
        limits: reactive powers that the machines keep to, before any outage too; `newton` and `pandapower` only.
        with_states: keep voltages and flows of every outage, for pictures; not of `dc`.

    Returns:
        One result for every outage, and the state before any.

    Raises:
        PowerFlowDiverged: the grid has no solution even before any outage.
        ValueError: the engine takes no list, or no limits, or knows no voltages to keep.
    """
    if with_states and engine == "dc":
        raise ValueError("engine dc knows no voltages, expected another for states")
    if limits is not None and engine not in ("newton", "pandapower"):
        raise ValueError(f"engine {engine} knows no reactive limits, expected newton or pandapower for them")
    if outages is not None and engine not in ("newton", "pandapower"):
        raise ValueError(
            f"engine {engine} screens single outages only, expected newton or pandapower for a list"
        )
    if engine == "dc":
        return _screen_dc(case, point)
    ac: NewtonOutages | EngineScreen | PandapowerScreen
    if engine == "newton":
        ac = NewtonOutages(case, outages, limits)
        parts = ac.parts(point)
    elif engine == "lightsim2grid":
        ac = EngineScreen(case)
        parts = iter([(slice(None), ac.confirm(point, ac.solve(point)))])
    else:
        ac = PandapowerScreen(case, outages, limits)
        parts = iter([(slice(None), ac.solve(point))])
    results: list[OutageResult] = []
    states: list[OutageStates] = []
    for part, solutions in parts:  # only one part's voltages and flows are kept at a time
        topology = part_of(ac.topology, part)
        conditions = [
            judge(case, solutions.v_pu[k], solutions.flow_mva[k], on, case.branch.rate_b_mva)
            if solutions.solved[k]
            else None
            for k, on in enumerate(topology.branch_in_service)
        ]
        results += outage_results(case, point, ac.outages[part], topology, conditions, solutions.solved_by)
        if with_states:
            lost = ~solutions.solved[:, None]
            states.append(
                OutageStates(
                    vm_pu=np.where(lost, np.nan, np.abs(solutions.v_pu)),
                    flow_mva=np.where(lost, np.nan, solutions.flow_mva),
                    branch_in_service=topology.branch_in_service,
                    machine_in_service=topology.machine_in_service,
                )
            )
    everything = np.ones((1, case.n_branch), dtype=np.bool_)
    base_flow_mva = _flows(case, ac.base_v_pu[None, :], everything)[0]
    if with_states:
        before = OutageStates(
            vm_pu=np.abs(ac.base_v_pu)[None],
            flow_mva=base_flow_mva[None],
            branch_in_service=everything,
            machine_in_service=np.ones((1, case.n_machine), dtype=np.bool_),
        )
        states.insert(0, before)
    return Screening(
        case=case,
        engine=engine,
        base=judge(case, ac.base_v_pu, base_flow_mva, everything[0], case.branch.rate_a_mva),
        results=tuple(results),
        bridges=bridge_ends(case, single_outages(case)),
        reactive_limits=limits.source if limits is not None else None,
        states=joined(states) if with_states else None,
    )


class NewtonOutages:
    """A list of outages by the batched Newton method; what it leaves unsolved is asked of pandapower.

    Attributes:
        outages: every single one, or the list given; topology: what each leaves in service.
        base_v_pu: solution before any outage of the last point, [bus].
    """

    def __init__(
        self,
        case: Case,
        outages: tuple[Outage, ...] | None = None,
        limits: ReactiveLimits | None = None,
    ) -> None:
        """The list is solved in parts that fit into memory for any length and any grid.

        Args:
            case: the grid.
            outages: every single outage if None.
            limits: reactive powers that the machines keep to; None for any.
        """
        self._limits = limits
        self.outages = single_outages(case) if outages is None else outages
        self.topology = outage_topology(case, self.outages)
        self._case = case
        self._oracle: PandapowerScreen | None = None  # built when it is first needed
        self.base_v_pu: ComplexArray = np.zeros(case.n_bus, dtype=np.complex128)

    def solve(self, point: OperatingPoint) -> AcSolutions:
        """Solve each outage from the base case, then from a flat start, then with pandapower.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        parts = [solutions for _, solutions in self.parts(point)]
        return AcSolutions(
            v_pu=np.concatenate([part.v_pu for part in parts]),
            flow_mva=np.concatenate([part.flow_mva for part in parts]),
            solved=np.concatenate([part.solved for part in parts]),
            solved_by=tuple(by for part in parts for by in part.solved_by),
        )

    def parts(self, point: OperatingPoint) -> Iterator[tuple[slice, AcSolutions]]:
        """The same in parts of the list, one after the other, with a bar on a terminal where there are several.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        n, size = len(self.outages), part_size(self._case)
        newton: NewtonScreen | None = None
        with tqdm(total=n, unit=" outages", leave=False, disable=n <= size or not sys.stderr.isatty()) as bar:
            for begin in range(0, n, size):
                part = slice(begin, min(begin + size, n))
                topology = part_of(self.topology, part)
                if newton is not None and len(newton.solved) == part.stop - begin:
                    newton.take(topology)
                else:
                    newton = NewtonScreen(self._case, topology, self._limits)
                newton.solve(point)
                newton.confirm(point)
                self.base_v_pu = newton.base_v_pu
                yield part, self._confirmed(point, begin, newton)
                bar.update(part.stop - begin)

    def _confirmed(self, point: OperatingPoint, begin: int, newton: NewtonScreen) -> AcSolutions:
        """What pandapower makes of the rest; the list's part begins at this outage."""
        v_pu, flow_mva, solved = newton.v_pu.copy(), newton.flow_mva.copy(), newton.solved.copy()
        solved_by = [
            BY_NONE if not found else BY_SECOND_START if second else BY_ENGINE
            for found, second in zip(solved, newton.second_start, strict=True)
        ]
        topology = newton.topology
        for k in np.flatnonzero(~solved & topology.machine_in_service.any(axis=1)):
            if self._oracle is None:
                self._oracle = PandapowerScreen(self._case, self.outages, self._limits)
            found_v_pu = self._oracle.voltages(point, begin + int(k))
            if found_v_pu is not None:
                v_pu[k], solved[k], solved_by[k] = found_v_pu, True, BY_PANDAPOWER
                flow_mva[k] = _flows(self._case, found_v_pu[None], topology.branch_in_service[k : k + 1])[0]
        return AcSolutions(v_pu=v_pu, flow_mva=flow_mva, solved=solved, solved_by=tuple(solved_by))


def part_size(case: Case) -> int:
    """How many outages of a grid are solved together."""
    # Voltages, powers and starts at buses, flows at circuits' ends, and the rows of `batch_rows.Grids`.
    outage_bytes = 8 * (22 * case.n_bus + 12 * case.n_branch)
    return max(min(PART, PART_BYTES // outage_bytes), 8)


class EngineScreen:
    """AC screening with lightsim2grid; built once for a case, then quick for every operating point.

    Circuits that island nothing go through lightsim2grid's contingency analysis. Every other outage has a
    solver of its own in a `PowerFlowEngine` whose topology is set here, so that each is a warm solve. One
    more solver is kept for second starts.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.outages = single_outages(case)
        self.topology = outage_topology(case, self.outages)
        meshed = ~self.topology.islanding
        meshed[case.n_branch :] = False
        self._meshed: IntArray = np.flatnonzero(meshed)
        powered = self.topology.machine_in_service.any(axis=1)  # without a machine there is nothing to solve
        self._own: IntArray = np.flatnonzero(~meshed & powered)  # outage of environment 1, 2, ...
        self._engine = PowerFlowEngine(
            case, 2 + len(self._own), reactor_share=case.base_reactor_share, check=False
        )
        self._scratch = 1 + len(self._own)
        for env, k in enumerate(self._own, start=1):
            self._set_topology(env, int(k))
        self._start_v_pu = self._engine.v_pu[0].copy()
        self.base_v_pu = self._start_v_pu
        self._oracle: PandapowerScreen | None = None  # built when it is first needed

    def solve(self, point: OperatingPoint, *, circuits_only: bool = False) -> AcSolutions:
        """Solve each outage once, starting at the base case.

        Args:
            point: the operating point.
            circuits_only: leave out machines and plants; their rows stay unsolved.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        engine, live = self._engine, self.topology.bus_live
        power = outage_power(self.case, point, self.topology)
        self._solve_base(point)
        v_pu = np.zeros(live.shape, dtype=np.complex128)
        solved = np.zeros(len(live), dtype=np.bool_)
        v_pu[self._meshed], solved[self._meshed] = self._contingency_analysis()

        own = self._own[self._own < self.case.n_branch] if circuits_only else self._own
        envs = np.arange(1, 1 + len(own))
        start = engine.v_pu.copy()
        start[envs] = np.where(live[own], self.base_v_pu, 0.0)
        engine.restore_voltages(start)
        injection = np.zeros(start.shape, dtype=np.complex128)
        injection[envs] = power.injection_mva[own]
        solved[own] = engine.solve(injection, envs)[envs]
        v_pu[own] = np.where(live[own] & solved[own][:, None], engine.v_pu[envs], 0.0)
        return self._solutions(v_pu, solved, [BY_ENGINE if s else BY_NONE for s in solved])

    def confirm(self, point: OperatingPoint, solutions: AcSolutions) -> AcSolutions:
        """Try what is unsolved from a flat start, then with pandapower; what fails there too has diverged."""
        case, engine, env = self.case, self._engine, self._scratch
        power = outage_power(case, point, self.topology)
        v_pu, solved, solved_by = solutions.v_pu.copy(), solutions.solved.copy(), list(solutions.solved_by)
        flat = np.ones(case.n_bus, dtype=np.complex128)
        flat[case.machine.bus] = case.machine.vm_set_pu
        for k in np.flatnonzero(~solved & self.topology.machine_in_service.any(axis=1)):
            live = self.topology.bus_live[k]
            self._set_topology(env, int(k))
            start = engine.v_pu.copy()
            start[env] = np.where(live, flat, 0.0)
            engine.restore_voltages(start)
            injection = np.zeros(start.shape, dtype=np.complex128)
            injection[env] = power.injection_mva[k]
            if engine.solve(injection, np.array([env]))[env]:
                v_pu[k], solved[k], solved_by[k] = (
                    np.where(live, engine.v_pu[env], 0.0),
                    True,
                    BY_SECOND_START,
                )
                continue
            if self._oracle is None:
                self._oracle = PandapowerScreen(case)
            found = self._oracle.voltages(point, int(k))
            if found is not None:
                v_pu[k], solved[k], solved_by[k] = found, True, BY_PANDAPOWER
        return self._solutions(v_pu, solved, solved_by)

    def _solutions(self, v_pu: ComplexArray, solved: BoolArray, solved_by: list[str]) -> AcSolutions:
        flow_mva = _flows(self.case, v_pu, self.topology.branch_in_service)
        return AcSolutions(v_pu=v_pu, flow_mva=flow_mva, solved=solved, solved_by=tuple(solved_by))

    def _set_topology(self, env: int, outage: int) -> None:
        self._engine.set_topology(
            env, self.topology.branch_in_service[outage], self.topology.machine_in_service[outage]
        )

    def _solve_base(self, point: OperatingPoint) -> None:
        """Switch reactors and solve the whole grid, from where every outage starts.

        Raises:
            PowerFlowDiverged: the grid has no solution.
        """
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
        """Voltages and success of each meshed circuit's outage; lightsim2grid too numbers lines first."""
        from lightsim2grid.contingencyAnalysis import ContingencyAnalysisCPP

        analysis: Any = ContingencyAnalysisCPP(self._engine.solver(0))
        analysis.add_multiple_n1(self._meshed.tolist())
        analysis.compute(self.base_v_pu, MAX_ITERATION, TOLERANCE_PU)
        row = {branch: r for r, (branch,) in enumerate(analysis.my_defaults())}
        order = [row[int(k)] for k in self._meshed]
        solved = np.array(analysis.converged_mask(), dtype=np.bool_)[order]
        v_pu = np.where(solved[:, None], analysis.get_voltages()[order], 0.0)
        return v_pu, solved


class PandapowerScreen:
    """AC screening with pandapower, outage by outage, each from its own DC start: slow, and the oracle."""

    def __init__(
        self,
        case: Case,
        outages: tuple[Outage, ...] | None = None,
        limits: ReactiveLimits | None = None,
    ) -> None:
        self.case = case
        self.outages = single_outages(case) if outages is None else outages
        self.topology = outage_topology(case, self.outages)
        self._net = build_network(case)
        self._limits = limits
        if (
            limits is not None
        ):  # pandapower knows no infinite limits, but leaves those open that are no number
            for column, q_mvar in (("min_q_mvar", limits.q_min_mvar), ("max_q_mvar", limits.q_max_mvar)):
                self._net.gen[column] = np.where(np.isfinite(q_mvar), q_mvar, np.nan)
        self._feeding = np.concatenate([case.resource.of_kind("gas"), case.resource.of_kind("dr")])
        self._storage = case.resource.of_kind("bess")
        self.base_v_pu: ComplexArray = np.zeros(case.n_bus, dtype=np.complex128)

    def solve(self, point: OperatingPoint) -> AcSolutions:
        """Solve every outage.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        base_v_pu = self.voltages(point, None)
        if base_v_pu is None:
            raise PowerFlowDiverged(f"case {self.case.name}: no solution before any outage")
        self.base_v_pu = base_v_pu
        found = [self.voltages(point, k) for k in range(len(self.outages))]
        dead = np.zeros(self.case.n_bus, dtype=np.complex128)
        v_pu = np.stack([dead if v is None else v for v in found])
        return AcSolutions(
            v_pu=v_pu,
            flow_mva=_flows(self.case, v_pu, self.topology.branch_in_service),
            solved=np.array([v is not None for v in found], dtype=np.bool_),
            solved_by=tuple(BY_NONE if v is None else BY_PANDAPOWER for v in found),
        )

    def voltages(self, point: OperatingPoint, outage: int | None) -> ComplexArray | None:
        """Voltages after one outage, or before any; dead buses at zero. None if there is no solution.

        With reactive limits pandapower's answer is one only if it satisfies the conditions of `ReactiveLimits`.
        """
        if outage is not None and not self.topology.machine_in_service[outage].any():
            return None
        self._set_power(point)
        self._set_topology(outage)
        limits = self._limits
        try:
            found = solve_with_pandapower(self._net, enforce_q_lims=limits is not None)
        except PowerFlowDiverged:
            return None
        v_pu = np.where(np.isnan(found.v_pu), 0.0, found.v_pu)
        if limits is not None:
            machine_on = _after(self.topology.machine_in_service, outage)
            if not limits.are_met(self.case.machine, machine_on, found.machine_q_mvar, np.abs(v_pu)):
                return None
        return v_pu

    def _set_power(self, point: OperatingPoint) -> None:
        net = self._net
        set_reactor_share(net, self.case, point.reactor_share)
        net.load["p_mw"], net.load["q_mvar"] = point.p_load_mw, point.q_load_mvar
        net.gen["p_mw"] = point.p_machine_mw
        if len(net.sgen):
            net.sgen["p_mw"] = np.concatenate([point.p_renewable_mw, point.p_resource_mw[self._feeding]])
        if len(net.storage):
            net.storage["p_mw"] = -point.p_resource_mw[self._storage]  # pandapower counts it as consumption

    def _set_topology(self, outage: int | None) -> None:
        """Switch elements; a lost slack machine hands the reference angle to the largest one left."""
        case, net, topology = self.case, self._net, self.topology
        live, branch_on = _after(topology.bus_live, outage), _after(topology.branch_in_service, outage)
        machine_on, resource_on = (
            _after(topology.machine_in_service, outage),
            _after(topology.resource_in_service, outage),
        )
        switch_circuits(net, case, branch_on, live)
        if case.n_dc_line:
            net.dcline["in_service"] = _after(topology.dc_line_in_service, outage)
        if len(net.sgen):
            renewable_on = _after(topology.renewable_in_service, outage)
            net.sgen["in_service"] = np.concatenate([renewable_on, resource_on[self._feeding]])
        if len(net.storage):
            net.storage["in_service"] = resource_on[self._storage]
        net.gen["in_service"] = machine_on
        net.gen["slack_weight"] = governor_share(case.machine, machine_on)
        reference = case.machine.slack_machine
        if not machine_on[reference]:
            reference = int(np.where(machine_on, case.machine.rating_mva, -1.0).argmax())
        net.gen["slack"] = np.arange(case.n_machine) == reference


def _after(in_service: BoolArray, outage: int | None) -> BoolArray:
    """Row of an outage; everything in service before any."""
    if outage is None:
        return np.ones(in_service.shape[1], dtype=np.bool_)
    row: BoolArray = in_service[outage]
    return row


def _flows(case: Case, v_pu: ComplexArray, in_service: BoolArray) -> FloatArray:
    """Apparent power of every circuit, larger end [MVA], shape [outage, branch]."""
    s_from = np.empty(in_service.shape, dtype=np.complex128)
    s_to = np.empty(in_service.shape, dtype=np.complex128)
    branch_flows(
        np.arange(len(in_service)),
        v_pu,
        in_service,
        branch_admittance(case),
        case.base_mva,
        s_from,
        s_to,
    )
    return apparent_power_mva(s_from, s_to)


def _screen_dc(case: Case, point: OperatingPoint) -> Screening:
    """Screen by sensitivities: loading only, and of the violations only the worst."""
    linear = LinearScreen(case)
    percent, worst = linear.worst((point,))
    base_percent, base_worst = linear.base((point,))

    def condition(loading: float, branch: int) -> Condition:
        name = case.branch.name[branch]
        over = Violation(limit="loading_percent", element=name, value=loading, allowed=100.0)
        return Condition(
            worst_branch=name,
            worst_loading_percent=loading,
            violations=(over,) if loading > 100.0 + LOADING_TOLERANCE_PERCENT else (),
        )

    conditions: list[Condition | None] = [
        condition(float(p), int(w)) for p, w in zip(percent[0], worst[0], strict=True)
    ]
    outages = linear.outages
    by = (BY_ENGINE,) * len(outages)
    return Screening(
        case=case,
        engine="dc",
        base=condition(float(base_percent[0]), int(base_worst[0])),
        results=outage_results(case, point, outages, outage_topology(case, outages), conditions, by),
        bridges=bridge_ends(case, outages),
    )
