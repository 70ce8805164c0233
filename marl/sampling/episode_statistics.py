"""Terms of episodes, summed up from those of their steps.

How a term is summed up follows from its name: `reward_...` and `violations...` add up over an episode,
`rms_...` is a root mean square, `max_...` and `min_...` are extremes, every other term is averaged over the
steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marl.protocol import FloatArray, IntArray, Transition

SUMMED = ("reward_", "violations")


class EpisodeSums:
    """Running sums of every environment's current episode, and the totals of the finished ones.

    Terms: `return` is the sum of rewards (their mean over agents where agents have rewards of their own),
    `length` the number of steps; the rest are the environment's.
    """

    def __init__(self, n_env: int) -> None:
        self.n_env = n_env
        self.length = np.zeros(n_env)
        self.sums: dict[str, FloatArray] = {}

    def add(self, transition: Transition) -> dict[str, FloatArray]:
        """Takes one step in; returns the terms of the episodes it ended, each [finished episode]."""
        reward = np.asarray(transition.reward, dtype=np.float64)
        team = reward if reward.ndim == 1 else reward.mean(axis=1)
        self.length += 1.0
        for name, value in {"return": team, **transition.terms}.items():
            step = np.square(value) if name.startswith("rms_") else np.asarray(value, dtype=np.float64)
            if name not in self.sums:
                self.sums[name] = np.full(self.n_env, _empty(name))
            if name.startswith("max_"):
                np.maximum(self.sums[name], step, out=self.sums[name])
            elif name.startswith("min_"):
                np.minimum(self.sums[name], step, out=self.sums[name])
            else:
                self.sums[name] += step
        done = np.asarray(transition.terminated | transition.truncated)
        if not done.any():
            return {}
        finished = {"length": self.length[done].copy()}
        for name, total in self.sums.items():
            finished[name] = _summary(name, total[done], finished["length"])
            total[done] = _empty(name)
        self.length[done] = 0.0
        return finished

    def state(self) -> dict[str, Any]:
        """What `load_state` needs, for a checkpoint."""
        return {"length": self.length.copy(), "sums": {name: x.copy() for name, x in self.sums.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state` returned."""
        self.length = state["length"].copy()
        self.sums = {name: x.copy() for name, x in state["sums"].items()}


def _empty(name: str) -> float:
    return -np.inf if name.startswith("max_") else np.inf if name.startswith("min_") else 0.0


def _summary(name: str, total: FloatArray, length: FloatArray) -> FloatArray:
    if name == "return" or name.startswith((*SUMMED, "max_", "min_")):
        return total.copy()
    mean = total / length
    return np.sqrt(mean) if name.startswith("rms_") else mean


def mean_over_steps(terms: Mapping[str, list[FloatArray]], episode_steps: int) -> dict[str, float]:
    """Totals of an episode of this many steps at the rates of a few steps, {name: list of [env]}."""
    means = {}
    for name, steps in terms.items():
        x = np.asarray(steps, dtype=np.float64)
        if name.startswith("max_"):
            means[name] = float(x.max())
        elif name.startswith("min_"):
            means[name] = float(x.min())
        elif name.startswith("rms_"):
            means[name] = float(np.sqrt(np.square(x).mean()))
        elif name == "return" or name.startswith(SUMMED):
            means[name] = float(x.mean()) * episode_steps
        else:
            means[name] = float(x.mean())
    return means


def episode_terms(
    reward: FloatArray, terms: Mapping[str, FloatArray], n_played: IntArray
) -> dict[str, FloatArray]:
    """Totals of whole episodes, each term [episode], as `EpisodeSums` finds it step by step, to the bit.

    Args:
        reward: the team's, [episode, step].
        terms: {name: [episode, step]}; values after an episode's end do not count.
        n_played: steps of each episode, [episode].
    """
    length = n_played.astype(np.float64)
    played = np.arange(reward.shape[1]) < n_played[:, None]
    found = {"length": length}
    for name, value in {"return": reward, **terms}.items():
        step = np.square(value) if name.startswith("rms_") else np.asarray(value, dtype=np.float64)
        step = np.where(played, step, _empty(name))
        if name.startswith("max_"):
            total: FloatArray = step.max(axis=1)
        elif name.startswith("min_"):
            total = step.min(axis=1)
        else:
            total = 0.0 + np.cumsum(step, axis=1)[:, -1]  # one after the other, unlike sum()
        found[name] = _summary(name, total, length)
    return found
