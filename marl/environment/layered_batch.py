"""The grid with coordinators of areas among its agents, for learners of two layers; see `hierarchy.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.task.saved_task import require_like
from control.task.task import Task
from marl.environment.batch import ActionError, GridBatch, numbers
from marl.environment.hierarchy import COORDINATOR, COORDINATOR_SIZE, FAST_SIZE, N_TARGET, Hierarchy
from marl.protocol import AgentGroup, Float32Array, Observation, Transition

__all__ = ["LayeredBatch"]


class LayeredBatch(GridBatch):
    """The grid with coordinators among its agents; episodes are those of `GridBatch`."""

    def __init__(self, task: Task) -> None:
        """Args: task: with the observation `areas`; it belongs to this batch from now on."""
        super().__init__(task)
        self.hierarchy = Hierarchy(task.description, task.n_env)
        self._plants = np.zeros((task.n_env, task.case.n_resource, task.observation_size), dtype=np.float32)
        coordinators = AgentGroup(
            name=COORDINATOR,
            agents=tuple(f"area {task.case.area_names[a]}" for a in self.hierarchy.areas),
            observation_size=COORDINATOR_SIZE,
            action_size=N_TARGET,
            held_steps=self.hierarchy.held_steps,
        )
        self._all = (*(replace(g, observation_size=FAST_SIZE) for g in self._groups), coordinators)

    @property
    def groups(self) -> tuple[AgentGroup, ...]:
        """Agents by kind of resource, and the coordinators."""
        return self._all

    @property
    def state_size(self) -> int:
        """Length of the critic's view: the grid, held targets and how long they are held already."""
        return super().state_size + N_TARGET * len(self.hierarchy.areas) + 1

    def reset(self, seeds: IntArray | None = None) -> Observation:
        """As `GridBatch.reset`; coordinators decide at once."""
        seen = self.task.reset(seeds)
        self.hierarchy.reset(np.arange(self.n_env))
        return self._layered(seen.agents, seen.state)

    def step(self, actions: Mapping[str, Float32Array]) -> Transition:
        """One control interval of every episode; finished ones start anew.

        Args:
            actions: {group: [env, agent, action]}, clipped to -1..1; those of coordinators count when they decide.

        Raises:
            ActionError: a group is missing, a shape is wrong, or a number is not finite.
        """
        own = self._action_array(actions)
        orders = self._orders(actions)
        before = self.hierarchy.get_state()
        try:
            step = self.task.step(self.hierarchy.act(self._plants, own, orders))
        except Exception:
            self.hierarchy.set_state(before)  # where the task refuses, everything is as it was
            raise
        final = observed = self._layered(step.final_observation.agents, step.final_observation.state)
        if step.observation is not step.final_observation:
            self.hierarchy.reset(step.terminated | step.truncated)
            observed = self._layered(step.observation.agents, step.observation.state)
        return Transition(
            observation=observed,
            final_observation=final,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            terms=step.terms,
        )

    def get_state(self) -> dict[str, Any]:
        """As `GridBatch.get_state`, with what is held."""
        return {**super().get_state(), "hierarchy": self.hierarchy.get_state(), "plants": self._plants.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """As `GridBatch.set_state`.

        Raises:
            ValueError: it is the state of another scenario, of another number of environments, or without coordinators.
        """
        if not isinstance(state, Mapping) or "hierarchy" not in state:
            raise ValueError("the saved state is of an observation without coordinators")
        own = {"hierarchy": self.hierarchy.get_state(), "plants": self._plants}
        require_like(state, own)
        super().set_state(state)
        self.hierarchy.set_state(state["hierarchy"])
        self._plants = np.array(state["plants"])

    def _orders(self, actions: Mapping[str, Float32Array]) -> FloatArray:
        """Of the coordinators, [env, area, 2].

        Raises:
            ActionError: there are none, their shape is wrong, or a number is not finite.
        """
        if COORDINATOR not in actions:
            raise ActionError(f"no action for group {COORDINATOR!r}, found {sorted(actions)}")
        orders = numbers(actions[COORDINATOR], f"actions of group {COORDINATOR!r}")
        if orders.shape != self.hierarchy.targets.shape:
            raise ActionError(
                f"actions of group {COORDINATOR!r} have shape {orders.shape}, expected {self.hierarchy.targets.shape}"
            )
        if not np.isfinite(orders).all():
            raise ActionError(f"actions of group {COORDINATOR!r}: expected numbers from -1 to 1")
        return orders

    def _layered(self, plants: Float32Array, state: Float32Array) -> Observation:
        """What both layers see, and who decides."""
        self._plants = plants
        hierarchy = self.hierarchy
        fast = hierarchy.seen_by_plants(plants)
        seen = {kind: fast[:, rows] for kind, rows in self._of_kind.items()}
        seen[COORDINATOR] = hierarchy.seen_by_coordinators(plants)
        in_service = self._in_service or {
            kind: np.ones((self.n_env, len(rows)), dtype=np.bool_) for kind, rows in self._of_kind.items()
        }
        decides = np.repeat(hierarchy.decides[:, None], len(hierarchy.areas), axis=1)
        return Observation(
            observations=seen,
            state=np.concatenate([state, hierarchy.state()], axis=1),
            in_service={**in_service, COORDINATOR: decides},
        )
