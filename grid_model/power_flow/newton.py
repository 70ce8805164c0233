"""AC power flows of a case for a batch of environments: the engine of the step.

The engine sees plants and loads only as bus injections, and, where asked for, as powers that depend on voltage. What
nobody schedules it adds itself: the powers of DC lines, whose ends hold their voltages, and how loads of the case at
their published size follow the voltage (`LoadTable`), unless laws are given. Machines hold their voltage, and what the
injections leave unbalanced (losses first of all) is shared among the machines of each island by `slack_share`. Angles
refer to the slack machine's bus, also while that machine is out. A result is a function of topology, reactors, ratios,
injections and starting voltages alone, bit for bit, whatever the batch and whatever was solved before. When it is
built, it must agree with pandapower.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray, branch_admittance, fixed_shunt_pu
from grid_model.network.topology import islands, live_buses
from grid_model.power_flow.angles import dc_angles, turn_to_slack
from grid_model.power_flow.batch_solver import NO_LAW, BatchSolver, TwoPorts
from grid_model.power_flow.load_law import dc_line_mva, drawn_mva, own_law
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.power_flow.remembered_oracle import published_voltages
from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged, governor_share, rating_share

AGREEMENT_PU = 1e-8  # between engine and oracle, on the reference state
TOLERANCE_PU = 1e-9  # largest mismatch of a converged solve: 1e-7 MW on 100 MVA
COLLAPSED_PU = 0.5  # no bus of a healthy published state is below
MAX_ITERATION = 15  # a warm start needs 2 or 3, a cold one 5


def two_ports(case: Case) -> TwoPorts:
    """Circuits of a case as two-ports."""
    y = branch_admittance(case)
    return TwoPorts(
        from_bus=y.from_bus,
        to_bus=y.to_bus,
        y_ff_pu=y.y_ff_pu,
        y_ft_pu=y.y_ft_pu,
        y_tf_pu=y.y_tf_pu,
        y_tt_pu=y.y_tt_pu,
    )


class NewtonEngine:
    """A batch of warm-started AC power flows on one case, each environment with its own topology.

    Attributes (read them, change them only through the methods):
        v_pu: last converged voltages, [env, bus]; zero on dead buses.
        converged: whether the last solve of each environment found a solution, [env].
        iterations: Newton steps of that solve, [env]; mismatch_pu: largest mismatch at its end, [env].
        branch_in_service: [env, branch]; machine_in_service: [env, machine]; bus_live: [env, bus].
        reactor_share: [env, reactor]; dc_line_in_service: [env, dc line].
        s_from_mva, s_to_mva: complex power entering each circuit at its ends, [env, branch].
        s_bus_mva: power from each bus into the grid, [env, bus].
        slack_mw: what the machines of each living island share, [env, island].
        island: number of each bus's living island, by falling rating, -1 where it is dead, [env, bus].
    """

    def __init__(
        self,
        case: Case,
        n_env: int = 1,
        *,
        slack_share: FloatArray | None = None,
        reactor_share: float = 0.0,
        check: bool = True,
        n_island: int = 1,
        limits: ReactiveLimits | None = None,
    ) -> None:
        """Plan the elimination, solve the published state, and check it against pandapower.

        Args:
            case: the grid.
            n_env: number of environments.
            slack_share: share of each machine in the imbalance, [machine]; by governor gain if None. A vector with a
                single one gives the classical single slack.
            reactor_share: share of the shunt reactors switched in at the start.
            check: compare the reference state with pandapower's solution, which is remembered from one start to the
                next, see `remembered_oracle`; only tests of speed switch it off.
            n_island: most islands that live on in one environment, at least those of the case. With one it is the
                main island (see `topology.live_buses`); with more, the largest by rating of those with a machine.
            limits: reactive powers that the machines keep to; without, they give what their voltage takes.

        Raises:
            EngineMismatch: engine and oracle differ by more than 1e-8 pu.
            PowerFlowDiverged: the reference state has no solution.
        """
        self.case, self.n_env = case, n_env
        self._n_island = n_island = max(n_island, case.n_island)
        self._limits = limits
        self._share = governor_share(case.machine) if slack_share is None else slack_share
        self._every = np.arange(n_env)
        self._own_law_mva = own_law(case, n_env)
        self._adds_power = case.n_dc_line > 0 or self._own_law_mva.size > 0
        self._own_mva = np.zeros((n_env if self._adds_power else 0, case.n_bus), dtype=np.complex128)
        self._law_mva = NO_LAW
        self._held_pu = np.repeat(case.machine.vm_set_pu[None, :], n_env, axis=0)
        self._holding = np.ones(n_env, dtype=np.bool_)
        self.branch_in_service = np.ones((n_env, case.n_branch), dtype=np.bool_)
        self.machine_in_service = np.ones((n_env, case.n_machine), dtype=np.bool_)
        self.dc_line_in_service = np.ones((n_env, case.n_dc_line), dtype=np.bool_)
        self._dc_line_wanted = self.dc_line_in_service.copy()
        self.bus_live = np.ones((n_env, case.n_bus), dtype=np.bool_)
        self._fixed_shunt_pu = fixed_shunt_pu(case)
        self.reactor_share = np.full((n_env, case.n_reactor), reactor_share)
        self.island = np.zeros((n_env, case.n_bus), dtype=np.int64)
        if n_island > 1:
            self.island[:] = living_islands(
                case, self.branch_in_service[0], self.machine_in_service[0], n_island
            )
        self._solver = solver = BatchSolver(
            case.n_bus,
            two_ports(case),
            machine_bus=np.concatenate([case.machine.bus, case.dc_line.from_bus, case.dc_line.to_bus]),
            reference_bus=int(case.machine.bus[case.machine.slack_machine]),
            n_env=n_env,
            base_mva=case.base_mva,
            n_island=n_island,
        )
        if self._adds_power:
            self._find_own_power(self._every, with_laws=True)
        self.v_pu, self.converged, self.slack_mw = solver.v_pu, solver.converged, solver.slack_mw
        self.s_from_mva, self.s_to_mva = solver.s_from_mva, solver.s_to_mva
        self.iterations, self.mismatch_pu = solver.iterations, solver.mismatch_pu
        self.s_bus_mva = solver.s_bus_mva
        for env in range(n_env):
            self._switch(env)
        self._solve_reference()
        if not self.converged[0]:
            raise PowerFlowDiverged(f"case {case.name}: the engine finds no solution of the published state.")
        if case.n_island > 1:
            self.v_pu[0] *= turn_to_slack(case, self.v_pu[0])
        self._reference_v_pu = self.v_pu[0].copy()
        if check:
            self._check_against_oracle(reactor_share)
        self.converged[:] = True
        self.v_pu[:] = self._reference_v_pu
        solver.find_flows(self._every)

    def _solve_reference(self) -> None:
        """Solve the published state in the first environment: from a flat start, else from angles of a DC solution.

        Of the several solutions of a large grid a flat start may lead to one in collapse, which nobody means.
        """
        case = self.case
        injection = np.zeros((self.n_env, case.n_bus), dtype=np.complex128)
        injection[0] = self.reference_injection()
        law_mva = NO_LAW
        if self._adds_power:
            injection[0] += self._own_mva[0]
            law_mva = self._own_law_mva
        start = np.ones((self.n_env, case.n_bus), dtype=np.complex128)
        start[:, case.machine.bus] = case.machine.vm_set_pu

        def solved() -> tuple[float, ComplexArray]:
            """Least voltage and solution from `start`; below 0 where there is none."""
            self._solver.solve(
                self._every[:1],
                injection,
                start,
                tolerance_pu=TOLERANCE_PU,
                max_iteration=30,
                law_mva=law_mva,
            )
            v_pu = self.v_pu[0].copy()
            return float(np.abs(v_pu).min()) if self.converged[0] else -1.0, v_pu

        least_pu, v_pu = solved()
        if least_pu < COLLAPSED_PU:
            start[0] = np.abs(start[0]) * np.exp(1j * dc_angles(case, injection[0].real))
            again_pu, again = solved()
            least_pu, v_pu = (again_pu, again) if again_pu > least_pu else (least_pu, v_pu)
            self.v_pu[0], self.converged[0] = v_pu, least_pu >= 0.0

    def reference_injection(self) -> ComplexArray:
        """Complex power into every bus at the published state, without what the engine adds [MVA], [bus]."""
        case = self.case
        injection = np.zeros(case.n_bus, dtype=np.complex128)
        np.add.at(injection, case.machine.bus, case.machine.p_mw)
        np.add.at(injection, case.load.bus, -(case.load.p_mw + 1j * case.load.q_mvar))
        return injection

    def solve(
        self,
        injection_mva: ComplexArray,
        envs: IntArray | None = None,
        law_mva: FloatArray | None = None,
        *,
        again: bool = True,
    ) -> BoolArray:
        """Solve the environments named, each from its last voltages.

        A solve that fails is tried once more from the reference voltages; if that fails too, or what is injected is
        not finite, the environment keeps its last voltages and `converged` tells.

        Args:
            injection_mva: complex power into every bus without the slack's share, [env, bus] for all environments.
                What is injected at a dead bus is ignored.
            envs: positions to solve; all if None.
            law_mva: loads beside it that depend on voltage, [env, bus, 8], see `load_law`. If None, loads that do so in
                the case are taken to be in the injections with their whole power at 1 pu.
            again: whether to try again; who has a better second start does not.

        Returns:
            `converged` of all environments, [env].
        """
        names = self._every if envs is None else envs
        self._law_mva = self._own_law_mva if law_mva is None else law_mva
        if self._adds_power:
            self._find_own_power(names, law_mva is None)
            injection_mva = injection_mva + self._own_mva
        if self._limits is None:
            self._solve(names, injection_mva, again)
        else:
            # Machines that go by their fields are held by the limits of these instead.
            by_field = ~self._holding[names]
            if by_field.any():
                self._solve(names[by_field], injection_mva, again)
            if not by_field.all():
                self._solve_within_limits(names[~by_field], injection_mva, self._limits, again)
        return self.converged

    def set_topology(self, env: int, branch_in_service: BoolArray, machine_in_service: BoolArray) -> None:
        """Switch circuits and machines of one environment; buses of islands that do not live on go dead.

        Args:
            env: the environment.
            branch_in_service: which circuits are, [branch].
            machine_in_service: which machines are, [machine]; one on a dead bus is switched off too.
        """
        case = self.case
        if self._n_island == 1:
            live = live_buses(case, branch_in_service)
            self.island[env] = np.where(live, 0, -1)
        else:
            self.island[env] = living_islands(case, branch_in_service, machine_in_service, self._n_island)
            live = self.island[env] >= 0
        self.branch_in_service[env] = (
            branch_in_service & live[case.branch.from_bus] & live[case.branch.to_bus]
        )
        self.machine_in_service[env] = machine_in_service & live[case.machine.bus]
        self.bus_live[env] = live
        self._find_dc_lines(env)
        self._switch(env)
        known = np.where(self.v_pu[env] == 0.0, self._reference_v_pu, self.v_pu[env])
        self.v_pu[env] = np.where(live, known, 0.0)

    def set_dc_lines(self, env: int, in_service: BoolArray) -> None:
        """Switch the DC lines of one environment, [dc line]; one that is out carries nothing and holds no voltage."""
        self._dc_line_wanted[env] = in_service
        self._find_dc_lines(env)
        self._switch(env)

    def _find_dc_lines(self, env: int) -> None:
        """A DC line needs both of its ends."""
        line, live = self.case.dc_line, self.bus_live[env]
        self.dc_line_in_service[env] = self._dc_line_wanted[env] & live[line.from_bus] & live[line.to_bus]

    def set_reactors(self, env: int | IntArray, share: FloatArray | float) -> None:
        """Switch in this share of each shunt reactor of one environment or several, [n, reactor] or one for all."""
        self.reactor_share[env] = share
        envs = np.atleast_1d(env)
        bus = self.case.reactor.bus
        shunt_pu = self._fixed_shunt_pu[bus] + self._reactor_shunt_pu(self.reactor_share[envs])
        self._solver.set_shunts(envs, bus, shunt_pu)

    def _reactor_shunt_pu(self, share: FloatArray) -> ComplexArray:
        """What these shares of the reactors are as admittances to ground, [..., reactor]."""
        shunt_pu = -1j * share * self.case.reactor.q_mvar / self.case.base_mva
        return shunt_pu.astype(np.complex128, copy=False)

    def hold_voltages(self, env: int, holds: bool, vm_pu: FloatArray) -> None:
        """Let the machines of one environment hold these voltages, or send out the reactive power they are given.

        Args:
            env: the environment.
            holds: if not, what they send out is in injections and law.
            vm_pu: voltages to hold, [machine].
        """
        self._held_pu[env] = vm_pu
        self._holding[env] = holds
        self._switch(env)

    def hold_at(self, envs: IntArray, vm_pu: FloatArray) -> None:
        """Let the machines of these environments hold other voltages [pu], [n, machine], or hold them again."""
        self._held_pu[envs] = vm_pu
        for env in envs[~self._holding[envs]].tolist():
            self._holding[env] = True
            self._switch(env)
        self._solver.set_voltages(envs, self.case.machine.bus, self.machine_in_service[envs], vm_pu)

    def reset_voltages(self, env: int | IntArray) -> None:
        """Start the next solve of one environment or several at the reference voltages."""
        self.v_pu[env] = np.where(self.bus_live[env], self._reference_v_pu, 0.0)

    def start_at(self, envs: IntArray, v_pu: ComplexArray) -> None:
        """Start the next solve of these environments at other voltages, [n, bus] or [bus]; flows stay as they are."""
        self.v_pu[envs] = np.where(self.bus_live[envs], v_pu, 0.0)

    def take_voltages(self, env: int, v_pu: ComplexArray, *, solved: bool) -> None:
        """Voltages of one environment that somebody else has found, [bus], with the flows they mean.

        Args:
            env: the environment.
            v_pu: voltages; zero at dead buses whatever is given there.
            solved: whether they are a solution, for `converged`.
        """
        self.v_pu[env] = np.where(self.bus_live[env], v_pu, 0.0)
        self._solver.find_flows(np.array([env]))
        self.converged[env] = solved

    def restore_voltages(self, v_pu: ComplexArray) -> None:
        """Put back voltages of an earlier solve of all environments, [env, bus], with the flows they mean."""
        self.v_pu[...] = v_pu
        self._solver.find_flows(self._every)

    def losses_mw(self, envs: IntArray) -> FloatArray:
        """What circuits lose and conductances of shunts draw in the last solution [MW], [n]."""
        lost_mw: FloatArray = (self.s_from_mva[envs] + self.s_to_mva[envs]).real.sum(axis=1)
        if self.case.shunt.p_mw.any():
            lost_mw += np.abs(self.v_pu[np.ix_(envs, self.case.shunt.bus)]) ** 2 @ self.case.shunt.p_mw
        return lost_mw

    def machine_power(self, injection_mva: ComplexArray, envs: IntArray | None = None) -> ComplexArray:
        """Power of each machine in the last solution: what leaves its bus less what else is injected there.

        Machines at one bus share it by rating.

        Args:
            injection_mva: complex power into every bus from everything but machines [MVA], [env, bus].
            envs: environments to look at, [n]; all if None.

        Returns:
            [MVA], [n, machine]; zero for machines out of service.
        """
        names = self._every if envs is None else envs
        at = np.ix_(names, self.case.machine.bus)
        power: ComplexArray = self._solver.s_bus_mva[at] - injection_mva[at]
        if self._adds_power:
            power -= self._own_mva[at]
        if self._law_mva.size:
            power += drawn_mva(self._law_mva[at], np.abs(self.v_pu[at]))
        return power * rating_share(self.case.machine, self.machine_in_service[names])

    def bus_power(self, injection_mva: ComplexArray, envs: IntArray) -> ComplexArray:
        """What leaves every bus beyond what is injected there, [MVA], [n, bus]; arguments as in `machine_power`."""
        power: ComplexArray = self._solver.s_bus_mva[envs] - injection_mva[envs]
        if self._adds_power:
            power -= self._own_mva[envs]
        if self._law_mva.size:
            power += drawn_mva(self._law_mva[envs], np.abs(self.v_pu[envs]))
        return power

    def _solve(self, names: IntArray, injection_mva: ComplexArray, again: bool = True) -> None:
        """From the last voltages, then from the reference."""
        solver = self._solver
        solver.solve(
            names,
            injection_mva,
            self.v_pu,
            tolerance_pu=TOLERANCE_PU,
            max_iteration=MAX_ITERATION,
            law_mva=self._law_mva,
        )
        if np.count_nonzero(self.converged) == self.n_env or self.converged[names].all():
            return
        failed = names[~self.converged[names]]
        if not again:
            solver.find_flows(failed)
            return
        start = np.where(self.bus_live, self._reference_v_pu, 0.0)
        solver.solve(
            failed,
            injection_mva,
            start,
            tolerance_pu=TOLERANCE_PU,
            max_iteration=2 * MAX_ITERATION,
            law_mva=self._law_mva,
        )
        failed = failed[~self.converged[failed]]
        if len(failed):  # the voltages that stay, in the topology of now
            self._solver.find_flows(failed)

    def _solve_within_limits(
        self, names: IntArray, injection_mva: ComplexArray, limits: ReactiveLimits, again: bool
    ) -> None:
        """Solve, give machines at their limits fixed reactive powers, and again until all agree."""
        held = np.unique(self.case.machine.bus)
        at_limit = np.zeros((len(names), len(held)), dtype=np.bool_)
        self._regulate(names, held, at_limit)  # all machines at first, so that no earlier solve shows
        record = limits.begin(self.n_env)
        given = injection_mva.copy()
        remaining = names
        while len(remaining):
            self._solve(remaining, given, again)
            solved = remaining[self.converged[remaining]]
            remaining = solved[limits.switch(record, self, solved, injection_mva)]
            given[remaining] = injection_mva[remaining] + 1j * record.fixed_mvar[remaining]
            self._regulate(remaining, held, record.side[np.ix_(remaining, held)] != 0)
        self.converged[names] &= ~record.gave_up[names]

    def _regulate(self, names: IntArray, held: IntArray, at_limit: BoolArray) -> None:
        """Machines that are in service and not at a limit hold their buses' voltages; held [m], at_limit [n, m]."""
        holds = np.zeros((len(names), self.case.n_bus), dtype=np.bool_)
        for machine, bus in enumerate(self.case.machine.bus.tolist()):
            holds[:, bus] |= self.machine_in_service[names, machine]
        for ends in (self.case.dc_line.from_bus, self.case.dc_line.to_bus):
            for line, bus in enumerate(ends.tolist()):
                holds[:, bus] |= self.dc_line_in_service[names, line]
        self._solver.regulate(names, held, self.bus_live[np.ix_(names, held)] & (at_limit | ~holds[:, held]))

    def _find_own_power(self, envs: IntArray, with_laws: bool) -> None:
        """What the engine adds to the injections: DC lines, and the part of loads that their laws draw instead."""
        own = dc_line_mva(self.case, self.dc_line_in_service[envs])
        if with_laws and self._own_law_mva.size:
            law = self._own_law_mva[0]
            own += law[:, 0] + law[:, 2] + 1j * (law[:, 1] + law[:, 3])
        self._own_mva[envs] = own

    def _switch(self, env: int) -> None:
        """Hand over what is in service of one environment."""
        case, on = self.case, self.machine_in_service[env]
        shunt_pu = self._fixed_shunt_pu.copy()
        shunt_pu[case.reactor.bus] += self._reactor_shunt_pu(self.reactor_share[env])
        vm_set_pu, weight = np.zeros(case.n_bus), np.zeros(case.n_bus)
        if case.n_dc_line:
            line, both_on = case.dc_line, self.dc_line_in_service[env]
            vm_set_pu[line.from_bus[both_on]] = line.vm_from_pu[both_on]
            vm_set_pu[line.to_bus[both_on]] = line.vm_to_pu[both_on]
        vm_set_pu[case.machine.bus[on]] = self._held_pu[env, on]
        np.add.at(weight, case.machine.bus[on], self._share[on])
        island = self.island[env]
        if self._n_island == 1:
            total = weight.sum()
            weight = weight / total if total > 0.0 else weight
        else:
            for k in range(island.max() + 1):
                total = weight[island == k].sum()
                weight[island == k] /= total if total > 0.0 else 1.0
        self._solver.switch(env, self.branch_in_service[env], shunt_pu, island, weight, vm_set_pu)
        if not self._holding[env]:
            given = np.unique(case.machine.bus[on])
            self._solver.regulate(np.array([env]), given, np.ones((1, len(given)), dtype=np.bool_))

    def _check_against_oracle(self, reactor_share: float) -> None:
        def worst_pu(again: bool) -> tuple[float, int]:
            oracle_v_pu = published_voltages(self.case, self._share, reactor_share, again=again)
            distance_pu = np.abs(oracle_v_pu - self._reference_v_pu)
            # What is not a number compares as the largest.
            return float(distance_pu.max()), int(distance_pu.argmax())

        distance_pu, bus = worst_pu(again=False)
        if not distance_pu <= AGREEMENT_PU:  # then no remembered answer is trusted
            distance_pu, bus = worst_pu(again=True)
        if not distance_pu <= AGREEMENT_PU:
            raise EngineMismatch(
                f"case {self.case.name}: engine and pandapower differ by {distance_pu:.1e} pu at bus "
                f"{self.case.bus.bus_number[bus]}, expected at most {AGREEMENT_PU:g} pu."
            )


def living_islands(
    case: Case, branch_in_service: BoolArray, machine_in_service: BoolArray, n_island: int
) -> IntArray:
    """Number of each bus's island by falling machine rating in service, -1 where it does not live on, [bus].

    Args:
        case: the grid.
        branch_in_service: which circuits are, [branch].
        machine_in_service: which machines are, [machine]; an island without any machine is dead.
        n_island: most islands that live on.
    """
    label = islands(case, branch_in_service)
    if not label.any():  # one island, named by bus 0
        alive = bool(np.any(case.machine.rating_mva[machine_in_service] > 0.0))
        return np.full(case.n_bus, 0 if alive else -1, dtype=np.int64)
    rating_mva = np.bincount(
        label[case.machine.bus], case.machine.rating_mva * machine_in_service, minlength=case.n_bus
    )
    order = np.argsort(-rating_mva, kind="stable")[:n_island]
    island = np.full(case.n_bus, -1, dtype=np.int64)
    for number, name in enumerate(order[rating_mva[order] > 0.0].tolist()):
        island[label == name] = number
    return island
