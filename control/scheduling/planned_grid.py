"""Grids of its own on which the control centre tries its plans: what they lose, and what outages would do to them.

Loads, renewables and machines are at powers that are planned or feared, the agents' plants on schedule. What is asked
leaves no trace, so an answer depends on the question alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.scheduling.voltage import initial_reactor_share, next_reactor_share
from grid_model.compilation import compiled
from grid_model.dynamics.events import Event
from grid_model.kernels.lanes import N_LANE
from grid_model.network.limits import apparent_power_mva, loading_percent
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["SETTLING_STEPS", "PlannedGrid"]

# What a state after an outage must keep clear of its limits, so that minutes later it still does.
MARGIN_PU = 0.005
MARGIN_PERCENT = 3.0
SETTLING_STEPS = 5  # re-dispatches of the reactors that lie behind the first interval


class PlannedGrid:
    """Grids with everything in service that answer questions about plans, as many states at once as the solver takes.

    `mvar_per_mw` is the ratio of reactive to active power of each load, which holds at any level, [load].
    """

    def __init__(self, case: Case, *, commitment: bool = False) -> None:
        """Build its power flow.

        Args:
            case: the grid.
            commitment: machines without power are out of the schedule and hold no voltage.
        """
        self.case = case
        self._commitment = commitment
        self._every_branch = np.ones(case.n_branch, dtype=np.bool_)
        self._engine = NewtonEngine(case, N_LANE, check=False)
        self._grids = np.arange(N_LANE)
        self._injection_mva = np.zeros((N_LANE, case.n_bus), dtype=np.complex128)
        self._after_mva = np.zeros_like(self._injection_mva)
        self.mvar_per_mw = case.load.q_mvar / case.load.p_mw
        self._load_area, self._reactor_area = case.bus.area[case.load.bus], case.bus.area[case.reactor.bus]
        self._nominal_area_mw = np.maximum(
            np.bincount(self._load_area, case.load.p_mw, minlength=case.n_area), 1e-9
        )

    def losses_mw(self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray) -> float:
        """AC losses of the whole grid, shunts included, at these powers of loads, renewables and machines [MW]."""
        engine = self._engine
        if not self._solve(p_load_mw, p_renewable_mw, p_machine_mw):
            return 0.015 * float(p_load_mw.sum())  # a plan that has no solution; the episode itself will tell
        return float(engine.losses_mw(self._grids[:1])[0])

    def outage_is_secure(
        self,
        outage: Event,
        p_load_mw: FloatArray,
        p_renewable_mw: FloatArray,
        p_machine_mw: FloatArray,
        reactors_follow: bool,
    ) -> bool:
        """Whether voltages and emergency ratings hold after an outage, with the agents' plants on schedule.

        Governors pick up what is missing. Reactors are set by the voltages before the outage, or after it if
        `reactors_follow`. A margin is left for what noise and agents add until the next re-dispatch.

        Args:
            outage: a circuit or machine that goes out.
            p_load_mw: of each load before it [MW], [load].
            p_renewable_mw: of each wind and sun plant before it [MW], [renewable].
            p_machine_mw: of each machine before it [MW], [machine].
            reactors_follow: the reactors have been switched since the outage.
        """
        case, engine, first = self.case, self._engine, self._grids[:1]
        branch_on, machine_on = np.ones(case.n_branch, np.bool_), self._in_schedule(p_machine_mw)
        everything = branch_on.copy(), machine_on.copy()
        self._take_in_service(0, *everything)
        (branch_on if outage.kind == "branch_out" else machine_on)[outage.index] = False
        before_mva, after_mva = self._injection_mva, self._after_mva
        self._inject(0, p_load_mw, p_renewable_mw, p_machine_mw, before_mva)
        self._inject(0, p_load_mw, p_renewable_mw, p_machine_mw * machine_on, after_mva)
        share = self.first_reactor_share(p_load_mw)
        try:
            if reactors_follow:
                engine.set_topology(0, branch_on, machine_on)
            engine.reset_voltages(first)
            for _ in range(SETTLING_STEPS):
                engine.set_reactors(first, share)
                if not engine.solve(after_mva if reactors_follow else before_mva, first)[0]:
                    return False
                share = next_reactor_share(share, np.abs(engine.v_pu[0, case.reactor.bus]))
            engine.set_reactors(first, share)
            if not reactors_follow:
                engine.set_topology(0, branch_on, machine_on)
            if not engine.solve(after_mva, first)[0]:
                return False
            return self._within(1, case.branch.rate_b_mva)
        finally:
            engine.set_topology(0, *everything)
            engine.reset_voltages(first)

    def base_cases_hold(
        self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray
    ) -> bool:
        """Whether voltages and normal ratings hold in all of these states, with what is in the schedule in service.

        The margin is that of `outage_is_secure`.

        Args:
            p_load_mw: of each load [MW], [state, load].
            p_renewable_mw: of each wind and sun plant [MW], [state, renewable].
            p_machine_mw: of each machine [MW], [state, machine].
        """
        states = [slice(first, first + N_LANE) for first in range(0, len(p_load_mw), N_LANE)]
        return all(self._hold(p_load_mw[at], p_renewable_mw[at], p_machine_mw[at]) for at in states)

    def _hold(self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray) -> bool:
        """The same of as many states as the solver takes at once."""
        case, engine, n = self.case, self._engine, len(p_load_mw)
        for k in range(n):
            self._take_in_service(k, self._every_branch, self._in_schedule(p_machine_mw[k]))
            self._inject(k, p_load_mw[k], p_renewable_mw[k], p_machine_mw[k], self._injection_mva)
        share = np.stack([self.first_reactor_share(p_load_mw[k]) for k in range(n)])
        moving = self._grids[:n]
        engine.reset_voltages(moving)
        for _ in range(SETTLING_STEPS):
            engine.set_reactors(moving, share[moving])
            if not engine.solve(self._injection_mva, moving)[moving].all():
                return False
            following = next_reactor_share(share[moving], np.abs(engine.v_pu[moving][:, case.reactor.bus]))
            moved = (following != share[moving]).any(axis=1)
            share[moving] = following
            moving = moving[moved]
            if len(moving) == 0:
                break
        return self._within(n, case.branch.rate_a_mva)

    def _in_schedule(self, p_machine_mw: FloatArray) -> BoolArray:
        """Machines in the schedule, [machine]; all of them without a commitment."""
        on: BoolArray = (p_machine_mw > 0.0) | (not self._commitment)
        return on

    def _take_in_service(self, grid: int, branch_on: BoolArray, machine_on: BoolArray) -> None:
        if np.any(machine_on != self._engine.machine_in_service[grid]):
            self._engine.set_topology(grid, branch_on, machine_on)

    def _within(self, n: int, rate_mva: FloatArray) -> bool:
        """Whether the last solutions of the first n keep clear of the voltage band and these ratings, [branch]."""
        case, engine = self.case, self._engine
        vm_pu, live = np.abs(engine.v_pu[:n]), engine.bus_live[:n]
        in_band = (vm_pu >= case.bus.vm_min_pu + MARGIN_PU) & (vm_pu <= case.bus.vm_max_pu - MARGIN_PU)
        if not np.all(in_band | ~live):
            return False
        flow_mva = apparent_power_mva(engine.s_from_mva[:n], engine.s_to_mva[:n])
        return bool(np.all(loading_percent(flow_mva, rate_mva[None, :]) <= 100.0 - MARGIN_PERCENT))

    def solved(
        self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Voltages [pu], [bus], and what circuits carry [MVA], [branch], all in service; None: no solution."""
        engine = self._engine
        if not self._solve(p_load_mw, p_renewable_mw, p_machine_mw):
            return None
        return np.abs(engine.v_pu[0]), apparent_power_mva(engine.s_from_mva[:1], engine.s_to_mva[:1])[0]

    def _solve(self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray) -> bool:
        """Solve one state in the first of the grids, everything in service that is in the schedule."""
        engine, first = self._engine, self._grids[:1]
        self._inject(0, p_load_mw, p_renewable_mw, p_machine_mw, self._injection_mva)
        self._take_in_service(0, self._every_branch, self._in_schedule(p_machine_mw))
        engine.set_reactors(first, self.first_reactor_share(p_load_mw))
        engine.reset_voltages(first)
        return bool(engine.solve(self._injection_mva, first)[0])

    def first_reactor_share(self, p_load_mw: FloatArray) -> FloatArray:
        """First guess of the reactors' shares from the loads of their areas, [load] -> [reactor]."""
        area_mw = np.bincount(self._load_area, p_load_mw, minlength=self.case.n_area)
        return initial_reactor_share((area_mw / self._nominal_area_mw)[self._reactor_area])

    def _inject(
        self,
        grid: int,
        p_load_mw: FloatArray,
        p_renewable_mw: FloatArray,
        p_machine_mw: FloatArray,
        injection_mva: npt.NDArray[np.complex128],
    ) -> None:
        """Fill in the complex power into every bus of one of the grids [MVA], [grid, bus]."""
        case = self.case
        injection_mva[grid] = 0.0
        _add_powers(
            case.load.bus,
            np.ascontiguousarray(p_load_mw),  # for numbers apart the kernel would be compiled once more
            self.mvar_per_mw,
            case.renewable.bus,
            p_renewable_mw,
            case.machine.bus,
            p_machine_mw,
            injection_mva[grid],
        )


@compiled
def _add_powers(
    load_bus: IntArray,
    p_load_mw: FloatArray,
    mvar_per_mw: FloatArray,
    renewable_bus: IntArray,
    p_renewable_mw: FloatArray,
    machine_bus: IntArray,
    p_machine_mw: FloatArray,
    injection_mva: npt.NDArray[np.complex128],
) -> None:
    """Add to what goes into every bus, [bus], what loads take and renewables and machines give."""
    for i in range(load_bus.size):
        injection_mva[load_bus[i]] -= complex(p_load_mw[i], p_load_mw[i] * mvar_per_mw[i])
    for i in range(renewable_bus.size):
        injection_mva[renewable_bus[i]] += p_renewable_mw[i]
    for i in range(machine_bus.size):
        injection_mva[machine_bus[i]] += p_machine_mw[i]
