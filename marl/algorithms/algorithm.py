"""What the trainer asks of a learning algorithm, and nothing more.

An algorithm owns everything that learning is made of: networks, optimisers, storage of experience, random generators.
The trainer hands it what the environments show and what its actions led to, and asks after every step whether it has
learned:

    actions = algorithm.act(observation)
    transition = environment.step(actions)
    algorithm.observe(transition)
    diagnostics = algorithm.update(progress)      # None while there is not enough to learn from

An on-policy algorithm learns once a rollout is full, an off-policy one takes a gradient step after every few steps and
sums them up; both return diagnostics once for each `TrainingConfig.rollout_steps` steps, which makes one row of
metrics. A recurrent algorithm keeps the hidden state of every environment itself: `act` carries it on, `observe` begins
it anew where an episode ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from marl.config.training import TrainingConfig
from marl.networks.behaviour import Behaviour, Errand
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Float32Array, Observation, Transition
from marl.storage.storage import Decision


class NonFiniteActions(FloatingPointError):
    """The policy's actions, or their probabilities, are no longer numbers."""


class NonFiniteLoss(FloatingPointError):
    """A loss, a gradient or a weight became infinite or not a number.

    Attributes:
        before: the algorithm's state from before the update that failed, where the algorithm has it: after
            `load_state` with it, `update` with the same progress fails again.
    """

    def __init__(self, message: str, before: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.before = before


class Algorithm(Protocol):
    """A learner: acts, takes in what came of it, and learns when enough has been seen."""

    @property
    def name(self) -> str:
        """What checkpoints call it."""
        ...

    @property
    def evaluation_policy(self) -> Policy:
        """The policy that is evaluated and saved."""
        ...

    def start_from(self, change: Callable[[Policy], None]) -> None:
        """Lets `change` put weights into the fresh policy before anything has been learned."""
        ...

    def act(self, observation: Observation) -> dict[str, Float32Array]:
        """Exploring actions for the environments, {group: [env, agent, action]}.

        Raises:
            NonFiniteActions: they are no longer numbers.
        """
        ...

    def observe(self, transition: Transition) -> None:
        """Takes in what the last actions led to.

        Raises:
            ValueError: rewards are of another shape than was announced.
        """
        ...

    def begin_episodes(self) -> None:
        """All environments begin new episodes, between two updates and on nobody's action, as a curriculum may ask."""
        ...

    def update(self, progress: float) -> dict[str, float] | None:
        """Learns, where enough has been seen since the last time.

        Args:
            progress: share of the training that is over, 0 to 1; it drives the schedules.

        Returns:
            Diagnostics by tag, or None while there is not enough to learn from.

        Raises:
            NonFiniteLoss: what was learned is no longer made of numbers.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Everything that decides how learning goes on, copied: tensors, arrays, numbers, strings, dictionaries."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state that `state` returned.

        Raises:
            RuntimeError, KeyError, ValueError: it is of other networks.
        """
        ...


class MakeAlgorithm(Protocol):
    """Builds an algorithm for one run; a class with this constructor is one, such as `MAPPO`."""

    def __call__(
        self,
        config: TrainingConfig,
        groups: tuple[AgentGroup, ...],
        state_size: int,
        *,
        per_agent_rewards: bool = False,
        device: torch.device | None = None,
    ) -> Algorithm:
        """For these agents and a critic's view of this size.

        Args:
            config: all settings.
            groups: of agents.
            state_size: of the critic's view.
            per_agent_rewards: rewards are the agents' own, not the team's.
            device: where the networks live; None is the CPU.
        """
        ...


@runtime_checkable
class PlayedElsewhere(Protocol):
    """An algorithm whose steps samplers may play by themselves, a whole rollout with the weights of one update.

    In place of `act`, it is told by `adopt` what was done, step by step in the order in which it would have acted.
    """

    @property
    def behaviour(self) -> Behaviour:
        """How samplers draw actions.

        Raises:
            ConfigError: they cannot act as this learner does.
        """
        ...

    def errand(self) -> Errand:
        """Weights as they are now, and the noise of the next rollout."""
        ...

    def adopt(self, decision: Decision) -> None:
        """Takes what was done at a step as its own; `observe` follows."""
        ...

    def forget(self) -> None:
        """Lets go of the steps since the last update: their rollout broke off, and is played again as a whole."""
        ...


def not_finite(measured: Mapping[str, Any]) -> str:
    """What is no number of what was measured, in words for a `NonFiniteLoss`.

    Told before the optimisers move: the weights are still those that produced it.
    """
    found = {tag: float(x) for tag, x in measured.items() if not math.isfinite(float(x))}
    return f"the update met numbers that are not finite: {found}"
