"""A price on broken limits that finds itself: Lagrangian relaxation of a budget of violations.

    max over policies, min over lambda >= 0 of   E[r] - lambda (E[v] - budget)

The learner is charged lambda v beside the reward as it is, where v counts the limits broken in a step. After each
update the multiplier moves by dual ascent,

    lambda <- max(0, lambda + rate (mean v - budget))

so it rises while more is broken than the budget allows, and falls back to zero where less is.

References:
    E. Altman, Constrained Markov decision processes, Chapman & Hall, 1999.
    A. Ray, J. Achiam, D. Amodei, Benchmarking safe exploration in deep reinforcement learning, 2019 (PPO-Lagrangian).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marl.protocol import FloatArray

__all__ = ["VIOLATIONS", "Lagrangian"]

VIOLATIONS = "violations"  # the environment's term that counts the limits broken in a step


class Lagrangian:
    """The multiplier, and what was counted since it moved last."""

    def __init__(self, *, budget: float, rate: float) -> None:
        """Args: budget: violations a step that are allowed for. rate: of the dual ascent."""
        self.budget, self.rate = budget, rate
        self.multiplier = 0.0
        self._total, self._n = 0.0, 0

    def charge(self, terms: Mapping[str, FloatArray]) -> FloatArray:
        """What a step is charged beside its reward, [env], by the multiplier as it is; its violations are counted.

        Raises:
            ValueError: the environment does not count violations.
        """
        if VIOLATIONS not in terms:
            raise ValueError(
                f"a budget of violations needs an environment that counts them, but its terms are {sorted(terms)}"
            )
        violations = np.asarray(terms[VIOLATIONS], dtype=np.float64)
        self._total += float(violations.sum())
        self._n += len(violations)
        return self.multiplier * violations

    def forget(self) -> None:
        """Lets go of what was counted since the last move."""
        self._total, self._n = 0.0, 0

    def move(self) -> dict[str, float]:
        """Dual ascent by what was counted; diagnostics by tag."""
        mean = self._total / self._n if self._n else self.budget
        self.multiplier = max(0.0, self.multiplier + self.rate * (mean - self.budget))
        self.forget()
        return {"train/violations_per_step": mean, "train/violation_price": self.multiplier}

    def state(self) -> dict[str, Any]:
        """What `load_state` needs."""
        return {"multiplier": self.multiplier, "total": self._total, "n": self._n}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.multiplier, self._total, self._n = state["multiplier"], state["total"], state["n"]
