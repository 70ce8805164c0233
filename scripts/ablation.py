"""Trains the recommended recipe with one switch changed at a time, and says what each switch is worth.

    python scripts/ablation.py [--variants a,b] [--seeds 3] [--total-episodes 500] [--out runs/ablation]

Every variant is trained with every seed on the same episodes and judged on the same validation episodes of each
condition in --judge_scenarios, by the policy the run ends with and by its best one. Runs that are already in --out
are not repeated, one that was broken off goes on from its last checkpoint, and only conditions that are new are judged.
The table goes to --out/ablation.json, to --json and to the terminal; --plot draws the learning curves. Controllers
named by --yardsticks play the same episodes, and the table says what each variant costs in units of theirs. Validation
seeds, not the published suites': this chooses recipes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import command_line
import option_checks
from cases.nearest_name import perhaps

if TYPE_CHECKING:
    from marl.training.study import Study

PROGRAM = "ablation.py"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to compare."""

    # Names of the variants, separated by commas; all of them if empty.
    variants: str = ""
    # Runs of each variant, with seeds 0, 1, ...
    seeds: int = 3
    # Episodes of each run.
    total_episodes: int = 500
    # What an agent observes.
    observation: Literal["default", "extended", "memory", "telemetry", "areas", "hierarchy"] = "default"
    # The grid's operating conditions to train in.
    scenario: str = "training"
    # The grid's operating conditions to judge in, separated by commas; rows are ordered by the first.
    judge_scenarios: str = "normal,n1"
    # Validation episodes to judge by in each.
    judge_episodes: int = 64
    # Controllers that learn nothing on the same episodes, separated by commas, such as full_information,linear: the
    # table then has every variant's cost over theirs and how far its return is ahead, with intervals over episodes.
    yardsticks: str = ""
    # Directory of the runs and the table.
    out: str = "runs/ablation"
    # An earlier table, with the same yardsticks on the same episodes and the same first variant: those of its variants
    # that this one lacks stand in it too, and need not be trained again.
    beside: str = ""
    # File for a copy of the table; none if empty.
    json: str = ""
    # Picture of the learning curves, .png, .svg or .pdf; none if empty.
    plot: str = ""
    # Runs at a time, one thread each.
    workers: int = 1
    # Train on a Ray cluster, --workers runs at a time: local, auto or HOST:PORT (extra `ray`). --out has to be a
    # directory that all its nodes share.
    ray: str = ""
    # Train what is missing; without it the table is of the runs that are done.
    train: bool = True


def listed(names: str) -> tuple[str, ...]:
    """The names between commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def study_of(arguments: Arguments) -> Study:
    """The study that is asked for.

    Raises:
        OptionError: there is no such variant.
    """
    from marl.training.study import Study
    from marl.training.variants import VARIANTS

    names = listed(arguments.variants) if arguments.variants else tuple(VARIANTS)
    for name in names:
        if name not in VARIANTS:
            raise command_line.OptionError(
                f"no variant {name}{perhaps(name, VARIANTS)}, only {', '.join(VARIANTS)}"
            )
    return Study(
        names=names,
        seeds=arguments.seeds,
        total_episodes=arguments.total_episodes,
        observation=arguments.observation,
        scenario=arguments.scenario,
        judge_scenarios=listed(arguments.judge_scenarios),
        judge_episodes=arguments.judge_episodes,
        out=Path(arguments.out).absolute() if arguments.ray else Path(arguments.out),
        workers=arguments.workers,
        train=arguments.train,
    )


def compare(arguments: Arguments) -> None:
    """Runs what is missing, and writes and prints the table.

    Raises:
        OptionError: --plot is no picture, --beside has no yardsticks to go by or is no such table.
        ResultError: none of the runs is there and none is to be trained.
        ComparisonError: a yardstick is no controller.
    """
    from control.evaluation.contender import ComparisonError
    from marl.cluster.tasks import pool_on
    from marl.environment.study_world import grid_world
    from marl.environment.yardsticks import (
        TableError,
        joined,
        measured,
        played,
        read_table,
        retold,
        yardsticks_named,
    )
    from marl.training import study as engine
    from marl.training.study_report import draw, report, table

    study, world = study_of(arguments), grid_world()
    try:
        yardsticks = yardsticks_named(arguments.yardsticks)
    except ComparisonError as error:
        raise command_line.OptionError(f"--yardsticks: {error}") from error
    plot, copy = (Path(file) if file else None for file in (arguments.plot, arguments.json))
    if plot is not None and plot.suffix not in option_checks.PICTURES:
        expected = ", ".join(option_checks.PICTURES)
        raise command_line.OptionError(f"--plot {plot}, expected a file ending in {expected}")
    own = study.out / "ablation.json"
    for option, path in (("out", own), ("json", copy), ("plot", plot)):
        option_checks.require_writable(option, path)
    engine.check(study, world)
    earlier, returns = [], {}
    try:
        if arguments.beside:
            earlier = read_table(Path(arguments.beside), [one.name for one in yardsticks], study)
        if yardsticks:  # first, as they say whether that table is of these episodes
            config = engine.recipe(study.names[0], study, 0, world)
            seeds = engine.judged_seeds(config, study.judge_episodes, world)
            returns = played(yardsticks, study, dict.fromkeys(study.judge_scenarios, seeds))
        if arguments.beside:
            earlier, changed = retold(earlier, yardsticks, returns)
            if changed:
                print(f"--beside: told anew, or left out where no episodes are kept: {', '.join(changed)}")
    except TableError as error:
        raise command_line.OptionError(f"--beside: {error}") from error
    with pool_on(arguments.ray) as pool:
        results = engine.results(study, world, partial(print, flush=True), pool)
    rows = told = table(results, study.judge_scenarios)
    if yardsticks:
        rows = joined(measured(rows, results, yardsticks, returns), earlier)
    for path in (own, copy):
        command_line.write_json(path, rows)
    if plot is not None:
        draw(results, plot)
    print("\n".join(report(told)))
    if yardsticks:
        print("\n".join(beside_yardsticks(rows, [one.name for one in yardsticks])))


def beside_yardsticks(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Every variant's cost in units of each yardstick's, with its interval, as lines of text."""
    lines = []
    for name in names:
        for scenario in rows[0]["returns"]:
            lines += ["", f"cost / {name}, {scenario}"]
            for row in rows:
                ratio = row.get(f"cost_ratio_to_{name}", {}).get(scenario)
                told = "-" if ratio is None else "{mean:.3f} ({low:.3f} to {high:.3f})".format(**ratio)
                lines.append(f"{row['variant']:28s} {told}")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong option, 130 stopped."""
    stopped = "stopped; the same command goes on with the runs that are missing"
    # Runs share the cores, so a thread each.
    return command_line.run(
        PROGRAM, Arguments, compare, arguments, about=__doc__, single_thread=True, stopped=stopped
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
