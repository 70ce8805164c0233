"""What two processes are worth on this machine, whatever they do: plain arithmetic, and streams through memory.

Arithmetic keeps to registers, so that two processes share neither memory nor cache: what it lacks to twice the speed
is the machine's, as cores that are halves of one, a clock that falls with two at work, or others at work beside them.
The stream adds two arrays that are larger than the caches. Measured in turns, medians of the rounds.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import median

import numpy as np

from cases.processes.ending import end_with_parent
from grid_model.compilation import compiled

ROUND_S = 0.08  # as long as a round of the environments
N_STREAM = 2**23  # 64 MB each


@compiled
def multiply_and_add(n: int) -> float:
    """Eight sums that do not wait for each other, so that the core's arithmetic is at work all the time."""
    a, b, c, d = 1.0, 2.0, 3.0, 4.0
    e, f, g, h = 5.0, 6.0, 7.0, 8.0
    for _ in range(n):
        a, b, c, d = 0.5 * a + 1.0, 0.5 * b + 1.0, 0.5 * c + 1.0, 0.5 * d + 1.0
        e, f, g, h = 0.5 * e + 1.0, 0.5 * f + 1.0, 0.5 * g + 1.0, 0.5 * h + 1.0
    return a + b + c + d + e + f + g + h


def ratios(rounds: int = 31) -> dict[str, float]:
    """Work a second of two processes over that of one.

    Returns:
        two_process_ratio_arithmetic, two_process_ratio_stream.
    """
    with _Two() as two:
        return {f"two_process_ratio_{what}": two.ratio(what, rounds) for what in ("arithmetic", "stream")}


class _Two:
    """Two processes that wait for work."""

    def __enter__(self) -> _Two:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(2)]
        self._pipes = [ours for ours, _ in pairs]
        self._processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pairs]
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()

    def ratio(self, what: str, rounds: int) -> float:
        """Work a second of both over that of the first, which does as much in a round as each of both."""
        n = 1
        self._took_s(what, n, 2)  # what is compiled or loaded once is no work
        while (took_s := self._took_s(what, n, 1)) < ROUND_S / 4:
            n *= 2
        n = max(1, round(n * ROUND_S / took_s))
        self._took_s(what, n, 2)
        return median(2.0 * self._took_s(what, n, 1) / self._took_s(what, n, 2) for _ in range(rounds))

    def _took_s(self, what: str, n: int, n_process: int) -> float:
        began_s = time.perf_counter()
        for pipe in self._pipes[:n_process]:
            pipe.send((what, n))
        for pipe in self._pipes[:n_process]:
            pipe.recv()
        return time.perf_counter() - began_s


def _serve(pipe: Connection) -> None:
    """Works until told to end."""
    end_with_parent()
    to, add = np.ones(N_STREAM), np.ones(N_STREAM)

    def stream(n: int) -> None:
        for _ in range(n):
            np.add(to, add, out=to)

    works: dict[str, Callable[[int], object]] = {"arithmetic": multiply_and_add, "stream": stream}
    while (asked := pipe.recv()) is not None:
        what, n = asked
        works[what](n)
        pipe.send(None)
