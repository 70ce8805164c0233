"""A joint action as whoever plays gives it: an array of numbers, [env, resource], cut at -1 and 1."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled

__all__ = ["ActionError", "action_array", "cut_action", "cut_at_one", "refuse"]


class ActionError(ValueError):
    """An action cannot be carried out; the environment is as it was before."""


def action_array(action: Any, shape: tuple[int, int]) -> FloatArray:
    """The action as float64 of this shape, [env, resource]; the array itself where it is one.

    Raises:
        ActionError: it is no array of numbers, or its shape is wrong.
    """
    if not isinstance(action, np.ndarray) or action.dtype != np.float64:
        try:
            action = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ActionError(f"action {action!r} is not an array of numbers") from None
    if action.shape != shape:
        raise ActionError(f"action has shape {action.shape}, expected {shape}")
    return action


def cut_at_one(action: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """A copy of the action, cut at -1 and 1.

    Args:
        action: [env, resource].
        names: of the plants, [resource].

    Raises:
        ActionError: a number is not finite.
    """
    cut = np.empty(action.shape)
    wrong = cut_action(action, cut)
    if wrong >= 0:
        refuse(action, wrong, names)
    return cut


def refuse(action: FloatArray, position: int, names: tuple[str, ...]) -> NoReturn:
    """Refuse an action of which a number is not finite.

    Args:
        action: [env, resource].
        position: of that number, counted row by row.
        names: of the plants, [resource].

    Raises:
        ActionError: always.
    """
    env, resource = divmod(position, action.shape[1])
    raise ActionError(
        f"action of {names[resource]} in environment {env} is {action[env, resource]}, "
        "expected a number from -1 to 1"
    )


@compiled
def cut_action(action: FloatArray, cut: FloatArray) -> int:
    """Fill in the action cut at -1 and 1, [env, resource]; position of a number that is not finite, or -1."""
    n_wrong = 0
    for e in range(cut.shape[0]):
        for i in range(cut.shape[1]):
            n_wrong += int(not np.isfinite(action[e, i]))
            cut[e, i] = min(max(action[e, i], -1.0), 1.0)
    if n_wrong > 0:
        for e in range(cut.shape[0]):
            for i in range(cut.shape[1]):
                if not np.isfinite(action[e, i]):
                    return int(e * cut.shape[1] + i)
    return -1
