"""The certificate of what could be reached, on short episodes and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from control.controllers.one_mass import one_mass
from control.evaluation.feasibility import (
    Constant,
    FollowPlan,
    adequacy,
    better,
    certify,
    unexplained_mw,
)
from control.evaluation.grid_record import ByPlant, Figures, limit_violations, masses, return_by_terms
from control.evaluation.rollout import rollout
from control.scenario.suites import SCENARIOS
from grid_model.dynamics.events import Event
from grid_model.power_flow.solution import governor_share
from marl.environment.batch import make_batch

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=30)


def test_range_and_ramp_are_those_of_all_plants():
    """5 x 50 + 8 x 75 + 7 x 40 = 1130 MW; 5 x 50 + 8 x 10 + 7 x 5 = 365 MW/min."""
    batch = make_batch(SHORT, 1, check=False)
    model = one_mass(batch.description)
    # A step of 400 MW after a minute (15 intervals): too fast, but within range; then 1200 MW: beyond it.
    imbalance_mw = np.repeat([0.0, -400.0, -1200.0, -1200.0], 15)[None, :]
    found = adequacy(model, imbalance_mw, np.array([[0.2, 0.9]]))
    assert found.fleet_range_mw == pytest.approx(1130.0)
    assert found.fleet_ramp_mw_per_min == pytest.approx(365.0)
    assert found.within_range == 0.5
    assert found.within_ramp == pytest.approx(
        1.0 / 3.0
    )  # 45 minute-long differences: 15 of 400, 15 of 800, 15 of 0
    assert (found.imbalance_worst_mw, found.change_per_min_worst_mw) == (1200.0, 800.0)
    assert (found.battery_energy_lowest, found.battery_energy_highest) == (0.2, 0.9)


def test_a_plan_is_followed_and_what_empty_batteries_leave_gas_takes_over():
    """Batteries asked for 250 MW run empty in minutes; the sum of all plants stays near what was planned."""
    pytest.importorskip("piqp", reason="needs the extra `piqp`")
    batch = make_batch(replace(SHORT, n_intervals=200, soc_start_min=0.1, soc_start_max=0.1), 1, check=False)
    observed = batch.reset(np.array([3]))
    planned_mw = np.zeros((1, 200, 3))
    planned_mw[0, :, 0] = np.minimum(np.arange(1, 201) * 2.0, 200.0)
    plan = FollowPlan(batch, planned_mw)
    for _ in range(200):
        action = plan.act(np.zeros((1, 20, 15)))
        batch.step({k: action[:, batch.case.resource.of_kind(k), None] for k in observed.observations})
    end = batch.last_result.resource_mw[0]
    assert end[:5].sum() < 1.0  # empty
    assert end[:5].sum() + end[5:13].sum() == pytest.approx(200.0, abs=3.0)  # lag of the gas plants
    assert np.all(end[13:] == 0.0)


def test_the_plan_beats_doing_nothing_and_breaks_no_limit():
    pytest.importorskip("piqp", reason="needs the extra `piqp`")
    batch = make_batch(SHORT, 2, check=False)
    found = certify(batch, np.array([5, 6]))
    # The one-mass program is a relaxation, up to the model's errors; the plan plays in the full simulator.
    assert np.all(found.planned.returns > found.idle.returns)
    assert np.all(found.program_return > found.idle.returns)
    assert not found.unavoidable.any()
    with pytest.raises(ValueError, match="expected one each"):
        certify(batch, np.array([5]))


def test_a_violation_that_every_course_of_action_meets_is_unavoidable():
    """Losing 34-35 lifts bus 35 above 1.10 pu, whatever 1130 MW elsewhere do."""
    pytest.importorskip("piqp", reason="needs the extra `piqp`")
    case = make_batch(SHORT, 1, check=False).case
    out = Event(time_s=8.0, kind="branch_out", index=case.branch.name.index("34-35"))
    batch = make_batch(replace(SHORT, n_intervals=8, events=(out,)), 1, check=False)
    found = certify(batch, np.array([5]))
    assert (
        found.unavoidable[0, :, 2].tolist() == [False] * 2 + [True] * 6
    )  # from the interval of the event on
    assert not found.unavoidable[0, :, :2].any()


def test_a_lost_grid_breaks_the_frequency_limits_to_the_end_of_its_episode():
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=3), 1, check=False)
    whole = rollout(Constant(batch, 0.0), ByPlant(batch), np.array([5]), Figures)
    violation = whole["violation"].copy()
    violation[0, 1:] = np.nan
    lost = replace(whole, n_played=np.array([1]), arrays={**whole.arrays, "violation": violation})
    found = limit_violations(lost)
    # Columns are frequency, branch, voltage and unserved load.
    assert found[0].tolist() == [[False] * 4, [True, False, False, False], [True, False, False, False]]


def test_what_the_model_does_not_explain_is_the_power_that_would_have_moved_it_so():
    """A frequency that runs ahead of the plan by 1 mHz an interval, inside the dead band, takes M x 1 mHz / 4 s."""
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=5), 1, check=False)
    played = rollout(Constant(batch, 0.0), ByPlant(batch), np.array([5]), Figures)
    model = replace(one_mass(batch.description), damping_mw_per_hz=0.0)
    ahead_hz = 1e-3 * np.arange(1, 6)[None, :]
    steady = replace(played, arrays={**played.arrays, "df_hz": np.zeros_like(played["df_hz"])})
    found = unexplained_mw([model], steady, -ahead_hz)
    np.testing.assert_allclose(found, model.inertia_mws_per_hz * 1e-3 / 4.0, rtol=1e-9)
    assert found.shape == (1, 6)


def test_a_bound_is_of_the_machines_in_service():
    """M = sum of 2 H S / f0 over the machines, each by its share in the schedule; so for the governors' gain.

    Beside it the frequency itself: in an interval without control M df/dt is the imbalance less D f, within what a
    straight line through the imbalance at the intervals' ends leaves, some 1 MW of load noise.
    """
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=12), 2, check=False)
    batch.reset(np.array([7, 9]))
    shares = [episode.committed_share[0] for episode in batch.loop.episode]
    idle = rollout(Constant(batch, 0.0), ByPlant(batch), np.array([7, 9]), Figures)
    model = one_mass(batch.description)
    machine = batch.case.machine
    for env, mass in enumerate(masses(model, idle)):
        inertia = 2.0 / 60.0 * (machine.h_s * machine.base_mva) @ shares[env]
        assert mass.inertia_mws_per_hz == pytest.approx(inertia, rel=1e-9)
        gain = 2500.0 * governor_share(machine) @ shares[env]
        assert mass.governor.gain_mw_per_hz == pytest.approx(gain, rel=1e-9)
        f_hz, d_mw = idle["df_hz"][env, :, -1], idle["imbalance_mw"][env]
        inside = np.abs(f_hz[1:]) < 0.017
        growth = mass.inertia_mws_per_hz * np.diff(f_hz) / 4.0
        power = 0.5 * (d_mw[1:] + d_mw[:-1]) - mass.damping_mw_per_hz * 0.5 * (f_hz[1:] + f_hz[:-1])
        np.testing.assert_allclose(growth[inside], power[inside], atol=4.0)


def test_an_episode_of_one_interval_counts_with_all_machines():
    """Nothing is known of the grid after it, as another episode has begun by then."""
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=1), 2, check=False)
    idle = rollout(Constant(batch, 0.0), ByPlant(batch), np.array([7, 9]), Figures)
    model = one_mass(batch.description)
    assert masses(model, idle) == [model, model]


def test_the_better_of_two_records_is_chosen_episode_by_episode():
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=4), 2, check=False)
    one = rollout(Constant(batch, 0.0), ByPlant(batch), np.array([5, 6]), Figures)
    change = np.array([[-1.0], [0.5]])
    other = replace(
        one,
        terms={name: x + change for name, x in one.terms.items()},
        arrays={**one.arrays, "soc": one["soc"] + 1.0},
    )
    both = better(one, other)
    np.testing.assert_allclose(
        return_by_terms(both), return_by_terms(one) + [0.0, 4 * 5 * 0.5], rtol=1e-12
    )  # intervals and terms
    np.testing.assert_array_equal(both["soc"], one["soc"] + np.array([[0.0], [1.0]]))


def test_driving_to_an_end_of_the_range_gets_there():
    batch = make_batch(SHORT, 1, check=False)
    observed = batch.reset(np.array([3]))
    up = Constant(batch, 1.0)
    for _ in range(20):
        action = up.act(np.zeros((1, 20, 15)))
        batch.step({k: action[:, batch.case.resource.of_kind(k), None] for k in observed.observations})
    assert batch.last_result.resource_mw[0, :5] == pytest.approx(50.0)
