"""The grid of an episode that is being reduced, as its elements are switched: no time passes here.

Who is in service, what the frequency model knows of that, and the AC power flows just before and after a switching.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioError
from control.scheduling.voltage import next_reactor_share
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.coherency import SwingTopology, swing_topology
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import unit_limits_mw
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.structs import placement_of
from grid_model.kernels.synchronising import spring_stiffness, synchronising_matrix
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["FollowedGrid", "Service", "Solved", "Switching"]

FASTEST_TURN = 1.0  # rad of the fastest mode in a step: the leapfrog is stable below 2


@dataclass
class Service:
    """What is in service, while an episode is followed."""

    branch: BoolArray  # [branch]
    machine: BoolArray  # not tripped, [machine]
    share: FloatArray  # in the schedule, [machine]
    reactor_share: FloatArray  # [reactor]
    load_step_mw: FloatArray  # so far, [load]

    @property
    def running(self) -> BoolArray:
        """Machines that turn, [machine]."""
        return self.machine & (self.share > 0.0)

    @property
    def elements_out(self) -> int:
        """Circuits and machines that are not, though they are in the schedule."""
        return int(np.count_nonzero(~self.branch) + np.count_nonzero(~self.machine & (self.share > 0.0)))


class Solved(NamedTuple):
    """An AC power flow."""

    v_pu: ComplexArray  # [bus]
    q_mvar: FloatArray  # of the machines, [machine]
    losses_mw: float


class Switching(NamedTuple):
    """Something is switched."""

    at: float  # intervals since the start
    event: Event | None  # None: the machines are dispatched anew
    share: FloatArray  # of each machine in the schedule from then on, [machine]


class FollowedGrid:
    """One grid on which switchings are followed.

    Attributes: member: whether a machine is in a group, [machine, group]; inertia_share: share of their inertia that
        the machines of the present episode turn.
    """

    def __init__(
        self, case: Case, config: SwingConfig, group: IntArray, scenario_name: str, mvar_per_mw: FloatArray
    ) -> None:
        """Build the grid, in the published state.

        Args:
            case: the grid.
            config: the frequency model.
            group: of each machine, [machine].
            scenario_name: for messages.
            mvar_per_mw: of each load, [load].
        """
        self.case, self.config, self._group, self._scenario_name = case, config, group, scenario_name
        self.n_group = int(group.max()) + 1
        self._engine = NewtonEngine(case, 1, check=False)
        self._v_reference_pu = self._engine.v_pu[0].copy()
        nothing = np.zeros((1, case.n_bus), dtype=np.complex128)
        self._q_reference_mvar: FloatArray = self._engine.machine_power(nothing)[0].imag.copy()
        self._kept: dict[bytes, SwingTopology] = {}
        self._p_min_mw, self._p_max_mw = unit_limits_mw(case.machine, config.governor)
        self.member = (group[:, None] == np.arange(self.n_group)).astype(np.float64)
        self._mvar_per_mw = mvar_per_mw
        self.inertia_share = 1.0

    def inertia_mws_per_hz(self, found: SwingTopology, service: Service) -> FloatArray:
        """Of the groups, [group]."""
        own = found.machine_inertia_mws_per_hz * service.share * service.running * self.inertia_share
        total: FloatArray = own @ self.member
        return total

    def topology(self, service: Service) -> SwingTopology:
        """What is in service as the frequency model knows it.

        Raises:
            ScenarioError: the grid is cut apart.
        """
        running = service.running
        key = service.branch.tobytes() + running.tobytes()
        found = self._kept.get(key)
        if found is None:
            found = swing_topology(
                self.case,
                self.config,
                self._group,
                self.n_group,
                self._v_reference_pu,
                self._q_reference_mvar,
                service.branch,
                running,
                np.ones(self.case.n_bus, dtype=np.bool_),
            )
            if np.any(found.island != 0):
                raise ScenarioError(
                    f"scenario {self._scenario_name!r}: its events cut the grid apart, expected one island for "
                    "physics = 'reduced'"
                )
            self._kept[key] = found
        return found

    def rooms(
        self, schedule_mw: FloatArray, service: Service, found: SwingTopology
    ) -> tuple[FloatArray, FloatArray]:
        """Headroom of each machine's governor up and down [MW], two arrays [time, machine]."""
        governor, on = self.config.governor, service.running
        if governor.headroom_up_mw is not None and governor.headroom_down_mw is not None:
            share = np.tile(found.governor_share * service.share * on, (len(schedule_mw), 1))
            return share * governor.headroom_up_mw, share * governor.headroom_down_mw
        up_mw = np.maximum(self._p_max_mw * service.share - schedule_mw, 0.0) * on
        return up_mw, np.maximum(schedule_mw - self._p_min_mw * service.share, 0.0) * on

    def stiffness(self, found: SwingTopology, service: Service, solved: Solved, dt_s: float) -> FloatArray:
        """T at a power flow; modes that a step cannot follow are slowed down to what it can, [group, group].

        They are fast because a group is light, and hold it to the others either way.
        """
        case = self.case
        spring = np.empty(case.n_branch + case.n_machine)
        spring_stiffness(
            solved.v_pu,
            solved.q_mvar,
            service.running,
            found.spring_pu,
            1.0 / machine_reactance_pu(case),
            placement_of(case, found.machine_group[None]),
            case.base_mva,
            spring,
        )
        matrix = np.empty((self.n_group, self.n_group))
        synchronising_matrix(spring, found.angle_sensitivity, matrix)
        inertia = self.inertia_mws_per_hz(found, service)
        root = np.sqrt(np.where(inertia > 0.0, inertia, 1.0))
        square, mode = np.linalg.eigh(2.0 * np.pi * matrix / np.outer(root, root))
        most = (FASTEST_TURN / dt_s) ** 2
        if square[-1] <= most:
            return matrix
        kept = np.minimum(square, most)
        slowed: FloatArray = (mode * kept) @ mode.T * np.outer(root, root) / (2.0 * np.pi)
        return slowed

    def switch(
        self,
        service: Service,
        was_running: BoolArray,
        switching: Switching,
        load_mw: FloatArray,
        injection_mw: FloatArray,
        solved: Solved,
    ) -> tuple[float, Solved, FloatArray]:
        """AC power flows before and after; service changes to what the dispatch asks for.

        Args:
            service: what is in service after the event, if it is one.
            was_running: machines that turned before, [machine].
            switching: what is switched.
            load_mw: of each load there [MW], [load].
            injection_mw: active power into each bus there [MW], [bus].
            solved: the power flow before.

        Returns:
            How much the losses jump [MW], the power flow after, and how the voltages jump [pu], [bus].
        """
        case, engine = self.case, self._engine
        demand = np.zeros(case.n_bus)
        np.add.at(demand, case.load.bus, load_mw * self._mvar_per_mw)
        injection = (injection_mw - 1j * demand)[None]
        event = switching.event

        def solve(machine: BoolArray, branch: BoolArray) -> float:
            engine.set_topology(0, branch, machine)
            engine.set_reactors(0, service.reactor_share)
            engine.solve(injection)
            return float(engine.losses_mw(np.zeros(1, dtype=np.int64))[0])

        branch_was = service.branch
        if event is not None and event.kind.startswith("branch"):
            branch_was = service.branch.copy()
            branch_was[event.index] = not service.branch[event.index]
        engine.start_at(np.array([0]), solved.v_pu)
        before_mw = solve(was_running, branch_was)
        v_before = np.abs(engine.v_pu[0])
        if event is None:
            service.share = switching.share
            service.reactor_share = next_reactor_share(
                service.reactor_share, np.abs(engine.v_pu[0, case.reactor.bus])
            )
        after_mw = solve(service.running, service.branch)
        q_mvar = engine.machine_power(injection)[0].imag.copy()
        found = Solved(engine.v_pu[0].copy(), q_mvar, after_mw)
        if not engine.converged[0]:
            return 0.0, solved, np.zeros(case.n_bus)
        return after_mw - before_mw, found, np.abs(found.v_pu) - v_before
