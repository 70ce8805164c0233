"""Kernels mean what the same lines mean in Python, whatever of numba's compiler is left out."""

import numpy as np
import pytest

from grid_model.compilation import compiled


def _mixed(a, b, c, i):
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k, -1] * b[k]
        c[k, 0] += total
        c[-1, k] = k + i
    return total + a.size + c[i, i]


def _columns(c):
    total = np.zeros(c.shape[1])
    for row in c:
        for k in range(total.size):
            total[k] += row[k]
    return total


def _upper_half(c):
    return c[c.shape[0] // 2 :]


mixed, columns, upper_half = compiled(_mixed), compiled(_columns), compiled(_upper_half)


@compiled
def largest(c):
    """Of the sums over columns, some of which are of an array that another kernel has made."""
    total = columns(upper_half(c))
    return max(total[0], total[-1])


@compiled
def either(a, b):
    """Where `b` is None the branch that reads it makes no sense and is none."""
    if b is None:
        return a[0]
    return b[0]


@pytest.fixture(params=["rows", "columns", "strided"])
def matrix(request):
    """Four rows of four, in each layout that arrays have."""
    values = np.random.default_rng(0).normal(size=(4, 8))
    if request.param == "rows":
        return np.ascontiguousarray(values[:, ::2])
    return np.asfortranarray(values[:, ::2]) if request.param == "columns" else values[:, ::2]


def test_numbers_of_arrays_are_read_and_written_as_python_does(matrix):
    """Negative indices, every layout, integers into floats: to the bit, as Python's floats are the same IEEE's."""
    a, b = np.random.default_rng(1).normal(size=(4, 5)), np.arange(8.0)[::2]
    ours, theirs = matrix.copy(order="K"), matrix.copy(order="K")
    assert mixed(a, b, ours, -2) == _mixed(a, b, theirs, -2)
    np.testing.assert_array_equal(ours, theirs)


def test_arrays_that_kernels_make_and_hand_on_are_theirs_as_long_as_they_are_used(matrix):
    before = matrix.copy()
    for _ in range(1000):  # an array that is given back too early is soon somebody else's
        np.testing.assert_array_equal(columns(matrix), _columns(matrix))
        assert largest(matrix) == max(_columns(matrix[2:])[[0, -1]])
    np.testing.assert_array_equal(upper_half(matrix), matrix[2:])
    np.testing.assert_array_equal(matrix, before)


def test_a_branch_that_is_never_taken_need_not_make_sense():
    one, two = np.array([1.0]), np.array([2.0])
    assert (either(one, None), either(one, two)) == (1.0, 2.0)
