"""What the reduced model does with eight environments side by side besides arithmetic.

The vector itself and its operators are those of `grid_model.kernels.lanes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from grid_model.compilation import compiled
from grid_model.kernels.lanes import LANES, N_LANE, _address

__all__ = [
    "copy_single",
    "gather_columns",
    "load_single",
    "rows_of_lanes",
    "store_columns",
    "store_single",
    "write_columns",
]

CACHE_LINE_BYTES = 64

# numba hands the typing context over by itself, which type checkers do not know.
_intrinsic: Any = intrinsic
_VECTOR = ir.VectorType(ir.DoubleType(), N_LANE)


def rows_of_lanes(n_row: int, kind: Any = np.float64) -> npt.NDArray[Any]:
    """Zeros, [row, 8]; a row lies in one line of the processor's cache and not in parts of two."""
    room = np.zeros(n_row * N_LANE + CACHE_LINE_BYTES, dtype=kind)
    aside = -room.ctypes.data % CACHE_LINE_BYTES // room.itemsize
    return room[aside : aside + n_row * N_LANE].reshape(n_row, N_LANE)


def _turn(builder: Any, rows: list[Any], n_side: int = 1) -> list[Any]:
    """Vectors as the rows of matrices with eight columns, in each so many rows one after the other; their columns.

    Of eight vectors of eight, or of eight of sixteen that hold two rows each. Blocks of four, two and one change places
    between vectors; with two rows in each, that leaves the even rows of a column before its odd ones.
    """
    whole = N_LANE * n_side
    for d in (4, 2, 1):
        low = [k if k & d == 0 else whole + k - d for k in range(whole)]
        high = [k + d if k & d == 0 else whole + k for k in range(whole)]
        if d == 1 and n_side == 2:
            order = [k % 2 * N_LANE + k // 2 for k in range(whole)]
            low, high = [low[k] for k in order], [high[k] for k in order]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), whole), mask) for mask in (low, high)]
        for i in range(N_LANE):
            if i & d == 0:
                a, b = rows[i], rows[i + d]
                rows[i] = builder.shuffle_vector(a, b, masks[0])
                rows[i + d] = builder.shuffle_vector(a, b, masks[1])
    return rows


def _is_floats(array: Any, ndim: int, *kinds: Any) -> bool:
    return (
        isinstance(array, types.Array)
        and array.ndim == ndim
        and array.layout == "C"
        and array.dtype in (kinds or (types.float32, types.float64))
    )


def _place(builder: Any, context: Any, kind: Any, data: Any, at: Any, n: int = N_LANE) -> Any:
    """Address of n numbers side by side."""
    vector = ir.VectorType(context.get_data_type(kind.dtype), n)
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _row(context: Any, builder: Any, kind: Any, rows: Any, row: Any) -> Any:
    """Address of a row of an array [row, 8] of single precision."""
    data = context.make_array(kind)(context, builder, rows).data
    return _place(builder, context, kind, data, builder.mul(row, ir.Constant(row.type, N_LANE)))


@_intrinsic
def load_single(typingctx: Any, rows: Any, row: Any) -> Any:
    """Row `row` of an array [row, 8] of single precision."""
    if not _is_floats(rows, 2, types.float32):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = builder.load(_row(context, builder, sig.args[0], *args), align=4)
        return builder.fpext(single, _VECTOR)

    return LANES(rows, types.intp), codegen


@_intrinsic
def store_single(typingctx: Any, rows: Any, row: Any, value: Any) -> Any:
    """Write row `row` of an array [row, 8] of single precision."""
    if not _is_floats(rows, 2, types.float32) or value != LANES:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = builder.fptrunc(args[2], ir.VectorType(ir.FloatType(), N_LANE))
        builder.store(single, _row(context, builder, sig.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(rows, types.intp, value), codegen


@_intrinsic
def copy_single(typingctx: Any, rows: Any, row: Any, given: Any, other: Any) -> Any:
    """Write row `row` of an array [row, 8] of single precision, which is row `other` of a given one."""
    if not _is_floats(rows, 2, types.float32) or not _is_floats(given, 2, types.float32):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = builder.load(_row(context, builder, sig.args[2], *args[2:]), align=4)
        builder.store(single, _row(context, builder, sig.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(rows, types.intp, given, types.intp), codegen


@_intrinsic
def store_columns(typingctx: Any, array: Any, first: Any, column: Any, rows: Any, row: Any) -> Any:
    """Rows of lanes into columns of eight rows of an array [env, column] of the same precision: as many columns as
    fill a line of the cache.

    array[first + lane, column + k] = rows[row + k, lane]
    """
    if not _is_floats(array, 2) or not _is_floats(rows, 2, array.dtype):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to = context.make_array(sig.args[0])(context, builder, args[0])
        data = context.make_array(sig.args[3])(context, builder, args[3]).data
        width = builder.extract_value(to.shape, 1)
        item_bytes = 4 if sig.args[0].dtype == types.float32 else 8
        n = CACHE_LINE_BYTES // item_bytes
        start, found = builder.mul(args[4], ir.Constant(args[4].type, N_LANE)), []
        for k in range(N_LANE):
            at = builder.add(start, ir.Constant(start.type, k * n))
            found.append(builder.load(_place(builder, context, sig.args[3], data, at, n), align=item_bytes))
        for lane, values in enumerate(_turn(builder, found, n // N_LANE)):
            at = builder.add(builder.mul(builder.add(args[1], args[1].type(lane)), width), args[2])
            place = _place(builder, context, sig.args[0], to.data, at, n)
            builder.store(values, place, align=item_bytes)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows, types.intp), codegen


@compiled
def write_columns(array: Any, first: int, rows: Any, row: int) -> None:
    """Rows of lanes into eight rows of an array [env, column], both of single or both of double precision.

    array[first + lane, column] = rows[row + column, lane]

    Args:
        array: eight of its rows are filled.
        first: of them.
        rows: as many from `row` on as the array has columns.
        row: the first one.
    """
    n, n_side = array.shape[1], CACHE_LINE_BYTES // array.itemsize
    for k in range(0, n - n_side + 1, n_side):
        store_columns(array, first, k, rows, row + k)
    if n >= n_side:
        # The last ones, some of them for the second time.
        store_columns(array, first, n - n_side, rows, row + n - n_side)
    else:
        for k in range(n):
            for lane in range(N_LANE):
                array[first + lane, k] = rows[row + k, lane]


@_intrinsic
def gather_columns(typingctx: Any, array: Any, start: Any, column: Any, rows: Any, row: Any) -> Any:
    """Eight numbers from eight places of a flat array of single precision, each place a lane, into eight rows of lanes.

    rows[row + k, lane] = array[start[lane] + column + k]
    """
    if not _is_floats(array, 1, types.float32):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        starts = context.make_array(sig.args[1])(context, builder, args[1]).data
        found = []
        for lane in range(N_LANE):
            at = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
            place = _place(builder, context, sig.args[0], data, builder.add(at, args[2]))
            found.append(builder.load(place, align=4))
        for k, values in enumerate(_turn(builder, found)):
            to = _address(context, builder, sig.args[3], args[3], builder.add(args[4], args[4].type(k)))
            builder.store(builder.fpext(values, _VECTOR), to, align=8)
        return context.get_dummy_value()

    return types.void(array, start, types.intp, rows, types.intp), codegen
