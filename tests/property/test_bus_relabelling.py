"""A bus has no meaning beyond its connections: another order of buses reorders results and changes none."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import reorder_buses, three_area
from cases.ieee68 import load_ieee68
from grid_model.network.limits import apparent_power_mva
from grid_model.network.pandapower_net import build_network
from grid_model.network.topology import bridges, islands, live_buses, ties
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.security.contingency import screen
from grid_model.security.outage import published_point, scaled_point

# Newton stops at a mismatch of 1e-9 pu (engine) or 1e-10 pu (oracle); on these grids that is less than
# 1e-9 pu of voltage, and less than 1e-5 MVA of flow through circuits of up to 700 pu.
V_ATOL_PU = 1e-9
S_ATOL_MVA = 1e-5


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(6)), out=st.sets(st.integers(0, 6), max_size=4))
def test_islands_and_bridges_follow_their_buses(order, out):
    case = three_area()
    relabelled = reorder_buses(case, np.array(order))
    in_service = np.array([k not in out for k in range(case.n_branch)])
    np.testing.assert_array_equal(bridges(relabelled), bridges(case))
    np.testing.assert_array_equal(ties(relabelled), ties(case))
    before, after = islands(case, in_service), islands(relabelled, in_service)
    same_before, same_after = before[:, None] == before, after[:, None] == after
    np.testing.assert_array_equal(same_after, same_before[np.ix_(order, order)])
    # Machines differ in rating here, so that no tie between islands is broken by the order of the buses.
    rated = replace(case, machine=replace(case.machine, rating_mva=np.array([500.0, 900.0, 700.0])))
    live = live_buses(rated, in_service)
    np.testing.assert_array_equal(
        live_buses(reorder_buses(rated, np.array(order)), in_service), live[list(order)]
    )


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(6)))
def test_voltages_and_flows_follow_their_buses(order):
    case = three_area()
    order = np.array(order)
    before = NewtonEngine(case, check=False)
    after = NewtonEngine(reorder_buses(case, order), check=False)
    np.testing.assert_allclose(after.v_pu[0], before.v_pu[0][order], rtol=0.0, atol=V_ATOL_PU)
    np.testing.assert_allclose(
        apparent_power_mva(after.s_from_mva, after.s_to_mva),
        apparent_power_mva(before.s_from_mva, before.s_to_mva),
        rtol=0.0,
        atol=S_ATOL_MVA,
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_68_buses_in_any_order_have_the_same_solution(seed):
    case = load_ieee68("tr18")
    order = np.random.default_rng(seed).permutation(case.n_bus)
    before = solve_with_pandapower(build_network(case)).v_pu
    after = solve_with_pandapower(build_network(reorder_buses(case, order))).v_pu
    # The slack machine's bus is the reference of the angles in both.
    np.testing.assert_allclose(after, before[order], rtol=0.0, atol=V_ATOL_PU)


def stressed_three_area(rating_mva):
    """Ties rated so tightly that some outages break a limit."""
    case = three_area()
    rate_a_mva = np.where(case.branch.is_transformer, 600.0, rating_mva)
    return replace(
        case,
        branch=replace(
            case.branch, rate_a_mva=rate_a_mva, rate_b_mva=1.2 * rate_a_mva, rate_c_mva=1.4 * rate_a_mva
        ),
        # Three different ratings, so that no tie between islands is broken by the order of the buses.
        machine=replace(case.machine, rating_mva=np.array([1000.0, 900.0, 800.0])),
    )


@settings(max_examples=4, deadline=None)
@given(order=st.permutations(range(6)), rating_mva=st.sampled_from([60.0, 110.0, 300.0]))
@pytest.mark.parametrize("engine", ["newton", "lightsim2grid", "dc"])
def test_verdicts_follow_their_elements(engine, order, rating_mva):
    case = stressed_three_area(rating_mva)
    before = screen(case, published_point(case), engine)
    relabelled = reorder_buses(case, np.array(order))
    after = screen(relabelled, published_point(relabelled), engine)
    assert [r.verdict for r in after.results] == [r.verdict for r in before.results]
    assert [set(r.islanded_bus_numbers) for r in after.results] == [
        set(r.islanded_bus_numbers) for r in before.results
    ]
    for a, b in zip(after.results, before.results, strict=True):
        if b.condition is None:
            assert a.condition is None
            continue
        # Flows agree to S_ATOL_MVA; on the smallest rating, 72 MVA, that is less than 2e-5 percent.
        assert a.condition.worst_loading_percent == pytest.approx(b.condition.worst_loading_percent, abs=2e-5)
        assert len(a.condition.violations) == len(b.condition.violations)


def test_verdicts_of_the_68_buses_do_not_depend_on_their_order():
    case = load_ieee68()
    relabelled = reorder_buses(case, np.random.default_rng(2).permutation(case.n_bus))
    before = screen(case, scaled_point(case, load_level=0.7))
    after = screen(relabelled, scaled_point(relabelled, load_level=0.7))
    assert [(r.outage.name, r.verdict, r.rest) for r in after.results] == [
        (r.outage.name, r.verdict, r.rest) for r in before.results
    ]
