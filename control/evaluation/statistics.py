"""Statistics of episodes: means, intervals, paired differences, worst cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray

__all__ = [
    "LogRatio",
    "bootstrap_ci95",
    "cost_ratio",
    "episodes_needed",
    "geometric_mean",
    "interquartile_mean",
    "paired_difference",
    "paired_log_ratio",
    "worst",
]

N_BOOTSTRAP = 10_000
Z_SIGNIFICANCE, Z_POWER = 1.959964, 0.841621  # quantiles of the normal distribution at 97.5 % and 80 %


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
    own, other = _pairs(values, others)
    difference = own - other
    return float(difference.mean()), bootstrap_ci95(difference, seed, n)


@dataclass(frozen=True, kw_only=True)
class LogRatio:
    """Mean of log(cost / other cost) over the same episodes: of its exponential, the ratio of a typical episode."""

    mean: float
    ci95: tuple[float, float]
    spread: float  # standard deviation over episodes
    left_out: int  # episodes in which either cost is no positive number


def paired_log_ratio(
    costs: FloatArray, others: FloatArray, seed: int = 0, n: int = N_BOOTSTRAP
) -> LogRatio | None:
    """log(cost / other cost) of the same episodes [episode]: its mean, with the 95 % bootstrap interval.

    A cost is minus a return. It counts every episode alike, where a ratio of means is decided by the few dearest. An
    episode that costs nothing has no ratio: it is left out and counted; so is one with a negative cost or none.

    Returns:
        None where no episode is left.

    Raises:
        ValueError: they are not pairs.
    """
    own, other = _pairs(costs, others)
    valid = (own > 0.0) & (other > 0.0) & np.isfinite(own) & np.isfinite(other)
    if not valid.any():
        return None
    ratio = np.log(own[valid] / other[valid])
    spread = float(ratio.std(ddof=1)) if len(ratio) > 1 else 0.0
    return LogRatio(
        mean=float(ratio.mean()),
        ci95=bootstrap_ci95(ratio, seed, n),
        spread=spread,
        left_out=int((~valid).sum()),
    )


def cost_ratio(
    costs: FloatArray, others: FloatArray, seed: int = 0, n: int = N_BOOTSTRAP
) -> tuple[float, tuple[float, float]] | None:
    """Mean cost over the other's mean cost of the same episodes [episode], with its 95 % bootstrap interval.

    Whole pairs are drawn anew (Efron & Tibshirani, 1993, sec. 10.4: the ratio estimator). None where the other's costs
    do not sum to a positive number in every draw.

    Raises:
        ValueError: they are not pairs.
    """
    own, other = _pairs(costs, others)
    draw = np.random.default_rng(seed).integers(len(own), size=(n, len(own)))
    below = other[draw].mean(axis=1)
    if not (other.mean() > 0.0 and np.all(below > 0.0) and np.isfinite(own).all()):
        return None
    low, high = np.percentile(own[draw].mean(axis=1) / below, [2.5, 97.5])
    return float(own.mean() / other.mean()), (float(low), float(high))


def episodes_needed(effect: float, spread: float) -> int | None:
    """Paired episodes that show a mean difference with a power of 80 %, at 5 % by a two-sided normal test.

        n = ((z_0.975 + z_0.8) spread / effect)^2,     z_0.975 + z_0.8 = 2.80

    Args:
        effect: the mean difference to be shown.
        spread: standard deviation of the differences over episodes.

    Returns:
        At least two; None for no effect at all.

    Reference:
        J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd ed., 1988, sec. 2.4.
    """
    if effect == 0.0:
        return None
    return max(2, math.ceil((Z_SIGNIFICANCE + Z_POWER) ** 2 * (spread / effect) ** 2))


def geometric_mean(costs: FloatArray) -> float | None:
    """exp of the mean logarithm of [episode]; None where one is no positive number."""
    x = np.asarray(costs, dtype=np.float64)
    return float(np.exp(np.log(x).mean())) if np.all(x > 0.0) else None


def _pairs(values: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
    if np.shape(values) != np.shape(others):
        raise ValueError(f"{np.shape(values)} and {np.shape(others)} values, expected pairs.")
    return np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)


def worst(values: FloatArray, seeds: IntArray, n: int = 3) -> list[int]:
    """Seeds of the n episodes with the lowest values, worst first."""
    return [int(seeds[i]) for i in np.argsort(values, kind="stable")[:n]]
