"""HAPPO: actors learn one after the other, each from advantages that know how those before it have moved.

    J. G. Kuba, R. Chen, M. Wen, Y. Wen, F. Sun, J. Wang, Y. Yang, Trust region policy optimisation in multi-agent
    reinforcement learning, ICLR 2022 (HAPPO: section 4.2 and algorithm 4).

Actors that step at once each answer what the others did before: together they may overshoot. Here they step in a random
order i_1, ..., i_n that is drawn anew for every update, and actor i_m maximises the clipped surrogate of

    M_1 = A        M_m+1 = M_m pi_new(a_im | o_im) / pi_old(a_im | o_im)

by the epochs of PPO. With the exact trust region of the paper's theorem 2 the joint return cannot fall; clipping stands
in its place, as PPO's does for TRPO's.

Departures from the paper:

* Networks move one after the other: with one actor for each type, agents of a type move together, and the ratio of all
  of them enters the product; with `sharing = "agent"` each moves by itself, as in the paper.
* Everything else is MAPPO's, see `mappo.py`: the critic, which learns by itself after the actors, advantages, value
  normaliser, networks with a memory, and the policy that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from marl.algorithms.adam import Adam
from marl.algorithms.mappo import ADAM_EPS, MAPPO, Schedule
from marl.config.training import TrainingConfig
from marl.networks.actor import GaussianActor, make_actor
from marl.protocol import AgentGroup
from marl.storage.rollout import Batch

FEWEST = 4096  # samples whose probabilities are found at a time


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A network that moves by itself, and whom it serves."""

    name: str
    head: str
    agents: slice  # among the head's

    def samples(self, batch: Batch, factor: Tensor) -> Batch:
        """Its samples, with advantages times the ratio of all who moved before it, [sample]."""

        def own(x: Tensor) -> dict[str, Tensor]:
            return {self.name: x[:, self.agents].contiguous()}

        return replace(
            batch,
            actor_inputs=own(batch.actor_inputs[self.head]),
            actions=own(batch.actions[self.head]),
            log_probs=own(batch.log_probs[self.head]),
            weights=own(batch.weights[self.head]),
            advantages=own(batch.advantages[self.head] * factor.unsqueeze(-1)),
            hidden=own(batch.hidden[self.head]) if self.head in batch.hidden else {},
            critic_inputs={},
        )


class HAPPO(MAPPO):
    """MAPPO whose actors move one after the other."""

    name: ClassVar[str] = "happo"

    def __init__(
        self,
        config: TrainingConfig,
        groups: tuple[AgentGroup, ...],
        state_size: int,
        *,
        per_agent_rewards: bool = False,
        device: torch.device | None = None,
    ) -> None:
        """As MAPPO."""
        super().__init__(config, groups, state_size, per_agent_rewards=per_agent_rewards, device=device)
        self.movers: list[Mover] = []
        for head, actor in list(self.learners.items()):
            if actor.n_network == 1:
                self.movers.append(Mover(name=head, head=head, agents=slice(None)))
                continue
            del self.learners[head]
            (group,) = self.policy.actors.head_groups[head]
            for k in range(actor.n_network):
                mover = Mover(name=f"{head} {k}", head=head, agents=slice(k, k + 1))
                self.movers.append(mover)
                self.learners[mover.name] = self._alone(actor, k, group)
        if len(self.movers) > len(self.policy.actors.heads):
            parameters = [p for learner in self.learners.values() for p in learner.parameters()]
            self.actor_optimizer = Adam(parameters, lr=config.ppo.lr_actor, eps=ADAM_EPS, fused=True)
            self._torch = self._by_torch()

    def _alone(self, stacked: GaussianActor, k: int, group: AgentGroup) -> GaussianActor:
        """Network k of those that are stacked, as one by itself with the same memory: who moves one moves the other."""
        network = replace(self.config.network, fused="off")  # kernels would bring its weights elsewhere
        told = group.messages
        if told is not None:
            told = replace(told, distance=told.distance[k : k + 1])
        with torch.random.fork_rng(devices=[]):
            one = make_actor(1, group.observation_size, group.action_size, network, told).to(self.device)
        for own, of_all in zip(one.parameters(), stacked.parameters(), strict=True):
            own.data = of_all.data[k : k + 1]
        return one

    def _improve(self, batch: Batch, schedule: Schedule) -> dict[str, float]:
        """Moves the actors one after the other, then the critic, and says what was measured."""
        measured: dict[str, list[float]] = {}
        factor = torch.ones(batch.n_sample, device=self.device)
        order = torch.randperm(len(self.movers), generator=self.shuffle).tolist()
        n_agent, kl = sum(weights.shape[1] for weights in batch.weights.values()), 0.0
        for mover in (self.movers[i] for i in order):
            samples = mover.samples(batch, factor)
            found = self._epochs(samples, schedule)
            kl += found.pop("train/kl") * samples.weights[mover.name].shape[1] / n_agent
            for tag, value in found.items():  # of networks that a head has many of, the mean
                measured.setdefault(tag.replace(f"_{mover.name}", f"_{mover.head}"), []).append(value)
            factor = factor * self._ratio(samples, mover.name)
        critic = replace(
            batch, actor_inputs={}, actions={}, log_probs={}, weights={}, advantages={}, hidden={}
        )
        found = self._epochs(critic, schedule)
        means = {tag: sum(values) / len(values) for tag, values in measured.items()}
        return found | means | {"train/kl": kl, "train/factor_std": float(factor.std(unbiased=False))}

    @torch.no_grad()
    def _ratio(self, samples: Batch, name: str) -> Tensor:
        """New to old probability of what the agents of a network did together, [sample]."""
        actor = self.learners[name]
        ratio = torch.ones(samples.n_sample, device=self.device)
        length = self._layout.length
        for index in torch.split(torch.arange(samples.n_sample // length), max(FEWEST // length, 1)):
            part = self._select(samples, index)
            mean = actor.learned_means(part.actor_inputs[name], part.unrolls.get(name))
            change = actor.log_prob(mean, part.actions[name]) - part.log_probs[name]
            ratio[self._layout.learned(index.to(self.device))] = (
                (change * part.weights[name]).sum(dim=1).exp()
            )
        return ratio
