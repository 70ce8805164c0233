"""From buses and machines to groups and back: sums whose order does not depend on the size of the batch.

Every function adds in a fixed order, environment by environment, so that a result is the same to the last bit alone
and in any batch; a matrix product of a linear algebra library would not be.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled

__all__ = ["centre_of_inertia", "project", "sum_groups", "sum_square", "weigh_by_inertia", "weigh_groups"]


@compiled
def project(values: FloatArray, bus: IntArray, impact_share: FloatArray, out: FloatArray) -> None:
    """out[group, env] += sum_i values[env, i] Phi[env, bus_i, group], Phi the impact share."""
    n_env, n = values.shape
    n_group = impact_share.shape[2]
    for e in range(n_env):
        for i in range(n):
            for g in range(n_group):
                out[g, e] += values[e, i] * impact_share[e, bus[i], g]


@compiled
def sum_groups(values: FloatArray, group: IntArray, n_group: int) -> FloatArray:
    """Sum over the members of each group, values and their groups [env, n] -> [group, env]."""
    n_env, n = values.shape
    out = np.zeros((n_group, n_env))
    for e in range(n_env):
        for i in range(n):
            out[group[e, i], e] += values[e, i]
    return out


@compiled
def weigh_groups(weights: FloatArray, of_group: FloatArray, out: FloatArray) -> None:
    """out[env, i] = sum_g weights[env, i, g] of_group[g, env]."""
    n_env, n, n_group = weights.shape
    for e in range(n_env):
        for i in range(n):
            out[e, i] = 0.0
            for g in range(n_group):
                out[e, i] += weights[e, i, g] * of_group[g, e]


@compiled
def sum_square(gram: FloatArray, moment: FloatArray) -> FloatArray:
    """out[env] = sum_ab gram[env, a, b] moment[a, b, env], with only the lower triangle of moment filled in."""
    n_env, n_group, _ = gram.shape
    out = np.zeros(n_env)
    for e in range(n_env):
        for a in range(n_group):
            for b in range(a):
                out[e] += 2.0 * gram[e, a, b] * moment[a, b, e]
            out[e] += gram[e, a, a] * moment[a, a, e]
    return out


@compiled
def weigh_by_inertia(df_hz: FloatArray, inertia: FloatArray, out: FloatArray) -> None:
    """out[env] = sum_g M_g f_g / sum_g M_g at one instant, both [group, env]."""
    n_group, n_env = df_hz.shape
    for e in range(n_env):
        out[e], total = 0.0, 0.0
        for g in range(n_group):
            total += inertia[g, e]
            out[e] += df_hz[g, e] * inertia[g, e]
        out[e] /= total if total > 0.0 else 1.0


@compiled
def centre_of_inertia(df_hz: FloatArray, inertia: FloatArray) -> FloatArray:
    """out[step, env] = sum_g M_g f_g / sum_g M_g, from [step, group, env] and [group, env]."""
    n_step, n_group, n_env = df_hz.shape
    out = np.zeros((n_step, n_env))
    total = np.zeros(n_env)
    for g in range(n_group):
        for e in range(n_env):
            total[e] += inertia[g, e]
    for s in range(n_step):
        for g in range(n_group):
            for e in range(n_env):
                out[s, e] += df_hz[s, g, e] * inertia[g, e]
        for e in range(n_env):
            out[s, e] /= total[e] if total[e] > 0.0 else 1.0  # a grid without a machine has no frequency
    return out
