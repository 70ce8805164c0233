"""Imitation: actors learn an expert's actions before they learn from rewards.

    behaviour cloning    the expert plays, the actors learn what it did where it was
    DAgger               then the actors play, the expert says what it would have done there, and they learn from all

Cloned actors err a little, come to where the expert never was, and err more there: over T steps the cost may grow with
T^2, with DAgger's states with T alone. Nothing here knows an algorithm: what is begun so can be trained by any.

References:
    D. Pomerleau, ALVINN: an autonomous land vehicle in a neural network, NeurIPS 1988 (behaviour cloning).
    S. Ross, G. Gordon, J. A. Bagnell, A reduction of imitation learning and structured prediction to no-regret online
    learning, AISTATS 2011 (DAgger; here beta = 1 in the first round and 0 in the others).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from marl.algorithms.adam import Adam
from marl.config.check import require
from marl.networks.policy import Policy
from marl.protocol import BatchedEnvironment, Float32Array, IntArray, Observation
from marl.storage.rollout import minibatches

__all__ = ["Demonstrations", "Expert", "Overruled", "fit", "gather", "imitate"]


class Expert(Protocol):
    """Whoever is imitated. It sees what the environment shows, of which the actors may see the first numbers alone."""

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Episodes with these seeds begin in these environments."""
        ...

    def act(self, observation: Observation) -> Mapping[str, Float32Array]:
        """{group: [env, agent, action]}, -1 to 1."""
        ...


@runtime_checkable
class Overruled(Protocol):
    """An expert with a memory of what it did, which has to hear when something else was done."""

    def took(self, actions: Mapping[str, Float32Array]) -> None:
        """What was done in the place of its last actions, {group: [env, agent, action]}."""
        ...


@dataclass(frozen=True)
class Demonstrations:
    """What the actors see, and what the expert does there; the leading axis is [sample]."""

    observations: Mapping[str, Tensor]  # group -> [sample, agent, observation]
    actions: Mapping[str, Tensor]  # group -> [sample, agent, action]
    in_service: Mapping[str, Tensor]  # group -> [sample, agent]

    @property
    def n_sample(self) -> int:
        """Instants, of all environments."""
        return len(next(iter(self.actions.values())))

    def joined(self, other: Demonstrations) -> Demonstrations:
        """Both, one after the other."""

        def both(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: torch.cat([x, b[name]]) for name, x in a.items()}

        return Demonstrations(
            both(self.observations, other.observations),
            both(self.actions, other.actions),
            both(self.in_service, other.in_service),
        )


def gather(
    environment: BatchedEnvironment,
    expert: Expert,
    policy: Policy,
    seeds: IntArray,
    *,
    n_step: int,
    led: bool,
) -> Demonstrations:
    """Plays, and asks the expert at every step.

    Args:
        environment: whose groups are the policy's; it may show more numbers to each agent.
        expert: is asked.
        policy: its groups say how much the actors see.
        seeds: of the first episodes, [env].
        n_step: steps of each environment.
        led: the expert's actions are carried out; otherwise the policy's deterministic ones.
    """
    n_env, every = environment.n_env, np.arange(environment.n_env)
    seen = environment.reset(seeds)
    expert.reset(every, seeds)
    policy.reset(every, seeds)
    kept: dict[str, dict[str, list[Tensor]]] = {
        part: {g.name: [] for g in policy.groups} for part in ("observations", "actions", "in_service")
    }
    for _ in range(n_step):
        shown = {g.name: seen.observations[g.name][..., : g.observation_size] for g in policy.groups}
        wanted = expert.act(seen)
        for g in policy.groups:
            service = None if seen.in_service is None else seen.in_service[g.name]
            mask = np.ones((n_env, g.n_agent), dtype=np.bool_) if service is None else np.array(service)
            kept["observations"][g.name].append(torch.from_numpy(np.array(shown[g.name], dtype=np.float32)))
            kept["actions"][g.name].append(torch.from_numpy(np.array(wanted[g.name], dtype=np.float32)))
            kept["in_service"][g.name].append(torch.from_numpy(mask))
        done = wanted
        if not led:
            done = policy.act(shown)
            if isinstance(expert, Overruled):
                expert.took(done)
        transition = environment.step(done)
        over = np.flatnonzero(transition.terminated | transition.truncated)
        if len(over):
            none = np.zeros(len(over), dtype=np.int64)
            expert.reset(over, none)
            policy.reset(over, none)
        seen = transition.observation
    stacked: dict[str, Any] = {
        part: {name: torch.cat(rows) for name, rows in of.items()} for part, of in kept.items()
    }
    return Demonstrations(**stacked)


def fit(
    policy: Policy, shown: Demonstrations, *, epochs: int, minibatch: int, lr: float, seed: int
) -> list[float]:
    """The actors' deterministic actions move towards the expert's, by the mean squared difference.

    Args:
        policy: whose actors learn; their spread is left alone.
        shown: what from.
        epochs: passes over it.
        minibatch: samples of a gradient step.
        lr: Adam's step size; it falls linearly to zero.
        seed: of the order of samples.

    Returns:
        The loss of each pass, a mean over groups.

    Raises:
        marl.config.check.ConfigError: the actors have a memory.
    """
    require(
        policy.actors.memory_size == 0, "imitation learns from single steps: actors without a memory alone"
    )
    optimizer = Adam([p for name, p in policy.named_parameters() if not name.endswith("log_std")], lr=lr)
    shuffle = torch.Generator().manual_seed(seed)
    found = []
    for epoch in range(epochs):
        total = n = 0.0
        for group in optimizer.param_groups:
            group["lr"] = lr * (1.0 - epoch / epochs)
        for index in minibatches(shown.n_sample, minibatch, shuffle):
            means = policy.means({name: x[index].to(policy.device) for name, x in shown.observations.items()})
            losses = []
            for name, mean in means.items():
                acted = torch.tanh(mean) if policy.squashed else mean
                wrong = (acted - shown.actions[name][index].to(policy.device)).square().mean(dim=-1)
                counted = shown.in_service[name][index].to(policy.device)
                losses.append(torch.where(counted, wrong, 0.0).sum() / counted.sum().clamp(min=1))
            loss = torch.stack(losses).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, n = total + float(loss.detach()) * len(index), n + len(index)
        found.append(total / n)
    return found


def imitate(
    policy: Policy,
    environment: BatchedEnvironment,
    expert: Expert,
    seeds: IntArray,
    *,
    rounds: int,
    n_step: int,
    epochs: int,
    minibatch: int = 64,
    lr: float = 3e-3,
) -> list[float]:
    """Behaviour cloning, and DAgger where there is more than one round.

    Args:
        policy: begins to act as the expert does.
        environment: to play in.
        expert: is imitated.
        seeds: of the first episodes of each round, [round, env].
        rounds: 1 for behaviour cloning; the policy plays in all others.
        n_step: steps of each environment in each round.
        epochs: passes over all that was shown so far, in each round.
        minibatch: samples of a gradient step.
        lr: Adam's step size at the beginning of each round.

    Returns:
        The loss of the last pass of each round.
    """
    shown: Demonstrations | None = None
    found = []
    for k in range(rounds):
        more = gather(environment, expert, policy, seeds[k], n_step=n_step, led=k == 0)
        shown = more if shown is None else shown.joined(more)
        found.append(fit(policy, shown, epochs=epochs, minibatch=minibatch, lr=lr, seed=k)[-1])
    return found
