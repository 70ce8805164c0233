"""Environments in this process: the simplest sampler, and the fastest where there is no free core."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from marl.protocol import (
    AgentGroup,
    BatchedEnvironment,
    Float32Array,
    IntArray,
    Observation,
    Transition,
    begin_next,
    draw_from,
)
from marl.sampling.sampler import MakeEnvironment

__all__ = ["InlineSampler"]


class InlineSampler:
    """One batch in the learner's own process; every call is passed on to it."""

    def __init__(self, make: MakeEnvironment, n_env: int) -> None:
        """Builds the batch."""
        self.environment: BatchedEnvironment = make(n_env)

    @property
    def n_env(self) -> int:
        """Episodes that step together."""
        return self.environment.n_env

    @property
    def groups(self) -> tuple[AgentGroup, ...]:
        """The agents, group by group."""
        return self.environment.groups

    @property
    def state_size(self) -> int:
        """Numbers that the central critic sees."""
        return self.environment.state_size

    @property
    def per_agent_rewards(self) -> bool:
        """Whether rewards are the agents' own."""
        return bool(getattr(self.environment, "per_agent_rewards", False))

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Starts new episodes."""
        return self.environment.reset(seeds)

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One step of every environment."""
        return self.environment.step(actions)

    def draw_from(self, scenario: str) -> None:
        """New episodes come from this scenario.

        Raises:
            TypeError: the environments know one scenario only.
        """
        draw_from(self.environment, scenario)

    def begin_next(self, seeds: IntArray) -> None:
        """Next episodes are those of these seeds, [env, episode].

        Raises:
            TypeError: the environments draw their own.
        """
        begin_next(self.environment, seeds)

    def get_state(self) -> dict[str, Any]:
        """The batch's own state."""
        return self.environment.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from `get_state`.

        Raises:
            ValueError: it is the state of samplers, or what the environments refuse.
        """
        if "parts" in state:
            raise ValueError(
                "the saved run was played by samplers: add --ray local, or the address of a cluster"
            )
        self.environment.set_state(state)

    def close(self) -> None:
        """Closes the batch."""
        self.environment.close()

    def __enter__(self) -> InlineSampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
