"""How a user hears of compilation: once for a machine and a version of the sources."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event
from numba.core.registry import CPUDispatcher

SECONDS_PER_KERNEL = 0.3  # of a processor of 2023


class Announcement(event.Listener):
    """Tells of compilation when it begins: a bar at a terminal, else a line at the beginning and one at the end."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.n_compiled = 0
        self._packages = packages
        self._began_s = 0.0
        self._bar: Any = None
        self._collects = True  # whether there was a collector at work before

    def on_start(self, event: Any) -> None:
        """The first kernel that was not kept from an earlier run."""
        if self._began_s or not _is_of(event, self._packages):
            return
        self._began_s = time.monotonic()
        n = len(kernels(self._packages))
        text = f"compiling up to {n} kernels, about {n * SECONDS_PER_KERNEL:.0f} s (once)"
        # A compiler makes the collector run all the time, over much that stays and little that goes.
        self._collects = gc.isenabled()
        gc.disable()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=n, desc=text, leave=False, bar_format="{desc} |{bar}| {elapsed}")
        else:
            print(text, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """One kernel more."""
        if _is_of(event, self._packages):
            self.n_compiled += 1
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """The end, where anything was compiled."""
        if not self._began_s:
            return
        if self._collects:
            # To the old ones, which the collector looks at in its own time: looking at all at once takes a second.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
        if self._bar is not None:
            self._bar.close()
        else:
            took_s = time.monotonic() - self._began_s
            print(f"compiled {self.n_compiled} kernels in {took_s:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def announced(packages: tuple[str, ...]) -> Iterator[Announcement]:
    """Whatever is compiled meanwhile is told of on stderr; where everything is kept from before, nothing is.

    Args:
        packages: whose kernels count, by the beginning of their modules' names.
    """
    told = Announcement(packages)
    with event.install_listener("numba:compile", told):
        try:
            yield told
        finally:
            told.close()


def kernels(packages: tuple[str, ...]) -> set[Any]:
    """All kernels of the packages' modules imported so far."""
    return {
        found
        for name, module in list(sys.modules.items())
        if name.startswith(packages)
        for found in vars(module).values()
        if isinstance(found, CPUDispatcher)
    }


def _is_of(event: Any, packages: tuple[str, ...]) -> bool:
    # Functions that numba makes for its own types, such as constructors of structs, have no module.
    name: str | None = event.data["dispatcher"].py_func.__module__
    return name is not None and name.startswith(packages)
