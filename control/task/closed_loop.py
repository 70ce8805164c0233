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
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.plants.fleet import capacity_utilisation
from control.plants.fleet_state import grant_room
from control.scenario.config import ScenarioConfig
from control.scenario.episode import EpisodeBuilder
from control.scenario.fleet_sizing import fleet_of
from control.scenario.wide import Dynamics
from control.scheduling.planned_grid import SETTLING_STEPS, PlannedGrid
from control.scheduling.voltage import next_reactor_share
from control.task.action import refuse
from control.task.episode_rows import EpisodeRows, Exogenous
from control.task.interval_kernel import (
    LoopArrays,
    Measurement,
    begin_interval,
    empty_measurement,
    end_interval,
    measure,
)
from control.task.limits import FrequencyLimits, GridLimits, LimitCheck, empty_judgement
from control.telemetry.scada import FORECAST, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import SwingConfig, swing_of
from grid_model.dynamics.simulator import GridSimulator
from grid_model.kernels.held import hold

__all__ = ["BALANCE_S", "ClosedLoop"]

BALANCE_S = (
    300.0  # an episode starts in balance; what was added to the schedule for that is taken out over this time
)


class ClosedLoop:
    """A batch of episodes of one scenario.

    Attributes (read them, change them only through the methods):
        grid: the coupled grids; fleet: the resources' data; resources: their state.
        plan: a grid of its own, on which plans are tried.
        interval: intervals done in the current episode, [env].
        episode: the episode of each environment; rows: these side by side.
        action: what was carried out in the last interval, cut at -1 and 1, [env, resource]; replaced, never changed.
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
        self.rows = EpisodeRows(case, scenario, n_env, self.plan.mvar_per_mw)
        self.interval, self.episode = self.rows.interval, self.rows.episode
        self.resources = self.fleet.start(n_env)
        self.action = np.zeros((n_env, case.n_resource))
        self.scada = Scada(
            config=scenario.scada,
            signal_class=np.array([SYSTEM_FREQUENCY] + [NEIGHBOUR_FREQUENCY] * case.n_bus + [FORECAST] * 5),
            n_env=n_env,
        )
        self._arrays = hold(
            LoopArrays(
                episodes=self.rows.arrays,
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
                telemetry=self.scada.state,
                telemetry_parameters=self.scada.parameters,
            )
        )
        self._all = np.arange(n_env)
        self._elements_out = np.zeros(n_env, dtype=np.int64)
        self._rebound_mw = np.zeros((n_env, case.n_resource))  # at the interval's beginning
        self._dispatched_before = False  # whether any machines were dispatched anew in the last interval
        self._measure()

    @property
    def schedule_slope_mw(self) -> FloatArray:
        """Change of all machines' schedule in the coming interval [MW], [env]."""
        return self.rows.schedule_slope_mw()

    @property
    def schedule_mw(self) -> FloatArray:
        """Schedule of the machines at the ends of all intervals of these episodes [MW], [env, time, machine]."""
        return self.rows.arrays.schedule_mw

    @property
    def redispatched(self) -> BoolArray:
        """Whether a mark of the dispatch lies in the interval that ends there, [env, time]."""
        return self.rows.arrays.redispatched

    @property
    def forecast_renewable_deviation_mw(self) -> FloatArray:
        """Forecasts of wind and sun less what the schedule has of them [MW], [env, time, horizon]."""
        return self.rows.arrays.forecast_deviation_mw

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
        return self.rows.exogenous(env)

    def reset(self, envs: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Start a new episode in each environment named, drawn from its own generator."""
        rows = self.rows
        for env, rng in zip(envs, generators, strict=True):
            episode = self._builder.build(
                rng, self.plan.losses_mw, self.plan.outage_is_secure, self.plan.base_cases_hold
            )
            if episode.dynamics is not None:
                self._set_dynamics(env, episode.dynamics)
            rows.begin(env, episode)
        self.fleet.reset(self.resources, envs, np.stack([rows.of(env).soc_start for env in envs]))
        injections = self._first_injections(envs)
        share = np.stack([self.plan.first_reactor_share(load_mw) for load_mw in injections.load_mw])
        offset_mw = self.grid.start(
            envs,
            injections,
            share,
            next_share=next_reactor_share,
            n_switching=SETTLING_STEPS - 1,
            committed_share=rows.committed_share[envs, 0],
        )
        rows.arrays.schedule_mw[envs] += offset_mw[:, None, :] * self._balance[None, :, None]
        self.grid.shift_schedule(envs, offset_mw)
        self._elements_out[envs] = 0
        self._measure()
        self.scada.reset(envs, [rows.of(env).scada_key for env in envs], self._signals_now[envs])

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
            ActionError: a number is not finite; nothing has moved.
            RuntimeError: the episode of an environment is over; nothing has moved.
        """
        due, dispatched, change_mw = self._begin_interval(action)
        events = self.rows.due_events() if due else {}
        if dispatched:
            self._switch_reactors()
        # A mark in the interval before; an episode that has just begun has none behind it.
        if self._dispatched_before and self.scenario.commitment:
            self._follow_commitment()
        self._dispatched_before = dispatched
        solved = self.grid.advance(self.grid.coming_injections, events)
        if self.grid.storage is not None:
            self.resources.energy_mwh[:, self.grid.storage.resource] -= self.grid.storage.drawn_mwh
        return self._end_interval(solved, change_mw)

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
        losses_mw = engine.losses_mw(np.arange(self.n_env))
        gap_mw: FloatArray = given_mw - grid.drawn_mw() - losses_mw
        return gap_mw

    def get_state(self) -> dict[str, Any]:
        """Everything but the episodes, which a generator's state rebuilds, see `set_state`."""
        return {
            **self.rows.get_state(),
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
        self.rows.set_state(state)
        self.grid.set_state(state["grid"])
        self.resources.set_state(state["resources"])
        self.scada.set_state(state["scada"])
        engine = self.grid.engine
        committed = self.grid.topology.committed_share > 0.0
        self._elements_out = np.count_nonzero(~engine.branch_in_service, axis=1) + np.count_nonzero(
            committed & ~engine.machine_in_service, axis=1
        )
        self._dispatched_before = len(self.rows.redispatched()) > 0
        self._measure()

    def _first_injections(self, envs: IntArray) -> Injections:
        """What acts where the episodes of these environments begin, a row for each."""
        episodes, plants, now = self.rows.arrays, self.resources, self.interval[envs]
        load_mw = episodes.load_mw[envs, now]
        return Injections(
            load_mw=load_mw,
            load_mvar=load_mw * episodes.mvar_per_mw,
            renewable_mw=episodes.renewable_mw[envs, now],
            schedule_mw=episodes.schedule_mw[envs, now],
            set_point_mw=plants.set_point_mw[envs],
            resource_mw=plants.output_mw[envs],
        )

    def _begin_interval(self, action: FloatArray) -> tuple[bool, bool, FloatArray]:
        """Move the plants, and look up what acts at the interval's end.

        Returns:
            Whether an event falls into the interval, whether a new dispatch began with it, and the changes of the
            plants' commands [MW], [env, resource].

        Raises:
            RuntimeError: see `step`.
        """
        plants, storage = self.resources, self.grid.storage
        change_mw, cut = np.empty_like(plants.command_mw), np.empty_like(plants.command_mw)
        self._rebound_mw = plants.set_point_mw - plants.command_mw
        if storage is not None:
            grant_room(plants, self.fleet.parameters, storage, True)
        wanted = np.ascontiguousarray(action, dtype=np.float64)
        wrong, over, due, dispatched = begin_interval(self._arrays, wanted, cut, change_mw)
        if wrong >= 0:
            refuse(action, wrong, self.case.resource.name)
        if over > 0:
            raise RuntimeError(
                f"the episodes of {over} of {self.n_env} environments are over; call reset first"
            )
        if storage is not None:
            grant_room(plants, self.fleet.parameters, storage, False)
        self.action = cut
        return due, dispatched, change_mw

    def _switch_reactors(self) -> None:
        """Reactors follow the voltages where the machines have just been dispatched anew."""
        grid, reactor_bus = self.grid, self.case.reactor.bus
        for env in self.rows.redispatched():
            share = grid.engine.reactor_share[env]
            wanted = next_reactor_share(share, np.abs(grid.engine.v_pu[env, reactor_bus]))
            if np.any(wanted != share):
                grid.set_reactors(env, wanted)

    def _follow_commitment(self) -> None:
        """Machines join and leave the schedule where a mark of the dispatch lies in the interval before."""
        for env in self.rows.redispatched(1):
            share = self.rows.committed_share[env, self.interval[env] - 1]
            if np.any(share != self.grid.topology.committed_share[env]):
                self.grid.commit(env, share)

    def _end_interval(self, solved: BoolArray, change_mw: FloatArray) -> LimitCheck:
        """Measure, and judge what the interval came to; solved: the grid still has a power flow, [env]."""
        grid, case, n_env, limits = self.grid, self.case, self.n_env, self.limits
        measured, utilisation = self._new_measurement(), np.empty_like(change_mw)
        found = empty_judgement(n_env, case.n_branch, case.n_bus)
        rebound_change_mw = self.resources.set_point_mw - self.resources.command_mw - self._rebound_mw
        n_beyond = end_interval(
            grid.arrays,
            self._arrays,
            limits.violation_hz,
            limits.lost_hz,
            solved,
            change_mw,
            utilisation,
            *measured,
            *found,
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

    def _measure(self) -> None:
        """Take in how things stand now."""
        measured = self._new_measurement()
        measure(self.grid.arrays, self.rows.arrays, measured)
        self._take(measured)

    def _new_measurement(self) -> Measurement:
        case = self.case
        return empty_measurement(self.n_env, case.n_bus, case.n_load, len(self.scada.signal_class))

    def _take(self, measured: Measurement) -> None:
        self.bus_df_hz, self.coi_df_hz, self.served_mw = measured[:3]
        self.hour, self.weekday, self._signals_now = measured[3:]
