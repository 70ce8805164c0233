"""Small dense algebra and trigonometry for the integrators, in a fixed order of operations."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.leapfrog import _width

# pi/2 in two parts (Cody and Waite): the first has 33 bits, so that its product with a whole number is exact.
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_HEAD = 1.57079632673412561417
_HALF_PI_TAIL = 6.07710050650619224932e-11


@compiled
def _inverse(n_env: int | None, matrix: FloatArray) -> FloatArray:
    """Inverse of a batch of small symmetric positive definite matrices, [row, column, env], by Gauss-Jordan."""
    n, width = matrix.shape[0], _width(n_env, matrix.shape[2])
    a = matrix.copy()
    inverse = np.zeros_like(matrix)
    for i in range(n):
        for e in range(width):
            inverse[i, i, e] = 1.0
    for i in range(n):
        for k in range(n):
            if k == i:
                for c in range(n):
                    if c != i:
                        for e in range(width):
                            a[i, c, e] /= a[i, i, e]
                    for e in range(width):
                        inverse[i, c, e] /= a[i, i, e]
                for e in range(width):
                    a[i, i, e] = 1.0
        for k in range(n):
            if k != i:
                for c in range(n):
                    if c != i:
                        for e in range(width):
                            a[k, c, e] -= a[k, i, e] * a[i, c, e]
                    for e in range(width):
                        inverse[k, c, e] -= a[k, i, e] * inverse[i, c, e]
                for e in range(width):
                    a[k, i, e] = 0.0
    return inverse


@compiled
def _sine_and_cosine(n_env: int | None, angle_rad: FloatArray, sine: FloatArray, cosine: FloatArray) -> None:
    """Sine and cosine of a whole array [row, env] without a branch, so that it becomes vector instructions.

    The polynomials are those of fdlibm (Sun Microsystems, 1993) for |r| <= pi/4; the result is right to 2e-16.
    """
    n, width = angle_rad.shape[0], _width(n_env, angle_rad.shape[1])
    for i in range(n):
        for e in range(width):
            turns = np.floor(angle_rad[i, e] * _TWO_OVER_PI + 0.5)
            r = (angle_rad[i, e] - turns * _HALF_PI_HEAD) - turns * _HALF_PI_TAIL
            z = r * r
            s = 1.58969099521155010221e-10
            s = s * z - 2.50507602534068634195e-08
            s = s * z + 2.75573137070700676789e-06
            s = s * z - 1.98412698298579493134e-04
            s = s * z + 8.33333333332248946124e-03
            s = s * z - 1.66666666666666324348e-01
            s = r + r * z * s
            c = -1.13596475577881948265e-11
            c = c * z + 2.08757232129817482790e-09
            c = c * z - 2.75573143513906633035e-07
            c = c * z + 2.48015872894767294178e-05
            c = c * z - 1.38888888888741095749e-03
            c = c * z + 4.16666666666666019037e-02
            c = (1.0 - 0.5 * z) + z * z * c
            quarter = turns - 4.0 * np.floor(0.25 * turns)  # 0, 1, 2 or 3
            odd = quarter == 1.0 or quarter == 3.0
            first = c if odd else s
            second = s if odd else c
            sine[i, e] = -first if quarter >= 2.0 else first
            cosine[i, e] = -second if quarter == 1.0 or quarter == 2.0 else second


@compiled
def _add_product(n_env: int | None, matrix: FloatArray, vector: FloatArray, out: FloatArray) -> None:
    """out += matrix vector, three columns at a time: fewer passes over out."""
    n, width = out.shape[0], _width(n_env, out.shape[1])
    whole = n - n % 3
    for a in range(n):
        for b in range(0, whole, 3):
            for e in range(width):
                out[a, e] += (
                    matrix[a, b, e] * vector[b, e] + matrix[a, b + 1, e] * vector[b + 1, e]
                ) + matrix[a, b + 2, e] * vector[b + 2, e]
        if n - whole == 2:
            for e in range(width):
                out[a, e] += matrix[a, n - 2, e] * vector[n - 2, e] + matrix[a, n - 1, e] * vector[n - 1, e]
        elif n - whole == 1:
            for e in range(width):
                out[a, e] += matrix[a, n - 1, e] * vector[n - 1, e]


@compiled
def _subtract_product(n_env: int | None, matrix: FloatArray, vector: FloatArray, out: FloatArray) -> None:
    """out -= matrix vector, three columns at a time: fewer passes over out."""
    n, width = out.shape[0], _width(n_env, out.shape[1])
    whole = n - n % 3
    for a in range(n):
        for b in range(0, whole, 3):
            for e in range(width):
                out[a, e] -= (
                    matrix[a, b, e] * vector[b, e] + matrix[a, b + 1, e] * vector[b + 1, e]
                ) + matrix[a, b + 2, e] * vector[b + 2, e]
        if n - whole == 2:
            for e in range(width):
                out[a, e] -= matrix[a, n - 2, e] * vector[n - 2, e] + matrix[a, n - 1, e] * vector[n - 1, e]
        elif n - whole == 1:
            for e in range(width):
                out[a, e] -= matrix[a, n - 1, e] * vector[n - 1, e]
