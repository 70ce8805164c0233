"""Actors, and the Gaussian that their actions are drawn from.

A network serves one agent or many: an actor shared by a type is one perceptron run over [step, agent] rows,
and actors of their own are the same layers with a leading [network] axis, run as one batched product. Types
may differ in observation and action sizes: each has layers of its own sizes, nothing is padded.

The layers are Linear -> LayerNorm -> ReLU, then a last Linear. The Gaussian's log standard deviation is a
free parameter of each network and does not depend on the observation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from marl.config.check import ConfigError
from marl.config.network import NetworkConfig
from marl.networks.attention import AttentiveNetwork
from marl.networks.memory import Memory
from marl.networks.normalization import InputScaling
from marl.networks.plain import PlainNetwork
from marl.networks.recurrent import RecurrentNetwork
from marl.networks.stacked import StackedLinear, StackedPerceptron
from marl.protocol import AgentGroup, Messages
from marl.storage.sequences import Unroll

LOG_2_PI = math.log(2.0 * math.pi)

Network = TypeVar("Network", StackedPerceptron, RecurrentNetwork)


def log_density(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Of the normal distribution, component by component: -1/2 ((x - mu)/sigma)^2 - log sigma - 1/2 log 2 pi."""
    z = (x - mean) * torch.exp(-log_std)
    return -0.5 * z.square() - (log_std + 0.5 * LOG_2_PI)


class GaussianActor(nn.Module):
    """Policy of the agents that share a head: one network for all of them, or one each; kinds differ in the mean."""

    log_std: nn.Parameter  # [network, action]

    def __init__(self, net: nn.Module, n_network: int, action_size: int, config: NetworkConfig) -> None:
        super().__init__()
        self.net, self.n_network = net, n_network
        self.log_std = nn.Parameter(torch.full((n_network, action_size), config.log_std_init))

    def means(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean actions of one step, and what is remembered after it.

        Args:
            x: [row, agent, observation].
            hidden: what was remembered before it, [row, agent, hidden]; of no numbers without a memory.

        Returns:
            [row, agent, action] and [row, agent, hidden].
        """
        raise NotImplementedError

    def learned_means(self, x: Tensor, unroll: Unroll | None) -> Tensor:
        """Mean actions of samples to learn from, with the graph to differentiate, [sample, agent, action].

        Args:
            x: [sample, agent, observation], or [step, sequence, agent, observation] where there is a memory.
            unroll: of the sequences.
        """
        raise NotImplementedError

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        """Log-density of an action before any clipping, [row, agent, action] -> [row, agent]."""
        return log_density(action, mean, self.log_std).sum(dim=-1)

    def entropy(self) -> Tensor:
        """Entropy of each network's Gaussian, sum log sigma + k/2 log(2 pi e), shape [network]."""
        return self.log_std.sum(dim=-1) + 0.5 * self.log_std.shape[-1] * (LOG_2_PI + 1.0)


def _network(
    kind: type[Network], n_network: int, observation_size: int, action_size: int, config: NetworkConfig
) -> Network:
    """Networks of the sizes that are configured for actors."""
    return kind(
        n_network,
        observation_size,
        config.actor_hidden,
        action_size,
        last_gain=config.actor_last_gain,
        config=config,
    )


class Actor(GaussianActor):
    """A perceptron of the observation."""

    net: StackedPerceptron

    def __init__(
        self, n_network: int, observation_size: int, action_size: int, config: NetworkConfig
    ) -> None:
        net = _network(StackedPerceptron, n_network, observation_size, action_size, config)
        super().__init__(net, n_network, action_size, config)
        self.linear: StackedLinear | None = None
        if config.actor_linear:
            self.linear = StackedLinear(
                n_network, observation_size, action_size, gain=config.actor_last_gain, orthogonal=False
            )
        self.plain = PlainNetwork(self.net, config, self.linear, [self.log_std])

    def forward(self, x: Tensor) -> Tensor:
        """Mean action: [row, agent, observation] -> [row, agent, action]."""
        if self.plain.serves and not torch.is_grad_enabled():
            return self.plain.outputs(x)
        if self.n_network == 1:
            return self._mean(x)
        return self._mean(x.transpose(0, 1).contiguous()).transpose(0, 1)

    def _mean(self, x: Tensor) -> Tensor:
        mean = self.net.forward(x)
        return mean if self.linear is None else mean + self.linear.forward(x)

    def means(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See `GaussianActor`; nothing is remembered."""
        return self.forward(x), hidden

    def learned_means(self, x: Tensor, unroll: Unroll | None) -> Tensor:
        """See `GaussianActor`."""
        return self.forward(x)


class RecurrentActor(GaussianActor):
    """A perceptron with a gated recurrent unit: what was seen before counts too."""

    net: RecurrentNetwork

    def __init__(
        self, n_network: int, observation_size: int, action_size: int, config: NetworkConfig
    ) -> None:
        net = _network(RecurrentNetwork, n_network, observation_size, action_size, config)
        super().__init__(net, n_network, action_size, config)

    def means(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See `GaussianActor`."""
        if self.n_network == 1:
            return self.net.step(x, hidden)
        mean, after = self.net.step(x.transpose(0, 1).contiguous(), hidden.transpose(0, 1).contiguous())
        return mean.transpose(0, 1), after.transpose(0, 1)

    def learned_means(self, x: Tensor, unroll: Unroll | None) -> Tensor:
        """See `GaussianActor`."""
        assert unroll is not None
        return self.net.sequence(x, unroll).outputs.flatten(0, 1)


class AttentiveActor(GaussianActor):
    """A perceptron of the agent's own observation and of what it makes of the messages it is shown."""

    net: AttentiveNetwork

    def __init__(
        self,
        n_network: int,
        observation_size: int,
        action_size: int,
        config: NetworkConfig,
        told: Messages | None,
    ) -> None:
        if told is None:
            raise ConfigError(
                'actor = "attention" needs observations that carry messages of other agents, such as --observation '
                "telemetry"
            )
        net = AttentiveNetwork(
            n_network,
            observation_size - told.length,
            told,
            config.actor_hidden,
            action_size,
            last_gain=config.actor_last_gain,
            config=config,
        )
        super().__init__(net, n_network, action_size, config)

    def means(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See `GaussianActor`; nothing is remembered."""
        return self.net.forward(x), hidden

    def learned_means(self, x: Tensor, unroll: Unroll | None) -> Tensor:
        """See `GaussianActor`."""
        return self.net.forward(x)


def make_actor(
    n_network: int, observation_size: int, action_size: int, config: NetworkConfig, told: Messages | None
) -> GaussianActor:
    """An actor of the kind that is configured.

    Args:
        n_network: one for all agents of the head, or one for each.
        observation_size: numbers it is fed.
        action_size: numbers it answers.
        config: of the networks.
        told: messages in the observation, with the distances of the agents that are served.

    Raises:
        ConfigError: there are none, and it attends to them.
    """
    if config.actor == "attention":
        return AttentiveActor(n_network, observation_size, action_size, config, told)
    kind = {"mlp": Actor, "gru": RecurrentActor}[config.actor]
    return kind(n_network, observation_size, action_size, config)


def _joined(groups: tuple[AgentGroup, ...]) -> Messages | None:
    """Messages as agents of several groups are shown them, where all are."""
    told = [g.messages for g in groups if g.messages is not None]
    if len(told) < len(groups) or len({messages.size for messages in told}) > 1:
        return None
    return Messages(size=told[0].size, distance=tuple(row for messages in told for row in messages.distance))


def input_scaling(size: int, config: NetworkConfig) -> InputScaling:
    """Of an input of this size, as configured; actors and critics have the same kind."""
    return InputScaling(
        size,
        compress=config.compress_inputs,
        magnify=config.magnify_inputs,
        normalize=config.normalize_inputs,
    )


class ActorSet(nn.Module):
    """All actors: which head serves which group, and what it is fed.

    sharing "type": a head per group with one network. "agent": a head per group with a network per agent.
    "all": one head, one network, fed with all groups' observations and, unless switched off, who each is.
    """

    log_std_index: Tensor

    def __init__(self, groups: tuple[AgentGroup, ...], config: NetworkConfig) -> None:
        super().__init__()
        self.groups = groups
        self.config = config
        self.scaling = nn.ModuleDict({g.name: input_scaling(g.observation_size, config) for g in groups})
        self.heads = nn.ModuleDict()
        self.head_groups: dict[str, tuple[AgentGroup, ...]] = {}
        if config.sharing == "all":
            sizes = {(g.observation_size, g.action_size) for g in groups}
            if len(sizes) != 1:
                raise ValueError(
                    f"one actor for all agents needs equal sizes, but theirs are {sorted(sizes)}; "
                    'use sharing "type" or "agent"'
                )
            n_agent = sum(g.n_agent for g in groups)
            n_in = groups[0].observation_size + (n_agent if config.agent_id else 0)
            self.heads["all"] = make_actor(1, n_in, groups[0].action_size, config, _joined(groups))
            self.head_groups["all"] = groups
            self.register_buffer("identity", torch.eye(n_agent), persistent=False)
        else:
            for g in groups:
                n_network = g.n_agent if config.sharing == "agent" else 1
                self.heads[g.name] = make_actor(
                    n_network, g.observation_size, g.action_size, config, g.messages
                )
                self.head_groups[g.name] = (g,)
        self.register_buffer("log_std_index", self._log_std_index(), persistent=False)

    def _log_std_index(self) -> Tensor:
        """Where each component of each agent's action finds its spread among those of all networks, [column]."""
        columns: list[Tensor] = []
        first = 0
        for head, groups in self.head_groups.items():
            spreads = self.log_std(head)
            own = first + torch.arange(spreads.numel()).view_as(spreads)
            # One network for all of the head's agents, or one each.
            columns.append(own.expand(sum(g.n_agent for g in groups), -1).flatten())
            first += spreads.numel()
        return torch.cat(columns)

    def scale(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw observations {group: [row, agent, observation]} -> {head: [row, agent, input]}."""
        # Without nn.Module's calling machinery, as the layers are.
        scaled = {g.name: self.scaling[g.name].forward(observations[g.name]) for g in self.groups}
        inputs = {}
        for head, groups in self.head_groups.items():
            x = (
                scaled[groups[0].name]
                if len(groups) == 1
                else torch.cat([scaled[g.name] for g in groups], dim=1)
            )
            if self.config.sharing == "all" and self.config.agent_id:
                identity = self.get_buffer("identity")
                known = identity.expand(x.shape[0], *identity.shape)
                # Messages stay where an observation has them, at its end.
                x = torch.cat([known, x] if self.config.actor == "attention" else [x, known], dim=-1)
            inputs[head] = x
        return inputs

    @property
    def memory_size(self) -> int:
        """Numbers that every agent remembers; 0 without a memory."""
        return self.config.memory_size if self.config.actor == "gru" else 0

    def means(self, inputs: Mapping[str, Tensor], memory: Memory | None = None) -> dict[str, Tensor]:
        """Mean actions of one step, {head: [row, agent, input]} -> {head: [row, agent, action]}.

        Args:
            inputs: scaled.
            memory: of these environments by group, carried on; None is that of episodes that begin.
        """
        memory = memory or Memory()
        n_row = next(iter(inputs.values())).shape[0]
        before = self.gather(self.remembered(memory, n_row))
        found, after = {}, {}
        for head, x in inputs.items():
            found[head], after[head] = self.actor(head).means(x, before[head])
        if self.memory_size > 0:
            memory.hidden = self.split(after)
        return found

    def remembered(self, memory: Memory, n_row: int) -> dict[str, Tensor]:
        """What the agents of each group remember, {group: [row, agent, hidden]}; of no numbers without a memory."""
        device = self.log_std_index.device
        return {g.name: memory.of(g.name, (n_row, g.n_agent, self.memory_size), device) for g in self.groups}

    def actor(self, head: str) -> GaussianActor:
        """The network, or networks, of a head."""
        actor = self.heads[head]
        assert isinstance(actor, GaussianActor)
        return actor

    def update_scaling(self, group: str, observations: Tensor) -> None:
        """Takes raw observations of one group [..., observation] into its running moments."""
        scaling = self.scaling[group]
        assert isinstance(scaling, InputScaling)
        scaling.update(observations)

    def gather(self, by_group: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{group: [row, agent, ...]} -> {head: [row, agent, ...]}."""
        return {
            head: by_group[groups[0].name]
            if len(groups) == 1
            else torch.cat([by_group[g.name] for g in groups], dim=1)
            for head, groups in self.head_groups.items()
        }

    def split(self, by_head: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{head: [row, agent, ...]} -> {group: [row, agent, ...]}."""
        by_group: dict[str, Tensor] = {}
        for head, groups in self.head_groups.items():
            if len(groups) == 1:
                by_group[groups[0].name] = by_head[head]
                continue
            pieces = torch.split(by_head[head], [g.n_agent for g in groups], dim=1)
            by_group.update({g.name: piece for g, piece in zip(groups, pieces, strict=True)})
        return by_group

    @property
    def plain(self) -> bool:
        """Whether compiled kernels run all actors."""
        return all(isinstance(actor, Actor) and actor.plain.serves for actor in self.heads.values())

    def log_std(self, head: str) -> Tensor:
        """Log standard deviations of a head's networks, [network, action]."""
        return self.actor(head).log_std

    def log_std_columns(self) -> Tensor:
        """Log standard deviations of all components of all agents' actions, in the groups' order, [column]."""
        by_network = torch.cat([self.log_std(head).flatten() for head in self.heads])
        return by_network.index_select(0, self.log_std_index)

    def agent_slices(self) -> dict[str, slice]:
        """Where the agents of each head stand among all agents in the groups' order."""
        slices, start = {}, 0
        for head, groups in self.head_groups.items():
            n = sum(g.n_agent for g in groups)
            slices[head] = slice(start, start + n)
            start += n
        return slices
