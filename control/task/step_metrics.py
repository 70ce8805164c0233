"""What is logged of every interval besides the terms of the reward: one number an environment and quantity.

Compiled, because it is taken at every step: in array arithmetic these dozen numbers cost as much as half a power flow.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.task.limits import Judged
from grid_model.compilation import compiled

__all__ = ["MEASUREMENTS", "measure"]

MEASUREMENTS = (
    "rms_df_mhz",  # over the buses and the steps of the interval; dark buses as at the limit
    "max_df_mhz",  # of any bus at any step
    "within_36_mhz",  # share of the interval with the centre of inertia inside
    "within_200_mhz",
    "violations",  # kinds of limit broken, 0 to 4
    "violations_frequency",
    "violations_branch",
    "violations_voltage",
    "violations_unserved",
    "max_loading_percent",
    "unserved_mw",  # mean over the interval
    "grid_lost",
)
N_FIXED = len(MEASUREMENTS)


@compiled
def measure(judged: Judged, n_bus: int, group: IntArray, found: FloatArray) -> None:
    """The measurements of one interval, and by how much the plants of each group moved.

    Sums go plant by plant, the same in a batch of any size.

    Args:
        judged: the interval.
        n_bus: buses of the grid.
        group: of each resource, 0, 1 .., [resource].
        found: filled with MEASUREMENTS, then for each group with the sum of |dP| over its plants [MW], [quantity, env].
    """
    loading_percent = judged.loading_percent
    for e in range(found.shape[1]):
        heaviest = loading_percent[e, 0]
        for k in range(1, loading_percent.shape[1]):
            heaviest = np.maximum(heaviest, loading_percent[e, k])  # unlike max(), it passes on NaN
        found[0, e] = 1e3 * np.sqrt(judged.sum_bus_square_hz2[e] / n_bus)
        found[1, e] = 1e3 * judged.max_abs_df_hz[e]
        found[2, e] = judged.within_36_mhz[e]
        found[3, e] = judged.within_200_mhz[e]
        found[4, e] = judged.violations[e]
        found[5, e] = judged.frequency_violation[e]
        found[6, e] = judged.branch_violation[e]
        found[7, e] = judged.voltage_violation[e]
        found[8, e] = judged.unserved_violation[e]
        found[9, e] = heaviest
        found[10, e] = judged.unserved_mw[e]
        found[11, e] = judged.grid_lost[e]
        for g in range(N_FIXED, found.shape[0]):
            found[g, e] = 0.0
        moved_mw, k = 0.0, group[0]
        for i in range(group.size):
            if group[i] != k:
                found[N_FIXED + k, e] = moved_mw
                k = group[i]
                moved_mw = found[N_FIXED + k, e]
            moved_mw += abs(judged.set_point_change_mw[e, i])
        found[N_FIXED + k, e] = moved_mw
