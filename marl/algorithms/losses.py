"""Losses of PPO and what is told of an update; one function per equation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def linear_schedule(start: float, final_fraction: float, progress: float) -> float:
    """From `start` at progress 0 to `start * final_fraction` at progress 1."""
    return start * (1.0 + (final_fraction - 1.0) * min(max(progress, 0.0), 1.0))


def policy_loss(ratio: Tensor, advantages: Tensor, weights: Tensor, clip: float) -> Tensor:
    """Clipped surrogate, negated for minimisation (Schulman et al. 2017, eq. 7).

        L = -mean min(r A, clip(r, 1 - eps, 1 + eps) A)

    Args:
        ratio: r = pi(a|o) / pi_old(a|o), shape [sample, agent].
        advantages: A, shape [sample, agent].
        weights: 1, or 0 for samples that do not count, shape [sample, agent].
        clip: eps.
    """
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages)
    return -weighted_mean(surrogate, weights)


def value_loss(
    values: Tensor,
    returns: Tensor,
    old_values: Tensor,
    weights: Tensor,
    *,
    huber_delta: float | None,
    clip: float | None,
) -> Tensor:
    """Half the squared error, or Huber's (1964), on the scale the critic learns in, shape [sample, value].

    With `clip`, the larger of this error and the error of old + clip(new - old, +-eps) (Yu et al. 2022, eq.
    3).
    """

    def error(v: Tensor) -> Tensor:
        if huber_delta is None:
            return 0.5 * (v - returns).square()
        return torch.nn.functional.huber_loss(v, returns, reduction="none", delta=huber_delta)

    loss = error(values)
    if clip is not None:
        loss = torch.maximum(loss, error(old_values + (values - old_values).clamp(-clip, clip)))
    return weighted_mean(loss, weights)


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """Mean of the samples that count; zero when none does."""
    return (x * weights).sum() / weights.sum().clamp(min=1.0)


def explained_variance(values: Tensor, returns: Tensor, valid: Tensor) -> float:
    """1 - Var[R - V] / Var[R], each value's by itself and averaged: 1 is a perfect critic, 0 one that knows means only.

    Args:
        values: V, [step, env, value].
        returns: R, [step, env, value].
        valid: samples that count, boolean, same shape.
    """
    found = []
    for k in range(returns.shape[-1]):
        v, r = values[..., k][valid[..., k]], returns[..., k][valid[..., k]]
        spread = float(r.var(unbiased=False)) if r.numel() > 0 else 0.0
        found.append(1.0 - float((r - v).var(unbiased=False)) / spread if spread > 0 else 0.0)
    return sum(found) / len(found)


def clip_gradients(network: nn.Module, n_network: int, largest: float) -> Tensor:
    """Scales each of the networks stacked in a module so that its gradient's norm is at most `largest`.

    Returns:
        The largest norm before scaling. Every parameter has the networks along its first axis, where there are several.
    """
    if n_network == 1:
        return torch.nn.utils.clip_grad_norm_(network.parameters(), largest)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    squares = [gradient.square().flatten(1).sum(dim=1) for gradient in gradients]
    norms = torch.stack(squares).sum(dim=0).sqrt()
    scale = (largest / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
    return norms.max()
