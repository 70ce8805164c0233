"""Generalised advantage estimation as a pure function.

Reference:
    J. Schulman, P. Moritz, S. Levine, M. Jordan, P. Abbeel, High-dimensional continuous control using
    generalized advantage estimation, ICLR 2016, eq. 11-16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """Both have shape [step, env, value]."""

    advantages: Tensor  # A_t
    returns: Tensor  # A_t + V_t, the critic's target


def generalized_advantages(
    *,
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float | Tensor,
    gae_lambda: float | Tensor,
) -> Advantages:
    """Advantages of a rollout whose episodes may end anywhere in it.

        delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)
        A_t     = delta_t + gamma lambda (1 - terminated_t)(1 - truncated_t) A_{t+1}

    s'_t is the true last observation of step t: where an episode ended, the old episode's last and not the
    new one's first. A termination is worth nothing beyond itself; a truncation is worth V(s'_t). Neither
    lets the next episode's advantages leak back.

    Args:
        rewards: r_t, shape [step, env, value].
        values: V(s_t), in the unit of the rewards, shape [step, env, value].
        next_values: V(s'_t), same unit and shape; its value at a termination is never used.
        terminated: the task ended with step t, boolean, shape [step, env].
        truncated: the clock ran out with step t, boolean, shape [step, env].
        gamma: discount per step; a number, or one for each value, [value].
        gae_lambda: lambda, 0 for one-step temporal differences, 1 for Monte Carlo; a number, or that between step t
            and the next, [step, env, value]. Where it is 1 within the interval of a held action and lambda at its end,
            the A_t of its first step is that of the semi-Markov process of whole intervals: within an interval of k
            steps sum_i gamma^i delta_{t+i} = sum_i gamma^i r_{t+i} + gamma^k V(s_{t+k}) - V(s_t).
    """
    alive = (~terminated).unsqueeze(-1)
    # where() and not a product: a value that is not finite behind a termination must not become NaN.
    delta = rewards + gamma * torch.where(alive, next_values, torch.zeros_like(next_values)) - values
    carry = gamma * gae_lambda * (~(terminated | truncated)).unsqueeze(-1).to(rewards.dtype)
    advantages = torch.empty_like(rewards)
    following = torch.zeros_like(rewards[0])
    for t in range(rewards.shape[0] - 1, -1, -1):
        following = delta[t] + carry[t] * following
        advantages[t] = following
    return Advantages(advantages=advantages, returns=advantages + values)
