"""Runs what README and documents tell a reader to type, for real, in a folder that is thrown away.

python scripts/try_documents.py
python scripts/try_documents.py --only plot_ validate_power_flow
python scripts/try_documents.py --dry

Long commands are skipped, each with its reason, and so are those of other programs. The last line counts:
"N commands, M ok, K skipped", and how many failed, if any did.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
from document_commands import ROOT, Command, block_with, script_commands, shell_commands

PROGRAM = "try_documents.py"
FIRST = "docs/own_grid.md"  # trains the small policy that stands for a reader's run in other commands
RUN = ("runs/RUN", "runs/mine")
LINKED = ("scripts", "marl", "cases", "grid_model", "control", "examples", "README.md", "CONTRIBUTING.md")
TRAINING = "trains for many minutes"
HOURS = "takes hours"
ALONE = "measures speed, which wants the machine for itself"
# Beginnings of commands that are not run, the first that fits, with the reason.
SKIPPED = (
    ("train_mappo --case case39 --total-episodes 200", TRAINING),
    ("train_mappo --physics", TRAINING),
    ("train_mappo --ray", "trains for many minutes, on a cluster"),
    ("train_mappo --help", ""),
    ("train_mappo --case case39 --total-episodes 16", ""),
    ("train_mappo", TRAINING),
    ("ablation", HOURS),
    ("tune_baselines", HOURS),
    ("make_results", HOURS),
    ("fuzz", HOURS),
    ("kills", HOURS),
    ("soak", HOURS),
    ("check_feasibility", HOURS),
    ("verify_learner", TRAINING),
    ("evaluate --suite", "plays some hundred episodes"),
    ("evaluate --case case39 --suite", "wants baselines that were tuned for this grid, which takes hours"),
    ("evaluate --model_path marl/data/recommended_seed0.pt --compare", "plays some sixty episodes"),
    ("evaluate --model_path marl/data/recommended_seed0.pt --n_episodes", "plays some sixty episodes"),
    ("compare_revisions", ALONE),
    ("benchmark", ALONE),
    ("scaling", ALONE),
    ("validate_frequency", "integrates full sets of events for minutes"),
    ("update_readme", "writes the documents themselves"),
    ("try_documents", "is this script"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which commands, and how long each may take."""

    only: tuple[str, ...] = ()
    """Run commands only that hold one of these words; the others do not count."""
    limit_s: int = 300
    """Longest time of a command; one that takes longer has failed."""
    dry: bool = False
    """Only list what would be run and what skipped."""

    def __post_init__(self) -> None:
        command_line.require_at_least(self, limit_s=1)


def reason_to_skip(command: Command) -> str:
    """Why a command is not run; empty if it is."""
    if not command.script:
        return "sets the machine up, or does not end by itself"
    line = f"{command.script} {command.rest}"
    return next((reason for beginning, reason in SKIPPED if line.startswith(beginning)), "")


def all_commands(only: Sequence[str]) -> list[Command]:
    """What documents print, the page whose commands others build on first."""
    found = sorted(script_commands(), key=lambda command: command.document != FIRST) + shell_commands()
    return [command for command in found if not only or any(word in command.text for word in only)]


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
    words = shlex.split(command.rest.replace(*RUN), comments=True)
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
    commands = all_commands(options.only)
    if not commands:
        raise command_line.OptionError(f"--only {' '.join(options.only)}: no document prints such a command")
    n_ok = n_skipped = n_failed = 0
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
            print(
                f"{'FAIL' if wrong else 'ok  '}  {command.text}   {time.monotonic() - began_s:.0f} s"
                + (f"   ({command.document}: {wrong})" if wrong else ""),
                flush=True,
            )
    failed = f", {n_failed} failed" if n_failed else ""
    print(f"{len(commands)} commands, {n_ok} ok, {n_skipped} skipped{failed}")
    return 1 if n_failed else 0


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 all that were run went well, 1 one failed, 2 wrong option, 130 stopped."""
    return command_line.run(PROGRAM, Options, try_all, arguments, about=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
