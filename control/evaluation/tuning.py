"""Tuning by an evolution strategy: the search space of a controller's parameters, and CMA-ES.

Candidates of a generation meet the same episodes, and another generation others, so that nothing is tuned to a few
seeds. Only ranks count, which keeps a single outage from deciding alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np

from cases.arrays import FloatArray
from control.controllers.agc import Within

__all__ = ["CmaEs", "Space", "candidate_cost"]


@dataclass(frozen=True, kw_only=True)
class Space:
    """Parameters of a dataclass whose fields are `Annotated` with `Within`, as numbers from 0 to 1."""

    name: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    log: FloatArray  # 1 where the logarithm is searched

    @classmethod
    def of(cls, parameters: type[Any], without: tuple[str, ...] = ()) -> Space:
        """All tunable fields of a parameter class, but for those named."""
        hints = get_type_hints(parameters, include_extras=True)
        found = {
            name: extra
            for name, hint in hints.items()
            for extra in getattr(hint, "__metadata__", ())
            if isinstance(extra, Within) and name not in without
        }
        return cls(
            name=tuple(found),
            low=np.array([within.low for within in found.values()]),
            high=np.array([within.high for within in found.values()]),
            log=np.array([float(within.log) for within in found.values()]),
        )

    def decode(self, unit: FloatArray) -> dict[str, FloatArray]:
        """{name: [...]} from positions [..., parameter], cut to 0..1."""
        unit = np.clip(unit, 0.0, 1.0)
        safe_low = np.where(self.log > 0.0, self.low, 1.0)
        safe_high = np.where(self.log > 0.0, self.high, 1.0)
        geometric = safe_low * (safe_high / safe_low) ** unit
        value = np.where(self.log > 0.0, geometric, self.low + (self.high - self.low) * unit)
        return {name: value[..., i] for i, name in enumerate(self.name)}

    def encode(self, values: Mapping[str, Any]) -> FloatArray:
        """Position of given parameters, [parameter]."""
        x = np.array([float(values[name]) for name in self.name])
        low, high = self.low, self.high
        safe = np.where(self.log > 0.0, np.maximum(x, low), 1.0)
        safe_low = np.where(self.log > 0.0, low, 1.0)
        ratio = np.where(self.log > 0.0, high / np.where(self.log > 0.0, low, high), np.e)
        unit = np.where(self.log > 0.0, np.log(safe / safe_low) / np.log(ratio), (x - low) / (high - low))
        return np.clip(unit, 0.0, 1.0)


def candidate_cost(returns: FloatArray) -> FloatArray:
    """One number a candidate from its returns on common episodes, [candidate, seed] -> [candidate].

    Costs of an episode are divided by the root of their median over the candidates: between the plain sum, which
    the worst episode rules, and relative costs, to which a quiet episode counts as much as a bad one.
    """
    cost = -returns
    weight = 1.0 / np.sqrt(np.maximum(np.median(cost, axis=0), 1.0))
    total: FloatArray = cost @ weight
    return total


class CmaEs:
    """Covariance matrix adaptation, minimising.

    Positive weights only, rank-one and rank-mu updates, cumulative step length adaptation, with the default
    constants of N. Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772, table 1.
    """

    def __init__(self, mean: FloatArray, sigma: FloatArray, n_candidate: int, seed: int) -> None:
        """Start at `mean`, with standard deviations `sigma`, [parameter] each."""
        n = len(mean)
        self.n_candidate = n_candidate
        self.scale = np.array(sigma, dtype=np.float64)
        self.mean = np.array(mean, dtype=np.float64) / self.scale
        self.sigma = 1.0
        self.covariance = np.eye(n)
        self.path_sigma, self.path_c = np.zeros(n), np.zeros(n)
        self.generation = 0
        self.rng = np.random.default_rng(seed)
        mu = n_candidate // 2
        weight = np.log((n_candidate + 1) / 2.0) - np.log(np.arange(1, mu + 1))
        self.weight = weight / weight.sum()
        self.mu_eff = 1.0 / float(np.square(self.weight).sum())
        m = self.mu_eff
        self.c_sigma = (m + 2.0) / (n + m + 5.0)
        self.d_sigma = 1.0 + 2.0 * max(0.0, np.sqrt((m - 1.0) / (n + 1.0)) - 1.0) + self.c_sigma
        self.c_c = (4.0 + m / n) / (n + 4.0 + 2.0 * m / n)
        self.c_1 = 2.0 / ((n + 1.3) ** 2 + m)
        self.c_mu = min(1.0 - self.c_1, 2.0 * (m - 2.0 + 1.0 / m) / ((n + 2.0) ** 2 + m))
        self.chi = np.sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n))

    @property
    def best(self) -> FloatArray:
        """The mean of the distribution, less noisy than any candidate, [parameter]."""
        centre: FloatArray = self.mean * self.scale
        return centre

    def ask(self) -> FloatArray:
        """Candidates of this generation, [candidate, parameter]."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 1e-20))
        z = self.rng.standard_normal((self.n_candidate, len(self.mean)))
        candidates: FloatArray = (self.mean + self.sigma * z @ root.T) * self.scale
        return candidates

    def tell(self, candidates: FloatArray, cost: FloatArray) -> None:
        """Learn from the candidates' costs, [candidate]."""
        n, order = len(self.mean), np.argsort(cost, kind="stable")
        best = candidates[order[: len(self.weight)]] / self.scale
        step = (best - self.mean) / self.sigma
        mean_step = self.weight @ step
        self.mean = self.mean + self.sigma * mean_step
        values, vectors = np.linalg.eigh(self.covariance)
        whitened = vectors @ ((vectors.T @ mean_step) / np.sqrt(np.maximum(values, 1e-20)))
        self.generation += 1
        c, m = self.c_sigma, self.mu_eff
        self.path_sigma = (1.0 - c) * self.path_sigma + np.sqrt(c * (2.0 - c) * m) * whitened
        length = float(np.linalg.norm(self.path_sigma))
        stall = np.sqrt(1.0 - (1.0 - c) ** (2 * self.generation))
        moving = length / stall < (1.4 + 2.0 / (n + 1.0)) * self.chi
        self.path_c = (1.0 - self.c_c) * self.path_c
        if moving:
            self.path_c = self.path_c + np.sqrt(self.c_c * (2.0 - self.c_c) * m) * mean_step
        lost = 0.0 if moving else self.c_c * (2.0 - self.c_c)
        self.covariance = (
            (1.0 - self.c_1 - self.c_mu + self.c_1 * lost) * self.covariance
            + self.c_1 * np.outer(self.path_c, self.path_c)
            + self.c_mu * (step.T * self.weight) @ step
        )
        self.sigma *= float(np.exp(min(1.0, c / self.d_sigma * (length / self.chi - 1.0))))

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on to the bit, as numbers, lists and strings."""
        state: dict[str, Any] = {
            name: getattr(self, name).tolist()
            for name in ("mean", "scale", "covariance", "path_sigma", "path_c")
        }
        state |= {"sigma": self.sigma, "generation": self.generation, "rng": self.rng.bit_generator.state}
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        for name in ("mean", "scale", "covariance", "path_sigma", "path_c"):
            setattr(self, name, np.array(state[name], dtype=np.float64))
        self.sigma, self.generation = float(state["sigma"]), int(state["generation"])
        self.rng.bit_generator.state = state["rng"]
