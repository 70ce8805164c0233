"""A part of the environments that plays whole rollouts by itself, and how parts become the rollout of all.

A `RolloutPart` holds some of the environments and the policy, wherever it stands; this file knows of no machine. Asked
for a rollout it steps to its end and hands over arrays [step, env, ...] in as few numbers as say everything: what is
seen before each step and after the last one, last observations only where an episode ended. From its state after that
anyone else can go on. It may be asked for a rollout in pieces, so that the learner takes in one while the next is
played. Parts are joined in the order of their environments, so that the learner takes in the same steps as if all had
been played beside it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from marl.algorithms.algorithm import NonFiniteActions
from marl.networks.behaviour import Behaviour, BehaviourPolicy
from marl.protocol import (
    AgentGroup,
    BoolArray,
    Float32Array,
    FloatArray,
    IntArray,
    Observation,
    Transition,
    draw_from,
)
from marl.sampling.sampler import MakeEnvironment
from marl.storage.storage import Decision

__all__ = ["PlayedRollout", "RolloutPart", "joined", "joined_observations", "observation_of"]


@dataclass(frozen=True, kw_only=True)
class PlayedRollout:
    """A rollout of some environments, or of all, or a piece of it."""

    observations: Mapping[str, Float32Array]  # group -> [step + 1, env, agent, observation]
    critic_state: Float32Array  # [step + 1, env, state]
    in_service: (
        Mapping[str, BoolArray] | None
    )  # group -> [step + 1, env, agent]; None where everybody always was
    actions: Mapping[str, Float32Array]  # as drawn, group -> [step, env, agent, action]
    log_probs: Float32Array  # [step, env, agent]
    reward: FloatArray  # [step, env] or [step, env, agent]
    terminated: BoolArray  # [step, env]
    truncated: BoolArray  # [step, env]
    terms: Mapping[str, FloatArray]  # name -> [step, env]
    # Of episodes that ended, in the order of steps and then environments.
    ended_step: IntArray  # [end]
    ended_env: IntArray  # [end]
    final_observations: Mapping[str, Float32Array]  # group -> [end, agent, observation]
    final_state: Float32Array  # [end, state]
    final_in_service: Mapping[str, BoolArray] | None  # group -> [end, agent]

    @property
    def n_step(self) -> int:
        """Steps of each environment."""
        return len(self.log_probs)

    def seen(self, step: int) -> Observation:
        """What stood before this step; of the number of steps, what stands after the last."""
        service = self.in_service
        return Observation(
            observations={name: x[step] for name, x in self.observations.items()},
            state=self.critic_state[step],
            in_service=None if service is None else {name: x[step] for name, x in service.items()},
        )

    def decision(self, step: int) -> Decision:
        """What was done at this step."""
        return Decision(
            observation=self.seen(step),
            actions={name: torch.from_numpy(x[step]) for name, x in self.actions.items()},
            log_probs=torch.from_numpy(self.log_probs[step]),
        )

    def transition(self, step: int) -> Transition:
        """What it led to."""
        observation = self.seen(step + 1)
        final, ends = observation, np.flatnonzero(self.ended_step == step)
        if len(ends):
            envs = self.ended_env[ends]
            final = Observation(
                observations={
                    name: _with_rows(x, envs, self.final_observations[name][ends])
                    for name, x in observation.observations.items()
                },
                state=_with_rows(observation.state, envs, self.final_state[ends]),
                in_service=None
                if observation.in_service is None or self.final_in_service is None
                else {
                    name: _with_rows(x, envs, self.final_in_service[name][ends])
                    for name, x in observation.in_service.items()
                },
            )
        return Transition(
            observation=observation,
            final_observation=final,
            reward=self.reward[step],
            terminated=self.terminated[step],
            truncated=self.truncated[step],
            terms={name: x[step] for name, x in self.terms.items()},
        )


def _with_rows(x: Any, rows: IntArray, values: Any) -> Any:
    changed = x.copy()
    changed[rows] = values
    return changed


class RolloutPart:
    """Some of the environments, and the policy that plays them."""

    def __init__(self, make: MakeEnvironment, n_env: int) -> None:
        """Builds the environments."""
        self.environment = make(n_env)
        self.n_env = n_env
        self._policy: BehaviourPolicy | None = None
        self._seen: Observation | None = None

    def describe(self) -> tuple[tuple[AgentGroup, ...], int, bool]:
        """Groups of agents, numbers that the critic sees, and whether rewards are the agents' own."""
        own = bool(getattr(self.environment, "per_agent_rewards", False))
        return self.environment.groups, self.environment.state_size, own

    def prepare(self, behaviour: Behaviour) -> None:
        """Builds the policy."""
        self._policy = BehaviourPolicy(behaviour)

    def reset(self, seeds: IntArray | None) -> dict[str, Any]:
        """Starts new episodes; the state after that."""
        self._seen = self.environment.reset(seeds)
        return self.get_state()

    def draw_from(self, scenario: str) -> dict[str, Any] | None:
        """New episodes are drawn from this scenario; the state after that, None before the first reset."""
        draw_from(self.environment, scenario)
        return None if self._seen is None else self.get_state()

    def get_state(self) -> dict[str, Any]:
        """The environments', and what they show."""
        seen = self._seen
        assert seen is not None  # after a reset
        return {
            "environment": self.environment.get_state(),
            "seen": {
                "observations": dict(seen.observations),
                "state": seen.state,
                "in_service": None if seen.in_service is None else dict(seen.in_service),
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from `get_state`, of this part or another of as many environments."""
        state = copy.deepcopy(state)  # what has come from elsewhere may be read-only
        self.environment.set_state(state["environment"])
        self._seen = observation_of(state)

    def collect(self, weights: Mapping[str, Any] | None, noise: Float32Array) -> PlayedRollout:
        """Plays a rollout, or a piece of one.

        Args:
            weights: of the policy; None goes on with those of the piece before.
            noise: of these environments, [step, env, component].

        Raises:
            NonFiniteActions: the policy's actions are no longer numbers.
            Exception: whatever the environments raise.
        """
        policy, observation = self._policy, self._seen
        assert policy is not None  # prepared
        assert observation is not None  # reset
        if weights is not None:
            policy.take(weights)
        seen, actions, log_probs, transitions = [observation], [], [], []
        # What is large is written down as it comes, while the processor has it at hand.
        rows = {
            name: np.empty((len(noise) + 1, *x.shape), x.dtype) for name, x in _large(observation).items()
        }
        for step, step_noise in enumerate(noise):
            for name, x in _large(observation).items():
                rows[name][step] = x
            drawn, log_prob = policy.act(observation.observations, step_noise)
            if not np.isfinite(log_prob).all():
                raise NonFiniteActions("the policy's actions are no longer finite")
            transition = self.environment.step(policy.handed_over(drawn))
            observation = transition.observation
            seen.append(observation)
            actions.append(drawn)
            log_probs.append(log_prob)
            transitions.append(transition)
        for name, x in _large(observation).items():
            rows[name][-1] = x
        self._seen = observation
        return _stacked(rows, seen, actions, log_probs, transitions)

    def close(self) -> None:
        """Lets go of the environments."""
        with contextlib.suppress(Exception):  # a process that ends in any case
            self.environment.close()


def observation_of(state: Mapping[str, Any]) -> Observation:
    """What the environments show in a state that `RolloutPart.get_state` returned."""
    return Observation(**state["seen"])


def _services(seen: Sequence[Observation], groups: Sequence[str]) -> list[Mapping[str, BoolArray]] | None:
    """Who is in service in each; None where it is everybody in all of them."""
    if all(one.in_service is None for one in seen):
        return None
    return [
        {name: np.ones(one.observations[name].shape[:2], dtype=np.bool_) for name in groups}
        if one.in_service is None
        else one.in_service
        for one in seen
    ]


def _large(seen: Observation) -> dict[str, Float32Array]:
    """What agents see by their groups' names, and what the critic sees, by none."""
    return {**seen.observations, "": seen.state}


def _stacked(
    rows: Mapping[str, Float32Array],
    seen: Sequence[Observation],
    actions: Sequence[Mapping[str, Float32Array]],
    log_probs: Sequence[Float32Array],
    transitions: Sequence[Transition],
) -> PlayedRollout:
    """One array of each kind from those of the steps; rows are what all of them saw, as `_large` names it.

    Raises:
        ValueError: steps name different terms.
    """
    groups, n_env = list(seen[0].observations), len(log_probs[0])
    names = tuple(transitions[0].terms)
    for transition in transitions:
        if tuple(transition.terms) != names:
            raise ValueError(
                f"a step has other terms than the one before: {tuple(transition.terms)}, {names}"
            )
    services = _services(seen, groups)
    finals = [t.final_observation for t in transitions]
    final_services = _services(finals, groups)
    if (services is None) != (final_services is None):
        everybody = [{g: np.ones(x.observations[g].shape[:2], dtype=np.bool_) for g in groups} for x in seen]
        services = services or everybody  # type: ignore[assignment]
        final_services = final_services or everybody[1:]  # type: ignore[assignment]
    terminated = np.stack([np.asarray(t.terminated) for t in transitions])
    truncated = np.stack([np.asarray(t.truncated) for t in transitions])
    ended_step, ended_env = np.nonzero(terminated | truncated)
    ends = list(zip(ended_step.tolist(), ended_env.tolist(), strict=True))

    def of_ends(pick: Any, like: Any) -> Any:
        return (
            np.stack([pick(t)[env] for t, env in ends])
            if ends
            else np.empty((0, *like.shape[1:]), like.dtype)
        )

    return PlayedRollout(
        observations={g: rows[g] for g in groups},
        critic_state=rows[""],
        in_service=None if services is None else {g: np.stack([x[g] for x in services]) for g in groups},
        actions={g: np.stack([x[g] for x in actions]) for g in groups},
        log_probs=np.stack(log_probs),
        reward=np.stack([np.asarray(t.reward, dtype=np.float64) for t in transitions]),
        terminated=terminated,
        truncated=truncated,
        terms={name: _of_envs([t.terms[name] for t in transitions], n_env) for name in names},
        ended_step=ended_step.astype(np.int64),
        ended_env=ended_env.astype(np.int64),
        final_observations={
            g: of_ends(lambda t, g=g: finals[t].observations[g], seen[0].observations[g]) for g in groups
        },
        final_state=of_ends(lambda t: finals[t].state, seen[0].state),
        final_in_service=None
        if services is None or final_services is None
        else {g: of_ends(lambda t, g=g: final_services[t][g], services[0][g]) for g in groups},
    )


def _of_envs(values: Sequence[Any], n_env: int) -> FloatArray:
    """A number of each step and environment, [step, env], where steps may have one for all of their environments."""
    rows = np.empty((len(values), n_env))
    for row, value in zip(rows, values, strict=True):
        row[:] = value
    return rows


def joined_observations(parts: Sequence[Observation]) -> Observation:
    """One observation of all environments from those of the parts."""
    groups = list(parts[0].observations)
    services = _services(parts, groups)
    return Observation(
        observations={g: np.concatenate([p.observations[g] for p in parts]) for g in groups},
        state=np.concatenate([p.state for p in parts]),
        in_service=None
        if services is None
        else {g: np.concatenate([s[g] for s in services]) for g in groups},
    )


def joined(parts: Sequence[PlayedRollout]) -> PlayedRollout:
    """The rollout of all environments, from those of the parts in the order of their environments.

    Raises:
        ValueError: parts name different terms.
    """
    first = parts[0]
    for part in parts:
        if tuple(part.terms) != tuple(first.terms):
            raise ValueError(f"samplers name different terms: {tuple(first.terms)}, {tuple(part.terms)}")
    starts = np.cumsum([0, *(p.log_probs.shape[1] for p in parts)])
    step = np.concatenate([p.ended_step for p in parts])
    env = np.concatenate([p.ended_env + start for p, start in zip(parts, starts, strict=False)])
    order = np.lexsort((env, step))

    def beside(pick: Any) -> Any:
        return np.concatenate([pick(p) for p in parts], axis=1)

    def ends(pick: Any) -> Any:
        return np.concatenate([pick(p) for p in parts])[order]

    in_service = final_in_service = None
    if any(p.in_service is not None for p in parts):
        in_service = {g: beside(lambda p, g=g: _service_of(p, g)) for g in first.observations}
        final_in_service = {g: ends(lambda p, g=g: _final_service_of(p, g)) for g in first.observations}
    return PlayedRollout(
        observations={g: beside(lambda p, g=g: p.observations[g]) for g in first.observations},
        critic_state=beside(lambda p: p.critic_state),
        in_service=in_service,
        actions={g: beside(lambda p, g=g: p.actions[g]) for g in first.actions},
        log_probs=beside(lambda p: p.log_probs),
        reward=beside(lambda p: p.reward),
        terminated=beside(lambda p: p.terminated),
        truncated=beside(lambda p: p.truncated),
        terms={name: beside(lambda p, name=name: p.terms[name]) for name in first.terms},
        ended_step=step[order],
        ended_env=env[order],
        final_observations={g: ends(lambda p, g=g: p.final_observations[g]) for g in first.observations},
        final_state=ends(lambda p: p.final_state),
        final_in_service=final_in_service,
    )


def _service_of(part: PlayedRollout, group: str) -> BoolArray:
    if part.in_service is not None:
        return part.in_service[group]
    return np.ones(part.observations[group].shape[:3], dtype=np.bool_)


def _final_service_of(part: PlayedRollout, group: str) -> BoolArray:
    if part.final_in_service is not None:
        return part.final_in_service[group]
    return np.ones(part.final_observations[group].shape[:2], dtype=np.bool_)
