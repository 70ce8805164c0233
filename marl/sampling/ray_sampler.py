"""Environments and the policy that plays them in actors of a Ray cluster: whole rollouts, not steps, travel.

Every actor holds a consecutive part of the environments (`rollout_part.py`). For a rollout it is sent the weights, put
into the object store once and fetched once by each node, and its rows of the noise; what comes back is the part's
rollout, most of it while the last steps are still played, and its state behind it, once the next one is under way. The
learner keeps the state in front of every rollout until it has the one behind. So an actor that dies, alone or with its
node, is replaced by one that goes on from there: with the same weights and the same noise it plays the same rollout,
and nothing of it shows in what is learned. For the same reason a checkpoint needs nothing of the actors: it is these
states and the errands that are still out.

Parts belong to the run: they travel in its checkpoint, and a run that is resumed has as many as it began with, on
whatever cluster there is then. How they fall does not move a bit of the result.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from marl.cluster.connection import Cluster, ClusterError
from marl.networks.behaviour import Behaviour, Errand
from marl.protocol import AgentGroup, Float32Array, IntArray, Observation, Transition
from marl.sampling.rollout_part import (
    PlayedRollout,
    RolloutPart,
    joined,
    joined_observations,
    observation_of,
)
from marl.sampling.sampler import MakeEnvironment

__all__ = ["RaySampler"]

MOST_DEATHS = 5  # of one part within one rollout: more is no accident
# A rollout's last part that is handed over by itself: all before it is taken in while it is played.
LAST_PIECE = 1 / 8


@dataclass
class _Part:
    """What the learner knows of a part."""

    rows: slice
    actor: Any
    start: Mapping[str, Any] | None = None  # its state in front of the oldest rollout that is out
    # Rollouts that it is to play: references to the pieces of each, and to its state behind the last one.
    out: deque[tuple[list[Any], Any]] = field(default_factory=deque)
    deaths: int = 0  # since its last answer


def _cuts(errand: Errand) -> list[int]:
    """Where pieces of a rollout begin, but the first."""
    n_step = len(errand.noise)
    return [n_step - math.ceil(LAST_PIECE * n_step)] if n_step > 1 else []


def _state_behind_oldest(part: _Part) -> Any:
    return part.out[0][1]


class RaySampler:
    """`n_env` environments in actors of a cluster; its rollouts are asked for and taken in turn."""

    def __init__(
        self, cluster: Cluster, make: MakeEnvironment, n_env: int, n_part: int, *, n_ahead: int = 0
    ) -> None:
        """Starts the actors.

        Args:
            cluster: where they live; it is left open.
            make: builds a batch of the given number of environments; picklable, importable on every node.
            n_env: environments in all.
            n_part: actors; each gets an equal share, the first ones one more if it does not divide.
            n_ahead: rollouts that may be asked for before the oldest one is learned from.

        Raises:
            ValueError: there are fewer environments than parts, or no part.
            ClusterError: an actor cannot be started.
        """
        if not 1 <= n_part <= n_env:
            raise ValueError(f"n_part = {n_part}, expected from 1 to the number of environments, {n_env}")
        self.cluster, self.n_env, self.n_ahead = cluster, n_env, n_ahead
        self._make = make
        self._behaviour: Behaviour | None = None
        self._scenario: str | None = None
        self._errands: deque[tuple[Errand, Any]] = (
            deque()
        )  # that are out, with the reference to their weights
        self._parts: list[_Part] = []
        self._n_taken = 0  # pieces of the oldest rollout
        self._at_end = False  # whether these are all, and only the states behind it are still to be fetched
        self._n_placed = 0  # actors that were given a node
        self.n_replaced = 0  # actors that died
        try:
            described = self._begin(n_part)
        except BaseException:
            self.close()
            raise
        self.groups: tuple[AgentGroup, ...] = described[0]
        self.state_size: int = described[1]
        self.per_agent_rewards: bool = described[2]

    def _begin(self, n_part: int) -> tuple[tuple[AgentGroup, ...], int, bool]:
        """Starts so many actors; what the environments are."""
        self._let_go()
        edges = np.linspace(0, self.n_env, n_part + 1).round().astype(int)
        # A processor each where there are enough; else they share what there is, for none of them may wait.
        n_cpu = 1 if self.cluster.n_idle_cpu >= n_part else 0
        built = []
        for a, b in itertools.pairwise(edges):
            rows = slice(int(a), int(b))
            actor, description = self._actor(rows, n_cpu)
            self._parts.append(_Part(rows, actor))
            built.append(description)
        described = [
            self._settled(part, description, partial(self._ask, part, "describe", ()))
            for part, description in zip(self._parts, built, strict=True)
        ]
        return described[0]

    def _actor(self, rows: slice, n_cpu: int) -> tuple[Any, Any]:
        """A new actor that builds these environments, and the reference to what they are."""
        remote = self.cluster.ray.remote(_Actor)
        place = "SPREAD" if n_cpu else self._next_place()
        actor = remote.options(num_cpus=n_cpu, scheduling_strategy=place, max_restarts=0).remote()
        return actor, actor.build.remote(self._make, rows.stop - rows.start)

    def _next_place(self) -> Any:
        """For an actor that claims no processor: the nodes in turn, since Ray would put it where there is none.

        Ray does not keep to a wish (`soft`) of such actors. One whose node is gone is replaced like one that died.
        """
        nodes = self.cluster.nodes_with_cpu()
        if not nodes:
            return "SPREAD"
        node = nodes[self._n_placed % len(nodes)]
        self._n_placed += 1
        return self.cluster.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)

    # -- rollouts ------------------------------------------------

    def prepare(self, behaviour: Behaviour) -> None:
        """Says how actions are drawn; once, before the first rollout."""
        self._behaviour = behaviour
        for part in self._parts:
            part.actor.prepare.remote(behaviour)

    @property
    def n_pending(self) -> int:
        """Rollouts that were asked for and not taken to their end yet."""
        return len(self._errands) - int(self._at_end)

    def request(self, errand: Errand) -> None:
        """Has the actors play a rollout, after those that were asked for before."""
        kept = (errand, self.cluster.ray.put(dict(errand.weights)))
        self._errands.append(kept)
        for part in self._parts:
            self._send(part, kept)
        self._settle()  # after it, so that nobody waits

    def _send(self, part: _Part, kept: tuple[Errand, Any]) -> None:
        errand, weights = kept
        pieces = [
            part.actor.collect.remote(None if k else weights, np.ascontiguousarray(rows))
            for k, rows in enumerate(np.split(errand.noise[:, part.rows], _cuts(errand)))
        ]
        part.out.append((pieces, part.actor.get_state.remote()))

    def take(self) -> PlayedRollout:
        """The next piece of the oldest rollout that was asked for, once it is there from all parts.

        Raises:
            HeadLost: the cluster has lost its head; `get_state` is whole all the same.
            ClusterError: a part cannot be played whoever is asked.
            Exception: whatever the environments or the policy raised.
        """
        self._settle()

        def reference(part: _Part) -> Any:
            return part.out[0][0][self._n_taken]

        pieces: list[PlayedRollout] = [
            self._settled(part, reference(part), partial(reference, part)) for part in self._parts
        ]
        self._n_taken += 1
        self._at_end = self._n_taken > len(_cuts(self._errands[0][0]))
        return joined(pieces)

    def _settle(self) -> None:
        """Where the oldest rollout was taken to its end, parts stand behind it from now on.

        Raises:
            ClusterError: as of `take`; the parts stand in front of it then, as before.
        """
        if not self._at_end:
            return
        states = [
            self._settled(part, _state_behind_oldest(part), partial(_state_behind_oldest, part))
            for part in self._parts
        ]
        for part, state in zip(self._parts, states, strict=True):
            part.start = state
            part.out.popleft()
        self._errands.popleft()
        self._n_taken, self._at_end = 0, False

    def _settled(self, part: _Part, reference: Any, again: Callable[[], Any]) -> Any:
        """A part's answer; whoever dies over it is replaced.

        Args:
            part: which.
            reference: to its answer.
            again: the reference to the answer of one that has come in the place of the dead.

        Raises:
            ClusterError: one after the other dies over it.
        """
        errors = self.cluster.ray.exceptions
        deaths = (
            errors.RayActorError,
            errors.ActorUnschedulableError,
            errors.ObjectLostError,
            errors.WorkerCrashedError,
            errors.NodeDiedError,
        )
        while True:
            try:
                answer = self._answers([reference])[0]
            except deaths as error:
                part.deaths += 1
                if part.deaths > MOST_DEATHS:
                    where = f"environments {part.rows.start} to {part.rows.stop - 1}"
                    line = str(error).splitlines()[0]
                    raise ClusterError(
                        f"the sampler of {where} died {part.deaths} times over one thing ({line})"
                    ) from error
                self._replace(part)
                reference = again()
            else:
                part.deaths = 0
                return answer

    def _replace(self, part: _Part) -> None:
        """A new actor goes on from the part's state and plays again what is out."""
        self.cluster.require_head()
        self.n_replaced += 1
        part.actor, _ = self._actor(part.rows, 0)
        part.out.clear()
        if self._behaviour is not None:
            part.actor.prepare.remote(self._behaviour)
        if self._scenario is not None:
            part.actor.draw_from.remote(self._scenario)
        if part.start is not None:
            part.actor.set_state.remote(part.start)
        for kept in self._errands:
            self._send(part, kept)

    def _answers(self, references: list[Any]) -> list[Any]:
        """Their results, in their order; what was raised there is raised here as it was.

        Raises:
            ClusterError: what was raised there cannot travel.
        """
        ray = self.cluster.ray
        results = []
        for reference in references:
            while not self.cluster.wait([reference]):
                pass
            try:
                results.append(ray.get(reference))
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                if not isinstance(cause, Exception):
                    raise ClusterError(str(error)) from error
                cause.add_note(f"in a sampler:\n{error}")
                raise cause from None
        return results

    def cpu_s(self) -> float:
        """Seconds of processor time that all samplers have used so far."""
        return float(sum(self._each("cpu_s", [() for _ in self._parts])))

    # -- as a batch of environments --------------------------------

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """Starts new episodes; the first time from explicit seeds, which alone tell the environments apart.

        Raises:
            ValueError: the first reset has no seeds, or not one for each environment.
            ClusterError: rollouts are out, or a sampler died.
        """
        if seeds is None and self._parts[0].start is None:
            raise ValueError("the first reset of a sampler needs a seed for each environment")
        if seeds is not None and len(seeds) != self.n_env:
            raise ValueError(f"{len(seeds)} seeds for {self.n_env} environments, expected one each")
        self._require_idle("new episodes begin")
        states = self._each("reset", [(None if seeds is None else seeds[part.rows],) for part in self._parts])
        for part, state in zip(self._parts, states, strict=True):
            part.start = state
        return self._observation()

    def draw_from(self, scenario: str) -> None:
        """New episodes come from this scenario.

        Raises:
            TypeError: the environments know one scenario only.
            ClusterError: rollouts are out, or a sampler died.
        """
        self._require_idle("the scenario changes")
        answers = self._each("draw_from", [(scenario,) for _ in self._parts])
        self._scenario = scenario
        for part, state in zip(self._parts, answers, strict=True):
            part.start = state if state is not None else part.start

    def _require_idle(self, what: str) -> None:
        self._settle()
        if self._errands:
            raise ClusterError(f"{what} while rollouts are still out: train without --async-updates")

    def _each(self, call: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Asks every part first and collects the answers then."""
        asks = [partial(self._ask, part, call, own) for part, own in zip(self._parts, arguments, strict=True)]
        first = [ask() for ask in asks]
        return [
            self._settled(part, reference, ask)
            for part, reference, ask in zip(self._parts, first, asks, strict=True)
        ]

    @staticmethod
    def _ask(part: _Part, call: str, arguments: tuple[Any, ...]) -> Any:
        return getattr(part.actor, call).remote(*arguments)

    def _observation(self) -> Observation:
        return joined_observations([observation_of(part.start or {}) for part in self._parts])

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """Nobody steps them from here.

        Raises:
            TypeError: always.
        """
        raise TypeError("samplers of a cluster play whole rollouts: ask by request and take")

    def get_state(self) -> dict[str, Any]:
        """The parts' states in front of the oldest rollout, the errands that are out, and whether the oldest is taken.

        The latter where the cluster was lost behind it: it is to be played again then, and nobody needs it.
        """
        with contextlib.suppress(ClusterError):
            self._settle()
        return {
            "parts": [dict(part.start or {}) for part in self._parts],
            "errands": [
                {"weights": dict(errand.weights), "noise": errand.noise} for errand, _ in self._errands
            ],
            "taken": self._at_end,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from `get_state`, with as many parts as there were; errands that were out go out again.

        Raises:
            ValueError: it is the state of no such sampler.
            ClusterError: a sampler died.
        """
        if "parts" not in state:
            raise ValueError("the saved run was no run on Ray: leave --ray out")
        if len(state["parts"]) != len(self._parts):
            self._begin(len(state["parts"]))
            if self._behaviour is not None:
                self.prepare(self._behaviour)
        self._errands.clear()
        self._n_taken, self._at_end = 0, False
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.start = saved
            part.out.clear()
        self._each("set_state", [(part.start,) for part in self._parts])
        for saved in state["errands"]:
            self.request(Errand(weights=saved["weights"], noise=saved["noise"]))
        self._at_end = bool(state.get("taken", False))  # checkpoints of before do not say

    def _let_go(self) -> None:
        if self.cluster.has_head:  # else they end with it
            for part in self._parts:
                self.cluster.ray.kill(part.actor)
        self._parts = []

    def close(self) -> None:
        """Ends the actors; the cluster stays."""
        self._let_go()
        self._errands.clear()

    def __enter__(self) -> RaySampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Actor(RolloutPart):
    """A part in a process of the cluster's, which runs one thread: its neighbours have the other cores."""

    def __init__(self) -> None:
        """Nothing yet: what is raised in a constructor travels as text alone."""

    def build(self, make: MakeEnvironment, n_env: int) -> tuple[tuple[AgentGroup, ...], int, bool]:
        """Builds the environments; what `describe` says."""
        import torch

        torch.set_num_threads(1)
        super().__init__(make, n_env)
        return self.describe()

    def where(self) -> str:
        """The node's identity."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def cpu_s(self) -> float:
        """Seconds of processor time that the process has used: those of its work, however busy its neighbours are."""
        return time.process_time()

    def pid(self) -> int:
        """The process's number."""
        return os.getpid()
