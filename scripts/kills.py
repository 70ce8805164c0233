"""Kills training, tuning, a study and an evaluation at random instants, and looks at what is left and becomes of it.

python scripts/kills.py
python scripts/kills.py --kills 30 --kinds training evaluation --json kills.json

Each kind of work is done once without a kill, in small. Then it is begun again and again, each time ended by SIGKILL,
its process with those that it started, after a random share of the time that it takes, and taken up by the command
that a user would type. Looked for after each kill: a file that is there and cannot be read. After each run that came
to its end: a result that differs from that of the run that was never killed. Exit status 1 if any is found.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
from command_line import ROOT
from marl.verification.killing import Found, Work, torment

PROGRAM = "kills.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often, and what."""

    kills: int = 1000
    """Kills in all, shared by the kinds."""
    kinds: tuple[str, ...] = ("training", "tuning", "ablation", "evaluation")
    """Kinds of work: training, tuning, ablation, evaluation (with its table and its page written)."""
    seed: int = 0
    """Of the instants."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        command_line.require_at_least(self, kills=1, seed=0)
        for kind in self.kinds:
            if kind not in WORK:
                raise command_line.OptionError(f"no kind {kind!r}, expected of {', '.join(WORK)}")


def _script(name: str) -> str:
    return str(ROOT / "scripts" / name)


def _training(place: Path) -> list[str]:
    return [
        _script("train_mappo.py"),
        "--total-episodes", "16", "--episode-steps", "16", "--n-envs", "4", "--buffer-steps", "64",
        "--minibatch-steps", "32", "--actor-hidden", "32", "--critic-hidden", "32", "--device", "cpu",
        "--no-tensorboard", "--no-eval-process", "--eval-every", "2", "--eval-episodes", "2", "--checkpoint-every",
        "1", "--out", str(place / "run"), "--checkpoints", str(place / "models"),
    ]  # fmt: skip


def _training_again(place: Path) -> list[str]:
    """From its checkpoint; where there is none yet or all is trained, what is left to do."""
    if not (place / "run" / "checkpoint_last.pt").exists():
        return _training(place)
    return [
        _script("train_mappo.py"),
        "--resume", str(place / "run"), "--no-tensorboard", "--checkpoints", str(place / "models"),
    ]  # fmt: skip


def _tuning(place: Path) -> list[str]:
    return [
        _script("tune_baselines.py"),
        "--only", "local_pi", "--candidates", "4", "--seeds", "2", "--n-intervals", "5",
        "--validation-episodes", "2", "--generations", "6", "--state", str(place / "state"), "--out",
        str(place / "out"),
    ]  # fmt: skip


def _ablation(place: Path) -> list[str]:
    return [
        _script("ablation.py"),
        "--variants", "recommended", "--seeds", "1", "--total-episodes", "9", "--judge-episodes", "2",
        "--judge-scenarios", "normal", "--out", str(place / "study"), "--json", str(place / "table.json"),
    ]  # fmt: skip


def _evaluation(place: Path) -> list[str]:
    return [
        _script("evaluate.py"),
        "--suite", "normal", "--n-episodes", "2", "--policies", "do_nothing,local_pi,agc",
        "--workers", "1", "--reference", "do_nothing", "--cache", str(place / "cache"), "--json",
        str(place / "table.json"), "--report", str(place / "report.md"),
    ]  # fmt: skip


WORK: Mapping[str, Work] = {
    "training": Work(
        _training, _training_again, ("run/*.pt", "run/metrics.csv", "run/training_stats.json", "models/*.pt")
    ),
    "tuning": Work(_tuning, _tuning, ("state/*.json", "out/*.json")),
    "ablation": Work(_ablation, _ablation, ("study/*/result.json", "study/*/*.pt", "table.json")),
    "evaluation": Work(_evaluation, _evaluation, ("cache/*.npz", "table.json", "report.md", "report_*.png")),
}


def kill(options: Options) -> None:
    """All kinds in turn.

    Raises:
        WorkFailed: something was found.
    """
    rng = random.Random(options.seed)
    shares = [options.kills * (k + 1) // len(options.kinds) - options.kills * k // len(options.kinds)
              for k in range(len(options.kinds))]  # fmt: skip
    figures: dict[str, Any] = {}
    with command_line.progress_bar(options.kills, " kills") as bar:
        for kind, share in zip(options.kinds, shares, strict=True):
            try:
                figures[kind] = torment(kind, WORK[kind], share, rng, bar.update)
            except Found as error:
                raise command_line.WorkFailed(str(error)) from error
    figures["total"] = {what: sum(f[what] for f in figures.values()) for what in ("kills", "runs")}
    print(
        f"{figures['total']['kills']} kills, {figures['total']['runs']} runs that came to their end: every file whole, "
        "every result that of the run that was never killed"
    )
    command_line.write_json(options.json, figures)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 nothing found, 1 something found or not done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM,
        Options,
        kill,
        arguments,
        about=__doc__,
        writes=["json"],
        stopped=command_line.NOTHING_WRITTEN,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
