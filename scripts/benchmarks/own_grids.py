"""Speed of the environments on other grids than the 68-bus system, and how it falls with their buses."""

from __future__ import annotations

import sys
from collections.abc import Collection

import numpy as np
from tqdm import tqdm

from benchmarks.probe import random_actions, steps_s
from marl.environment.batch import make_batch

KEY = "env_steps_per_s_64_"
N_ENV = 64
N_STEP = 500  # so that each environment begins an episode anew
FEW_STEPS = 100  # of grids of more than a thousand buses


def measure(wanted: Collection[str], rounds: int) -> dict[str, list[float]]:
    """Environment steps a second on each grid that is asked for, {key: its value of every round}."""
    found: dict[str, list[float]] = {}
    for key in tqdm([k for k in wanted if k.startswith(KEY)], unit=" grids", disable=not sys.stderr.isatty()):
        batch = make_batch("training", N_ENV, case=key.removeprefix(KEY), stagger=True, check=False)
        n_step = N_STEP if batch.case.n_bus < 1000 else FEW_STEPS
        actions = random_actions(batch)
        for _ in range(rounds):
            batch.reset(np.arange(N_ENV))
            batch.step(dict(actions[0]))
            found.setdefault(key, []).append(n_step * N_ENV / steps_s(batch, actions, n_step))
    return found
