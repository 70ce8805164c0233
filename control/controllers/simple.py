"""Controllers without a law: nothing at all, and random actions."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.plants.fleet import Fleet

__all__ = ["DoNothing", "RandomActions"]


class DoNothing:
    """No secondary control: set-points stay on schedule."""

    def __init__(self, fleet: Fleet, n_env: int) -> None:
        self._shape = n_env, fleet.n_resource

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing is remembered."""
        pass

    def act(self, observation: FloatArray) -> FloatArray:
        """Zero for every plant, [env, resource]."""
        return np.zeros(self._shape)  # the caller's own


class RandomActions:
    """Uniform actions, from a generator that belongs to the episode's seed."""

    def __init__(self, fleet: Fleet, n_env: int) -> None:
        self._n_resource = fleet.n_resource
        self._generators = [_stream_of(env) for env in range(n_env)]

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Start the random numbers of these environments anew, from the episodes' seeds."""
        for env, seed in zip(envs, seeds, strict=True):
            self._generators[env] = _stream_of(int(seed))

    def act(self, observation: FloatArray) -> FloatArray:
        """Uniform numbers from -1 to 1, [env, resource]."""
        return np.stack([rng.uniform(-1.0, 1.0, self._n_resource) for rng in self._generators])


def _stream_of(seed: int) -> np.random.Generator:
    """A stream of its own: the seed itself has drawn the episode.

    The words (seed, 1) are those of the seed `seed + 2**32`, which is no episode's: they end below 2**32.
    """
    return np.random.default_rng([seed, 1])
