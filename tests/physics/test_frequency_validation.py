"""The frequency model against other solvers, published figures and laws; limits and reasons are in the checks."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.group_swing import integrate_swing
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)
from grid_model.validation.classical import ClassicalGrid, TurbineStep
from grid_model.validation.coupled import (
    LIMIT,
    coupled_config,
    coupled_traces,
    figures_of,
    reference_of,
    validate_coupled,
    with_reference_exciters,
)
from grid_model.validation.event_response import balanced_grid, compare_levels
from grid_model.validation.frequency_checks import (
    Check,
    inter_area_modes,
    reference_integration,
    validate_against_andes,
    validate_integration,
    validate_modes,
)
from grid_model.validation.laws import laws, validate_energy
from grid_model.validation.modes import electromechanical_modes, published_modes

CASE = load_ieee68("rogers")
GOLDEN = Path(__file__).resolve().parent.parent / "regression" / "golden"


def assert_all_hold(checks: list[Check]) -> None:
    """Fail with every check that does not hold."""
    failed = [
        f"{check.what}: {check.value:.3g} {check.unit}, limit {check.limit:g}"
        for check in checks
        if not check.holds
    ]
    assert not failed, "\n".join(failed)


def test_two_machines_swing_as_the_formula_says():
    """omega^2 = 2 pi T (1/M1 + 1/M2), zeta = K omega / 2 with tie damping alone."""
    m, t, k = np.array([100.0, 300.0]), 500.0, 0.03
    modes = electromechanical_modes(m, t * np.array([[1.0, -1.0], [-1.0, 1.0]]), tie_damping_s=k)
    omega = np.sqrt(2.0 * np.pi * t * (1.0 / m[0] + 1.0 / m[1]))
    assert len(modes.frequency_hz) == 1
    # Rounding of a 4 x 4 eigenproblem.
    assert modes.damping[0] == pytest.approx(0.5 * k * omega, rel=1e-9)
    assert modes.frequency_hz[0] == pytest.approx(
        omega * np.sqrt(1.0 - (0.5 * k * omega) ** 2) / (2.0 * np.pi), rel=1e-9
    )
    # Against each other, in inverse proportion to inertia.
    assert modes.shape[1, 0] / modes.shape[0, 0] == pytest.approx(-1.0 / 3.0, rel=1e-9)


def test_the_area_kernel_swings_as_its_modes_say():
    """Two areas, undamped: f1 - f2 = A cos(omega t) after a push, over ten swings."""
    m, t = np.array([[100.0], [300.0]]), 500.0
    tie = (t * np.array([[1.0, -1.0], [-1.0, 1.0]]))[:, :, None]
    nothing, zero = np.zeros((0, 2, 1)), np.zeros((2, 1))
    dt_s, n_steps = 0.02, 500
    trace = np.empty((n_steps + 1, 2, 1))
    df = np.array([[0.003], [-0.001]])  # no momentum
    swing = SwingVariables(df, zero.copy(), zero.copy(), zero.copy(), zero.copy())
    integrate_swing(
        n_steps,
        swing,
        Drive(zero, zero, zero, nothing, nothing, nothing),
        SwingParameters(m, zero, zero, zero, zero, dead_band_hz=np.zeros(1)),
        tie,
        None,
        SwingConstants(
            lag_s=np.zeros(0),
            t_valve_s=0.2,
            t_reheat_s=8.0,
            high_pressure_fraction=0.3,
            tie_damping_s=0.0,
            dt_s=dt_s,
            mean_weight=1.0,
        ),
        IntervalRecord(np.zeros((2, 2, 1)), zero.copy(), zero.copy(), trace, np.empty_like(trace)),
    )
    omega = np.sqrt(2.0 * np.pi * t * (1.0 / 100.0 + 1.0 / 300.0))
    # Leapfrog's frequency is off by (omega h)^2 / 24: known, so that what is left is far smaller.
    leap = 2.0 / dt_s * np.arcsin(0.5 * omega * dt_s)
    exact = 0.004 * np.cos(leap * dt_s * np.arange(n_steps + 1))
    np.testing.assert_allclose(trace[:, 0, 0] - trace[:, 1, 0], exact, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("variant", "inter_area_hz"), [("tr18", (0.38, 0.52, 0.59, 0.79)), ("rogers", (0.39, 0.50, 0.64, 0.79))]
)
def test_the_published_system_has_its_fifteen_modes(variant, inter_area_hz):
    """Four inter-area modes between 0.38 and 0.8 Hz, eleven local ones up to 1.8 Hz, none damped.

    The literature gives the inter-area modes of the detailed model near 0.38, 0.50 to 0.52, 0.59 to 0.62 and 0.79 Hz
    (Pal and Chaudhuri, Robust Control in Power Systems, 2005, ch. 4); two digits are kept.
    """
    modes = published_modes(load_ieee68(variant))
    assert len(modes.frequency_hz) == 15
    assert np.all(np.diff(modes.frequency_hz) > 0.0)
    np.testing.assert_allclose(modes.frequency_hz[:4], inter_area_hz, rtol=0.0, atol=0.006)
    assert modes.frequency_hz[4] > 0.9
    assert modes.frequency_hz[-1] < 2.0
    # Transfer conductances make the stiffness slightly unsymmetric; that damps or feeds by less than rounding.
    assert np.abs(modes.damping).max() < 1e-6


def test_modes_match_what_the_simulation_does():
    """The slowest mode, started alone, swings at its frequency."""
    grid = ClassicalGrid(CASE, SwingConfig(level="machine", tie_damping_s=0.0, load_damping=0.0))
    push = [
        TurbineStep(time_s=0.0, index=CASE.machine.name.index("G14"), p_mw=1.0)
    ]  # too small for dead bands
    trace = grid.simulate(push, 100.0)
    spectrum = np.abs(np.fft.rfft((trace.df_hz[:, 13] - trace.df_hz[:, 12]) * np.hanning(len(trace.time_s))))
    frequency = np.fft.rfftfreq(len(trace.time_s), 0.02)
    low = (frequency > 0.2) & (frequency < 0.45)
    found = frequency[low][spectrum[low].argmax()]
    assert found == pytest.approx(published_modes(CASE).frequency_hz[0], abs=0.01)  # a line of the spectrum


def test_inter_area_modes_of_both_levels_are_damped_by_three_percent_or_more():
    checks, modes = validate_modes(CASE)
    assert_all_hold(checks)
    assert len(modes["area"].frequency_hz) == 4


@pytest.mark.parametrize("load_level", [0.4, 1.1])
def test_no_mode_is_damped_under_three_percent_at_any_load(load_level):
    for modes in inter_area_modes(CASE, load_level).values():
        assert modes.damping.min() > 0.03


def test_andes_agrees():
    checks, results = validate_against_andes(CASE, GOLDEN, "2.0.0")
    assert len(results) == 5
    assert_all_hold(checks)


def test_the_kernel_agrees_with_a_stiff_integration():
    """Ten seconds at the production step; the slow test takes a minute and 2000 MW."""
    grid = ClassicalGrid(CASE, SwingConfig(level="machine"))
    events = [Event(time_s=1.0, kind="machine_out", index=CASE.machine.name.index("G5"))]
    trace = grid.simulate(events, 10.0)
    exact = reference_integration(grid, events, trace.time_s)
    on = trace.networks[-1][1].machine_in_service
    weight = grid.inertia_mws_per_hz * on / (grid.inertia_mws_per_hz * on).sum()
    after = trace.time_s > 1.0
    deviation = (trace.df_hz - exact)[after]
    assert np.abs(deviation @ weight).max() < 1e-4  # 0.1 mHz, as asked for
    assert np.abs(deviation[:, on]).max() < 3e-3


def test_energy_balances_to_the_order_of_the_integration():
    assert_all_hold(validate_energy(CASE))


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_laws_hold(level):
    assert_all_hold(laws(CASE, level, rest_s=40.0))


def test_reclosing_brings_the_classical_grid_back_to_its_network():
    grid = ClassicalGrid(CASE, SwingConfig(level="machine"))
    line = CASE.branch.name.index("54-53 #1")
    out = grid.switched(grid.undisturbed(), Event(time_s=0.0, kind="branch_out", index=line))
    back = grid.switched(out, Event(time_s=0.0, kind="branch_in", index=line))
    np.testing.assert_array_equal(back.y_reduced_pu, grid.undisturbed().y_reduced_pu)


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_a_unit_returns_synchronised(level):
    """Lost and put back within seconds: the grid ends where it began, and the unit does not jerk it."""
    config = SwingConfig(level=level, governor=GovernorConfig(loading_percent_per_min=None))
    grid, inputs = balanced_grid(CASE, 1, config, load_level=0.7)
    g9 = CASE.machine.name.index("G9")
    before_mw = grid.machine_mw[0, g9]
    grid.advance(inputs, {0: [Event(time_s=1.0, kind="machine_out", index=g9)]})
    grid.advance(inputs, {0: [Event(time_s=1.0, kind="machine_in", index=g9)]})
    assert grid.swing_state.df_max_hz.max() < 0.05
    for _ in range(120):
        grid.advance(inputs)
    # Dead bands leave 17 mHz undecided for a while; damping of 213 MW/Hz over 6600 MW s/Hz decays in 31 s, what loads
    # have to recover in 60 s.
    assert np.abs(grid.df_hz).max() < 1e-3
    assert grid.machine_mw[0, g9] == pytest.approx(before_mw, abs=1.0)


def test_frequent_power_flows_change_little():
    """What the model leaves between power flows, 0.25 s in a swing, is worth 1 % of the nadir of 338 mHz at most.

    Voltages sag on between two power flows, and what the loads draw less shows at the second alone.
    """
    event = Event(time_s=1.0, kind="machine_out", index=CASE.machine.name.index("G9"))
    traces = []
    for renewal in ({}, {"renewal_s": 0.04, "renewal_spread_hz": 0.0}):
        config = replace(SwingConfig(level="area"), **renewal)
        grid, inputs = balanced_grid(CASE, 1, config, load_level=0.8)
        rows = []
        for k in range(5):
            grid.advance(inputs, {0: [event]} if k == 0 else None)
            rows.append(grid.coi_trace_hz()[:, 0])
        traces.append(np.concatenate(rows))
    assert np.abs(traces[0] - traces[1]).max() < 3.4e-3


@pytest.mark.slow
def test_the_kernel_agrees_with_a_stiff_integration_for_a_minute():
    assert_all_hold(validate_integration(CASE))


@pytest.mark.parametrize(
    ("load_model", "nadir_mhz", "rocof_mhz_per_s"),
    [("impedance", -246.9, -54.7), ("half", -306.1, -70.2), ("power", -398.4, -99.4)],
)
def test_the_loss_of_g3_is_that_of_full_order_machines(load_model, nadir_mhz, rocof_mhz_per_s):
    """With one exciter on both sides; the figures are those of GENROU and SEXS in ANDES 2.0.0."""
    case = with_reference_exciters(CASE, reference_of(GOLDEN)["exciter"])
    traces, end_s = coupled_traces(case, coupled_config(load_model, "area"), 1.0, ("loss of G3",))
    found = figures_of(traces[::5, 0], 0.1, float(end_s[0]))
    assert found["nadir_mhz"] == pytest.approx(nadir_mhz, abs=LIMIT["nadir"])  # asked for
    assert found["rocof_mhz_per_s"] == pytest.approx(rocof_mhz_per_s, rel=LIMIT["rocof"] / 100.0)  # asked for


@pytest.mark.parametrize(("load_model", "nadir_mhz"), [("impedance", -136.7), ("power", -400.2)])
def test_with_constant_fluxes_the_loss_of_g3_is_that_of_classical_machines(load_model, nadir_mhz):
    """E' fixed behind x'd: the figures are those of GENCLS in ANDES 2.0.0, the same loads and governors."""
    config = replace(coupled_config(load_model, "area"), terminal_voltage="classical")
    traces, end_s = coupled_traces(CASE, config, 1.0, ("loss of G3",))
    found = figures_of(traces[::5, 0], 0.1, float(end_s[0]))
    assert found["nadir_mhz"] == pytest.approx(nadir_mhz, abs=LIMIT["nadir"])  # asked for


@pytest.mark.slow
def test_what_is_outside_against_full_order_machines_is_known():
    checks, results = validate_coupled(CASE, ("machine", "area"), GOLDEN)
    assert len(results) == 96
    assert_all_hold(checks)


@pytest.mark.slow
def test_the_levels_agree_on_ten_events():
    checks, results = compare_levels(CASE, ("machine", "area", "system"))
    assert len(results) == 30
    assert_all_hold(checks)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_an_undisturbed_grid_rests_for_an_hour(level):
    assert_all_hold(laws(CASE, level, rest_s=3600.0))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("andes") is None, reason="ANDES is not installed: pip install 'andes>=2.0'")
def test_andes_gives_the_golden_files_again():
    import andes_reference
    from grid_model.validation.andes_reference import export_grid
    from grid_model.validation.frequency_checks import read_golden

    event = andes_reference.EVENTS[0]
    result = andes_reference.run_event(export_grid(), event)
    _, golden = read_golden(GOLDEN / f"andes_{event.replace(' ', '_')}.csv")
    n = CASE.n_machine
    # Half a unit of the file's last digit, and ANDES' own tolerance of 1e-8 pu of speed.
    np.testing.assert_allclose(1e3 * result["machine_hz"], golden[:, 1 : 1 + n], rtol=0.0, atol=2e-3)
