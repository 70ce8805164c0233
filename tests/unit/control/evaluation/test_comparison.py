"""Figures of a hand-made trial, and whole episodes that do not depend on their company."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.controllers.simple import DoNothing, RandomActions
from control.evaluation.comparison import area_bias_mw_per_decihertz, episode_figures, paired, summary
from control.evaluation.rollout import SAMPLES_PER_INTERVAL, Trial, play_returns, play_trial, tie_schedule_mw
from control.scenario.suites import NORMAL
from marl.environment.batch import make_batch


@pytest.fixture(scope="module")
def case():
    return load_ieee68()


def two_intervals(n: int = 30) -> Trial:
    """One episode of n intervals at -20 mHz, all areas alike, with round numbers elsewhere."""
    ones, df = np.ones((1, n)), -0.02
    return Trial(
        seed=np.array([7]),
        interval_s=4.0,
        n_played=np.array([n]),
        term=np.tile(np.array([-3.0, -2.0, -1.0, 0.0, 0.0]), (1, n, 1)),
        df_hz=np.full((1, n * SAMPLES_PER_INTERVAL), df),
        sum_bus_square_hz2=68.0 * df**2 * ones,
        max_abs_df_hz=0.02 * ones,
        within_36_mhz=ones,
        within_200_mhz=ones,
        area_df_hz=np.full((1, n, 5), df),
        interchange_mw=np.zeros((1, n, 5)),
        output_mw=np.tile(np.array([90.0, 45.0, -45.0]), (1, n, 1)),
        moved_mw=np.tile(np.array([1.0, 2.0, 0.0]), (1, n, 1)),
        soc=0.4 * ones,
        violation=np.tile(np.array([0.0, 1.0, 0.0]), (1, n, 1)),
        unserved_mw=30.0 * ones,
        imbalance_mw=0.0 * ones,
    )


def test_figures_of_a_steady_episode_by_hand(case):
    """30 intervals of 4 s are 2 min.

    With no interchange, ACE = -10 B Df, so ACE / (-10 B) = Df = -20 mHz in every area and
    CF = 0.02^2 / 0.018^2 = 1.2346, CPS1 = 76.5 %. 90 MW for 120 s are 3 MWh; 30 MW not served are 1 MWh.
    """
    found = episode_figures(two_intervals(), case)
    assert found["return"][0] == -180.0
    assert found["cost"][0] == 90.0
    assert found["mean_square_mhz2"][0] == pytest.approx(400.0)
    assert found["p95_mhz"][0] == pytest.approx(20.0)
    assert found["nadir_mhz"][0] == pytest.approx(-20.0)
    assert found["rocof_mhz_per_s"][0] == 0.0
    assert found["violations"][0] == found["violations_branch"][0] == 30.0
    assert found["unserved_mwh"][0] == pytest.approx(1.0)
    assert found["energy_mwh_bess"][0] == pytest.approx(3.0)
    assert found["energy_mwh_dr"][0] == pytest.approx(1.5)
    assert found["moved_mw_gas"][0] == 60.0
    assert found["cps1_percent"][0] == pytest.approx(100.0 * (2.0 - (20.0 / 18.0) ** 2))
    assert found["histogram"][0].sum() == 30 * SAMPLES_PER_INTERVAL
    table = summary(found, np.array([7]))
    assert table["rms_mhz"] == pytest.approx(20.0)
    assert table["worst_seeds"] == [7]
    assert table["return_ci95"] == [-180.0, -180.0]


def test_a_lost_grid_is_outside_the_band_for_the_rest_of_its_episode(case):
    whole = two_intervals(20)
    within = np.where(np.arange(20) < 5, 1.0, np.nan)[None, :]
    lost = replace(whole, n_played=np.array([5]), within_36_mhz=within, within_200_mhz=within)
    found = episode_figures(lost, case)
    assert found["lost"][0] == 1.0
    assert found["within_36_mhz"][0] == found["within_200_mhz"][0] == 0.25


def test_bias_of_all_areas_together_is_the_response_of_the_grid(case):
    """304 MW/Hz of damping at nominal load, of which 59 %, and 2500 MW/Hz of governors."""
    damping = 0.59 * case.load.p_mw.sum() / 60.0
    assert area_bias_mw_per_decihertz(case).sum() == pytest.approx(-0.1 * (damping + 2500.0))


def test_scheduled_interchanges_sum_to_zero_and_grow_with_the_load(case):
    schedule = tie_schedule_mw(case, np.array([case.load.p_mw.sum(), 0.5 * case.load.p_mw.sum()]))
    # Sums of 1e4 MW in float64.
    np.testing.assert_allclose(schedule.sum(axis=1), 0.0, atol=1e-8)
    np.testing.assert_allclose(schedule[1], 0.5 * schedule[0], rtol=1e-9)


def test_differences_are_taken_episode_by_episode():
    figures = {
        "a": {"return": np.array([-1.0, -101.0, -51.0])},
        "b": {"return": np.array([-3.0, -103.0, -53.0])},
    }
    found = paired(figures, "b")
    assert list(found) == ["a"]
    assert found["a"]["mean"] == pytest.approx(2.0)
    np.testing.assert_allclose(found["a"]["ci95"], [2.0, 2.0], rtol=1e-12)


def test_an_episode_of_a_trial_does_not_depend_on_its_company():
    short = replace(NORMAL, n_intervals=8)
    three, two = (make_batch(short, n, check=False) for n in (3, 2))
    together = play_trial(RandomActions(three.loop.fleet, 3), three, np.array([1, 2, 3]))
    in_batches = play_trial(RandomActions(two.loop.fleet, 2), two, np.array([3, 2, 1]))
    np.testing.assert_array_equal(together.returns, in_batches.returns[::-1])
    np.testing.assert_array_equal(together.df_hz, in_batches.df_hz[::-1])
    # The sum of rewards is that of the terms, whose order of summation differs.
    quick = play_returns(RandomActions(three.loop.fleet, 3), three, np.array([1, 2, 3]))
    np.testing.assert_allclose(quick, together.returns, rtol=1e-12)
    # What is to be balanced does not depend on who acts, but for losses, which follow flows and frequency.
    idle = play_trial(DoNothing(three.loop.fleet, 3), three, np.array([1, 2, 3]))
    np.testing.assert_allclose(idle.imbalance_mw, together.imbalance_mw, atol=2.0)
    assert not np.isnan(idle.imbalance_mw).any()


def test_a_trial_survives_being_saved():
    trial = two_intervals()
    again = Trial.load(trial.save())
    assert again.interval_s == 4.0
    np.testing.assert_array_equal(again.term, trial.term)
