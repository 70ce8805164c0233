"""The scripts about the learner: the ablation's variants, the interval of the verification, the floor."""

import importlib
import json
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

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


def test_every_variant_of_the_ablation_is_a_valid_recipe_that_differs_from_the_preset(script):
    ablation = script("ablation")
    arguments = ablation.Arguments()
    recipes = {
        name: ablation.configuration(variant, arguments, seed=3)
        for name, variant in ablation.VARIANTS.items()
    }
    same = [name for name, recipe in recipes.items() if recipe == recipes["recommended"]]
    assert same == ["recommended"]
    assert all(recipe.seed == 3 for recipe in recipes.values())


def test_a_shorter_run_averages_over_the_same_share_of_its_updates(script):
    """0.98 averages 50 of 245 updates; of the 49 of 200 episodes 10 are the same share, which is 0.9."""
    ablation = script("ablation")
    recommended = ablation.VARIANTS["recommended"]
    for episodes, average in ((200, 0.9), (1000, 0.98), (2000, 0.98)):
        config = ablation.configuration(recommended, ablation.Arguments(total_episodes=episodes), seed=0)
        assert config.ppo.policy_average == pytest.approx(average, abs=1e-9)


def test_an_unknown_variant_is_one_clear_line(script, capsys):
    assert script("ablation").main(["--variants", "recommended,wishful"]) == 2
    assert "no variant wishful, only recommended" in capsys.readouterr().err


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

    monkeypatch.setattr(ablation, "run", begin)
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
    monkeypatch.setattr(ablation, "run", lambda *options: begun.append(options))
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
    monkeypatch.setattr(ablation, "train", lambda name, *options: begun.append(name))
    assert ablation.main(["--variants", "recommended,reference", "--seeds", "2", "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ablation.py: error: {path} is ")
    assert line.endswith("delete it to have it written anew")
    assert begun == []


def test_without_training_the_table_is_of_the_runs_that_are_done(script, monkeypatch, tmp_path, capsys):
    """Seed 0 of two variants is there, one with other settings than today's: the other alone is in the table."""
    ablation = script("ablation")
    monkeypatch.setattr(ablation, "train", lambda *options: pytest.fail("a run has begun"))
    command = ["--no-train", "--variants", "recommended,reference", "--seeds", "2", "--out", str(tmp_path)]
    assert ablation.main([*command, "--judge-scenarios", "normal"]) == 1
    assert "holds none of these runs" in capsys.readouterr().err
    for name, changed in (("recommended", {}), ("reference", {"n_envs": 32})):
        config = ablation.configuration(ablation.VARIANTS[name], ablation.Arguments(), 0)
        path = tmp_path / f"{name}-seed0" / "result.json"
        path.parent.mkdir()
        terms = {"return": -5.0, "rms_df_mhz": 1.0}
        result = {
            "variant": name,
            "seed": 0,
            "config": ablation.plain(config) | changed,
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
    config = ablation.configuration(ablation.VARIANTS["recommended"], ablation.Arguments(), seed=0)
    (directory / "result.json").write_text(json.dumps({"config": ablation.plain(config), "judged": {}}))
    (directory / "final_model.pt").write_bytes(b"broken")
    assert ablation.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "final_model.pt is broken" in line
    assert line.endswith(f"; delete {directory} to have its run done again")


def small_recipe(ablation):
    """Of the recommended recipe, with 16 updates of 64 steps."""
    config = ablation.configuration(ablation.VARIANTS["recommended"], ablation.Arguments(), seed=0)
    return replace(
        config,
        n_envs=4,
        total_episodes=16 * 64 // 10 + 1,
        episode_steps=10,
        network=replace(config.network, actor_hidden=(8,), critic_hidden=(8,)),
        ppo=replace(config.ppo, buffer_steps=64, minibatch_steps=32),
        evaluation=replace(config.evaluation, eval_every=4, eval_episodes=2),
    )


def test_a_run_of_the_ablation_that_was_killed_goes_on_and_ends_as_the_others(
    script, toy, monkeypatch, tmp_path
):
    """Broken off in update 8, after the checkpoint of update 5: the same curve and weights as without."""
    from marl.networks.policy import Policy
    from marl.training.trainer import Trainer

    ablation = script("ablation")
    config, train_once, updates = small_recipe(ablation), Trainer._train_once, []

    def dies(trainer):
        if len(updates) == 8:
            raise RuntimeError("killed")
        updates.append(trainer.run_state.update)
        train_once(trainer)

    monkeypatch.setattr(Trainer, "_train_once", dies)
    with pytest.raises(RuntimeError, match="killed"):
        ablation.train("recommended", config, tmp_path / "broken")
    assert (len(updates), ablation.is_broken_off(tmp_path / "broken", config)) == (8, True)
    assert not ablation.is_broken_off(tmp_path / "broken", replace(config, seed=1))
    updates.clear()
    monkeypatch.setattr(
        Trainer,
        "_train_once",
        lambda trainer: (updates.append(trainer.run_state.update), train_once(trainer)),
    )
    resumed = ablation.train("recommended", config, tmp_path / "broken")
    assert updates[0] == 5
    whole = ablation.train("recommended", config, tmp_path / "whole")
    assert {**resumed, "elapsed_s": 0.0} == {**whole, "elapsed_s": 0.0}
    for name in ("best_model.pt", "final_model.pt"):
        both = [Policy.load(tmp_path / run / name).state_dict() for run in ("broken", "whole")]
        for key, value in both[0].items():
            np.testing.assert_array_equal(value, both[1][key], err_msg=f"{name} {key}")


def test_what_moves_no_result_does_not_make_another_run(script):
    ablation = script("ablation")
    config = small_recipe(ablation)
    known = ablation.plain(config)
    known["checkpoint_every"] = 10**6
    del known["evaluation"]["eval_process"]  # as older runs have it
    assert ablation.is_this_run(known, config)
    assert not ablation.is_this_run(known | {"seed": 1}, config)
    assert not ablation.is_this_run(None, config)


def test_a_broken_checkpoint_of_the_ablation_says_how_to_begin_anew(script, toy, tmp_path):
    ablation = script("ablation")
    config = small_recipe(ablation)
    ablation.train("recommended", config, tmp_path)
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ablation.ResultError) as error:
        ablation.train("recommended", config, tmp_path)
    assert f"{path} is broken" in str(error.value)
    assert str(error.value).endswith(f"; delete {path} to have its run done again")
    path.unlink()
    ablation.train("recommended", config, tmp_path)


def test_other_settings_begin_anew_where_a_run_was(script, toy, tmp_path):
    ablation = script("ablation")
    config = small_recipe(ablation)
    ablation.train("recommended", config, tmp_path)
    (tmp_path / "result.json").write_text("{}")  # as `run` leaves it
    other = replace(config, seed=3)
    found = ablation.train("recommended", other, tmp_path)
    assert (found["variant"], found["config"]["seed"]) == ("recommended", 3)
    assert not (tmp_path / "result.json").exists()  # it told of weights that are gone
    fresh = ablation.train("recommended", other, tmp_path / "fresh")
    assert found["curve"] == fresh["curve"]


@pytest.mark.parametrize(
    ("module", "name", "status"),
    [
        ("marl.training.trainer", "TrainingFailed", 1),
        ("marl.checkpoint", "CheckpointError", 1),
        ("training_curves", "MetricsError", 1),
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

    monkeypatch.setattr(ablation, "train", fail)
    assert ablation.main(["--variants", "recommended", "--out", str(tmp_path)]) == status
    (line,) = capsys.readouterr().err.splitlines()
    said = "stopped; the same command goes on" if status == 130 else "error: what went wrong"
    assert line.startswith(f"ablation.py: {said}")


def test_ctrl_c_while_the_ablation_is_still_loading_ends_in_one_line_too(script, monkeypatch, capsys):
    ablation = script("ablation")

    def interrupt(*options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation, "check", interrupt)
    assert ablation.main(["--variants", "recommended"]) == 130
    assert capsys.readouterr().err.startswith("ablation.py: stopped")


def test_after_ctrl_c_no_further_run_begins(script, monkeypatch, tmp_path, capsys):
    """Two at a time of six: one is told of Ctrl-C at once, the other after its update; threads act as processes."""
    ablation = script("ablation")
    begun, both = [], threading.Barrier(2)

    def interrupted(name, arguments, seed):
        begun.append(seed)
        if seed < 2:
            both.wait(timeout=10.0)
        time.sleep(0.2 * seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation, "run", interrupted)
    monkeypatch.setattr(ablation, "ProcessPoolExecutor", lambda n, **options: ThreadPoolExecutor(n))
    options = ["--variants", "recommended", "--seeds", "6", "--workers", "2", "--out", str(tmp_path)]
    assert ablation.main(options) == 130
    assert sorted(begun) == [0, 1]
    assert capsys.readouterr().err.count("\n") == 1


def test_the_ablations_table_says_mean_and_interval_over_seeds(script, tmp_path):
    """Student's t with 2 degrees of freedom is 4.3027 at 97.5 %; the spread of -10, -20, -60 is 26.458."""
    returns = (-10.0, -20.0, -60.0)
    results = [
        {"variant": "recommended", "seed": k, "last_behind_best_percent": float(k),
         "config": {"total_episodes": 500, "observation": "default"},
         "curve": {"steps": [1000.0, 2000.0], "return": [2.0 * r, r]},
         "judged": {"normal": {"final": {"return": r, "rms_df_mhz": 10.0}, "best": {"return": r + 1.0}},
                    "n1": {"final": {"return": 3.0 * r}, "best": {"return": r}}}}
        for k, r in enumerate(returns)
    ]  # fmt: skip
    (row,) = script("ablation").table(results, ["normal", "n1"])
    assert (row["return_final"], row["return_final_min"]) == (-30.0, -60.0)
    reach = 4.3027 * 26.4575 / 3**0.5
    assert row["return_final_low"] == pytest.approx(-30.0 - reach, rel=1e-4)
    assert row["return_final_high"] == pytest.approx(-30.0 + reach, rel=1e-4)
    assert (row["return_best"], row["seeds"]) == (-29.0, 3)
    assert row["elsewhere"] == {"n1": -90.0}
    assert (row["last_behind_best_percent"], row["last_behind_best_percent_max"]) == (1.0, 2.0)
    picture = tmp_path / "pictures" / "curves.svg"  # the directory is made
    script("ablation").draw(results, picture)
    assert "Held-out cost while training" in picture.read_text(encoding="utf-8")


def test_two_seeds_have_a_range_and_no_interval(script):
    assert script("ablation").interval([-3.0, -1.0]) == (-3.0, -1.0)


def test_the_floor_and_the_learner_run_on_the_same_sizes(script):
    floor = script("learner_floor")
    small = {"steps": 128, "minibatch": 64, "epochs": 1}
    assert floor.plain_update(**small) > 0.0
    assert floor.our_update(**small, n_env=16) > 0.0
    assert floor.our_act(n_env=2, repeats=3) > 0.0


METRICS = "update,step,train/return,train/kl\r\n1,2048,-9000,0.01\r\n2,4096,-8000,0.02\r\n"


@pytest.mark.parametrize(
    "cut", ["3,6144,-7000,1e-", "3,6144,-7000,1e-\r\n", "3,6144,-70", "3,6144,-7000,0.0", "3"]
)
def test_a_row_that_a_killed_run_left_cut_off_is_left_out_of_its_curves(script, tmp_path, capsys, cut):
    """Also where what is left of a number is a number: 0.0 of 0.03."""
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS + cut, newline="")
    metrics = script("training_curves").read_metrics(path)
    assert {name: x.tolist() for name, x in metrics.items()} == {
        "update": [1.0, 2.0],
        "step": [2048.0, 4096.0],
        "train/return": [-9000.0, -8000.0],
        "train/kl": [0.01, 0.02],
    }
    assert capsys.readouterr().err == f"{path}: the last row is cut off and left out\n"


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
    monkeypatch.setattr(script("training_curves"), "draw_training_curves", lambda directory: None)  # seconds
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
