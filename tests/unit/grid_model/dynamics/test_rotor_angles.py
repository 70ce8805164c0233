"""The network at given rotor angles: power against angle by its formula, loads below 0.7 pu, the power flow's own."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.rotor_angles import RELAXED_PU, Demand, MachinesAtAngles, network_at_angles
from grid_model.network.admittance import bus_admittance
from grid_model.validation.event_response import balanced_grid

X_LINE, X_MACHINE = 0.3, np.array([0.2, 0.1])


def nothing_drawn(n_bus):
    zero = np.zeros(n_bus, dtype=np.complex128)
    return Demand(zero, zero, np.ones(n_bus), 1.0, 2.0, 0.0)


@pytest.mark.parametrize("delta_deg", [10.0, 80.0, 100.0, 150.0])
def test_two_machines_exchange_power_by_the_sine_of_their_angle_on_both_sides_of_its_top(delta_deg):
    """P = E1 E2 sin(delta) / (x1 + x + x2), a reactance all the way."""
    series = 1.0 / (1j * X_LINE)
    y = np.array([[series, -series], [-series, series]])
    emf, delta = np.array([1.1, 1.05]), np.radians([delta_deg, 0.0])
    machines = MachinesAtAngles(np.array([0, 1]), X_MACHINE, emf, np.zeros(2), delta)
    live = np.ones(2, dtype=np.bool_)
    v = network_at_angles(y, live, machines, nothing_drawn(2), np.ones(2, dtype=np.complex128))
    assert v is not None
    sent = (v[0] * np.conj((v[0] - v[1]) * series)).real
    expected = emf.prod() * np.sin(delta[0]) / (X_MACHINE.sum() + X_LINE)
    assert sent == pytest.approx(expected, abs=1e-8)  # the current is found to 1e-9


def one_load(p_pu, p_exponent, constant_share, slope=0.0):
    """A machine of E' = 1.1 + slope V behind 0.2 and its load, at one bus; the voltage there."""
    load = np.array([p_pu + 0.0j])
    demand = Demand(load, np.zeros_like(load), np.ones(1), p_exponent, 0.0, constant_share)
    machine = MachinesAtAngles(
        np.array([0]), np.array([0.2]), np.array([1.1]), np.array([slope]), np.array([0.3])
    )
    v = network_at_angles(
        np.zeros((1, 1), dtype=np.complex128),
        np.ones(1, dtype=np.bool_),
        machine,
        demand,
        np.ones(1, dtype=np.complex128),
    )
    assert v is not None
    return abs(v[0])


def test_a_load_of_constant_power_is_an_impedance_below_seven_tenths():
    """E^2 V^2 = V^4 + (x P)^2 above; below, V = E / |1 + j x P / 0.49|."""
    e, x = 1.1, 0.2
    p = 2.0
    expected = np.sqrt(0.5 * (e**2 + np.sqrt(e**4 - 4.0 * (x * p) ** 2)))
    assert expected > RELAXED_PU
    assert one_load(p, 0.0, 1.0) == pytest.approx(expected, abs=1e-8)
    # No voltage brings 4 per unit: at most E^2 / 2 x = 3.0.
    p = 4.0
    expected = e / abs(1.0 + 1j * x * p / RELAXED_PU**2)
    assert expected < RELAXED_PU
    assert one_load(p, 0.0, 1.0) == pytest.approx(expected, abs=1e-8)


def test_loads_follow_their_exponents_and_machines_their_regulators():
    """Constant current P0 V in phase: E^2 = V^2 + (x P0)^2; with E = 1.1 + b V likewise, a quadratic in V."""
    x, p0 = 0.2, 1.5
    assert one_load(p0, 1.0, 0.0) == pytest.approx(np.sqrt(1.1**2 - (x * p0) ** 2), abs=1e-8)
    b = -0.3
    roots = np.roots([1.0 - b**2, -2.0 * 1.1 * b, (x * p0) ** 2 - 1.1**2])
    assert one_load(p0, 1.0, 0.0, slope=b) == pytest.approx(roots.max(), abs=1e-8)


def test_at_the_angles_of_a_power_flow_it_finds_the_power_flow():
    case = load_ieee68("rogers")
    grid, _ = balanced_grid(case, 1, SwingConfig(), load_level=0.9)
    v, x = grid.engine.v_pu[0], machine_reactance_pu(case)
    s = (grid.machine_mw[0] + 1j * grid.machine_mvar[0]) / case.base_mva
    e = v[case.machine.bus] + 1j * x * np.conj(s / v[case.machine.bus])
    load = np.zeros(case.n_bus, dtype=np.complex128)
    np.add.at(load, case.load.bus, 0.9 * (case.load.p_mw + 1j * case.load.q_mvar) / case.base_mva)
    demand = Demand(load, np.zeros_like(load), np.abs(v), 1.0, 2.0, 0.0)
    machines = MachinesAtAngles(case.machine.bus, x, np.abs(e), np.zeros(case.n_machine), np.angle(e))
    y = bus_admittance(case, np.ones(case.n_branch, dtype=np.bool_), grid.engine.reactor_share[0])
    live = np.ones(case.n_bus, dtype=np.bool_)
    for start in (v, np.ones(case.n_bus, dtype=np.complex128)):
        found = network_at_angles(y, live, machines, demand, start)
        # Both solve to 1e-9 of power or current, over stiffnesses of some pu.
        np.testing.assert_allclose(found, v, rtol=0.0, atol=1e-8)
    # A bus that is dead stays so, and takes nothing.
    live[case.load.bus[0]] = False
    found = network_at_angles(y, live, machines, demand, v)
    assert found[case.load.bus[0]] == 0.0


def test_what_is_not_a_number_has_no_solution():
    plant = np.array([np.nan + 0.0j])
    demand = Demand(np.zeros_like(plant), plant, np.ones(1), 0.0, 0.0, 1.0)
    machine = MachinesAtAngles(np.array([0]), np.array([0.2]), np.array([1.1]), np.zeros(1), np.zeros(1))
    one, none = np.ones(1, dtype=np.complex128), np.zeros((1, 1), dtype=np.complex128)
    assert network_at_angles(none, np.ones(1, dtype=np.bool_), machine, demand, one) is None
