"""The grid in a rollout: its plants as the columns of one array, and what is kept of its intervals.

A controller of `control.controllers` sees and moves every plant as a column, [env, resource, ...]; the batch that
episodes are played in groups them by kind. `ByPlant` stands between the two. `Figures` keeps what the tables of a
comparison are made of, `Traces` what pictures of an episode show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cases.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cases.case import Case
from cases.tables import RESOURCE_KINDS
from control.controllers.base import CLASSES
from control.controllers.one_mass import OneMass, as_committed, damping_mw_per_hz, imbalance_mw
from control.evaluation import metrics
from control.evaluation.rollout import Record, Step
from control.scenario.suites import event_words
from control.task.action import ActionError
from control.task.area_telemetry import tie_schedule_mw
from control.task.closed_loop import ClosedLoop
from control.task.description import TaskDescription
from control.task.limits import LimitCheck
from control.task.reward import REWARD_TERMS
from grid_model.network.limits import apparent_power_mva, loading_percent
from grid_model.network.topology import ties
from grid_model.validation.response import largest_rocof_hz_per_s

__all__ = [
    "KINDS",
    "SAMPLES_PER_INTERVAL",
    "TERMS",
    "ByPlant",
    "Figures",
    "GridEnvironment",
    "Traces",
    "limit_violations",
    "masses",
    "percent_of_rating_a",
    "return_by_terms",
    "reward_terms",
]

SAMPLES_PER_INTERVAL = 8  # of the centre of inertia's frequency: every 0.5 s
ROCOF_WINDOW_S = 0.5  # as relays measure it
TERMS = REWARD_TERMS
KINDS = ("frequency", "branch", "voltage", "unserved")  # of limits


class Observed(Protocol):
    """What the grid shows, {kind of resource: [env, agent, observation]}."""

    @property
    def observations(self) -> Mapping[str, Any]: ...


class Grid(Protocol):
    """A batch of closed loops, and the limit check of its last interval."""

    @property
    def n_env(self) -> int: ...
    @property
    def loop(self) -> ClosedLoop: ...
    @property
    def case(self) -> Case: ...
    @property
    def description(self) -> TaskDescription: ...
    @property
    def last_result(self) -> LimitCheck | None: ...


class GridEnvironment(Grid, Protocol):
    """A batch of closed loops that shows and takes arrays by kind of plant (marl.environment.GridBatch)."""

    def reset(self, seeds: IntArray | None = None) -> Observed:
        """Start a new episode everywhere, from these seeds, [env], or from where the generators stand."""

    def step(self, actions: Any) -> Step[Observed]:
        """One control interval of every episode, from actions by kind of plant."""


@dataclass(frozen=True)
class PlantStep:
    """One interval, observed by plant."""

    observation: FloatArray  # [env, resource, observation]
    reward: Any
    terms: Mapping[str, FloatArray]
    terminated: BoolArray
    truncated: BoolArray


class ByPlant:
    """The grid as controllers know it: observations [env, resource, 15, 18 or 22] and actions [env, resource]."""

    def __init__(self, environment: GridEnvironment) -> None:
        self._environment = environment
        rows = {kind: environment.case.resource.of_kind(kind) for kind in RESOURCE_KINDS}
        self._rows = {kind: of_kind for kind, of_kind in rows.items() if len(of_kind)}

    @property
    def n_env(self) -> int:
        """Episodes at once."""
        return self._environment.n_env

    @property
    def loop(self) -> ClosedLoop:
        """The closed loops themselves."""
        return self._environment.loop

    @property
    def case(self) -> Case:
        """The grid."""
        return self._environment.case

    @property
    def description(self) -> TaskDescription:
        """What controllers are built from."""
        return self._environment.description

    @property
    def last_result(self) -> LimitCheck | None:
        """The limit check of the last interval; None before the first."""
        return self._environment.last_result

    def reset(self, seeds: IntArray) -> FloatArray:
        """Begin the episodes of these seeds, [env]; observations [env, resource, 15, 18 or 22]."""
        return self._by_plant(self._environment.reset(seeds))

    def step(self, action: FloatArray) -> PlantStep:
        """One interval with these actions, [env, resource].

        Raises:
            ActionError: they are no numbers, or of another shape.
        """
        expected = (self.n_env, self.case.n_resource)
        if not isinstance(action, np.ndarray) or action.shape != expected:
            found = (
                f"shape {np.shape(action)}" if isinstance(action, np.ndarray) else f"{type(action).__name__}"
            )
            raise ActionError(
                f"a controller acted with {found}, expected an array [env, resource] of shape {expected}"
            )
        step = self._environment.step({kind: action[:, rows, None] for kind, rows in self._rows.items()})
        return PlantStep(
            self._by_plant(step.observation), step.reward, step.terms, step.terminated, step.truncated
        )

    def _by_plant(self, observed: Observed) -> FloatArray:
        size = next(iter(observed.observations.values())).shape[2]
        found = np.empty((self.n_env, self.case.n_resource, size))
        for kind, rows in self._rows.items():
            found[:, rows] = observed.observations[kind]
        return found


class _OfGrid:
    """What all details of the grid have in common."""

    def __init__(self, environment: Grid) -> None:
        """Args: environment: whose episodes have just begun."""
        self._environment = environment
        scenario, case = environment.loop.scenario, environment.case
        self.interval_s = scenario.interval_s
        self.n_intervals: int | None = scenario.n_intervals
        episodes = [episode for episode in environment.loop.episode if episode is not None]
        self.marks: tuple[tuple[tuple[float, str], ...], ...] = tuple(
            tuple((event.time_s, event_words(event, case)) for event in episode.events)
            for episode in episodes
        )


class Figures(_OfGrid):
    """Arrays that `comparison.episode_figures` makes tables of; all lead with [env].

    `df_hz` of the centre of inertia, [sample]; its extremes `lowest_hz` and `highest_hz` at any step of the interval;
    `rocof_hz_per_s`, its largest rate of change over any 0.5 s that end in the interval; `alert`, share of the interval
    in alert (`metrics.alert_share`); `sum_bus_square_hz2`; `max_abs_df_hz` of any bus at any step; `within_36_mhz` and
    `within_200_mhz`, shares of the interval; `area_df_hz` at the interval's end, [area]; `interchange_mw`, export of
    each area over its ties less its schedule, [area]; `output_mw` and `moved_mw`, sums of P and |dP| by class, [class];
    `rebound_mw`, |dP| by which rebound moved demand response besides; `soc`, mean of the batteries; `violation`, 0 or 1
    by kind of limit, [kind];
    `unserved_mw`, mean over the interval; `imbalance_mw`, schedule and renewables less load at 60 Hz and losses;
    `inertia_mws_per_hz`, `governor_share` and `damping_mw_per_hz`, of machines in service and loads as they are.
    """

    def __init__(self, environment: Grid) -> None:
        super().__init__(environment)
        loop, case = environment.loop, environment.case
        grid = loop.grid
        self._k = 0
        self._sample = np.arange(1, SAMPLES_PER_INTERVAL + 1) * grid.n_steps // SAMPLES_PER_INTERVAL - 1
        self._ties = ties(case)
        rows = np.arange(len(self._ties))
        self._out_of = np.zeros((len(self._ties), case.n_area))
        self._out_of[rows, case.bus.area[case.branch.from_bus[self._ties]]] = 1.0
        self._out_of[rows, case.bus.area[case.branch.to_bus[self._ties]]] = -1.0
        self._class = (loop.fleet.kind[:, None] == np.array(CLASSES)).astype(np.float64)
        planned_mw = np.stack([e.p_load_schedule_mw for e in loop.episode if e is not None])
        self._schedule_mw = tie_schedule_mw(case, planned_mw)
        self._before: dict[str, FloatArray] = {}
        # Of the last window of the interval before; an episode begins at rest.
        self._tail_hz = np.zeros((max(round(ROCOF_WINDOW_S / grid.config.dt_s), 1), loop.n_env))

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """The interval just played; environments that ended in it may have begun anew already."""
        environment, loop = self._environment, self._environment.loop
        grid, case, end = loop.grid, environment.case, environment.last_result
        assert end is not None
        self._k += 1
        over = np.asarray(step.terminated | step.truncated)
        own_area = grid.config.level == "area" and grid.config.spare_groups == 0
        area_df_hz = grid.df_hz.T if own_area else np.repeat(grid.coi_df_hz()[:, None], case.n_area, 1)
        flow_mw = grid.engine.s_from_mva.real[:, self._ties] @ self._out_of
        violation = np.stack([getattr(end, f"{kind}_violation") for kind in KINDS], axis=1)
        trace_hz = grid.coi_trace_hz()
        joined_hz = np.concatenate([self._tail_hz, trace_hz])
        self._tail_hz = joined_hz[-len(self._tail_hz) :]
        return {
            "df_hz": trace_hz[self._sample].T,
            "lowest_hz": trace_hz.min(axis=0),
            "highest_hz": trace_hz.max(axis=0),
            "rocof_hz_per_s": largest_rocof_hz_per_s(joined_hz, grid.config.dt_s, ROCOF_WINDOW_S),
            "alert": metrics.alert_share(trace_hz.T, np.any(violation, axis=1)),
            "sum_bus_square_hz2": end.sum_bus_square_hz2,
            "max_abs_df_hz": end.max_abs_df_hz,
            "within_36_mhz": end.within_36_mhz,
            "within_200_mhz": end.within_200_mhz,
            "area_df_hz": self._last_known("area_df_hz", area_df_hz, over),
            "interchange_mw": self._last_known(
                "interchange_mw", flow_mw - self._schedule_mw[:, self._k], over
            ),
            "output_mw": end.resource_mw @ self._class,
            "moved_mw": np.abs(end.set_point_change_mw) @ self._class,
            "rebound_mw": np.abs(end.rebound_change_mw).sum(axis=1),
            "soc": end.utilisation[:, loop.fleet.bess].mean(axis=1),
            "violation": violation.astype(np.float64),
            "unserved_mw": end.unserved_mw,
            "imbalance_mw": self._last_known("imbalance_mw", imbalance_mw(grid), over),
            "inertia_mws_per_hz": self._last_known(
                "inertia_mws_per_hz", grid.topology.inertia.sum(axis=0), over
            ),
            "governor_share": self._last_known("governor_share", grid.topology.group_share.sum(axis=0), over),
            "damping_mw_per_hz": self._last_known("damping_mw_per_hz", damping_mw_per_hz(grid), over),
        }

    def _last_known(self, name: str, value: FloatArray, over: BoolArray) -> FloatArray:
        """The grid's own state is that of the next episode where one has just ended: the value before stands there."""
        before = self._before.get(name, np.full(value.shape, np.nan))
        found = np.where(over.reshape(-1, *([1] * (value.ndim - 1))), before, value)
        self._before[name] = found
        return found


class Traces(_OfGrid):
    """Arrays that pictures of an episode are made of, at the ends of the intervals; all lead with [env].

    `bus_df_hz`, [bus]; `resource_mw`, outputs around schedule, [resource]; `energy_share`, state of charge of the
    batteries, [bess]; `loading_percent` of rating A, whichever holds, and `branch_on`, [branch]; `machine_on`, 0 where
    a machine of the schedule is lost, [machine]. The environment must not begin anew by itself: its grid is read after
    the interval.
    """

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """The interval just played."""
        grid, case, end = self._environment.loop.grid, self._environment.case, self._environment.last_result
        assert end is not None
        engine, scheduled = grid.engine, grid.topology.committed_share > 0.0
        return {
            "bus_df_hz": end.bus_df_hz,
            "resource_mw": end.resource_mw,
            "energy_share": end.utilisation[:, case.resource.of_kind("bess")],
            "loading_percent": percent_of_rating_a(case, engine.s_from_mva, engine.s_to_mva),
            "branch_on": engine.branch_in_service.astype(np.float64),
            "machine_on": (engine.machine_in_service | ~scheduled).astype(np.float64),
        }


def percent_of_rating_a(case: Case, s_from_mva: ComplexArray, s_to_mva: ComplexArray) -> FloatArray:
    """Loading against rating A, also where B applies: so nothing seems to fall when an element is lost.

    Args:
        case: the grid, with its ratings.
        s_from_mva: complex power into every circuit at one end [MVA], [env, branch].
        s_to_mva: at the other.

    Returns:
        100 max(|S_from|, |S_to|) / rating A [%], [env, branch].
    """
    return loading_percent(apparent_power_mva(s_from_mva, s_to_mva), case.branch.rate_a_mva)


def masses(model: OneMass, record: Record) -> list[OneMass]:
    """The grid as one mass in each episode, with what of its machines was in service in the mean.

    An episode over in its first interval tells of none: the model itself counts there. The dead band is the model's,
    also where a scenario draws one for each episode.

    Args:
        model: with all machines.
        record: with the detail `Figures`.
    """
    usual = {
        "inertia_mws_per_hz": model.inertia_mws_per_hz,
        "governor_share": 1.0,
        "damping_mw_per_hz": model.damping_mw_per_hz,
    }
    means = {}
    for name, otherwise in usual.items():
        known = np.isfinite(record[name])
        total = np.where(known, record[name], 0.0).sum(axis=1)
        means[name] = np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), otherwise)
    return [
        as_committed(model, **{name: float(mean[k]) for name, mean in means.items()})
        for k in range(len(record.seed))
    ]


def reward_terms(record: Record) -> FloatArray:
    """Terms of the reward in the order of TERMS, [episode, T, term]."""
    return np.stack([record.terms[f"reward_{name}"] for name in TERMS], axis=-1)


def return_by_terms(record: Record) -> FloatArray:
    """Return of each episode as the sum of its terms, [episode]; but for rounding that of its rewards."""
    total: FloatArray = np.nansum(reward_terms(record), axis=(1, 2))
    return total


def limit_violations(record: Record) -> BoolArray:
    """Limits broken, by kind, [episode, T, kind]; a lost grid has left the frequency limits for good."""
    found: BoolArray = record["violation"] > 0.0  # not where the episode was over
    lost = np.arange(found.shape[1]) >= record.n_played[:, None]
    found[:, :, KINDS.index("frequency")] |= lost
    return found
