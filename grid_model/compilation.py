"""How kernels are compiled, and how a user hears of it: once for a machine and a version of the sources.

numba keeps what it has compiled beside the sources. What costs time at the first start is the number and the size of
compiled functions, so no kernel gets the way in for C that nobody takes. Division by zero gives infinity or NaN, as in
numpy, instead of a check and an exception.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import CPUDispatcher

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

OWN_PACKAGES = ("grid_model.", "control.")
SECONDS_PER_KERNEL = 0.3  # of a processor of 2023
_OPTIONS = {"cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_njit: Any = numba.njit  # numba's type information leaves out an option


_load_index: Callable[[Any], dict[Any, Any]] = IndexDataCacheFile._load_index


def _readable_index(file: Any) -> dict[Any, Any]:
    """What numba has kept of a kernel; nothing where it names a type that is gone, so that it is compiled anew.

    numba's index holds the types of arguments, our named tuples among them, by the names of their modules. After one
    has been renamed, or where a kernel was once called with a tuple of somebody else's, it cannot be read any more,
    and numba would end in an error at every start.
    """
    try:
        return _load_index(file)
    except (ImportError, AttributeError, TypeError, EOFError):
        return {}


setattr(IndexDataCacheFile, "_load_index", _readable_index)  # noqa: B010  numba offers no other way


def compiled(function: Kernel) -> Kernel:
    """A kernel, called by Python or by other kernels.

    Args:
        function: its source.
    """
    dispatcher: Kernel = _njit(**_OPTIONS)(function)
    return dispatcher


class Announcement(event.Listener):
    """Tells of compilation when it begins: a bar at a terminal, else a line at the beginning and one at the end."""

    def __init__(self) -> None:
        self.n_compiled = 0
        self._began_s = 0.0
        self._bar: Any = None

    def on_start(self, event: Any) -> None:
        """The first kernel that was not kept from an earlier run."""
        if self._began_s or not _is_own(event):
            return
        self._began_s = time.monotonic()
        n = len(kernels())
        text = f"compiling up to {n} kernels, about {n * SECONDS_PER_KERNEL:.0f} s (once)"
        # What was alive before is left alone by the collector: a compiler makes it run all the time.
        gc.freeze()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=n, desc=text, leave=False, bar_format="{desc} |{bar}| {elapsed}")
        else:
            print(text, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """One kernel more."""
        if _is_own(event):
            self.n_compiled += 1
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """The end, where anything was compiled."""
        if not self._began_s:
            return
        gc.unfreeze()
        if self._bar is not None:
            self._bar.close()
        else:
            took_s = time.monotonic() - self._began_s
            print(f"compiled {self.n_compiled} kernels in {took_s:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def announced() -> Iterator[Announcement]:
    """Whatever is compiled meanwhile is told of on stderr; where everything is kept from before, nothing is."""
    told = Announcement()
    with event.install_listener("numba:compile", told):
        try:
            yield told
        finally:
            told.close()


def kernels() -> set[Any]:
    """All kernels of the modules imported so far."""
    return {
        found
        for name, module in list(sys.modules.items())
        if name.startswith(OWN_PACKAGES)
        for found in vars(module).values()
        if isinstance(found, CPUDispatcher)
    }


def _is_own(event: Any) -> bool:
    # Functions that numba makes for its own types, such as constructors of structs, have no module.
    name: str | None = event.data["dispatcher"].py_func.__module__
    return name is not None and name.startswith(OWN_PACKAGES)
