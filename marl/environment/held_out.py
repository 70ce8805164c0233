"""Held-out episodes for policies: who acts in them, their terms, and the judge that a trainer is handed.

All are actors of `control.evaluation.rollout`, which plays the episodes. Those of groups see and answer what any
environment of `marl.protocol` shows and takes; `PolicyByPlant` stands among the controllers of the grid, which see
every plant as a column. The episodes of a seed are the same for all, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.evaluation.rollout import Record, rollout
from control.evaluation.statistics import bootstrap_ci95
from control.task.description import TaskDescription
from marl.environment.hierarchy import COORDINATOR, Hierarchy
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, BatchedEnvironment, Float32Array, Observation
from marl.sampling.episode_statistics import episode_terms

__all__ = [
    "HeldOut",
    "IdleAgents",
    "LayeredByPlant",
    "PolicyByPlant",
    "PolicyInGroups",
    "RandomAgents",
    "summarise",
    "terms_of",
]


class PolicyInGroups:
    """A policy's deterministic actions, by group."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """A policy with a memory forgets what was before."""
        self._policy.reset(envs, seeds)

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, action]}."""
        return self._policy.act(observation.observations)


class PolicyByPlant:
    """A policy in the place of one of the grid's controllers."""

    def __init__(self, policy: Policy, case: Case) -> None:
        self._policy = policy
        self._rows = {kind: case.resource.of_kind(kind) for kind in dict.fromkeys(case.resource.kind)}

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """A policy with a memory forgets what was before."""
        self._policy.reset(envs, seeds)

    def act(self, observation: FloatArray) -> FloatArray:
        """Actions [env, resource] from observations [env, resource, 15, 18 or 22]."""
        seen = {kind: observation[:, rows].astype(np.float32) for kind, rows in self._rows.items()}
        action = np.zeros(observation.shape[:2])
        for kind, own in self._policy.act(seen).items():
            action[:, self._rows[kind]] = own[:, :, 0]
        return action


class LayeredByPlant:
    """A policy of two layers in the place of one of the grid's controllers; it keeps the targets that are held."""

    def __init__(self, policy: Policy, task: TaskDescription, n_env: int) -> None:
        self._policy, self._hierarchy = policy, Hierarchy(task, n_env)
        self._rows = {
            kind: task.case.resource.of_kind(kind) for kind in dict.fromkeys(task.case.resource.kind)
        }

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """No target is held, and coordinators decide at once."""
        self._policy.reset(envs, seeds)
        self._hierarchy.reset(envs)

    def act(self, observation: FloatArray) -> FloatArray:
        """Actions [env, resource] from the observation `areas`, [env, resource, 21]."""
        plants = observation.astype(np.float32)
        fast = self._hierarchy.seen_by_plants(plants)
        seen = {kind: fast[:, rows] for kind, rows in self._rows.items()}
        seen[COORDINATOR] = self._hierarchy.seen_by_coordinators(plants)
        answers = self._policy.act(seen)
        action = np.zeros(observation.shape[:2])
        for kind, rows in self._rows.items():
            action[:, rows] = answers[kind][:, :, 0]
        return self._hierarchy.act(plants, action, answers[COORDINATOR].astype(np.float64))


class IdleAgents:
    """Agents that never move their set-points."""

    def __init__(self, groups: tuple[AgentGroup, ...], n_env: int) -> None:
        self._still = {g.name: np.zeros((n_env, g.n_agent, g.action_size), dtype=np.float32) for g in groups}

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, action]}."""
        return self._still


class RandomAgents:
    """Agents that act uniformly in [-1, 1], from one generator that runs on over all episodes."""

    def __init__(self, groups: tuple[AgentGroup, ...], n_env: int, seed: int | Sequence[int] = 0) -> None:
        """Args: seed: not an episode's own, whose stream has drawn the episode; (seed, 1) is a stream beside it."""
        self._groups, self._n_env = groups, n_env
        self._rng = np.random.default_rng(seed)

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """The generator is not the episodes'."""

    def act(self, observation: Observation | None = None) -> Mapping[str, Float32Array]:
        """{group: [env, agent, action]}."""
        return {
            g.name: self._rng.uniform(-1.0, 1.0, (self._n_env, g.n_agent, g.action_size)).astype(np.float32)
            for g in self._groups
        }


class HeldOut:
    """Judges policies by whole episodes; fit to be sent to another process before the first judgement."""

    def __init__(self, make: Callable[[], BatchedEnvironment]) -> None:
        """Args: make: builds the environment of the episodes when first needed."""
        self._make = make
        self._environment: BatchedEnvironment | None = None

    def __call__(self, policy: Policy, seeds: IntArray) -> dict[str, FloatArray]:
        """Each term of the episodes of these seeds as [episode], `return` among them, in the seeds' order."""
        if self._environment is None:
            self._environment = self._make()
        return terms_of(rollout(PolicyInGroups(policy), self._environment, seeds))


def terms_of(record: Record) -> dict[str, FloatArray]:
    """Every term of each episode, {term: [episode]}."""
    return episode_terms(record.reward, record.terms, record.n_played)


def summarise(episodes: Mapping[str, FloatArray]) -> dict[str, float | list[float]]:
    """What a table says of a set of episodes; the means are over episodes.

    Returns:
        `return_mean`, `return_ci95`, `rms_mhz`, `share_within_36mhz`, `share_within_200mhz`,
        `violations_per_episode` (kinds of limit times intervals), `cost_mean` (movement and effort), `episodes`.
    """
    rms_mhz = float(np.sqrt(np.mean(np.square(episodes["rms_df_mhz"]))))
    return {
        "return_mean": float(episodes["return"].mean()),
        "return_ci95": list(bootstrap_ci95(episodes["return"])),
        "rms_mhz": rms_mhz,
        "share_within_36mhz": float(episodes["within_36_mhz"].mean()),
        "share_within_200mhz": float(episodes["within_200_mhz"].mean()),
        "violations_per_episode": float(episodes["violations"].mean()),
        "cost_mean": -float((episodes["reward_movement"] + episodes["reward_effort"]).mean()),
        "episodes": len(episodes["return"]),
    }
