"""Pictures of one episode: frequency, dispatch by class, loadings, reward terms, and all four on one page.

`draw_episode` and `draw_overview_of` take the record of a rollout with `grid_record.Traces`; the others plain arrays
whose first axis is time. Classes and terms differ by line pattern as well as by
colour, units stand on every axis, and legends stand above the axes, never on the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.evaluation.rollout import Record
from grid_model.picture.style import INK, LIMIT, STYLES, legend_above, new_figure, save, style

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


def draw_episode(directory: Path, record: Record, case: Case, title: str) -> tuple[str, ...]:
    """Five pictures of a record's first episode in a directory; returns their names.

    Frequency, dispatch, loading and reward over time, and the grid at the largest deviation of any bus.
    """
    from matplotlib.figure import Figure

    from grid_model.picture.network_picture import NETWORK_FIGSIZE, draw_network
    from grid_model.picture.network_symbols import frequency_scale

    n = int(record.n_played[0])
    time_s, marks = record.time_s(), [Mark(at_s, words) for at_s, words in record.happened()]
    df_hz, loading_percent = record["bus_df_hz"][0, :n], record["loading_percent"][0, :n]
    branch_on, machine_on = record["branch_on"][0, :n].astype(bool), record["machine_on"][0, :n].astype(bool)
    draw_frequency(
        directory / "frequency.png",
        time_s,
        df_hz,
        area=case.bus.area,
        area_names=case.area_names,
        f0_hz=case.f0_hz,
        marks=marks,
        title=title,
    )
    draw_dispatch(
        directory / "dispatch.png",
        time_s,
        record["resource_mw"][0, :n],
        case.resource.kind,
        names=case.resource.name,
        energy_share=record["energy_share"][0, :n],
        marks=marks,
        title=title,
    )
    draw_loading(
        directory / "loading.png",
        time_s,
        loading_percent,
        case.branch.name,
        rating_b_percent=100.0 * case.branch.rate_b_mva / case.branch.rate_a_mva,
        marks=marks,
        title=title,
    )
    draw_reward_terms(directory / "reward.png", time_s, terms_of_reward(record), marks=marks, title=title)
    worst = int(np.abs(df_hz).max(axis=1).argmax())
    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(
        case,
        figure,
        buses=frequency_scale(df_hz[worst]),
        loading_percent=loading_percent[worst],
        loading_label="loading of the circuit [% of rating A]",
        branch_in_service=branch_on[worst],
        machine_in_service=machine_on[worst],
        title=f"{title}: {time_s[worst]:.0f} s, the largest deviation",
    )
    save(figure, directory / "network.png", dpi=120)
    return tuple(f"{name}.png" for name in ("frequency", "dispatch", "loading", "reward", "network"))


def draw_overview_of(path: Path, record: Record, case: Case, title: str) -> None:
    """A record's first episode on one page."""
    n = int(record.n_played[0])
    draw_overview(
        path,
        record.time_s(),
        df_hz=record["bus_df_hz"][0, :n],
        p_mw=record["resource_mw"][0, :n],
        kinds=case.resource.kind,
        loading_percent=record["loading_percent"][0, :n],
        branch_names=case.branch.name,
        rating_b_percent=100.0 * case.branch.rate_b_mva / case.branch.rate_a_mva,
        terms=terms_of_reward(record),
        f0_hz=case.f0_hz,
        marks=[Mark(at_s, words) for at_s, words in record.happened()],
        title=title,
    )


def terms_of_reward(record: Record) -> dict[str, FloatArray]:
    """Terms of the reward of a record's first episode by their plain names, each [t]."""
    n = int(record.n_played[0])
    return {
        name.removeprefix("reward_"): values[0, :n]
        for name, values in record.terms.items()
        if name.startswith("reward_")
    }


def draw_frequency(
    path: Path,
    time_s: FloatArray,
    df_hz: FloatArray,
    *,
    area: IntArray | None = None,
    area_names: Sequence[str] = (),
    f0_hz: float = 60.0,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> None:
    """Frequency of the grid with the band that all buses fill, and each area against the mean.

    Args:
        path: picture to write.
        time_s: time in the episode [s], [t].
        df_hz: deviation of every bus [Hz], [t, bus].
        area: area of each bus, [bus]; without it the second panel shows the band of all buses.
        area_names: names of the areas.
        f0_hz: nominal frequency [Hz].
        marks: events to mark.
        title: one line above.
    """
    figure = new_figure(9.0, 6.0, title)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    plot_frequency(above, time_s, df_hz, f0_hz=f0_hz, marks=marks)
    apart_mhz = 1e3 * (df_hz - df_hz.mean(axis=1, keepdims=True))
    if area is None:
        below.fill_between(time_s, apart_mhz.min(axis=1), apart_mhz.max(axis=1), color="#b9cfe0", linewidth=0)
        _finish(below, "buses against\ntheir mean [mHz]", marks=marks, with_legend=False)
    else:
        present = [position for position in range(len(area_names)) if (area == position).any()]
        traces = [apart_mhz[:, area == position].mean(axis=1) for position in present]
        if len(present) > MOST_CURVES:  # those that move most against the others
            chosen = sorted(
                np.argsort([-float(np.abs(trace).max()) for trace in traces])[:MOST_CURVES].tolist()
            )
            present, traces = [present[k] for k in chosen], [traces[k] for k in chosen]
        step_mhz = _nice(2.0 * max(float(np.abs(trace).max()) for trace in traces))
        for row, trace in enumerate(traces):
            below.plot(time_s, trace / step_mhz - row, linewidth=0.8, **style(row))
        below.set_yticks(
            [-row for row in range(len(present))], [area_names[position] for position in present]
        )
        below.set_ylim(0.7 - len(present), 0.7)
        _finish(below, f"areas against the mean\n[{step_mhz:g} mHz a row]", marks=marks, with_legend=False)
    below.set_xlabel("time in the episode [min]")
    save(figure, path)


def draw_dispatch(
    path: Path,
    time_s: FloatArray,
    p_mw: FloatArray,
    kinds: Sequence[str],
    *,
    names: Sequence[str] = (),
    energy_share: FloatArray | None = None,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> None:
    """Output of the controllable plants: totals by class, then the plants of each class, those that move most by name.

    Args:
        path: picture to write.
        time_s: time in the episode [s], [t].
        p_mw: output around schedule, positive into the grid [MW], [t, resource].
        kinds: class of each resource, [resource].
        names: of the resources, [resource]; without them they are counted.
        energy_share: state of charge of the batteries, 0 to 1, [t, battery].
        marks: events to mark.
        title: one line above.
    """
    present = list(dict.fromkeys(kinds))
    rows = 1 + len(present) + (energy_share is not None)
    figure = new_figure(9.0, 2.2 + 1.75 * (rows - 1), title)
    all_axes = figure.subplots(rows, 1, sharex=True, height_ratios=[1.5] + [1.0] * (rows - 1), squeeze=False)
    axes = list(all_axes[:, 0])
    plot_dispatch(axes[0], time_s, p_mw, kinds, marks=marks)
    named = list(names) or [f"plant {k}" for k in range(1, len(kinds) + 1)]
    for position, kind in enumerate(present):
        rows_of_kind = [k for k, its in enumerate(kinds) if its == kind]
        _plot_each(axes[1 + position], time_s, p_mw[:, rows_of_kind], [named[k] for k in rows_of_kind])
        _finish(axes[1 + position], f"{CLASS_NAMES.get(kind, kind)}\n[MW]", marks=marks, mark_names=False)
    if energy_share is not None:
        batteries = [named[k] for k, its in enumerate(kinds) if its == "bess"]
        _plot_each(axes[-1], time_s, 100.0 * energy_share, batteries)
        axes[-1].set_ylim(0.0, 100.0)
        _finish(axes[-1], "state of\ncharge [%]", marks=marks, mark_names=False)
    axes[-1].set_xlabel("time in the episode [min]")
    save(figure, path)


def _plot_each(axes: Axes, time_s: FloatArray, values: FloatArray, names: Sequence[str]) -> None:
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


def draw_loading(
    path: Path,
    time_s: FloatArray,
    loading_percent: FloatArray,
    branch_names: Sequence[str],
    *,
    rating_b_percent: FloatArray | None = None,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> None:
    """Loading of the circuits that came nearest to their rating, and how the others are spread.

    Args:
        path: picture to write.
        time_s: time in the episode [s], [t].
        loading_percent: percent of rating A throughout, [t, branch].
        branch_names: [branch].
        rating_b_percent: rating B, which holds after an outage, in percent of rating A, [branch].
        marks: events to mark.
        title: one line above.
    """
    figure = new_figure(9.0, 4.6, title)
    axes = figure.subplots()
    plot_loading(axes, time_s, loading_percent, branch_names, rating_b_percent=rating_b_percent, marks=marks)
    axes.set_xlabel("time in the episode [min]")
    save(figure, path)


def draw_reward_terms(
    path: Path,
    time_s: FloatArray,
    terms: Mapping[str, FloatArray],
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> None:
    """What each reward term took away: added up since the start, and minute by minute.

    Args:
        path: picture to write.
        time_s: time in the episode [s], [t].
        terms: each term of the reward as logged, none positive, [t].
        marks: events to mark.
        title: one line above.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter, SymmetricalLogLocator

    figure = new_figure(9.0, 6.0, title)
    above, below = figure.subplots(2, 1, sharex=True)
    plot_reward_terms(above, time_s, terms, marks=marks)
    # Sums of whole minutes: single intervals jitter too much for lines to be told apart.
    interval_s = float(time_s[1] - time_s[0]) if len(time_s) > 1 else 60.0
    minute = (time_s - time_s[0] + 0.5 * interval_s) // 60.0
    start = np.flatnonzero(np.diff(minute, prepend=-1.0))
    for position, (name, values) in enumerate(_that_count(terms).items()):
        sums = np.add.reduceat(values, start)
        below.step(time_s[start], sums, where="post", linewidth=1.1, label=_plain(name), **style(position))
    below.set_yscale("symlog", linthresh=1.0)
    below.yaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=1.0))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    _finish(below, "reward in a minute [1],\nlog scale beyond ±1", marks=marks, with_legend=False)
    below.set_xlabel("time in the episode [min]")
    save(figure, path)


def draw_overview(
    path: Path,
    time_s: FloatArray,
    *,
    df_hz: FloatArray,
    p_mw: FloatArray,
    kinds: Sequence[str],
    loading_percent: FloatArray,
    branch_names: Sequence[str],
    rating_b_percent: FloatArray | None = None,
    terms: Mapping[str, FloatArray],
    f0_hz: float = 60.0,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> None:
    """The four pictures of an episode on one page; arguments as above."""
    figure = new_figure(13.0, 7.6, title)
    axes = figure.subplots(2, 2, sharex=True)
    plot_frequency(axes[0, 0], time_s, df_hz, f0_hz=f0_hz, marks=marks)
    plot_dispatch(axes[0, 1], time_s, p_mw, kinds, marks=marks)
    plot_loading(
        axes[1, 0], time_s, loading_percent, branch_names, rating_b_percent=rating_b_percent, marks=marks
    )
    plot_reward_terms(axes[1, 1], time_s, terms, marks=marks)
    for panel in axes[1]:
        panel.set_xlabel("time in the episode [min]")
    save(figure, path)


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
    _finish(axes, "frequency [Hz]", marks=marks)


def plot_dispatch(
    axes: Axes, time_s: FloatArray, p_mw: FloatArray, kinds: Sequence[str], *, marks: Sequence[Mark] = ()
) -> None:
    """Total output of each class around its schedule."""
    for position, kind in enumerate(dict.fromkeys(kinds)):
        chosen = np.array([k == kind for k in kinds])
        name = f"{CLASS_NAMES.get(kind, kind)} ({int(chosen.sum())})"
        axes.plot(time_s, p_mw[:, chosen].sum(axis=1), linewidth=1.4, label=name, **style(position))
    axes.axhline(0.0, color=INK, linewidth=0.6)
    _finish(axes, "total into the grid,\naround schedule [MW]", marks=marks)


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
    _finish(axes, "loading [% of rating A]", marks=marks)


def plot_reward_terms(
    axes: Axes, time_s: FloatArray, terms: Mapping[str, FloatArray], *, marks: Sequence[Mark] = ()
) -> None:
    """Every term added up since the start of the episode, and their sum, the return so far."""
    total = np.sum([np.cumsum(values) for values in terms.values()], axis=0)
    axes.fill_between(time_s, total, 0.0, color=BAND, linewidth=0, label="return so far")
    for position, (name, values) in enumerate(_that_count(terms).items()):
        axes.plot(time_s, np.cumsum(values), linewidth=1.3, label=_plain(name), **style(position))
    _finish(axes, "reward added up [1]", marks=marks)


def _that_count(terms: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Terms that took anything away at all; the first where none did."""
    found = {name: values for name, values in terms.items() if np.any(values)}
    return found or dict(list(terms.items())[:1])


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is not smaller."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-6)))
    return float(next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value))


def _plain(name: str) -> str:
    """Name of a reward term in words: reward_frequency -> frequency."""
    return name.removeprefix("reward_").replace("_", " ")


def _finish(
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
    axes.xaxis.set_major_locator(MultipleLocator(300.0 if end_s > 900.0 else 60.0))
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
