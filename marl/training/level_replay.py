"""Prioritised level replay: episodes come again by how wrong the critic was in them.

A level is an episode by its seed. Its score is the mean |A_t| of generalised advantage estimation over its steps when
it was last played. What comes next is a level never seen, or with a chance one of those remembered:

    P = (1 - rho) P_S + rho P_C
    P_S(i) ~ (1 / rank_i)^(1 / beta)       rank 1 has the largest score
    P_C(i) ~ c - C_i                       episodes handed out since it was last played

so that no score grows old. When the memory is full, a new level takes the place of the one with the lowest score, if
its own is higher. All seeds are below a bound, and those held out for evaluation are above it.

Reference:
    M. Jiang, E. Grefenstette, T. Rocktaeschel, Prioritized level replay, ICML 2021, sec. 3 and alg. 1-2.

Departures: new levels are drawn without end from all seeds below the bound, and the chance of a replay is fixed once
half of the memory is filled; before that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marl.protocol import BoolArray, FloatArray
from marl.training.curriculum import Draw, training_seeds

__all__ = ["LevelReplay", "replay_probabilities"]

# Episodes named ahead for each environment; one that plays more in a single rollout draws its own, which have no score.
AHEAD = 2
UNKNOWN = -1  # the seed of an episode that an environment drew by itself


def replay_probabilities(
    scores: FloatArray, age: FloatArray, *, temperature: float, staleness: float
) -> FloatArray:
    """P of each level.

    Args:
        scores: mean |A|, [level].
        age: c - C_i, 0 or more, [level].
        temperature: beta.
        staleness: rho.
    """
    rank = np.empty(len(scores))
    rank[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    by_score = (1.0 / rank) ** (1.0 / temperature)
    by_age = age if age.sum() > 0.0 else np.ones(len(age))
    probability: FloatArray = (
        1.0 - staleness
    ) * by_score / by_score.sum() + staleness * by_age / by_age.sum()
    return probability


class LevelReplay:
    """Levels by their seeds, with their scores, and who plays what."""

    def __init__(
        self, *, size: int, share: float, temperature: float, staleness: float, seed: int, below: int
    ) -> None:
        """Knows no level.

        Args:
            size: levels remembered.
            share: chance of a replay.
            temperature: beta.
            staleness: rho.
            seed: of the run.
            below: the first seed that is not for training.
        """
        self.size, self.share, self.temperature, self.staleness = size, share, temperature, staleness
        self.seed, self.below = seed, below
        self.scenario: str | None = None
        self._rng = np.random.default_rng([seed, 0x1E7E1])
        self._seeds = np.zeros(0, dtype=np.int64)  # [level]
        self._scores = np.zeros(0)
        self._played = np.zeros(0)  # c when it was handed out last
        self._clock = 0  # c: episodes handed out
        self._playing: list[list[int]] = []  # [env][episode]: the present one, then those named ahead
        self._sum = np.zeros(0)  # of |A| over the present episode, [env]
        self._steps = np.zeros(0)

    @property
    def levels(self) -> dict[int, float]:
        """Scores by seed."""
        return dict(zip(self._seeds.tolist(), self._scores.tolist(), strict=True))

    def begin(self, n_env: int) -> Draw:
        """New levels everywhere, and those to come."""
        first = training_seeds(self.seed, n_env, self.below)
        self._playing = [[int(seed), *(self._next() for _ in range(AHEAD))] for seed in first]
        self._sum, self._steps = np.zeros(n_env), np.zeros(n_env)
        return Draw(seeds=first, then=self._ahead())

    def take_in(self, value_error: FloatArray, ended: BoolArray) -> None:
        """Adds a rollout's errors to its episodes, and scores those that ended.

        Args:
            value_error: |A|, [step, env].
            ended: whether an episode ended with the step, [step, env].
        """
        for error, over in zip(value_error, ended, strict=True):
            self._sum += error
            self._steps += 1.0
            for env in np.flatnonzero(over):
                level = self._playing[env].pop(0) if self._playing[env] else UNKNOWN
                if level != UNKNOWN:
                    self._score(level, float(self._sum[env] / self._steps[env]))
                self._sum[env] = self._steps[env] = 0.0
                if not self._playing[env]:
                    self._playing[env] = [UNKNOWN]

    def after_update(self, progress: float, terms: Mapping[str, float]) -> Draw | None:
        """Names what is to come where episodes have ended; None where none has."""
        if all(len(row) == 1 + AHEAD for row in self._playing):
            return None
        for row in self._playing:
            row += [self._next() for _ in range(1 + AHEAD - len(row))]
        return Draw(then=self._ahead())

    def _ahead(self) -> Any:
        return np.array([row[1:] for row in self._playing], dtype=np.int64)

    def _next(self) -> int:
        """The seed of another episode."""
        self._clock += 1
        if 2 * len(self._seeds) >= self.size and self._rng.random() < self.share:
            age = self._clock - self._played
            chance = replay_probabilities(
                self._scores, age, temperature=self.temperature, staleness=self.staleness
            )
            level = int(self._rng.choice(len(chance), p=chance))
            self._played[level] = self._clock
            return int(self._seeds[level])
        return int(self._rng.integers(self.below))

    def _score(self, seed: int, score: float) -> None:
        """Remembers how wrong the critic was in the episode of this seed."""
        known = np.flatnonzero(self._seeds == seed)
        if len(known):
            self._scores[known[0]] = score
        elif len(self._seeds) < self.size:
            self._seeds = np.append(self._seeds, seed)
            self._scores, self._played = (
                np.append(self._scores, score),
                np.append(self._played, float(self._clock)),
            )
        else:
            lowest = int(self._scores.argmin())
            if score > self._scores[lowest]:
                self._seeds[lowest], self._scores[lowest] = seed, score
                self._played[lowest] = self._clock

    def state(self) -> dict[str, Any]:
        """Levels, who plays what, and the generator."""
        return {
            "seeds": self._seeds.copy(),
            "scores": self._scores.copy(),
            "played": self._played.copy(),
            "clock": self._clock,
            "playing": [list(row) for row in self._playing],
            "sum": self._sum.copy(),
            "steps": self._steps.copy(),
            "generator": self._rng.bit_generator.state,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned.

        Raises:
            ValueError: a level is held out, as where the bound was another.
        """
        seeds = np.asarray(state["seeds"], dtype=np.int64)
        if len(seeds) and int(seeds.max()) >= self.below:
            raise ValueError(
                f"the saved curriculum holds seed {int(seeds.max())}, held out from {self.below} on"
            )
        self._seeds, self._scores = seeds.copy(), np.array(state["scores"], dtype=np.float64)
        self._played, self._clock = np.array(state["played"], dtype=np.float64), state["clock"]
        self._playing = [list(row) for row in state["playing"]]
        self._sum, self._steps = np.array(state["sum"]), np.array(state["steps"])
        self._rng.bit_generator.state = state["generator"]
