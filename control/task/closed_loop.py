"""Grid, governors, resources and telemetry together: one control interval of a batch of episodes.

`ClosedLoop.step` reads like the sentence that describes it: move the resources' set-points within their limits, let
loads, renewables and schedules go to the interval's end, integrate frequency and solve the power flow with the
events of the interval, judge the limits, and pass the measurements on. Everything that happens whatever the
controllers do is laid down in an `Episode` when an environment is reset.

Three levels of control meet here: primary control is inside the grid model, secondary control is the `action` of
whoever calls `step`, tertiary control is the machines' schedule of the episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.plants.fleet import (
    FleetState,
    PlantParameters,
    advance_plants,
    capacity_utilisation,
    disconnect_plants,
    grant_room,
    utilisation_of,
)
from control.scenario.episode import Episode, EpisodeBuilder, ScenarioConfig
from control.scenario.fleet_sizing import fleet_of
from control.scenario.wide import Dynamics
from control.scheduling.planned_grid import SETTLING_STEPS, PlannedGrid
from control.scheduling.voltage import next_reactor_share
from control.task.limits import (
    FrequencyLimits,
    GridLimits,
    Judgement,
    LimitCheck,
    check_limits,
    empty_judgement,
)
from control.telemetry.scada import FORECAST, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada
from grid_model.compilation import compiled
from grid_model.dynamics.events import Event
from grid_model.dynamics.group_sums import weigh_by_inertia, weigh_groups
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.interruption import Interruption
from grid_model.dynamics.parameters import SwingConfig, swing_of
from grid_model.dynamics.simulator import GridSimulator
from grid_model.kernels.bus_injection import served_load
from grid_model.kernels.held import hold
from grid_model.kernels.structs import GridArrays

__all__ = ["BALANCE_S", "ClosedLoop", "FrequencyLimits", "LimitCheck"]

BALANCE_S = (
    300.0  # an episode starts in balance; what was added to the schedule for that is taken out over this time
)


class EpisodeArrays(NamedTuple):
    """The episodes side by side, so that one step reads one row of each environment."""

    interval: IntArray  # intervals done, [env]
    next_event_s: FloatArray  # times of the events to come next, [env]
    load_mw: FloatArray  # [env, time, load]
    renewable_mw: FloatArray  # [env, time, renewable]
    schedule_mw: FloatArray  # [env, time, machine]
    redispatched: BoolArray  # whether the machines have just been dispatched anew, [env, time]
    clock: FloatArray  # hour and weekday, [env, time, 2]
    forecast_deviation_mw: FloatArray  # forecast of renewables less their schedule ahead, [env, time, 5]
    mvar_per_mw: FloatArray  # of each load, [load]
    n_intervals: int
    interval_s: float


class LoopArrays(NamedTuple):
    """All that the compiled functions know of the loop besides its grid."""

    episodes: EpisodeArrays
    plants: PlantParameters
    plant_state: FleetState
    plant_bus: IntArray  # [resource]
    bus_live: BoolArray  # [env, bus]
    interruption: Interruption  # of the last interval
    coming: Injections  # the grid's arrays for what acts at the end of the next interval
    limits: GridLimits


class Measurement(NamedTuple):
    """What is known at an interval's end, see the attributes of `ClosedLoop`."""

    bus_df_hz: FloatArray  # [env, bus]
    coi_df_hz: FloatArray  # [env]
    served_mw: FloatArray  # [env, load]
    hour: FloatArray  # [env]
    weekday: FloatArray  # [env]
    signals: FloatArray  # what is sent to the control centre, [env, signal]


class Exogenous(NamedTuple):
    """What acts on one grid through an episode, at the ends of its intervals."""

    load_mw: FloatArray  # [time, load]
    renewable_mw: FloatArray  # [time, renewable]
    schedule_mw: FloatArray  # with what begins the episode in balance, [time, machine]
    committed_share: FloatArray  # [time, machine]
    redispatched: BoolArray  # whether the machines have just been dispatched anew, [time]


class ClosedLoop:
    """A batch of episodes of one scenario.

    Attributes (read them, change them only through the methods):
        grid: the coupled grids; fleet: the resources' data; resources: their state.
        plan: a grid of its own, on which plans are tried.
        interval: intervals done in the current episode, [env].
        episode: the episode of each environment.
        bus_df_hz, coi_df_hz: frequency deviations at the interval's end, [env, bus] and [env].
        served_mw: loads as they are there, at 60 Hz: after steps, shedding and lost buses, [env, load].
        hour, weekday: 0 to 24, and Monday 0 to Sunday 6, there, [env]. These five are replaced, never changed.
        scada: how measurements come to the control centre: centre of inertia, every bus, the forecasts' deviations.
    """

    def __init__(
        self,
        case: Case,
        series: Series,
        scenario: ScenarioConfig,
        n_env: int,
        *,
        swing: SwingConfig | None = None,
        limits: FrequencyLimits | None = None,
        check: bool = True,
    ) -> None:
        """Build the batch; call `reset` for all environments before the first `step`.

        Args:
            case: the grid.
            series: the real year of load, wind and sun behind the scenario.
            scenario: what the episodes are drawn from, with the length of interval and episode.
            n_env: number of environments.
            swing: frequency model, but for inertia and dead band, which are the scenario's; the usual one if None.
            limits: of frequency; the usual ones if None.
            check: let pandapower confirm the power-flow engine, see `NewtonEngine`.

        Raises:
            ValueError: n_env is not positive, or `swing` has an inertia or a dead band of its own.
        """
        if n_env < 1:
            raise ValueError(f"n_env = {n_env}, expected at least 1")
        swing = scenario.frequency_model(swing or swing_of(case))
        self.case = case
        self.scenario = scenario
        self.n_env = n_env
        self.limits = limits or FrequencyLimits()
        self.fleet = fleet_of(case, scenario)
        self.grid = GridSimulator(
            case,
            n_env,
            swing,
            resource_lag_s=self.fleet.lag_s,
            interval_s=scenario.interval_s,
            storage=self.fleet.storage,
            check=check,
        )
        self.plan = PlannedGrid(case, commitment=scenario.commitment)
        self._builder = EpisodeBuilder(case, series, scenario)
        self._balance = np.maximum(
            0.0, 1.0 - np.arange(scenario.n_intervals + 1) * scenario.interval_s / BALANCE_S
        )
        n_time = scenario.n_intervals + 1
        self.interval = np.zeros(n_env, dtype=np.int64)
        self.episode: list[Episode | None] = [None] * n_env
        self._next_event = np.zeros(n_env, dtype=np.int64)
        self.forecast_renewable_deviation_mw = np.zeros((n_env, n_time, 5))
        self._episodes = EpisodeArrays(
            interval=self.interval,
            next_event_s=np.full(n_env, np.inf),
            load_mw=np.zeros((n_env, n_time, case.n_load)),
            renewable_mw=np.zeros((n_env, n_time, case.n_renewable)),
            schedule_mw=np.zeros((n_env, n_time, case.n_machine)),
            redispatched=np.zeros((n_env, n_time), dtype=np.bool_),
            clock=np.zeros((n_env, n_time, 2)),
            forecast_deviation_mw=self.forecast_renewable_deviation_mw,
            mvar_per_mw=self.plan.mvar_per_mw,
            n_intervals=scenario.n_intervals,
            interval_s=scenario.interval_s,
        )
        self._committed_share = np.ones((n_env, n_time, case.n_machine))
        self.resources = self.fleet.start(n_env)
        self._arrays = hold(
            LoopArrays(
                episodes=self._episodes,
                plants=self.fleet.parameters,
                plant_state=self.resources,
                plant_bus=case.resource.bus,
                bus_live=self.grid.engine.bus_live,
                interruption=self.grid.interruptions.mean,
                coming=self.grid.coming_injections,
                limits=GridLimits(
                    rate_a_mva=case.branch.rate_a_mva,
                    rate_b_mva=case.branch.rate_b_mva,
                    vm_min_pu=case.bus.vm_min_pu,
                    vm_max_pu=case.bus.vm_max_pu,
                ),
            )
        )
        self.scada = Scada(
            config=scenario.scada,
            signal_class=np.array([SYSTEM_FREQUENCY] + [NEIGHBOUR_FREQUENCY] * case.n_bus + [FORECAST] * 5),
            n_env=n_env,
        )
        self._all = np.arange(n_env)
        self._elements_out = np.zeros(n_env, dtype=np.int64)
        self._rebound_mw = np.zeros((n_env, case.n_resource))  # at the interval's beginning
        self._dispatched_before = False  # whether any machines were dispatched anew in the last interval
        self._measure()

    @property
    def schedule_slope_mw(self) -> FloatArray:
        """Change of all machines' schedule in the coming interval [MW], [env]."""
        last = self.scenario.n_intervals
        now, then = self.interval, np.minimum(self.interval + 1, last)
        schedule_mw = self._episodes.schedule_mw
        return (schedule_mw[self._all, then] - schedule_mw[self._all, now]).sum(axis=1)

    @property
    def schedule_mw(self) -> FloatArray:
        """Schedule of the machines at the ends of all intervals of these episodes [MW], [env, time, machine]."""
        return self._episodes.schedule_mw

    @property
    def redispatched(self) -> BoolArray:
        """Whether a mark of the dispatch lies in the interval that ends there, [env, time]."""
        return self._episodes.redispatched

    @property
    def own_df_hz(self) -> FloatArray:
        """Frequency deviation at the plants' buses, [env, resource]."""
        return self.bus_df_hz[:, self.case.resource.bus]

    @property
    def renewable_mw(self) -> FloatArray:
        """What wind and sun have to give at the interval's end [MW], [env, renewable]."""
        return self.grid.injections.renewable_mw

    @property
    def utilisation(self) -> FloatArray:
        """State of charge of batteries, share of the range in use of the others, [env, resource]."""
        return capacity_utilisation(self.resources, self.fleet)

    @property
    def elements_out(self) -> IntArray:
        """Circuits, transformers and units out of service though they are in the schedule, [env]."""
        return self._elements_out

    def exogenous(self, env: int) -> Exogenous:
        """What acts on an environment's grid through its episode, whatever its plants do; copies."""
        rows = self._episodes
        return Exogenous(
            rows.load_mw[env].copy(),
            rows.renewable_mw[env].copy(),
            rows.schedule_mw[env].copy(),
            self._committed_share[env].copy(),
            rows.redispatched[env].copy(),
        )

    def reset(self, envs: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Start a new episode in each environment named, drawn from its own generator."""
        rows = self._episodes
        for env, rng in zip(envs, generators, strict=True):
            episode = self._builder.build(
                rng, self.plan.losses_mw, self.plan.outage_is_secure, self.plan.base_cases_hold
            )
            self.episode[env] = episode
            if episode.dynamics is not None:
                self._set_dynamics(env, episode.dynamics)
            rows.load_mw[env] = episode.p_load_mw
            rows.renewable_mw[env] = episode.p_renewable_mw
            rows.schedule_mw[env] = episode.p_schedule_mw
            self._committed_share[env] = episode.committed_share
            rows.clock[env, :, 0], rows.clock[env, :, 1] = episode.hour_of_day, episode.day_of_week
            time_s = 60.0 * episode.start_minute + self.scenario.interval_s * np.arange(
                self.scenario.n_intervals + 1
            )
            rows.redispatched[env, 1:] = np.diff(time_s // self.scenario.dispatch.interval_s) > 0.0
            self.forecast_renewable_deviation_mw[env] = (
                episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw
            )
        self.interval[envs] = 0
        self._next_event[envs] = 0
        self._episodes.next_event_s[envs] = [self._time_of_next_event(env) for env in envs]
        self.fleet.reset(self.resources, envs, np.stack([self._episode(env).soc_start for env in envs]))
        injections = self._first_injections(envs)
        share = np.stack([self.plan.first_reactor_share(load_mw) for load_mw in injections.load_mw])
        offset_mw = self.grid.start(
            envs,
            injections,
            share,
            next_share=next_reactor_share,
            n_switching=SETTLING_STEPS - 1,
            committed_share=self._committed_share[envs, 0],
        )
        rows.schedule_mw[envs] += offset_mw[:, None, :] * self._balance[None, :, None]
        self.grid.shift_schedule(envs, offset_mw)
        self._elements_out[envs] = 0
        self._measure()
        self.scada.reset(envs, [self._episode(env).scada_key for env in envs], self._signals_now[envs])

    def _set_dynamics(self, env: int, drawn: Dynamics) -> None:
        """Make the grid of an environment what its episode says, before it starts."""
        machine, topology = self.case.machine, self.grid.topology
        topology.inertia_share[env] = drawn.inertia_mws / (machine.h_s * machine.base_mva).sum()
        topology.adopt(env)
        topology.swing.dead_band_hz[env] = drawn.governor_dead_band_hz
        self.scada.set_delay(env, drawn.scada_delay_intervals)

    def step(self, action: FloatArray) -> LimitCheck:
        """One control interval.

        Args:
            action: of each resource, -1 to 1 of what its ramp allows in an interval, [env, resource].

        Raises:
            RuntimeError: the episode of an environment is over; nothing has moved.
        """
        over, due, dispatched, change_mw = self._begin_interval(action)
        if over > 0:
            raise RuntimeError(
                f"the episodes of {over} of {self.n_env} environments are over; call reset first"
            )
        events = self._events() if due else {}
        if dispatched:
            self._switch_reactors()
        # A mark in the interval before; an episode that has just begun has none behind it.
        if self._dispatched_before and self.scenario.commitment:
            self._follow_commitment()
        self._dispatched_before = dispatched
        solved = self.grid.advance(self.grid.coming_injections, events)
        if self.grid.storage is not None:
            self.resources.energy_mwh[:, self.grid.storage.resource] -= self.grid.storage.drawn_mwh
        result = self._end_interval(solved, change_mw)
        self.scada.advance(self._signals_now)
        return result

    def power_gap_mw(self) -> FloatArray:
        """What plants and machines give less what loads take and circuits lose [MW], [env].

        Loads are as they are at their frequency and voltage. At the last interval's end; apart from the solver's
        mismatch at every bus it is zero.
        """
        grid, case = self.grid, self.case
        engine, injections = grid.engine, grid.injections

        def total(values: FloatArray, bus: IntArray) -> FloatArray:
            return np.sum(np.where(engine.bus_live[:, bus], values, 0.0), axis=1)

        given_mw = (
            grid.machine_mw.sum(axis=1)
            + grid.renewable_mw().sum(axis=1)
            + total(injections.resource_mw, case.resource.bus)
        )
        if grid.storage is not None:
            given_mw += total(grid.storage.response_mw, case.resource.bus[grid.storage.resource])
        losses_mw = (engine.s_from_mva + engine.s_to_mva).real.sum(axis=1)
        gap_mw: FloatArray = given_mw - grid.drawn_mw() - losses_mw
        return gap_mw

    def get_state(self) -> dict[str, Any]:
        """Everything but the episodes, which a generator's state rebuilds, see `set_state`."""
        return {
            "interval": self.interval.copy(),
            "next_event": self._next_event.copy(),
            "grid": self.grid.get_state(),
            "resources": self.resources.get_state(),
            "scada": self.scada.get_state(),
        }

    def set_state(self, state: Mapping[str, Any], generators: Sequence[np.random.Generator]) -> None:
        """Continue from a state that `get_state` returned.

        Args:
            state: of as many environments of the same scenario.
            generators: one per environment, in the state it had before the current episode was drawn.

        Raises:
            ValueError: the state is of another version of the simulator, or of other plants, signals or environments.
        """
        self.reset(self._all, generators)
        self.interval[:] = state["interval"]
        self._next_event[:] = state["next_event"]
        self.grid.set_state(state["grid"])
        self.resources.set_state(state["resources"])
        self.scada.set_state(state["scada"])
        engine = self.grid.engine
        committed = self.grid.topology.committed_share > 0.0
        self._elements_out = np.count_nonzero(~engine.branch_in_service, axis=1) + np.count_nonzero(
            committed & ~engine.machine_in_service, axis=1
        )
        self._episodes.next_event_s[:] = [self._time_of_next_event(env) for env in range(self.n_env)]
        self._dispatched_before = bool(self._episodes.redispatched[self._all, self.interval].any())
        self._measure()

    def _episode(self, env: int) -> Episode:
        episode = self.episode[env]
        if episode is None:
            raise RuntimeError(f"environment {env} has no episode yet, call reset first")
        return episode

    def _first_injections(self, envs: IntArray) -> Injections:
        """What acts where the episodes of these environments begin, a row for each."""
        episodes, plants, now = self._episodes, self.resources, self.interval[envs]
        load_mw = episodes.load_mw[envs, now]
        return Injections(
            load_mw=load_mw,
            load_mvar=load_mw * episodes.mvar_per_mw,
            renewable_mw=episodes.renewable_mw[envs, now],
            schedule_mw=episodes.schedule_mw[envs, now],
            set_point_mw=plants.set_point_mw[envs],
            resource_mw=plants.output_mw[envs],
        )

    def _begin_interval(self, action: FloatArray) -> tuple[int, bool, bool, FloatArray]:
        """Move the plants, and look up what acts at the interval's end, see `_begin`; with the plants' changes [MW]."""
        change_mw, plants = np.empty_like(self.resources.command_mw), self.resources
        self._rebound_mw = plants.set_point_mw - plants.command_mw
        wanted = np.ascontiguousarray(action, dtype=np.float64)
        storage = self.grid.storage
        if storage is not None:
            grant_room(self.resources, self.fleet.parameters, storage, True)
        over, due, dispatched = _begin(self._arrays, wanted, change_mw)
        if storage is not None:
            grant_room(self.resources, self.fleet.parameters, storage, False)
        return over, due, dispatched, change_mw

    def _switch_reactors(self) -> None:
        """Reactors follow the voltages where the machines have just been dispatched anew."""
        grid, reactor_bus = self.grid, self.case.reactor.bus
        for env in self._episodes.redispatched[self._all, self.interval].nonzero()[0].tolist():
            share = grid.engine.reactor_share[env]
            wanted = next_reactor_share(share, np.abs(grid.engine.v_pu[env, reactor_bus]))
            if np.any(wanted != share):
                grid.set_reactors(env, wanted)

    def _follow_commitment(self) -> None:
        """Machines join and leave the schedule where a mark of the dispatch lies in the interval before."""
        before = self.interval - 1
        for env in self._episodes.redispatched[self._all, before].nonzero()[0].tolist():
            share = self._committed_share[env, before[env]]
            if np.any(share != self.grid.topology.committed_share[env]):
                self.grid.commit(env, share)

    def _end_interval(self, solved: BoolArray, change_mw: FloatArray) -> LimitCheck:
        """Measure, and judge what the interval came to; solved: the grid still has a power flow, [env]."""
        grid, case, n_env, limits = self.grid, self.case, self.n_env, self.limits
        measured, found = self._new_measurement(), empty_judgement(n_env, case.n_branch, case.n_bus)
        utilisation = np.empty_like(change_mw)
        rebound_change_mw = self.resources.set_point_mw - self.resources.command_mw - self._rebound_mw
        n_beyond = _end(
            grid.arrays,
            self._arrays,
            limits.violation_hz,
            limits.lost_hz,
            solved,
            measured,
            found,
            utilisation,
            change_mw,
        )
        self._take(measured)
        max_abs_hz, frequency, lost = found.max_abs_df_hz, found.frequency_violation, found.grid_lost
        branch, voltage = found.branch_violation, found.voltage_violation
        if n_beyond > 0:
            # A bus lies between the groups, so only where a group leaves the limits need the buses be looked at.
            for env in frequency.nonzero()[0].tolist():
                lowest, highest = grid.bus_extremes_hz(env)
                max_abs_hz[env] = max(-lowest.min(), highest.max())
                frequency[env] = max_abs_hz[env] > limits.violation_hz
                lost[env] = not solved[env] or max_abs_hz[env] > limits.lost_hz
                found.violations[env] = int(frequency[env]) + int(branch[env]) + int(voltage[env])
                found.violations[env] += int(found.unserved_violation[env])
        self._elements_out = found.elements_out
        return LimitCheck(
            sum_bus_square_hz2=found.sum_bus_square_hz2,
            set_point_change_mw=change_mw,
            rebound_change_mw=rebound_change_mw,
            frequency_violation=frequency,
            branch_violation=branch,
            voltage_violation=voltage,
            unserved_violation=found.unserved_violation,
            violations=found.violations,
            grid_lost=lost,
            max_abs_df_hz=max_abs_hz,
            within_36_mhz=found.within_narrow,
            within_200_mhz=found.within_wide,
            loading_percent=found.loading_percent,
            vm_pu=found.vm_pu,
            unserved_mw=found.unserved_mw,
            bus_df_hz=self.bus_df_hz,
            resource_mw=self.resources.output_mw.copy(),
            utilisation=utilisation,
            bus_live=grid.engine.bus_live.copy(),
        )

    def _events(self) -> dict[int, list[Event]]:
        """Events of the interval that has just begun, their time counted from its start."""
        found: dict[int, list[Event]] = {}
        end_s = self.interval * self.scenario.interval_s
        for env in (self._episodes.next_event_s < end_s).nonzero()[0].tolist():
            events = self._episode(env).events
            start_s = (self.interval[env] - 1) * self.scenario.interval_s
            due = found.setdefault(env, [])
            while self._time_of_next_event(env) < end_s[env]:
                event = events[self._next_event[env]]
                due.append(replace(event, time_s=max(event.time_s - start_s, 0.0)))
                self._next_event[env] += 1
            self._episodes.next_event_s[env] = self._time_of_next_event(env)
        return found

    def _time_of_next_event(self, env: int) -> float:
        events, at = self._episode(env).events, self._next_event[env]
        return events[at].time_s if at < len(events) else np.inf

    def _measure(self) -> None:
        """Take in how things stand now."""
        measured = self._new_measurement()
        _measure(self.grid.arrays, self._episodes, measured)
        self._take(measured)

    def _new_measurement(self) -> Measurement:
        """New arrays each time, so that what was given away stays as it was."""
        case, n_env = self.case, self.n_env
        return Measurement(
            bus_df_hz=np.empty((n_env, case.n_bus)),
            coi_df_hz=np.empty(n_env),
            served_mw=np.empty((n_env, case.n_load)),
            hour=np.empty(n_env),
            weekday=np.empty(n_env),
            signals=np.empty((n_env, len(self.scada.signal_class))),
        )

    def _take(self, measured: Measurement) -> None:
        self.bus_df_hz, self.coi_df_hz, self.served_mw = measured[:3]
        self.hour, self.weekday, self._signals_now = measured[3:]


@compiled
def _begin(loop: LoopArrays, action: FloatArray, change_mw: FloatArray) -> tuple[int, bool, bool]:
    """Count one interval more, move every plant and look up what acts at the interval's end.

    Where an episode is over, nothing of this is done: what follows would read beyond its end.

    Args:
        loop: of it `coming` is filled, and intervals and plants are moved on.
        action: of each plant, share of its largest change, -1 to 1 (cut there), [env, resource].
        change_mw: filled with the change of each plant's command [MW], [env, resource].

    Returns:
        Episodes that are over, whether an event falls into the new interval, and whether a new dispatch began with it.
    """
    episodes, plants, coming = loop.episodes, loop.plant_state, loop.coming
    interval, over = episodes.interval, 0
    for e in range(interval.size):
        over += int(interval[e] >= episodes.n_intervals)
    due, dispatched = False, False
    if over == 0:
        for e in range(interval.size):
            interval[e] += 1
            due |= episodes.next_event_s[e] < interval[e] * episodes.interval_s
            dispatched |= episodes.redispatched[e, interval[e]]
        advance_plants(plants, action, loop.plants, loop.plant_bus, loop.bus_live, change_mw)
        for e in range(interval.size):
            at = interval[e]
            # Numba takes a second to compile an assignment of arrays; a loop costs nothing.
            for i in range(coming.load_mw.shape[1]):
                coming.load_mw[e, i] = episodes.load_mw[e, at, i]
                coming.load_mvar[e, i] = episodes.load_mw[e, at, i] * episodes.mvar_per_mw[i]
            for i in range(coming.renewable_mw.shape[1]):
                coming.renewable_mw[e, i] = episodes.renewable_mw[e, at, i]
            for i in range(coming.schedule_mw.shape[1]):
                coming.schedule_mw[e, i] = episodes.schedule_mw[e, at, i]
            for i in range(coming.set_point_mw.shape[1]):
                coming.set_point_mw[e, i] = plants.set_point_mw[e, i]
                coming.resource_mw[e, i] = plants.output_mw[e, i]
    return over, due, dispatched


@compiled
def _end(
    grid: GridArrays,
    loop: LoopArrays,
    violation_hz: float,
    lost_hz: float,
    solved: BoolArray,
    measured: Measurement,
    judgement: Judgement,
    utilisation: FloatArray,
    change_mw: FloatArray,
) -> int:
    """Measure and judge an interval's end; the last four arguments are filled, the result is `check_limits`'.

    Of change_mw only what plants on dead buses have moved is changed, to nothing.
    """
    injected = grid.profile.end
    disconnect_plants(loop.plant_state, loop.plant_bus, loop.bus_live, injected, change_mw)
    _measure(grid, loop.episodes, measured)
    utilisation_of(loop.plant_state, loop.plants, utilisation)
    return check_limits(grid, loop.limits, violation_hz, lost_hz, solved, loop.interruption, judgement)


@compiled
def _measure(grid: GridArrays, episodes: EpisodeArrays, measured: Measurement) -> None:
    """Frequencies, loads, clock and what is sent to the control centre."""
    df_hz, profile, clock = grid.group_state.df_hz, grid.profile, episodes.clock
    bus_df_hz, coi_df_hz, signals = measured.bus_df_hz, measured.coi_df_hz, measured.signals
    forecast_mw = episodes.forecast_deviation_mw
    n_env, n_bus = bus_df_hz.shape
    weigh_groups(grid.network.bus_frequency, df_hz, bus_df_hz)
    inertia = grid.groups.inertia_mws_per_hz
    weigh_by_inertia(df_hz, inertia, coi_df_hz)
    served_load(
        profile.end.load_mw,
        profile.load_step_mw,
        profile.served_share,
        grid.status.bus,
        grid.placement.load_bus,
        measured.served_mw,
    )
    for e in range(n_env):
        at = episodes.interval[e]
        measured.hour[e], measured.weekday[e] = clock[e, at, 0], clock[e, at, 1]
        signals[e, 0] = coi_df_hz[e]
        for k in range(n_bus):
            signals[e, 1 + k] = bus_df_hz[e, k]
        for k in range(forecast_mw.shape[2]):
            signals[e, 1 + n_bus + k] = forecast_mw[e, at, k]
