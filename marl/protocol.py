"""What the learner asks of an environment, and nothing more.

An environment is a batch: `n_env` independent episodes that step together. Its agents come in groups; agents
of a group have the same observation and action sizes and may share a network, groups may differ in both. The
environment leads on every axis: [env, agent, ...]. Actions lie in [-1, 1]; the environment clips what leaves
that range, because the learner hands over the unclipped sample whose log-probability it keeps.

`terminated` (the task ended, the future is worth nothing) and `truncated` (the clock ran out, the future was
merely not observed) are different facts. An environment resets a finished episode by itself within `step` and
returns both the new episode's first observation (`observation`) and the old one's true last (`final_observation`).

A toy environment of twenty lines satisfies this protocol, and the tests teach such toys to the trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Messages:
    """What an observation ends with, where agents are shown what others have told: a message of each sender.

    All agents are shown the same messages, in the same order. A message is a 1, or a 0 where its sender takes no part
    and the rest means nothing, and then `size` numbers.
    """

    size: int
    # How far each sender is from each agent of the group, in whatever unit, [agent][sender]; infinite where the agent
    # is not to listen, as to itself.
    distance: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if self.size < 1 or not self.n_sender:
            raise ValueError(
                f"{self.n_sender} messages of {self.size} numbers, expected at least one of each"
            )
        if any(len(row) != self.n_sender or not all(x >= 0.0 for x in row) for row in self.distance):
            raise ValueError(
                "distances of messages, expected a row of numbers >= 0 for each agent, one a sender"
            )

    @property
    def n_sender(self) -> int:
        """Senders."""
        return len(self.distance[0]) if self.distance else 0

    @property
    def length(self) -> int:
        """Numbers of an observation that are messages."""
        return self.n_sender * (1 + self.size)


@dataclass(frozen=True, kw_only=True)
class AgentGroup:
    """Agents that look alike to the learner: one observation layout, one action layout."""

    name: str
    agents: tuple[str, ...]
    observation_size: int
    action_size: int
    messages: Messages | None = None  # what the observation ends with; None: all of it is the agent's own
    # Steps for which an action is held. Agents of a slow layer, which decide every so many steps and from an episode's
    # first on, are in service when they decide and out of service in between.
    held_steps: int = 1

    def __post_init__(self) -> None:
        if not self.agents:
            raise ValueError(f"agent group {self.name!r} has no agents, expected at least one")
        if len(set(self.agents)) != len(self.agents):
            raise ValueError(f"agent group {self.name!r} names an agent twice: {self.agents}")
        if self.observation_size < 1 or self.action_size < 1:
            raise ValueError(
                f"agent group {self.name!r}: observation size {self.observation_size} and action size "
                f"{self.action_size}, expected both at least 1"
            )
        if self.held_steps < 1:
            raise ValueError(
                f"agent group {self.name!r}: held_steps = {self.held_steps}, expected at least 1"
            )
        if self.messages is not None and (
            len(self.messages.distance) != self.n_agent or self.messages.length >= self.observation_size
        ):
            raise ValueError(
                f"agent group {self.name!r}: {self.messages.length} of {self.observation_size} numbers are messages, "
                f"with distances for {len(self.messages.distance)} of {self.n_agent} agents"
            )

    @property
    def n_agent(self) -> int:
        """Agents in the group."""
        return len(self.agents)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What actors and critic see at one instant."""

    observations: Mapping[str, Float32Array]  # group name -> [env, agent, observation]
    state: Float32Array  # what the central critic sees, [env, state]
    # Group name -> [env, agent], False where an agent is out of service; None when all are always in service.
    # The action of an agent out of service has no effect, and the learner does not learn from it.
    in_service: Mapping[str, BoolArray] | None = None


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What one step of the batch led to."""

    observation: (
        Observation  # where the next step starts from: after the automatic reset where an episode ended
    )
    final_observation: Observation  # the true last one of the step just made; the same where nothing ended
    # [env] when all agents share it, or [env, agent] with the agents of all groups in the groups' order.
    reward: npt.NDArray[np.floating[Any]]
    terminated: BoolArray  # [env]
    truncated: BoolArray  # [env]
    # Named reward terms and measurements of this step, each [env]. The learner only logs them: names that
    # begin with `reward_` add up over an episode, others are averaged over its steps (`rms_` as root mean
    # square).
    terms: Mapping[str, FloatArray]


@runtime_checkable
class BatchedEnvironment(Protocol):
    """`n_env` episodes of one task, stepped together.

    An environment whose rewards are the agents' own [env, agent] says so by an attribute
    `per_agent_rewards = True`; without it the reward is the team's [env].
    """

    @property
    def n_env(self) -> int:
        """Episodes that step together."""

    @property
    def groups(self) -> tuple[AgentGroup, ...]:
        """The agents, group by group."""

    @property
    def state_size(self) -> int:
        """Numbers that the central critic sees."""

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Starts new episodes: from these seeds [env], or from the environments' own generators."""
        ...

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """Applies one action per agent, {group name: [env, agent, action]}; finished episodes start anew."""
        ...

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit: numpy arrays, numbers, strings, lists, dicts."""
        ...

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state that `get_state` returned, also in another process."""
        ...

    def close(self) -> None:
        """Lets go of processes, memory and files; a second time does no harm."""
        ...


@runtime_checkable
class ScenarioEnvironment(BatchedEnvironment, Protocol):
    """A batch whose scenario can be changed while it runs, as a curriculum asks."""

    def draw_from(self, scenario: str) -> None:
        """New episodes are drawn from the scenario of this name; those under way go on as they are."""
        ...


def draw_from(environment: BatchedEnvironment, scenario: str) -> None:
    """Has an environment draw its new episodes from another scenario.

    Raises:
        TypeError: it cannot; the message says what it lacks.
    """
    if not isinstance(environment, ScenarioEnvironment):
        raise TypeError(
            f"scenario {scenario!r} is asked for, but {type(environment).__name__} draws from one alone: "
            "it has no draw_from(scenario)"
        )
    environment.draw_from(scenario)


@runtime_checkable
class SeededEnvironment(BatchedEnvironment, Protocol):
    """A batch that can be told which episodes to play next, as the replay of levels asks."""

    def begin_next(self, seeds: IntArray) -> None:
        """Episodes after the present ones are those of these seeds, [env, episode]; after them it draws its own."""
        ...


def begin_next(environment: BatchedEnvironment, seeds: IntArray) -> None:
    """Has each environment play these episodes after its present one.

    Raises:
        TypeError: it cannot; the message says what it lacks.
    """
    if not isinstance(environment, SeededEnvironment):
        raise TypeError(
            f"the seeds of next episodes are given, but {type(environment).__name__} draws its own: "
            "it has no begin_next(seeds)"
        )
    environment.begin_next(seeds)
