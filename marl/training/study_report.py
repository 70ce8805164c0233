"""What a study of recipes found: its table, its learning curves, and how sure the means over seeds are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from marl.training.curves import GRID, legend_above, new_figure, save, style
from marl.training.variants import VARIANTS

__all__ = ["draw", "interval", "report", "table"]


# What a recipe costs, by the names that results of runs have.
COSTS = ("parameters", "elapsed_s", "steps_per_s", "update_ms")


def interval(values: Any) -> tuple[float, float]:
    """95 % interval of the mean over seeds by Student's t; lowest and highest where there are fewer than three."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 3:
        return float(x.min()), float(x.max())
    reach = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return float(x.mean()) - reach, float(x.mean()) + reach


def table(results: Sequence[dict[str, Any]], scenarios: Sequence[str]) -> list[dict[str, Any]]:
    """One row per variant: means over seeds, the spread of the last policy's return, and how it does elsewhere.

    `ahead` is by how much its return is above the first variant's in each condition, paired by seed, with its interval;
    `typical_cost_over_first` is the geometric mean of an episode's cost over the first variant's, seed by seed: the
    geometric mean of these ratios, the least and the most.
    `last_behind_best_percent` is on the episodes that chose the best model, of which one may decide, and
    `judged_behind_best_percent_max` on those of the first condition, which chose neither, for the worst seed.
    `parameters`, `elapsed_s`, `steps_per_s` and `update_ms` are of its policies and their training, medians over seeds.
    """
    rows = []
    first = [r for r in results if r["variant"] == results[0]["variant"]]
    for name in dict.fromkeys(r["variant"] for r in results):
        mine = [r for r in results if r["variant"] == name]

        def over_seeds(scenario: str, which: str, term: str, mine: Any = mine) -> Any:
            return np.array([r["judged"][scenario][which].get(term, np.nan) for r in mine])

        final = over_seeds(scenarios[0], "final", "return")
        best = over_seeds(scenarios[0], "best", "return")
        behind = [r["last_behind_best_percent"] for r in mine]
        low, high = interval(final)
        rows.append(
            {
                "variant": name,
                "source": VARIANTS[name].source,
                "seeds": len(mine),
                "episodes": mine[0]["config"]["total_episodes"],
                "observation": mine[0]["config"]["observation"],
                "scenario": scenarios[0],
                "return_final": float(final.mean()),
                "return_final_low": low,
                "return_final_high": high,
                "return_final_min": float(final.min()),
                "cost_median": _typical(over_seeds(scenarios[0], "final", "cost_median")),
                "cost_geometric_mean": _typical(over_seeds(scenarios[0], "final", "cost_geometric_mean")),
                "return_best": float(best.mean()),
                "rms_df_mhz": float(over_seeds(scenarios[0], "final", "rms_df_mhz").mean()),
                "elsewhere": {s: float(over_seeds(s, "final", "return").mean()) for s in scenarios[1:]},
                "ahead": {s: _ahead(mine, first, s) for s in scenarios},
                "typical_cost_over_first": _over_first(mine, first, scenarios[0]),
                **{what: _usual(mine, what) for what in COSTS},
                "last_behind_best_percent": float(np.mean(behind)),
                "last_behind_best_percent_max": float(np.max(behind)),
                "judged_behind_best_percent_max": _behind_percent(best, final),
            }
        )
    return rows


def _ahead(
    mine: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]], scenario: str
) -> dict[str, float] | None:
    """Difference of the last policies' returns of the same seeds, with its 95 % interval; None without such seeds."""
    theirs = {r["seed"]: r["judged"][scenario]["final"]["return"] for r in first}
    found = [
        r["judged"][scenario]["final"]["return"] - theirs[r["seed"]] for r in mine if r["seed"] in theirs
    ]
    if not found:
        return None
    low, high = interval(found)
    return {"mean": float(np.mean(found)), "low": low, "high": high}


def _behind_percent(best: Any, final: Any) -> float | None:
    """By how much last policies are behind the best models of their runs, in percent, the worst seed's."""
    return float(np.max(100.0 * (best - final) / np.abs(best))) if np.all(best != 0.0) else None


def _over_first(
    mine: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]], scenario: str
) -> dict[str, float] | None:
    """What a typical episode costs in units of the first variant's of the same seed; None where that is not known."""
    cost, theirs = (
        {r["seed"]: r["judged"][scenario]["final"].get("cost_geometric_mean") for r in runs}
        for runs in (mine, first)
    )
    if not all(cost[seed] and theirs.get(seed) for seed in cost):
        return None
    ratios = [cost[seed] / theirs[seed] for seed in cost]
    return {"mean": float(np.exp(np.log(ratios).mean())), "low": min(ratios), "high": max(ratios)}


def _usual(mine: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """Median over runs, of which one may have been held up by others on its machine; None where one does not tell."""
    return float(np.median([r[what] for r in mine])) if all(what in r for r in mine) else None


def _typical(costs: Any) -> float | None:
    """Geometric mean over seeds of what a typical episode costs; None where a seed's is not known or nothing."""
    return float(np.exp(np.log(costs).mean())) if np.all(costs > 0.0) else None


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Held-out cost over training, every variant's mean over seeds with its interval."""
    title = "Held-out cost while training: geometric mean over seeds, shaded its 95 % interval"
    figure = new_figure(9.0, 5.5, title)
    axes = figure.subplots()
    for position, name in enumerate(dict.fromkeys(r["variant"] for r in results)):
        curves = [r["curve"] for r in results if r["variant"] == name]
        steps = np.array(curves[0]["steps"]) / 1000.0
        # On a logarithmic axis the interval is one of logarithms: symmetric there, and never below zero.
        log_cost = np.log(-np.array([c["return"] for c in curves]))  # [seed, evaluation]
        low, high = np.exp([interval(column) for column in log_cost.T]).T
        look = style(position)
        mean = np.exp(log_cost.mean(axis=0))
        axes.plot(steps, mean, label=f"{name} ({len(curves)})", linewidth=1.6, **look)
        axes.fill_between(steps, low, high, color=look["color"], alpha=0.2, linewidth=0)
    axes.set_yscale("log")
    for axis_format in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis_format(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("environment steps [1000]")
    axes.set_ylabel("cost of a held-out episode, minus its return [1]")
    axes.grid(which="both", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    legend_above(axes, 6)
    save(figure, path)


def report(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as lines of text."""
    elsewhere = "".join(f"{scenario:>10s}" for scenario in rows[0]["elsewhere"])
    spread_head = f"{rows[0]['scenario']:>9s} {'interval':>20s} {'median':>9s} {'geometric':>10s}"
    head = f"{'variant':28s} {spread_head} {'best model':>11s}{elsewhere}"
    lines = [f"{head} {'last behind best':>17s}"]
    for row in rows:
        spread = f"{row['return_final_low']:,.0f} to {row['return_final_high']:,.0f}"
        median, geometric = (
            "-" if row[key] is None else f"{row[key]:,.0f}" for key in ("cost_median", "cost_geometric_mean")
        )
        others = "".join(f"{value:10,.0f}" for value in row["elsewhere"].values())
        lines.append(
            f"{row['variant']:28s} {row['return_final']:9,.0f} {spread:>20s} {median:>9s} {geometric:>10s} "
            f"{row['return_best']:11,.0f}{others} "
            f"{row['last_behind_best_percent_max']:15.1f} %"
        )
    return lines
