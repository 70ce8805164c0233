"""A first-order lag driven by a set-point that moves along a straight line: exact over a whole interval.

    T dx/dt = u(t) - x,     u(t) = u0 + s t,   s = (u1 - u0) / h
    x(t) = (u0 - s T) + s t + (x0 - u0 + s T) exp(-t/T)

Every resource follows its set-point so. Powers are in MW, times in s, integrals in MW s. The functions are
compiled scalars; `fleet.py` runs them over all environments and resources.
"""

from __future__ import annotations

from math import exp, log

from grid_model.compilation import compiled

ROOT_ITERATIONS = 80
# Of the interval: a root is needed to the square root of the precision of an integral only, as x is zero there.
ROOT_TOLERANCE = 1e-8


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

    x has at most one extremum, at exp(-t/T) = s T / (x0 - u0 + s T), so one zero where its ends differ in sign, and
    two or none where they do not. Where set-point and output keep one sign, so does x.
    """
    whole = lag_integral(x0, x1, u0, u1, lag_s, h_s)
    if x0 >= 0.0 and u0 >= 0.0 and u1 >= 0.0:
        return max(whole, 0.0), 0.0
    if x0 <= 0.0 and u0 <= 0.0 and u1 <= 0.0:
        return 0.0, max(-whole, 0.0)
    slope = (u1 - u0) / h_s
    offset = u0 - slope * lag_s
    fading = x0 - offset
    if (x0 > 0.0) != (x1 > 0.0):
        zero_s = _zero(offset, slope, fading, lag_s, 0.0, h_s, x0 > 0.0)
        first = _area_until(zero_s, offset, slope, fading, lag_s)
        return _by_sign(first, whole - first)
    share = slope * lag_s / fading if fading != 0.0 else 0.0
    if 0.0 < share < 1.0:
        middle_s = -lag_s * log(share)
        if middle_s < h_s and (offset + slope * (middle_s + lag_s) > 0.0) != (x0 > 0.0):
            there_s = _zero(offset, slope, fading, lag_s, 0.0, middle_s, x0 > 0.0)
            back_s = _zero(offset, slope, fading, lag_s, middle_s, h_s, x0 <= 0.0)
            beyond = _area_until(back_s, offset, slope, fading, lag_s) - _area_until(
                there_s, offset, slope, fading, lag_s
            )
            return _by_sign(beyond, whole - beyond)
    return max(whole, 0.0), max(-whole, 0.0)


@compiled
def _by_sign(a: float, b: float) -> tuple[float, float]:
    """Sum of what is above zero of two, and of what is below, without its sign."""
    return max(a, 0.0) + max(b, 0.0), max(-a, 0.0) + max(-b, 0.0)


@compiled
def _area_until(t_s: float, offset: float, slope: float, fading: float, lag_s: float) -> float:
    """∫ x dt from the interval's beginning [MW s]."""
    return (offset + 0.5 * slope * t_s) * t_s + fading * lag_s * (1.0 - exp(-t_s / lag_s))


@compiled
def _zero(
    offset: float, slope: float, fading: float, lag_s: float, a_s: float, b_s: float, above: bool
) -> float:
    """Where x is zero between a and b, at whose ends it has opposite signs [s].

    Newton's method from where the straight part is zero, where x and its curvature have one sign, kept inside the
    bracket by bisection.

    Args:
        offset: of the straight part, offset + slope t.
        slope: its slope.
        fading: of the part that fades, fading exp(-t/T).
        lag_s: T.
        a_s: one end.
        b_s: the other.
        above: whether x is above zero at a.
    """
    near_s = ROOT_TOLERANCE * b_s
    t_s = -offset / slope if slope != 0.0 else b_s
    if not a_s < t_s < b_s:
        t_s = 0.5 * (a_s + b_s)
    for _ in range(ROOT_ITERATIONS):
        fade = fading * exp(-t_s / lag_s)
        x = offset + slope * t_s + fade
        if (x > 0.0) == above:
            a_s = t_s
        else:
            b_s = t_s
        rate = slope - fade / lag_s
        step_s = -x / rate if rate != 0.0 else b_s
        next_s = t_s + step_s
        if not a_s <= next_s <= b_s:
            next_s = 0.5 * (a_s + b_s)
        # What Newton's method leaves of an error e is e² |x''| / (2 |x'|); within a lag x'' changes by a factor of e.
        elif abs(step_s) <= lag_s and step_s * step_s * abs(fade) <= near_s * lag_s * lag_s * abs(rate):
            return next_s
        if abs(next_s - t_s) <= near_s:
            return next_s
        t_s = next_s
    return t_s
