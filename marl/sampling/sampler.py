"""Where environments run: the protocol of samplers.

A sampler is a batch of environments together with whatever it takes to run them: nothing in this process
(`inline.py`), other processes of this machine (`workers.py`). To the learner every sampler is one
`BatchedEnvironment`, and the episodes are the same to the bit wherever they are played, because environment k depends
on its own seed alone. Whoever has made a sampler closes it, best by `with`; the trainer closes the one it was handed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from marl.protocol import BatchedEnvironment, ScenarioEnvironment

__all__ = ["MakeEnvironment", "Sampler"]

# Builds a batch of so many environments; where it is sent to other processes it must be picklable.
MakeEnvironment = Callable[[int], BatchedEnvironment]


class Sampler(ScenarioEnvironment, Protocol):
    """Environments and the place where they run; a context manager that lets go of the place at its end."""

    @property
    def per_agent_rewards(self) -> bool:
        """Whether rewards are the agents' own, [env, agent], or the team's, [env]."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
