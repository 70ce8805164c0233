"""scripts/evaluate.py and scripts/random_rollout.py as their users run them, on an episode of a few intervals."""

import inspect
import json
import re
import sys

import pytest

import evaluate
import export_policy
import random_rollout
from control.evaluation import export, video
from control.evaluation.suite_seeds import episodes_by_number
from control.scenario.suites import SCENARIOS
from control.scenario.task_grid import open_task_grid
from marl.config.training import NetworkConfig
from marl.environment.batch import make_batch
from marl.networks.policy import Policy

SHORT = 'base = "normal"\nname = "short"\nn_intervals = 6\n'


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture
def model(tmp_path, scenario):
    """An untrained policy, which with a small last layer and a dead zone hardly moves anything."""
    groups = make_batch(str(scenario), 1, check=False).groups
    path = tmp_path / "model.pt"
    Policy(groups, NetworkConfig(), {"observation": "default"}).save(path)
    return path


def test_comparison_is_on_the_same_episodes_and_in_the_json_file(tmp_path, model, scenario, capsys):
    figures = tmp_path / "figures.json"
    status = evaluate.main(
        [
            "--model_path",
            str(model),
            "--n_episodes",
            "3",
            "--compare",
            "--scenario",
            str(scenario),
            "--json",
            str(figures),
        ]
    )
    assert status == 0
    found = json.loads(figures.read_text())
    for name in ("trained", "random", "do_nothing"):
        assert set(found[name]) >= {
            "return_mean",
            "return_ci95",
            "rms_mhz",
            "share_within_200mhz",
            "violations_per_episode",
            "nadir_mhz",
            "lowest_mhz",
            "highest_mhz",
            "rocof_mhz_per_s",
            "alert_s",
            "unserved_mwh",
            "rebound_mw_dr",
        }
        low, high = found[name]["return_ci95"]
        assert low <= found[name]["return_mean"] <= high
        assert found[name]["episodes"] == 3
        assert found[name]["lowest_mhz"] <= 0.0 <= found[name]["highest_mhz"]  # episodes begin at nominal
    # The untrained policy stays in its dead zone, so it does nothing on the same episodes.
    assert found["trained"] == found["do_nothing"]
    assert found["random"]["return_mean"] != found["do_nothing"]["return_mean"]
    assert "do nothing" in capsys.readouterr().out


def test_pictures_and_live_output_of_one_episode(tmp_path, model, scenario, capsys, monkeypatch):
    out = tmp_path / "pictures"
    arguments = ["--model-path", str(model), "--n-episodes", "1", "--scenario", str(scenario), "--visualize"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert evaluate.main([*arguments, "--out", str(out), "--render"]) == 0
    shown = capsys.readouterr().out
    assert [f"interval {k}/6" in shown for k in range(8)] == [k in range(1, 7) for k in range(8)]
    for name in ("frequency", "dispatch", "loading", "reward", "network"):
        assert (out / f"{name}.png").stat().st_size > 10_000


def test_a_missing_model_ends_in_one_line_that_says_how_to_make_one(tmp_path, capsys):
    assert evaluate.main(["--model_path", str(tmp_path / "none.pt")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "train_mappo.py" in message


def test_a_file_that_is_no_model_ends_in_one_line(tmp_path, capsys):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"not a model")
    assert evaluate.main(["--model_path", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_that_is_cut_and_a_directory_are_told_for_what_they_are(tmp_path, model, capsys):
    whole = model.read_bytes()
    cut = tmp_path / "cut.pt"
    for share in (0.1, 0.5, 0.9):
        cut.write_bytes(whole[: int(share * len(whole))])
        for program, more in ((evaluate, []), (export_policy, ["--out", str(tmp_path / "policy.onnx")])):
            assert program.main(["--model_path", str(cut), *more]) == 1
            assert f"{cut} is broken or no checkpoint (" in capsys.readouterr().err
    assert evaluate.main(["--model_path", str(tmp_path)]) == 1
    assert f"{tmp_path} is a directory, expected a model file" in capsys.readouterr().err
    assert evaluate.main(["--policies", str(tmp_path)]) == 2
    assert f"{tmp_path} is a directory, expected a model file" in capsys.readouterr().err
    (tmp_path / "best_model.pt").write_bytes(whole)
    assert evaluate.main(["--model_path", str(tmp_path)]) == 1
    assert f"such as {tmp_path / 'best_model.pt'}" in capsys.readouterr().err


def test_a_controller_that_is_no_model_and_a_reference_that_takes_no_part_end_in_one_line(tmp_path, capsys):
    path = tmp_path / "notes.md"
    path.write_text("not a model")
    table = ["--suite", "normal", "--n_episodes", "1", "--cache", str(tmp_path / "cache")]
    for more, status, said in (
        (["--policies", str(path)], 1, "notes.md"),
        (["--policies", "do_nothing", "--reference", "bogus"], 2, "--reference 'bogus' takes no part"),
    ):
        assert evaluate.main([*table, *more]) == status
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert said in line


def test_more_episodes_than_the_suite_holds_are_refused(model, capsys):
    assert evaluate.main(["--model_path", str(model), "--n_episodes", "101"]) == 2
    assert "100 held-out episodes" in capsys.readouterr().err


def test_episodes_of_a_training_distribution_are_not_called_held_out(tmp_path, model, capsys):
    """They are of seeds that nobody trains on, but of no suite that results are told of."""
    page = tmp_path / "page.html"
    (tmp_path / "short.toml").write_text('base = "training"\nn_intervals = 4\n')
    of_training = ["--model_path", str(model), "--scenario", str(tmp_path / "short.toml")]
    assert evaluate.main([*of_training, "--n_episodes", "1"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "Scenario short.toml, 1 episode from number 0 on, of seeds that no training draws."
    assert evaluate.main([*of_training, "--page", str(page)]) == 0
    assert "Scenario short.toml, episode 0, of seeds that no training draws" in page.read_text(
        encoding="utf-8"
    )
    assert episodes_by_number("training", 3, 2) == (
        "Scenario training, 2 episodes from number 3 on, of seeds that no training draws"
    )
    assert episodes_by_number("normal", 3, 20) == "Suite normal, 20 held-out episodes from number 3 on"
    assert episodes_by_number("normal", 3) == "Suite normal, held-out episode 3"


def test_help_names_every_scenario_there_is():
    about = inspect.getsource(evaluate.Options)
    for name in SCENARIOS:
        assert re.search(rf"\b{name.removeprefix('training_')}\b", about), name


def test_a_wrong_option_is_refused_as_one(model, capsys):
    """By status 2, in one line, before anything is played."""
    for arguments, said in (
        (["--policies", "foo"], "'foo' is neither a controller"),
        (["--policies", "linear,,agc"], "'linear,,agc' names nobody in one of its places"),
        (["--seeds", "a:b"], "seeds 'a:b', expected FIRST:COUNT"),
        (["--seeds", "2147483648:4"], "reach the held-out ones"),
        (
            ["--policies", "agc,bound", "--page", "never.html"],
            "--policies bound: it is a plan and plays no episode",
        ),
        (["--policies", "bound", "--export", "never"], "--policies bound: it is a plan and plays no episode"),
        (["--policies", "agc", "--reference", "nobody"], "--reference 'nobody' takes no part"),
        (["--model_path", str(model), "--n_episodes", "100000"], "suite normal has 100 held-out episodes"),
    ):
        assert evaluate.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("evaluate.py: error: ")
        assert said in line


def test_endings_that_are_refused_early_are_those_that_are_written():
    assert (evaluate.FILMS, evaluate.TABLES) == (video.FORMATS, export.ENDINGS)


def test_random_rollout_describes_the_environment_and_draws_the_episode(tmp_path, scenario, capsys):
    picture = tmp_path / "test_results.png"
    assert random_rollout.main(["--scenario", str(scenario), "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    assert "68 buses in 5 areas" in text
    assert "bess 5 agents at buses 53, 68, 36, 41, 50: 15 observations" in text
    assert "140 numbers" in text
    assert picture.stat().st_size > 10_000


def test_what_was_assumed_of_a_grid_of_ones_own_is_told(tmp_path, capsys):
    """As a training tells it."""
    (tmp_path / "short.toml").write_text("n_intervals = 2\n")
    arguments = [
        "--policies", "do_nothing", "--suite", str(tmp_path / "short.toml"), "--case", "case9", "--n-episodes", "1",
        "--workers", "1", "--cache", str(tmp_path / "cache"), "--reference", "do_nothing",
    ]  # fmt: skip
    assert evaluate.main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("grid: ") for line in said if line.startswith("grid: ")] == list(
        open_task_grid("case9").notes
    )


def test_a_page_names_a_scenarios_file_without_the_folders_of_who_made_it(tmp_path, model, scenario, capsys):
    page = tmp_path / "page.html"
    assert evaluate.main(["--model_path", str(model), "--scenario", str(scenario), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "short.toml" in text
    assert str(tmp_path) not in text
