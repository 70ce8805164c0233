"""Loops, extremes, tuples and variables mean what the same lines mean in Python, however they are written down."""

import math

import numpy as np
import pytest

from grid_model.compilation import compiled


def _loops(a, first, last, stride):
    """Ranges of every kind; their counts as indices from both ends, changed, and looked at when the loop is over."""
    total, k = 0.0, -1
    for i in range(first, last):
        total = 3.0 * total + a[i] * i
    for i in range(0, last, 2):
        if i == 4:
            continue
        total = 3.0 * total + a[i]
    for i in range(last, first, -1):
        total = 3.0 * total - a[i - 1]
    for k in range(first, last, stride):
        j = k
        for _ in range(2):
            j -= 1
        if total > 1e9:
            break
        total = 3.0 * total + a[j]
    return total, k


def _extremes(x, y, n):
    return max(x, y), min(y, x), max(x, y, 0.5), min(n, 3), max(n, x), min(2, n, 5)


def _tuples(a, either):
    """A variable that is set on one way or the other, parts of tuples, and indices that are known."""
    if either:
        pair, scale = (1, a[0, 0], 2.5), 2.0
    else:
        pair, scale = (2, a[1, 1], 0.5), 3.0
    first, second, third = pair
    places = (0, 1)
    a[-1, 0] = scale
    a[places] += first
    a[1, -1] = second * a[places[0], places[1]]
    return first + second * third + pair[1] + (1.0, 2.0, 4.0)[-1]


def _made_in_loops(n):
    """Arrays that are made, handed on and let go of in every round."""
    total, last = 0.0, np.zeros(3)
    for i in range(n):
        room = np.empty(i + 1)
        for k in range(i + 1):
            room[k] = k
        if i % 2 == 0:
            last = room
        else:
            room = last
        total += room[room.size - 1] + last[0]
    return total, last


loops, extremes, tuples, made_in_loops = (
    compiled(each) for each in (_loops, _extremes, _tuples, _made_in_loops)
)


@compiled
def looped_by_another(a, last):
    """What is written in a call of a part is a number like any other."""
    return loops(a, 0, last, 3)[0] + loops(a, -2, last, 3)[0]


@pytest.mark.parametrize("stride", [1, 2, 3, -1])
@pytest.mark.parametrize(("first", "last"), [(0, 6), (-3, 5), (2, 2), (4, 1)])
def test_loops(first, last, stride):
    a = np.random.default_rng(0).normal(size=8)
    assert loops(a, first, last, stride) == _loops(a, first, last, stride)


def test_a_range_without_a_stride_is_refused():
    with pytest.raises(ValueError, match="must not be zero"):
        loops(np.zeros(8), 0, 6, 0)


def test_loops_of_a_part():
    a = np.random.default_rng(1).normal(size=8)
    assert looped_by_another(a, 6) == _loops(a, 0, 6, 3)[0] + _loops(a, -2, 6, 3)[0]


@pytest.mark.parametrize(
    ("x", "y"), [(1.5, -2.0), (-2.0, 1.5), (math.nan, 1.0), (1.0, math.nan), (0.0, -0.0)]
)
@pytest.mark.parametrize("n", [-1, 3, 7])
def test_the_least_and_the_greatest(x, y, n):
    """By Python's rule, which keeps the first unless a later one is beyond it; so the order of NaN and zeros counts."""
    np.testing.assert_array_equal(np.array(extremes(x, y, n)), np.array(_extremes(x, y, n), dtype=float))
    assert [math.copysign(1.0, z) for z in extremes(x, y, n)[:2]] == [
        math.copysign(1.0, z) for z in _extremes(x, y, n)[:2]
    ]


@pytest.mark.parametrize("either", [True, False])
def test_tuples_and_known_places(either):
    a = np.random.default_rng(2).normal(size=(3, 3))
    ours, theirs = a.copy(), a.copy()
    assert tuples(ours, either) == _tuples(theirs, either)
    np.testing.assert_array_equal(ours, theirs)


def test_arrays_of_loops_are_let_go_of_once():
    for n in (1, 2, 50) * 20:  # an array let go of twice soon ends the process, or is somebody else's
        total, last = made_in_loops(n)
        expected, last_expected = _made_in_loops(n)
        assert total == expected
        np.testing.assert_array_equal(last, last_expected)
