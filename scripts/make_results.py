"""Makes results anew: baselines, policies and results/*.json, by the commands that are recorded for them.

python scripts/make_results.py             all that is shipped and is not there for the present sources
python scripts/make_results.py --studies   long studies as well: many seeds, soak, kills, damaged inputs
python scripts/make_results.py --list      the steps, how long each takes, and whether it is done
python scripts/make_results.py --only presets,controllers

The steps stand in results/plan.toml. A run that was stopped goes on with the step that it was in, whose own command
goes on where it was if it can; what is left of runs on other sources is set aside first, in runs/results. After each
step it is said which figures differ from the recorded ones.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import command_line
import option_checks

if TYPE_CHECKING:
    from control.evaluation.result_plan import Plan, Step

PROGRAM = "make_results.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to make."""

    only: str = ""
    """Steps to make, studies too, separated by commas; all if empty."""
    studies: bool = False
    """Make the studies as well, on which nothing that is shipped depends: a night."""
    list: bool = False
    """Show the steps, make nothing."""
    tolerance: float = 0.01
    """Share by which a figure may differ from the recorded one without being told."""
    shown: int = 12
    """Differences that are shown of a step; the others are counted."""
    root: Path = command_line.ROOT
    """Folder of the project."""
    plan: Path = command_line.ROOT / "results" / "plan.toml"
    """The steps."""
    state: Path = command_line.ROOT / "runs" / "results" / "done.json"
    """Where it is kept which steps are done."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, shown=0, tolerance=0)


def words(command: str) -> list[str]:
    """A command as it is carried out: by this Python, without a shell."""
    parts = shlex.split(command)
    return [sys.executable, *parts[1:]] if parts[0] == "python" else parts


def make(plan: Plan, step: Step, options: Options) -> None:
    """Carry out one step and tell what differs.

    Raises:
        WorkFailed: a command failed, or what it should have written is not there.
        KeyboardInterrupt: a signal ended a command.
    """
    from control.evaluation.result_plan import differences

    before, began = plan.results(step), time.monotonic()
    for command in step.commands:
        print(f"  {command}", flush=True)
        status = subprocess.run(words(command), cwd=plan.root, check=False).returncode
        if status == 130 or status < 0:
            raise KeyboardInterrupt
        if status:
            raise command_line.WorkFailed(f"step {step.name}: exit status {status} of: {command}")
    missing = plan.missing(step)
    if missing:
        raise command_line.WorkFailed(f"step {step.name} has not written {', '.join(missing)}")
    found = list(differences(before, plan.results(step), options.tolerance))
    print(f"  done in {(time.monotonic() - began) / 60.0:.1f} min; {len(found)} figures differ from before")
    for difference in found[: options.shown]:
        print(f"    {difference}")
    if len(found) > options.shown > 0:
        print(f"    and {len(found) - options.shown} more")


def work(options: Options) -> None:
    """Make or show the chosen steps.

    Raises:
        OptionError: --only names no step.
        WorkFailed: see `make`.
    """
    from control.evaluation.result_plan import PlanError, read_plan

    try:
        plan = read_plan(options.root, options.plan, options.plan.with_name("commands.toml"))
        names = [name.strip() for name in options.only.split(",") if name.strip()]
        steps = plan.chosen(names, studies=options.studies or options.list)
    except PlanError as error:
        raise command_line.OptionError(str(error)) from error
    known: dict[str, Any] = {}
    if options.state.is_file():
        known = json.loads(options.state.read_text(encoding="utf-8"))
    if options.list:
        for step in steps:
            done = plan.is_done(step, known.get(step.name))
            of = "  a study" if step.study else ""
            print(f"{step.name:20s} {step.minutes:6.0f} min  {'done' if done else 'to do'}{of}")
        minutes = {
            study: sum(step.minutes for step in steps if step.study == study) for study in (False, True)
        }
        print(
            f"{'all':20s} {minutes[False]:6.0f} min on two cores, and {minutes[True]:.0f} min of studies (--studies)"
        )
        return
    for number, step in enumerate(steps, start=1):
        head = f"[{number}/{len(steps)}] {step.name}"
        if plan.is_done(step, known.get(step.name)):
            print(f"{head}: is there")
            continue
        print(f"{head}: about {step.minutes:.0f} min", flush=True)
        key = plan.key(step)
        if known.get(step.name, {}).get("begun") != key:
            aside = options.state.parent / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
            for path in plan.set_aside(step, aside):
                print(f"  {path.relative_to(plan.root)} is of other sources: moved to {aside}")
            known[step.name] = {"begun": key}
            command_line.write_json(options.state, known, indent=1)
        make(plan, step, options)
        known[step.name] = plan.record(step)
        command_line.write_json(options.state, known, indent=1)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 a step failed, 2 wrong option, 130 stopped."""
    stopped = "stopped; the same command goes on from here"
    return command_line.run(PROGRAM, Options, work, arguments, about=__doc__, stopped=stopped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
