"""Matrices as MATLAB computes with them: always two-dimensional, counted from 1 and column by column.

A number is a 1 by 1 matrix of float64, a truth value one of bool. What numpy would broadcast, wrap around or
turn complex and MATLAB would not is refused, and no matrix grows beyond `MAX_ELEMENTS`.

Source: MathWorks, MATLAB Mathematics, "Array Indexing", "Creating, Concatenating, and Expanding Matrices",
"Compatible Array Sizes for Basic Operations".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.matlab_tokens import Unsupported

Matrix: TypeAlias = FloatArray | BoolArray

# Branches of the largest public case (88,000 with 21 columns) twice over.
MAX_ELEMENTS = 4_000_000


class Colon:
    """The index `:`, every row or every column."""


Index: TypeAlias = Matrix | Colon


@dataclass
class Work:
    """Elements computed so far, so that a short file cannot keep the reader busy for hours."""

    left: int = 1_000_000_000

    def spend(self, elements: int) -> None:
        """Count what an operation computes.

        Raises:
            Unsupported: the file has computed more elements than any case file needs.
        """
        self.left -= elements
        if self.left < 0:
            raise Unsupported("more arithmetic than any case file needs")


def scalar(value: float) -> FloatArray:
    """A number as a matrix."""
    return np.array([[value]], dtype=np.float64)


def size_text(matrix: Matrix) -> str:
    """3 by 13, for messages."""
    return f"{matrix.shape[0]} by {matrix.shape[1]}"


def require_size(rows: int, columns: int) -> None:
    """Refuse a matrix of more than MAX_ELEMENTS entries before it is made.

    Raises:
        Unsupported: it would be larger.
    """
    if rows * columns > MAX_ELEMENTS:
        raise Unsupported(f"a matrix of {rows} by {columns} (more than {MAX_ELEMENTS:,} entries)")


def whole(matrix: Matrix, what: str) -> int:
    """The integer that a 1 by 1 matrix holds.

    Args:
        matrix: the number.
        what: what it counts, for the message.

    Raises:
        Unsupported: it is no whole number.
    """
    if matrix.size != 1 or not np.isfinite(matrix[0, 0]) or matrix[0, 0] != np.round(matrix[0, 0]):
        raise Unsupported(f"{what} that is no whole number")
    return int(matrix[0, 0])


def colon_range(first: Matrix, step: Matrix, last: Matrix) -> FloatArray:
    """first, first + step, ... up to last, as a row.

    Raises:
        Unsupported: an end is no finite number, or the row would be too long.
    """
    if not all(part.size == 1 for part in (first, step, last)):
        raise Unsupported("a range whose ends are no numbers")
    a, s, b = (float(part[0, 0]) for part in (first, step, last))
    if not np.isfinite([a, s, b]).all():
        raise Unsupported("a range whose ends are not finite")
    if s == 0.0:
        return np.zeros((1, 0))
    # A last element that rounding alone keeps from the end belongs to the range.
    steps = (b - a) / s + 2.0 * np.finfo(np.float64).eps * max(abs(a), abs(b)) / abs(s)
    count = max(int(np.floor(min(steps, 2.0 * MAX_ELEMENTS))) + 1, 0)
    require_size(1, count)
    return (a + s * np.arange(count, dtype=np.float64))[None, :]


def concatenate(rows: Sequence[Sequence[Matrix]], work: Work) -> Matrix:
    """[a, b; c, d]; entries of size 0 by 0 take no part, as in MATLAB.

    Raises:
        Unsupported: the sizes do not fit beside or below each other.
    """
    stacked: list[Any] = []
    for row in rows:
        parts = [part for part in row if part.shape != (0, 0)]
        if len({part.shape[0] for part in parts}) > 1:
            sizes = ", ".join(size_text(part) for part in parts)
            raise Unsupported(f"matrices of {sizes} side by side")
        if parts:
            require_size(parts[0].shape[0], sum(part.shape[1] for part in parts))
            stacked.append(parts[0] if len(parts) == 1 else np.hstack(parts))
    if not stacked:
        return np.zeros((0, 0))
    width = stacked[0].shape[1]
    for k, part in enumerate(stacked):
        if part.shape[1] != width:
            raise Unsupported(f"row {k + 1} of a matrix with {part.shape[1]} entries after rows of {width}")
    rows_in_all = sum(part.shape[0] for part in stacked)
    require_size(rows_in_all, width)
    work.spend(rows_in_all * width)
    whole_matrix: Matrix = stacked[0] if len(stacked) == 1 else np.vstack(stacked)
    return whole_matrix


def transpose(matrix: Matrix) -> Matrix:
    """Rows become columns."""
    turned: Matrix = matrix.T.copy()
    return turned


def _quotient(a: float, b: float) -> float:
    """a/b, infinite or NaN at b = 0."""
    if b == 0.0:
        return (
            float("nan") if a == 0.0 or np.isnan(a) else float(np.copysign(1.0, a) * np.copysign(np.inf, b))
        )
    return a / b


# Operators that go entry by entry, a number or a single row or column standing for as many as needed.
_BY_ENTRY: dict[str, Callable[[FloatArray, FloatArray], Any]] = {
    "+": np.add,
    "-": np.subtract,
    ".*": np.multiply,
    "./": np.divide,
    ".\\": lambda a, b: np.divide(b, a),
    ".^": np.power,
    "==": np.equal,
    "~=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "&": lambda a, b: np.logical_and(a != 0.0, b != 0.0),
    "|": lambda a, b: np.logical_or(a != 0.0, b != 0.0),
}
_OF_NUMBERS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    ".*": lambda a, b: a * b,
    "/": _quotient,
    "./": _quotient,
}
_WITH_A_NUMBER = {"*": ".*", "/": "./", "\\": ".\\", "^": ".^", "&&": "&", "||": "|"}


def operate(operator: str, left: Matrix, right: Matrix, work: Work) -> Matrix:
    """The value of `left operator right`, entry by entry or as a product of matrices.

    Args:
        operator: as MATLAB writes it.
        left: left operand.
        right: right operand.
        work: the elements computed are counted here.

    Raises:
        Unsupported: the sizes do not fit, the result would be complex, or NaN stands for true or false.
    """
    work.spend(1)
    if left.size == right.size == 1 and operator in _OF_NUMBERS:
        # Tables are written with many small quotients like 12/sqrt(3); the way below takes ten times as long.
        return scalar(_OF_NUMBERS[operator](float(left[0, 0]), float(right[0, 0])))
    a: FloatArray = left.astype(np.float64)
    b: FloatArray = right.astype(np.float64)
    if operator in ("&", "|", "&&", "||") and (np.isnan(a).any() or np.isnan(b).any()):
        raise Unsupported("NaN taken as true or false")
    if operator in ("*", "/", "\\", "^", "&&", "||"):
        by_number = {"*": 1 in (a.size, b.size), "/": b.size == 1, "\\": a.size == 1}
        if by_number.get(operator, a.size == b.size == 1):
            operator = _WITH_A_NUMBER[operator]
        elif operator == "*":
            if a.shape[1] != b.shape[0]:
                raise Unsupported(f"{size_text(a)} times {size_text(b)}")
            require_size(a.shape[0], b.shape[1])
            work.spend(a.shape[0] * a.shape[1] * b.shape[1])
            with np.errstate(all="ignore"):
                product: FloatArray = a @ b
                return product
        else:
            raise Unsupported(f"{operator} between matrices of {size_text(a)} and {size_text(b)}")
    try:
        rows, columns = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise Unsupported(f"{size_text(a)} {operator} {size_text(b)}") from None
    require_size(rows, columns)
    work.spend(rows * columns)
    if operator == ".^" and np.any((a < 0.0) & (b != np.round(b))):
        raise Unsupported("a root of a negative number")
    with np.errstate(all="ignore"):
        result: Matrix = _BY_ENTRY[operator](a, b)
        return result


def positions(index: Index, count: int, what: str, may_grow: bool = False) -> IntArray:
    """Positions from 0 that an index picks out of count rows, columns or entries.

    A matrix of truth values picks where it is true; numbers count from 1.

    Raises:
        Unsupported: the index is no whole number from 1 on, or points beyond the end.
    """
    if isinstance(index, Colon):
        return np.arange(count, dtype=np.int64)
    flat = index.ravel(order="F")
    if flat.dtype == np.bool_:
        picked = np.flatnonzero(flat)
    else:
        if not np.all((flat == np.round(flat)) & (flat >= 1.0) & (flat < 2.0**53)):
            raise Unsupported(f"{what} {_first_bad(flat):g} (expected a whole number from 1 on)")
        picked = flat.astype(np.int64) - 1
    if len(picked) and picked.max() >= count and not may_grow:
        raise Unsupported(f"{what} {picked.max() + 1} of a matrix that has {count}")
    return picked.astype(np.int64)


def _first_bad(flat: Matrix) -> float:
    """The first entry that is no index."""
    bad = ~((flat == np.round(flat)) & (flat >= 1.0) & (flat < 2.0**53))
    return float(flat[np.flatnonzero(bad)[0]])


def pick(matrix: Matrix, index: Sequence[Index], work: Work) -> Matrix:
    """matrix(i) or matrix(i, j)."""
    if len(index) == 2:
        rows = positions(index[0], matrix.shape[0], "row")
        columns = positions(index[1], matrix.shape[1], "column")
        require_size(len(rows), len(columns))
        work.spend(len(rows) * len(columns))
        return matrix[np.ix_(rows, columns)]
    flat = matrix.ravel(order="F")
    where = positions(index[0], len(flat), "entry")
    require_size(1, len(where))
    work.spend(len(where) + matrix.size)
    return flat[where].reshape(_picked_shape(matrix, index[0], len(where)), order="F")


def _picked_shape(matrix: Matrix, index: Index, count: int) -> tuple[int, int]:
    """Shape of matrix(index): a list of entries lies as the matrix lies if both are lists, else as the index does."""
    if isinstance(index, Colon):
        return count, 1
    is_list = 1 in matrix.shape and matrix.size != 1
    if is_list and (1 in index.shape or index.dtype == np.bool_):
        return (1, count) if matrix.shape[0] == 1 else (count, 1)
    if index.dtype == np.bool_:
        return (1, count) if index.shape[0] == 1 else (count, 1)
    return index.shape[0], index.shape[1]


def place(matrix: Matrix, index: Sequence[Index], value: Matrix, work: Work) -> Matrix:
    """The matrix after matrix(i) = value or matrix(i, j) = value; it grows with zeros as far as the index reaches."""
    if len(index) == 1:
        return _place_entries(matrix, index[0], value, work)
    counts = list(matrix.shape)
    for axis, part in enumerate(index):
        if isinstance(part, Colon) and matrix.size == 0 and counts[axis] == 0:
            counts[axis] = value.shape[axis]  # x(3, :) = [1 2] makes an empty x as wide as the value
    rows = positions(index[0], counts[0], "row", may_grow=True)
    columns = positions(index[1], counts[1], "column", may_grow=True)
    _require_fits(value, len(rows), len(columns))
    counts = [max(n, int(p.max(initial=-1)) + 1) for n, p in zip(counts, (rows, columns), strict=True)]
    require_size(counts[0], counts[1])
    work.spend(counts[0] * counts[1])
    grown = np.zeros((counts[0], counts[1]))
    grown[: matrix.shape[0], : matrix.shape[1]] = matrix
    entries = value if value.size == 1 else value.reshape((len(rows), len(columns)), order="F")
    grown[np.ix_(rows, columns)] = entries
    return grown


def _place_entries(matrix: Matrix, index: Index, value: Matrix, work: Work) -> Matrix:
    """The matrix after matrix(i) = value.

    Raises:
        Unsupported: the numbers of values and entries differ, or the matrix cannot grow to this entry.
    """
    where = positions(index, matrix.size, "entry", may_grow=True)
    if value.size not in (1, len(where)):
        raise Unsupported(f"{value.size} values for {len(where)} entries")
    reach = int(where.max(initial=-1)) + 1
    shape = (matrix.shape[0], matrix.shape[1])
    if reach > matrix.size:
        if matrix.size and 1 not in shape:
            raise Unsupported(f"entry {reach} of a matrix of {size_text(matrix)}")
        shape = (reach, 1) if shape[1] == 1 and shape[0] > 1 else (1, reach)
    require_size(*shape)
    work.spend(shape[0] * shape[1])
    flat = np.zeros(shape[0] * shape[1])
    flat[: matrix.size] = matrix.ravel(order="F")
    flat[where] = value.ravel(order="F")
    return flat.reshape(shape, order="F")


def _require_fits(value: Matrix, rows: int, columns: int) -> None:
    """A value fits the place it is written to: a number, the same size, or a list of as many entries as a list.

    Raises:
        Unsupported: it does not fit.
    """
    if value.size == 1 or value.shape == (rows, columns):
        return
    if value.size == rows * columns and 1 in value.shape and 1 in (rows, columns):
        return
    raise Unsupported(f"{size_text(value)} values for a place of {rows} by {columns}")


def delete(matrix: Matrix, index: Sequence[Index]) -> Matrix:
    """The matrix after matrix(i, :) = [] or matrix(:, j) = [], or of a list after list(i) = [].

    Raises:
        Unsupported: the index picks out neither whole rows nor whole columns.
    """
    if len(index) == 1 and 1 in matrix.shape:
        axis, part = (1 if matrix.shape[0] == 1 else 0), index[0]
    elif len(index) == 2 and sum(isinstance(part, Colon) for part in index) == 1:
        axis = 1 if isinstance(index[0], Colon) else 0
        part = index[axis]
    else:
        raise Unsupported("= [] that takes out neither whole rows nor whole columns")
    return np.delete(matrix, positions(part, matrix.shape[axis], ("row", "column")[axis]), axis=axis)
