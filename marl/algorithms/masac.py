"""Multi-agent soft actor-critic: central critics of all actions, decentralised actors, prioritised replay.

    T. Haarnoja, A. Zhou, P. Abbeel, S. Levine, Soft actor-critic: off-policy maximum entropy deep reinforcement
    learning with a stochastic actor, ICML 2018; T. Haarnoja et al., Soft actor-critic algorithms and applications,
    2018 (automatic temperature).
    R. Lowe, Y. Wu, A. Tamar, J. Harb, P. Abbeel, I. Mordatch, Multi-agent actor-critic for mixed
    cooperative-competitive environments, NeurIPS 2017 (central critics of joint actions).
    T. Schaul, J. Quan, I. Antonoglou, D. Silver, Prioritized experience replay, ICLR 2016.

One gradient step: transitions by priority -> targets by the twin target critics -> critics, actors and temperatures
each take a step along gradients at the same weights -> target critics follow -> priorities are the new errors.

Departures from the papers:

* Actors are those of MAPPO: shared by type, the spread a free parameter and not a function of the observation, their
  actions squashed by tanh. What is evaluated and saved is tanh of the mean.
* Each type of agents has twin critics and a temperature of its own. A type's soft value counts the entropy of that
  type, and its actors climb its critics by their own actions, with the other types' drawn anew from their policies
  (Lowe et al. take those from the replay).
* The critics learn (Q - mu) / sigma; mu and sigma are guessed once from the first rewards, so that step sizes and the
  temperature mean the same on any task.
* The team's reward is learned from; agents' own rewards are averaged.
* With n-step returns the entropies between are left out, and actions between are those of an older policy.
* Exploration noise may be shared in part within a type (`PPOConfig.noise_correlation`): an off-policy learner may act
  as it likes.
* An agent out of service acts zero in the critics' eyes and has no entropy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from marl.algorithms.adam import Adam
from marl.algorithms.algorithm import NonFiniteActions, NonFiniteLoss
from marl.algorithms.losses import clip_gradients, linear_schedule
from marl.algorithms.reward_shaping import RewardShaping, first_guess
from marl.algorithms.soft_losses import (
    action_value_loss,
    soft_policy_loss,
    soft_target,
    squash_log_slope,
    temperature_loss,
)
from marl.checkpoint import copied_state
from marl.config.check import require
from marl.config.training import TrainingConfig
from marl.networks.action_critic import TwinCritics
from marl.networks.actor import log_density
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Float32Array, Observation, Transition
from marl.storage.replay import ReplayBatch, ReplayBuffer
from marl.storage.storage import Decision

ADAM_EPS = 1e-8
# Bounds of the logarithm of the spread before squashing (Haarnoja's code has -20 to 2).
LOG_STD_RANGE = (-5.0, 1.0)


class MASAC:
    """Owns policy, critics and their targets, temperatures, optimisers, the replay and the random generators."""

    name: ClassVar[str] = "masac"

    def __init__(
        self,
        config: TrainingConfig,
        groups: tuple[AgentGroup, ...],
        state_size: int,
        *,
        per_agent_rewards: bool = False,
        device: torch.device | None = None,
    ) -> None:
        """Fresh networks, drawn from the configuration's seed.

        Args:
            config: all settings.
            groups: of agents.
            state_size: of the critics' view.
            per_agent_rewards: rewards are the agents' own; their mean is learned from.
            device: where the networks live; None is the CPU.

        Raises:
            marl.config.check.ConfigError: critic or actors are to be of another kind than it learns with.
        """
        require(
            config.network.actor == "mlp",
            f'actor = "{config.network.actor}", but masac learns from single steps: actors without a memory, "mlp"',
        )
        require(
            config.network.critic == "central",
            f'critic = "{config.network.critic}", but masac learns with central critics of all actions',
        )
        self.config, self.groups = config, groups
        self.device = device or torch.device("cpu")
        self.shaping = RewardShaping(config=config.ppo, n_agent=sum(g.n_agent for g in groups), n_value=1)
        # Networks are drawn from a generator of their own, leaving torch's global state alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = Policy(groups, config.network, squashed=True).to(self.device)
            self.critics = TwinCritics(groups, state_size, config.network).to(self.device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        start = math.log(config.off_policy.temperature)
        self.log_temperature = torch.full((len(groups),), start, device=self.device, requires_grad=True)
        self.noise = torch.Generator().manual_seed(2 * config.seed + 1)
        self.draws = np.random.default_rng([config.seed, 2])
        ppo = config.ppo
        self._actors = [p for p in self.policy.parameters() if p.requires_grad]
        self.actor_optimizer = Adam(self._actors, lr=ppo.lr_actor, eps=ADAM_EPS, fused=True)
        self.critic_optimizer = Adam(self.critics.parameters(), lr=ppo.lr_critic, eps=ADAM_EPS, fused=True)
        self.temperature_optimizer = Adam([self.log_temperature], lr=ppo.lr_critic, eps=ADAM_EPS, fused=True)
        self.storage = ReplayBuffer(
            groups,
            capacity=config.off_policy.replay_steps,
            n_env=config.n_envs,
            state_size=state_size,
            n_value=1,
            n_step=config.off_policy.n_step,
            gamma=ppo.gamma,
            alpha=config.off_policy.priority_exponent,
            first=config.off_policy.replay_first,
        )
        # mu and sigma of the critics' unit; none before the first gradient step.
        self.unit: tuple[float, float] | None = None
        self._decision: Decision | None = None  # whose consequences are still to be observed
        self._steps = self._n_gradient = 0  # since the last row of diagnostics
        self._sums: dict[str, float] = {}

    @property
    def evaluation_policy(self) -> Policy:
        """The policy that learns."""
        return self.policy

    def start_from(self, change: Callable[[Policy], None]) -> None:
        """Lets `change` put weights into the policy before anything has been learned."""
        change(self.policy)

    # -- acting ------------------------------------------------

    def act(self, observation: Observation) -> dict[str, Float32Array]:
        """Exploring actions {group: [env, agent, action]}, squashed into -1 to 1.

        Raises:
            NonFiniteActions: a log-probability is no number.
        """
        drawn, log_probs = self.policy.sample(
            self.policy.observations_to_tensors(observation.observations),
            noise_correlation=self.config.ppo.noise_correlation,
            generator=self.noise,
        )
        if not bool(torch.isfinite(log_probs).all()):
            raise NonFiniteActions("the policy's actions are no longer finite")
        actions = {name: torch.tanh(u) for name, u in drawn.items()}
        self._decision = Decision(observation=observation, actions=actions, log_probs=log_probs)
        return {name: x.cpu().numpy() for name, x in actions.items()}

    def observe(self, transition: Transition) -> None:
        """Keeps what the last actions led to, with its reward as it is learned from.

        Raises:
            RuntimeError: nothing was done since the last time.
        """
        if self._decision is None:
            raise RuntimeError("there are no actions whose consequences could be observed: call act first")
        reward = np.asarray(transition.reward, dtype=np.float64)
        rewards = self.shaping.of_step(reward if reward.ndim == 1 else reward.mean(axis=1))
        self.storage.add(self._decision, rewards, transition)
        self._update_input_scaling(self._decision.observation)
        self._decision = None

    def _update_input_scaling(self, observation: Observation) -> None:
        """Takes what was seen into the inputs' statistics; what agents out of service see does not count."""
        if not self.config.network.normalize_inputs:
            return
        for g in self.groups:
            seen = torch.from_numpy(observation.observations[g.name]).to(self.device)
            if observation.in_service is not None:
                seen = seen[torch.from_numpy(observation.in_service[g.name]).to(self.device)]
            self.policy.actors.update_scaling(g.name, seen)
        state = torch.from_numpy(observation.state).to(self.device)
        for critics in (self.critics, self.targets):
            critics.scaling.update(state)

    def begin_episodes(self) -> None:
        """All environments begin new episodes: there is no memory to begin anew, and the replay sees it for itself."""

    # -- learning ------------------------------------------------

    def update(self, progress: float) -> dict[str, float] | None:
        """Takes the gradient steps that fall due after each step; diagnostics once for each row of metrics.

        Args:
            progress: share of the training that is over, 0 to 1.

        Raises:
            NonFiniteLoss: a loss or a gradient is no number; no weight has moved by it.
        """
        if self.storage.is_ready:
            if self.unit is None:
                self.unit = self._first_unit()
            for _ in range(self.config.off_policy.gradient_steps):
                self._learn(progress)
        self._steps += 1
        if self._steps < self.config.rollout_steps:
            return None
        found = {tag: total / self._n_gradient for tag, total in self._sums.items()}
        found["train/gradient_steps"] = float(self._n_gradient)
        found["train/replay"] = float(self.storage.n_transition)
        for head in self.policy.actors.heads:
            actor = self.policy.actors.actor(head)
            found[f"train/log_std_{head}"] = float(actor.log_std.detach().mean())
        for g, temperature in zip(self.groups, self.log_temperature.detach().exp(), strict=True):
            found[f"train/temperature_{g.name}"] = float(temperature)
        self._steps = self._n_gradient = 0
        self._sums = {}
        return found

    def _first_unit(self) -> tuple[float, float]:
        """mu and sigma, from the rewards gathered so far."""
        rewards, terminated = self.storage.seen()
        scaled = self.shaping.of_rollout(torch.from_numpy(rewards).flatten())
        return first_guess(scaled, torch.from_numpy(terminated), self.config.ppo.gamma)

    def _learn(self, progress: float) -> None:
        """One gradient step of everything.

        Raises:
            NonFiniteLoss: see `update`; it carries the state from before.
        """
        drawn, noise = self.draws.bit_generator.state, self.noise.get_state()
        settings, ppo = self.config.off_policy, self.config.ppo
        self._set_step_sizes(progress)
        beta = settings.importance_exponent + (1.0 - settings.importance_exponent) * min(progress, 1.0)
        batch = self.storage.sample(settings.replay_batch, beta, self.draws, self.device)
        measured, errors = self._gradients(batch)
        norms = {
            "train/gradient_norm_critic": clip_gradients(
                self.critics.net, self.critics.n_network, ppo.max_grad_norm
            )
        }
        for head in self.policy.actors.heads:
            actor = self.policy.actors.actor(head)
            norms[f"train/gradient_norm_{head}"] = clip_gradients(actor, actor.n_network, ppo.max_grad_norm)
        found = {tag: float(x) for tag, x in (measured | norms).items()}
        if not all(math.isfinite(x) for x in found.values()):
            self.draws.bit_generator.state = drawn
            self.noise.set_state(noise)
            wrong = {tag: x for tag, x in found.items() if not math.isfinite(x)}
            raise NonFiniteLoss(f"the update met numbers that are not finite: {wrong}", before=self.state())
        for optimizer in (self.critic_optimizer, self.actor_optimizer, self.temperature_optimizer):
            optimizer.step()
        with torch.no_grad():
            for head in self.policy.actors.heads:
                self.policy.actors.actor(head).log_std.clamp_(*LOG_STD_RANGE)
            for target, value in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                target.lerp_(value, settings.polyak)
        self.storage.set_errors(batch.positions, errors.cpu().numpy().astype(np.float64))
        self._n_gradient += 1
        for tag, x in found.items():
            self._sums[tag] = self._sums.get(tag, 0.0) + x

    def _set_step_sizes(self, progress: float) -> None:
        ppo = self.config.ppo
        for optimizer, lr in (
            (self.actor_optimizer, ppo.lr_actor),
            (self.critic_optimizer, ppo.lr_critic),
            (self.temperature_optimizer, ppo.lr_critic),
        ):
            for group in optimizer.param_groups:
                group["lr"] = linear_schedule(lr, ppo.lr_final_fraction, progress)

    def _gradients(self, batch: ReplayBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of critics, actors and temperatures, all at the weights as they are.

        Returns:
            Diagnostics by tag, and the transitions' errors [sample].
        """
        assert self.unit is not None
        ppo = self.config.ppo
        temperature = self.log_temperature.detach().exp()
        rewards = self.shaping.of_rollout(batch.rewards).squeeze(-1)
        with torch.no_grad():
            after, log_prob = self._draw(batch.next_observations, batch.in_service)
            target = soft_target(
                rewards,
                batch.factor,
                self.targets(batch.next_state, self.targets.joint(after, batch.in_service)),
                -temperature.unsqueeze(1) * log_prob,
                mean=self.unit[0],
                std=self.unit[1],
            )
        values = self.critics(batch.state, self.critics.joint(batch.actions, batch.in_service))
        critic_loss = action_value_loss(
            values,
            target,
            batch.weights,
            huber_delta=ppo.huber_delta if ppo.value_loss == "huber" else None,
        )
        actions, log_prob = self._draw(batch.observations, batch.in_service)
        own = self.critics(batch.state, self.critics.joint(actions, batch.in_service, own=True))
        policy_loss = soft_policy_loss(own, log_prob, temperature)
        entropy = torch.stack(
            [
                batch.in_service[g.name].sum(dim=1) * (g.action_size * self.config.off_policy.entropy_target)
                for g in self.groups
            ]
        )
        cooling = temperature_loss(self.log_temperature, log_prob, entropy)
        for optimizer in (self.critic_optimizer, self.actor_optimizer, self.temperature_optimizer):
            optimizer.zero_grad(set_to_none=True)
        critic_loss.backward(inputs=list(self.critics.parameters()))  # type: ignore[no-untyped-call]
        policy_loss.backward(inputs=self._actors)  # type: ignore[no-untyped-call]
        cooling.backward(inputs=[self.log_temperature])  # type: ignore[no-untyped-call]
        errors = (values.detach() - target.unsqueeze(1)).abs().mean(dim=(0, 1))
        measured = {
            "loss/value": critic_loss.detach(),
            "loss/policy": policy_loss.detach(),
            "train/value_mean": self.unit[0] + self.unit[1] * values.detach().mean(),
            "train/error": errors.mean(),
        }
        for g, x in zip(self.groups, log_prob.detach(), strict=True):
            measured[f"train/entropy_{g.name}"] = -x.mean() / g.n_agent
        return measured, errors

    def _draw(
        self, observations: Mapping[str, Tensor], in_service: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Actions of the policy as it is, squashed, group -> [row, agent, action], and log pi of each type [type, row].

        Args:
            observations: group -> [row, agent, observation].
            in_service: group -> [row, agent]; the others have no log-probability.
        """
        means = self.policy.means(observations)
        spread = torch.split(
            self.policy.actors.log_std_columns(), [g.n_agent * g.action_size for g in self.groups]
        )
        actions, log_probs = {}, []
        for g, columns in zip(self.groups, spread, strict=True):
            mean, log_std = means[g.name], columns.view(g.n_agent, g.action_size)
            z = torch.randn(*mean.shape, generator=self.noise).to(mean.device)
            u = mean + log_std.exp() * z
            density = (log_density(u, mean, log_std) - squash_log_slope(u)).sum(dim=-1)
            actions[g.name] = torch.tanh(u)
            log_probs.append((density * in_service[g.name]).sum(dim=-1))
        return actions, torch.stack(log_probs)

    # -- state ------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that decides how learning goes on, copied: with the replay."""
        learned: dict[str, Any] = copied_state(
            {
                "policy": self.policy.state_dict(),
                "critics": self.critics.state_dict(),
                "targets": self.targets.state_dict(),
                "log_temperature": self.log_temperature,
                "actor_optimizer": self.actor_optimizer.state_dict(),
                "critic_optimizer": self.critic_optimizer.state_dict(),
                "temperature_optimizer": self.temperature_optimizer.state_dict(),
                "noise": self.noise.get_state(),
            }
        )
        return learned | {
            "draws": self.draws.bit_generator.state,
            "unit": self.unit,
            "steps": self._steps,
            "n_gradient": self._n_gradient,
            "sums": dict(self._sums),
            "storage": self.storage.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state that `state` returned.

        Raises:
            RuntimeError: it is of networks with other layers.
            KeyError: a part is missing.
            ValueError: an optimiser has other parameters, or the replay another size.
        """
        self.policy.load_state_dict(state["policy"])
        self.critics.load_state_dict(state["critics"])
        self.targets.load_state_dict(state["targets"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        self.actor_optimizer.load_state_dict(state["actor_optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.temperature_optimizer.load_state_dict(state["temperature_optimizer"])
        self.noise.set_state(state["noise"])
        self.draws.bit_generator.state = state["draws"]
        self.unit = None if state["unit"] is None else (state["unit"][0], state["unit"][1])
        self._steps, self._n_gradient = state["steps"], state["n_gradient"]
        self._sums = dict(state["sums"])
        self.storage.load_state(state["storage"])
