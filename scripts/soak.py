"""Plays a million environment steps over all suites with random agents and looks for anything that should not happen.

python scripts/soak.py
python scripts/soak.py --steps 20000 --json soak.json

Looked for: numbers that are not finite, power that does not balance at the end of an interval, energy that does not
balance over an episode, limits of resources that are exceeded, memory that grows. Exit status 1 if any is found.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import command_line

PROGRAM = "soak.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long."""

    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    steps: int = 1_000_000
    """Environment steps in all, shared by the suites."""
    n_envs: int = 64
    """Environments of a batch."""
    suites: tuple[str, ...] = (
        "normal", "n1", "renewable_ramp", "shift", "stress", "training", "training_n1", "training_ramp",
    )  # fmt: skip
    """Suites to play, or files of your own."""
    intervals: int | None = None
    """Length of an episode, if not the suite's own."""
    seed: int = 0
    """Of episodes and agents; stays clear of the held-out ranges."""
    max_growth_mb: float = 200.0
    """Memory a suite may add after its first episodes."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise command_line.OptionError("--suites names none, expected at least one")
        command_line.require_at_least(self, steps=1, n_envs=1, intervals=1, seed=0)
        if not self.max_growth_mb > 0.0:
            raise command_line.OptionError(f"--max-growth-mb {self.max_growth_mb:g}, expected > 0")


def run(options: Options) -> dict[str, Any]:
    """Plays every suite; figures by suite and of memory and time."""
    from control.evaluation import soak
    from control.scenario.file import scenario_named
    from control.scenario.task_grid import open_task_grid
    from marl.environment.batch import make_batch

    found: dict[str, Any] = {}
    began = time.perf_counter()
    case = open_task_grid(options.case).case
    # All of them first: a wrong one is told before any is played.
    scenarios = {suite: scenario_named(suite, case) for suite in options.suites}
    n_step = -(-options.steps // (len(scenarios) * options.n_envs))
    total = n_step * options.n_envs * len(scenarios)
    with command_line.progress_bar(total, " steps", unit_scale=True) as bar:
        for suite, scenario in scenarios.items():
            if options.intervals is not None:
                scenario = replace(scenario, n_intervals=options.intervals)
            batch = make_batch(scenario, options.n_envs, options.seed, case=options.case)
            found[suite] = soak.soak_suite(
                batch, n_step, options.seed, suite, bar.update, max_growth_mb=options.max_growth_mb
            )
            print(soak.in_words(suite, found[suite]), flush=True)
    steps = sum(figures["steps"] for figures in found.values())
    seconds = time.perf_counter() - began
    print(f"{steps:,.0f} steps in {seconds:.0f} s, {soak.peak_mb():.0f} MB at most: nothing found")
    return found | {"total": {"steps": steps, "seconds": seconds, "peak_mb": soak.peak_mb()}}


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 nothing found, 1 something found or not done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, lambda options: command_line.write_json(options.json, run(options)), arguments,
        about=__doc__, writes=["json"], single_thread=True, stopped=command_line.NOTHING_WRITTEN,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
