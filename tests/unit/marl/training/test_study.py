"""A study of recipes on a toy task: what it repeats, what it goes on with, and what its table says."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marl.environment.held_out import HeldOut
from marl.networks.policy import Policy
from marl.training import study, study_report
from marl.training.run_claim import DirectoryClaimed
from marl.training.trainer import Trainer
from marl.training.variants import VARIANTS
from marl.verification.killing import without_clock
from unit.marl.toys import make_batch

TOY = study.World(
    make_batch=make_batch,
    warm_start=lambda config, directory: None,
    held_out=HeldOut,
    require_scenario=lambda name: None,
    validation_seeds=range(2**31 - 1000, 2**31),
    case="toy",
)


def a_study(**changed) -> study.Study:
    """Of the recommended recipe alone."""
    asked = {
        "names": ("recommended",),
        "seeds": 3,
        "total_episodes": 500,
        "observation": "default",
        "scenario": "training",
        "judge_scenarios": ("normal", "n1"),
        "judge_episodes": 64,
        "out": Path("runs"),
    }
    return study.Study(**asked | changed)


def test_every_variant_of_the_ablation_is_a_valid_recipe_that_differs_from_the_preset():
    recipes = {name: study.configuration(variant, a_study(), seed=3) for name, variant in VARIANTS.items()}
    same = [name for name, recipe in recipes.items() if recipe == recipes["recommended"]]
    assert same == ["recommended"]
    assert all(recipe.seed == 3 for recipe in recipes.values())


def test_a_variant_may_take_fewer_episodes_than_the_study_has_and_never_more():
    """200 of a thousand; in a study of eight all take eight."""
    few = VARIANTS["gru_dagger"]
    assert few.training["total_episodes"] == 200
    for asked, found in ((1000, 200), (8, 8)):
        assert study.configuration(few, a_study(total_episodes=asked), seed=0).total_episodes == found
        plain = study.configuration(VARIANTS["gru"], a_study(total_episodes=asked), seed=0)
        assert plain.total_episodes == asked


def test_a_shorter_run_averages_over_the_same_share_of_its_updates():
    """0.98 averages 50 of 245 updates; of the 49 of 200 episodes 10 are the same share, which is 0.9."""
    recommended = VARIANTS["recommended"]
    for episodes, average in ((200, 0.9), (1000, 0.98), (2000, 0.98)):
        config = study.configuration(recommended, a_study(total_episodes=episodes), seed=0)
        assert config.ppo.policy_average == pytest.approx(average, abs=1e-9)


def small_recipe():
    """Of the recommended recipe, with 16 updates of 64 steps."""
    config = study.configuration(VARIANTS["recommended"], a_study(), seed=0)
    return replace(
        config,
        n_envs=4,
        total_episodes=16 * 64 // 10 + 1,
        episode_steps=10,
        network=replace(config.network, actor_hidden=(8,), critic_hidden=(8,)),
        ppo=replace(config.ppo, buffer_steps=64, minibatch_steps=32),
        evaluation=replace(config.evaluation, eval_every=4, eval_episodes=2),
    )


def test_a_run_of_the_ablation_that_was_killed_goes_on_and_ends_as_the_others(monkeypatch, tmp_path):
    """Broken off in update 8, after the checkpoint of update 5: the same curve and weights as without."""
    config, train_once, updates = small_recipe(), Trainer._train_once, []

    def dies(trainer):
        if len(updates) == 8:
            raise RuntimeError("killed")
        updates.append(trainer.run_state.update)
        train_once(trainer)

    monkeypatch.setattr(Trainer, "_train_once", dies)
    with pytest.raises(RuntimeError, match="killed"):
        study.train("recommended", config, tmp_path / "broken", TOY)
    assert (len(updates), study.is_broken_off(tmp_path / "broken", config)) == (8, True)
    assert not study.is_broken_off(tmp_path / "broken", replace(config, seed=1))
    updates.clear()
    monkeypatch.setattr(
        Trainer,
        "_train_once",
        lambda trainer: (updates.append(trainer.run_state.update), train_once(trainer)),
    )
    resumed = study.train("recommended", config, tmp_path / "broken", TOY)
    assert updates[0] == 5
    whole = study.train("recommended", config, tmp_path / "whole", TOY)
    assert without_clock(resumed) == without_clock(whole)
    for name in ("best_model.pt", "final_model.pt"):
        both = [Policy.load(tmp_path / run / name).state_dict() for run in ("broken", "whole")]
        for key, value in both[0].items():
            np.testing.assert_array_equal(value, both[1][key], err_msg=f"{name} {key}")


def test_a_run_on_two_models_that_was_killed_on_the_first_ends_as_the_others(monkeypatch, tmp_path):
    """The environments are told which model to play; the second part goes on with the learner of the first."""
    config = replace(small_recipe(), reduced_episodes=small_recipe().total_episodes)
    played: list[str] = []

    def batch(scenario, n_env, seed, observation, *, physics="full", pool=0, **options):
        played.append(physics)
        return make_batch(scenario, n_env, seed, observation)

    world, updates, train_once = replace(TOY, make_batch=batch), [], Trainer._train_once

    def killed(trainer):
        updates.append(trainer.run_state.update)
        if len(updates) == 8:
            raise RuntimeError("killed")
        train_once(trainer)

    monkeypatch.setattr(Trainer, "_train_once", killed)
    with pytest.raises(RuntimeError, match="killed"):
        study.train("thorough", config, tmp_path / "broken", world)
    assert set(played) == {"reduced"}
    assert study.is_broken_off(tmp_path / "broken", config)
    monkeypatch.setattr(Trainer, "_train_once", train_once)
    resumed = study.train("thorough", config, tmp_path / "broken", world)
    whole = study.train("thorough", config, tmp_path / "whole", world)
    assert played[-1] == "full"
    assert without_clock(resumed) == without_clock(whole)
    both = [Policy.load(tmp_path / run / "final_model.pt").state_dict() for run in ("broken", "whole")]
    for key, value in both[0].items():
        np.testing.assert_array_equal(value, both[1][key], err_msg=key)
    assert (tmp_path / "whole" / "reduced" / "final_model.pt").exists()


def test_episodes_on_the_reduced_model_shrink_with_a_study():
    """20,000 before a thousand are 200 before ten."""
    found = study.configuration(VARIANTS["thorough"], a_study(total_episodes=10), seed=0)
    assert (found.total_episodes, found.reduced_episodes) == (10, 200)


def test_what_moves_no_result_does_not_make_another_run():
    config = small_recipe()
    known = study.plain(config)
    known["checkpoint_every"] = 10**6
    del (
        known["evaluation"]["eval_process"],
        known["algorithm"],
        known["network"]["fused"],
        known["imitation"]["imitation_lr"],
    )  # as older runs have it
    assert study.is_this_run(known, config)
    assert study.is_this_run(known | {"n_workers": 2}, config)
    assert not study.is_this_run(known | {"seed": 1}, config)
    assert not study.is_this_run(None, config)


def test_a_broken_checkpoint_of_the_ablation_says_how_to_begin_anew(tmp_path):
    config = small_recipe()
    study.train("recommended", config, tmp_path, TOY)
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    (tmp_path / "checkpoint_previous.pt").write_bytes(b"broken as well")
    with pytest.raises(study.ResultError) as error:
        study.train("recommended", config, tmp_path, TOY)
    assert f"{path} is broken" in str(error.value)
    assert str(error.value).endswith(f"; delete {tmp_path} to have its run done again")
    shutil.rmtree(tmp_path)
    study.train("recommended", config, tmp_path, TOY)


def test_other_settings_begin_anew_where_a_run_was(tmp_path):
    config = small_recipe()
    study.train("recommended", config, tmp_path, TOY)
    (tmp_path / "result.json").write_text("{}")  # as `run` leaves it
    other = replace(config, seed=3)
    found = study.train("recommended", other, tmp_path, TOY)
    assert (found["variant"], found["config"]["seed"]) == ("recommended", 3)
    assert not (tmp_path / "result.json").exists()  # it told of weights that are gone
    fresh = study.train("recommended", other, tmp_path / "fresh", TOY)
    assert found["curve"] == fresh["curve"]


def test_after_ctrl_c_no_further_run_begins(monkeypatch, tmp_path):
    """Two at a time of six: one is told of Ctrl-C at once, the other after its update; threads act as processes."""
    begun, both = [], threading.Barrier(2)

    def interrupted(name, asked, seed, world):
        begun.append(seed)
        if seed < 2:
            both.wait(timeout=10.0)
        time.sleep(0.2 * seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    monkeypatch.setattr(study, "process_pool", lambda n, **options: ThreadPoolExecutor(n))
    with pytest.raises(KeyboardInterrupt):
        list(study.runs(a_study(seeds=6, workers=2, out=tmp_path), TOY))
    assert sorted(begun) == [0, 1]


def test_a_run_that_fails_is_told_of_while_others_go_on(monkeypatch, tmp_path):
    """Two at a time of three, the second in a directory that somebody uses: the first is awaited, no third begins."""
    begun, told = [], threading.Event()

    def refused(name, asked, seed, world):
        begun.append(seed)
        if seed == 1:
            raise DirectoryClaimed("the directory is in use")
        told.wait(timeout=10.0)
        return {}

    def printed(*words, **where):
        assert words == ("the directory is in use; runs that are under way go on to their end",)
        assert sorted(begun) == [0, 1]
        told.set()

    monkeypatch.setattr(study, "run", refused)
    monkeypatch.setattr(study, "print", printed, raising=False)
    monkeypatch.setattr(study, "process_pool", lambda n, **options: ThreadPoolExecutor(n))
    with pytest.raises(DirectoryClaimed):
        list(study.runs(a_study(seeds=3, workers=2, out=tmp_path), TOY))
    assert told.is_set()
    assert sorted(begun) == [0, 1]


def test_the_ablations_table_says_mean_and_interval_over_seeds(tmp_path):
    """Student's t with 2 degrees of freedom is 4.3027 at 97.5 %; the spread of -10, -20, -60 is 26.458."""
    returns = (-10.0, -20.0, -60.0)
    results = [
        {"variant": "recommended", "seed": k, "last_behind_best_percent": float(k),
         "config": {"total_episodes": 500, "observation": "default"},
         "curve": {"steps": [1000.0, 2000.0], "return": [2.0 * r, r]},
         "judged": {"normal": {"final": {"return": r, "rms_df_mhz": 10.0, "cost_median": -r},
                               "best": {"return": r + 1.0}},
                    "n1": {"final": {"return": 3.0 * r}, "best": {"return": r}}}}
        for k, r in enumerate(returns)
    ]  # fmt: skip
    (row,) = study_report.table(results, ["normal", "n1"])
    assert (row["return_final"], row["return_final_min"]) == (-30.0, -60.0)
    reach = 4.3027 * 26.4575 / 3**0.5
    assert row["return_final_low"] == pytest.approx(-30.0 - reach, rel=1e-4)
    assert row["return_final_high"] == pytest.approx(-30.0 + reach, rel=1e-4)
    assert (row["return_best"], row["seeds"]) == (-29.0, 3)
    assert row["cost_median"] == pytest.approx(
        (10.0 * 20.0 * 60.0) ** (1 / 3), rel=1e-12
    )  # geometric over seeds
    assert row["cost_geometric_mean"] is None  # of results from before it was kept
    assert row["elsewhere"] == {"n1": -90.0}
    assert (row["last_behind_best_percent"], row["last_behind_best_percent_max"]) == (1.0, 2.0)
    assert row["judged_behind_best_percent_max"] == pytest.approx(100.0 / 9.0, rel=1e-12)  # -9 and -10
    picture = tmp_path / "pictures" / "curves.svg"  # the directory is made
    study_report.draw(results, picture)
    assert "Held-out cost while training" in picture.read_text(encoding="utf-8")


def test_the_table_pairs_every_recipe_with_the_first_by_seed():
    """Differences 10, 20 and 30: mean 20, and 4.3027 x 10 / sqrt(3) = 24.84 to either side."""

    def result(variant, seed, value, **costs):
        judged = {"normal": {which: {"return": value} for which in ("final", "best")}}
        config = {"total_episodes": 500, "observation": "default"}
        known = {"variant": variant, "seed": seed, "last_behind_best_percent": 0.0, "config": config}
        return known | {"judged": judged} | costs

    def costing(variant, *costs):
        """Runs with these geometric means of the cost of an episode."""
        runs = [result(variant, k, -1.0) for k in range(len(costs))]
        for run, cost in zip(runs, costs, strict=True):
            run["judged"]["normal"]["final"] = {"return": -1.0, "cost_geometric_mean": cost}
        return runs

    first = [result("recommended", k, -100.0 * k) for k in range(3)]
    typical = study_report.table([*costing("recommended", 2.0, 5.0), *costing("gru", 1.0, 20.0)], ["normal"])
    assert typical[0]["typical_cost_over_first"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    # A half and four times: their geometric mean is the root of two.
    assert typical[1]["typical_cost_over_first"] == pytest.approx({"mean": 2.0**0.5, "low": 0.5, "high": 4.0})
    other = [result("gru", k, -100.0 * k + 10.0 * (k + 1), update_ms=2.0 * k) for k in range(3)]
    plain, memory = study_report.table([*first, *other], ["normal"])
    assert plain["ahead"]["normal"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert plain["typical_cost_over_first"] is None  # nothing is known of typical episodes
    assert plain["update_ms"] is None  # of results from before it was kept
    assert plain["judged_behind_best_percent_max"] is None  # a return of zero has no percent
    assert memory["ahead"]["normal"] == pytest.approx({"mean": 20.0, "low": -4.84, "high": 44.84}, abs=5e-3)
    assert memory["update_ms"] == 2.0


def test_typical_costs_of_episodes_by_hand():
    found = study.typical_costs(np.array([1.0, 100.0, 1000.0]))
    assert found == {"cost_median": 100.0, "cost_geometric_mean": pytest.approx(10.0 ** (5 / 3), rel=1e-12)}
    assert study.typical_costs(np.array([0.0, 2.0])) == {"cost_median": 1.0}


def test_two_seeds_have_a_range_and_no_interval():
    assert study_report.interval([-3.0, -1.0]) == (-3.0, -1.0)
