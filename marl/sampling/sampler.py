"""Where environments run: the protocol of samplers.

A sampler is a batch of environments together with whatever it takes to run them: nothing in this process
(`inline.py`), or actors of a Ray cluster, which play whole rollouts by themselves instead of being stepped
(`ray_sampler.py`), on this machine or on many. To the learner every sampler is one `BatchedEnvironment`, and
the episodes are the same to the bit wherever they are played, because environment k depends on its own seed alone.
Whoever has made a sampler closes it, best by `with`; the trainer closes the one it was handed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from marl.networks.behaviour import Behaviour, Errand
from marl.protocol import BatchedEnvironment, ScenarioEnvironment

if TYPE_CHECKING:
    from marl.sampling.rollout_part import PlayedRollout

__all__ = ["MakeEnvironment", "RolloutSampler", "Sampler"]

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


@runtime_checkable
class RolloutSampler(Protocol):
    """A sampler that plays whole rollouts by itself, and is asked for them in place of steps."""

    @property
    def n_ahead(self) -> int:
        """Rollouts that may be out beside the one that is taken next: samplers are so many updates behind."""

    @property
    def n_pending(self) -> int:
        """Rollouts that were asked for and not taken to their end yet."""

    def prepare(self, behaviour: Behaviour) -> None:
        """Says how actions are drawn; once, before the first rollout."""
        ...

    def request(self, errand: Errand) -> None:
        """Asks for a rollout with these weights and this noise."""
        ...

    def take(self) -> PlayedRollout:
        """The next piece of the oldest rollout that was asked for, once it is there; it may be the whole."""
        ...
