"""Exploring actions and their log-probabilities from mean actions and noise, in one pass."""

from __future__ import annotations

import math
from typing import NamedTuple

from marl.kernels.compilation import compiled
from marl.protocol import Float32Array

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


class Noise(NamedTuple):
    """Standard normal numbers of one group of agents, flat."""

    own: Float32Array  # each agent's, [env, agent, action]
    common: Float32Array  # the group's, [env, action]; read only where they share any
    correlation: float  # share of the variance that is the group's


@compiled
def explore(
    mean: Float32Array, log_std: Float32Array, noise: Noise, log_probs: Float32Array, place: tuple[int, int]
) -> None:
    """Mean actions of a group become exploring ones, in place: a = mu + sigma (sqrt(1 - rho) z + sqrt(rho) z_group).

    Args:
        mean: mu, flat [env, agent, action]; a is written.
        log_std: log sigma, one for each component of an action.
        noise: z, z_group and rho.
        log_probs: sum over components of -1/2 ((a - mu)/sigma)^2 - log sigma - 1/2 log 2 pi, written into the group's
            columns of flat [env, all agents].
        place: the group's first column, and agents of all groups.
    """
    first, n_column = place
    n_action = len(log_std)
    n_env = len(log_probs) // n_column
    n_agent = len(mean) // (n_env * n_action)
    own, common = math.sqrt(1.0 - noise.correlation), math.sqrt(noise.correlation)
    for env in range(n_env):
        for agent in range(n_agent):
            log_prob = 0.0
            for k in range(n_action):
                at = (env * n_agent + agent) * n_action + k
                z = own * noise.own[at]
                if noise.correlation > 0.0:
                    z += common * noise.common[env * n_action + k]
                mu = mean[at]
                mean[at] = mu + math.exp(log_std[k]) * z
                # Of the action as it is kept, from which the update will compute it again.
                z = (mean[at] - mu) * math.exp(-log_std[k])
                log_prob -= 0.5 * z * z + log_std[k] + HALF_LOG_2_PI
            log_probs[env * n_column + first + agent] = log_prob
