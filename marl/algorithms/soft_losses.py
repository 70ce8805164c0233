"""Equations of soft actor-critic, one function each.

T. Haarnoja, A. Zhou, P. Abbeel, S. Levine, Soft actor-critic: off-policy maximum entropy deep reinforcement
learning with a stochastic actor, ICML 2018 (a).
T. Haarnoja et al., Soft actor-critic algorithms and applications, 2018 (b).
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

__all__ = ["action_value_loss", "soft_policy_loss", "soft_target", "squash_log_slope", "temperature_loss"]


def squash_log_slope(u: Tensor) -> Tensor:
    """log da/du of the squashed action a = tanh u, in a form that does not overflow.

        log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2 u))

    log pi(a) = log N(u) - log da/du (Haarnoja et al. 2018a, eq. 21).
    """
    return 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))


def soft_target(
    rewards: Tensor, factor: Tensor, next_values: Tensor, entropy: Tensor, *, mean: float, std: float
) -> Tensor:
    """Target of the critics, in their unit.

        y = (R + g (mu + sigma (min_k Q_k(s', a') + H)) - mu) / sigma      H = -alpha log pi(a'|s')

    with normalised values Q = (value - mu) / sigma, so that entropies count in units of the spread of returns. With n
    steps of reward in R the entropies of the n - 1 actions between are left out.

    Args:
        rewards: R, [row].
        factor: g, gamma^m or zero after a termination, [row].
        next_values: Q_k(s', a') of the target critics, [type, 2, row].
        entropy: H of each type, [type, row].
        mean: mu.
        std: sigma.

    Returns:
        y, [type, row].
    """
    soft = next_values.amin(dim=1) + entropy
    return (rewards + factor * (mean + std * soft) - mean) / std


def action_value_loss(
    values: Tensor, target: Tensor, weights: Tensor, *, huber_delta: float | None
) -> Tensor:
    """Half the squared error of all critics, or Huber's, weighted by importance; summed over critics.

    Args:
        values: Q_k(s, a), [type, 2, row].
        target: y, [type, row].
        weights: w, [row].
        huber_delta: where the error stops growing quadratically; None: nowhere.
    """
    y = target.unsqueeze(1).expand_as(values)
    if huber_delta is None:
        error = 0.5 * (values - y).square()
    else:
        error = functional.huber_loss(values, y, reduction="none", delta=huber_delta)
    return (weights * error).mean(dim=-1).sum()


def soft_policy_loss(values: Tensor, log_prob: Tensor, temperature: Tensor) -> Tensor:
    """E[alpha log pi(a|s) - min_k Q_k(s, a)], summed over types (Haarnoja et al. 2018b, eq. 7).

    Args:
        values: Q_k of the policies' own actions, [type, 2, row].
        log_prob: of each type's actions together, [type, row].
        temperature: alpha, [type].
    """
    return (temperature.unsqueeze(1) * log_prob - values.amin(dim=1)).mean(dim=-1).sum()


def temperature_loss(log_temperature: Tensor, log_prob: Tensor, target: Tensor) -> Tensor:
    """E[-log alpha (log pi + H_target)], summed over types (Haarnoja et al. 2018b, eq. 18, in log alpha).

    Args:
        log_temperature: log alpha, [type].
        log_prob: of each type's actions together, [type, row].
        target: H_target, [type, row] or [type, 1].
    """
    return -(log_temperature.unsqueeze(1) * (log_prob + target).detach()).mean(dim=-1).sum()
