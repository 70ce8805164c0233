"""A named tuple of arrays as a single argument of compiled functions.

Handing a named tuple to a compiled function costs some 0.1 us an array and call, because each is looked at and
unpacked anew. `hold` unpacks it once, into a numba structref with the same fields; what it returns costs some 0.5 us a
call however many arrays it has. It reads like the named tuple, in compiled functions and in Python, and each takes
either.

The arrays are shared, not copied: whoever fills them in place is seen on both sides, and replacing one in its owner is
not. Their owners therefore hand them out once and change them in place ever after.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from numba import types
from numba.experimental import structref
from numba.extending import overload

from grid_model.compilation import compiled

__all__ = ["hold"]

Content = TypeVar("Content")


@structref.register
class HeldType(types.StructRef):
    """How numba sees what `hold` returns."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Types of values, not of the literals that they were made from."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)  # type: ignore[no-untyped-call]


class Held(structref.StructRefProxy):
    """How Python sees it: with the fields of the named tuple."""

    def __getattr__(self, name: str) -> Any:
        if name == "_content":  # not yet set
            raise AttributeError(name)
        return getattr(self._content, name)


structref.define_boxing(HeldType, Held)  # type: ignore[no-untyped-call]
structref.define_attributes(HeldType)  # type: ignore[no-untyped-call]


def _filled(content: Any) -> Any:
    """A structref with the fields of a named tuple; numba alone calls it."""
    raise NotImplementedError


@overload(_filled)
def _overload_filled(content):  # type: ignore[no-untyped-def]  # numba compares this signature with that of `fill`
    kind = HeldType(list(zip(content.fields, content.types, strict=True)))  # type: ignore[no-untyped-call]
    # numba compiles no loop over fields of different types, so the assignments are spelled out.
    lines = ["def fill(content):", "    held = new(kind)"]
    lines += [f"    held.{name} = content.{name}" for name in content.fields]
    names: dict[str, Any] = {"new": structref.new, "kind": kind}
    exec("\n".join([*lines, "    return held"]), names)
    return names["fill"]


@compiled
def _hold(content: Any) -> Any:
    return _filled(content)


def hold(content: Content) -> Content:
    """Unpack a named tuple of arrays, numbers and further named tuples for many calls."""
    held = _hold(content)
    held._content = content
    return cast(Content, held)
