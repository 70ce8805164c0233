"""Actors with their Gaussian, and the critics.

A network serves one agent or many: an actor shared by a type is one perceptron run over [step, agent] rows,
and actors of their own are the same layers with a leading [network] axis, run as one batched product. Types
may differ in observation and action sizes: each has layers of its own sizes, nothing is padded.

The layers are Linear -> LayerNorm -> ReLU, then a last Linear. The Gaussian's log standard deviation is a
free parameter of each network and does not depend on the observation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from marl.config import NetworkConfig
from marl.normalization import InputScaling, PopArt, rescale_output
from marl.protocol import AgentGroup

LOG_2_PI = math.log(2.0 * math.pi)
HIDDEN_GAIN = math.sqrt(2.0)  # keeps the variance through a ReLU


def log_density(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Of the normal distribution, component by component: -1/2 ((x - mu)/sigma)^2 - log sigma - 1/2 log 2 pi."""
    z = (x - mean) * torch.exp(-log_std)
    return -0.5 * z.square() - (log_std + 0.5 * LOG_2_PI)


class StackedLinear(nn.Module):
    """`n_network` linear layers side by side; one of them is an ordinary linear layer."""

    def __init__(self, n_network: int, n_in: int, n_out: int, *, gain: float, orthogonal: bool) -> None:
        super().__init__()
        self.n_network = n_network
        self.weight = nn.Parameter(torch.empty(n_network, n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_network, n_out))
        for k in range(n_network):
            if orthogonal:
                nn.init.orthogonal_(self.weight[k], gain)
            else:
                # The default of torch.nn.Linear, scaled so that a small last layer stays small.
                bound = min(gain, 1.0) / math.sqrt(n_in)
                nn.init.uniform_(self.weight[k], -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[network, row, in] -> [network, row, out]; with a single network any [..., in] -> [..., out]."""
        if self.n_network == 1:
            return functional.linear(x, self.weight[0], self.bias[0])
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))


class StackedLayerNorm(nn.Module):
    """Layer normalisation with gains and offsets of each network's own."""

    def __init__(self, n_network: int, size: int) -> None:
        super().__init__()
        self.n_network, self.size = n_network, size
        self.weight = nn.Parameter(torch.ones(n_network, size))
        self.bias = nn.Parameter(torch.zeros(n_network, size))

    def forward(self, x: Tensor) -> Tensor:
        if self.n_network == 1:
            return functional.layer_norm(x, (self.size,), self.weight[0], self.bias[0])
        y = functional.layer_norm(x, (self.size,))
        return torch.addcmul(self.bias.unsqueeze(1), y, self.weight.unsqueeze(1))


class StackedPerceptron(nn.Module):
    """`n_network` perceptrons of the same shape."""

    def __init__(
        self,
        n_network: int,
        n_in: int,
        hidden: Sequence[int],
        n_out: int,
        *,
        last_gain: float,
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.n_network = n_network
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(
                StackedLinear(n_network, n_in, width, gain=HIDDEN_GAIN, orthogonal=config.orthogonal_init)
            )
            if config.layer_norm:
                layers.append(StackedLayerNorm(n_network, width))
            layers.append(nn.ReLU(inplace=True))
            n_in = width
        self.hidden = nn.Sequential(*layers)
        self.last = StackedLinear(n_network, n_in, n_out, gain=last_gain, orthogonal=config.orthogonal_init)

    def forward(self, x: Tensor) -> Tensor:
        # Layers are run without nn.Module's calling machinery (hooks, which none of them has): for a few hundred rows
        # it costs a tenth of the arithmetic.
        for layer in self.hidden:
            x = layer.forward(x)
        return self.last.forward(x)


class Actor(nn.Module):
    """Gaussian policy of the agents that share a head: one network for all of them, or one each."""

    def __init__(
        self, n_network: int, observation_size: int, action_size: int, config: NetworkConfig
    ) -> None:
        super().__init__()
        self.n_network = n_network
        self.net = StackedPerceptron(
            n_network,
            observation_size,
            config.actor_hidden,
            action_size,
            last_gain=config.actor_last_gain,
            config=config,
        )
        self.linear: StackedLinear | None = None
        if config.actor_linear:
            self.linear = StackedLinear(
                n_network, observation_size, action_size, gain=config.actor_last_gain, orthogonal=False
            )
        self.log_std = nn.Parameter(torch.full((n_network, action_size), config.log_std_init))

    def forward(self, x: Tensor) -> Tensor:
        """Mean action: [row, agent, observation] -> [row, agent, action]."""
        if self.n_network == 1:
            return self._mean(x)
        return self._mean(x.transpose(0, 1).contiguous()).transpose(0, 1)

    def _mean(self, x: Tensor) -> Tensor:
        mean = self.net.forward(x)
        return mean if self.linear is None else mean + self.linear.forward(x)

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        """Log-density of an action before any clipping, [row, agent, action] -> [row, agent]."""
        return log_density(action, mean, self.log_std).sum(dim=-1)

    def entropy(self) -> Tensor:
        """Entropy of each network's Gaussian, sum log sigma + k/2 log(2 pi e), shape [network]."""
        return self.log_std.sum(dim=-1) + 0.5 * self.log_std.shape[-1] * (LOG_2_PI + 1.0)


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
            self.heads["all"] = Actor(1, n_in, groups[0].action_size, config)
            self.head_groups["all"] = groups
            self.register_buffer("identity", torch.eye(n_agent), persistent=False)
        else:
            for g in groups:
                n_network = g.n_agent if config.sharing == "agent" else 1
                self.heads[g.name] = Actor(n_network, g.observation_size, g.action_size, config)
                self.head_groups[g.name] = (g,)
        self.register_buffer("log_std_index", self._log_std_index(), persistent=False)

    def _log_std_index(self) -> Tensor:
        """Where each component of each agent's action finds its spread among those of all networks, [column]."""
        columns: list[Tensor] = []
        first = 0
        for head, groups in self.head_groups.items():
            spreads = self._spreads(head)
            own = first + torch.arange(spreads.numel()).view_as(spreads)
            # One network for all of the head's agents, or one each.
            columns.append(own.expand(sum(g.n_agent for g in groups), -1).flatten())
            first += spreads.numel()
        return torch.cat(columns)

    def scale(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw observations {group: [row, agent, observation]} -> {head: [row, agent, input]}."""
        scaled = {g.name: self.scaling[g.name](observations[g.name]) for g in self.groups}
        inputs = {}
        for head, groups in self.head_groups.items():
            x = (
                scaled[groups[0].name]
                if len(groups) == 1
                else torch.cat([scaled[g.name] for g in groups], dim=1)
            )
            if self.config.sharing == "all" and self.config.agent_id:
                identity = self.get_buffer("identity")
                x = torch.cat([x, identity.expand(x.shape[0], *identity.shape)], dim=-1)
            inputs[head] = x
        return inputs

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

    def _spreads(self, head: str) -> Tensor:
        actor = self.heads[head]
        assert isinstance(actor, Actor)
        return actor.log_std

    def log_std_columns(self) -> Tensor:
        """Log standard deviations of all components of all agents' actions, in the groups' order, [column]."""
        by_network = torch.cat([self._spreads(head).flatten() for head in self.heads])
        return by_network.index_select(0, self.log_std_index)

    def agent_slices(self) -> dict[str, slice]:
        """Where the agents of each head stand among all agents in the groups' order."""
        slices, start = {}, 0
        for head, groups in self.head_groups.items():
            n = sum(g.n_agent for g in groups)
            slices[head] = slice(start, start + n)
            start += n
        return slices


class Critic(nn.Module):
    """State values in normalised units, and the units themselves.

    "central": one network sees the state and has one output, or one per agent where agents have rewards of
    their own. The others have a network per group, and every agent has a value: "agent" sees the agent's own
    observation and the state, "local" the observation alone (IPPO).
    """

    columns: Tensor

    def __init__(
        self,
        groups: tuple[AgentGroup, ...],
        state_size: int,
        n_value: int,
        config: NetworkConfig,
        *,
        value_norm_decay: float,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.n_value = n_value
        self.by_group = config.critic != "central"
        self.sees_state = config.critic != "local"
        self.heads = nn.ModuleDict()
        self.scaling = nn.ModuleDict()  # of observations, by group
        self.state_scaling = input_scaling(state_size, config)
        if self.by_group:
            for g in groups:
                self.scaling[g.name] = input_scaling(g.observation_size, config)
                n_in = g.observation_size + (state_size if self.sees_state else 0)
                self.heads[g.name] = self._head(n_in, 1, config)
            columns = [i for i, g in enumerate(groups) for _ in g.agents]
            n_column = len(groups)
        else:
            self.heads["state"] = self._head(state_size, n_value, config)
            columns = list(range(n_value))
            n_column = n_value
        if len(columns) != n_value:
            raise ValueError(
                f"a critic per group gives each of {len(columns)} agents a value, not {n_value} in all"
            )
        self.units = PopArt(n_column, decay=value_norm_decay)
        # Which output of the networks each value belongs to, shape [value].
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    @staticmethod
    def _head(n_in: int, n_out: int, config: NetworkConfig) -> StackedPerceptron:
        return StackedPerceptron(1, n_in, config.critic_hidden, n_out, last_gain=1.0, config=config)

    def scale(self, observations: Mapping[str, Tensor], state: Tensor) -> dict[str, Tensor]:
        """Raw observations and state -> {head: input}, each [row, ...]."""
        scaled: Tensor = self.state_scaling(state)
        if not self.by_group:
            return {"state": scaled}
        inputs = {g.name: self.scaling[g.name](observations[g.name]) for g in self.groups}
        if self.sees_state:
            for name, x in inputs.items():
                beside = scaled.unsqueeze(1).expand(-1, x.shape[1], -1)
                inputs[name] = torch.cat([x, beside], dim=-1)
        return inputs

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Normalised values of scaled inputs, shape [row, value]."""
        if self.by_group:
            return torch.cat([self.heads[g.name](inputs[g.name]).squeeze(-1) for g in self.groups], dim=1)
        values: Tensor = self.heads["state"](inputs["state"])
        return values

    def normalize(self, values: Tensor) -> Tensor:
        """Real units -> the critic's, shape [..., value]."""
        return self.units.normalize(values, self.columns)

    def denormalize(self, values: Tensor) -> Tensor:
        """The critic's units -> real ones, shape [..., value]."""
        return self.units.denormalize(values, self.columns)

    def update_scaling(self, observations: Mapping[str, Tensor], state: Tensor) -> None:
        """Takes raw inputs [..., input] into the running moments."""
        self.state_scaling.update(state)
        for name, scaling in self.scaling.items():
            assert isinstance(scaling, InputScaling)
            scaling.update(observations[name])

    def start_units(self, rewards: Tensor, valid: Tensor, terminated: Tensor, gamma: float) -> None:
        """Before the first rollout is learned from: a guess of the units from its rewards [step, env, value]."""
        if bool((self.units.weight > 0).any()):
            return
        for column in range(len(self.units.mean)):
            mine = self.columns == column
            counted = rewards[..., mine][valid[..., mine]]
            if counted.numel() > 0:
                self.units.start(column, counted, terminated, gamma)

    @torch.no_grad()
    def update_units(self, returns: Tensor, valid: Tensor) -> None:
        """Moves the units towards new returns [..., value] and rescales the outputs so that values stay."""
        mean_old, std_old = self.units.mean.clone(), self.units.std.clone()
        for column in range(len(mean_old)):
            mine = self.columns == column
            self.units.update(column, returns[..., mine][valid[..., mine]])
        for i, head in enumerate(self.heads.values()):
            assert isinstance(head, StackedPerceptron)
            c = slice(i, i + 1) if self.by_group else slice(None)
            rescale_output(
                head.last.weight[0],
                head.last.bias[0],
                mean_old=mean_old[c],
                std_old=std_old[c],
                mean_new=self.units.mean[c],
                std_new=self.units.std[c],
            )
