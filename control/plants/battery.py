"""Battery storage: power, energy and efficiency, and set-points that can never break them.

    dE/dt = - x / (3600 η_d) while discharging (x > 0),      - x η_c / 3600 while charging (x < 0)

with E in MWh and the output x in MW into the grid. The output follows the set-point with a lag and the
set-point has a ramp, so a battery cannot stop at once: the energy it needs to come to rest is kept in
reserve. Cutting the output at an empty battery instead would break the lag that the grid integrates.

The inverter may besides answer the frequency of its bus by itself, within the interval: droop beyond a dead band, and
synthetic inertia. That is integrated with the grid (`grid_model.kernels.storage_response`), within the rating that
the set-point leaves and the energy that `reserve_left` leaves; what it took is booked at the interval's end.

Left out: losses at rest, ageing, dependence of power and efficiency on the state of charge and temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

from control.plants.lag import lag_end, lag_integral_by_sign
from grid_model.compilation import compiled

S_PER_H = 3600.0
# Kept free at both ends, so that rounding over any number of intervals cannot carry the energy past them.
GUARD_MWH = 1e-9
SEARCH_ITERATIONS = 60
SEARCH_TOLERANCE_MW = 1e-9


@dataclass(frozen=True, kw_only=True)
class BatteryParameters:
    """One battery plant. All figures are this project's sizes; lag and efficiency are typical of lithium ion."""

    ramp_mw_per_min: float = 50.0
    p_max_mw: float = 50.0  # both ways
    lag_s: float = 0.3
    energy_mwh: float = 25.0  # usable
    charging_efficiency: float = 0.92
    discharging_efficiency: float = 0.92
    # The inverter's own response to frequency, within the interval; off as long as both are zero.
    droop_mw_per_hz: float = 0.0
    synthetic_inertia_s: float = 0.0  # H on p_max_mw
    dead_band_hz: float = 0.017  # of the droop; as the machines' governors
    response_lag_s: float = 0.1  # of the measured frequency: five cycles, typical of an inverter
    cost_per_mw: float = 0.5  # C of the reward
    cost_per_mw2: float = 0.5  # W of the reward

    def __post_init__(self) -> None:
        for name in ("ramp_mw_per_min", "p_max_mw", "lag_s", "energy_mwh", "response_lag_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"battery: {name} = {getattr(self, name)}, expected > 0.")
        for name in ("droop_mw_per_hz", "synthetic_inertia_s", "dead_band_hz"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"battery: {name} = {getattr(self, name)}, expected >= 0.")
        for name in ("charging_efficiency", "discharging_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"battery: {name} = {getattr(self, name)}, expected above 0, at most 1.")

    @property
    def responds(self) -> bool:
        """Whether the inverter answers frequency by itself."""
        return self.droop_mw_per_hz > 0.0 or self.synthetic_inertia_s > 0.0


@compiled
def energy_after(
    e_mwh: float,
    x0: float,
    x1: float,
    u0: float,
    u1: float,
    lag_s: float,
    h_s: float,
    charging: float,
    discharging: float,
) -> float:
    """Energy at the end of an interval in which the set-point moves from u0 to u1 [MWh]."""
    out_mws, in_mws = lag_integral_by_sign(x0, x1, u0, u1, lag_s, h_s)
    return e_mwh - out_mws / (discharging * S_PER_H) + in_mws * charging / S_PER_H


@compiled
def stopping_area(u: float, step_mw: float, h_s: float) -> float:
    """∫ u dt while a set-point u >= 0 is taken to zero by one full step an interval [MW s].

    n whole steps and a last interval with what is left: h (n u - n² step / 2) + h (u - n step) / 2.
    """
    n = float(int(u / step_mw))
    return h_s * (n * u - 0.5 * n * n * step_mw) + 0.5 * h_s * max(u - n * step_mw, 0.0)


@compiled
def reserve_left(
    e_mwh: float,
    x: float,
    u: float,
    energy_mwh: float,
    step_mw: float,
    lag_s: float,
    h_s: float,
    charging: float,
    discharging: float,
) -> tuple[float, float]:
    """Energy above empty, and energy missing to full, once the battery has come to rest as fast as it can [MWh].

    Coming to rest from set-point u and output x gives ∫ u dt + T x, by the integral of the lag equation.
    Where u and x differ in sign the part that helps is not counted, which is on the safe side. If both are
    >= 0 now, they stay so under braking: that is why a set-point that keeps both can always be found.
    """
    out_mws = stopping_area(max(u, 0.0), step_mw, h_s) + lag_s * max(x, 0.0)
    in_mws = stopping_area(max(-u, 0.0), step_mw, h_s) + lag_s * max(-x, 0.0)
    above = e_mwh - out_mws / (discharging * S_PER_H) - GUARD_MWH
    below = energy_mwh - e_mwh - in_mws * charging / S_PER_H - GUARD_MWH
    return above, below


@compiled
def limit_battery(
    target_mw: float,
    e_mwh: float,
    x0: float,
    u0: float,
    p_max_mw: float,
    energy_mwh: float,
    step_mw: float,
    lag_s: float,
    h_s: float,
    charging: float,
    discharging: float,
) -> tuple[float, float, float]:
    """The set-point nearest to the target that power, ramp and energy allow.

    Args:
        target_mw: set-point asked for at the end of the interval.
        e_mwh: energy at its beginning.
        x0: output at its beginning.
        u0: set-point at its beginning.
        p_max_mw: range of the set-point, both ways.
        energy_mwh: capacity.
        step_mw: largest change of the set-point in the interval.
        lag_s: lag of the plant.
        h_s: length of the interval.
        charging: efficiency.
        discharging: efficiency.

    Returns:
        Set-point, output [MW] and energy [MWh] at the end of the interval.
    """
    u1 = min(max(target_mw, u0 - step_mw, -p_max_mw), u0 + step_mw, p_max_mw)
    x1 = lag_end(x0, u0, u1, lag_s, h_s)
    e1 = energy_after(e_mwh, x0, x1, u0, u1, lag_s, h_s, charging, discharging)
    above, below = reserve_left(e1, x1, u1, energy_mwh, step_mw, lag_s, h_s, charging, discharging)
    if above >= 0.0 and below >= 0.0:
        return u1, x1, e1
    # Braking is always allowed, the target is not; both reserves change one way with u1. Bracket the border,
    # by false position with Illinois weights, and return the allowed side of it.
    allowed = u0 - min(step_mw, u0) if u0 >= 0.0 else u0 + min(step_mw, -u0)
    x_allowed = lag_end(x0, u0, allowed, lag_s, h_s)
    e_allowed = energy_after(e_mwh, x0, x_allowed, u0, allowed, lag_s, h_s, charging, discharging)
    above_ok, below_ok = reserve_left(
        e_allowed, x_allowed, allowed, energy_mwh, step_mw, lag_s, h_s, charging, discharging
    )
    f_allowed = max(min(above_ok, below_ok), 0.0)
    refused, f_refused = u1, min(above, below)
    last_side = 0
    for _ in range(SEARCH_ITERATIONS):
        if abs(refused - allowed) <= SEARCH_TOLERANCE_MW or f_allowed <= 1e-12:
            break
        u1 = allowed + (refused - allowed) * f_allowed / (f_allowed - f_refused)
        x1 = lag_end(x0, u0, u1, lag_s, h_s)
        e1 = energy_after(e_mwh, x0, x1, u0, u1, lag_s, h_s, charging, discharging)
        above, below = reserve_left(e1, x1, u1, energy_mwh, step_mw, lag_s, h_s, charging, discharging)
        f = min(above, below)
        if f >= 0.0:
            allowed, x_allowed, e_allowed, f_allowed = u1, x1, e1, f
            if last_side == 1:
                f_refused *= 0.5
            last_side = 1
        else:
            refused, f_refused = u1, f
            if last_side == -1:
                f_allowed *= 0.5
            last_side = -1
    return allowed, x_allowed, e_allowed
