"""Damaged inputs, each of which is to be taken, or refused in one line by the exception meant for it."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cases.whole_file import write_bytes

__all__ = ["Counts", "Way", "damaged", "damaged_words", "try_damaged"]

LONGEST_S = 10.0  # of processor time for one input, compilation apart: what takes longer hangs
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
) -> Counts:
    """Damaged inputs of one kind.

    Args:
        kind: name of the kind.
        way: makes and takes them, given a directory to write to.
        inputs: how many.
        seed: of the damage.
        out: receives those that end wrongly; None keeps none.
        tick: called after each.
    """
    counts, rng = Counts(), random.Random(f"{kind} {seed}")
    # In memory where there is such a place: files of a run are flushed to the disk each time.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        make, take, refusals = way(Path(place))
        for k in range(inputs):
            content = make(rng)
            began, wrong = time.process_time(), ""
            try:
                with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True) as heard:
                    warnings.simplefilter("always")
                    take(content)
                counts.accepted += 1
            except refusals as error:
                counts.refused += 1
                if len(str(error).splitlines()) != 1:
                    wrong = f"refused in {len(str(error).splitlines())} lines: {error}"
            except Exception as error:  # of any kind: these are what is looked for
                wrong = f"{type(error).__name__}: {error}"
            if heard:
                wrong = wrong or f"warned: {heard[0].message}"
            spent_s = time.process_time() - began
            counts.slowest_s = max(counts.slowest_s, spent_s)
            if spent_s > LONGEST_S:
                wrong = wrong or f"took {spent_s:.0f} s"
            if wrong:
                counts.wrong.append(f"input {k}: {wrong}")
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    write_bytes(out / f"{kind}-{seed}-{k}", content)
            tick()
    return counts
