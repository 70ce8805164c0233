"""Batteries that answer frequency by themselves, in the whole simulator: droop law, balance, energy, going on."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from cases.series import load_series
from control.plants.battery import BatteryParameters
from control.plants.fleet import make_fleet
from control.scenario.suites import N1, NORMAL
from control.task.closed_loop import ClosedLoop
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import steady_state_deviation_hz
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.simulator import GridSimulator

CASE = load_ieee68("rogers")


@pytest.mark.parametrize("level", ["machine", "area"])
def test_droop_of_batteries_adds_to_the_governors(level):
    """D f + (K + 5 K_battery) (|f| - b) = dP: five batteries with the governors' dead band and 200 MW/Hz each."""
    fleet = make_fleet(CASE, 4.0, battery=BatteryParameters(droop_mw_per_hz=200.0, synthetic_inertia_s=5.0))
    config, load_level = SwingConfig(level=level), 0.7
    grid = GridSimulator(CASE, 1, config, resource_lag_s=fleet.lag_s, storage=fleet.storage, check=False)
    assert grid.storage is not None
    grid.storage.room_out_mwh[:] = 10.0
    inputs = Injections(
        load_mw=load_level * CASE.load.p_mw[None, :],
        load_mvar=load_level * CASE.load.q_mvar[None, :],
        renewable_mw=np.zeros((1, CASE.n_renewable)),
        schedule_mw=load_level * CASE.machine.p_mw[None, :],
        set_point_mw=np.zeros((1, CASE.n_resource)),
        resource_mw=np.zeros((1, CASE.n_resource)),
    )
    offset_mw = grid.start(np.arange(1), inputs, np.full((1, 1), 0.5))
    grid.shift_schedule(np.arange(1), offset_mw)
    inputs = inputs._replace(schedule_mw=inputs.schedule_mw + offset_mw)
    before_mw = grid.machine_mw.sum() - inputs.load_mw.sum()
    grid.advance(inputs, {0: [Event(time_s=0.5, kind="load_step", index=0, p_mw=400.0)]})
    for _ in range(60):
        grid.advance(inputs)
    df_hz = float(grid.coi_df_hz()[0])
    damping = config.load_damping / CASE.f0_hz * (inputs.load_mw.sum() + 400.0)
    given_mw = grid.machine_mw.sum() + grid.storage.response_mw.sum()
    losses_mw = given_mw - inputs.load_mw.sum() - 400.0 - damping * df_hz - before_mw
    stiffer = replace(config.governor, gain_mw_per_hz=config.governor.gain_mw_per_hz + 5 * 200.0)
    expected = steady_state_deviation_hz(-(400.0 + losses_mw), damping, stiffer)
    # As without batteries: what is left is the power flow's mismatch over 3800 MW/Hz.
    assert df_hz == pytest.approx(float(expected), abs=1e-6)
    # The law of each of them at this common frequency.
    np.testing.assert_allclose(grid.storage.response_mw, -200.0 * (df_hz + 0.017), rtol=0.0, atol=1e-4)


def test_no_response_takes_a_battery_beyond_its_store_or_the_grid_out_of_balance():
    """Strong droop, stores nearly empty or full, and agents that drive to both ends of the range."""
    battery = BatteryParameters(droop_mw_per_hz=2000.0, synthetic_inertia_s=10.0, dead_band_hz=0.0)
    scenario = replace(N1, battery=battery, soc_start_min=0.0, soc_start_max=0.02, outage_last_s=120.0)
    loop = ClosedLoop(CASE, load_series(), scenario, 2, check=False)
    loop.reset(np.arange(2), [np.random.default_rng(seed) for seed in (1, 2)])
    bess, rng = loop.fleet.bess, np.random.default_rng(0)
    lowest, moved = 1.0, 0.0
    for k in range(80):
        # Drained first, filled later.
        action = rng.uniform(-1.0, 1.0, (2, CASE.n_resource)) + (0.5 if k < 40 else -0.5)
        loop.step(action)
        soc = loop.fleet.state_of_charge(loop.resources)
        assert np.all((soc >= 0.0) & (soc <= 1.0))
        lowest, moved = min(lowest, soc.min()), max(moved, np.abs(loop.grid.storage.response_mw).max())
        total_mw = loop.resources.output_mw[:, bess] + loop.grid.storage.response_mw
        # The rating is held at the middle of every step; ramp and lag move the output by 0.01 MW in half a step.
        assert np.abs(total_mw).max() <= 50.0 + 0.02
        # Newton stops at 1e-7 MW at a bus, of which there are 68.
        assert np.abs(loop.power_gap_mw()).max() < 1e-5
    assert lowest < 1e-3  # the end of the store was met
    assert moved > 10.0


def test_a_grid_with_responding_batteries_goes_on_bit_for_bit():
    scenario = replace(NORMAL, battery=BatteryParameters(droop_mw_per_hz=200.0, synthetic_inertia_s=5.0))
    loop = ClosedLoop(CASE, load_series(), scenario, 1, check=False)
    loop.reset(np.arange(1), [np.random.default_rng(3)])
    action = np.full((1, CASE.n_resource), 0.3)
    for _ in range(3):
        loop.step(action)
    state = loop.get_state()
    loop.step(action)
    then = loop.grid.df_hz.copy()
    other = ClosedLoop(CASE, load_series(), scenario, 1, check=False)
    other.set_state(state, [np.random.default_rng(3)])
    other.step(action)
    np.testing.assert_array_equal(other.grid.df_hz, then)
