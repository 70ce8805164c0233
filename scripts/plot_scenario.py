"""Show what drives the grid: a year of load, wind and sun, the noise inside five minutes, and an episode.

python scripts/plot_scenario.py --out scenario.png
python scripts/plot_scenario.py --scenario n1 --seed 7 --json scenario.json
python scripts/plot_scenario.py --scenario my_evening.toml

Prints a table, writes a picture.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line
from command_line import OptionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from cases.series import Series
    from control.task.closed_loop import ClosedLoop
    from scenario_statistics import LoadFigures, Spectrum

PROGRAM = "plot_scenario.py"
SUFFIXES = (".png", ".svg", ".pdf")
# Noon of 9 April: sun and wind plants are in the middle of their range, so limits do not bend the noise.
SPECTRUM_MINUTE = 99.0 * 1440.0 + 705.0
SEASONS = (("winter", (0, 60)), ("spring", (75, 135)), ("summer", (166, 227)), ("autumn", (258, 319)))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to show and where to write it."""

    scenario: str = "normal"
    """A suite or training distribution by name, or a .toml file of one's own."""
    seed: int = 0
    """Of the episode that is drawn."""
    episodes: int = 100
    """How many episodes the table's averages are taken over."""
    out: Path = Path("scenario.png")
    """Picture to write: .png, .svg or .pdf."""
    json: Path | None = None
    """File for the table's figures."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            raise OptionError(
                f"--out {self.out} ends in {self.out.suffix!r}, expected one of {', '.join(SUFFIXES)}"
            )
        for name, path in (("out", self.out), ("json", self.json)):
            if path is not None and not path.resolve().parent.is_dir():
                raise OptionError(f"--{name} {path}: its directory does not exist")
        if self.seed < 0:
            raise OptionError(f"--seed {self.seed}, expected 0 or more")
        if not 2 <= self.episodes <= 10_000:
            raise OptionError(f"--episodes {self.episodes}, expected 2 to 10000")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=str(__doc__).splitlines()[0], arguments=arguments
    )
    try:
        command_line.require_writable("out", options.out)
        command_line.require_writable("json", options.json)
        show(options)
    except OptionError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped", file=sys.stderr)
        return 130
    return 0


def show(options: Options) -> None:
    """Build the episodes, print the table, draw the picture."""
    # Imported here, so that --help and a wrong option are answered at once.
    import numpy as np

    import scenario_statistics as statistics
    from cases.ieee68 import load_ieee68
    from cases.series import load_series, read_raw_load
    from control.scenario.episode import EpisodeBuilder, ScenarioError, scenario_named
    from control.task.closed_loop import ClosedLoop

    case = load_ieee68()
    try:
        config = scenario_named(options.scenario, case)
        series = load_series()
        loop = ClosedLoop(case, series, config, 1, check=False)
        builder = EpisodeBuilder(case, series, statistics.without_outages(config))
    except ScenarioError as error:
        raise OptionError(str(error)) from error
    raw_mw = read_raw_load()
    clean_mw = series.load_mw.astype(np.float64)
    raw_net_mw = statistics.net_load_mw(raw_mw, series, case)
    clean_net_mw = statistics.net_load_mw(clean_mw, series, case)
    raw = statistics.load_figures(raw_mw, raw_net_mw)
    clean = statistics.load_figures(clean_mw, clean_net_mw)

    episodes = [
        builder.build(np.random.default_rng(seed), statistics.losses_mw) for seed in range(options.episodes)
    ]
    rms_mw = float(np.sqrt(np.mean([np.mean(statistics.imbalance_mw(e) ** 2) for e in episodes])))
    load_mw = float(np.mean([e.p_load_mw.sum(axis=1).mean() for e in episodes]))

    quiet_config = statistics.quiet_config(config, SPECTRUM_MINUTE)
    quiet = EpisodeBuilder(case, series, quiet_config).build(np.random.default_rng(0), statistics.losses_mw)
    noisy = EpisodeBuilder(
        case,
        series,
        replace(config, start_minute=SPECTRUM_MINUTE, outage_rate_per_h=0.0, outages_min=0, events=()),
    )
    spectra = statistics.spectra(case, noisy, quiet, range(options.episodes))
    plant_mw = [
        config.renewable_scale * case.renewable.p_max_mw[np.array(case.renewable.kind) == kind].sum()
        for kind in ("wind", "pv")
    ]
    stated_mw = np.hypot(*(config.forecast.sigma[1:] * np.array(plant_mw)[:, None]))
    found_mw = statistics.forecast_error_mw(
        [noisy.build(np.random.default_rng(seed), statistics.losses_mw) for seed in range(options.episodes)],
        quiet.forecast_renewable_mw,
    )

    print_table(raw, clean, spectra, stated_mw, found_mw)
    print(
        f"\nimbalance  {rms_mw:.0f} MW rms over {len(episodes)} episodes of {config.name} without outages, "
        f"{100.0 * rms_mw / load_mw:.2f} % of {load_mw:.0f} MW mean load"
    )
    if options.json is not None:
        figures: dict[str, Any] = {
            "scenario": config.name,
            "raw": asdict(raw),
            "clean": asdict(clean),
            "noise": {
                s.name: {"found": s.found_sd, "designed": s.designed_sd, "unit": s.unit} for s in spectra
            },
            "forecast_error_mw": {"found": list(map(float, found_mw)), "stated": list(map(float, stated_mw))},
            "imbalance_rms_mw": rms_mw,
            "imbalance_percent_of_load": 100.0 * rms_mw / load_mw,
        }
        command_line.write_json(options.json, figures)
    # As an environment that is reset from this seed plays it: random outages that the grid could not stand drawn again.
    loop.reset(np.array([0]), [np.random.default_rng(options.seed)])
    draw(options.out, series, loop, (raw_net_mw, clean_net_mw), spectra)
    print(f"picture    {options.out}")


def print_table(
    raw: LoadFigures,
    clean: LoadFigures,
    spectra: Sequence[Spectrum],
    stated_mw: npt.NDArray[np.float64],
    found_mw: npt.NDArray[np.float64],
) -> None:
    """Raw beside cleaned series, and the noise as found beside the noise as designed."""
    rows = [
        ("load, lowest", f"{raw.min_mw:.0f}", f"{clean.min_mw:.0f}", "MW"),
        ("load, mean", f"{raw.mean_mw:.0f}", f"{clean.mean_mw:.0f}", "MW"),
        ("load, highest", f"{raw.max_mw:.0f}", f"{clean.max_mw:.0f}", "MW"),
        (
            "load, largest change in 5 min",
            f"{raw.largest_5min_change_percent:.1f}",
            f"{clean.largest_5min_change_percent:.1f}",
            "% of load",
        ),
        (
            "load, changes over 3 % in 5 min",
            f"{raw.changes_over_3_percent}",
            f"{clean.changes_over_3_percent}",
            "a year",
        ),
    ]
    for i, minutes in enumerate((5, 15, 60)):
        rows.append(
            (
                f"net load, change in {minutes} min",
                f"{raw.ramp_rms_mw[i]:.0f}",
                f"{clean.ramp_rms_mw[i]:.0f}",
                "MW rms",
            )
        )
        rows.append(
            (
                "          exceeded 1 in 1000",
                f"{raw.ramp_999_mw[i]:.0f}",
                f"{clean.ramp_999_mw[i]:.0f}",
                "MW",
            )
        )
    print(f"{'a year of RTS-GMLC':34s}{'raw':>9s}{'cleaned':>9s}")
    for name, before, after, unit in rows:
        print(f"{name:34s}{before:>9s}{after:>9s}  {unit}")
    print(f"\n{'standard deviations':34s}{'designed':>9s}{'found':>9s}")
    for s in spectra:
        print(f"{'noise of ' + s.name:34s}{s.designed_sd:9.3f}{s.found_sd:9.3f}  {s.unit}")
    for h, (stated, found) in enumerate(zip(stated_mw, found_mw, strict=True), start=1):
        print(f"{f'wind and sun, {5 * h} min ahead':34s}{stated:9.0f}{found:9.0f}  MW")


def draw(
    path: Path,
    series: Series,
    loop: ClosedLoop,
    net_mw: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    spectra: Sequence[Spectrum],
) -> None:
    """Six panels: load, wind and sun by the hour; ramps; the loop's episode; its imbalance; noise spectra."""
    import numpy as np

    import scenario_statistics as statistics
    from cases.series import NOMINAL_LOAD_MW
    from control.evaluation.picture_style import legend_above, new_figure, save, style

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
    for i, (name, values) in enumerate(zip(("raw", "cleaned"), net_mw, strict=True)):
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
    course = statistics.course(loop)
    axes = panels[1, 0]
    axes.plot(minute, course.demand_mw, label="residual load with losses", **style(0))
    axes.plot(minute, course.schedule_mw, label="schedule of the machines", **style(1))
    mark_events(axes, loop)
    axes.set(xlabel=f"minute of the episode from minute {episode.start_minute:.0f} of the year", ylabel="MW")

    axes = panels[1, 1]
    axes.plot(minute, course.missing_mw, label="imbalance before control", **style(0))
    ahead = episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw
    for i, h in enumerate((0, 2, 4), start=1):
        axes.plot(minute, -ahead[:, h], label=f"forecast {5 * h + 5} min ahead", linewidth=0.8, **style(i))
    axes.axhline(0.0, color="#888888", linewidth=0.6)
    mark_events(axes, loop)
    axes.set(xlabel="minute of the episode", ylabel="missing power [MW]")

    axes = panels[1, 2]
    for i, s in enumerate(spectra):
        color = style(i)["color"]
        axes.loglog(s.frequency_hz, s.found_s, color=color, alpha=0.5, linewidth=1.0, label=s.name)
        axes.loglog(s.frequency_hz, s.designed_s, color=color, linestyle="--", linewidth=1.2)
    if spectra:
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
    from control.evaluation.picture_style import INK
    from control.scenario.suites import event_words

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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
