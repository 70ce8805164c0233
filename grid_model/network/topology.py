"""The network as a graph: islands, bridges, and the buses that stay alive after an outage.

Nodes are buses, edges are rated circuits, so parallel circuits are parallel edges: losing one of two leaves
the corridor standing. Drawing and the search for bridges go through networkx; what runs inside a step is a
compiled union-find. An island with a machine and load can live on by itself (`islands_that_live`). N-1 and plans look
at the main one alone (`live_buses`): an outage that cuts off anything else is islanding there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.compilation import compiled


def multigraph(case: Case, branch_in_service: BoolArray | None = None) -> Any:
    """Networkx multigraph of a case.

    Args:
        case: the grid.
        branch_in_service: circuits to keep, [branch]; all if None.

    Returns:
        nx.MultiGraph. A node is a bus position with `bus_number` and `area`; an edge's key is its row in
        the branch table, with `name` and `is_transformer`.
    """
    import networkx as nx  # a tenth of a second, which commands without a grid need not wait for

    graph = nx.MultiGraph(name=case.name)
    for k in range(case.n_bus):
        graph.add_node(k, bus_number=int(case.bus.bus_number[k]), area=case.area_names[int(case.bus.area[k])])
    branch = case.branch
    for k in range(case.n_branch):
        if branch_in_service is None or branch_in_service[k]:
            graph.add_edge(
                int(branch.from_bus[k]),
                int(branch.to_bus[k]),
                key=k,
                name=branch.name[k],
                is_transformer=bool(branch.is_transformer[k]),
            )
    return graph


def bridges(case: Case) -> IntArray:
    """Rows of the circuits whose loss alone cuts buses off, ascending."""
    import networkx as nx

    graph = multigraph(case)
    found = [
        key for u, v in nx.bridges(nx.Graph(graph)) for key in graph[u][v] if graph.number_of_edges(u, v) == 1
    ]
    return np.array(sorted(found), dtype=np.int64)


def ties(case: Case) -> IntArray:
    """Rows of the circuits that join two areas, ascending."""
    area = case.bus.area
    return np.flatnonzero(area[case.branch.from_bus] != area[case.branch.to_bus]).astype(np.int64)


def weighted_laplacian(case: Case, weight: FloatArray) -> FloatArray:
    """Laplacian of the network with weighted circuits: L_bb = sum of the weights at b, L_bc = -sum of those between.

    Args:
        case: the grid.
        weight: of each circuit, zero for one out of service, [branch].

    Returns:
        [bus, bus], in the unit of the weights; rows sum to zero.
    """
    f, t = case.branch.from_bus, case.branch.to_bus
    laplacian = np.zeros((case.n_bus, case.n_bus))
    np.add.at(laplacian, (f, f), weight)
    np.add.at(laplacian, (t, t), weight)
    np.add.at(laplacian, (f, t), -weight)
    np.add.at(laplacian, (t, f), -weight)
    return laplacian


def islands(case: Case, branch_in_service: BoolArray) -> IntArray:
    """Island of every bus, named by the lowest bus position in it.

    Args:
        case: the grid.
        branch_in_service: [branch].

    Returns:
        [bus].
    """
    # A copy, because numba compiles anew for arrays that cannot be written or are not contiguous.
    return _islands(case.n_bus, case.branch.from_bus, case.branch.to_bus, np.array(branch_in_service))


def is_whole(case: Case, branch_in_service: BoolArray) -> bool:
    """Whether all buses hang together by these circuits, [branch]."""
    return not islands(case, branch_in_service).any()  # one island, named by bus 0


def live_buses(case: Case, branch_in_service: BoolArray) -> BoolArray:
    """Buses of the main island: the one with most machine rating, then most buses, then the lowest bus.

    Args:
        case: the grid.
        branch_in_service: [branch].

    Returns:
        True where the bus belongs to the main island, [bus].
    """
    label = islands(case, branch_in_service)
    if not label.any():  # one island, named by bus 0
        return np.ones(case.n_bus, dtype=np.bool_)
    rating_mva = np.bincount(label[case.machine.bus], case.machine.rating_mva, minlength=case.n_bus)
    n_bus = np.bincount(label, minlength=case.n_bus)
    order = np.lexsort((np.arange(case.n_bus), -n_bus, -rating_mva))
    main: BoolArray = label == order[0]
    return main


@dataclass(frozen=True, kw_only=True)
class DarkIsland:
    """An island that went dark."""

    bus: IntArray  # positions of its buses, ascending
    reason: str


def islands_that_live(
    case: Case, branch_in_service: BoolArray, machine_in_service: BoolArray, most: int
) -> tuple[list[IntArray], list[DarkIsland]]:
    """Islands with a machine and load, by falling machine rating in service, and those that have to go dark.

    Where none has both, the largest by rating lives, so that there is a grid to judge.

    Args:
        case: the grid.
        branch_in_service: [branch].
        machine_in_service: [machine].
        most: islands that may live.

    Returns:
        Positions of the buses of each island that lives, and those that go dark, with the reason.
    """
    label = islands(case, branch_in_service)
    size = case.n_bus
    rating_mva = np.bincount(
        label[case.machine.bus], case.machine.rating_mva * machine_in_service, minlength=size
    )
    load_mw = np.bincount(label[case.load.bus], np.abs(case.load.p_mw), minlength=size)
    # The lowest bus decides between equals.
    order = np.argsort(-rating_mva, kind="stable")
    names = order[np.isin(order, label)].tolist()
    fit = [name for name in names if rating_mva[name] > 0.0 and load_mw[name] > 0.0] or names[:1]
    dark = []
    for name in names:
        if name in fit[:most]:
            continue
        if not rating_mva[name] > 0.0:
            reason = "no machine in service"
        elif not load_mw[name] > 0.0:
            reason = "no load"
        else:
            reason = f"more than {most} islands"
        dark.append(DarkIsland(bus=np.flatnonzero(label == name), reason=reason))
    return [np.flatnonzero(label == name) for name in fit[:most]], dark


@compiled
def _islands(n_bus: int, from_bus: IntArray, to_bus: IntArray, in_service: BoolArray) -> IntArray:
    """Union-find; the lower bus of two becomes the root, so a root is the lowest bus of its island."""
    root = np.arange(n_bus)
    for k in range(len(from_bus)):
        if in_service[k]:
            a, b = from_bus[k], to_bus[k]
            while root[a] != a:
                a = root[a]
            while root[b] != b:
                b = root[b]
            root[max(a, b)] = min(a, b)
    for k in range(n_bus):  # roots are lower than their members, so they are final when these are reached
        root[k] = root[root[k]]
    return root
