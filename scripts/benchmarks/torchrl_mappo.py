"""TorchRL's MAPPO on this grid: what the seconds to AGC with feed-forward are measured against.

All that learns is TorchRL's own: `Collector`, `MultiAgentMLP`, `MAPPOLoss` (`ClipPPOLoss` with its GAE for agents),
minibatches from its replay buffer, one Adam, in the order of its multi-agent tutorial. `Grid` shows it the batched
environment of this project as a batched TorchRL environment, not N copies behind PettingZoo: that takes 64 episodes a
step instead of one, so that learners are compared and not loops over dictionaries. The agents of all kinds of plant
are one group with one loss; each kind has an actor of its own, and the one critic sees the state, as in the default
training here. Hidden layers, environments' number, minibatches and budget are in `Setting`.

What TorchRL has no part for is left out: noise that agents share, the dead zone of actions, averaged policies, the
logarithm of rare rewards, values that are learned in normalised units.

Importing this needs torchrl and tensordict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from tensordict.nn.distributions import NormalParamExtractor
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import (
    Bounded,
    Categorical,
    Composite,
    LazyTensorStorage,
    SamplerWithoutReplacement,
    TensorDictReplayBuffer,
    Unbounded,
)
from torchrl.envs import EnvBase, RewardScaling, TransformedEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP, MultiAgentMLP, PopArtValueNorm, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss

from benchmarks.torchrl_settings import Setting
from cases.arrays import IntArray
from control.evaluation.rollout import rollout
from control.scenario.suites import VALIDATION_SEEDS
from marl.algorithms.reward_shaping import robust_reward
from marl.environment.batch import GridBatch, make_batch
from marl.protocol import AgentGroup, Float32Array, Observation

OBSERVATION, ACTION = ("agents", "observation"), ("agents", "action")
VALUE, LOG_PROB = ("agents", "state_value"), ("agents", "action_log_prob")
LOSSES = ("loss_objective", "loss_critic", "loss_entropy")


class Grid(EnvBase):  # type: ignore[misc]
    """A batch of episodes as TorchRL knows environments: `n_env` is its batch size, the reward is the team's.

    The batch begins a new episode by itself where one ends; what the new one shows waits here until TorchRL asks for a
    reset there, and the step itself shows the true last observation of the old one.
    """

    def __init__(self, batch: GridBatch, robust: float = 0.0) -> None:
        """Args: robust: beyond it a reward grows with its logarithm, see `robust_reward`; 0 leaves all as they are."""
        super().__init__(batch_size=[batch.n_env])
        self._batch, self._robust = batch, robust
        n, groups = batch.n_env, batch.groups
        agents = sum(group.n_agent for group in groups)
        seen = groups[0].observation_size
        flag = Categorical(2, dtype=torch.bool, shape=(n, 1))
        self.observation_spec = Composite(
            agents=Composite(observation=Unbounded((n, agents, seen)), shape=(n, agents)),
            state=Unbounded((n, batch.state_size)),
            shape=(n,),
        )
        self.action_spec = Composite(
            agents=Composite(action=Bounded(-1.0, 1.0, (n, agents, 1)), shape=(n, agents)), shape=(n,)
        )
        self.reward_spec = Unbounded((n, 1))
        self.done_spec = Composite(done=flag, terminated=flag.clone(), truncated=flag.clone(), shape=(n,))
        self._next: Observation | None = None

    def _reset(self, tensordict: Any = None, **_: Any) -> Any:
        """Of all episodes, or those that `_reset` names: they have begun already."""
        if self._next is None or tensordict is None or tensordict.get("_reset", None) is None:
            self._next = self._batch.reset()
        return TensorDict(self._shown(self._next), batch_size=self.batch_size)

    def _step(self, tensordict: Any) -> Any:
        """One control interval."""
        step = self._batch.step(of_groups(self._batch.groups, tensordict[ACTION].numpy()))
        self._next = step.observation
        reward = robust_reward(step.reward.astype(np.float64), self._robust, "log").astype(np.float32)
        over = {
            "terminated": torch.from_numpy(step.terminated).unsqueeze(-1),
            "truncated": torch.from_numpy(step.truncated).unsqueeze(-1),
        }
        return TensorDict(
            self._shown(step.final_observation)
            | over
            | {
                "done": over["terminated"] | over["truncated"],
                "reward": torch.from_numpy(reward).unsqueeze(-1),
            },
            batch_size=self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        """The batch has its own, which it was made with."""

    def _shown(self, seen: Observation) -> dict[str, Any]:
        agents = torch.from_numpy(joint(seen.observations))
        return {
            "agents": TensorDict({"observation": agents}, batch_size=agents.shape[:2]),
            "state": torch.from_numpy(seen.state.copy()),
        }


def joint(by_group: Mapping[str, Float32Array]) -> Float32Array:
    """[env, agent, ...] of all groups from that of each, in the groups' order."""
    return np.concatenate(list(by_group.values()), axis=1)


def of_groups(groups: tuple[AgentGroup, ...], actions: Float32Array) -> dict[str, Float32Array]:
    """The inverse of `joint`: {group: [env, agent, 1]}."""
    ends = np.cumsum([group.n_agent for group in groups])[:-1]
    return {group.name: part for group, part in zip(groups, np.split(actions, ends, axis=1), strict=True)}


class ActorOfEachKind(nn.Module):
    """One network for each group of agents: [..., agent, observation] -> [..., agent, 2]."""

    def __init__(self, groups: tuple[AgentGroup, ...], setting: Setting) -> None:
        super().__init__()
        self._sizes = [group.n_agent for group in groups]
        nets: list[Any] = [
            MultiAgentMLP(
                n_agent_inputs=group.observation_size,
                n_agent_outputs=2,
                n_agents=group.n_agent,
                centralized=False,
                share_params=True,
                num_cells=list(setting.actor_hidden),
                **layers(setting, setting.actor_hidden[0]),
            )
            for group in groups
        ]
        for net in nets:
            last = max(net.params.keys(), key=int)  # layers are named by their place
            with torch.no_grad():
                for part in net.params[last].values():
                    part.mul_(setting.last_gain)
        self.nets = nn.ModuleList(nets)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Of all agents, in the groups' order."""
        parts = torch.split(observation, self._sizes, dim=-2)
        return torch.cat([net(part) for net, part in zip(self.nets, parts, strict=True)], dim=-2)


class CentralCritic(nn.Module):
    """One value of the state, the same for all agents: [..., state] -> [..., agent, 1]."""

    def __init__(self, state_size: int, n_agent: int, setting: Setting) -> None:
        super().__init__()
        self._n_agent = n_agent
        self.net = MLP(
            state_size, 1, num_cells=list(setting.critic_hidden), **layers(setting, setting.critic_hidden[0])
        )

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """A copy for each agent."""
        value: torch.Tensor = self.net(state)
        return value.unsqueeze(-2).expand(*value.shape[:-1], self._n_agent, 1)


def layers(setting: Setting, width: int) -> dict[str, Any]:
    """What stands behind each hidden Linear."""
    if setting.layer_norm:
        return {
            "activation_class": nn.ReLU,
            "norm_class": nn.LayerNorm,
            "norm_kwargs": {"normalized_shape": width},
        }
    return {"activation_class": nn.Tanh}


def make_actor(groups: tuple[AgentGroup, ...], setting: Setting) -> Any:
    """Policy of all agents: a squashed normal distribution whose mean and spread both follow from the observation."""
    net = nn.Sequential(
        ActorOfEachKind(groups, setting),
        NormalParamExtractor(scale_mapping=f"biased_softplus_{setting.spread}"),
    )
    names = [("agents", "loc"), ("agents", "scale")]
    return ProbabilisticActor(
        module=TensorDictModule(net, in_keys=[OBSERVATION], out_keys=names),
        in_keys=names,
        out_keys=[ACTION],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": -1.0, "high": 1.0},
        return_log_prob=True,
    )


class Greedy:
    """The policy as an actor of held-out episodes, without exploration."""

    def __init__(self, actor: Any, groups: tuple[AgentGroup, ...]) -> None:
        self._actor, self._groups = actor, groups

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, 1]}."""
        agents = torch.from_numpy(joint(observation.observations))
        seen = TensorDict(
            {"agents": TensorDict({"observation": agents}, batch_size=agents.shape[:2])},
            batch_size=agents.shape[:1],
        )
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            return of_groups(self._groups, self._actor(seen)[ACTION].numpy())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a policy came to on held-out episodes; neither clock counts the judging."""

    steps: int  # of environments, before it
    seconds: float  # of the clock, since the training began
    cpu_s: float  # of the processor
    held_out_return: float


def train(
    setting: Setting,
    *,
    steps: int,
    seconds: float,
    judge_every: int,
    n_judged: int,
    seed: int = 0,
    enough: Callable[[Judgement], bool] = lambda _: False,
) -> list[Judgement]:
    """Train until it is enough or a budget is used up; judged every so many steps, and at the end.

    Args:
        setting: hyper-parameters.
        steps: budget of environment steps.
        seconds: budget of the clock, judging left out [s].
        judge_every: steps between judgements; they take place after whole updates.
        n_judged: held-out episodes of `normal`, the first of the validation's.
        seed: of networks, exploration and episodes.
        enough: is told of every judgement, the clocks standing still, and answers whether to end.
    """
    clock = _Clock()
    torch.manual_seed(seed)
    batch = make_batch("training", setting.n_env, seed, stagger=True)
    env = TransformedEnv(Grid(batch, setting.robust_reward), RewardScaling(0.0, setting.reward_scale))
    actor = make_actor(batch.groups, setting)
    loss, optimiser = make_loss(actor, batch, setting)
    collector = Collector(
        env,
        actor,
        frames_per_batch=setting.buffer_steps,
        total_frames=-1,
        auto_register_policy_transforms=False,  # of policies with a memory
    )
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(setting.buffer_steps),
        sampler=SamplerWithoutReplacement(),
        batch_size=setting.minibatch_steps,
    )
    held_out = make_batch("normal", n_judged, check=False)
    seeds = np.array([int(seed) for seed in VALIDATION_SEEDS.seeds[:n_judged]])
    done, due, judged = 0, judge_every, []
    for data in collector:
        done += data.numel()
        if setting.falls:
            for part in optimiser.param_groups:
                part["lr"] = setting.learning_rate * max(0.0, 1.0 - done / steps)
        update(loss, optimiser, buffer, data, setting)
        collector.update_policy_weights_()
        over = done >= steps or clock.seconds >= seconds
        if done >= due or over:
            due = done + judge_every
            seconds_now, cpu_now_s = clock.seconds, clock.cpu_s
            with clock.stopped():
                mean = float(rollout(Greedy(actor, batch.groups), held_out, seeds).returns.mean())
                judged.append(
                    Judgement(steps=done, seconds=seconds_now, cpu_s=cpu_now_s, held_out_return=mean)
                )
                over = enough(judged[-1]) or over
        if over:
            break
    collector.shutdown()
    return judged


def make_loss(actor: Any, batch: GridBatch, setting: Setting) -> tuple[Any, torch.optim.Adam]:
    """TorchRL's MAPPO with its GAE for agents, and the one Adam of actors and critic."""
    critic = TensorDictModule(
        CentralCritic(batch.state_size, sum(group.n_agent for group in batch.groups), setting),
        in_keys=["state"],
        out_keys=[VALUE],
    )
    loss = MAPPOLoss(
        actor,
        critic,
        value_norm=PopArtValueNorm(shape=1) if setting.value_norm else None,
        clip_epsilon=setting.clip,
        entropy_coeff=setting.entropy,
        entropy_bonus=setting.entropy > 0.0,
    )
    loss.set_keys(value=VALUE, action=ACTION, sample_log_prob=LOG_PROB)
    loss.make_value_estimator(gamma=setting.gamma, lmbda=setting.gae_lambda)
    return loss, torch.optim.Adam(loss.parameters(), setting.learning_rate)


def update(loss: Any, optimiser: torch.optim.Adam, buffer: Any, data: Any, setting: Setting) -> None:
    """Advantages of one rollout, and the passes over it in minibatches."""
    with torch.no_grad():
        loss.value_estimator(
            data, params=loss.critic_network_params, target_params=loss.target_critic_network_params
        )
    buffer.extend(data.reshape(-1))
    for _ in range(setting.epochs * (setting.buffer_steps // setting.minibatch_steps)):
        parts = loss(buffer.sample())
        found = set(parts.keys())
        sum(parts[name] for name in LOSSES if name in found).backward()
        nn.utils.clip_grad_norm_(loss.parameters(), setting.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()


class _Clock:
    """Seconds of the wall clock and of the processor since it was made, less those in which it was stopped."""

    def __init__(self) -> None:
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Of the wall clock."""
        return time.perf_counter() - self._began_s

    @property
    def cpu_s(self) -> float:
        """Of the processor."""
        return time.process_time() - self._began_cpu_s

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done within does not count."""
        seconds, cpu_s = self.seconds, self.cpu_s
        yield
        self._began_s, self._began_cpu_s = time.perf_counter() - seconds, time.process_time() - cpu_s
