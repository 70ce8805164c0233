"""Reads a MATPOWER case out of a MATLAB .mat file.

scipy reads the format, but damaged bytes can end its process; `mat_elements` looks first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.mat_elements import require_sound


def read_mat_case(path: Path, data: bytes) -> dict[str, Any]:
    """Fields of the structure mpc, or the variables of a file of MATPOWER's first version.

    Args:
        path: the file, for messages.
        data: its bytes.

    Returns:
        Value by field; two-dimensional float64 arrays for what holds numbers, anything else as scipy gives it.

    Raises:
        CaseDataError: the file is no .mat file scipy can read, is damaged, too large or nests too deep, or has no case.
    """
    from io import BytesIO

    from scipy.io import loadmat

    try:
        require_sound(data)
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
