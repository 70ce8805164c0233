"""Sensitivities against DC power flows solved one by one, and against grids that divide by hand."""

from dataclasses import replace

import numpy as np
import pytest

from builders import grid, one_area, three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.network.pandapower_net import build_network
from grid_model.security.outage import outage_power, outage_topology, scaled_point
from grid_model.security.sensitivity import (
    LinearScreen,
    dc_flow_mw,
    outage_factors,
    shared_injection_mw,
    shift_flow_mw,
    transfer_factors,
    worst_after_circuit_outage,
)

# Flows up to 4 GW through matrices of condition 1e4: rounding stays below 1e-9 MW.
ATOL_MW = 1e-9


def dc_flows_solved(case, p_bus_mw, in_service, live):
    """Flows of one DC power flow: angles from B theta = P, one live bus as reference."""
    b = np.where(in_service, case.base_mva / (case.branch.x_pu * case.branch.tap), 0.0)
    matrix = np.zeros((case.n_bus, case.n_bus))
    for k in range(case.n_branch):
        i, j = case.branch.from_bus[k], case.branch.to_bus[k]
        matrix[[i, j], [i, j]] += b[k]
        matrix[[i, j], [j, i]] -= b[k]
    kept = np.flatnonzero(live)[:-1]
    theta = np.zeros(case.n_bus)
    theta[kept] = np.linalg.solve(matrix[np.ix_(kept, kept)], p_bus_mw[kept])
    return b * (theta[case.branch.from_bus] - theta[case.branch.to_bus])


def share_of_buses(case, machine_in_service):
    rating = np.where(machine_in_service, case.machine.rating_mva, 0.0)
    share = np.zeros(case.n_bus)
    np.add.at(share, case.machine.bus, rating / rating.sum())
    return share


def test_a_triangle_divides_by_reactance():
    """100 MW from 1 to 3: two thirds directly over 0.1, one third over 0.2 through bus 2."""
    case = grid(
        branches=[(1, 2, 0.1), (2, 3, 0.1), (1, 3, 0.1)], machines={1: 100.0}, loads={3: (100.0, 0.0)}
    )
    flow = dc_flow_mw(transfer_factors(case), np.array([[100.0, 0.0, -100.0]]))
    np.testing.assert_allclose(flow, [[100 / 3, 100 / 3, 200 / 3]], rtol=1e-14)


def test_the_loss_of_the_direct_circuit_sends_all_over_the_other_two():
    case = grid(
        branches=[(1, 2, 0.1), (2, 3, 0.1), (1, 3, 0.1)], machines={1: 100.0}, loads={3: (100.0, 0.0)}
    )
    factors = outage_factors(case, transfer_factors(case))
    # Everything on the triangle's other side takes the whole flow, in its own direction.
    np.testing.assert_allclose(factors, [[-1, -1, 1], [-1, -1, 1], [1, 1, -1]], atol=1e-14)


def test_the_loss_of_one_parallel_circuit_doubles_the_other():
    percent, worst = worst_after_circuit_outage(
        np.array([[50.0, 50.0]]),
        np.ascontiguousarray(outage_factors(two_bus(circuits=2), transfer_factors(two_bus(circuits=2))).T),
        np.array([80.0, 80.0]),
    )
    np.testing.assert_allclose(percent, [[125.0, 125.0]], rtol=1e-14)
    np.testing.assert_array_equal(worst, [[1, 0]])


def test_a_bridge_has_no_outage_factor():
    factors = outage_factors(one_area(), transfer_factors(one_area()))
    np.testing.assert_array_equal(np.isnan(factors).all(axis=0), [False, False, False, True])


def test_an_imbalance_is_shared():
    balanced = shared_injection_mw(np.array([[70.0, -100.0]]), np.array([0.75, 0.25]))
    np.testing.assert_allclose(balanced, [[92.5, -92.5]], rtol=1e-14)


@pytest.mark.parametrize("variant", ["rogers", "tr18"])
def test_base_flows_agree_with_pandapower(variant):
    import pandapower as pp

    case = load_ieee68(variant)
    net = build_network(case, resources=False, renewables=False, reactors=False, distributed_slack=False)
    pp.rundcpp(net)
    p_bus_mw = np.zeros(case.n_bus)
    np.add.at(p_bus_mw, case.machine.bus, case.machine.p_mw)
    np.add.at(p_bus_mw, case.load.bus, -case.load.p_mw)
    share = np.zeros(case.n_bus)
    share[case.machine.bus[case.machine.slack_machine]] = 1.0
    flow = dc_flow_mw(transfer_factors(case), shared_injection_mw(p_bus_mw[None], share))[0]
    expected = np.concatenate([net.res_line["p_from_mw"], net.res_trafo["p_hv_mw"]])
    # pandapower stores reactances in ohm and percent and converts back: 1e-13 of 4 GW, times condition.
    np.testing.assert_allclose(flow, expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    "case", [load_ieee68(), load_ieee68("tr18"), three_area(), one_area()], ids=lambda c: c.name
)
def test_flows_after_every_circuit_outage_are_those_of_its_own_dc_power_flow(case):
    point = scaled_point(case, load_level=0.9, wind=0.4, sun=0.6)
    screen = LinearScreen(case)
    topology = outage_topology(case, screen.outages)
    transfer = transfer_factors(case)
    factors = outage_factors(case, transfer)
    everything = outage_power(case, point, topology).injection_mva.real
    for k in range(case.n_branch):
        if topology.islanding[k]:
            continue
        balanced = shared_injection_mw(
            everything[k : k + 1], share_of_buses(case, topology.machine_in_service[k])
        )
        before = dc_flow_mw(transfer, balanced)[0]
        after = before + factors[:, k] * before[k]
        expected = dc_flows_solved(case, balanced[0], topology.branch_in_service[k], topology.bus_live[k])
        np.testing.assert_allclose(after, expected, rtol=0.0, atol=ATOL_MW, err_msg=case.branch.name[k])


@pytest.mark.parametrize("case", [load_ieee68(), three_area(), one_area()], ids=lambda c: c.name)
def test_the_screen_finds_the_worst_circuit_of_every_outage(case):
    """Circuits, islands, machines and plants, each against its own DC power flow of what is left."""
    point = scaled_point(case, load_level=0.8, wind=0.9, sun=0.5)
    screen = LinearScreen(case)
    percent, worst = screen.worst((point,))
    topology = outage_topology(case, screen.outages)
    injection = outage_power(case, point, topology).injection_mva.real
    for k, outage in enumerate(screen.outages):
        share = share_of_buses(case, topology.machine_in_service[k])
        balanced = shared_injection_mw(injection[k : k + 1], share)[0]
        flow = dc_flows_solved(case, balanced, topology.branch_in_service[k], topology.bus_live[k])
        loading = 100.0 * np.abs(flow) / case.branch.rate_b_mva
        assert percent[0, k] == pytest.approx(loading.max(), abs=ATOL_MW), outage.name
        assert loading[worst[0, k]] == pytest.approx(loading.max(), abs=ATOL_MW), outage.name


def test_a_batch_of_eight_equals_eight_runs_of_one():
    case = load_ieee68()
    screen = LinearScreen(case)
    points = tuple(scaled_point(case, load_level=0.4 + 0.08 * k, wind=k / 8, sun=1 - k / 8) for k in range(8))
    percent, worst = screen.worst(points)
    for env, point in enumerate(points):
        alone_percent, alone_worst = screen.worst((point,))
        # Matrix products of another shape may add in another order: a few units in the last place.
        np.testing.assert_allclose(percent[env], alone_percent[0], rtol=1e-12)
        same = case.branch.corridor[worst[env]] == case.branch.corridor[alone_worst[0]]
        assert same.all()  # equal parallel circuits may swap


def test_a_phase_shifter_drives_a_flow_around_its_loop():
    """Two circuits of 0.1 and 0.3 pu in parallel, 0.02 rad at the second: 100 x 0.02 / 0.4 = 5 MW circulate."""
    case = grid(branches=[(1, 2, 0.1), (1, 2, 0.3)], n_line=1, machines={1: 0.0}, loads={2: (0.0, 0.0)})
    case = replace(case, branch=replace(case.branch, shift_rad=np.array([0.0, 0.02])))
    flow_mw = shift_flow_mw(case, transfer_factors(case))
    # theta_1 - theta_2 - shift drives the shifter backwards; rounding only.
    np.testing.assert_allclose(flow_mw, [5.0, -5.0], rtol=1e-12)
