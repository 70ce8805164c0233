"""Governors and turbines: droop with dead band, limits, valve lag and reheat.

    target = clip(-K db(Df), -down, up)              db(f) = max(f - b, 0) + min(f + b, 0)
    T_v dg/dt = target - g,     |dg/dt| <= rate
    T_r dx/dt = g - x
    P_governor = F_hp g + (1 - F_hp) x               [MW, on top of the schedule]

The dead band is of the intentional kind without a step: outside it the gain applies to what exceeds it, so that in
steady state D Df + K (Df -+ b) = dP. A reheat steam turbine gives its high-pressure fraction F_hp at once and the rest
through the reheater. All machines share time constants, and gain and rate are shared by rating, so the governors of an
area at one frequency add up to one governor without loss, until the first of its units is at a limit.

Every unit keeps within its own limits around its schedule: up to its rating, down to its minimum. Of an equivalent of
many units as much counts as is in the schedule. A total for the whole grid, shared by rating, may be asked for instead.

A unit that returns synchronises without power, and its schedule is limited by a ramp from there on.

Sources: P. M. Anderson, M. Mirheydar, A low-order system frequency response model, IEEE Trans. Power Systems 5(3), 1990
(reheat turbine, F_hp and T_r); IEEE Task Force PES-TR1, Dynamic Models for Turbine-Governors in Power System
Studies, 2013 (dead bands, limits). Gain, headroom and rate are engineering judgement for this grid: the
published system has no governors, and 5 % droop on its 55 GVA of bases would hold frequency unrealistically stiff.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray
from cases.tables import MachineTable


@dataclass(frozen=True, kw_only=True)
class GovernorConfig:
    """Primary control of the whole grid, shared among the machines by rating."""

    gain_mw_per_hz: float = 2500.0
    dead_band_hz: float = 0.017
    # Of all machines together, shared by rating; None for each unit's own, from its schedule to rating and minimum.
    headroom_up_mw: float | None = None
    headroom_down_mw: float | None = None
    minimum_share: float = 0.10  # of a unit's published output: the least that its turbine gives
    # Of rating, after a unit has synchronised [typical of a hot steam unit: 2 to 5]; None: loaded at once.
    loading_percent_per_min: float | None = 3.0
    rate_mw_per_s: float = 750.0  # full headroom in 2 s
    t_valve_s: float = 0.2
    t_reheat_s: float = 8.0
    high_pressure_fraction: float = 0.3

    def __post_init__(self) -> None:
        for name in ("gain_mw_per_hz", "dead_band_hz", "headroom_up_mw", "headroom_down_mw"):
            if getattr(self, name) is not None and not getattr(self, name) >= 0.0:
                raise ValueError(f"governor: {name} = {getattr(self, name)}, expected >= 0")
        if (self.headroom_up_mw is None) != (self.headroom_down_mw is None):
            raise ValueError(
                f"governor: headroom_up_mw = {self.headroom_up_mw}, headroom_down_mw = {self.headroom_down_mw}, "
                "expected both or none"
            )
        if self.loading_percent_per_min is not None and not self.loading_percent_per_min > 0.0:
            raise ValueError(
                f"governor: loading_percent_per_min = {self.loading_percent_per_min}, expected > 0, or none"
            )
        if not 0.0 <= self.minimum_share <= 1.0:
            raise ValueError(f"governor: minimum_share = {self.minimum_share}, expected between 0 and 1")
        for name in ("rate_mw_per_s", "t_valve_s", "t_reheat_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"governor: {name} = {getattr(self, name)}, expected > 0")
        if not 0.0 <= self.high_pressure_fraction <= 1.0:
            raise ValueError(
                f"governor: high_pressure_fraction = {self.high_pressure_fraction}, expected between 0 and 1"
            )

    @property
    def within_units(self) -> bool:
        """Whether every unit keeps within its own limits."""
        return self.headroom_up_mw is None


def unit_limits_mw(machine: MachineTable, governor: GovernorConfig) -> tuple[FloatArray, FloatArray]:
    """Least and most that each turbine gives with all of it in the schedule [MW], two arrays [machine]."""
    return np.minimum(governor.minimum_share * machine.p_mw, machine.rating_mva), machine.rating_mva


def steady_state_deviation_hz(
    imbalance_mw: float | FloatArray, damping_mw_per_hz: float, governor: GovernorConfig
) -> FloatArray:
    """Frequency deviation at which load damping and governors have taken up a lasting imbalance [Hz].

    Solves D f + K (|f| - b)+ sign(f) = dP, with the governors at their limit where K (|f| - b) exceeds it. Limits of
    single units are left out.

    Args:
        imbalance_mw: dP, generation minus load [MW].
        damping_mw_per_hz: D [MW/Hz].
        governor: gain, dead band and limits.
    """
    p = np.asarray(imbalance_mw, dtype=np.float64)
    size, d, k, b = np.abs(p), damping_mw_per_hz, governor.gain_mw_per_hz, governor.dead_band_hz
    up, down = governor.headroom_up_mw, governor.headroom_down_mw
    limit = np.where(p < 0.0, np.inf if up is None else up, np.inf if down is None else down)
    inside = size / d
    regulated = (size + k * b) / (d + k)
    saturated = (size - limit) / d
    f = np.where(inside <= b, inside, np.where(k * (regulated - b) <= limit, regulated, saturated))
    return np.sign(p) * f
