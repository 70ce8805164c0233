"""What a task remembers for its agents: their own frequencies and actions, for the observations that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.task.layout import AVERAGE_S, MEMORY_SIZE, OBSERVATION_SIZE

__all__ = ["AgentMemory", "Past"]


class Past(NamedTuple):
    """As compiled functions take it."""

    before_hz: FloatArray  # own frequency deviation one interval ago, [env, resource]
    last_action: FloatArray  # [env, resource]
    past_hz: FloatArray  # own frequency deviation two intervals ago, then its averages, [past, env, resource]


class AgentMemory:
    """Memory of all agents of a batch.

    Attributes: past: what is remembered now; its arrays are replaced as intervals go by.
    """

    def __init__(self, n_env: int, n_resource: int, size: int, interval_s: float) -> None:
        """Nothing has happened.

        Args:
            n_env: environments.
            n_resource: agents of each.
            size: of the observation, see `control.task.layout`; it says what has to be remembered.
            interval_s: length of a control interval [s].
        """
        shape = n_env, n_resource
        self._extended, self._averages = size > OBSERVATION_SIZE, size == MEMORY_SIZE
        self._keep = np.exp(-interval_s / np.array(AVERAGE_S))[:, None, None]
        self.past = Past(np.zeros(shape), np.zeros(shape), np.zeros((1 + len(AVERAGE_S), *shape)))

    @property
    def of_frequency(self) -> bool:
        """Whether any frequency is remembered."""
        return self._extended

    @property
    def of_averages(self) -> bool:
        """Whether averages of the own frequency are."""
        return self._averages

    def add(self, before_hz: FloatArray | None, own_hz: FloatArray | None, action: FloatArray) -> None:
        """One interval more.

        Args:
            before_hz: own frequency deviation at its beginning, [env, resource]; None where none is remembered.
            own_hz: at its end, likewise; None where no averages are.
            action: carried out in it, [env, resource]; not copied.
        """
        before, _, past_hz = self.past
        if own_hz is not None:
            averages = own_hz + (past_hz[1:] - own_hz) * self._keep
            past_hz = np.concatenate([before[None], averages])
        self.past = Past(before if before_hz is None else before_hz, action, past_hz)

    def forget(self, envs: IntArray) -> None:
        """New episodes begin in these environments, [n]."""
        self.past = Past(
            *(array.copy() for array in self.past)
        )  # whoever was shown them keeps what they were
        self.past.before_hz[envs] = self.past.last_action[envs] = 0.0
        self.past.past_hz[:, envs] = 0.0

    def get_state(self) -> dict[str, FloatArray]:
        """Plain arrays, for saving."""
        return {name: array.copy() for name, array in self.past._asdict().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave; one from before averages were kept has none."""
        kept = self.past._asdict()
        self.past = Past(**{name: np.array(state.get(name, kept[name])) for name in kept})
