"""One way to play episodes: any actor in any environment that can be stepped; one record comes out.

What the environment shows is handed to the actor as it is, and the actor's answer to the environment: neither is
looked into here. So the grid is played with controllers as with learned policies, and any small environment too.
Episode k of a record depends on its seed and on the actor alone, whatever the batch size: seeds are played in batches
as large as the environment, and the last one is filled up with repeats that count for nothing.

    record = rollout(controller, ByPlant(environment), seeds)             returns and terms of the reward
    record = rollout(controller, ByPlant(environment), seeds, Figures)    and what the tables are made of
    record = rollout(controller, ByPlant(environment), seeds, Traces)     and what pictures are made of

`control.evaluation.grid_record` has the details of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from control.controllers.base import require_controller

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Actor", "Detail", "Environment", "Plain", "Record", "Step", "Telling", "rollout"]

# Longer than any episode here: an environment that never ends one is a mistake, not patience to be had.
MOST_INTERVALS = 1_000_000

Seen = TypeVar("Seen")
Action = TypeVar("Action")
SeenIn = TypeVar("SeenIn", contravariant=True)
SeenOut = TypeVar("SeenOut", covariant=True)
ActionIn = TypeVar("ActionIn", contravariant=True)
ActionOut = TypeVar("ActionOut", covariant=True)


class Actor(Protocol[SeenIn, ActionOut]):
    """Whoever acts in a batch of episodes. A memory, such as a hidden state, is its own, one for each environment."""

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Episodes with these seeds begin in these environments: forget what was before, there and nowhere else."""

    def act(self, observation: SeenIn) -> ActionOut:
        """What to do in all environments, from what they show."""


@runtime_checkable
class Telling(Protocol):
    """An actor that tells of itself: where a program it solves had no solution, say."""

    def tell(self) -> Mapping[str, FloatArray]:
        """Arrays about the action just taken, {name: [env, ...]}; they stand in the record beside the detail's."""


class Step(Protocol[SeenOut]):
    """What one interval of all environments led to; the environment leads on every axis."""

    @property
    def observation(self) -> SeenOut:
        """What the environments show now; where an episode ended, of the next one."""

    @property
    def reward(self) -> Any:
        """[env], or [env, agent]."""

    @property
    def terms(self) -> Mapping[str, FloatArray]:
        """Everything logged of the interval, {name: [env]}."""

    @property
    def terminated(self) -> BoolArray:
        """Whether the episode ended because it cannot go on, [env]."""

    @property
    def truncated(self) -> BoolArray:
        """Whether it ended because its time is over, [env]."""


class Environment(Protocol[SeenOut, ActionIn]):
    """A batch of episodes that step together."""

    @property
    def n_env(self) -> int:
        """Episodes that step together."""

    def reset(self, seeds: IntArray, /) -> SeenOut:
        """Start an episode from each seed, [env]; what they show."""

    def step(self, action: ActionIn, /) -> Step[SeenOut]:
        """One interval of every episode."""


class Detail(Protocol):
    """What is kept of an interval beside reward and terms. Made anew of each batch, when its episodes have begun."""

    interval_s: float
    n_intervals: (
        int | None
    )  # of a whole episode, to which records are filled up with NaN; None: as many as were played
    marks: tuple[tuple[tuple[float, str], ...], ...]  # of each environment's episode: time [s] and words

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """Arrays of the interval just played, {name: [env, ...]}, also where an episode has ended in it."""


class Plain:
    """Nothing beside reward and terms: enough for tuning, and for judging policies while they learn."""

    interval_s = 1.0
    n_intervals: int | None = None
    marks: tuple[tuple[tuple[float, str], ...], ...] = ()

    def __init__(self, environment: Any) -> None:
        """Any environment: nothing is read from it."""

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """Nothing more."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Episodes of one actor; T intervals, NaN from the end of an episode on. Units are part of the names."""

    seed: IntArray  # [episode]
    n_played: IntArray  # intervals until the end, [episode]
    terminated: BoolArray  # by the task, not by the clock, [episode]
    reward: FloatArray  # the team's, or the mean over agents with rewards of their own, [episode, T]
    terms: Mapping[str, FloatArray]  # as the environment logs them, each [episode, T]
    arrays: Mapping[str, FloatArray] = field(
        default_factory=dict
    )  # of the detail asked for and of actors that tell of themselves, each [episode, T, ...]
    interval_s: float = 1.0
    marks: tuple[
        tuple[tuple[float, str], ...], ...
    ] = ()  # of each episode: what happened, as time [s] and words
    elements: tuple[
        Any, ...
    ] = ()  # of the grid, where the detail kept all: names of tables with their rows' labels
    case: Case | None = None  # the grid, likewise

    def __getitem__(self, name: str) -> FloatArray:
        """An array by its name, [episode, T, ...].

        Raises:
            KeyError: nothing of this name was kept; the message names what was.
        """
        for kept in (self.arrays, self.terms):
            if name in kept:
                return kept[name]
        known = ", ".join([*self.arrays, *self.terms])
        raise KeyError(f"the record holds no {name!r}, only {known}; ask `rollout` for more detail")

    @property
    def n_intervals(self) -> int:
        """T."""
        return int(self.reward.shape[1])

    @property
    def returns(self) -> FloatArray:
        """Sum of the rewards, [episode]."""
        total: FloatArray = np.nansum(self.reward, axis=1)
        return total

    def time_s(self, episode: int = 0) -> FloatArray:
        """Ends of the intervals that an episode played [s], [t]."""
        return self.interval_s * np.arange(1, int(self.n_played[episode]) + 1, dtype=np.float64)

    def happened(self, episode: int = 0) -> tuple[tuple[float, str], ...]:
        """What happened in an episode until its end: time [s] and words."""
        end_s = self.interval_s * float(self.n_played[episode])
        return tuple(mark for mark in self.marks[episode] if mark[0] <= end_s)

    def to_pandas(self, episode: int = 0) -> dict[str, pd.DataFrame]:
        """Tidy tables of an episode by name, see `control.evaluation.export.tables`.

        Raises:
            ExportError: the record was made without the detail `Everything`.
        """
        from control.evaluation.export import tables

        return tables(self, episode)

    def net_at(self, time_s: float, episode: int = 0) -> Any:
        """The grid at an instant as a solved pandapower net, see `control.evaluation.export.net_at`.

        Raises:
            ExportError: no such instant, or the record was made without the detail `Everything`.
        """
        from control.evaluation.export import net_at

        return net_at(self, time_s, episode)

    def first(self, n: int) -> Record:
        """Its first n episodes."""
        return self._each(lambda x: x[:n], marks=self.marks[:n])

    def either(self, other: Record, choose: BoolArray) -> Record:
        """The other's episodes where chosen, [episode], and its own elsewhere; both hold the same arrays."""

        def pick(a: Any, b: Any) -> Any:
            return np.where(choose.reshape(-1, *([1] * (a.ndim - 1))), b, a)

        return replace(
            self,
            n_played=pick(self.n_played, other.n_played),
            terminated=pick(self.terminated, other.terminated),
            reward=pick(self.reward, other.reward),
            terms={name: pick(x, other.terms[name]) for name, x in self.terms.items()},
            arrays={name: pick(x, other.arrays[name]) for name, x in self.arrays.items()},
        )

    def filled_up(self, n: int) -> Record:
        """With NaN to n intervals."""
        return self if n == self.n_intervals else self._each(lambda x: _filled_up(x, n), only_time=True)

    @classmethod
    def join(cls, pieces: list[Record]) -> Record:
        """One record of the episodes of several that hold the same arrays."""
        longest = max(piece.n_intervals for piece in pieces)
        pieces = [piece.filled_up(longest) for piece in pieces]
        first = pieces[0]
        if len(pieces) == 1:
            return first
        return replace(
            first,
            seed=np.concatenate([piece.seed for piece in pieces]),
            n_played=np.concatenate([piece.n_played for piece in pieces]),
            terminated=np.concatenate([piece.terminated for piece in pieces]),
            reward=np.concatenate([piece.reward for piece in pieces]),
            terms={name: np.concatenate([piece.terms[name] for piece in pieces]) for name in first.terms},
            arrays={name: np.concatenate([piece.arrays[name] for piece in pieces]) for name in first.arrays},
            marks=tuple(mark for piece in pieces for mark in piece.marks),
        )

    def _each(self, change: Callable[[Any], Any], *, only_time: bool = False, **others: Any) -> Record:
        """Every array changed in the same way; `only_time` leaves those alone that have no axis of time."""
        changed: dict[str, Any] = {"reward": change(self.reward)}
        if not only_time:
            changed |= {name: change(getattr(self, name)) for name in ("seed", "n_played", "terminated")}
        for name in ("terms", "arrays"):
            changed[name] = {key: change(x) for key, x in getattr(self, name).items()}
        return replace(self, **changed, **others)


def rollout(
    controller: Actor[Seen, Action],
    environment: Environment[Seen, Action],
    seeds: IntArray,
    detail: Callable[[Any], Detail] = Plain,
    on_interval: Callable[[], None] | None = None,
) -> Record:
    """Play the episodes of these seeds to their ends.

    Args:
        controller: acts in all of the environment's episodes at once.
        environment: a batch; where an episode ends it may begin another, which counts for nothing.
        seeds: any number from one on, [episode].
        detail: what to keep beside reward and terms.
        on_interval: called after each interval of a batch, for a progress bar or live output.

    Returns:
        Episodes in the order of the seeds.

    Raises:
        ValueError: no seeds. RuntimeError: the episodes never end.
        TypeError: seeds are no whole numbers, the environment is none, or the controller cannot read what it shows,
            such as one of plants where agents are shown by group.
        control.controllers.base.ControllerError: the controller has not both methods.
    """
    if len(seeds) == 0:
        raise ValueError("no seeds to play, expected at least one")
    if (
        np.asarray(seeds).dtype.kind not in "iu"
    ):  # cut to whole ones, they would be of other episodes than they say
        raise TypeError(f"seeds are of type {np.asarray(seeds).dtype}, expected whole numbers")
    require_controller(controller)
    lacks = [name for name in ("n_env", "reset", "step") if not hasattr(environment, name)]
    if lacks:
        raise TypeError(
            f"the environment is a {type(environment).__name__} without {' and '.join(lacks)}, expected a batch of "
            "episodes, such as ByPlant(make_batch(scenario, n_env))"
        )
    pieces, n_env = [], environment.n_env
    for start in range(0, len(seeds), n_env):
        mine = np.asarray(seeds[start : start + n_env], dtype=np.int64)
        padded = np.concatenate([mine, np.full(n_env - len(mine), mine[0])])
        pieces.append(_batch(controller, environment, padded, len(mine), detail, on_interval))
    return Record.join(pieces)


def _batch(
    controller: Actor[Seen, Action],
    environment: Environment[Seen, Action],
    seeds: IntArray,
    n_mine: int,
    detail: Callable[[Any], Detail],
    on_interval: Callable[[], None] | None,
) -> Record:
    """One batch of episodes, [env], of which the first `n_mine` count.

    Raises:
        RuntimeError: an episode has not ended after MOST_INTERVALS intervals.
        TypeError: the controller cannot read what the environment shows.
        AttributeError: a mistake of the controller's own, as it was made.
    """
    n_env = environment.n_env
    seen = environment.reset(seeds)
    controller.reset(np.arange(n_env), seeds)
    keeper = detail(environment)
    alive = np.arange(n_env) < n_mine
    terminated = np.zeros(n_env, dtype=np.bool_)
    n_played = np.zeros(n_env, dtype=np.int64)
    kept: dict[tuple[str, str], list[FloatArray]] = {}
    for _ in range(MOST_INTERVALS):
        try:
            action = controller.act(seen)
        except (AttributeError, TypeError) as error:
            if not _is_of(error, seen):
                raise
            raise TypeError(
                f"{type(controller).__name__} cannot read {_in_words(seen)} as {type(environment).__name__} shows it: "
                f"{error}; expected a controller of plants in ByPlant(environment), or one of groups in the "
                "environment itself"
            ) from error
        step = environment.step(action)
        reward = np.asarray(step.reward, dtype=np.float64)
        interval = {("reward", ""): reward if reward.ndim == 1 else reward.mean(axis=1)}
        interval |= {("terms", name): x for name, x in step.terms.items()}
        interval |= {("arrays", name): x for name, x in keeper.measure(step).items()}
        if isinstance(controller, Telling):
            interval |= {("arrays", name): x for name, x in controller.tell().items()}
        for key, value in interval.items():
            row = np.full(np.shape(value), np.nan)
            row[alive] = np.asarray(value)[alive]
            kept.setdefault(key, []).append(row)
        n_played[alive] += 1
        terminated |= alive & step.terminated
        if on_interval is not None:
            on_interval()
        over = np.asarray(step.terminated | step.truncated)
        alive &= ~over
        if not alive.any():
            break
        # An environment whose episode is over plays on with another, which counts for nothing.
        if over.any():
            controller.reset(np.flatnonzero(over), np.zeros(np.count_nonzero(over), dtype=np.int64))
        seen = step.observation
    else:
        raise RuntimeError(f"no end of the episodes after {MOST_INTERVALS} intervals")
    stacked = {key: np.stack(rows, axis=1) for key, rows in kept.items()}
    record = Record(
        seed=seeds,
        n_played=n_played,
        terminated=terminated,
        reward=stacked["reward", ""],
        terms={name: x for (what, name), x in stacked.items() if what == "terms"},
        arrays={name: x for (what, name), x in stacked.items() if what == "arrays"},
        interval_s=keeper.interval_s,
        marks=tuple(keeper.marks) or ((),) * n_env,
        elements=getattr(keeper, "elements", ()),
        case=getattr(keeper, "case", None),
    ).first(n_mine)
    return record.filled_up(keeper.n_intervals or record.n_intervals)


def _is_of(error: AttributeError | TypeError, seen: object) -> bool:
    """Whether an error is about what is shown itself, and not about anything that is made of it."""
    if isinstance(error, AttributeError):
        return error.obj is seen
    # Python names the type in these: 'Observation' object is not subscriptable; tuple indices must be integers.
    kinds = [type(seen).__name__] + ["tuple"] * isinstance(seen, tuple)
    return not isinstance(seen, np.ndarray) and any(kind in str(error) for kind in kinds)


def _in_words(seen: object) -> str:
    """What is shown, as an array with its shape or by its type."""
    if isinstance(seen, np.ndarray):
        return f"an array of shape {seen.shape}"
    return f"an object of type {type(seen).__name__}"


def _filled_up(values: FloatArray, n: int) -> FloatArray:
    """[episode, t, ...] with NaN to n intervals."""
    missing = np.full((values.shape[0], n - values.shape[1], *values.shape[2:]), np.nan)
    return np.concatenate([values, missing], axis=1)
