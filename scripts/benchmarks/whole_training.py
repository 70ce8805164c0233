"""What a whole training takes by the clock: the command as a user gives it, on all cores, start-up included.

`training_s` is the default command from its start to its end, evaluations on held-out episodes among them.
`time_to_agc_s` is the time until it is worth having learned: from the start of the command until the policy, judged on
64 held-out episodes of `normal`, returns more there than AGC with feed-forward, tuned, does. It is the quick preset's,
judged every twenty updates, beside the learning; counted is what the user sees, when the evaluation is told of. The
median of three seeds: what single evaluations say at that time differs by tens of percent.

Works with the interfaces of older revisions as well (`probe.py` calls it for them).
"""

from __future__ import annotations

import csv
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BAR = "agc_forecast"
N_EPISODE = 64  # of an evaluation, the validation's first, as in training
EVERY = 10  # updates between two evaluations: longer than one takes, so that the learner does not wait for it
# What `--preset quick` changes, by options that older revisions have as well.
QUICK = ("--total-episodes", "150", "--n-envs", "32", "--buffer-steps", "512", "--minibatch-steps", "256",
         "--policy-average", "0.95", "--eval-every", "20")  # fmt: skip
SEEDS = (0, 1, 2)
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


@dataclass(frozen=True)
class Passed:
    """When a training was first told to be above a bar."""

    seconds: float  # since its start
    cpu_s: float  # processor time of its own process, and of others that it had waited for
    steps: int | None  # of environments, where it tells of them


def time_to_s(least: float, root: Path = ROOT) -> float:
    """Seconds from the start of a quick training until its held-out return is above `least`, the median over seeds.

    Infinite where more than half of the seeds never are.

    Raises:
        RuntimeError: one failed.
    """
    passed = [first_above(least, root, *QUICK, "--seed", str(seed)) for seed in SEEDS]
    return median(math.inf if one is None else one.seconds for one in passed)


def first_above(least: float, root: Path = ROOT, *options: str) -> Passed | None:
    """When a training's held-out return was above `least`; None if it never was. The default one but for the options.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="time-to-agc-") as directory:
        metrics = Path(directory) / "run" / "metrics.csv"
        began, cpu_before_s = time.perf_counter(), _cpu_of_children_s()
        usual = ["--eval-scenario", "normal", "--eval-episodes", str(N_EPISODE)]
        if "--eval-every" not in options:
            usual += ["--eval-every", str(EVERY)]
        process = subprocess.Popen(
            _command(root, Path(directory), *usual, *options), stdout=sys.stderr, start_new_session=True
        )
        try:
            while process.poll() is None:
                if best_return(metrics) > least:
                    break
                time.sleep(LOOK_S)
            seconds = time.perf_counter() - began
            if process.returncode:
                raise RuntimeError(f"train_mappo.py of {root} ended with status {process.returncode}")
            if not best_return(metrics) > least:
                return None
            steps = [
                int(row["step"]) for row in _told(metrics) if _return_of(row) > least and row.get("step")
            ]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Passed(seconds, _cpu_of_children_s() - cpu_before_s, steps[0] if steps else None)


def _cpu_of_children_s() -> float:
    """Processor time of processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(metrics: Path) -> list[dict[str, str]]:
    """Rows of a run's metrics so far."""
    try:
        with metrics.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def _return_of(row: Mapping[str, str]) -> float:
    """The held-out return that a row tells of; minus infinity if none."""
    value = float(row.get("eval/return") or "nan")
    return value if value == value else -float("inf")


def best_return(metrics: Path) -> float:
    """The best held-out return that a run has told of so far; none yet is minus infinity."""
    return max(map(_return_of, _told(metrics)), default=-float("inf"))


def measure() -> dict[str, list[float]]:
    """Both figures, {key: [s]}; without the second where the bar was not passed."""
    passed = time_to_s(bar())
    return {"training_s": [training_s()]} | ({"time_to_agc_s": [passed]} if math.isfinite(passed) else {})
