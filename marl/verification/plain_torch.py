"""The arithmetic of one MAPPO update in plain torch, and nothing else: the floor of the learner's speed.

`plain_update` does what one update must do at the default networks: three actors over 5, 8 and 7 agents and one critic,
clipped surrogate, closed-form entropy, value regression, gradient clipping, fused Adam, over epochs of shuffled
minibatches. No value normaliser, no masks, no diagnostics, no configuration. `plain_act` does what choosing actions
must do.
"""

from __future__ import annotations

import math
import time

import torch
from torch import nn

__all__ = ["AGENTS", "OBSERVATION", "STATE", "plain_act", "plain_update"]

# Sizes of the default task.
AGENTS = {"bess": 5, "gas": 8, "dr": 7}
OBSERVATION, STATE = 15, 140
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)  # of a Gaussian's log-density


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
                log_prob = (-0.5 * z.square() - log_std[name] - HALF_LOG_2PI).squeeze(-1)
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
                _ = (-0.5 * z.square() - log_std[name] - HALF_LOG_2PI).squeeze(-1)
        times.append(1e3 * (time.perf_counter() - began))
    return sorted(times)[repeats // 2]
