"""The grid as a picture: buses, circuits, areas and plants, drawn with networkx and matplotlib.

What is drawn where is data of the case (`BusTable.x`, `BusTable.y`); what is drawn how depends on the state
handed in: buses by voltage or frequency, circuits by loading; `network_symbols.py` says by which mark, and
`network_legend.py` tells the reader. Badges beside a bus mark what is connected there; `layout.py` finds places for
them.

    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(case, figure, buses=voltage_scale(case, vm_pu), loading_percent=loading_percent)
    figure.savefig("grid.png", dpi=150)

Left out: direction of flows, transformers' winding symbols, reactors.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Polygon
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.topology import multigraph, ties
from grid_model.picture.layout import Badges, bus_radius, distance_to_segments, place_badges
from grid_model.picture.network_legend import draw_keys
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
from grid_model.picture.placement import placed

__all__ = ["NETWORK_FIGSIZE", "NetworkDrawing", "draw_network"]

NETWORK_FIGSIZE = (16.0, 8.5)  # inches; the proportions of the 68-bus drawing with its legend
NAME_POINTS = 12.0  # size of the areas' names
NO_LOADING = "#66707a"  # circuits of a drawing that tells no loadings
OUT_DASH = (0, (1, 2.5))


def draw_network(
    case: Case,
    figure: Figure | SubFigure,
    *,
    buses: BusScale | None = None,
    loading_percent: FloatArray | None = None,
    loading_label: str = "loading of the circuit [% of rating]",
    branch_in_service: BoolArray | None = None,
    machine_in_service: BoolArray | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the whole grid with its legend and colour bars into an empty figure.

    Args:
        case: the grid; positions are case.bus.x and case.bus.y, or worked out where these are not good.
        figure: empty figure, best of NETWORK_FIGSIZE's proportions.
        buses: value and scale of the buses' colour; white buses without it.
        loading_percent: loading of each circuit in percent of the rating that applies, shape [branch].
        loading_label: name of its colour bar; say there whose ratings they are.
        branch_in_service: False for circuits that are out; they are dotted and crossed out, shape [branch].
        machine_in_service: False for machines that are out; crossed out as well, shape [machine].
        title: one line above the drawing.

    Returns:
        The axes that hold the drawing, in the case's drawing units.

    Raises:
        ValueError: an array has not one value for each bus, circuit or machine.
    """
    in_service = np.ones(case.n_branch, dtype=np.bool_) if branch_in_service is None else branch_in_service
    running = np.ones(case.n_machine, dtype=np.bool_) if machine_in_service is None else machine_in_service
    for name, values, expected in (
        ("bus values", buses.values if buses is not None else None, case.n_bus),
        ("loading_percent", loading_percent, case.n_branch),
        ("branch_in_service", in_service, case.n_branch),
        ("machine_in_service", running, case.n_machine),
    ):
        if values is not None and np.shape(values) != (expected,):
            raise ValueError(
                f"{name} has shape {np.shape(values)}, expected ({expected},) for case {case.name}"
            )
    drawing = NetworkDrawing(
        case,
        figure,
        buses=buses,
        loading_label=loading_label if loading_percent is not None else None,
        with_outage=bool((~in_service).any() or (~running).any()),
        title=title,
    )
    drawing.show(buses.values if buses is not None else None, loading_percent, in_service, running)
    return drawing.axes


class NetworkDrawing:
    """The grid drawn once, in which what depends on its state is set again and again.

    Attributes:
        case: the grid, with a position for every bus.
        axes: hold the drawing, in the case's drawing units.
        badges: places of what is connected to the buses.
        radius: of a bus in drawing units; `unit`: the same in printer's points.
        changing: all that `show` changes, from the lowest to the topmost.
    """

    def __init__(
        self,
        case: Case,
        figure: Figure | SubFigure,
        *,
        buses: BusScale | None,
        loading_label: str | None,
        with_outage: bool,
        title: str | None,
        quick: bool = False,
    ) -> None:
        """Draw what does not change: areas, ties, badges and the legend.

        Args:
            case: see `draw_network`.
            figure: see `draw_network`.
            buses: scale of the buses' colour, with values that tell whether the legend needs a bus cut off.
            loading_label: see `draw_network`; None where circuits have no colour.
            with_outage: whether the legend explains what is crossed out.
            title: see `draw_network`.
            quick: numbers as outlines, all at once: setting them as text takes longer than all else of a frame.
        """
        self.case = case = placed(case)
        graph = multigraph(case)
        self.radius = radius = bus_radius(case)
        self.axes = axes = figure.add_axes((0.01, 0.13, 0.98, 0.83 if title else 0.86))
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set_xlim(float(case.bus.x.min()) - 3.5 * radius, float(case.bus.x.max()) + 3.5 * radius)
        axes.set_ylim(float(case.bus.y.min()) - 3.5 * radius, float(case.bus.y.max()) + 5.0 * radius)
        axes.apply_aspect()
        points_per_unit = _points_per_unit(axes)
        self.unit = points_per_unit * radius
        if title:
            figure.text(0.5, 0.975, title, ha="center", va="center", fontsize=14, color=INK)
        self._low = 0.0 if buses is None else buses.low
        self._norm = None if buses is None else Normalize(buses.low, buses.high)
        self.badges = place_badges(case)
        _draw_areas(case, axes, radius, self.badges, points_per_unit)
        self._segments = _draw_ties(case, axes, graph, radius, self.unit)
        # Their setters take arrays, which their annotations do not say.
        self._circuits: Any = LineCollection(list(self._segments), zorder=2)
        axes.add_collection(self._circuits)
        self._nodes = _draw_buses(case, axes, graph, radius, points_per_unit)
        number = _outlined_numbers if quick else _written_numbers
        self._numbers = number(case, axes, radius * points_per_unit)
        _draw_badges(axes, self.badges, radius, points_per_unit)
        self._circuit_crosses = _crosses(axes, 0.75 * self.unit, 0.09 * self.unit)
        self._machine_crosses = _crosses(axes, 1.1 * 1.05 * self.unit, 0.8)
        draw_keys(case, figure, self.badges, buses, loading_label, with_outage)

    @property
    def changing(self) -> list[Artist]:
        """In the order in which they lie on each other."""
        nodes = [collection for _, collection in self._nodes]
        return [self._circuits, *nodes, *self._numbers, self._circuit_crosses, self._machine_crosses]

    def show(
        self,
        bus_values: FloatArray | None,
        loading_percent: FloatArray | None,
        branch_in_service: BoolArray,
        machine_in_service: BoolArray,
    ) -> None:
        """Set the state.

        Args:
            bus_values: what the buses' colour shows, NaN at a bus that is cut off, [bus]; None leaves them white.
            loading_percent: of each circuit, [branch]; None leaves circuits without colour.
            branch_in_service: False for what is crossed out, [branch].
            machine_in_service: the same of machines, [machine].
        """
        case, unit = self.case, self.unit
        loading = np.zeros(case.n_branch) if loading_percent is None else np.nan_to_num(loading_percent)
        share = np.clip(loading / LOADING_MAX_PERCENT, 0.0, 1.2)
        color = (
            np.tile(to_rgba(NO_LOADING), (case.n_branch, 1))
            if loading_percent is None
            else np.asarray(LOADING_COLORS(np.clip(share, 0.0, 1.0)))
        )
        out = ~branch_in_service
        color[out] = to_rgba(INK)
        self._circuits.set_color(color)
        self._circuits.set_linewidth(np.where(out, 0.07 * unit, unit * (0.09 + 0.16 * share)))
        self._circuits.set_linestyle([OUT_DASH if lost else "-" for lost in out])
        self._circuit_crosses.set_offsets(self._segments[out].mean(axis=1))
        machine = np.array([kind == "machine" for kind in self.badges.kind], dtype=np.bool_)
        machine[machine] = ~machine_in_service[self.badges.row[machine]]
        self._machine_crosses.set_offsets(np.column_stack([self.badges.x, self.badges.y])[machine])

        if bus_values is None or self._norm is None:
            fill = np.tile(np.array(to_rgba("white")), (case.n_bus, 1))
        else:
            fill = np.asarray(BUS_COLORS(self._norm(np.nan_to_num(bus_values, nan=self._low))))
            fill[np.isnan(bus_values)] = to_rgba(DEAD)
        for members, collection in self._nodes:
            collection.set_facecolor(fill[members])
        # Rec. 709 luminance decides between black and white figures.
        dark = fill[:, :3] @ np.array([0.2126, 0.7152, 0.0722]) < 0.45
        ink = np.where(dark, "white", "black").tolist()
        for bus, number in enumerate(self._numbers):
            if isinstance(number, PathCollection):
                number.set_facecolor(ink)  # of all
            else:
                number.set_color(ink[bus])


def _points_per_unit(axes: Axes) -> float:
    """Printer's points per drawing unit, by which marker sizes follow the size of the figure."""
    (x0, _), (x1, _) = axes.transData.transform([(0.0, 0.0), (1.0, 0.0)])
    dpi = axes.figure.dpi
    return float((x1 - x0) * 72.0 / dpi)


def _draw_areas(case: Case, axes: Axes, radius: float, badges: Badges, points_per_unit: float) -> None:
    """A tinted, rounded convex hull behind the buses of each area, with its name where nothing else is."""
    from scipy.spatial import ConvexHull

    xy = np.column_stack([case.bus.x, case.bus.y])
    start, end = xy[case.branch.from_bus], xy[case.branch.to_bus]
    angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    # Buses and badges with their radii: a name covers none of them.
    marks = np.vstack([xy, np.column_stack([badges.x, badges.y])])
    mark_radius = np.concatenate([np.full(len(xy), 1.0), np.full(len(badges.x), 0.6)]) * radius
    names = np.zeros((0, 4))  # those that are written already: x, y, half their width and height
    for area, name in enumerate(case.area_names):
        inside = case.bus.area == area
        if not inside.any():
            continue
        points = (xy[inside][:, None] + 2.8 * radius * circle[None]).reshape(-1, 2)
        outline = points[ConvexHull(points).vertices]
        axes.add_patch(
            Polygon(
                outline,
                closed=True,
                facecolor=AREA_TINTS[area % len(AREA_TINTS)],
                edgecolor="#9aa3ab",
                linewidth=0.8,
                zorder=0,
            )
        )
        # Above the hull if a name has room there, else the freest place around it.
        spots = np.vstack([outline + [0.0, 0.9 * radius], outline - [0.0, 0.9 * radius]])
        above = np.arange(len(spots)) < len(outline)
        outside = np.where(above, spots[:, 1] > outline[:, 1].max(), spots[:, 1] < outline[:, 1].min())
        spots, above = spots[outside], above[outside]
        half = np.array([0.3 * len(name), 0.5]) * NAME_POINTS / points_per_unit
        written = spots[:, None] + np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None] * [half[0], 0.0]
        room = distance_to_segments(written.reshape(-1, 2), start, end).min(axis=1, initial=np.inf)
        room = room.reshape(len(spots), -1).min(axis=1) - half[1]
        for at, size, radii in (
            (marks, np.zeros((len(marks), 2)), mark_radius),
            (names[:, :2], names[:, 2:], np.zeros(len(names))),
        ):
            gap = np.maximum(np.abs(spots[:, None] - at[None]) - half - size[None], 0.0)
            clear = np.linalg.norm(gap, axis=2) - radii
            room = np.minimum(room, clear.min(axis=1, initial=np.inf))
        room = np.minimum(room, radius)
        aside = np.abs(spots[:, 0] - xy[inside, 0].mean())
        # What is covered counts several times, so that no place above or in the middle makes up for it.
        room = np.where(room < 0.0, 4.0 * room, room)
        spot = spots[int(np.argmax(room + np.where(above, 0.5 * radius, 0.0) - 0.05 * aside))]
        axes.text(spot[0], spot[1], name, ha="center", va="center", fontsize=NAME_POINTS, color=INK)
        names = np.vstack([names, [*spot, *half]])


def _parallel_offsets(graph: nx.MultiGraph, row_ends: tuple[int, int], spacing: float) -> dict[int, float]:
    """Sideways shift of each circuit of a corridor, so that parallel circuits lie side by side."""
    rows = sorted(graph[row_ends[0]][row_ends[1]])
    return {row: (position - (len(rows) - 1) / 2.0) * spacing for position, row in enumerate(rows)}


def _draw_ties(case: Case, axes: Axes, graph: nx.MultiGraph, radius: float, unit: float) -> FloatArray:
    """Outlined white bands under the ties between areas; the strokes of all circuits, [branch, end, 2]."""
    segments = np.empty((case.n_branch, 2, 2))
    xy = np.column_stack([case.bus.x, case.bus.y])
    for a, b, row in graph.edges(keys=True):
        low, high = min(a, b), max(a, b)
        along = xy[high] - xy[low]
        sideways = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        shift = _parallel_offsets(graph, (low, high), 0.36 * radius)[row] * sideways
        segments[row] = xy[low] + shift, xy[high] + shift
    ends = np.sort(np.column_stack([case.branch.from_bus, case.branch.to_bus]), axis=1)
    bands = list(xy[np.unique(ends[ties(case)], axis=0)])
    for line_width, band_color in ((0.95, TIE_BAND), (0.75, "white")):
        axes.add_collection(
            LineCollection(bands, colors=band_color, linewidths=line_width * unit, capstyle="butt", zorder=1)
        )
    return segments


def _crosses(axes: Axes, size: float, edge: float) -> PathCollection:
    """Marks of what is out of service, nowhere yet; sizes in points."""
    return axes.scatter(
        [], [], marker="X", s=size**2, c="white", edgecolors=INK, linewidths=edge, zorder=6
    )  # fmt: skip


def _draw_buses(
    case: Case, axes: Axes, graph: nx.MultiGraph, radius: float, points_per_unit: float
) -> list[tuple[list[int], Any]]:
    """Buses, shape by area: those of each shape with its marks."""
    position = {bus: (float(case.bus.x[bus]), float(case.bus.y[bus])) for bus in graph}
    diameter = 2.0 * radius * points_per_unit
    marks = []
    for area in range(len(case.area_names)):
        members = [int(bus) for bus in np.flatnonzero(case.bus.area == area)]
        if not members:
            continue
        marker = AREA_MARKERS[area % len(AREA_MARKERS)]
        nodes = nx.draw_networkx_nodes(
            graph,
            position,
            ax=axes,
            nodelist=members,
            node_shape=marker,
            node_size=AREA_MARKER_SCALE[marker] ** 2 * diameter**2,
            node_color="white",
            edgecolors=INK,
            linewidths=0.9,
        )
        nodes.set_zorder(4)
        marks.append((members, nodes))
    return marks


def _written_numbers(case: Case, axes: Axes, unit: float) -> list[Text | PathCollection]:
    """Labels of the buses as text, one each; the unit is a bus's radius in points."""
    return [
        axes.text(
            case.bus.x[bus],
            case.bus.y[bus],
            str(case.bus.bus_number[bus]),
            ha="center",
            va="center_baseline",
            fontsize=unit,
            zorder=5,
        )
        for bus in range(case.n_bus)
    ]


def _outlined_numbers(case: Case, axes: Axes, unit: float) -> list[Text | PathCollection]:
    """The same as outlines of their figures, all in one."""
    outlines = []
    for number in case.bus.bus_number:
        outline = TextPath((0.0, 0.0), str(number), size=unit)
        box = outline.get_extents()
        outlines.append(
            outline.transformed(Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2))
        )
    numbers = PathCollection(
        outlines,
        offsets=np.column_stack([case.bus.x, case.bus.y]),
        offset_transform=axes.transData,
        linewidths=0.0,
        zorder=5,
    )
    numbers.set_transform(Affine2D().scale(axes.figure.dpi / 72.0))
    axes.add_collection(numbers)
    return [numbers]


def _draw_badges(axes: Axes, badges: Badges, radius: float, points_per_unit: float) -> None:
    """Marks of what is connected; a machine is a circle with the sine of an alternator."""
    size = 1.05 * radius * points_per_unit
    for kind, badge in BADGES.items():
        chosen = np.array([k == kind for k in badges.kind])
        if not chosen.any():
            continue
        axes.scatter(
            badges.x[chosen],
            badges.y[chosen],
            marker=badge.marker,
            s=(badge.size * size) ** 2,
            c=badge.color,
            edgecolors=INK,
            linewidths=0.7,
            zorder=4,
        )
        if kind == "machine":
            axes.scatter(
                badges.x[chosen],
                badges.y[chosen],
                marker="$\\sim$",
                s=(0.62 * size) ** 2,
                c=INK,
                linewidths=0.2,
                zorder=5,
            )
