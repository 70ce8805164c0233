"""What training episodes are drawn from, and when that changes.

A curriculum is asked once before the first episode and again after every update. The constant one, which is the
default, gives every environment a seed of its own at the beginning and leaves the scenario as the environments were
built; later ones may move from calm scenarios to severe ones by how far training has come or by what was measured.

    Y. Bengio, J. Louradour, R. Collobert, J. Weston, Curriculum learning, ICML 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from marl.protocol import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What episodes are drawn from now on."""

    # Scenario by name; None is the one that the environments were built with. It needs a `ScenarioEnvironment`.
    scenario: str | None = None
    # One for each environment, [env]: episodes under way are broken off and new ones begin. None lets them go on.
    seeds: IntArray | None = None
    # Of the episodes after those, [env, episode]; after them environments draw their own. It needs a
    # `SeededEnvironment`; None leaves what was said before.
    then: IntArray | None = None


class Curriculum(Protocol):
    """Says what to draw training episodes from."""

    @property
    def scenario(self) -> str | None:
        """That episodes are drawn from at present; None is the one that the environments were built with."""
        ...

    def begin(self, n_env: int) -> Draw:
        """Before the first episode; has seeds [env]."""
        ...

    def after_update(self, progress: float, terms: Mapping[str, float]) -> Draw | None:
        """After an update; None leaves all as it is.

        Args:
            progress: share of the training that is over, 0 to 1.
            terms: totals of a whole episode at the rates of this update's steps; `return` is among them.
        """
        ...

    def state(self) -> dict[str, Any]:
        """All that `load_state` needs, as plain data; it travels in checkpoints."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        ...


@runtime_checkable
class LevelCurriculum(Curriculum, Protocol):
    """A curriculum that learns from how wrong the critic was in the episodes that were played."""

    def take_in(self, value_error: FloatArray, ended: BoolArray) -> None:
        """Before `after_update`: what its rollout found.

        Args:
            value_error: how far the critic was off, 0 or more, [step, env].
            ended: whether an episode ended with the step, [step, env].
        """
        ...


@runtime_checkable
class TellsValueErrors(Protocol):
    """An algorithm that says how wrong its critic was."""

    @property
    def value_error(self) -> FloatArray:
        """Of the last rollout, mean of |A| over values, [step, env]."""
        ...


def training_seeds(seed: int, n_env: int, below: int) -> IntArray:
    """One seed per environment; environment k's does not depend on how many there are.

    Args:
        seed: of the run.
        n_env: number of environments.
        below: the first seed that is not for training.

    Returns:
        Seeds below it, [env].
    """
    words = [int(np.random.SeedSequence([seed, k]).generate_state(1, np.uint64)[0]) for k in range(n_env)]
    return np.array([word % below for word in words], dtype=np.int64)


class ConstantCurriculum:
    """The same scenario from beginning to end; each environment draws its episodes from a generator of its own."""

    def __init__(self, seed: int, below: int) -> None:
        """Args: seed: of the run. below: the first seed that is not for training."""
        self.seed, self.below = seed, below
        self.scenario: str | None = None

    def begin(self, n_env: int) -> Draw:
        """A seed for each environment; no scenario but the environments' own."""
        return Draw(seeds=training_seeds(self.seed, n_env, self.below))

    def after_update(self, progress: float, terms: Mapping[str, float]) -> Draw | None:
        """Nothing ever changes."""
        return None

    def state(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Nothing to take up."""
        pass
