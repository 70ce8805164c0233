"""Whole episodes of a controller in a batch of closed loops, and what is kept of them.

The environment is whatever steps a `ClosedLoop` and observes it as the agents do (marl.environment.GridBatch).
Episode k of a trial depends on its seed and the controller alone, whatever the batch size. What is kept are
arrays that lead with the episode, and `metrics.py` turns them into figures; intervals that an episode never reached,
because it lost the grid, are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import RESOURCE_KINDS, Case
from control.controllers.base import CLASSES, Controller
from control.task.closed_loop import ClosedLoop, LimitCheck

__all__ = ["SAMPLES_PER_INTERVAL", "Trial", "play_returns", "play_trial", "tie_schedule_mw"]

SAMPLES_PER_INTERVAL = 8  # of the centre of inertia's frequency: every 0.5 s
TERMS = ("frequency", "movement", "effort", "violations", "lost")
KINDS = ("frequency", "branch", "voltage")


class Observed(Protocol):
    """What the environment shows, {kind of resource: [env, agent, observation]}."""

    @property
    def observations(self) -> Mapping[str, Any]: ...


class Step(Protocol):
    """What one interval of the environment led to."""

    @property
    def observation(self) -> Observed: ...
    @property
    def terms(self) -> Mapping[str, FloatArray]: ...
    @property
    def reward(self) -> Any: ...
    @property
    def terminated(self) -> BoolArray: ...
    @property
    def truncated(self) -> BoolArray: ...


class Environment(Protocol):
    """A batch of closed loops observed as the agents observe them."""

    loop: ClosedLoop
    case: Case
    last_result: LimitCheck | None

    @property
    def n_env(self) -> int: ...
    def reset(self, seeds: IntArray | None = None) -> Observed: ...
    def step(self, actions: Any) -> Step: ...


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Episodes of one controller; T intervals, axes lead with the episode."""

    seed: IntArray  # [episode]
    interval_s: float
    n_played: IntArray  # intervals until the end or the loss of the grid, [episode]
    term: FloatArray  # terms of the reward, in the order of TERMS, [episode, T, term]
    df_hz: FloatArray  # of the centre of inertia, SAMPLES_PER_INTERVAL an interval, [episode, T * samples]
    sum_bus_square_hz2: FloatArray  # [episode, T]
    max_abs_df_hz: FloatArray  # of any bus at any step, [episode, T]
    within_36_mhz: FloatArray  # share of the interval, [episode, T]
    within_200_mhz: FloatArray
    area_df_hz: FloatArray  # at the intervals' ends, [episode, T, area]
    interchange_mw: FloatArray  # export of each area over its ties less its schedule, [episode, T, area]
    output_mw: FloatArray  # by class, [episode, T, class]
    moved_mw: FloatArray  # sum of |dP| by class, [episode, T, class]
    soc: FloatArray  # mean of the batteries, [episode, T]
    violation: FloatArray  # 0 or 1 by kind, in the order of KINDS, [episode, T, kind]
    unserved_mw: FloatArray  # [episode, T]
    imbalance_mw: FloatArray  # schedule and renewables less load at 60 Hz and losses, [episode, T]

    @property
    def returns(self) -> FloatArray:
        """Sum of rewards, [episode]."""
        total: FloatArray = np.nansum(self.term, axis=(1, 2))
        return total

    def save(self) -> dict[str, Any]:
        """Plain arrays."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def load(cls, arrays: Mapping[str, Any]) -> Trial:
        """From what `save` gave."""
        content = {f.name: arrays[f.name] for f in fields(cls)}
        return cls(**(content | {"interval_s": float(arrays["interval_s"])}))

    @classmethod
    def join(cls, pieces: list[Trial]) -> Trial:
        """One trial of the episodes of several."""
        joined: dict[str, Any] = {
            f.name: np.concatenate([getattr(piece, f.name) for piece in pieces])
            for f in fields(cls)
            if f.name != "interval_s"
        }
        return cls(interval_s=pieces[0].interval_s, **joined)


def tie_schedule_mw(case: Case, load_schedule_mw: FloatArray) -> FloatArray:
    """Scheduled export of every area: the published one without losses, scaled with the load that was planned.

        NI_S,a = level (share_a sum_b L_b - L_a),     share_a = P_a / sum P

    with L and P of the published case; so the schedules of all areas sum to zero. It is what the dispatch aims at.

    Args:
        load_schedule_mw: load of the whole grid that the dispatch assumed, [...].

    Returns:
        [..., area].
    """
    nominal_mw = np.bincount(case.bus.area[case.load.bus], case.load.p_mw, minlength=case.n_area)
    machine_mw = np.bincount(case.bus.area[case.machine.bus], case.machine.p_mw, minlength=case.n_area)
    export_mw = machine_mw / machine_mw.sum() * nominal_mw.sum() - nominal_mw
    level = np.asarray(load_schedule_mw) / nominal_mw.sum()
    return level[..., None] * export_mw


def play_trial(
    controller: Controller,
    environment: Environment,
    seeds: IntArray,
    on_interval: Callable[[], None] | None = None,
) -> Trial:
    """Play the episodes of these seeds to their ends and keep what the metrics need.

    Args:
        controller: built for the environment's number of episodes.
        seeds: any number; batches as large as the environment are played one after the other.
        on_interval: called after each interval of a batch, for a progress bar.
    """
    pieces = []
    for mine, padded in _batches(seeds, environment.n_env):
        recorder = _Recorder(environment, padded)
        _run(controller, environment, padded, recorder.add, on_interval)
        pieces.append(recorder.trial(len(mine)))
    return Trial.join(pieces)


def play_returns(
    controller: Controller,
    environment: Environment,
    seeds: IntArray,
    on_interval: Callable[[], None] | None = None,
) -> FloatArray:
    """Only the returns of these episodes, [episode]: what tuning needs."""
    pieces = []
    for mine, padded in _batches(seeds, environment.n_env):
        total = np.zeros(environment.n_env)

        def add(step: Step, alive: BoolArray, total: FloatArray = total) -> None:
            total[alive] += step.reward[alive]

        _run(controller, environment, padded, add, on_interval)
        pieces.append(total[: len(mine)])
    return np.concatenate(pieces)


def _batches(seeds: IntArray, n_env: int) -> list[tuple[IntArray, IntArray]]:
    """Seeds batch by batch, without and with the repeats that fill up the last."""
    found = []
    for start in range(0, len(seeds), n_env):
        mine = np.asarray(seeds[start : start + n_env], dtype=np.int64)
        found.append((mine, np.concatenate([mine, np.full(n_env - len(mine), mine[0])])))
    return found


def _run(
    controller: Controller,
    environment: Environment,
    seeds: IntArray,
    add: Callable[[Step, BoolArray], None],
    on_interval: Callable[[], None] | None,
) -> None:
    """One batch of episodes; `add` gets each interval with the episodes that it belongs to."""
    case, n_env = environment.case, environment.n_env
    rows = {kind: case.resource.of_kind(kind) for kind in RESOURCE_KINDS}
    rows = {kind: of_kind for kind, of_kind in rows.items() if len(of_kind)}
    alive = np.ones(n_env, dtype=np.bool_)
    observed = environment.reset(seeds)
    controller.reset(np.arange(n_env), seeds)
    size = next(iter(observed.observations.values())).shape[2]
    observation = np.empty((n_env, case.n_resource, size))
    for _ in range(environment.loop.scenario.n_intervals):
        for kind, of_kind in rows.items():
            observation[:, of_kind] = observed.observations[kind]
        action = controller.act(observation)
        step = environment.step({kind: action[:, of_kind, None] for kind, of_kind in rows.items()})
        add(step, alive.copy())
        if on_interval is not None:
            on_interval()
        # An environment that lost its grid plays on with another episode, which counts for nothing.
        lost = np.flatnonzero(step.terminated)
        controller.reset(lost, np.zeros(len(lost), dtype=np.int64))
        alive &= ~(step.terminated | step.truncated)
        if not alive.any():
            break
        observed = step.observation


class _Recorder:
    """Collects the intervals of one batch."""

    def __init__(self, environment: Environment, seeds: IntArray) -> None:
        self._environment, self._seeds = environment, seeds
        loop, case = environment.loop, environment.case
        n_env, n = environment.n_env, loop.scenario.n_intervals
        nan = np.full
        self._k = 0
        self._n_played = np.zeros(n_env, dtype=np.int64)
        grid = loop.grid
        self._sample = np.arange(1, SAMPLES_PER_INTERVAL + 1) * grid.n_steps // SAMPLES_PER_INTERVAL - 1
        self._array = {
            "term": nan((n_env, n, len(TERMS)), np.nan),
            "df_hz": nan((n_env, n, SAMPLES_PER_INTERVAL), np.nan),
            "sum_bus_square_hz2": nan((n_env, n), np.nan),
            "max_abs_df_hz": nan((n_env, n), np.nan),
            "within_36_mhz": nan((n_env, n), np.nan),
            "within_200_mhz": nan((n_env, n), np.nan),
            "area_df_hz": nan((n_env, n, case.n_area), np.nan),
            "interchange_mw": nan((n_env, n, case.n_area), np.nan),
            "output_mw": nan((n_env, n, len(CLASSES)), np.nan),
            "moved_mw": nan((n_env, n, len(CLASSES)), np.nan),
            "soc": nan((n_env, n), np.nan),
            "violation": nan((n_env, n, len(KINDS)), np.nan),
            "unserved_mw": nan((n_env, n), np.nan),
            "imbalance_mw": nan((n_env, n), np.nan),
        }
        from_area = case.bus.area[case.branch.from_bus]
        to_area = case.bus.area[case.branch.to_bus]
        self._ties = np.flatnonzero(from_area != to_area)
        self._out_of = np.zeros((len(self._ties), case.n_area))
        self._out_of[np.arange(len(self._ties)), from_area[self._ties]] = 1.0
        self._out_of[np.arange(len(self._ties)), to_area[self._ties]] = -1.0
        self._class = (loop.fleet.kind[:, None] == np.array(CLASSES)).astype(np.float64)
        self._schedule_mw: FloatArray | None = None

    def add(self, step: Step, alive: BoolArray) -> None:
        """One interval of the episodes still alive; environments that ended in it have already begun anew."""
        environment, loop = self._environment, self._environment.loop
        grid, case, end = loop.grid, environment.case, environment.last_result
        assert end is not None
        if self._schedule_mw is None:
            episodes = [e for e in loop.episode if e is not None]
            planned = np.stack([e.p_load_schedule_mw for e in episodes])
            self._schedule_mw = tie_schedule_mw(case, planned)
        k, rows = self._k, np.flatnonzero(alive)
        self._k += 1
        self._n_played[rows] += 1

        def put(name: str, value: FloatArray) -> None:
            self._array[name][rows, k] = value[rows]

        put("term", np.stack([step.terms[f"reward_{name}"] for name in TERMS], axis=1))
        put("df_hz", grid.coi_trace_hz()[self._sample].T)
        put("sum_bus_square_hz2", end.sum_bus_square_hz2)
        put("max_abs_df_hz", end.max_abs_df_hz)
        put("within_36_mhz", end.within_36_mhz)
        put("within_200_mhz", end.within_200_mhz)
        put("output_mw", end.resource_mw @ self._class)
        put("moved_mw", np.abs(end.set_point_change_mw) @ self._class)
        put("soc", end.utilisation[:, loop.fleet.bess].mean(axis=1))
        put(
            "violation",
            np.stack([end.frequency_violation, end.branch_violation, end.voltage_violation], axis=1).astype(
                np.float64
            ),
        )
        put("unserved_mw", end.unserved_mw)
        # The grid's own state is that of the next episode where one has just ended; the last value stands there.
        over = (step.terminated | step.truncated)[:, None]
        before = self._array["area_df_hz"][:, max(k - 1, 0)]
        if grid.df_hz.shape[0] == case.n_area:
            put("area_df_hz", np.where(over, before, grid.df_hz.T))
        else:
            put("area_df_hz", np.where(over, before, np.repeat(grid.coi_df_hz()[:, None], case.n_area, 1)))
        flow_mw = grid.engine.s_from_mva.real[:, self._ties] @ self._out_of
        deviation_mw = flow_mw - self._schedule_mw[:, k + 1]
        put("interchange_mw", np.where(over, self._array["interchange_mw"][:, max(k - 1, 0)], deviation_mw))
        on = grid.engine.machine_in_service
        damping = grid.config.load_damping / case.f0_hz * grid.injections.load_mw.sum(axis=1)
        imbalance_mw = (
            np.where(on, grid.injections.schedule_mw - grid.machine_mw, 0.0).sum(axis=1)
            + damping * grid.coi_df_hz()
            - grid.injections.resource_mw.sum(axis=1)
        )
        put("imbalance_mw", np.where(over[:, 0], self._array["imbalance_mw"][:, max(k - 1, 0)], imbalance_mw))

    def trial(self, n: int) -> Trial:
        """The first n episodes."""
        array = {name: value[:n] for name, value in self._array.items()}
        array["df_hz"] = array["df_hz"].reshape(n, -1)
        return Trial(
            seed=self._seeds[:n],
            interval_s=self._environment.loop.scenario.interval_s,
            n_played=self._n_played[:n],
            **array,
        )
