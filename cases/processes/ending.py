"""Processes that end with the one that started them, however that one ends.

A parent that is killed has no time to tell its children, and they do not notice by themselves: one waits for work on a
pipe whose other end its siblings hold open too, as processes that were forked have copies of all that was open before;
another is in the middle of an episode. So every child watches its parent from a thread of its own, and ends at once.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

__all__ = ["ORPHANED", "end_with_parent", "process_pool"]

ORPHANED = 1  # exit status of a child whose parent has died, which nobody is left to read
LOOK_EVERY_S = 1.0


def end_with_parent() -> None:
    """Called first in a child process: from now on it ends within LOOK_EVERY_S of its parent, whatever it is doing.

    In a process that has no parent of this kind, such as the user's own, it does nothing.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    watch = threading.Thread(target=_watch, args=(parent.sentinel, parent.pid), daemon=True)
    watch.name = "end with parent"
    watch.start()


def _watch(sentinel: int, parent: int) -> None:
    """Waits until the parent is no more, and ends this process without asking anybody."""
    # The sentinel alone would do where processes are spawned. Of a forked one, siblings that were forked after it hold
    # the other end open; but its parent is another one once its own has died, except on Windows.
    while not wait([sentinel], timeout=LOOK_EVERY_S):
        if os.name == "posix" and os.getppid() != parent:
            break
    os._exit(ORPHANED)


def process_pool(workers: int, **options: Any) -> ProcessPoolExecutor:
    """A pool of processes that end with this one.

    Args:
        workers: how many.
        **options: of `concurrent.futures.ProcessPoolExecutor`, except its initializer.
    """
    return ProcessPoolExecutor(workers, initializer=end_with_parent, **options)
