"""The closed loop on the reduced model: grid, governors, agents and telemetry of a batch, without a power flow.

It is handed to `Task` in the place of `ClosedLoop` and has what a task asks of that: plants, telemetry, dispatch and
episodes are the same, frequency comes from `grid_model.reduced`. Of the limits it knows frequency, and the outer
frequency at which the grid is lost; circuits and voltages count as within theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.plants.fleet import Fleet, capacity_utilisation
from control.plants.fleet_lanes import PlantRows
from control.plants.fleet_state import FleetState
from control.scenario.config import ScenarioConfig, ScenarioError
from control.scenario.episode import Episode, EpisodeBuilder
from control.scenario.fleet_sizing import fleet_of
from control.scenario.wide import WideScenarioConfig
from control.task.action import cut_at_one
from control.task.limits import FrequencyLimits, LimitCheck
from control.task.memory import Past
from control.task.observation import Observer
from control.task.reduced_driving import Driving, driving_of
from control.task.reduced_episode import EpisodeReducer
from control.task.reduced_kernel import (
    N_SLOT,
    JudgedBy,
    Outcome,
    ReducedArrays,
    ReducedState,
    advance_interval,
    own_frequency,
    scratch_of,
    take_segment,
)
from control.task.reduced_observation import View, observe_blocks, view_rows
from control.task.reduced_store import EpisodeStore, PackedEpisode
from control.telemetry.scada import FORECAST, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.held import hold
from grid_model.kernels.lanes import N_LANE
from grid_model.reduced.lanes import rows_of_lanes
from grid_model.reduced.motion import Constants, GroupMotion, Record, Sizes, scratch_rows

__all__ = ["STEP_S", "ReducedError", "ReducedLoop", "is_plain"]

Float32Array = npt.NDArray[np.float32]

STEP_S = 0.1  # of integration: the modes between areas take 1 to 3 s, and governors' valves follow exactly


class ReducedError(RuntimeError):
    """Something was asked for that only the full simulator has; the message says so."""


def is_plain(scenario: ScenarioConfig) -> bool:
    """Whether telemetry is late, in all episodes alike, and nothing else."""
    if isinstance(scenario, WideScenarioConfig):
        return False
    return scenario.packet_loss == 0.0 and scenario.scada_noise == 0.0 and scenario.scada_bias == 0.0


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
        pool: int = 0,
    ) -> None:
        """Build the batch.

        Args:
            case: see `ClosedLoop`, as for the next five.
            series: likewise.
            scenario: likewise.
            n_env: likewise.
            swing: likewise.
            limits: likewise.
            pool: episodes of POOL_SEEDS that are drawn once, and then again and again, with other states of charge of
                the batteries; none if 0: every episode is new.

        Raises:
            ValueError: n_env is not positive, pool is negative or too large, or the level is `machine`.
            ScenarioError: batteries respond to frequency by themselves.
        """
        if n_env < 1:
            raise ValueError(f"n_env = {n_env}, expected at least 1")
        self.case, self.scenario, self.n_env = case, scenario, n_env
        self.limits = limits or FrequencyLimits()
        self.fleet: Fleet = fleet_of(case, scenario)
        if self.fleet.storage is not None:
            raise ScenarioError(
                "physics = 'reduced' has no batteries that respond to frequency by themselves, expected a battery "
                "droop_mw_per_hz and synthetic_inertia_s of zero"
            )
        self._reducer = EpisodeReducer(case, series, scenario, swing)
        self.builders: list[EpisodeBuilder] = [self._reducer.builder] * n_env
        self.episode: list[Episode | None] = [None] * n_env
        config = self._reducer.config
        governor = config.governor
        n_block = -(-n_env // N_LANE)
        lag_s = np.unique(self.fleet.lag_s)
        n_step = round(scenario.interval_s / STEP_S)
        dt_s = scenario.interval_s / n_step
        self._sizes = sizes = Sizes(
            self._reducer.n_group, case.n_machine, case.n_resource, case.n_bus, len(lag_s)
        )
        g = sizes.n_group

        def blocks(n_row: int) -> FloatArray:
            return rows_of_lanes(n_block * n_row)

        self._state = ReducedState(
            groups=blocks(sizes.state),
            segment=blocks(sizes.segment),
            dead_band_hz=blocks(1),
            command_mw=blocks(case.n_resource),
            set_point_mw=blocks(case.n_resource),
            output_mw=blocks(case.n_resource),
            energy_mwh=blocks(case.n_resource),
            interval=np.zeros(n_env, dtype=np.int64),
            segment_now=np.zeros(n_env, dtype=np.int64),
            sent_hz=rows_of_lanes(N_SLOT * n_block * (g + 1)),
        )
        self._state.dead_band_hz[:] = governor.dead_band_hz
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
            valve_decay=math.exp(-dt_s / governor.t_valve_s),
            reheat_decay=math.exp(-dt_s / governor.t_reheat_s),
            high_pressure_fraction=governor.high_pressure_fraction,
            tie_damping_s=config.tie_damping_s,
            curtail_from_hz=np.inf if over is None else over.renewable_from_hz - case.f0_hz,
            n_step=n_step,
        )
        self.store = EpisodeStore(case, scenario, self._reducer, sizes, self._constants, n_env, pool)
        self._columns = self.store.columns
        self._record = Record(*(blocks(1) for _ in range(5)))
        self._motion = GroupMotion(
            sizes=sizes,
            constants=self._constants,
            state=self._state.groups,
            segment=self._state.segment,
            dead_band_hz=self._state.dead_band_hz,
            record=self._record,
            given=rows_of_lanes(sizes.given + N_LANE),
            end_mw=rows_of_lanes(g),
            set_point=rows_of_lanes(3 * case.n_resource),
            scratch=rows_of_lanes(scratch_rows(sizes)),
        )
        self._scratch = scratch_of(sizes)
        self._plant_rows = PlantRows(
            self._state.command_mw,
            self._state.set_point_mw,
            self._state.output_mw,
            self._state.energy_mwh,
            action=rows_of_lanes(case.n_resource),
            change_mw=rows_of_lanes(case.n_resource),
            fresh=rows_of_lanes(5),
        )
        # Losses and noise are a signal's own; late telemetry without them is read off what was.
        self.plain_telemetry = is_plain(scenario)
        self._delay = np.array(scenario.scada.delay_intervals, dtype=np.int64)
        self._own_hz: FloatArray | None = None  # until it is asked for
        self._bus_df_hz = self._nobody_asks = np.empty((0, case.n_bus))
        self._blocks = np.arange(n_block)
        self._view: View | None = None
        self._n_seen = (0, 0)
        self._hold()
        self.scada = Scada(
            config=scenario.scada,
            signal_class=np.array([SYSTEM_FREQUENCY] + [NEIGHBOUR_FREQUENCY] * case.n_bus + [FORECAST] * 5),
            n_env=n_env,
        )
        self._key = [0] * n_env
        self.action = np.zeros((n_env, case.n_resource))
        self._all = np.arange(n_env)
        # What this model takes for granted.
        self._always = np.ones((n_env, case.n_bus), dtype=np.bool_)
        self._never: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self._no_loading, self._nominal, self._nothing = (
            np.zeros((n_env, 1)),
            np.ones((n_env, 1)),
            np.zeros(n_env),
        )

    def _hold(self) -> None:
        self._arrays = hold(
            ReducedArrays(
                motion=self._motion,
                plants=self.fleet.parameters,
                plant_decay=np.exp(-self.scenario.interval_s / self.fleet.lag_s),
                plant_rows=self._plant_rows,
                limits=JudgedBy(self.limits.violation_hz, self.limits.lost_hz),
                load_fade=self.load_fade,
                stored=self.store.stored(),
                state=self._state,
                scratch=self._scratch,
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
        return self.store.rows[self.store.slot, self.interval, first : first + n].astype(np.float64)

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
        later: FloatArray = self.store.rows[self.store.slot, then, column].astype(np.float64)
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
        for env, packed in self.store.draw(envs, generators, self.builders):
            if self.store.has_moved:
                self._hold()
            self._begin(env, packed)
        self._own_hz = None
        if self._view is None:
            self.scada.reset(envs, [self._key[env] for env in envs], self._signals()[envs])

    def _begin(self, env: int, packed: PackedEpisode) -> None:
        self.episode[env] = packed.episode
        self._key[env] = packed.scada_key
        block, lane = divmod(env, N_LANE)
        n = self._sizes.n_plant
        state = self._state
        state.groups.reshape(-1, self._sizes.state, N_LANE)[block, :, lane] = 0.0
        if packed.episode is not None and packed.episode.dynamics is not None:
            state.dead_band_hz[block, lane] = packed.episode.dynamics.governor_dead_band_hz
            self.scada.set_delay(env, packed.episode.dynamics.scada_delay_intervals)
        for array in (state.command_mw, state.set_point_mw, state.output_mw, state.energy_mwh):
            array.reshape(-1, n, N_LANE)[block, :, lane] = 0.0
        bess = self.fleet.bess
        energy_mwh = packed.soc_start * self.fleet.energy_mwh[bess]
        state.energy_mwh.reshape(-1, n, N_LANE)[block, bess, lane] = energy_mwh
        self.interval[env] = 0
        state.sent_hz.reshape(N_SLOT, -1, self._sizes.n_group + 1, N_LANE)[:, block, :, lane] = 0.0
        take_segment(self._arrays, env, 0)

    # One interval --------------------------------------------------------------------------------------------------

    def step(self, action: FloatArray) -> LimitCheck:
        """One control interval; see `ClosedLoop.step`.

        Raises:
            ActionError: a number is not finite; nothing has moved.
            RuntimeError: the episode of an environment is over; nothing has moved.
        """
        cut = cut_at_one(action, self.case.resource.name)
        over = int(np.count_nonzero(self.interval >= self.scenario.n_intervals))
        if over > 0:
            raise RuntimeError(
                f"the episodes of {over} of {self.n_env} environments are over; call reset first"
            )
        n_env, n_row = self.n_env, len(self._blocks) * N_LANE
        change_mw, rebound_mw, output_mw, utilisation = np.empty((4, n_row, self._sizes.n_plant))
        sum_bus_square_hz2, max_abs_df_hz, within_36_mhz, within_200_mhz = np.empty((4, n_env))
        frequency_violation, grid_lost = np.empty((2, n_env), dtype=np.bool_)
        outcome = Outcome(
            change_mw=change_mw,
            rebound_mw=rebound_mw,
            output_mw=output_mw,
            utilisation=utilisation,
            sum_bus_square_hz2=sum_bus_square_hz2,
            max_abs_df_hz=max_abs_df_hz,
            within_36_mhz=within_36_mhz,
            within_200_mhz=within_200_mhz,
            violations=np.empty(n_env, dtype=np.int64),
            frequency_violation=frequency_violation,
            grid_lost=grid_lost,
        )
        advance_interval(self._arrays, cut, outcome)
        self.action, self._own_hz = cut, None
        if self._view is None:
            self.scada.advance(self._signals())
            bus_df_hz = self.bus_df_hz
        else:
            # The next observation fills it in.
            bus_df_hz = self._bus_df_hz = np.empty((n_row, self._sizes.n_bus))
        return LimitCheck(
            sum_bus_square_hz2=outcome.sum_bus_square_hz2,
            set_point_change_mw=outcome.change_mw[:n_env],
            rebound_change_mw=outcome.rebound_mw[:n_env],
            frequency_violation=outcome.frequency_violation,
            branch_violation=self._never,
            voltage_violation=self._never,
            unserved_violation=self._never,
            violations=outcome.violations,
            grid_lost=outcome.grid_lost,
            max_abs_df_hz=outcome.max_abs_df_hz,
            within_36_mhz=outcome.within_36_mhz,
            within_200_mhz=outcome.within_200_mhz,
            loading_percent=self._no_loading,
            vm_pu=self._nominal,
            unserved_mw=self._nothing,
            bus_df_hz=bus_df_hz[:n_env],
            resource_mw=outcome.output_mw[:n_env],
            utilisation=outcome.utilisation[:n_env],
            bus_live=self._always,
        )

    @property
    def driving(self) -> Driving:
        """What drives the grid as one mass in the coming interval."""
        state, n_env, last = self._state, self.n_env, self.scenario.n_intervals
        rows = self.store.rows
        return driving_of(
            self._sizes,
            self._by_env(state.groups, self._sizes.state),
            self._by_env(state.segment, self._sizes.segment),
            (
                rows[self.store.slot, self.interval],
                rows[self.store.slot, np.minimum(self.interval + 1, last)],
            ),
            state.dead_band_hz.ravel()[:n_env].copy(),
        )

    @property
    def load_fade(self) -> float:
        """What loads remember of a voltage after an interval."""
        return math.exp(-self.scenario.interval_s / self._reducer.config.load.recovery_s)

    @property
    def own_df_hz(self) -> FloatArray:
        """Frequency deviation at the plants' buses, [env, resource]."""
        if self._view is None:
            return self.bus_df_hz[:, self.case.resource.bus]
        if self._own_hz is None:
            found = np.empty((len(self._blocks) * N_LANE, self._sizes.n_plant))
            own_frequency(self._arrays, self.case.resource.bus, found)
            self._own_hz = found[: self.n_env]
        return self._own_hz

    def look_by(self, observer: Observer) -> None:
        """Make observations from now on, as an observer of the full simulator would."""
        plants, columns = observer.plants, self._columns

        def per(mw: FloatArray) -> FloatArray:
            found: FloatArray = np.where(mw > 0.0, 1.0 / np.where(mw > 0.0, mw, 1.0), 0.0)
            return found

        self._n_seen = (self._sizes.n_plant * observer.size, observer.state_size)
        with np.errstate(divide="ignore"):  # of a plant or load of size zero, which none can be divided by
            per_renewable_mw = 1.0 / plants.renewable_mw
            per_largest_mw = 1.0 / plants.nominal_mw[plants.largest]
        self._view = hold(
            View(
                plants=plants,
                per_range_mw=1.0 / plants.range_mw,
                per_high_mw=per(plants.high_mw),
                per_low_mw=per(-plants.low_mw),
                per_capacity_mwh=1.0 / plants.capacity_mwh,
                per_renewable_mw=per_renewable_mw,
                per_largest_mw=per_largest_mw,
                load=columns.load,
                renewable=columns.renewable,
                schedule=columns.schedule,
                forecast=columns.forecast,
                hour=columns.hour,
                weekday=columns.weekday,
                feature=columns.feature,
                elements_out=columns.elements_out,
                delay=self._delay,
                rows=view_rows(columns.n, self._sizes.n_group, self._sizes.n_bus, *self._n_seen),
            )
        )

    def observe(
        self,
        past: Past,
        before: tuple[Float32Array, Float32Array] | None = None,
        envs: IntArray | None = None,
    ) -> tuple[Float32Array, Float32Array]:
        """The agents' view [env, resource, numbers] and the critic's [env, state], new arrays.

        Args:
            past: what the task remembers.
            before: views of which only those of some environments are to be made anew.
            envs: these.
        """
        assert self._view is not None
        n_row, n_env = len(self._blocks) * N_LANE, self.n_env
        agents, critic = (np.empty((n_row, n), dtype=np.float32) for n in self._n_seen)
        blocks = self._blocks
        if before is not None and envs is not None:
            agents[:n_env], critic[:n_env] = before[0].reshape(n_env, -1), before[1]
            blocks = np.unique(envs // N_LANE)
        observe_blocks(self._arrays, self._view, past, blocks, agents, critic, self._bus_df_hz)
        self._bus_df_hz = self._nobody_asks
        return agents[:n_env].reshape(n_env, self._sizes.n_plant, -1), critic[:n_env]

    def _signals(self) -> FloatArray:
        """What is sent to the control centre, [env, signal]."""
        forecast = self._now(self._columns.forecast, 5)
        return np.concatenate([self.coi_df_hz[:, None], self.bus_df_hz, forecast], axis=1)

    def get_state(self) -> dict[str, Any]:
        """Everything but the episodes, which a generator's state rebuilds, see `set_state`."""
        return {name: array.copy() for name, array in self._state._asdict().items()} | {
            "scada": self.scada.get_state(),
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
