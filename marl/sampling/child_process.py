"""A process of the run's own that works beside the learner, and the line on which they talk.

A helper process answers one message at a time. An exception in it travels to the learner and is raised there; one that
dies ends the run with its name and exit status, and a learner that dies takes it along. It is spawned, because a fork
would copy the threads' locks, and uses one thread, because its siblings have the other cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from cases.processes.ending import end_with_parent

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerError(RuntimeError):
    """A worker process died."""


def ignore_signals() -> None:
    """Interrupts and terminations may reach the whole group; the learner alone decides what they mean."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def portable(error: Exception) -> Exception:
    """The exception with its traceback as a note, or its words where it cannot be sent as it is."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"in a worker process:\n{text}")
    try:
        copy = ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # of any kind: whatever its constructor and its parts do
        copy = None
    return error if type(copy) is type(error) else WorkerError(f"{type(error).__name__} in a worker: {text}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is spawned meanwhile has libraries of one thread."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(work: Callable[..., None], connection: Connection, *arguments: Any) -> None:
    """The process's life: its parent's end cuts it short, also in the middle of an episode."""
    end_with_parent()
    work(connection, *arguments)


class HelperProcess:
    """One process that runs `work(connection, *arguments)`."""

    def __init__(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Starts it.

        Args:
            name: what messages call it.
            work: a function that the process can import by name; its first argument is the process's end of the line.
            *arguments: the others; picklable.

        Raises:
            TypeError: function or arguments cannot be pickled; the message says what to hand in instead.
        """
        self.name = name
        try:
            ForkingPickler.dumps((work, arguments))
        except Exception as error:  # of any kind, as the parts are the caller's
            raise TypeError(
                f"{name} cannot be sent what it is to run ({error}): hand in a function of a module, "
                "or functools.partial of one"
            ) from error
        context = multiprocessing.get_context("spawn")
        self._line, there = context.Pipe()
        self.process = context.Process(target=_begin, args=(work, there, *arguments), daemon=True)
        try:
            with _one_thread():
                self.process.start()
        except BaseException:
            self._line.close()
            raise
        finally:
            there.close()

    def send(self, message: Any) -> None:
        """Passes a message; a process that has died is told of by `receive`."""
        try:
            self._line.send(message)
        except (BrokenPipeError, ConnectionResetError):
            self.receive()

    def receive(self) -> Any:
        """Its answer.

        Raises:
            Exception: whatever was raised there.
            WorkerError: the process has died.
        """
        try:
            result = self._line.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join(timeout=5.0)
            raise WorkerError(f"{self.name} died with exit status {self.process.exitcode}") from error
        if isinstance(result, Exception):
            raise result
        return result

    def has_answered(self, timeout_s: float = 0.0) -> bool:
        """Whether `receive` would return, or raise, at once; waits for that so long."""
        return self._line.poll(timeout_s)

    def close(self) -> None:
        """Cuts the line, which ends the process; one that goes on is killed, for it ignores everything gentler."""
        self._line.close()
        self.process.join(timeout=5.0)
        if self.process.is_alive():
            self.process.kill()


def answer(connection: Connection, respond: Callable[[Any], Any]) -> None:
    """Answers messages until the line is cut; what is raised meanwhile is the answer."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            result: Any = respond(message)
        except Exception as error:
            result = portable(error)
        try:
            connection.send(result)
        except (BrokenPipeError, ConnectionResetError):
            return
