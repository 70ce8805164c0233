"""The table of scripts/evaluate.py and the example of docs/own_controller.md as their users run them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import evaluate
from control.evaluation import suite_runner
from control.scenario.suites import HELD_OUT

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "marl" / "data" / "recommended_seed0.pt"
SHORT = 'base = "n1"\nname = "short"\nn_intervals = 16\n'


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


def example() -> str:
    """The program of the page for users."""
    page = (ROOT / "docs" / "own_controller.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_table_of_controllers_with_report_and_a_second_run_that_plays_nothing(
    tmp_path, scenario, capsys, monkeypatch
):
    (tmp_path / "mine.py").write_text(example())
    arguments = [
        "--suite", str(scenario), "--policies", f"do_nothing,agc_textbook,local_pi,{tmp_path}/mine.py:Integral",
        "--n_episodes", "3", "--workers", "1", "--reference", "do_nothing", "--cache", str(tmp_path / "cache"),
        "--json", str(tmp_path / "table.json"), "--report", str(tmp_path / "report.html"),
    ]  # fmt: skip
    assert evaluate.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "tuned local PI" in shown
    assert "Integral" in shown
    (by_policy,) = json.loads((tmp_path / "table.json").read_text()).values()
    assert len(by_policy) == 4
    for figures in by_policy.values():
        assert set(figures) >= {
            "return_mean", "return_ci95", "share_within_36mhz", "share_within_200mhz", "violations_per_episode",
            "cost_mean", "episodes",
        }  # fmt: skip
        assert figures["episodes"] == 3
    assert by_policy["local_pi"]["difference"]["to"] == "do_nothing"
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 3
    assert "http" not in page  # nothing is loaded from elsewhere

    monkeypatch.setattr(suite_runner, "play", lambda job, make: pytest.fail(f"{job} was played again"))
    assert evaluate.main(arguments) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_figures_follow_a_change_of_how_inputs_are_scaled(tmp_path, scenario):
    """In a copy of the sources, with the same folder of kept results; this policy magnifies its inputs tenfold."""
    for name in ("cases", "grid_model", "control", "marl", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)  # with what has been compiled
    model = ROOT / "marl" / "data" / "extended_seed0.pt"
    scaling = tmp_path / "marl" / "networks" / "normalization.py"
    whole = scaling.read_text(encoding="utf-8")

    def evaluated() -> float:
        subprocess.run(
            [
                sys.executable, "scripts/evaluate.py", "--suite", scenario, "--policies", model, "--n_episodes", "1",
                "--workers", "1", "--cache", "cache", "--json", "table.json",
            ],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True, capture_output=True,
        )  # fmt: skip
        (by_policy,) = json.loads((tmp_path / "table.json").read_text()).values()
        return by_policy[str(model)]["return_mean"]

    def n_kept() -> int:
        return len(list((tmp_path / "cache").iterdir()))

    before = evaluated()
    assert (evaluated(), n_kept()) == (before, 1)
    scaling.write_text(whole.replace("self.magnify * x", "3.0 * self.magnify * x"), encoding="utf-8")
    assert evaluated() != before
    assert n_kept() == 2
    scaling.write_text(whole, encoding="utf-8")
    assert (evaluated(), n_kept()) == (before, 2)


def test_models_of_several_seeds_stand_in_one_row_with_every_episodes_mean(tmp_path, scenario):
    """Twice the same policy: the mean of both is the policy's own row."""
    for seed in (0, 1):
        (tmp_path / f"tried-seed{seed}").mkdir()
        (tmp_path / f"tried-seed{seed}" / "best_model.pt").write_bytes(MODEL.read_bytes())
    pattern = f"{tmp_path}/tried-seed*/best_model.pt"
    assert evaluate.main([
        "--suite", str(scenario), "--policies", f"{pattern},{MODEL}", "--n_episodes", "2", "--workers", "1",
        "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "table.json"),
    ]) == 0  # fmt: skip
    (by_policy,) = json.loads((tmp_path / "table.json").read_text()).values()
    assert by_policy[pattern]["title"] == "MAPPO, tried, mean of 2 seeds"
    assert by_policy[pattern]["return_mean"] == pytest.approx(by_policy[str(MODEL)]["return_mean"], rel=1e-12)


def test_a_study_with_seeds_of_ones_own_says_so_and_never_reaches_the_held_out_ones(
    tmp_path, scenario, capsys
):
    assert evaluate.main([
        "--suite", str(scenario), "--policies", "do_nothing,local_pi", "--seeds", "700:2", "--workers", "1",
        "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "table.json"),
    ]) == 0  # fmt: skip
    assert "2 episodes of seeds of one's own" in capsys.readouterr().out
    (by_policy,) = json.loads((tmp_path / "table.json").read_text()).values()
    assert set(by_policy["local_pi"]["worst_seeds"]) == {700, 701}
    against = by_policy["do_nothing"]["paired_log_ratio_to_previous"]
    assert against["to"] == "local_pi"
    assert np.exp(against["mean"]) > 1.0
    for seeds, expected in (
        (f"{2**31 - 1}:2", "reach the held-out ones, which begin at 2147483648"),
        (str(HELD_OUT["n1"].first) + ":1", "reach the held-out ones"),
        ("7", "expected FIRST:COUNT"),
    ):
        assert evaluate.main(["--suite", "normal", "--policies", "do_nothing", "--seeds", seeds]) == 2
        message = capsys.readouterr().err
        assert expected in message
        assert message.count("\n") == 1


def test_a_pattern_that_no_file_fits_ends_in_one_line(capsys):
    assert evaluate.main(["--suite", "normal", "--policies", "nowhere-seed*/best_model.pt"]) == 2
    assert "no file fits 'nowhere-seed*/best_model.pt'" in capsys.readouterr().err


def test_an_unknown_controller_ends_in_one_line(capsys):
    assert evaluate.main(["--suite", "normal", "--policies", "pid"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "local_pi" in message


FAULTY = """\
import os, sys
import numpy as np
class Still:
    def __init__(self, fleet, n_env): self.shape = n_env, fleet.n_resource
    def reset(self, envs, seeds): pass
    def act(self, observation): return np.zeros(self.shape)
class Raises(Still):
    def act(self, observation): return 1 / 0
class Leaves(Still):
    def act(self, observation): sys.exit(0)
class Dies(Still):
    def act(self, observation): os._exit(0)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("Raises", "mine.py: Raises.act raised ZeroDivisionError: division by zero (line 8)"),
        ("Leaves", "mine.py: Leaves.act raised SystemExit: 0 (line 10)"),
    ],
)
def test_a_fault_of_the_users_own_controller_is_one_line(tmp_path, scenario, capsys, workers, who, said):
    (tmp_path / "mine.py").write_text(FAULTY)
    assert evaluate.main([
        "--suite", str(scenario), "--policies", f"{tmp_path}/mine.py:{who}", "--n_episodes", "2",
        "--workers", workers, "--cache", str(tmp_path / "cache"),
    ]) == 2  # fmt: skip
    assert capsys.readouterr().err.splitlines()[-1] == f"evaluate.py: error: {tmp_path}/{said}"


@pytest.mark.parametrize(("others", "who"), [("", "{}"), ("do_nothing,", "one of do_nothing, {}")])
def test_a_controller_that_ends_its_process_is_named(tmp_path, scenario, capsys, others, who):
    (tmp_path / "mine.py").write_text(FAULTY)
    name = f"{tmp_path}/mine.py:Dies"
    scenario.write_text('base = "normal"\nn_intervals = 200\n')  # so that the other is still at it
    assert evaluate.main([
        "--suite", str(scenario), "--policies", f"{others}{name}", "--n_episodes", "40",
        "--workers", "2", "--cache", str(tmp_path / "cache"),
    ]) == 1  # fmt: skip
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("evaluate.py: error: a worker process died while playing ")
    assert name in said
    assert who.format(name) in said or not others


@pytest.mark.slow
def test_the_example_for_users_runs_as_it_stands(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(example())
    done = subprocess.run(
        [sys.executable, str(path)], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"return -[\d,]+\n", done.stdout)


def test_the_example_for_users_has_twenty_lines():
    lines = [line for line in example().splitlines() if line.strip()]
    assert len(lines) <= 20
