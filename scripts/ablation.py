"""Trains the recommended recipe with one switch changed at a time, and says what each switch is worth.

    python scripts/ablation.py [--variants a,b] [--seeds 3] [--total-episodes 500] [--out runs/ablation]

Every variant is trained with every seed on the same episodes and judged on the same validation episodes of each
condition in --judge_scenarios, by the policy the run ends with and by its best one. Runs that are already in --out
are not repeated, one that was broken off goes on from its last checkpoint, and only conditions that are new are judged.
The table goes to --out/ablation.json, to --json and to the terminal; --plot draws the learning curves. Validation
seeds, not the published suites': this chooses recipes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import command_line

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
    observation: Literal["default", "extended"] = "default"
    # The grid's operating conditions to train in.
    scenario: str = "training"
    # The grid's operating conditions to judge in, separated by commas; rows are ordered by the first.
    judge_scenarios: str = "normal,n1"
    # Validation episodes to judge by in each.
    judge_episodes: int = 64
    # Directory of the runs and the table.
    out: str = "runs/ablation"
    # File for a copy of the table; none if empty.
    json: str = ""
    # Picture of the learning curves, .png, .svg or .pdf; none if empty.
    plot: str = ""
    # Runs at a time, one thread each.
    workers: int = 1
    # Train what is missing; without it the table is of the runs that are done.
    train: bool = True


def listed(names: str) -> tuple[str, ...]:
    """The names between commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def study_of(arguments: Arguments) -> Study:
    """The study that is asked for."""
    from marl.training.study import VARIANTS, Study

    return Study(
        names=listed(arguments.variants) or tuple(VARIANTS),
        seeds=arguments.seeds,
        total_episodes=arguments.total_episodes,
        observation=arguments.observation,
        scenario=arguments.scenario,
        judge_scenarios=listed(arguments.judge_scenarios),
        judge_episodes=arguments.judge_episodes,
        out=Path(arguments.out),
        workers=arguments.workers,
        train=arguments.train,
    )


def compare(arguments: Arguments) -> None:
    """Runs what is missing, and writes and prints the table.

    Raises:
        OptionError: --plot is no picture.
        ResultError: none of the runs is there and none is to be trained.
    """
    from marl.environment.study_world import grid_world
    from marl.training import study as engine

    study, world = study_of(arguments), grid_world()
    plot, copy = (Path(file) if file else None for file in (arguments.plot, arguments.json))
    if plot is not None and plot.suffix not in command_line.PICTURES:
        expected = ", ".join(command_line.PICTURES)
        raise command_line.OptionError(f"--plot {plot}, expected a file ending in {expected}")
    for option, path in (("out", study.out / "ablation.json"), ("json", copy), ("plot", plot)):
        command_line.require_writable(option, path)
    engine.check(study, world)
    results = []
    for result in engine.runs(study, world):
        results.append(result)
        judged = ", ".join(
            f"{s} {result['judged'][s]['final']['return']:,.0f}" for s in study.judge_scenarios
        )
        print(
            f"{result['variant']} seed {result['seed']}, trained in {result['elapsed_s']:.0f} s: {judged}",
            flush=True,
        )
    if not results:
        raise engine.ResultError(f"{study.out} holds none of these runs; without --no-train they are done")
    results.sort(key=lambda result: (study.names.index(result["variant"]), result["seed"]))
    rows = engine.table(results, study.judge_scenarios)
    for path in (study.out / "ablation.json", copy):
        if path is not None:
            command_line.write_json(path, rows)
    if plot is not None:
        engine.draw(results, plot)
    print("\n".join(engine.report(rows)))


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong option, 130 stopped."""
    parsed = command_line.parse(
        Arguments, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments
    )
    command_line.one_thread()  # runs share the cores

    return command_line.attempt(
        PROGRAM,
        lambda: compare(parsed),
        stopped="stopped; the same command goes on with the runs that are missing",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
