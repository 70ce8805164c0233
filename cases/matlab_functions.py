"""Functions and constants of MATLAB and MATPOWER that case files call.

Names of columns are what MATPOWER's `idx_bus`, `idx_brch`, `idx_gen` and `idx_cost` return, in their order;
`define_constants` sets all of them. Columns count from 1 as in MATLAB.

Source: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 7.1, 2020, tables B-1 to B-4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.matlab_matrix import Matrix, Work, require_size, scalar, size_text, whole
from cases.matlab_tokens import Unsupported


def _numbered(names: str) -> dict[str, int]:
    """Column by name."""
    pairs = [name.split("=") for name in names.split()]
    return {name: int(column) for name, column in pairs}


COLUMN_NAMES: dict[str, dict[str, int]] = {
    "idx_bus": _numbered(
        "PQ=1 PV=2 REF=3 NONE=4 BUS_I=1 BUS_TYPE=2 PD=3 QD=4 GS=5 BS=6 BUS_AREA=7 VM=8 VA=9 BASE_KV=10 ZONE=11 "
        "VMAX=12 VMIN=13 LAM_P=14 LAM_Q=15 MU_VMAX=16 MU_VMIN=17"
    ),
    "idx_brch": _numbered(
        "F_BUS=1 T_BUS=2 BR_R=3 BR_X=4 BR_B=5 RATE_A=6 RATE_B=7 RATE_C=8 TAP=9 SHIFT=10 BR_STATUS=11 PF=14 QF=15 "
        "PT=16 QT=17 MU_SF=18 MU_ST=19 ANGMIN=12 ANGMAX=13 MU_ANGMIN=20 MU_ANGMAX=21"
    ),
    "idx_gen": _numbered(
        "GEN_BUS=1 PG=2 QG=3 QMAX=4 QMIN=5 VG=6 MBASE=7 GEN_STATUS=8 PMAX=9 PMIN=10 MU_PMAX=22 MU_PMIN=23 "
        "MU_QMAX=24 MU_QMIN=25 PC1=11 PC2=12 QC1MIN=13 QC1MAX=14 QC2MIN=15 QC2MAX=16 RAMP_AGC=17 RAMP_10=18 "
        "RAMP_30=19 RAMP_Q=20 APF=21"
    ),
    "idx_cost": _numbered("PW_LINEAR=1 POLYNOMIAL=2 MODEL=1 STARTUP=2 SHUTDOWN=3 NCOST=4 COST=5"),
}

CONSTANTS: dict[str, Matrix] = {
    "pi": scalar(np.pi),
    "eps": scalar(float(np.finfo(np.float64).eps)),
    "Inf": scalar(np.inf),
    "inf": scalar(np.inf),
    "NaN": scalar(np.nan),
    "nan": scalar(np.nan),
    "true": np.array([[True]]),
    "false": np.array([[False]]),
}


def call(name: str, arguments: Sequence[Matrix], work: Work) -> Matrix:
    """Value of a function that `FUNCTIONS` knows, of matrices.

    Raises:
        Unsupported: the function does not take these arguments, or would answer with a complex number.
    """
    least, most, function = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        raise Unsupported(f"{name} with {len(arguments)} arguments instead of {expected}")
    work.spend(sum(argument.size for argument in arguments))
    with np.errstate(all="ignore"):
        return function(*arguments)


def _filled(value: float) -> Callable[..., Matrix]:
    """zeros, ones: (), (n) square, (rows, columns) or ([rows columns])."""

    def make(*sizes: Matrix) -> Matrix:
        rows, columns = _sizes(sizes)
        return np.full((rows, columns), value)

    return make


def _sizes(sizes: Sequence[Matrix]) -> tuple[int, int]:
    """Rows and columns asked for; less than none is none."""
    if len(sizes) == 1 and sizes[0].shape == (1, 2):
        sizes = [sizes[0][:, :1], sizes[0][:, 1:]]
    counts = [max(whole(size, "a size"), 0) for size in sizes] or [1]
    rows, columns = counts[0], counts[-1]
    require_size(rows, columns)
    return rows, columns


def _eye(*sizes: Matrix) -> Matrix:
    """Ones on the diagonal."""
    rows, columns = _sizes(sizes)
    return np.eye(rows, columns)


def _diag(matrix: Matrix) -> Matrix:
    """A list becomes the diagonal of a matrix; of a matrix the diagonal is taken, as a column."""
    values: FloatArray = matrix.astype(np.float64)
    if 1 in matrix.shape:
        require_size(matrix.size, matrix.size)
        return np.diag(values.ravel())
    return np.diag(values)[:, None].copy()


def _size(matrix: Matrix, axis: Matrix | None = None) -> Matrix:
    """[rows columns], or one of them.

    Raises:
        Unsupported: the dimension is below 1.
    """
    if axis is None:
        return np.array([matrix.shape], dtype=np.float64)
    k = whole(axis, "a dimension")
    if k < 1:
        raise Unsupported(f"dimension {k}")
    return scalar(float(matrix.shape[k - 1]) if k <= 2 else 1.0)


def _find(matrix: Matrix) -> Matrix:
    """Entries that are not 0, counted from 1; a row of a row, else a column."""
    where: FloatArray = np.flatnonzero(matrix.ravel(order="F")) + np.float64(1.0)
    return where[None, :] if matrix.shape[0] == 1 and matrix.shape[1] != 1 else where[:, None]


def _repmat(matrix: Matrix, *sizes: Matrix) -> Matrix:
    """The matrix, so many times below and beside itself."""
    rows, columns = _sizes(sizes)
    require_size(rows * matrix.shape[0], columns * matrix.shape[1])
    values: FloatArray = matrix.astype(np.float64)
    return np.tile(values, (rows, columns))


def _by_entry(
    function: Callable[[FloatArray], FloatArray], low: float = -np.inf, high: float = np.inf
) -> Callable[..., Matrix]:
    """A function of every entry, real from low to high."""

    def apply(matrix: Matrix) -> Matrix:
        values = matrix.astype(np.float64)
        if np.any((values < low) | (values > high)):
            raise Unsupported(f"a function of a number that is not from {low:g} to {high:g}")
        return function(values)

    return apply


def _round(values: FloatArray) -> FloatArray:
    """To the nearest whole number, halves away from 0 (numpy: to even)."""
    below = np.trunc(values)
    return below + np.copysign(np.abs(values - below) >= 0.5, values)


def _sum(matrix: Matrix, axis: Matrix | None = None) -> Matrix:
    """Sum of a list, of each column, or along the dimension asked for.

    Raises:
        Unsupported: the dimension is neither 1 nor 2, or the matrix is empty.
    """
    k = whole(axis, "a dimension") if axis is not None else (2 if matrix.shape[0] == 1 else 1)
    if k not in (1, 2) or matrix.shape == (0, 0):
        raise Unsupported(f"a sum along dimension {k} of a matrix of {size_text(matrix)}")
    return np.asarray(matrix.astype(np.float64).sum(axis=k - 1, keepdims=True))


def _extreme(along: Callable[..., Any], pair: Callable[..., Any]) -> Callable[..., Matrix]:
    """max, min: of a list, of each column, or of two matrices entry by entry; NaN counts for nothing."""

    def apply(left: Matrix, right: Matrix | None = None) -> Matrix:
        if right is None:
            if left.size == 0:
                raise Unsupported("max or min of an empty matrix")
            return np.asarray(along(left, axis=1 if left.shape[0] == 1 else 0, keepdims=True))
        if left.shape != right.shape and 1 not in (left.size, right.size):
            raise Unsupported(f"max or min of {size_text(left)} and {size_text(right)}")
        return np.asarray(pair(left, right))

    return apply


# Fewest and most arguments, and the function.
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Matrix]]] = {
    "zeros": (0, 2, _filled(0.0)),
    "ones": (0, 2, _filled(1.0)),
    "eye": (0, 2, _eye),
    "diag": (1, 1, _diag),
    "repmat": (2, 3, _repmat),
    "size": (1, 2, _size),
    "length": (1, 1, lambda m: scalar(float(max(m.shape) if m.size else 0))),
    "numel": (1, 1, lambda m: scalar(float(m.size))),
    "isempty": (1, 1, lambda m: np.array([[m.size == 0]])),
    "find": (1, 1, _find),
    "sum": (1, 2, _sum),
    "max": (1, 2, _extreme(np.fmax.reduce, np.fmax)),
    "min": (1, 2, _extreme(np.fmin.reduce, np.fmin)),
    "abs": (1, 1, _by_entry(np.abs)),
    "sqrt": (1, 1, _by_entry(np.sqrt, low=0.0)),
    "exp": (1, 1, _by_entry(np.exp)),
    "log": (1, 1, _by_entry(np.log, low=0.0)),
    "sin": (1, 1, _by_entry(np.sin)),
    "cos": (1, 1, _by_entry(np.cos)),
    "tan": (1, 1, _by_entry(np.tan)),
    "asin": (1, 1, _by_entry(np.arcsin, low=-1.0, high=1.0)),
    "acos": (1, 1, _by_entry(np.arccos, low=-1.0, high=1.0)),
    "atan": (1, 1, _by_entry(np.arctan)),
    "floor": (1, 1, _by_entry(np.floor)),
    "ceil": (1, 1, _by_entry(np.ceil)),
    "fix": (1, 1, _by_entry(np.trunc)),
    "round": (1, 1, _by_entry(_round)),
}
