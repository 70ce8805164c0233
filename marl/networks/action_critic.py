"""Twin central critics of actions: what the team may expect from here on if all do this.

Each type of agents has two, Q_1 and Q_2, which see the state and what all agents do. The lower of the two is believed,
because a policy that maximises a critic finds its errors upwards (Fujimoto, van Hoof, Meger, Addressing function
approximation error in actor-critic methods, ICML 2018). All of them are one stack of perceptrons.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marl.config.network import NetworkConfig
from marl.networks.actor import input_scaling
from marl.networks.stacked import StackedPerceptron
from marl.protocol import AgentGroup

__all__ = ["TwinCritics"]


class TwinCritics(nn.Module):
    """Normalised action values, for each type two."""

    def __init__(self, groups: tuple[AgentGroup, ...], state_size: int, config: NetworkConfig) -> None:
        super().__init__()
        self.groups = groups
        self.n_network = 2 * len(groups)
        n_action = sum(g.n_agent * g.action_size for g in groups)
        self.scaling = input_scaling(state_size, config)
        self.net = StackedPerceptron(
            self.n_network,
            state_size + n_action,
            config.critic_hidden,
            1,
            last_gain=1.0,
            config=config,
        )

    def joint(
        self, actions: Mapping[str, Tensor], in_service: Mapping[str, Tensor], *, own: bool = False
    ) -> Tensor:
        """What all agents do, as each type's critics see it, [type, row, action]; agents out of service do nothing.

        Args:
            actions: group -> [row, agent, action].
            in_service: group -> [row, agent].
            own: each type's critics are differentiated by that type's own actions alone.
        """
        masked = {
            g.name: (actions[g.name] * in_service[g.name].unsqueeze(-1)).flatten(1) for g in self.groups
        }
        if not own:
            together = torch.cat([masked[g.name] for g in self.groups], dim=1)
            return together.expand(len(self.groups), *together.shape)
        return torch.stack(
            [
                torch.cat([x if name == mine.name else x.detach() for name, x in masked.items()], dim=1)
                for mine in self.groups
            ]
        )

    def forward(self, state: Tensor, joint: Tensor) -> Tensor:
        """Normalised values of raw states [row, state] and joint actions [type, row, action]: [type, 2, row]."""
        scaled = self.scaling.forward(state)
        x = torch.cat([scaled.expand(len(self.groups), *scaled.shape), joint], dim=-1)
        x = x.repeat_interleave(2, dim=0)
        return self.net.forward(x).reshape(len(self.groups), 2, -1)
