"""Speed of the learner: its update and its acting on random data, beside the same arithmetic in plain torch."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from marl.algorithms.mappo import MAPPO
from marl.config.training import TrainingConfig
from marl.kernels.rehearsal import rehearse
from marl.protocol import AgentGroup, Observation
from marl.storage.rollout import Rollout
from marl.verification.plain_torch import AGENTS, OBSERVATION, STATE, plain_act, plain_update


def _learner(n_env: int, steps: int, minibatch: int, epochs: int, threads: int = 1) -> MAPPO:
    torch.set_num_threads(1)
    base = TrainingConfig()
    config = dataclasses.replace(
        base,
        n_envs=n_env,
        update_threads=threads,
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


def our_update(
    steps: int = 2048, minibatch: int = 256, epochs: int = 10, n_env: int = 64, threads: int = 1
) -> float:
    """Seconds of one update of the learner on random data of the same sizes, on as many threads."""
    rehearse(learning=True)  # what is compiled or loaded once is no part of an update
    learner = _learner(n_env, steps, minibatch, epochs, threads)
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
        found.setdefault("update_two_thread_ratio", []).append(ours / our_update(threads=2))
        for _ in range(3):
            plain_ms, ours_ms = plain_act(), our_act()
            found.setdefault("act_64_ms", []).append(ours_ms)
            found.setdefault("act_ratio_to_floor", []).append(ours_ms / plain_ms)
    return found
