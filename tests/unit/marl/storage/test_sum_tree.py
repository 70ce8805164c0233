"""The sum tree draws what counting says it should."""

import numpy as np
import pytest
from scipy.stats import chi2

from marl.storage.sum_tree import SumTree


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_total_is_the_sum_after_any_changes(size):
    """math.fsum is exact; pairwise sums of log2(size) levels err by at most so many half units in the last place."""
    rng = np.random.default_rng(size)
    tree, kept = SumTree(size), np.zeros(size)
    for _ in range(200):
        positions = rng.integers(size, size=5)
        priorities = rng.exponential(size=5)
        tree.set(positions, priorities)
        for position, priority in zip(positions, priorities, strict=True):
            kept[position] = priority
    np.testing.assert_array_equal(tree.priorities, kept)
    exact = float(sum(map(float, kept)))
    assert tree.total == pytest.approx(exact, rel=2.3e-16 * (size + 12))


def test_positions_are_found_where_the_cumulative_sum_passes():
    """Priorities 1, 0, 2, 3: cumulative 1, 1, 3, 6, by hand."""
    tree = SumTree(4)
    tree.set(np.arange(4), np.array([1.0, 0.0, 2.0, 3.0]))
    assert tree.total == 6.0
    found = tree.find(np.array([0.0, 0.999, 1.0, 2.999, 3.0, 5.999]))
    assert found.tolist() == [0, 0, 2, 2, 3, 3]


def test_independent_draws_are_as_frequent_as_their_priorities():
    """Pearson's chi-square over 37 positions, 100,000 draws: refused at the level of one in a thousand."""
    rng = np.random.default_rng(3)
    tree = SumTree(40)
    priorities = rng.exponential(size=40)
    priorities[[5, 17, 39]] = 0.0
    tree.set(np.arange(40), priorities)
    n = 100_000
    counted = np.bincount(tree.find(rng.random(n) * tree.total), minlength=40)
    alive = priorities > 0
    assert counted[~alive].sum() == 0
    expected = n * priorities[alive] / priorities.sum()
    statistic = float((np.square(counted[alive] - expected) / expected).sum())
    assert statistic < chi2.ppf(0.999, df=alive.sum() - 1)


def test_stratified_draws_miss_no_position_by_more_than_two():
    """One draw from each of n parts: position i owns p_i n / total parts whole, and shares at most one at each end."""
    rng = np.random.default_rng(4)
    tree = SumTree(13)
    priorities = rng.exponential(size=13)
    tree.set(np.arange(13), priorities)
    n = 5000
    counted = np.bincount(tree.draw(n, rng), minlength=13)
    assert np.abs(counted - n * priorities / priorities.sum()).max() <= 2.0


def test_a_value_that_rounding_has_put_at_the_end_is_still_somewhere():
    tree = SumTree(5)
    tree.set(np.array([0, 3]), np.array([0.1, 0.2]))
    assert tree.find(np.array([tree.total, np.nextafter(tree.total, 0.0)])).tolist() == [3, 3]


def test_what_cannot_be_drawn_from_is_refused():
    tree = SumTree(3)
    with pytest.raises(ValueError, match="all priorities are zero"):
        tree.draw(2, np.random.default_rng(0))
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="negative or no number"):
            tree.set(np.array([0]), np.array([wrong]))
    with pytest.raises(ValueError, match="0 positions"):
        SumTree(0)
