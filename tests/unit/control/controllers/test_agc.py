"""Area control error, PI law and PI-AGC against the textbook's steady states and numbers worked by hand."""

import numpy as np
import pytest

from builders import described
from control.controllers.agc import (
    AgcParameters,
    PiAgc,
    area_control_error_mw,
    frequency_bias_mw_per_decihertz,
    low_pass,
    outside_dead_band,
    pi_demand,
    textbook_parameters,
)
from control.controllers.base import DF_HZ, OWN_OUTPUT, SYSTEM_DF, UTILISATION, SetPoints
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.parameters import SwingConfig


@pytest.fixture(scope="module")
def task():
    return described()


@pytest.fixture(scope="module")
def fleet(task):
    return task.fleet


def test_the_bias_is_the_grids_own_response_to_three_digits(task):
    """1 % of load per % of frequency at 0.59 x 18234 MW are 179.3 MW/Hz; with 2500 MW/Hz of governors 2679 -> 2680."""
    assert frequency_bias_mw_per_decihertz(task) == -268.0
    # Twice the damping and 1000 MW/Hz of governors: 2 x 179.3 + 1000 = 1358.6 -> 1360.
    stiff = SwingConfig(load_damping=2.0, governor=GovernorConfig(gain_mw_per_hz=1000.0))
    assert frequency_bias_mw_per_decihertz(described(swing=stiff)) == -136.0


def two_areas(with_agc: bool, duration_s: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Two areas with droop; 200 MW of load are added in the first. Returns Df [area], tie flow, AGC power [area].

    M = 1000 and 1500 MW s/Hz, D = 50 and 100, droop 1/R = 950 and 1900 MW/Hz with a 5 s turbine, so the areas'
    frequency response beta = D + 1/R is 1000 and 2000 MW/Hz; the tie is 2 pi T = 500 MW/(Hz s).
    """
    m, d, per_r = np.array([1000.0, 1500.0]), np.array([50.0, 100.0]), np.array([950.0, 1900.0])
    load_mw = np.array([200.0, 0.0])
    df, turbine, agc, integral = np.zeros((4, 2))
    tie, dt_s, interval_s = 0.0, 0.02, 4.0
    for step in range(round(duration_s / dt_s)):
        if with_agc and step % round(interval_s / dt_s) == 0:
            # B = -beta / 10 for each area: what the ties show of the other area's trouble then cancels.
            ace = area_control_error_mw(np.array([tie, -tie]), 0.0, df, -(d + per_r) / 10.0)
            agc, integral = pi_demand(ace, integral, 0.1, 60.0, interval_s, -500.0, 500.0)
        turbine = turbine + dt_s / 5.0 * (agc - per_r * df - turbine)
        df = df + dt_s / m * (turbine - load_mw - d * df - np.array([tie, -tie]))
        tie = tie + dt_s * 500.0 * (df[0] - df[1])
    return df, tie, agc


def test_without_agc_two_areas_share_a_load_step_by_their_response():
    """Df = -200 / (1000 + 2000) Hz; the other area sends beta_2 of it: tie = -133.3 MW (Kundur 1994, sec. 11.1.5)."""
    df_hz, tie_mw, _ = two_areas(False, 300.0)
    # The slowest mode decays within 60 s, so nothing is left of it.
    np.testing.assert_allclose(df_hz, -200.0 / 3000.0, rtol=1e-4)
    assert tie_mw == pytest.approx(-200.0 * 2000.0 / 3000.0, rel=1e-4)


def test_pi_agc_of_two_areas_restores_frequency_and_tie_and_leaves_the_work_to_the_area_of_the_load():
    """In steady state ACE is zero in both areas, hence Df = 0, tie = 0, and area 1 makes the 200 MW itself."""
    df_hz, tie_mw, agc_mw = two_areas(True, 1200.0)
    # Errors decay with the integral's 60 s: exp(-1200 / 60) = 2e-9 of 200 MW is left.
    np.testing.assert_allclose(df_hz, 0.0, atol=1e-6)
    assert tie_mw == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(agc_mw, [200.0, 0.0], atol=1e-3)


def test_ace_of_an_area_that_helps_exactly_as_its_bias_says_is_zero():
    """10 MW more export than scheduled at -20 mHz with B = -50 MW/0.1 Hz: 10 - 10 (-50) (-0.02) = 0."""
    assert area_control_error_mw(110.0, 100.0, np.array(-0.02), -50.0) == pytest.approx(0.0)
    assert area_control_error_mw(100.0, 100.0, np.array(0.01), -50.0) == pytest.approx(5.0)


def test_low_pass_reaches_63_percent_after_its_time_and_passes_all_without_one():
    assert low_pass(np.array(0.0), np.array(1.0), 4.0, 4.0) == pytest.approx(1.0 - np.exp(-1.0))
    assert low_pass(np.array(0.0), np.array(1.0), 4.0, 0.0) == 1.0


def test_dead_band_takes_its_width_from_both_sides():
    np.testing.assert_allclose(outside_dead_band(np.array([-5.0, -1.0, 3.0]), 2.0), [-3.0, 0.0, 1.0])


def test_integral_stands_still_while_the_plants_can_give_no_more_and_comes_back_at_once():
    integral = np.array([0.0])
    for _ in range(1000):
        demand, integral = pi_demand(np.array([-50.0]), integral, 0.1, 20.0, 4.0, -100.0, 100.0)
    assert demand[0] == 100.0
    assert integral[0] == pytest.approx(95.0)  # with 0.1 x 50 MW of the proportional part at the limit
    demand, _ = pi_demand(np.array([50.0]), integral, 0.1, 20.0, 4.0, -100.0, 100.0)
    assert demand[0] == pytest.approx(95.0 - 10.0 - 5.0)


def observation_of(fleet, df_hz: float, output_mw: np.ndarray) -> np.ndarray:
    seen = np.zeros((1, fleet.n_resource, 15))
    seen[:, :, SYSTEM_DF] = df_hz / DF_HZ
    seen[:, :, OWN_OUTPUT] = output_mw / fleet.range_mw
    seen[:, fleet.bess, UTILISATION] = 0.0  # half full
    return seen


def test_textbook_agc_moves_every_plant_in_proportion_to_its_range(task, fleet):
    agc = PiAgc(task, 1, textbook_parameters(fleet))
    state = fleet.start(1)
    for _ in range(60):
        fleet.advance(state, agc.act(observation_of(fleet, -0.001, state.output_mw)))
    share = state.command_mw[0] / fleet.high_mw
    assert share.min() > 0.0
    np.testing.assert_allclose(share, share[0], rtol=1e-9)


def test_batteries_hand_over_to_gas(task, fleet):
    """A lasting deviation: batteries act first, in the end they rest and gas carries its share of the slow part."""
    agc = PiAgc(task, 1, AgcParameters(gain=0.5, time_s=1e9, handover_s=60.0, slow_gas=1.0))
    state = fleet.start(1)
    total = []
    for _ in range(300):
        fleet.advance(state, agc.act(observation_of(fleet, -0.03, state.output_mw)))
        total.append([state.command_mw[0, fleet.kind == code].sum() for code in (0, 1, 2)])
    bess, gas, dr = np.array(total).T
    demand_mw = 0.5 * 2680.0 * 0.03  # C beta Df = 40.2 MW
    # In 4 s batteries can move 16.7 MW; after three intervals they stand where the demand is.
    assert bess[3] > 0.7 * demand_mw
    np.testing.assert_allclose([bess[-1], gas[-1], dr[-1]], [0.0, demand_mw, 0.0], atol=1e-3)


def test_set_points_know_the_commands_of_the_plants_whatever_is_asked(fleet):
    rng = np.random.default_rng(0)
    tracked, state = SetPoints(fleet, 1), fleet.start(1)
    for _ in range(200):
        tracked.observe(observation_of(fleet, 0.0, state.output_mw))
        action = tracked.towards(rng.uniform(-100.0, 100.0, (1, fleet.n_resource)))
        assert np.abs(action).max() <= 1.0 + 1e-12
        fleet.advance(state, action)
        np.testing.assert_allclose(tracked.command_mw, state.command_mw, atol=1e-9)


def test_set_points_notice_a_battery_that_is_empty(fleet):
    tracked, state = SetPoints(fleet, 1), fleet.start(1)
    for _ in range(700):  # 47 minutes at full power empty half a battery
        tracked.observe(observation_of(fleet, 0.0, state.output_mw))
        fleet.advance(state, tracked.towards(np.full((1, fleet.n_resource), 50.0)))
    tracked.observe(observation_of(fleet, 0.0, state.output_mw))
    # The controller sees the output; it differs from the command by what the 0.3 s lag leaves of a step.
    np.testing.assert_allclose(tracked.command_mw[0, fleet.bess], state.command_mw[0, fleet.bess], atol=0.3)
