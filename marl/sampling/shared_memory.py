"""What worker processes and the learner hand each other in a step, in memory that all of them map.

One array of all environments for each kind of number; a worker has the rows of its own ones. Whoever is told through a
pipe that it is their turn reads and writes, nobody else, so there are no locks. The order of turns is that of
`workers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import numpy.typing as npt

from marl.protocol import AgentGroup, Float32Array, Observation, Transition

MOST_TERMS = 64  # reward terms and measurements of a step


class SharedArrays:
    """Actions, observations and figures of all environments, in memory that every process maps.

    A worker reads and writes the rows of its own environments; nobody else does before its answer has come.
    """

    def __init__(
        self,
        groups: Sequence[AgentGroup],
        state_size: int,
        n_env: int,
        *,
        per_agent_rewards: bool,
        name: str | None = None,
    ) -> None:
        """Maps the block of this name, or makes one."""
        self.groups = tuple(g.name for g in groups)
        n_agent = sum(g.n_agent for g in groups)
        # The widest numbers first, so that every array starts where its type may.
        layout: list[tuple[str, tuple[int, ...], type[np.generic]]] = [
            ("reward", (n_env, n_agent) if per_agent_rewards else (n_env,), np.float64),
            ("terms", (MOST_TERMS, n_env), np.float64),
        ]
        for g in groups:
            layout.append((f"action {g.name}", (n_env, g.n_agent, g.action_size), np.float32))
        for page in ("observation", "final"):
            layout += [
                (f"{page} {g.name}", (n_env, g.n_agent, g.observation_size), np.float32) for g in groups
            ]
            layout.append((f"state {page}", (n_env, state_size), np.float32))
        layout += [(name, (n_env,), np.bool_) for name in ("terminated", "truncated")]
        sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for _, shape, kind in layout]
        self._memory = SharedMemory(name, create=name is None, size=sum(sizes))
        self.name = self._memory.name
        starts = [0, *np.cumsum(sizes)[:-1].tolist()]
        self._arrays: dict[str, npt.NDArray[Any]] = {
            what: np.ndarray(shape, kind, self._memory.buf, offset)
            for (what, shape, kind), offset in zip(layout, starts, strict=True)
        }

    def write_actions(self, actions: Mapping[str, Float32Array]) -> None:
        """Puts down the actions of all environments.

        Args:
            actions: {group: [env, agent, action]}.

        Raises:
            ValueError: a group is missing, a shape is wrong, or a number is not finite; nothing is written then.
        """
        for name in self.groups:
            if name not in actions:
                raise ValueError(f"no actions for group {name!r}, only for {sorted(actions)}")
            given = np.asarray(actions[name])
            place = self._arrays[f"action {name}"]
            if given.shape != place.shape:
                raise ValueError(
                    f"actions of group {name!r} have shape {given.shape}, expected {place.shape}"
                )
            if not np.isfinite(given).all():  # before any worker steps: all of them or none
                raise ValueError(f"actions of group {name!r} hold numbers that are not finite")
            place[...] = given

    def actions(self, rows: slice) -> dict[str, Float32Array]:
        """Those of some environments."""
        return {name: self._arrays[f"action {name}"][rows].copy() for name in self.groups}

    def write(self, rows: slice, transition: Transition, *, ended: bool) -> None:
        """Puts down what a step of these environments led to.

        Args:
            rows: of the environments.
            transition: what the step led to.
            ended: an episode ended in it: the last observations are written too.

        Raises:
            ValueError: there are more terms than the memory has places.
        """
        arrays = self._arrays
        if len(transition.terms) > MOST_TERMS:
            raise ValueError(f"{len(transition.terms)} terms in a step, expected at most {MOST_TERMS}")
        for k, values in enumerate(transition.terms.values()):
            arrays["terms"][k, rows] = values
        arrays["reward"][rows] = transition.reward
        arrays["terminated"][rows] = transition.terminated
        arrays["truncated"][rows] = transition.truncated
        for page, seen in (("observation", transition.observation), ("final", transition.final_observation)):
            if page == "observation" or ended:
                arrays[f"state {page}"][rows] = seen.state
                for name in self.groups:
                    arrays[f"{page} {name}"][rows] = seen.observations[name]

    def read(self, what: str) -> npt.NDArray[Any]:
        """A copy of one array, of all environments."""
        return self._arrays[what].copy()

    def observation(self) -> Observation:
        """A copy of what the environments observe now; who is in service does not stand here."""
        return Observation(
            observations={name: self.read(f"observation {name}") for name in self.groups},
            state=self.read("state observation"),
        )

    def put_final(self, rows: slice, observation: Observation) -> None:
        """Replaces these environments' part of an observation by their last ones."""
        observation.state[rows] = self._arrays["state final"][rows]
        for name in self.groups:
            observation.observations[name][rows] = self._arrays[f"final {name}"][rows]

    def unlink(self) -> None:
        """Takes away the name: the block goes with the last process that maps it, however that ends."""
        self._memory.unlink()

    def close(self) -> None:
        """Ends this process's use of it."""
        self._arrays.clear()
        self._memory.close()
