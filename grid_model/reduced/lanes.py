"""What the reduced model does with eight environments side by side besides arithmetic.

The vector itself and its operators are those of `grid_model.kernels.lanes`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from grid_model.kernels.lanes import LANES, N_LANE, _spread

__all__ = ["any_above", "floor", "larger", "smaller"]

# numba hands the typing context over by itself, which type checkers do not know.
_intrinsic: Any = intrinsic
_VECTOR = ir.VectorType(ir.DoubleType(), N_LANE)


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
def floor(typingctx: Any, a: Any) -> Any:
    """Largest whole number that is not above."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name = "llvm.floor.v8f64"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, args)

    return LANES(LANES), codegen


@_intrinsic
def any_above(typingctx: Any, a: Any, limit: Any) -> Any:
    """Whether any lane is above a limit."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = builder.fcmp_ordered(">", args[0], _spread(builder, args[1]))
        bits = builder.bitcast(found, ir.IntType(N_LANE))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(N_LANE), 0))

    return types.boolean(LANES, types.float64), codegen
