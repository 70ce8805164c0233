"""Tables of a comparison of all who act: summaries, what pairs of episodes tell of neighbours, and both as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from control.evaluation.comparison import compared, paired, summary
from control.evaluation.contender import BOUND, FULL_INFORMATION, Contender
from control.evaluation.suite_runner import Found
from control.evaluation.suite_seeds import episodes_text

__all__ = ["ABOUT_MOVEMENT", "COST_OF_MOVEMENT", "rows", "table_text", "tabulate"]

COST_OF_MOVEMENT = "cost of movement [units of return]"  # in heads of tables
ABOUT_MOVEMENT = (
    "the part of minus the return that is charged for moving set-points (its terms movement and effort), mean of an "
    "episode; other costs are of the whole return"
)


def tabulate(
    found: Found,
    contenders: Sequence[Contender],
    suites: Mapping[str, Sequence[int]],
    reference: str | None,
) -> dict[str, dict[str, Any]]:
    """Summaries by suite and contender, what pairs of episodes tell of neighbours, of full information and of the
    reference where it took part.
    """
    table: dict[str, dict[str, Any]] = {}
    for suite, by_name in found.items():
        seeds = np.array(suites[suite], dtype=np.int64)
        table[suite] = {
            c.name: {"title": c.title, "information": c.information, **summary(by_name[c.name], seeds)}
            for c in contenders
        }
        for name, told in compared(by_name, FULL_INFORMATION, BOUND).items():
            table[suite][name] |= told
        if reference in by_name:
            for name, difference in paired(by_name, str(reference)).items():
                table[suite][name]["difference"] = {"to": reference, **difference}
    return table


def rows(table: Mapping[str, Mapping[str, Any]], suite: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a suite's table as text, best first."""
    head = [
        "controller", "sees", "return", "95 % interval", "IQM", "cost / full information (95 %)",
        "cost / next better (95 %)", "episodes to tell", "without events", "better than reference by (95 %)", "rms mHz",
        "p95 mHz", "in 36 mHz %", "in 200 mHz %", "violations", COST_OF_MOVEMENT, "CPS1 %", "moved GW bess/gas/dr",
        "worst seeds",
    ]  # fmt: skip
    lines = []
    order = sorted(table[suite], key=lambda name: -table[suite][name]["return_mean"])
    references = {f["difference"]["to"] for f in table[suite].values() if "difference" in f}
    for name in order:
        f = table[suite][name]
        low, high = f["return_ci95"]
        alone = low == high  # a single episode: no interval has a width, and nothing is told apart
        against = "reference" if name in references else "-"
        if "difference" in f:
            against = _ahead(f["difference"], alone=alone)
        moved = " / ".join(f"{f[f'moved_mw_{kind}'] / 1000.0:.2f}" for kind in ("bess", "gas", "dr"))
        lines.append(
            [
                f["title"],
                f["information"],
                f"{f['return_mean']:,.0f}",
                "-" if alone else f"{low:,.0f} to {high:,.0f}",
                f"{f['return_iqm']:,.0f}",
                _with_interval(
                    f.get("cost_ratio_to_full_information"), f.get("cost_ratio_ci95"), alone=alone
                ),
                *_to_neighbour(f.get("paired_log_ratio_to_previous"), alone=alone),
                f"{f['without_events']['return_mean']:,.0f}" if "without_events" in f else "-",
                against,
                f"{f['rms_mhz']:.1f}",
                f"{f['p95_mhz']:.1f}",
                f"{100.0 * f['share_within_36mhz']:.2f}",
                f"{100.0 * f['share_within_200mhz']:.2f}",
                f"{f['violations_per_episode']:.2f}",
                f"{f['cost_mean']:,.0f}",
                f"{f['cps1_percent']:.1f}" if "cps1_percent" in f else "-",
                moved,
                " ".join(str(s) for s in f["worst_seeds"]),
            ]
        )
    return head, lines


def _ahead(difference: Mapping[str, Any], *, alone: bool = False) -> str:
    low, high = difference["ci95"]
    return f"{difference['mean']:+,.0f}" + ("" if alone else f" ({low:+,.0f} to {high:+,.0f})")


def _with_interval(value: float | None, interval: Sequence[float] | None, *, alone: bool) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.2f}" + ("" if alone else f" ({interval[0]:.2f} to {interval[1]:.2f})")


def _to_neighbour(log: Mapping[str, Any] | None, *, alone: bool) -> tuple[str, str]:
    """Ratio of costs in a typical episode, and the episodes that it takes to tell the two apart."""
    if log is None:
        return "-", "-"
    ratio = _with_interval(np.exp(log["mean"]), np.exp(log["ci95"]), alone=alone)
    return ratio, "-" if alone or log["episodes_needed"] is None else f"{log['episodes_needed']:,d}"


def table_text(table: Mapping[str, Mapping[str, Any]], episodes: Mapping[str, Sequence[int]]) -> str:
    """The most important columns for the terminal."""
    keep = (0, 2, 3, 5, 6, 7, 9, 10, 12, 13, 14, 15)
    found = []
    for suite in table:
        head, lines = rows(table, suite)
        found.append(f"\nSuite {suite}, {episodes_text(episodes[suite])}")
        chosen = [[row[i] for i in keep] for row in [head, *lines]]
        width = [max(len(row[i]) for row in chosen) for i in range(len(keep))]
        for row in chosen:
            rest = [x.rjust(w) for x, w in zip(row[1:], width[1:], strict=True)]
            found.append("  ".join([row[0].ljust(width[0]), *rest]))
        apart = {
            f["title"]: _ahead(f["difference"]["without_violations"], alone=len(episodes[suite]) == 1)
            for f in table[suite].values()
            if "without_violations" in f.get("difference", {})
        }
        if apart:
            found.append("Better than reference by, without the cost of violations:")
            found += [f"  {title}: {ahead}" for title, ahead in apart.items()]
        for f in table[suite].values():
            if f.get("unsolved", 0.0) > 0.0:
                found.append(f"{f['title']}: no solution in {f['unsolved']:.2f} intervals an episode")
    return "\n".join([*found, "", f"{COST_OF_MOVEMENT}: {ABOUT_MOVEMENT}."])
