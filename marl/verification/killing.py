"""Work that is killed at random instants and taken up again: what is left of it, and what becomes of it.

Looked for after each kill: a file that is there and cannot be read. After each run that came to its end: a result that
differs from that of the run that was never killed.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

__all__ = ["Found", "Torment", "Work", "compare", "content", "difference", "results", "run", "without_clock"]

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
LOG = "log.txt"  # of what a run says, in its directory
LOOK_S = 0.002  # between two looks at whether it has ended
GONE_S = 5.0  # for what was killed to be gone

# What a clock says of a run, not the run: by the beginning or the whole of its name.
OF_THE_CLOCK = ("time/", "elapsed_s", "time_s", "steps_per_s", "update_ms")


@dataclass(frozen=True)
class Work:
    """A kind of work: how it is begun and taken up, and what it leaves."""

    begin: Callable[[Path], list[str]]  # the program and its options, by the directory that it works in
    again: Callable[[Path], list[str]]  # after a kill
    results: tuple[str, ...]  # patterns of the files that are compared, below the directory
    once: tuple[str, ...] = ()  # of those, the ones that are written once: they are whole or not there


class Found(RuntimeError):
    """What should not happen has happened."""


def without_clock(value: Any) -> Any:
    """The same without what a clock says."""
    if isinstance(value, Mapping):
        return {k: without_clock(v) for k, v in value.items() if not str(k).startswith(OF_THE_CLOCK)}
    return [without_clock(x) for x in value] if isinstance(value, list | tuple) else value


def content(path: Path) -> Any:
    """What a file says, with every byte of it read: something that `==` compares.

    Raises:
        Exception: it cannot be read to its end, of any kind.
    """
    import csv
    import json

    if path.suffix == ".pt":
        import torch

        from marl import checkpoint

        kinds = {"checkpoint": "run", "imitation": "imitation"}
        kind = kinds.get(path.name.split("_")[0], "policy")
        checkpoint.load(path, kind)
        raw = torch.load(path, map_location="cpu", weights_only=True)["content"]
        kept = without_clock(
            raw | {"run_state": _run_state(raw), "waiting": None, "metadata": raw.get("metadata")}
        )
        return checkpoint.checksum(kept)
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.suffix in (".png", ".gif"):
        from PIL import Image, ImageSequence

        with Image.open(path) as picture:
            return [frame.tobytes() for frame in ImageSequence.Iterator(picture)]
    if path.suffix == ".onnx":
        import onnx

        onnx.checker.check_model(str(path))
        return path.read_bytes()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return without_clock(json.loads(text))
    if path.suffix == ".csv":
        return [without_clock(row) for row in csv.DictReader(text.splitlines())]
    return text


def _run_state(raw: Mapping[str, Any]) -> Any:
    """Counters of a run without its seconds."""
    state = raw.get("run_state")
    return {k: v for k, v in state.items() if not k.endswith("_s")} if isinstance(state, Mapping) else None


def files(place: Path, work: Work) -> Iterator[Path]:
    """Results that are there, by name."""
    for pattern in work.results:
        # What begins with a dot was being written, and has no reader.
        yield from sorted(path for path in place.glob(pattern) if not path.name.startswith("."))


def results(place: Path, work: Work) -> dict[str, Any]:
    """What all results say, by their path below the directory; what names the directory itself says `PLACE`.

    Raises:
        Found: one of them is half written or broken.
    """
    said = {}
    for path in files(place, work):
        try:
            said[str(path.relative_to(place))] = _anywhere(content(path), str(place))
        except Exception as error:  # of any kind: that is what is looked for
            raise Found(f"{path} cannot be read: {type(error).__name__} {error}") from error
    return said


def _anywhere(value: Any, place: str) -> Any:
    if isinstance(value, str):
        return value.replace(place, "PLACE")
    if isinstance(value, Mapping):
        return {k: _anywhere(v, place) for k, v in value.items()}
    return [_anywhere(x, place) for x in value] if isinstance(value, list) else value


def run(command: Sequence[str], place: Path, limit_s: float | None, *, forked: bool = False) -> bool:
    """Does the work, or kills it after so many seconds of its own; whether it came to its end.

    Args:
        command: the script and its options.
        place: directory that it works in.
        limit_s: of processor time, so that a busy machine moves no instant; None waits for its end.
        forked: as a copy of this process, which has read all modules and kernels already, instead of a new one: kills
            then fall into the work and not into its start. This process has to be one of a single thread.

    Raises:
        Found: it ended by itself and failed.
    """
    pid = _forked(command, place) if forked else _started(command, place)
    status, began_s = None, time.monotonic()
    try:
        while status is None and (limit_s is None or _spent_s(pid, began_s) < limit_s):
            time.sleep(LOOK_S)
            ended, code = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if ended else None
    finally:
        _kill_all(pid, reap=status is None)
    if status is None:
        return False
    said = (place / LOG).read_text(encoding="utf-8", errors="replace")
    if status == 2 and "has trained all of its" in said:  # killed between its end and its last word
        return True
    if status != 0:
        raise Found(f"{' '.join(command)} ended with {status}: {' '.join(said.splitlines()[-1:])}")
    return True


def _started(command: Sequence[str], place: Path) -> int:
    """A new process, in a session of its own; its number."""
    with open(place / LOG, "ab") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=place,
            env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        ).pid


def _forked(command: Sequence[str], place: Path) -> int:
    """A copy of this process that carries out the script, in a session of its own; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        os.chdir(place)
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", line_buffering=True)
        sys.argv = list(command)
        runpy.run_path(command[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)  # none of what this process keeps for its own end


def _spent_s(pid: int, began_s: float) -> float:
    """Processor time of a process with all that it has started, in ticks [s]; where nothing tells, the clock's."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return 0.0 if Path("/proc/self/stat").exists() else time.monotonic() - began_s
    # user and system time of itself, and of what it has started and outlived
    own_s = sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
    return own_s + sum(_spent_s(int(child), began_s) for child in below)


def _kill_all(pid: int, *, reap: bool) -> None:
    """Ends a process and all that it has started, and waits until none is left that could still hold a file."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL) if reap else None  # it may not have its session yet
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if reap:
        os.waitpid(pid, 0)
    until = time.monotonic() + GONE_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(pid, signal.SIGKILL)
            time.sleep(LOOK_S)


def _spent_below_s() -> float:
    """Processor time of all that this process has started and outlived [s]."""
    spent = os.times()
    return spent.children_user + spent.children_system


class Torment:
    """One kind of work, done undisturbed once, and then killed and taken up as often as is asked for."""

    def __init__(
        self,
        kind: str,
        work: Work,
        folder: Path,
        seed: int,
        *,
        forked: bool = True,
        so_far: Mapping[str, float] | None = None,
    ) -> None:
        """Does the work undisturbed, by a new process and by a forked one, which have to agree.

        Args:
            kind: name, for messages.
            work: what is done.
            folder: receives directories of its runs.
            seed: of the instants.
            forked: whether most runs are forked from this process, see `run`; every tenth is not even then.
            so_far: figures to add to.

        Raises:
            Found: it fails by itself, or the two come to different results.
        """
        self.kind, self._work, self._folder, self._seed = kind, work, folder, seed
        self._whole_s: dict[bool, float] = {}  # by whether it is forked
        self.figures: dict[str, float] = {"kills": 0, "kills_of_new_processes": 0, "runs": 0} | dict(
            so_far or {}
        )
        for how in (False, True)[: 1 + forked]:
            place = self._place(f"whole{int(how)}")
            before_s = _spent_below_s()
            run(work.begin(place), place, None, forked=how)
            self._whole_s[how] = _spent_below_s() - before_s
            if how:
                compare(
                    kind, self._expected, results(place, work), than="that of another run, neither killed"
                )
            else:
                self._expected: dict[str, Any] = results(place, work)
        self.figures["whole_run_cpu_s"] = self._whole_s[False]

    def _place(self, name: str) -> Path:
        place = self._folder / f"{self.kind}-{name}"
        place.mkdir()
        return place

    def run(self, most: int, tick: Callable[[int], object]) -> None:
        """One run, killed at random instants and taken up until it comes to its end.

        Args:
            most: kills, at most.
            tick: is told of each.

        Raises:
            Found: a file is broken, the run cannot be taken up, or ends with another result.
        """
        figures = self.figures
        number = int(figures["runs"])
        # Of the run's number alone: what was stopped goes on with the instants that are left.
        rng = random.Random(f"{self._seed} {self.kind} {number}")
        forked = True in self._whole_s and number % 10 > 0
        place, killed = self._place(f"run{number}"), 0
        command = self._work.begin(place)
        # Some instants lie beyond the work's own time, so that every run comes to its end.
        while not run(
            command,
            place,
            rng.uniform(0.0, 1.2 * self._whole_s[forked]) if killed < most else None,
            forked=forked,
        ):
            killed += 1
            tick(1)
            self._require_whole(results(place, self._work))
            command = self._work.again(place)
        compare(self.kind, self._expected, results(place, self._work))
        figures["runs"] += 1
        figures["kills"] += killed
        figures["kills_of_new_processes"] += 0 if forked else killed
        shutil.rmtree(place)

    def _require_whole(self, found: Mapping[str, Any]) -> None:
        """Of what a kill has left, whatever is written once is all there.

        Raises:
            Found: a file of these is cut.
        """
        for name, value in found.items():
            if any(PurePath(name).match(pattern) for pattern in self._work.once):
                compare(self.kind, {name: self._expected.get(name)}, {name: value})


def compare(
    kind: str,
    expected: Mapping[str, Any],
    found: Mapping[str, Any],
    *,
    than: str = "that of the run that was never killed",
) -> None:
    """What a run came to beside what it should, by the files' paths.

    Raises:
        Found: they differ.
    """
    if expected.keys() != found.keys():
        raise Found(f"{kind}: files {sorted(found)}, expected {sorted(expected)}")
    for name, value in expected.items():
        if value != found[name]:
            raise Found(f"{kind}: {name} is another than {than}: {difference(value, found[name])}")


def difference(expected: Any, found: Any, at: str = "") -> str:
    """The first place where two contents differ, and what they say there; `at` is the place of the two themselves."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in (*expected, *found):
            here = f"{at}.{key}" if at else str(key)
            if key not in expected or key not in found:
                return f"{here} is {'not there' if key in expected else 'there'}, expected the contrary"
            if expected[key] != found[key]:
                return difference(expected[key], found[key], here)
    if isinstance(expected, list) and isinstance(found, list):
        for k, (one, other) in enumerate(zip(expected, found, strict=False)):
            if one != other:
                return difference(one, other, f"{at}[{k}]")
        return f"{at or 'it'} has {len(found)} entries, expected {len(expected)}"
    return f"{at or 'it'} is {_short(found)}, expected {_short(expected)}"


def _short(value: Any) -> str:
    """A value for a message: a picture or a page would fill the screen."""
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:40]}... ({len(told)} characters)"
