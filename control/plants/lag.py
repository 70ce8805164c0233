"""A first-order lag driven by a set-point that moves along a straight line: exact over a whole interval.

    T dx/dt = u(t) - x,     u(t) = u0 + s t,   s = (u1 - u0) / h
    x(t) = (u0 - s T) + s t + (x0 - u0 + s T) exp(-t/T)

Every resource follows its set-point so. Powers are in MW, times in s, integrals in MW s. The functions are
compiled scalars; `fleet.py` runs them over all environments and resources.
"""

from __future__ import annotations

from math import exp, log

from grid_model.compilation import compiled

# A root is needed to the square root of the precision of an integral only: x is zero there.
ROOT_ITERATIONS = 80


@compiled
def lag_end(x0: float, u0: float, u1: float, lag_s: float, h_s: float) -> float:
    """Output x at the end of the interval."""
    slope = (u1 - u0) / h_s
    return u1 - slope * lag_s + (x0 - u0 + slope * lag_s) * exp(-h_s / lag_s)


@compiled
def lag_integral(x0: float, x1: float, u0: float, u1: float, lag_s: float, h_s: float) -> float:
    """∫ x dt over the interval, from ∫ x dt = ∫ u dt - T (x1 - x0) [MW s]."""
    return 0.5 * (u0 + u1) * h_s - lag_s * (x1 - x0)


@compiled
def lag_integral_by_sign(
    x0: float, x1: float, u0: float, u1: float, lag_s: float, h_s: float
) -> tuple[float, float]:
    """(∫ max(x, 0) dt, ∫ max(-x, 0) dt) over the interval, exactly [MW s].

    x has at most one extremum, at exp(-t/T) = s T / (x0 - u0 + s T), so at most two zeros; the interval is
    cut there. Where set-point and output keep one sign, so does x, and nothing needs to be cut.
    """
    whole = lag_integral(x0, x1, u0, u1, lag_s, h_s)
    if x0 >= 0.0 and u0 >= 0.0 and u1 >= 0.0:
        return max(whole, 0.0), 0.0
    if x0 <= 0.0 and u0 <= 0.0 and u1 <= 0.0:
        return 0.0, max(-whole, 0.0)
    slope = (u1 - u0) / h_s
    offset = u0 - slope * lag_s
    fading = x0 - offset
    middle_s = h_s
    if fading != 0.0:
        share = slope * lag_s / fading
        if 0.0 < share < 1.0:
            middle_s = min(-lag_s * log(share), h_s)
    up = down = 0.0
    start_s, start, start_share = 0.0, x0, 1.0  # share of the fading part that is left, exp(-t/T)
    for piece in range(2):
        end_s = middle_s if piece == 0 else h_s
        if end_s <= start_s:
            continue
        end_share = exp(-end_s / lag_s)
        end = offset + slope * end_s + fading * end_share
        cut_s, cut_share = end_s, end_share
        if (start > 0.0) != (end > 0.0):
            cut_s = _zero(offset, slope, fading, lag_s, start_s, end_s, start)
            cut_share = exp(-cut_s / lag_s)
        for half in range(2):
            a_s, b_s = (start_s, cut_s) if half == 0 else (cut_s, end_s)
            if b_s <= a_s:
                continue
            faded = start_share - cut_share if half == 0 else cut_share - end_share
            area = offset * (b_s - a_s) + 0.5 * slope * (b_s * b_s - a_s * a_s) + fading * lag_s * faded
            if area > 0.0:
                up += area
            else:
                down -= area
        start_s, start, start_share = end_s, end, end_share
    return up, down


@compiled
def _zero(
    offset: float, slope: float, fading: float, lag_s: float, a_s: float, b_s: float, x_a: float
) -> float:
    """Where x is zero between a and b, x being monotone there and of opposite signs at the ends [s].

    Newton's method, kept inside the bracket by bisection.
    """
    t_s = 0.5 * (a_s + b_s)
    for _ in range(ROOT_ITERATIONS):
        fade = fading * exp(-t_s / lag_s)
        x = offset + slope * t_s + fade
        if (x > 0.0) == (x_a > 0.0):
            a_s = t_s
        else:
            b_s = t_s
        rate = slope - fade / lag_s
        step_s = -x / rate if rate != 0.0 else 0.0
        inside = rate != 0.0 and a_s < t_s + step_s < b_s
        next_s = t_s + step_s if inside else 0.5 * (a_s + b_s)
        if abs(next_s - t_s) <= 1e-14 * b_s:
            return next_s
        t_s = next_s
    return t_s
