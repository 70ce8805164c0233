"""The task by itself: what any learner, controller or picture plays, without groups and protocols."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from builders import real_year, with_plants
from cases.ieee68 import load_ieee68
from cases.series import NOMINAL_LOAD_MW
from control.plants.gas_turbine import GasTurbineParameters
from control.scenario.config import ScenarioError
from control.scenario.suites import N1, SCENARIOS
from control.task.action import ActionError
from control.task.description import TaskDescription, mean_load_share
from control.task.draws import checked_seed
from control.task.open_task import make_task
from control.task.reward import REWARD_TERMS, RewardConfig
from control.task.staged_loop import FIXED
from control.task.task import Task, TaskError
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.parameters import SwingConfig
from marl.environment.batch import GridBatch
from marl.environment.pettingzoo_env import parallel_env
from marl.environment.render import describe, describe_task

CASE = load_ieee68()
SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=8)


def same(a, b):
    """Two observations, bit for bit."""
    np.testing.assert_array_equal(a.agents, b.agents)
    np.testing.assert_array_equal(a.state, b.state)


def test_the_task_and_its_groups_play_the_same_episode():
    task, batch = make_task(SHORT, 2, check=False), GridBatch(make_task(SHORT, 2, check=False))
    seeds, rng = np.array([3, 4]), np.random.default_rng(0)
    task.reset(seeds)
    batch.reset(seeds)
    for _ in range(9):  # beyond the end
        action = rng.uniform(-1.2, 1.2, (2, 20))
        mine = task.step(action)
        its = batch.step({kind: action[:, rows, None] for kind, rows in task.of_kind.items()})
        for kind, rows in task.of_kind.items():
            np.testing.assert_array_equal(
                mine.observation.agents[:, rows], its.observation.observations[kind]
            )
            np.testing.assert_array_equal(
                mine.final_observation.agents[:, rows], its.final_observation.observations[kind]
            )
        np.testing.assert_array_equal(mine.reward, its.reward)
        np.testing.assert_array_equal(mine.truncated, its.truncated)
        assert list(mine.terms) == list(its.terms)
        assert mine.limits is task.last_result
        total = sum(mine.terms[f"reward_{name}"] for name in REWARD_TERMS)
        np.testing.assert_allclose(mine.reward, total, rtol=1e-15)  # five numbers of one sign


def test_the_action_stays_the_callers_own():
    """Neither is it cut in place, nor does what is done to it afterwards change the last action that agents see."""
    task = make_task(SHORT, 1, observation="extended", check=False)
    task.reset(np.array([1]))
    action = np.full((1, 20), 3.0)
    step = task.step(action)
    np.testing.assert_array_equal(action, 3.0)
    np.testing.assert_array_equal(step.observation.agents[:, :, 16], 1.0)
    action[:] = 0.25
    np.testing.assert_array_equal(task.observe().agents[:, :, 16], 1.0)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((1, 19)), r"shape \(1, 19\), expected \(1, 20\)"),
        (np.where(np.arange(20) == 6, np.inf, 0.0)[None], "gas_1 in environment 0 is inf"),
        ("up", "not an array of numbers"),
    ],
)
def test_a_bad_action_is_refused_and_changes_nothing(action, message):
    task = make_task(SHORT, 1, check=False)
    with pytest.raises(ActionError, match="call reset first"):
        task.step(np.zeros((1, 20)))
    task.reset(np.array([1]))
    with pytest.raises(ActionError, match=message):
        task.step(action)
    assert task.loop.interval[0] == 0


def test_a_pickled_task_goes_on_bit_for_bit_and_a_saved_state_cannot_be_spoilt():
    task = make_task(SHORT, 2, observation="memory", check=False, reward=RewardConfig(effort=1.0))
    task.reset(np.array([8, 9]))
    rng = np.random.default_rng(4)
    actions = rng.uniform(-1.0, 1.0, (10, 2, 20))
    task.step(actions[0])
    state = task.get_state()
    copy = pickle.loads(pickle.dumps(task))
    other = make_task(SHORT, 2, observation="memory", check=False, reward=RewardConfig(effort=1.0))
    other.reset()
    other.set_state(state)
    # What was handed out belongs to whoever has it.
    state["before_episode"][0]["state"]["state"] = 1
    state["last_action"][:] = 9.0
    for action in actions[1:]:
        mine, its, third = task.step(action), copy.step(action), other.step(action)
        same(mine.observation, its.observation)
        same(mine.observation, third.observation)
        np.testing.assert_array_equal(mine.reward, its.reward)
    assert copy.description.reward == RewardConfig(effort=1.0)
    assert (
        copy.get_state()["before_episode"]
        == task.get_state()["before_episode"]
        == other.get_state()["before_episode"]
    )
    task.close()


def test_who_is_in_service_cannot_be_changed_by_who_asks():
    idle = replace(SHORT, gas_turbine=GasTurbineParameters(running=False))
    task = make_task(idle, 1, check=False)
    with pytest.raises(ValueError, match="read-only"):
        task.reset(np.array([1])).in_service[:] = True
    with pytest.raises(ValueError, match="read-only"):
        GridBatch(task).reset(np.array([1])).in_service["gas"][:] = True


def test_the_state_that_pettingzoo_hands_out_is_a_copy():
    env = parallel_env(scenario=SHORT, check=False)
    env.reset(seed=2)
    before = env.state()
    env.state()[:] = np.nan
    np.testing.assert_array_equal(env.state(), before)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copy.state(), before)


@pytest.mark.parametrize("kinds", [("gas", "dr"), ("bess",), ("dr",)])
def test_a_grid_without_some_kinds_of_plants_is_played_and_described(kinds):
    case = with_plants(CASE, kinds)
    task = Task(case, real_year(), SHORT, 1, check=False)
    task.reset(np.array([1]))
    step = task.step(np.full((1, case.n_resource), 0.5))
    assert np.isfinite(step.observation.agents).all()
    assert np.isfinite(step.observation.state).all()
    text, agents = describe(task, 0), describe_task(task)
    for kind in ("bess", "gas", "dr"):
        assert (f"{kind} +" in text) == (kind in kinds)
        assert (f"\n  {kind} " in agents) == (kind in kinds)
    assert ("state of charge" in text) == ("bess" in kinds)


def test_a_grid_without_any_plant_is_refused_in_one_line():
    with pytest.raises(TaskError, match="no plant to control, expected at least one") as error:
        Task(with_plants(CASE, ()), real_year(), SHORT, 1, check=False)
    assert "\n" not in str(error.value)
    assert CASE.name in str(error.value)


def test_the_description_is_what_is_played():
    reward = RewardConfig(movement=2.0)
    swing = SwingConfig(load_damping=1.5)
    scenario = replace(SHORT, inertia_scale_to_mws=90_000.0, governor_dead_band_hz=0.03)
    task = Task(
        CASE, real_year(), scenario, 1, swing=swing, reward=reward, observation="extended", check=False
    )
    told = task.description
    assert (told.reward, told.observation_size, told.interval_s, told.n_intervals) == (reward, 18, 4.0, 8)
    assert told.scenario_swing == task.loop.grid.config
    assert told.scenario_swing.governor.dead_band_hz == 0.03
    assert told.swing == swing  # as published: nobody is told what the scenario changes
    for f in fields(told.fleet):
        np.testing.assert_array_equal(getattr(told.fleet, f.name), getattr(task.loop.fleet, f.name))


def test_the_load_level_is_the_years_and_the_response_of_the_grid_follows_from_it():
    """59 % of 18,234 MW; 1 % of load per % of frequency are a sixtieth of it per Hz, and 2500 MW/Hz of governors."""
    year = real_year()
    assert mean_load_share(year) == 0.59
    told = TaskDescription.of(CASE, year, SHORT)
    damping = 0.59 * 18_234.0 / 60.0
    # The case's loads are published to a tenth of a megawatt, 35 of them.
    assert told.mean_load_mw == pytest.approx(0.59 * NOMINAL_LOAD_MW, abs=2.0)
    assert told.damping_mw_per_hz == pytest.approx(damping, abs=0.1)
    assert told.frequency_response_mw_per_hz == pytest.approx(damping + 2500.0, abs=0.1)
    # A year of 40 % of nominal load throughout, in three regions, and weaker governors.
    flat = replace(year, load_mw=np.full_like(year.load_mw, 0.4 * NOMINAL_LOAD_MW / 3.0))
    weak = SwingConfig(governor=GovernorConfig(gain_mw_per_hz=500.0))
    told = TaskDescription.of(CASE, flat, SHORT, swing=weak)
    assert told.frequency_response_mw_per_hz == pytest.approx(0.4 * 18_234.0 / 60.0 + 500.0, abs=0.1)


def actions_of(n_step, n_env, seed=0):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (n_step, n_env, 20))


def powers(task):
    """Of what the episodes of a batch are, [env, ...]."""
    return [episode.p_load_mw for episode in task.loop.episode], [e.events for e in task.loop.episode]


def test_new_episodes_come_from_the_scenario_asked_for_and_those_under_way_go_on():
    """The third task is built with what the first is told to draw from: the same generator, the same episode."""
    told, left, other = (make_task(s, 2, check=False) for s in (SHORT, SHORT, replace(N1, n_intervals=8)))
    for task in (told, left, other):
        task.reset(np.array([3, 4]))
    actions = actions_of(12, 2)
    told.step(actions[0])
    left.step(actions[0])
    told.draw_from("n1")
    for action in actions[1:7]:
        np.testing.assert_array_equal(told.step(action).reward, left.step(action).reward)
    told.reset(np.array([3, 4]))
    for mine, its in zip(powers(told), powers(other), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))
    assert not np.array_equal(powers(told)[1][0], powers(left)[1][0])
    for action in actions:
        mine, its = told.step(action), other.step(action)
        same(mine.observation, its.observation)
        np.testing.assert_array_equal(mine.reward, its.reward)
    told.draw_from("")  # back to what it was built with
    for task in (told, left):
        task.reset(np.array([5, 6]))
    assert all(np.array_equal(a, b) for a, b in zip(powers(told)[0], powers(left)[0], strict=True))


def test_a_state_between_two_scenarios_goes_on_bit_for_bit():
    """Staggered, so that one environment has begun an episode of the new scenario and the other has not."""
    task = make_task(SHORT, 2, stagger=True, check=False)
    task.reset(np.array([3, 5]))
    first = task.draws.length.tolist()
    assert first[0] != first[1]
    task.draw_from("n1")
    actions = actions_of(20, 2)
    for action in actions[: min(first)]:
        task.step(action)
    assert sorted(task.draws.source_of) == ["", "n1"]
    copies = [pickle.loads(pickle.dumps(task)), make_task(SHORT, 2, stagger=True, check=False)]
    copies[1].set_state(task.get_state())
    for action in actions[min(first) :]:
        mine = task.step(action)
        for copy in copies:
            its = copy.step(action)
            same(mine.observation, its.observation)
            np.testing.assert_array_equal(mine.reward, its.reward)
    assert task.draws.source_of == ["n1", "n1"]


def test_next_episodes_are_those_of_the_seeds_named_ahead_and_then_the_generators_own():
    """Episodes of 8: seeds 11 and 12 come second and third as `reset` plays them, and a copy goes on in between."""
    task = make_task(SHORT, 2, check=False)
    alone = make_task(SHORT, 2, check=False)
    task.reset(np.array([3, 4]))
    task.begin_next(np.array([[11, 13], [12, 14]]))
    actions = actions_of(24, 2)
    for action in actions[:8]:
        task.step(action)
    assert task.get_state()["queued"] == [[13], [14]]
    copy = make_task(SHORT, 2, check=False)
    copy.set_state(task.get_state())
    for seeds, block in (([11, 12], actions[8:16]), ([13, 14], actions[16:])):
        alone.reset(np.array(seeds))
        for one, another in zip(powers(task)[0], powers(alone)[0], strict=True):
            np.testing.assert_array_equal(one, another)
        for action in block:
            mine, its = task.step(action), alone.step(action)
            np.testing.assert_array_equal(mine.reward, its.reward)
            np.testing.assert_array_equal(mine.reward, copy.step(action).reward)
    assert "queued" not in task.get_state()
    task.begin_next(np.array([[7], [8]]))
    task.reset(np.array([3, 4]))  # what was named ahead is forgotten
    assert "queued" not in task.get_state()
    with pytest.raises(ValueError, match="1 rows of seeds for 2 environments"):
        task.begin_next(np.array([[1]]))


def test_who_never_asks_for_another_scenario_has_the_state_of_before():
    task = make_task(SHORT, 1, check=False)
    task.reset(np.array([1]))
    assert not {"draws_from", "drawn_from", "scenarios"} & set(task.get_state())


def test_a_scenario_that_changes_the_grid_or_its_telemetry_needs_a_batch_of_its_own(tmp_path):
    task = make_task(SHORT, 1, check=False)
    with pytest.raises(
        ScenarioError, match="'shift' differs from 'short' in renewable_scale, inertia"
    ) as error:
        task.draw_from("shift")
    assert "\n" not in str(error.value)
    for word in ("governor_dead_band_hz", "scada_delay_intervals", "play it in a batch of its own"):
        assert word in str(error.value)
    longer = tmp_path / "longer.toml"
    longer.write_text("n_intervals = 9")
    with pytest.raises(ScenarioError, match="'longer' differs from 'short' in n_intervals"):
        task.draw_from(str(longer))
    with pytest.raises(ScenarioError, match="nowhere"):
        task.draw_from("nowhere")
    assert task.loop.builders[0].config == SHORT


def test_every_field_of_a_scenario_is_either_fixed_or_only_shapes_episodes():
    """What is not fixed must be read by the builder of episodes alone: a new field has to be put on one side."""
    shaping = {
        *("name", "start_minute", "start_ramp_quantile", "start_ramp_min", "max_load_step_percent"),
        *("regional_share", "load_slow_percent", "load_slow_tau_s", "load_fast_percent", "load_fast_tau_s"),
        *("load_area_share", "wind_percent", "wind_tau_s", "pv_percent", "pv_tau_s", "forecast"),
        *("outage_rate_per_h", "outages_min", "outage_unit_share", "outage_screened", "unit_p_min_mw"),
        *("unit_p_max_mw", "outage_first_s", "outage_last_s", "repair_probability", "repair_min_s"),
        *("repair_max_s", "events", "soc_start_min", "soc_start_max", "soc_start_alike"),
    }
    assert shaping | set(FIXED) == {field.name for field in fields(SHORT)}
    assert not shaping & set(FIXED)


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (1.5, TypeError),
        ("1", TypeError),
        (None, TypeError),
        (-1, ValueError),
        (np.nan, TypeError),
        (True, TypeError),
        (np.False_, TypeError),
    ],
)
def test_a_seed_is_a_whole_number(seed, error):
    """Cut to one, 1.5 would begin the episode of 1."""
    with pytest.raises(error, match=rf"^seed = {seed!r}, expected a whole number from 0 on$"):
        checked_seed(seed)


@pytest.mark.parametrize("seed", [0, np.int64(7), 2**63, 10**30])
def test_whole_numbers_of_any_size_and_kind_are_seeds(seed):
    assert checked_seed(seed) == int(seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": 5}, "reward = 5, expected a RewardConfig"),
        ({"reward": {"frequency": 1000.0}}, "reward = .*, expected a RewardConfig"),
        ({"swing": "area"}, "swing = 'area', expected a SwingConfig"),
        ({"seed": 1.5}, "seed = 1.5, expected a whole number"),
    ],
)
def test_options_of_a_wrong_type_are_told_before_anything_is_built(options, message):
    with pytest.raises(TypeError, match=message):
        make_task("normal", 1, **options)


def test_a_state_of_another_grid_is_refused():
    task, other = make_task(SHORT, 2, check=False), Task(CASE, real_year(), SHORT, 2, check=False)
    task.reset(np.array([1, 2]))
    state = task.get_state()
    other.set_state(state)  # the same grid, opened by itself
    with pytest.raises(ValueError, match="the saved state is of another grid than case ieee68-rogers"):
        other.set_state(state | {"grid": "case39 0123456789abcdef"})
