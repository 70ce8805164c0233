"""What an algorithm keeps of the steps it has seen, as a protocol: rollouts now, replay beside them.

A step is a `Decision` (what was seen and done, and what a memory held at that moment) and the `Transition` it led to.
A storage keeps steps of all environments until there are enough to learn from; how they are then taken out is the
kind's own matter: `RolloutBuffer` gives the whole sequence once and is emptied, a replay buffer gives samples of it as
often as it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from marl.protocol import Observation, Transition


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What all agents did at one instant, and on what grounds."""

    observation: Observation  # what the actions were chosen on
    actions: Mapping[str, Tensor]  # as drawn, before any clipping, group -> [env, agent, action]
    log_probs: Tensor  # of these actions, [env, agent]
    # What a recurrent policy remembered when it chose, group -> [env, agent, hidden]; empty where none has a memory.
    hidden: Mapping[str, Tensor] = field(default_factory=dict)


class Storage(Protocol):
    """Steps of all environments, kept until they have been learned from."""

    @property
    def is_ready(self) -> bool:
        """Whether there is enough to learn from."""
        ...

    def add(self, decision: Decision, rewards: npt.NDArray[np.float32], transition: Transition) -> None:
        """Keeps one step of all environments.

        Args:
            decision: what was seen and done.
            rewards: as they are learned from, shape [env, value].
            transition: what it led to; its own reward is not used.
        """
        ...

    def clear(self) -> None:
        """Forgets all steps."""
        ...

    def state(self) -> dict[str, Any]:
        """All that `load_state` needs, copied; little where nothing is kept."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        ...
