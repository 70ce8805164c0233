"""CSV tables that are checked entry by entry: an error names file, row, column, value and what was expected.

Rows are counted as an editor counts lines: the header is row 1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray, IntArray

LARGEST_WHOLE = 2.0**53  # float64 tells whole numbers below this apart


def read_csv_table(path: Path) -> CsvTable:
    """Read a CSV file whose rows all have the header's number of entries.

    Raises:
        CaseDataError: the file is missing, cannot be read, has no rows, a column twice, or a row with another number
            of entries than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle)
            numbered = [(reader.line_num, line) for line in reader if line]
    except FileNotFoundError:
        name = " ".join(path.name.split())
        raise CaseDataError(f"{name}: no such file in {path.parent}, expected a CSV table.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseDataError(
            f"{path.name}: cannot be read ({error}), expected a CSV table in UTF-8."
        ) from error
    if len(numbered) < 2:
        raise CaseDataError(f"{path.name}: {len(numbered)} rows, expected a header and at least one row.")
    (_, first), *rest = numbered
    header = [entry.strip() for entry in first]
    for name in header:
        if header.count(name) > 1:
            raise CaseDataError(
                f"{path.name}, row 1: column {name or '(empty)'} {header.count(name)} times, expected it once."
            )
    for row, line in rest:
        if len(line) != len(header):
            raise CaseDataError(
                f"{path.name}, row {row}: {len(line)} entries, expected {len(header)} as in the header."
            )
    columns = {name: [line[c].strip() for _, line in rest] for c, name in enumerate(header)}
    return CsvTable(file=path.name, row=tuple(row for row, _ in rest), columns=columns)


@dataclass(frozen=True, kw_only=True)
class CsvTable:
    """Text of a CSV file by column, with getters that convert, check and complain with file and row."""

    file: str
    row: tuple[int, ...]  # where each row of data stands, as an editor counts
    columns: dict[str, list[str]]

    @property
    def n_row(self) -> int:
        """Rows of data."""
        return len(self.row)

    def error(self, row: int, column: str, expected: str) -> CaseDataError:
        """Error about one entry; row counts data rows from 0, the message as an editor does."""
        value = " ".join(
            self.columns[column][row].split()
        )  # a quoted entry may go over lines, a message may not
        return CaseDataError(
            f"{self.file}, row {self.row[row]}: {column} = {value or '(empty)'}, expected {expected}."
        )

    def require_known(self, allowed: tuple[str, ...]) -> None:
        """No column is one that nobody reads, which a column of a mistyped name would be.

        Raises:
            CaseDataError: one is.
        """
        for column in self.columns:
            if column not in allowed:
                raise CaseDataError(
                    f"{self.file}, row 1: unknown column {column or '(empty)'}, expected of {', '.join(allowed)}."
                )

    def texts(self, column: str, may_be_empty: bool = False) -> list[str]:
        """Entries of a column as they stand.

        Raises:
            CaseDataError: there is no such column, or an entry is empty that may not be.
        """
        if column not in self.columns:
            raise CaseDataError(
                f"{self.file}, row 1: no column {column}, expected it beside {', '.join(self.columns)}."
            )
        if not may_be_empty:
            for row, value in enumerate(self.columns[column]):
                if not value:
                    raise self.error(row, column, "an entry")
        return self.columns[column]

    def number(self, row: int, column: str, above: float = -math.inf, at_least: float = -math.inf) -> float:
        """One entry as a finite number within its bounds."""
        try:
            value = float(self.columns[column][row])
        except ValueError:
            raise self.error(row, column, "a number") from None
        if not math.isfinite(value):
            raise self.error(row, column, "a finite number")
        if not value > above:
            raise self.error(row, column, f"> {above:g}")
        if value < at_least:
            raise self.error(row, column, f">= {at_least:g}")
        return value

    def floats(self, column: str, above: float = -math.inf, at_least: float = -math.inf) -> FloatArray:
        """Entries as finite numbers within their bounds."""
        self.texts(column)
        return np.array([self.number(row, column, above, at_least) for row in range(self.n_row)])

    def integers(self, column: str, at_least: float = -math.inf) -> IntArray:
        """Entries as whole numbers."""
        values = self.floats(column, at_least=at_least)
        for row in np.flatnonzero((values != np.round(values)) | (np.abs(values) >= LARGEST_WHOLE)):
            raise self.error(int(row), column, "a whole number")
        return values.astype(np.int64)

    def choices(self, column: str, allowed: tuple[str, ...]) -> list[str]:
        """Entries that are each one of the allowed words."""
        return self._checked(column, lambda value: value in allowed, f"one of {', '.join(allowed)}")

    def positions(self, column: str, position: dict[int, int]) -> IntArray:
        """Bus numbers, turned into positions in the bus table."""
        numbers = self.integers(column)
        for row, number in enumerate(numbers):
            if int(number) not in position:
                raise self.error(row, column, "the number of a bus of the grid")
        return np.array([position[int(number)] for number in numbers], dtype=np.int64)

    def require_unique(self, column: str) -> None:
        """No entry of the column occurs twice."""
        first: dict[str, int] = {}
        for row, value in enumerate(self.texts(column)):
            if value in first:
                raise self.error(row, column, f"it once, but row {self.row[first[value]]} has it too")
            first[value] = row

    def rows_by(self, column: str, keys: list[str]) -> IntArray:
        """Data row of each key; every key has exactly one row and no row is left over.

        Raises:
            CaseDataError: a key has no row or several, or a row has no key.
        """
        self.require_unique(column)
        row_of = {value: row for row, value in enumerate(self.columns[column])}
        for value, row in row_of.items():
            if value not in keys:
                raise self.error(row, column, f"one of {', '.join(keys)}")
        for key in keys:
            if key not in row_of:
                raise CaseDataError(f"{self.file}: no row with {column} = {key}, expected one.")
        return np.array([row_of[key] for key in keys], dtype=np.int64)

    def _checked(self, column: str, good: Callable[[str], bool], expected: str) -> list[str]:
        values = self.texts(column)
        for row, value in enumerate(values):
            if not good(value):
                raise self.error(row, column, expected)
        return values
