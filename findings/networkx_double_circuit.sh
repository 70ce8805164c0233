#!/usr/bin/env bash
# networkx 3.6.1: edge_connectivity takes a double circuit for one line, though the graph is a MultiGraph.
#
# Expected: edge_connectivity, minimum_edge_cut and edge_disjoint_paths count parallel edges, as bridges does, or refuse a
#   multigraph, as stoer_wagner, maximum_flow and k_edge_components do.
# What happens: the edges are copied into a DiGraph with a capacity of one, where parallel edges fall together. The "cut" that
#   comes back does not cut. Without a pair of nodes the degree is a bound, and degrees do count parallel edges: a row
#   of double circuits is worth 2 if it has two nodes and 1 if it has three.
# Documented: no; the documentation asks for a "NetworkX graph, undirected or directed". In the source:
#   networkx/algorithms/connectivity/utils.py, build_auxiliary_edge_connectivity.
# Why it matters: pandapower's create_nxgraph makes a MultiGraph, and the number of lines whose loss separates two buses is
#   how a grid's redundancy is measured. A corridor with two circuits, built to survive one, counts as a single point of failure.
#   A simple graph with the number of circuits as capacity gives the right number.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check networkx==3.6.1 pandapower==3.5.6 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(networkx|pandapower|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import networkx as nx
import pandapower as pp
from pandapower.networks import case118
from pandapower.topology import create_nxgraph

def counted(graph, start=None, end=None):
    """Edge connectivity with the number of parallel edges as capacity."""
    simple = nx.Graph()
    for one, other, _ in graph.edges(keys=True):
        simple.add_edge(one, other, weight=graph.number_of_edges(one, other))
    return nx.stoer_wagner(simple)[0] if start is None else nx.minimum_cut_value(simple, start, end, capacity="weight")

for buses in (2, 3, 4):
    net = pp.create_empty_network()
    pp.create_buses(net, buses, 110.0)
    for bus in range(buses - 1):
        for _ in range(2):
            pp.create_line_from_parameters(net, bus, bus + 1, 40, 0.1, 0.4, 9, 0.6)
    graph = create_nxgraph(net)
    whole, pair, cut = nx.edge_connectivity(graph), nx.edge_connectivity(graph, 0, 1), nx.minimum_edge_cut(graph, 0, 1)
    paths, bridges = len(list(nx.edge_disjoint_paths(graph, 0, 1))), len(list(nx.bridges(graph)))
    left = graph.copy()
    left.remove_edges_from(cut)
    print(f"{buses} buses in a row, two circuits each: connectivity {whole}, of the first two {pair}, disjoint paths {paths}, "
          f"bridges {bridges}; still connected after the cut: {nx.is_connected(left)}; counted {counted(graph)}")
    assert counted(graph) == 2 and whole == (2 if buses == 2 else 1)
    assert (pair, paths, bridges) == (1, 1, 0) and nx.is_connected(left)

graph = create_nxgraph(case118())
for one, other in sorted({(u, v) for u, v, _ in graph.edges(keys=True) if graph.number_of_edges(u, v) > 1}):
    said, true = nx.edge_connectivity(graph, one, other), counted(graph, one, other)
    print(f"case118, buses {one} and {other}: {said}, counted {true}")
    assert said < true
print("as described")
PY
