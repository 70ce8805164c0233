"""Frequency divider: weights of the machines at the buses."""

import numpy as np

from cases.ieee68 import load_ieee68
from grid_model.dynamics.bus_frequency import frequency_divider
from tests.builders import grid


def test_weights_of_two_machines_on_a_line_are_those_of_a_voltage_divider():
    """x'd 0.2, line 0.3 + 0.5, x'd 0.2 in series: the middle bus sees machine 1 over 0.5 and machine 3 over 0.7."""
    case = grid(branches=[(1, 2, 0.3), (2, 3, 0.5)], machines={1: 100.0, 3: 50.0}, loads={2: (150.0, 0.0)})
    xd1 = case.machine.xd1_pu * case.base_mva / case.machine.base_mva
    divider = frequency_divider(case, np.ones(2, bool), np.ones(2, bool), np.ones(3, bool))
    left, right = xd1[0] + 0.3, xd1[1] + 0.5
    # Rounding of a 3 x 3 solve.
    np.testing.assert_allclose(divider[1], [right / (left + right), left / (left + right)], atol=1e-14)


def test_rows_sum_to_one_and_are_weights_on_the_68_bus_system():
    case = load_ieee68("rogers")
    divider = frequency_divider(
        case, np.ones(case.n_branch, bool), np.ones(case.n_machine, bool), np.ones(case.n_bus, bool)
    )
    # 1e-12: rounding of a 68 x 68 solve whose condition number is below 1e4.
    np.testing.assert_allclose(divider.sum(axis=1), 1.0, atol=1e-12)
    assert divider.min() >= -1e-12


def test_a_dead_bus_and_a_machine_out_have_no_weight():
    case = load_ieee68("rogers")
    g1 = case.machine.name.index("G1")
    bus = case.machine.bus[g1]
    on = (case.branch.from_bus != bus) & (case.branch.to_bus != bus)
    machine_on = np.ones(case.n_machine, bool)
    machine_on[g1] = False
    live = np.ones(case.n_bus, bool)
    live[bus] = False
    divider = frequency_divider(case, on, machine_on, live)
    assert not divider[bus].any()
    assert not divider[:, g1].any()
    np.testing.assert_allclose(divider[live].sum(axis=1), 1.0, atol=1e-12)
