"""How much faster two worker processes step the environment than one, batches and their transport included.

python scripts/benchmark_processes.py

One batch of environments is shared out over one and over two processes, measured in turns on random actions; the
median of the rounds is reported. On a machine whose cores are busy the ratio says nothing. `measure` gives the
figures to scripts/benchmark.py as well.
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

N_ENV = 128
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


def measure(n_env: int = N_ENV, n_step: int = 60, rounds: int = 5) -> dict[str, float]:
    """Figures of one and of two processes.

    Returns:
        two_process_ratio: environment steps a second with two worker processes over those with one;
        env_steps_per_s_one_process, env_steps_per_s_two_processes: both, medians of the rounds.
    """
    import numpy as np

    from marl.environment import make_batch
    from marl.workers import WorkerBatch

    make = partial(make_batch, "training", check=False)
    seeds = np.arange(n_env)
    with WorkerBatch(make, n_env, 1) as one, WorkerBatch(make, n_env, 2) as two:
        for batch in (one, two):
            batch.reset(seeds)
            steps_per_s(batch, WARM_UP_STEPS)
        found = [(steps_per_s(one, n_step), steps_per_s(two, n_step)) for _ in range(rounds)]
    return {
        "two_process_ratio": median(b / a for a, b in found),
        "env_steps_per_s_one_process": median(a for a, _ in found),
        "env_steps_per_s_two_processes": median(b for _, b in found),
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:40s}{value:>14,.2f}")
