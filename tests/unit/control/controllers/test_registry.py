"""Baselines: information, batches and stored parameters."""

import json

import numpy as np
import pytest

from builders import described
from control.controllers import base as layout
from control.controllers.agc import AgcParameters, PiAgc
from control.controllers.base import BaselineError
from control.controllers.linear import LinearParameters, LinearPolicy
from control.controllers.local_pi import LocalPi, LocalPiParameters
from control.controllers.registry import (
    BASELINES,
    is_tuned,
    make_baseline,
    stored_parameters,
    tuned_directory,
)
from control.controllers.simple import DoNothing, RandomActions
from control.evaluation.search_space import Space
from control.scenario.suites import require_training_seed
from control.scenario.task_grid import open_task_grid
from control.task.layout import SIZE

TUNED = [name for name, baseline in BASELINES.items() if baseline.parameters is not None and is_tuned(name)]


@pytest.fixture(scope="module")
def task():
    return described()


@pytest.fixture(scope="module")
def extended():
    return described(observation_size=18)


@pytest.fixture(scope="module")
def fleet(task):
    return task.fleet


def test_random_actions_belong_to_the_seed_not_to_the_batch(fleet):
    alone, many = RandomActions(fleet, 1), RandomActions(fleet, 3)
    alone.reset(np.arange(1), np.array([7]))
    many.reset(np.arange(3), np.array([5, 6, 7]))
    seen = np.zeros((3, fleet.n_resource, 15))
    for _ in range(3):
        np.testing.assert_array_equal(alone.act(seen[:1])[0], many.act(seen)[2])


def test_a_linear_policy_by_hand(task, extended, fleet):
    weight, dead_zone = np.zeros((3, 16)), np.array([0.1, 0.1, 0.1])
    weight[0, layout.OWN_DF], weight[1, -1], weight[2, layout.OWN_DF] = -2.0, 0.05, -0.5
    policy = LinearPolicy(task, 1, LinearParameters(weight=weight, dead_zone=dead_zone))
    seen = np.zeros((1, fleet.n_resource, 15))
    seen[:, :, layout.OWN_DF] = 0.3
    action = policy.act(seen)[0]
    np.testing.assert_allclose(action[fleet.kind == 0], -0.6)
    np.testing.assert_allclose(action[fleet.kind == 1], 0.0)  # 0.05 is not worth moving for
    np.testing.assert_allclose(action[fleet.kind == 2], -0.15)
    soft = LinearParameters(weight=weight, dead_zone=dead_zone, soft_zone=np.array([0.45, 0.0, 0.1]))
    action = LinearPolicy(task, 1, soft).act(seen)[0]
    np.testing.assert_allclose(action[fleet.kind == 0], -0.15)  # -0.6 to the edge of 0.45
    np.testing.assert_allclose(action[fleet.kind == 2], 0.0)  # -0.15 to -0.05, which is in the dead zone
    with pytest.raises(BaselineError, match="18 numbers"):
        LinearPolicy(extended, 1, LinearParameters(weight=weight, dead_zone=dead_zone))


@pytest.mark.parametrize(("build", "parameters"), [(PiAgc, AgcParameters), (LocalPi, LocalPiParameters)])
def test_candidates_side_by_side_act_as_each_does_alone(task, fleet, build, parameters):
    rng = np.random.default_rng(2)
    space = Space.of(parameters)
    numbers = space.decode(rng.uniform(size=(4, len(space.name))))
    together = build(task, 4, parameters(**numbers))
    alone = [build(task, 1, parameters(**{k: float(v[i]) for k, v in numbers.items()})) for i in range(4)]
    for _ in range(20):
        seen = rng.normal(0.0, 0.5, (4, fleet.n_resource, 15))
        action = together.act(seen)
        for i, one in enumerate(alone):
            # Products of one environment and of four may be rounded differently.
            np.testing.assert_allclose(action[i], one.act(seen[i : i + 1])[0], atol=1e-12)


def test_a_local_plant_forgets_at_the_beginning_of_an_episode(task, fleet):
    pi = LocalPi(task, 2, LocalPiParameters())
    seen = np.full((2, fleet.n_resource, 15), -0.5)
    first = pi.act(seen)
    pi.act(seen)
    pi.reset(np.array([1]), np.array([0]))
    again = pi.act(seen)
    np.testing.assert_allclose(again[1], first[1])
    assert not np.allclose(again[0], first[0])


@pytest.mark.parametrize("name", TUNED)
def test_stored_parameters_come_from_training_seeds_and_make_a_controller(fleet, name):
    if name == "mpc":
        pytest.importorskip("piqp")
    content = stored_parameters(name)
    provenance = content["provenance"]
    for seed in (provenance["first_training_seed"], *provenance["validation_seeds"]):
        require_training_seed(seed)
    assert provenance["validation_return_tuned"] >= provenance["validation_return_start"] or (
        provenance["method"] == "start of the search"
    )
    its = described(observation_size=SIZE[BASELINES[name].observation])
    baseline = make_baseline(name, its, 1)
    action = baseline.act(np.zeros((1, fleet.n_resource, its.observation_size)))
    assert action.shape == (1, fleet.n_resource)
    assert np.isfinite(action).all()


def test_what_serves_all_grids_is_taken_from_the_68_buses_until_it_is_tuned_for_one(monkeypatch, tmp_path):
    """MPC knows a grid's size and plans on its model; a law of the 68 buses' plants would be wrong elsewhere."""
    monkeypatch.chdir(tmp_path)
    other = open_task_grid("case39").case
    assert is_tuned("mpc", other)
    assert not is_tuned("linear", other)
    assert stored_parameters("mpc", other) == stored_parameters("mpc")
    own = tuned_directory(other) / "mpc.json"
    own.parent.mkdir(parents=True)
    own.write_text(MPC)
    assert stored_parameters("mpc", other)["parameters"] == json.loads(MPC)["parameters"]


MPC = """{"parameters": {"model_sd_hz": 0.0003, "slope_sd_mw_per_s": 0.15, "slope_fades_s": 60,
"disturbance_fades_s": 3000.0, "half_full_per_mwh2": 0.05}}"""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("mpc", "{", "holds no parameters of mpc: Expecting"),
        ("mpc", "[]", 'expected an object with "parameters", an object of numbers'),
        ("mpc", '{"parameters": null}', 'expected an object with "parameters", an object of numbers'),
        ("mpc", MPC.replace("60", "-1.0"), r"slope_fades_s = -1.0, expected above zero"),
        ("mpc", MPC.replace("60", "NaN"), "slope_fades_s = nan, expected finite numbers"),
        ("mpc", MPC.replace("60", '"60"'), "slope_fades_s = '60', expected finite numbers"),
        ("mpc", MPC.replace("slope_fades_s", "slop"), "slope_fades_s is missing"),
        ("mpc", MPC.replace("{", '{"slop": 1.0, ', 2).replace('{"slop": 1.0, ', "{", 1), "argument 'slop'"),
        ("agc", '{"parameters": {"gains": 0.2}}', "unexpected keyword argument 'gains'"),
        ("linear", '{"parameters": {"weight": [[0.0]]}}', "'dead_zone' is missing"),
        (
            "linear",
            '{"parameters": {"weight": [0.0], "dead_zone": [0, 0, 0]}}',
            "expected 3 classes of plants",
        ),
    ],
)
def test_a_damaged_file_of_parameters_is_named_with_what_is_wrong_in_it(
    monkeypatch, tmp_path, name, text, said
):
    monkeypatch.chdir(tmp_path)
    other = open_task_grid("case39").case
    own = tuned_directory(other) / f"{name}.json"
    own.parent.mkdir(parents=True)
    own.write_text(text)
    with pytest.raises(BaselineError, match=said) as told:
        stored_parameters(name, other)
    assert str(told.value).startswith(str(own))
    assert f"tune anew: python scripts/tune_baselines.py --only {name} with the same --case" in str(
        told.value
    )


def test_actions_that_were_handed_out_are_the_callers_own(fleet):
    idle = DoNothing(fleet, 2)
    idle.act(np.zeros((2, fleet.n_resource, 15)))[:] = 7.0
    np.testing.assert_array_equal(idle.act(np.zeros((2, fleet.n_resource, 15))), 0.0)


def test_an_unknown_baseline_is_named():
    with pytest.raises(BaselineError, match="agc_textbook"):
        make_baseline("pid", None, 1)
