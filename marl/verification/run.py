"""Runs of the learner on VMAS navigation, and what several of them come to."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from marl.algorithms.registry import algorithm_named
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import FloatArray
from marl.training.evaluator import Judge
from marl.training.trainer import Trainer
from marl.verification.navigation import EPISODE_STEPS, Navigation

__all__ = [
    "LEARNERS",
    "Learner",
    "Task",
    "bootstrap_interval",
    "configuration",
    "in_words",
    "interquartile_mean",
    "train",
    "verify",
]

Learner = Literal["mappo", "gru", "happo"]
LEARNERS: tuple[Learner, ...] = ("mappo", "gru", "happo")
Task = Literal["navigation", "remembered"]
TASKS: Mapping[Task, str] = {
    "navigation": "vmas navigation, 3 agents, continuous, own rewards",
    "remembered": "vmas navigation, goals shown in the first 5 of 100 steps alone",
}

EVALUATION_EPISODES = 100
FIRST_EVALUATION_SEED = 10_000
RESAMPLES = 2000
BENCHMARL_RETURN = 0.96  # of its MAPPO on this task, within 120,000 to 300,000 frames


def configuration(
    frames: int,
    seed: int,
    first_validation_seed: int,
    learner: Learner = "mappo",
    task: Task = "navigation",
) -> TrainingConfig:
    """The learner's settings for navigation: the project's defaults but for the task's horizon and noise.

    Args:
        frames: environment steps of the run.
        seed: of the run.
        first_validation_seed: training draws its seeds below.
        learner: `mappo`; `gru`, the same with actors that remember; or `happo`, an actor for each agent, one after the
            other.
        task: where goals are soon hidden, rollouts are whole episodes, so that half of one can be learned from at a
            time.
    """
    remembered = task == "remembered"
    plain = TrainingConfig(
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
            buffer_steps=10_000 if remembered else 3000,
            minibatch_steps=2000 if remembered else 500,
            epochs=8,
            noise_correlation=0.0,
            robust_reward=0.0,
            policy_average=0.8,
        ),
        evaluation=EvaluationConfig(eval_every=0, eval_seed=first_validation_seed),
    )
    if learner == "gru":
        # Rollouts of 30 steps and minibatches of 500 are whole sequences of 10. What was shown in the first five steps
        # is used up to the last, so gradients have to reach further where it is to be remembered.
        length, burn_in = (50, 0) if remembered else (10, plain.ppo.burn_in_steps)
        return replace(
            plain,
            network=replace(plain.network, actor="gru"),
            ppo=replace(plain.ppo, sequence_steps=length, burn_in_steps=burn_in),
        )
    if learner == "happo":
        return replace(plain, algorithm="happo", network=replace(plain.network, sharing="agent"))
    return plain


def train(
    frames: int,
    seed: int,
    first_validation_seed: int,
    held_out: Callable[[Callable[[], Navigation]], Judge],
    learner: Learner = "mappo",
    task: Task = "navigation",
) -> float:
    """Mean evaluation return, over episodes and agents, of the policy that one run ends with.

    Args:
        frames: environment steps of the run.
        seed: of the run.
        first_validation_seed: training draws its seeds below.
        held_out: a judge, from what builds the environment of its episodes.
        learner: see `configuration`.
        task: `navigation`, or `remembered`, with goals that are soon hidden.
    """
    remembered = task == "remembered"
    with tempfile.TemporaryDirectory() as directory:
        config = configuration(frames, seed, first_validation_seed, learner, task)
        trainer = Trainer(
            config,
            Navigation(config.n_envs, remembered=remembered),
            algorithm=algorithm_named(config.algorithm),
            directory=Path(directory),
            first_validation_seed=first_validation_seed,
            tensorboard=False,
        )
        trainer.run()
    seeds = np.arange(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + EVALUATION_EPISODES)
    judge = held_out(lambda: Navigation(EVALUATION_EPISODES, remembered=remembered))
    terms = judge(trainer.algorithm.evaluation_policy, seeds)
    return float(terms["return"].mean())


def verify(
    frames: int,
    n_seed: int,
    first_validation_seed: int,
    held_out: Callable[[Callable[[], Navigation]], Judge],
    tell: Callable[[str], None],
    learners: Sequence[Learner] = ("mappo",),
    task: Task = "navigation",
) -> dict[str, Any]:
    """Runs with seeds 0, 1, ..., and what they come to, as JSON can hold it.

    Args:
        frames: environment steps of each run.
        n_seed: how many.
        first_validation_seed: training draws its seeds below.
        held_out: a judge, from what builds the environment of its episodes.
        tell: given a line of text after each run.
        learners: who learns, one after the other.
        task: see `train`.

    Returns:
        `task`, `frames`, on navigation BenchMARL's return `benchmarl`, and for each of `learners` the `returns` of its
        runs, their interquartile mean `iqm` with its 95 % interval `iqm_ci95`, its seconds a run `run_s`, and `config`.
    """
    found = {}
    for learner in learners:
        returns, spent_s = [], []
        for seed in range(n_seed):
            began = time.perf_counter()
            returns.append(train(frames, seed, first_validation_seed, held_out, learner, task))
            spent_s.append(time.perf_counter() - began)
            tell(
                f"{learner} seed {seed}: evaluation return {returns[-1]:.3f} after {frames:,} frames, "
                f"{spent_s[-1]:.0f} s"
            )
        x = np.array(returns)
        found[learner] = {
            "returns": returns,
            "iqm": interquartile_mean(x),
            "iqm_ci95": list(bootstrap_interval(x)),
            "run_s": float(np.mean(spent_s)),
            "config": asdict(configuration(frames, 0, first_validation_seed, learner, task)),
        }
    beside = {"benchmarl": BENCHMARL_RETURN} if task == "navigation" else {}
    return {"task": TASKS[task], "frames": frames, **beside, "learners": found}


def in_words(found: Mapping[str, Any]) -> str:
    """What `verify` found, a line for each learner."""
    lines = [
        "{}, {}: interquartile mean {iqm:.3f} [{iqm_ci95[0]:.3f}, {iqm_ci95[1]:.3f}]".format(
            found["task"], learner, **one
        )
        for learner, one in found["learners"].items()
    ]
    if "benchmarl" in found:
        lines.append(f"BenchMARL's MAPPO {found['benchmarl']}")
    return "\n".join(lines)


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
