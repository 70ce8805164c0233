"""Large batches: speed of 256 environments, and the memory of a process that plays 1,024."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.simulator import step_time_s
from marl.environment.batch import make_batch

ROOT = Path(__file__).resolve().parents[2]
PLAYED = """
import resource, sys
import numpy as np
from marl.environment.batch import make_batch
batch = make_batch("training", int(sys.argv[1]), check=False)
batch.reset()
for _ in range(3):
    batch.step({g.name: np.zeros((batch.n_env, g.n_agent, 1), np.float32) for g in batch.groups})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(rounds: int, n_step: int = 200, n_large: int = 1024) -> dict[str, list[float]]:
    """{key: its value of every round}; memory is the most that a process of its own held [GB], measured once."""
    batch = make_batch("training", 256, stagger=True, check=False)
    batch.reset()
    step_time_s(batch, 5)
    done = subprocess.run(
        [sys.executable, "-c", PLAYED, str(n_large)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    unit = 1.0 if sys.platform == "darwin" else 1024.0  # bytes there, kilobytes elsewhere
    return {
        "env_steps_per_s_256": [1.0 / step_time_s(batch, n_step) for _ in range(rounds)],
        "memory_1024_envs_gb": [float(done.stdout) * unit / 1e9],
    }
