"""A batch of environments shared out over worker processes; the learner sees one batch.

Each worker steps a consecutive share of the environments on a core of its own. Nothing about the result depends
on their number, as long as environment k depends on its own seed alone: seeds are always dealt out from here.
A worker that fails passes its exception on; one that dies ends the run with its number and exit status.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np

from marl.protocol import AgentGroup, BatchedEnvironment, Float32Array, IntArray, Observed, Transition

MakeEnvironment = Callable[[int], BatchedEnvironment]
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerError(RuntimeError):
    """A worker process died."""


def _serve(connection: Connection, make: MakeEnvironment, n_env: int) -> None:
    """A worker's life: build its environments, then answer requests until the line is cut."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the learner decides what Ctrl-C means
    try:
        environment = make(n_env)
        connection.send(
            (environment.groups, environment.state_size, getattr(environment, "per_agent_rewards", False))
        )
        while True:
            name, argument = connection.recv()
            try:
                result = getattr(environment, name)(*argument)
            except Exception as error:
                result = error
            connection.send(result)
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        connection.send(error)


class WorkerBatch:
    """`n_env` environments in `n_worker` processes, as one `BatchedEnvironment`."""

    def __init__(self, make: MakeEnvironment, n_env: int, n_worker: int) -> None:
        """Starts the workers.

        Args:
            make: builds a batch of the given number of environments; must be picklable.
            n_env: environments in all.
            n_worker: processes; each gets an equal share, the first ones one more if it does not divide.
        """
        if not 1 <= n_worker <= n_env:
            raise ValueError(f"n_worker = {n_worker}, expected from 1 to the number of environments, {n_env}")
        self.n_env = n_env
        edges = np.linspace(0, n_env, n_worker + 1).round().astype(int)
        self._shares = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would copy the threads' locks with the process
        before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
        self._lines: list[Connection] = []
        self._processes = []
        try:
            for share in self._shares:
                here, there = context.Pipe()
                process = context.Process(
                    target=_serve, args=(there, make, share.stop - share.start), daemon=True
                )
                process.start()
                there.close()
                self._lines.append(here)
                self._processes.append(process)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        described = [self._receive(k) for k in range(n_worker)]
        self.groups: tuple[AgentGroup, ...] = described[0][0]
        self.state_size: int = described[0][1]
        self.per_agent_rewards: bool = described[0][2]
        self._seeded = False

    def _receive(self, worker: int) -> Any:
        try:
            result = self._lines[worker].recv()
        except (EOFError, ConnectionResetError) as error:
            self._processes[worker].join(timeout=5.0)
            raise WorkerError(
                f"worker {worker} of environments {self._shares[worker].start} to "
                f"{self._shares[worker].stop - 1} died with exit status {self._processes[worker].exitcode}"
            ) from error
        if isinstance(result, Exception):
            raise result
        return result

    def _call(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Asks every worker first and collects the answers then, so that they work at the same time."""
        for worker, (line, argument) in enumerate(zip(self._lines, arguments, strict=True)):
            try:
                line.send((name, argument))
            except (BrokenPipeError, ConnectionResetError):
                self._receive(worker)
        results: list[Any] = []
        failure: Exception | None = None
        for worker in range(len(self._lines)):
            try:
                results.append(self._receive(worker))
            except (
                Exception
            ) as error:  # collect all answers first: none may be left on the line for the next call
                failure = failure or error
        if failure is not None:
            raise failure
        return results

    def reset(self, seeds: IntArray | None = None) -> Observed:
        """Starts new episodes; the first time from explicit seeds, which alone tell the environments apart."""
        if seeds is None:
            if not self._seeded:
                raise ValueError("the first reset of a worker batch needs a seed for each environment")
            return _joined(self._call("reset", [(None,) for _ in self._shares]))
        if len(seeds) != self.n_env:
            raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
        self._seeded = True
        return _joined(self._call("reset", [(seeds[share],) for share in self._shares]))

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One step of every environment."""
        parts: list[Transition] = self._call(
            "step", [({name: a[share] for name, a in actions.items()},) for share in self._shares]
        )
        return Transition(
            observed=_joined([p.observed for p in parts]),
            final=_joined([p.final for p in parts]),
            reward=np.concatenate([p.reward for p in parts]),
            terminated=np.concatenate([p.terminated for p in parts]),
            truncated=np.concatenate([p.truncated for p in parts]),
            terms={name: np.concatenate([p.terms[name] for p in parts]) for name in parts[0].terms},
        )

    def get_state(self) -> dict[str, Any]:
        """The workers' states, in their order."""
        return {"workers": self._call("get_state", [() for _ in self._shares])}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from `get_state` of a batch with as many workers."""
        if "workers" not in state or len(state["workers"]) != len(self._lines):
            found = len(state["workers"]) if "workers" in state else 0
            raise ValueError(
                f"the saved run had {found} workers, this one has {len(self._lines)}: use as many"
            )
        self._call("set_state", [(part,) for part in state["workers"]])
        self._seeded = True

    def close(self) -> None:
        """Ends the workers."""
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.join(timeout=5.0)
            if process.is_alive():
                process.terminate()

    def __enter__(self) -> WorkerBatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _joined(parts: Sequence[Observed]) -> Observed:
    """One observation of all environments from those of the workers."""
    first = parts[0]
    services = [p.in_service for p in parts if p.in_service is not None]
    return Observed(
        observations={
            name: np.concatenate([p.observations[name] for p in parts]) for name in first.observations
        },
        state=np.concatenate([p.state for p in parts]),
        in_service={name: np.concatenate([s[name] for s in services]) for name in services[0]}
        if services
        else None,
    )
