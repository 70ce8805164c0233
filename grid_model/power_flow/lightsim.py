"""AC power flow by lightsim2grid: the second oracle of the batched Newton method, and what its speed is measured by.

The engine keeps one compiled solver per environment, takes the complex power injected at every bus, starts Newton at
the previous voltages and returns voltages for the whole batch. When it is built, pandapower solves the case too and
both must agree to 1e-8 pu.

The engine sees plants and loads only as bus injections. Machines hold their voltage, and the power that the
injections leave unbalanced (losses first of all) is shared among them by `slack_share`. lightsim2grid reads
injections as 32-bit floats, so each is handed over as the sum of two of them, coarse and rest, which keeps 48
bits. A result is a function of topology, reactors, injections and starting voltages alone: after each change of
topology the pivots are chosen anew, always from the same start and without reactors, so neither the size of the batch
nor what a solver did before shows in the last bit.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from cases.arrays import BoolArray, CaseDataError, FloatArray, IntArray
from cases.case import Case
from cases.tables import LoadTable
from grid_model.kernels.bus_injection import split_injection
from grid_model.network.admittance import ComplexArray, branch_admittance, branch_flows, machine_outflow
from grid_model.network.topology import live_buses
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged, governor_share, rating_share

__all__ = ["PowerFlowEngine"]

AGREEMENT_PU = 1e-8  # between engine and oracle, on the reference state
TOLERANCE_PU = 1e-9  # largest mismatch of a converged solve: 1e-7 MW on 100 MVA
# lightsim2grid passes over a change of an injection below 1e-7 MW, and a result would depend on what was solved before.
# On this grid of values a change is either nothing or large enough to be seen.
INJECTION_STEP_MW = 2.0**-23
PIVOT_TOLERANCE_PU = 1e-2  # of the solve that chooses pivots; nothing else is taken from it
PIVOT_ITERATION = 8  # it needs 4 or 5
MAX_ITERATION = 15  # a warm start needs 2 or 3, a cold one 5


def _on_step(power_mva: ComplexArray) -> ComplexArray:
    """Complex powers rounded to whole steps of injection."""
    rounded = np.empty_like(power_mva)
    rounded.real = np.rint(power_mva.real / INJECTION_STEP_MW) * INJECTION_STEP_MW
    rounded.imag = np.rint(power_mva.imag / INJECTION_STEP_MW) * INJECTION_STEP_MW
    return rounded


def what_lightsim2grid_lacks(case: Case) -> str | None:
    """Something of the grid that lightsim2grid would pass over or cannot take; None if it takes all."""
    if case.n_island > 1:
        return "several islands"
    if case.n_dc_line:
        return "DC lines that hold voltages"
    if case.load.depends_on_voltage:
        return "loads that depend on voltage"
    if np.any(case.branch.is_asymmetric):
        return "circuits with unequal directions"
    return None


class PowerFlowEngine:
    """A batch of warm-started AC power flows on one case, each environment with its own topology.

    Attributes (read them, change them only through the methods):
        v_pu: last converged voltages, [env, bus]; zero on dead buses.
        converged: whether the last solve of each environment found a solution, [env].
        branch_in_service: [env, branch]; machine_in_service: [env, machine]; bus_live: [env, bus].
        s_from_mva, s_to_mva: complex power entering each circuit at its ends, [env, branch].
    """

    def __init__(
        self,
        case: Case,
        n_env: int = 1,
        *,
        slack_share: FloatArray | None = None,
        reactor_share: float = 0.0,
        check: bool = True,
    ) -> None:
        """Author the network in pandapower, hand it to the engine, and check that both agree.

        Args:
            case: the grid.
            n_env: number of environments.
            slack_share: share of each machine in the imbalance, [machine]; by governor gain if None. A vector with a
                single one gives the classical single slack.
            reactor_share: share of the shunt reactors switched in at the start.
            check: solve the reference state with pandapower too; only tests of speed switch it off.

        Raises:
            CaseDataError: the grid has something that lightsim2grid has not, see `what_lightsim2grid_lacks`.
            EngineMismatch: engine and oracle differ by more than 1e-8 pu.
            PowerFlowDiverged: the reference state has no solution.
        """
        from lightsim2grid.network import init_from_pandapower

        from grid_model.network.pandapower_net import build_network, circuit_shunts

        lacking = what_lightsim2grid_lacks(case)
        if lacking is not None:
            raise CaseDataError(f"case {case.name}: lightsim2grid takes no {lacking}, expected none.")
        self.case = case
        self.n_env = n_env
        self._admittance = branch_admittance(case)
        self._share = governor_share(case.machine) if slack_share is None else slack_share
        # Reactors that stand at a machine's bus.
        beside = case.reactor.bus[:, None] == case.machine.bus
        self._reactor_beside = [(int(reactor), int(machine)) for reactor, machine in np.argwhere(beside)]
        n = case.n_bus
        both = np.concatenate([np.arange(n), np.arange(n)]).astype(np.int64)
        shell = replace(
            case,
            load=LoadTable(
                name=tuple(f"{part} {bus}" for part in ("coarse", "rest") for bus in case.bus.bus_number),
                bus=both,
                p_mw=np.zeros(2 * n),
                q_mvar=np.zeros(2 * n),
            ),
            machine=replace(case.machine, p_mw=np.zeros(case.n_machine)),
        )
        net = build_network(shell, resources=False, renewables=False, reactors=True, distributed_slack=True)
        # The conversion reads the slack weights as set here, so both engines share the imbalance alike.
        net.gen["slack_weight"] = self._share
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prototype = init_from_pandapower(net, pp_orig_file="pandapower_v3")
        prototype.deactivate_result_computation()
        for machine in range(case.n_machine):
            prototype.remove_gen_slackbus(machine)
        for machine, share in enumerate(self._share):
            if share > 0.0:
                prototype.add_gen_slackbus(machine, float(share))
        prototype.set_reference_slack_bus(int(case.machine.bus[case.machine.slack_machine]))
        for reactor in range(case.n_reactor):
            prototype.change_q_shunt(reactor, float(reactor_share * case.reactor.q_mvar[reactor]))
        # Rows of the net's shunts after the reactors: fixed ones, then those that go with a circuit.
        self._first_fixed_shunt = case.n_reactor
        self._circuit_shunts = circuit_shunts(case)
        self._all = np.ones(2 * n, dtype=np.bool_)
        self._every = np.arange(n_env)

        self.branch_in_service = np.ones((n_env, case.n_branch), dtype=np.bool_)
        self.machine_in_service = np.ones((n_env, case.n_machine), dtype=np.bool_)
        self.bus_live = np.ones((n_env, n), dtype=np.bool_)
        self.reactor_share = np.full((n_env, case.n_reactor), reactor_share)
        self.converged = np.ones(n_env, dtype=np.bool_)
        self.s_from_mva = np.zeros((n_env, case.n_branch), dtype=np.complex128)
        self.s_to_mva = np.zeros((n_env, case.n_branch), dtype=np.complex128)

        injection = self.reference_injection()
        self._load_injection(prototype, injection)
        start = np.ones(n, dtype=np.complex128)
        start[case.machine.bus] = case.machine.vm_set_pu
        solved = prototype.ac_pf(start, 30, TOLERANCE_PU)
        if solved.size == 0:
            raise PowerFlowDiverged(f"case {case.name}: the engine finds no solution of the published state.")
        self._reference_v_pu = solved
        if check:
            self._check_against_oracle(reactor_share)
        self._grids: list[Any] = [prototype.copy() for _ in range(n_env)]
        self._changed = np.ones(n_env, dtype=np.bool_)  # pivots have to be chosen anew before the next solve
        self.v_pu = np.repeat(solved[None, :], n_env, axis=0)
        self._update_flows(self._every)

    def solver(self, env: int) -> Any:
        """The lightsim2grid model of one environment, for that library's own batch analyses."""
        return self._grids[env]

    def reference_injection(self) -> ComplexArray:
        """Complex power into every bus at the published state [MVA], [bus]."""
        case = self.case
        injection = np.zeros(case.n_bus, dtype=np.complex128)
        np.add.at(injection, case.machine.bus, case.machine.p_mw)
        np.add.at(injection, case.load.bus, -(case.load.p_mw + 1j * case.load.q_mvar))
        return injection

    def solve(self, injection_mva: ComplexArray, envs: IntArray | None = None) -> BoolArray:
        """Solve the environments named, each from its last voltages.

        A solve that fails is tried once more from the reference voltages; if that fails too, or what is injected is
        not finite, the environment keeps its last voltages and `converged` tells.

        Args:
            injection_mva: complex power into every bus without the slack's share, [env, bus] for all environments.
                What is injected at a dead bus is ignored.
            envs: positions to solve; all if None.

        Returns:
            `converged` of all environments, [env].
        """
        names = self._every if envs is None else envs
        p_mw, q_mvar = np.empty((2, len(names), 2 * self.case.n_bus), dtype=np.float32)
        finite = np.empty(len(names), dtype=np.bool_)
        split_injection(names, injection_mva, self.bus_live, INJECTION_STEP_MW, p_mw, q_mvar, finite)
        for row, env in enumerate(names.tolist()):
            if not finite[row]:
                self.converged[env] = False
                continue
            grid = self._grids[env]
            grid.update_loads_p(self._all, p_mw[row])
            grid.update_loads_q(self._all, q_mvar[row])
            if self._changed[env]:
                self._choose_pivots(env)
            v_pu = grid.ac_pf(self.v_pu[env], MAX_ITERATION, TOLERANCE_PU)
            if v_pu.size == 0:
                v_pu = grid.ac_pf(self._start(env), 2 * MAX_ITERATION, TOLERANCE_PU)
                self._changed[env] = True  # numbers out of range make a solver choose other pivots
            self.converged[env] = v_pu.size > 0
            if v_pu.size > 0:
                self.v_pu[env] = v_pu
        if np.count_nonzero(self.bus_live) < self.bus_live.size:
            self.v_pu[~self.bus_live] = (
                0.0  # the engine leaves the set-point standing at dead machines' buses
            )
        self._update_flows(names)
        return self.converged

    def set_topology(self, env: int, branch_in_service: BoolArray, machine_in_service: BoolArray) -> None:
        """Switch circuits and machines of one environment; buses cut off from the main island go dead.

        Args:
            env: the environment.
            branch_in_service: which circuits are in service, [branch]; one with a dead end is switched off too.
            machine_in_service: which machines are, [machine]; one on a dead bus is switched off too.
        """
        case = self.case
        grid = self._grids[env]
        live = live_buses(case, branch_in_service)
        branch_on = branch_in_service & live[case.branch.from_bus] & live[case.branch.to_bus]
        machine_on = machine_in_service & live[case.machine.bus]
        n_line = case.n_line
        for k in np.flatnonzero(branch_on != self.branch_in_service[env]):
            number = int(k) if k < n_line else int(k) - n_line
            if k < n_line:
                (grid.reactivate_powerline if branch_on[k] else grid.deactivate_powerline)(number)
            else:
                (grid.reactivate_trafo if branch_on[k] else grid.deactivate_trafo)(number)
        for bus in np.flatnonzero(live != self.bus_live[env]):
            (grid.reactivate_bus if live[bus] else grid.deactivate_bus)(int(bus))
            for load in (int(bus), int(bus) + case.n_bus):
                (grid.reactivate_load if live[bus] else grid.deactivate_load)(load)
            for reactor in np.flatnonzero(case.reactor.bus == bus):
                (grid.reactivate_shunt if live[bus] else grid.deactivate_shunt)(int(reactor))
            for shunt in np.flatnonzero(case.shunt.bus == bus) + self._first_fixed_shunt:
                (grid.reactivate_shunt if live[bus] else grid.deactivate_shunt)(int(shunt))
        first = self._first_fixed_shunt + len(case.shunt.bus)
        for row, k in enumerate(self._circuit_shunts.branch):
            if branch_on[k] != self.branch_in_service[env, k]:
                (grid.reactivate_shunt if branch_on[k] else grid.deactivate_shunt)(first + row)
        for machine in np.flatnonzero(machine_on != self.machine_in_service[env]):
            if machine_on[machine]:
                grid.reactivate_gen(int(machine))
                grid.add_gen_slackbus(int(machine), float(self._share[machine]))
            else:
                grid.remove_gen_slackbus(int(machine))
                grid.deactivate_gen(int(machine))
        self._changed[env] |= (
            np.any(branch_on != self.branch_in_service[env])
            or np.any(machine_on != self.machine_in_service[env])
            or np.any(live != self.bus_live[env])
        )
        self.branch_in_service[env] = branch_on
        self.machine_in_service[env] = machine_on
        self.bus_live[env] = live
        self.v_pu[env] = np.where(
            live, np.where(self.v_pu[env] == 0.0, self._reference_v_pu, self.v_pu[env]), 0.0
        )

    def set_reactors(self, env: int, share: FloatArray | float) -> None:
        """Switch in this share of each shunt reactor of one environment, [reactor] or one for all."""
        grid = self._grids[env]
        self.reactor_share[env] = share
        q_mvar = self.reactor_share[env] * self.case.reactor.q_mvar
        for reactor, value in enumerate(q_mvar.tolist()):
            # Small changes are passed over, as with injections; seen from zero none is small.
            grid.change_q_shunt(reactor, 0.0)
            grid.change_q_shunt(reactor, value)

    def reset_voltages(self, env: int) -> None:
        """Start the next solve of one environment at the reference voltages."""
        self.v_pu[env] = self._start(env)

    def machine_power(self, injection_mva: ComplexArray, envs: IntArray | None = None) -> ComplexArray:
        """Power of each machine in the last solution: what leaves its bus less what else is injected there.

        Machines at one bus share it by rating.

        Args:
            injection_mva: complex power into every bus from everything but machines [MVA], [env, bus].
            envs: environments to look at, [n]; all if None.

        Returns:
            [MVA], [n, machine]; zero for machines out of service.
        """
        y, names = self._admittance, self._every if envs is None else envs
        power = np.empty((len(names), self.case.n_machine), dtype=np.complex128)
        machine_outflow(
            names,
            self.s_from_mva,
            self.s_to_mva,
            y.from_bus,
            y.to_bus,
            self.case.machine.bus,
            self.machine_in_service,
            injection_mva,
            power,
        )
        for shunt, machine in np.argwhere(self.case.shunt.bus[:, None] == self.case.machine.bus):
            s_mva = self.case.shunt.p_mw[shunt] + 1j * self.case.shunt.q_mvar[shunt]
            on = self.machine_in_service[names, machine]
            power[:, machine] += s_mva * np.abs(self.v_pu[names, self.case.shunt.bus[shunt]]) ** 2 * on
        for reactor, machine in self._reactor_beside:
            at = self.case.reactor.bus[reactor]
            absorbed_mvar = self.reactor_share[names, reactor] * self.case.reactor.q_mvar[reactor]
            on = self.machine_in_service[names, machine]
            power[:, machine] += 1j * absorbed_mvar * np.abs(self.v_pu[names, at]) ** 2 * on
        return power * rating_share(self.case.machine, self.machine_in_service[names])

    def restore_voltages(self, v_pu: ComplexArray) -> None:
        """Put back voltages of an earlier solve of all environments, [env, bus], with the flows they mean."""
        self.v_pu[...] = v_pu
        self._update_flows(self._every)

    def _start(self, env: int) -> ComplexArray:
        live = self.bus_live[env]
        if np.count_nonzero(live) == live.size:
            return self._reference_v_pu
        return np.where(live, self._reference_v_pu, 0.0)

    def _choose_pivots(self, env: int) -> None:
        """Let solves factorise with pivots that belong to the topology, whatever was solved before.

        A solver chooses pivots at the first Newton step after a reset and keeps them as long as its solves converge.
        So one is made from the reference magnitudes at equal angles, which are nobody's solution, without reactors.
        Where it fails, `_changed` stays, and every solve chooses pivots at its own start.
        """
        grid, share = self._grids[env], self.reactor_share[env].copy()
        self.set_reactors(env, 0.0)
        grid.tell_solver_need_reset()
        start = np.abs(self._start(env)).astype(np.complex128)
        self._changed[env] = grid.ac_pf(start, PIVOT_ITERATION, PIVOT_TOLERANCE_PU).size == 0
        self.set_reactors(env, share)

    def _load_injection(self, grid: Any, injection_mva: ComplexArray) -> None:
        demand = _on_step(-injection_mva)
        for values, update in ((demand.real, grid.update_loads_p), (demand.imag, grid.update_loads_q)):
            coarse = values.astype(np.float32)
            update(self._all, np.concatenate([coarse, (values - coarse).astype(np.float32)]))

    def _update_flows(self, envs: IntArray) -> None:
        branch_flows(
            envs,
            self.v_pu,
            self.branch_in_service,
            self._admittance,
            self.case.base_mva,
            self.s_from_mva,
            self.s_to_mva,
        )

    def _check_against_oracle(self, reactor_share: float) -> None:
        from grid_model.network.pandapower_net import build_network, set_reactor_share

        net = build_network(
            self.case, resources=False, renewables=False, reactors=True, distributed_slack=True
        )
        net.gen["slack_weight"] = self._share
        set_reactor_share(net, self.case, reactor_share)
        oracle = solve_with_pandapower(net, distributed_slack=True)
        worst = np.abs(oracle.v_pu - self._reference_v_pu)
        if worst.max() > AGREEMENT_PU:
            bus = self.case.bus.bus_number[int(worst.argmax())]
            raise EngineMismatch(
                f"case {self.case.name}: engine and pandapower differ by {worst.max():.1e} pu at bus {bus}, "
                f"expected at most {AGREEMENT_PU:g} pu."
            )
