"""Positions of buses in drawings, for grids that come without good ones."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray

WIDTH, HEIGHT = 36.0, 18.0  # shape of the pictures
ROUNDS = 300


def place_buses(n_bus: int, from_bus: IntArray, to_bus: IntArray, xy: FloatArray | None) -> FloatArray:
    """Positions that fill a picture, with no two buses on top of each other.

    Positions given are stretched to the picture; without any, springs along the branches find them (Kamada and
    Kawai, Information Processing Letters 31(1), 1989). Buses that are too close then push each other apart.

    Args:
        n_bus: number of buses.
        from_bus: one end of each branch, shape [branch].
        to_bus: the other end, shape [branch].
        xy: positions known, shape [bus, 2].

    Returns:
        [bus, 2].
    """
    if xy is None:
        import networkx as nx

        graph = nx.Graph(zip(from_bus.tolist(), to_bus.tolist(), strict=True))
        graph.add_nodes_from(range(n_bus))
        place = nx.kamada_kawai_layout(graph)
        xy = np.array([place[k] for k in range(n_bus)])
    xy = _fill(xy)
    # Circles of this distance on a square lattice would fill half the picture.
    closest = np.sqrt(0.5 * WIDTH * HEIGHT / n_bus)
    spiral = np.arange(n_bus) * 2.4
    radius = 0.01 * closest * np.sqrt(np.arange(n_bus))
    xy = xy + radius[:, None] * np.column_stack([np.cos(spiral), np.sin(spiral)])  # parts buses at one place
    for _ in range(ROUNDS):
        apart = xy[:, None] - xy[None]
        distance = np.linalg.norm(apart, axis=2)
        np.fill_diagonal(distance, np.inf)
        lacking = np.maximum(closest - distance, 0.0)
        if not lacking.any():
            break
        push = lacking / np.maximum(distance, 1e-9 * closest)
        xy = xy + 0.25 * (apart * push[:, :, None]).sum(axis=1)
    return _fill(xy)


def _fill(xy: FloatArray) -> FloatArray:
    """Stretched to the whole picture; a row or column of buses stays in its middle."""
    low, span = xy.min(axis=0), np.ptp(xy, axis=0)
    share = np.where(span > 0.0, (xy - low) / np.where(span > 0.0, span, 1.0), 0.5)
    filled: FloatArray = share * np.array([WIDTH, HEIGHT])
    return filled
