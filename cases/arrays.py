"""Array type aliases and the checks that constructors of tables share.

A check names the quantity, the element and the value it found, and says what was expected, so that the
message alone is enough to repair the data. Nothing here knows about files: the reader of a file adds its name
and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
ComplexArray: TypeAlias = npt.NDArray[np.complex128]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


def any_set(flags: npt.NDArray[Any]) -> bool:
    """Whether an entry is not zero; `flags.any()` takes three times as long where there are few."""
    return bool(np.count_nonzero(flags))


class CaseDataError(ValueError):
    """Data of a case is missing or cannot be true; the message says what, where and what was expected.

    It is one line whatever it quotes of a file: what would break a line, or steer a terminal, stands as its escape.
    """

    def __init__(self, message: str) -> None:
        """Args: message: names of elements and values as a file has them."""
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def freeze_arrays(table: Any) -> None:
    """Give a frozen dataclass its own read-only copy of every array it holds."""
    for field in fields(table):
        value = getattr(table, field.name)
        if isinstance(value, np.ndarray):
            own = value.copy()
            own.setflags(write=False)
            object.__setattr__(table, field.name, own)


def no_floats() -> FloatArray:
    """A column that is left to its default."""
    return np.zeros(0)


def no_complex() -> ComplexArray:
    """A column of complex numbers that is left to its default."""
    return np.zeros(0, dtype=np.complex128)


def fill_column(table: Any, name: str, values: npt.NDArray[Any]) -> None:
    """Give a column of a frozen dataclass that was left out its default."""
    if len(getattr(table, name)) == 0:
        object.__setattr__(table, name, values)


def require_length(table: str, n_row: int, columns: dict[str, npt.NDArray[Any] | tuple[Any, ...]]) -> None:
    """Every column of a table has one entry a row.

    Raises:
        CaseDataError: a column has another number of entries; the message names table and column.
    """
    for name, values in columns.items():
        if len(values) != n_row:
            raise CaseDataError(f"{table}: {name} has {len(values)} entries, expected {n_row}, one a row.")


def require_finite(
    name: str, values: FloatArray, *, label: str, of: Sequence[Any] | npt.NDArray[Any]
) -> None:
    """Every value is a number: neither nan nor infinite."""
    _require(np.isfinite(values), name, values, label, of, "a finite number")


def require_positive(
    name: str, values: FloatArray, *, label: str, of: Sequence[Any] | npt.NDArray[Any]
) -> None:
    """Every value is finite and above zero."""
    _require(np.isfinite(values) & (values > 0.0), name, values, label, of, "> 0")


def require_non_negative(
    name: str, values: FloatArray, *, label: str, of: Sequence[Any] | npt.NDArray[Any]
) -> None:
    """Every value is finite and not below zero."""
    _require(np.isfinite(values) & (values >= 0.0), name, values, label, of, ">= 0")


def require_position(
    name: str, values: IntArray, n: int, *, label: str, of: Sequence[Any] | npt.NDArray[Any]
) -> None:
    """Every value is a position in an array of n entries."""
    _require((values >= 0) & (values < n), name, values, label, of, f"a position from 0 to {n - 1}")


def require_unique(name: str, values: Sequence[Any] | npt.NDArray[Any], *, label: str) -> None:
    """No value occurs twice.

    Raises:
        CaseDataError: a value occurs twice; the message tells which.
    """
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise CaseDataError(f"{label}: {name} = {value} occurs twice, expected once.")
        seen.add(value)


def _require(
    good: BoolArray,
    name: str,
    values: npt.NDArray[Any],
    label: str,
    of: Sequence[Any] | npt.NDArray[Any],
    expected: str,
) -> None:
    """Raise for the first element that is not good.

    Raises:
        CaseDataError: an element is not good; the message tells name, value and what was expected.
    """
    if good.all():
        return
    first = int(np.flatnonzero(~good)[0])
    raise CaseDataError(f"{label} {of[first]}: {name} = {values[first]}, expected {expected}.")
