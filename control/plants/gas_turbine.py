"""Gas turbines on secondary control: they move around an operating point between minimum load and rating.

Only the deviation from the operating point is modelled here; the operating point itself is part of the
scheduled generation of the plant's area. A plant that is not running has no range at all: starting one takes
longer than an episode of half an hour. Left out: heat, fuel and the difference between ramps up and down.
"""

from __future__ import annotations

from dataclasses import dataclass

from grid_model.compilation import compiled


@dataclass(frozen=True, kw_only=True)
class GasTurbineParameters:
    """One gas plant. All figures are this project's sizes; ramp and lag are typical of a combined cycle."""

    ramp_mw_per_min: float = 10.0
    range_mw: float = 75.0  # around the operating point, both ways
    p_max_mw: float = 250.0
    p_min_mw: float = 100.0  # minimum stable load
    operating_point_mw: float = 175.0
    lag_s: float = 8.0
    running: bool = True  # at the start, and therefore throughout
    cost_per_mw: float = 1.0  # C of the reward
    cost_per_mw2: float = 1.0  # W of the reward

    def __post_init__(self) -> None:
        for name in ("ramp_mw_per_min", "range_mw", "lag_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"gas turbine: {name} = {getattr(self, name)}, expected > 0.")
        if not 0.0 <= self.p_min_mw <= self.operating_point_mw <= self.p_max_mw:
            raise ValueError(
                f"gas turbine: operating_point_mw = {self.operating_point_mw}, expected between minimum load "
                f"{self.p_min_mw} and rating {self.p_max_mw}."
            )

    @property
    def low_mw(self) -> float:
        """Lowest set-point: the range, or minimum load if that comes first; none when not running."""
        return max(-self.range_mw, self.p_min_mw - self.operating_point_mw) if self.running else 0.0

    @property
    def high_mw(self) -> float:
        """Highest set-point: the range, or the rating if that comes first; none when not running."""
        return min(self.range_mw, self.p_max_mw - self.operating_point_mw) if self.running else 0.0


@compiled
def limit_gas_turbine(target_mw: float, u0: float, low_mw: float, high_mw: float, step_mw: float) -> float:
    """The set-point nearest to the target that ramp and range allow [MW]."""
    return min(max(target_mw, u0 - step_mw, low_mw), u0 + step_mw, high_mw)
