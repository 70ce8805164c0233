"""Reads a MATPOWER case out of a MATLAB .mat file, within bounds.

scipy reads the format, but it unpacks whatever a file says, and structures within structures far enough crash
the process. So the tags of the file are walked first: how much it unpacks to and how deep it nests.

Source: MathWorks, MAT-File Format, R2023b (level 5: tags, compressed elements, cells and structures).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, FloatArray

MAX_UNPACKED_BYTES = 256 * 2**20
MAX_NESTING = 30
_COMPRESSED, _MATRIX = 15, 14
_HEADER_BYTES = 128


def read_mat_case(path: Path, data: bytes) -> dict[str, Any]:
    """Fields of the structure mpc, or the variables of a file of MATPOWER's first version.

    Args:
        path: the file, for messages.
        data: its bytes.

    Returns:
        Value by field; two-dimensional float64 arrays for what holds numbers, anything else as scipy gives it.

    Raises:
        CaseDataError: the file is no .mat file scipy can read, is too large or nests too deep, or has no case.
    """
    from io import BytesIO

    from scipy.io import loadmat

    try:
        _require_bounded(data)
        opened: Any = BytesIO(data)  # a file, for which scipy's type stubs have no name
        content = loadmat(opened, squeeze_me=False, struct_as_record=False)
    except NotImplementedError:
        raise CaseDataError(
            f"{path.name}: a .mat file of version 7.3, expected an older one. Save it with save(..., '-v7')."
        ) from None
    except Exception as error:  # scipy raises whatever a broken file leads it to
        reason = " ".join(str(error).split())[:120]
        raise CaseDataError(f"{path.name}: cannot be read ({reason}), expected a MATLAB file.") from error
    case = content.get("mpc")
    if case is None:
        fields = {name: value for name, value in content.items() if not name.startswith("__")}
    elif getattr(case, "shape", None) == (1, 1) and hasattr(case[0, 0], "_fieldnames"):
        fields = {name: getattr(case[0, 0], name) for name in case[0, 0]._fieldnames}
    else:
        raise CaseDataError(
            f"{path.name}: mpc is no structure, expected one with baseMVA, bus, gen and branch."
        )
    return {name: _plain(path.name, name, value) for name, value in fields.items()}


def _plain(file: str, name: str, value: Any) -> Any:
    """Numbers as float64.

    Raises:
        CaseDataError: the field holds complex numbers.
    """
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub":
        numbers: FloatArray = value.astype(np.float64)
        return numbers
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return str(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        raise CaseDataError(f"{file}, mpc.{name}: holds complex numbers, expected real ones.")
    return value


def _require_bounded(data: bytes) -> None:
    """The file unpacks to at most MAX_UNPACKED_BYTES and nests at most MAX_NESTING elements.

    Raises:
        ValueError: it does not; files of other levels than 5 have neither packing nor structures and pass.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        return
    left = MAX_UNPACKED_BYTES
    at = _HEADER_BYTES
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        body = data[at + 8 : at + 8 + size]
        at += 8 + size
        if kind == _COMPRESSED:
            body = zlib.decompressobj().decompress(body, left + 1)
            kind, size = struct.unpack_from(order + "II", body) if len(body) >= 8 else (0, 0)
            start = 8
        else:
            start = 0
        left -= len(body)
        if left < 0:
            raise ValueError(f"unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB")
        if kind == _MATRIX:
            _require_shallow(body, start, len(body), order)


def _require_shallow(body: bytes, start: int, end: int, order: str) -> None:
    """No chain of elements within elements is longer than MAX_NESTING.

    Raises:
        ValueError: a chain is longer.
    """
    ends = [end]  # where the open elements end, the innermost last
    at = start
    while at + 8 <= end:
        while at >= ends[-1] and len(ends) > 1:
            ends.pop()
        kind, size = struct.unpack_from(order + "II", body, at)
        if kind >> 16:  # a small element: size and kind share four bytes, the data has the next four
            at += 8
        elif kind == _MATRIX:
            at += 8
            ends.append(at + size)
            if len(ends) > MAX_NESTING:
                raise ValueError(f"nests deeper than {MAX_NESTING} elements")
        else:
            at += 8 + size + (-size) % 8
