"""Sequences: how a rollout is cut into them, and what is needed to run them again."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SequenceLayout:
    """How a rollout's samples are cut into sequences."""

    n_env: int
    length: int  # L, steps of each
    burn_in: int  # steps before it


@dataclass(frozen=True, kw_only=True)
class Unroll:
    """How sequences are run again: where each begins, and where in them episodes do."""

    hidden: Tensor  # what was remembered before the first step, [sequence, ...]
    restart: Tensor  # steps before which that is taken up once more, boolean, [step, sequence]
    continues: Tensor  # steps that go on with the episode of the step before, boolean, [step, sequence]
    burn_in: int  # steps at the beginning that only bring the memory up to date
