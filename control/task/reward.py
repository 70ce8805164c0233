"""The reward all agents share, as a sum of named terms.

    R = -( 1000 sum_bus mean(Df^2) + sum_i C_i |dP_i| + 0.1 sum_i W_i dP_i^2 + 10000 violations )

The mean of Df^2 is over the interval's integration steps, dP_i is the interval's change of the set-point of resource i,
and `violations` counts the kinds of limit broken in the interval: frequency at any bus, loading of any branch,
voltage of any bus, load that is not served. A dark bus counts in the sum over the buses as the largest deviation
allowed, 0.5 Hz. An episode that loses the grid is charged 10000 for every interval left, so that ending
early never pays. Terms are returned as they enter R, so they are negative or zero and their sum is R.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.plants.fleet import Fleet
from control.task.limits import Judged
from grid_model.compilation import compiled

__all__ = ["REWARD_TERMS", "RewardConfig", "RewardPrices", "charge"]

REWARD_TERMS = ("frequency", "movement", "effort", "violations", "lost")


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the terms."""

    frequency_per_hz2: float = 1000.0
    movement: float = 1.0  # multiplies C_i, which is per MW moved
    effort: float = 0.1  # multiplies W_i, which is per MW^2
    violation: float = 10_000.0  # per kind of limit and interval

    @classmethod
    def of(cls, case: Case) -> RewardConfig:
        """The usual weights; the frequency term, a sum over buses, counts as if there were 68."""
        usual = cls()
        return replace(usual, frequency_per_hz2=usual.frequency_per_hz2 / case.setting.bus_count)


class RewardPrices(NamedTuple):
    """All that the reward charges by, as compiled code takes it: costs of plants, weights, length of an episode."""

    cost_per_mw: FloatArray  # C [1/MW], [resource]
    cost_per_mw2: FloatArray  # W [1/MW^2], [resource]
    frequency_per_hz2: float
    movement: float
    effort: float
    violation: float
    n_intervals: int

    @classmethod
    def of(cls, config: RewardConfig, fleet: Fleet, n_intervals: int) -> RewardPrices:
        """For these weights, plants and episodes of n intervals."""
        return cls(
            cost_per_mw=fleet.cost_per_mw,
            cost_per_mw2=fleet.cost_per_mw2,
            frequency_per_hz2=float(config.frequency_per_hz2),
            movement=float(config.movement),
            effort=float(config.effort),
            violation=float(config.violation),
            n_intervals=n_intervals,
        )


@compiled
def _every_eighth(values: FloatArray, first: int, end: int) -> float:
    """values[first] + values[first + 8] + .., before `end`."""
    total = values[first]
    for i in range(first + 8, end, 8):
        total += values[i]
    return total


@compiled
def _sum_row(values: FloatArray) -> float:
    """Sum of a row in the order in which numpy adds up to 128 numbers: eight sums side by side, then the rest."""
    n = values.size - values.size % 8
    total = 0.0
    if n > 0:
        low = _every_eighth(values, 0, n) + _every_eighth(values, 1, n)
        low += _every_eighth(values, 2, n) + _every_eighth(values, 3, n)
        high = _every_eighth(values, 4, n) + _every_eighth(values, 5, n)
        high += _every_eighth(values, 6, n) + _every_eighth(values, 7, n)
        total = low + high
    for i in range(n, values.size):
        total += values[i]
    return total


@compiled
def charge(
    judged: Judged, interval: IntArray, prices: RewardPrices, terms: FloatArray, total: FloatArray
) -> None:
    """R of one interval, and its terms. A matrix product's bits would vary with the batch.

    Args:
        judged: what the interval came to.
        interval: intervals of the episode that are over, [env].
        prices: what is charged.
        terms: filled with the terms in the order of REWARD_TERMS, [term, env].
        total: filled with R, [env].
    """
    set_point_change_mw, grid_lost = judged.set_point_change_mw, judged.grid_lost
    n_env, n_resource = set_point_change_mw.shape
    linear, quadratic = np.empty(n_resource), np.empty(n_resource)
    for e in range(n_env):
        for i in range(n_resource):
            change_mw = set_point_change_mw[e, i]
            linear[i] = abs(change_mw) * prices.cost_per_mw[i]
            quadratic[i] = change_mw * change_mw * prices.cost_per_mw2[i]
        terms[0, e] = -prices.frequency_per_hz2 * judged.sum_bus_square_hz2[e]
        terms[1, e] = -prices.movement * _sum_row(linear)
        terms[2, e] = -prices.effort * _sum_row(quadratic)
        terms[3, e] = -prices.violation * judged.violations[e]
        terms[4, e] = -prices.violation * (prices.n_intervals - interval[e] if grid_lost[e] else 0)
        total[e] = 0.0
        for k in range(len(REWARD_TERMS)):
            total[e] += terms[k, e]
