"""MAPPO: a centralised critic that teaches decentralised actors by proximal policy optimisation.

    C. Yu, A. Velu, E. Vinitsky, J. Gao, Y. Wang, A. Bayen, Y. Wu, The surprising effectiveness of PPO in
    cooperative multi-agent games, NeurIPS 2022 (MAPPO).
    J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, Proximal policy optimization algorithms,
    2017 (PPO).

One update: values of the rollout -> advantages -> value units -> epochs of minibatches, each a clipped
surrogate step for every actor and a regression step for the critic.

Departures from the papers:

* A truncated episode is bootstrapped from the value of its own last observation (Pardo et al., Time limits in
  reinforcement learning, ICML 2018); the papers' code drops or terminates it.
* Value units move once per update, and the critic's last layer is rescaled with them (PopArt); Yu et al.
  move them with every minibatch and leave the layer as it is.
* Advantages are normalised once over the buffer, not per minibatch: their scale then does not depend on how
  the minibatches fall. Rewards of each agent's own are normalised by themselves.
* The critic is evaluated after the rollout, once per state, and serves all agents; with one shared reward all
  agents share the advantage.
* Exploration noise may be shared in part within a type. Ratio and log-probability stay each agent's own, so
  the joint density is approximated by the product of its marginals.
* Actions are sampled without bounds and their log-probability is kept as it was; clipping to [-1, 1] is the
  environment's business.
* Gradients are clipped for each network by itself, so that one type's surprise does not slow another's
  learning.
* What is evaluated and saved may be an average of the actors over recent updates (Polyak & Juditsky 1992).
* Deterministic actions have a dead zone (config.NetworkConfig.dead_zone); the learning itself sees it only where
  exploring actions have it too (config.PPOConfig.explore_dead_zone).
* Rewards beyond a threshold are compressed before anything is learned from them (config.PPOConfig.robust_reward).
* The critic may learn by itself for the first updates (config.PPOConfig.critic_first_updates).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from marl.algorithms.advantage import generalized_advantages
from marl.algorithms.losses import (
    clip_gradients,
    explained_variance,
    linear_schedule,
    policy_loss,
    value_loss,
    weighted_mean,
)
from marl.config.training import TrainingConfig
from marl.networks.actor import Actor
from marl.networks.critic import Critic
from marl.networks.normalization import normalized
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Observed
from marl.storage.rollout import Batch, Rollout, minibatches

# An update ends early once the KL divergence exceeds the target by this factor, as in Spinning Up.
KL_TOLERANCE = 1.5
ADAM_EPS = 1e-5  # Yu et al. 2022, table 7


class NonFiniteLoss(FloatingPointError):
    """A loss or a gradient became infinite or not a number."""


class MAPPO:
    """Owns policy, critic, their optimisers and the learner's random generators."""

    def __init__(
        self,
        config: TrainingConfig,
        groups: tuple[AgentGroup, ...],
        state_size: int,
        *,
        per_agent_rewards: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        self.groups = groups
        self.device = device or torch.device("cpu")
        self.n_agent = sum(g.n_agent for g in groups)
        # One value for the team, or one per agent: where rewards are the agents' own, or critics are.
        self.n_value = self.n_agent if per_agent_rewards or config.network.critic != "central" else 1
        # Networks are drawn from a generator of their own, leaving torch's global state alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = Policy(groups, config.network).to(self.device)
            self.critic = Critic(
                groups, state_size, self.n_value, config.network, value_norm_decay=config.ppo.value_norm_decay
            ).to(self.device)
        self.noise = torch.Generator().manual_seed(2 * config.seed + 1)
        self.shuffle = torch.Generator().manual_seed(2 * config.seed + 2)
        self.actor_optimizer = torch.optim.Adam(
            self.policy.parameters(), lr=config.ppo.lr_actor, eps=ADAM_EPS, fused=True
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=config.ppo.lr_critic, eps=ADAM_EPS, fused=True
        )
        # The policy to evaluate and keep: an average over recent updates, or the last itself.
        self.averaged = (
            copy.deepcopy(self.policy).requires_grad_(False) if config.ppo.policy_average > 0 else None
        )
        self.n_averaged = 0
        self.agent_slices = self.policy.actors.agent_slices()

    @property
    def averaged_policy(self) -> Policy:
        """The policy that is evaluated and saved."""
        return self.policy if self.averaged is None else self.averaged

    def start_from(self, change: Callable[[Policy], None]) -> None:
        """Lets `change` put weights into the policy before anything has been learned."""
        change(self.policy)
        if self.averaged is not None:
            self.averaged.load_state_dict(self.policy.state_dict())

    # -- acting ------------------------------------------------

    def act(self, observed: Observed) -> tuple[dict[str, Tensor], Tensor]:
        """Exploring actions {group: [env, agent, action]}, unclipped, and log-probabilities [env, agent]."""
        observations = self.policy.observations_to_tensors(observed.observations)
        return self.policy.sample(
            observations, noise_correlation=self.config.ppo.noise_correlation, generator=self.noise
        )

    # -- learning ------------------------------------------------

    @torch.no_grad()
    def _values(self, observations: Mapping[str, Tensor], state: Tensor) -> Tensor:
        """Values in the units of the rewards, leading axes kept: [..., value]."""
        lead = state.shape[:-1]
        flat = {
            g.name: observations[g.name].reshape(-1, *observations[g.name].shape[-2:]) for g in self.groups
        }
        inputs = self.critic.scale(flat, state.reshape(-1, state.shape[-1]))
        return self.critic.denormalize(self.critic(inputs)).reshape(*lead, self.n_value)

    @torch.no_grad()
    def prepare(self, rollout: Rollout) -> tuple[Batch, dict[str, float]]:
        """Rollout -> samples with normalised advantages, targets in the critic's units; moves the units."""
        ppo = self.config.ppo
        rewards = rollout.rewards * ppo.reward_scale
        # A value of an agent's own does not count while the agent is out of service; the team's always does.
        own = self.n_value == self.n_agent > 1
        valid = rollout.in_service if own else torch.ones_like(rewards, dtype=torch.bool)
        if ppo.normalize_values:
            self.critic.start_units(rewards, valid, rollout.terminated, ppo.gamma)
        values = self._values(rollout.observations, rollout.state)
        next_values = values[1:].clone()
        if len(rollout.truncated_step):
            next_values[rollout.truncated_step, rollout.truncated_env] = self._values(
                rollout.final_observations, rollout.final_state
            )
        values = values[:-1]
        estimated = generalized_advantages(
            rewards=rewards,
            values=values,
            next_values=next_values,
            terminated=rollout.terminated,
            truncated=rollout.truncated,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
        )
        diagnostics = {
            "train/explained_variance": explained_variance(values, estimated.returns, valid),
            "train/advantage_std": float(estimated.advantages.std(unbiased=False)),
        }
        if ppo.normalize_values:
            self.critic.update_units(estimated.returns, valid)
        diagnostics["train/value_mean"] = float(self.critic.units.mean.mean())
        diagnostics["train/value_std"] = float(self.critic.units.std.mean())

        advantages = (
            normalized(estimated.advantages, valid) if ppo.normalize_advantages else estimated.advantages
        )
        advantages = advantages.expand(*advantages.shape[:2], self.n_agent)

        def flat(x: Tensor) -> Tensor:
            return x.reshape(-1, *x.shape[2:])

        def by_head(x: Tensor) -> dict[str, Tensor]:
            return {head: flat(x[..., s]).contiguous() for head, s in self.agent_slices.items()}

        observations = {name: flat(x[:-1]) for name, x in rollout.observations.items()}
        batch = Batch(
            actor_inputs=self.policy.actors.scale(observations),
            critic_inputs=self.critic.scale(observations, flat(rollout.state[:-1])),
            actions=self.policy.actors.gather({name: flat(x) for name, x in rollout.actions.items()}),
            log_probs=by_head(rollout.log_probs),
            weights=by_head(rollout.in_service.to(torch.float32)),
            advantages=by_head(advantages),
            returns=self.critic.normalize(flat(estimated.returns)),
            values=self.critic.normalize(flat(values)),
            value_weights=flat(valid.to(torch.float32)),
        )
        return batch, diagnostics

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learns from one rollout; `progress` in [0, 1] drives the schedules. Returns diagnostics by tag."""
        ppo = self.config.ppo
        lr_actor = linear_schedule(ppo.lr_actor, ppo.lr_final_fraction, progress)
        if round(progress * self.config.n_updates) < ppo.critic_first_updates:
            lr_actor = 0.0
        lr_critic = linear_schedule(ppo.lr_critic, ppo.lr_final_fraction, progress)
        entropy_coef = linear_schedule(ppo.entropy_coef, ppo.entropy_final_fraction, progress)
        for optimizer, lr in ((self.actor_optimizer, lr_actor), (self.critic_optimizer, lr_critic)):
            for group in optimizer.param_groups:
                group["lr"] = lr

        batch, diagnostics = self.prepare(rollout)
        sums: dict[str, Tensor] = {}
        n_minibatch = n_epoch = 0
        for _ in range(ppo.epochs):
            epoch_kl: list[Tensor] = []
            for minibatch in minibatches(batch, ppo.minibatch_steps, self.shuffle):
                measured = self._learn(minibatch, entropy_coef)
                epoch_kl.append(measured["train/kl"])
                for tag, value in measured.items():
                    sums[tag] = sums[tag] + value if tag in sums else value
                n_minibatch += 1
            n_epoch += 1
            if ppo.target_kl > 0.0 and float(torch.stack(epoch_kl).mean()) > KL_TOLERANCE * ppo.target_kl:
                break
        self._check_weights()
        diagnostics |= {tag: float(total) / n_minibatch for tag, total in sums.items()}
        diagnostics |= {
            "train/lr_actor": lr_actor,
            "train/lr_critic": lr_critic,
            "train/epochs": float(n_epoch),
        }
        for head, actor in self.policy.actors.heads.items():
            assert isinstance(actor, Actor)
            diagnostics[f"train/entropy_{head}"] = float(actor.entropy().detach().mean())
            diagnostics[f"train/log_std_{head}"] = float(actor.log_std.detach().mean())

        # Only now: while a rollout is gathered and learned from, inputs keep one scale. What agents out of service see
        # does not count.
        seen, first = {}, 0
        for g in self.groups:
            in_service = rollout.in_service[..., first : first + g.n_agent]
            seen[g.name] = rollout.observations[g.name][:-1][in_service]
            self.policy.actors.update_scaling(g.name, seen[g.name])
            first += g.n_agent
        self.critic.update_scaling(seen, rollout.state[:-1])
        self._average()
        return diagnostics

    @torch.no_grad()
    def _check_weights(self) -> None:
        """The last step of an update has no loss after it that would tell what it did."""
        for what, network in (("policy", self.policy), ("critic", self.critic)):
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise NonFiniteLoss(f"the update left weights of the {what} that are not finite")

    @torch.no_grad()
    def _average(self) -> None:
        """Moves the average towards the actors as they are now.

            average' = average + (1 - d) (actors - average),      d = min(decay, n / (n + 1)) after n updates

        The small random walk that noisy gradients keep up around a good policy averages out (Polyak, Juditsky,
        Acceleration of stochastic approximation by averaging, 1992). At first it is the plain mean.
        """
        if self.averaged is None:
            return
        decay = min(self.config.ppo.policy_average, self.n_averaged / (self.n_averaged + 1))
        self.n_averaged += 1
        for mean, weight in zip(self.averaged.parameters(), self.policy.parameters(), strict=True):
            mean.lerp_(weight, 1.0 - decay)
        for kept, value in zip(self.averaged.buffers(), self.policy.buffers(), strict=True):
            kept.copy_(value)

    def _learn(self, batch: Batch, entropy_coef: float) -> dict[str, Tensor]:
        """One gradient step of every network on one minibatch."""
        ppo = self.config.ppo
        measured: dict[str, Tensor] = {}
        kl_total = torch.zeros((), device=self.device)
        total = torch.zeros((), device=self.device)
        for head, actor in self.policy.actors.heads.items():
            assert isinstance(actor, Actor)
            weights = batch.weights[head]
            log_prob = actor.log_prob(actor(batch.actor_inputs[head]), batch.actions[head])
            log_ratio = log_prob - batch.log_probs[head]
            ratio = log_ratio.exp()
            loss = policy_loss(ratio, batch.advantages[head], weights, ppo.clip)
            total = total + loss - entropy_coef * actor.entropy().mean()
            with torch.no_grad():
                # Schulman's estimator of KL(old, new): unbiased and never negative.
                kl = weighted_mean(ratio - 1.0 - log_ratio, weights)
                kl_total += kl * (weights.shape[1] / self.n_agent)
                outside = ((ratio - 1.0).abs() > ppo.clip).to(torch.float32)
                measured[f"loss/policy_{head}"] = loss.detach()
                measured[f"train/kl_{head}"] = kl
                measured[f"train/clip_fraction_{head}"] = weighted_mean(outside, weights)
        measured["train/kl"] = kl_total
        critic_loss = value_loss(
            self.critic(batch.critic_inputs),
            batch.returns,
            batch.values,
            batch.value_weights,
            huber_delta=ppo.huber_delta if ppo.value_loss == "huber" else None,
            clip=ppo.clip if ppo.clip_value else None,
        )
        measured["loss/value"] = critic_loss.detach()
        total = total + ppo.value_coef * critic_loss

        self.actor_optimizer.zero_grad(set_to_none=True)
        self.critic_optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        finite = torch.isfinite(total.detach())
        for prefix, networks in (("", self.policy.actors.heads), ("critic_", self.critic.heads)):
            for head, network in networks.items():
                n_network = network.n_network if isinstance(network, Actor) else 1
                norm = clip_gradients(network, n_network, ppo.max_grad_norm)
                measured[f"train/gradient_norm_{prefix}{head}"] = norm
                finite = finite & torch.isfinite(norm)
        if not bool(finite):
            # Before the optimisers move: the weights are still those that produced it.
            found = {tag: float(x) for tag, x in measured.items() if not bool(torch.isfinite(x))}
            raise NonFiniteLoss(f"the update met numbers that are not finite: {found}")
        self.actor_optimizer.step()
        self.critic_optimizer.step()
        return measured

    # -- state ------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that decides how learning goes on, copied."""

        def copied(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.detach().cpu().clone()
            if isinstance(value, Mapping):
                return {k: copied(v) for k, v in value.items()}
            return type(value)(copied(v) for v in value) if isinstance(value, list | tuple) else value

        state: dict[str, Any] = copied(
            {
                "policy": self.policy.state_dict(),
                "critic": self.critic.state_dict(),
                "actor_optimizer": self.actor_optimizer.state_dict(),
                "critic_optimizer": self.critic_optimizer.state_dict(),
                "averaged": None if self.averaged is None else self.averaged.state_dict(),
                "n_averaged": self.n_averaged,
                "noise": self.noise.get_state(),
                "shuffle": self.shuffle.get_state(),
            }
        )
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state that `state` returned."""
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])
        self.actor_optimizer.load_state_dict(state["actor_optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.n_averaged = state["n_averaged"]
        self.noise.set_state(state["noise"])
        self.shuffle.set_state(state["shuffle"])
