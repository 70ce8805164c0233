"""Panels of an episode's pictures: frequency, dispatch by class, loadings and reward terms, each over time.

Plain arrays, whose first axis is time, onto axes. Classes and terms differ by line pattern as well as by colour, units
stand on every axis, and legends stand above the axes, never on the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import FloatArray
from grid_model.picture.style import INK, LIMIT, STYLES, legend_above, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BAND = "#dfe4e8"
MOST_CURVES = 5  # in one panel; what is left over is shown as a band
CLASS_NAMES = {"bess": "batteries", "gas": "gas plants", "dr": "demand response"}


@dataclass(frozen=True)
class Mark:
    """An event on the time axis, for example an outage."""

    time_s: float
    label: str


def plot_each(axes: Axes, time_s: FloatArray, values: FloatArray, names: Sequence[str]) -> None:
    """Curves of the few that change most, [t, element]; where there are more, all of them as a band."""
    shown = range(values.shape[1])
    if values.shape[1] > MOST_CURVES:
        axes.fill_between(
            time_s,
            values.min(axis=1),
            values.max(axis=1),
            color=BAND,
            linewidth=0,
            label=f"all {values.shape[1]}",
        )
        reach = values.max(axis=0) - values.min(axis=0)
        shown = np.sort(np.argsort(-reach, kind="stable")[: MOST_CURVES - 1]).tolist()
    for position, column in enumerate(shown):
        axes.plot(time_s, values[:, column], linewidth=0.9, label=names[column], **style(position))


def plot_frequency(
    axes: Axes, time_s: FloatArray, df_hz: FloatArray, *, f0_hz: float = 60.0, marks: Sequence[Mark] = ()
) -> None:
    """Mean frequency of the buses, the band they fill, and the limits that lie near."""
    low, high = f0_hz + df_hz.min(axis=1), f0_hz + df_hz.max(axis=1)
    axes.fill_between(time_s, low, high, color="#b9cfe0", linewidth=0, label="lowest to highest bus")
    axes.plot(
        time_s, f0_hz + df_hz.mean(axis=1), color=STYLES[0][0], linewidth=1.0, label="mean of the buses"
    )
    axes.axhline(f0_hz, color=INK, linewidth=0.6)
    reach = max(float(np.abs(df_hz).max()), 0.02)
    for limit_hz, name, pattern in ((0.2, "aim ±0.2 Hz", (0, (4, 3))), (0.5, "limit ±0.5 Hz", "-")):
        if reach > 0.6 * limit_hz:
            for sign in (-1.0, 1.0):
                axes.axhline(
                    f0_hz + sign * limit_hz,
                    color=LIMIT,
                    linewidth=0.9,
                    linestyle=pattern,
                    label=name if sign > 0 else None,
                )
            reach = max(reach, 1.1 * limit_hz)
    axes.set_ylim(f0_hz - 1.1 * reach, f0_hz + 1.1 * reach)
    axes.ticklabel_format(axis="y", useOffset=False)
    finish_axes(axes, "frequency [Hz]", marks=marks)


def plot_dispatch(
    axes: Axes, time_s: FloatArray, p_mw: FloatArray, kinds: Sequence[str], *, marks: Sequence[Mark] = ()
) -> None:
    """Total output of each class around its schedule."""
    for position, kind in enumerate(dict.fromkeys(kinds)):
        chosen = np.array([k == kind for k in kinds])
        name = f"{CLASS_NAMES.get(kind, kind)} ({int(chosen.sum())})"
        axes.plot(time_s, p_mw[:, chosen].sum(axis=1), linewidth=1.4, label=name, **style(position))
    axes.axhline(0.0, color=INK, linewidth=0.6)
    finish_axes(axes, "total into the grid,\naround schedule [MW]", marks=marks)


def plot_loading(
    axes: Axes,
    time_s: FloatArray,
    loading_percent: FloatArray,
    branch_names: Sequence[str],
    *,
    n_named: int = 4,
    rating_b_percent: FloatArray | None = None,
    marks: Sequence[Mark] = (),
) -> None:
    """The circuits nearest to rating A by name, all others as bands; ratings as lines."""
    for low, high, shade, name in ((0, 100, "#e4e7ea", "all circuits"), (25, 75, "#b5bdc4", "middle half")):
        edges = np.percentile(loading_percent, (low, high), axis=1)
        axes.fill_between(time_s, edges[0], edges[1], color=shade, linewidth=0, label=name)
    # Parallel circuits carry the same flow: one of a corridor stands for all.
    heaviest: dict[str, int] = {}
    for row in np.argsort(-loading_percent.max(axis=0), kind="stable"):
        heaviest.setdefault(branch_names[row].split(" ")[0], int(row))
        if len(heaviest) == n_named:
            break
    for position, row in enumerate(heaviest.values()):
        axes.plot(time_s, loading_percent[:, row], linewidth=1.1, label=branch_names[row], **style(position))
    axes.axhline(100.0, color=LIMIT, linewidth=0.9, label="rating A")
    top = 105.0
    if rating_b_percent is not None:
        of_named = rating_b_percent[list(heaviest.values())]
        lowest = float(of_named.min())
        if lowest > 100.0:
            same = bool(np.all(rating_b_percent == lowest))
            label = "rating B, after an outage" if same else "rating B, lowest of those named"
            axes.axhline(lowest, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
            top = lowest + 12.0  # room for the names of events above it
    axes.set_ylim(0.0, max(top, 1.05 * float(np.nanmax(loading_percent))))
    finish_axes(axes, "loading [% of rating A]", marks=marks)


def plot_reward_terms(
    axes: Axes, time_s: FloatArray, terms: Mapping[str, FloatArray], *, marks: Sequence[Mark] = ()
) -> None:
    """Every term added up since the start of the episode, and their sum, the return so far."""
    total = np.sum([np.cumsum(values) for values in terms.values()], axis=0)
    axes.fill_between(time_s, total, 0.0, color=BAND, linewidth=0, label="return so far")
    for position, (name, values) in enumerate(terms_that_count(terms).items()):
        axes.plot(time_s, np.cumsum(values), linewidth=1.3, label=plain_name(name), **style(position))
    finish_axes(axes, "reward added up [1]", marks=marks)


def terms_that_count(terms: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Terms that took anything away at all; the first where none did."""
    found = {name: values for name, values in terms.items() if np.any(values)}
    return found or dict(list(terms.items())[:1])


def plain_name(name: str) -> str:
    """Name of a reward term in words: reward_frequency -> frequency."""
    return name.removeprefix("reward_").replace("_", " ")


def finish_axes(
    axes: Axes,
    label: str,
    *,
    marks: Sequence[Mark] = (),
    with_legend: bool = True,
    mark_names: bool | None = None,
) -> None:
    """Axis labels with units, marks of events, time in minutes, and the legend above the axes."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    axes.set_ylabel(label)
    axes.grid(color="#d9dde0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.0)
    end_s = axes.get_xlim()[1]
    # Also the axis of an episode of seconds has its numbers; they are round in minutes.
    step_s = next(
        (step for least, step in ((900.0, 300.0), (180.0, 60.0), (60.0, 30.0)) if end_s > least), 6.0
    )
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds / 60.0:g}"))
    for mark in marks:
        axes.axvline(mark.time_s, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        if with_legend if mark_names is None else mark_names:
            axes.annotate(
                mark.label,
                (mark.time_s, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, -3),
                textcoords="offset points",
                fontsize=7.5,
                va="top",
                color=INK,
            )
    if with_legend:
        legend_above(axes)
