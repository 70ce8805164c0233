"""The network as a graph, on grids whose answer can be seen."""

import networkx as nx
import numpy as np

from builders import grid, one_area, three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.network.topology import bridges, islands, live_buses, multigraph, ties


def all_but(case, *rows):
    in_service = np.ones(case.n_branch, dtype=np.bool_)
    in_service[list(rows)] = False
    return in_service


def test_a_whole_grid_is_one_island():
    case = one_area()
    np.testing.assert_array_equal(islands(case, all_but(case)), 0)
    assert live_buses(case, all_but(case)).all()


def test_losing_the_radial_circuit_leaves_its_bus_dead():
    case = one_area()
    np.testing.assert_array_equal(islands(case, all_but(case, 3)), [0, 0, 0, 3])
    np.testing.assert_array_equal(live_buses(case, all_but(case, 3)), [True, True, True, False])


def test_the_main_island_is_the_one_with_most_machine_rating():
    """1-2 | 3-4-5: three buses with one machine are less than two buses with two."""
    case = grid(
        branches=[(1, 2, 0.1), (2, 3, 0.1), (3, 4, 0.1), (4, 5, 0.1)],
        machines={1: 50.0, 2: 50.0, 5: 50.0},
        loads={3: (100.0, 0.0)},
    )
    np.testing.assert_array_equal(live_buses(case, all_but(case, 1)), [True, True, False, False, False])


def test_one_of_two_parallel_circuits_is_no_bridge():
    assert len(bridges(two_bus(circuits=2))) == 0
    np.testing.assert_array_equal(bridges(two_bus(circuits=1)), [0])


def test_the_bridges_of_the_triangle_with_a_tail_are_its_tail():
    np.testing.assert_array_equal(bridges(one_area()), [3])


def test_ties_join_two_areas():
    case = three_area()
    np.testing.assert_array_equal(ties(case), [0, 1, 2, 3])


def test_a_node_is_a_bus_and_an_edge_a_circuit():
    case = three_area()
    graph = multigraph(case, all_but(case, 0))
    assert graph.number_of_nodes() == 6
    assert graph.number_of_edges() == 6
    assert graph.nodes[1] == {"bus_number": 12, "area": "A"}
    assert graph.edges[1, 3, 1]["name"] == "12-22 #2"


def test_every_outage_of_the_68_buses_islands_exactly_what_networkx_says():
    """Compiled union-find against networkx's components, circuit by circuit; the islanding ones are the bridges."""
    case = load_ieee68()
    islanding = []
    for row in range(case.n_branch):
        in_service = all_but(case, row)
        expected = np.zeros(case.n_bus, dtype=np.int64)
        for component in nx.connected_components(multigraph(case, in_service)):
            expected[list(component)] = min(component)
        np.testing.assert_array_equal(islands(case, in_service), expected)
        if not live_buses(case, in_service).all():
            islanding.append(row)
    np.testing.assert_array_equal(bridges(case), islanding)


def test_many_islands_at_once_agree_with_networkx():
    case = load_ieee68()
    rng = np.random.default_rng(0)
    for share in (0.2, 0.5, 0.8):
        in_service = rng.random(case.n_branch) < share
        label = islands(case, in_service)
        components = list(nx.connected_components(multigraph(case, in_service)))
        assert len(np.unique(label)) == len(components)
        for component in components:
            assert set(label[list(component)]) == {min(component)}
