"""A batch of environments shared out over worker processes; the learner sees one batch.

Each worker steps a consecutive share of the environments on a core of its own. Nothing about the result depends
on their number, as long as environment k depends on its own seed alone: seeds are always dealt out from here.
A worker that fails passes its exception on; one that dies ends the run with its number and exit status.

What a step observes goes through memory that all processes share, because it is large: through a pipe, copied
in pieces of 64 kB, it would cost as much as a third of the step. Everything else is small and goes through pipes.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Any

import numpy as np

from marl.protocol import (
    AgentGroup,
    BatchedEnvironment,
    BoolArray,
    Float32Array,
    IntArray,
    Observed,
    Transition,
)

MakeEnvironment = Callable[[int], BatchedEnvironment]
NOTHING: Float32Array = np.empty((0, 0), dtype=np.float32)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerError(RuntimeError):
    """A worker process died."""


class _Board:
    """Observations and state of all environments, in memory that every process maps: one page a kind.

    A worker writes the rows of its own environments; nobody reads them before its answer has come.
    """

    PAGES = ("observed", "final")

    def __init__(
        self, groups: Sequence[AgentGroup], state_size: int, n_env: int, name: str | None = None
    ) -> None:
        """Maps the block of this name, or makes one."""
        shapes = {g.name: (n_env, g.n_agent, g.observation_size) for g in groups}
        shapes |= {None: (n_env, state_size)}  # type: ignore[dict-item]
        sizes = [int(np.prod(shape)) for _ in self.PAGES for shape in shapes.values()]
        n_byte = sum(sizes) * np.dtype(np.float32).itemsize
        self._memory = SharedMemory(name, create=name is None, size=n_byte)
        self.name = self._memory.name
        whole: Float32Array = np.ndarray((sum(sizes),), np.float32, self._memory.buf)
        pieces = iter(np.split(whole, np.cumsum(sizes)[:-1]))
        self._page = {
            page: {key: next(pieces).reshape(shape) for key, shape in shapes.items()} for page in self.PAGES
        }

    def write(self, page: str, rows: slice, observed: Observed) -> None:
        """Puts down what the environments of these rows observed."""
        for key, array in self._page[page].items():
            array[rows] = observed.state if key is None else observed.observations[key]

    def read(self, page: str, rows: slice = slice(None)) -> Observed:
        """A copy of what stands there; who is in service does not."""
        copies = {key: array[rows].copy() for key, array in self._page[page].items()}
        state = copies.pop(None)  # type: ignore[call-overload]
        return Observed(observations=copies, state=state)

    def unlink(self) -> None:
        """Takes away the name: the block goes with the last process that maps it, however that ends."""
        self._memory.unlink()

    def close(self) -> None:
        """Ends this process's use of it."""
        self._page.clear()
        self._memory.close()


def _serve(connection: Connection, make: MakeEnvironment, rows: slice, n_env_total: int) -> None:
    """A worker's life: build its environments, then answer requests until the line is cut."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the learner decides what Ctrl-C means
    board: _Board | None = None
    try:
        environment = make(rows.stop - rows.start)
        connection.send(
            (environment.groups, environment.state_size, getattr(environment, "per_agent_rewards", False))
        )
        board = _Board(environment.groups, environment.state_size, n_env_total, connection.recv())
        connection.send(None)
        while True:
            name, argument = connection.recv()
            try:
                result = getattr(environment, name)(*argument)
                if name == "step":
                    result = _posted(board, rows, result)
            except Exception as error:
                result = error
            connection.send(result)
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        connection.send(error)
    finally:
        if board is not None:
            board.close()


def _posted(board: _Board, rows: slice, transition: Transition) -> Transition:
    """Puts a transition's large arrays on the board and returns the rest of it."""
    ended = transition.final is not transition.observed
    board.write("observed", rows, transition.observed)
    if ended:
        board.write("final", rows, transition.final)

    def rest(observed: Observed) -> Observed:
        return Observed(observations={}, state=NOTHING, in_service=observed.in_service)

    observed = rest(transition.observed)
    # Pickled once and for all: where nothing ended, both are one object on the other side too.
    return replace(transition, observed=observed, final=rest(transition.final) if ended else observed)


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
                process = context.Process(target=_serve, args=(there, make, share, n_env), daemon=True)
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
        self._board = _Board(self.groups, self.state_size, n_env)
        try:
            for line in self._lines:
                line.send(self._board.name)
            for k in range(n_worker):
                self._receive(k)
        finally:
            self._board.unlink()
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
        observed = self._board.read("observed")
        observed = replace(observed, in_service=_joined_services([p.observed for p in parts]))
        final = observed
        if any(p.final is not p.observed for p in parts):
            final = self._board.read("observed")
            for share, part in zip(self._shares, parts, strict=True):
                if part.final is not part.observed:
                    last = self._board.read("final", share)
                    final.state[share] = last.state
                    for name, x in last.observations.items():
                        final.observations[name][share] = x
            final = replace(final, in_service=_joined_services([p.final for p in parts]))
        return Transition(
            observed=observed,
            final=final,
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
        self._board.close()

    def __enter__(self) -> WorkerBatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _joined(parts: Sequence[Observed]) -> Observed:
    """One observation of all environments from those of the workers."""
    return Observed(
        observations={
            name: np.concatenate([p.observations[name] for p in parts]) for name in parts[0].observations
        },
        state=np.concatenate([p.state for p in parts]),
        in_service=_joined_services(parts),
    )


def _joined_services(parts: Sequence[Observed]) -> dict[str, BoolArray] | None:
    """Who is in service in all environments; None where that is everybody."""
    services = [p.in_service for p in parts if p.in_service is not None]
    return {name: np.concatenate([s[name] for s in services]) for name in services[0]} if services else None
