"""What samplers of a Ray cluster on this machine are worth, beside one process and beside worker processes.

The default recipe is trained in four ways at once, an update of each in turn: in one process, with one sampler, with
two, and with two worker processes over shared memory. Whoever waits for its turn sleeps. Figures are medians over the
rounds of ratios within a round. On a machine whose cores are busy they say little.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from marl.algorithms.mappo import MAPPO
from marl.cluster.connection import Cluster, connected
from marl.config.presets import recommended
from marl.environment.grid_training import make_trainer
from marl.training.trainer import Trainer

WAYS = ("alone", "one_sampler", "two_samplers", "two_workers")
WARM_UP = 2  # updates of each before the first that counts


def trainer_of(cluster: Cluster, way: str, directory: Path) -> Trainer:
    """A training of the default recipe that neither evaluates nor saves."""
    base = recommended()
    config = replace(
        base,
        n_workers=2 if way == "two_workers" else 0,
        device="cpu",
        checkpoint_every=10**6,
        evaluation=replace(base.evaluation, eval_every=0),
    )
    samplers = {"one_sampler": 1, "two_samplers": 2}.get(way, 0)
    return make_trainer(
        config,
        MAPPO,
        directory,
        tensorboard=False,
        cluster=cluster if samplers else None,
        samplers=samplers,
    )


def update_of(trainer: Trainer) -> tuple[float, float]:
    """Seconds of one rollout with its update, and of the rollout alone."""
    state = trainer.run_state
    before, began = state.environment_s + state.act_s, time.perf_counter()
    trainer._train_once()
    return time.perf_counter() - began, state.environment_s + state.act_s - before


def rounds_of(n_round: int) -> list[dict[str, tuple[float, float]]]:
    """What `update_of` says of each way, round by round."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(connected("local"))
        trainers = {}
        for way in WAYS:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trainers[way] = stack.enter_context(trainer_of(cluster, way, directory))
        found = [
            {way: update_of(trainer) for way, trainer in trainers.items()} for _ in range(WARM_UP + n_round)
        ]
    return found[WARM_UP:]


def measure(n_round: int = 15) -> dict[str, float]:
    """Whole updates and their rollouts, on Ray over without.

    Returns:
        ray_two_sampler_ratio: environment steps a second of a training with two samplers over those of one process;
        two_worker_ratio: the same of two worker processes; ray_over_workers_ratio: of the one over the other;
        ray_overhead_percent: seconds that a rollout of one sampler takes longer than one played beside the learner, of
        the latter.
    """
    found = rounds_of(n_round)

    def ratio(slow: str, fast: str) -> float:
        return median(by_way[slow][0] / by_way[fast][0] for by_way in found)

    return {
        "ray_two_sampler_ratio": ratio("alone", "two_samplers"),
        "two_worker_ratio": ratio("alone", "two_workers"),
        "ray_over_workers_ratio": ratio("two_workers", "two_samplers"),
        "ray_overhead_percent": median(
            100.0 * (by_way["one_sampler"][1] / by_way["alone"][1] - 1.0) for by_way in found
        ),
    }
