"""A grid of its own on which the control centre tries its plans: what they lose, and what outages would do to them.

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
from grid_model.network.limits import apparent_power_mva, loading_percent
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["SETTLING_STEPS", "PlannedGrid"]

# What a state after an outage must keep clear of its limits, so that minutes later it still does.
MARGIN_PU = 0.005
MARGIN_PERCENT = 3.0
SETTLING_STEPS = 5  # re-dispatches of the reactors that lie behind the first interval


class PlannedGrid:
    """One grid with everything in service that answers questions about plans.

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
        self._engine = NewtonEngine(case, 1, check=False)
        self.mvar_per_mw = case.load.q_mvar / case.load.p_mw
        self._load_area, self._reactor_area = case.bus.area[case.load.bus], case.bus.area[case.reactor.bus]
        self._nominal_area_mw = np.bincount(self._load_area, case.load.p_mw, minlength=case.n_area)

    def losses_mw(self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray) -> float:
        """AC losses of the whole grid at these powers of loads, renewables and machines [MW]."""
        engine = self._engine
        injection = self._injection(p_load_mw, p_renewable_mw, p_machine_mw)
        engine.set_reactors(0, self.first_reactor_share(p_load_mw))
        self._take_in_service(self._every_branch, self._in_schedule(p_machine_mw))
        engine.reset_voltages(0)
        if not engine.solve(injection)[0]:
            return 0.015 * float(p_load_mw.sum())  # a plan that has no solution; the episode itself will tell
        return float((engine.s_from_mva + engine.s_to_mva).real.sum())

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
        case, engine = self.case, self._engine
        branch_on, machine_on = np.ones(case.n_branch, np.bool_), self._in_schedule(p_machine_mw)
        everything = branch_on.copy(), machine_on.copy()
        self._take_in_service(*everything)
        (branch_on if outage.kind == "branch_out" else machine_on)[outage.index] = False
        before = self._injection(p_load_mw, p_renewable_mw, p_machine_mw)
        after = self._injection(p_load_mw, p_renewable_mw, p_machine_mw * machine_on)
        share = self.first_reactor_share(p_load_mw)
        try:
            if reactors_follow:
                engine.set_topology(0, branch_on, machine_on)
            engine.reset_voltages(0)
            for _ in range(SETTLING_STEPS):
                engine.set_reactors(0, share)
                if not engine.solve(after if reactors_follow else before)[0]:
                    return False
                share = next_reactor_share(share, np.abs(engine.v_pu[0, case.reactor.bus]))
            engine.set_reactors(0, share)
            if not reactors_follow:
                engine.set_topology(0, branch_on, machine_on)
            if not engine.solve(after)[0]:
                return False
            return self._within(case.branch.rate_b_mva)
        finally:
            engine.set_topology(0, *everything)
            engine.reset_voltages(0)

    def _in_schedule(self, p_machine_mw: FloatArray) -> BoolArray:
        """Machines in the schedule, [machine]; all of them without a commitment."""
        on: BoolArray = (p_machine_mw > 0.0) | (not self._commitment)
        return on

    def _take_in_service(self, branch_on: BoolArray, machine_on: BoolArray) -> None:
        if np.any(machine_on != self._engine.machine_in_service[0]):
            self._engine.set_topology(0, branch_on, machine_on)

    def base_case_holds(
        self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray
    ) -> bool:
        """Whether voltages and normal ratings hold, with everything in service that is in the schedule.

        The margin is that of `outage_is_secure`; powers as there.
        """
        case, engine = self.case, self._engine
        self._take_in_service(self._every_branch, self._in_schedule(p_machine_mw))
        injection = self._injection(p_load_mw, p_renewable_mw, p_machine_mw)
        share = self.first_reactor_share(p_load_mw)
        engine.reset_voltages(0)
        for _ in range(SETTLING_STEPS):
            engine.set_reactors(0, share)
            if not engine.solve(injection)[0]:
                return False
            following = next_reactor_share(share, np.abs(engine.v_pu[0, case.reactor.bus]))
            if np.array_equal(following, share):
                break
            share = following
        return self._within(case.branch.rate_a_mva)

    def _within(self, rate_mva: FloatArray) -> bool:
        """Whether the last solution keeps clear of the voltage band and these ratings, [branch]."""
        case, engine = self.case, self._engine
        vm_pu, live = np.abs(engine.v_pu[0]), engine.bus_live[0]
        loading = loading_percent(apparent_power_mva(engine.s_from_mva, engine.s_to_mva), rate_mva[None, :])
        in_band = (vm_pu >= case.bus.vm_min_pu + MARGIN_PU) & (vm_pu <= case.bus.vm_max_pu - MARGIN_PU)
        return bool(np.all(in_band | ~live) and np.all(loading <= 100.0 - MARGIN_PERCENT))

    def solved(
        self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Voltages [pu], [bus], and what circuits carry [MVA], [branch], all in service; None: no solution."""
        engine = self._engine
        self._take_in_service(self._every_branch, self._in_schedule(p_machine_mw))
        engine.set_reactors(0, self.first_reactor_share(p_load_mw))
        engine.reset_voltages(0)
        if not engine.solve(self._injection(p_load_mw, p_renewable_mw, p_machine_mw))[0]:
            return None
        return np.abs(engine.v_pu[0]), apparent_power_mva(engine.s_from_mva, engine.s_to_mva)[0]

    def first_reactor_share(self, p_load_mw: FloatArray) -> FloatArray:
        """First guess of the reactors' shares from the loads of their areas, [load] -> [reactor]."""
        case = self.case
        area_mw = np.bincount(self._load_area, p_load_mw, minlength=case.n_area)
        level = area_mw / np.maximum(self._nominal_area_mw, 1e-9)
        return initial_reactor_share(level[self._reactor_area])

    def _injection(
        self, p_load_mw: FloatArray, p_renewable_mw: FloatArray, p_machine_mw: FloatArray
    ) -> npt.NDArray[np.complex128]:
        """Complex power into every bus [MVA], [1, bus]."""
        case = self.case
        injection = np.zeros((1, case.n_bus), dtype=np.complex128)
        _add_powers(
            case.load.bus,
            p_load_mw,
            self.mvar_per_mw,
            case.renewable.bus,
            p_renewable_mw,
            case.machine.bus,
            p_machine_mw,
            injection[0],
        )
        return injection


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
