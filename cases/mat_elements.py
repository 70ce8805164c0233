"""Whether the elements of a MATLAB .mat file of level 5 fit each other, told before anything unpacks them.

scipy's reader follows tags without looking whether they can be true: a kind of data that the format does not have
takes it out of its table of kinds and ends the process, structures within structures far enough do so too, and
dimensions without data take what memory they say. So every tag is walked first, in the order in which scipy reads:

    file      header of 128 bytes, then arrays, or zlib streams of one array each
    element   kind and size of 4 bytes each, data, filled up to 8 bytes; up to 4 bytes of data share the tag's 8
    array     flags, dimensions, name, then by class
              numbers     entries [, imaginary parts]
              text        characters
              sparse      rows, column starts, entries [, imaginary parts]
              cell        an array for each entry
              structure   length of a name, names, an array for each entry and name
              object      class, then as a structure
              function    an array
    opaque    flags, name, system, class, an array

Source: MathWorks, MAT-File Format, R2023b. Function handles and opaque objects are not in it; they are walked as
scipy reads them.
"""

from __future__ import annotations

import struct
import zlib
from math import prod

MAX_UNPACKED_BYTES = 256 * 2**20
MAX_NESTING = 30
MAX_ARRAYS = 400_000  # a name is one; 80,000 buses with their branches and generators have 200,000
_HEADER_BYTES = 128
_TAG_BYTES = 8
_MAX_DIMENSIONS = 32  # numpy 1 has no more

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_CHARACTER_BYTES = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}  # UTF-8, -16 and -32: of the shortest character

_CELL, _STRUCTURE, _OBJECT, _TEXT, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_NUMBERS = range(6, 16)  # double, single, and integers of 8 to 64 bits
_COMPLEX_FLAG = 1 << 11


def require_sound(data: bytes) -> None:
    """The elements of a file lie within each other as their classes ask for, and within the bounds above.

    Args:
        data: the whole file; one of level 4, which has but matrices of numbers, and one of version 7.3, which is
            HDF5, pass unseen.

    Raises:
        ValueError: they do not; the message says what and at which byte.
    """
    if 0 in data[:4]:  # level 4 has no text at its beginning
        return
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("its header names no byte order")
    if data[125 if order == "<" else 124] != 1:
        return
    tag = struct.Struct(order + "II")
    walk = _Walk(order)
    left = MAX_UNPACKED_BYTES
    at = _HEADER_BYTES
    while at < len(data):
        if at + _TAG_BYTES > len(data):
            raise ValueError(f"ends within the tag at byte {at}")
        kind, size = tag.unpack_from(data, at)
        body = data[at + _TAG_BYTES : at + _TAG_BYTES + size]
        if len(body) < size:
            raise ValueError(f"the element at byte {at} has {size} bytes, the file {len(body)} more")
        if kind == _COMPRESSED:
            body = _unpacked(body, at, left)
        elif kind == _MATRIX:
            body = data[at : at + _TAG_BYTES + size]
        else:
            raise ValueError(f"the element at byte {at} is of kind {kind}, expected an array")
        left -= len(body)
        if left < 0:
            raise ValueError(f"unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB")
        try:
            walk.variable(body)
        except ValueError as error:
            raise ValueError(f"variable at byte {at}: {error}") from None
        at += _TAG_BYTES + size


def _unpacked(packed: bytes, at: int, left: int) -> bytes:
    """What a zlib stream holds, but no more than one byte beyond what is left.

    Raises:
        ValueError: the stream is damaged or has no end.
    """
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(packed, left + 1)
    except zlib.error as error:
        raise ValueError(f"the compressed element at byte {at} is damaged: {error}") from None
    if len(body) <= left and not stream.eof:
        raise ValueError(f"the compressed element at byte {at} has no end")
    return body


class _Walk:
    """Walks the variables of a file, and counts their arrays."""

    def __init__(self, order: str) -> None:
        """Begins with the byte order of the file, "<" or ">"."""
        self.order = order
        self.tag = struct.Struct(order + "II")
        self.body = b""
        self.arrays_found = 0

    def variable(self, body: bytes) -> None:
        """A variable, tag and all.

        Raises:
            ValueError: its elements do not fit each other.
        """
        self.body = body
        at = self.array(0, len(body), 1)
        if at != len(body):
            raise ValueError(f"{len(body) - at} bytes after its last element")

    def count(self, arrays: int) -> None:
        """More arrays, or entries and names that take scipy as long as one.

        Raises:
            ValueError: they are too many.
        """
        self.arrays_found += arrays
        if self.arrays_found > MAX_ARRAYS:
            raise ValueError(f"the file has more than {MAX_ARRAYS:,} arrays")

    def element(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Kind, first byte of the data, its size, and where the next element begins.

        Raises:
            ValueError: the element does not lie within what ends at `end`.
        """
        if at + _TAG_BYTES > end:
            raise ValueError(f"an element is missing at byte {at}")
        kind, size = self.tag.unpack_from(self.body, at)
        if kind >> 16:  # a small element: size and kind share four bytes, the data has the next four
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError(f"the small element at byte {at} has {size} bytes, expected at most 4")
            return kind, at + 4, size, at + _TAG_BYTES
        start = at + _TAG_BYTES
        # The last element of a stream may come without the bytes that fill it up.
        after = min(start + size + (-size) % 8, max(start + size, len(self.body)))
        if after > end:
            raise ValueError(f"the element at byte {at} has {size} bytes, what it lies in {end - start} more")
        return kind, start, size, after

    def data(self, at: int, end: int, kinds: dict[int, int]) -> tuple[int, int]:
        """How many numbers or characters an element has at most, and where the next begins.

        Raises:
            ValueError: the element has another kind of data.
        """
        kind, _, size, after = self.element(at, end)
        if kind not in kinds:
            raise ValueError(f"the element at byte {at} is of kind {kind}, expected one of {sorted(kinds)}")
        return size // kinds[kind], after

    def integers(self, at: int, end: int) -> tuple[tuple[int, ...], int]:
        """Integers of 32 bits of which none is negative, and where the next element begins.

        Raises:
            ValueError: it holds none, or negative ones.
        """
        kind, start, size, after = self.element(at, end)
        if kind not in (_INT32, _UINT32) or size % 4 or size > 4 * _MAX_DIMENSIONS:
            raise ValueError(
                f"the element at byte {at} is of kind {kind} and has {size} bytes, expected a few integers"
            )
        values = struct.unpack_from(f"{self.order}{size // 4}i", self.body, start)
        if any(value < 0 for value in values):
            raise ValueError(f"the integers at byte {at} are {values}, expected none below 0")
        return values, after

    def text(self, at: int, end: int) -> tuple[bytes, int]:
        """A name, and where the next element begins.

        Raises:
            ValueError: it holds none.
        """
        kind, start, size, after = self.element(at, end)
        if kind not in (_INT8, _UTF8):
            raise ValueError(f"the element at byte {at} is of kind {kind}, expected a name")
        return self.body[start : start + size], after

    def array(self, at: int, end: int, depth: int) -> int:
        """An array and all within it; where the next element begins.

        Raises:
            ValueError: an element within does not fit, or the array nests too deep.
        """
        self.count(1)
        if depth > MAX_NESTING:
            raise ValueError(f"nests deeper than {MAX_NESTING} elements")
        kind, start, size, array_end = self.element(at, end)
        if kind != _MATRIX or start != at + _TAG_BYTES:
            raise ValueError(f"the element at byte {at} is of kind {kind}, expected an array")
        if size == 0:
            return array_end
        kind, flags_start, flags_size, inner = self.element(start, array_end)
        if kind != _UINT32 or flags_size != 8:
            raise ValueError(f"the array at byte {at} begins without flags")
        flags, _ = self.tag.unpack_from(self.body, flags_start)
        inner = self.content(inner, array_end, flags, depth)
        if inner != array_end:
            raise ValueError(f"the array at byte {at} ends at byte {array_end}, its elements at byte {inner}")
        return array_end

    def content(self, at: int, end: int, flags: int, depth: int) -> int:
        """All of an array but its flags; where it ends.

        Raises:
            ValueError: an element does not fit the class and dimensions.
        """
        its_class = flags & 0xFF
        if its_class == _OPAQUE:
            for _ in range(3):
                _, at = self.text(at, end)
            return self.array(at, end, depth + 1)
        begin = at
        dimensions, at = self.integers(at, end)
        if len(dimensions) < 2:
            raise ValueError(f"{len(dimensions)} dimensions at byte {begin}, expected two or more")
        entries = prod(dimensions)
        _, at = self.text(at, end)
        parts = 2 if flags & _COMPLEX_FLAG else 1
        if its_class in _NUMBERS:
            for _ in range(parts):
                begin = at
                found, at = self.data(at, end, _NUMBER_BYTES)
                if found != entries:
                    raise ValueError(f"{found} numbers at byte {begin}, dimensions of {entries}")
            return at
        if its_class == _TEXT:
            begin = at
            found, at = self.data(at, end, _CHARACTER_BYTES)
            if found < entries and found > 0:
                raise ValueError(f"{found} characters at byte {begin}, dimensions of {entries}")
            self.count(0 if found else entries)  # some write blanks with no byte at all
            return at
        if its_class == _SPARSE:
            return self.sparse(at, end, dimensions, parts)
        if its_class == _FUNCTION:
            return self.array(at, end, depth + 1)
        if its_class == _CELL:
            return self.arrays(entries, at, end, depth)
        if its_class in (_STRUCTURE, _OBJECT):
            if its_class == _OBJECT:
                _, at = self.text(at, end)
            return self.structure(entries, at, end, depth)
        raise ValueError(f"an array of class {its_class}, which is unknown")

    def sparse(self, at: int, end: int, dimensions: tuple[int, ...], parts: int) -> int:
        """Rows, starts of the columns, and entries; where they end.

        Raises:
            ValueError: an element is missing or too short.
        """
        if len(dimensions) != 2:
            raise ValueError(f"a sparse matrix of {len(dimensions)} dimensions, expected 2")
        _, at = self.data(at, end, _NUMBER_BYTES)
        starts, at = self.data(at, end, _NUMBER_BYTES)
        if starts < dimensions[1] + 1:
            raise ValueError(f"a sparse matrix with {starts} starts for {dimensions[1]} columns")
        for _ in range(parts):
            _, at = self.data(at, end, _NUMBER_BYTES)
        return at

    def structure(self, entries: int, at: int, end: int, depth: int) -> int:
        """Names and values of a structure; where they end.

        Raises:
            ValueError: an element does not fit, or there are too many names.
        """
        begin = at
        lengths, at = self.integers(at, end)
        names, at = self.text(at, end)
        if len(lengths) != 1 or lengths[0] == 0 or len(names) % lengths[0]:
            raise ValueError(f"{len(names)} bytes of names at byte {begin}, of length {lengths}")
        n_field = len(names) // lengths[0]
        self.count(n_field)
        if n_field > 1000:  # scipy compares each with each
            raise ValueError(f"a structure of {n_field} fields, expected at most 1000")
        self.count(entries)  # scipy makes an object of each
        return self.arrays(entries * n_field, at, end, depth)

    def arrays(self, n_array: int, at: int, end: int, depth: int) -> int:
        """As many arrays as there are cells; where they end.

        Raises:
            ValueError: there are fewer, or one does not fit.
        """
        if n_array * _TAG_BYTES > end - at:
            raise ValueError(f"{n_array} arrays expected at byte {at}, where {end - at} bytes are left")
        for _ in range(n_array):
            at = self.array(at, end, depth + 1)
        return at
