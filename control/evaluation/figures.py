"""Figures of results/*.json as tables in Markdown, and the blocks of a document that they fill.

A block stands between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->` and holds what the renderer of that
name makes of results/NAME.json, so that no number in the document is typed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
BEGIN, END = "<!-- figures:begin {} -->", "<!-- figures:end {} -->"
FOUND = re.compile(
    r"<!-- figures:begin (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- figures:end (?P=name) -->", re.DOTALL
)


class FiguresError(ValueError):
    """The document and the results do not fit together; the message says where."""


@dataclass(frozen=True)
class Block:
    """How one block comes about."""

    command: str  # writes the result
    render: Callable[[Result], list[str]]  # result -> lines of Markdown


def filled(text: str, results: Path, blocks: Mapping[str, Block]) -> str:
    """The text with every block made anew from its result.

    Args:
        text: with blocks between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->`.
        results: directory with a file NAME.json for each.
        blocks: command and renderer of each block, by name.

    Raises:
        FiguresError: a block is unknown or never ends, or its result is not what its command writes.
    """
    for marker in ("begin", "end"):
        names = re.findall(rf"<!-- figures:{marker} ([\w-]+) -->", text)
        for name in names:
            if name not in blocks:
                raise FiguresError(f"block {name!r} is unknown, expected one of {', '.join(blocks)}")
    complete = {match["name"] for match in FOUND.finditer(text)}
    opened = set(re.findall(r"<!-- figures:begin ([\w-]+) -->", text))
    if opened != complete:
        raise FiguresError(f"block {min(opened - complete)!r} begins and never ends")

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        lines = contents(blocks[name], results / f"{name}.json")
        return "\n".join([BEGIN.format(name), *lines, "", f"`{blocks[name].command}`", END.format(name)])

    return FOUND.sub(block, text)


def contents(block: Block, path: Path) -> list[str]:
    """Lines of one block.

    Raises:
        FiguresError: the file is no JSON, or lacks a figure that the block shows.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ["Not measured yet:"]
    except json.JSONDecodeError as error:
        raise FiguresError(f"{path.name}, line {error.lineno}: {error.msg}, expected JSON") from error
    try:
        return block.render(result)
    except (KeyError, TypeError) as error:
        raise FiguresError(f"{path.name}: {error} is missing; write it anew by: {block.command}") from error


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose first column is text and whose others are figures."""
    return [
        "| " + " | ".join(head) + " |",
        "| --- |" + " ---: |" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def power_flow(result: Result) -> list[str]:
    """Both variants of the case side by side, and the distance from the published solution."""
    variants = [name for name in ("tr18", "rogers") if name in result]

    def row(what: str, text: Callable[[Result], str]) -> list[str]:
        return [what, *(text(result[name]) for name in variants)]

    def published(key: str) -> Callable[[Result], str]:
        return lambda figures: f"{figures[key]:.2e}" if key in figures else "not published"

    return table(
        ["power flow", *variants],
        [
            row("farthest from the published voltages [pu]", published("max_dv_pu")),
            row("farthest from the published angles [degree]", published("max_dva_degree")),
            row("largest distance from pandapower [pu]", lambda f: f"{f['engine_max_dv_pu']:.1e}"),
            row("largest distance from lightsim2grid [pu]", lambda f: f"{f['lightsim2grid_max_dv_pu']:.1e}"),
            row("load [MW]", lambda f: f"{f['total_load_mw']:,.1f}"),
            row("losses [MW]", lambda f: f"{f['losses_mw']:,.1f}"),
            row("slack machine [MW]", lambda f: f"{f['slack_p_mw']:,.1f}"),
            row("lowest voltage [pu]", lambda f: f"{f['vm_min_pu']:.4f} at bus {f['vm_min_bus']}"),
            row("highest voltage [pu]", lambda f: f"{f['vm_max_pu']:.4f} at bus {f['vm_max_bus']}"),
        ],
    )


def security(result: Result) -> list[str]:
    """N-1 of the published state: how many outages come to what, and the ones that are not secure."""
    words = {
        "secure": "every limit kept",
        "violated": "a rating (B) or a voltage band broken",
        "islanded_secure": "buses cut off, the rest keeps every limit",
        "islanded_violated": "buses cut off, the rest breaks a limit",
        "islanded_diverged": "buses cut off, the rest has no AC solution",
        "diverged": "no AC solution, confirmed by pandapower",
    }
    by_outcome: dict[str, list[Result]] = {outcome: [] for outcome in words}
    for outage in result["outages"]:
        by_outcome[outage["outcome"]].append(outage)
    rows = []
    for outcome, text in words.items():
        outages = by_outcome[outcome]
        shown = "" if outcome == "secure" else ", ".join(_lost(outage) for outage in outages)
        rows.append([f"{outcome.replace('_', ', ')}: {text}", str(len(outages)), shown])
    lines = table(["what an outage comes to", "outages", "elements (MW of generation / load cut off)"], rows)
    if result["moved_by_reactive_limits"] is None:
        return lines
    moved = [
        [
            one["element"],
            *(f"{one[side]['outcome'].replace('_', ', ')}, {_lowest(one[side])}" for side in SIDES),
        ]
        for one in result["moved_by_reactive_limits"]
    ]
    held = f"Reactive limits hold: {result['reactive_limits']}. What they move:"
    return [*lines, "", held, "", *table(["outage", "without limits", "within them"], moved)]


SIDES = ("without_limits", "with_limits")


def _lost(outage: Result) -> str:
    """Name of an outage, with what is cut off."""
    if not outage["islanded_buses"]:
        return str(outage["element"])
    return (
        f"{outage['element']} ({outage['islanded_generation_mw']:,.0f} / {outage['islanded_load_mw']:,.0f})"
    )


def _lowest(fate: Result) -> str:
    return "no voltages" if fate["vm_min_pu"] is None else f"lowest voltage {fate['vm_min_pu']:.4f} pu"


def feasibility(result: Result) -> list[str]:
    """Doing nothing, random agents and the plan of perfect information, suite by suite."""
    names = {"do_nothing": "do nothing", "random": "random agents", "plan": "perfect information"}
    rows = []
    for suite, figures in result.items():
        for key, name in names.items():
            one = figures[key]
            is_plan = key == "plan"
            rows.append(
                [
                    f"{suite}: {name}",
                    f"{one['return_mean']:,.0f}",
                    f"{one['rms_mhz']:.1f}",
                    f"{1e3 * one['worst_df_hz']:.0f}",
                    *(f"{100.0 * one[f'share_within_{mhz}mhz']:.2f} %" for mhz in (36, 200, 500)),
                    str(figures["unavoidable_violations"]) if is_plan else "",
                ]
            )
    return table(
        [
            "suite",
            "return",
            "rms [mHz]",
            "worst [mHz]",
            "within 36 mHz",
            "200 mHz",
            "500 mHz",
            "unavoidable violations",
        ],
        rows,
    )


def frequency(result: Result) -> list[str]:
    """How far the frequency model is from its references, the worst event of each; and the modes."""
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for event in result["events"]:
        if event["max_deviation_hz"] is not None:
            key = (event["reference"], event["level"])
            deviation, count = worst.get(key, (0.0, 0))
            worst[key] = (max(deviation, event["max_deviation_hz"]), count + 1)
    rows = [
        [f"level {level} against {reference}", str(count), f"{1e3 * deviation:.3g}"]
        for (reference, level), (deviation, count) in worst.items()
    ]
    lines = table(["centre of inertia", "events", "largest deviation [mHz]"], rows)
    modes = {name: ", ".join(f"{f:.3f}" for f in values[:4]) for name, values in result["modes_hz"].items()}
    held = sum(bool(check["holds"]) for check in result["checks"])
    return [
        *lines,
        "",
        f"{held} of {len(result['checks'])} checks hold. Lowest undamped modes [Hz]: "
        + "; ".join(f"{name} {text}" for name, text in modes.items())
        + f". Stored energy {result['inertia_mws']:,.0f} MW s.",
    ]


def comparison(result: Result) -> list[str]:
    """The trained policy beside random agents and agents that do nothing, on the same episodes."""
    names = {"trained": "trained policy", "do_nothing": "do nothing", "random": "random agents"}
    rows = []
    for key, name in names.items():
        figures = result[key]
        low, high = figures["return_ci95"]
        rows.append(
            [
                name,
                f"{figures['return_mean']:,.0f}",
                f"{low:,.0f} to {high:,.0f}",
                f"{figures['rms_mhz']:.1f}",
                f"{100.0 * figures['share_within_200mhz']:.2f} %",
                f"{figures['violations_per_episode']:.2f}",
            ]
        )
    return table(
        [
            "agents",
            "return",
            "95 % interval",
            "rms deviation [mHz]",
            "time within 200 mHz",
            "violations an episode",
        ],
        rows,
    )


def training(result: Result) -> list[str]:
    """How long the default training took and where it ended."""
    return table(
        ["training", ""],
        [
            ["episodes", f"{result['episodes']:,.0f}"],
            ["environment steps", f"{result['steps']:,}"],
            ["duration [min]", f"{result['elapsed_s'] / 60.0:.1f}"],
            ["steps a second, everything included", f"{result['steps_per_s']['overall']:,.0f}"],
            ["best held-out return", f"{result['best_return']:,.0f}"],
            ["last held-out return", f"{result['last_return']:,.0f}"],
        ],
    )


def recipes(result: Any) -> list[str]:
    """Recipes of training on the same validation episodes; one row each, best first."""
    elsewhere = list(result[0]["elsewhere"])
    # One episode of forty can hold half of a mean.
    typical = [key for key in ("cost_median", "cost_geometric_mean") if key in result[0]]
    rows = [
        [
            f"{row['variant'].replace('_', ' ')} ({row['source']})",
            str(row["seeds"]),
            f"{row['return_final']:,.0f}",
            f"{row['return_final_low']:,.0f} to {row['return_final_high']:,.0f}",
            f"{row['return_best']:,.0f}",
            *(f"{row[key]:,.0f}" if row.get(key) else "-" for key in typical),
            *(f"{row['elsewhere'][scenario]:,.0f}" for scenario in elsewhere),
            f"{row['last_behind_best_percent_max']:.1f} %",
        ]
        for row in sorted(result, key=lambda row: -row["return_final"])
    ]
    spread = "95 % interval" if min(row["seeds"] for row in result) > 2 else "worst to best seed"
    head = [
        f"recipe, {result[0]['episodes']:,} episodes",
        "seeds",
        f"`{result[0]['scenario']}`",
        spread,
        "best model",
        *(key.replace("_", " ") for key in typical),
        *(f"`{scenario}`" for scenario in elsewhere),
        "last behind best, worst",
    ]
    return table(head, rows)


def family(result: Any) -> list[str]:
    """Learners beside each other and beside controllers that learn nothing: a table a suite, best first, and costs."""
    learners = [row for row in result if row["seeds"]]
    plain = learners[0]["variant"]
    # The first yardstick is the unit of costs, distances are from all others; from it too where it is alone.
    others = [key for key in result[0] if key.startswith("ahead_of_")]
    unit, others = others[0].removeprefix("ahead_of_"), others[1:] or others

    def name(row: Result) -> str:
        if not row["seeds"]:
            return f"{row['title']} ({row['information']})"
        return f"{row['variant'].replace('_', ' ')} ({row['source']})"

    def apart(interval: Result | None) -> str:
        if interval is None:
            return "-"
        return f"{interval['mean']:+,.0f} ({interval['low']:+,.0f} to {interval['high']:+,.0f})"

    def ratio(interval: Result | None) -> str:
        if interval is None:
            return "-"
        return f"{interval['mean']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"

    lines: list[str] = []
    for suite in result[0]["returns"]:
        head = [f"`{suite}`", "seeds", "return", f"cost / {unit.replace('_', ' ')}"]
        head += [f"ahead of {other.removeprefix('ahead_of_').replace('_', ' ')}" for other in others]
        rows = [
            [
                name(row),
                str(row["seeds"] or "-"),
                f"{row['returns'][suite]:,.0f}",
                ratio(row[f"cost_ratio_to_{unit}"][suite]),
                *(apart(row[other][suite]) for other in others),
                apart(row["ahead"][suite]) if row["seeds"] and row["variant"] != plain else "-",
            ]
            for row in sorted(result, key=lambda row: -row["returns"][suite])
        ]
        lines += [*table([*head, f"ahead of {plain}, by seed"], rows), ""]
    costs = [
        [
            name(row),
            f"{row['parameters']:,.0f}",
            f"{row['elapsed_s'] / 60.0:.1f}",
            f"{row['steps_per_s']:,.0f}",
            f"{row['update_ms']:,.0f}",
        ]
        for row in learners
    ]
    head = [
        f"learner, {learners[0]['episodes']:,} episodes",
        "parameters of its policies",
        "training [min]",
        "steps a second",
        "an update [ms]",
    ]
    return [*lines, *table(head, costs)]


def verify_learner(result: Result) -> list[str]:
    """Learners on another task, beside a known implementation where there is one."""

    def row(learner: str, one: Result) -> list[str]:
        low, high = one["iqm_ci95"]
        return [learner, str(len(one["returns"])), f"{one['iqm']:.3f}", f"{low:.3f} to {high:.3f}"]

    rows = [row(learner, one) for learner, one in result["learners"].items()]
    if "benchmarl" in result:
        rows.append(["BenchMARL's MAPPO", "-", f"{result['benchmarl']:.2f}", "-"])
    head = [
        f"{result['task']}, {result['frames']:,} frames",
        "seeds",
        "evaluation return, interquartile mean",
        "95 % interval",
    ]
    return table(head, rows)


SUITES: Mapping[str, str] = {
    "normal": "`normal`: real days",
    "n1": "`n1`: an outage in every episode",
    "renewable_ramp": "`renewable_ramp`: the steepest ramps of wind and sun",
    "shift": "`shift`: less inertia, longer delay, twice the renewables",
}


def controllers(result: Result) -> list[str]:
    """Every controller on the same held-out episodes, suite by suite, best first."""
    lines: list[str] = []
    for suite, words in SUITES.items():
        if suite not in result:
            continue
        by_policy = result[suite]
        rows = []
        # Beside full information and the next better row, where the result tells of them.
        compared = any(figures.get("cost_ratio_ci95") for figures in by_policy.values())
        for policy in sorted(by_policy, key=lambda name: -by_policy[name]["return_mean"]):
            figures = by_policy[policy]
            low, high = figures["return_ci95"]
            rows.append(
                [
                    f"{figures['title']} ({figures['information']})",
                    f"{figures['return_mean']:,.0f}",
                    f"{low:,.0f} to {high:,.0f}",
                    f"{figures['rms_mhz']:.1f}",
                    f"{100.0 * figures['share_within_36mhz']:.2f} %",
                    f"{100.0 * figures['share_within_200mhz']:.2f} %",
                    f"{figures['violations_per_episode']:.2f}",
                    f"{figures['cost_mean']:,.0f}",
                    *(_ratios(figures) if compared else ()),
                ]
            )
        episodes = max(figures["episodes"] for figures in by_policy.values())
        head = [
            f"{words}, {episodes} episodes",
            "return",
            "95 % interval",
            "rms [mHz]",
            "in 36 mHz",
            "in 200 mHz",
        ]
        head += ["violations", "cost of movement"]
        if compared:
            head += ["cost / full information", "cost / next better, paired", "episodes to tell"]
        lines += [*table(head, rows), ""]
    return lines[:-1]


def _ratios(figures: Result) -> list[str]:
    """Cost over full information and over the next better row, and how many episodes tell the latter."""

    def text(value: float, interval: Sequence[float]) -> str:
        return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"

    ratio, log = figures["cost_ratio_to_full_information"], figures["paired_log_ratio_to_previous"]
    first = "-" if ratio is None else text(ratio, figures["cost_ratio_ci95"])
    if log is None:
        return [first, "-", "-"]
    needed = log["episodes_needed"]
    return [
        first,
        text(math.exp(log["mean"]), [math.exp(x) for x in log["ci95"]]),
        "-" if needed is None else f"{needed:,d}",
    ]


def kills(result: Result) -> list[str]:
    """What was killed how often, by kind of work."""
    return table(
        ["work", "kills", "of these of new processes", "runs that came to their end", "whole run [CPU s]"],
        [
            [
                kind.replace("_", " "),
                f"{found['kills']:,}",
                f"{found['kills_of_new_processes']:,}",
                f"{found['runs']:,}",
                f"{found['whole_run_cpu_s']:.0f}" if "whole_run_cpu_s" in found else "",
            ]
            for kind, found in result.items()
        ],
    )


def soak(result: Result) -> list[str]:
    """What was met in all suites, by model, grid and actor."""
    rows: dict[tuple[str, ...], list[Result]] = {}
    for row in result["rows"]:
        rows.setdefault((row["model"], row["grid"], row["actor"]), []).append(row)

    def worst(some: list[Result], name: str, text: Callable[[float], str]) -> str:
        return text(max(row[name] for row in some)) if name in some[0] else ""

    def line(key: tuple[str, ...], some: list[Result]) -> list[str]:
        grown = max(row["memory_after_mb"] - row["memory_before_mb"] for row in some)
        return [
            ", ".join(key),
            f"{sum(row['steps'] for row in some):,.0f}",
            f"{sum(row['episodes_ended'] for row in some):,.0f}",
            f"{sum(row['grids_lost'] for row in some):,.0f}",
            worst(some, "worst_df_hz", lambda hz: f"{1000.0 * hz:,.0f}"),
            worst(some, "worst_energy_gap_mwh", lambda mwh: f"{mwh:.1e}"),
            worst(some, "worst_plant_energy_gap_mwh", lambda mwh: f"{mwh:.1e}"),
            f"{grown:+.1f}",
        ]

    whole = {key: [row for row in some if "worst_df_hz" in row] for key, some in rows.items()}
    head = ["model, grid, actor", "steps", "episodes", "grids lost", "largest deviation [mHz]"]
    lines = table(
        [*head, "energy gap of an episode [MWh]", "of a plant [MWh]", "memory [MB]"],
        [line(key, some) for key, some in whole.items() if some],
    )
    total = result["total"]
    said = []
    for model in ("full", "reduced"):
        if total[model]["steps"]:
            said.append(
                f"{total[model]['steps']:,.0f} steps of the {model} model, memory "
                f"{total[model]['memory_growth_mb']:+.0f} MB from the first suite to the last"
            )
    found = "; ".join(total["found"]) or "nothing"
    return [*lines, "", f"{'; '.join(said)}; {total['seconds'] / 60.0:.0f} minutes. Found: {found}."]
