"""A run's claim on its directory: two runs in one would overwrite each other's checkpoints and metrics.

The claim is a lock of the operating system on a small file, not the file itself: when a process ends, however it ends,
the lock is gone, and what a killed run leaves behind keeps nobody out. Processes that a run starts do not hold it. The
file says who does, for the message to whoever comes second.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO

from marl.training.run_state import TrainingFailed

__all__ = ["CLAIM", "DirectoryClaimed", "RunClaim"]

CLAIM = "run.lock"
# Windows keeps others from reading what is locked, so the byte that is lies far behind what the file says.
_LOCKED_BYTE = 1 << 20
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


class DirectoryClaimed(TrainingFailed):
    """A run is going on in this directory; the message says whose."""


def _lock(file: IO[bytes]) -> None:
    """Takes the lock, or raises OSError at once where somebody has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class RunClaim:
    """Held from its making until `release` or the end of the process. A context manager."""

    def __init__(self, directory: Path) -> None:
        """Claims a directory, which is made if it is not there.

        Args:
            directory: of the run.

        Raises:
            DirectoryClaimed: another run holds it.
            OSError: the directory cannot be written to.
        """
        self.path = directory / CLAIM
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            file = open(self.path, "a+b")  # noqa: SIM115  closed by `release`; no program that is started inherits it
            try:
                _lock(file)
            except OSError as error:
                holder = _holder(self.path)
                file.close()
                if error.errno in _TAKEN:
                    raise DirectoryClaimed(
                        f"{directory} is in use by {holder}: a run has its directory to itself"
                    ) from None
                print(
                    f"{directory}: its file system knows no locks; see that no second run uses it",
                    file=sys.stderr,
                )
                self._file: IO[bytes] | None = None
                return
            if _is_still(file, self.path):
                break
            file.close()  # the one before has ended and removed it between the two steps
        self._file = file
        file.seek(0)
        file.truncate()
        who = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):  # on a full disk the lock holds as well
            file.write(json.dumps(who).encode("utf-8"))
            file.flush()
        _HELD.add(self)

    def release(self) -> None:
        """Lets others in; a second time does no harm."""
        file, self._file = self._file, None
        _HELD.discard(self)
        if file is not None:
            with contextlib.suppress(OSError):  # Windows removes nothing that is open
                self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                file.close()

    def _forget(self) -> None:
        """In a forked process: its copy of the lock would outlive the run."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file.fileno())

    def __enter__(self) -> RunClaim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_HELD: weakref.WeakSet[RunClaim] = weakref.WeakSet()


def _forget_all() -> None:
    for claim in list(_HELD):
        claim._forget()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _is_still(file: IO[bytes], path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def _holder(path: Path) -> str:
    """Who holds the claim, in words."""
    try:
        who = json.loads(path.read_bytes())
        return f"process {who['process']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
