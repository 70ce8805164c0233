"""Each kind of plant alone, and the fleet as a batch."""

from __future__ import annotations

import numpy as np
import pytest

from cases.case import Case
from cases.ieee68 import load_ieee68
from control.plants.battery import BatteryParameters, stopping_area
from control.plants.demand_response import DemandResponseParameters
from control.plants.fleet import Fleet, advance_fleet, capacity_utilisation, make_fleet, start_state
from control.plants.fleet_state import BESS, DR, GAS, FleetState
from control.plants.gas_turbine import GasTurbineParameters

INTERVAL_S = 4.0


@pytest.fixture(scope="module")
def case() -> Case:
    return load_ieee68()


@pytest.fixture(scope="module")
def fleet(case: Case) -> Fleet:
    return make_fleet(case, INTERVAL_S)


def run(fleet: Fleet, actions: np.ndarray, soc: float = 0.5) -> list[FleetState]:
    """States after each of the actions [interval, resource], of one environment."""
    states = [start_state(fleet, np.full((1, len(fleet.of_kind(BESS))), soc))]
    for action in actions:
        states.append(advance_fleet(states[-1], action[None], fleet)[0])
    return states


def test_there_are_five_batteries_eight_gas_plants_and_seven_demand_units(case: Case, fleet: Fleet) -> None:
    assert [len(fleet.of_kind(code)) for code in (BESS, GAS, DR)] == [5, 8, 7]
    bus_number = case.bus.bus_number[fleet.bus]
    assert list(bus_number[fleet.of_kind(BESS)]) == [53, 68, 36, 41, 50]


def test_a_full_action_moves_the_command_by_ramp_times_interval(fleet: Fleet) -> None:
    state, moved = advance_fleet(start_state(fleet, np.full((1, 5), 0.5)), np.ones((1, 20)), fleet)
    # 50, 10 and 5 MW a minute for 4 s.
    expected = np.array([50.0, 10.0, 5.0])[fleet.kind] * 4.0 / 60.0
    np.testing.assert_allclose(moved[0], expected, rtol=1e-12)
    np.testing.assert_allclose(state.set_point_mw[0], expected, rtol=1e-12)


def test_an_action_beyond_one_counts_as_one(fleet: Fleet) -> None:
    start = start_state(fleet, np.full((1, 5), 0.5))
    far, _ = advance_fleet(start, np.full((1, 20), -7.0), fleet)
    full, _ = advance_fleet(start, np.full((1, 20), -1.0), fleet)
    np.testing.assert_array_equal(far.set_point_mw, full.set_point_mw)


def test_stopping_takes_the_area_under_the_falling_set_point() -> None:
    # From 10 MW in steps of 4 MW each 4 s: 10, 6, 2, 0: trapezoids 32 + 16 + 4.
    assert stopping_area(10.0, 4.0, 4.0) == pytest.approx(52.0, rel=1e-14)
    assert stopping_area(8.0, 4.0, 4.0) == pytest.approx(4.0 * (6.0 + 2.0), rel=1e-14)
    assert stopping_area(0.0, 4.0, 4.0) == 0.0


def test_a_battery_that_discharges_comes_to_rest_just_before_it_is_empty(fleet: Fleet) -> None:
    states = run(fleet, np.ones((700, 20)), soc=0.5)
    energy = states[-1].energy_mwh[0, fleet.of_kind(BESS)]
    assert np.all(energy >= 0.0)
    # What is left is the guard and the search's tolerance: 1e-9 MWh, and 1e-9 MW over a few intervals.
    assert np.all(energy < 1e-8)
    np.testing.assert_allclose(states[-1].output_mw[0, fleet.of_kind(BESS)], 0.0, atol=1e-3)
    assert max(s.set_point_mw[0, 0] for s in states) == 50.0


def test_a_round_trip_through_a_battery_loses_what_its_efficiencies_say(fleet: Fleet) -> None:
    """Out and back at the same power: stored energy falls by E (1/0.92 - 0.92)."""
    up, wait, down = np.ones((6, 20)), np.zeros((60, 20)), -np.ones((6, 20))
    states = run(fleet, np.concatenate([up, wait, down, down, wait, up, np.zeros((20, 20))]))
    # Set-point: 20 MW for 66 intervals between its ramps, then the same below zero; trapezoid 66 x 4 s x 20 MW.
    energy_mwh = 66.0 * 4.0 * 20.0 / 3600.0
    change = states[-1].energy_mwh[0, 0] - states[0].energy_mwh[0, 0]
    # The sign changes 0.3 s late, which moves under 20/6 MW x 0.3 s x 0.3 s / 3600 = 1e-4 MWh to the other side.
    assert change == pytest.approx(energy_mwh * (0.92 - 1.0 / 0.92), abs=2e-4)


def test_a_gas_plant_stays_between_minimum_load_and_rating(case: Case) -> None:
    low = make_fleet(
        case, INTERVAL_S, gas_turbine=GasTurbineParameters(operating_point_mw=130.0, p_min_mw=100.0)
    )
    states = run(low, -np.ones((200, 20)))
    assert states[-1].set_point_mw[0, low.of_kind(GAS)[0]] == -30.0
    high = make_fleet(case, INTERVAL_S, gas_turbine=GasTurbineParameters(operating_point_mw=220.0))
    states = run(high, np.ones((200, 20)))
    assert states[-1].set_point_mw[0, high.of_kind(GAS)[0]] == 30.0


def test_a_gas_plant_that_does_not_run_does_nothing(case: Case) -> None:
    idle = make_fleet(case, INTERVAL_S, gas_turbine=GasTurbineParameters(running=False))
    states = run(idle, np.ones((10, 20)))
    assert np.all(states[-1].output_mw[0, idle.of_kind(GAS)] == 0.0)
    assert np.all(capacity_utilisation(states[-1], idle)[0, idle.of_kind(GAS)] == 0.0)


def test_demand_response_pays_back_all_that_it_took(fleet: Fleet) -> None:
    up, hold, down, rest = np.ones((60, 20)), np.zeros((150, 20)), -np.ones((60, 20)), np.zeros((6000, 20))
    states = run(fleet, np.concatenate([up, hold, down, rest]))
    unit = fleet.of_kind(DR)[0]
    owed = [s.energy_mwh[0, unit] for s in states]
    output = np.array([s.output_mw[0, unit] for s in states])
    assert max(owed) > 2.0  # MWh: about 20 MW for 14 minutes, part of it paid back meanwhile
    assert output.max() > 15.0
    assert output.min() < -1.0  # the load rises above normal
    # 24,000 s of rest are 13 rebound times: e^-13 of a few MWh.
    assert abs(owed[-1]) < 1e-4


def test_a_long_hold_of_demand_response_wears_off_with_the_rebound_time(fleet: Fleet) -> None:
    """With T << τ, u falls as c exp(-t/τ) once c is constant, apart from the start."""
    states = run(fleet, np.concatenate([np.ones((30, 20)), np.zeros((900, 20))]))
    unit = fleet.of_kind(DR)[0]
    early, late = states[100].output_mw[0, unit], states[550].output_mw[0, unit]  # 1800 s apart
    # The set-point follows E in steps of 4 s and with a lag of 4 s: (4 + 4/2)/1800 of the exponent.
    assert late / early == pytest.approx(np.exp(-1.0), rel=5e-3)


def test_utilisation_is_state_of_charge_or_share_of_the_range(fleet: Fleet) -> None:
    state = run(fleet, np.ones((300, 20)), soc=0.7)[-1]
    use = capacity_utilisation(state, fleet)[0]
    np.testing.assert_allclose(use[fleet.of_kind(BESS)], state.energy_mwh[0, :5] / 25.0)
    np.testing.assert_allclose(use[fleet.of_kind(GAS)], state.output_mw[0, 5:13] / 75.0)


def test_a_batch_of_eight_equals_eight_runs_of_one(fleet: Fleet) -> None:
    rng = np.random.default_rng(6)
    soc, actions = rng.uniform(0.0, 1.0, (8, 5)), rng.uniform(-1, 1, (100, 8, 20))
    batch = start_state(fleet, soc)
    for action in actions:
        batch, _ = advance_fleet(batch, action, fleet)
    for env in range(8):
        single = start_state(fleet, soc[env : env + 1])
        for action in actions:
            single, _ = advance_fleet(single, action[env : env + 1], fleet)
        np.testing.assert_array_equal(single.energy_mwh[0], batch.energy_mwh[env])
        np.testing.assert_array_equal(single.output_mw[0], batch.output_mw[env])


def test_a_reset_puts_only_the_named_environments_back_on_schedule(fleet: Fleet) -> None:
    state = fleet.start(3)
    fleet.advance(state, np.ones((3, 20)))
    before = state.copy()
    fleet.reset(state, np.array([1]), np.full((1, 5), 0.3))
    np.testing.assert_array_equal(state.output_mw[[0, 2]], before.output_mw[[0, 2]])
    assert np.all(state.set_point_mw[1] == 0.0)
    np.testing.assert_allclose(fleet.state_of_charge(state)[1], 0.3)


def test_a_saved_state_goes_on_to_the_bit(fleet: Fleet) -> None:
    rng = np.random.default_rng(7)
    state = run(fleet, rng.uniform(-1, 1, (20, 20)))[-1]
    again = fleet.start(1)
    again.set_state(state.get_state())
    action = rng.uniform(-1, 1, (1, 20))
    np.testing.assert_array_equal(
        advance_fleet(state, action, fleet)[0].output_mw, advance_fleet(again, action, fleet)[0].output_mw
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatteryParameters(energy_mwh=0.0), "energy_mwh = 0.0, expected > 0"),
        (lambda: BatteryParameters(charging_efficiency=1.2), "charging_efficiency = 1.2"),
        (lambda: GasTurbineParameters(operating_point_mw=50.0), "operating_point_mw = 50.0"),
        (lambda: DemandResponseParameters(rebound_s=-1.0), "rebound_s = -1.0"),
    ],
)
def test_parameters_that_cannot_be_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_a_state_of_charge_beyond_one_is_refused(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        start_state(fleet, np.full((1, 5), 1.01))
