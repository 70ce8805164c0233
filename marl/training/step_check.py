"""Is what an environment returned made of numbers?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marl.protocol import FloatArray, Transition


class StepError(ValueError):
    """An environment returned something that cannot be learned from."""


def check_step(transition: Transition, reward: FloatArray) -> None:
    """Refuse a step in which anything is not finite.

    Args:
        transition: of one step.
        reward: its reward as float64, shape [env] or [env, agent].

    Raises:
        StepError: a number is not finite; the message says what, in which environment and where in it.
    """
    observation, final = transition.observation, transition.final_observation
    arrays: dict[str, npt.NDArray[Any]] = {
        "reward": reward,
        "state": observation.state,
        **observation.observations,
    }
    if final is not observation:
        arrays |= {f"last {what}": x for what, x in {"state": final.state, **final.observations}.items()}
    for what, x in arrays.items():
        if not np.isfinite(x).all():
            position = np.argwhere(~np.isfinite(x))[0]
            raise StepError(
                f"environment {position[0]} returned {what} {x[tuple(position)]} at {position[1:].tolist()}"
            )
