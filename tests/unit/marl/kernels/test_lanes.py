"""Sixteen numbers at once are sixteen numbers one by one, whatever stands beside them."""

import numba
import numpy as np

from marl.kernels.lanes import (
    N_LANE,
    TILE_COLUMNS,
    TILE_ROWS,
    fma,
    load,
    root,
    spread,
    store,
    tile,
    total,
    transpose,
    where_positive,
)


@numba.njit(error_model="numpy")
def every_operation(a, b, c, out):
    x, y, z = load(a, 0), load(b, 0), load(c, 0)
    store(out, 0 * N_LANE, x + y)
    store(out, 1 * N_LANE, x - np.float32(2.0))
    store(out, 2 * N_LANE, np.float32(3.0) * y)
    store(out, 3 * N_LANE, x / z)
    store(out, 4 * N_LANE, root(z))
    store(out, 5 * N_LANE, where_positive(x, y))
    store(out, 6 * N_LANE, fma(x, y, z))
    store(out, 7 * N_LANE, spread(np.float32(0.5)))
    store(out, 8 * N_LANE, np.float32(7.0))
    return total(z)


def test_each_lane_is_ieee_arithmetic_of_its_own():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, N_LANE)).astype(np.float32)
    a[2], b[3], a[5], a[6] = np.nan, np.inf, 0.0, -0.0
    out = np.empty(9 * N_LANE, np.float32)
    c = np.abs(c)
    found = every_operation(a, b, c, out)
    out = out.reshape(9, N_LANE)
    three, two = np.float32(3.0), np.float32(2.0)
    # A mask that is no number lets the number through, so that a network cannot hide a NaN behind its ReLU.
    rows = [a + b, a - two, three * b, a / c, np.sqrt(c), np.where(np.isnan(a) | (a > 0.0), b, 0.0)]
    for lanes, expected in zip(out, rows, strict=False):
        np.testing.assert_array_equal(lanes, expected)
    finite = np.isfinite(a) & np.isfinite(b)
    exact = a.astype(np.float64) * b + c
    # Rounded once: half a unit of single precision.
    np.testing.assert_allclose(out[6][finite], exact[finite], rtol=2.0**-24, atol=0.0)
    assert (out[7] == 0.5).all()
    assert (out[8] == 7.0).all()
    # Four sums of single precision one after the other.
    np.testing.assert_allclose(found, c.astype(np.float64).sum(), rtol=4 * 2.0**-24)


@numba.njit(error_model="numpy")
def product(c, begin, a, b, shape):
    rows, columns, terms = shape
    for i in range(0, rows, TILE_ROWS):
        for j in range(0, columns, TILE_COLUMNS):
            tile(
                (c, i * columns + j, columns),
                (begin, j, 0),
                (a, i, 1, rows),
                (b, j, columns),
                terms,
            )


def test_tiles_make_up_a_matrix_product():
    """Of a matrix that is read column by column; every row begins with the same numbers."""
    rows, columns, terms = 24, 64, 37
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((terms, rows)), rng.standard_normal((terms, columns))
    a, b, begin = (x.astype(np.float32) for x in (a, b, rng.standard_normal(columns)))
    c = np.empty(rows * columns, np.float32)
    product(c, begin, a.ravel(), b.ravel(), (rows, columns, terms))
    exact = a.astype(np.float64).T @ b.astype(np.float64) + begin
    # 37 roundings of sums of size 6, half a unit each and mostly in different directions.
    np.testing.assert_allclose(c.reshape(rows, columns), exact, rtol=0.0, atol=6 * 37 * 2.0**-24)


@numba.njit(error_model="numpy")
def turn(to, source):
    transpose((to, 3, 17), (source, 5, 20))


def test_rows_become_columns():
    source = np.arange(5 + 16 * 20, dtype=np.float32)
    to = np.zeros(3 + 16 * 17, np.float32)
    turn(to, source)
    np.testing.assert_array_equal(to[3:].reshape(16, 17)[:, :16], source[5:].reshape(16, 20)[:, :16].T)
    assert (to[3:].reshape(16, 17)[:, 16] == 0.0).all()
