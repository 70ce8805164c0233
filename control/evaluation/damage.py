"""Damaged inputs, each of which is to be taken, or refused in one line by the exception meant for it.

Code of others, once compiled, may end the whole process instead. So what tries the inputs can be a process of its own:
one that dies is counted as any other wrong end, with the input kept, and another goes on with the next.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import multiprocessing
import os
import random
import re
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from cases.processes.ending import end_with_parent
from cases.whole_file import write_bytes

__all__ = ["Counts", "Way", "damaged", "damaged_words", "try_damaged"]

LONGEST_S = 10.0  # of processor time for one input, compilation apart: what takes longer hangs
HANGS_S = 300.0  # by the clock, after which a process that has not come back is ended
NASTY = (
    b"nan", b"-inf", b"1e300", b"-1e300", b"1e-300", b"0", b"-0.0", b"-1", b"1.5", b"9223372036854775808", b"9" * 5000,
    b"true", b"null", b'""', b"[]", b"{}", b"1_0", b"0x10", b"1e999", b"'a'", b"2026-01-01",
)  # fmt: skip
PIECES = (
    b"[" * 1000, b"{" * 1000, b"a=" + b"[" * 1000 + b"]" * 1000, b"\x00", b"\x81", b"\xff\xfe", b"\r", b"\n", b'"',
    b",", b"=", b"[[", b"]", b"\xe2\x80\xa8", b"#", b"-", b"--", b" ",
)  # fmt: skip

# What makes an input, what takes it, and the exceptions that may refuse it.
Way = tuple[Callable[[random.Random], bytes], Callable[[bytes], None], tuple[type[Exception], ...]]


@dataclass(kw_only=True)
class Counts:
    """How the inputs of one kind ended."""

    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)  # what happened instead


@dataclass(kw_only=True)
class Ended:
    """How one input ended."""

    accepted: bool = False
    refused: bool = False
    wrong: str = ""  # what happened instead
    spent_s: float = 0.0  # of processor time


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """One to three pieces of damage."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64, 512)))
        what = rng.randrange(9)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice((0x00, 0x0A, 0x22, 0x2C, 0x81, 0xFF, rng.randrange(256)))
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end]
        elif what == 4:
            data[at:at] = rng.choice(PIECES)
        elif what == 5:
            del data[at:]
        elif what == 6:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        else:
            numbers = list(re.finditer(rb"-?\d[\d_.e+-]*|true|false|null", data))
            if numbers:
                number = rng.choice(numbers)
                data[number.start() : number.end()] = rng.choice(NASTY)
    return bytes(data)


def damaged_words(words: Sequence[str], rng: random.Random) -> list[str]:
    """A command line whose words are changed, left out, repeated or strange."""
    found = list(words)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(found)) if found else 0
        what = rng.randrange(5)
        if what == 0 and found:
            del found[at]
        elif what == 1 and found:
            found.insert(at, rng.choice(found))
        elif what == 2:
            found.insert(at, rng.choice(NASTY).decode())
        elif found:
            # As the system hands over bytes that are no text; a word of a command line holds no zero.
            word = damaged(found[at].encode("utf-8", "surrogateescape"), rng).replace(b"\0", b"")
            found[at] = word.decode("utf-8", "surrogateescape") if what == 3 else rng.choice(NASTY).decode()
    # Help is a page and no complaint.
    return [word for word in found if word not in ("-h", "--help")]


def try_damaged(
    kind: str,
    way: Callable[[Path], Way],
    inputs: int,
    seed: int,
    out: Path | None,
    tick: Callable[[], object],
    *,
    apart: bool = False,
) -> Counts:
    """Damaged inputs of one kind.

    Args:
        kind: name of the kind.
        way: makes and takes them, given a directory to write to.
        inputs: how many.
        seed: of the damage.
        out: receives those that end wrongly; None keeps none.
        tick: called after each.
        apart: take them in a forked process, which may die of one; this process has to be one of a single thread.
    """
    counts, rng = Counts(), random.Random(f"{kind} {seed}")
    # In memory where there is such a place: files of a run are flushed to the disk each time.
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place,
        contextlib.ExitStack() as stack,
    ):
        make, take, refusals = way(Path(place))
        trial: Callable[[bytes], Ended] = partial(tried, take, refusals)
        if apart:
            trial = stack.enter_context(_Apart(trial, Path(place) / "trace"))
        for k in range(inputs):
            content = make(rng)
            ended = trial(content)
            counts.accepted += ended.accepted
            counts.refused += ended.refused
            counts.slowest_s = max(counts.slowest_s, ended.spent_s)
            if ended.wrong:
                counts.wrong.append(f"input {k}: {ended.wrong}")
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    write_bytes(out / f"{kind}-{seed}-{k}", content)
            tick()
    return counts


def tried(take: Callable[[bytes], None], refusals: tuple[type[Exception], ...], content: bytes) -> Ended:
    """One input, taken or refused or otherwise."""
    ended, began = Ended(), time.process_time()
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            take(content)
        ended.accepted = True
    except refusals as error:
        ended.refused = True
        if len(str(error).splitlines()) != 1:
            ended.wrong = f"refused in {len(str(error).splitlines())} lines: {error}"
    except Exception as error:  # of any kind: these are what is looked for
        ended.wrong = f"{type(error).__name__}: {error}"
    if heard:
        ended.wrong = ended.wrong or f"warned: {heard[0].message}"
    ended.spent_s = time.process_time() - began
    if ended.spent_s > LONGEST_S:
        ended.wrong = ended.wrong or f"took {ended.spent_s:.0f} s"
    return ended


class _Apart:
    """A trial in a forked process, and in a new one after each input that ends it."""

    def __init__(self, trial: Callable[[bytes], Ended], trace: Path) -> None:
        """Nothing is started before the first input; `trace` is the file that says where a process died."""
        self._trial, self._trace = trial, trace
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> _Apart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def __call__(self, content: bytes) -> Ended:
        if self._process is None:
            self._begin()
        try:
            self._connection.send_bytes(content)
            if not self._connection.poll(HANGS_S):
                self._end()
                return Ended(wrong=f"took more than {HANGS_S:.0f} s", spent_s=HANGS_S)
            ended: Ended = self._connection.recv()
            return ended
        except (EOFError, OSError):  # nobody is left at the other end
            return Ended(wrong=self._death())

    def _begin(self) -> None:
        forks = multiprocessing.get_context("fork")
        self._connection, theirs = forks.Pipe()
        self._process = forks.Process(
            target=_serve, args=(self._trial, self._trace, theirs, self._connection), daemon=True
        )
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None

    def _death(self) -> str:
        """What a process died of, and in which line."""
        assert self._process is not None
        self._process.join(HANGS_S)
        code = self._process.exitcode
        self._end()
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        lines = self._trace.read_text(encoding="utf-8", errors="replace").splitlines()
        where = next((line.strip() for line in lines if line.startswith("  File ")), "")
        return f"ended the process {how}" + (f" in {where}" if where else "")


def _serve(
    trial: Callable[[bytes], Ended], trace: Path, connection: Connection, parents_end: Connection
) -> None:
    """Tries what comes until nothing can come any more."""
    end_with_parent()
    parents_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    with open(trace, "w", encoding="utf-8") as file, contextlib.suppress(EOFError, OSError):
        faulthandler.enable(file, all_threads=False)
        while True:
            connection.send(trial(connection.recv_bytes()))
