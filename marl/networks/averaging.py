"""The policy to evaluate and keep, as an average over recent updates of the one that learns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from marl.networks.policy import Policy


class AveragedPolicy:
    """A copy of a policy that follows its weights slowly.

        average' = average + (1 - d) (actors - average),      d = min(decay, n / (n + 1)) after n updates

    The small random walk that noisy gradients keep up around a good policy averages out. At first it is the plain mean.

    Reference:
        B. Polyak, A. Juditsky, Acceleration of stochastic approximation by averaging, SIAM J. Control and
        Optimization 30(4), 1992.
    """

    def __init__(self, policy: Policy, decay: float) -> None:
        """Begins with the policy as it is; `decay` is the weight of the past per update."""
        self.decay = decay
        self.policy = copy.deepcopy(policy).requires_grad_(False)
        self.n_update = 0

    @torch.no_grad()
    def follow(self, policy: Policy) -> None:
        """Moves towards the policy's weights; its input statistics are taken as they are."""
        decay = min(self.decay, self.n_update / (self.n_update + 1))
        self.n_update += 1
        for mean, weight in zip(self.policy.parameters(), policy.parameters(), strict=True):
            mean.lerp_(weight, 1.0 - decay)
        for kept, value in zip(self.policy.buffers(), policy.buffers(), strict=True):
            kept.copy_(value)

    def state(self) -> dict[str, Any]:
        """Weights and count."""
        return {"weights": self.policy.state_dict(), "n_update": self.n_update}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.policy.load_state_dict(state["weights"])
        self.n_update = state["n_update"]
