"""Rollout storage [step, env, agent, ...], the batch it becomes, and the batch's minibatches.

Everything is allocated once. The true last observation of a truncated episode is kept beside the rollout:
it is the only observation that is not the start of a next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marl.protocol import AgentGroup, BoolArray, Observed


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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples to learn from; the leading axis is [sample], one for each step of each environment."""

    actor_inputs: Mapping[str, Tensor]  # head -> [sample, agent, input]
    critic_inputs: Mapping[str, Tensor]  # head -> [sample, ...]
    actions: Mapping[str, Tensor]  # head -> [sample, agent, action]
    log_probs: Mapping[str, Tensor]  # head -> [sample, agent], under the policy that acted
    weights: Mapping[str, Tensor]  # head -> [sample, agent], 1 or 0 where an agent was out of service
    advantages: Mapping[str, Tensor]  # head -> [sample, agent], normalised
    returns: Tensor  # the critic's targets in its own units, [sample, value]
    values: Tensor  # its estimates when the rollout ended, in its own units, [sample, value]
    value_weights: Tensor  # [sample, value]

    @property
    def n_sample(self) -> int:
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


def minibatches(batch: Batch, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """One pass over the batch in random order: every sample comes exactly once."""
    order = torch.randperm(batch.n_sample, generator=generator).to(batch.returns.device)
    for start in range(0, batch.n_sample, size):
        yield batch.select(order[start : start + size])


class RolloutBuffer:
    """Filled one step of all environments at a time, emptied by `rollout`."""

    def __init__(
        self, groups: tuple[AgentGroup, ...], *, n_step: int, n_env: int, state_size: int, n_value: int
    ) -> None:
        self.groups = groups
        self.n_step = n_step
        n_agent = sum(g.n_agent for g in groups)
        self.observations = {
            g.name: torch.zeros(n_step + 1, n_env, g.n_agent, g.observation_size) for g in groups
        }
        self.actions = {g.name: torch.zeros(n_step, n_env, g.n_agent, g.action_size) for g in groups}
        self.state = torch.zeros(n_step + 1, n_env, state_size)
        self.log_probs = torch.zeros(n_step, n_env, n_agent)
        self.in_service = torch.ones(n_step, n_env, n_agent, dtype=torch.bool)
        self.rewards = torch.zeros(n_step, n_env, n_value)
        self.terminated = torch.zeros(n_step, n_env, dtype=torch.bool)
        self.truncated = torch.zeros(n_step, n_env, dtype=torch.bool)
        self._finals: list[tuple[int, int, dict[str, Tensor], Tensor]] = []
        self.position = 0

    def _put_observed(self, t: int, observed: Observed) -> None:
        for g in self.groups:
            self.observations[g.name][t].copy_(torch.from_numpy(observed.observations[g.name]))
        self.state[t].copy_(torch.from_numpy(observed.state))

    def add(
        self,
        observation: Observed,
        *,
        actions: Mapping[str, Tensor],
        log_probs: Tensor,
        rewards: npt.NDArray[np.floating],
        terminated: BoolArray,
        truncated: BoolArray,
        final_observation: Observed,
    ) -> None:
        """Stores what was seen, done and received in one step.

        Args:
            observation: what the action was chosen on.
            actions: unclipped, group -> [env, agent, action].
            log_probs: of these actions, [env, agent].
            rewards: shape [env, value].
            terminated, truncated: shape [env]; a step that is both counts as terminated.
            final_observation: true last observations of the step; read only where an episode was truncated.
        """
        t = self.position
        if t == self.n_step:
            raise RuntimeError(
                f"the buffer's {self.n_step} steps are full: take the rollout before adding more"
            )
        self._put_observed(t, observation)
        for name, value in actions.items():
            self.actions[name][t].copy_(value)
        self.log_probs[t].copy_(log_probs)
        if observation.in_service is None:
            self.in_service[t].fill_(True)
        else:
            mask = np.concatenate([observation.in_service[g.name] for g in self.groups], axis=1)
            self.in_service[t].copy_(torch.from_numpy(mask))
        self.rewards[t].copy_(torch.from_numpy(rewards))
        self.terminated[t].copy_(torch.from_numpy(terminated))
        only_truncated = truncated & ~terminated
        self.truncated[t].copy_(torch.from_numpy(only_truncated))
        for env in np.flatnonzero(only_truncated):
            observations = {
                g.name: torch.from_numpy(np.array(final_observation.observations[g.name][env]))
                for g in self.groups
            }
            self._finals.append(
                (t, int(env), observations, torch.from_numpy(np.array(final_observation.state[env])))
            )
        self.position += 1

    def rollout(self, last: Observed, device: torch.device) -> Rollout:
        """The full buffer, closed by the observation that follows it; the buffer starts anew."""
        if self.position != self.n_step:
            raise RuntimeError(
                f"the buffer holds {self.position} of {self.n_step} steps: it is not a rollout yet"
            )
        self._put_observed(self.n_step, last)
        finals, self._finals, self.position = self._finals, [], 0
        return Rollout(
            observations={name: x.to(device) for name, x in self.observations.items()},
            state=self.state.to(device),
            actions={name: x.to(device) for name, x in self.actions.items()},
            log_probs=self.log_probs.to(device),
            in_service=self.in_service.to(device),
            rewards=self.rewards.to(device),
            terminated=self.terminated.to(device),
            truncated=self.truncated.to(device),
            truncated_step=torch.tensor([t for t, _, _, _ in finals], dtype=torch.long, device=device),
            truncated_env=torch.tensor([e for _, e, _, _ in finals], dtype=torch.long, device=device),
            final_observations={
                g.name: torch.stack([o[g.name] for _, _, o, _ in finals]).to(device)
                if finals
                else torch.zeros(0, g.n_agent, g.observation_size, device=device)
                for g in self.groups
            },
            final_state=torch.stack([s for _, _, _, s in finals]).to(device)
            if finals
            else torch.zeros(0, self.state.shape[-1], device=device),
        )
