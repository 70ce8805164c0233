"""Work that is killed at random instants and taken up again: what is left of it, and what becomes of it.

Looked for after each kill: a file that is there and cannot be read. After each run that came to its end: a result that
differs from that of the run that was never killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Found", "Work", "compare", "content", "results", "run", "torment", "without_clock"]

# What a clock says of a run, not the run: by the beginning or the whole of its name.
OF_THE_CLOCK = ("time/", "elapsed_s", "time_s", "steps_per_s")


@dataclass(frozen=True)
class Work:
    """A kind of work: how it is begun and taken up, and what it leaves."""

    begin: Callable[[Path], list[str]]  # the program and its options, by the directory that it works in
    again: Callable[[Path], list[str]]  # after a kill
    results: tuple[str, ...]  # patterns of the files that are compared, below the directory


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

        kind = "run" if path.name.startswith("checkpoint") else "policy"
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
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            return picture.tobytes()
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


def run(command: Sequence[str], place: Path, limit_s: float | None) -> bool:
    """Does the work, or kills it after so many seconds; whether it came to its end.

    Raises:
        Found: it ended by itself and failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with open(place / "log.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = (place / "log.txt").read_text(encoding="utf-8", errors="replace")
    if status == 2 and "has trained all of its" in said:  # killed between its end and its last word
        return True
    if status != 0:
        raise Found(f"{' '.join(command)} ended with {status}: {' '.join(said.splitlines()[-1:])}")
    return True


def torment(
    kind: str, work: Work, kills: int, rng: random.Random, tick: Callable[[int], object]
) -> dict[str, float]:
    """Kills one kind of work so often; counts of kills and of runs that ended, and the time of a whole one.

    Raises:
        Found: a file is broken, a run cannot be taken up, or ends with another result.
    """
    n_kill, n_run = 0, 0
    with tempfile.TemporaryDirectory(prefix=f"kills-{kind}-") as name:
        reference = Path(name) / "reference"
        reference.mkdir()
        began = time.monotonic()
        run(work.begin(reference), reference, None)
        whole_s = time.monotonic() - began
        expected = results(reference, work)
        while n_kill < kills:
            place = Path(name) / f"run{n_run}"
            place.mkdir()
            command = work.begin(place)
            # Some instants lie beyond the work's own time, so that every run comes to its end.
            while not run(command, place, rng.uniform(0.0, 1.2 * whole_s) if n_kill < kills else None):
                n_kill += 1
                tick(1)
                results(place, work)
                command = work.again(place)
            n_run += 1
            compare(kind, expected, results(place, work))
    return {"kills": n_kill, "runs": n_run, "whole_run_s": whole_s}


def compare(kind: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """What a run came to beside what it should, by the files' paths.

    Raises:
        Found: they differ.
    """
    if expected.keys() != found.keys():
        raise Found(f"{kind}: files {sorted(found)}, expected {sorted(expected)}")
    for name, value in expected.items():
        if value != found[name]:
            raise Found(f"{kind}: {name} is another than that of the run that was never killed")
