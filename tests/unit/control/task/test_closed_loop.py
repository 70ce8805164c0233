"""One control interval of grid, governors, resources and telemetry."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from cases.series import load_series
from control.evaluation.grid_record import KINDS
from control.scenario.suites import SCENARIOS
from control.task.closed_loop import ClosedLoop
from control.task.limits import FrequencyLimits
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.parameters import SwingConfig

CASE = load_ieee68()
CIRCUIT = CASE.branch.name.index("30-61 #1")
UNIT = CASE.machine.name.index("G6")
QUIET = replace(SCENARIOS["normal"], name="short", n_intervals=6)


def make_loop(n_env=1, seed=3, limits=None, case=CASE, **changes):
    loop = ClosedLoop(case, load_series(), replace(QUIET, **changes), n_env, limits=limits, check=False)
    loop.reset(np.arange(n_env), [np.random.default_rng(seed + k) for k in range(n_env)])
    return loop


def idle(loop):
    return np.zeros((loop.n_env, loop.case.n_resource))


def test_an_episode_starts_at_rest_and_in_balance():
    """At reset every bus stands at 60 Hz and the machines' schedule, with its offset, is what the grid takes."""
    loop = make_loop()
    assert np.all(loop.grid.bus_df_hz() == 0.0)
    # Reactors settle in five power flows of 1e-7 MW mismatch; what is left is the last share's change of losses.
    assert loop.grid.injections.schedule_mw[0] == pytest.approx(loop.grid.machine_mw[0], abs=1e-6)


def test_inertia_and_dead_band_are_the_scenarios():
    for swing in (
        SwingConfig(inertia_to_mws=90_000.0),
        SwingConfig(governor=GovernorConfig(dead_band_hz=0.036)),
    ):
        with pytest.raises(ValueError, match="belongs to the scenario"):
            ClosedLoop(CASE, load_series(), QUIET, 1, swing=swing, check=False)
    with pytest.raises(ValueError, match="n_env = 0, expected at least 1"):
        ClosedLoop(CASE, load_series(), QUIET, 0, check=False)


def test_an_action_moves_set_points_by_its_share_of_the_ramp():
    """50, 10 and 5 MW/min make 3.33, 0.67 and 0.33 MW in 4 s; half the action, half of it."""
    loop = make_loop()
    result = loop.step(np.full((1, 20), 0.5))
    expected = np.repeat([50.0, 10.0, 5.0], [5, 8, 7]) * 4.0 / 60.0 * 0.5
    np.testing.assert_allclose(result.set_point_change_mw[0], expected, rtol=1e-12)  # rounding of a product


def test_a_circuit_is_out_between_its_events_and_no_longer():
    loop = make_loop(
        events=(
            Event(time_s=5.0, kind="branch_out", index=CIRCUIT),
            Event(time_s=13.0, kind="branch_in", index=CIRCUIT),
        )
    )
    out, carried = [], []
    for _ in range(6):
        loop.step(idle(loop))
        out.append(int(loop.elements_out[0]))
        carried.append(float(np.abs(loop.grid.engine.s_from_mva[0, CIRCUIT])))
    assert out == [0, 1, 1, 0, 0, 0]  # intervals end at 4, 8, .. s
    assert [value == 0.0 for value in carried] == [False, True, True, False, False, False]


def test_a_lost_unit_takes_its_power_and_inertia_along():
    loop = make_loop(events=(Event(time_s=4.0, kind="machine_out", index=UNIT),))
    loop.step(idle(loop))
    before_mw = float(loop.grid.machine_mw[0, UNIT])
    inertia = loop.grid.topology.inertia.sum()
    loop.step(idle(loop))
    assert before_mw > 100.0
    assert loop.grid.machine_mw[0, UNIT] == 0.0
    assert loop.grid.coi_df_hz()[0] < -0.02  # 100 MW and more are missing on 2800 MW/Hz
    m = CASE.machine
    stored_mws = m.h_s * m.base_mva * loop.episode[0].committed_share[0]
    share = stored_mws[UNIT] / stored_mws.sum()
    assert loop.grid.topology.inertia.sum() / inertia == pytest.approx(1.0 - share, rel=1e-12)


def test_signals_arrive_as_late_as_the_scenario_says():
    for delay in (0, 2, 4):
        loop = make_loop(scada_delay_intervals=delay)
        true_hz = [loop.grid.coi_df_hz()[0]]
        for t in range(1, 7):
            loop.step(idle(loop))
            true_hz.append(loop.grid.coi_df_hz()[0])
            assert loop.scada.shown[0, 0] == true_hz[max(t - delay, 0)]


def test_classes_of_signals_have_delays_of_their_own():
    loop = make_loop(scada_class_delays=(1, 3, 0))
    frequency, forecast = [], loop.forecast_renewable_deviation_mw[0]
    frequency.append((loop.grid.coi_df_hz()[0], loop.grid.bus_df_hz()[0, 7]))
    for t in range(1, 7):
        loop.step(idle(loop))
        frequency.append((loop.grid.coi_df_hz()[0], loop.grid.bus_df_hz()[0, 7]))
        shown = loop.scada.shown[0]
        assert shown[0] == frequency[max(t - 1, 0)][0]
        assert shown[1 + 7] == frequency[max(t - 3, 0)][1]
        np.testing.assert_array_equal(shown[1 + CASE.n_bus :], forecast[t])


def test_losing_the_load_of_a_region_loses_the_grid():
    """60 GW more at one bus have no AC solution."""
    loop = make_loop(events=(Event(time_s=4.0, kind="load_step", index=3, p_mw=60_000.0),))
    assert not loop.step(idle(loop)).grid_lost[0]
    assert loop.step(idle(loop)).grid_lost[0]


def test_limits_of_frequency_are_judged_on_the_worst_moment_of_the_interval():
    loop = make_loop(limits=FrequencyLimits(violation_hz=1e-4))
    for _ in range(4):
        result = loop.step(idle(loop))
    lowest, highest = loop.grid.bus_extremes_hz(0)
    assert result.frequency_violation[0]
    assert result.max_abs_df_hz[0] == max(-lowest.min(), highest.max())
    # The end of the interval is one of its moments; rounding of five products.
    assert result.max_abs_df_hz[0] >= np.abs(result.bus_df_hz[0]).max() * (1.0 - 1e-15)


def test_violations_count_kinds_of_limit_not_places():
    """Frequency beyond 0.1 mHz at many buses and half of all voltages above 1 pu are two kinds."""
    narrow = replace(CASE, bus=replace(CASE.bus, vm_max_pu=np.ones(CASE.n_bus)))
    loop = make_loop(limits=FrequencyLimits(violation_hz=1e-4), case=narrow)
    for _ in range(4):
        result = loop.step(idle(loop))
    assert (result.frequency_violation[0], result.branch_violation[0]) == (True, False)
    assert result.voltage_violation[0]
    assert np.count_nonzero(result.vm_pu[0] > 1.0) > 10
    assert result.violations.tolist() == [2]


def test_no_interval_lies_beyond_the_end_of_an_episode():
    loop = make_loop(n_env=2)
    for _ in range(6):
        loop.step(idle(loop))
    before = loop.get_state()
    with pytest.raises(RuntimeError, match="the episodes of 2 of 2 environments are over; call reset first"):
        loop.step(np.ones((2, 20)))
    after = loop.get_state()
    assert before["interval"].tolist() == after["interval"].tolist() == [6, 6]
    for name, values in before["resources"].items():
        np.testing.assert_array_equal(after["resources"][name], values, err_msg=name)


def test_what_an_interval_came_to_is_what_its_parts_say():
    """Against the grid's own arithmetic, environment by environment, with a unit out in all and random agents."""
    loop = make_loop(n_env=3, events=(Event(time_s=6.0, kind="machine_out", index=UNIT),))
    rng = np.random.default_rng(0)
    for _ in range(4):
        result = loop.step(rng.uniform(-1.0, 1.0, (3, 20)))
        grid, episodes = loop.grid, loop.episode
        coi_hz = np.abs(grid.coi_trace_hz())
        np.testing.assert_array_equal(result.within_36_mhz, (coi_hz <= 0.036).mean(axis=0))
        np.testing.assert_array_equal(result.within_200_mhz, (coi_hz <= 0.2).mean(axis=0))
        # The mean over the steps of the sum over the buses; 200 x 68 numbers, summed in another order.
        bus_hz = np.einsum("ebg,sge->seb", grid.topology.bus_frequency, grid.swing_state.trace_hz[1:])
        np.testing.assert_allclose(
            result.sum_bus_square_hz2, np.square(bus_hz).sum(axis=2).mean(axis=0), rtol=1e-11
        )
        np.testing.assert_array_equal(result.unserved_mw, grid.unserved_mw())
        np.testing.assert_array_equal(loop.served_mw, grid.served_mw())
        np.testing.assert_array_equal(loop.bus_df_hz, grid.bus_df_hz())
        np.testing.assert_array_equal(loop.coi_df_hz, grid.coi_df_hz())
        committed = np.stack([episode.committed_share[0] > 0.0 for episode in episodes])
        lost = committed & ~grid.engine.machine_in_service
        out = (~grid.engine.branch_in_service).sum(axis=1) + lost.sum(axis=1)
        np.testing.assert_array_equal(loop.elements_out, out)
        flags = [getattr(result, f"{kind}_violation") for kind in KINDS]
        np.testing.assert_array_equal(result.violations, np.sum(flags, axis=0))
        now = loop.interval[0]
        for env, episode in enumerate(episodes):
            np.testing.assert_array_equal(grid.injections.load_mw[env], episode.p_load_mw[now])
            np.testing.assert_array_equal(grid.injections.renewable_mw[env], episode.p_renewable_mw[now])
            assert loop.hour[env] == episode.hour_of_day[now]
            assert loop.weekday[env] == episode.day_of_week[now]
    assert (loop.elements_out == 1).all()


def test_power_balances_at_the_end_of_every_interval():
    """Machines + renewables + resources = load at its frequency + losses, to the solver's mismatch at 68 buses."""
    loop = make_loop(n_env=3, events=(Event(time_s=5.0, kind="branch_out", index=CIRCUIT),))
    rng = np.random.default_rng(0)
    for _ in range(6):
        loop.step(rng.uniform(-1.0, 1.0, (3, 20)))
        np.testing.assert_allclose(loop.power_gap_mw(), 0.0, atol=68 * 2.2e-7)
    # The gap is not zero by construction: one megawatt more of sun would be missed.
    loop.grid.injections.renewable_mw[0, 0] += 1.0
    assert loop.power_gap_mw()[0] == pytest.approx(1.0, abs=68 * 2.2e-7)


def test_an_outage_is_judged_by_the_power_flow_after_it():
    """Losing 34-35 lifts bus 35 above 1.10 pu in nineteen hours of twenty; 30-61 #1 has a twin beside it."""
    loop = make_loop()
    episode = loop.episode[0]
    state = (episode.p_load_mw[0], episode.p_renewable_mw[0], episode.p_schedule_mw[0])
    for name, expected in (("34-35", False), ("30-61 #1", True)):
        outage = Event(time_s=0.0, kind="branch_out", index=CASE.branch.name.index(name))
        for reactors_follow in (False, True):
            assert loop.plan.outage_is_secure(outage, *state, reactors_follow) is expected
    # The judge leaves the grid it asks as it was.
    losses_mw = loop.plan.losses_mw(*state)
    assert loop.plan.losses_mw(*state) == losses_mw
    assert loop.plan._engine.branch_in_service.all()
    engine = loop.grid.engine
    # The grid's reactors are set by voltage, those of the estimate by load level: 1 % of the losses.
    assert losses_mw == pytest.approx(float((engine.s_from_mva + engine.s_to_mva).real.sum()), rel=0.02)


def test_a_blackout_is_charged_and_the_plants_in_it_stand_still():
    """Bus 50 with its load and battery is cut off at 5 s, a quarter into the second interval, and returns at 13 s.

    It counts as 0.5 Hz, 0.25 Hz^2, while it is dark: 0.75, 1 and 0.25 of the intervals. Its load is not served as long.
    """
    circuits = [CASE.branch.name.index(f"{pair} #{k}") for pair in ("18-50", "51-50") for k in (1, 2)]
    events = [Event(time_s=5.0, kind="branch_out", index=k) for k in circuits]
    events += [Event(time_s=13.0, kind="branch_in", index=k) for k in circuits]
    loop = make_loop(events=tuple(events))
    bus = list(CASE.bus.bus_number).index(50)
    plant, load = list(CASE.resource.bus).index(bus), list(CASE.load.bus).index(bus)
    energy, output, dark = [], [], [0.0, 0.75, 1.0, 0.25, 0.0]
    for share in dark:
        before_mwh = loop.resources.energy_mwh[0, plant]
        result = loop.step(np.ones((1, 20)))
        grid = loop.grid
        wanted_mw = loop.grid.injections.load_mw[0, load]
        # What is at hand as a sum of products of 200 steps and 68 buses, in another order.
        bus_hz = np.einsum("bg,sg->sb", grid.topology.bus_frequency[0], grid.swing_state.trace_hz[1:, :, 0])
        live_hz2 = np.square(bus_hz).sum(axis=1).mean()
        assert result.sum_bus_square_hz2[0] - live_hz2 == pytest.approx(0.25 * share, rel=1e-9, abs=1e-9)
        assert result.unserved_mw[0] == pytest.approx(share * wanted_mw, rel=1e-12)  # rounding of a sum
        assert bool(result.unserved_violation[0]) is (share > 0.0)
        flags = [bool(getattr(result, f"{kind}_violation")[0]) for kind in KINDS]
        assert result.violations[0] == sum(flags)
        output.append(result.resource_mw[0, plant])
        energy.append(loop.resources.energy_mwh[0, plant] - before_mwh)
        assert bool(result.set_point_change_mw[0, plant] == 0.0) is (share > 0.0)
        assert np.count_nonzero(result.set_point_change_mw) == 20 - (share > 0.0)
    assert [value == 0.0 for value in output] == [False, True, True, True, False]
    # What it gave until it tripped is gone from it; in the dark it keeps what it has.
    assert [value == 0.0 for value in energy] == [False, False, True, True, False]


def test_what_rebound_moves_is_told_apart_from_what_was_commanded():
    """u = c - E / 1800 s: after one command of 0.333 MW the set-points drift by -dE / 1800 s and nothing is charged."""
    loop = make_loop()
    dr = loop.fleet.kind == 2
    first = loop.step(np.ones((1, 20)))
    assert not first.rebound_change_mw.any()  # nothing is owed at the beginning
    np.testing.assert_allclose(first.set_point_change_mw[0, dr], 1.0 / 3.0, rtol=1e-12)
    before_mws, owed_mws = 0.0, 3600.0 * loop.resources.energy_mwh[0, dr]
    for _ in range(3):
        result = loop.step(idle(loop))
        assert not result.set_point_change_mw.any()
        assert not result.rebound_change_mw[0, ~dr].any()
        # A difference of numbers near 0.3 MW.
        np.testing.assert_allclose(
            result.rebound_change_mw[0, dr], -(owed_mws - before_mws) / 1800.0, rtol=0.0, atol=1e-15
        )
        assert (result.rebound_change_mw[0, dr] < 0.0).all()
        before_mws, owed_mws = owed_mws, 3600.0 * loop.resources.energy_mwh[0, dr]
