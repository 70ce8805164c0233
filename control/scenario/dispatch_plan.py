"""The machines' schedule of an episode: tertiary control, on its own forecast, mark by mark.

What the dispatch expects at its marks, which units join the schedule, and what each machine is to give, with outages
made good and losses taken from a power flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.scenario.exogenous import ExogenousPowers, between_knots
from control.scenario.outages import Plan
from control.scheduling.commitment import commit, running_at_marks, settles_within
from control.scheduling.dispatch import area_demand, bounds_at_mark, dispatch_by_area, dispatch_limits
from grid_model.compilation import compiled
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import swing_of
from grid_model.power_flow.solution import governor_share

__all__ = ["DispatchPlanner", "HoldsFunction", "LossFunction", "PlannedPowers", "is_running"]

# Losses [MW] of the grid at given powers [MW] of loads, renewable plants and machines.
LossFunction = Callable[[FloatArray, FloatArray, FloatArray], float]

# Whether the grid is within its limits in several states at powers [MW] of loads, renewable plants and machines, each
# [state, ...].
HoldsFunction = Callable[[FloatArray, FloatArray, FloatArray], bool]

FIRST_LOSS_SHARE = 0.01  # of load: a guess before losses are computed


class PlannedPowers(NamedTuple):
    """What the dispatch expects at its marks [MW]."""

    load_mw: FloatArray  # of the whole grid, [mark], as the next also those after the episode
    renewable_mw: FloatArray  # [mark]
    bus_mw: FloatArray  # of each load, [mark, load]
    plant_mw: FloatArray  # of each wind and sun plant, [mark, renewable]
    area_load_mw: FloatArray  # [mark, area]
    area_renewable_mw: FloatArray  # [mark, area]


class _Marks(NamedTuple):
    """What the dispatch is asked for at its marks, as its compiled part takes it; powers in MW."""

    load_mw: FloatArray  # of the whole grid, [mark]
    renewable_mw: FloatArray  # [mark]
    area_load_mw: FloatArray  # [mark, area]
    area_renewable_mw: FloatArray  # [mark, area]
    area_total_mw: FloatArray  # load of all areas, [mark]
    level: FloatArray  # the same over nominal load, [mark]
    area_share: FloatArray  # of each area in the published output of the machines, [area]
    nominal_area_mw: FloatArray  # nominal load, [area]
    in_service: BoolArray  # [mark, machine]
    least_mw: FloatArray  # of each machine, [mark, machine]
    most_mw: FloatArray  # [mark, machine]
    least_total_mw: FloatArray  # of those in service, [mark]
    ramp_mw: FloatArray  # most that a machine moves from mark to mark, [machine]
    cost_linear: FloatArray  # [machine]
    cost_quadratic: FloatArray  # [machine]
    machine_area: IntArray  # [machine]


class DispatchPlanner:
    """Plans the schedules of all episodes of a configuration.

    Attributes (read them):
        limits: what the dispatch may ask of the machines.
        area_of_load: whether a load is in an area, [load, area]; area_of_renewable: likewise, [renewable, area].
    """

    def __init__(self, case: Case, config: ScenarioConfig, time_s: FloatArray) -> None:
        """For episodes of these times [s], [time]."""
        self._case, self._config, self._end_s = case, config, float(time_s[-1])
        self.limits = dispatch_limits(case.machine, config.dispatch)
        # Units for whose loss the reserve is sized.
        self._credible: BoolArray = ~case.machine.is_equivalent & (
            case.machine.p_mw <= config.dispatch.reserve_unit_mw
        )
        swing = swing_of(case)
        self._load_damping = swing.load_damping
        self._gain_mw_per_hz = swing.governor.gain_mw_per_hz * governor_share(case.machine)
        area = np.arange(case.n_area)
        self._machine_area = case.bus.area[case.machine.bus]
        self.area_of_load = (case.bus.area[case.load.bus][:, None] == area).astype(np.float64)
        self.area_of_renewable = (case.bus.area[case.renewable.bus][:, None] == area).astype(np.float64)
        self._nominal_area_mw = case.load.p_mw @ self.area_of_load
        self._published_area_mw: FloatArray = np.bincount(
            self._machine_area, case.machine.p_mw, minlength=case.n_area
        ).astype(np.float64)

    def _n_mark(self, mark_s: FloatArray) -> int:
        """Marks up to the first after the end of the episode."""
        return int(np.searchsorted(mark_s, self._end_s)) + 1

    def planned_powers(
        self,
        powers: ExogenousPowers,
        mark_s: FloatArray,
        planned_load_mw: FloatArray,
        planned_renewable_mw: FloatArray,
        knot_s: FloatArray,
        level: FloatArray,
        available_mw: FloatArray,
    ) -> PlannedPowers:
        """What loads, wind and sun will be at the marks up to the first after the end."""
        n_mark = self._n_mark(mark_s)
        mark_level = between_knots(mark_s[:n_mark], knot_s, level)
        mark_available_mw = between_knots(mark_s[:n_mark], knot_s, np.ascontiguousarray(available_mw))
        actual_mw = np.maximum(mark_available_mw.sum(axis=1), 1e-9)
        plant_mw = mark_available_mw * (planned_renewable_mw[:n_mark] / actual_mw)[:, None]
        actual_load_mw = mark_level @ powers.region_weight * powers.nominal_mw
        bus_mw = (
            mark_level[:, powers.load_region]
            * self._case.load.p_mw
            * (planned_load_mw[:n_mark] / actual_load_mw)[:, None]
        )
        return PlannedPowers(
            load_mw=planned_load_mw,
            renewable_mw=planned_renewable_mw,
            bus_mw=bus_mw,
            plant_mw=plant_mw,
            area_load_mw=bus_mw @ self.area_of_load,
            area_renewable_mw=plant_mw @ self.area_of_renewable,
        )

    def commitment(self, area_load_mw: FloatArray, area_renewable_mw: FloatArray) -> FloatArray:
        """How much of each machine is in the schedule from each mark to the next, [mark, machine].

        Args:
            area_load_mw: load of each area as forecast [MW], [mark, area].
            area_renewable_mw: wind and sun likewise [MW], [mark, area].
        """
        machine, config = self._case.machine, self._config
        if not config.commitment:
            return np.ones((len(area_load_mw), len(machine.name)))
        demand_mw = area_demand(
            area_load_mw,
            area_renewable_mw,
            FIRST_LOSS_SHARE * area_load_mw.sum(axis=1, keepdims=True),
            self._nominal_area_mw,
            self._published_area_mw,
        )
        return commit(demand_mw, machine, self._machine_area, self.limits.p_max_mw, config.dispatch)

    def stands_a_loss(self, planned: PlannedPowers, share: FloatArray, mark: int, p_mw: FloatArray) -> bool:
        """Whether frequency would settle near enough after the loss of any unit at a mark, p_mw [machine]."""
        damping_mw_per_hz = self._load_damping * float(planned.load_mw[mark]) / self._case.f0_hz
        settled_hz = settles_within(
            p_mw, share[mark], self._credible, self._gain_mw_per_hz, damping_mw_per_hz
        )
        return settled_hz <= self._config.dispatch.largest_loss_hz

    def redispatch(
        self,
        mark_s: FloatArray,
        events: tuple[Event, ...],
        planned: PlannedPowers,
        share: FloatArray,
        losses_mw: LossFunction,
        stands: Callable[[int, FloatArray], bool] | None = None,
    ) -> Plan | None:
        """Machine schedule at the marks, and the share of wind and sun that is not curtailed.

        The line from mark k - 1 to mark k is decided at k - 1, so an outage is made good from the first mark
        after it on, and fully at the second. Losses come from a power flow at a first solution; putting them
        in changes the flows by 1 % and the losses by no more than 2 % of themselves. Wind and sun are
        curtailed when machines at their lower limits and they together would exceed the demand.

        Args:
            mark_s: times of the marks [s], [mark].
            events: outages, and whatever else happens.
            planned: what the dispatch expects.
            share: how much of each machine is in the schedule, [mark, machine].
            losses_mw: of the grid at given powers.
            stands: judges the machines' powers at a mark by its number; the first mark refused ends the plan.

        Returns:
            Schedule [MW], shape [mark, machine], for marks up to the first after the end; share kept, [mark]. None
            where a mark was refused.
        """
        machine, config, n_mark = self._case.machine, self._config, self._n_mark(mark_s)
        in_service = np.ones((n_mark, len(machine.name)), dtype=np.bool_)
        for event in events:
            if event.kind in ("machine_out", "machine_in"):
                in_service[1:][event.time_s <= mark_s[: n_mark - 1], event.index] = event.kind == "machine_in"
        every_mark = np.ones((n_mark, 1))
        least_mw, most_mw = every_mark * self.limits.p_min_mw, every_mark * self.limits.p_max_mw
        if config.commitment:
            in_service &= running_at_marks(share)
            most_mw *= share
            least_mw = np.minimum(config.dispatch.committed_min_share * machine.p_mw * share, most_mw)
        area_total_mw = planned.area_load_mw.sum(axis=1)
        asked = _Marks(
            planned.load_mw,
            planned.renewable_mw,
            planned.area_load_mw,
            planned.area_renewable_mw,
            area_total_mw,
            area_total_mw / self._nominal_area_mw.sum(),
            self._published_area_mw / self._published_area_mw.sum(),
            self._nominal_area_mw,
            in_service,
            least_mw,
            most_mw,
            (least_mw * in_service).sum(axis=1),
            self.limits.ramp_mw,
            machine.cost_linear,
            machine.cost_quadratic,
            self._machine_area,
        )
        p_mw, keep = np.empty((n_mark, len(machine.name))), np.ones(len(mark_s))
        loss_mw = FIRST_LOSS_SHARE * float(planned.load_mw[0])
        for k in range(n_mark):
            _dispatch_mark(asked, k, loss_mw, p_mw, keep)
            loss_mw = losses_mw(planned.bus_mw[k], keep[k] * planned.plant_mw[k], p_mw[k])
            _dispatch_mark(asked, k, loss_mw, p_mw, keep)
            if stands is not None and not stands(k, p_mw[k]):
                return None
        keep[n_mark:] = keep[n_mark - 1]
        return p_mw, keep


@compiled
def _dispatch_mark(asked: _Marks, k: int, loss_mw: float, p_mw: FloatArray, keep: FloatArray) -> None:
    """Dispatch one mark with the losses expected there, after those before it; see `DispatchPlanner.redispatch`.

    Args:
        asked: what is asked of the machines.
        k: number of the mark.
        loss_mw: losses of the whole grid [MW].
        p_mw: filled in [MW], [mark, machine].
        keep: share of wind and sun that is not curtailed, lowered where they leave the machines too little, [mark].
    """
    room_mw = asked.load_mw[k] + loss_mw - asked.least_total_mw[k]
    if asked.renewable_mw[k] > room_mw:
        keep[k] = max(room_mw, 0.0) / asked.renewable_mw[k]
    demand_mw = np.empty(asked.area_share.size)
    for a in range(demand_mw.size):
        demand_mw[a] = (
            asked.area_share[a] * (asked.area_total_mw[k] + loss_mw)
            + asked.area_load_mw[k, a]
            - asked.level[k] * asked.nominal_area_mw[a]
            - keep[k] * asked.area_renewable_mw[k, a]
        )
    least_mw, most_mw, in_service = asked.least_mw[k], asked.most_mw[k], asked.in_service[k]
    if k > 0:
        low_mw, high_mw = bounds_at_mark(least_mw, most_mw, asked.ramp_mw, p_mw[k - 1], in_service)
    else:
        low_mw, high_mw = bounds_at_mark(least_mw, most_mw, asked.ramp_mw, None, in_service)
    given_mw = dispatch_by_area(
        demand_mw, asked.machine_area, asked.cost_linear, asked.cost_quadratic, low_mw, high_mw
    )
    for i in range(given_mw.size):
        p_mw[k, i] = given_mw[i]


def is_running(mark_s: FloatArray, share: FloatArray, machine: int, time_s: float) -> bool:
    """Whether a machine is in the schedule at a time."""
    mark = min(int(np.searchsorted(mark_s, time_s, side="right")) - 1, len(share) - 1)
    return bool(share[max(mark, 0), machine] > 0.0)
