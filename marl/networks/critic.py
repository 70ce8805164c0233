"""The critic: values of states, for the team or for each agent."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marl.config.network import NetworkConfig
from marl.networks.actor import input_scaling
from marl.networks.normalization import InputScaling, ValueNormaliser, rescale_output
from marl.networks.plain import PlainNetwork
from marl.networks.stacked import StackedPerceptron
from marl.protocol import AgentGroup


class Critic(nn.Module):
    """Normalised state values, and the value normaliser that gives them their unit.

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
        self.plain = {
            name: PlainNetwork(head, config)
            for name, head in self.heads.items()
            if isinstance(head, StackedPerceptron)
        }
        if len(columns) != n_value:
            raise ValueError(
                f"a critic per group gives each of {len(columns)} agents a value, not {n_value} in all"
            )
        self.value_normaliser = ValueNormaliser(n_column, decay=value_norm_decay)
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
            return torch.cat([self._run(g.name, inputs[g.name]).squeeze(-1) for g in self.groups], dim=1)
        return self._run("state", inputs["state"])

    def _run(self, head: str, x: Tensor) -> Tensor:
        plain = self.plain[head]
        if plain.serves and not torch.is_grad_enabled():
            return plain.outputs(x)
        values: Tensor = self.heads[head](x)
        return values

    @torch.no_grad()
    def values(self, observations: Mapping[str, Tensor], state: Tensor) -> Tensor:
        """Values of raw observations and states in the unit of the rewards, leading axes kept: [..., value].

        Args:
            observations: group -> [..., agent, observation].
            state: [..., state].
        """
        lead = state.shape[:-1]
        flat = {
            g.name: observations[g.name].reshape(-1, *observations[g.name].shape[-2:]) for g in self.groups
        }
        inputs = self.scale(flat, state.reshape(-1, state.shape[-1]))
        return self.denormalize(self(inputs)).reshape(*lead, self.n_value)

    def normalize(self, values: Tensor) -> Tensor:
        """Values in the rewards' unit -> normalised ones, shape [..., value]."""
        return self.value_normaliser.normalize(values, self.columns)

    def denormalize(self, values: Tensor) -> Tensor:
        """Normalised values -> the rewards' unit, shape [..., value]."""
        return self.value_normaliser.denormalize(values, self.columns)

    def update_scaling(self, observations: Mapping[str, Tensor], state: Tensor) -> None:
        """Takes raw inputs [..., input] into the running moments."""
        self.state_scaling.update(state)
        for name, scaling in self.scaling.items():
            assert isinstance(scaling, InputScaling)
            scaling.update(observations[name])

    @torch.no_grad()
    def update_value_normaliser(self, returns: Tensor, counted: Tensor) -> None:
        """Moves mean and spread towards new returns [..., value] and rescales the outputs so that values stay."""
        mean_old, std_old = self.value_normaliser.mean.clone(), self.value_normaliser.std.clone()
        for column in range(len(mean_old)):
            mine = self.columns == column
            self.value_normaliser.update(column, returns[..., mine][counted[..., mine]])
        for i, head in enumerate(self.heads.values()):
            assert isinstance(head, StackedPerceptron)
            c = slice(i, i + 1) if self.by_group else slice(None)
            rescale_output(
                head.last.weight[0],
                head.last.bias[0],
                mean_old=mean_old[c],
                std_old=std_old[c],
                mean_new=self.value_normaliser.mean[c],
                std_new=self.value_normaliser.std[c],
            )
