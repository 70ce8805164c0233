"""The search: what a position means for each baseline, and how candidates follow from costs."""

import json
from pathlib import Path

import numpy as np
import pytest

import tune_baselines
from control.controllers.base import BaselineError
from control.controllers.local_pi import LocalPiParameters
from control.controllers.registry import BASELINES, is_tuned, stored_parameters
from control.evaluation import tuning
from control.evaluation.evolution import LOST, EvolutionStrategy, TuningError, candidate_cost
from control.evaluation.search_space import Space, problem_of
from control.evaluation.tuning import ORDER
from control.scenario.task_grid import open_task_grid


@pytest.mark.parametrize("name", [name for name in ORDER if is_tuned(name)])
def test_parameters_survive_the_way_into_the_search_and_back(name):
    """Stored to six digits, so half a unit of the sixth; a dead zone beyond its range is cut to it."""
    search = problem_of(name, tune_baselines.ROOT / "control" / "data")
    stored = stored_parameters(name)["parameters"]
    back = search.decode(search.encode(stored))
    for key, value in stored.items():
        np.testing.assert_allclose(back[key], value, rtol=5e-6, atol=1e-12, err_msg=key)


def test_batteries_alone_leave_gas_and_demand_response_on_schedule():
    """Whatever the position: their weights are zero, and no action is worth making to them."""
    search = problem_of("linear_bess", tune_baselines.ROOT / "control" / "data")
    position = np.random.default_rng(0).normal(size=(4, len(search.start)))
    found = search.decode(position)
    assert found["weight"].shape == (4, 3, 19)
    assert np.any(found["weight"][:, 0] != 0.0)
    np.testing.assert_array_equal(found["weight"][:, 1:], 0.0)
    np.testing.assert_array_equal(found["dead_zone"][:, 1:], 1.0)


def test_the_law_with_a_memory_begins_as_the_extended_one():
    """On any observation it answers what the stored law of 18 numbers answers to the first 18 of them."""
    search = problem_of("linear_memory", tune_baselines.ROOT / "control" / "data")
    found, stored = search.decode(search.start), stored_parameters("linear_extended")["parameters"]
    seen = np.random.default_rng(1).normal(size=22)
    extended = np.array(stored["weight"])
    expected = extended[:, :18] @ seen[:18] + extended[:, 18]
    np.testing.assert_allclose(found["weight"][:, :22] @ seen + found["weight"][:, 22], expected, rtol=1e-12)
    np.testing.assert_array_equal(found["dead_zone"], stored["dead_zone"])


def test_a_space_maps_its_ends_and_back():
    space = Space.of(LocalPiParameters)
    low, high = space.decode(np.zeros(len(space.name))), space.decode(np.ones(len(space.name)))
    assert (low["gain_bess"], high["gain_bess"]) == pytest.approx((10.0, 3000.0))
    assert (low["dead_zone_dr_mw"], high["dead_zone_dr_mw"]) == (0.0, 4.0)
    unit = np.linspace(0.05, 0.95, len(space.name))
    np.testing.assert_allclose(space.encode(space.decode(unit)), unit, rtol=1e-12)


def test_the_search_finds_the_bottom_of_an_ill_conditioned_valley():
    """f = sum 10^(4 i/(n-1)) (x_i - 1)^2 in five dimensions: 150 generations of 12 reach 1e-8."""
    weight = 10.0 ** np.linspace(0.0, 4.0, 5)
    search = EvolutionStrategy(np.zeros(5), np.full(5, 0.5), 12, seed=3)
    for _ in range(150):
        search.tell(np.square(search.ask() - 1.0) @ weight)
    assert np.square(search.best - 1.0) @ weight < 1e-8


def test_a_search_begins_around_its_start_with_its_spread():
    """Means and deviations of 4,000 candidates scatter by 1.6 % of sigma and 1.1 %: four times that is allowed."""
    start, sigma = np.array([3.0, -200.0]), np.array([0.1, 50.0])
    candidates = EvolutionStrategy(start, sigma, 4000, seed=5).ask()
    np.testing.assert_allclose((candidates.mean(axis=0) - start) / sigma, 0.0, atol=0.064)
    np.testing.assert_allclose(candidates.std(axis=0) / sigma, 1.0, atol=0.044)


def test_a_search_goes_on_to_the_bit_from_its_saved_state():
    def generation(search):
        search.tell(np.square(search.ask()).sum(axis=1))

    whole = EvolutionStrategy(np.ones(3), np.full(3, 0.3), 8, seed=1)
    half = EvolutionStrategy(np.ones(3), np.full(3, 0.3), 8, seed=1)
    for _ in range(5):
        generation(whole)
        generation(half)
    other = EvolutionStrategy.from_state(json.loads(json.dumps(half.get_state())))
    for _ in range(5):
        generation(whole)
        generation(other)
    np.testing.assert_array_equal(whole.best, other.best)


def test_a_state_of_an_earlier_version_is_refused_in_words():
    with pytest.raises(TuningError, match="no state of a search: 'start'"):
        EvolutionStrategy.from_state({"mean": [0.0], "generation": 3})


def test_the_script_offers_every_baseline_that_can_be_tuned():
    assert tune_baselines.ORDER == ORDER
    assert set(ORDER) == {name for name, baseline in BASELINES.items() if baseline.parameters is not None}


def test_one_bad_episode_does_not_decide_alone():
    """Costs 100 and 10,000, medians of three candidates: weights 1/10 and 1/100 by hand."""
    returns = -np.array([[100.0, 10_000.0], [90.0, 10_000.0], [110.0, 9_000.0]])
    np.testing.assert_allclose(candidate_cost(returns), [110.0, 109.0, 101.0])


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_a_candidate_whose_episode_is_not_finite_is_the_worst_and_leaves_the_others_their_costs(lost):
    """The weights of the three that finished, 1/10 and 1/100 by hand, as if the fourth had not taken part."""
    returns = -np.array([[100.0, 10_000.0], [90.0, 10_000.0], [50.0, lost], [110.0, 9_000.0]])
    np.testing.assert_allclose(candidate_cost(returns), [110.0, 109.0, LOST, 101.0])
    np.testing.assert_array_equal(candidate_cost(np.full((2, 3), lost)), LOST)


def test_a_search_along_the_edge_of_where_there_are_no_answers_finds_the_best_point_on_it():
    """Least cost x0 + x1^2 + x2^2 at (1, 0, 0); below x0 = 1 a return is no number (findings/cmaes_nan.sh).

    In 150 generations the spread shrinks by five orders; told of NaN the same searches end 0.2 to 130 away.
    """
    search, n_lost = EvolutionStrategy(np.full(3, 3.0), np.ones(3), 12, seed=1), 0
    for _ in range(150):
        x = search.ask()
        returns = np.where(
            x[:, :1] >= 1.0, -(x[:, :1] + np.square(x[:, 1:]).sum(axis=1, keepdims=True)), np.nan
        )
        cost = candidate_cost(returns)
        n_lost += int(np.sum(cost == LOST))
        search.tell(cost)
    assert n_lost > 100  # the edge was met
    assert np.linalg.norm(search.best - [1.0, 0.0, 0.0]) < 1e-4
    assert EvolutionStrategy.from_state(json.loads(json.dumps(search.get_state()))).generation == 150


def test_candidates_that_are_not_finite_are_counted_and_told(monkeypatch, tmp_path):
    """One of 16 candidates in each of two generations; validation of the start is finite, so the search may end."""

    def returns(make, name, numbers, seeds, plan, n_intervals, pool):
        found = -np.arange(1.0, 1.0 + len(seeds))
        if n_intervals is not None:  # a generation, not the validation
            found[5] = np.nan
        return found

    monkeypatch.setattr(tuning, "_returns", returns)
    plan = tuning.Plan(
        scenario="training",
        n_intervals=3,
        candidates=16,
        seeds=2,
        generations=2,
        seed=0,
        validation_episodes=2,
        workers=1,
        state=tmp_path / "state",
        out=tmp_path / "out",
    )
    said = []
    end = tuning.tune("agc", plan, None, on_generations=lambda n, text: said.append(text))
    assert [text for text in said if "1 of 16 candidates with returns that are not finite" in text] == said[
        1:3
    ]
    assert end.endswith(", 2 of 32 candidates with returns that are not finite")
    (tmp_path / "out" / "agc.json").unlink()
    monkeypatch.setattr(tuning, "_returns", lambda *options: np.full(len(options[3]), np.nan))
    with pytest.raises(TuningError, match="validation returns are not finite"):
        tuning.tune("agc", plan, None)


def test_stored_parameters_that_are_better_are_kept_unless_they_are_to_be_replaced(monkeypatch, tmp_path):
    """Whoever plays with the stored gain returns -1, anybody else -2."""
    stored = stored_parameters("agc")
    out = tmp_path / "out"
    out.mkdir()
    (out / "agc.json").write_text(json.dumps(stored))

    def returns(make, name, numbers, seeds, plan, n_intervals, pool):
        name_of_gain, gain = next(iter(stored["parameters"].items()))
        alike = np.isclose(np.ravel(numbers[name_of_gain]).astype(float)[: len(seeds)], np.ravel(gain)[0])
        return np.where(alike, -1.0, -2.0)

    monkeypatch.setattr(tuning, "_returns", returns)
    options = {
        "scenario": "training", "n_intervals": 3, "candidates": 4, "seeds": 2, "generations": 1, "seed": 0,
        "validation_episodes": 2, "workers": 1, "out": out,
    }  # fmt: skip
    said = tuning.tune("agc", tuning.Plan(state=tmp_path / "one", **options), None)
    assert said.endswith("return -1 there and are kept (--replace takes what was found)")
    assert json.loads((out / "agc.json").read_text()) == stored
    said = tuning.tune("agc", tuning.Plan(state=tmp_path / "two", replace=True, **options), None)
    assert "kept" not in said
    assert json.loads((out / "agc.json").read_text()) != stored


def test_a_search_goes_on_as_it_was_begun_or_not_at_all(monkeypatch, tmp_path):
    """Provenance tells the options of the last command, so another search must not go on under them."""
    monkeypatch.setattr(tuning, "_returns", lambda *options: -np.arange(1.0, 1.0 + len(options[3])))
    options = {
        "scenario": "training", "n_intervals": 3, "candidates": 4, "seeds": 2, "generations": 1, "seed": 0,
        "validation_episodes": 2, "workers": 1, "state": tmp_path / "state", "out": tmp_path,
    }  # fmt: skip
    tuning.tune("agc", tuning.Plan(**options), None)
    kept = json.loads((tmp_path / "agc.json").read_text())["provenance"]
    assert kept["command"] == (
        "python scripts/tune_baselines.py --only agc --seed 0 --physics full --scenario training --n-intervals 3 "
        "--candidates 4 --seeds 2 --generations 1"
    )
    for change, said in (
        ({"seed": 1}, "--seed 0, not 1"),
        ({"physics": "reduced"}, "--physics full, not reduced"),
        ({"n_intervals": 400}, "--n-intervals 3, not 400"),
        ({"seeds": 8}, "--seeds 2, not 8"),
        ({"scenario": "training_wide"}, "--scenario training, not training_wide"),
    ):
        with pytest.raises(
            TuningError, match=f"agc.json is a search with {said}; go on with that, or start anew"
        ):
            tuning.tune("agc", tuning.Plan(**{**options, **change}), None)
    state = json.loads((tmp_path / "state" / "agc.json").read_text())
    state["start"][0] += 0.1
    (tmp_path / "state" / "agc.json").write_text(json.dumps(state))
    with pytest.raises(TuningError, match="is a search from another start"):
        tuning.tune("agc", tuning.Plan(**options), None)


def test_a_damaged_file_is_told_before_the_search(tmp_path):
    """Not behind it, hours later."""
    (tmp_path / "agc.json").write_text('{"parameters": {"gain": "much"}}')
    plan = tuning.Plan(
        scenario="training", n_intervals=3, candidates=4, seeds=2, generations=1, seed=0, validation_episodes=2,
        workers=1, state=tmp_path / "state", out=tmp_path,
    )  # fmt: skip
    with pytest.raises(
        TuningError, match=r"agc.json holds no parameters of agc: gain = 'much', expected finite"
    ):
        tuning.tune("agc", plan, None)


def test_a_law_that_begins_with_another_says_which_is_to_be_tuned_first(tmp_path):
    with pytest.raises(BaselineError, match="linear_wide begins with what was found for local_pi"):
        problem_of("linear_wide", tmp_path)
    (tmp_path / "local_pi.json").write_text("[]")
    with pytest.raises(
        BaselineError, match=r"local_pi.json holds no parameters of local_pi: expected an object"
    ):
        problem_of("linear_wide", tmp_path)


def test_who_plans_is_tuned_on_fewer_episodes():
    plan = tuning.Plan(
        scenario="", n_intervals=3, candidates=None, seeds=None, generations=None, seed=0, validation_episodes=2,
        workers=1, state=Path(), out=Path(),
    )  # fmt: skip
    assert [plan.n_candidate(name) * plan.n_seed(name) for name in ("linear", "mpc")] == [24 * 16, 8 * 8]


def test_on_a_grid_of_ones_own_mpc_begins_as_what_serves_it(tmp_path, monkeypatch):
    """So what is kept is never worse on the validation episodes than what was there."""
    monkeypatch.chdir(tmp_path)
    case = open_task_grid("case39").case
    problem = problem_of("mpc", tmp_path, case)
    begun = problem.decode(problem.start)
    for key, value in stored_parameters("mpc")["parameters"].items():
        assert begun[key] == pytest.approx(value, rel=1e-6)


def test_refining_what_is_not_there_ends_in_words(tmp_path):
    plan = tuning.Plan(
        scenario="training", n_intervals=3, candidates=4, seeds=2, generations=1, seed=0, validation_episodes=2,
        workers=1, state=tmp_path / "state", out=tmp_path, refine=True,
    )  # fmt: skip
    with pytest.raises(TuningError, match=r"agc.json is not there: leave --refine out"):
        tuning.tune("agc", plan, None)
