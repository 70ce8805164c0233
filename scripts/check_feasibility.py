"""Proves that the task can be solved: what perfect information could reach in each suite's held-out episodes.

For every episode the imbalance is recorded, the perfect-information program over one mass is solved for it, and its
plan is played in the full simulator; `control/evaluation/feasibility.py` states the model. Violations that
occur whatever the
fleet does are counted apart. Exit status 1 if the plan misses what is asked of suite `normal`: within 0.2 Hz for
99 % of the time and never beyond 0.5 Hz.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line

PROGRAM = "check_feasibility.py"
SUITES = ("normal", "n1", "renewable_ramp", "shift")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to check."""

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
        for name in ("episodes", "intervals"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise command_line.OptionError(f"--{name} {value}, expected at least 1")


def check(options: Options) -> dict[str, dict[str, Any]]:
    """Figures of every suite asked for, {suite: figures}."""
    from dataclasses import replace

    from cases.ieee68 import load_ieee68
    from control.controllers.simple import RandomActions
    from control.evaluation.feasibility import CORRECTIONS, certify, report, suite_figures
    from control.evaluation.grid_record import ByPlant, Figures
    from control.evaluation.rollout import rollout
    from control.evaluation.suite_runner import EPISODES_OF_A_FILE, evaluation_seeds
    from control.scenario.file import scenario_named
    from control.scenario.suites import HELD_OUT
    from marl.environment.batch import make_batch

    found, case = {}, load_ieee68()
    # All of them first: a wrong one is told before any is played.
    for suite, scenario in {suite: scenario_named(suite, case) for suite in options.suites}.items():
        # The same episodes as scripts/evaluate.py plays.
        held = HELD_OUT[suite].count if suite in HELD_OUT else None
        n_episode = options.episodes or held or EPISODES_OF_A_FILE
        seeds = evaluation_seeds(suite, n_episode if held is None else min(n_episode, held))
        if options.intervals is not None:
            scenario = replace(scenario, n_intervals=options.intervals)
        batch = make_batch(scenario, len(seeds))
        # Random and no actions, each plan solved and played; the ends of the range come on top where they are needed.
        steps = (3 + CORRECTIONS) * scenario.n_intervals + (1 + CORRECTIONS) * len(seeds)
        with command_line.progress_bar(steps, desc=suite) as bar:

            def tick(bar: Any = bar) -> None:
                bar.update()

            actor = RandomActions(batch.loop.fleet, batch.n_env)
            random = rollout(actor, ByPlant(batch), seeds, Figures, tick)
            found[suite] = suite_figures(certify(batch, seeds, tick), random)
        print(report(suite, found[suite]), flush=True)
    return found


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 the task can be solved, 1 it cannot or could not be checked, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    command_line.one_thread()

    def work() -> int:
        command_line.require_writable("json", options.json)
        found = check(options)
        if options.json is not None:
            command_line.write_json(options.json, found)
        from control.evaluation.feasibility import solvable

        if "normal" not in found or solvable(found["normal"]):
            return 0
        print("normal: the plan misses 0.2 Hz for 99 % of the time or leaves 0.5 Hz.", file=sys.stderr)
        return 1

    return command_line.attempt(PROGRAM, work, stopped="stopped, nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
