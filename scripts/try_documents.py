"""Runs what README and documents tell a reader to type, for real, in a folder that is thrown away.

python scripts/try_documents.py
python scripts/try_documents.py --part 2/3
python scripts/try_documents.py --only plot_ validate_power_flow
python scripts/try_documents.py --dry

Commands that take long are run in small, which is said of each. Those that take hours whatever is asked of them, that
want the machine for themselves, and those of other programs are skipped, each with its reason. The last line counts:
"N commands, M ok, K skipped", and how many failed, if any did.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import command_line
import option_checks
from document_commands import ROOT, Command, block_with, script_commands, shell_commands

PROGRAM = "try_documents.py"
FIRST = "docs/own_grid.md"  # trains the small policy that stands for a reader's run in other commands
BASE = "train_mappo --case case39 --total-episodes 16"
RUN = ("runs/RUN", "runs/mine")
LINKED = ("scripts", "marl", "cases", "grid_model", "control", "examples", "README.md", "CONTRIBUTING.md")
ALONE = "measures speed, which wants the machine for itself"
TRAIN = (
    "--total-episodes 4 --episode-steps 20 --n-envs 4 --buffer-steps 80 --minibatch-steps 40 --eval-episodes 2 "
    "--no-tensorboard"
)
ABLATE = "--variants recommended --seeds 1 --total-episodes 4 --judge-episodes 2 --judge-scenarios normal"
# Beginnings of commands that take long, with the options in whose place or beside which they are run in small; the
# first that fits counts. An empty text is a command that is run as it stands.
SMALLER = (
    ("train_mappo --help", ""),
    ("train_mappo --case case39 --total-episodes 16", ""),
    (
        "train_mappo --preset residual --actor gru",
        f"{TRAIN} --sequence-steps 20 --imitation-steps 64 --imitation-envs 4 --imitation-rounds 2",
    ),
    ("train_mappo", TRAIN),
    ("ablation", ABLATE),
    ("tune_baselines", "--candidates 4 --seeds 1 --n-intervals 5 --generations 1 --validation-episodes 1"),
    (
        "soak",
        "--full-steps 800 --reduced-steps 8000 --reduced-envs 16 --pool 2 --intervals 20 --cases rogers --suites n1",
    ),
    ("explain_actions", "--n-episodes 8 --scenarios normal"),
    ("check_feasibility", "--episodes 1 --intervals 50"),
    ("validate_frequency", "--level area"),
    ("evaluate --suite all", "--suite normal --n-episodes 1 --workers 1"),
    ("evaluate --suite normal --seeds", "--seeds 5000:1 --workers 1"),
    ("evaluate --suite", "--n-episodes 1 --workers 1"),
    ("evaluate --case case39 --suite", "--n-episodes 1 --workers 1"),
    ("evaluate --model_path marl/data/recommended_seed0.pt --compare", "--n-episodes 1"),
    ("evaluate --model_path marl/data/recommended_seed0.pt --n_episodes", "--n-episodes 1"),
    ("update_readme", "--check"),
)
# Beginnings of commands that are not run, with the reason.
SKIPPED = (
    ("train_mappo --ray auto", "joins a cluster of several machines"),
    ("verify_learner", "trains for many minutes until an aim is reached, or fails"),
    ("make_results", "takes hours"),
    ("fuzz", "takes hours"),
    ("kills", "takes hours"),
    ("compare_revisions", ALONE),
    ("benchmark", ALONE),
    ("scaling", ALONE),
    ("time_torchrl", ALONE),
    ("try_documents", "is this script"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which commands, and how long each may take."""

    only: tuple[str, ...] = ()
    """Run commands only that hold one of these words, and the training that they build on; the others do not count."""
    limit_s: int = 600
    """Longest time of a command; one that takes longer has failed."""
    part: str = "1/1"
    """Only the k-th of n parts, as 2/3; each trains the small run first that its commands may build on."""
    dry: bool = False
    """Only list what would be run and what skipped."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(self, limit_s=1)
        found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", self.part)
        if found is None or int(found[1]) > int(found[2]):
            raise command_line.OptionError(f"--part {self.part}, expected k/n, such as 2/3")

    def of_part(self, commands: list[Command]) -> list[Command]:
        """The commands of this part, in their order."""
        k, n = (int(number) for number in self.part.split("/"))
        base = [command for command in commands if is_base(command)]
        rest = [c for c in commands if c not in base]
        first, last = (len(rest) * (k - 1)) // n, (len(rest) * k) // n
        return base + rest[first:last]


def reason_to_skip(command: Command) -> str:
    """Why a command is not run; empty if it is."""
    if not command.script:
        return "sets the machine up, or does not end by itself"
    line = f"{command.script} {command.rest}"
    reason = next((reason for beginning, reason in SKIPPED if line.startswith(beginning)), "")
    if not reason and "--ray" in shlex.split(command.rest, comments=True) and find_spec("ray") is None:
        return "needs Ray, which is not installed: pip install -e '.[ray]'"
    return reason


def smaller(command: Command) -> str:
    """Options by which a long command is run in small; empty where it is run as it stands."""
    line = f"{command.script} {command.rest}"
    return next((options for beginning, options in SMALLER if line.startswith(beginning)), "")


def with_options(words: Sequence[str], options: str) -> list[str]:
    """A command's words with these options in the place of those of the same name, or behind them."""
    found, drop = [], False
    new = {word.replace("_", "-") for word in options.split() if word.startswith("--")}
    for word in words:
        if word.startswith("--"):
            drop = word.replace("_", "-") in new
        if not drop:
            found.append(word)
    return found + options.split()


def all_commands(only: Sequence[str]) -> list[Command]:
    """What documents print, the page whose commands others build on first."""
    found = sorted(script_commands(), key=lambda command: command.document != FIRST) + shell_commands()
    chosen = [command for command in found if not only or any(word in command.text for word in only)]
    if any(run in command.rest for run in RUN for command in chosen):
        chosen = [command for command in found if command in chosen or is_base(command)]
    return chosen


def is_base(command: Command) -> bool:
    """Whether it trains the run that other commands build on."""
    return f"{command.script} {command.rest}".startswith(BASE)


def furnish(folder: Path) -> None:
    """What a reader has: the repository, whose results and documents are not written to, and the files he writes."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for name in ("docs", "results", "runs"):
        (folder / name).mkdir()
    command_line.write_text(
        folder / "mine.py", block_with("docs/own_controller.md", "python", "class Integral")
    )
    command_line.write_text(folder / "evening.toml", block_with("docs/environment.md", "toml", "base ="))


def run(command: Command, folder: Path, limit_s: int) -> str:
    """Run one; empty if all went well, else what it said last."""
    words = with_options(shlex.split(command.rest.replace(*RUN), comments=True), smaller(command))
    script = folder / "scripts" / f"{command.script}.py"
    try:
        done = subprocess.run(
            [sys.executable, str(script), *words],
            cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {limit_s} s"
    if done.returncode == 0:
        return ""
    return f"status {done.returncode}: {(done.stderr.strip().splitlines() or ['without words'])[-1]}"


def try_all(options: Options) -> int:
    """Runs, says how each went, and counts; 1 if one failed.

    Raises:
        OptionError: no command has these words.
    """
    commands = options.of_part(all_commands(options.only))
    if not commands:
        raise command_line.OptionError(f"--only {' '.join(options.only)}: no document prints such a command")
    n_ok = n_skipped = n_failed = n_small = 0
    with tempfile.TemporaryDirectory(prefix="documents-") as scratch:
        folder = Path(scratch)
        if not options.dry:
            furnish(folder)
        for command in commands:
            reason = reason_to_skip(command)
            if reason or options.dry:
                n_skipped += bool(reason)
                print(
                    f"{'skip' if reason else 'run '}  {command.text}" + (f"   ({reason})" if reason else "")
                )
                continue
            began_s = time.monotonic()
            wrong = run(command, folder, options.limit_s)
            n_ok, n_failed = n_ok + (not wrong), n_failed + bool(wrong)
            small = smaller(command)
            n_small += bool(small)
            print(
                f"{'FAIL' if wrong else 'ok  '}  {command.text}   {time.monotonic() - began_s:.0f} s"
                + (f"   (in small: {small})" if small else "")
                + (f"   ({command.document}: {wrong})" if wrong else ""),
                flush=True,
            )
    failed = f", {n_failed} failed" if n_failed else ""
    in_small = f" ({n_small} of them in small)" if n_small else ""
    print(f"{len(commands)} commands, {n_ok} ok{in_small}, {n_skipped} skipped{failed}")
    return 1 if n_failed else 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 all that were run went well, 1 one failed, 2 wrong option, 130 stopped."""
    return command_line.run(PROGRAM, Options, try_all, arguments, about=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
