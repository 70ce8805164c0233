"""The lag under a straight-line set-point, against an integrator and a quadrature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from control.plants.lag import lag_end, lag_integral, lag_integral_by_sign

# (x0, u0, u1, lag_s): same signs, a crossing, two crossings, set-point at rest, output far away.
CASES = [
    (10.0, 10.0, 13.3, 0.3),
    (5.0, 5.0, -5.0, 0.3),
    (-1.0, 3.0, -3.0, 0.3),
    (1.0, -3.0, 3.0, 0.8),
    (0.0, 0.0, 0.0, 4.0),
    (20.0, -2.0, -2.6, 8.0),
    (-1e-9, 2.0, -2.0, 4.0),
    (0.0, 1.0, -1.0, 0.3),
]


@pytest.mark.parametrize(("x0", "u0", "u1", "lag_s"), CASES)
def test_the_end_and_the_integral_are_those_of_the_differential_equation(
    x0: float, u0: float, u1: float, lag_s: float
) -> None:
    h_s = 4.0
    solution = solve_ivp(
        lambda t, y: [(u0 + (u1 - u0) * t / h_s - y[0]) / lag_s, y[0]],
        (0.0, h_s),
        [x0, 0.0],
        method="DOP853",
        rtol=1e-12,
        atol=1e-12,
    )
    x1 = lag_end(x0, u0, u1, lag_s, h_s)
    # Tolerance of the integrator, times some hundred steps.
    assert x1 == pytest.approx(solution.y[0, -1], abs=1e-9)
    assert lag_integral(x0, x1, u0, u1, lag_s, h_s) == pytest.approx(solution.y[1, -1], abs=1e-9)


def test_a_crossing_that_newtons_method_first_looks_for_far_behind_it_is_found() -> None:
    """x = t - exp(-t), from 0 to 80: zero at the omega constant W(1), before which it is -(1 - W - W^2/2)."""
    omega = 0.5671432904097838
    below = 1.0 - omega - 0.5 * omega**2
    found = lag_integral_by_sign(-1.0, lag_end(-1.0, 1.0, 81.0, 1.0, 80.0), 1.0, 81.0, 1.0, 80.0)
    # Rounding of 3,200.
    assert found == pytest.approx((3200.0 - 1.0 + below, below), abs=1e-11)


@pytest.mark.parametrize(("x0", "u0", "u1", "lag_s"), CASES)
def test_energy_in_and_out_are_told_apart_exactly(x0: float, u0: float, u1: float, lag_s: float) -> None:
    h_s = 4.0
    slope = (u1 - u0) / h_s

    def x(t: float) -> float:
        return float(u0 - slope * lag_s + slope * t + (x0 - u0 + slope * lag_s) * np.exp(-t / lag_s))

    # The quadrature is given 64 pieces, so that a kink spoils one of them only.
    edges = np.linspace(0.0, h_s, 65)
    up, down = (
        sum(
            quad(lambda t, s=sign: max(s * x(t), 0.0), a, b, epsabs=1e-13, limit=200)[0]
            for a, b in pairwise(edges)
        )
        for sign in (1.0, -1.0)
    )
    found = lag_integral_by_sign(x0, lag_end(x0, u0, u1, lag_s, h_s), u0, u1, lag_s, h_s)
    # quad promises 1e-13 a piece; near a kink it reaches about 1e-10.
    assert found == pytest.approx((up, down), abs=1e-9)
