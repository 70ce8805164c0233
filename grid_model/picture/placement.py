"""Positions of buses in drawings, worked out when something is drawn, for grids that come without good ones.

What the source knows comes first; unknown buses stand between their neighbours. Where nothing is known, a small grid is
laid out by springs and a large one by pivots, which takes seconds for ten thousand buses. Buses that are too close then
push each other apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case

WIDTH, HEIGHT = 36.0, 18.0  # shape of the pictures
ROUNDS = 300
MOST_BY_SPRINGS = 150  # all pairs of buses pull: half a second for 118 buses, a minute for 1000
N_PIVOT = 100
GOOD_SHARE = (
    0.35  # of the distance at which buses are pushed apart; positions further apart are drawn as they are
)


def placed(case: Case) -> Case:
    """The case with a position for every bus; one that has good positions for all is returned as it is."""
    xy = np.column_stack([case.bus.x, case.bus.y])
    known = np.isfinite(xy).all(axis=1)
    if known.all() and _stand_apart(xy):
        return case
    xy = place_buses(case.n_bus, case.branch.from_bus, case.branch.to_bus, xy if known.any() else None)
    return replace(case, bus=replace(case.bus, x=xy[:, 0], y=xy[:, 1]))


def place_buses(n_bus: int, from_bus: IntArray, to_bus: IntArray, xy: FloatArray | None) -> FloatArray:
    """Positions that fill a picture, with no two buses on top of each other.

    Args:
        n_bus: number of buses.
        from_bus: one end of each branch, shape [branch].
        to_bus: the other end, shape [branch].
        xy: positions known, nan where they are not, shape [bus, 2].

    Returns:
        [bus, 2].
    """
    if xy is None:
        lay_out = _by_springs if n_bus <= MOST_BY_SPRINGS else _by_pivots
        xy = lay_out(n_bus, from_bus, to_bus)
    elif not np.isfinite(xy).all():
        xy = _between_neighbours(from_bus, to_bus, xy)
    return _push_apart(_fill(xy))


def nearest_distance(xy: FloatArray) -> float:
    """Least distance between two of the positions, [bus, 2]."""
    from scipy.spatial import cKDTree

    if len(xy) < 2:
        return np.inf
    distance: FloatArray = np.asarray(cKDTree(xy).query(xy, k=2)[0])
    return float(distance[:, 1].min())


def _stand_apart(xy: FloatArray) -> bool:
    width, height = np.ptp(xy, axis=0)
    return nearest_distance(xy) > GOOD_SHARE * np.sqrt(0.5 * width * height / len(xy))


def _by_springs(n_bus: int, from_bus: IntArray, to_bus: IntArray) -> FloatArray:
    """Kamada and Kawai, An algorithm for drawing general undirected graphs, Inf. Process. Lett. 31(1), 1989."""
    import networkx as nx

    graph = nx.Graph(zip(from_bus.tolist(), to_bus.tolist(), strict=True))
    graph.add_nodes_from(range(n_bus))
    place = nx.kamada_kawai_layout(graph)
    return np.array([place[k] for k in range(n_bus)])


def _by_pivots(n_bus: int, from_bus: IntArray, to_bus: IntArray) -> FloatArray:
    """Classical scaling of the distances to some buses far from each other.

    Brandes and Pich, Eigensolver methods for progressive multidimensional scaling of large data, Graph Drawing 2006,
    LNCS 4372: the squares of d [bus, pivot], centred on both sides, by their two largest singular vectors.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    joined = coo_matrix((np.ones(len(from_bus)), (from_bus, to_bus)), shape=(n_bus, n_bus)).tocsr()
    columns, nearest, pivot = [], np.full(n_bus, np.inf), 0
    for _ in range(min(N_PIVOT, n_bus)):
        steps = dijkstra(joined, directed=False, unweighted=True, indices=np.array([pivot]))[0]
        columns.append(steps)
        nearest = np.minimum(nearest, steps)
        pivot = int(nearest.argmax())
    distance = np.column_stack(columns)
    finite = distance[np.isfinite(distance)]
    distance[~np.isfinite(distance)] = 1.2 * finite.max()  # islands stand beside each other
    square = distance**2
    centred = square - square.mean(axis=0) - square.mean(axis=1, keepdims=True) + square.mean()
    _, vectors = np.linalg.eigh(centred.T @ centred)
    xy: FloatArray = centred @ vectors[:, [-1, -2]]
    return xy


def _between_neighbours(from_bus: IntArray, to_bus: IntArray, xy: FloatArray) -> FloatArray:
    """Unknown buses in the middle of their neighbours (Tutte's drawing); of all where no path leads to a known one."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    n = len(xy)
    known = np.isfinite(xy).all(axis=1)
    one = np.ones(len(from_bus))
    joined = coo_matrix((one, (from_bus, to_bus)), shape=(n, n)).tocsr()
    joined = joined + joined.T
    # Each unknown bus is also drawn, ever so little, to the middle of all: so islands without a known one have a place.
    pull, middle = 1e-6, xy[known].mean(axis=0)
    laplacian = (diags(pull + np.asarray(joined.sum(axis=1)).ravel()) - joined).tocsc()
    unknown, there = np.flatnonzero(~known), np.flatnonzero(known)
    pulled = -laplacian[unknown][:, there] @ xy[there] + pull * middle
    found = xy.copy()
    found[unknown] = np.asarray(spsolve(laplacian[unknown][:, unknown], pulled)).reshape(-1, 2)
    return found


def _push_apart(xy: FloatArray) -> FloatArray:
    """Buses closer than circles that would fill half the picture push each other apart."""
    from scipy.spatial import cKDTree

    n_bus = len(xy)
    closest = np.sqrt(0.5 * WIDTH * HEIGHT / n_bus)  # on a square lattice
    spiral = np.arange(n_bus) * 2.4
    radius = 0.01 * closest * np.sqrt(np.arange(n_bus))
    xy = xy + radius[:, None] * np.column_stack([np.cos(spiral), np.sin(spiral)])  # parts buses at one place
    rounds = ROUNDS if n_bus <= 1000 else ROUNDS // 6
    for _ in range(rounds):
        pairs = cKDTree(xy).query_pairs(closest, output_type="ndarray")
        if len(pairs) == 0:
            break
        a, b = pairs.T
        apart = xy[a] - xy[b]
        distance = np.linalg.norm(apart, axis=1)
        push = 0.25 * apart * ((closest - distance) / np.maximum(distance, 1e-9 * closest))[:, None]
        for axis in range(2):
            xy[:, axis] += np.bincount(a, push[:, axis], n_bus) - np.bincount(b, push[:, axis], n_bus)
    return _fill(xy)


def _fill(xy: FloatArray) -> FloatArray:
    """Stretched to the whole picture; a row or column of buses stays in its middle."""
    low, span = xy.min(axis=0), np.ptp(xy, axis=0)
    share = np.where(span > 0.0, (xy - low) / np.where(span > 0.0, span, 1.0), 0.5)
    filled: FloatArray = share * np.array([WIDTH, HEIGHT])
    return filled
