"""scripts/train_mappo.py on the real grid, stopped while its actors still imitate: nothing of that is lost."""

from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = [
    *("--total-episodes", "8", "--episode-steps", "8", "--n-envs", "2", "--buffer-steps", "32"),
    *("--minibatch-steps", "16", "--actor-hidden", "8", "--critic-hidden", "8", "--device", "cpu"),
    *("--no-tensorboard", "--eval-every", "0", "--checkpoints", "models"),
    *("--start", "dagger:linear", "--imitation-steps", "48", "--imitation-envs", "2"),
    *("--imitation-rounds", "3", "--imitation-epochs", "1"),
]


@pytest.fixture
def train(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(tmp_path)
    import train_mappo

    return train_mappo.main


def test_a_run_that_stops_while_it_imitates_goes_on_by_resume(train, tmp_path, monkeypatch, capsys):
    """Ctrl-C in the second round of three: the first is kept, and the model is that of a run that was let be."""
    assert train([*SMALL, "--out", "whole"]) == 0
    steps = []

    def interrupted(report):
        steps.append(report)
        if len(steps) == 12:  # of eight a round
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("marl.training.progress_report.ImitationReport.__call__", interrupted)
        assert train([*SMALL, "--out", "run"]) == 130
    said = capsys.readouterr().err
    assert "what it saved last is kept, to resume:" in said
    assert "--resume run" in said
    assert train([*SMALL, "--out", "run"]) == 2
    assert "run already holds a run: continue it with --resume run" in capsys.readouterr().err
    assert train(["--resume", "run", "--no-tensorboard", "--checkpoints", "models"]) == 0
    whole, resumed = (
        torch.load(tmp_path / name / "final_model.pt", weights_only=True)["sha256"]
        for name in ("whole", "run")
    )
    assert whole == resumed
    assert not list((tmp_path / "run").glob("imitation_round_*"))


def test_a_start_that_is_refused_leaves_no_directory(train, tmp_path, capsys):
    """An expert that nobody knows is found out once the run's directory is there."""
    wrong = [*SMALL, "--start", "clone:nobody.py:Nobody"]
    assert train([*wrong, "--out", "run"]) == 2
    assert "nobody.py" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_fault_of_the_experts_own_code_is_one_line(train, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def reset(self, envs, seeds): ...\n    def act(self, observation):\n        return 1 / 0\n"
    )
    assert train([*SMALL, "--start", "clone:mine.py:Mine", "--out", "run"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "train_mappo.py: error: --start clone:mine.py:Mine: mine.py: Mine.act raised ZeroDivisionError: division by "
        "zero (line 4)"
    )
