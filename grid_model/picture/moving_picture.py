"""The grid over time as pictures in a row: for videos, and for what an environment renders as an array.

    picture = MovingPicture(case, range_mw=range_mw, duration_s=2000.0, title="...")
    for state in states:
        frame = picture.frame(state)   # [height, width, 3], uint8

What stays is drawn once and kept; a frame draws only what a state changes over it. Buses are coloured by their
deviation of frequency on a scale with zero in the middle, which the trace below has too. Both reach as far as asked
for, and are doubled as soon as a bus lies outside: no colour ever stands for more than the scale says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.picture.network_picture import NetworkDrawing
from grid_model.picture.network_symbols import BusScale
from grid_model.picture.style import INK, LIMIT, STYLES

__all__ = ["LEAST_SCALE_MHZ", "GridState", "MovingPicture"]

SIZE_INCHES, DPI = (16.0, 10.4), 75  # 1200 x 780, even numbers as video coders ask for
GRID_SHARE = 8.5  # of the height, in inches
LEAST_SCALE_MHZ = 50.0  # what is smaller is noise, and shall look so
LIMITS_MHZ = (200.0, 500.0)  # aim and limit of the task

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class GridState:
    """What a frame shows."""

    time_s: float  # since the start
    bus_df_hz: FloatArray  # deviation, NaN at a bus without voltage, [bus]
    loading_percent: FloatArray  # of rating A, [branch]
    branch_in_service: BoolArray  # [branch]
    machine_in_service: BoolArray  # [machine]
    plant_mw: FloatArray  # output around the schedule, [resource]
    charge: FloatArray  # state of charge of the batteries, 0 to 1, [bess]


class MovingPicture:
    """Draws states of one grid, in the order of their times; a state earlier than the last begins a new trace.

    Attributes:
        scale_mhz: how far the buses' colours and the trace reach [mHz].
    """

    def __init__(
        self,
        case: Case,
        *,
        range_mw: FloatArray,
        duration_s: float,
        title: str = "",
        scale_mhz: float = LIMITS_MHZ[0],
    ) -> None:
        """Draw what stays.

        Args:
            case: the grid.
            range_mw: largest output of each plant around its schedule [MW], [resource].
            duration_s: length of the time axis.
            title: one line above.
            scale_mhz: reach of the scale of frequency to begin with; at least 50 mHz.
        """
        self._case, self._range_mw = case, np.maximum(range_mw, 1e-6)
        self._duration_s, self._title = duration_s, title
        self.scale_mhz = max(scale_mhz, LEAST_SCALE_MHZ)
        self._begin()
        self._draw_still()

    def frame(self, state: GridState) -> Frame:
        """The picture of a state, [height, width, 3]."""
        if self._time_s and state.time_s <= self._time_s[-1]:
            if state.time_s < self._time_s[-1]:
                self._begin()
            else:  # the same moment again
                for kept in (self._time_s, self._low_mhz, self._mean_mhz, self._high_mhz):
                    kept.pop()
        df_mhz = 1e3 * state.bus_df_hz
        live = df_mhz[np.isfinite(df_mhz)]
        if len(live):
            self._low_mhz.append(float(live.min()))
            self._mean_mhz.append(float(live.mean()))
            self._high_mhz.append(float(live.max()))
        else:
            for kept in (self._low_mhz, self._mean_mhz, self._high_mhz):
                kept.append(np.nan)
        self._time_s.append(state.time_s)
        farthest = float(np.abs(live).max(initial=0.0))
        if farthest > self.scale_mhz:
            while farthest > self.scale_mhz:
                self.scale_mhz *= 2.0
            self._draw_still()
        self._show(state, df_mhz)
        renderer = self._canvas.get_renderer()
        renderer.restore_region(self._still)
        for artist in self._changing:
            artist.draw(renderer)
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()

    def _begin(self) -> None:
        """No trace yet."""
        self._time_s: list[float] = []
        self._low_mhz: list[float] = []
        self._mean_mhz: list[float] = []
        self._high_mhz: list[float] = []

    def _draw_still(self) -> None:
        """The figure without what changes."""
        case, scale = self._case, self.scale_mhz
        figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
        self._canvas = cast(Any, FigureCanvasAgg(figure))
        parts: Any = figure.subfigures(
            2, 1, height_ratios=(GRID_SHARE, SIZE_INCHES[1] - GRID_SHARE), hspace=0.0
        )
        upper, lower = parts
        buses = BusScale(
            values=np.full(case.n_bus, np.nan),  # the legend explains a bus that is cut off
            label="frequency deviation of the bus [mHz]",
            low=-scale,
            high=scale,
        )
        self._drawing = drawing = NetworkDrawing(
            case,
            upper,
            buses=buses,
            loading_label="loading of the circuit [% of rating A]",
            with_outage=True,
            title=self._title or " ",
            quick=True,
        )
        axes, radius, badges = drawing.axes, drawing.radius, drawing.badges
        self._clock = upper.text(0.985, 0.975, "", ha="right", va="center", fontsize=14, color=INK)
        upper.text(
            0.015,
            0.975,
            "bar right of a plant: output around its schedule; left of a battery: charge",
            va="center",
            fontsize=9,
            color=INK,
        )
        kinds = np.array(badges.kind)
        self._plants = np.flatnonzero(np.isin(kinds, ("bess", "gas", "dr")))
        self._batteries = np.flatnonzero(kinds == "bess")
        self._battery_column = {int(row): k for k, row in enumerate(case.resource.of_kind("bess"))}
        width = 0.3 * drawing.unit
        self._output = LineCollection([], colors=INK, linewidths=width, capstyle="butt", zorder=5)
        self._charge = LineCollection([], colors="#6f6f6f", linewidths=width, capstyle="butt", zorder=5)
        for collection in (self._output, self._charge):
            axes.add_collection(collection)
        x, y = badges.x, badges.y
        empty = [
            ((x[k] - 0.85 * radius, y[k] - 0.5 * radius), (x[k] - 0.85 * radius, y[k] + 0.5 * radius))
            for k in self._batteries
        ]
        axes.add_collection(
            LineCollection(empty, colors="#dcdcdc", linewidths=width, capstyle="butt", zorder=4)
        )

        trace = lower.add_axes((0.06, 0.27, 0.92, 0.62))
        trace.set_xlim(0.0, self._duration_s / 60.0)
        trace.set_ylim(-1.05 * scale, 1.05 * scale)
        trace.set_xlabel("time [min]", labelpad=1)
        trace.set_ylabel("frequency [mHz]")
        trace.grid(alpha=0.3)
        for limit_mhz in LIMITS_MHZ:
            if limit_mhz <= scale:
                for sign in (-1.0, 1.0):
                    trace.axhline(sign * limit_mhz, color=LIMIT, linewidth=0.8, linestyle=(0, (4, 3)))
                trace.annotate(
                    f"{limit_mhz:g} mHz", (1.0, limit_mhz), xycoords=("axes fraction", "data"),
                    ha="right", va="top", fontsize=8, color=LIMIT,
                )  # fmt: skip
        self._band = Polygon(np.zeros((1, 2)), closed=True, facecolor="#bbbbbb", alpha=0.6, label="all buses")
        trace.add_patch(self._band)
        (self._mean,) = trace.plot([], [], color=STYLES[0][0], linewidth=1.4, label="mean of the buses")
        (self._now,) = trace.plot([], [], "o", color=INK, markersize=4)
        trace.legend(
            handles=[self._band, self._mean], loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2,
            fontsize=8.5, frameon=False, borderaxespad=0.1,
        )  # fmt: skip

        self._changing: list[Artist] = [
            *drawing.changing,
            self._charge,
            self._output,
            self._clock,
            self._band,
            self._mean,
            self._now,
        ]
        for artist in self._changing:
            artist.set_animated(True)  # left out of what is drawn once
        self._canvas.draw()
        renderer = self._canvas.get_renderer()
        self._still = renderer.copy_from_bbox(figure.bbox)

    def _show(self, state: GridState, df_mhz: FloatArray) -> None:
        """Set what changes."""
        drawing, badges = self._drawing, self._drawing.badges
        drawing.show(df_mhz, state.loading_percent, state.branch_in_service, state.machine_in_service)
        x, y, radius = badges.x, badges.y, drawing.radius
        share = np.nan_to_num(state.plant_mw / self._range_mw)
        output, charge = [], []
        for k in self._plants.tolist():
            right = x[k] + 0.85 * radius
            output.append(((right, y[k]), (right, y[k] + radius * float(share[badges.row[k]]))))
        for k in self._batteries.tolist():
            left, low = x[k] - 0.85 * radius, y[k] - 0.5 * radius
            full = float(np.clip(state.charge[self._battery_column[int(badges.row[k])]], 0.0, 1.0))
            charge.append(((left, low), (left, low + radius * full)))
        self._output.set_segments(output)
        self._charge.set_segments(charge)
        seconds = round(state.time_s)
        self._clock.set_text(f"{seconds // 60} min {seconds % 60:02d} s")
        minutes = np.array(self._time_s) / 60.0
        band = np.column_stack(
            [np.concatenate([minutes, minutes[::-1]]), [*self._high_mhz, *self._low_mhz[::-1]]]
        )
        self._band.set_xy(band[np.isfinite(band[:, 1])] if np.isfinite(band).any() else np.zeros((1, 2)))
        self._mean.set_data(minutes, self._mean_mhz)
        self._now.set_data(minutes[-1:], self._mean_mhz[-1:])
