"""Pictures of one episode: frequency, dispatch by class, loadings, reward terms, and all four on one page.

`draw_episode` and `draw_overview_of` take the record of a rollout with `grid_record.Traces`; the others plain arrays
whose first axis is time. Their panels are in `episode_panels.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.evaluation.episode_panels import (
    CLASS_NAMES,
    MOST_CURVES,
    Mark,
    finish_axes,
    plain_name,
    plot_dispatch,
    plot_each,
    plot_frequency,
    plot_loading,
    plot_reward_terms,
    terms_that_count,
)
from control.evaluation.rollout import Record
from grid_model.picture.style import new_figure, save, style


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
        finish_axes(below, "buses against\ntheir mean [mHz]", marks=marks, with_legend=False)
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
            # At most half a row up and down.
            below.plot(time_s, trace / step_mhz - row, linewidth=0.8, **style(row))
        below.set_yticks(
            [-row for row in range(len(present))], [area_names[position] for position in present]
        )
        below.set_ylim(0.4 - len(present), 0.6)
        finish_axes(
            below, f"areas against the mean\n[{step_mhz:g} mHz a row]", marks=marks, with_legend=False
        )
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
        plot_each(axes[1 + position], time_s, p_mw[:, rows_of_kind], [named[k] for k in rows_of_kind])
        finish_axes(axes[1 + position], f"{CLASS_NAMES.get(kind, kind)}\n[MW]", marks=marks, mark_names=False)
    if energy_share is not None:
        batteries = [named[k] for k, its in enumerate(kinds) if its == "bess"]
        plot_each(axes[-1], time_s, 100.0 * energy_share, batteries)
        axes[-1].set_ylim(0.0, 100.0)
        finish_axes(axes[-1], "state of\ncharge [%]", marks=marks, mark_names=False)
    axes[-1].set_xlabel("time in the episode [min]")
    save(figure, path)


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
    for position, (name, values) in enumerate(terms_that_count(terms).items()):
        sums = np.add.reduceat(values, start)
        below.step(
            time_s[start], sums, where="post", linewidth=1.1, label=plain_name(name), **style(position)
        )
    below.set_yscale("symlog", linthresh=1.0)
    below.yaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=1.0))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    finish_axes(below, "reward in a minute [1],\nlog scale beyond ±1", marks=marks, with_legend=False)
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


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is not smaller."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-6)))
    return float(next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value))
