"""Single outages by lightsim2grid, a second opinion: its contingency analysis, and warm solves of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.arrays import BoolArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.lightsim import PowerFlowEngine
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.security.ac_solutions import (
    BY_ENGINE,
    BY_NONE,
    BY_PANDAPOWER,
    BY_SECOND_START,
    AcSolutions,
    larger_flows_mva,
)
from grid_model.security.outage import (
    OperatingPoint,
    bus_injection_mva,
    outage_power,
    outage_topology,
    single_outages,
)
from grid_model.security.pandapower_screen import PandapowerScreen

__all__ = ["LightsimScreen"]

MAX_ITERATION = 15  # a solvable outage takes 3 to 6 from the base case
TOLERANCE_PU = 1e-9


class LightsimScreen:
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
        flow_mva = larger_flows_mva(self.case, v_pu, self.topology.branch_in_service)
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
