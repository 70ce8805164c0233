"""Legend and colour bars of the drawing of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from cases.case import Case
from grid_model.network.topology import ties
from grid_model.picture.layout import Badges
from grid_model.picture.network_symbols import (
    AREA_MARKER_SCALE,
    AREA_MARKERS,
    AREA_TINTS,
    BADGES,
    BUS_COLORS,
    DEAD,
    INK,
    LOADING_COLORS,
    LOADING_MAX_PERCENT,
    TIE_BAND,
    BusScale,
)

__all__ = ["draw_keys"]

MOST_STEPS = 5  # on a colour bar, under which numbers of six figures, such as -42.25, stand apart


def draw_keys(
    case: Case,
    figure: Figure | SubFigure,
    badges: Badges,
    buses: BusScale | None,
    loading_label: str | None,
    with_outage: bool,
) -> None:
    """Legend and colour bars in the strip under the drawing.

    Args:
        case: the grid.
        figure: that holds the drawing.
        badges: what is marked beside the buses.
        buses: scale of the buses' colour, None where they have none.
        loading_label: name of the circuits' colour bar, None where they have no colour.
        with_outage: whether something is crossed out.
    """
    areas = []
    for area, name in enumerate(case.area_names):
        marker = AREA_MARKERS[area % len(AREA_MARKERS)]
        tint = AREA_TINTS[area % len(AREA_TINTS)]
        areas.append(_mark(marker, tint, f"bus of {name}", 9.0 * AREA_MARKER_SCALE[marker]))
    plants = [
        _mark(badge.marker, badge.color, badge.legend, 8.0 * badge.size**0.5)
        for kind, badge in BADGES.items()
        if kind in badges.kind
    ]
    lines: list[Any] = []
    if len(ties(case)):
        lines.append(Patch(facecolor="white", edgecolor=TIE_BAND, linewidth=1.0, label="tie between areas"))
    if loading_label is not None:
        lines += [
            Line2D(
                [],
                [],
                color=LOADING_COLORS(share),
                linewidth=1.0 + 3.0 * share,
                label=f"{100 * share:.0f} %",
            )
            for share in (0.25, 0.5, 0.75, 1.0)
        ]
    if with_outage:
        lines.append(_mark("X", "white", "out of service", 8.0))
    if buses is not None and np.isnan(buses.values).any():
        lines.append(_mark("o", DEAD, "bus cut off", 9.0))
    for height, handles in ((0.072, areas), (0.042, plants), (0.012, lines)):
        if not handles:
            continue
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.015, height),
            ncols=len(handles),
            fontsize=9,
            frameon=False,
            borderpad=0.0,
            borderaxespad=0.0,
            handletextpad=0.5,
            columnspacing=1.6,
        )
    if buses is not None:
        _color_bar(figure, (0.735, 0.088, 0.235, 0.016), BUS_COLORS, buses.low, buses.high, buses.label)
    if loading_label is not None:
        _color_bar(
            figure,
            (0.735, 0.026, 0.235, 0.016),
            LOADING_COLORS,
            0.0,
            LOADING_MAX_PERCENT,
            loading_label,
        )


def _mark(marker: str | Path, color: str, label: str, size: float) -> Line2D:
    """Legend entry of a marker without a line."""
    shape: Any = marker
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=shape,
        markersize=size,
        markerfacecolor=color,
        markeredgecolor=INK,
        markeredgewidth=0.7,
        label=label,
    )


def _color_bar(
    figure: Figure | SubFigure,
    place: Sequence[float],
    colormap: Colormap,
    low: float,
    high: float,
    label: str,
) -> None:
    """A horizontal colour bar with its label to the left."""
    axes = figure.add_axes((place[0], place[1], place[2], place[3]))
    bar = axes.figure.colorbar(
        ScalarMappable(Normalize(low, high), colormap), cax=axes, orientation="horizontal"
    )
    bar.outline.set_linewidth(0.6)
    bar.locator = MaxNLocator(MOST_STEPS)
    bar.update_ticks()
    axes.tick_params(labelsize=9, length=2, pad=1)
    axes.set_title(label, fontsize=9, pad=2, color=INK)
