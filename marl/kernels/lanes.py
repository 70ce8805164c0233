"""Sixteen numbers side by side: a vector of float32 that compiled code adds and multiplies as one.

Networks are run on arrays without shape: a number stands where an index says, `load` and `store` move sixteen that
follow each other, and the usual operators work on all of them. `tile` is the core of every matrix product.

Every operation is IEEE's, lane by lane, none is reordered, and those of `fma` and `tile` are rounded once. A sum over
lanes has a fixed order, and each number of a product is summed up in the order of its terms. So the bits of a result
depend neither on how many rows are run together nor on how wide the processor's registers are; their width decides the
size of a tile alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_cast
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

N_LANE = 16
# A tile's sums must fit in the registers: 32 of sixteen numbers, or the narrower ones of other processors.
TILE_ROWS, TILE_VECTORS = (8, 2) if llvmlite.binding.get_host_cpu_features().get("avx512f") else (4, 1)
TILE_COLUMNS = TILE_VECTORS * N_LANE

# numba hands the typing context over by itself, which type checkers do not know.
_intrinsic: Any = intrinsic


class LanesType(types.Type):
    """numba's type of a vector of sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name="lanes16")


LANES = LanesType()
_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, N_LANE)
_ZERO = ir.Constant(_VECTOR, [0.0] * N_LANE)
_NOTHING = ir.Constant(_VECTOR, ir.Undefined)
# LLVM halves vectors of 512 bits on most processors that have them; these loops gain from the whole width.
_WIDTH = ('"min-legal-vector-width"="512"', '"prefer-vector-width"="512"')


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """A vector lives in one register, or in as many as the processor needs for it."""

    def __init__(self, manager: Any, fe_type: types.Type) -> None:
        super().__init__(manager, fe_type, _VECTOR)


def _shuffled(builder: Any, value: Any, lanes: list[int], second: Any = _NOTHING) -> Any:
    """The vector made of these lanes of another, or of two, whose lanes are counted on."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), N_LANE), lanes)
    return builder.shuffle_vector(value, second, mask)


def _spread(builder: Any, value: Any) -> Any:
    """The same number in every lane."""
    one = builder.insert_element(_NOTHING, value, ir.Constant(ir.IntType(32), 0))
    return _shuffled(builder, one, [0] * N_LANE)


@lower_cast(types.float32, LANES)
def _from_float(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _spread(builder, value)


def _operator(function: Callable[..., Any], instruction: str) -> None:
    """Teach numba one of + - * / on lanes, and on lanes and a number."""

    class Template(ConcreteTemplate):
        cases = [  # noqa: RUF012  numba's convention
            signature(LANES, LANES, LANES),
            signature(LANES, LANES, types.float32),
            signature(LANES, types.float32, LANES),
        ]

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (
            value if kind == LANES else _spread(builder, value)
            for kind, value in zip(sig.args, args, strict=True)
        )
        return getattr(builder, instruction)(a, b)

    for case in Template.cases:
        lower_builtin(function, *case.args)(lower)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


def _widen(builder: Any) -> None:
    for attribute in _WIDTH:
        set.add(builder.function.attributes, attribute)  # llvmlite's own `add` knows no quoted attributes


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Where an array's numbers begin."""
    return context.make_array(array_type)(context, builder, array).data


def _vector_at(builder: Any, data: Any, index: Any) -> Any:
    """Pointer to the sixteen numbers from this index on."""
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _named(builder: Any, name: str, n_argument: int) -> Any:
    """One of LLVM's own functions on vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * n_argument)
    return cgutils.get_or_insert_function(builder.module, kind, name)


def _is_flat(array: Any) -> bool:
    return (
        isinstance(array, types.Array)
        and array.ndim == 1
        and array.layout == "C"
        and array.dtype == types.float32
    )


@_intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """The sixteen numbers of a flat array from this index on."""
    if not _is_flat(array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)
        data = _data(context, builder, sig.args[0], args[0])
        return builder.load(_vector_at(builder, data, args[1]), align=4)

    return LANES(array, types.intp), codegen


@_intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen numbers into a flat array from this index on."""
    if not _is_flat(array) or value not in (LANES, types.float32):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)
        data = _data(context, builder, sig.args[0], args[0])
        written = args[2] if sig.args[2] == LANES else _spread(builder, args[2])
        builder.store(written, _vector_at(builder, data, args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@_intrinsic
def spread(typingctx: Any, value: Any) -> Any:
    """The same number in every lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, args[0])

    return LANES(types.float32), codegen


@_intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_named(builder, "llvm.fma.v16f32", 3), args)

    return LANES(LANES, LANES, LANES), codegen


@_intrinsic
def root(typingctx: Any, a: Any) -> Any:
    """Square root."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_named(builder, "llvm.sqrt.v16f32", 1), args)

    return LANES(LANES), codegen


@_intrinsic
def where_positive(typingctx: Any, mask: Any, a: Any) -> Any:
    """a where the mask is above zero or no number, so that no NaN is lost, and zero elsewhere."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # Of an unordered comparison a NaN is the truth.
        return builder.select(builder.fcmp_unordered(">", args[0], _ZERO), args[1], _ZERO)

    return LANES(LANES, LANES), codegen


@_intrinsic
def total(typingctx: Any, a: Any) -> Any:
    """Sum over the lanes: of those eight apart, then four, two and one."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        for apart in (8, 4, 2, 1):
            other = [(lane + apart) % N_LANE for lane in range(N_LANE)]
            value = builder.fadd(value, _shuffled(builder, value, other))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float32(LANES), codegen


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Sixteen vectors as the columns of what they were the rows of: blocks of 8, 4, 2 and 1 change places."""
    rows = list(rows)
    for apart in (8, 4, 2, 1):
        upper = [lane if not lane & apart else lane - apart + N_LANE for lane in range(N_LANE)]
        lower = [lane + apart if not lane & apart else lane + N_LANE for lane in range(N_LANE)]
        for i in range(N_LANE):
            if not i & apart:
                a, b = rows[i], rows[i + apart]
                rows[i], rows[i + apart] = _shuffled(builder, a, upper, b), _shuffled(builder, a, lower, b)
    return rows


def _rows(builder: Any, data: Any, first: Any, step: Any) -> list[Any]:
    """Pointers to sixteen vectors that are so far apart."""
    numbers = [ir.Constant(_INDEX, row) for row in range(N_LANE)]
    return [_vector_at(builder, data, builder.add(first, builder.mul(step, number))) for number in numbers]


@_intrinsic
def transpose(typingctx: Any, to: Any, source: Any) -> Any:
    """Copies sixteen rows of sixteen numbers as columns.

    Args:
        typingctx: numba's own, as everywhere here; callers leave it out.
        to: where they go in a flat array, and how far its rows are apart: (array, index, row).
        source: where they come from, likewise.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)

        def places(operand: int) -> list[Any]:
            array, first, step = (builder.extract_value(args[operand], k) for k in range(3))
            return _rows(builder, _data(context, builder, sig.args[operand][0], array), first, step)

        columns = _transposed(builder, [builder.load(place, align=4) for place in places(1)])
        for column, place in zip(columns, places(0), strict=True):
            builder.store(column, place, align=4)
        return context.get_dummy_value()

    index = types.intp
    kinds = [types.Tuple([operand[0], index, index]) for operand in (to, source)]
    return types.void(*kinds), codegen


@_intrinsic
def tile(typingctx: Any, c: Any, begin: Any, a: Any, b: Any, n_term: Any) -> Any:
    """A tile of a matrix product, TILE_ROWS rows by TILE_COLUMNS columns: c_ij = begin_ij + sum over k of a_ik b_kj.

    The sums stay in registers; of b a row of the tile is read at a time, of a one number a row.

    Args:
        typingctx: numba's own; callers leave it out.
        c: where the tile begins in a flat array, and how far its rows are apart: (array, index, row).
        begin: what the terms are added to, likewise.
        a: (array, index, row, term), how far rows and terms are apart.
        b: (array, index, term), how far terms are apart; columns follow each other.
        n_term: numbers that are summed up.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)
        fused = _named(builder, "llvm.fma.v16f32", 3)

        def part(operand: int, position: int) -> Any:
            return builder.extract_value(args[operand], position)

        c_data, begin_data, a_data, b_data = (
            _data(context, builder, sig.args[operand][0], part(operand, 0)) for operand in range(4)
        )

        def along(first: Any, step: Any, count: Any) -> Any:
            return builder.add(first, builder.mul(step, count))

        def number(value: int) -> Any:
            return ir.Constant(_INDEX, value)

        def place(data: Any, operand: int, row: int, vector: int) -> Any:
            first = along(part(operand, 1), part(operand, 2), number(row))
            return _vector_at(builder, data, builder.add(first, number(vector * N_LANE)))

        rows, vectors = range(TILE_ROWS), range(TILE_VECTORS)
        sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in vectors] for _ in rows]
        for i in rows:
            for j in vectors:
                builder.store(builder.load(place(begin_data, 1, i, j), align=4), sums[i][j])
        with cgutils.for_range(builder, args[4]) as loop:
            b_first = along(part(3, 1), part(3, 2), loop.index)
            b_row = [
                builder.load(_vector_at(builder, b_data, builder.add(b_first, number(j * N_LANE))), align=4)
                for j in vectors
            ]
            a_first = along(part(2, 1), part(2, 3), loop.index)
            for i in rows:
                at = along(a_first, part(2, 2), number(i))
                factor = _spread(builder, builder.load(builder.gep(a_data, [at])))
                for j in vectors:
                    added = builder.call(fused, [factor, b_row[j], builder.load(sums[i][j])])
                    builder.store(added, sums[i][j])
        for i in rows:
            for j in vectors:
                builder.store(builder.load(sums[i][j]), place(c_data, 0, i, j), align=4)
        return context.get_dummy_value()

    index = types.intp
    kinds = [types.Tuple([operand[0]] + [index] * (len(operand) - 1)) for operand in (c, begin, a, b)]
    return types.void(*kinds, index), codegen
