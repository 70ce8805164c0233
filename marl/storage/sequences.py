"""Sequences: how a rollout is cut into them, and what is needed to run them again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SequenceLayout:
    """How a rollout's samples are cut into sequences."""

    n_env: int
    length: int  # L, steps of each
    burn_in: int  # steps before it

    def steps(self, index: Tensor) -> Tensor:
        """Steps of these sequences in the rollout with those of the burn-in, [step, sequence].

        Sequence q is the steps from (q // n_env) L on in environment q % n_env. Burn-in before the rollout is negative.
        """
        first = index.div(self.n_env, rounding_mode="floor") * self.length - self.burn_in
        return first + torch.arange(self.burn_in + self.length, device=index.device).unsqueeze(1)

    def learned(self, index: Tensor) -> Tensor:
        """Positions of the sequences' samples in the rollout, step by step, [step x sequence]."""
        return (self.steps(index)[self.burn_in :] * self.n_env + index % self.n_env).flatten()


@dataclass(frozen=True, kw_only=True)
class Unroll:
    """How sequences are run again: where each begins, and where in them episodes do."""

    hidden: Tensor  # what was remembered before the first step, [sequence, ...]
    restart: Tensor  # steps before which that is taken up once more, boolean, [step, sequence]
    continues: Tensor  # steps that go on with the episode of the step before, boolean, [step, sequence]
    burn_in: int  # steps at the beginning that only bring the memory up to date
