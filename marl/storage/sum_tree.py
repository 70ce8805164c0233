"""A sum tree: draws positions in proportion to their priorities in logarithmic time.

A complete binary tree whose leaves are priorities p_i and whose inner nodes are the sums of their two children; the
root is the total. To draw, a number uniform in [0, total) walks down from the root: left where it is smaller than the
left child's sum, else right by what is left of it. Leaf i is reached with probability p_i / sum_j p_j.

All positions of a call walk together, one level of the tree at a time. Changed leaves have the sums above them computed
anew from their children, never by adding differences, so that rounding does not gather over any number of changes.

Reference:
    T. Schaul, J. Quan, I. Antonoglou, D. Silver, Prioritized experience replay, ICLR 2016, sec. 3.3 and app. B.2.1.
"""

from __future__ import annotations

import numpy as np

from marl.protocol import FloatArray, IntArray

__all__ = ["SumTree"]


class SumTree:
    """Priorities of `size` positions; all zero at first."""

    def __init__(self, size: int) -> None:
        """Of this many positions.

        Raises:
            ValueError: there are none.
        """
        if size < 1:
            raise ValueError(f"a sum tree of {size} positions, expected at least one")
        self.size = size
        self.n_leaf = 1 << (size - 1).bit_length()  # the next power of two: all leaves on one level
        # Node 1 is the root, the children of node k are 2k and 2k + 1; leaf i is node n_leaf + i.
        self._sum = np.zeros(2 * self.n_leaf)

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._sum[1])

    @property
    def priorities(self) -> FloatArray:
        """Of all positions, a view [position]."""
        return self._sum[self.n_leaf : self.n_leaf + self.size]

    def set(self, positions: IntArray, priorities: FloatArray) -> None:
        """Gives positions other priorities; of a position that is named twice, the last one counts.

        Args:
            positions: shape [change].
            priorities: 0 or more, shape [change].

        Raises:
            ValueError: a priority is negative or no number.
        """
        if not np.all(np.isfinite(priorities) & (priorities >= 0.0)):
            raise ValueError("a priority is negative or no number, expected 0 or more")
        self._sum[self.n_leaf + positions] = priorities
        node = np.unique(self.n_leaf + positions) >> 1
        while len(node) and node[-1] >= 1:
            self._sum[node] = self._sum[2 * node] + self._sum[2 * node + 1]
            node = node >> 1
            if node[0] == 0:
                break
            node = node[np.r_[True, node[1:] != node[:-1]]]  # sorted still: siblings have one parent

    def find(self, values: FloatArray) -> IntArray:
        """Positions at which the cumulative sum of priorities passes these values.

        Args:
            values: in [0, total), shape [draw].

        Returns:
            Positions with a priority above zero, shape [draw].
        """
        left = np.array(values, dtype=np.float64)
        node = np.ones(len(left), dtype=np.int64)
        while node.size and node[0] < self.n_leaf:
            node = 2 * node
            below = self._sum[node]
            # Rounding may leave a value at the end of a subtree's sum: nothing stands right of it where that is zero.
            right = (left >= below) & (self._sum[node + 1] > 0.0)
            left = np.where(right, left - below, left)
            node = node + right
        return node - self.n_leaf

    def draw(self, n: int, rng: np.random.Generator) -> IntArray:
        """Positions drawn in proportion to their priorities, one from each of n equal parts of the total, [draw].

        Stratified as in the paper's appendix: the same probabilities, less variance.

        Raises:
            ValueError: all priorities are zero.
        """
        if not self.total > 0.0:
            raise ValueError("all priorities are zero: there is nothing to draw")
        part = self.total / n
        return self.find((np.arange(n) + rng.random(n)) * part)
