"""Speed of the frequency dynamics: microseconds an environment and control interval, one core.

What is timed, in processor time, is the compiled integration of an interval of 4 s (200 steps) in a batch of 64 coupled
grids under load noise, governors, resources, means, extremes and traces included; the power flow and the projections
around it are not.
The median of many intervals is reported. Other work on the machine shows in it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cases.ieee68 import load_ieee68
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.group_swing import integrate_swing
from grid_model.validation.event_response import balanced_grid

N_ENV = 64


def measure(intervals: int = 100) -> dict[str, float]:
    """Figures by key: dynamics_area_us, dynamics_machine_us."""
    return {
        "dynamics_area_us": microseconds("area", intervals),
        "dynamics_machine_us": microseconds("machine", intervals),
    }


def microseconds(level: Any, intervals: int) -> float:
    """Median time of one level's integrator per environment and interval [us]."""
    case = load_ieee68("rogers")
    grid, injections = balanced_grid(case, N_ENV, SwingConfig(level=level), load_level=0.7)
    rng = np.random.default_rng(0)
    times_s: list[float] = []
    arrays, macro = grid.arrays, grid.swing_state.macro_step(N_ENV)
    record = macro.record._replace(trace_hz=arrays.record.trace_hz)
    for _ in range(intervals + 5):
        noise = 1.0 + 0.002 * rng.standard_normal(injections.load_mw.shape)
        grid.advance(injections._replace(load_mw=injections.load_mw * noise))
        # Once more from where it ended, with the same powers.
        start_s = time.process_time()
        integrate_swing(
            grid.n_steps,
            macro.swing,
            macro.drive,
            macro.parameters,
            macro.synchronising_mw_per_rad,
            macro.reduced,
            arrays.constants,
            record,
        )
        times_s.append(time.process_time() - start_s)
    return 1e6 * float(np.median(times_s[5:])) / N_ENV
