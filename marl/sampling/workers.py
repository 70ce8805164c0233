"""A batch of environments shared out over worker processes; the learner sees one batch.

Each worker steps a consecutive share of the environments on a core of its own. Nothing about the result depends
on their number, as long as environment k depends on its own seed alone: seeds are always dealt out from here.
A worker that fails passes its exception on; one that dies ends the run with its number and exit status.

What a step takes and gives lies in memory that all processes share (`shared_memory.py`), because it is too much for
pipes, which pickle it and pass it on in pieces of 64 kB. Pipes carry the word to begin, the word that it is done, and
what is rare.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np

from marl.protocol import (
    AgentGroup,
    BatchedEnvironment,
    BoolArray,
    Float32Array,
    IntArray,
    Observation,
    Transition,
    begin_next,
    draw_from,
)
from marl.sampling.child_process import HelperProcess, WorkerError, answer, ignore_signals, portable
from marl.sampling.sampler import MakeEnvironment
from marl.sampling.shared_memory import SharedArrays

__all__ = ["WorkerBatch", "WorkerError"]


@dataclass(frozen=True)
class _Stepped:
    """A worker's word that a step is done, with what does not stand in shared memory."""

    ended: bool  # whether an episode ended, so that last observations stand apart
    terms: tuple[str, ...] | None  # names of the terms, where they are not those of the step before
    in_service: Mapping[str, BoolArray] | None
    final_in_service: Mapping[str, BoolArray] | None


def _own_cores(n_worker: int) -> list[int | None]:
    """A core for each worker to keep to, where there are just as many; else None, and the scheduler finds idle ones.

    All workers are woken at one moment by a learner that stands on one of their cores itself. Left to choose, the
    scheduler often puts the last one behind another and moves it half a millisecond later.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*cores] if len(cores) == n_worker > 1 else [None] * n_worker


def _serve(
    connection: Connection, make: MakeEnvironment, rows: slice, n_env_total: int, core: int | None
) -> None:
    """A worker's life: build its environments, then answer requests until the line is cut."""
    ignore_signals()
    if core is not None:
        os.sched_setaffinity(0, {core})
    shared: SharedArrays | None = None
    environment: BatchedEnvironment | None = None
    names: tuple[str, ...] = ()

    def respond(request: tuple[str, tuple[Any, ...]]) -> Any:
        nonlocal names
        name, arguments = request
        assert environment is not None
        if name == "draw_from":
            return draw_from(environment, *arguments)
        if name == "begin_next":
            return begin_next(environment, *arguments)
        if name != "step":
            return getattr(environment, name)(*arguments)
        assert shared is not None
        transition = environment.step(shared.actions(rows))
        ended = transition.final_observation is not transition.observation
        shared.write(rows, transition, ended=ended)
        before, names = names, tuple(transition.terms)
        return _Stepped(
            ended,
            None if names == before else names,
            transition.observation.in_service,
            transition.final_observation.in_service if ended else None,
        )

    try:
        environment = make(rows.stop - rows.start)
        own_rewards = bool(getattr(environment, "per_agent_rewards", False))
        connection.send((environment.groups, environment.state_size, own_rewards))
        shared = SharedArrays(
            environment.groups,
            environment.state_size,
            n_env_total,
            per_agent_rewards=own_rewards,
            name=connection.recv(),
        )
        connection.send(None)
        answer(connection, respond)
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        connection.send(portable(error))
    finally:
        if environment is not None:
            environment.close()
        if shared is not None:
            shared.close()


class WorkerBatch:
    """`n_env` environments in `n_worker` processes, as one `BatchedEnvironment`."""

    def __init__(self, make: MakeEnvironment, n_env: int, n_worker: int) -> None:
        """Starts the workers.

        Args:
            make: builds a batch of the given number of environments; must be picklable.
            n_env: environments in all.
            n_worker: processes; each gets an equal share, the first ones one more if it does not divide.

        Raises:
            ValueError: there are fewer environments than workers, or no worker.
        """
        if not 1 <= n_worker <= n_env:
            raise ValueError(f"n_worker = {n_worker}, expected from 1 to the number of environments, {n_env}")
        self.n_env = n_env
        edges = np.linspace(0, n_env, n_worker + 1).round().astype(int)
        self._shares = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
        self._workers: list[HelperProcess] = []
        self._shared: SharedArrays | None = None
        self._seeded = False
        try:
            for k, (share, core) in enumerate(zip(self._shares, _own_cores(n_worker), strict=True)):
                name = f"worker {k} of environments {share.start} to {share.stop - 1}"
                self._workers.append(HelperProcess(name, _serve, make, share, n_env, core))
            described = [worker.receive() for worker in self._workers]
            self.groups: tuple[AgentGroup, ...] = described[0][0]
            self.state_size: int = described[0][1]
            self.per_agent_rewards: bool = described[0][2]
            self._term_names: list[tuple[str, ...]] = [() for _ in self._shares]
            self._shared = self._make_shared()
        except BaseException:
            self.close()
            raise

    def _make_shared(self) -> SharedArrays:
        """A block of memory that every worker has mapped, and whose name is gone again."""
        shared = SharedArrays(
            self.groups, self.state_size, self.n_env, per_agent_rewards=self.per_agent_rewards
        )
        try:
            for worker in self._workers:
                worker.send(shared.name)
            for worker in self._workers:
                worker.receive()
        finally:
            shared.unlink()
        return shared

    def _call(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Asks every worker first and collects the answers then, so that they work at the same time."""
        for worker, argument in zip(self._workers, arguments, strict=True):
            worker.send((name, argument))
        results: list[Any] = []
        failure: Exception | None = None
        for worker in self._workers:
            try:
                results.append(worker.receive())
            except (
                Exception
            ) as error:  # collect all answers first: none may be left on the line for the next call
                failure = failure or error
        if failure is not None:
            raise failure
        return results

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Starts new episodes; the first time from explicit seeds, which alone tell the environments apart.

        Raises:
            ValueError: the first reset has no seeds, or not one for each environment.
        """
        if seeds is None:
            if not self._seeded:
                raise ValueError("the first reset of a worker batch needs a seed for each environment")
            return self._joined(self._call("reset", [(None,) for _ in self._shares]))
        if len(seeds) != self.n_env:
            raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
        self._seeded = True
        return self._joined(self._call("reset", [(seeds[share],) for share in self._shares]))

    def _joined(self, parts: Sequence[Observation]) -> Observation:
        """One observation of all environments from those of the workers."""
        return Observation(
            observations={
                g.name: np.concatenate([p.observations[g.name] for p in parts]) for g in self.groups
            },
            state=np.concatenate([p.state for p in parts]),
            in_service=self._services([p.in_service for p in parts]),
        )

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One step of every environment.

        Raises:
            ValueError: the batch is closed, actions have a wrong shape or are not finite, or the workers'
                terms differ.
        """
        shared = self._shared
        if shared is None:
            raise ValueError("the batch is closed")
        shared.write_actions(actions)
        parts: list[_Stepped] = self._call("step", [() for _ in self._shares])
        for k, part in enumerate(parts):
            if part.terms is not None:
                self._term_names[k] = part.terms
        services = self._services([p.in_service for p in parts])
        observation = replace(shared.observation(), in_service=services)
        final = observation
        if any(part.ended for part in parts):
            final = shared.observation()
            for share, part in zip(self._shares, parts, strict=True):
                if part.ended:
                    shared.put_final(share, final)
            last = [p.final_in_service if p.ended else p.in_service for p in parts]
            final = replace(final, in_service=self._services(last))
        names = self._term_names[0]
        if any(other != names for other in self._term_names):
            raise ValueError(f"workers name different terms: {self._term_names}")
        return Transition(
            observation=observation,
            final_observation=final,
            reward=shared.read("reward"),
            terminated=shared.read("terminated"),
            truncated=shared.read("truncated"),
            terms=dict(zip(names, shared.read("terms"), strict=False)),
        )

    def _services(self, parts: Sequence[Mapping[str, BoolArray] | None]) -> dict[str, BoolArray] | None:
        """Who is in service in all environments, from what the workers say; None where that is everybody."""
        if all(part is None for part in parts):
            return None
        everybody = [
            {g.name: np.ones((share.stop - share.start, g.n_agent), dtype=np.bool_) for g in self.groups}
            if part is None
            else part
            for part, share in zip(parts, self._shares, strict=True)
        ]
        return {g.name: np.concatenate([part[g.name] for part in everybody]) for g in self.groups}

    def draw_from(self, scenario: str) -> None:
        """New episodes come from this scenario.

        Raises:
            TypeError: the environments know one scenario only.
        """
        self._call("draw_from", [(scenario,) for _ in self._shares])

    def begin_next(self, seeds: IntArray) -> None:
        """Next episodes are those of these seeds, [env, episode].

        Raises:
            TypeError: the environments draw their own.
        """
        self._call("begin_next", [(seeds[share],) for share in self._shares])

    def get_state(self) -> dict[str, Any]:
        """The workers' states, in their order."""
        return {"workers": self._call("get_state", [() for _ in self._shares])}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from `get_state` of a batch with as many workers.

        Raises:
            ValueError: it is the state of another number of workers.
        """
        if "workers" not in state or len(state["workers"]) != len(self._workers):
            found = len(state["workers"]) if "workers" in state else 0
            raise ValueError(
                f"the saved run had {found} workers, this one has {len(self._workers)}: use as many"
            )
        self._call("set_state", [(part,) for part in state["workers"]])
        self._seeded = True

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.close()
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def __enter__(self) -> WorkerBatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
