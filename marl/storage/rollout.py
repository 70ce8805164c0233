"""Rollout storage [step, env, agent, ...], the batch it becomes, and the batch's minibatches.

Everything is allocated once. The true last observation of a truncated episode is kept beside the rollout:
it is the only observation that is not the start of a next step. Where the policy has a memory, what it held at every
step is kept as well, so that sequences can be run again from any step on; `continues` is their mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marl.protocol import AgentGroup, Observation, Transition
from marl.storage.sequences import SequenceLayout, Unroll
from marl.storage.storage import Decision, Storage


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What was gathered since the last update, on the learner's device."""

    observations: Mapping[str, Tensor]  # group -> [step + 1, env, agent, observation]
    state: Tensor  # [step + 1, env, state]
    actions: Mapping[str, Tensor]  # group -> [step, env, agent, action]
    log_probs: Tensor  # [step, env, agent]
    in_service: Tensor  # [step, env, agent]
    rewards: Tensor  # [step, env, value]
    terminated: Tensor  # [step, env]
    truncated: Tensor  # [step, env]
    # Truncations: where they happened, and the true last observations there.
    truncated_step: Tensor  # [truncation]
    truncated_env: Tensor  # [truncation]
    final_observations: Mapping[str, Tensor]  # group -> [truncation, agent, observation]
    final_state: Tensor  # [truncation, state]
    # What a recurrent policy remembered before each step, group -> [step, env, agent, hidden]; empty without a memory.
    hidden: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def continues(self) -> Tensor:
        """Whether a step goes on with the episode of the step before it, [step, env]: the mask of sequences.

        Where it does not, a memory begins anew. The first step has none before it in the rollout; what was remembered
        there stands in `hidden`.
        """
        ended = self.terminated | self.truncated
        return torch.cat([torch.ones_like(ended[:1]), ~ended[:-1]])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples to learn from; the leading axis is [sample], one for each step of each environment."""

    actor_inputs: Mapping[str, Tensor]  # head -> [sample, agent, input]
    critic_inputs: Mapping[str, Tensor]  # head -> [sample, ...]
    actions: Mapping[str, Tensor]  # head -> [sample, agent, action]
    log_probs: Mapping[str, Tensor]  # head -> [sample, agent], under the policy that acted
    weights: Mapping[str, Tensor]  # head -> [sample, agent], 1 or 0 where an agent was out of service
    advantages: Mapping[str, Tensor]  # head -> [sample, agent], normalised
    returns: Tensor  # the critic's targets, normalised where it learns so, [sample, value]
    values: Tensor  # its estimates when the rollout ended, on the same scale, [sample, value]
    value_weights: Tensor  # [sample, value]
    # Where networks remember, what they did before each sample, head -> [sample, ..., hidden], and whether a sample
    # goes on with the episode of the one before it in time, [sample].
    hidden: Mapping[str, Tensor] = field(default_factory=dict)
    critic_hidden: Mapping[str, Tensor] = field(default_factory=dict)
    continues: Tensor | None = None
    # Of samples that are sequences: inputs of heads in here are [step, sequence, ...] and begin with the burn-in.
    unrolls: Mapping[str, Unroll] = field(default_factory=dict)
    critic_unrolls: Mapping[str, Unroll] = field(default_factory=dict)

    @property
    def n_sample(self) -> int:
        """Samples, one for each step of each environment."""
        return self.returns.shape[0]

    def select(self, index: Tensor) -> Batch:
        """The samples at these positions."""

        def pick(x: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.index_select(0, index) for name, value in x.items()}

        return Batch(
            actor_inputs=pick(self.actor_inputs),
            critic_inputs=pick(self.critic_inputs),
            actions=pick(self.actions),
            log_probs=pick(self.log_probs),
            weights=pick(self.weights),
            advantages=pick(self.advantages),
            returns=self.returns.index_select(0, index),
            values=self.values.index_select(0, index),
            value_weights=self.value_weights.index_select(0, index),
        )

    def sequences(self, index: Tensor, layout: SequenceLayout) -> Batch:
        """The samples of these sequences, step by step, with inputs to run them again from before their beginning.

        A burn-in that would reach back beyond the rollout waits at its beginning with what was remembered then.
        """
        assert self.continues is not None
        steps = layout.steps(index)
        positions = steps.clamp(min=0) * layout.n_env + index % layout.n_env  # [step, sequence]
        restart = (steps <= 0) | (steps == steps[0])
        continues = self.continues[positions]
        learned = layout.learned(index)

        def unrolls(hidden: Mapping[str, Tensor]) -> dict[str, Unroll]:
            return {
                head: Unroll(
                    hidden=known[positions[0]], restart=restart, continues=continues, burn_in=layout.burn_in
                )
                for head, known in hidden.items()
            }

        def inputs(x: Mapping[str, Tensor], hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {head: value[positions if head in hidden else learned] for head, value in x.items()}

        return replace(
            self.select(learned),
            actor_inputs=inputs(self.actor_inputs, self.hidden),
            critic_inputs=inputs(self.critic_inputs, self.critic_hidden),
            unrolls=unrolls(self.hidden),
            critic_unrolls=unrolls(self.critic_hidden),
        )


def minibatches(n_sample: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """One pass over samples in random order, by their positions: every sample comes exactly once."""
    order = torch.randperm(n_sample, generator=generator)
    for start in range(0, n_sample, size):
        yield order[start : start + size]


@dataclass(frozen=True, kw_only=True)
class _Final:
    """The true last observation of an episode that was truncated."""

    step: int
    env: int
    observations: Mapping[str, Tensor]  # group -> [agent, observation]
    state: Tensor  # [state]


class RolloutBuffer(Storage):
    """Filled one step of all environments at a time, given out as a whole, then cleared."""

    def __init__(
        self,
        groups: tuple[AgentGroup, ...],
        *,
        n_step: int,
        n_env: int,
        state_size: int,
        n_value: int,
        hidden_sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Allocates everything.

        Args:
            groups: of agents.
            n_step: steps of each environment in a rollout.
            n_env: environments.
            state_size: of the critic's view.
            n_value: values of the critic.
            hidden_sizes: numbers that each agent of a group remembers; groups without a memory are not in it.
        """
        self.groups = groups
        self.n_step = n_step
        n_agent = sum(g.n_agent for g in groups)
        self.observations = {
            g.name: torch.zeros(n_step + 1, n_env, g.n_agent, g.observation_size) for g in groups
        }
        self.actions = {g.name: torch.zeros(n_step, n_env, g.n_agent, g.action_size) for g in groups}
        self.hidden = {
            g.name: torch.zeros(n_step, n_env, g.n_agent, hidden_sizes[g.name])
            for g in groups
            if hidden_sizes is not None and g.name in hidden_sizes
        }
        self.critic_state = torch.zeros(n_step + 1, n_env, state_size)
        self.log_probs = torch.zeros(n_step, n_env, n_agent)
        self.in_service = torch.ones(n_step, n_env, n_agent, dtype=torch.bool)
        self.rewards = torch.zeros(n_step, n_env, n_value)
        self.terminated = torch.zeros(n_step, n_env, dtype=torch.bool)
        self.truncated = torch.zeros(n_step, n_env, dtype=torch.bool)
        self._finals: list[_Final] = []
        self.position = 0

    @property
    def is_ready(self) -> bool:
        """Whether the buffer is full."""
        return self.position == self.n_step

    def _put_observation(self, t: int, observation: Observation) -> None:
        for g in self.groups:
            self.observations[g.name][t].copy_(torch.from_numpy(observation.observations[g.name]))
        self.critic_state[t].copy_(torch.from_numpy(observation.state))

    def add(self, decision: Decision, rewards: npt.NDArray[np.float32], transition: Transition) -> None:
        """Keeps what was seen, done and received in one step; a step that both terminated and truncated terminated.

        Args:
            decision: what was seen and done.
            rewards: as they are learned from, shape [env, value].
            transition: what it led to; its last observations are read only where an episode was truncated.

        Raises:
            RuntimeError: the buffer is full.
        """
        t = self.position
        if t == self.n_step:
            raise RuntimeError(
                f"the buffer's {self.n_step} steps are full: take the rollout and clear it before adding more"
            )
        observation = decision.observation
        self._put_observation(t, observation)
        for name, value in decision.actions.items():
            self.actions[name][t].copy_(value)
        for name, value in decision.hidden.items():
            self.hidden[name][t].copy_(value)
        self.log_probs[t].copy_(decision.log_probs)
        if observation.in_service is None:
            self.in_service[t].fill_(True)
        else:
            mask = np.concatenate([observation.in_service[g.name] for g in self.groups], axis=1)
            self.in_service[t].copy_(torch.from_numpy(mask))
        self.rewards[t].copy_(torch.from_numpy(rewards))
        terminated = np.asarray(transition.terminated)
        self.terminated[t].copy_(torch.from_numpy(terminated))
        only_truncated = np.asarray(transition.truncated) & ~terminated
        self.truncated[t].copy_(torch.from_numpy(only_truncated))
        final = transition.final_observation
        for env in np.flatnonzero(only_truncated):
            observations = {
                g.name: torch.from_numpy(np.array(final.observations[g.name][env])) for g in self.groups
            }
            state = torch.from_numpy(np.array(final.state[env]))
            self._finals.append(_Final(step=t, env=int(env), observations=observations, state=state))
        self.position += 1
        if self.is_ready:
            self._put_observation(self.n_step, transition.observation)

    def rollout(self, device: torch.device) -> Rollout:
        """The full buffer; on the CPU it is not copied, so learn from it before it is cleared and filled again.

        Raises:
            RuntimeError: the buffer is not full.
        """
        if not self.is_ready:
            raise RuntimeError(
                f"the buffer holds {self.position} of {self.n_step} steps: it is not a rollout yet"
            )
        finals = self._finals
        return Rollout(
            observations={name: x.to(device) for name, x in self.observations.items()},
            state=self.critic_state.to(device),
            actions={name: x.to(device) for name, x in self.actions.items()},
            log_probs=self.log_probs.to(device),
            in_service=self.in_service.to(device),
            rewards=self.rewards.to(device),
            terminated=self.terminated.to(device),
            truncated=self.truncated.to(device),
            truncated_step=torch.tensor([f.step for f in finals], dtype=torch.long, device=device),
            truncated_env=torch.tensor([f.env for f in finals], dtype=torch.long, device=device),
            final_observations={
                g.name: torch.stack([f.observations[g.name] for f in finals]).to(device)
                if finals
                else torch.zeros(0, g.n_agent, g.observation_size, device=device)
                for g in self.groups
            },
            final_state=torch.stack([f.state for f in finals]).to(device)
            if finals
            else torch.zeros(0, self.critic_state.shape[-1], device=device),
            hidden={name: x.to(device) for name, x in self.hidden.items()},
        )

    def clear(self) -> None:
        """The buffer starts anew."""
        self._finals, self.position = [], 0

    def _arrays(self) -> dict[str, Tensor]:
        """Everything that was allocated, by name."""
        named = {
            name: getattr(self, name)
            for name in ("critic_state", "log_probs", "in_service", "rewards", "terminated", "truncated")
        }
        for what in ("observations", "actions", "hidden"):
            named |= {f"{what} {group}": x for group, x in getattr(self, what).items()}
        return named

    def state(self) -> dict[str, Any]:
        """What was filled in since the buffer was cleared; between two updates that is nothing."""
        if self.position == 0:
            return {"position": 0}
        return {
            "position": self.position,
            "arrays": {name: x.clone() for name, x in self._arrays().items()},
            "finals": [
                {"step": f.step, "env": f.env, "observations": dict(f.observations), "state": f.state}
                for f in self._finals
            ],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.clear()
        self.position = state["position"]
        if self.position > 0:
            for name, x in self._arrays().items():
                x.copy_(state["arrays"][name])
            self._finals = [_Final(**final) for final in state["finals"]]
