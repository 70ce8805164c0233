"""What worker processes are worth: for the environments by themselves, and for a whole training.

Measured in turns, medians of the rounds. Environments on random actions, transport included: what a second process with
64 environments of its own adds to a first one with 64, and what sharing out the same 128 environments over two instead
of one saves, where the fixed cost of a step falls due in both. Training of the default recipe: its updates with the
environments in the learner's own process, in one beside it, and in two. On a machine whose cores are busy the ratios
say nothing.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import two_cores
from benchmarks.probe import random_actions, steps_s
from marl.algorithms.mappo import MAPPO
from marl.config.presets import recommended
from marl.environment.batch import make_batch
from marl.environment.grid_training import make_trainer
from marl.sampling.workers import WorkerBatch

N_ENV = 64  # of a process
WARM_UP_STEPS = 5


def steps_per_s(batch: WorkerBatch, n_step: int) -> float:
    """Environment steps a second over n_step steps of the whole batch."""
    return n_step * batch.n_env / steps_s(batch, random_actions(batch), n_step)


def measure(n_env: int = N_ENV, n_step: int = 20, rounds: int = 31) -> dict[str, float]:
    """Figures of one and of two processes.

    Returns:
        two_process_ratio: environment steps a second of two worker processes with n_env environments each over those
        of one with n_env; two_process_ratio_same_batch: the same over those of one with all 2 n_env;
        env_steps_per_s_one_process, env_steps_per_s_two_processes: medians of the rounds;
        two_process_ratio_arithmetic, two_process_ratio_stream: what two processes are worth that share nothing, and
        that share the memory alone.
    """

    make = partial(make_batch, "training", check=False)
    with (
        WorkerBatch(make, n_env, 1) as one,
        WorkerBatch(make, 2 * n_env, 1) as one_large,
        WorkerBatch(make, 2 * n_env, 2) as two,
    ):
        for batch in (one, one_large, two):
            batch.reset(np.arange(batch.n_env))
            steps_per_s(batch, WARM_UP_STEPS)
        found = [tuple(steps_per_s(batch, n_step) for batch in (one, one_large, two)) for _ in range(rounds)]
    return {
        "two_process_ratio": median(c / a for a, _, c in found),
        "two_process_ratio_same_batch": median(c / b for _, b, c in found),
        "env_steps_per_s_one_process": median(a for a, _, _ in found),
        "env_steps_per_s_two_processes": median(c for _, _, c in found),
        **two_cores.ratios(rounds),
    }


def measure_training(n_update: int = 6, rounds: int = 3) -> dict[str, float]:
    """Environment steps a second of the default training with workers, over those without.

    Returns:
        training_steps_per_s: without workers; training_one_worker_ratio, training_two_workers_ratio: over that.
    """

    def speed(n_worker: int) -> float:
        base = recommended()
        config = replace(
            base,
            total_episodes=-(-n_update * base.ppo.buffer_steps // base.episode_steps),
            n_workers=n_worker,
            device="cpu",
            checkpoint_every=10**6,
            evaluation=replace(base.evaluation, eval_every=0),
        )
        with tempfile.TemporaryDirectory() as directory:
            trainer = make_trainer(config, MAPPO, Path(directory), tensorboard=False)
            trainer.run()
        return trainer.run_state.steps / trainer.run_state.elapsed_s

    found = [tuple(speed(n_worker) for n_worker in (0, 1, 2)) for _ in range(rounds)]
    return {
        "training_steps_per_s": median(a for a, _, _ in found),
        "training_one_worker_ratio": median(b / a for a, b, _ in found),
        "training_two_workers_ratio": median(c / a for a, _, c in found),
    }
