"""Command lines from dataclasses: every field a flag, `_` and `-` alike, a wrong option one clear line.

Files that a script is to write are looked at before the work begins, so that no result is lost for want of a place.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class OptionError(ValueError):
    """An option names something that does not exist or cannot be; `parse` tells those that constructors raise."""


class OutputError(OSError):
    """A file cannot be written where it is asked for."""


def parse(
    config_type: type[T],
    *,
    program: str,
    description: str,
    arguments: Sequence[str],
    default: T | None = None,
) -> T:
    """Builds a `config_type` from the arguments; --help explains and exits 0, a mistake exits 2."""
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}

    def attempt(complaint: io.StringIO) -> T:
        with contextlib.redirect_stderr(complaint):
            result: T = tyro.cli(
                tyro.conf.OmitArgPrefixes[config_type],  # type: ignore[valid-type, misc]
                prog=program,
                description=description,
                args=list(arguments),
                **options,
            )
        return result

    try:
        return attempt(io.StringIO())
    except SystemExit as error:
        if error.code in (0, None):
            raise
    complaint, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"  # once more on a wide page: a long path must not be broken in two
    try:
        return attempt(complaint)
    except SystemExit:
        print(f"{program}: error: {one_line(complaint.getvalue())}; see --help", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def one_line(box: str) -> str:
    """tyro's framed message without the frame: its first paragraph, and the flag it thinks was meant."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │|") for line in box.splitlines()]
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line or set(line) <= set("─- "):
            paragraphs.append([])
        elif line[0] not in "╭╰":
            paragraphs[-1].append(line)
    found = [" ".join(p) for p in paragraphs if p]
    if "╭" not in box:
        found = found[1:]  # without box characters the title is a paragraph of its own
    message = (
        re.sub(r"^Error parsing (?!-)[\w.]+: ", "", found[0])
        if found
        else "the command line was not understood"
    )
    guess = re.search(r"Perhaps you meant: (--[\w-]+)", " ".join(found[1:]))
    message = message[0].lower() + message[1:]
    return message.rstrip(".") + (f" (perhaps you meant {guess.group(1)})" if guess else "")


def require_writable(name: str, path: Path | None) -> None:
    """Raises OutputError unless a file can be written there; whatever stands there stays, directories may be missing.

    Args:
        name: of the option; path: its value, None where nothing is to be written.
    """
    if path is None:
        return
    try:
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "no ordinary file"
            raise OutputError(f"--{name} {path} is {what}, expected a file")
        directory = path.absolute().parent
        while not directory.exists():
            directory = directory.parent
        # Permissions alone do not tell: file systems may be read-only or none in truth, such as /proc.
        attempt = directory / f".{path.name}.{os.getpid()}.part"
        attempt.touch()
        attempt.unlink()
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"--{name} {path} cannot be written: {error.strerror or error}") from error


def write_json(path: Path, content: Any, indent: int = 2) -> None:
    """Replaces a file of figures in one step; raises OutputError where that fails."""
    from marl.checkpoint import CheckpointError, write_atomically

    try:
        write_atomically(path, (json.dumps(content, indent=indent) + "\n").encode("utf-8"))
    except CheckpointError as error:
        raise OutputError(str(error)) from error


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`, before anything else is parsed."""
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag.replace("_", "-") == f"--{name}":
            return value if equals else arguments[i + 1] if i + 1 < len(arguments) else ""
    return None
