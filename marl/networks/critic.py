"""The critic: values of states, for the team or for each agent."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marl.config.training import NetworkConfig
from marl.networks.actor import input_scaling
from marl.networks.normalization import InputScaling, PopArt, rescale_output
from marl.networks.stacked import StackedPerceptron
from marl.protocol import AgentGroup


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
