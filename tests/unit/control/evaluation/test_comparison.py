"""Figures of a hand-made record, and whole episodes that do not depend on their company."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.controllers.agc import area_bias_mw_per_decihertz
from control.controllers.simple import DoNothing, RandomActions
from control.evaluation.comparison import (
    compared,
    episode_figures,
    paired,
    summary,
    without_events,
)
from control.evaluation.grid_record import (
    SAMPLES_PER_INTERVAL,
    ByPlant,
    Figures,
    Traces,
    return_by_terms,
)
from control.evaluation.rollout import Plain, Record, rollout
from control.scenario.suites import NORMAL
from control.task.area_telemetry import tie_schedule_mw
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import swing_of
from marl.environment.batch import make_batch


@pytest.fixture(scope="module")
def case():
    return load_ieee68()


def two_minutes(n: int = 30) -> Record:
    """One episode of n intervals at -20 mHz, all areas alike, with round numbers elsewhere."""
    ones, df = np.ones((1, n)), -0.02
    reward = {"frequency": -3.0, "movement": -2.0, "effort": -1.0, "violations": 0.0, "lost": 0.0}
    return Record(
        seed=np.array([7]),
        interval_s=4.0,
        n_played=np.array([n]),
        terminated=np.array([False]),
        reward=-6.0 * ones,
        terms={f"reward_{name}": value * ones for name, value in reward.items()},
        arrays={
            "df_hz": np.full((1, n, SAMPLES_PER_INTERVAL), df),
            "lowest_hz": df * ones,
            "highest_hz": 0.01 * ones,
            "rocof_hz_per_s": 0.03 * ones,
            "alert": np.where(np.arange(n) < 3, 0.5, 0.0)[None, :],
            "rebound_mw": 0.1 * ones,
            "sum_bus_square_hz2": 68.0 * df**2 * ones,
            "max_abs_df_hz": 0.02 * ones,
            "within_36_mhz": ones,
            "within_200_mhz": ones,
            "area_df_hz": np.full((1, n, 5), df),
            "interchange_mw": np.zeros((1, n, 5)),
            "output_mw": np.tile(np.array([90.0, 45.0, -45.0]), (1, n, 1)),
            "moved_mw": np.tile(np.array([1.0, 2.0, 0.0]), (1, n, 1)),
            "soc": 0.4 * ones,
            "violation": np.tile(np.array([0.0, 1.0, 0.0, 0.0]), (1, n, 1)),
            "unserved_mw": 30.0 * ones,
            "imbalance_mw": 0.0 * ones,
        },
    )


def test_figures_of_a_steady_episode_by_hand(case):
    """30 intervals of 4 s are 2 min.

    With no interchange, ACE = -10 B Df, so ACE / (-10 B) = Df = -20 mHz in every area and
    CF = 0.02^2 / 0.018^2 = 1.2346, CPS1 = 76.5 %. 90 MW for 120 s are 3 MWh; 30 MW not served are 1 MWh.
    """
    found = episode_figures(two_minutes(), case)
    assert found["return"][0] == -180.0
    assert found["cost"][0] == 90.0
    assert found["mean_square_mhz2"][0] == pytest.approx(400.0)
    assert found["p95_mhz"][0] == pytest.approx(20.0)
    assert found["nadir_mhz"][0] == pytest.approx(20.0)  # by size
    assert found["lowest_mhz"][0] == pytest.approx(-20.0)
    assert found["highest_mhz"][0] == pytest.approx(10.0)
    assert found["rocof_mhz_per_s"][0] == pytest.approx(30.0)
    assert found["alert_s"][0] == pytest.approx(3 * 2.0)  # half of three intervals of 4 s
    assert found["rebound_mw_dr"][0] == pytest.approx(3.0)  # beside what was commanded
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
    whole = two_minutes(20)
    within = np.where(np.arange(20) < 5, 1.0, np.nan)[None, :]
    lost = replace(
        whole,
        n_played=np.array([5]),
        terminated=np.array([True]),
        arrays={**whole.arrays, "within_36_mhz": within, "within_200_mhz": within},
    )
    found = episode_figures(lost, case)
    assert found["lost"][0] == 1.0
    assert found["within_36_mhz"][0] == found["within_200_mhz"][0] == 0.25


def test_bias_of_all_areas_together_is_the_response_of_the_grid(case):
    """304 MW/Hz of damping at nominal load, of which 59 %, and 2500 MW/Hz of governors."""
    damping = 0.59 * case.load.p_mw.sum() / 60.0
    assert area_bias_mw_per_decihertz(case, swing_of(case), 0.59).sum() == pytest.approx(
        -0.1 * (damping + 2500.0)
    )


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


def test_differences_are_told_without_violations_too_where_there_were_any():
    """By hand: 2 ahead in each episode but the last, where a limit broken once more costs 10,000."""
    figures = {
        "a": {
            "return": np.array([-1.0, -101.0, -20_051.0]),
            "reward_violations": np.array([0.0, 0.0, -20_000.0]),
        },
        "b": {
            "return": np.array([-3.0, -103.0, -10_053.0]),
            "reward_violations": np.array([0.0, 0.0, -10_000.0]),
        },
    }
    found = paired(figures, "b")["a"]
    assert found["mean"] == pytest.approx((2.0 + 2.0 - 9_998.0) / 3.0)
    assert found["without_violations"]["mean"] == pytest.approx(2.0)
    np.testing.assert_allclose(found["without_violations"]["ci95"], [2.0, 2.0], rtol=1e-9)
    for own in figures.values():
        own["reward_violations"] = np.zeros(3)
    assert "without_violations" not in paired(figures, "b")["a"]


def test_neighbours_are_compared_in_the_order_of_the_table_and_the_bound_is_nobodys():
    """Costs by hand: b is 1.25 times full information, a twice b, and the bound is left out of the chain."""
    full = np.array([-4.0, -8.0, -40.0])
    figures = {
        "a": {"return": 2.5 * full, "return_without_events": 2.5 * full + 4.0},
        "bound": {"return": 0.5 * full},
        "full": {"return": full, "return_without_events": full + 2.0},
        "b": {"return": 1.25 * full, "return_without_events": 1.25 * full + 2.0},
    }
    found = compared(figures, "full", "bound")
    ratio = [found[k]["cost_ratio_to_full_information"] for k in ("a", "b", "full")]
    np.testing.assert_allclose(ratio, [2.5, 1.25, 1.0], rtol=1e-12)  # rounding of sums
    np.testing.assert_allclose(found["a"]["cost_ratio_ci95"], 2.5, rtol=1e-12)
    assert found["full"]["paired_log_ratio_to_previous"] is None
    assert found["bound"]["paired_difference_to_previous"] is None
    log = found["a"]["paired_log_ratio_to_previous"]
    assert log["to"] == "b"
    assert log["mean"] == pytest.approx(np.log(2.0), rel=1e-12)
    assert found["b"]["paired_difference_to_previous"]["mean"] == pytest.approx(0.25 * full.mean())
    # Costs sum to 52 and 65, each less 2 in three episodes; of the bound nothing is known there.
    assert found["b"]["without_events"]["cost_ratio_to_full_information"] == pytest.approx(
        (65.0 - 6.0) / (52.0 - 6.0)
    )
    assert "without_events" not in found["bound"]


def test_without_events_the_three_intervals_from_each_on_do_not_count_but_a_lost_grid_does():
    """30 intervals at 6 each. An event at 9 s falls into the third; of what a lost grid costs nothing is forgiven."""
    record = replace(two_minutes(), marks=(((9.0, "G6 lost"),),))
    assert without_events(record)[0] == -6.0 * 27
    lost = record.terms["reward_lost"].copy()
    lost[0, 3] = -1000.0
    record = replace(record, terms={**record.terms, "reward_lost": lost})
    assert without_events(record)[0] == -6.0 * 27 - 1000.0
    assert without_events(replace(record, marks=((),)))[0] == -6.0 * 30 - 1000.0


def test_an_episode_of_a_record_does_not_depend_on_its_company():
    short = replace(NORMAL, n_intervals=8)
    three, two = (make_batch(short, n, check=False) for n in (3, 2))

    def played(actor, batch, seeds, detail=Figures):
        return rollout(actor(batch.loop.fleet, batch.n_env), ByPlant(batch), np.array(seeds), detail)

    together, in_batches = played(RandomActions, three, [1, 2, 3]), played(RandomActions, two, [3, 2, 1])
    np.testing.assert_array_equal(together.returns, in_batches.returns[::-1])
    np.testing.assert_array_equal(together["df_hz"], in_batches["df_hz"][::-1])
    # The sum of rewards is that of the terms, whose order of summation differs.
    np.testing.assert_allclose(together.returns, return_by_terms(together), rtol=1e-12)
    np.testing.assert_array_equal(played(RandomActions, three, [1, 2, 3], Plain).returns, together.returns)
    # What is to be balanced does not depend on who acts, but for losses, which follow flows and frequency.
    idle = played(DoNothing, three, [1, 2, 3])
    np.testing.assert_allclose(idle["imbalance_mw"], together["imbalance_mw"], atol=2.0)
    assert not np.isnan(idle["imbalance_mw"]).any()


def test_traces_are_the_grid_at_the_ends_of_the_intervals():
    """An outage planned for 10 s shows in the third interval of 4 s: its circuit carries nothing from then on."""
    case = load_ieee68()
    row = case.branch.name.index("34-35")
    out = Event(time_s=10.0, kind="branch_out", index=row)
    batch = make_batch(replace(NORMAL, n_intervals=6, events=(out,)), 1, auto_reset=False, check=False)
    record = rollout(DoNothing(batch.loop.fleet, 1), ByPlant(batch), np.array([3]), Traces)
    assert record.time_s().tolist() == [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]
    assert record.happened() == ((10.0, "34-35 lost"),)
    assert record["bus_df_hz"].shape == (1, 6, 68)
    assert (record["loading_percent"][0, :, row] > 0.0).tolist() == [True, True, False, False, False, False]
    assert record["branch_on"][0, :, row].tolist() == [1, 1, 0, 0, 0, 0]
    assert record["branch_on"][0].sum(axis=1).tolist() == [case.n_branch] * 2 + [case.n_branch - 1] * 4
    assert record["machine_on"].all()
    # Against rating A throughout: what the neighbours carry does not seem to fall by a sixth with the outage.
    others = np.delete(record["loading_percent"][0], row, axis=1).max(axis=1)
    assert others[2] > 0.95 * others[1]
    assert not record["resource_mw"].any()
    with pytest.raises(KeyError, match=r"no 'df_hz', only bus_df_hz.*more detail"):
        record["df_hz"]
