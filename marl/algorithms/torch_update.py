"""Gradient steps of any actors and critics by torch: the reference, and for networks that no kernel serves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marl.algorithms.algorithm import NonFiniteLoss, not_finite
from marl.algorithms.joint_density import GroupDensity
from marl.algorithms.losses import clip_gradients, policy_loss, value_loss, weighted_mean
from marl.config.ppo import PPOConfig
from marl.networks.actor import GaussianActor
from marl.networks.critic import Critic
from marl.storage.rollout import Batch

__all__ = ["TorchUpdate"]


class TorchUpdate:
    """The clipped surrogate step of actors and the regression step of a critic, on one minibatch."""

    def __init__(
        self,
        learners: Mapping[str, GaussianActor],
        critic: Critic,
        optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
        config: PPOConfig,
        *,
        joint: GroupDensity | None,
    ) -> None:
        """Steps of these networks.

        Args:
            learners: actors by what batches call their samples.
            critic: that teaches them.
            optimizers: of the actors and of the critic, which hold the moments.
            config: clips and weights of the losses.
            joint: the joint density of a type's shared noise, where ratios are of it; None for each agent's own.
        """
        self._learners, self._critic, self._optimizers = learners, critic, optimizers
        self._config, self._joint = config, joint

    def learn_from(self, batch: Batch, entropy_coef: float) -> dict[str, Tensor]:
        """One gradient step of the networks that the minibatch has samples of.

        Returns:
            Diagnostics by tag.

        Raises:
            NonFiniteLoss: a loss or a gradient is not finite; no weight has moved then.
        """
        measured, total = self._of_actors(batch, entropy_coef)
        if batch.critic_inputs:
            loss = self._of_critic(batch)
            measured["loss/value"] = loss.detach()
            total = total + self._config.value_coef * loss
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        finite = torch.isfinite(total.detach())
        moving: dict[str, dict[str, nn.Module]] = {
            "": {head: self._learners[head] for head in batch.weights},
            "critic_": {head: self._critic.heads[head] for head in batch.critic_inputs},
        }
        for prefix, networks in moving.items():
            for head, network in networks.items():
                n_network = network.n_network if isinstance(network, GaussianActor) else 1
                norm = clip_gradients(network, n_network, self._config.max_grad_norm)
                measured[f"train/gradient_norm_{prefix}{head}"] = norm
                finite = finite & torch.isfinite(norm)
        if not bool(finite):
            raise NonFiniteLoss(not_finite(measured))
        for optimizer in self._optimizers:
            optimizer.step()
        return measured

    def _of_actors(self, batch: Batch, entropy_coef: float) -> tuple[dict[str, Tensor], Tensor]:
        """Diagnostics, and the sum of the actors' losses."""
        device, clip = batch.returns.device, self._config.clip
        measured: dict[str, Tensor] = {}
        kl_total, total = torch.zeros((), device=device), torch.zeros((), device=device)
        n_agent = sum(weights.shape[1] for weights in batch.weights.values())
        for head, weights in batch.weights.items():
            actor, advantages, counted = self._learners[head], batch.advantages[head], weights
            mean = actor.learned_means(batch.actor_inputs[head], batch.unrolls.get(head))
            if self._joint is not None:
                log_prob = self._joint.log_prob(head, mean, batch)
                counted, advantages = self._joint.of_groups(head, weights, advantages)
            else:
                log_prob = actor.log_prob(mean, batch.actions[head])
            log_ratio = log_prob - batch.log_probs[head]
            ratio = log_ratio.exp()
            loss = policy_loss(ratio, advantages, counted, clip)
            total = total + loss - entropy_coef * actor.entropy().mean()
            with torch.no_grad():
                # Schulman's estimator of KL(old, new): unbiased and never negative.
                kl = weighted_mean(ratio - 1.0 - log_ratio, counted)
                kl_total += kl * (weights.shape[1] / n_agent)
                outside = ((ratio - 1.0).abs() > clip).to(torch.float32)
                measured[f"loss/policy_{head}"] = loss.detach()
                measured[f"train/kl_{head}"] = kl
                measured[f"train/clip_fraction_{head}"] = weighted_mean(outside, counted)
        return measured | {"train/kl": kl_total}, total

    def _of_critic(self, batch: Batch) -> Tensor:
        ppo = self._config
        return value_loss(
            self._critic(batch.critic_inputs, batch.critic_unrolls),
            batch.returns,
            batch.values,
            batch.value_weights,
            huber_delta=ppo.huber_delta if ppo.value_loss == "huber" else None,
            clip=ppo.clip if ppo.clip_value else None,
        )
