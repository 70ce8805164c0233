"""Two revisions of this project side by side: the other in a worktree and an environment of its own, each played by a
process that takes commands (`probe.py`)."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe.py")
# What is measured in turns, in the words of `probe.Speeds`, and the figures it gives.
PARTS: Mapping[str, tuple[str, ...]] = {
    "env_steps_per_s_64": ("env_steps_per_s_64",),
    "env_steps_per_s_256": ("env_steps_per_s_256",),
    "env_steps_per_s_1": ("env_steps_per_s_1",),
    "pettingzoo": ("pettingzoo_steps_per_s",),
    "parts": ("power_flow_us", "dynamics_us", "resources_us", "observation_us", "rest_us"),
    "learner": ("update_s", "act_64_ms"),
    "training": ("training_steps_per_s",),
    "security": ("n1_ac_ms", "lodf_us_per_env"),
    "dynamics": ("dynamics_area_us", "dynamics_machine_us"),
    "planning": ("plan_ms",),
    "training_s": ("training_s",),
    "time_to_agc_s": ("time_to_agc_s",),
}
WHOLE = (
    "training_s",
    "time_to_agc_s",
)  # trainings from start to end, minutes a round: where they are named alone
KEYS = tuple(key for what, keys in PARTS.items() if what not in WHOLE for key in keys)
# Of one round: steps of a batch, episodes of a training; some seconds each.
ROUND_STEPS = 250
ROUND_EPISODES = 25
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class RevisionError(RuntimeError):
    """A revision cannot be built or does not answer; the message says what it said."""


@dataclass(frozen=True)
class Tree:
    """A revision's files and the interpreter that plays them."""

    root: Path
    python: Path
    environment: str  # what the interpreter is, in words


def git(*arguments: str) -> str:
    """Output of git in this project.

    Raises:
        RevisionError: git is missing or refuses.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RevisionError(f"git cannot be run: {error}") from error
    if done.returncode:
        raise RevisionError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git failed")
    return done.stdout.strip()


def commit_of(revision: str) -> str:
    """The full name of the commit; whatever begins with a dash is none.

    Raises:
        RevisionError: there is no such commit.
    """
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except RevisionError as error:
        raise RevisionError(f"git knows no revision {revision!r}") from error


def requirements(root: Path) -> list[str]:
    """What setup.cfg of a revision asks for, the solver for predictive control included."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    # Revisions before the one that plans with PIQP plan with OSQP.
    solvers = (config.get("options.extras_require", name, fallback="") for name in ("piqp", "osqp"))
    lines = "\n".join([config.get("options", "install_requires"), *solvers])
    needed = [line.strip() for line in lines.splitlines()]
    return [line for line in needed if line and not line.startswith("#")]


def pins(root: Path) -> dict[str, str]:
    """The exact versions of a revision's constraints.txt by name."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {name: version for name, equal, version in (line.partition("==") for line in lines) if equal}


def installed(name: str) -> str | None:
    """The version of a package in the present environment, without a build label; None if it is not there."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def fits_the_present(root: Path) -> bool:
    """Whether the present environment has all that a revision asks for, and at its pins whatever it pins."""
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements(root)]
    return all(installed(name) is not None for name in names) and all(
        installed(name) in (None, exact) for name, exact in pins(root).items()
    )


def build_environment(root: Path, directory: Path) -> Path:
    """An environment with what the revision at `root` asks for at its pins; the path of its interpreter.

    pip's own variables are followed, such as PIP_EXTRA_INDEX_URL for the CPU build of torch.

    Raises:
        RevisionError: something cannot be installed.
    """
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(root / "constraints.txt")]
    if subprocess.run([*command, *requirements(root)], stdout=sys.stderr, check=False).returncode:
        raise RevisionError("pip cannot install what the revision asks for")
    return python


@contextmanager
def checked_out(revision: str) -> Iterator[Tree]:
    """A revision in a temporary worktree, with an environment that holds what it pins.

    The present interpreter plays it where it has exactly the versions that the revision pins. Worktree and environment
    are removed at the end, also after Ctrl-C and SIGTERM.

    Raises:
        RevisionError: there is no such revision, or what it needs cannot be installed.
    """
    commit = commit_of(revision)

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    place = Path(tempfile.mkdtemp(prefix=f"revision-{commit[:10]}-"))
    root = place / "tree"
    try:
        git("worktree", "add", "--detach", str(root), commit)
        if fits_the_present(root):
            yield Tree(root, Path(sys.executable), "the present environment, which has the versions it pins")
        else:
            python = build_environment(root, place / "environment")
            yield Tree(
                root, python, "an environment of its own: it pins other versions than the present one has"
            )
    finally:
        with suppress(RevisionError):
            git("worktree", "remove", "--force", str(root))
        shutil.rmtree(place, ignore_errors=True)
        with suppress(RevisionError):
            git("worktree", "prune")
        signal.signal(signal.SIGTERM, before)


def here() -> Tree:
    """This tree as it stands, changes that are not committed included."""
    return Tree(ROOT, Path(sys.executable), "the present environment")


class Probe:
    """A process that plays one revision; commands and answers are lines of JSON."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed below
        # In a session of its own: Ctrl-C is this process's to answer, and what the probe has started ends with it.
        self._process = subprocess.Popen(
            [str(tree.python), "-P", str(PROBE), str(tree.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": f"{tree.root}{os.pathsep}{tree.root / 'scripts'}"},
            cwd=tree.root,
            text=True,
            start_new_session=True,
        )

    def send(self, do: str, **options: Any) -> None:
        """Asks for something without waiting for it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `receive` tells how it ended
            self._process.stdin.write(json.dumps({"do": do, **options}) + "\n")
            self._process.stdin.flush()

    def receive(self) -> Any:
        """The answer to the oldest command that has none.

        Raises:
            RevisionError: the process ended, or the revision failed.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process that plays it ended"}
        if "error" not in answer:
            return answer["result"]
        self._said.seek(0)
        last = self._said.read().strip().splitlines()[-1:]
        raise RevisionError("; ".join([f"{self._tree.root}: {answer['error']}", *last]))

    def ask(self, do: str, **options: Any) -> Any:
        """Sends a command and waits for its answer."""
        self.send(do, **options)
        return self.receive()

    def close(self) -> None:
        """Ends the process and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._said.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


@contextmanager
def probes(*trees: Tree) -> Iterator[list[Probe]]:
    """A probe of every tree, ready for commands."""
    started: list[Probe] = []
    try:
        for tree in trees:
            started.append(Probe(tree))
        for probe in started:
            probe.receive()
        yield started
    finally:
        for probe in started:
            probe.close()


Rounds = dict[str, list[tuple[float, float]]]


def measure_in_turns(
    mine: Probe,
    theirs: Probe,
    keys: Sequence[str],
    rounds: int,
    *,
    steps: int = ROUND_STEPS,
    episodes: int = ROUND_EPISODES,
) -> Rounds:
    """Figures of both, {key: (ours, theirs) of every round}: one after the other, and the other first next time.

    Keys that one of them does not have are left out. A round before the first builds and compiles; whole trainings
    have none.
    """
    both = (mine, theirs)
    for probe in both:
        probe.ask("prepare", steps=steps, episodes=episodes)
    wanted = [what for what, figures in PARTS.items() if set(figures) & set(keys)]
    found: Rounds = {}
    for k in range(-1, rounds):
        for what in wanted if k >= 0 else [w for w in wanted if w not in WHOLE]:
            first, second = both if k % 2 == 0 else both[::-1]
            values = {first: first.ask("measure", what=what), second: second.ask("measure", what=what)}
            for key in PARTS[what] if k >= 0 else ():
                if key in keys and all(key in values[probe] for probe in both):
                    found.setdefault(key, []).append((values[mine][key], values[theirs][key]))
    return found


def ratios(found: Rounds) -> dict[str, float]:
    """Ours over theirs, medians over the rounds: above one is faster for a speed, slower for a time."""
    return {key: median(ours / theirs for ours, theirs in values) for key, values in found.items()}
