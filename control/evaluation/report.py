"""The report of a comparison: the table of each suite and four pictures, as Markdown or as one HTML file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cases.arrays import FloatArray
from cases.whole_file import write_text
from control.evaluation.comparison import BIN_MHZ
from control.evaluation.contender import BOUND, KNOWING, Contender
from control.evaluation.suite_runner import Found, Make, play_record
from control.evaluation.suite_seeds import episodes_text
from control.evaluation.suite_table import ABOUT_MOVEMENT, COST_OF_MOVEMENT, rows
from grid_model.picture.style import INK, LIMIT, STYLES, legend_above, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Mapping[str, Any]]
LEFT_OUT = ("random",)  # of pictures in which it would only set the scale
MOST_CURVES = 5  # in one panel
EVENT_SUITE = "n1"
EVENT_FROM_S, EVENT_TO_S = -30.0, 240.0


def look(policy: str, policies: Iterable[str]) -> dict[str, Any]:
    """Colour and pattern of one of these controllers; patterns move on after each round of colours."""
    position, n = list(policies).index(policy), len(STYLES)
    return {"color": STYLES[position % n][0], "linestyle": STYLES[(position + position // n) % n][1]}


def few(table: Mapping[str, Any]) -> tuple[str, ...]:
    """At most five of those in a suite's table, for curves that are to be told apart.

    The best of all that play, of the policies from files, of the other controllers and of the AGCs, and nobody at the
    controls; what is free is filled up in the order of the returns.

    Args:
        table: of one suite, by contender.
    """
    playing = [name for name in table if name != BOUND and name not in LEFT_OUT]
    ranked = sorted(playing, key=lambda name: -table[name]["return_mean"])
    kinds = (
        ranked,
        [name for name in ranked if name.endswith(".pt")],
        [name for name in ranked if not name.endswith(".pt") and name not in KNOWING],
        [name for name in ranked if name.startswith("agc")],
        [name for name in ranked if name == "do_nothing"],
    )
    chosen = list(dict.fromkeys(kind[0] for kind in kinds if kind))
    chosen += [name for name in ranked if name not in chosen][: MOST_CURVES - len(chosen)]
    return tuple(name for name in ranked if name in chosen)


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for the whole picture, outside of all axes; where names are long, closer, then in fewer columns."""
    handles, labels = axes.get_legend_handles_labels()
    for n_column, gap in ((3, 2.0), (3, 0.8), (2, 2.0), (1, 2.0)):
        legend = figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=n_column,
            columnspacing=gap,
            fontsize=8.5,
            frameon=False,
        )
        if n_column == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def draw_distribution(
    path: Path, found: Mapping[str, Mapping[str, FloatArray]], table: Mapping[str, Any], suite: str
) -> None:
    """Share of the time in which |Df| is larger than a value, of a few controllers."""
    figure = new_figure(9.0, 5.2, f"suite {suite}: how long frequency is how far from nominal")
    axes = figure.subplots()
    names = few(table)
    for policy in names:
        count = found[policy]["histogram"].sum(axis=0)
        above = 1.0 - np.concatenate([[0.0], np.cumsum(count)]) / count.sum()
        axes.plot(
            BIN_MHZ[:-1],
            np.maximum(100.0 * above[:-1], 1e-9),
            label=table[policy]["title"],
            **look(policy, names),
        )
    axes.set(
        xscale="symlog", yscale="log", ylim=(1e-3, 100.0), xlim=(0.0, 1000.0),
        xlabel="deviation of the centre of inertia [mHz]", ylabel="time with a larger deviation [%]",
    )  # fmt: skip
    for limit in (36.0, 200.0, 500.0):
        axes.axvline(limit, color=LIMIT, linewidth=0.8)
        axes.text(limit, 100.0, f"{limit:g} mHz", ha="center", va="bottom", fontsize=8.5, color=LIMIT)
    legend_below(figure, axes)
    save(figure, path)


def draw_terms(path: Path, table: Mapping[str, Any], suite: str) -> None:
    """What the return consists of, per controller."""
    order = sorted((p for p in table if p not in LEFT_OUT), key=lambda policy: table[policy]["return_mean"])
    names = {
        "frequency": "frequency", "movement": "movement", "effort": "effort", "violations": "violations",
        "lost": "lost grid",
    }  # fmt: skip
    figure = new_figure(9.0, 0.45 * len(order) + 1.6, f"suite {suite}: cost of an episode by terms")
    axes = figure.subplots()
    left = np.zeros(len(order))
    for i, (name, label) in enumerate(names.items()):
        cost = -np.array([table[policy]["terms"][name] for policy in order])
        if cost.max() > 0.0:
            axes.barh(range(len(order)), cost, left=left, color=STYLES[i][0], label=label, edgecolor="white")
            left += cost
    # Do nothing is so far off that the others would vanish beside it.
    rest = [total for total, policy in zip(left, order, strict=True) if policy != "do_nothing"]
    if rest:
        axes.set_xlim(0.0, 1.2 * max(rest))
    for k, total in enumerate(left):
        beyond = total > axes.get_xlim()[1]
        at = 0.99 * axes.get_xlim()[1] if beyond else total
        axes.text(
            at, k, f" {total:,.0f}", va="center", ha="right" if beyond else "left", fontsize=8.5,
            color="white" if beyond else INK,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [table[policy]["title"] for policy in order])
    axes.set_xlabel("cost of an episode, mean; bars that leave the picture go on")
    legend_above(axes)
    save(figure, path)


def draw_pareto(path: Path, table: Mapping[str, Any], suite: str) -> None:
    """Frequency quality against cost of movement; lower left is better.

    Marks are open, so that neighbours show through each other. Who does nothing is told of in words where its deviation
    would press all others together.
    """
    figure = new_figure(9.0, 6.4, f"suite {suite}: frequency quality against cost of movement")
    axes = figure.subplots()
    marks = "os^Dvp*X<>h"
    shown = {policy: figures for policy, figures in table.items() if policy not in LEFT_OUT}
    idle, beyond = shown.get("do_nothing"), ""
    others = [figures["rms_mhz"] for policy, figures in shown.items() if policy != "do_nothing"]
    if idle is not None and others and idle["rms_mhz"] > 2.0 * max(others):
        del shown["do_nothing"]
        beyond = f"; {idle['title']}: {idle['rms_mhz']:.0f} mHz at no cost, beyond this picture"
    for i, (policy, figures) in enumerate(shown.items()):
        axes.plot(
            figures["cost_mean"], figures["rms_mhz"], marks[i % len(marks)], color=look(policy, table)["color"],
            label=figures["title"], markersize=9, markerfacecolor="none", markeredgewidth=1.6,
        )  # fmt: skip
    xlabel = f"movement and effort, cost of an episode{beyond}"
    axes.set(xlabel=xlabel, ylabel="rms deviation of the buses [mHz]")
    axes.grid(True, which="both", color="#dddddd", linewidth=0.5)
    legend_below(figure, axes)
    save(figure, path)


def event_episode(seeds: Sequence[int], make: Make) -> tuple[int, float, float, str] | None:
    """Seed, time, lost power and name of the largest unit lost in these episodes of n1; None where none is."""
    environment = make(EVENT_SUITE, len(seeds), "default")
    environment.reset(np.array(seeds))
    best: tuple[int, float, float, str] | None = None
    machine, loop = environment.case.machine, environment.loop
    for seed, episode in zip(seeds, loop.episode, strict=True):
        assert episode is not None
        for event in episode.events:
            # Late enough to see what was before, early enough to see what follows.
            if event.kind == "machine_out" and 60.0 < event.time_s < 1500.0:
                at = int(event.time_s // loop.scenario.interval_s)
                lost_mw = float(episode.p_schedule_mw[at, event.index])
                if best is None or lost_mw > best[2]:
                    best = (seed, event.time_s, lost_mw, machine.name[event.index])
    return best


def draw_event(
    path: Path, contenders: Sequence[Contender], table: Mapping[str, Any], seeds: Sequence[int], make: Make
) -> bool:
    """A few controllers in the same loss of a unit: frequency, power by class, state of charge."""
    event = event_episode(seeds, make)
    if event is None:
        return False
    seed, at_s, lost_mw, name = event
    text = f"{name} is lost with {lost_mw:,.0f} MW: suite {EVENT_SUITE}, seed {seed}"
    figure = new_figure(10.0, 11.0, text)
    panels: Sequence[Axes] = figure.subplots(5, 1, sharex=True, height_ratios=(3, 2, 2, 2, 2))
    names = few(table)
    for contender in contenders:
        # The mean of several policies is played by no one of them.
        if contender.name not in names or len(contender.builders) > 1:
            continue
        record = play_record(contender, contender.builders[0], EVENT_SUITE, [seed], make)
        df_hz, n = record["df_hz"][0].ravel(), record.n_intervals
        fine_s = record.interval_s * n / len(df_hz) * np.arange(1, len(df_hz) + 1) - at_s
        coarse_s = record.interval_s * np.arange(1, n + 1) - at_s
        # Only what is seen, so that the axes fit it.
        fine = (fine_s >= EVENT_FROM_S) & (fine_s <= EVENT_TO_S)
        coarse = (coarse_s >= EVENT_FROM_S) & (coarse_s <= EVENT_TO_S)
        drawn = look(contender.name, names)
        f0_hz = 60.0 if record.case is None else record.case.f0_hz
        panels[0].plot(fine_s[fine], f0_hz + df_hz[fine], label=contender.title, linewidth=1.1, **drawn)
        for k in range(3):
            panels[1 + k].plot(coarse_s[coarse], record["output_mw"][0, coarse, k], linewidth=1.1, **drawn)
        panels[4].plot(coarse_s[coarse], 100.0 * record["soc"][0, coarse], linewidth=1.1, **drawn)
    labels = ("frequency [Hz]", "batteries [MW]", "gas plants [MW]", "demand resp. [MW]", "mean charge [%]")
    for axes, label in zip(panels, labels, strict=True):
        axes.set_ylabel(label)
        axes.axvline(0.0, color=LIMIT, linewidth=0.8)
        axes.grid(True, color="#dddddd", linewidth=0.5)
    panels[-1].set(xlabel="time after the loss [s]", xlim=(EVENT_FROM_S, EVENT_TO_S))
    legend_below(figure, panels[0])
    save(figure, path)
    return True


NOTE = (
    "Returns are means over episodes with 95 % bootstrap intervals; IQM is the interquartile mean; differences are "
    "paired by episode. Costs are minus returns: over full information as a ratio of means, over the next better row "
    "as the ratio of a typical episode, the exponential of the mean log ratio of the same episodes, with the number "
    "of episodes that tell the two apart with a power of 80 %. Without events: without the first three intervals "
    "after each, the fall of frequency before anybody's plants have moved. The bound rests on a one-mass model and "
    f"counts no violations. {COST_OF_MOVEMENT[0].upper()}{COST_OF_MOVEMENT[1:]}: {ABOUT_MOVEMENT}."
)
MARKDOWN = """\
# Controllers on the same held-out episodes

{{ note }}

{% for part in parts %}
* [{{ part.title }}](#{{ part.anchor }})
{% endfor %}
* [Pictures](#pictures)

{% for part in parts %}
## {{ part.title }}

| {{ part.head | join(" | ") }} |
|{{ " --- |" * part.head | length }}
{% for row in part.rows %}
| {{ row | join(" | ") }} |
{% endfor %}

{% endfor %}
## Pictures

{% for picture in pictures %}
![{{ picture.name }}]({{ picture.path.name }})
{{ "" if loop.last else "\n" }}
{%- endfor %}
"""
PAGE = """\
<!doctype html><html lang=en><meta charset=utf-8><title>Controllers compared</title>
<style>
body{font-family:sans-serif;color:#222;margin:2em}
table{border-collapse:collapse;font-size:13px}
td,th{border-bottom:1px solid #ddd;padding:4px 8px;text-align:right;white-space:nowrap}
td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}
img{max-width:100%}
</style>
<h1>Controllers on the same held-out episodes</h1>
<p>{{ note }}</p>
{% for part in parts %}
<h2>{{ part.title }}</h2>
<table>
<tr>{% for cell in part.head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in part.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endfor %}
{% for picture in pictures %}
<h2>{{ picture.name }}</h2>
<img alt="{{ picture.name }}" src="data:image/png;base64,{{ picture.base64() }}">
{% endfor %}
</html>
"""


@dataclass(frozen=True)
class Part:
    """The table of one suite."""

    title: str
    head: list[str]
    rows: list[list[str]]

    @property
    def anchor(self) -> str:
        """What a link within a Markdown page calls the title: letters, digits and dashes."""
        return re.sub(r"[^\w -]", "", self.title.lower()).replace(" ", "-")


@dataclass(frozen=True)
class Picture:
    """A picture in a file."""

    name: str
    path: Path

    def base64(self) -> str:
        """The file for a page that holds its pictures itself."""
        return base64.b64encode(self.path.read_bytes()).decode()


def write_report(
    path: Path,
    table: Table,
    found: Found,
    suites: Mapping[str, Sequence[int]],
    contenders: Sequence[Contender],
    make: Make,
) -> None:
    """Tables and pictures; the pictures stand beside a Markdown file and inside an HTML file.

    Args:
        path: .md for Markdown, anything else for HTML.
        table: of `tabulate`.
        found: of `compare`.
        suites: seeds of each suite, {suite: [episode]}.
        contenders: who took part.
        make: builds environments, for the picture of one event.
    """
    import jinja2

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []

    def picture(name: str, what: str) -> Path:
        pictures.append(Picture(name, path.with_name(f"{path.stem}_{what}.png")))
        return pictures[-1].path

    for suite in table:
        stem = Path(suite).stem
        draw_distribution(
            picture(f"{suite}: distribution", f"{stem}_distribution"), found[suite], table[suite], suite
        )
        draw_terms(picture(f"{suite}: terms", f"{stem}_terms"), table[suite], suite)
        draw_pareto(picture(f"{suite}: pareto", f"{stem}_pareto"), table[suite], suite)
    if EVENT_SUITE in suites:
        target = picture("one loss of a unit", "event")
        if not draw_event(target, contenders, table[EVENT_SUITE], suites[EVENT_SUITE], make):
            pictures.pop()
    parts = [
        Part(
            f"Suite {suite}: {episodes_text(suites[suite])}, seeds {suites[suite][0]} to {suites[suite][-1]}",
            *rows(table, suite),
        )
        for suite in table
    ]
    is_markdown = path.suffix == ".md"
    pages = jinja2.Environment(
        autoescape=not is_markdown, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )  # fmt: skip
    text = pages.from_string(MARKDOWN if is_markdown else PAGE).render(
        note=NOTE, parts=parts, pictures=pictures
    )
    write_text(path, text)
    if not is_markdown:
        for drawn in pictures:
            drawn.path.unlink()
