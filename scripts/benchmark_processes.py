"""How much faster two worker processes step the environment than one, batches and their transport included.

python scripts/benchmark_processes.py

Two questions, measured in turns on random actions, medians of the rounds: what a second process with 64 environments of
its own adds to a first one with 64, and what sharing out the same 128 environments over two instead of one saves,
where the fixed cost of a step falls due in both. On a machine whose cores are busy the ratios say nothing. `measure`
gives the figures to scripts/benchmark.py as well.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported anywhere

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from marl.workers import WorkerBatch

N_ENV = 64  # of a process
WARM_UP_STEPS = 5


def steps_per_s(batch: WorkerBatch, n_step: int) -> float:
    """Environment steps a second over n_step steps of the whole batch."""
    import numpy as np

    rng = np.random.default_rng(0)
    actions = [
        {g.name: rng.uniform(-1.0, 1.0, (batch.n_env, g.n_agent, 1)).astype(np.float32) for g in batch.groups}
        for _ in range(4)
    ]
    began = time.perf_counter()
    for k in range(n_step):
        batch.step(actions[k % len(actions)])
    return n_step * batch.n_env / (time.perf_counter() - began)


def measure(n_env: int = N_ENV, n_step: int = 60, rounds: int = 7) -> dict[str, float]:
    """Figures of one and of two processes.

    Returns:
        two_process_ratio: environment steps a second of two worker processes with n_env environments each over those
        of one with n_env; two_process_ratio_same_batch: the same over those of one with all 2 n_env;
        env_steps_per_s_one_process, env_steps_per_s_two_processes: medians of the rounds.
    """
    import numpy as np

    from marl.environment import make_batch
    from marl.workers import WorkerBatch

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
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:40s}{value:>14,.2f}")
