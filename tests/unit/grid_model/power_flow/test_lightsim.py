"""What the engine promises beyond a right solution: no trace of what was solved before, and honest failures."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.power_flow.lightsim import PowerFlowEngine, _on_step

CASE = load_ieee68()


@pytest.fixture(scope="module")
def engine():
    return PowerFlowEngine(CASE, 2, check=False)


def states(rng, n):
    """Random topologies with up to three circuits and now and then a machine out, reactors and injections."""
    fresh = PowerFlowEngine(CASE, 1, check=False)
    nominal = fresh.reference_injection()
    for _ in range(n):
        branch_on, machine_on = np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_)
        branch_on[rng.integers(0, CASE.n_branch, rng.integers(0, 4))] = False
        machine_on[rng.integers(0, CASE.n_machine)] = rng.random() > 0.3
        share = rng.uniform(0.0, 1.0, CASE.n_reactor)
        yield branch_on, machine_on, share, nominal * rng.uniform(0.6, 1.05, CASE.n_bus)


def test_a_solution_does_not_depend_on_what_was_solved_before(engine):
    """Environment 0 has a history; 1 is built for each state; bit for bit the same, found or not."""
    rng = np.random.default_rng(0)
    found = 0
    for branch_on, machine_on, share, injection in states(rng, 25):
        other = PowerFlowEngine(CASE, 1, check=False)
        for one in (engine, other):
            one.set_topology(0, branch_on, machine_on)
            one.set_reactors(0, share)
            one.reset_voltages(0)
        both = np.repeat(injection[None, :], 2, axis=0)
        solved = engine.solve(both, np.array([0]))[0]
        assert other.solve(injection[None, :])[0] == solved
        np.testing.assert_array_equal(engine.v_pu[0], other.v_pu[0])
        found += bool(solved)
    assert found > 15  # most states have a solution, so that voltages were compared


def test_pivots_stay_until_the_topology_changes(engine):
    """Of all solves only those after a switching of circuits or machines analyse the matrix anew."""

    def analysed():
        return engine.solver(1).get_algo().get_linear_solver_stats().nb_factorize

    everything = np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_)
    injection = np.repeat(engine.reference_injection()[None, :], 2, axis=0)
    one = np.array([1])
    engine.solve(injection, one)
    before = analysed()
    for k in range(4):  # switching nothing is no change
        engine.set_topology(1, *everything)
        engine.set_reactors(1, 0.2 * k)
        engine.reset_voltages(1)
        assert engine.solve(injection * (1.0 - 0.01 * k), one)[1]
    assert analysed() == before
    out = everything[0].copy()
    out[CASE.branch.name.index("30-61 #1")] = False
    engine.set_topology(1, out, everything[1])
    assert engine.solve(injection, one)[1]
    assert analysed() == before + 1
    engine.solve(injection * 0.98, one)
    assert analysed() == before + 1


def test_a_solution_that_stood_already_leaves_the_solver_as_it_was():
    """After a change of topology the engine is handed its own solution, which needs no step; the next solve does."""
    injection = PowerFlowEngine(CASE, 1, check=False).reference_injection()[None, :]
    out = np.ones(CASE.n_branch, np.bool_)
    out[CASE.branch.name.index("30-61 #1")] = False
    machines = np.ones(CASE.n_machine, np.bool_)

    def switched():
        one = PowerFlowEngine(CASE, 1, check=False)
        one.set_topology(0, out, machines)
        return one

    first, second = switched(), switched()
    assert first.solve(injection)[0]
    second.restore_voltages(first.v_pu)
    assert second.solve(injection)[0]
    np.testing.assert_allclose(
        second.v_pu, first.v_pu, rtol=0.0, atol=1e-14
    )  # there and back to polar coordinates
    first.restore_voltages(second.v_pu)
    for engine in (first, second):
        assert engine.solve(injection * 0.99)[0]
    np.testing.assert_array_equal(first.v_pu, second.v_pu)


def test_reactors_that_hardly_change_are_not_passed_over():
    """lightsim2grid ignores small changes; a share of 0.3 is the same after 0.3 + 1e-9 as after 0.9."""
    voltages = []
    for earlier in (0.3 + 1e-9, 0.9):
        engine = PowerFlowEngine(CASE, 1, check=False)
        for share in (earlier, 0.3):
            engine.set_reactors(0, share)
            engine.reset_voltages(0)
            assert engine.solve(engine.reference_injection()[None, :])[0]
        voltages.append(engine.v_pu.copy())
    np.testing.assert_array_equal(*voltages)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_solution(engine, bad):
    injection = np.repeat(engine.reference_injection()[None, :], 2, axis=0)
    engine.set_topology(0, np.ones(CASE.n_branch, np.bool_), np.ones(CASE.n_machine, np.bool_))
    engine.reset_voltages(0)
    assert engine.solve(injection).all()
    before = engine.v_pu.copy()
    injection[0, 20] = bad
    assert engine.solve(injection).tolist() == [False, True]
    np.testing.assert_array_equal(engine.v_pu[0], before[0])
    injection[0] = injection[1]
    assert engine.solve(injection).all()


def test_injections_are_rounded_to_whole_steps():
    """2^-23 MW, far below the mismatch of a converged solve."""
    given = np.array([1.0 + 3e-8 - 2.5j])
    assert abs(_on_step(given) - given)[0] < 2.0**-23
    assert (_on_step(given).real * 2.0**23 % 1.0 == 0.0).all()
