"""The floor of the learner's speed: the arithmetic of one update in plain torch, and nothing else.

`plain_update` does what one MAPPO update must do at the default networks: three actors over 5, 8 and 7 agents and
one critic, clipped surrogate, closed-form entropy, value regression, gradient clipping, fused Adam, over epochs
of shuffled minibatches. No value normaliser, no masks, no diagnostics, no configuration. `plain_act` does what choosing
actions must do. `our_update` and `our_act` time the learner itself on the same sizes.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch
from torch import nn

from marl.algorithms.mappo import MAPPO
from marl.config.training import TrainingConfig
from marl.protocol import AgentGroup, Observation
from marl.storage.rollout import Rollout

AGENTS = {"bess": 5, "gas": 8, "dr": 7}
OBSERVATION, STATE = 15, 140


def _perceptron(n_in: int, widths: tuple[int, ...], n_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(n_in, width), nn.LayerNorm(width), nn.ReLU(inplace=True)]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


def plain_update(steps: int = 2048, minibatch: int = 256, epochs: int = 10) -> float:
    """Seconds of one hand-written update on random data, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    actors = {name: _perceptron(OBSERVATION, (128, 128), 1) for name in AGENTS}
    log_std = {name: nn.Parameter(torch.zeros(1)) for name in AGENTS}
    critic = _perceptron(STATE, (256, 256), 1)
    actor_parameters = {name: [*actors[name].parameters(), log_std[name]] for name in AGENTS}
    optimizers = [
        torch.optim.Adam([p for ps in actor_parameters.values() for p in ps], lr=3e-4, fused=True),
        torch.optim.Adam(critic.parameters(), lr=1e-3, fused=True),
    ]
    observations = {name: torch.randn(steps, n, OBSERVATION) for name, n in AGENTS.items()}
    actions = {name: torch.randn(steps, n, 1) for name, n in AGENTS.items()}
    old_log_probs = {name: torch.full((steps, n), -1.4) for name, n in AGENTS.items()}
    state, advantages, returns = torch.randn(steps, STATE), torch.randn(steps, 1), torch.randn(steps, 1)

    began = time.perf_counter()
    for _ in range(epochs):
        for index in torch.randperm(steps).split(minibatch):  # type: ignore[no-untyped-call]
            total = 0.5 * (critic(state[index]) - returns[index]).square().mean() * 0.5
            a = advantages[index]
            for name in AGENTS:
                z = (actions[name][index] - actors[name](observations[name][index])) * torch.exp(
                    -log_std[name]
                )
                log_prob = (-0.5 * z.square() - log_std[name] - 0.9189385).squeeze(-1)
                ratio = (log_prob - old_log_probs[name][index]).exp()
                total = (
                    total
                    - torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a).mean()
                    - 0.01 * log_std[name].sum()
                )
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            total.backward()
            for parameters in (*actor_parameters.values(), list(critic.parameters())):
                nn.utils.clip_grad_norm_(parameters, 0.5)
            for optimizer in optimizers:
                optimizer.step()
    return time.perf_counter() - began


def plain_act(n_env: int = 64, repeats: int = 100) -> float:
    """Milliseconds of sampling all agents' actions and their log-probabilities by hand: the median of the repeats."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    actors = {name: _perceptron(OBSERVATION, (128, 128), 1) for name in AGENTS}
    log_std = {name: torch.zeros(1) for name in AGENTS}
    observations = {name: torch.randn(n_env, n, OBSERVATION) for name, n in AGENTS.items()}
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        with torch.inference_mode():
            for name, actor in actors.items():
                mean = actor(observations[name])
                z = torch.randn_like(mean)
                _ = mean + log_std[name].exp() * z
                _ = (-0.5 * z.square() - log_std[name] - 0.9189385).squeeze(-1)
        times.append(1e3 * (time.perf_counter() - began))
    return sorted(times)[repeats // 2]


def _learner(n_env: int, steps: int, minibatch: int, epochs: int) -> MAPPO:

    torch.set_num_threads(1)
    base = TrainingConfig()
    config = dataclasses.replace(
        base,
        n_envs=n_env,
        ppo=dataclasses.replace(base.ppo, buffer_steps=steps, minibatch_steps=minibatch, epochs=epochs),
    )
    groups = tuple(
        AgentGroup(
            name=name,
            agents=tuple(f"{name}_{i}" for i in range(n)),
            observation_size=OBSERVATION,
            action_size=1,
        )
        for name, n in AGENTS.items()
    )
    return MAPPO(config, groups, STATE)


def our_update(steps: int = 2048, minibatch: int = 256, epochs: int = 10, n_env: int = 64) -> float:
    """Seconds of one update of the learner on random data of the same sizes, on one thread."""
    learner = _learner(n_env, steps, minibatch, epochs)
    n_step = steps // n_env
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    rollout = Rollout(
        observations={name: normal(n_step + 1, n_env, n, OBSERVATION) for name, n in AGENTS.items()},
        state=normal(n_step + 1, n_env, STATE),
        actions={name: normal(n_step, n_env, n, 1) for name, n in AGENTS.items()},
        log_probs=torch.full((n_step, n_env, sum(AGENTS.values())), -1.4),
        in_service=torch.ones(n_step, n_env, sum(AGENTS.values()), dtype=torch.bool),
        rewards=normal(n_step, n_env, 1),
        terminated=torch.zeros(n_step, n_env, dtype=torch.bool),
        truncated=torch.zeros(n_step, n_env, dtype=torch.bool),
        truncated_step=torch.zeros(0, dtype=torch.long),
        truncated_env=torch.zeros(0, dtype=torch.long),
        final_observations={name: torch.zeros(0, n, OBSERVATION) for name, n in AGENTS.items()},
        final_state=torch.zeros(0, STATE),
    )
    began = time.perf_counter()
    learner.learn(rollout, 0.0)
    return time.perf_counter() - began


def our_act(n_env: int = 64, repeats: int = 100) -> float:
    """Milliseconds of drawing actions and their probabilities for `n_env` environments: the median of the repeats."""

    learner = _learner(n_env, 2048, 256, 1)
    rng = np.random.default_rng(0)
    observed = Observation(
        observations={
            name: rng.standard_normal((n_env, n, OBSERVATION)).astype(np.float32)
            for name, n in AGENTS.items()
        },
        state=rng.standard_normal((n_env, STATE)).astype(np.float32),
    )
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        learner.decide(observed)
        times.append(1e3 * (time.perf_counter() - began))
    return sorted(times)[repeats // 2]


def measure(repeats: int) -> dict[str, list[float]]:
    """Update and acting in rounds of ours and the floor's, {key: values}."""
    found: dict[str, list[float]] = {}
    odd = 2 * (repeats // 4) + 1  # of two values the upper median would be the larger
    for _ in range(odd):
        floor, ours = plain_update(), our_update()
        found.setdefault("update_s", []).append(ours)
        found.setdefault("update_ratio_to_floor", []).append(ours / floor)
        for _ in range(3):
            plain_ms, ours_ms = plain_act(), our_act()
            found.setdefault("act_64_ms", []).append(ours_ms)
            found.setdefault("act_ratio_to_floor", []).append(ours_ms / plain_ms)
    return found
