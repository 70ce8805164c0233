"""What a second process is worth: for environments by themselves, and how fast a whole training is in one.

Two processes each play 64 environments of their own on random actions, as samplers do between two updates, and say
how fast they went: first the one alone, then both at once. Measured in turns, medians of the rounds. On a machine whose
cores are busy the ratios say nothing.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from benchmarks import two_cores
from benchmarks.probe import random_actions, steps_s
from marl.algorithms.mappo import MAPPO
from marl.config.presets import recommended
from marl.environment.batch import make_batch
from marl.environment.grid_training import make_trainer
from marl.sampling.child_process import HelperProcess, answer

N_ENV = 64  # of a process
WARM_UP_STEPS = 5


def play(connection: Connection, n_env: int) -> None:
    """Plays as many steps as it is asked for, and answers with the environment steps a second."""
    batch = make_batch("training", n_env, check=False)
    batch.reset()

    def steps_per_s(n_step: int) -> float:
        return n_step * n_env / steps_s(batch, random_actions(batch), n_step)

    steps_per_s(WARM_UP_STEPS)
    answer(connection, steps_per_s)


def measure(n_env: int = N_ENV, n_step: int = 20, rounds: int = 31) -> dict[str, float]:
    """Figures of one and of two processes.

    Returns:
        two_process_ratio: environment steps a second of two processes with n_env environments each over those of one;
        two_process_ratio_arithmetic, two_process_ratio_stream: what two processes are worth that share nothing, and
        that share the memory alone.
    """
    with (
        closing(HelperProcess("the first process", play, n_env)) as first,
        closing(HelperProcess("the second process", play, n_env)) as second,
    ):

        def steps_per_s(*processes: HelperProcess) -> float:
            for process in processes:
                process.send(n_step)
            return float(sum(process.receive() for process in processes))

        steps_per_s(first, second)
        found = [(steps_per_s(first), steps_per_s(first, second)) for _ in range(rounds)]
    return {"two_process_ratio": median(two / one for one, two in found), **two_cores.ratios(rounds)}


def measure_training(n_update: int = 6, rounds: int = 3) -> dict[str, float]:
    """Environment steps a second of the default training, start and end of the run left out.

    Returns:
        training_steps_per_s.
    """
    base = recommended()
    config = replace(
        base,
        total_episodes=-(-n_update * base.ppo.buffer_steps // base.episode_steps),
        device="cpu",
        checkpoint_every=10**6,
        evaluation=replace(base.evaluation, eval_every=0),
    )

    def speed() -> float:
        with tempfile.TemporaryDirectory() as directory:
            trainer = make_trainer(config, MAPPO, Path(directory), tensorboard=False)
            trainer.run()
        return trainer.run_state.steps / trainer.run_state.elapsed_s

    return {"training_steps_per_s": median(speed() for _ in range(rounds))}
