"""Eight environments side by side: a vector of eight numbers that compiled code adds and multiplies as one.

The same elimination solves every environment of a batch; only the numbers differ. So eight of them share each
instruction: entry k of a quantity is row k of an array [row, 8], one environment a column, called a lane. `load`
reads a row, `store` writes one, and between them the usual operators work on all eight. Every operation is IEEE's,
lane by lane, none is reordered or fused unless `fma` says so; so the bits of a lane depend neither on its neighbours
nor on its place, and a processor with narrower registers gets the same ones.

Functions marked @compiled are kept compiled with these operations in them, so this file counts among their sources.
numba's own loops would need the compiler to prove that arrays do not overlap, which it cannot here; hence a type.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_cast
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

N_LANE = 8

# numba hands the typing context over by itself, which type checkers do not know.
_intrinsic: Any = intrinsic


class LanesType(types.Type):
    """numba's type of a vector of eight float64."""

    def __init__(self) -> None:
        super().__init__(name="lanes8")


LANES = LanesType()
_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, N_LANE)
_BITS = ir.VectorType(ir.IntType(64), N_LANE)
# LLVM halves vectors of 512 bits on most processors that have them; these loops gain from the whole width.
_WIDTH = ('"min-legal-vector-width"="512"', '"prefer-vector-width"="512"')


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """A vector lives in one register, or in as many as the processor needs for it."""

    def __init__(self, manager: Any, fe_type: types.Type) -> None:
        super().__init__(manager, fe_type, _VECTOR)


def _spread(builder: Any, value: Any) -> Any:
    """The same number in every lane."""
    zero = ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, zero)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), N_LANE), [0] * N_LANE)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


@lower_cast(types.float64, LANES)
def _from_float(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _spread(builder, value)


def _operator(function: Callable[..., Any], instruction: str) -> None:
    """Teach numba one of + - * / on lanes, and on lanes and a number."""

    class Template(ConcreteTemplate):
        cases = [  # noqa: RUF012  numba's convention
            signature(LANES, LANES, LANES),
            signature(LANES, LANES, types.float64),
            signature(LANES, types.float64, LANES),
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


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    """Where a row of an array [row, 8] begins, as a pointer to a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.mul(row, ir.Constant(row.type, N_LANE))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


def _widen(builder: Any) -> None:
    for attribute in _WIDTH:
        set.add(builder.function.attributes, attribute)  # llvmlite's own `add` knows no quoted attributes


def _named(builder: Any, name: str, n_argument: int) -> Any:
    """One of LLVM's own functions on vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * n_argument)
    return cgutils.get_or_insert_function(builder.module, kind, name)


def _is_rows(array: Any) -> bool:
    return (
        isinstance(array, types.Array)
        and array.ndim == 2
        and array.layout == "C"
        and array.dtype == types.float64
    )


@_intrinsic
def load(typingctx: Any, array: Any, row: Any) -> Any:
    """Row `row` of an array [row, 8]."""
    if not _is_rows(array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)
        pointer = _address(context, builder, sig.args[0], *args)
        return builder.load(pointer, align=8)

    return LANES(array, types.intp), codegen


@_intrinsic
def store(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    """Write row `row` of an array [row, 8]."""
    if not _is_rows(array) or value not in (LANES, types.float64):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _widen(builder)
        pointer = _address(context, builder, sig.args[0], *args[:2])
        written = args[2] if sig.args[2] == LANES else _spread(builder, args[2])
        builder.store(written, pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@_intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_named(builder, "llvm.fma.v8f64", 3), args)

    return LANES(LANES, LANES, LANES), codegen


@_intrinsic
def fnma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """c - a b, rounded once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        minus_a = builder.fneg(args[0])
        return builder.call(_named(builder, "llvm.fma.v8f64", 3), [minus_a, args[1], args[2]])

    return LANES(LANES, LANES, LANES), codegen


@_intrinsic
def root(typingctx: Any, a: Any) -> Any:
    """Square root."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_named(builder, "llvm.sqrt.v8f64", 1), args)

    return LANES(LANES), codegen


@_intrinsic
def larger_size(typingctx: Any, a: Any, b: Any) -> Any:
    """max(|a|, |b|), where what is not a number counts as larger than any."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # As integers the bits of positive numbers stand in the numbers' own order, infinity and NaN above them.
        no_sign = ir.Constant(_BITS, [2**63 - 1] * N_LANE)
        a, b = (builder.and_(builder.bitcast(value, _BITS), no_sign) for value in args)
        larger = builder.select(builder.icmp_signed(">", a, b), a, b)
        return builder.bitcast(larger, _VECTOR)

    return LANES(LANES, LANES), codegen


@_intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is above zero, b elsewhere; the other one leaves no trace, not even a NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        mask, a, b = args
        condition = builder.fcmp_ordered(">", mask, ir.Constant(_VECTOR, [0.0] * N_LANE))
        return builder.select(condition, a, b)

    return LANES(LANES, LANES, LANES), codegen


@_intrinsic
def equal(typingctx: Any, a: Any, b: Any) -> Any:
    """1.0 where two lanes are equal, else 0.0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        same = builder.fcmp_ordered("==", *args)
        return builder.uitofp(same, _VECTOR)

    return LANES(LANES, LANES), codegen


@_intrinsic
def one_where_not_above(typingctx: Any, a: Any, limit: Any) -> Any:
    """1.0 where a lane is at most a limit, 0.0 where it is above it or no number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = builder.fcmp_ordered("<=", args[0], _spread(builder, args[1]))
        return builder.uitofp(found, _VECTOR)

    return LANES(LANES, types.float64), codegen


@_intrinsic
def spread(typingctx: Any, value: Any) -> Any:
    """The same number in every lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, args[0])

    return LANES(types.float64), codegen


@_intrinsic
def floor(typingctx: Any, a: Any) -> Any:
    """Largest whole number that is not above."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_named(builder, "llvm.floor.v8f64", 1), args)

    return LANES(LANES), codegen


def _is_lanes_or_number(*kinds: Any) -> bool:
    return all(kind in (LANES, types.float64) for kind in kinds)


def _wide(builder: Any, kind: Any, value: Any) -> Any:
    return value if kind == LANES else _spread(builder, value)


def _choose(order: str) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (_wide(builder, kind, value) for kind, value in zip(sig.args, args, strict=True))
        # Where a is no number the comparison fails and b stands; b is the quantity that must not be lost.
        return builder.select(builder.fcmp_ordered(order, a, b), a, b)

    return codegen


@_intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of a and b in every lane; b where they cannot be compared."""
    return (LANES(a, b), _choose("<")) if _is_lanes_or_number(a, b) else None


@_intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of a and b in every lane; b where they cannot be compared."""
    return (LANES(a, b), _choose(">")) if _is_lanes_or_number(a, b) else None


@_intrinsic
def any_above(typingctx: Any, a: Any, limit: Any) -> Any:
    """Whether any lane is above a limit."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = builder.fcmp_ordered(">", args[0], _spread(builder, args[1]))
        bits = builder.bitcast(found, ir.IntType(N_LANE))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(N_LANE), 0))

    return types.boolean(LANES, types.float64), codegen


def _is_numbers(array: Any) -> bool:
    return isinstance(array, types.Array) and array.layout == "C" and array.dtype == types.float64


def _eight_from(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Where eight numbers begin, counted along all axes of an array, as a pointer to a vector."""
    _widen(builder)
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@_intrinsic
def load_at(typingctx: Any, array: Any, index: Any) -> Any:
    """Eight numbers from one place of an array on, counted along all its axes."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_eight_from(context, builder, sig.args[0], *args), align=8)

    return (LANES(array, types.intp), codegen) if _is_numbers(array) else None


@_intrinsic
def store_at(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write eight numbers from one place of an array on, counted along all its axes."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _eight_from(context, builder, sig.args[0], *args[:2]), align=8)
        return context.get_dummy_value()

    return (types.void(array, types.intp, LANES), codegen) if _is_numbers(array) and value == LANES else None
