"""A named tuple of arrays as a single argument of compiled functions.

Handing a named tuple to a compiled function costs some 0.1 us an array and call, because each is looked at and
unpacked anew, and every function between it and where an array is used is compiled with all of them among its
arguments: seconds, for those of a grid. `hold` writes down once where the arrays lie and what shapes they have; of what
it returns, compiled functions are handed the address of that. It reads like the named tuple, in compiled functions and
in Python, and each takes either. A named tuple within it is an address again.

The arrays are shared, not copied: whoever fills them in place is seen on both sides, and replacing one in its owner is
not. Their owners therefore hand them out once and change them in place ever after. What was written down never changes,
which the compiler is told, so that it looks up an array once for a whole loop. Compiled functions own none of the
arrays and do not count who uses them: `Held` keeps them.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, unbox

__all__ = ["hold"]

Content = TypeVar("Content")

# Which numba gives no types.
_typeof: Any = numba.typeof
_unbox: Any = unbox
_lower_getattr: Any = lower_getattr_generic
_AttributeTemplate: Any = AttributeTemplate

_WORD, _WORD_BYTES = ir.IntType(64), 8
_ARRAY_HEAD = 2  # words before an array's shape: its size and its address
# Where numba has what it knows of an array.
_, _, _N_ITEMS, _ITEM_BYTES, _DATA, _SHAPE, _STRIDES = range(7)
_LLVM_TYPES: dict[Any, Any] = {types.int64: _WORD, types.boolean: _WORD, types.float64: ir.DoubleType()}


class _Field(NamedTuple):
    name: str
    kind: types.Type
    word: int  # where it begins


class HeldType(types.Opaque):
    """How numba sees what `hold` returns: the address of words, and what stands where."""

    def __init__(self, of: str, fields: tuple[_Field, ...]) -> None:
        # The name goes into the names of all functions that take it, so it is short.
        digest = hashlib.sha256(repr(fields).encode()).hexdigest()[:12]
        super().__init__(name=f"Held{of}_{digest}")
        self.fields = fields

    def field(self, name: str) -> _Field | None:
        """The one of this name."""
        return next((field for field in self.fields if field.name == name), None)


class Held:
    """How Python sees it: with the fields of the named tuple."""

    __slots__ = ("_address", "_content", "_numba_type_", "_words")

    def __init__(self, content: Any) -> None:
        self._content = content
        self._numba_type_, words = _written(content)
        self._words = np.array(words, dtype=np.int64)
        self._address = self._words.ctypes.data

    def __getattr__(self, name: str) -> Any:
        if name in self.__slots__:  # not yet set
            raise AttributeError(name)
        return getattr(self._content, name)


def hold(content: Content) -> Content:
    """Write down a named tuple of arrays, numbers and further named tuples for many calls.

    Raises:
        TypeError: a field is something else.
    """
    return cast(Content, Held(content))


def _written(content: Any) -> tuple[HeldType, list[int]]:
    """What stands where, counted from the beginning of this tuple, and the words."""
    fields: list[_Field] = []
    words: list[int] = []
    for name, value in zip(content._fields, content, strict=True):
        kind, added = _word_of(value)
        fields.append(_Field(name, kind, len(words)))
        words += added
    return HeldType(type(content).__name__, tuple(fields)), words


def _word_of(value: Any) -> tuple[types.Type, list[int]]:
    """Type of a field's value in compiled functions, and the words that stand for it.

    Raises:
        TypeError: it is none of those that are held.
    """
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _written(value)
    if isinstance(value, np.ndarray):
        return _typeof(value), [value.size, value.ctypes.data, *value.shape, *value.strides]
    if value is None:
        return types.none, []
    if isinstance(value, bool | np.bool_):
        return types.boolean, [int(value)]
    if isinstance(value, int | np.integer):
        return types.int64, [int(value)]
    if isinstance(value, float | np.floating):
        return types.float64, [int(np.float64(value).view(np.int64))]
    raise TypeError(
        f"compiled functions hold arrays, numbers and named tuples of them, not {type(value).__name__}"
    )


register_model(HeldType)(models.OpaqueModel)


@_unbox(HeldType)  # type: ignore[untyped-decorator]
def _unboxed(typ: Any, obj: Any, c: Any) -> Any:
    """Python's object -> the address."""
    address = c.pyapi.object_getattr_string(obj, "_address")
    pointer = c.pyapi.long_as_voidptr(address)
    c.pyapi.decref(address)
    return NativeValue(pointer)  # type: ignore[no-untyped-call]


@infer_getattr
class _HeldAttributes(_AttributeTemplate):  # type: ignore[misc]
    key = HeldType

    def generic_resolve(self, held: HeldType, name: str) -> Any:
        """Type of a field."""
        field = held.field(name)
        return None if field is None else field.kind


@_lower_getattr(HeldType)  # type: ignore[untyped-decorator]
def _get(context: Any, builder: Any, held: HeldType, address: Any, name: str) -> Any:
    """Looks up a field."""
    field = held.field(name)
    assert field is not None
    kind = field.kind
    if isinstance(kind, HeldType):
        return _place(builder, address, field.word)
    if kind is types.none:
        return context.get_dummy_value()
    if not isinstance(kind, types.Array):
        value = _read(builder, address, field.word, _LLVM_TYPES[kind])
        return builder.trunc(value, ir.IntType(1)) if kind is types.boolean else value
    array_type = context.get_value_type(kind)
    data_type = array_type.elements[_DATA]
    item_bytes = context.get_abi_sizeof(data_type.pointee)
    # Without an owner, whose users would be counted.
    array = ir.Constant(array_type, None)
    array = builder.insert_value(array, _read(builder, address, field.word), _N_ITEMS)
    array = builder.insert_value(array, ir.Constant(_WORD, item_bytes), _ITEM_BYTES)
    array = builder.insert_value(array, _read(builder, address, field.word + 1, data_type), _DATA)
    for axis in range(kind.ndim):
        size = _read(builder, address, field.word + _ARRAY_HEAD + axis)
        stride = _read(builder, address, field.word + _ARRAY_HEAD + kind.ndim + axis)
        array = builder.insert_value(array, size, [_SHAPE, axis])
        array = builder.insert_value(array, stride, [_STRIDES, axis])
    return array


def _read(builder: Any, address: Any, word: int, kind: Any = _WORD) -> Any:
    """A word, which is the same at any time."""
    place = builder.bitcast(_place(builder, address, word), kind.as_pointer())
    value = builder.load(place)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _place(builder: Any, address: Any, word: int) -> Any:
    return builder.gep(address, [ir.Constant(ir.IntType(32), word * _WORD_BYTES)])
