"""Damages what users hand in, input after input, and looks whether each ends in one clear line.

python scripts/fuzz.py
python scripts/fuzz.py --inputs 500 --kinds scenario command_line --json fuzz.json

Scenario files, grids (grid files with their tables, pandapower nets, MATPOWER's .m and .mat), the metrics,
configuration, checkpoint and model of a run, and command lines are changed at random: bits and bytes, numbers that
nobody can compute with, missing, repeated and nested pieces. Every one has to be taken or refused by the exception
meant for it, in one line and without warnings beside it; a grid that is taken has a power flow of finite voltages.
Exit status 1 if one ends otherwise; it is written to --out then. Inputs are taken by a process of their own where the
system can fork: one that dies of an input is told of as any other wrong end, and the rest is tried all the same.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import command_line
import option_checks
from control.evaluation.damage import Counts, Way, damaged_words, try_damaged

PROGRAM = "fuzz.py"
KINDS = (
    "scenario", "grid_file", "pandapower", "matpower", "mat", "metrics", "config", "checkpoint", "model",
    "command_line",
)  # fmt: skip
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("train_mappo", ("--total-episodes", "4", "--seed", "1", "--lr-actor", "1e-3", "--no-tensorboard")),
    ("evaluate", ("--model-path", "m.pt", "--n-episodes", "3", "--report", "r.html", "--seed", "0", "--compare")),
    ("plot_response", ("--load", "load 41", "--step-mw", "500", "--level", "area", "--duration-s", "10")),
    ("plot_network", ("--outage", "54-53 #2", "21-68", "--load-level", "0.9", "--dpi", "100")),
    ("screen_contingencies", ("--load-level", "0.6", "--wind", "0.2", "--engine", "newton", "--top", "5")),
    ("soak", ("--full-steps", "20000", "--suites", "normal", "n1", "--max-growth-mb", "100")),
    ("tune_baselines", ("--workers", "1", "--seed", "3")),
    ("ablation", ("--variants", "a,b", "--seeds", "3", "--out", "runs/x")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """How many, of what."""

    inputs: int = 10_000
    """Damaged inputs of each kind."""
    kinds: tuple[str, ...] = KINDS
    """Which: scenario, grid_file, pandapower, matpower, mat, metrics, config, checkpoint, model, command_line."""
    seed: int = 0
    """Of the damage."""
    out: Path = Path("fuzz")
    """Directory that receives inputs that ended wrongly."""
    json: Path | None = None
    """File to write the counts to."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, inputs=1, seed=0)
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            named = unknown[0] if unknown else "none"
            raise command_line.OptionError(f"--kinds {named}, expected of {', '.join(KINDS)}")


class _Refused(Exception):
    """A command line was refused with status 2 and these words."""


def command_lines(directory: Path) -> Way:
    """Damaged command lines of the scripts."""
    from marl.config.check import ConfigError

    scripts = {name: importlib.import_module(name) for name, _ in COMMANDS}

    def make(rng: random.Random) -> bytes:
        name, words = rng.choice(COMMANDS)
        return json.dumps([name, *damaged_words(words, rng)]).encode()

    def take(content: bytes) -> None:
        name, *words = json.loads(content)
        module, told = scripts[name], io.StringIO()
        try:
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
                if name == "train_mappo":
                    module.parse(words)
                else:
                    options = module.Options if hasattr(module, "Options") else module.Arguments
                    command_line.parse(options, program=name, description="", arguments=words)
        except SystemExit as end:
            if end.code != 2:
                raise AssertionError(f"exit status {end.code}") from end
            raise _Refused(told.getvalue().removesuffix("\n")) from end

    return make, take, (_Refused, command_line.OptionError, command_line.OutputError, ConfigError)


def ways() -> dict[str, Callable[[Path], Way]]:
    """How each kind of input is made and taken."""
    from control.evaluation import damaged_grids as grids
    from marl.environment import damaged_runs as runs

    return {
        "scenario": grids.scenario,
        "grid_file": grids.grid_file,
        "pandapower": grids.pandapower,
        "matpower": grids.matpower,
        "mat": grids.mat,
        "metrics": runs.metrics,
        "config": runs.config,
        "checkpoint": runs.checkpoint,
        "model": runs.model,
        "command_line": command_lines,
    }


def work(options: Options) -> int:
    """Damages, counts and writes; the exit status."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # a thread of its own, which what is forked would lack
    apart = "fork" in multiprocessing.get_all_start_methods()
    known, found = ways(), dict[str, Counts]()
    with command_line.progress_bar(options.inputs * len(options.kinds), " inputs") as bar:
        for kind in options.kinds:
            found[kind] = counts = try_damaged(
                kind,
                known[kind],
                options.inputs,
                options.seed,
                options.out,
                lambda: bar.update(1),
                apart=apart,
            )
            print(
                f"{kind:14s}{options.inputs:8,d} inputs: {counts.refused:7,d} refused in one line, "
                f"{counts.accepted:7,d} taken, {len(counts.wrong):3d} otherwise; slowest {counts.slowest_s:.2f} s",
                flush=True,
            )
            for line in counts.wrong[:5]:
                print(f"  {line[:300]}", flush=True)
    command_line.write_json(options.json, {kind: asdict(counts) for kind, counts in found.items()})
    return 1 if any(counts.wrong for counts in found.values()) else 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 every input ended well, 1 one did not, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, work, arguments, about=__doc__, writes=["json"], single_thread=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
