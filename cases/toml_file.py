"""TOML files that users write, read within bounds: what is wrong is one line that names the file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

__all__ = ["LARGEST_BYTES", "read_toml"]

LARGEST_BYTES = 1_000_000


def read_toml(path: Path, what: str, error: type[ValueError]) -> dict[str, Any]:
    """The content of a file.

    Args:
        path: of the file.
        what: it is to be, in messages, such as `scenario`.
        error: raised for whatever is wrong.

    Raises:
        ValueError: of the type `error`: it cannot be read, is too large, no UTF-8, no TOML, or nested beyond sense.
    """
    try:
        with open(path, "rb") as file:
            read = file.read(LARGEST_BYTES + 1)
        if len(read) <= LARGEST_BYTES:
            return tomllib.loads(read.decode("utf-8").replace("\r\n", "\n"))
    except OSError as broken:
        raise error(f"cannot read {path}: {broken.strerror or broken}.") from broken
    except UnicodeDecodeError as broken:
        raise error(f"{path} is not UTF-8 text: {broken.reason}, byte {broken.start}.") from broken
    except RecursionError as broken:
        raise error(f"{path} is nested deeper than any {what} is.") from broken
    except ValueError as broken:  # TOMLDecodeError, or a number of more digits than Python reads
        raise error(f"{path} is not TOML: {broken}.") from broken
    raise error(f"{path} is larger than a million bytes: it is no {what}.")
