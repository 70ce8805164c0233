"""Kills training, tuning, a study, an evaluation and exports at random instants, and looks at what is left of them.

python scripts/kills.py --json kills.json
python scripts/kills.py --kills 30 --kinds training evaluation
python scripts/kills.py --json kills.json --go-on

Each kind of work is done once without a kill, in small. Then it is begun again and again, each time ended by SIGKILL,
its process with those that it started, after a random share of the time that it takes, and taken up by the command
that a user would type. Looked for after each kill: a file that is there and cannot be read, or that is written once
and is not whole. After each run that came to its end: a result that differs from that of the run that was never
killed. Reading modules and kernels is most of the time of a small run, so nine of ten runs are forked from a process
that has read them, where kills fall into the work; the tenth is killed from its first instant on. Figures are written
after each run; --go-on adds to those of --json. Exit status 1 if anything is found.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import command_line
import option_checks
from command_line import ROOT
from marl.verification.killing import Found, Torment, Work

PROGRAM = "kills.py"
MODEL = ROOT / "marl" / "data" / "recommended_seed0.pt"
COUNTS = ("kills", "kills_of_new_processes", "runs")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often, and what."""

    kills: int = 1000
    """Kills in all, shared by the kinds."""
    kinds: tuple[str, ...] = (
        "training", "two_models", "imitation", "tuning", "ablation", "evaluation", "episode", "policy",
    )  # fmt: skip
    """Kinds of work: training, two_models (training on the reduced model first), imitation (training that
    begins as an expert acts), tuning, ablation, evaluation (its table and report), episode (its page, film and
    tables), policy (as an ONNX file)."""
    seed: int = 0
    """Of the instants."""
    json: Path | None = None
    """File to write the figures to."""
    go_on: bool = False
    """Add to the figures that --json holds, until there are as many kills as asked for."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, kills=1, seed=0)
        if self.go_on and self.json is None:
            raise command_line.OptionError("--go-on adds to the figures of --json: name the file")
        if not self.kinds:
            raise command_line.OptionError("--kinds names none, expected at least one")
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


def _two_models(place: Path) -> list[str]:
    return [*_training(place), "--reduced-episodes", "8"]


def _imitation(place: Path) -> list[str]:
    return [
        *_training(place),
        "--start", "dagger:linear", "--imitation-steps", "64", "--imitation-envs", "2", "--imitation-rounds", "4",
        "--imitation-epochs", "1",
    ]  # fmt: skip


def _training_again(begin: Callable[[Path], list[str]], place: Path) -> list[str]:
    """From its last checkpoint, of either part; where there is none yet, from the beginning."""
    from marl.training.run_directory import has_begun

    if not has_begun(place / "run"):
        return begin(place)
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


def _episode(place: Path) -> list[str]:
    short = place / "short.toml"
    if not short.exists():
        command_line.write_text(short, "n_intervals = 8\n")
    return [
        _script("evaluate.py"),
        "--model-path", str(MODEL), "--scenario", str(short), "--page", str(place / "page.html"), "--video",
        str(place / "film.gif"), "--frames", "4", "--export", str(place / "tables"),
    ]  # fmt: skip


def _policy(place: Path) -> list[str]:
    return [_script("export_policy.py"), "--model-path", str(MODEL), "--out", str(place / "policy.onnx")]


_RUN = ("run/*.pt", "run/metrics.csv", "run/training_stats.json", "models/*.pt")
_EPISODE = ("page.html", "film.gif", "tables/*.csv")
WORK: Mapping[str, Work] = {
    "training": Work(_training, partial(_training_again, _training), _RUN),
    "two_models": Work(
        _two_models,
        partial(_training_again, _two_models),
        (*_RUN, "run/reduced/*.pt", "run/reduced/metrics.csv"),
    ),
    "imitation": Work(_imitation, partial(_training_again, _imitation), _RUN),
    "tuning": Work(_tuning, _tuning, ("state/*.json", "out/*.json"), once=("out/*.json",)),
    "ablation": Work(
        _ablation, _ablation, ("study/*/result.json", "study/*/*.pt", "table.json"), once=("table.json",)
    ),
    "evaluation": Work(
        _evaluation,
        _evaluation,
        ("cache/*.npz", "table.json", "report.md", "report_*.png"),
        once=("cache/*.npz", "table.json", "report.md", "report_*.png"),
    ),
    "episode": Work(_episode, _episode, _EPISODE, once=_EPISODE),
    "policy": Work(_policy, _policy, ("policy.onnx",), once=("policy.onnx",)),
}
# Of the kills: a study takes five times as long as the others.
WEIGHT = {"ablation": 0.2}


def read_in_advance() -> None:
    """Modules and kernels of all kinds of work, for what is forked from this process."""
    from marl.environment import make_batch

    for name in ("train_mappo", "tune_baselines", "ablation", "evaluate", "export_policy"):
        importlib.import_module(name)
    for name in (
        "marl.environment.grid_training", "marl.environment.study_world", "marl.training.study", "marl.onnx_export",
        "marl.environment.policy_report", "onnx", "onnxruntime", "matplotlib.pyplot",
    ):  # fmt: skip
        with contextlib.suppress(ImportError):  # of an extra
            importlib.import_module(name)
    for n in (1, 2, 4):
        make_batch("training", n).reset()
    make_batch("training", 4, physics="reduced").reset()


def shares(kills: int, kinds: Sequence[str]) -> dict[str, int]:
    """Kills of each kind, in all as many as asked for."""
    weight = [WEIGHT.get(kind, 1.0) for kind in kinds]
    ends = [round(kills * sum(weight[: k + 1]) / sum(weight)) for k in range(len(kinds))]
    return {kind: end - begin for kind, begin, end in zip(kinds, [0, *ends[:-1]], ends, strict=True)}


def earlier(options: Options) -> dict[str, dict[str, float]]:
    """Figures of the kinds so far, where they are to be added to.

    Raises:
        OptionError: --json holds none.
    """
    if not options.go_on or options.json is None or not options.json.exists():
        return {}
    try:
        found = json.loads(options.json.read_text(encoding="utf-8"))
        # Counts as they were counted, and whatever else is told of a kind: this may not be the one that goes on.
        return {
            kind: {**found[kind], **{k: int(found[kind][k]) for k in COUNTS}}
            for kind in found
            if kind in WORK
        }
    except (ValueError, KeyError, TypeError) as error:
        raise command_line.OptionError(
            f"--json {options.json}: holds no figures of kills to go on from"
        ) from error


def kill(options: Options) -> None:
    """A run of each kind in turn, until there have been as many kills as asked for.

    Raises:
        WorkFailed: something was found.
    """
    figures = earlier(options)
    most = shares(options.kills, options.kinds)

    def left(kind: str) -> int:
        return most[kind] - int(figures.get(kind, {}).get("kills", 0))

    from tqdm import tqdm

    tqdm.monitor_interval = 0  # a thread of its own, which what is forked would lack
    read_in_advance()
    done = {kind: most[kind] - max(0, left(kind)) for kind in most}
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as folder,
        command_line.progress_bar(options.kills, " kills", initial=sum(done.values())) as bar,
    ):
        torments: dict[str, Torment] = {}
        try:
            while any(left(kind) > 0 for kind in options.kinds):
                for kind in options.kinds:
                    if left(kind) <= 0:
                        continue
                    if kind not in torments:
                        torments[kind] = Torment(
                            kind, WORK[kind], Path(folder), options.seed, so_far=figures.get(kind)
                        )
                    torments[kind].run(left(kind), bar.update)
                    figures[kind] = torments[kind].figures
                    command_line.write_json(options.json, _with_total(figures))
        except Found as error:
            raise command_line.WorkFailed(str(error)) from error
    total = _with_total(figures)["total"]
    print(
        f"{total['kills']:.0f} kills, {total['runs']:.0f} runs that came to their end: every file whole, every result "
        "that of the run that was never killed"
    )


def _with_total(figures: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    return {**figures, "total": {what: sum(its[what] for its in figures.values()) for what in COUNTS}}


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 nothing found, 1 something found or not done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM,
        Options,
        kill,
        arguments,
        about=__doc__,
        writes=["json"],
        single_thread=True,
        stopped="stopped; what was counted is in --json, and --go-on goes on from it",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
