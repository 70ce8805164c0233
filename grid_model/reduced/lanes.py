"""What the reduced model does with eight environments side by side besides arithmetic.

The vector itself and its operators are those of `grid_model.kernels.lanes`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from grid_model.kernels.lanes import N_LANE, _address

__all__ = ["gather_columns", "store_columns"]

# numba hands the typing context over by itself, which type checkers do not know.
_intrinsic: Any = intrinsic
_VECTOR = ir.VectorType(ir.DoubleType(), N_LANE)


def _turn(builder: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors as the rows of a matrix; its columns, by swapping blocks of four, two and one."""
    for d in (4, 2, 1):
        low = [k if k & d == 0 else N_LANE + k - d for k in range(N_LANE)]
        high = [k + d if k & d == 0 else N_LANE + k for k in range(N_LANE)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), N_LANE), mask) for mask in (low, high)]
        for i in range(N_LANE):
            if i & d == 0:
                a, b = rows[i], rows[i + d]
                rows[i] = builder.shuffle_vector(a, b, masks[0])
                rows[i + d] = builder.shuffle_vector(a, b, masks[1])
    return rows


def _is_single(array: Any) -> bool:
    return isinstance(array, types.Array) and array.layout == "C" and array.dtype == types.float32


@_intrinsic
def store_columns(typingctx: Any, array: Any, first: Any, column: Any, rows: Any, row: Any) -> Any:
    """Eight rows of lanes, as numbers of single precision, into eight columns of eight rows of an array [env, column].

    array[first + lane, column + k] = rows[row + k, lane]
    """
    if not _is_single(array) or array.ndim != 2:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = ir.VectorType(ir.FloatType(), N_LANE)
        to = context.make_array(sig.args[0])(context, builder, args[0])
        width = builder.extract_value(to.shape, 1)
        found = [
            builder.fptrunc(
                builder.load(
                    _address(context, builder, sig.args[3], args[3], builder.add(args[4], args[4].type(k))),
                    align=8,
                ),
                single,
            )
            for k in range(N_LANE)
        ]
        for lane, values in enumerate(_turn(builder, found)):
            at = builder.add(builder.mul(builder.add(args[1], args[1].type(lane)), width), args[2])
            builder.store(values, builder.bitcast(builder.gep(to.data, [at]), single.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows, types.intp), codegen


@_intrinsic
def gather_columns(typingctx: Any, array: Any, start: Any, column: Any, rows: Any, row: Any) -> Any:
    """Eight numbers from eight places of a flat array of single precision, each place a lane, into eight rows of lanes.

    rows[row + k, lane] = array[start[lane] + column + k]
    """
    if not _is_single(array) or array.ndim != 1:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        single = ir.VectorType(ir.FloatType(), N_LANE)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        starts = context.make_array(sig.args[1])(context, builder, args[1]).data
        found = []
        for lane in range(N_LANE):
            at = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
            place = builder.gep(data, [builder.add(at, args[2])])
            found.append(builder.load(builder.bitcast(place, single.as_pointer()), align=4))
        for k, values in enumerate(_turn(builder, found)):
            to = _address(context, builder, sig.args[3], args[3], builder.add(args[4], args[4].type(k)))
            builder.store(builder.fpext(values, _VECTOR), to, align=8)
        return context.get_dummy_value()

    return types.void(array, start, types.intp, rows, types.intp), codegen
