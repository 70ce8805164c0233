"""Files that are written whole or not at all: no reader finds half of one, and a failure leaves the one before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["OutputError", "replacing", "write_bytes", "write_json", "write_text"]


class OutputError(OSError):
    """A file cannot be written where it is asked for; the message names it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside a file to write to, which takes the file's own when the block ends and goes when it fails.

    Its name ends as the file's does, which tells a library of the format; its directory is made.

    Args:
        path: of the file.

    Raises:
        OutputError: the directory cannot be made, or the file cannot be written or put in its place.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as written:
            os.fsync(written.fileno())  # before its name: a machine that loses power keeps one of the two
        os.replace(part, path)
    except OutputError:
        raise
    except OSError as error:  # the system's own words do not always name a file, and then the temporary one
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file; for libraries that get into trouble of their own on a full disk, and write to memory before.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replaces a file of text, UTF-8.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | None, content: Any, indent: int = 2) -> None:
    """Replaces a file of figures.

    Args:
        path: of the file, None where nothing is to be written.
        content: what JSON can hold.
        indent: blanks a level.

    Raises:
        OutputError: it cannot be written.
    """
    if path is None:
        return
    write_text(path, json.dumps(content, indent=indent) + "\n")
