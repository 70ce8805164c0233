"""Speed of the frequency dynamics: microseconds an environment and control interval, one core.

python scripts/benchmark_dynamics.py

What is timed, in processor time, is the compiled integration of an interval of 4 s (200 steps) in a batch of 64 coupled
grids under load noise, governors, resources, means, extremes and traces included; the power flow and the projections
around it are not.
The median of many intervals is reported. Other work on the machine shows in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PROGRAM = "benchmark_dynamics.py"
N_ENV = 64


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long to measure."""

    intervals: int = 100
    """Control intervals timed at each level."""
    json: Path | None = None
    """Write the figures to this file."""


def measure(intervals: int = 100) -> dict[str, float]:
    """Figures by key: dynamics_area_us, dynamics_machine_us."""
    return {
        "dynamics_area_us": microseconds("area", "integrate_groups", intervals),
        "dynamics_machine_us": microseconds("machine", "integrate_machines", intervals),
    }


def microseconds(level: Any, kernel: str, intervals: int) -> float:
    """Median time of one level's kernel per environment and interval [us]."""
    import numpy as np

    from cases.ieee68 import load_ieee68
    from grid_model.dynamics import swing_state as group_motion
    from grid_model.dynamics.parameters import SwingConfig
    from grid_model.validation.frequency_checks import balanced_grid

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


def main(arguments: Sequence[str]) -> int:
    import command_line

    options = command_line.parse(
        Options, program=PROGRAM, description=str(__doc__).splitlines()[0], arguments=arguments
    )
    figures = measure(options.intervals)
    for name, value in figures.items():
        print(f"{name}: {value:.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
