"""VMAS navigation behind the learner's protocol, with BenchMARL's settings of the task.

Three agents steer to goals of their own through continuous accelerations, with rewards of each agent's own. In the task
with a hidden state goals are shown in the first steps of an episode alone; the critic is shown them always.

    M. Bettini, R. Kortvelesy, J. Blumenkamp, A. Prorok, VMAS: a vectorized multi-agent simulator for collective robot
    learning, DARS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from marl.protocol import AgentGroup, Float32Array, IntArray, Observation, Transition

__all__ = ["EPISODE_STEPS", "Navigation"]

EPISODE_STEPS = 100
N_AGENT = 3
GOAL_SHOWN_STEPS = 5
GOAL = slice(4, 6)  # own position less the goal's, behind own position and velocity


class Navigation:
    """`n_env` episodes of 100 steps, stepped together."""

    per_agent_rewards = True

    def __init__(self, n_env: int, *, remembered: bool = False) -> None:
        """Builds them; VMAS must be installed.

        Args:
            n_env: episodes at once.
            remembered: goals are shown in the first GOAL_SHOWN_STEPS steps of an episode alone.
        """
        import vmas  # type: ignore[import-not-found,unused-ignore]  # an extra: only this task needs it

        self.env = vmas.make_env(
            "navigation",
            num_envs=n_env,
            continuous_actions=True,
            n_agents=N_AGENT,
            collisions=True,
            shared_rew=False,
            lidar_range=0.35,
            agent_radius=0.1,
        )
        self.n_env, self.remembered = n_env, remembered
        self.age = np.zeros(n_env, dtype=np.int64)
        first = self._observation(self.env.reset())
        size = first.observations["agent"].shape[-1]
        names = tuple(f"agent_{i}" for i in range(N_AGENT))
        self.groups = (AgentGroup(name="agent", agents=names, observation_size=size, action_size=2),)
        self.state_size = first.state.shape[-1]

    def _observation(self, observations: list[torch.Tensor]) -> Observation:
        agents = torch.stack(observations, dim=1).numpy().astype(np.float32)
        state = agents.reshape(self.n_env, -1)
        if self.remembered:
            agents = agents.copy()
            agents[self.age >= GOAL_SHOWN_STEPS, :, GOAL] = 0.0
        return Observation(observations={"agent": agents}, state=state)

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Starts new episodes; VMAS has one generator for the whole batch, which the first seed sets."""
        if seeds is not None:
            self.env.seed(int(seeds[0]) % 2**31)
        self.age[:] = 0
        return self._observation(self.env.reset())

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One step of all; finished episodes start anew."""
        a = torch.from_numpy(np.clip(actions["agent"], -1.0, 1.0))
        observations, rewards, done, _ = self.env.step([a[:, i] for i in range(N_AGENT)])
        self.age += 1
        final = observation = self._observation(observations)
        terminated = done.numpy().copy()
        truncated = (self.age >= EPISODE_STEPS) & ~terminated
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            for k in ended:
                self.env.reset_at(int(k))
            self.age[ended] = 0
            observation = self._observation(
                [self.env.scenario.observation(agent) for agent in self.env.agents]
            )
        return Transition(
            observation=observation,
            final_observation=final,
            reward=torch.stack(rewards, dim=1).numpy().astype(np.float64),
            terminated=terminated,
            truncated=truncated,
            terms={"reached": terminated.astype(np.float64)},
        )

    def get_state(self) -> dict[str, Any]:
        """Nothing: VMAS cannot be saved, these runs are short and not resumed."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError("a VMAS run cannot be resumed")

    def close(self) -> None:
        """Nothing to let go of."""
