"""The learner on the real grid, shrunk to seconds: it trains, is killed, and resumes as if nothing had happened."""

import contextlib

import torch

from marl import checkpoint
from marl.algorithms.mappo import MAPPO
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig
from marl.environment.batch import make_batch
from marl.training.trainer import Trainer

SETTINGS = TrainingConfig(
    total_episodes=1,
    episode_steps=320,
    n_envs=4,
    device="cpu",
    checkpoint_every=3,
    scenario="training_n1",
    network=NetworkConfig(actor_hidden=(16,), critic_hidden=(16,), normalize_inputs=True),
    ppo=PPOConfig(buffer_steps=64, minibatch_steps=32, epochs=2),
    evaluation=EvaluationConfig(eval_every=0),
)


class Killed(BaseException):
    """Ends a run as a SIGKILL would: nothing after it is executed."""


def train(directory, *, resume=False, on_progress=None):
    environment = make_batch(SETTINGS.scenario, SETTINGS.n_envs, 0, "default", stagger=True, check=False)
    trainer = Trainer(
        SETTINGS,
        environment,
        algorithm=MAPPO,
        directory=directory,
        resume=resume,
        on_progress=on_progress,
        tensorboard=False,
    )
    return trainer.run()


def test_a_killed_run_on_the_grid_resumes_bit_for_bit(tmp_path):
    def kill(progress):
        if progress.update == 4:
            raise Killed

    assert train(tmp_path / "whole").update == 5
    with contextlib.suppress(Killed):
        train(tmp_path / "killed", on_progress=kill)
    assert train(tmp_path / "killed", resume=True).finished
    whole, resumed = (
        checkpoint.load(tmp_path / name / "checkpoint_last.pt", "run") for name in ("whole", "killed")
    )
    for part in ("policy", "critic"):
        for name, x in whole["learner"][part].items():
            assert torch.equal(resumed["learner"][part][name], x), f"{part} {name}"
    assert torch.equal(resumed["learner"]["noise"], whole["learner"]["noise"])
    assert (resumed["observation"]["state"] == whole["observation"]["state"]).all()
