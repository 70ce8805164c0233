"""Prioritised experience replay with n-step returns, for off-policy algorithms.

A ring of steps of all environments: once it is full, every new step takes the place of the oldest. What is drawn is a
transition of n steps, put together when it is drawn, so that no observation is kept twice:

    R = sum_{k<m} gamma^k r_{t+k}       bootstrap factor gamma^m       m <= n steps until the episode ended

m is n, or less where the episode ended before. After a termination the factor is zero; after a truncation the next
observation is the old episode's own last. Transition i is drawn with probability P(i) = p_i^alpha / sum_j p_j^alpha,
p_i = |delta_i| + eps by its last temporal-difference error (a new one has the largest so far), and weighs
w_i = (N P(i))^-beta / max_j w_j in the loss, which undoes the bias as beta goes to one.

All of it travels in the algorithm's state, so a killed run goes on with the same replay: as large as what has been
filled in, never larger than the ring.

References:
    T. Schaul, J. Quan, I. Antonoglou, D. Silver, Prioritized experience replay, ICLR 2016, eq. 1 and sec. 3.3-3.4.
    M. Hessel et al., Rainbow: combining improvements in deep reinforcement learning, AAAI 2018 (n-step returns).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marl.protocol import AgentGroup, BoolArray, Float32Array, FloatArray, IntArray, Observation, Transition
from marl.storage.storage import Decision, Storage
from marl.storage.sum_tree import SumTree

__all__ = ["PRIORITY_FLOOR", "ReplayBatch", "ReplayBuffer"]

PRIORITY_FLOOR = 1e-3  # eps: nothing is forgotten for good because its error was zero once


@dataclass(frozen=True, kw_only=True)
class ReplayBatch:
    """Transitions of up to n steps; the leading axis is [sample]."""

    observations: Mapping[str, Tensor]  # group -> [sample, agent, observation]
    state: Tensor  # [sample, state]
    actions: Mapping[str, Tensor]  # group -> [sample, agent, action]
    in_service: Mapping[str, Tensor]  # group -> [sample, agent]
    rewards: Tensor  # R, discounted sum of up to n rewards, [sample, value]
    factor: Tensor  # of the value to bootstrap from: gamma^m, or 0 after a termination, [sample]
    next_observations: Mapping[str, Tensor]
    next_state: Tensor
    weights: Tensor  # w, [sample]
    positions: IntArray  # for `set_errors`, [sample]


@dataclass(frozen=True, kw_only=True)
class _Last:
    """What an environment showed at the end of an episode that was truncated."""

    observations: Mapping[str, Float32Array]  # group -> [agent, observation]
    state: Float32Array  # [state]


class ReplayBuffer(Storage):
    """The last steps of all environments, as many as fit, and their priorities."""

    def __init__(
        self,
        groups: tuple[AgentGroup, ...],
        *,
        capacity: int,
        n_env: int,
        state_size: int,
        n_value: int,
        n_step: int,
        gamma: float,
        alpha: float,
        first: int,
    ) -> None:
        """Allocates everything.

        Args:
            groups: of agents.
            capacity: steps, over all environments.
            n_env: environments.
            state_size: of the critic's view.
            n_value: rewards of a step.
            n_step: n of the returns.
            gamma: discount per step.
            alpha: exponent of the priorities; 0 draws all alike.
            first: transitions that must be there before it is ready.

        Raises:
            ValueError: the ring is too short for one transition.
        """
        length = capacity // n_env
        if length < n_step + 2:
            raise ValueError(
                f"a replay of {capacity} steps holds {length} of each of {n_env} environments, expected at least "
                f"{n_step + 2} for returns of {n_step} steps"
            )
        self.groups, self.n_env, self.length = groups, n_env, length
        self.n_step, self.gamma, self.alpha, self.first = n_step, gamma, alpha, first

        def zeros(*shape: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
            return np.zeros((length, n_env, *shape), dtype=dtype)

        self._observations = {g.name: zeros(g.n_agent, g.observation_size) for g in groups}
        self._actions = {g.name: zeros(g.n_agent, g.action_size) for g in groups}
        self._in_service = {g.name: zeros(g.n_agent, dtype=np.bool_) for g in groups}
        self._state = zeros(state_size)
        self._rewards = zeros(n_value)
        self._terminated = zeros(dtype=np.bool_)
        self._truncated = zeros(dtype=np.bool_)
        self._tree = SumTree(length * n_env)
        self.clear()

    @property
    def n_transition(self) -> int:
        """Transitions that can be drawn: those of a step are whole once n more steps have come after it."""
        return max(min(self.n_added, self.length) - self.n_step, 0) * self.n_env

    @property
    def is_ready(self) -> bool:
        """Whether there are as many transitions as there must be."""
        return self.n_transition >= max(self.first, 1)

    def clear(self) -> None:
        """Forgets all steps."""
        self.n_added = 0  # steps of each environment since the beginning
        self._largest = 1.0  # priority of what has not been learned from
        self._lasts: dict[int, _Last] = {}  # by position
        self._shown: _Shown | None = None  # what the newest step led to
        everywhere = np.arange(self._tree.size)
        self._tree.set(everywhere, np.zeros(len(everywhere)))

    def add(self, decision: Decision, rewards: npt.NDArray[np.float32], transition: Transition) -> None:
        """Keeps what was seen, done and received in one step; a step that both terminated and truncated terminated.

        Where an environment was begun anew since the last step, as a curriculum does, the episode before it was
        truncated there.

        Args:
            decision: what was seen and done, as the environment was told.
            rewards: as they are learned from, shape [env, value].
            transition: what it led to; its last observations are read only where an episode was truncated.
        """
        observation = decision.observation
        self._break_off(observation)
        slot = self.n_added % self.length
        positions = slot * self.n_env + np.arange(self.n_env)
        self._tree.set(positions, np.zeros(self.n_env))
        for position in positions:
            self._lasts.pop(int(position), None)
        for g in self.groups:
            self._observations[g.name][slot] = observation.observations[g.name]
            self._actions[g.name][slot] = decision.actions[g.name].cpu().numpy()
            service = observation.in_service
            self._in_service[g.name][slot] = True if service is None else service[g.name]
        self._state[slot] = observation.state
        self._rewards[slot] = rewards
        self._terminated[slot] = transition.terminated
        self._truncated[slot] = np.asarray(transition.truncated) & ~np.asarray(transition.terminated)
        for env in np.flatnonzero(self._truncated[slot]):
            self._lasts[int(positions[env])] = _Shown.of(transition.final_observation).last(int(env))
        self._shown = _Shown.of(transition.observation)
        self.n_added += 1
        whole = self.n_added - 1 - self.n_step
        if whole >= 0:
            ready = (whole % self.length) * self.n_env + np.arange(self.n_env)
            self._tree.set(ready, np.full(self.n_env, self._largest**self.alpha))

    def _break_off(self, observation: Observation) -> None:
        """Truncates the newest step where what is shown now is not what it led to."""
        if self._shown is None:
            return
        slot = (self.n_added - 1) % self.length
        begun = (self._shown.state != observation.state).any(axis=1)
        for name, x in self._shown.observations.items():
            begun |= (x != observation.observations[name]).any(axis=(1, 2))
        begun &= ~(self._terminated[slot] | self._truncated[slot])
        for env in np.flatnonzero(begun):
            self._truncated[slot, env] = True
            self._lasts[slot * self.n_env + int(env)] = self._shown.last(int(env))

    def sample(
        self, n: int, beta: float, rng: np.random.Generator, device: torch.device | None = None
    ) -> ReplayBatch:
        """Draws transitions by their priorities.

        Args:
            n: number of them.
            beta: exponent of the importance weights, 0 to 1.
            rng: that draws.
            device: of the batch; None is the CPU.

        Raises:
            ValueError: there are none yet.
        """
        positions = self._tree.draw(n, rng)
        probability = self._tree.priorities[positions] / self._tree.total
        weights = (self.n_transition * probability) ** -beta
        slot, env = np.divmod(positions, self.n_env)
        rewards, factor, last = self._returns(slot, env)
        after = (last + 1) % self.length
        next_observations = {name: x[after, env] for name, x in self._observations.items()}
        next_state = self._state[after, env]
        for row in np.flatnonzero(self._truncated[last, env]):
            final = self._lasts[int(last[row] * self.n_env + env[row])]
            next_state[row] = final.state
            for name, x in final.observations.items():
                next_observations[name][row] = x

        def tensor(x: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(x).to(device)

        def tensors(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
            return {name: tensor(x[slot, env]) for name, x in arrays.items()}

        return ReplayBatch(
            observations=tensors(self._observations),
            state=tensor(self._state[slot, env]),
            actions=tensors(self._actions),
            in_service=tensors(self._in_service),
            rewards=tensor(rewards.astype(np.float32)),
            factor=tensor(factor.astype(np.float32)),
            next_observations={name: tensor(x) for name, x in next_observations.items()},
            next_state=tensor(next_state),
            weights=tensor((weights / weights.max()).astype(np.float32)),
            positions=positions,
        )

    def _returns(self, slot: IntArray, env: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """R [sample, value], the factor of what comes after it [sample], and the slot of the last step [sample]."""
        total = np.zeros((len(slot), self._rewards.shape[-1]))
        factor, alive, last = np.ones(len(slot)), np.ones(len(slot), dtype=np.bool_), slot
        for k in range(self.n_step):
            here = (slot + k) % self.length
            last = np.where(alive, here, last)
            total += np.where(alive, factor, 0.0)[:, None] * self._rewards[here, env]
            factor = np.where(alive, self.gamma * factor, factor)
            alive = alive & ~(self._terminated[here, env] | self._truncated[here, env])
        return total, np.where(self._terminated[last, env], 0.0, factor), last

    def set_errors(self, positions: IntArray, errors: FloatArray) -> None:
        """New priorities of transitions that have been learned from.

        Args:
            positions: as `sample` named them, before any further step.
            errors: their temporal-difference errors, any sign, [sample].
        """
        priority = np.abs(errors) + PRIORITY_FLOOR
        self._largest = max(self._largest, float(priority.max()))
        self._tree.set(positions, priority**self.alpha)

    def seen(self) -> tuple[Float32Array, BoolArray]:
        """Rewards [step, env, value] and terminations [step, env] of all steps kept, in no order."""
        filled = min(self.n_added, self.length)
        return self._rewards[:filled], self._terminated[:filled]

    # -- state ------------------------------------------------

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that was allocated, by name."""
        named: dict[str, npt.NDArray[Any]] = {
            "state": self._state,
            "rewards": self._rewards,
            "terminated": self._terminated,
            "truncated": self._truncated,
        }
        for what in ("observations", "actions", "in_service"):
            named |= {f"{what} {group}": x for group, x in getattr(self, f"_{what}").items()}
        return named

    def state(self) -> dict[str, Any]:
        """What was filled in, copied."""
        filled = min(self.n_added, self.length)
        lasts = list(self._lasts.values())
        return {
            "n_added": self.n_added,
            "largest": self._largest,
            "arrays": {name: x[:filled].copy() for name, x in self._arrays().items()},
            "priorities": self._tree.priorities.copy(),
            "lasts": {
                "positions": list(self._lasts),
                "state": np.array([last.state for last in lasts]),
                "observations": {
                    g.name: np.array([last.observations[g.name] for last in lasts]) for g in self.groups
                },
            },
            "shown": None
            if self._shown is None
            else {"observations": dict(self._shown.observations), "state": self._shown.state},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned.

        Raises:
            ValueError: it is of a replay of another size.
        """
        if len(state["priorities"]) != self._tree.size:
            raise ValueError(
                f"the saved replay has {len(state['priorities'])} steps, this one {self._tree.size}"
            )
        self.clear()
        self.n_added, self._largest = state["n_added"], state["largest"]
        filled = min(self.n_added, self.length)
        for name, x in self._arrays().items():
            x[:filled] = state["arrays"][name]
        self._tree.set(np.arange(self._tree.size), state["priorities"])
        lasts = state["lasts"]
        self._lasts = {
            position: _Last(
                observations={name: x[row] for name, x in lasts["observations"].items()},
                state=lasts["state"][row],
            )
            for row, position in enumerate(lasts["positions"])
        }
        self._shown = None if state["shown"] is None else _Shown(**state["shown"])


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What all environments showed at one instant, copied."""

    observations: Mapping[str, Float32Array]  # group -> [env, agent, observation]
    state: Float32Array  # [env, state]

    @classmethod
    def of(cls, observation: Observation) -> _Shown:
        return cls(
            observations={
                name: np.array(x, dtype=np.float32) for name, x in observation.observations.items()
            },
            state=np.array(observation.state, dtype=np.float32),
        )

    def last(self, env: int) -> _Last:
        """Of one environment."""
        return _Last(
            observations={name: x[env] for name, x in self.observations.items()}, state=self.state[env]
        )
