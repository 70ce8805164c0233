"""Which episode each environment of a batch plays, and which one is next.

An episode is a function of its scenario and of the state of a generator. Environment k draws from a generator of its
own, unless seeds of its next episodes have been queued; a curriculum changes the scenario that they are drawn from.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Sized
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from cases.arrays import IntArray
from cases.case import Case
from cases.series import Series
from control.scenario.config import ScenarioConfig
from control.scenario.episode import EpisodeBuilder
from control.scenario.file import scenario_named
from control.scenario.suites import SCENARIOS
from control.task.staged_loop import require_same_grid

__all__ = ["EpisodeDraws", "checked_seed"]

_OF_EACH = ("length", "generators", "before_episode", "drawn_from", "queued")  # an entry for each environment


class EpisodeDraws:
    """Generators, queued seeds and scenarios of a batch.

    Attributes (read them, change them only through the methods):
        source: name of the scenario that new episodes are drawn from; "" is the one that the batch was built with.
        source_of: that of each environment's present episode, [env].
        length: intervals that the present episodes have, an array that stays, [env].
    """

    def __init__(
        self, case: Case, series: Series, builder: EpisodeBuilder, n_env: int, seed: int, *, stagger: bool
    ) -> None:
        """No episode has begun.

        Args:
            case: the grid.
            series: the real year.
            builder: of the scenario that the batch is built with.
            n_env: environments.
            seed: environment k draws from its child k.
            stagger: after seeds, first episodes have lengths that follow from these.
        """
        self._case, self._series, self._stagger = case, series, stagger
        self._scenario = builder.config
        self._builders = {"": builder}
        self.source = ""
        self.source_of = [""] * n_env
        children = np.random.SeedSequence(seed).spawn(n_env)
        self.generators = [np.random.default_rng(child) for child in children]
        self._before_episode: list[Mapping[str, Any]] = [g.bit_generator.state for g in self.generators]
        self._queued: list[list[int]] = [[] for _ in range(n_env)]  # seeds, [env][episode]
        self.length: IntArray = np.full(n_env, self._scenario.n_intervals)

    def restart(self, seeds: Sequence[int] | IntArray | None) -> None:
        """All environments begin anew, from these checked seeds [env] or from where the generators stand."""
        n_env, whole = len(self.generators), self._scenario.n_intervals
        if seeds is not None:
            self.generators = [np.random.default_rng(int(seed)) for seed in seeds]
        self._queued = [[] for _ in range(n_env)]
        self.length[:] = whole
        if seeds is not None and self._stagger:
            words = [int(np.random.SeedSequence(int(seed)).generate_state(1)[0]) for seed in seeds]
            self.length[:] = [1 + word % whole for word in words]

    def queue(self, seeds: IntArray) -> None:
        """Seeds of the next episodes, in the place of those named before, [env, episode].

        Raises:
            ValueError: there is not a row for each environment, or a seed is negative.
            TypeError: a seed is no whole number.
        """
        n_env = len(self.generators)
        if len(seeds) != n_env:
            raise ValueError(f"{len(seeds)} rows of seeds for {n_env} environments, expected one each")
        self._queued = [[checked_seed(seed) for seed in row] for row in seeds]

    def draw_from(self, name: str) -> EpisodeBuilder:
        """From now on new episodes are drawn from this scenario, by the builder returned.

        Raises:
            ScenarioError: there is none, or it changes what a batch keeps (`control.task.staged_loop.FIXED`).
        """
        builder = self.builder_of(name)
        self.source = name
        return builder

    def builder_of(self, name: str) -> EpisodeBuilder:
        """Builder of a scenario's episodes.

        Raises:
            ScenarioError: see `draw_from`.
        """
        if name not in self._builders:
            config = self.scenario_of(name)
            require_same_grid(self._scenario, config)
            self._builders[name] = EpisodeBuilder(self._case, self._series, config)
        return self._builders[name]

    def scenario_of(self, name: str) -> ScenarioConfig:
        """The scenario of this name, one of the project's own with episodes as long as this batch's.

        Raises:
            ScenarioError: there is none.
        """
        config = scenario_named(name, self._case)
        return replace(config, n_intervals=self._scenario.n_intervals) if name in SCENARIOS else config

    def follow(self, ended: IntArray) -> None:
        """The next episodes of these environments, [n], are whole, and those of their queues if there are any."""
        self.length[ended] = self._scenario.n_intervals
        for env in ended:
            if self._queued[env]:
                self.generators[env] = np.random.default_rng(self._queued[env].pop(0))

    def begin(self, envs: IntArray) -> list[np.random.Generator]:
        """Generators from which episodes are drawn now, [n]; where they stand is remembered."""
        for env in envs:
            self._before_episode[env] = self.generators[env].bit_generator.state
            self.source_of[env] = self.source
        return [self.generators[env] for env in envs]

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs."""
        state: dict[str, Any] = {}
        if self.source or any(self.source_of):
            names = {self.source, *self.source_of}
            state = {
                "draws_from": self.source,
                "drawn_from": list(self.source_of),
                "scenarios": {name: repr(self._builders[name].config) for name in sorted(names)},
            }
        if any(self._queued):
            state["queued"] = [list(row) for row in self._queued]
        return state | {
            "scenario": repr(self._scenario),
            "generators": [g.bit_generator.state for g in self.generators],
            "before_episode": deepcopy(self._before_episode),
            "length": self.length.copy(),
        }

    def require_same(self, state: Mapping[str, Any]) -> None:
        """Whether a saved state is of as many environments, and of scenarios as they are here.

        Raises:
            ValueError: it is not, or a generator in it is none.
            ScenarioError: there is no such scenario any more.
        """
        n_env = len(self.generators)
        for name in _OF_EACH:
            if name not in state:
                continue
            if not isinstance(state[name], Sized):
                raise ValueError(
                    f"the saved state has {state[name]!r} as {name}, expected one an environment"
                )
            if len(state[name]) != n_env:
                raise ValueError(
                    f"the saved state is of {len(state[name])} environments, this batch has {n_env}"
                )
        found = {"": state.get("scenario", repr(self._scenario)), **state.get("scenarios", {})}
        for name, saved in found.items():
            here = self.builder_of(name).config
            if saved != repr(here):
                raise ValueError(
                    f"the saved state is of another scenario than {here.name!r} as it is here: the scenario's "
                    "file or this project has changed since; go on with those it was saved with, or begin anew"
                )
        for name in {state.get("draws_from", ""), *state.get("drawn_from", ())}:
            self.builder_of(name)
        for name in ("generators", "before_episode"):
            for env, saved in enumerate(state.get(name, ())):
                try:
                    _generator(saved)
                except (TypeError, ValueError, KeyError):
                    raise ValueError(
                        f"the saved state has no state of a generator as {name}[{env}], expected what get_state "
                        "returned"
                    ) from None

    def rewind(self, state: Mapping[str, Any]) -> tuple[list[EpisodeBuilder], list[np.random.Generator]]:
        """Builders and generators as they were when the present episodes of a saved state were drawn, each [env]."""
        self.source_of = list(state.get("drawn_from", [""] * len(self.generators)))
        self._before_episode = deepcopy(list(state["before_episode"]))
        builders = [self.builder_of(name) for name in self.source_of]
        return builders, [_generator(s) for s in state["before_episode"]]

    def set_state(self, state: Mapping[str, Any]) -> EpisodeBuilder:
        """Go on from a state that `get_state` returned, after `rewind`; the builder of the next episodes."""
        self.generators = [_generator(s) for s in state["generators"]]
        self.length[:] = state["length"]
        self._queued = [list(row) for row in state.get("queued", [[]] * len(self.generators))]
        return self.draw_from(state.get("draws_from", ""))


def checked_seed(seed: Any) -> int:
    """A seed as an integer of Python's.

    Raises:
        TypeError: it is no whole number: cut to one, it would begin another episode than it says. True and False are
            none either, though Python counts with them.
        ValueError: it is negative.
    """
    try:
        if isinstance(seed, bool | np.bool_):
            raise TypeError
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed = {seed!r}, expected a whole number from 0 on") from None
    if number < 0:
        raise ValueError(f"seed = {seed}, expected a whole number from 0 on")
    return number


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    generator = np.random.default_rng()
    generator.bit_generator.state = dict(state)
    return generator
