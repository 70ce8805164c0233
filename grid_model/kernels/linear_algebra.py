"""Small dense algebra and trigonometry for eight environments side by side, in a fixed order of operations.

Vectors are quantities of a block, see `swing_rows`; a matrix has n n n_part rows of it, counted from its first.
"""

from __future__ import annotations

from cases.arrays import FloatArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import floor, load, select, spread, store
from grid_model.kernels.swing_rows import COSINE, N_QUANTITY, SINE

__all__ = ["add_product", "invert", "network_power", "sine_and_cosine"]

# pi/2 in two parts (Cody and Waite): the first has 33 bits, so that its product with a whole number is exact.
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_HEAD = 1.57079632673412561417
_HALF_PI_TAIL = 6.07710050650619224932e-11


@compiled
def add_product(n: int, n_part: int, block: FloatArray, matrix: int, vector: int, to: int) -> None:
    """to += matrix vector, three columns at a time: fewer passes over it."""
    whole, step = n - n % 3, n_part * N_QUANTITY
    for a in range(n):
        for part in range(n_part):
            row, at, out = (
                matrix + a * n * n_part + part,
                part * N_QUANTITY + vector,
                (a * n_part + part) * N_QUANTITY + to,
            )
            found = load(block, out)
            for b in range(0, whole, 3):
                first, second, third = row + b * n_part, row + (b + 1) * n_part, row + (b + 2) * n_part
                of, pair, last = at + b * step, at + (b + 1) * step, at + (b + 2) * step
                found = found + (
                    (load(block, first) * load(block, of) + load(block, second) * load(block, pair))
                    + load(block, third) * load(block, last)
                )
            last = n - 1
            if n - whole == 2:
                found = found + (
                    load(block, row + (last - 1) * n_part) * load(block, at + (last - 1) * step)
                    + load(block, row + last * n_part) * load(block, at + last * step)
                )
            elif n - whole == 1:
                found = found + load(block, row + last * n_part) * load(block, at + last * step)
            store(block, out, found)


@compiled
def invert(n: int, n_part: int, block: FloatArray, matrix: int, inverse: int) -> None:
    """Inverse of a symmetric positive definite matrix by Gauss-Jordan, of n n rows a part; the matrix is used up."""
    for part in range(n_part):
        for i in range(n):
            for k in range(n):
                store(block, inverse + (i * n + k) * n_part + part, 1.0 if i == k else 0.0)
        for i in range(n):
            own = matrix + i * n * n_part + part
            own_inverse = inverse + i * n * n_part + part
            pivot = load(block, own + i * n_part)
            for c in range(0, n * n_part, n_part):
                if c != i * n_part:
                    store(block, own + c, load(block, own + c) / pivot)
                store(block, own_inverse + c, load(block, own_inverse + c) / pivot)
            store(block, own + i * n_part, 1.0)
            for k in range(n):
                if k != i:
                    other = matrix + k * n * n_part + part
                    other_inverse = inverse + k * n * n_part + part
                    factor = load(block, other + i * n_part)
                    for c in range(0, n * n_part, n_part):
                        if c != i * n_part:
                            taken = factor * load(block, own + c)
                            store(block, other + c, load(block, other + c) - taken)
                        taken = factor * load(block, own_inverse + c)
                        store(block, other_inverse + c, load(block, other_inverse + c) - taken)
                    store(block, other + i * n_part, 0.0)


@compiled
def sine_and_cosine(n: int, block: FloatArray, angle: int) -> None:
    """Sines and cosines of a quantity of angles [rad], n groups and parts of it.

    The polynomials are those of fdlibm (Sun Microsystems, 1993) for |r| <= pi/4; the result is right to 2e-16.
    """
    for own in range(0, n * N_QUANTITY, N_QUANTITY):
        x = load(block, own + angle)
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
        store(block, own + SINE, select(quarter - 1.5, first * -1.0, first))
        middle = (quarter - 0.5) * (2.5 - quarter)  # above zero for 1 and 2
        store(block, own + COSINE, select(middle, second * -1.0, second))


@compiled
def network_power(
    n: int,
    n_part: int,
    block: FloatArray,
    conductance: int,
    susceptance: int,
    theta: int,
    power: int,
) -> None:
    """What n machines send out through the reduced network [MW], at angles theta since C and S were taken [rad].

    power[i] = cos_i sum_j (C cos_j - S sin_j) + sin_i sum_j (C sin_j + S cos_j)

    C and S: see `grid_model.kernels.group_swing`, n n n_part rows; sines and cosines are filled in.
    """
    sine_and_cosine(n * n_part, block, theta)
    for i in range(n):
        for part in range(n_part):
            real, imaginary = spread(0.0), spread(0.0)
            for j in range(n):
                at, to = (i * n + j) * n_part + part, (j * n_part + part) * N_QUANTITY
                c, s = load(block, conductance + at), load(block, susceptance + at)
                cos, sin = load(block, to + COSINE), load(block, to + SINE)
                real = real + (c * cos - s * sin)
                imaginary = imaginary + (c * sin + s * cos)
            own = (i * n_part + part) * N_QUANTITY
            sent = load(block, own + COSINE) * real + load(block, own + SINE) * imaginary
            store(block, own + power, sent)
