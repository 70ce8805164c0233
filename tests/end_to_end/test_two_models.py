"""A run on the reduced model and then in the full simulator, by one command: killed in either part it ends the same."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch

from marl import checkpoint
from marl.config.training import ConfigError, TrainingConfig
from marl.training.two_models import parts_of

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = (
    *(
        "--total-episodes",
        "4",
        "--reduced-episodes",
        "6",
        "--episode-steps",
        "16",
        "--n-envs",
        "4",
        "--pool",
        "3",
    ),
    *("--buffer-steps", "16", "--minibatch-steps", "16", "--epochs", "1", "--eval-every", "100"),
    *(
        "--actor-hidden",
        "8",
        "--critic-hidden",
        "8",
        "--device",
        "cpu",
        "--no-tensorboard",
        "--no-eval-process",
    ),
    *("--eval-episodes", "1", "--checkpoint-every", "1", "--checkpoints", "published"),
)


@pytest.fixture
def train(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(tmp_path)
    import train_mappo

    return train_mappo.main


class Killed(BaseException):
    """The end of a process that had no time for anything."""


def test_schedules_fall_once_over_both_parts(tmp_path):
    config = TrainingConfig(total_episodes=100, reduced_episodes=300, episode_steps=2048)
    first, second = parts_of(config, tmp_path)
    assert (first.config.physics, second.config.physics) == ("reduced", "full")
    assert (first.share, second.share) == ((0.0, 0.75), (0.75, 1.0))
    assert len(parts_of(dataclasses.replace(config, reduced_episodes=0), tmp_path)) == 1
    with pytest.raises(ConfigError, match='but physics = "reduced"'):
        dataclasses.replace(config, physics="reduced")


def test_a_run_killed_in_either_part_ends_with_the_bits_of_one_that_was_not(train, tmp_path, monkeypatch):
    """Six updates on the reduced model, four in the full simulator; killed after the third and after the eighth."""
    from marl.training.trainer import Trainer

    assert train([*SMALL, "--out", "whole"]) == 0
    save, n_saved = Trainer.save_checkpoint, 0

    def kill(trainer):
        nonlocal n_saved
        save(trainer)
        n_saved += 1
        if n_saved in (3, 9):
            raise Killed

    monkeypatch.setattr(Trainer, "save_checkpoint", kill)
    with pytest.raises(Killed):
        train([*SMALL, "--out", "killed"])
    assert (tmp_path / "killed" / "reduced" / "checkpoint_last.pt").exists()
    assert not (tmp_path / "killed" / "checkpoint_last.pt").exists()
    with pytest.raises(Killed):
        train(["--resume", "killed", "--no-tensorboard", "--checkpoints", "published"])
    assert (tmp_path / "killed" / "checkpoint_last.pt").exists()
    assert train(["--resume", "killed", "--no-tensorboard", "--checkpoints", "published"]) == 0
    one, two = (
        checkpoint.load(tmp_path / name / "final_model.pt", "policy")["weights"]
        for name in ("whole", "killed")
    )
    assert one.keys() == two.keys()
    for name, x in one.items():
        assert torch.equal(x, two[name]), name
    before = checkpoint.load(tmp_path / "whole" / "reduced" / "final_model.pt", "policy")["weights"]
    assert not all(
        torch.equal(x, one[name]) for name, x in before.items()
    )  # the second part has learned as well
    assert sys.modules["train_mappo"]
