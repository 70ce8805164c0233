"""What the values of options may be: numbers within bounds, places that can be written, endings of files.

Every refusal is one clear line, `--NAME VALUE` and what was expected. Scripts import this module behind `command_line`,
which says what to do where the project is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cases.whole_file import OutputError

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf")


class OptionError(ValueError):
    """An option names something that does not exist or cannot be; `parse` tells those that constructors raise."""


def require_at_least(options: object, **lowest: int) -> None:
    """Refuse options that are too small; None is none.

    Args:
        options: dataclass that has them.
        lowest: what each may be at least.

    Raises:
        OptionError: one is smaller.
    """
    for name, least in lowest.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise OptionError(f"--{name.replace('_', '-')} {value}, expected at least {least}")


def require_at_most(options: object, why: str, **highest: int) -> None:
    """Refuse options that are too large; None is none.

    Args:
        options: dataclass that has them.
        why: what would become of more.
        highest: what each may be at most.

    Raises:
        OptionError: one is larger.
    """
    for name, most in highest.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise OptionError(f"--{name.replace('_', '-')} {value}, expected at most {most}: {why}")


def require_writable(name: str, path: Path | None) -> None:
    """Refuse a path to which no file can be written; what is there stays, directories may be missing.

    Args:
        name: of the option.
        path: its value, None where nothing is to be written.

    Raises:
        OutputError: a directory or special file is there, or writing is not allowed.
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
        if not directory.is_dir():
            raise OutputError(f"--{name} {path} cannot be written: {directory} is a file")
        # Permissions alone do not tell: file systems may be read-only or none in truth, such as /proc.
        attempt = directory / f".{path.name}.{os.getpid()}.part"
        attempt.touch()
        attempt.unlink()
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"--{name} {path} cannot be written: {error.strerror or error}") from error


def require_folder(name: str, path: Path | None) -> None:
    """Refuse a path in which no files can be written; what is there stays, directories may be missing.

    Args:
        name: of the option.
        path: its value, None where nothing is to be kept.

    Raises:
        OutputError: a file is there, or writing is not allowed.
    """
    if path is None:
        return
    above = path.absolute()
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        what = "is a file" if above == path.absolute() else f"lies below {above}, which is a file"
        raise OutputError(f"--{name} {path} {what}, expected a directory")
    try:
        require_writable(name, path / ".try")
    except OutputError as error:
        raise OutputError(str(error).replace(str(path / ".try"), str(path))) from error


def require_ending(name: str, path: Path | None, endings: Sequence[str]) -> None:
    """Refuse a path that ends otherwise; None is no file.

    Args:
        name: of the option.
        path: its value.
        endings: that a file may have, in small letters.

    Raises:
        OptionError: it does.
    """
    if path is not None and path.suffix.lower() not in endings:
        raise OptionError(f"--{name} {path} ends in {path.suffix!r}, expected one of {', '.join(endings)}")


def require_picture(name: str, path: Path | None) -> None:
    """Refuse a path that ends like no picture, or whose directory does not exist.

    Args:
        name: of the option.
        path: its value, None where nothing is to be drawn.

    Raises:
        OptionError: it does.
    """
    require_ending(name, path, PICTURES)
    require_directory(name, path)


def require_page(name: str, path: Path | None) -> None:
    """Refuse a path that no browser would take for a page; None is no file.

    Args:
        name: of the option.
        path: its value.

    Raises:
        OptionError: it ends otherwise.
    """
    require_ending(name, path, PAGES)


def require_directory(name: str, path: Path | None) -> None:
    """Refuse a path whose directory does not exist; None is no file.

    Args:
        name: of the option.
        path: its value.

    Raises:
        OptionError: it does not.
    """
    if path is not None and not path.resolve().parent.is_dir():
        raise OptionError(f"--{name} {path}: its directory does not exist")
