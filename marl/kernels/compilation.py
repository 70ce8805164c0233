"""How the learner's kernels are compiled: as the grid's are, which the learner does not know.

numba keeps what it has compiled beside the sources. What costs time at the first start is the number and the size of
compiled functions, so no kernel gets the way in for C that nobody takes, and those that only other kernels call get
none for Python either. Division by zero gives infinity or NaN, as in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS = {"cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_njit: Any = numba.njit  # numba's type information leaves out an option


def compiled(function: Kernel) -> Kernel:
    """A kernel, called by Python or by other kernels.

    Args:
        function: its source.
    """
    dispatcher: Kernel = _njit(**_OPTIONS)(function)
    return dispatcher


def compiled_part(function: Kernel) -> Kernel:
    """A part of kernels, called by them alone.

    Args:
        function: its source.
    """
    dispatcher: Kernel = _njit(**_OPTIONS, no_cpython_wrapper=True)(function)
    return dispatcher
