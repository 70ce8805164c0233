"""Measures how fast the simulator and the learner are on one core, absolutely and against the same work on `runpp`.

python scripts/benchmark.py --json results/benchmark.json
python scripts/benchmark.py --keys update_s act_64_ms
python scripts/benchmark.py --against v0.1 --repeats 9

Everything is measured in one run, in turns. All rounds do the same work, which what else runs on the machine can only
slow down: where a median of the rounds stands beside a figure, the figure is the fastest round's, and the median tells
how busy the machine was. All other figures are medians, ratios those of ratios taken within a round. The step on
`runpp` is the coupled step with its power flow replaced by pandapower's, warm-started from its last result.

With --against the given git revision is built in a temporary worktree and both are played in turn, round by round; the
ratios are medians over rounds of ours over theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
import option_checks
from benchmarks.figures import FIGURES, LARGE_GRIDS, MEDIANS, OF_CLUSTER, OF_LEARNER, WHOLE, rows, summary

PROGRAM = "benchmark.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure."""

    json: Path | None = None
    """File to write the figures to."""
    repeats: int = 5
    """Rounds; of speeds and times the fastest is reported, of ratios the median."""
    large_grids: bool = False
    """Power flow on 300 to 9,241 buses and environments on 300 and 1,354 too, which takes minutes; naming a figure of
    theirs by --keys does the same."""
    learner: bool = True
    """Measure the learner too."""
    whole_training: bool = False
    """And the default training from its start to its end, which takes minutes; naming a figure of it does the same."""
    keys: tuple[str, ...] | None = None
    """Only these figures, by their keys in the JSON file; if none is named all but those of a Ray cluster."""
    against: str | None = None
    """A git revision to compare with, round by round."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, repeats=1)
        if self.keys == ():
            raise command_line.OptionError(f"--keys names no figure, expected of {', '.join(FIGURES)}")
        for key in self.keys or ():
            if key not in FIGURES:
                raise command_line.OptionError(f"no figure is called {key}, expected of {', '.join(FIGURES)}")


def wanted_of(options: Options) -> set[str]:
    """Keys of the figures that are asked for."""
    left_out = OF_CLUSTER
    if not options.large_grids:
        left_out = left_out | LARGE_GRIDS
    if not options.whole_training:
        left_out = left_out | WHOLE
    wanted = set(options.keys or FIGURES.keys() - left_out)
    return wanted if options.learner else wanted - OF_LEARNER


def measure(options: Options) -> dict[str, list[float]]:
    """All figures asked for, {key: its values, one or more a round}."""
    from benchmarks import (
        batch_size,
        cluster,
        dynamics,
        first_step,
        learner,
        own_grids,
        planning,
        power_flow,
        processes,
        reduced,
        security,
        simulator,
        whole_training,
    )

    wanted = wanted_of(options)
    parts: dict[str, Callable[[], Mapping[str, Any]]] = {
        "simulator": lambda: simulator.measure(options.repeats),
        "own_grids": lambda: own_grids.measure(sorted(wanted), options.repeats),
        "batch_size": lambda: batch_size.measure(options.repeats),
        "reduced": lambda: reduced.measure(options.repeats),
        "power_flow": lambda: power_flow.measure(sorted(wanted)),
        "first_step": lambda: first_step.measure(options.repeats),
        "security": security.contingency_times,
        "dynamics": dynamics.measure,
        "planning": planning.measure,
        "processes": processes.measure,
        "training": processes.measure_training,
        "whole_training": whole_training.measure,
        "cluster": cluster.measure,
        "learner": lambda: learner.measure(options.repeats),
    }
    found: dict[str, list[float]] = {}
    for part, measured in parts.items():
        keys = {key for key in wanted if FIGURES[key].part == part}
        if keys:
            values = measured()
            found |= {key: v if isinstance(v, list) else [v] for key, v in values.items() if key in keys}
    return found


def compare(options: Options, revision: str) -> dict[str, Any]:
    """Measures both revisions and prints their medians and the ratios; what the JSON file holds."""
    from statistics import median

    from benchmarks import revisions

    keys = [key for key in options.keys or revisions.KEYS if options.learner or key not in OF_LEARNER]
    with revisions.checked_out(revision) as other:
        print(f"{revision} is played by {other.environment}", flush=True)
        with revisions.probes(revisions.here(), other) as (mine, theirs):
            found = revisions.measure_in_turns(mine, theirs, keys, options.repeats)
    ratios = revisions.ratios(found)
    print(f"{'medians of the rounds':68s}{'here':>12}{revision[:12]:>14}{'ratio':>9}")
    ours = {key: median(a for a, _ in values) for key, values in found.items()}
    for key, values in found.items():
        text, form = FIGURES[key].words, FIGURES[key].form
        better = "faster" if (ratios[key] > 1.0) == ("_per_s" in key) else "slower"
        print(
            f"{text:68s}{ours[key]:>12{form}}{median(b for _, b in values):>14{form}}{ratios[key]:>9.3f} {better}"
        )
    left_out = [key for key in keys if key not in found]
    if left_out:
        print(f"not measured in both: {', '.join(left_out)}")
    return ours | {"against": {"revision": revision, "ratios": ratios}}


def work(options: Options) -> None:
    """Measures, prints and writes."""
    if options.against is not None:
        found = compare(options, options.against)
    else:
        figures, medians = summary(measure(options))
        print(f"{'':68s}{'figure':>14}{'median':>14}")
        for text, figure, middle in rows(figures, medians):
            print(f"{text:68s}{figure:>14}{middle:>14}")
        found = figures | {MEDIANS: medians}
    command_line.write_json(options.json, found)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
