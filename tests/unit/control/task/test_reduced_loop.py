"""The reduced model behind the task's interface, beside the full simulator, which is where expectations come from."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from control.scenario.config import ScenarioError
from control.scenario.suites import HELD_OUT, SCENARIOS
from control.task.open_task import make_task
from control.task.reduced_loop import ReducedError
from control.task.reduced_store import POOL_SEEDS
from control.task.task import Task
from grid_model.dynamics.events import Event

SHORT = replace(SCENARIOS["normal"], n_intervals=40)
SEEDS = np.arange(3) + 100


def pair(**options) -> tuple[Task, Task]:
    full, reduced = (
        make_task(SHORT, 3, check=False, physics=physics, **options) for physics in ("full", "reduced")
    )
    full.reset(SEEDS)
    reduced.reset(SEEDS)
    return full, reduced


def test_plants_move_as_in_the_full_simulator_whatever_they_are_asked():
    """Sums of some hundred MW in another order: rounding, no more."""
    full, reduced = pair()
    rng = np.random.default_rng(5)
    for _ in range(40):
        action = rng.uniform(-1.5, 1.5, (3, full.case.n_resource))
        a, b = full.step(action), reduced.step(action)
        assert b.limits.resource_mw == pytest.approx(a.limits.resource_mw, abs=1e-9)
        assert b.limits.utilisation == pytest.approx(a.limits.utilisation, abs=1e-9)
        assert b.limits.set_point_change_mw == pytest.approx(a.limits.set_point_change_mw, abs=1e-9)
        for term in ("reward_movement", "reward_effort"):
            assert b.terms[term] == pytest.approx(a.terms[term], abs=1e-6)


def test_frequency_follows_the_full_simulator_within_a_millihertz():
    """Agents at random move frequency by 100 mHz; a MW, a ten-thousandth of the load, is worth up to 10 mHz."""
    full, reduced = pair(observation="extended")
    rng = np.random.default_rng(6)
    for _ in range(40):
        action = rng.uniform(-1.0, 1.0, (3, full.case.n_resource))
        a, b = full.step(action), reduced.step(action)
        assert reduced.loop.bus_df_hz == pytest.approx(full.loop.bus_df_hz, abs=1e-3)
    # 1 mHz is 0.02 of an observation's unit; loads, forecasts and clock are the same.
    assert b.observation.agents == pytest.approx(a.observation.agents, abs=0.02)
    assert b.observation.state == pytest.approx(a.observation.state, abs=0.02)


def test_the_level_of_the_whole_system_has_one_frequency():
    task = make_task(SHORT, 2, check=False, physics="reduced", level="system")
    task.reset(np.array([1, 2]))
    task.step(np.zeros((2, task.case.n_resource)))
    assert task.loop.bus_df_hz == pytest.approx(
        np.repeat(task.loop.coi_df_hz[:, None], task.case.n_bus, 1), abs=1e-12
    )


def test_an_episode_does_not_depend_on_its_neighbours():
    alone = make_task(SHORT, 1, check=False, physics="reduced")
    many = make_task(SHORT, 11, check=False, physics="reduced")
    alone.reset(np.array([109]))
    many.reset(np.arange(11) + 100)
    for _ in range(5):
        a = alone.step(np.full((1, alone.case.n_resource), 0.4))
        b = many.step(np.full((11, alone.case.n_resource), 0.4))
    assert np.array_equal(a.observation.agents[0], b.observation.agents[9])
    assert a.reward[0] == b.reward[9]


def test_a_task_goes_on_to_the_bit_from_its_state_and_from_a_pickle():
    task = make_task(replace(SHORT, n_intervals=6), 2, check=False, physics="reduced", stagger=True)
    task.reset(np.array([1, 2]))
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (12, 2, task.case.n_resource))
    for action in actions[:5]:
        task.step(action)
    copy = pickle.loads(pickle.dumps(task))
    for action in actions[5:]:
        a, b = task.step(action), copy.step(action)
        assert np.array_equal(a.reward, b.reward)
        assert np.array_equal(a.observation.agents, b.observation.agents)


def test_the_loss_of_a_unit_is_felt_at_its_instant_as_in_the_full_simulator():
    """Voltages that machines regulate with a lag are left out, which a second after the loss is worth a tenth."""
    event = Event(time_s=9.0, kind="machine_out", index=5)
    scenario = replace(SHORT, n_intervals=6, events=(event,))
    full, reduced = (make_task(scenario, 1, check=False, physics=physics) for physics in ("full", "reduced"))
    for task in (full, reduced):
        task.reset(np.array([3]))
        for _ in range(3):
            task.step(np.zeros((1, task.case.n_resource)))
    assert reduced.loop.elements_out[0] == full.loop.elements_out[0] == 1
    assert full.loop.coi_df_hz[0] < -0.05
    assert reduced.loop.coi_df_hz == pytest.approx(full.loop.coi_df_hz, rel=0.1)
    assert reduced.last_result.max_abs_df_hz == pytest.approx(full.last_result.max_abs_df_hz, rel=0.1)


def test_what_only_power_flows_know_is_refused_in_one_line():
    task = make_task(SHORT, 1, check=False, physics="reduced")
    with pytest.raises(ReducedError, match="physics = 'full'"):
        task.loop.grid.engine  # noqa: B018
    with pytest.raises(ValueError, match="'area' or 'system'"):
        make_task(SHORT, 1, check=False, physics="reduced", level="machine")
    with pytest.raises(ValueError, match="physics = 'fast'"):
        make_task(SHORT, 1, check=False, physics="fast")
    battery = replace(SHORT.battery, droop_mw_per_hz=10.0)
    with pytest.raises(ValueError, match="respond to frequency"):
        make_task(replace(SHORT, battery=battery), 1, check=False, physics="reduced")


def test_a_pool_is_drawn_once_and_plays_training_episodes_alone():
    task = make_task(replace(SHORT, n_intervals=4), 3, check=False, physics="reduced", pool=2)
    task.reset(np.array([1, 2, 3]))
    rows = task.loop.store.rows
    first = task.loop.resources.energy_mwh.copy()
    for _ in range(9):
        step = task.step(np.zeros((3, task.case.n_resource)))
    assert np.isfinite(step.reward).all()
    assert task.loop.store.rows is rows
    # Episodes come again, batteries start anew.
    bess = task.loop.fleet.bess
    assert not np.any(task.loop.resources.energy_mwh[:, bess] == first[:, bess])
    with pytest.raises(ScenarioError, match="not a training seed"):
        task.reset(HELD_OUT["normal"].seeds[:3])
    with pytest.raises(ValueError, match="with 'reduced' alone"):
        make_task(SHORT, 1, check=False, pool=2)
    # The episode of a pool is that of its seed in the full simulator.
    alone = make_task(replace(SHORT, n_intervals=4), 1, check=False, physics="reduced")
    alone.reset(POOL_SEEDS.seeds[:1])
    assert np.array_equal(alone.loop.store.rows[0], rows[0])
    # More environments than episodes: each reads the load, the schedule and the outages of the one that it plays.
    task = make_task(replace(SHORT, n_intervals=4), 5, check=False, physics="reduced", pool=2)
    task.reset()
    for env, slot in enumerate(task.loop.store.slot):
        alone.reset(POOL_SEEDS.seeds[slot : slot + 1])
        for name in ("served_mw", "renewable_mw", "schedule_slope_mw", "elements_out", "hour"):
            assert np.array_equal(getattr(task.loop, name)[env], getattr(alone.loop, name)[0])


def test_environments_of_one_seed_share_what_is_drawn_and_play_it_apart():
    """As candidates do that are compared on the same episodes; the next episodes are those of a batch of one."""
    short = replace(SHORT, n_intervals=4)
    alone = make_task(short, 1, check=False, physics="reduced")
    twins = make_task(short, 3, check=False, physics="reduced")
    alone.reset(np.array([7]))
    twins.reset(np.array([7, 8, 7]))
    for _ in range(6):  # into the second episode
        a = alone.step(np.full((1, alone.case.n_resource), 0.4))
        b = twins.step(np.array([[0.4], [0.4], [-0.4]]) * np.ones(alone.case.n_resource))
        assert np.array_equal(a.observation.agents[0], b.observation.agents[0])
    assert not np.array_equal(b.observation.agents[0], b.observation.agents[2])
