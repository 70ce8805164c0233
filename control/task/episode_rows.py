"""The episodes of a batch side by side, so that one step reads one row of each environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.scenario.episode import Episode
from grid_model.dynamics.events import Event

__all__ = ["EpisodeArrays", "EpisodeRows", "Exogenous"]


class EpisodeArrays(NamedTuple):
    """As the compiled functions take them."""

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


class Exogenous(NamedTuple):
    """What acts on one grid through an episode, at the ends of its intervals."""

    load_mw: FloatArray  # [time, load]
    renewable_mw: FloatArray  # [time, renewable]
    schedule_mw: FloatArray  # with what begins the episode in balance, [time, machine]
    committed_share: FloatArray  # [time, machine]
    redispatched: BoolArray  # whether the machines have just been dispatched anew, [time]


class EpisodeRows:
    """What the environments' episodes say, and how far each has come.

    Attributes (read them; the arrays stay):
        arrays: as the compiled functions take them; interval: of these, intervals done, [env].
        episode: of each environment, None before its first.
        committed_share: how much of each machine is in the schedule, [env, time, machine].
    """

    def __init__(self, case: Case, scenario: ScenarioConfig, n_env: int, mvar_per_mw: FloatArray) -> None:
        """No episode has begun; mvar_per_mw of each load, [load]."""
        n_time = scenario.n_intervals + 1
        self._scenario = scenario
        self.episode: list[Episode | None] = [None] * n_env
        self.interval: IntArray = np.zeros(n_env, dtype=np.int64)
        self.committed_share: FloatArray = np.ones((n_env, n_time, case.n_machine))
        self._next_event: IntArray = np.zeros(n_env, dtype=np.int64)
        self._all = np.arange(n_env)
        self.arrays = EpisodeArrays(
            interval=self.interval,
            next_event_s=np.full(n_env, np.inf),
            load_mw=np.zeros((n_env, n_time, case.n_load)),
            renewable_mw=np.zeros((n_env, n_time, case.n_renewable)),
            schedule_mw=np.zeros((n_env, n_time, case.n_machine)),
            redispatched=np.zeros((n_env, n_time), dtype=np.bool_),
            clock=np.zeros((n_env, n_time, 2)),
            forecast_deviation_mw=np.zeros((n_env, n_time, 5)),
            mvar_per_mw=mvar_per_mw,
            n_intervals=scenario.n_intervals,
            interval_s=scenario.interval_s,
        )

    def begin(self, env: int, episode: Episode) -> None:
        """An environment begins this episode."""
        rows, scenario = self.arrays, self._scenario
        self.episode[env] = episode
        rows.load_mw[env] = episode.p_load_mw
        rows.renewable_mw[env] = episode.p_renewable_mw
        rows.schedule_mw[env] = episode.p_schedule_mw
        self.committed_share[env] = episode.committed_share
        rows.clock[env, :, 0], rows.clock[env, :, 1] = episode.hour_of_day, episode.day_of_week
        time_s = 60.0 * episode.start_minute + scenario.interval_s * np.arange(scenario.n_intervals + 1)
        rows.redispatched[env, 1:] = np.diff(time_s // scenario.dispatch.interval_s) > 0.0
        rows.forecast_deviation_mw[env] = episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw
        self.interval[env] = self._next_event[env] = 0
        rows.next_event_s[env] = self._time_of_next_event(env)

    def of(self, env: int) -> Episode:
        """The episode of an environment.

        Raises:
            RuntimeError: none has begun there.
        """
        episode = self.episode[env]
        if episode is None:
            raise RuntimeError(f"environment {env} has no episode yet, call reset first")
        return episode

    def exogenous(self, env: int) -> Exogenous:
        """What acts on an environment's grid through its episode, whatever its plants do; copies."""
        rows = self.arrays
        return Exogenous(
            rows.load_mw[env].copy(),
            rows.renewable_mw[env].copy(),
            rows.schedule_mw[env].copy(),
            self.committed_share[env].copy(),
            rows.redispatched[env].copy(),
        )

    def schedule_slope_mw(self) -> FloatArray:
        """Change of all machines' schedule in the coming interval [MW], [env]."""
        now, then = self.interval, np.minimum(self.interval + 1, self._scenario.n_intervals)
        schedule_mw = self.arrays.schedule_mw
        return (schedule_mw[self._all, then] - schedule_mw[self._all, now]).sum(axis=1)

    def redispatched(self, intervals_ago: int = 0) -> list[int]:
        """Environments whose machines were dispatched anew as the last interval ended, or so many before it."""
        marks: BoolArray = self.arrays.redispatched[self._all, self.interval - intervals_ago]
        return [int(env) for env in marks.nonzero()[0]]

    def due_events(self) -> dict[int, list[Event]]:
        """Events of the interval that has just begun, their time counted from its start, by environment."""
        found: dict[int, list[Event]] = {}
        interval_s = self._scenario.interval_s
        end_s = self.interval * interval_s
        for env in (self.arrays.next_event_s < end_s).nonzero()[0].tolist():
            events = self.of(env).events
            start_s = (self.interval[env] - 1) * interval_s
            due = found.setdefault(env, [])
            while self._time_of_next_event(env) < end_s[env]:
                event = events[self._next_event[env]]
                due.append(replace(event, time_s=max(event.time_s - start_s, 0.0)))
                self._next_event[env] += 1
            self.arrays.next_event_s[env] = self._time_of_next_event(env)
        return found

    def get_state(self) -> dict[str, Any]:
        """How far the episodes have come."""
        return {"interval": self.interval.copy(), "next_event": self._next_event.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave, in the same episodes."""
        self.interval[:] = state["interval"]
        self._next_event[:] = state["next_event"]
        self.arrays.next_event_s[:] = [self._time_of_next_event(env) for env in range(len(self.episode))]

    def _time_of_next_event(self, env: int) -> float:
        events, at = self.of(env).events, self._next_event[env]
        return events[at].time_s if at < len(events) else np.inf
