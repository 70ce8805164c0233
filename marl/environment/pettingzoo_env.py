"""One episode behind PettingZoo's parallel interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from pettingzoo import ParallelEnv

from cases.arrays import FloatArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from control.task.action import ActionError
from control.task.draws import checked_seed
from control.task.open_task import make_task
from control.task.reward import RewardConfig
from control.task.shield import ShieldConfig
from control.task.task import Physics
from control.task.task_step import TaskObservation
from grid_model.dynamics.parameters import Level, SwingConfig
from marl.environment.batch import numbers
from marl.environment.render import describe, moving_picture, state_of
from marl.protocol import Float32Array

if TYPE_CHECKING:
    from grid_model.picture.moving_picture import MovingPicture

__all__ = ["GridParallelEnv", "parallel_env"]

# Every number is scaled to order one; the grid is lost, and the episode over, long before one comes near this.
LARGEST = 1000.0
ROUNDING = 1e-6  # by which an action computed in float32 may miss the ends of its range


class GridParallelEnv(ParallelEnv[str, Float32Array, Float32Array]):  # type: ignore[misc]
    """One episode behind PettingZoo's parallel interface.

    Agents are named `bess_0`.. `gas_0`.. `dr_0`..; actions lie in [-1, 1]; every agent gets the shared reward.
    `state()` is the critic's view. `terminated` means the grid was lost, `truncated` that the clock ran out.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "ieee68_frequency_v0",
        "render_modes": ["ansi", "human", "rgb_array"],
        "render_fps": 10,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        scenario: str | Path | ScenarioConfig = "training",
        *,
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
            scenario: a suite or training distribution by name, the path of a scenario file, or a configuration.
            seed: of the environment's own generator, which unseeded resets draw from; from the system's entropy if
                None, so that copies play different episodes.
            observation: `default`, the 15 numbers of `control.task.layout`, `extended`, 18, or `memory`, 22.
            case: a grid by its name or file (`control.scenario.task_grid`), or a `Case` with plants on it; the 68-bus
                system if empty.
            variant: of the 68-bus system, `rogers` or `tr18`.
            level: of aggregation of the frequency model, `machine`, `area` or `system`; that of `swing` if None.
            swing: frequency model; the default one if None.
            reward: weights; the default ones if None.
            check: let pandapower confirm the power-flow engine.
            physics: `full`, or `reduced`, the model without a power flow of `control.task.reduced_loop`.
            shield: limits onto which joint actions are moved before they are carried out, see `control.task.shield`.
            render_mode: None, `ansi` (render returns text), `human` (prints it) or `rgb_array` (draws the grid; render
                returns the picture).

        Raises:
            ScenarioError: there is no such scenario, or it contradicts itself.
            ValueError: there is no such render mode or observation, or the seed is negative; or pictures are asked for
                of the reduced physics, which has no voltages and flows to draw.
        """
        if render_mode not in (None, "ansi", "human", "rgb_array"):
            raise ValueError(f"render_mode = {render_mode!r}, expected None, 'ansi', 'human' or 'rgb_array'")
        if render_mode == "rgb_array" and physics == "reduced":
            raise ValueError(
                "render_mode = 'rgb_array' draws voltages and flows, which physics 'reduced' has not"
            )
        if seed is not None:
            seed = checked_seed(seed)
        self.render_mode = render_mode
        self._options = {
            "scenario": scenario,
            "seed": seed,
            "observation": observation,
            "case": case,
            "variant": variant,
            "level": level,
            "swing": swing,
            "reward": reward,
            "check": check,
            "physics": physics,
            "shield": shield,
        }
        self._seed = seed
        # Draws the seeds of what follows a seeded reset, where the environment has a seed of its own.
        self._following: np.random.Generator | None = None
        own_seed = int(np.random.SeedSequence().generate_state(2, np.uint64)[0]) if seed is None else seed
        self._task = make_task(
            scenario,
            1,
            own_seed,
            observation,
            case=case,
            variant=variant,
            level=level,
            swing=swing,
            reward=reward,
            auto_reset=False,
            check=check,
            physics=physics,
            shield=shield,
        )
        name = self._task.case.resource.name
        columns = [int(column) for rows in self._task.of_kind.values() for column in rows]
        self._column = {name[column]: column for column in columns}
        self.possible_agents = list(self._column)
        self.agents: list[str] = []
        size = self._task.observation_size
        self.observation_spaces = {
            agent: gymnasium.spaces.Box(-LARGEST, LARGEST, (size,), np.float32)
            for agent in self.possible_agents
        }
        self.action_spaces = {
            agent: gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32) for agent in self.possible_agents
        }
        self.state_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (self._task.state_size,), np.float32)
        self._observed: TaskObservation | None = None
        self._picture: MovingPicture | None = None

    @property
    def unwrapped(self) -> GridParallelEnv:
        """The environment itself: it wraps none."""
        return self

    def observation_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """Space of one agent's observation."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """Space of one agent's action."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Float32Array], dict[str, dict[str, Any]]]:
        """Start an episode.

        Args:
            seed: plays the episode of this seed. None goes on to the next one of the environment's generator. After a
                seeded reset that is the generator of that seed; where the environment was built with a seed, of both
                together, so that copies which a library has all reset alike (RLlib's checker does) part again.
            options: none are known.
        """
        if seed is not None:
            seed = checked_seed(seed)
            self._following = None if self._seed is None else np.random.default_rng([seed, self._seed])
            start = np.array([seed])
        elif self._following is not None:
            start = self._following.integers(2**63, size=1)
        else:
            start = None
        self._observed = self._task.reset(start)
        self.agents = list(self.possible_agents)
        return self._by_agent(self._observed), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Float32Array]
    ) -> tuple[
        dict[str, Float32Array],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One control interval with one action per agent.

        Raises:
            ActionError: an agent has no action, or its action has the wrong shape, is not a finite number or lies
                outside [-1, 1]. The environment is as it was before.
        """
        if not self.agents:
            raise ActionError("the episode is over or has not begun; call reset first")
        step = self._task.step(self._joint_action(actions))
        self._observed = step.final_observation
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        agents, reward = self.agents, float(step.reward[0])
        info = {name: float(value[0]) for name, value in step.terms.items()}
        if terminated or truncated:
            self.agents = []
        return (
            self._by_agent(step.final_observation),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: dict(info) for agent in agents},  # a wrapper may add to one of them
        )

    def _joint_action(self, actions: Mapping[str, Float32Array]) -> FloatArray:
        """All agents' actions as one row, [1, resource].

        Raises:
            ActionError: an agent is missing or unknown, a shape is wrong, or a number is outside [-1, 1].
        """
        if not isinstance(actions, Mapping):
            raise ActionError(f"actions are {actions!r}, expected one for each agent by its name")
        joint = np.empty((1, len(self.possible_agents)))
        for agent, column in self._column.items():
            given = actions.get(agent)
            if given is None:
                self._refuse_unknown(actions)
                raise ActionError(f"no action for agent {agent!r}")
            if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu":
                given = numbers(given, f"action of {agent!r}")  # type: ignore[assignment]
            if given.shape != (1,):
                raise ActionError(f"action of {agent!r} has shape {given.shape}, expected (1,)")
            value = given.item()
            if not -1.0 <= value <= 1.0:
                if not abs(value) <= 1.0 + ROUNDING:  # also where it is not a number
                    raise ActionError(
                        f"action of {agent!r} is {value}, expected -1 to 1; clip it, or wrap the environment"
                    )
                value = min(max(value, -1.0), 1.0)
            joint[0, column] = value
        if len(actions) > len(self._column):
            self._refuse_unknown(actions)
        return joint

    def _refuse_unknown(self, actions: Mapping[str, Float32Array]) -> None:
        unknown = [agent for agent in actions if agent not in self._column]
        if unknown:
            raise ActionError(
                f"action for {unknown[0]!r}, which is no agent; agents are {self.possible_agents}"
            )

    def state(self) -> Float32Array:
        """The critic's view of the grid, see `control.task.observation`: a copy, which is the caller's own.

        Raises:
            RuntimeError: no episode has begun.
        """
        if self._observed is None:
            raise RuntimeError("call reset first")
        return self._observed.state[0].copy()

    def render(self) -> str | npt.NDArray[np.uint8] | None:
        """Grid's condition as lines of text, returned (`ansi`) or printed (`human`), or as a picture (`rgb_array`).

        A picture is [height, width, 3]: the grid with frequencies, loadings, plants and time, and below it the trace of
        frequency over the intervals that were rendered.

        Raises:
            RuntimeError: no episode has begun.
        """
        if self._observed is None:
            raise RuntimeError("there is nothing to show before the first episode: call reset first")
        if self.render_mode == "rgb_array":
            if self._picture is None:
                self._picture = moving_picture(self._task)
            return self._picture.frame(state_of(self._task, 0))
        text = describe(self._task, 0)
        if self.render_mode == "human":
            print(text)
            return None
        return text

    def close(self) -> None:
        """Let go of the task."""
        self._task.close()

    def _by_agent(self, seen: TaskObservation) -> dict[str, Float32Array]:
        own = seen.agents[0]
        return {agent: own[column] for agent, column in self._column.items()}

    def __getstate__(self) -> dict[str, Any]:
        return {
            "options": self._options,
            "render_mode": self.render_mode,
            "agents": list(self.agents),
            "observed": self._observed,
            "following": None if self._following is None else self._following.bit_generator.state,
            "task": self._task.get_state() if self._observed is not None else None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(render_mode=state["render_mode"], **state["options"])  # type: ignore[misc]
        self.agents, self._observed = state["agents"], state["observed"]
        if state["following"] is not None:
            self._following = np.random.default_rng()
            self._following.bit_generator.state = state["following"]
        if self._observed is not None:
            self._task.set_state(state["task"])


parallel_env = GridParallelEnv  # PettingZoo's name for what builds one
