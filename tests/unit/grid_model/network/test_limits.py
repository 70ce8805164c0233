"""Counts, severities and flags of broken limits, worked by hand."""

import numpy as np
import pytest

from builders import two_bus
from grid_model.network.limits import (
    apparent_power_mva,
    applicable_rating_mva,
    branch_violations,
    loading_percent,
    voltage_violations,
    with_emergency_rating,
)


def test_a_circuit_is_judged_at_its_heavier_end():
    """|3 + 4j| = 5 against |-6| = 6, and 10 against 8."""
    s_from = np.array([[3.0 + 4.0j, 10.0j]])
    s_to = np.array([[-6.0 + 0.0j, 8.0 + 0.0j]])
    np.testing.assert_array_equal(apparent_power_mva(s_from, s_to), [[6.0, 10.0]])


def test_the_emergency_rating_holds_only_where_an_element_is_out():
    rating = applicable_rating_mva(
        np.array([100.0, 200.0]), np.array([120.0, 240.0]), np.array([False, True])
    )
    np.testing.assert_array_equal(rating, [[100.0, 200.0], [120.0, 240.0]])
    np.testing.assert_array_equal(
        loading_percent(np.array([[110.0, 100.0]] * 2), rating)[:, 0], [110.0, 110 / 1.2]
    )


def test_overloads_are_counted_and_summed_in_ratings():
    """125 % and 150 % are 0.25 and 0.5 ratings too much; 100 % is not too much."""
    found = branch_violations(np.array([[125.0, 100.0, 150.0], [99.0, 100.0, 0.0]]))
    np.testing.assert_array_equal(found.count, [2, 0])
    np.testing.assert_array_equal(found.severity, [0.75, 0.0])  # exact in binary
    np.testing.assert_array_equal(found.flag, [True, False])


def test_voltages_are_judged_on_both_sides_of_the_band_and_only_where_alive():
    vm_pu = np.array([[1.0, 0.90, 1.15], [0.0, 1.0, 1.0], [0.95, 1.10, 1.0]])
    live = np.array([[True, True, True], [False, True, True], [True, True, True]])
    found = voltage_violations(vm_pu, np.full(3, 0.95), np.full(3, 1.10), live)
    np.testing.assert_array_equal(found.count, [2, 0, 0])
    # 0.05 low and 0.05 high; each difference is rounded to within 1e-16.
    np.testing.assert_allclose(found.severity, [0.10, 0.0, 0.0], rtol=0.0, atol=1e-15)
    np.testing.assert_array_equal(found.flag, [True, False, False])


def test_a_voltage_that_is_not_a_number_is_not_taken_for_healthy():
    """A caller must never meet nan here; if one does, it shows in the loading, which stays nan."""
    assert np.isnan(loading_percent(np.array([[np.nan]]), np.array([[100.0]])))[0, 0]


def test_a_batch_of_eight_equals_eight_runs_of_one():
    rng = np.random.default_rng(1)
    loading = rng.uniform(0.0, 200.0, (8, 5))
    together = branch_violations(loading)
    for env in range(8):
        alone = branch_violations(loading[env : env + 1])
        assert alone.count[0] == together.count[env]
        assert alone.severity[0] == together.severity[env]


def test_what_stands_exactly_at_a_limit_keeps_it_and_rounding_decides_nothing():
    """100 MVA on 100 MVA, with the last bits of a double off: kept; 1e-3 % and 1e-5 pu more are not."""
    off = 100.0 * (1.0 + 1e-13)
    np.testing.assert_array_equal(branch_violations(np.array([[100.0, off, 100.0 + 1e-3]])).count, [1])
    vm_pu = np.array([[1.10, 1.1000000000000003, 1.10001, 0.95, 0.9499999999999997, 0.94999]])
    low, high, live = np.full(6, 0.95), np.full(6, 1.10), np.ones((1, 6), np.bool_)
    np.testing.assert_array_equal(voltage_violations(vm_pu, low, high, live).count, [2])


def test_an_emergency_rating_is_a_share_of_the_normal_one_and_never_below_it():
    """500 MVA at 130 %: 650 MVA; the short-time rating of 700 stays, and rises with it at 150 %."""
    case = two_bus()
    rated = with_emergency_rating(case, 130.0)
    np.testing.assert_array_equal(rated.branch.rate_b_mva, [650.0] * case.n_branch)
    np.testing.assert_array_equal(rated.branch.rate_c_mva, [700.0] * case.n_branch)
    np.testing.assert_array_equal(
        with_emergency_rating(case, 150.0).branch.rate_c_mva, [750.0] * case.n_branch
    )
    np.testing.assert_array_equal(rated.branch.rate_a_mva, case.branch.rate_a_mva)
    with pytest.raises(ValueError, match="90 % of rate A, expected at least 100"):
        with_emergency_rating(case, 90.0)
