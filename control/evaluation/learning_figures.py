"""Tables in Markdown of controllers and learners: what they return, what it costs, how long training takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from control.evaluation.figures import Result, table


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
    told = any("typical_cost_over_first" in row for row in result)
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
            _judged_behind(row),
            *([_over_first(row)] if told else []),
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
        f"in `{result[0]['scenario']}`",
        *([f"typical cost / {result[0]['variant'].replace('_', ' ')}, by seed"] if told else []),
    ]
    return table(head, rows)


def _over_first(row: Result) -> str:
    """What a typical episode costs over the first recipe's, and from the least to the most of its seeds."""
    ratio = row.get("typical_cost_over_first")
    return "-" if ratio is None else f"{ratio['mean']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _judged_behind(row: Result) -> str:
    """By how much the last policy is behind the best model on episodes that chose neither, with the worst seed."""
    behind = row.get("judged_behind_best_percent_max")
    return "-" if behind is None else f"{behind:.1f} %"


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
                ratio(row.get(f"cost_ratio_to_{unit}", {}).get(suite)),
                *(apart(row.get(other, {}).get(suite)) for other in others),
                *(
                    [apart(row["ahead"][suite]) if row["seeds"] and row["variant"] != plain else "-"]
                    if len(learners) > 1
                    else []
                ),
            ]
            for row in sorted(result, key=lambda row: -row["returns"][suite])
        ]
        if len(learners) > 1:
            head.append(f"ahead of {plain}, by seed")
        lines += [*table(head, rows), ""]
    costs = [
        [
            name(row),
            f"{row['parameters']:,.0f}",
            f"{row['elapsed_s'] / 60.0:.1f}",
            f"{row['steps_per_s']:,.0f}",
            f"{row['update_ms']:,.0f}",
            _judged_behind(row),
        ]
        for row in learners
    ]
    head = [
        f"learner, {learners[0]['episodes']:,} episodes",
        "parameters of its policies",
        "training [min]",
        "steps a second",
        "an update [ms]",
        f"last behind best in `{next(iter(result[0]['returns']))}`, worst seed",
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


FEWEST_MOVES = 0.01  # of the intervals: of fewer, a share says nothing


def explained(result: Any) -> list[str]:
    """What of a controller's actions a policy does, and what agents' numbers tell of them, by scenario and kind."""

    def share(of_kind: Result, name: str) -> str:
        return f"{100.0 * of_kind[name]:.0f} %" if of_kind["moved"] >= FEWEST_MOVES else "-"

    return table(
        [
            "scenario, plants",
            "the controller moves them in",
            "the policy does",
            "linear in own numbers of 12 intervals",
            "and in all agents' numbers",
        ],
        [
            [
                f"`{row['scenario']}`, {kind}",
                f"{100.0 * of_kind['moved']:.1f} %",
                *(share(of_kind, name) for name in ("policy", "own", "together")),
            ]
            for row in result
            for kind, of_kind in row["shares"].items()
        ],
    )


TORCHRL: Mapping[str, str] = {
    "recipe": "TorchRL's MAPPO, with the default training's hyper-parameters",
    "tutorial": "TorchRL's MAPPO, with those of its tutorial",
}


def torchrl(result: Result) -> list[str]:
    """When the default training, and TorchRL's MAPPO, were better than tuned AGC with feed-forward."""

    def line(words: str, one: Result) -> list[str]:
        passed = one["time_to_agc_s"] is not None
        return [
            words,
            f"{one['time_to_agc_s']:,.0f}" if passed else f"never in {one['seconds']:,.0f}",
            f"{one['cpu_to_agc_s']:,.0f}" if passed else f"never in {one['cpu_s']:,.0f}",
            f"{one['steps_to_agc']:,}" if passed else f"never in {one['steps']:,}",
            f"{one['steps_per_cpu_s']:,.0f}" if "steps_per_cpu_s" in one else "-",
            f"{one['best_return']:,.0f}" if "best_return" in one else "-",
        ]

    rows = [line(TORCHRL[name], one) for name, one in result["torchrl"].items()]
    if "ours" in result:
        rows.insert(0, line("the default training", result["ours"]))
    head = [
        f"until `normal` returns more than {result['bar']:,.0f}",
        "clock [s]",
        "processor [s]",
        "environment steps",
        "steps a second of the processor",
        "best held-out return",
    ]
    return table(head, rows)
