"""CMA-ES by the package `cmaes`, with a state that goes on to the bit, and what a candidate of its generations costs.

Candidates of a generation meet the same episodes. Only ranks count, which keeps a single outage from deciding alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cases.arrays import FloatArray

__all__ = ["LOST", "EvolutionStrategy", "TuningError", "candidate_cost"]

LOST = (
    1e300  # cost of a candidate whose episode is not finite: only ranks count, and this is beyond all others
)


class TuningError(ValueError):
    """The search cannot go on; the message says why and what to do."""


def candidate_cost(returns: FloatArray) -> FloatArray:
    """One number a candidate from its returns on common episodes, [candidate, seed] -> [candidate].

    Costs of an episode are divided by the root of their median over the candidates: between the plain sum, which
    the worst episode rules, and relative costs, to which a quiet episode counts as much as a bad one.

    A candidate with a return that is infinite or no number is the worst of its generation, LOST, and has no say in
    what an episode usually costs: a median with one such number in it is none, and NaN breaks the order of the others.
    """
    cost = -returns
    sound = np.isfinite(returns).all(axis=1)
    if not sound.all():
        total = np.full(len(returns), LOST)
        if sound.any():
            total[sound] = candidate_cost(returns[sound])
        return total
    weight = 1.0 / np.sqrt(np.maximum(np.median(cost, axis=0), 1.0))
    total = cost @ weight
    return total


class EvolutionStrategy:
    """CMA-ES, minimising, by the package `cmaes`: N. Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772.

    A search is a function of its start, its seed and the costs it was told. So these are its state, and going on means
    asking and telling once more, which takes no time and needs nothing of the package's inner life.
    """

    def __init__(self, start: FloatArray, sigma: FloatArray, n_candidate: int, seed: int) -> None:
        """Begin at `start`, with standard deviations `sigma`, [parameter] each."""
        import cmaes

        self.start = np.array(start, dtype=np.float64)
        self.sigma = np.array(sigma, dtype=np.float64)
        self.n_candidate, self.seed = n_candidate, seed
        self.cost: list[list[float]] = []  # of every candidate so far, [generation][candidate]
        # In units of sigma, so that the search begins on a sphere.
        self._search = cmaes.CMA(
            mean=self.start / self.sigma, sigma=1.0, population_size=n_candidate, seed=seed
        )
        self._asked: FloatArray | None = None

    @property
    def generation(self) -> int:
        """Generations told of."""
        return len(self.cost)

    @property
    def best(self) -> FloatArray:
        """The mean of the distribution, less noisy than any candidate, [parameter]."""
        centre: FloatArray = self._search.mean * self.sigma
        return centre

    def ask(self) -> FloatArray:
        """Candidates of this generation, [candidate, parameter]; the same until `tell`."""
        if self._asked is None:
            self._asked = np.stack([self._search.ask() for _ in range(self.n_candidate)])
        return self._asked * self.sigma

    def spread(self) -> float:
        """Standard deviation of this generation's candidates in units of `sigma`, mean over the parameters."""
        self.ask()
        assert self._asked is not None
        return float(self._asked.std(axis=0).mean())

    def tell(self, cost: FloatArray) -> None:
        """Learn from the costs of the candidates that were asked for, [candidate]."""
        self.ask()
        assert self._asked is not None
        self._search.tell(list(zip(self._asked, cost.tolist(), strict=True)))
        self.cost.append(cost.tolist())
        self._asked = None

    def get_state(self) -> dict[str, Any]:
        """All that `from_state` needs to go on to the bit, as numbers and lists."""
        return {
            "start": self.start.tolist(),
            "sigma": self.sigma.tolist(),
            "candidates": self.n_candidate,
            "seed": self.seed,
            "cost": self.cost,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> EvolutionStrategy:
        """Go on from what `get_state` gave.

        Raises:
            TuningError: it is no such state.
        """
        try:
            search = cls(
                np.array(state["start"]), np.array(state["sigma"]), state["candidates"], state["seed"]
            )
            for cost in state["cost"]:
                search.tell(np.array(cost))
        except (KeyError, TypeError, ValueError) as error:
            raise TuningError(f"this is no state of a search: {error}") from error
        return search
