"""What a start costs: processor time from the start of train_mappo.py to the third step of its environments.

Cold: a copy of the sources in which nothing has been compiled, and an empty cache directory, as after a clone. Warm:
the same once more. The default recipe is trained; the process ends at the third step.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("cases", "grid_model", "control", "marl", "scripts")
N_STEP = 3
STARTED = """
import os, sys
sys.path.insert(0, "scripts")
from marl.environment.batch import GridBatch
step, n = GridBatch.step, 0

def count(batch, actions):
    global n
    transition = step(batch, actions)
    n += 1
    if n == int(sys.argv[1]):
        sys.stdout.flush()
        os._exit(42)
    return transition

GridBatch.step = count
import train_mappo
sys.exit(train_mappo.main(sys.argv[2:]))
"""


def measure(rounds: int = 1) -> dict[str, list[float]]:
    """{key: [s]}: one cold start, and warm ones as many as rounds."""
    with tempfile.TemporaryDirectory(prefix="first-step-") as directory:
        place = Path(directory)
        for part in PARTS:
            shutil.copytree(ROOT / part, place / "tree" / part, ignore=shutil.ignore_patterns("__pycache__"))
        return {
            "first_step_cold_cpu_s": [_start_cpu_s(place)],
            "first_step_warm_cpu_s": [_start_cpu_s(place) for _ in range(rounds)],
        }


def _start_cpu_s(place: Path) -> float:
    """Processor time of one start [s].

    Raises:
        RuntimeError: the training did not reach its step.
    """
    tree = place / "tree"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(tree), "IEEE68_CACHE_DIR": str(place / "cache")}
    run = tempfile.mkdtemp(dir=place)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ["--out", f"{run}/run", "--checkpoints", f"{run}/models"]
    command = [sys.executable, "-c", STARTED, str(N_STEP), *options]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 42:
        raise RuntimeError(f"the training did not reach its step {N_STEP}: {done.stderr.strip()[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
