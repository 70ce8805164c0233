"""The parts of the benchmark, shrunk."""

from benchmarks import dynamics, learner


def test_the_floor_and_the_learner_run_on_the_same_sizes():
    small = {"steps": 128, "minibatch": 64, "epochs": 1}
    assert learner.plain_update(**small) > 0.0
    assert learner.our_update(**small, n_env=16) > 0.0
    assert learner.our_act(n_env=2, repeats=3) > 0.0


def test_the_dynamics_are_timed_at_two_levels():
    found = dynamics.measure(intervals=2)
    assert sorted(found) == ["dynamics_area_us", "dynamics_machine_us"]
    assert min(found.values()) > 0.0
