"""Demand response: load that gives way and takes back later what it gave.

The command c is what the agent moves. What the consumers have postponed, E, presses to be consumed, and the
more so the more there is (rebound), so the set-point that their load follows is

    u = c - E / τ,      dE/dt = x     (E in MW s, x the output into the grid: consumption given up)

within the same depth and ramp as the command. Holding a command long therefore wears off, and a command
taken back to zero leaves the load above normal until all is paid back. E is negative after a load was
raised; then it is owed the other way.

Left out: comfort limits, and the loss or gain of energy that real loads show when they shift.
"""

from __future__ import annotations

from dataclasses import dataclass

from grid_model.compilation import compiled


@dataclass(frozen=True, kw_only=True)
class DemandResponseParameters:
    """One demand-response unit. All figures are this project's sizes; half an hour suits heat and cooling."""

    ramp_mw_per_min: float = 5.0
    depth_mw: float = 40.0  # both ways
    lag_s: float = 4.0
    rebound_s: float = 1800.0  # τ
    cost_per_mw: float = 2.0  # C of the reward
    cost_per_mw2: float = 1.5  # W of the reward

    def __post_init__(self) -> None:
        for name in ("ramp_mw_per_min", "depth_mw", "lag_s", "rebound_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"demand response: {name} = {getattr(self, name)}, expected > 0.")


@compiled
def limit_demand_response(
    target_mw: float,
    c0: float,
    u0: float,
    owed_mws: float,
    depth_mw: float,
    step_mw: float,
    rebound_s: float,
) -> tuple[float, float]:
    """Command and set-point at the end of the interval [MW].

    The rebound is taken at the beginning of the interval; it changes by 0.2 % of the depth within it.

    Args:
        target_mw: command asked for.
        c0: command at the beginning.
        u0: set-point at the beginning.
        owed_mws: E, consumption postponed so far [MW s].
        depth_mw: range of command and of set-point, both ways.
        step_mw: largest change of either in the interval.
        rebound_s: τ.
    """
    c1 = min(max(target_mw, c0 - step_mw, -depth_mw), c0 + step_mw, depth_mw)
    u1 = c1 - owed_mws / rebound_s
    return c1, min(max(u1, u0 - step_mw, -depth_mw), u0 + step_mw, depth_mw)
