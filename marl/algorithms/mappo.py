"""MAPPO: a centralised critic that teaches decentralised actors by proximal policy optimisation.

    C. Yu, A. Velu, E. Vinitsky, J. Gao, Y. Wang, A. Bayen, Y. Wu, The surprising effectiveness of PPO in
    cooperative multi-agent games, NeurIPS 2022 (MAPPO).
    J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, Proximal policy optimization algorithms,
    2017 (PPO).

One update: values of the rollout -> advantages -> value normaliser -> epochs of minibatches, each a clipped
surrogate step for every actor and a regression step for the critic. What rewards and advantages are turned into on the
way stands in `reward_shaping.py`.

Departures from the papers:

* A truncated episode is bootstrapped from the value of its own last observation (Pardo et al., Time limits in
  reinforcement learning, ICML 2018); the papers' code drops or terminates it.
* The value normaliser moves once per update, and the critic's last layer is rescaled with it (PopArt); Yu et al.
  move theirs with every minibatch and leave the layer as it is.
* Advantages are normalised once over the buffer, not per minibatch: their scale then does not depend on how
  the minibatches fall. Rewards of each agent's own are normalised by themselves.
* The critic is evaluated after the rollout, once per state, and serves all agents; with one shared reward all
  agents share the advantage.
* Exploration noise may be shared in part within a type. By default ratio and log-probability stay each agent's own:
  an update preconditioned by the noise's correlation, biased where one network serves agents that see different
  things; the joint density of the type is an option (PPOConfig.exploration_density, `joint_density.py`).
* Actions are sampled without bounds and their log-probability is kept as it was; clipping to [-1, 1] is the
  environment's business.
* Gradients are clipped for each network by itself, so that one type's surprise does not slow another's
  learning.
* What is evaluated and saved may be an average of the actors over recent updates (Polyak & Juditsky 1992).
* Deterministic actions have a dead zone (NetworkConfig.dead_zone); the learning itself sees it only where
  exploring actions have it too (PPOConfig.explore_dead_zone).
* Rewards beyond a threshold are compressed before anything is learned from them (PPOConfig.robust_reward).
* The critic may learn by itself for the first updates (PPOConfig.critic_first_updates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from marl.algorithms.adam import Adam
from marl.algorithms.algorithm import NonFiniteActions, NonFiniteLoss
from marl.algorithms.fused_update import FusedUpdate
from marl.algorithms.joint_density import GroupDensity
from marl.algorithms.lagrangian import Lagrangian
from marl.algorithms.losses import linear_schedule
from marl.algorithms.reward_shaping import RewardShaping
from marl.algorithms.samples import samples_of
from marl.algorithms.torch_update import TorchUpdate
from marl.checkpoint import copied_state
from marl.config.training import TrainingConfig
from marl.networks.averaging import AveragedPolicy
from marl.networks.behaviour import Behaviour, Errand, errand_of, require_plain
from marl.networks.critic import Critic
from marl.networks.memory import Memory
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Float32Array, FloatArray, Observation, Transition
from marl.storage.rollout import Batch, Rollout, RolloutBuffer, minibatches
from marl.storage.sequences import SequenceLayout
from marl.storage.storage import Decision

# An update ends early once the KL divergence exceeds the target by this factor, as in Spinning Up.
KL_TOLERANCE = 1.5
ADAM_EPS = 1e-5  # Yu et al. 2022, table 7


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What falls while training goes on, at one moment of it."""

    lr_actor: float  # Adam's step size for the actors
    lr_critic: float
    entropy_coef: float  # weight of the entropy bonus


class MAPPO:
    """Owns policy, critic, their optimisers, the rollout being gathered and the learner's random generators."""

    name: ClassVar[str] = "mappo"

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
            state_size: of the critic's view.
            per_agent_rewards: rewards are the agents' own, so that each has a value of its own.
            device: where the networks live; None is the CPU.
        """
        self.config = config
        self.groups = groups
        self.device = device or torch.device("cpu")
        self.n_agent = sum(g.n_agent for g in groups)
        self.shaping = self._shaping_of(per_agent_rewards=per_agent_rewards)
        self.n_value = self.shaping.n_value
        # Networks are drawn from a generator of their own, leaving torch's global state alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = Policy(groups, config.network).to(self.device)
            self.critic = Critic(
                groups, state_size, self.n_value, config.network, value_norm_decay=config.ppo.value_norm_decay
            ).to(self.device)
        # The networks that learn, by what batches call their samples: a head's.
        self.learners = {head: self.policy.actors.actor(head) for head in self.policy.actors.heads}
        self.noise = torch.Generator().manual_seed(2 * config.seed + 1)
        self.shuffle = torch.Generator().manual_seed(2 * config.seed + 2)
        self.actor_optimizer = Adam(
            self.policy.parameters(), lr=config.ppo.lr_actor, eps=ADAM_EPS, fused=True
        )
        self.critic_optimizer = Adam(
            self.critic.parameters(), lr=config.ppo.lr_critic, eps=ADAM_EPS, fused=True
        )
        # Plain networks on the CPU learn by compiled kernels, all others by torch.
        self._joint: GroupDensity | None = None
        if config.ppo.exploration_density == "joint":
            self._joint = GroupDensity(self.policy.actors, config.ppo.noise_correlation)
        self._torch = self._by_torch()
        self._fused: FusedUpdate | None = None
        if self._joint is None and FusedUpdate.serves(self.policy.actors, self.critic):
            optimizers = (self.actor_optimizer, self.critic_optimizer)
            self._fused = FusedUpdate(
                self.policy.actors, self.critic, optimizers, config.ppo, n_thread=config.update_threads
            )
        # The policy to evaluate and keep: an average over recent updates, or the last itself.
        self.average = (
            AveragedPolicy(self.policy, config.ppo.policy_average) if config.ppo.policy_average > 0 else None
        )
        self.storage = RolloutBuffer(
            groups,
            n_step=config.rollout_steps,
            n_env=config.n_envs,
            state_size=state_size,
            n_value=self.n_value,
            hidden_sizes={g.name: self.policy.actors.memory_size for g in groups}
            if self.policy.actors.memory_size > 0
            else None,
        )
        # What recurrent actors and critic remember of the episodes that are under way.
        self.memory, self.critic_memory = Memory(), Memory()
        self._layout = SequenceLayout(
            n_env=config.n_envs,
            length=config.ppo.sequence_steps if config.network.remembers else 1,
            burn_in=config.ppo.burn_in_steps,
        )
        # A price on violations beside the reward, where they have a budget.
        self.lagrangian: Lagrangian | None = None
        if config.ppo.violation_budget is not None:
            self.lagrangian = Lagrangian(budget=config.ppo.violation_budget, rate=config.ppo.violation_rate)
        # Of the last rollout, mean of |A| over values in the rewards' unit, [step, env]; for a curriculum of levels.
        self.value_error: FloatArray = np.zeros((config.rollout_steps, config.n_envs))
        self._decision: Decision | None = None  # whose consequences are still to be observed

    def _by_torch(self) -> TorchUpdate:
        """Steps of the networks that learn, with the optimisers as they are."""
        optimizers = (self.actor_optimizer, self.critic_optimizer)
        return TorchUpdate(self.learners, self.critic, optimizers, self.config.ppo, joint=self._joint)

    def _shaping_of(self, *, per_agent_rewards: bool) -> RewardShaping:
        """What rewards and advantages are turned into: with one value for the team, or one per agent.

        Agents have values of their own where rewards are their own, or critics are.
        """
        own = per_agent_rewards or self.config.network.critic != "central"
        return RewardShaping(config=self.config.ppo, n_agent=self.n_agent, n_value=self.n_agent if own else 1)

    @property
    def evaluation_policy(self) -> Policy:
        """The average over recent updates, or the policy that learns where none is kept."""
        return self.policy if self.average is None else self.average.policy

    def start_from(self, change: Callable[[Policy], None]) -> None:
        """Lets `change` put weights into the policy before anything has been learned."""
        change(self.policy)
        if self.average is not None:
            self.average.policy.load_state_dict(self.policy.state_dict())

    # -- acting ------------------------------------------------

    def decide(self, observation: Observation) -> Decision:
        """Exploring actions as they are drawn, unclipped, and their log-probabilities."""
        actors, hidden = self.policy.actors, {}
        if actors.memory_size > 0:
            hidden = actors.remembered(self.memory, len(observation.state))
        actions, log_probs = self.policy.sample(
            self.policy.observations_to_tensors(observation.observations),
            noise_correlation=self.config.ppo.noise_correlation,
            generator=self.noise,
            memory=self.memory,
        )
        return Decision(observation=observation, actions=actions, log_probs=log_probs, hidden=hidden)

    def act(self, observation: Observation) -> dict[str, Float32Array]:
        """Exploring actions {group: [env, agent, action]}; those inside the dead zone are zero where so configured.

        Raises:
            NonFiniteActions: a log-probability is no number, as it is where an action or a spread is none.
        """
        decision = self.decide(observation)
        if not bool(torch.isfinite(decision.log_probs).all()):
            raise NonFiniteActions("the policy's actions are no longer finite")
        self._decision = decision
        actions = {name: x.cpu().numpy() for name, x in decision.actions.items()}
        return self.policy.explored(actions, dead_zone=self.config.ppo.explore_dead_zone)

    @property
    def behaviour(self) -> Behaviour:
        """How samplers elsewhere act as this learner does.

        Raises:
            ConfigError: compiled kernels do not run the actors.
        """
        require_plain(self.policy)
        ppo = self.config.ppo
        return Behaviour(
            groups=self.groups,
            network=self.config.network,
            noise_correlation=ppo.noise_correlation,
            explore_dead_zone=ppo.explore_dead_zone,
        )

    def errand(self) -> Errand:
        """Weights as they are and the next rollout's noise, in the order in which `act` would draw it."""
        return errand_of(
            self.policy,
            n_env=self.config.n_envs,
            n_step=self.config.rollout_steps,
            noise_correlation=self.config.ppo.noise_correlation,
            generator=self.noise,
        )

    def adopt(self, decision: Decision) -> None:
        """What was done elsewhere, with the weights and the noise of an `errand`."""
        self._decision = decision

    def forget(self) -> None:
        """Lets go of the steps since the last update; actors that samplers run remember none of them."""
        self._decision = None
        self.storage.clear()
        if self.lagrangian is not None:
            self.lagrangian.forget()

    def observe(self, transition: Transition) -> None:
        """Keeps what the last actions led to, with its reward as it is learned from.

        Raises:
            ValueError: rewards are of another shape than was announced.
            RuntimeError: nothing was done since the last time, or a full rollout has not been learned from.
        """
        if self._decision is None:
            raise RuntimeError("there are no actions whose consequences could be observed: call act first")
        rewards = self.shaping.of_step(np.asarray(transition.reward, dtype=np.float64))
        if self.lagrangian is not None:
            rewards = rewards - self.lagrangian.charge(transition.terms)[:, None].astype(np.float32)
        self.storage.add(self._decision, rewards, transition)
        self._decision = None
        self.memory.begin_where(np.asarray(transition.terminated) | np.asarray(transition.truncated))

    def begin_episodes(self) -> None:
        """All environments begin new episodes, between two updates and on nobody's action: memories begin anew."""
        self.memory, self.critic_memory = Memory(), Memory()

    # -- learning ------------------------------------------------

    def update(self, progress: float) -> dict[str, float] | None:
        """Learns from the rollout once it is full; `progress` in [0, 1] drives the schedules.

        Returns:
            Diagnostics by tag, or None while the rollout is being gathered.

        Raises:
            NonFiniteLoss: what was learned is no longer made of numbers; it carries the state from before.
        """
        if not self.storage.is_ready:
            return None
        before = self._learned()
        try:
            diagnostics = self.learn(self.storage.rollout(self.device), progress)
        except NonFiniteLoss as error:
            error.before = before | {"storage": self.storage.state()}
            raise
        self.storage.clear()
        if self.lagrangian is not None:
            diagnostics |= self.lagrangian.move()
        return diagnostics

    def prepare(self, rollout: Rollout) -> tuple[Batch, dict[str, float]]:
        """Rollout -> samples with shaped advantages and normalised targets; moves the value normaliser."""
        batch, diagnostics = samples_of(
            rollout, self.policy.actors, self.critic, self.shaping, self.critic_memory
        )
        wrong = (batch.returns - batch.values).abs() * batch.value_weights
        std = self.critic.value_normaliser.std[self.critic.columns]  # of the unit that values are learned in
        shape = rollout.terminated.shape
        self.value_error = (wrong * std).mean(dim=1).reshape(shape).cpu().numpy().astype(np.float64)
        return batch, diagnostics

    def learn(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learns from one rollout; `progress` in [0, 1] drives the schedules.

        Returns:
            Diagnostics by tag.

        Raises:
            NonFiniteLoss: a loss, a gradient or a weight is no number.
        """
        schedule = self._schedule(progress)
        batch, diagnostics = self.prepare(rollout)
        if self._joint is not None:
            batch = self._joint.known(batch)
        diagnostics |= self._improve(batch, schedule)
        self._check_weights()
        self._bound_spread(progress)
        diagnostics |= {"train/lr_actor": schedule.lr_actor, "train/lr_critic": schedule.lr_critic}
        for head in self.policy.actors.heads:
            actor = self.policy.actors.actor(head)
            diagnostics[f"train/entropy_{head}"] = float(actor.entropy().detach().mean())
            diagnostics[f"train/log_std_{head}"] = float(actor.log_std.detach().mean())
        self._update_input_scaling(rollout)
        if self.average is not None:
            self.average.follow(self.policy)
        return diagnostics

    def _improve(self, batch: Batch, schedule: Schedule) -> dict[str, float]:
        """Moves all networks at once, and says what was measured."""
        return self._epochs(batch, schedule)

    def _epochs(self, batch: Batch, schedule: Schedule) -> dict[str, float]:
        """Passes over the samples with a gradient step for each minibatch, of the networks that they are samples of."""
        ppo = self.config.ppo
        if self._fused is not None:
            self._fused.begin(batch)
        sums: dict[str, Tensor | float] = {}
        n_minibatch = n_epoch = 0
        for _ in range(ppo.epochs):
            epoch_kl: list[Tensor | float] = []
            for index in self._minibatches(batch):
                measured: Mapping[str, Tensor | float]
                if self._fused is None:
                    measured = self._torch.learn_from(self._select(batch, index), schedule.entropy_coef)
                else:
                    measured = self._fused.learn_from(index, schedule.entropy_coef)
                epoch_kl.append(measured["train/kl"])
                for tag, value in measured.items():
                    sums[tag] = sums[tag] + value if tag in sums else value
                n_minibatch += 1
            n_epoch += 1
            mean_kl = float(sum(epoch_kl)) / len(epoch_kl)
            if ppo.target_kl > 0.0 and mean_kl > KL_TOLERANCE * ppo.target_kl:
                break
        found = {tag: float(total) / n_minibatch for tag, total in sums.items()}
        return found | {"train/epochs": float(n_epoch)}

    def _minibatches(self, batch: Batch) -> Iterator[Tensor]:
        """One pass over the samples, or over the sequences where networks remember, by their numbers."""
        length = self._layout.length
        return minibatches(batch.n_sample // length, self.config.ppo.minibatch_steps // length, self.shuffle)

    def _select(self, batch: Batch, index: Tensor) -> Batch:
        """The samples, or the sequences, of these numbers."""
        index = index.to(self.device)
        return batch.sequences(index, self._layout) if self.config.network.remembers else batch.select(index)

    def _bound_spread(self, progress: float) -> None:
        """Brings logarithms of spreads under a bound that falls linearly from the initial one to the final one."""
        last = self.config.ppo.log_std_final
        if last is None:
            return
        first = self.config.network.log_std_init
        bound = first + (last - first) * progress
        with torch.no_grad():
            for head in self.policy.actors.heads:
                self.policy.actors.actor(head).log_std.clamp_(max=bound)

    def _schedule(self, progress: float) -> Schedule:
        """The schedules at this share of the training; the step sizes are set in the optimisers."""
        ppo = self.config.ppo
        lr_actor = linear_schedule(ppo.lr_actor, ppo.lr_final_fraction, progress)
        if round(progress * self.config.n_updates) < ppo.critic_first_updates:
            lr_actor = 0.0
        lr_critic = linear_schedule(ppo.lr_critic, ppo.lr_final_fraction, progress)
        for optimizer, lr in ((self.actor_optimizer, lr_actor), (self.critic_optimizer, lr_critic)):
            for group in optimizer.param_groups:
                group["lr"] = lr
        entropy_coef = linear_schedule(ppo.entropy_coef, ppo.entropy_final_fraction, progress)
        return Schedule(lr_actor=lr_actor, lr_critic=lr_critic, entropy_coef=entropy_coef)

    def _update_input_scaling(self, rollout: Rollout) -> None:
        """Takes the rollout's inputs into their statistics; what agents out of service see does not count.

        Only after learning: while a rollout is gathered and learned from, inputs keep one scale.
        """
        seen, first = {}, 0
        for g in self.groups:
            in_service = rollout.in_service[..., first : first + g.n_agent]
            seen[g.name] = rollout.observations[g.name][:-1][in_service]
            self.policy.actors.update_scaling(g.name, seen[g.name])
            first += g.n_agent
        self.critic.update_scaling(seen, rollout.state[:-1])

    @torch.no_grad()
    def _check_weights(self) -> None:
        """Refuse weights that are not finite: the last step of an update has no loss after it that would tell.

        Raises:
            NonFiniteLoss: a weight is not finite.
        """
        for what, network in (("policy", self.policy), ("critic", self.critic)):
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise NonFiniteLoss(f"the update left weights of the {what} that are not finite")

    # -- state ------------------------------------------------

    def _learned(self) -> dict[str, Any]:
        """Networks, optimisers and generators, copied."""
        state: dict[str, Any] = copied_state(
            {
                "policy": self.policy.state_dict(),
                "critic": self.critic.state_dict(),
                "actor_optimizer": self.actor_optimizer.state_dict(),
                "critic_optimizer": self.critic_optimizer.state_dict(),
                "average": None if self.average is None else self.average.state(),
                "noise": self.noise.get_state(),
                "shuffle": self.shuffle.get_state(),
                "memory": self.memory.state(),
                "critic_memory": self.critic_memory.state(),
            }
        )
        return state if self.lagrangian is None else state | {"lagrangian": self.lagrangian.state()}

    def state(self) -> dict[str, Any]:
        """Everything that decides how learning goes on, copied."""
        return self._learned() | {"storage": self.storage.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state that `state` returned.

        Raises:
            RuntimeError: it is of networks with other layers, or of rollouts of another size.
            KeyError: a part is missing.
            ValueError: an optimiser has other parameters.
        """
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])
        self.actor_optimizer.load_state_dict(state["actor_optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        if self.average is not None:
            self.average.load_state(state["average"])
        self.noise.set_state(state["noise"])
        self.shuffle.set_state(state["shuffle"])
        # Checkpoints from before there were memories have none.
        self.memory.load_state(state.get("memory", {}), self.device)
        self.critic_memory.load_state(state.get("critic_memory", {}), self.device)
        if self.lagrangian is not None:
            self.lagrangian.load_state(state["lagrangian"])
        self.storage.load_state(state["storage"])
