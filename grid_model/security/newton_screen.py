"""AC screening by the batched Newton method: every outage is an environment of its own, flows included.

Any list of outages goes this way, pairs of circuits and a user's own among them: what is left in service after each
is all that is asked for. Power that is lost is picked up by the remaining machines by governor gain, as everywhere in
`security.contingency`.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.security.outage import OperatingPoint, OutageTopology, bus_injection_mva


class NewtonScreen:
    """Solves a list of outages at any operating point; built once for a list.

    Attributes:
        topology: what each outage leaves in service.
        base_v_pu: solution before any outage of the last point, [bus].
        v_pu: solution after each outage, zero where it is dead or unsolved, [outage, bus].
        flow_mva: larger apparent power of a circuit's ends, [outage, branch].
        solved, second_start: whether a solution was found, and whether only from a flat start, [outage].
    """

    def __init__(self, case: Case, topology: OutageTopology) -> None:
        self.case, self.topology = case, topology
        n = len(topology.bus_live)
        # The state before any outage stands last, so that the outages fill whole blocks of environments.
        self._base, self._outages = np.array([n]), np.arange(n)
        self._engine = engine = NewtonEngine(case, n + 1, reactor_share=case.base_reactor_share, check=False)
        for k in range(n):
            engine.set_topology(k, topology.branch_in_service[k], topology.machine_in_service[k])
        # Without a machine there is nothing to solve.
        self._powered: BoolArray = np.asarray(topology.machine_in_service.any(axis=1))
        # Plants that each outage takes, as (outage, bus) and (plant).
        self._lost: list[tuple[tuple[IntArray, IntArray], IntArray]] = []
        for bus, left in (
            (case.machine.bus, topology.machine_in_service),
            (case.renewable.bus, topology.renewable_in_service),
            (case.resource.bus, topology.resource_in_service),
        ):
            outage, plant = np.nonzero(~left)
            self._lost.append(((outage, bus[plant]), plant))
        self._start_v_pu = engine.v_pu[n].copy()
        self.base_v_pu = self._start_v_pu
        self.v_pu: ComplexArray = np.zeros((n, case.n_bus), dtype=np.complex128)
        self.flow_mva: FloatArray = np.zeros((n, case.n_branch))
        self.solved: BoolArray = np.zeros(n, dtype=np.bool_)
        self.second_start: BoolArray = np.zeros(n, dtype=np.bool_)

    def solve(self, point: OperatingPoint, rows: IntArray | None = None) -> None:
        """Solve outages from the state before them.

        Args:
            point: the operating point.
            rows: outages to solve, all if None; the others count as unsolved.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        case, engine, base = self.case, self._engine, self._base
        if np.any(engine.reactor_share[-1] != point.reactor_share):
            for env in range(engine.n_env):
                engine.set_reactors(env, point.reactor_share)
        injection = self._injections(point)
        # So that a result does not depend on the point screened before.
        engine.start_at(base, self._start_v_pu)
        engine.solve(injection, base)
        if not engine.converged[-1]:
            raise PowerFlowDiverged(f"case {case.name}: no solution before any outage")
        self.base_v_pu = engine.v_pu[-1].copy()
        asked = self._outages if rows is None else rows
        powered = asked[self._powered[asked]]
        engine.start_at(powered, self.base_v_pu)
        engine.solve(injection, powered, again=False)
        self.solved[:] = False
        self.second_start[:] = False
        self.solved[powered] = engine.converged[powered]
        self._adopt()

    def confirm(self, point: OperatingPoint) -> None:
        """Try what is unsolved from a flat start."""
        case, engine = self.case, self._engine
        again = np.flatnonzero(~self.solved & self._powered)
        if len(again):
            flat = np.ones(case.n_bus, dtype=np.complex128)
            flat[case.machine.bus] = case.machine.vm_set_pu
            engine.start_at(again, flat)
            engine.solve(self._injections(point), again)
            self.solved[again] = self.second_start[again] = engine.converged[again]
            self._adopt()

    def _adopt(self) -> None:
        """Voltages and flows of what is solved."""
        engine = self._engine
        self.v_pu[:] = engine.v_pu[:-1]
        s_from, s_to = engine.s_from_mva[:-1], engine.s_to_mva[:-1]
        # Squares first: the root of the larger one is the larger root.
        square = np.maximum(s_from.real**2 + s_from.imag**2, s_to.real**2 + s_to.imag**2)
        np.sqrt(square, out=self.flow_mva)
        if not self.solved.all():
            self.v_pu[~self.solved] = 0.0
            self.flow_mva[~self.solved] = 0.0

    def _injections(self, point: OperatingPoint) -> ComplexArray:
        """What each outage leaves of the scheduled powers, the state before it last [MVA], [outage + 1, bus].

        At dead buses it may be anything: the engine passes over what is injected there.
        """
        injection = np.repeat(bus_injection_mva(self.case, point)[None, :], len(self._outages) + 1, axis=0)
        scheduled_mw = (point.p_machine_mw, point.p_renewable_mw, point.p_resource_mw)
        for p_mw, (where, plant) in zip(scheduled_mw, self._lost, strict=True):
            np.subtract.at(injection, where, p_mw[plant])
        return injection
