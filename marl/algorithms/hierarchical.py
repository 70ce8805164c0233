"""MAPPO with a slow layer: agents whose actions are held learn on their own time scale, beside those who act at once.

    R. Sutton, D. Precup, S. Singh, Between MDPs and semi-MDPs: a framework for temporal abstraction in reinforcement
    learning, Artificial Intelligence 112, 1999, sec. 3: a held action is an option, and its step a semi-Markov one.
    S. Bradtke, M. Duff, Reinforcement learning methods for continuous-time Markov decision problems, NeurIPS 1994.

Groups with `held_steps` k > 1 are the slow layer; they are in service in the steps in which they decide. Of the n-th
decision, at step t with the next one at t + k,

    R_n     = r_t + gamma r_{t+1} + ... + gamma^(k-1) r_{t+k-1}
    Delta_n = R_n + gamma^k V(s_{t+k}) - V(s_t)
    A_n     = Delta_n + gamma^k lambda A_{n+1}

with a discount of the slow layer's own, `slow_gamma`: its decisions tell later than those of the fast. An interval that
an episode's end cuts short is as long as it was. All of it is the estimator of `advantage.py` with lambda where a new
decision is taken and 1 in between, because the discounted sum of delta telescopes within an interval; so environments
may decide at different steps, and a rollout may end anywhere.

The critic has two values of each state, of the discounts of both layers; it must see in the state what is held and for
how long still. Everything else is MAPPO: the layers learn at once from the same rollout, each with its own actors.
Where no action is held, it is MAPPO to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from marl.algorithms.mappo import MAPPO
from marl.algorithms.reward_shaping import RewardShaping, normalized
from marl.config.check import require

FAST, SLOW = range(2)  # columns of values


@dataclass(frozen=True, kw_only=True)
class LayeredShaping(RewardShaping):
    """One value for each layer, and for each agent the advantages of its own."""

    layer: tuple[int, ...]  # of each agent, FAST or SLOW

    def counted(self, in_service: Tensor) -> Tensor:
        """Both values count at every step, boolean [step, env, value]."""
        return torch.ones(*in_service.shape[:2], self.n_value, dtype=torch.bool, device=in_service.device)

    def discount(self, device: torch.device) -> Tensor:
        """Gamma per step of both layers, [value]."""
        return torch.tensor([self.config.gamma, self.config.slow_gamma], device=device)

    def decides(self, in_service: Tensor) -> Tensor:
        """Whether the slow layer decides at a step, boolean [step, env]."""
        slow = torch.tensor(self.layer, device=in_service.device) == SLOW
        return in_service[..., slow].any(dim=-1)

    def trace(self, in_service: Tensor) -> Tensor:
        """Lambda at the end of every step of the fast layer, and of every held interval of the slow; else 1.

        After a rollout's last step nothing is carried on, whatever stands there.
        """
        decides = self.decides(in_service)
        lamda = torch.full((*decides.shape, 2), self.config.gae_lambda, device=in_service.device)
        lamda[:-1, :, SLOW] = torch.where(decides[1:], self.config.gae_lambda, 1.0)
        return lamda

    def acted_on(self, in_service: Tensor) -> Tensor:
        """The fast layer acts at every step, the slow one where it decides."""
        decides = self.decides(in_service)
        return torch.stack([torch.ones_like(decides), decides], dim=-1)

    def of_agents(self, advantages: Tensor, counted: Tensor) -> Tensor:
        """Advantages [step, env, value] to those of each agent's layer, [step, env, agent]."""
        if self.config.normalize_advantages:
            advantages = normalized(advantages, counted)
        return advantages[..., list(self.layer)]


class HierarchicalMAPPO(MAPPO):
    """MAPPO on two time scales."""

    name: ClassVar[str] = "hierarchical"

    def _shaping_of(self, *, per_agent_rewards: bool) -> RewardShaping:
        """Values of two layers; as MAPPO has them where no agent's action is held.

        Raises:
            ConfigError: slow agents hold for different times, or values are not the team's.
        """
        held = {g.held_steps for g in self.groups if g.held_steps > 1}
        if not held:
            return super()._shaping_of(per_agent_rewards=per_agent_rewards)
        require(len(held) == 1, f"one slow layer is learned, found actions held for {sorted(held)} steps")
        require(
            not per_agent_rewards and self.config.network.critic == "central",
            f"layers share a central critic of the team's reward, but critic = {self.config.network.critic!r}"
            + (" and rewards are the agents' own" if per_agent_rewards else ""),
        )
        layer = tuple(SLOW if g.held_steps > 1 else FAST for g in self.groups for _ in g.agents)
        return LayeredShaping(config=self.config.ppo, n_agent=self.n_agent, n_value=2, layer=layer)
