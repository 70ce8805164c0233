"""Eight numbers at once are eight numbers one by one, bit for bit, whatever stands beside them."""

import numba
import numpy as np

from grid_model.kernels.lanes import N_LANE, equal, fma, fnma, larger_size, load, root, select, spread, store


@numba.njit(error_model="numpy")
def every_operation(a, b, c, out):
    x, y, z = load(a, 0), load(b, 0), load(c, 0)
    store(out, 0, x + y)
    store(out, 1, x - 2.0)
    store(out, 2, 3.0 * y)
    store(out, 3, x / z)
    store(out, 4, root(z))
    store(out, 5, larger_size(x, y))
    store(out, 6, select(x, y, z))
    store(out, 7, equal(x, y))
    store(out, 8, fma(x, y, z))
    store(out, 9, fnma(x, y, z))
    store(out, 10, spread(0.5))
    store(out, 11, 7.0)


def test_each_lane_is_ieee_arithmetic_of_its_own():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 1, N_LANE))
    a[0, 2], b[0, 3], b[0, 4] = np.nan, np.inf, a[0, 4]
    out = np.empty((12, N_LANE))
    every_operation(a, b, c, out)
    a, b, c = a[0], b[0], c[0]
    with np.errstate(invalid="ignore"):
        largest = np.maximum(np.abs(a), np.abs(b))  # numpy too lets NaN win
        rows = [a + b, a - 2.0, 3.0 * b, a / c, np.sqrt(c), largest, np.where(a > 0.0, b, c), a == b]
    for found, expected in zip(out[:8], rows, strict=True):
        np.testing.assert_array_equal(found, expected)
    finite = np.isfinite(a) & np.isfinite(b)
    # Rounded once; numpy rounds twice, half a unit of 1e-16 each, of numbers up to 10.
    np.testing.assert_allclose(out[8][finite], (a * b + c)[finite], rtol=0.0, atol=4e-15)
    np.testing.assert_allclose(out[9][finite], (c - a * b)[finite], rtol=0.0, atol=4e-15)
    assert (out[10] == 0.5).all()
    assert (out[11] == 7.0).all()


def test_a_product_and_a_sum_are_fused_only_where_asked():
    """(1 + 2^-30)^2 - 1 - 2^-29 is 2^-60 exactly, and 0 when the product is rounded first."""

    @numba.njit(error_model="numpy")
    def both(a, c, out):
        x, z = load(a, 0), load(c, 0)
        store(out, 0, x * x + z)
        store(out, 1, fma(x, x, z))

    out = np.empty((2, N_LANE))
    both(np.full((1, N_LANE), 1.0 + 2.0**-30), np.full((1, N_LANE), -1.0 - 2.0**-29), out)
    assert (out[0] == 0.0).all()
    assert (out[1] == 2.0**-60).all()
