"""Exploring actions and their log-probabilities from mean actions and noise, all agents in one pass."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from marl.kernels.compilation import compiled
from marl.protocol import Float32Array, IntArray

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)
# Columns of the table of groups.
N_AGENT, N_ACTION, MEAN, ROW, LOG_STD = range(5)


class Noise(NamedTuple):
    """Standard normal numbers, those of one group of agents after those of the one before, flat."""

    own: Float32Array  # each agent's, [env, agent, action] of each group
    common: Float32Array  # the group's, [env, action] of each group; read only where they share any
    correlation: float  # share of the variance that is the group's


@compiled
def explore(
    mean: Float32Array, log_std: Float32Array, noise: Noise, groups: IntArray, log_probs: Float32Array
) -> None:
    """Mean actions become exploring ones, in place: a = mu + sigma (sqrt(1 - rho) z + sqrt(rho) z_group).

    Args:
        mean: mu, flat; a is written.
        log_std: log sigma of the components of all networks' actions.
        noise: z, z_group and rho.
        groups: a row for each group: its agents, the components of their actions, where its mean actions begin, how
            far those of two environments are apart, and where its log sigma begin.
        log_probs: sum over components of -1/2 ((a - mu)/sigma)^2 - log sigma - 1/2 log 2 pi, flat [env, agent],
            written.
    """
    own, common = math.sqrt(1.0 - noise.correlation), math.sqrt(noise.correlation)
    n_column = 0
    for group in range(len(groups)):
        n_column += groups[group, N_AGENT]
    n_env = len(log_probs) // n_column
    sigma, inverse, density = np.empty(len(log_std)), np.empty(len(log_std)), np.empty(len(log_std))
    for k in range(len(log_std)):
        sigma[k], inverse[k] = math.exp(log_std[k]), math.exp(-log_std[k])
        density[k] = -log_std[k] - HALF_LOG_2_PI
    at_own = at_common = column = 0
    for group in range(len(groups)):
        n_agent, n_action = groups[group, N_AGENT], groups[group, N_ACTION]
        for env in range(n_env):
            at = groups[group, MEAN] + env * groups[group, ROW]
            for agent in range(n_agent):
                log_prob = 0.0
                for k in range(n_action):
                    component = groups[group, LOG_STD] + k
                    z = own * noise.own[at_own]
                    if noise.correlation > 0.0:
                        z += common * noise.common[at_common + k]
                    mu = mean[at]
                    mean[at] = mu + sigma[component] * z
                    # Of the action as it is kept, from which the update will compute it again.
                    z = (mean[at] - mu) * inverse[component]
                    log_prob += density[component] - 0.5 * z * z
                    at += 1
                    at_own += 1
                log_probs[env * n_column + column + agent] = log_prob
            at_common += n_action
        column += n_agent
