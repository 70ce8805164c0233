"""Statistics of episodes: means, intervals, paired differences, worst cases."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray

__all__ = ["bootstrap_ci95", "interquartile_mean", "paired_difference", "worst"]

N_BOOTSTRAP = 10_000


def interquartile_mean(values: FloatArray) -> float:
    """Mean of the middle half of [episode]; the values at its two edges count by the part that lies inside."""
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = len(x)
    edge = np.arange(n + 1) / n
    weight = np.clip(np.minimum(edge[1:], 0.75) - np.maximum(edge[:-1], 0.25), 0.0, None)
    return float(weight @ x / weight.sum())


def bootstrap_ci95(values: FloatArray, seed: int = 0, n: int = N_BOOTSTRAP) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of [episode] (Efron & Tibshirani, 1993, ch. 13).

    Of a single episode it is the value itself, twice: there is nothing to draw again.
    """
    from scipy import stats  # a second of imports: not before anything is to be told

    x = np.asarray(values, dtype=np.float64)
    if len(x) == 1:
        return float(x[0]), float(x[0])
    found = stats.bootstrap(
        (x,), np.mean, n_resamples=n, confidence_level=0.95, method="percentile", rng=np.random.default_rng(seed)
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def paired_difference(
    values: FloatArray, others: FloatArray, seed: int = 0, n: int = N_BOOTSTRAP
) -> tuple[float, tuple[float, float]]:
    """Mean of values - others of the same episodes [episode], and its 95 % bootstrap interval.

    Whole pairs are drawn, so what an episode does to both controllers alike cancels.

    Raises:
        ValueError: they are not pairs.
    """
    if np.shape(values) != np.shape(others):
        raise ValueError(f"{np.shape(values)} and {np.shape(others)} values, expected pairs.")
    difference = np.asarray(values, dtype=np.float64) - others
    return float(difference.mean()), bootstrap_ci95(difference, seed, n)


def worst(values: FloatArray, seeds: IntArray, n: int = 3) -> list[int]:
    """Seeds of the n episodes with the lowest values, worst first."""
    return [int(seeds[i]) for i in np.argsort(values, kind="stable")[:n]]
