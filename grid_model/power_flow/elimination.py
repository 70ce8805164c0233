"""In which order buses are eliminated from Newton's equations, and which entries that touches: once for a grid.

Every bus has two equations and two unknowns, a 2x2 block on the diagonal; every pair of joined buses has a block
above and one below it. Eliminating a bus couples all its remaining neighbours with each other, so the order decides
how many new blocks (fill) arise. The bus with the fewest remaining neighbours goes first: minimum degree (Tinney &
Walker, Direct solutions of sparse network equations by optimally ordered triangular factorization, Proc. IEEE 55(11),
1967, scheme 2). Outages only put numbers to zero; the plan stays.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import IntArray

Int32Array = npt.NDArray[np.int32]


class Elimination(NamedTuple):
    """Plan of an elimination. A place is a bus's position in the order; a block's number is where its entries stand.

    Blocks of place k stand together: its diagonal block `base[k]`, then those to its right (row k), then those
    below (column k), one each for every place in `later[first[k]:first[k + 1]]`, ascending.
    """

    order: IntArray  # bus at each place, [place]
    first: Int32Array  # [place + 1]
    later: Int32Array  # places still to be eliminated that k is coupled with when its turn comes
    base: Int32Array  # [place]
    target_first: Int32Array  # [place + 1]
    target: (
        Int32Array  # block that each product of a block below k with one right of k is taken from, row by row
    )
    near_first: Int32Array  # [place + 1]
    near: Int32Array  # places joined to k by circuits, ascending; their number in this list is their entry
    near_block: Int32Array  # block of each entry
    fill: Int32Array  # blocks that are zero before the elimination
    entry_from: Int32Array  # entry of each circuit in the row of its from end, [branch]
    entry_to: Int32Array  # and in that of its to end
    place: IntArray  # place of each bus, [bus]

    @property
    def n_block(self) -> int:
        """Number of 2x2 blocks, fill included."""
        return len(self.order) + 2 * len(self.later)


def plan_elimination(n_bus: int, from_bus: IntArray, to_bus: IntArray, last: int) -> Elimination:
    """Plan for a grid.

    Args:
        n_bus: number of buses.
        from_bus: where each circuit begins, [branch]; several may join the same buses.
        to_bus: where it ends, [branch].
        last: bus to eliminate last, where the angles refer to.
    """
    joined: list[set[int]] = [set() for _ in range(n_bus)]
    for f, t in zip(from_bus.tolist(), to_bus.tolist(), strict=True):
        joined[f].add(t)
        joined[t].add(f)
    order, coupled = _minimum_degree(joined, last)
    place = np.empty(n_bus, dtype=np.int64)
    place[order] = np.arange(n_bus)
    rows = [np.sort(place[list(coupled[bus])]) for bus in order]
    size = np.array([len(row) for row in rows], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(size)])
    later = np.concatenate([*rows, np.empty(0, dtype=np.int64)]).astype(np.int64)
    base = np.arange(n_bus) + 2 * first[:-1]

    above = (
        np.repeat(np.arange(n_bus), size) * n_bus + later
    )  # ascending names of the blocks right of the diagonal

    def block(row: IntArray, column: IntArray) -> IntArray:
        """Numbers of the blocks of these places."""
        low, high = np.minimum(row, column), np.maximum(row, column)
        found = np.searchsorted(above, low * n_bus + high)
        number = base[low] + 1 + (found - first[low]) + np.where(row > column, size[low], 0)
        return np.where(row == column, base[row], number)

    target = [block(np.repeat(row, len(row)), np.tile(row, len(row))) for row in rows]
    near_rows = [np.sort(place[list(joined[bus])]) for bus in order]
    near_size = np.array([len(row) for row in near_rows], dtype=np.int64)
    near = np.concatenate([*near_rows, np.empty(0, dtype=np.int64)]).astype(np.int64)
    near_row = np.repeat(np.arange(n_bus), near_size)
    near_block = block(near_row, near)
    own = np.concatenate([base, near_block])
    names = near_row * n_bus + near

    def small(values: IntArray) -> Int32Array:
        return values.astype(np.int32)

    return Elimination(
        order=order,
        first=small(first),
        later=small(later),
        base=small(base),
        target_first=small(np.concatenate([[0], np.cumsum(size**2)])),
        target=small(np.concatenate([*target, np.empty(0, dtype=np.int64)])),
        near_first=small(np.concatenate([[0], np.cumsum(near_size)])),
        near=small(near),
        near_block=small(near_block),
        fill=small(np.setdiff1d(np.arange(n_bus + 2 * len(later)), own)),
        entry_from=small(np.searchsorted(names, place[from_bus] * n_bus + place[to_bus])),
        entry_to=small(np.searchsorted(names, place[to_bus] * n_bus + place[from_bus])),
        place=place,
    )


def _minimum_degree(joined: list[set[int]], last: int) -> tuple[IntArray, list[set[int]]]:
    """Order of elimination, and what each bus is coupled with when its turn comes, by bus."""
    coupled = [set(neighbours) for neighbours in joined]
    waiting = [(len(coupled[bus]), bus) for bus in range(len(joined)) if bus != last]
    heapq.heapify(waiting)
    gone = [False] * len(joined)
    order: list[int] = []
    while waiting:
        degree, bus = heapq.heappop(waiting)
        if gone[bus] or degree != len(coupled[bus]):
            continue  # an entry of before a neighbour went
        gone[bus] = True
        order.append(bus)
        neighbours = coupled[bus]
        for other in neighbours:
            mine = coupled[other]
            mine |= neighbours
            mine.discard(other)
            mine.discard(bus)
            if other != last:
                heapq.heappush(waiting, (len(mine), other))
    return np.array([*order, last], dtype=np.int64), coupled
