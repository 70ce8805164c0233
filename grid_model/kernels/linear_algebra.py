"""Small dense algebra and trigonometry for eight environments side by side, in a fixed order of operations.

Quantities are rows of one array [row, 8], each counted from its first row; see `lanes`.
"""

from __future__ import annotations

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import floor, load, select, spread, store

__all__ = ["invert", "network_power", "sine_and_cosine"]

# pi/2 in two parts (Cody and Waite): the first has 33 bits, so that its product with a whole number is exact.
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_HEAD = 1.57079632673412561417
_HALF_PI_TAIL = 6.07710050650619224932e-11


@compiled
def invert(n: int, block: FloatArray, matrix: int, inverse: int) -> None:
    """Inverse of a symmetric positive definite matrix by Gauss-Jordan; both [n n rows], the matrix is used up."""
    for i in range(n):
        for k in range(n):
            store(block, inverse + i * n + k, 1.0 if i == k else 0.0)
    for i in range(n):
        pivot = load(block, matrix + i * n + i)
        for c in range(n):
            if c != i:
                store(block, matrix + i * n + c, load(block, matrix + i * n + c) / pivot)
            store(block, inverse + i * n + c, load(block, inverse + i * n + c) / pivot)
        store(block, matrix + i * n + i, 1.0)
        for k in range(n):
            if k != i:
                factor = load(block, matrix + k * n + i)
                for c in range(n):
                    if c != i:
                        taken = factor * load(block, matrix + i * n + c)
                        store(block, matrix + k * n + c, load(block, matrix + k * n + c) - taken)
                    taken = factor * load(block, inverse + i * n + c)
                    store(block, inverse + k * n + c, load(block, inverse + k * n + c) - taken)
                store(block, matrix + k * n + i, 0.0)


@compiled
def sine_and_cosine(n: int, block: FloatArray, angle: int, sine: int, cosine: int) -> None:
    """Sines and cosines of n rows of angles [rad].

    The polynomials are those of fdlibm (Sun Microsystems, 1993) for |r| <= pi/4; the result is right to 2e-16.
    """
    for i in range(n):
        x = load(block, angle + i)
        turns = floor(x * _TWO_OVER_PI + 0.5)
        r = (x - turns * _HALF_PI_HEAD) - turns * _HALF_PI_TAIL
        z = r * r
        s = z * 1.58969099521155010221e-10 - 2.50507602534068634195e-08
        s = s * z + 2.75573137070700676789e-06
        s = s * z - 1.98412698298579493134e-04
        s = s * z + 8.33333333332248946124e-03
        s = s * z - 1.66666666666666324348e-01
        s = r + r * z * s
        c = z * -1.13596475577881948265e-11 + 2.08757232129817482790e-09
        c = c * z - 2.75573143513906633035e-07
        c = c * z + 2.48015872894767294178e-05
        c = c * z - 1.38888888888741095749e-03
        c = c * z + 4.16666666666666019037e-02
        c = (1.0 - z * 0.5) + z * z * c
        quarter = turns - floor(turns * 0.25) * 4.0  # 0, 1, 2 or 3
        odd = (quarter - 0.5) * (1.5 - quarter)  # above zero for 1 alone
        odd = select(quarter - 2.5, spread(1.0), odd)
        first, second = select(odd, c, s), select(odd, s, c)
        store(block, sine + i, select(quarter - 1.5, first * -1.0, first))
        middle = (quarter - 0.5) * (2.5 - quarter)  # above zero for 1 and 2
        store(block, cosine + i, select(middle, second * -1.0, second))


@compiled
def network_power(
    n: int,
    block: FloatArray,
    conductance: int,
    susceptance: int,
    theta: int,
    sine: int,
    cosine: int,
    power: int,
) -> None:
    """What n machines send out through the reduced network [MW], at angles theta since C and S were taken [rad].

    power[i] = cos_i sum_j (C cos_j - S sin_j) + sin_i sum_j (C sin_j + S cos_j)

    C and S: see `grid_model.kernels.group_swing`, [n n rows]; sines and cosines are filled in.
    """
    sine_and_cosine(n, block, theta, sine, cosine)
    for i in range(n):
        real, imaginary = spread(0.0), spread(0.0)
        for j in range(n):
            c, s = load(block, conductance + i * n + j), load(block, susceptance + i * n + j)
            cos, sin = load(block, cosine + j), load(block, sine + j)
            real = real + (c * cos - s * sin)
            imaginary = imaginary + (c * sin + s * cos)
        store(block, power + i, load(block, cosine + i) * real + load(block, sine + i) * imaginary)
