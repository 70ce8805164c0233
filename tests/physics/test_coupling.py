"""The coupled simulator against formulas: balance, first instant, steady state, rest, energy and order."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import GovernorConfig, steady_state_deviation_hz
from grid_model.dynamics.injections import Injections
from grid_model.dynamics.load_model import load_model
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.simulator import GridSimulator

CASE = load_ieee68("rogers")
LAG_S = np.array([{"bess": 0.3, "gas": 8.0, "dr": 4.0}[kind] for kind in CASE.resource.kind])
G9 = CASE.machine.name.index("G9")


def constant(level: str) -> SwingConfig:
    """Loads of constant power at voltages that are held: what the textbook's formulas of frequency are made for."""
    return SwingConfig(level=level, load=load_model("power"), terminal_voltage="held")


def balanced(n_env: int, config: SwingConfig, level: float = 0.7) -> tuple[GridSimulator, Injections]:
    """Grids at rest at a load level, and the inputs that keep them there."""
    grid = GridSimulator(CASE, n_env, config, resource_lag_s=LAG_S, check=False)

    def rows(values: np.ndarray) -> np.ndarray:
        return np.repeat(values[None, :], n_env, axis=0)

    inputs = Injections(
        load_mw=rows(level * CASE.load.p_mw),
        load_mvar=rows(level * CASE.load.q_mvar),
        renewable_mw=np.zeros((n_env, CASE.n_renewable)),
        schedule_mw=rows(level * CASE.machine.p_mw),
        set_point_mw=np.zeros((n_env, CASE.n_resource)),
        resource_mw=np.zeros((n_env, CASE.n_resource)),
    )
    offset_mw = grid.start(np.arange(n_env), inputs, np.full((n_env, 1), (1.0 - level) / 0.6))
    grid.shift_schedule(np.arange(n_env), offset_mw)
    return grid, inputs._replace(schedule_mw=inputs.schedule_mw + offset_mw)


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_an_undisturbed_grid_stays_at_rest(level):
    grid, inputs = balanced(1, SwingConfig(level=level))
    for _ in range(10):  # 40 s; the slow test of the frequency validation runs an hour
        grid.advance(inputs)
    # Newton stops at a mismatch of 1e-7 MW, and 1e-7 MW over M = 6600 MW s/Hz for 40 s is 6e-10 Hz.
    assert np.abs(grid.df_hz).max() < 1e-9


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_first_instant_rocof_is_imbalance_over_inertia(level):
    """RoCoF = f0 dP / (2 sum H S) for a load step, before governors and damping have moved."""
    grid, inputs = balanced(1, constant(level))
    before_mw = grid.machine_mw.sum()
    # At the very end of an interval, so that the power flow of the instant can be read.
    grid.advance(inputs, {0: [Event(time_s=3.999, kind="load_step", index=0, p_mw=500.0)]})
    short_mw = float(grid.machine_mw.sum() - before_mw)
    assert 500.0 < short_mw < 550.0  # the step and the losses of its transport
    grid.advance(inputs)
    stored_mws = float((CASE.machine.h_s * CASE.machine.base_mva).sum())
    rocof = grid.coi_trace_hz()[0, 0] / 0.02
    # Over one step of 20 ms the valve (0.2 s lag, 30 % high pressure) and the load (304 MW/Hz over 6600 MW s/Hz) add
    # less than 0.1 %.
    assert rocof == pytest.approx(-short_mw * CASE.f0_hz / (2.0 * stored_mws), rel=1e-3)


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_frequency_settles_where_damping_and_governors_take_up_the_imbalance(level):
    """D f + K (|f| - b) = dP, with dP the load step and the change of losses that goes with it."""
    config = constant(level)
    grid, inputs = balanced(1, config)
    before_mw = grid.machine_mw.sum() - inputs.load_mw.sum()
    grid.advance(inputs, {0: [Event(time_s=0.5, kind="load_step", index=0, p_mw=400.0)]})
    for _ in range(60):
        grid.advance(inputs)
    df_hz = float(grid.coi_df_hz()[0])
    damping = config.load_damping / CASE.f0_hz * (inputs.load_mw.sum() + 400.0)
    losses_mw = grid.machine_mw.sum() - inputs.load_mw.sum() - 400.0 - damping * df_hz - before_mw
    expected = steady_state_deviation_hz(-(400.0 + losses_mw), damping, config.governor)
    # Reheat (8 s) has 240 s to settle: e^-30. What is left is the power flow's mismatch over 2800 MW/Hz.
    assert df_hz == pytest.approx(float(expected), abs=1e-6)


def test_steady_state_formula_by_hand():
    # 500 MW short, D = 300, K = 2500, b = 0.017: f = -(500 + 42.5) / 2800 = -0.19375 Hz.
    governor = GovernorConfig()
    assert steady_state_deviation_hz(-500.0, 300.0, governor) == pytest.approx(-542.5 / 2800.0, abs=1e-12)
    # 3 MW surplus stays inside the dead band: 3 / 300 = 0.01 Hz.
    assert steady_state_deviation_hz(3.0, 300.0, governor) == pytest.approx(0.01, abs=1e-12)
    # 2000 MW short exhausts 1500 MW of headroom: -(2000 - 1500) / 300 Hz.
    governor = GovernorConfig(headroom_up_mw=1500.0, headroom_down_mw=1500.0)
    assert steady_state_deviation_hz(-2000.0, 300.0, governor) == pytest.approx(-500.0 / 300.0, abs=1e-12)


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_power_balances_at_every_power_flow(level):
    """Generation = frequency-dependent load + losses, from the flows of the solution itself."""
    grid, inputs = balanced(2, constant(level))
    rng = np.random.default_rng(5)
    for k in range(6):
        noise = 1.0 + 0.01 * rng.standard_normal(inputs.load_mw.shape)
        inputs = inputs._replace(load_mw=inputs.load_mw * noise)
        events = {1: [Event(time_s=1.7, kind="machine_out", index=G9)]} if k == 2 else None
        assert grid.advance(inputs, events).all()
        df_load = np.einsum("ebg,ge->eb", grid.topology.impact_share, grid.df_hz)[:, CASE.load.bus]
        load_mw = (inputs.load_mw * (1.0 + 0.01 * df_load / 0.6)).sum(axis=1)  # 1 %/% of 60 Hz
        losses_mw = (grid.engine.s_from_mva + grid.engine.s_to_mva).real.sum(axis=1)
        # Newton's tolerance is 1e-9 pu = 1e-7 MW at each of 68 buses.
        np.testing.assert_allclose(grid.machine_mw.sum(axis=1), load_mw + losses_mw, rtol=0.0, atol=1e-5)


def test_stiffness_between_areas_is_springs_and_losses():
    """T = psi' k psi, plus what the groups deliver into losses per radian, in array arithmetic."""
    grid, inputs = balanced(2, SwingConfig())
    out = Event(time_s=1.0, kind="branch_out", index=CASE.branch.name.index("30-61 #1"))
    grid.advance(inputs, {1: [out]})
    f, t = CASE.branch.from_bus, CASE.branch.to_bus
    for env in range(2):
        sensitivity, impact_share = grid.topology.angle_sensitivity[env], grid.topology.impact_share[env]
        v_pu = grid.engine.v_pu[env]
        springs = sensitivity.T @ (
            grid.synchronising_power.spring_mw_per_rad(env, grid.machine_mvar)[:, None] * sensitivity
        )
        slope = CASE.base_mva * grid.topology.conductance_pu[env] * (v_pu[f] * v_pu[t].conj()).imag
        losses = (impact_share[f] + impact_share[t]).T @ (slope[:, None] * sensitivity[: CASE.n_branch])
        # Sums of 99 products of order 1e5 MW/rad.
        np.testing.assert_allclose(
            grid.synchronising_power.mw_per_rad(env), springs + losses, rtol=0.0, atol=1e-8
        )
    difference = grid.synchronising_power.mw_per_rad(0) - grid.synchronising_power.mw_per_rad(1)
    assert np.abs(difference).max() > 1.0  # a circuit between areas less


def test_a_start_without_a_solution_does_not_show_what_was_before():
    """Three times the load has no solution: the schedule stands in, with or without an episode before."""
    used, inputs = balanced(1, SwingConfig())
    for _ in range(3):
        used.advance(inputs._replace(load_mw=inputs.load_mw * 1.02))
    impossible = inputs._replace(load_mw=3.0 * inputs.load_mw, load_mvar=3.0 * inputs.load_mvar)
    fresh = GridSimulator(CASE, 1, SwingConfig(), resource_lag_s=LAG_S, check=False)
    for grid in (used, fresh):
        offset_mw = grid.start(np.array([0]), impossible, np.zeros((1, 1)))
        assert not grid.engine.converged[0]
        np.testing.assert_array_equal(offset_mw, 0.0)
        np.testing.assert_array_equal(grid.machine_mw, impossible.schedule_mw)


def test_switching_at_the_start_needs_somebody_who_says_what():
    grid, inputs = balanced(1, SwingConfig())
    with pytest.raises(ValueError, match="n_switching = 2 without next_share"):
        grid.start(np.array([0]), inputs, np.zeros((1, 1)), n_switching=2)


def test_a_unit_that_trips_takes_inertia_power_and_governor_along():
    grid, inputs = balanced(2, constant("area"))
    lost_mw = grid.machine_mw[0, G9]
    inertia = grid.topology.inertia.sum(axis=0)[0]
    grid.advance(inputs, {0: [Event(time_s=2.0, kind="machine_out", index=G9)]})
    gone = 2.0 * CASE.machine.h_s[G9] * CASE.machine.base_mva[G9] / CASE.f0_hz
    assert grid.topology.inertia.sum(axis=0)[0] == pytest.approx(inertia - gone, rel=1e-12)
    assert grid.topology.group_share.sum(axis=0)[0] == pytest.approx(
        1.0 - CASE.machine.rating_mva[G9] / CASE.machine.rating_mva.sum(), rel=1e-12
    )
    assert grid.machine_mw[0, G9] == 0.0
    coi = grid.coi_trace_hz()[:, 0]
    rocof = (coi[100] - coi[99]) / 0.02
    # Losses change with the flows, by less than 3 % of what was lost.
    assert rocof == pytest.approx(-lost_mw / (inertia - gone), rel=0.03)
    assert np.abs(grid.df_hz[:, 1]).max() < 1e-9  # the other environment notices nothing


def test_repair_brings_the_grid_back_to_one_that_never_lost_anything():
    grid, inputs = balanced(2, constant("area"))
    line = CASE.branch.name.index("40-48 #1")
    grid.advance(
        inputs,
        {
            0: [
                Event(time_s=1.0, kind="branch_out", index=line),
                Event(time_s=3.0, kind="branch_in", index=line),
            ]
        },
    )
    for _ in range(100):
        grid.advance(inputs)
    # The loss of one of two circuits leaves a swing of some mHz that has decayed for 400 s at 3 % damping or more.
    np.testing.assert_allclose(grid.df_hz[:, 0], grid.df_hz[:, 1], rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(grid.engine.v_pu[0], grid.engine.v_pu[1], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("level", ["machine", "area"])
def test_a_batch_equals_its_members_run_alone_bit_for_bit(level):
    rng = np.random.default_rng(3)
    noise = 1.0 + 0.005 * rng.standard_normal((5, 4, CASE.n_load))
    event = Event(time_s=1.3, kind="branch_out", index=CASE.branch.name.index("54-53 #1"))
    batch, inputs = balanced(4, SwingConfig(level=level))
    for k in range(5):
        batch.advance(inputs._replace(load_mw=inputs.load_mw * noise[k]), {2: [event]} if k == 1 else None)
    for env in range(4):
        alone, one = balanced(1, SwingConfig(level=level))
        for k in range(5):
            events = {0: [event]} if k == 1 and env == 2 else None
            alone.advance(one._replace(load_mw=one.load_mw * noise[k, env : env + 1]), events)
        np.testing.assert_array_equal(alone.df_hz[:, 0], batch.df_hz[:, env])
        np.testing.assert_array_equal(alone.engine.v_pu[0], batch.engine.v_pu[env])


@pytest.mark.parametrize("level", ["machine", "area"])
def test_saved_state_goes_on_bit_for_bit(level):
    grid, inputs = balanced(2, SwingConfig(level=level))
    # Loads move as in an episode. At exact rest Newton needs no iteration, and that changes the engine's next last bit.
    noise = 1.0 + 0.005 * np.random.default_rng(4).standard_normal((4, 2, CASE.n_load))
    moved = [inputs._replace(load_mw=inputs.load_mw * factor) for factor in noise]
    grid.advance(moved[0], {0: [Event(time_s=1.0, kind="machine_out", index=G9)]})
    saved = grid.get_state()
    for k in (1, 2, 3):
        grid.advance(moved[k])
    other = GridSimulator(CASE, 2, SwingConfig(level=level), resource_lag_s=LAG_S, check=False)
    other.set_state(saved)
    for k in (1, 2, 3):
        other.advance(moved[k])
    np.testing.assert_array_equal(other.df_hz, grid.df_hz)
    np.testing.assert_array_equal(other.engine.v_pu, grid.engine.v_pu)


@pytest.mark.parametrize("level", ["machine", "area"])
def test_integration_is_of_second_order(level):
    """Halving the step divides the error of the nadir's trace by four."""

    def trace(dt_s: float) -> np.ndarray:
        config = SwingConfig(level=level, dt_s=dt_s, renewal_s=4.0, governor=GovernorConfig(dead_band_hz=0.0))
        grid, inputs = balanced(1, config)
        grid.advance(inputs, {0: [Event(time_s=0.0, kind="load_step", index=0, p_mw=300.0)]})
        every = round(0.08 / dt_s)
        return grid.swing_state.trace_hz[::every, :, 0]

    fine = trace(0.00125)
    # At the machine level the local modes' error is of fourth order and still shows at 0.04 s.
    errors = [np.abs(trace(dt_s) - fine).max() for dt_s in (0.02, 0.01, 0.005)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    # The reference has an error of its own of (0.00125/0.005)^2 = 6 % of the finest, which shifts the order by 0.09.
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


def test_machines_keep_to_reactive_limits_in_the_step_if_asked_to():
    """After the loss of G3 at nominal load a neighbour is asked for more than its limit; within limits it gives that.

    G2 and G3 hold up the same corner: 800 MVA at power factor 0.85 are 421.4 Mvar.
    """
    lost = CASE.machine.name.index("G3")
    q_max_mvar = CASE.machine.rating_mva * np.sin(np.arccos(0.85))
    given = {}
    for held in (False, True):
        grid, inputs = balanced(1, replace(constant("area"), reactive_limits=held), level=1.0)
        assert grid.advance(inputs, {0: [Event(time_s=0.0, kind="machine_out", index=lost)]}).all()
        given[held] = grid.engine.machine_power(grid.arrays.injected.others_mva)[0].imag
    assert (given[False] > q_max_mvar + 1.0).any()
    # The mismatch of a solution, 1e-7 MVA, and the switching margin of 1e-6 Mvar.
    assert (given[True] <= q_max_mvar + 1e-5).all()


def test_in_a_swing_machines_may_stand_above_their_reactive_limits_for_a_while():
    """Rotors stand an overload for tens of seconds (IEEE C50.13), so limiters leave the first twenty alone.

    After the loss of G3 G1 gives more than its 800 MVA at power factor 0.85 allow. While the swing is on it does so
    with limits as without them, to the bit; once the grid rests the power flow keeps to them.
    """
    event = {0: [Event(time_s=0.0, kind="machine_out", index=CASE.machine.name.index("G3"))]}
    q_max_mvar = CASE.machine.rating_mva * np.sin(np.arccos(0.85))
    grids = [
        balanced(1, SwingConfig(level="area", reactive_limits=limited), level=1.0)
        for limited in (False, True)
    ]
    above = []
    for k in range(6):
        for grid, inputs in grids:
            assert grid.advance(inputs, event if k == 0 else {}).all()
        free, limited = (grid.arrays.machine_state.q_mvar[0] for grid, _ in grids)
        above.append(float((limited - q_max_mvar).max()))
        if k < 4:  # 16 s
            np.testing.assert_array_equal(limited, free)
    assert above[3] > 1.0
    assert above[5] <= 1e-5  # as in the step at rest, see above
