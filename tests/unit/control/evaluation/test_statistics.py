"""Ratios of costs of the same episodes, and how many it takes to tell two controllers apart."""

import numpy as np
import pytest

from control.evaluation.statistics import (
    cost_ratio,
    episodes_needed,
    geometric_mean,
    paired_log_ratio,
)


def test_a_log_ratio_counts_every_episode_alike():
    """Costs ten per cent above in each of three episodes, one of them a thousand times dearer."""
    others = np.array([1.0, 10.0, 10_000.0])
    found = paired_log_ratio(1.1 * others, others)
    assert found is not None
    # Logarithms of numbers near 1 and their mean.
    assert found.mean == pytest.approx(np.log(1.1), rel=1e-12)
    np.testing.assert_allclose(found.ci95, np.log(1.1), rtol=1e-12)
    assert found.spread == pytest.approx(0.0, abs=1e-12)
    assert found.left_out == 0


def test_the_interval_of_a_log_ratio_is_that_of_students_within_what_resampling_scatters():
    """400 normal log ratios: standard error 0.2/20 = 0.01, so the interval reaches 0.0196 to both sides."""
    ratio = np.random.default_rng(3).normal(0.1, 0.2, 400)
    ratio = 0.1 + 0.2 * (ratio - ratio.mean()) / ratio.std(ddof=1)
    found = paired_log_ratio(np.exp(ratio), np.ones(400))
    assert found is not None
    # 10,000 draws scatter the quantiles by some 3 % of the reach: three times that is allowed.
    np.testing.assert_allclose(found.ci95, [0.1 - 0.0196, 0.1 + 0.0196], atol=0.002)


def test_episodes_without_a_positive_cost_are_left_out_and_counted():
    found = paired_log_ratio(np.array([2.0, 0.0, 3.0, 4.0]), np.array([1.0, 1.0, -2.0, 2.0]))
    assert found is not None
    assert (found.mean, found.left_out) == (pytest.approx(np.log(2.0), rel=1e-12), 2)
    assert paired_log_ratio(np.zeros(3), np.ones(3)) is None
    with pytest.raises(ValueError, match="expected pairs"):
        paired_log_ratio(np.ones(3), np.ones(2))


def test_a_ratio_of_means_cancels_what_an_episode_does_to_both():
    """Whatever is drawn, 1.2 times as dear is 1.2 times as dear; unpaired the interval would span a factor."""
    others = np.exp(np.random.default_rng(0).normal(0.0, 2.0, 40))
    found = cost_ratio(1.2 * others, others)
    assert found is not None
    np.testing.assert_allclose([found[0], *found[1]], 1.2, rtol=1e-12)  # rounding of sums
    assert cost_ratio(np.ones(2), np.zeros(2)) is None


def test_a_power_of_80_percent_takes_the_textbooks_episodes():
    """An effect of half a standard deviation: 1.96 + 0.84 = 2.80, (2.80/0.5)^2 = 31.4, so 32; Cohen's table 2.4.1."""
    assert episodes_needed(0.5, 1.0) == episodes_needed(-0.05, 0.1) == 32
    assert episodes_needed(10.0, 1.0) == 2
    assert episodes_needed(0.0, 1.0) is None


def test_a_geometric_mean_by_hand():
    assert geometric_mean(np.array([1.0, 100.0])) == pytest.approx(10.0, rel=1e-12)
    assert geometric_mean(np.array([1.0, 0.0])) is None
