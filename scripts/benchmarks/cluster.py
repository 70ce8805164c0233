"""What samplers of a Ray cluster on this machine are worth, beside one process.

The default recipe is trained in three ways at once, an update of each in turn: in one process, with one sampler, and
with two. Whoever waits for its turn sleeps. Figures are medians over the
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

WAYS = ("alone", "one_sampler", "two_samplers")
WARM_UP = 2  # updates of each before the first that counts


def trainer_of(cluster: Cluster, way: str, directory: Path) -> Trainer:
    """A training of the default recipe that neither evaluates nor saves."""
    base = recommended()
    config = replace(
        base,
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
        ray_overhead_percent: seconds that a rollout of one sampler takes longer than one played beside the learner, of
        the latter.
    """
    found = rounds_of(n_round)

    return {
        "ray_two_sampler_ratio": median(by_way["alone"][0] / by_way["two_samplers"][0] for by_way in found),
        "ray_overhead_percent": median(
            100.0 * (by_way["one_sampler"][1] / by_way["alone"][1] - 1.0) for by_way in found
        ),
    }
