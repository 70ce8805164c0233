"""Dark buses and load not served, weighed by the time for which they were so, against hand calculation."""

import numpy as np

from grid_model.dynamics.interruption import Interruptions, mean_unserved_load

LOAD_BUS = np.array([0, 2])


def two_environments():
    live, served = np.ones((2, 3), dtype=np.bool_), np.ones((2, 2))
    return Interruptions(live, served, LOAD_BUS), live, served


def test_a_bus_that_goes_dark_counts_from_its_moment_on():
    """Dark from a quarter of the interval on: three quarters; in the next interval all of it, until it returns."""
    interruptions, live, _ = two_environments()
    interruptions.begin()
    live[1, 2] = False
    interruptions.change(1, 0.25)
    np.testing.assert_array_equal(interruptions.mean.dark_share, [[0, 0, 0], [0, 0, 0.75]])
    np.testing.assert_array_equal(interruptions.mean.unserved_share, [[0, 0], [0, 0.75]])
    interruptions.begin()
    assert interruptions.mean.dark_share[1, 2] == 1.0
    live[1, 2] = True
    interruptions.change(1, 0.5)
    assert interruptions.mean.dark_share[1, 2] == interruptions.mean.unserved_share[1, 1] == 0.5
    interruptions.begin()
    assert not interruptions.mean.dark_share.any()
    assert not interruptions.mean.unserved_share.any()


def test_stages_of_load_shedding_add_up_over_the_interval():
    """7 % of 100 MW from 0.2 on and 14 % from 0.7 on: 0.07 x 0.5 + 0.14 x 0.3 = 7.7 %, 7.7 MW."""
    interruptions, _, served = two_environments()
    interruptions.begin()
    for left, at in ((0.93, 0.2), (0.86, 0.7)):
        served[0, 0] = left
        interruptions.change(0, at)
    share = interruptions.mean.unserved_share
    wanted, step = np.full((2, 2), 80.0), np.full((2, 2), 20.0)
    # Rounding of a dozen operations.
    np.testing.assert_allclose(mean_unserved_load(wanted, step, share), [7.7, 0.0], rtol=1e-14)


def test_dark_and_back_within_one_interval_is_not_forgotten():
    interruptions, live, _ = two_environments()
    interruptions.begin()
    for is_live, at in ((False, 0.25), (True, 0.75)):
        live[0, 1] = is_live
        interruptions.change(0, at)
    np.testing.assert_array_equal(interruptions.mean.dark_share, [[0, 0.5, 0], [0, 0, 0]])
