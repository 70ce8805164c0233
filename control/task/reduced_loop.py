"""The closed loop on the reduced model: grid, governors, agents and telemetry of a batch, without a power flow.

It is handed to `Task` in the place of `ClosedLoop` and has what a task asks of that: plants, telemetry, dispatch and
episodes are the same, frequency comes from `grid_model.reduced`. Of the limits it knows frequency, and the outer
frequency at which the grid is lost; circuits and voltages count as within theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.plants.fleet import Fleet, FleetState, capacity_utilisation
from control.scenario.config import ScenarioConfig
from control.scenario.episode import Episode, EpisodeBuilder
from control.scenario.fleet_sizing import fleet_of
from control.task.limits import FrequencyLimits, LimitCheck
from control.task.reduced_episode import EpisodeReducer, ReducedEpisode
from control.task.reduced_kernel import (
    ReducedArrays,
    ReducedState,
    Stored,
    advance_interval,
    take_segment,
)
from control.telemetry.scada import FORECAST, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.held import hold
from grid_model.kernels.lanes import N_LANE
from grid_model.reduced.motion import Constants, Record, Sizes

__all__ = ["STEP_S", "ReducedError", "ReducedLoop"]

STEP_S = 0.1  # of integration: the modes between areas take 1 to 3 s, and governors' valves follow exactly
FEW_SEGMENTS = 4  # room for so many at first


class ReducedError(RuntimeError):
    """Something was asked for that only the full simulator has; the message says so."""


class Columns(NamedTuple):
    """Where the columns of `Stored.rows` begin."""

    load: int
    renewable: int
    schedule: int
    forecast: int
    hour: int
    weekday: int
    elements_out: int
    n: int


class PackedEpisode(NamedTuple):
    """An episode as it is stored."""

    rows: npt.NDArray[np.float32]  # [time, column]
    segments: FloatArray  # [segment, row]
    soc_start: FloatArray  # [bess]
    scada_key: int
    episode: Episode | None


class ReducedLoop:
    """A batch of episodes of one scenario on the reduced model; attributes as of `ClosedLoop`."""

    def __init__(
        self,
        case: Case,
        series: Series,
        scenario: ScenarioConfig,
        n_env: int,
        *,
        swing: SwingConfig | None = None,
        limits: FrequencyLimits | None = None,
    ) -> None:
        """Build the batch; arguments as of `ClosedLoop`.

        Raises:
            ValueError: n_env is not positive, the level is `machine`, or batteries respond to frequency by themselves.
        """
        if n_env < 1:
            raise ValueError(f"n_env = {n_env}, expected at least 1")
        self.case, self.scenario, self.n_env = case, scenario, n_env
        self.limits = limits or FrequencyLimits()
        self.fleet: Fleet = fleet_of(case, scenario)
        if self.fleet.storage is not None:
            raise ValueError(
                "physics = 'reduced' has no batteries that respond to frequency by themselves, expected a battery "
                "droop_mw_per_hz and synthetic_inertia_s of zero"
            )
        self._reducer = EpisodeReducer(case, series, scenario, swing)
        self.builders: list[EpisodeBuilder] = [self._reducer.builder] * n_env
        self.episode: list[Episode | None] = [None] * n_env
        config = self._reducer.config
        governor = config.governor
        n_block = -(-n_env // N_LANE)
        n_time = scenario.n_intervals + 1
        lag_s = np.unique(self.fleet.lag_s)
        n_step = round(scenario.interval_s / STEP_S)
        dt_s = scenario.interval_s / n_step
        self._sizes = sizes = Sizes(
            self._reducer.n_group, case.n_machine, case.n_resource, case.n_bus, len(lag_s)
        )
        g, m = sizes.n_group, sizes.n_machine
        at = 3 * g + 2 * m + np.cumsum([0, case.n_load, case.n_renewable, 1, 5, 1, 1, 1])
        self._columns = Columns(*(int(k) for k in at))
        self._first_row = 2 + 3 * g
        self._rows = np.zeros((n_env, n_time, self._columns.n), dtype=np.float32)
        self._segments = np.zeros((n_env, FEW_SEGMENTS, self._first_row + sizes.segment))

        def blocks(n_row: int) -> FloatArray:
            return np.zeros((n_block * n_row, N_LANE))

        self._state = ReducedState(
            groups=blocks(sizes.state),
            segment=blocks(sizes.segment),
            dead_band_hz=np.full((n_block, N_LANE), governor.dead_band_hz),
            command_mw=blocks(case.n_resource),
            set_point_mw=blocks(case.n_resource),
            output_mw=blocks(case.n_resource),
            energy_mwh=blocks(case.n_resource),
            interval=np.zeros(n_env, dtype=np.int64),
            segment_now=np.zeros(n_env, dtype=np.int64),
        )
        # Environments beyond the batch have masses, so that nothing is divided by zero.
        self._state.segment.reshape(n_block, sizes.segment, N_LANE)[:, :g] = 1.0
        self.interval = self._state.interval
        first = np.searchsorted(self._reducer.group_of_sorted, np.arange(g + 1))
        over = config.over_frequency
        self._constants = Constants(
            first_machine=first,
            lag_s=lag_s,
            lag_decay=np.exp(-dt_s / lag_s),
            half_decay=np.exp(-0.5 * dt_s / lag_s),
            lag_kind=np.searchsorted(lag_s, self.fleet.lag_s),
            interval_s=scenario.interval_s,
            dt_s=dt_s,
            t_valve_s=governor.t_valve_s,
            t_reheat_s=governor.t_reheat_s,
            high_pressure_fraction=governor.high_pressure_fraction,
            tie_damping_s=config.tie_damping_s,
            curtail_from_hz=np.inf if over is None else over.renewable_from_hz - case.f0_hz,
            n_step=n_step,
        )
        self._curtail_per_hz = 0.0 if over is None else 1.0 / (over.renewable_droop * case.f0_hz)
        self._record = Record(*(np.zeros((n_block, N_LANE)) for _ in range(5)))
        self._hold()
        self.scada = Scada(
            config=scenario.scada,
            signal_class=np.array([SYSTEM_FREQUENCY] + [NEIGHBOUR_FREQUENCY] * case.n_bus + [FORECAST] * 5),
            n_env=n_env,
        )
        self._key = [0] * n_env
        self._all = np.arange(n_env)
        self._always = np.ones((n_env, case.n_bus), dtype=np.bool_)

    def _hold(self) -> None:
        self._arrays = hold(
            ReducedArrays(
                sizes=self._sizes,
                constants=self._constants,
                plants=self.fleet.parameters,
                plant_decay=np.exp(-self.scenario.interval_s / self.fleet.lag_s),
                load_fade=float(np.exp(-self.scenario.interval_s / self._reducer.config.load.recovery_s)),
                stored=Stored(self._rows, self._segments, np.arange(self.n_env)),
                state=self._state,
                record=self._record,
            )
        )

    @property
    def grid(self) -> Any:
        """There are no power flows here.

        Raises:
            ReducedError: always.
        """
        raise ReducedError(
            "the reduced model has no power flow to look into; build the environment with physics = 'full'"
        )

    # What a task reads ---------------------------------------------------------------------------------------------

    def _now(self, first: int, n: int = 1) -> FloatArray:
        """Columns of the stored rows at the present time, [env, n]."""
        return self._rows[self._all, self.interval, first : first + n].astype(np.float64)

    @property
    def bus_df_hz(self) -> FloatArray:
        """Frequency deviation at every bus, [env, bus]."""
        df_hz = self._by_env(self._state.groups, self._sizes.state)[:, : self._sizes.n_group]
        n = self._sizes.n_bus * self._sizes.n_group
        weight = self._by_env(self._state.segment, self._sizes.segment)[:, -n:]
        weight = weight.reshape(self.n_env, self._sizes.n_bus, self._sizes.n_group)
        found: FloatArray = np.einsum("ebg,eg->eb", weight, df_hz)
        return found

    @property
    def coi_df_hz(self) -> FloatArray:
        """Frequency deviation of the centre of inertia, [env]."""
        g = self._sizes.n_group
        df_hz = self._by_env(self._state.groups, self._sizes.state)[:, :g]
        inertia = self._by_env(self._state.segment, self._sizes.segment)[:, :g]
        found: FloatArray = (df_hz * inertia).sum(axis=1) / inertia.sum(axis=1)
        return found

    @property
    def served_mw(self) -> FloatArray:
        """Loads at 60 Hz, [env, load]."""
        return self._now(self._columns.load, self.case.n_load)

    @property
    def renewable_mw(self) -> FloatArray:
        """Wind and sun, [env, renewable]."""
        return self._now(self._columns.renewable, self.case.n_renewable)

    @property
    def hour(self) -> FloatArray:
        """0 to 24, [env]."""
        return self._now(self._columns.hour)[:, 0]

    @property
    def weekday(self) -> FloatArray:
        """Monday 0 to Sunday 6, [env]."""
        return self._now(self._columns.weekday)[:, 0]

    @property
    def elements_out(self) -> IntArray:
        """Elements out of service though they are in the schedule, [env]."""
        return self._now(self._columns.elements_out)[:, 0].astype(np.int64)

    @property
    def schedule_slope_mw(self) -> FloatArray:
        """Change of all machines' schedule in the coming interval [MW], [env]."""
        column, then = self._columns.schedule, np.minimum(self.interval + 1, self.scenario.n_intervals)
        later: FloatArray = self._rows[self._all, then, column].astype(np.float64)
        return later - self._now(column)[:, 0]

    @property
    def resources(self) -> FleetState:
        """State of the plants, [env, resource] each; copies."""
        n, state = self._sizes.n_plant, self._state
        arrays = (state.command_mw, state.set_point_mw, state.output_mw, state.energy_mwh)
        return FleetState(*(self._by_env(array, n) for array in arrays))

    @property
    def utilisation(self) -> FloatArray:
        """State of charge of batteries, share of the range in use of the others, [env, resource]."""
        return capacity_utilisation(self.resources, self.fleet)

    def _by_env(self, array: FloatArray, n_row: int) -> FloatArray:
        """Rows of all blocks as [env, row], a copy."""
        found = array.reshape(-1, n_row, N_LANE).transpose(0, 2, 1).reshape(-1, n_row)
        return np.ascontiguousarray(found[: self.n_env])

    # Episodes ------------------------------------------------------------------------------------------------------

    def reset(self, envs: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Start a new episode in each environment named, drawn from its own generator."""
        for env, generator in zip(np.asarray(envs).tolist(), generators, strict=True):
            packed = self._pack(self._reducer.reduce(generator, self._constants.dt_s, self.builders[env]))
            self._store(env, packed)
            self._begin(env, packed)
        self.scada.reset(envs, [self._key[env] for env in envs], self._signals()[envs])

    def _pack(self, episode: ReducedEpisode) -> PackedEpisode:
        """As the kernels read it."""
        drawn, order = episode.episode, self._reducer.machine_order
        rows = np.concatenate(
            [
                episode.accelerating_mw,
                episode.damping_mw_per_hz,
                episode.curtailable_mw * self._curtail_per_hz,
                episode.room_up_mw[:, order],
                episode.room_down_mw[:, order],
                episode.load_mw,
                episode.renewable_mw,
                episode.schedule_mw[:, None],
                episode.forecast_mw,
                drawn.hour_of_day[:, None],
                drawn.day_of_week[:, None],
                episode.elements_out[:, None],
            ],
            axis=1,
            dtype=np.float32,
        )
        n_group, n_step = self._sizes.n_group, self._constants.n_step
        segments = np.zeros((len(episode.segments), self._segments.shape[2]))
        if len(episode.segments) > 1:
            segments[1:, 0] = episode.switch_interval
            segments[1:, 1] = np.minimum(np.round(episode.switch_at * n_step), n_step - 1)
            segments[1:, 2 : 2 + 3 * n_group] = np.concatenate(
                [episode.before_mw, episode.after_mw, episode.keep], axis=1
            )
        for k, s in enumerate(episode.segments):
            segments[k, self._first_row :] = np.concatenate(
                [
                    s.inertia_mws_per_hz,
                    s.rate_mw_per_s,
                    s.stiffness_mw_per_rad.ravel(),
                    (s.bus_frequency.T @ s.bus_frequency).ravel(),
                    s.gain_mw_per_hz[order],
                    s.plant_share.ravel(),
                    s.plant_relief.ravel(),
                    s.bus_frequency.ravel(),
                ]
            )
        return PackedEpisode(rows, segments, drawn.soc_start, drawn.scada_key, drawn)

    def _store(self, slot: int, packed: PackedEpisode) -> None:
        n = len(packed.segments)
        if n > self._segments.shape[1]:
            more = np.zeros((len(self._segments), 2 * n, self._segments.shape[2]))
            more[:, : self._segments.shape[1]] = self._segments
            self._segments = more
            self._hold()
        self._rows[slot] = packed.rows
        self._segments[slot] = 0.0
        self._segments[slot, :n] = packed.segments

    def _begin(self, env: int, packed: PackedEpisode) -> None:
        self.episode[env] = packed.episode
        self._key[env] = packed.scada_key
        block, lane = divmod(env, N_LANE)
        n = self._sizes.n_plant
        state = self._state
        state.groups.reshape(-1, self._sizes.state, N_LANE)[block, :, lane] = 0.0
        for array in (state.command_mw, state.set_point_mw, state.output_mw, state.energy_mwh):
            array.reshape(-1, n, N_LANE)[block, :, lane] = 0.0
        bess = self.fleet.bess
        energy_mwh = packed.soc_start * self.fleet.energy_mwh[bess]
        state.energy_mwh.reshape(-1, n, N_LANE)[block, bess, lane] = energy_mwh
        self.interval[env] = 0
        take_segment(self._arrays, env, 0)

    # One interval --------------------------------------------------------------------------------------------------

    def step(self, action: FloatArray) -> LimitCheck:
        """One control interval; see `ClosedLoop.step`.

        Raises:
            RuntimeError: the episode of an environment is over; nothing has moved.
        """
        over = int(np.count_nonzero(self.interval >= self.scenario.n_intervals))
        if over > 0:
            raise RuntimeError(
                f"the episodes of {over} of {self.n_env} environments are over; call reset first"
            )
        before = self.resources
        change_mw = np.empty((self.n_env, self._sizes.n_plant))
        advance_interval(self._arrays, np.ascontiguousarray(action, dtype=np.float64), change_mw)
        after = self.resources
        self.scada.advance(self._signals())
        lowest, highest = (x.ravel()[: self.n_env] for x in (self._record.lowest_hz, self._record.highest_hz))
        largest = np.maximum(-lowest, highest)
        beyond = ~(largest <= self.limits.violation_hz)
        never: BoolArray = np.zeros(self.n_env, dtype=np.bool_)
        n_env = self.n_env
        return LimitCheck(
            sum_bus_square_hz2=self._record.square_hz2.ravel()[:n_env].copy(),
            set_point_change_mw=change_mw,
            rebound_change_mw=after.set_point_mw
            - after.command_mw
            - (before.set_point_mw - before.command_mw),
            frequency_violation=beyond,
            branch_violation=never,
            voltage_violation=never.copy(),
            unserved_violation=never.copy(),
            violations=beyond.astype(np.int64),
            grid_lost=~(largest <= self.limits.lost_hz),
            max_abs_df_hz=largest,
            within_36_mhz=self._record.narrow.ravel()[:n_env].copy(),
            within_200_mhz=self._record.wide.ravel()[:n_env].copy(),
            loading_percent=np.zeros((n_env, self.case.n_branch)),
            vm_pu=np.ones((n_env, self.case.n_bus)),
            unserved_mw=np.zeros(n_env),
            bus_df_hz=self.bus_df_hz,
            resource_mw=after.output_mw,
            utilisation=capacity_utilisation(after, self.fleet),
            bus_live=self._always,
        )

    def _signals(self) -> FloatArray:
        """What is sent to the control centre, [env, signal]."""
        forecast = self._now(self._columns.forecast, 5)
        return np.concatenate([self.coi_df_hz[:, None], self.bus_df_hz, forecast], axis=1)

    def get_state(self) -> dict[str, Any]:
        """Everything but the episodes, which a generator's state rebuilds, see `set_state`."""
        return {name: array.copy() for name, array in self._state._asdict().items()} | {
            "scada": self.scada.get_state()
        }

    def set_state(self, state: Mapping[str, Any], generators: Sequence[np.random.Generator]) -> None:
        """Continue from a state that `get_state` returned; arguments as of `ClosedLoop.set_state`.

        Raises:
            ValueError: the state is of other plants, signals, environments or physics.
        """
        own = self._state._asdict()
        for name, array in own.items():
            if name not in state or np.shape(state[name]) != array.shape:
                raise ValueError(
                    f"the saved state of the grid lacks {name} as the reduced model has it; it is of other physics"
                )
        self.reset(self._all, generators)
        for name, array in own.items():
            array[...] = state[name]
        self.scada.set_state(state["scada"])
