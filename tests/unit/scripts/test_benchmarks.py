"""The parts of the benchmark, shrunk."""

from dataclasses import replace

from benchmarks import dynamics, learner, simulator
from control.scenario.suites import SCENARIOS
from marl.environment.batch import make_batch


def test_the_floor_and_the_learner_run_on_the_same_sizes():
    small = {"steps": 128, "minibatch": 64, "epochs": 1}
    assert learner.plain_update(**small) > 0.0
    assert learner.our_update(**small, n_env=16) > 0.0
    assert learner.our_act(n_env=2, repeats=3) > 0.0


def test_the_dynamics_are_timed_at_two_levels():
    found = dynamics.measure(intervals=2)
    assert sorted(found) == ["dynamics_area_us", "dynamics_machine_us"]
    assert min(found.values()) > 0.0


def test_the_parts_of_a_step_are_found_and_none_takes_no_time():
    """By their names in today's classes: a part that has moved would be missed, or counted to the rest."""
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=3), 2, check=False)
    batch.reset()
    found = simulator.parts_s(batch)
    assert sorted(found) == ["dynamics", "observation", "power_flow", "resources", "rest"]
    assert min(found.values()) > 0.0
