"""Runs of the learner on VMAS navigation, and what several of them come to."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from marl.algorithms.registry import algorithm_named
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import FloatArray
from marl.training.evaluator import Judge
from marl.training.trainer import Trainer
from marl.verification.navigation import EPISODE_STEPS, Navigation

__all__ = ["bootstrap_interval", "configuration", "in_words", "interquartile_mean", "train", "verify"]

EVALUATION_EPISODES = 100
FIRST_EVALUATION_SEED = 10_000
RESAMPLES = 2000
BENCHMARL_RETURN = 0.96  # of its MAPPO on this task, within 120,000 to 300,000 frames


def configuration(frames: int, seed: int, first_validation_seed: int) -> TrainingConfig:
    """The learner's settings for navigation: the project's defaults but for the task's horizon and noise.

    Args:
        frames: environment steps of the run.
        seed: of the run.
        first_validation_seed: training draws its seeds below.
    """
    return TrainingConfig(
        total_episodes=frames // EPISODE_STEPS,
        episode_steps=EPISODE_STEPS,
        n_envs=100,
        seed=seed,
        device="cpu",
        checkpoint_every=10**6,
        network=NetworkConfig(
            critic="agent", normalize_inputs=True, log_std_init=math.log(0.5), dead_zone=0.0
        ),
        ppo=PPOConfig(
            lr_final_fraction=0.1,
            gamma=0.99,
            gae_lambda=0.9,
            buffer_steps=3000,
            minibatch_steps=500,
            epochs=8,
            noise_correlation=0.0,
            robust_reward=0.0,
            policy_average=0.8,
        ),
        evaluation=EvaluationConfig(eval_every=0, eval_seed=first_validation_seed),
    )


def train(
    frames: int,
    seed: int,
    first_validation_seed: int,
    held_out: Callable[[Callable[[], Navigation]], Judge],
) -> float:
    """Mean evaluation return, over episodes and agents, of the policy that one run ends with.

    Args:
        frames: environment steps of the run.
        seed: of the run.
        first_validation_seed: training draws its seeds below.
        held_out: a judge, from what builds the environment of its episodes.
    """
    with tempfile.TemporaryDirectory() as directory:
        config = configuration(frames, seed, first_validation_seed)
        trainer = Trainer(
            config,
            Navigation(config.n_envs),
            algorithm=algorithm_named(config.algorithm),
            directory=Path(directory),
            first_validation_seed=first_validation_seed,
            tensorboard=False,
        )
        trainer.run()
    seeds = np.arange(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + EVALUATION_EPISODES)
    terms = held_out(lambda: Navigation(EVALUATION_EPISODES))(trainer.algorithm.evaluation_policy, seeds)
    return float(terms["return"].mean())


def verify(
    frames: int,
    n_seed: int,
    first_validation_seed: int,
    held_out: Callable[[Callable[[], Navigation]], Judge],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Runs with seeds 0, 1, ..., and what they come to, as JSON can hold it.

    Args:
        frames: environment steps of each run.
        n_seed: how many.
        first_validation_seed: training draws its seeds below.
        held_out: a judge, from what builds the environment of its episodes.
        tell: given a line of text after each run.

    Returns:
        `returns` of the runs, their interquartile mean `iqm` with its 95 % interval `iqm_ci95`, BenchMARL's return
        `benchmarl`, and what was run: `task`, `frames` and `config`.
    """
    returns = []
    for seed in range(n_seed):
        began = time.perf_counter()
        returns.append(train(frames, seed, first_validation_seed, held_out))
        spent_s = time.perf_counter() - began
        tell(f"seed {seed}: evaluation return {returns[-1]:.3f} after {frames:,} frames, {spent_s:.0f} s")
    x = np.array(returns)
    return {
        "task": "vmas navigation, 3 agents, continuous, own rewards",
        "frames": frames,
        "returns": returns,
        "iqm": interquartile_mean(x),
        "iqm_ci95": list(bootstrap_interval(x)),
        "benchmarl": BENCHMARL_RETURN,
        "config": asdict(configuration(frames, 0, first_validation_seed)),
    }


def in_words(found: Mapping[str, Any]) -> str:
    """What `verify` found in one line."""
    low, high = found["iqm_ci95"]
    return (
        f"VMAS navigation: interquartile mean {found['iqm']:.3f} [{low:.3f}, {high:.3f}], "
        f"BenchMARL {found['benchmarl']}"
    )


def interquartile_mean(x: FloatArray) -> float:
    """Mean of the middle half of [run].

    Reference:
        R. Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice, NeurIPS 2021.
    """
    return float(stats.trim_mean(x, 0.25))


def bootstrap_interval(x: FloatArray) -> tuple[float, float]:
    """95 % interval of the interquartile mean by resampling runs, [run]."""
    rng = np.random.default_rng(0)
    means = [interquartile_mean(rng.choice(x, len(x))) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
