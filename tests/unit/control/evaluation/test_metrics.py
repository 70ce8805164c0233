"""Figures of merit against numbers worked by hand; rounding of float64 is the only tolerance where none is named."""

import numpy as np
import pytest

from control.evaluation import metrics, statistics


def test_percentile_of_a_short_series():
    """Magnitudes 0, 1, .. 100 mHz: 95 % lie below 95."""
    np.testing.assert_allclose(metrics.percentile_hz(-np.arange(101) / 1000.0), 0.095, rtol=1e-12)


def test_cps1_of_two_minutes_by_hand():
    """B = -50 MW/0.1 Hz, so -10 B = 500 MW/Hz.

    Minute 1: ACE 10 MW, Df 9 mHz: 0.02 x 0.009 = 1.8e-4 Hz^2. Minute 2: ACE -5 MW, Df 0: 0.
    CF = 0.9e-4 / 0.018^2 = 0.2777.., CPS1 = 100 (2 - 0.2777..) = 172.22 %. A third, incomplete minute is left out.
    """
    ace_mw = np.repeat([10.0, -5.0, 1e6], [15, 15, 7])
    df_hz = np.repeat([0.009, 0.0, 1.0], [15, 15, 7])
    factor = metrics.control_performance_1(ace_mw, df_hz, -50.0, 4.0)
    assert factor == pytest.approx(0.9e-4 / 0.018**2)
    assert metrics.control_performance_1_percent(factor) == pytest.approx(172.2222222222222)


def test_cps1_rewards_an_area_that_helps():
    """Over-generation while frequency is low makes CF negative and CPS1 more than 200 %."""
    factor = metrics.control_performance_1(np.full(15, 20.0), np.full(15, -0.01), -50.0, 4.0)
    assert metrics.control_performance_1_percent(factor) > 200.0


def test_cps1_averages_each_factor_over_the_minute_first():
    """ACE +10 and -10 MW in turns average to nothing, however large their product with Df would be."""
    ace_mw = np.tile([10.0, -10.0], 10)  # 20 samples of 3 s
    df_hz = np.tile([0.05, -0.05], 10)
    assert metrics.control_performance_1(ace_mw, df_hz, -50.0, 3.0) == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(ValueError, match="whole number"):
        metrics.control_performance_1(ace_mw, df_hz, -50.0, 7.0)


def test_mileage_and_energies_by_hand():
    assert metrics.mileage_mw(np.array([1.0, -2.0, np.nan, 3.0])) == 6.0
    # 90 MW for 4 intervals of 10 s = 3600 MW s = 1 MWh, charging or discharging.
    assert metrics.energy_mwh(np.array([90.0, -90.0, 90.0, -90.0]), 10.0) == pytest.approx(1.0)
    assert metrics.unserved_mwh(np.array([0.0, 1800.0, np.nan]), 4.0) == pytest.approx(2.0)


def test_interquartile_mean_by_hand():
    # Eight values: the middle four. Outliers do not matter.
    assert statistics.interquartile_mean(np.array([-1e9, 0, 1, 2, 3, 4, 7, 1e9])) == pytest.approx(2.5)
    # Five values: 1.25 on each side are left out, so 0.75 + 1 + 0.75 remain: (0.75x1 + 2 + 0.75x6) / 2.5.
    assert statistics.interquartile_mean(np.array([6.0, 100.0, 1.0, 2.0, -50.0])) == pytest.approx(7.25 / 2.5)
    assert statistics.interquartile_mean(np.array([3.0])) == 3.0


def test_bootstrap_interval_is_that_of_the_normal_distribution_for_many_values():
    """Of 400 standard normal values the mean has a standard error of s / 20, and 95 % lie within 1.96 of them.

    The percentiles of 10,000 resamples scatter by about 2 % of the half width; 10 % is five times that.
    """
    x = np.random.default_rng(0).standard_normal(400)
    low, high = statistics.bootstrap_ci95(x)
    half = 1.96 * x.std() / 20.0
    np.testing.assert_allclose([low, high], [x.mean() - half, x.mean() + half], atol=0.1 * half)


def test_pairs_cancel_what_the_episode_does_to_both():
    rng = np.random.default_rng(1)
    episode = 1e4 * rng.standard_normal(50)
    mean, (low, high) = statistics.paired_difference(episode + 3.0, episode)
    assert mean == pytest.approx(3.0)
    # Rounding of 1e4 in float64.
    np.testing.assert_allclose([low, high], 3.0, atol=1e-9)
    with pytest.raises(ValueError, match="pairs"):
        statistics.paired_difference(episode, episode[1:])


def test_worst_episodes_are_named_by_seed():
    assert statistics.worst(np.array([-1.0, -9.0, -3.0]), np.array([7, 8, 9]), 2) == [8, 9]


def test_time_in_alert_is_what_lies_beyond_50_mhz_or_breaks_a_limit():
    """Two of four samples beyond 50 mHz are half; a broken limit puts all of the interval into alert."""
    df_hz = np.array([[0.049, -0.051, 0.080, 0.0]] * 2)
    np.testing.assert_array_equal(metrics.alert_share(df_hz, np.array([False, True])), [0.5, 1.0])
