"""What a mark in the drawing of the grid means: shapes of areas and plants, colours of buses and circuits.

Every distinction is made twice, by colour and by shape, width or pattern, so that a grey print says the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.path import Path

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.picture.style import INK

__all__ = [
    "AREA_MARKERS",
    "AREA_MARKER_SCALE",
    "AREA_TINTS",
    "BADGES",
    "BUS_COLORS",
    "DEAD",
    "INK",
    "LOADING_COLORS",
    "LOADING_MAX_PERCENT",
    "TIE_BAND",
    "Badge",
    "BusScale",
    "frequency_scale",
    "voltage_scale",
]

# One marker per area, in the order of Case.area_names; shapes with room for a number inside.
AREA_MARKERS = ("o", "s", "D", "h", "8", "p")
# Area of each marker relative to the circle of the same nominal size, evened out by eye.
AREA_MARKER_SCALE = {"o": 1.0, "s": 0.88, "D": 0.72, "h": 1.08, "8": 1.0, "p": 1.1}
AREA_TINTS = ("#dbe9f6", "#fdebd3", "#e3f1dd", "#f0e2f1", "#f9e0e0", "#ececec")
DEAD = "#bbbbbb"  # a bus without a value
# Loading from hardly visible to nearly black: lightness falls all the way, so grey prints keep the order.
LOADING_COLORS = LinearSegmentedColormap.from_list(
    "loading", [(0.0, "#b9c2c9"), (0.5, "#e0913a"), (0.8, "#bb2a1c"), (1.0, "#3c0508")]
)
LOADING_MAX_PERCENT = 100.0
# Lightness rises all the way, for the same reason.
BUS_COLORS = colormaps["viridis"]
TIE_BAND = "#5d6770"  # outline of the white band under the circuits of a tie


@dataclass(frozen=True)
class Badge:
    """How one kind of plant is marked: matplotlib marker, fill, words for the legend."""

    marker: str | Path
    color: str
    legend: str
    size: float = 1.0  # relative to the other badges, evened out by eye


def _sun() -> Path:
    """A star with twelve short rays."""
    return Path.unit_regular_star(12, innerCircle=0.62)


def _turbine() -> Path:
    """Three slender blades, one upright."""
    blade = np.array([[-0.10, 0.0], [-0.26, 0.28], [0.0, 1.05], [0.12, 0.30], [0.10, 0.0]])
    vertices: list[FloatArray] = []
    codes: list[int] = []
    for angle in np.radians([0.0, 120.0, 240.0]):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        vertices.extend([*(blade @ turn.T), np.zeros(2)])
        codes.extend([int(Path.MOVETO), *[int(Path.LINETO)] * 4, int(Path.CLOSEPOLY)])
    return Path(np.array(vertices), codes)


BADGES = {
    "machine": Badge("o", "white", "synchronous machine"),
    "bess": Badge("s", "#0072b2", "battery (bess)", 0.8),
    "gas": Badge("^", "#d55e00", "gas plant (gas)", 1.0),
    "dr": Badge("D", "#f0e442", "demand response (dr)", 0.7),
    "wind": Badge(_turbine(), "#009e73", "wind plant", 1.5),
    "pv": Badge(_sun(), "#ffb000", "photovoltaic plant", 1.3),
}


@dataclass(frozen=True, kw_only=True)
class BusScale:
    """What the colour of the buses means: one value a bus, and the range of the colour bar."""

    values: FloatArray  # [bus]
    label: str  # with the unit
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"range of the bus colours is {self.low} to {self.high}, expected low < high")


def voltage_scale(case: Case, vm_pu: FloatArray) -> BusScale:
    """Colours over the voltage band of the case, widened where a bus lies outside it."""
    low = min(float(case.bus.vm_min_pu.min()), float(np.nanmin(vm_pu)))
    high = max(float(case.bus.vm_max_pu.max()), float(np.nanmax(vm_pu)))
    return BusScale(values=vm_pu, label="bus voltage [pu of nominal]", low=low, high=high)


def frequency_scale(df_hz: FloatArray, min_span_hz: float = 0.002) -> BusScale:
    """Colours over exactly the deviations that occur, at least `min_span_hz` apart.

    Buses differ by a millihertz while all move by twenty together: over a fixed band such as
    +-0.2 Hz every bus would look alike.
    """
    low, high = 1e3 * float(np.nanmin(df_hz)), 1e3 * float(np.nanmax(df_hz))
    missing = max(0.0, 1e3 * min_span_hz - (high - low))
    return BusScale(
        values=1e3 * df_hz,
        label="frequency deviation of the bus [mHz]",
        low=low - missing / 2,
        high=high + missing / 2,
    )
