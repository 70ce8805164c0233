"""scripts/train_mappo.py on the real grid, stopped while actors imitate or are refined: nothing of that is lost."""

from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = [
    *("--total-episodes", "8", "--episode-steps", "8", "--n-envs", "2", "--buffer-steps", "32"),
    *("--minibatch-steps", "16", "--actor-hidden", "8", "--critic-hidden", "8", "--device", "cpu"),
    *("--no-tensorboard", "--eval-every", "0", "--checkpoints", "models"),
]
IMITATING = [
    *SMALL,
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
    assert train([*IMITATING, "--out", "whole"]) == 0
    steps = []

    def interrupted(report):
        steps.append(report)
        if len(steps) == 12:  # of eight a round
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("marl.training.progress_report.StartReport.__call__", interrupted)
        assert train([*IMITATING, "--out", "run"]) == 130
    said = capsys.readouterr().err
    assert "what it saved last is kept, to resume:" in said
    assert "--resume run" in said
    assert train([*IMITATING, "--out", "run"]) == 2
    assert "run already holds a run: continue it with --resume run" in capsys.readouterr().err
    assert train(["--resume", "run", "--no-tensorboard", "--checkpoints", "models"]) == 0
    whole, resumed = (
        torch.load(tmp_path / name / "final_model.pt", weights_only=True)["sha256"]
        for name in ("whole", "run")
    )
    assert whole == resumed
    assert not list((tmp_path / "run").glob("imitation_round_*"))


# A tuned law without its zones, which cost something: there is something to be gained within a few steps.
LINEAR = [
    *SMALL,
    "--preset",
    "residual",
    "--dead-zones",
    "0.01",
    "0.01",
    "0.01",
    "--soft-zones",
    "0",
    "0",
    "0",
]
REFINED = [
    *LINEAR,
    *("--refine-passes", "40", "--refine-episodes", "60", "--refine-envs", "16"),
    *("--refine-window", "8", "--refine-lr", "0.01"),
]


def test_a_run_that_stops_while_it_is_refined_goes_on_by_resume(train, tmp_path, monkeypatch, capsys):
    """Ctrl-C in the thirtieth pass of forty, of which 28 are kept; the model is that of a run that was let be."""
    assert train([*REFINED, "--out", "whole"]) == 0
    assert train([*LINEAR, "--out", "plain"]) == 0
    passes = []

    def interrupted(report):
        passes.append(report)
        if len(passes) == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("marl.training.progress_report.StartReport.__call__", interrupted)
        assert train([*REFINED, "--out", "run"]) == 130
    assert "--resume run" in capsys.readouterr().err
    again = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "marl.training.progress_report.StartReport.__call__", lambda report: again.append(report)
        )
        assert train(["--resume", "run", "--no-tensorboard", "--checkpoints", "models"]) == 0
    assert len(again) == 12
    whole, resumed, plain = (
        torch.load(tmp_path / name / "final_model.pt", weights_only=True)["sha256"]
        for name in ("whole", "run", "plain")
    )
    assert whole == resumed
    assert whole != plain
    assert not (tmp_path / "run" / "refinement.pt").exists()


def test_a_refinement_of_other_settings_is_not_gone_on_with(train, tmp_path, monkeypatch, capsys):
    """The configuration of a run that was broken off was edited: one line, and what is kept stays."""
    passes = []

    def interrupted(report):
        passes.append(report)
        if len(passes) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("marl.training.progress_report.StartReport.__call__", interrupted)
    assert train([*REFINED, "--out", "run"]) == 130
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"refine_window": 8', '"refine_window": 7'))
    capsys.readouterr()
    assert train(["--resume", "run", "--no-tensorboard", "--checkpoints", "models"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "refinement.pt is of a refinement with other settings; delete it to begin anew" in said
    assert (tmp_path / "run" / "refinement.pt").exists()


def test_a_start_that_is_refused_leaves_no_directory(train, tmp_path, capsys):
    """An expert that nobody knows is found out once the run's directory is there."""
    wrong = [*IMITATING, "--start", "clone:nobody.py:Nobody"]
    assert train([*wrong, "--out", "run"]) == 2
    assert "nobody.py" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_fault_of_the_experts_own_code_is_one_line(train, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def reset(self, envs, seeds): ...\n    def act(self, observation):\n        return 1 / 0\n"
    )
    assert train([*IMITATING, "--start", "clone:mine.py:Mine", "--out", "run"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "train_mappo.py: error: --start clone:mine.py:Mine: mine.py: Mine.act raised ZeroDivisionError: division by "
        "zero (line 4)"
    )
