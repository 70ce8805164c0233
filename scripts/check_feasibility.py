"""Proves that the task can be solved: what perfect information could reach in each suite's held-out episodes.

For every episode the imbalance is recorded, the perfect-information program over one mass is solved for it, and its
plan is played in the full simulator; `control/evaluation/feasibility.py` states the model. Violations that occur
whatever the fleet does are counted apart. Exit status 1 if the plan misses what is asked of suite `normal`: within
0.2 Hz for 99 % of the time and never beyond 0.5 Hz.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
import option_checks

PROGRAM = "check_feasibility.py"
SUITES = ("normal", "n1", "renewable_ramp", "shift")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to check."""

    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    suites: tuple[str, ...] = SUITES
    """Suites to check, or files of your own."""
    episodes: int | None = None
    """Only the first episodes of each suite; all held-out ones by default, 20 of a file."""
    intervals: int | None = None
    """Only the beginning of each episode, in intervals of 4 s."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise command_line.OptionError("--suites names none, expected at least one")
        option_checks.require_at_least(self, episodes=1, intervals=1)


def check(options: Options) -> dict[str, dict[str, Any]]:
    """Figures of every suite asked for, {suite: figures}."""
    from dataclasses import replace
    from functools import partial

    from control.evaluation.feasibility import check_suite, n_tick, report
    from control.evaluation.suite_seeds import seeds_there_are
    from control.scenario.file import scenario_named
    from control.scenario.task_grid import open_task_grid
    from marl.environment.batch import make_batch

    found, case = {}, open_task_grid(options.case).case
    # All of them first: a wrong one is told before any is played.
    for suite, scenario in {suite: scenario_named(suite, case) for suite in options.suites}.items():
        # The same episodes as scripts/evaluate.py plays.
        seeds = seeds_there_are(suite, options.episodes)
        if options.intervals is not None:
            scenario = replace(scenario, n_intervals=options.intervals)
        with command_line.progress_bar(n_tick(scenario.n_intervals, len(seeds)), desc=suite) as bar:
            batch = make_batch(scenario, len(seeds), case=options.case)
            found[suite] = check_suite(batch, seeds, partial(bar.update, 1))
        print(report(suite, found[suite]), flush=True)
    return found


def work(options: Options) -> int:
    """Checks and writes; the exit status."""
    found = check(options)
    command_line.write_json(options.json, found)
    from control.evaluation.feasibility import solvable

    if "normal" not in found or solvable(found["normal"]):
        return 0
    print("normal: the plan misses 0.2 Hz for 99 % of the time or leaves 0.5 Hz.", file=sys.stderr)
    return 1


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 the task can be solved, 1 it cannot or could not be checked, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True,
        stopped=command_line.NOTHING_WRITTEN,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
