"""Toy environments that satisfy the learner's protocol, with optima known by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marl.protocol import AgentGroup, Float32Array, IntArray, Messages, Observation, Transition


class Target:
    """Every step is a whole episode: an agent sees a target x in [-1, 1] and is charged (a - sign x)^2.

    `signs` gives each group's sign: the best return is 0, and a policy that cannot tell two groups of opposite
    sign apart does no better than always acting 0, which costs E[x^2] = 1/3 in each agent's mean.
    The sizes of groups may differ; the first observation is the target, others are noise, the first action counts.
    """

    def __init__(
        self,
        *,
        n_env: int = 16,
        groups: tuple[AgentGroup, ...] | None = None,
        signs: Mapping[str, float] | None = None,
        per_agent_rewards: bool = False,
        reward_factor: float = 1.0,
        reward_offset: float = 0.0,
    ) -> None:
        self.n_env = n_env
        self.groups = groups or (
            AgentGroup(name="mover", agents=("mover_0", "mover_1"), observation_size=2, action_size=1),
        )
        self.signs = dict(signs or {g.name: 1.0 for g in self.groups})
        self.per_agent_rewards = per_agent_rewards
        self.reward_factor, self.reward_offset = reward_factor, reward_offset
        self.state_size = sum(g.n_agent for g in self.groups)
        self.rngs = [np.random.default_rng(k) for k in range(n_env)]
        self.observations: dict[str, Float32Array] = {}

    def _observation(self) -> Observation:
        state = np.concatenate([self.observations[g.name][..., 0] for g in self.groups], axis=1)
        return Observation(observations={k: v.copy() for k, v in self.observations.items()}, state=state)

    def _draw(self) -> None:
        self.observations = {
            g.name: np.stack(
                [rng.uniform(-1.0, 1.0, (g.n_agent, g.observation_size)) for rng in self.rngs]
            ).astype(np.float32)
            for g in self.groups
        }

    def reset(self, seeds: IntArray | None = None) -> Observation:
        if seeds is not None:
            self.rngs = [np.random.default_rng(int(seed)) for seed in seeds]
        self._draw()
        return self._observation()

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        final = self._observation()
        errors = np.concatenate(
            [
                np.clip(actions[g.name][..., 0], -1, 1)
                - self.signs[g.name] * self.observations[g.name][..., 0]
                for g in self.groups
            ],
            axis=1,
        ).astype(np.float64)
        reward = -np.square(errors) * self.reward_factor + self.reward_offset
        self._draw()
        return Transition(
            observation=self._observation(),
            final_observation=final,
            reward=reward if self.per_agent_rewards else reward.mean(axis=1),
            terminated=np.ones(self.n_env, dtype=np.bool_),
            truncated=np.zeros(self.n_env, dtype=np.bool_),
            terms={"rms_error": np.sqrt(np.square(errors).mean(axis=1))},
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "rngs": [rng.bit_generator.state for rng in self.rngs],
            "observations": {k: v.copy() for k, v in self.observations.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self.observations = {k: v.copy() for k, v in state["observations"].items()}

    def close(self) -> None:
        pass


class Drift:
    """A mass on a line, x' = x + 0.2 a + noise, charged x^2: episodes of `length` steps that are truncated.

    Its agents share one mass; `in_service` can take one of them out, whose action then has no effect.
    """

    per_agent_rewards = False

    def __init__(self, *, n_env: int = 8, length: int = 10, out_of_service: tuple[int, ...] = ()) -> None:
        self.n_env, self.length = n_env, length
        self.groups = (
            AgentGroup(name="left", agents=("left_0", "left_1"), observation_size=2, action_size=1),
            AgentGroup(name="right", agents=("right_0",), observation_size=3, action_size=2),
        )
        self.state_size = 2
        self.rngs = [np.random.default_rng(k) for k in range(n_env)]
        self.x = np.zeros(n_env)
        self.t = np.zeros(n_env, dtype=np.int64)
        self.service = np.ones((n_env, 2), dtype=np.bool_)
        self.service[:, list(out_of_service)] = False

    def _observation(self) -> Observation:
        phase = self.t / self.length
        pair = np.stack([self.x, phase], axis=-1).astype(np.float32)
        triple = np.stack([self.x, phase, np.ones_like(phase)], axis=-1).astype(np.float32)
        return Observation(
            observations={"left": np.repeat(pair[:, None], 2, axis=1), "right": triple[:, None]},
            state=pair,
            in_service={"left": self.service.copy(), "right": np.ones((self.n_env, 1), dtype=np.bool_)},
        )

    def reset(self, seeds: IntArray | None = None) -> Observation:
        if seeds is not None:
            self.rngs = [np.random.default_rng(int(seed)) for seed in seeds]
        self.x = np.array([rng.uniform(-1, 1) for rng in self.rngs])
        self.t = np.zeros(self.n_env, dtype=np.int64)
        return self._observation()

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        left = (np.clip(actions["left"][..., 0], -1, 1) * self.service).sum(axis=1)
        right = np.clip(actions["right"][:, 0], -1, 1) @ np.array([0.5, 0.5])
        noise = np.array([rng.normal(0.0, 0.05) for rng in self.rngs])
        self.x = self.x + 0.2 * (left + right) + noise
        self.t = self.t + 1
        reward = -np.square(self.x)
        final = self._observation()
        truncated = self.t >= self.length
        terms = {"reward_position": reward.copy(), "violations": (np.abs(self.x) > 1).astype(np.float64)}
        for env in np.flatnonzero(truncated):
            self.x[env] = self.rngs[env].uniform(-1, 1)
            self.t[env] = 0
        return Transition(
            observation=self._observation(),
            final_observation=final,
            reward=reward,
            terminated=np.zeros(self.n_env, dtype=np.bool_),
            truncated=truncated,
            terms=terms,
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "rngs": [rng.bit_generator.state for rng in self.rngs],
            "x": self.x.copy(),
            "t": self.t.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self.x, self.t = state["x"].copy(), state["t"].copy()

    def close(self) -> None:
        pass


class Uneven(Drift):
    """Episodes end at different times; terms and agents out of service as in `Drift`."""

    def reset(self, seeds: IntArray | None = None) -> Observation:
        super().reset(seeds)
        if seeds is not None:
            self.t = np.asarray(seeds) % self.length
        return self._observation()


def make_uneven(n_env: int) -> Uneven:
    """By name and here, so that processes elsewhere build it without what tests import beside it."""
    return Uneven(n_env=n_env, length=7)


class Recall:
    """A cue, +1 or -1, is shown in the first of `length` steps; in the last an agent is charged (a - cue)^2.

    In between nothing but the step's number is seen. The best return is 0. Whoever does not remember sees the same in
    both cases when it counts: the best it can do is a = 0, which costs 1. One agent by itself; the state tells the cue.
    """

    per_agent_rewards = False

    def __init__(self, *, n_env: int = 16, length: int = 5) -> None:
        self.n_env, self.length = n_env, length
        self.groups = (AgentGroup(name="agent", agents=("agent_0",), observation_size=2, action_size=1),)
        self.state_size = 2
        self.rngs = [np.random.default_rng(k) for k in range(n_env)]
        self.cue = np.zeros(n_env)
        self.t = np.zeros(n_env, dtype=np.int64)

    def _observation(self) -> Observation:
        phase = self.t / self.length
        seen = np.stack([np.where(self.t == 0, self.cue, 0.0), phase], axis=-1).astype(np.float32)
        state = np.stack([self.cue, phase], axis=-1).astype(np.float32)
        return Observation(observations={"agent": seen[:, None]}, state=state)

    def _draw(self, envs: Any) -> None:
        for env in envs:
            self.cue[env] = self.rngs[env].choice([-1.0, 1.0])
        self.t[envs] = 0

    def reset(self, seeds: IntArray | None = None) -> Observation:
        if seeds is not None:
            self.rngs = [np.random.default_rng(int(seed)) for seed in seeds]
        self._draw(np.arange(self.n_env))
        return self._observation()

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        action = np.clip(actions["agent"][:, 0, 0], -1, 1)
        self.t = self.t + 1
        ended = self.t == self.length
        reward = np.where(ended, -np.square(action - self.cue), 0.0)
        final = self._observation()
        self._draw(np.flatnonzero(ended))
        return Transition(
            observation=self._observation(),
            final_observation=final,
            reward=reward,
            terminated=ended,
            truncated=np.zeros(self.n_env, dtype=np.bool_),
            terms={"reward_recall": reward.copy()},
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "rngs": [rng.bit_generator.state for rng in self.rngs],
            "cue": self.cue.copy(),
            "t": self.t.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self.cue, self.t = state["cue"].copy(), state["t"].copy()

    def close(self) -> None:
        pass


class Whisper:
    """One step: one agent of three, another each time, sees a target x in [-1, 1]; all are charged (a - x)^2.

    Agents see whether they know it, and it if they do. Where `told`, they are also told by each agent what it sees. The
    best return is 0. Agents by themselves can do no better than 0 where they know and act 0 where they do not: two of
    three are charged E[x^2] = 1/3, 2/9 in the mean.
    """

    per_agent_rewards = False

    def __init__(self, *, n_env: int = 16, told: bool = True) -> None:
        self.n_env, self.told = n_env, told
        apart = np.where(np.eye(3), np.inf, 1.0)
        messages = Messages(size=2, distance=tuple(tuple(row) for row in apart.tolist())) if told else None
        size = 2 if messages is None else 2 + messages.length
        names = ("agent_0", "agent_1", "agent_2")
        self.groups = (
            AgentGroup(name="agent", agents=names, observation_size=size, action_size=1, messages=messages),
        )
        self.state_size = 1
        self.rngs = [np.random.default_rng(k) for k in range(n_env)]
        self.x, self.knows = np.zeros(n_env), np.zeros(n_env, dtype=np.int64)

    def _observation(self) -> Observation:
        knows = np.arange(3) == self.knows[:, None]
        own = np.stack([knows, np.where(knows, self.x[:, None], 0.0)], axis=-1).astype(np.float32)
        if self.told:
            ones = np.ones((self.n_env, 3, 1), dtype=np.float32)
            shown = np.concatenate([ones, own], axis=-1).reshape(self.n_env, 1, -1)
            own = np.concatenate([own, np.repeat(shown, 3, axis=1)], axis=-1)
        return Observation(observations={"agent": own}, state=self.x[:, None].astype(np.float32))

    def _draw(self) -> Observation:
        for env, rng in enumerate(self.rngs):
            self.x[env], self.knows[env] = rng.uniform(-1.0, 1.0), rng.integers(3)
        return self._observation()

    def reset(self, seeds: IntArray | None = None) -> Observation:
        if seeds is not None:
            self.rngs = [np.random.default_rng(int(seed)) for seed in seeds]
        return self._draw()

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        reward = -np.square(np.clip(actions["agent"][..., 0], -1, 1) - self.x[:, None]).mean(axis=1)
        final, ended = self._observation(), np.ones(self.n_env, dtype=np.bool_)
        return Transition(
            observation=self._draw(),
            final_observation=final,
            reward=reward,
            terminated=ended,
            truncated=~ended,
            terms={"reward_error": reward.copy()},
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "rngs": [rng.bit_generator.state for rng in self.rngs],
            "x": self.x.copy(),
            "knows": self.knows.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self.x, self.knows = state["x"].copy(), state["knows"].copy()

    def close(self) -> None:
        pass


def make_batch(scenario: object, n_env: int, seed: int, observation: str, **options: Any) -> Drift:
    """In place of the grid's: processes import it by name."""
    return Drift(n_env=n_env, length=10)
