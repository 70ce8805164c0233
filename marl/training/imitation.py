"""Imitation: actors learn an expert's actions before they learn from rewards.

    behaviour cloning    the expert plays, the actors learn what it did where it was
    DAgger               then the actors play, the expert says what it would have done there, and they learn from all

Actors with a memory learn along the episodes: in chunks of steps one after the other, each begun with what they
remember at the end of the one before, and differentiated within itself (truncated backpropagation through time).

Cloned actors err a little, come to where the expert never was, and err more there: over T steps the cost may grow with
T^2, with DAgger's states with T alone. Nothing here knows an algorithm: what is begun so can be trained by any.

References:
    D. Pomerleau, ALVINN: an autonomous land vehicle in a neural network, NeurIPS 1988 (behaviour cloning).
    S. Ross, G. Gordon, J. A. Bagnell, A reduction of imitation learning and structured prediction to no-regret online
    learning, AISTATS 2011 (DAgger; here beta = 1 in the first round and 0 in the others).
    R. Williams, J. Peng, An efficient gradient-based algorithm for on-line training of recurrent network trajectories,
    Neural Computation 2, 1990 (truncated backpropagation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from marl.algorithms.adam import Adam
from marl.networks.actor import RecurrentActor
from marl.networks.policy import Policy
from marl.protocol import BatchedEnvironment, BoolArray, Float32Array, IntArray, Observation
from marl.storage.rollout import minibatches
from marl.storage.sequences import Unroll
from marl.training.kept_rounds import KeptRounds

__all__ = ["Demonstrations", "Expert", "Overruled", "Zoned", "fit", "gather", "imitate"]

CHUNK_STEPS = 25  # that gradients of a memory reach back


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


@runtime_checkable
class Zoned(Protocol):
    """An expert whose last actions were drawn towards zero before they were taken, as those of the policy will be."""

    def before_zones(self) -> Mapping[str, Float32Array]:
        """What is to be learned in the place of its last actions, {group: [env, agent, action]}."""
        ...


@dataclass(frozen=True)
class Demonstrations:
    """What the actors see, and what the expert does there; the leading axes are [round, step, env]."""

    observations: Mapping[str, Tensor]  # group -> [round, step, env, agent, observation]
    actions: Mapping[str, Tensor]  # group -> [round, step, env, agent, action]
    in_service: Mapping[str, Tensor]  # and the expert was asked, group -> [round, step, env, agent]
    begins: Tensor  # steps with which an episode begins, boolean, [round, step, env]

    @property
    def n_sample(self) -> int:
        """Instants, of all environments."""
        return self.begins.numel()

    def joined(self, other: Demonstrations) -> Demonstrations:
        """Both, one after the other."""

        def both(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: torch.cat([x, b[name]]) for name, x in a.items()}

        return Demonstrations(
            both(self.observations, other.observations),
            both(self.actions, other.actions),
            both(self.in_service, other.in_service),
            torch.cat([self.begins, other.begins]),
        )


def gather(
    environment: BatchedEnvironment,
    expert: Expert,
    policy: Policy,
    seeds: IntArray,
    *,
    n_step: int,
    led: bool,
    ask_every: int = 1,
    agents: Mapping[str, IntArray] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Demonstrations:
    """Plays, and asks the expert.

    Args:
        environment: whose groups are the policy's; it may show more numbers to each agent.
        expert: is asked.
        policy: its groups say how much the actors see.
        seeds: of the first episodes, [env].
        n_step: steps of each environment.
        led: the expert's actions are carried out; otherwise the policy's deterministic ones.
        ask_every: steps between two questions; of steps without an answer nothing is learned but what was seen. An
            expert who leads is asked at every step.
        agents: of each group who is learned from, {group: [env, agent]}; None is all.
        on_step: called after every step of all environments.
    """
    n_env, every = environment.n_env, np.arange(environment.n_env)
    seen = environment.reset(seeds)
    expert.reset(every, seeds)
    policy.reset(every, seeds)
    kept: dict[str, dict[str, list[Tensor]]] = {
        part: {g.name: [] for g in policy.groups} for part in ("observations", "actions", "in_service")
    }
    begun, begins = np.ones(n_env, dtype=np.bool_), []
    wanted: Mapping[str, Float32Array] = {}
    lesson = wanted

    def keep(part: str, group: str, x: Float32Array | BoolArray) -> None:
        """The rows of those who are learned from, [env, agent, ...]."""
        if agents is not None:
            x = x[every[:, None], agents[group]]
        kept[part][group].append(torch.from_numpy(np.array(x)))

    for k in range(n_step):
        begins.append(torch.from_numpy(begun))
        shown = {g.name: seen.observations[g.name][..., : g.observation_size] for g in policy.groups}
        asked = led or k % ask_every == 0
        if asked:
            wanted = expert.act(seen)
            lesson = expert.before_zones() if isinstance(expert, Zoned) else wanted
        for g in policy.groups:
            service = None if seen.in_service is None else seen.in_service[g.name]
            mask = np.ones((n_env, g.n_agent), dtype=np.bool_) if service is None else np.array(service)
            mask &= asked
            keep("observations", g.name, np.asarray(shown[g.name], dtype=np.float32))
            keep("actions", g.name, np.asarray(lesson[g.name], dtype=np.float32))
            keep("in_service", g.name, mask)
        done = wanted
        if not led:
            done = policy.act(shown)
            if asked and isinstance(expert, Overruled):
                expert.took(done)
        transition = environment.step(done)
        begun = transition.terminated | transition.truncated
        over = np.flatnonzero(begun)
        if len(over):
            none = np.zeros(len(over), dtype=np.int64)
            expert.reset(over, none)
            policy.reset(over, none)
        seen = transition.observation
        if on_step is not None:
            on_step()
    stacked: dict[str, Any] = {
        part: {name: torch.stack(rows)[None] for name, rows in of.items()} for part, of in kept.items()
    }
    return Demonstrations(begins=torch.stack(begins)[None], **stacked)


def fit(
    policy: Policy, shown: Demonstrations, *, epochs: int, minibatch: int, lr: float, seed: int
) -> list[float]:
    """The actors' deterministic actions move towards the expert's, by the mean squared difference.

    Args:
        policy: whose actors learn; their spread is left alone.
        shown: what from.
        epochs: passes over it.
        minibatch: samples of a gradient step; with a memory as many environments of a round, for CHUNK_STEPS each.
        lr: Adam's step size; it falls linearly to zero.
        seed: of the order of samples.

    Returns:
        The loss of each pass, a mean over groups.
    """
    optimizer = Adam([p for name, p in policy.named_parameters() if not name.endswith("log_std")], lr=lr)
    shuffle = torch.Generator().manual_seed(seed)
    found = []
    for epoch in range(epochs):
        total = n = 0.0
        for group in optimizer.param_groups:
            group["lr"] = lr * (1.0 - epoch / epochs)
        learn = _along_episodes if policy.actors.memory_size else _from_samples
        for loss, weight in learn(policy, shown, minibatch, shuffle):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, n = total + float(loss.detach()) * weight, n + weight
        found.append(total / n)
    return found


def _from_samples(
    policy: Policy, shown: Demonstrations, minibatch: int, shuffle: torch.Generator
) -> Iterator[tuple[Tensor, int]]:
    """Losses of minibatches of single instants, and how many there are in each."""
    device = policy.device
    observations, actions, in_service = (
        {name: x.flatten(0, 2) for name, x in part.items()}
        for part in (shown.observations, shown.actions, shown.in_service)
    )
    for index in minibatches(shown.n_sample, minibatch, shuffle):
        means = policy.means({name: x[index].to(device) for name, x in observations.items()})
        wanted = {name: x[index].to(device) for name, x in actions.items()}
        counted = {name: x[index].to(device) for name, x in in_service.items()}
        yield _loss(policy, means, wanted, counted), len(index)


def _along_episodes(
    policy: Policy, shown: Demonstrations, minibatch: int, shuffle: torch.Generator
) -> Iterator[tuple[Tensor, int]]:
    """Losses of chunks of steps, one after the other, of environments drawn at random; and instants in each."""
    n_round, n_step, n_env = shown.begins.shape
    for index in minibatches(n_round * n_env, min(minibatch, n_env), shuffle):
        of_round, env = index // n_env, index % n_env
        hidden: dict[str, Tensor] = {}
        for first in range(0, n_step, CHUNK_STEPS):
            steps = slice(first, min(first + CHUNK_STEPS, n_step))

            def chunk(x: Tensor, steps: slice = steps, which: Any = (of_round, env)) -> Tensor:
                """[step, sequence, ...] from [round, step, env, ...]."""
                return x[:, steps].transpose(1, 2)[which].transpose(0, 1).to(policy.device)

            means, hidden = _unrolled(
                policy,
                {name: chunk(x) for name, x in shown.observations.items()},
                chunk(shown.begins),
                hidden,
            )
            wanted = {name: chunk(x).flatten(0, 1) for name, x in shown.actions.items()}
            counted = {name: chunk(x).flatten(0, 1) for name, x in shown.in_service.items()}
            yield _loss(policy, means, wanted, counted), (steps.stop - steps.start) * len(index)


def _unrolled(
    policy: Policy, observations: Mapping[str, Tensor], begins: Tensor, hidden: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Mean actions of recurrent actors along sequences, and what they remember afterwards.

    Args:
        policy: with a memory.
        observations: {group: [step, sequence, agent, observation]}.
        begins: steps with which an episode begins, [step, sequence].
        hidden: {head: [sequence, agent, hidden]} before the first step; empty where all begin.

    Returns:
        {group: [step x sequence, agent, action]}, and {head: [sequence, agent, hidden]} without its graph.
    """
    actors, shape = policy.actors, begins.shape
    inputs = actors.scale({name: x.flatten(0, 1) for name, x in observations.items()})
    means, after = {}, {}
    for head, x in inputs.items():
        actor = actors.actor(head)
        assert isinstance(actor, RecurrentActor)
        nothing = torch.zeros((shape[1], x.shape[1], actors.memory_size), device=x.device)
        unroll = Unroll(
            hidden=hidden.get(head, nothing), restart=torch.zeros_like(begins), continues=~begins, burn_in=0
        )
        run = actor.net.sequence(x.view(*shape, *x.shape[1:]), unroll)
        means[head], after[head] = run.outputs.flatten(0, 1), run.after[-1].detach()
    return actors.split(means), after


def _loss(
    policy: Policy,
    means: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    in_service: Mapping[str, Tensor],
) -> Tensor:
    """Mean squared difference from the expert's actions over agents in service, a mean over groups."""
    losses = []
    for name, mean in means.items():
        acted = torch.tanh(mean) if policy.squashed else mean
        wrong = (acted - wanted[name]).square().mean(dim=-1)
        counted = in_service[name]
        losses.append(torch.where(counted, wrong, 0.0).sum() / counted.sum().clamp(min=1))
    return torch.stack(losses).mean()


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
    ask_every: int = 1,
    n_agent: int = 0,
    taken_up: Sequence[Mapping[str, Any]] = (),
    kept: KeptRounds | None = None,
    on_step: Callable[[], None] | None = None,
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
        ask_every: steps between two questions where the actors play, see `gather`.
        n_agent: agents of each group that are learned from, drawn for each environment and round; 0 is all. Needs
            agents of a group to share a network of their own.
        taken_up: rounds that are done already, as `kept` has read them.
        kept: where rounds are kept as they are done; None keeps none.
        on_step: called after every step of all environments, `n_step` times a round that is not taken up.

    Returns:
        The loss of the last pass of each round.

    Raises:
        marl.checkpoint.CheckpointError: a round cannot be kept.
    """
    shown: Demonstrations | None = None
    found = []
    for of_round in taken_up:
        more = Demonstrations(**of_round["shown"])
        shown = more if shown is None else shown.joined(more)
        found.append(of_round["loss"])
        policy.load_state_dict(of_round["weights"])
    for k in range(len(found), rounds):
        more = gather(
            environment,
            expert,
            policy,
            seeds[k],
            n_step=n_step,
            led=k == 0,
            ask_every=ask_every,
            agents=_drawn(policy, seeds[k], n_agent) if n_agent else None,
            on_step=on_step,
        )
        shown = more if shown is None else shown.joined(more)
        found.append(fit(policy, shown, epochs=epochs, minibatch=minibatch, lr=lr, seed=k)[-1])
        if kept is not None:
            kept.keep(k, policy, shown=vars(more), loss=found[-1])
    return found


def _drawn(policy: Policy, seeds: IntArray, n_agent: int) -> dict[str, IntArray]:
    """Agents to learn from, different ones in one environment, {group: [env, agent]}."""
    rng = np.random.default_rng([int(seed) for seed in seeds])
    return {
        g.name: rng.permuted(np.tile(np.arange(g.n_agent), (len(seeds), 1)), axis=1)[:, :n_agent]
        for g in policy.groups
    }
