"""AC power flows of a batch of grids that differ in what is switched, by the kernel of this package.

`BatchSolver` knows buses and two-ports and nothing of cases: the engine of the step, N-1 and the comparison with
other programs all stand on it. Every environment has its own circuits in service, shunts, machines, islands and, if
asked for, ratios. What it returns for one is the same bit for bit alone, in any batch and in any place of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.kernels.held import hold
from grid_model.kernels.lanes import N_LANE
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.batch_rows import N_BUS_ROW, PQ, Answer, Grids, Question, Switched, Work, room
from grid_model.power_flow.elimination import plan_elimination
from grid_model.power_flow.newton_kernel import solve_batch
from grid_model.power_flow.switching import switch_lane, switch_shunts, switch_voltages

NO_LAW = np.zeros((0, 0, 0))
EARLY_ITERATION = 6  # a warm start needs 2 or 3, an outage up to 5; who needs more is rare


@dataclass(frozen=True, kw_only=True)
class TwoPorts:
    """Circuits as two-ports: i_f = y_ff v_f + y_ft v_t and i_t = y_tf v_f + y_tt v_t; all arrays [branch].

    Lines, transformers, phase shifters (y_ft differs from y_tf), series compensation and unequal ends all fit.
    """

    from_bus: IntArray
    to_bus: IntArray
    y_ff_pu: ComplexArray
    y_ft_pu: ComplexArray
    y_tf_pu: ComplexArray
    y_tt_pu: ComplexArray

    def rows(self) -> FloatArray:
        """Real and imaginary parts circuit after circuit, [8 branch]."""
        y = np.stack([self.y_ff_pu, self.y_ft_pu, self.y_tf_pu, self.y_tt_pu], axis=1)
        return np.stack([y.real, y.imag], axis=2).reshape(-1)


class BatchSolver:
    """Newton's method for a batch; see the module.

    Attributes (read them, change them only through the methods):
        v_pu: last solution of each environment, zero on dead buses, [env, bus].
        s_bus_mva: power from each bus into the grid, its shunts included, [env, bus].
        s_from_mva, s_to_mva: power into each circuit at its ends, [env, branch].
        slack_mw: what the machines of each living island share, [env, island].
        converged: [env]; iterations: of the last solve, [env]; mismatch_pu: the largest at its end, [env].
    """

    def __init__(
        self,
        n_bus: int,
        two_ports: TwoPorts,
        *,
        machine_bus: IntArray,
        reference_bus: int,
        n_env: int = 1,
        base_mva: float = 100.0,
        n_island: int = 1,
    ) -> None:
        """Plan the elimination and make room; every environment has to be switched by `switch` before a solve.

        Args:
            n_bus: number of buses.
            two_ports: all circuits.
            machine_bus: buses that may hold their voltage.
            reference_bus: keeps its angle wherever it is alive.
            n_env: number of environments.
            base_mva: base of all per-unit values.
            n_island: most living islands an environment can have.
        """
        self.n_bus, self.n_env, self.base_mva = n_bus, n_env, base_mva
        self.two_ports = two_ports
        self.plan = plan = plan_elimination(n_bus, two_ports.from_bus, two_ports.to_bus, reference_bus)
        self._held = np.unique(plan.place[machine_bus])
        n_branch, n_block = len(two_ports.from_bus), -(-n_env // N_LANE)
        n_row = N_BUS_ROW * n_bus + 2 * len(plan.near)
        self._net = np.zeros((n_block, n_row, N_LANE))
        self._branch_y = np.repeat(two_ports.rows()[None, :, None], N_LANE, axis=2)
        self._branch_end = np.stack([plan.place[two_ports.from_bus], plan.place[two_ports.to_bus]])
        self._n_living = np.ones(n_env, dtype=np.int64)  # islands that live, [env]
        self._one_island = True  # in every environment so far
        self._rooms: dict[
            tuple[int, int], Work
        ] = {}  # by buses with loads that depend on voltage, and islands
        self.branch_in_service = np.zeros((n_env, n_branch), dtype=np.bool_)
        self.v_pu = np.zeros((n_env, n_bus), dtype=np.complex128)
        self._nothing = np.zeros((n_env, n_bus), dtype=np.complex128)
        self.s_bus_mva = np.zeros((n_env, n_bus), dtype=np.complex128)
        self.s_from_mva = np.zeros((n_env, n_branch), dtype=np.complex128)
        self.s_to_mva = np.zeros((n_env, n_branch), dtype=np.complex128)
        self.slack_mw = np.zeros((n_env, n_island))
        self.mismatch_pu = np.zeros(n_env)
        self.iterations = np.zeros(n_env, dtype=np.int64)
        self.converged = np.zeros(n_env, dtype=np.bool_)
        # As the kernel takes them at every call.
        self._planned = hold(plan)
        self._grids = hold(
            Grids(self._net, self._branch_y, self._branch_end, self.branch_in_service, self._held)
        )
        self._answer = hold(
            Answer(
                self.v_pu,
                self.s_bus_mva,
                self.s_from_mva,
                self.s_to_mva,
                self.slack_mw,
                self.mismatch_pu,
                self.iterations,
                self.converged,
            )
        )

    def switch(
        self,
        env: int,
        branch_in_service: BoolArray,
        shunt_pu: ComplexArray,
        island: IntArray,
        weight: FloatArray,
        vm_set_pu: FloatArray,
    ) -> None:
        """Say what of one environment is in service.

        Args:
            env: the environment.
            branch_in_service: [branch]; circuits with a dead end have to be out.
            shunt_pu: admittance to ground, [bus].
            island: number of each bus's living island from 0, -1 where the bus is dead, [bus].
            weight: shares in the imbalance; those of an island sum to one, [bus].
            vm_set_pu: voltage that the machines at a bus hold; 0 where none does, [bus].
        """
        self.branch_in_service[env] = branch_in_service
        on = Switched(self.branch_in_service[env], shunt_pu, island, weight, vm_set_pu)
        self._n_living[env] = island.max(initial=0) + 1
        self._one_island &= bool(self._n_living[env] == 1)
        self.slack_mw[env, self._n_living[env] :] = 0.0
        switch_lane(self.plan, env, self._branch_y, self._branch_end, on, self._net)

    def set_shunts(self, envs: IntArray, bus: IntArray, shunt_pu: ComplexArray) -> None:
        """Change what is to ground at some buses of environments that have been switched, all else as it is.

        Args:
            envs: environments, [n].
            bus: the buses, [m].
            shunt_pu: admittance to ground there, [n, m].
        """
        switch_shunts(
            self.plan,
            envs,
            bus,
            shunt_pu,
            self._branch_y,
            self._branch_end,
            self.branch_in_service,
            self._net,
        )

    def set_voltages(self, envs: IntArray, bus: IntArray, on: BoolArray, vm_set_pu: FloatArray) -> None:
        """Change the voltages that machines hold in environments that have been switched, all else as it is.

        Args:
            envs: environments, [n].
            bus: of each machine, [machine].
            on: which machines are in service, [n, machine].
            vm_set_pu: voltage that each holds, [n, machine].
        """
        switch_voltages(self.plan, envs, bus, on, vm_set_pu, self._net)

    def regulate(self, rows: IntArray, bus: IntArray, given: BoolArray) -> None:
        """Let machines' buses hold their voltages or have their reactive powers given; `switch` lets all hold again.

        Args:
            rows: environments, [n].
            bus: buses, [m]; a dead one must not be given any.
            given: whether the reactive power is given, [n, m].
        """
        at = N_BUS_ROW * self.plan.place[bus] + PQ
        self._net[rows[:, None] // N_LANE, at[None, :], rows[:, None] % N_LANE] = given

    def solve(
        self,
        rows: IntArray,
        injection_mva: ComplexArray,
        start_pu: ComplexArray,
        *,
        tolerance_pu: float,
        max_iteration: int,
        law_mva: FloatArray = NO_LAW,
    ) -> None:
        """Solve the environments named; where there is no solution, voltages and flows stay as they are.

        Args:
            rows: positions of the environments, [n].
            injection_mva: constant power into every bus without the slack's share, [env, bus].
            start_pu: where Newton's method begins, [env, bus]; may be `v_pu` itself.
            tolerance_pu: largest mismatch of a solution.
            max_iteration: most steps.
            law_mva: loads that depend on voltage, drawn at 1 pu, [env, bus, 8]: P and Q at constant current, P and Q
                of constant impedance, P and Q with exponents, and their exponents.
        """
        n_law = law_mva.shape[1]
        # Islands that are not there change no bit of the others' results, but take their time.
        n_island = 1 if self._one_island else int(self._n_living[rows].max(initial=1))
        if (n_law, n_island) not in self._rooms:
            n_branch = len(self.two_ports.from_bus)
            self._rooms[n_law, n_island] = hold(room(self.plan, n_branch, n_law, n_island))
        work = self._rooms[n_law, n_island]
        # One environment that goes on keeps its block of eight at work. Those that take long stop early, and begin
        # again in blocks of their own.
        first = EARLY_ITERATION if len(rows) > N_LANE and max_iteration > EARLY_ITERATION else max_iteration
        asked = Question(rows, injection_mva, law_mva, start_pu, self.base_mva, tolerance_pu, first)
        solve_batch(self._planned, work, self._grids, asked, self._answer)
        if first < max_iteration:
            late = rows[~self.converged[rows]]
            if len(late):
                asked = asked._replace(rows=late, max_iteration=max_iteration)
                solve_batch(self._planned, work, self._grids, asked, self._answer)

    def find_flows(self, rows: IntArray) -> None:
        """Powers that `v_pu` means as it stands."""
        self.solve(rows, self._nothing, self.v_pu, tolerance_pu=0.0, max_iteration=-1)
