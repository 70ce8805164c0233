"""What several runs come to."""

import numpy as np
import pytest

from marl.verification.run import bootstrap_interval, interquartile_mean


def test_the_interquartile_mean_drops_a_quarter_at_each_end():
    """Of eight runs the middle four: (3 + 4 + 5 + 6)/4 = 4.5, whatever the extremes are."""
    x = np.array([-100.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1000.0])
    assert interquartile_mean(x) == 4.5


def test_runs_that_agree_leave_nothing_open():
    low, high = bootstrap_interval(np.full(5, 0.9))
    assert low == pytest.approx(0.9)
    assert high == pytest.approx(0.9)
