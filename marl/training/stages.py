"""A curriculum of stages: scenarios from calm to severe, each until it is mastered.

    Y. Bengio, J. Louradour, R. Collobert, J. Weston, Curriculum learning, ICML 2009.

The stages' names and what counts as success are the environment's to say. The next stage begins once the success of a
few updates in a row, in their mean, reaches a threshold; there is no way back. With it new episodes begin everywhere,
because a stage may change what the environments are built around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marl.training.curriculum import Draw, training_seeds

__all__ = ["StageCurriculum", "Stages"]


@dataclass(frozen=True)
class Stages:
    """What an environment offers to learn in, the easiest first."""

    names: tuple[str, ...]  # of scenarios
    success: str  # term whose rate says how well a stage is mastered, more is better

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a curriculum of no stages, expected at least one")


class StageCurriculum:
    """Advances by measured success."""

    def __init__(self, stages: Stages, *, threshold: float, n_update: int, seed: int, below: int) -> None:
        """At the first stage.

        Args:
            stages: to go through.
            threshold: of success, from which on the next stage begins.
            n_update: updates whose mean it is, all in the stage.
            seed: of the run.
            below: the first seed that is not for training.
        """
        self.stages, self.threshold, self.n_update = stages, threshold, n_update
        self.seed, self.below = seed, below
        self.stage, self._recent = 0, list[float]()
        self._n_env = 0

    @property
    def scenario(self) -> str | None:
        """Of the present stage."""
        return self.stages.names[self.stage]

    def begin(self, n_env: int) -> Draw:
        """The first stage."""
        self._n_env = n_env
        return self._draw()

    def _draw(self) -> Draw:
        """The stage's scenario, and episodes of its own."""
        words = np.random.SeedSequence([self.seed, self.stage]).generate_state(1, np.uint64)
        own = self.seed if self.stage == 0 else int(words[0]) >> 1
        return Draw(scenario=self.scenario, seeds=training_seeds(own, self._n_env, self.below))

    def after_update(self, progress: float, terms: Mapping[str, float]) -> Draw | None:
        """Counts the update's success; the next stage, or None.

        Raises:
            ValueError: the environment does not measure what counts as success.
        """
        if self.stages.success not in terms:
            raise ValueError(
                f"success is {self.stages.success!r}, which is not among the terms {sorted(terms)}"
            )
        self._recent = [*self._recent, float(terms[self.stages.success])][-self.n_update :]
        mastered = len(self._recent) == self.n_update and np.mean(self._recent) >= self.threshold
        if not mastered or self.stage + 1 == len(self.stages.names):
            return None
        self.stage, self._recent = self.stage + 1, []
        return self._draw()

    def state(self) -> dict[str, Any]:
        """Stage by its name, and the successes in it."""
        return {"stage": self.scenario, "recent": list(self._recent), "n_env": self._n_env}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned.

        Raises:
            ValueError: there is no such stage.
        """
        if state["stage"] not in self.stages.names:
            raise ValueError(f"no stage is called {state['stage']!r}, expected one of {self.stages.names}")
        self.stage = self.stages.names.index(state["stage"])
        self._recent, self._n_env = list(state["recent"]), state["n_env"]
