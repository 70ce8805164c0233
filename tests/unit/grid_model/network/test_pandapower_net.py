"""Case -> pandapower net: every table in case order, and the power flow of grids that can be solved by hand."""

import warnings

import numpy as np
import pytest

from builders import grid, three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.network.pandapower_net import build_network, set_reactor_share
from grid_model.power_flow.oracle import solve_with_pandapower


def test_rows_of_the_net_stand_in_the_order_of_the_case():
    case = load_ieee68()
    net = build_network(case)
    assert list(net.line["name"]) == list(case.branch.name[: case.n_line])
    assert list(net.trafo["name"]) == list(case.branch.name[case.n_line :])
    np.testing.assert_array_equal(
        net.line[["from_bus", "to_bus"]].T, [case.branch.from_bus[:81], case.branch.to_bus[:81]]
    )
    np.testing.assert_array_equal(
        net.trafo[["hv_bus", "lv_bus"]].T, [case.branch.from_bus[81:], case.branch.to_bus[81:]]
    )
    assert list(net.gen["name"]) == list(case.machine.name)
    assert list(net.load["name"]) == list(case.load.name)
    assert list(net.sgen["name"]) == [
        *case.renewable.name,
        *(n for n in case.resource.name if n[:4] != "bess"),
    ]
    assert list(net.storage["name"]) == [f"bess_{i}" for i in range(5)]
    np.testing.assert_array_equal(net.shunt["bus"], case.reactor.bus)
    assert list(net.bus["zone"]) == [case.area_names[a] for a in case.bus.area]
    assert (len(net.line), len(net.trafo), len(net.gen), len(net.load), len(net.sgen)) == (81, 20, 16, 35, 29)


def test_thermal_limits_are_rate_a():
    case = load_ieee68()
    net = build_network(case)
    # sqrt(3) V I = S; round-off of two multiplications
    np.testing.assert_allclose(
        np.sqrt(3.0) * 345.0 * net.line["max_i_ka"], case.branch.rate_a_mva[:81], rtol=1e-14
    )
    np.testing.assert_array_equal(net.trafo["sn_mva"], case.branch.rate_a_mva[81:])


def test_one_machine_is_the_slack_and_the_imbalance_is_shared_by_rating():
    case = load_ieee68()
    net = build_network(case)
    assert list(net.gen.index[net.gen["slack"]]) == [12]
    np.testing.assert_allclose(
        net.gen["slack_weight"], case.machine.rating_mva / case.machine.rating_mva.sum(), rtol=1e-15
    )
    single = build_network(case, distributed_slack=False)
    np.testing.assert_array_equal(single.gen["slack_weight"], case.machine.slack)


def test_what_is_left_out_is_not_in_the_net():
    net = build_network(load_ieee68(), resources=False, renewables=False, reactors=False)
    assert (len(net.sgen), len(net.storage), len(net.shunt)) == (0, 0, 0)
    net = build_network(load_ieee68(), resources=False)
    assert len(net.sgen) == 14


def test_reactors_are_switched_in_by_share():
    case = load_ieee68()
    net = build_network(case)
    set_reactor_share(net, case, 0.25)
    np.testing.assert_array_equal(net.shunt["q_mvar"], 0.25 * case.reactor.q_mvar)


def test_two_buses_settle_where_the_quadratic_says():
    """Lossless line, V1 = 1: V2^4 + (2 Q X - 1) V2^2 + X^2 (P^2 + Q^2) = 0, sin(delta) = P X / (V1 V2)."""
    p, q, x = 0.8, 0.3, 0.1
    case = two_bus(p_load_mw=80.0, q_load_mvar=30.0, x_pu=x)
    v_pu = solve_with_pandapower(build_network(case, distributed_slack=False), distributed_slack=False).v_pu
    half = 0.5 - q * x
    v2 = np.sqrt(half + np.sqrt(half**2 - x**2 * (p**2 + q**2)))
    # Newton stops at 1e-8 MVA = 1e-10 pu of power; with dV/dS below 0.2 the voltage is off by less.
    assert abs(v_pu[1]) == pytest.approx(v2, abs=1e-10)
    assert np.angle(v_pu[1]) == pytest.approx(-np.arcsin(p * x / v2), abs=1e-10)


def test_two_parallel_circuits_are_one_of_half_the_reactance():
    two = build_network(two_bus(circuits=2, x_pu=0.2), distributed_slack=False)
    one = build_network(two_bus(circuits=1, x_pu=0.1), distributed_slack=False)
    v_two = solve_with_pandapower(two, distributed_slack=False).v_pu
    v_one = solve_with_pandapower(one, distributed_slack=False).v_pu
    np.testing.assert_allclose(v_two, v_one, rtol=0.0, atol=1e-10)  # mismatch of both solves, as above


def test_the_ratio_stands_at_the_from_bus():
    """No load: no current, so the to bus sits at V1 / t."""
    case = grid(branches=[(1, 2, 0.1)], n_line=0, tap=1.05, machines={1: 0.0}, loads={2: (0.0, 0.0)})
    v_pu = solve_with_pandapower(build_network(case, distributed_slack=False), distributed_slack=False).v_pu
    assert abs(v_pu[1]) == pytest.approx(1.0 / 1.05, abs=1e-10)


def test_line_charging_lifts_an_open_end():
    """Open line: V2 = V1 y / (y + j b/2) = 1 / (1 - x b / 2)."""
    case = grid(branches=[(1, 2, 0.1)], b_pu=0.5, machines={1: 0.0}, loads={2: (0.0, 0.0)})
    v_pu = solve_with_pandapower(build_network(case, distributed_slack=False), distributed_slack=False).v_pu
    assert abs(v_pu[1]) == pytest.approx(1.0 / (1.0 - 0.1 * 0.5 / 2.0), abs=1e-9)


def test_solving_a_net_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve_with_pandapower(build_network(three_area()))


@pytest.mark.parametrize("variant", ["rogers", "tr18"])
def test_both_variants_solve_with_their_plants_in_place(variant):
    case = load_ieee68(variant)
    net = build_network(case)
    set_reactor_share(net, case, 0.0)
    solution = solve_with_pandapower(net)
    assert np.all(np.abs(solution.v_pu) > 0.8)
    # Plants stand at zero, so machines carry load and losses alone: 0.9 to 1.1 % of the load.
    assert 1.005 < solution.machine_p_mw.sum() / case.load.p_mw.sum() < 1.012
