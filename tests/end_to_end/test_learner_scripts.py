"""The scripts about the learner: the ablation's variants, the interval of the verification, the floor."""

import importlib
import json
import sys
import types
from pathlib import Path

import pytest

from marl.environment.study_world import grid_world
from marl.training import study
from unit.marl.toys import make_batch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture
def toy(monkeypatch):
    """Stands in the place of the grid: a run then takes a second."""
    module = types.ModuleType("marl.environment.batch")
    module.make_batch = make_batch
    monkeypatch.setitem(sys.modules, "marl.environment.batch", module)


def test_an_unknown_variant_is_one_clear_line(script, capsys):
    assert script("ablation").main(["--variants", "recommended,wishful"]) == 2
    assert "no variant wishful, only recommended" in capsys.readouterr().err
    assert script("ablation").main(["--variants", "gru_dager"]) == 2
    assert "no variant gru_dager (perhaps you meant gru_dagger), only" in capsys.readouterr().err
    assert script("ablation").main(["--variants", ","]) == 2
    assert "no variant is named, expected some of recommended, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--judge_scenarios", "normal,calm"], "no scenario is called 'calm', expected one of normal, "),
        (["--scenario", "calm"], "no scenario is called 'calm'"),
        (["--judge_scenarios", "mine.toml"], "cannot read mine.toml"),
        (["--judge_scenarios", ","], "--judge_scenarios names none"),
        (["--judge_episodes", "0"], "--judge_episodes 0, expected at least 1"),
        # Of a thousand validation seeds 64 choose the best model.
        (["--judge_episodes", "937"], "--judge_episodes 937, expected at most 936"),
        (["--yardsticks", "linear,wishful"], "'wishful' is neither a controller"),
        (["--yardsticks", "bound"], "yardstick 'bound' plays no episode"),
        (["--beside", "mine.json"], "--beside: needs --yardsticks"),
        (["--beside", "mine.json", "--yardsticks", "linear"], "--beside: mine.json cannot be read"),
        (["--seeds", "0"], "--seeds 0, expected at least 1"),
        (["--total_episodes", "0"], "total_episodes = 0, expected at least 1"),
        (["--plot", "curves"], "--plot curves, expected a file ending in .png, .svg, .pdf"),
    ],
)
def test_a_wrong_option_is_noticed_before_the_ablations_first_run(
    script, monkeypatch, tmp_path, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    ablation = script("ablation")

    def begin(*options):
        raise AssertionError("a run has begun")

    monkeypatch.setattr(study, "run", begin)
    assert ablation.main(["--variants", "recommended", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ablation.py: error: ")
    assert said in line


@pytest.mark.parametrize("option", ["--out", "--json", "--plot"])
def test_the_place_of_the_ablations_results_is_looked_at_before_the_first_run(
    script, monkeypatch, tmp_path, capsys, option
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file where a directory would have to be")
    ablation = script("ablation")
    begun = []
    monkeypatch.setattr(study, "run", lambda *options: begun.append(options))
    assert ablation.main(["--variants", "recommended", option, "taken/x.png"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ablation.py: error: {option} taken/x.png")
    assert begun == []


@pytest.mark.parametrize("text", ['{"variant": "recommended", "se', "[]", "\x00\x00"])
def test_a_broken_result_of_an_earlier_run_is_named_before_the_first_run(
    script, monkeypatch, tmp_path, capsys, text
):
    ablation = script("ablation")
    path = tmp_path / "reference-seed1" / "result.json"
    path.parent.mkdir()
    path.write_text(text)
    begun = []
    monkeypatch.setattr(study, "train", lambda name, *options: begun.append(name))
    assert ablation.main(["--variants", "recommended,reference", "--seeds", "2", "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ablation.py: error: {path} is ")
    assert line.endswith("delete it to have it written anew")
    assert begun == []


def test_without_training_the_table_is_of_the_runs_that_are_done(script, monkeypatch, tmp_path, capsys):
    """Seed 0 of two variants is there, one with other settings than today's: the other alone is in the table."""
    ablation = script("ablation")
    monkeypatch.setattr(study, "train", lambda *options: pytest.fail("a run has begun"))
    command = ["--no-train", "--variants", "recommended,reference", "--seeds", "2", "--out", str(tmp_path)]
    assert ablation.main([*command, "--judge-scenarios", "normal"]) == 1
    assert "holds none of these runs" in capsys.readouterr().err
    for name, changed in (("recommended", {}), ("reference", {"n_envs": 32})):
        config = study.recipe(name, ablation.study_of(ablation.Arguments()), 0, grid_world())
        path = tmp_path / f"{name}-seed0" / "result.json"
        path.parent.mkdir()
        terms = {"return": -5.0, "rms_df_mhz": 1.0, "cost_median": 4.0, "cost_geometric_mean": 4.5}
        terms["returns"] = [-5.0] * 64
        result = {
            "variant": name,
            "seed": 0,
            "config": study.plain(config) | changed,
            "curve": {"steps": [0.0], "return": [-5.0]},
            "last_behind_best_percent": 0.0,
            "elapsed_s": 1.0,
            "judged": {"normal": {"episodes": 64, "final": terms, "best": terms}},
        }
        path.write_text(json.dumps(result))
    assert ablation.main([*command, "--judge-scenarios", "normal"]) == 0
    (row,) = json.loads((tmp_path / "ablation.json").read_text())
    assert (row["variant"], row["seeds"], row["return_final"]) == ("recommended", 1, -5.0)


def test_a_broken_model_of_an_earlier_run_says_how_to_make_it_again(
    script, toy, monkeypatch, tmp_path, capsys
):
    ablation = script("ablation")
    arguments = ["--variants", "recommended", "--seeds", "1", "--out", str(tmp_path)]
    directory = tmp_path / "recommended-seed0"
    directory.mkdir()
    config = study.recipe("recommended", ablation.study_of(ablation.Arguments()), 0, grid_world())
    (directory / "result.json").write_text(json.dumps({"config": study.plain(config), "judged": {}}))
    (directory / "final_model.pt").write_bytes(b"broken")
    assert ablation.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "final_model.pt is broken" in line
    assert line.endswith(f"; delete {directory} to have its run done again")


@pytest.mark.parametrize(
    ("module", "name", "status"),
    [
        ("marl.training.trainer", "TrainingFailed", 1),
        ("marl.checkpoint", "CheckpointError", 1),
        ("marl.training.curves", "MetricsError", 1),
        ("builtins", "OSError", 1),
        ("control.scenario.suites", "ScenarioError", 2),
        ("builtins", "KeyboardInterrupt", 130),
    ],
)
def test_an_ablation_that_cannot_go_on_ends_in_one_line(
    script, monkeypatch, tmp_path, capsys, module, name, status
):
    ablation = script("ablation")
    reason = getattr(script(module), name)

    def fail(*options):
        raise reason("what went wrong")

    monkeypatch.setattr(study, "train", fail)
    assert ablation.main(["--variants", "recommended", "--out", str(tmp_path)]) == status
    (line,) = capsys.readouterr().err.splitlines()
    said = "stopped; the same command goes on" if status == 130 else "error: what went wrong"
    assert line.startswith(f"ablation.py: {said}")


def test_ctrl_c_while_the_ablation_is_still_loading_ends_in_one_line_too(script, monkeypatch, capsys):
    ablation = script("ablation")

    def interrupt(*options):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "check", interrupt)
    assert ablation.main(["--variants", "recommended"]) == 130
    assert capsys.readouterr().err.startswith("ablation.py: stopped")


METRICS = "update,step,train/return,train/kl\r\n1,2048,-9000,0.01\r\n2,4096,-8000,0.02\r\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (METRICS.replace("-9000", "1e-"), "row 2: train/return is '1e-', expected a number"),
        (METRICS.replace("-9000,", ""), "row 2: 3 fields, expected 4"),
        (METRICS.replace("-9000", "-9000,7"), "row 2: 5 fields, expected 4"),
        (METRICS.replace("step", "steps"), "has no column step"),
        ("x" * 200_000, "is no table"),
    ],
)
def test_metrics_that_are_broken_elsewhere_end_in_one_line(script, tmp_path, capsys, text, said):
    path = tmp_path / "metrics.csv"
    path.write_text(text, newline="")
    assert script("training_curves").main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"training_curves.py: error: {path}")
    assert said in line


def test_what_a_broken_checkpoint_recommends_works(script, toy, monkeypatch, tmp_path, capsys):
    """The run itself cannot be resumed, by whichever of its files; a new one begins with the model it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        script("marl.training.curves"), "draw_training_curves", lambda directory: None
    )  # seconds
    train = script("train_mappo").main
    small = ["--total-episodes", "16", "--episode-steps", "10", "--n-envs", "4", "--buffer-steps", "64", "--device",
             "cpu", "--minibatch-steps", "32", "--actor-hidden", "8", "--critic-hidden", "8", "--eval-episodes", "2",
             "--no-tensorboard"]  # fmt: skip
    assert train([*small, "--out", "run"]) == 0
    path = tmp_path / "run" / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    for asked in ("run", "run/best_model.pt"):
        assert train(["--resume", asked, "--total-episodes", "32", "--no-tensorboard"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("--start run/best_model.pt")
    assert train([*small, "--out", "again", *line.split()[-2:]]) == 0


def test_what_of_a_controllers_actions_a_policy_does_is_told_by_scenario(script, tmp_path, capsys):
    short = tmp_path / "short.toml"
    short.write_text('base = "normal"\nn_intervals = 24\n', encoding="utf-8")
    asked = [
        "--model-path",
        str(Path(__file__).parents[2] / "marl" / "data" / "informed_seed0.pt"),
        "--n-episodes",
        "8",
    ]
    found = tmp_path / "explained.json"
    scenarios = [str(short), "training"]
    assert script("explain_actions").main([*asked, "--json", str(found), "--scenarios", *scenarios]) == 0
    told = json.loads(found.read_text())
    assert [row["scenario"] for row in told] == ["short.toml", "training"]
    assert all(0.0 < row["shares"]["bess"]["policy"] < 1.0 for row in told)
    assert "training, 8 episodes: full_information, asked while" in capsys.readouterr().out
    assert script("explain_actions").main([*asked, "--expert", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
    assert script("explain_actions").main([*asked, "--scenarios", str(short), "nowhere"]) == 2
    said = capsys.readouterr()
    assert "nowhere" in said.err
    assert said.out == ""
