"""Speed of the frequency dynamics: microseconds an environment and control interval, one core.

What is timed, in processor time, is the compiled integration of an interval of 4 s (200 steps) in a batch of 64 coupled
grids under load noise, governors, resources, means, extremes and traces included; the power flow and the projections
around it are not.
The median of many intervals is reported. Other work on the machine shows in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from cases.ieee68 import load_ieee68
from grid_model.dynamics import swing_state as group_motion
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.frequency_checks import balanced_grid

N_ENV = 64


def measure(intervals: int = 100) -> dict[str, float]:
    """Figures by key: dynamics_area_us, dynamics_machine_us."""
    return {
        "dynamics_area_us": microseconds("area", "integrate_groups", intervals),
        "dynamics_machine_us": microseconds("machine", "integrate_machines", intervals),
    }


def microseconds(level: Any, kernel: str, intervals: int) -> float:
    """Median time of one level's kernel per environment and interval [us]."""

    case = load_ieee68("rogers")
    grid, inputs = balanced_grid(case, N_ENV, SwingConfig(level=level), load_level=0.7)
    rng = np.random.default_rng(0)
    times_s: list[float] = []
    compiled: Callable[..., None] = getattr(group_motion, kernel)

    def timed(*arguments: Any) -> None:
        start_s = time.process_time()
        compiled(*arguments)
        times_s.append(time.process_time() - start_s)

    with mock.patch.object(group_motion, kernel, timed):
        for _ in range(intervals + 5):
            noise = 1.0 + 0.002 * rng.standard_normal(inputs.load_mw.shape)
            grid.advance(replace(inputs, load_mw=inputs.load_mw * noise))
    return 1e6 * float(np.median(times_s[5:])) / N_ENV
