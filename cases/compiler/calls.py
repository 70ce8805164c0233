"""How a kernel calls its parts: with structs as they are, and without asking after errors that cannot be.

numba takes every struct apart into its numbers before a call and puts it together behind it, some thousand of them for
a kernel of many parts, and looks after each call what kind of end it came to, and whether it stood in a `try`.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.core.callconv import CPUCallConv
from numba.core.imputils import fix_returning_optional, impl_ret_new_ref

_CallConv: Any = CPUCallConv  # of its own workings numba gives no types

_fail_never: set[str] = set()  # parts, by their names in LLVM


class _Whole:
    """Arguments of a part, each as it is."""

    def __init__(self, models: list[Any]) -> None:
        self._models = models
        self.argument_types = tuple(_argument(model) for model in models if _is_there(model))

    def as_arguments(self, builder: Any, values: Any) -> tuple[Any, ...]:
        """What is handed on."""
        return tuple(
            value if _is_struct(model) else model.as_argument(builder, value)
            for model, value in zip(self._models, values, strict=True)
            if _is_there(model)
        )

    def from_arguments(self, builder: Any, given: Any) -> list[Any]:
        """What arrives; arguments that are left out are no part of a call."""
        left = iter(given)
        return [
            model.from_argument(builder, ())
            if not _is_there(model)
            else next(left)
            if _is_struct(model)
            else model.from_argument(builder, next(left))
            for model in self._models
        ]

    def assign_names(self, given: Any, names: Any) -> None:
        """Names for who reads what was written down."""
        there = [name for model, name in zip(self._models, names, strict=True) if _is_there(model)]
        for value, name in zip(given, there, strict=True):
            value.name = name


def _is_there(model: Any) -> bool:
    return model.get_argument_type() != ()


def _is_struct(model: Any) -> bool:
    return isinstance(model.get_argument_type(), tuple | list)


def _argument(model: Any) -> Any:
    return model.get_value_type() if _is_struct(model) else model.get_argument_type()


class PartCallConv(_CallConv):
    """How parts are called."""

    def _get_arg_packer(self, kinds: Any) -> _Whole:
        return _Whole([self.context.data_model_manager.lookup(kind) for kind in kinds])


def declared(context: Any, module: Any, part: Any) -> Any:
    """A part as a function of LLVM's.

    Args:
        context: numba's, of who calls it or writes it down.
        module: where it is called or written down.
        part: numba's description of it.
    """
    convention = PartCallConv(context)
    kind = convention.get_function_type(part.restype, part.argtypes)
    function = cgutils.get_or_insert_function(module, kind, part.mangled_name)
    convention.decorate_function(function, part.args, part.argtypes, noalias=part.noalias)
    return function


def note_whether_it_fails(part: Any, function: Any) -> None:
    """Looks at all ends of a part that has been written down.

    Args:
        part: numba's description of it.
        function: what was written.
    """
    ends = [block.terminator for block in function.blocks]
    codes = [end.operands[0] for end in ends if end.opname == "ret"]
    if all(getattr(code, "constant", None) == 0 for code in codes):
        _fail_never.add(part.mangled_name)


def call_of(part: Any, library: Any) -> Any:
    """Calls of a part, as numba has them written.

    Args:
        part: numba's description of it.
        library: its code.
    """

    def call(context: Any, builder: Any, signature: Any, arguments: Any, loc: Any = None) -> Any:
        convention = PartCallConv(context)
        function = declared(context, builder.module, part)
        if isinstance(part.restype, types.Optional):
            status, value = convention.call_function(
                builder, function, part.restype, part.argtypes, arguments
            )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            value = fix_returning_optional(context, builder, signature, status, value)
            return impl_ret_new_ref(context, builder, part.restype, value)
        with builder.goto_entry_block():
            result = builder.alloca(function.args[0].type.pointee)
        # An error is told of where the caller's is.
        error = builder.function.args[1]
        packed = convention._get_arg_packer(part.argtypes).as_arguments(builder, arguments)
        code = builder.call(function, [result, error, *packed])
        if part.mangled_name not in _fail_never:
            with cgutils.if_unlikely(builder, builder.icmp_signed("!=", code, code.type(0))):
                builder.ret(code)
        if part.restype == types.none:
            return context.get_dummy_value()
        return context.get_returned_value(builder, part.restype, builder.load(result))

    call.signature, call.libs = part.argtypes, (library,)  # type: ignore[attr-defined]
    return call
