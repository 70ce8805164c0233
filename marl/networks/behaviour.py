"""The policy that gathers a rollout away from the learner: what is sent there, and how it acts there.

The learner draws all noise of a rollout from its own generator, in the order in which it would act itself, and sends
it with the weights. A row of the compiled kernels' results does not depend on the rows beside it, so any part of the
environments, played anywhere, does to the bit what it would have done within the whole. torch promises no such thing:
its matrix products round differently for other numbers of rows, so networks that it runs are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from marl.config.check import ConfigError
from marl.config.network import NetworkConfig
from marl.networks.exploration import Exploration
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Float32Array

__all__ = ["Behaviour", "BehaviourPolicy", "Errand", "errand_of", "require_plain"]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What stays the same for a whole run."""

    groups: tuple[AgentGroup, ...]
    network: NetworkConfig
    noise_correlation: float  # share of the noise's variance that the agents of a group have in common
    explore_dead_zone: bool  # environments are handed actions with those inside the dead zone made zero


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What one rollout is gathered with."""

    weights: Mapping[str, npt.NDArray[Any]]  # of the policy, input statistics among them
    noise: Float32Array  # [step, env, component], see `Exploration.noise`


def require_plain(policy: Policy) -> None:
    """Refuses a policy whose actions would depend on which environments are played together.

    Raises:
        ConfigError: compiled kernels do not run it.
    """
    if not policy.actors.plain:
        raise ConfigError(
            "--ray needs actors that compiled kernels run, whose results do not depend on the number of rows: one "
            "network for a type or for all, hidden layers of 32, 64, ... with layer_norm, fused = auto, on the CPU"
        )


def errand_of(
    policy: Policy, *, n_env: int, n_step: int, noise_correlation: float, generator: torch.Generator
) -> Errand:
    """The policy as it is, and the noise of its next steps, which the generator is then past.

    Args:
        policy: whose actions they are.
        n_env: environments in all.
        n_step: steps of the rollout.
        noise_correlation: share of the noise's variance that the agents of a group have in common.
        generator: of the noise.
    """
    exploration = Exploration(policy.actors)
    noise = []
    for _ in range(n_step):
        exploration.draw(n_env, noise_correlation, generator)
        noise.append(exploration.noise())
    weights = {name: x.detach().cpu().numpy().copy() for name, x in policy.state_dict().items()}
    return Errand(weights=weights, noise=np.stack(noise))


class BehaviourPolicy:
    """Acts with the weights and the noise that it is handed."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Fresh weights, which mean nothing, without touching torch's global generator."""
        self.behaviour = behaviour
        with torch.random.fork_rng(devices=[]):
            self.policy = Policy(behaviour.groups, behaviour.network)
        self._exploration = Exploration(self.policy.actors)

    def take(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Acts with these from now on."""
        for name, own in self.policy.state_dict().items():
            own.numpy()[...] = weights[name]

    @torch.inference_mode()
    def act(
        self, observations: Mapping[str, Float32Array], noise: Float32Array
    ) -> tuple[dict[str, Float32Array], Float32Array]:
        """Exploring actions as they are drawn {group: [env, agent, action]}, and log-probabilities [env, agent].

        Args:
            observations: {group: [env, agent, observation]}.
            noise: of this step, [env, component].
        """
        self._exploration.put_noise(np.array(noise))  # what has come from elsewhere may be read-only
        actions, log_probs = self._exploration.explored(
            self.policy.observations_to_tensors(observations), self.behaviour.noise_correlation
        )
        return {name: x.numpy() for name, x in actions.items()}, log_probs.numpy()

    def handed_over(self, actions: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """What environments are given of actions as they were drawn."""
        return self.policy.explored(actions, dead_zone=self.behaviour.explore_dead_zone)
