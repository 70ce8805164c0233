"""Steps of rollouts that samplers play by themselves, handed to the learner one after the other as if it had acted.

Samplers may hand over a rollout in pieces, and play one while the learner takes in the piece before.
"""

from __future__ import annotations

from marl.algorithms.algorithm import Algorithm, PlayedElsewhere
from marl.config.check import ConfigError
from marl.protocol import BatchedEnvironment, Transition
from marl.sampling.rollout_part import PlayedRollout
from marl.sampling.sampler import RolloutSampler

__all__ = ["RolloutsAway"]


class RolloutsAway:
    """Asks for rollouts with the weights of the moment, and takes them step by step.

    With `n_ahead` = 0 a rollout is asked for when the one before has been learned from: on-policy stays on-policy.
    With n_ahead = K, K more are out, so samplers go on while the learner learns; the policy that acted is then up to K
    updates old, and its own log-probabilities, which come with the actions, are what the ratio is taken to.
    """

    def __init__(self, sampler: RolloutSampler, algorithm: PlayedElsewhere) -> None:
        """Prepares the samplers.

        Args:
            sampler: plays.
            algorithm: whose policy acts.

        Raises:
            ConfigError: samplers cannot act as this learner does.
        """
        self.sampler, self.algorithm = sampler, algorithm
        self._rollout: PlayedRollout | None = None
        self._position = 0
        sampler.prepare(algorithm.behaviour)

    @classmethod
    def of(cls, environment: BatchedEnvironment, algorithm: Algorithm) -> RolloutsAway | None:
        """Where the environments play by themselves; None where they are stepped from here.

        Raises:
            ConfigError: they do, and the algorithm acts by itself alone.
        """
        if not isinstance(environment, RolloutSampler):
            return None
        if not isinstance(algorithm, PlayedElsewhere):
            raise ConfigError(
                f"--ray: the algorithm {algorithm.name} acts beside its environments alone; train it without"
            )
        return cls(environment, algorithm)

    def step(self) -> Transition:
        """The next step; the algorithm knows what was done, and is still to observe it."""
        if self._rollout is None:
            while self.sampler.n_pending <= self.sampler.n_ahead:
                self.sampler.request(self.algorithm.errand())
            self._rollout, self._position = self.sampler.take(), 0
        rollout, position = self._rollout, self._position
        self._position += 1
        if self._position == rollout.n_step:
            self._rollout = None
        self.algorithm.adopt(rollout.decision(position))
        return rollout.transition(position)

    def forget(self) -> None:
        """The rollout that is being taken broke off: a resumed run plays it again, from its beginning."""
        self._rollout = None
        self.algorithm.forget()
