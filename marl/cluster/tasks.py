"""Independent pieces of work as tasks of a Ray cluster, behind the interface of `concurrent.futures`.

Whoever shares out work over an executor shares it out over a cluster by being handed this one. A piece goes to any
node with a processor to spare; one whose process or node dies is done again elsewhere; what it raises is raised by
its future. Results come back to this process, which alone writes them down.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from marl.cluster.connection import Cluster, ClusterError, connected

__all__ = ["RayPool", "pool_on"]

T = TypeVar("T")


def _done(work: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return work(*arguments, **named)


class RayPool(Executor):
    """Pieces of work on the processors of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        """Starts the thread that takes results in; the cluster is left open."""
        self.cluster = cluster
        self._task = cluster.ray.remote(_done).options(
            num_cpus=1, max_retries=-1, scheduling_strategy="SPREAD"
        )
        self._out: dict[Any, Future[Any]] = {}
        self._change = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._take_in, name="results of Ray tasks", daemon=True)
        self._thread.start()

    @property
    def n_worker(self) -> int:
        """Pieces that are worked on at a time."""
        return max(self.cluster.n_cpu, 1)

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Gives a piece of work out.

        Args:
            work: a function of a module that every node has, or a partial of one.
            *arguments: picklable, as its result and what it raises.
            **named: the same.

        Raises:
            RuntimeError: the pool has been shut down.
        """
        future: Future[T] = Future()
        with self._change:
            if self._ended:
                raise RuntimeError("the pool has been shut down")
            self._out[self._task.remote(work, arguments, named)] = future
            self._change.notify()
        return future

    def _take_in(self) -> None:
        while True:
            with self._change:
                while not self._out and not self._ended:
                    self._change.wait()
                if not self._out:
                    return
                references = list(self._out)
            try:
                done = self.cluster.wait(references)
            except Exception as error:  # the cluster is gone: whoever waits for a result hears of it
                with self._change:
                    for future in self._out.values():
                        future.set_exception(error)
                    self._out.clear()
                continue
            for reference in done:
                with self._change:
                    settled = self._out.pop(reference, None)
                if settled is not None:
                    self._settle(settled, reference)

    def _settle(self, future: Future[Any], reference: Any) -> None:
        errors = self.cluster.ray.exceptions
        try:
            result = self.cluster.ray.get(reference)
        except errors.TaskCancelledError:
            future.cancel()
        except errors.RayTaskError as error:
            cause = error.cause
            future.set_exception(cause if isinstance(cause, Exception) else ClusterError(str(error)))
        except Exception as error:
            future.set_exception(ClusterError(str(error).splitlines()[0]))
        else:
            future.set_result(result)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more work; `cancel_futures` ends what is out, begun or not."""
        with self._change:
            self._ended = True
            if cancel_futures:
                reachable = self.cluster.has_head
                for reference, future in self._out.items():
                    with contextlib.suppress(Exception):  # it may just have ended
                        if reachable:
                            self.cluster.ray.cancel(reference, force=True)
                    future.cancel()
                self._out.clear()
            self._change.notify()
        if wait:
            self._thread.join()


@contextlib.contextmanager
def pool_on(address: str) -> Iterator[RayPool | None]:
    """The pool of a cluster for as long as the block lasts; None without an address.

    Args:
        address: see `marl.cluster.connection.connected`; empty for no cluster.

    Raises:
        marl.config.check.ConfigError: Ray is not installed.
        ClusterError: there is no cluster at this address.
    """
    if not address:
        yield None
        return
    with connected(address) as cluster:
        pool = RayPool(cluster)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
