"""The critic: values of states, for the team or for each agent."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marl.config.network import NetworkConfig
from marl.networks.actor import input_scaling
from marl.networks.memory import Memory
from marl.networks.normalization import InputScaling, ValueNormaliser, rescale_output
from marl.networks.plain import PlainNetwork
from marl.networks.recurrent import RecurrentNetwork
from marl.networks.stacked import StackedPerceptron
from marl.protocol import AgentGroup
from marl.storage.rollout import Rollout
from marl.storage.sequences import Unroll


class Critic(nn.Module):
    """Normalised state values, and the value normaliser that gives them their unit.

    "central": one network sees the state and has one output, or one per agent where agents have rewards of
    their own. The others have a network per group, and every agent has a value: "agent" sees the agent's own
    observation and the state, "local" the observation alone (IPPO). With a memory (`critic_memory`) it values states in
    their order, and what it remembered is kept by head.
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
        self.remembers = config.critic_memory
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
    def _head(n_in: int, n_out: int, config: NetworkConfig) -> StackedPerceptron | RecurrentNetwork:
        kind = RecurrentNetwork if config.critic_memory else StackedPerceptron
        return kind(1, n_in, config.critic_hidden, n_out, last_gain=1.0, config=config)

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

    def forward(self, inputs: Mapping[str, Tensor], unrolls: Mapping[str, Unroll] | None = None) -> Tensor:
        """Normalised values of scaled inputs, shape [row, value]; of sequences [step, sequence, ...] with a memory."""
        return self._joined({head: self._run(head, x, unrolls) for head, x in inputs.items()})

    def _joined(self, by_head: Mapping[str, Tensor]) -> Tensor:
        """Outputs of the heads -> [row, value]."""
        if self.by_group:
            return torch.cat([by_head[g.name].squeeze(-1) for g in self.groups], dim=-1)
        return by_head["state"]

    def _run(self, head: str, x: Tensor, unrolls: Mapping[str, Unroll] | None) -> Tensor:
        network = self.heads[head]
        if isinstance(network, RecurrentNetwork):
            assert unrolls is not None
            return network.sequence(x, unrolls[head]).outputs.flatten(0, 1)
        plain = self.plain[head]
        if plain.serves and not torch.is_grad_enabled():
            return plain.outputs(x)
        values: Tensor = network(x)
        return values

    @torch.no_grad()
    def remembered_values(self, rollout: Rollout, memory: Memory) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Values of a rollout's states in their order, by a critic with a memory.

        Args:
            rollout: as it was gathered.
            memory: what was remembered before its first state; it is moved on to that before the last, with which the
                next rollout begins.

        Returns:
            Values of all states [step + 1, env, value] and of the true last ones [truncation, value], in the rewards'
            unit, and what was remembered before each step, {head: [step, env, ..., hidden]}.
        """
        n_step, n_env = rollout.rewards.shape[:2]
        ended = rollout.terminated | rollout.truncated
        continues = torch.cat([rollout.continues, ~ended[-1:]])
        restart = torch.zeros_like(continues)
        restart[0] = True
        inputs = self._flat_inputs(rollout.observations, rollout.state)
        last = self._flat_inputs(rollout.final_observations, rollout.final_state)
        values, finals, hidden = {}, {}, {}
        for head, network in self.heads.items():
            assert isinstance(network, RecurrentNetwork)
            x = inputs[head].reshape(n_step + 1, n_env, *inputs[head].shape[1:])
            start = memory.of(head, (*x.shape[1:-1], network.size), x.device)
            unroll = Unroll(hidden=start, restart=restart, continues=continues, burn_in=0)
            run = network.sequence(x, unroll)
            values[head] = run.outputs
            after = run.after[rollout.truncated_step, rollout.truncated_env]
            finals[head] = network.step(last[head], after)[0]
            hidden[head] = run.before[:-1]
            memory.hidden[head] = run.before[-1]
        return self.denormalize(self._joined(values)), self.denormalize(self._joined(finals)), hidden

    def _flat_inputs(self, observations: Mapping[str, Tensor], state: Tensor) -> dict[str, Tensor]:
        """Raw observations and states with any leading axes -> {head: input}, each [row, ...]."""
        flat = {
            g.name: observations[g.name].reshape(-1, *observations[g.name].shape[-2:]) for g in self.groups
        }
        return self.scale(flat, state.reshape(-1, state.shape[-1]))

    @torch.no_grad()
    def values(self, observations: Mapping[str, Tensor], state: Tensor) -> Tensor:
        """Values of raw observations and states in the unit of the rewards, leading axes kept: [..., value].

        Args:
            observations: group -> [..., agent, observation].
            state: [..., state].
        """
        inputs = self._flat_inputs(observations, state)
        return self.denormalize(self(inputs)).reshape(*state.shape[:-1], self.n_value)

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
            assert isinstance(head, StackedPerceptron | RecurrentNetwork)
            c = slice(i, i + 1) if self.by_group else slice(None)
            rescale_output(
                head.last.weight[0],
                head.last.bias[0],
                mean_old=mean_old[c],
                std_old=std_old[c],
                mean_new=self.value_normaliser.mean[c],
                std_new=self.value_normaliser.std[c],
            )
