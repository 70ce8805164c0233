"""What drives the grid as a picture: the year of load, wind and sun, the noise laid over it, and one episode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cases.series import NOMINAL_LOAD_MW, Series
from control.evaluation import scenario_statistics as statistics
from control.scenario.suites import event_words
from control.task.closed_loop import ClosedLoop
from grid_model.picture.style import INK, legend_above, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEASONS = (("winter", (0, 60)), ("spring", (75, 135)), ("summer", (166, 227)), ("autumn", (258, 319)))


def draw(
    path: Path,
    series: Series,
    loop: ClosedLoop,
    found: statistics.ScenarioFigures,
) -> None:
    """Six panels: load, wind and sun by the hour; ramps; the loop's episode; its imbalance; noise spectra."""
    case, episode = loop.case, loop.episode[0]
    assert episode is not None
    figure = new_figure(15.0, 8.5, f"What drives the grid: scenario {loop.scenario.name}")
    panels = figure.subplots(2, 3)
    hour = np.arange(statistics.SAMPLES_PER_DAY) / 12.0

    level = statistics.by_day(series.load_mw.sum(axis=1, dtype=np.float64) / NOMINAL_LOAD_MW)
    axes = panels[0, 0]
    axes.fill_between(hour, level.min(axis=0), level.max(axis=0), color="#dddddd", label="whole year")
    for i, (name, (first, last)) in enumerate(SEASONS):
        axes.plot(hour, level[first:last].mean(axis=0), label=name, **style(i))
    axes.set(xlabel="hour of the day", ylabel="load over nominal load", xlim=(0, 24), xticks=range(0, 25, 6))

    axes = panels[0, 1]
    kind = np.array(case.renewable.kind)
    plants = series.renewable_pu[:, series.columns(case.renewable.series)]
    for i, name in enumerate(("wind", "pv")):
        capacity = case.renewable.p_max_mw[kind == name]
        share = statistics.by_day(plants[:, kind == name].astype(np.float64) @ capacity / capacity.sum())
        line = style(i)
        axes.plot(hour, share.mean(axis=0), label=f"{name}, mean", **line)
        low, high = np.quantile(share, (0.1, 0.9), axis=0)
        axes.fill_between(hour, low, high, color=line["color"], alpha=0.15, label="8 days of 10")
    axes.set(xlabel="hour of the day", ylabel="output over capacity", xlim=(0, 24), xticks=range(0, 25, 6))

    axes = panels[0, 2]
    for i, (name, values) in enumerate(
        zip(("raw", "cleaned"), (found.raw_net_mw, found.clean_net_mw), strict=True)
    ):
        for j, minutes in enumerate((5, 60)):
            step = minutes // 5
            ramp = np.sort(np.abs(values[step:] - values[:-step]))
            exceeded = 1.0 - np.arange(len(ramp)) / len(ramp)
            line = style(i)
            axes.plot(
                ramp, exceeded, color=line["color"], linestyle=("-", "--")[j], label=f"{name}, {minutes} min"
            )
    axes.set(
        xlabel="change of load less wind and sun [MW]", ylabel="share of changes that exceed it", yscale="log"
    )
    axes.set_xlim(left=0.0)

    minute = loop.scenario.interval_s / 60.0 * np.arange(loop.scenario.n_intervals + 1)
    uncontrolled = statistics.uncontrolled_episode(loop)
    axes = panels[1, 0]
    axes.plot(minute, uncontrolled.demand_mw, label="residual load with losses", **style(0))
    axes.plot(minute, uncontrolled.schedule_mw, label="schedule of the machines", **style(1))
    mark_events(axes, loop)
    axes.set(xlabel=f"minute of the episode from minute {episode.start_minute:.0f} of the year", ylabel="MW")

    axes = panels[1, 1]
    axes.plot(minute, uncontrolled.missing_mw, label="imbalance before control", **style(0))
    ahead = episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw
    for i, h in enumerate((0, 2, 4), start=1):
        axes.plot(minute, -ahead[:, h], label=f"forecast {5 * h + 5} min ahead", linewidth=0.8, **style(i))
    axes.axhline(0.0, color="#888888", linewidth=0.6)
    mark_events(axes, loop)
    axes.set(xlabel="minute of the episode", ylabel="missing power [MW]")

    axes = panels[1, 2]
    for i, s in enumerate(found.spectra):
        color = style(i)["color"]
        axes.loglog(s.frequency_hz, s.found_s, color=color, alpha=0.5, linewidth=1.0, label=s.name)
        axes.loglog(s.frequency_hz, s.designed_s, color=color, linestyle="--", linewidth=1.2)
    if found.spectra:
        axes.plot([], [], color="#444444", linestyle="--", label="as designed")
    else:
        axes.text(0.5, 0.5, "no noise", transform=axes.transAxes, ha="center", va="center")
    axes.set(xlabel="frequency [Hz]", ylabel="noise spectrum per unit variance [s]")
    for axes in panels.flat:
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            legend_above(axes)
    save(figure, path)


def mark_events(axes: Axes, loop: ClosedLoop) -> None:
    """A vertical line with a few words at every event of the loop's episode; time in minutes."""
    episode = loop.episode[0]
    assert episode is not None
    events = [event for event in episode.events if event.time_s <= loop.scenario.duration_s]
    if events:
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.25 * (top - bottom))  # room for the words above the lines
    for event in events:
        minute = event.time_s / 60.0
        axes.axvline(minute, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            event_words(event, loop.case),
            (minute, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-1, -3),
            textcoords="offset points",
            fontsize=7,
            rotation=90,
            ha="right",
            va="top",
            color=INK,
        )
