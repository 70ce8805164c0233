"""AC screening by the batched Newton method: every outage is an environment of its own, flows included.

Any list of outages goes this way, pairs of circuits and a user's own among them: what is left in service after each
is all that is asked for. Power that is lost is picked up by the remaining machines by governor gain, as everywhere in
`security.contingency`.

Eight environments are solved together and go on until the last of them has ended. So outages stand beside others that
are likely to take as many steps: at first by the power that they interrupt, and from the second solve on by the steps
that they took in the first. Results do not depend on the place, not even by a bit.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.compilation import compiled
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.batch_solver import EARLY_ITERATION
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.power_flow.solution import PowerFlowDiverged
from grid_model.security.outage import OperatingPoint, OutageTopology, bus_injection_mva


class NewtonScreen:
    """Solves a list of outages at any operating point; built once for a list, or for lists of one length.

    Attributes:
        topology: what each outage leaves in service.
        base_v_pu: solution before any outage of the last point, [bus].
        v_pu: solution after each outage, zero where it is dead or unsolved, [outage, bus].
        flow_mva: larger apparent power of a circuit's ends, [outage, branch].
        solved, second_start: whether a solution was found, and whether only from a flat start, [outage].
    """

    def __init__(self, case: Case, topology: OutageTopology, limits: ReactiveLimits | None = None) -> None:
        """An environment for each outage, and one for the state before any.

        Args:
            case: the grid.
            topology: what each outage leaves in service.
            limits: reactive powers that the machines keep to; None for any.
        """
        self.case = case
        n = len(topology.bus_live)
        # The state before any outage stands last, so that the outages fill whole blocks of environments.
        self._base, self._outages = np.array([n]), np.arange(n)
        self._engine = engine = NewtonEngine(
            case, n + 1, reactor_share=case.base_reactor_share, check=False, limits=limits
        )
        self._start_v_pu = engine.v_pu[n].copy()
        self._start_flow_mva = np.abs(engine.s_from_mva[n])
        self.base_v_pu = self._start_v_pu
        self.v_pu: ComplexArray = np.zeros((n, case.n_bus), dtype=np.complex128)
        self.flow_mva: FloatArray = np.zeros((n, case.n_branch))
        self.solved: BoolArray = np.zeros(n, dtype=np.bool_)
        self.second_start: BoolArray = np.zeros(n, dtype=np.bool_)
        self.take(topology)

    def take(self, topology: OutageTopology) -> None:
        """Turn to another list of as many outages."""
        case = self.case
        self.topology = topology
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
        interrupted_mw = ~topology.branch_in_service @ self._start_flow_mva
        interrupted_mw += ~topology.machine_in_service @ np.abs(case.machine.p_mw)
        self._place(np.argsort(interrupted_mw, kind="stable"))
        self._slow: BoolArray = np.zeros(len(self._outages), dtype=np.bool_)  # of each environment
        self._asked: IntArray | None = None  # outages of the first solve, in the order of their steps

    def solve(self, point: OperatingPoint, rows: IntArray | None = None) -> None:
        """Solve outages from the state before them.

        Args:
            point: the operating point.
            rows: outages to solve, all if None; the others count as unsolved.

        Raises:
            PowerFlowDiverged: the grid has no solution even before any outage.
        """
        case, engine, base = self.case, self._engine, self._base
        if self._asked is not None and len(self._asked):  # the second solve
            others = np.setdiff1d(self._outages, self._asked)
            order = np.concatenate([self._asked, others])
            self._slow = self._steps[order] > EARLY_ITERATION
            self._place(order)
            self._asked = np.zeros(0, dtype=np.int64)
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
        envs = np.sort(self._env_of[powered])
        engine.start_at(envs, self.base_v_pu)
        # Those that took long before go on to their end at once, the others have a try that ends early.
        for together in (envs[~self._slow[envs]], envs[self._slow[envs]]):
            if len(together):
                engine.solve(injection, together, again=False)
        for kept in (self.solved, self.second_start, self.v_pu, self.flow_mva):
            kept[...] = False
        self._adopt(powered)
        if self._asked is None:
            self._steps: IntArray = engine.iterations[self._env_of]
            self._asked = powered[np.argsort(self._steps[powered], kind="stable")]

    def confirm(self, point: OperatingPoint) -> None:
        """Try what is unsolved from a flat start."""
        case, engine = self.case, self._engine
        again = np.flatnonzero(~self.solved & self._powered)
        if len(again):
            flat = np.ones(case.n_bus, dtype=np.complex128)
            flat[case.machine.bus] = case.machine.vm_set_pu
            envs = np.sort(self._env_of[again])
            engine.start_at(envs, flat)
            engine.solve(self._injections(point), envs)
            self._adopt(again)
            self.second_start[again] = self.solved[again]

    def _place(self, order: IntArray) -> None:
        """Give environment k the outage order[k]."""
        topology, engine = self.topology, self._engine
        for env, k in enumerate(order.tolist()):
            engine.set_topology(env, topology.branch_in_service[k], topology.machine_in_service[k])
            if self.case.n_dc_line:
                engine.set_dc_lines(env, topology.dc_line_in_service[k])
        self._env_of: IntArray = np.argsort(order)

    def _adopt(self, rows: IntArray) -> None:
        """Voltages and flows of those of these outages that are solved."""
        engine, envs = self._engine, self._env_of[rows]
        self.solved[rows] = engine.converged[envs]
        found = engine.converged[envs]
        larger_ends(
            rows[found],
            envs[found],
            engine.v_pu,
            engine.s_from_mva,
            engine.s_to_mva,
            self.v_pu,
            self.flow_mva,
        )

    def _injections(self, point: OperatingPoint) -> ComplexArray:
        """What each outage leaves of the scheduled powers, the state before it last [MVA], [env, bus].

        At dead buses it may be anything: the engine passes over what is injected there.
        """
        injection = np.repeat(bus_injection_mva(self.case, point)[None, :], len(self._outages) + 1, axis=0)
        scheduled_mw = (point.p_machine_mw, point.p_renewable_mw, point.p_resource_mw)
        for p_mw, ((outage, bus), plant) in zip(scheduled_mw, self._lost, strict=True):
            np.subtract.at(injection, (self._env_of[outage], bus), p_mw[plant])
        return injection


@compiled
def larger_ends(
    rows: IntArray,
    envs: IntArray,
    v_pu: ComplexArray,
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
    v_found_pu: ComplexArray,
    flow_mva: FloatArray,
) -> None:
    """Voltages, and the larger apparent power of each circuit's ends: rows of the last two, from envs of the others."""
    for i in range(rows.size):
        k, e = rows[i], envs[i]
        for bus in range(v_pu.shape[1]):
            v_found_pu[k, bus] = v_pu[e, bus]
        for branch in range(flow_mva.shape[1]):
            a, b = s_from_mva[e, branch], s_to_mva[e, branch]
            # Squares first: the root of the larger one is the larger root.
            square = max(a.real * a.real + a.imag * a.imag, b.real * b.real + b.imag * b.imag)
            flow_mva[k, branch] = np.sqrt(square)
