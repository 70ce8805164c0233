"""The reduced network, the sines behind it, and the recorder."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import DisturbanceError, Event
from grid_model.dynamics.kron_reduction import classical_stiffness
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.lanes import N_LANE
from grid_model.kernels.linear_algebra import network_power, sine_and_cosine
from grid_model.kernels.swing_rows import COSINE, N_QUANTITY, POWER, SINE, THETA
from grid_model.validation.classical import ClassicalGrid
from grid_model.validation.event_response import balanced_grid

CASE = load_ieee68("rogers")


@pytest.fixture(scope="module")
def grid() -> ClassicalGrid:
    return ClassicalGrid(CASE, SwingConfig(level="machine"))


def powers_mw(reduced, theta_rad: np.ndarray) -> np.ndarray:
    """What the machines send out at these angles, [machine]; in lane 5 of a block in which all others are zero."""
    n, lane = CASE.n_machine, 5
    first = n * N_QUANTITY
    block = np.zeros((first + 2 * n * n, N_LANE))
    block[THETA:first:N_QUANTITY, lane] = theta_rad
    block[first : first + n * n, lane] = reduced.conductance_mw.ravel()
    block[first + n * n :, lane] = reduced.susceptance_mw.ravel()
    network_power(n, 1, block, first, first + n * n, THETA, POWER)
    power = block[POWER:first:N_QUANTITY]
    assert not power[:, lane + 1].any()
    return power[:, lane].copy()


def test_the_reduced_network_gives_back_the_power_flow(grid):
    reduced = grid.coefficients(grid.undisturbed(), np.zeros(CASE.n_machine))
    # Newton's tolerance is 1e-7 MW at each of 68 buses.
    np.testing.assert_allclose(
        reduced.conductance_mw[:, :, 0].sum(axis=1), grid.p_mech_mw, rtol=0.0, atol=1e-5
    )


def test_the_reduced_network_gives_back_the_bus_voltages(grid):
    voltages = grid.undisturbed().recovery @ grid.e_pu
    np.testing.assert_allclose(
        voltages, grid.v_pu, rtol=0.0, atol=1e-8
    )  # Newton's tolerance over admittances > 1


def test_powers_from_sines_equal_powers_from_complex_voltages(grid):
    network = grid.undisturbed()
    theta = np.random.default_rng(1).uniform(-3.0, 3.0, CASE.n_machine)
    reduced = grid.coefficients(network, np.zeros(CASE.n_machine))
    power = powers_mw(reduced, theta)
    e_pu = grid.e_pu * np.exp(1j * theta)
    exact = CASE.base_mva * (e_pu * np.conj(network.y_reduced_pu @ e_pu)).real
    # Rounding: terms of up to 1e5 MW.
    np.testing.assert_allclose(power, exact, rtol=0.0, atol=1e-8)


def test_sine_and_cosine_are_right_to_rounding():
    n = 1001
    block = np.zeros((n * N_QUANTITY, N_LANE))
    angle = np.random.default_rng(2).uniform(-1e4, 1e4, (n, N_LANE))
    block[THETA::N_QUANTITY] = angle
    sine_and_cosine(n, block, THETA)
    sine, cosine = block[SINE::N_QUANTITY], block[COSINE::N_QUANTITY]
    # One unit in the last place near 1 is 2.2e-16; the reduction of 1e4 rad adds 1e4 x 2^-86.
    np.testing.assert_allclose(sine, np.sin(angle), rtol=0.0, atol=3e-16)
    np.testing.assert_allclose(cosine, np.cos(angle), rtol=0.0, atol=3e-16)


def test_stiffness_is_the_derivative_of_power(grid):
    network = grid.undisturbed()
    reduced = grid.coefficients(network, np.zeros(CASE.n_machine))
    step = 1e-5
    theta = np.zeros(CASE.n_machine)
    theta[3] = step
    numeric = (powers_mw(reduced, theta) - powers_mw(reduced, -theta)) / (2.0 * step)
    exact = classical_stiffness(reduced.susceptance_mw[:, :, 0])[:, 3]
    # Central difference: P h^2 / 6 = 1e5 MW x 2e-11; rounding 1e5 x 1e-16 / 1e-5.
    np.testing.assert_allclose(exact, numeric, rtol=0.0, atol=1e-4)


def test_a_machine_out_of_service_sends_no_power(grid):
    event = Event(time_s=0.0, kind="machine_out", index=8)
    network = grid.switched(grid.undisturbed(), event)
    assert not network.y_reduced_pu[8].any()
    assert not network.y_reduced_pu[:, 8].any()


def test_an_event_the_classical_model_does_not_know_is_refused(grid):
    with pytest.raises(DisturbanceError, match="machine_in"):
        grid.switched(grid.undisturbed(), Event(time_s=0.0, kind="machine_in", index=8))


def test_a_common_turn_of_all_rotors_changes_nothing():
    """At every level rows of the synchronising power sum to zero."""
    for level in ("machine", "area", "system"):
        coupled, _ = balanced_grid(CASE, 1, SwingConfig(level=level), load_level=0.8)
        matrix = coupled.synchronising_power.mw_per_rad(0)
        # Rounding of sums of up to 1e5 MW/rad.
        np.testing.assert_allclose(matrix.sum(axis=1), 0.0, rtol=0.0, atol=1e-7)


@pytest.mark.parametrize("level", ["machine", "area"])
def test_a_recorded_trace_ends_in_the_power_flow_and_repeats_the_frequencies(level):
    coupled, inputs = balanced_grid(CASE, 2, SwingConfig(level=level), load_level=0.8)
    recorder = coupled.record(1)
    event = Event(time_s=1.7, kind="branch_out", index=CASE.branch.name.index("54-53 #1"))
    for k in range(3):
        coupled.advance(inputs, {1: [event]} if k == 0 else None)
    trace = recorder.trace()
    assert len(trace.time_s) == 601
    np.testing.assert_allclose(np.diff(trace.time_s), 0.02, rtol=0.0, atol=1e-12)
    np.testing.assert_array_equal(trace.df_hz[-1], coupled.df_hz[:, 1])
    np.testing.assert_array_equal(trace.df_hz[401:], coupled.swing_state.trace_hz[1:, :, 1])
    np.testing.assert_allclose(trace.flow_mw[-1], coupled.engine.s_from_mva[1].real, rtol=0.0, atol=1e-9)
    assert np.abs(trace.flow_mw[85:, event.index]).max() == 0.0  # out from 1.7 s on
    assert trace.flow_mw[84, event.index] != 0.0
    # The centre of inertia as the grid itself reports it.
    np.testing.assert_allclose(trace.coi_hz[401:], coupled.coi_trace_hz()[:, 1], rtol=0.0, atol=1e-15)


def test_recorded_unserved_load_is_that_at_the_beginning_of_its_span():
    """7 % of the load are shed while it grows by a thousandth within an interval; constant between two power flows."""
    coupled, inputs = balanced_grid(CASE, 1, SwingConfig(level="system"), load_level=0.8)
    coupled.profile.shed(0, np.full(CASE.n_load, 0.93))
    recorder = coupled.record(0)
    more = inputs._replace(load_mw=1.001 * inputs.load_mw)
    for _ in range(2):
        coupled.advance(more)
    trace = recorder.trace()
    shed_mw = 0.07 * 0.8 * CASE.load.p_mw.sum()
    first, second = trace.time_s < 4.0, trace.time_s >= 4.0
    spans = np.unique(trace.unserved_mw[first])
    assert (spans >= shed_mw - 1e-9).all()
    assert (spans < 1.001 * shed_mw - 1e-9).all()
    np.testing.assert_allclose(trace.unserved_mw[0], shed_mw, rtol=1e-12)
    np.testing.assert_allclose(trace.unserved_mw[second], 1.001 * shed_mw, rtol=1e-12)


def test_recording_nothing_is_an_error():
    coupled, _ = balanced_grid(CASE, 1, SwingConfig(), load_level=0.8)
    with pytest.raises(ValueError, match="nothing recorded"):
        coupled.record(0).trace()
