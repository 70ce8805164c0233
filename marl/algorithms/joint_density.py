"""Density of the actions of agents whose exploration noise is shared in part, and what an update makes of it.

The agents of a type explore with z_i = sqrt(rho) z_type + sqrt(1 - rho) z_i', so their actions mu_i + sigma_i z_i are
jointly normal; the correlation of z is rho between any two of those in service. Two densities can stand in PPO's ratio:

* marginal, each agent's own: the product of the marginals in the place of the joint density. Its gradient is, for small
  steps, that of the joint one preconditioned by the noise's correlation R,

      sum_i (dmu_i/dtheta) E[A z_i] / sigma_i = (dmu/dtheta)^T sigma^-1 R sigma dJ/da   not   (dmu/dtheta)^T dJ/da

  with far less variance, because what the common draw did counts for every agent. Where each agent has weights of its
  own it ends at the same optimum. Where one network serves agents that see different things it is biased: it may
  climb away from the optimum, as two agents with observations 1 and -1/2 and one weight show. On the 68-bus grid
  batteries see nearly the same frequency, and the directions of both gradients agreed where they were measured.
* joint: unbiased, and noisier.

Reference:
    The inverse and determinant of (1 - rho) I + rho 1 1^T: J. Sherman, W. J. Morrison, Adjustment of an inverse matrix
    corresponding to a change in one element of a given matrix, Annals of Mathematical Statistics 21(1), 1950.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from marl.networks.actor import LOG_2_PI, ActorSet
from marl.storage.rollout import Batch

__all__ = ["GroupDensity", "joint_log_density"]


def joint_log_density(
    x: Tensor, mean: Tensor, log_std: Tensor, in_service: Tensor, correlation: float
) -> Tensor:
    """Log-density of the actions of all agents of a type together, [sample].

        z = (x - mu)/sigma,    log p = -1/2 z^T R^-1 z - 1/2 log det R - sum_i (log sigma_i + 1/2 log 2 pi)

        R = (1 - rho) I + rho 1 1^T over the n agents in service, so that
        z^T R^-1 z = (sum z^2 - rho/(1 - rho + n rho) (sum z)^2)/(1 - rho),   det R = (1 - rho)^(n-1) (1 - rho + n rho)

    Components of an action are independent of each other and add up.

    Args:
        x: actions as they were drawn, [sample, agent, action].
        mean: mu, [sample, agent, action].
        log_std: log sigma, one for all agents or one each, [1 or agent, action].
        in_service: 1, or 0 for agents that do not count, [sample, agent].
        correlation: rho, below 1.
    """
    counts = in_service[..., None]
    z = (x - mean) * torch.exp(-log_std) * counts
    n = counts.sum(dim=1)  # [sample, 1]
    free = 1.0 - correlation
    common = free + n * correlation
    square = (z.square().sum(dim=1) - correlation / common * z.sum(dim=1).square()) / free
    log_det = (n - 1.0).clamp(min=0.0) * math.log(free) + torch.where(n > 0.0, common, 1.0).log()
    scale = ((log_std + 0.5 * LOG_2_PI) * counts).sum(dim=1)
    return (-0.5 * (square + log_det) - scale).sum(dim=-1)


class GroupDensity:
    """The joint density in the place of the agents' own: samples of a group as a whole."""

    def __init__(self, actors: ActorSet, correlation: float) -> None:
        """Of these actors' groups, whose noise is correlated so."""
        self._actors, self._correlation = actors, correlation

    @torch.no_grad()
    def known(self, batch: Batch) -> Batch:
        """The same samples with the joint log-probabilities of each group under the policy that acted.

        Nothing has been learned since, so that policy is the present one.
        """
        log_probs = {
            head: self.log_prob(head, self._actors.actor(head).learned_means(inputs, None), batch)
            for head, inputs in batch.actor_inputs.items()
        }
        return replace(batch, log_probs=log_probs)

    def log_prob(self, head: str, mean: Tensor, batch: Batch) -> Tensor:
        """Log-probability of what each group of a head did together, [sample, group]."""
        log_std = self._actors.actor(head).log_std
        found, first = [], 0
        for g in self._actors.head_groups[head]:
            own = slice(first, first + g.n_agent)
            found.append(
                joint_log_density(
                    batch.actions[head][:, own],
                    mean[:, own],
                    log_std if len(log_std) == 1 else log_std[own],
                    batch.weights[head][:, own],
                    self._correlation,
                )
            )
            first += g.n_agent
        return torch.stack(found, dim=1)

    def of_groups(self, head: str, weights: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
        """Whether anybody of a group was in service, and the mean advantage of those who were, both [sample, group]."""
        sizes = [g.n_agent for g in self._actors.head_groups[head]]
        by_group = list(zip(torch.split(weights, sizes, 1), torch.split(advantages, sizes, 1), strict=True))
        counted = torch.stack([w.amax(dim=1) for w, _ in by_group], dim=1)
        mean = torch.stack([(w * a).sum(dim=1) / w.sum(dim=1).clamp(min=1.0) for w, a in by_group], dim=1)
        return counted, mean
