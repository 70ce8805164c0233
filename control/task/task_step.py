"""What a task hands out: what is seen at an instant, and what an interval led to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray
from control.task.limits import LimitCheck

__all__ = ["TaskObservation", "TaskStep"]

Float32Array = npt.NDArray[np.float32]


class TaskObservation(NamedTuple):
    """What actors and critic see at one instant; new arrays each time, but for `in_service`, which is read-only."""

    agents: (
        Float32Array  # by the layout, [env, resource, 15, 18 or 22], telemetry of plants or area behind it
    )
    state: Float32Array  # the critic's view, [env, state]
    in_service: BoolArray | None  # False for plants without a range, [env, resource]; None where all have one


class TaskStep(NamedTuple):
    """What one control interval led to."""

    observation: TaskObservation  # where the next step starts from: of the new episode where one has begun
    final_observation: TaskObservation  # the true last one of this interval; the same where no episode ended
    reward: FloatArray  # the team's, [env]
    terms: Mapping[str, FloatArray]  # of the reward, and what else is logged, each [env]
    terminated: BoolArray  # the grid is lost, [env]
    truncated: BoolArray  # the clock has run out, [env]
    limits: LimitCheck  # the interval judged against the limits
