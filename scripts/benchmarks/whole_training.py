"""What a whole training takes by the clock: the command as a user gives it, on all cores, start-up included.

`training_s` is the default command from its start to its end, evaluations on held-out episodes among them.
`time_to_agc_s` is the time until it is worth having learned: from the start of the command until the policy, judged on
64 held-out episodes of `normal`, returns more there than AGC with feed-forward, tuned, does. It is judged every five
updates, beside the learning, and counted is what the user sees: when the evaluation is told of.

Works with the interfaces of older revisions as well (`probe.py` calls it for them).
"""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR = "agc_forecast"
N_EPISODE = 64  # of an evaluation, the validation's first, as in training
LOOK_S = 0.1
ROOT = Path(__file__).resolve().parents[2]


def bar(law: str = BAR, n_episode: int = N_EPISODE) -> float:
    """Mean return of a tuned law on the episodes of `normal` that a training is judged by."""
    import numpy as np

    from control.controllers.registry import make_baseline
    from control.evaluation.grid_record import ByPlant
    from control.evaluation.rollout import rollout
    from control.scenario.suites import VALIDATION_SEEDS
    from marl.environment.batch import make_batch

    seeds = np.array([int(seed) for seed in VALIDATION_SEEDS.seeds[:n_episode]])
    batch = make_batch("normal", n_episode, check=False)
    controller = make_baseline(law, batch.description, n_episode)
    return float(rollout(controller, ByPlant(batch), seeds).returns.mean())


def _command(root: Path, directory: Path, *options: str) -> list[str]:
    return [sys.executable, str(root / "scripts" / "train_mappo.py"), "--device", "cpu", "--no-tensorboard",
            "--out", str(directory / "run"), "--checkpoints", str(directory / "models"), *options]  # fmt: skip


def training_s(root: Path = ROOT, *options: str) -> float:
    """Seconds of the default training of the revision at `root`.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="whole-training-") as directory:
        began = time.perf_counter()
        command = _command(root, Path(directory), *options)
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode:
            raise RuntimeError(f"train_mappo.py of {root} ended with status {done.returncode}")
        return time.perf_counter() - began


def time_to_s(least: float, root: Path = ROOT, *options: str) -> float:
    """Seconds from the start of a training until its held-out return is above `least`; infinite if it never is.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="time-to-agc-") as directory:
        metrics = Path(directory) / "run" / "metrics.csv"
        began = time.perf_counter()
        usual = ("--eval-scenario", "normal", "--eval-every", "5", "--eval-episodes", str(N_EPISODE))
        process = subprocess.Popen(
            _command(root, Path(directory), *usual, *options), stdout=sys.stderr, start_new_session=True
        )
        try:
            while process.poll() is None:
                if best_return(metrics) > least:
                    return time.perf_counter() - began
                time.sleep(LOOK_S)
            if process.returncode:
                raise RuntimeError(f"train_mappo.py of {root} ended with status {process.returncode}")
            return time.perf_counter() - began if best_return(metrics) > least else float("inf")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def best_return(metrics: Path) -> float:
    """The best held-out return that a run has told of so far; none yet is minus infinity."""
    try:
        with metrics.open(encoding="utf-8", newline="") as file:
            told = [row.get("eval/return") or "nan" for row in csv.DictReader(file)]
    except FileNotFoundError:
        return -float("inf")
    values = [float(value) for value in told]
    return max((value for value in values if value == value), default=-float("inf"))


def measure() -> dict[str, list[float]]:
    """Both figures, one training each, {key: [s]}; without the second where the bar was never passed."""
    passed = time_to_s(bar())
    return {"training_s": [training_s()]} | ({"time_to_agc_s": [passed]} if math.isfinite(passed) else {})
