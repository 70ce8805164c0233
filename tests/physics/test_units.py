"""Units in the simulator: limits around the schedule, return from an outage, the schedule, over-frequency."""

import numpy as np
import pytest
from scipy.optimize import brentq

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.load_model import load_model
from grid_model.dynamics.over_frequency import OverFrequencyConfig, OverFrequencyRelays
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.simulator import GridSimulator

CASE = load_ieee68("rogers")
LAG_S = np.array([{"bess": 0.3, "gas": 8.0, "dr": 4.0}[kind] for kind in CASE.resource.kind])
G3, G9 = CASE.machine.name.index("G3"), CASE.machine.name.index("G9")


def started(
    level: float, schedule_mw: np.ndarray, share: np.ndarray | None = None, config: SwingConfig | None = None
) -> tuple[GridSimulator, Injections]:
    """A grid at rest whose machines have this schedule, and the inputs that keep it there."""
    grid = GridSimulator(CASE, 1, config or SwingConfig(), resource_lag_s=LAG_S, check=False)
    inputs = Injections(
        load_mw=level * CASE.load.p_mw[None, :],
        load_mvar=level * CASE.load.q_mvar[None, :],
        renewable_mw=np.zeros((1, CASE.n_renewable)),
        schedule_mw=schedule_mw[None, :].copy(),
        set_point_mw=np.zeros((1, CASE.n_resource)),
        resource_mw=np.zeros((1, CASE.n_resource)),
    )
    committed = None if share is None else share[None, :]
    reactors = np.full((1, 1), (1.0 - level) / 0.6)
    offset_mw = grid.start(np.arange(1), inputs, reactors, committed_share=committed)
    grid.shift_schedule(np.arange(1), offset_mw)
    return grid, inputs._replace(schedule_mw=inputs.schedule_mw + offset_mw)


def test_no_unit_gives_more_than_from_its_schedule_to_its_rating():
    """Settled: D f + sum_i clip(K_i (|f| - b), 0, rating_i - schedule_i) = dP; G3 has 3 MW left, all in one group."""
    level, machine = 0.7, CASE.machine
    schedule_mw = level * machine.p_mw
    schedule_mw[G3] = machine.rating_mva[G3] - 3.0
    schedule_mw[machine.name.index("G13")] -= schedule_mw[G3] - level * machine.p_mw[G3]
    # Loads of constant power at voltages that are held, for which the law is exact.
    config = SwingConfig(level="system", load=load_model("power"), terminal_voltage="held")
    grid, inputs = started(level, schedule_mw, config=config)
    before_mw = grid.machine_mw[0] - inputs.load_mw.sum() * 0.0
    losses_before_mw = grid.machine_mw.sum() - inputs.load_mw.sum()
    grid.advance(inputs, {0: [Event(time_s=0.5, kind="load_step", index=0, p_mw=500.0)]})
    for _ in range(60):
        grid.advance(inputs)
    df_hz = float(grid.coi_df_hz()[0])
    load_mw = inputs.load_mw.sum() + 500.0
    damping = config.load_damping / CASE.f0_hz * load_mw
    more_losses_mw = grid.machine_mw.sum() - load_mw - damping * df_hz - losses_before_mw
    gain = config.governor.gain_mw_per_hz * machine.rating_mva / machine.rating_mva.sum()
    room_mw = machine.rating_mva - inputs.schedule_mw[0]

    def left_mw(f: float) -> float:
        asked = np.minimum(gain * max(-f - config.governor.dead_band_hz, 0.0), room_mw)
        return float(asked.sum() - damping * f - 500.0 - more_losses_mw)

    # As the law without limits: reheat has 240 s to settle, the power flow's mismatch is over 2700 MW/Hz.
    assert df_hz == pytest.approx(brentq(left_mw, -2.0, 0.0, xtol=1e-12), abs=1e-6)
    given_mw = grid.machine_mw[0] - before_mw
    # The power flow's own leftover, the curvature of the losses in the last interval, is shared by gain besides.
    assert given_mw[G3] == pytest.approx(room_mw[G3], abs=0.01)
    assert gain[G3] * (-df_hz - 0.017) > room_mw[G3] + 1.0  # more than it has was asked of it


def test_a_unit_that_returns_begins_at_zero_and_is_loaded_by_its_ramp():
    """3 % of 1000 MVA a minute: 30 MW/min from the instant of return, and no jerk."""
    grid, inputs = started(0.7, 0.7 * CASE.machine.p_mw)
    grid.advance(inputs, {0: [Event(time_s=1.0, kind="machine_out", index=G9)]})
    grid.advance(inputs, {0: [Event(time_s=1.0, kind="machine_in", index=G9)]})
    scheduled_mw = grid.injections.schedule_mw[0, G9]
    assert scheduled_mw == pytest.approx(30.0 * 3.0 / 60.0, rel=1e-12)
    for _ in range(15):
        grid.advance(inputs)
    assert grid.injections.schedule_mw[0, G9] == pytest.approx(30.0 * 63.0 / 60.0, rel=1e-12)
    for _ in range(300):
        grid.advance(inputs)
    assert grid.injections.schedule_mw[0, G9] == inputs.schedule_mw[0, G9]  # 560 MW after 19 minutes
    assert grid.swing_state.df_max_hz.max() < 0.05


def test_units_out_of_the_schedule_give_no_inertia_gain_or_power():
    """M = 2 sum(H S) / f0 and K = 2500 sum(S) / S_total over what is in the schedule; an equivalent by its share."""
    machine, level = CASE.machine, 0.5
    share = np.ones(16)
    share[[G3, G9]] = 0.0
    share[machine.is_equivalent] = 0.5
    schedule_mw = level * machine.p_mw * (share > 0.0)
    schedule_mw *= level * machine.p_mw.sum() / schedule_mw.sum()
    grid, inputs = started(level, schedule_mw, share)
    stored_mws = machine.h_s * machine.base_mva * share
    assert grid.topology.inertia.sum() == pytest.approx(2.0 * stored_mws.sum() / 60.0, rel=1e-12)
    rating = machine.rating_mva
    assert grid.arrays.swing.gain_mw_per_hz.sum() == pytest.approx(
        2500.0 * (rating * share).sum() / rating.sum(), rel=1e-12
    )
    assert np.all(grid.machine_mw[0, [G3, G9]] == 0.0)
    for _ in range(3):
        grid.advance(inputs)
    # At rest as with everything in service, see test_coupling.
    assert np.abs(grid.df_hz).max() < 1e-9
    share[G9] = 1.0
    inputs.schedule_mw[0, G9] = 0.0
    grid.commit(0, share)
    assert abs(grid.machine_mw[0, G9]) < 1.0  # synchronised without power, but for its part of the leftover
    grid.advance(inputs)
    assert np.abs(grid.df_hz).max() < 1e-3
    more_mws = machine.h_s[G9] * machine.base_mva[G9]
    assert grid.topology.inertia.sum() == pytest.approx(2.0 * (stored_mws.sum() + more_mws) / 60.0, rel=1e-12)


def test_plants_trip_by_stages_of_over_frequency():
    """Held at 61.9 Hz: after 0.3 s, 15 steps, units of the stages 61.7 and 61.85 Hz trip, no equivalent does."""
    relays = OverFrequencyRelays(OverFrequencyConfig(), CASE, 1, 0.02)
    trace_hz = np.full((51, 1, 1), 1.9)
    every_bus = np.ones((1, CASE.n_bus, 1))
    on = np.ones((1, 16), dtype=np.bool_)
    found = relays.operations(np.array([0]), trace_hz, np.array([[1.9]]), every_bus, on)[0]
    assert found.step == 16  # the first step counts from zero
    # G1, G4, G7, G10 at 61.7; G2, G5, G8, G11 at 61.85; G3, G6, G9, G12 at 62.0.
    tripped = {name for name, trips in zip(CASE.machine.name, found.machines, strict=True) if trips}
    assert tripped == {"G1", "G4", "G7", "G10", "G2", "G5", "G8", "G11"}
    relays.count(0, found)
    assert not relays.pending[0, found.machines].any()
    # At 61.6 Hz nothing counts any more.
    assert relays.operations(np.array([0]), trace_hz - 0.3, np.array([[1.6]]), every_bus, on) == {}


def test_plants_that_trip_keep_an_overfed_grid_from_running_away():
    """2000 MW of load are lost without governors: 0.30 Hz/s, units leave by stages, and frequency turns.

    The first stage takes 971 MW of half the published output away, the second 1295 MW; the third is not met.
    """
    config = SwingConfig(level="system", governor=GovernorConfig(gain_mw_per_hz=0.0))
    grid, inputs = started(0.5, 0.5 * CASE.machine.p_mw, config=config)
    nets = np.flatnonzero(CASE.bus.area[CASE.load.bus] == 0)
    lost_mw = 2000.0 * inputs.load_mw[0, nets] / inputs.load_mw[0, nets].sum()
    events = [
        Event(time_s=0.1, kind="load_step", index=int(k), p_mw=-float(mw))
        for k, mw in zip(nets, lost_mw, strict=True)
    ]
    highest = 0.0
    grid.advance(inputs, {0: events})
    for _ in range(6):
        grid.advance(inputs)
        highest = max(highest, grid.swing_state.df_max_hz.max())
    on = grid.engine.machine_in_service[0]
    tripped = {name for name, stays in zip(CASE.machine.name, on, strict=True) if not stays}
    assert tripped == {"G1", "G4", "G7", "G10", "G2", "G5", "G8", "G11"}
    # The second stage counts from 1.85 Hz and at 0.12 Hz/s, what is left of the surplus, comes to 1.89 Hz.
    assert 1.85 < highest < 1.95
    assert grid.df_hz[0, 0] < highest - 0.01
