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
from typing import Any

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.plants.fleet import capacity_utilisation
from control.scenario.episode import Episode, EpisodeBuilder, ScenarioConfig
from control.scenario.fleet_sizing import fleet_of
from control.scheduling.planned_grid import SETTLING_STEPS, PlannedGrid
from control.scheduling.voltage import next_reactor_share
from control.task.limits import FrequencyLimits, LimitCheck, check_limits
from control.telemetry.scada import FORECAST, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada
from grid_model.dynamics.events import Event
from grid_model.dynamics.group_sums import centre_of_inertia, weigh_groups
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.simulator import GridSimulator
from grid_model.kernels.bus_injection import served_load

__all__ = ["BALANCE_S", "ClosedLoop", "FrequencyLimits", "LimitCheck"]

BALANCE_S = (
    300.0  # an episode starts in balance; what was added to the schedule for that is taken out over this time
)


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
        scada: what the control centre has of SIGNALS: centre of inertia, every bus, the forecasts' deviations.
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
            case: the grid; series: the real year behind the scenario; n_env: number of environments.
            swing: frequency model, but for inertia and dead band, which are the scenario's.
            limits: of frequency. check: let pandapower confirm the power-flow engine.

        Raises:
            ValueError: n_env is not positive, or `swing` has an inertia or a dead band of its own.
        """
        if n_env < 1:
            raise ValueError(f"n_env = {n_env}, expected at least 1")
        swing = scenario.frequency_model(swing or SwingConfig())
        self.case = case
        self.scenario = scenario
        self.n_env = n_env
        self.limits = limits or FrequencyLimits()
        self.fleet = fleet_of(case, scenario)
        self.grid = GridSimulator(
            case, n_env, swing, resource_lag_s=self.fleet.lag_s, interval_s=scenario.interval_s, check=check
        )
        self.plan = PlannedGrid(case)
        self._builder = EpisodeBuilder(case, series, scenario)
        self._balance = np.maximum(
            0.0, 1.0 - np.arange(scenario.n_intervals + 1) * scenario.interval_s / BALANCE_S
        )
        n_time = scenario.n_intervals + 1
        self.interval = np.zeros(n_env, dtype=np.int64)
        self.episode: list[Episode | None] = [None] * n_env
        # The episodes' powers side by side, so that one step reads one row of each environment.
        self._load_mw = np.zeros((n_env, n_time, case.n_load))
        self._renewable_mw = np.zeros((n_env, n_time, case.n_renewable))
        self._schedule_mw = np.zeros((n_env, n_time, case.n_machine))
        self._clock = np.zeros((n_env, n_time, 2))  # hour, weekday
        self._redispatched = np.zeros((n_env, n_time), dtype=np.bool_)
        self.forecast_renewable_deviation_mw = np.zeros((n_env, n_time, 5))
        self._next_event = np.zeros(n_env, dtype=np.int64)
        self._next_event_s = np.full(n_env, np.inf)  # times of the events to come next
        self.resources = self.fleet.start(n_env)
        self.scada = Scada(
            config=scenario.scada,
            signal_class=np.array([SYSTEM_FREQUENCY] + [NEIGHBOUR_FREQUENCY] * case.n_bus + [FORECAST] * 5),
            n_env=n_env,
        )
        self._all = np.arange(n_env)
        self._elements_out = np.zeros(n_env, dtype=np.int64)
        self._signals_now = np.zeros((n_env, len(self.scada.signal_class)))
        self._measure()

    @property
    def schedule_slope_mw(self) -> FloatArray:
        """Change of all machines' schedule in the coming interval [MW], [env]."""
        last = self.scenario.n_intervals
        now, then = self.interval, np.minimum(self.interval + 1, last)
        return (self._schedule_mw[self._all, then] - self._schedule_mw[self._all, now]).sum(axis=1)

    @property
    def utilisation(self) -> FloatArray:
        """State of charge of batteries, share of the range in use of the others, [env, resource]."""
        return capacity_utilisation(self.resources, self.fleet)

    @property
    def elements_out(self) -> IntArray:
        """Circuits, transformers and units out of service, [env]."""
        return self._elements_out

    def reset(self, envs: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Start a new episode in each environment named, drawn from its own generator."""
        for env, rng in zip(envs, generators, strict=True):
            episode = self._builder.build(rng, self.plan.losses_mw, self.plan.outage_is_secure)
            self.episode[env] = episode
            self._load_mw[env] = episode.p_load_mw
            self._renewable_mw[env] = episode.p_renewable_mw
            self._schedule_mw[env] = episode.p_schedule_mw
            self._clock[env, :, 0], self._clock[env, :, 1] = episode.hour_of_day, episode.day_of_week
            time_s = 60.0 * episode.start_minute + self.scenario.interval_s * np.arange(
                self.scenario.n_intervals + 1
            )
            self._redispatched[env, 1:] = np.diff(time_s // self.scenario.dispatch.interval_s) > 0.0
            self.forecast_renewable_deviation_mw[env] = (
                episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw
            )
        self.interval[envs] = 0
        self._next_event[envs] = 0
        self._next_event_s[envs] = [self._time_of_next_event(env) for env in envs]
        self.fleet.reset(self.resources, envs, np.stack([self._episode(env).soc_start for env in envs]))
        inputs = self._inputs(envs)
        share = np.stack([self.plan.first_reactor_share(load_mw) for load_mw in inputs.load_mw])
        offset_mw = self.grid.start(
            envs, inputs, share, next_share=next_reactor_share, n_switching=SETTLING_STEPS - 1
        )
        self._schedule_mw[envs] += offset_mw[:, None, :] * self._balance[None, :, None]
        self.grid.shift_schedule(envs, offset_mw)
        self._elements_out[envs] = 0
        self._measure()
        self.scada.reset(envs, [self._episode(env).scada_key for env in envs], self._signals_now[envs])

    def step(self, action: FloatArray) -> LimitCheck:
        """One control interval.

        Args:
            action: wish of each resource, -1 to 1 of what its ramp allows in an interval, [env, resource].

        Raises:
            RuntimeError: the episode of an environment is over; nothing has moved.
        """
        over, due, dispatched = _move_on(
            self.interval,
            self.scenario.n_intervals,
            self._next_event_s,
            self._redispatched,
            self.scenario.interval_s,
        )
        if over > 0:
            raise RuntimeError(
                f"the episodes of {over} of {self.n_env} environments are over; call reset first"
            )
        change_mw = self.advance_resources(action)
        events = self._events() if due else {}
        if dispatched:
            self._switch_reactors()
        solved = self.grid.advance(self._inputs(self._all), events)
        self._measure()
        result = self._judge(solved, change_mw)
        self.scada.advance(self._signals_now)
        return result

    def advance_resources(self, action: FloatArray) -> FloatArray:
        """Move every plant through the interval within its limits; the change of its command [MW], [env, resource]."""
        return self.fleet.advance(self.resources, action)

    def power_gap_mw(self) -> FloatArray:
        """What plants and machines give less what loads take at their frequency and circuits lose [MW], [env].

        At the last interval's end; apart from the solver's mismatch at every bus it is zero.
        """
        grid, case = self.grid, self.case
        engine, inputs = grid.engine, grid.inputs
        df_hz = np.einsum("ebg,ge->eb", grid.topology.impact_share, grid.df_hz)[:, case.load.bus]
        per_hz = grid.config.load_damping / case.f0_hz
        load_mw = (
            (inputs.load_mw + grid.profile.load_step_mw) * grid.profile.served_share * (1.0 + per_hz * df_hz)
        )

        def total(values: FloatArray, bus: IntArray) -> FloatArray:
            return np.sum(np.where(engine.bus_live[:, bus], values, 0.0), axis=1)

        given_mw = (
            grid.machine_mw.sum(axis=1)
            + total(inputs.renewable_mw, case.renewable.bus)
            + total(inputs.resource_mw, case.resource.bus)
        )
        losses_mw = (engine.s_from_mva + engine.s_to_mva).real.sum(axis=1)
        gap_mw: FloatArray = given_mw - total(load_mw, case.load.bus) - losses_mw
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
            generators: one per environment, in the state it had before the current episode was drawn.
        """
        self.reset(self._all, generators)
        self.interval[:] = state["interval"]
        self._next_event[:] = state["next_event"]
        self.grid.set_state(state["grid"])
        self.resources.set_state(state["resources"])
        self.scada.set_state(state["scada"])
        engine = self.grid.engine
        self._elements_out = np.count_nonzero(~engine.branch_in_service, axis=1) + np.count_nonzero(
            ~engine.machine_in_service, axis=1
        )
        self._next_event_s[:] = [self._time_of_next_event(env) for env in range(self.n_env)]
        self._measure()

    def _episode(self, env: int) -> Episode:
        episode = self.episode[env]
        if episode is None:
            raise RuntimeError(f"environment {env} has no episode yet, call reset first")
        return episode

    def _inputs(self, envs: IntArray) -> Injections:
        n, case, plants = len(envs), self.case, self.resources
        load_mw, load_mvar = np.empty((n, case.n_load)), np.empty((n, case.n_load))
        renewable_mw, schedule_mw = np.empty((n, case.n_renewable)), np.empty((n, case.n_machine))
        set_point_mw, resource_mw = np.empty((2, n, case.n_resource))
        _fill_inputs(
            envs,
            self.interval,
            self._load_mw,
            self.plan.mvar_per_mw,
            self._renewable_mw,
            self._schedule_mw,
            plants.set_point_mw,
            plants.output_mw,
            load_mw,
            load_mvar,
            renewable_mw,
            schedule_mw,
            set_point_mw,
            resource_mw,
        )
        return Injections(
            load_mw=load_mw,
            load_mvar=load_mvar,
            renewable_mw=renewable_mw,
            schedule_mw=schedule_mw,
            set_point_mw=set_point_mw,
            resource_mw=resource_mw,
        )

    def _switch_reactors(self) -> None:
        """Reactors follow the voltages where the machines have just been dispatched anew."""
        grid, reactor_bus = self.grid, self.case.reactor.bus
        for env in self._redispatched[self._all, self.interval].nonzero()[0].tolist():
            share = grid.engine.reactor_share[env]
            wanted = next_reactor_share(share, np.abs(grid.engine.v_pu[env, reactor_bus]))
            if np.any(wanted != share):
                grid.set_reactors(env, wanted)

    def _judge(self, solved: BoolArray, change_mw: FloatArray) -> LimitCheck:
        """What the interval came to; solved: every power flow found a solution, [env]."""
        grid, case, n_env = self.grid, self.case, self.n_env
        engine, inputs, limits = grid.engine, grid.inputs, self.limits
        loading_percent, vm_pu = np.empty((n_env, case.n_branch)), np.empty((n_env, case.n_bus))
        figures, counts = np.empty((5, n_env)), np.empty((2, n_env), dtype=np.int64)
        flags = np.empty((4, n_env), dtype=np.bool_)
        n_beyond = check_limits(
            grid.motion.df_min_hz,
            grid.motion.df_max_hz,
            grid.motion.trace_hz[1:],
            grid.topology.inertia,
            grid.topology.bus_gram,
            grid.motion.second_moment_hz2,
            engine.s_from_mva,
            engine.s_to_mva,
            engine.v_pu,
            case.branch.rate_a_mva,
            case.branch.rate_b_mva,
            case.bus.vm_min_pu,
            case.bus.vm_max_pu,
            engine.branch_in_service,
            engine.machine_in_service,
            engine.bus_live,
            inputs.load_mw,
            grid.profile.load_step_mw,
            grid.profile.served_share,
            case.load.bus,
            solved,
            limits.violation_hz,
            limits.lost_hz,
            loading_percent,
            vm_pu,
            figures,
            counts,
            flags,
        )
        max_abs_hz, within_36, within_200, sum_square_hz2, unserved_mw = figures
        frequency, branch, voltage, lost = flags
        if n_beyond > 0:
            # A bus lies between the groups, so only where a group leaves the limits need the buses be looked at.
            for env in frequency.nonzero()[0].tolist():
                lowest, highest = grid.bus_extremes_hz(env)
                max_abs_hz[env] = max(-lowest.min(), highest.max())
                frequency[env] = max_abs_hz[env] > limits.violation_hz
                lost[env] = not solved[env] or max_abs_hz[env] > limits.lost_hz
                counts[1, env] = int(frequency[env]) + int(branch[env]) + int(voltage[env])
        self._elements_out = counts[0]
        return LimitCheck(
            sum_bus_square_hz2=sum_square_hz2,
            set_point_change_mw=change_mw,
            frequency_violation=frequency,
            branch_violation=branch,
            voltage_violation=voltage,
            violations=counts[1],
            grid_lost=lost,
            max_abs_df_hz=max_abs_hz,
            within_36_mhz=within_36,
            within_200_mhz=within_200,
            loading_percent=loading_percent,
            vm_pu=vm_pu,
            unserved_mw=unserved_mw,
            bus_df_hz=self.bus_df_hz,
            resource_mw=self.resources.output_mw.copy(),
            utilisation=self.utilisation,
            bus_live=engine.bus_live.copy(),
        )

    def _events(self) -> dict[int, list[Event]]:
        """Events of the interval that has just begun, their time counted from its start."""
        found: dict[int, list[Event]] = {}
        end_s = self.interval * self.scenario.interval_s
        for env in (self._next_event_s < end_s).nonzero()[0].tolist():
            events = self._episode(env).events
            start_s = (self.interval[env] - 1) * self.scenario.interval_s
            due = found.setdefault(env, [])
            while self._time_of_next_event(env) < end_s[env]:
                event = events[self._next_event[env]]
                due.append(replace(event, time_s=max(event.time_s - start_s, 0.0)))
                self._next_event[env] += 1
            self._next_event_s[env] = self._time_of_next_event(env)
        return found

    def _time_of_next_event(self, env: int) -> float:
        events, at = self._episode(env).events, self._next_event[env]
        return events[at].time_s if at < len(events) else np.inf

    def _measure(self) -> None:
        """Take in the interval's end; into new arrays, so that what was given away stays as it was."""
        grid, case, n_env = self.grid, self.case, self.n_env
        self.bus_df_hz, self.coi_df_hz = np.empty((n_env, case.n_bus)), np.empty(n_env)
        self.hour, self.weekday = np.empty((2, n_env))
        self.served_mw = np.empty((n_env, case.n_load))
        self._signals_now = np.empty((n_env, self._signals_now.shape[1]))
        _measure(
            self.interval,
            grid.df_hz,
            grid.topology.inertia,
            grid.topology.bus_frequency,
            grid.inputs.load_mw,
            grid.profile.load_step_mw,
            grid.profile.served_share,
            grid.engine.bus_live,
            case.load.bus,
            self.forecast_renewable_deviation_mw,
            self._clock,
            self.bus_df_hz,
            self.coi_df_hz,
            self.hour,
            self.weekday,
            self.served_mw,
            self._signals_now,
        )


@numba.njit(cache=True)
def _move_on(
    interval: IntArray,
    n_intervals: int,
    next_event_s: FloatArray,
    redispatched: BoolArray,
    interval_s: float,
) -> tuple[int, bool, bool]:
    """Count one interval more everywhere, unless an episode is over: what follows would read beyond its end.

    Returns:
        Episodes that are over, whether an event falls into the new interval, and whether a new dispatch began with it.
    """
    over = 0
    for e in range(interval.size):
        over += int(interval[e] >= n_intervals)
    due, dispatched = False, False
    if over == 0:
        for e in range(interval.size):
            interval[e] += 1
            due |= next_event_s[e] < interval[e] * interval_s
            dispatched |= redispatched[e, interval[e]]
    return over, due, dispatched


@numba.njit(cache=True)
def _measure(
    interval: IntArray,
    df_hz: FloatArray,
    inertia: FloatArray,
    bus_frequency: FloatArray,
    load_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    bus_live: BoolArray,
    load_bus: IntArray,
    forecast_deviation_mw: FloatArray,
    clock: FloatArray,
    bus_df_hz: FloatArray,
    coi_df_hz: FloatArray,
    hour: FloatArray,
    weekday: FloatArray,
    served_mw: FloatArray,
    signals: FloatArray,
) -> None:
    """Frequencies, loads, clock and what is sent to the control centre; the last six arrays, [env, ...], are filled."""
    n_env, n_bus = bus_df_hz.shape
    bus_df_hz[:] = weigh_groups(bus_frequency, df_hz)
    coi_df_hz[:] = centre_of_inertia(df_hz.reshape((1, df_hz.shape[0], n_env)), inertia)[0]
    served_mw[:] = served_load(load_mw, load_step_mw, served_share, bus_live, load_bus)
    for e in range(n_env):
        at = interval[e]
        hour[e], weekday[e] = clock[e, at, 0], clock[e, at, 1]
        signals[e, 0] = coi_df_hz[e]
        for k in range(n_bus):
            signals[e, 1 + k] = bus_df_hz[e, k]
        for k in range(forecast_deviation_mw.shape[2]):
            signals[e, 1 + n_bus + k] = forecast_deviation_mw[e, at, k]


@numba.njit(cache=True)
def _fill_inputs(
    envs: IntArray,
    interval: IntArray,
    p_load_mw: FloatArray,
    mvar_per_mw: FloatArray,
    p_renewable_mw: FloatArray,
    p_schedule_mw: FloatArray,
    p_set_point_mw: FloatArray,
    p_output_mw: FloatArray,
    load_mw: FloatArray,
    load_mvar: FloatArray,
    renewable_mw: FloatArray,
    schedule_mw: FloatArray,
    set_point_mw: FloatArray,
    resource_mw: FloatArray,
) -> None:
    """Powers of the environments named, each at its own interval; the last six arrays, [n, x], are filled.

    Args:
        p_load_mw, p_renewable_mw, p_schedule_mw: [env, time, x]; p_set_point_mw, p_output_mw: now, [env, resource].
    """
    for row in range(envs.size):
        e = envs[row]
        at = interval[e]
        load_mw[row] = p_load_mw[e, at]
        load_mvar[row] = p_load_mw[e, at] * mvar_per_mw
        renewable_mw[row] = p_renewable_mw[e, at]
        schedule_mw[row] = p_schedule_mw[e, at]
        set_point_mw[row] = p_set_point_mw[e]
        resource_mw[row] = p_output_mw[e]
