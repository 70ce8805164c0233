"""The whole fleet as one agent, behind Gymnasium's interface, for those who do not do multi-agent learning.

One action of twenty numbers moves all plants, in the order of the case's resource table (`names`). What the agent
sees is either all that the agents see, one after the other (`view="agents"`, 20 x 15 numbers), or the critic's view of
the grid (`view="state"`, 140 numbers, which nobody could measure in time). Episodes, rewards and random numbers
are those of the other interfaces: the same seed gives the same episode. `gymnasium.make("FrequencyControl-v0")` builds
one too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.task.action import ActionError
from control.task.reward import RewardConfig
from control.task.shield import ShieldConfig
from control.task.task import Physics
from grid_model.dynamics.parameters import Level, SwingConfig
from marl.environment.pettingzoo_env import LARGEST, GridParallelEnv
from marl.registration import register

__all__ = ["GridJointEnv", "joint_env"]

VIEWS = ("agents", "state")
Float32Array = npt.NDArray[np.float32]


class GridJointEnv(gymnasium.Env[Float32Array, Float32Array]):
    """One episode, one agent.

    Attributes:
        names: of the plants, in the order of the action's entries.
    """

    # Declared by Gymnasium as an instance variable, so ClassVar would contradict it.
    metadata: dict[str, Any] = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        scenario: str | Path | ScenarioConfig = "training",
        *,
        view: str = "agents",
        seed: int | None = None,
        observation: str = "default",
        case: str | Path | Case = "",
        variant: str = "rogers",
        level: Level | None = None,
        swing: SwingConfig | None = None,
        reward: RewardConfig | None = None,
        check: bool = True,
        physics: Physics = "full",
        shield: ShieldConfig | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the environment.

        Args:
            scenario: see `GridParallelEnv`, as for all that follow but the next.
            view: what is observed, `agents` or `state`.
            seed: see `GridParallelEnv`.
            observation: see `GridParallelEnv`.
            case: see `GridParallelEnv`.
            variant: see `GridParallelEnv`.
            level: see `GridParallelEnv`.
            swing: see `GridParallelEnv`.
            reward: see `GridParallelEnv`.
            check: see `GridParallelEnv`, as the next two.
            physics: see there.
            shield: see there.
            render_mode: None, `ansi`, `human` or `rgb_array`.

        Raises:
            ScenarioError: there is no such scenario, or it contradicts itself.
            ValueError: there is no such view, render mode or observation, or the seed is negative.
        """
        if view not in VIEWS:
            raise ValueError(f"view = {view!r}, expected one of {', '.join(VIEWS)}")
        self._parallel = GridParallelEnv(
            scenario,
            seed=seed,
            observation=observation,
            case=case,
            variant=variant,
            level=level,
            swing=swing,
            reward=reward,
            check=check,
            physics=physics,
            shield=shield,
            render_mode=render_mode,
        )
        self.render_mode = render_mode
        self._view = view
        self.names: tuple[str, ...] = tuple(self._parallel.possible_agents)
        per_agent = self._parallel.observation_spaces[self.names[0]].shape[0]
        size = len(self.names) * per_agent if view == "agents" else self._parallel.state_space.shape[0]
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.names),), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Start the episode of this seed, or the next one; see `GridParallelEnv.reset`."""
        super().reset(seed=seed)
        observations, _ = self._parallel.reset(seed=seed)
        return self._observation(observations), {}

    def step(self, action: Float32Array) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """One control interval.

        Args:
            action: one number a plant in [-1, 1], in the order of `names`.

        Raises:
            ActionError: the action has the wrong shape, or a number is not finite or outside [-1, 1].
        """
        given = np.asarray(action)
        if given.shape != (len(self.names),):
            raise ActionError(f"action has shape {given.shape}, expected {(len(self.names),)}")
        seen, reward, terminated, truncated, infos = self._parallel.step(
            {name: given[i : i + 1] for i, name in enumerate(self.names)}
        )
        first = self.names[0]
        return self._observation(seen), reward[first], terminated[first], truncated[first], infos[first]

    def render(self) -> Any:
        """Grid's condition, see `GridParallelEnv.render`; None without a render mode."""
        return self._parallel.render() if self.render_mode is not None else None

    def _observation(self, of_agent: dict[str, Float32Array]) -> Float32Array:
        if self._view == "state":
            return self._parallel.state()
        return np.concatenate([of_agent[name] for name in self.names])


joint_env = GridJointEnv
register()  # also where the package was not installed with its entry points
