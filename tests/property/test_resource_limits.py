"""No sequence of actions breaks a limit of a resource, and every MWh is accounted for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson

from cases.ieee68 import load_ieee68
from control.plants.battery import BatteryParameters
from control.plants.demand_response import DemandResponseParameters
from control.plants.fleet import advance_fleet, make_fleet, start_state
from control.plants.fleet_state import BESS, DR, GAS
from control.plants.gas_turbine import GasTurbineParameters

CASE = load_ieee68()
# Small batteries reach their limits within a short sequence; a slow one tests the anticipation of the lag.
FLEETS = {
    "as designed": make_fleet(CASE, 4.0),
    "small batteries": make_fleet(CASE, 4.0, battery=BatteryParameters(energy_mwh=0.2)),
    "slow batteries": make_fleet(CASE, 4.0, battery=BatteryParameters(energy_mwh=0.5, lag_s=10.0)),
    "tiny, nearly lossless": make_fleet(
        CASE,
        2.0,
        battery=BatteryParameters(energy_mwh=0.01, charging_efficiency=1.0, discharging_efficiency=0.99),
    ),
    # Ranges that are reached within a few intervals, cut by minimum load on one side and by the rating on the other.
    "gas near minimum load, quick demand response": make_fleet(
        CASE,
        4.0,
        gas_turbine=GasTurbineParameters(
            ramp_mw_per_min=60.0, operating_point_mw=105.0, p_max_mw=120.0, lag_s=2.0
        ),
        demand_response=DemandResponseParameters(
            ramp_mw_per_min=80.0, depth_mw=15.0, lag_s=1.0, rebound_s=60.0
        ),
    ),
    "gas at rest": make_fleet(CASE, 4.0, gas_turbine=GasTurbineParameters(running=False)),
}
ROUNDING_MW = 1e-12  # of sums of set-points of some 50 MW


@pytest.mark.parametrize("which", list(FLEETS))
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    soc=st.floats(0.0, 1.0),
    persistence=st.integers(1, 60),
    extreme=st.booleans(),
)
def test_every_limit_holds_for_any_actions(
    which: str, seed: int, soc: float, persistence: int, extreme: bool
) -> None:
    fleet = FLEETS[which]
    rng = np.random.default_rng(seed)
    draws = rng.uniform(-1.5, 1.5, (1 + 240 // persistence, 20))
    actions = np.repeat(np.sign(draws) if extreme else draws, persistence, axis=0)[:240]
    state = start_state(fleet, np.full((1, 5), soc))
    batteries, gas, demand = (fleet.of_kind(code) for code in (BESS, GAS, DR))
    for action in actions:
        after, moved = advance_fleet(state, action[None], fleet)
        for name in ("command_mw", "set_point_mw"):
            value = getattr(after, name)[0]
            assert np.all((value >= fleet.low_mw) & (value <= fleet.high_mw)), name
            change = np.abs(value - getattr(state, name)[0])
            assert np.all(change <= fleet.step_mw + ROUNDING_MW), name
        assert np.all((after.output_mw[0] >= fleet.low_mw) & (after.output_mw[0] <= fleet.high_mw))
        np.testing.assert_array_equal(moved, after.command_mw - state.command_mw)
        energy = after.energy_mwh[0, batteries]
        assert np.all((energy >= 0.0) & (energy <= fleet.energy_mwh[batteries]))
        # Depth x rebound time, plus what moves within the lag and the interval: see demand_response.py.
        most_owed_mwh = fleet.high_mw[demand] * (fleet.rebound_s[demand] + 12.0) / 3600.0
        assert np.all(np.abs(after.energy_mwh[0, demand]) <= most_owed_mwh)
        assert np.isfinite(after.energy_mwh[0, gas]).all()
        state = after


@pytest.mark.parametrize("which", list(FLEETS))
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), soc=st.floats(0.0, 1.0))
def test_energy_balances_to_1e_9(which: str, seed: int, soc: float) -> None:
    """What is stored at the end is what was stored at first, less what went out, plus what came in.

    Against Simpson's rule on 20,001 points of the solution of the lag equation; where the output passes
    through zero at up to 2 MW/s it errs by 2 x (2e-4)² MW s, 2e-11 MWh.
    """
    fleet = FLEETS[which]
    rng = np.random.default_rng(seed)
    states = [start_state(fleet, np.full((1, 5), soc))]
    for _ in range(40):
        states.append(advance_fleet(states[-1], rng.uniform(-1.0, 1.0, (1, 20)), fleet)[0])
    t_s = np.linspace(0.0, fleet.interval_s, 20_001)
    for i in (fleet.of_kind(BESS)[0], fleet.of_kind(GAS)[0], fleet.of_kind(DR)[0]):
        expected = states[0].energy_mwh[0, i]
        for a, b in pairwise(states):
            slope = (b.set_point_mw[0, i] - a.set_point_mw[0, i]) / fleet.interval_s
            behind_mw = a.set_point_mw[0, i] - slope * fleet.lag_s[i]
            x_mw = behind_mw + slope * t_s + (a.output_mw[0, i] - behind_mw) * np.exp(-t_s / fleet.lag_s[i])
            assert b.output_mw[0, i] == pytest.approx(x_mw[-1], abs=1e-12)
            if fleet.kind[i] == BESS:
                power_mw = np.where(
                    x_mw > 0.0, -x_mw / fleet.discharging_efficiency[i], -x_mw * fleet.charging_efficiency[i]
                )
            else:
                power_mw = x_mw
            expected += simpson(power_mw, x=t_s) / 3600.0
        assert states[-1].energy_mwh[0, i] == pytest.approx(expected, abs=1e-9)
