"""The compiled judgement of an interval says what the array arithmetic of grid_model/network/limits.py says."""

import numpy as np
import pytest

from control.task.limits import (
    GridLimits,
    empty_judgement,
    judge_limits,
    largest_deviation,
    share_within,
)
from grid_model.kernels.structs import PowerFlow, ServiceStatus
from grid_model.network.limits import (
    apparent_power_mva,
    applicable_rating_mva,
    branch_violations,
    loading_percent,
    voltage_violations,
)


def test_limits_are_judged_as_by_the_array_arithmetic():
    """Random flows and voltages around their limits, with elements out and dead buses in some environments."""
    rng = np.random.default_rng(0)
    n_env, n_branch, n_machine, n_bus = 200, 6, 3, 5
    s_from, s_to = (rng.normal(size=(n_env, n_branch, 2)) @ np.array([40.0, 40.0j]) for _ in range(2))
    v = rng.uniform(0.93, 1.08, (n_env, n_bus)) * np.exp(1j * rng.uniform(-1.0, 1.0, (n_env, n_bus)))
    rate_a, rate_b = np.full(n_branch, 110.0), np.full(n_branch, 130.0)
    low, high = np.full(n_bus, 0.95), np.full(n_bus, 1.06)
    branch_on, machine_on = rng.random((n_env, n_branch)) > 0.1, rng.random((n_env, n_machine)) > 0.1
    live = rng.random((n_env, n_bus)) > 0.5
    found = empty_judgement(n_env, n_branch, n_bus)
    judge_limits(
        PowerFlow(v_pu=v, s_from_mva=s_from, s_to_mva=s_to, s_bus_mva=v, converged=np.ones(n_env, np.bool_)),
        ServiceStatus(branch=branch_on, machine=machine_on, committed=np.ones_like(machine_on), bus=live),
        GridLimits(rate_a, rate_b, low, high),
        found,
    )
    loading, vm, out = found.loading_percent, found.vm_pu, found.elements_out
    overloaded, out_of_band = found.branch_violation, found.voltage_violation
    count = (~branch_on).sum(axis=1) + (~machine_on).sum(axis=1)
    rating = applicable_rating_mva(rate_a, rate_b, count > 0)
    expected = loading_percent(apparent_power_mva(s_from, s_to), rating)
    np.testing.assert_array_equal(out, count)
    np.testing.assert_allclose(loading, expected, rtol=1e-15 * 4)  # two ways to a square root
    np.testing.assert_allclose(vm, np.abs(v), rtol=1e-15 * 4)
    np.testing.assert_array_equal(overloaded, branch_violations(expected).flag)
    np.testing.assert_array_equal(out_of_band, voltage_violations(np.abs(v), low, high, live).flag)
    for flag in (overloaded, out_of_band):
        assert 0.05 < flag.mean() < 0.95  # both answers were asked for


def test_shares_count_the_steps_within_each_limit():
    """Four steps at 10, -40, 36 and 300 mHz: two within 36 mHz, three within 200 mHz."""
    narrow, wide = np.empty((2, 1))
    df_hz = np.array([9.0, 0.010, -0.040, 0.036, 0.300]).reshape(5, 1, 1)
    share_within(df_hz, np.ones((1, 1)), 0.036, 0.2, narrow, wide)
    assert (narrow[0], wide[0]) == (0.5, 0.75)


@pytest.mark.parametrize("n_env", [1, 8, 11, 24])
def test_shares_are_those_of_the_centre_of_inertia_in_any_batch(n_env):
    """Array arithmetic says the same. A grid without a machine has no frequency; what is no number is within none."""
    rng = np.random.default_rng(n_env)
    df_hz, inertia = rng.normal(0.0, 0.1, (60, 3, n_env)), rng.uniform(10.0, 900.0, (3, n_env))
    inertia[:, -1] = 0.0
    df_hz[20:30, 1, 0] = np.nan
    narrow, wide = np.empty((2, n_env))
    share_within(df_hz, inertia, 0.036, 0.2, narrow, wide)
    size = np.abs(
        (df_hz * inertia).sum(axis=1) / np.where(inertia.sum(axis=0) > 0.0, inertia.sum(axis=0), 1.0)
    )
    np.testing.assert_array_equal(narrow, (size[1:] <= 0.036).mean(axis=0))
    np.testing.assert_array_equal(wide, (size[1:] <= 0.2).mean(axis=0))


def test_the_largest_deviation_is_that_of_either_extreme_of_any_group():
    lowest = np.array([[-0.3, 0.1], [-0.1, 0.0]])
    highest = np.array([[0.2, 0.4], [0.25, 0.1]])
    np.testing.assert_array_equal(largest_deviation(lowest, highest), [0.3, 0.4])
    lowest[0, 0] = np.nan
    assert np.isnan(largest_deviation(lowest, highest)[0])
