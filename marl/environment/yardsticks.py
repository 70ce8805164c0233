"""What the variants of a study are measured against: controllers that learn nothing, on the same judged episodes.

A controller plays each episode once; what a variant returned there is the mean over its seeds, so that every interval
is one over episodes, as in the comparison of controllers (`control.evaluation.suite_runner`, which plays them here).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from control.evaluation import statistics
from control.evaluation.contender import BOUND, ComparisonError, Contender, resolve
from control.evaluation.suite_runner import compare
from marl.environment.contenders import make_grid
from marl.training.study import Study, configuration
from marl.training.variants import VARIANTS

__all__ = [
    "TableError",
    "joined",
    "measured",
    "played",
    "read_table",
    "retold",
    "yardsticks_named",
]

# Yardsticks learn nothing: on the same episodes they return the same, to what another processor's rounding makes of it.
SAME = 1e-6
Returns = Mapping[str, Mapping[str, FloatArray]]  # {scenario: {controller: [episode]}}


def yardsticks_named(names: str) -> list[Contender]:
    """Controllers by their names with commas between them, such as `full_information,linear`.

    Raises:
        ComparisonError: a name is no controller's, or the bound's, which plays no episode.
    """
    if not names:
        return []

    def refuse(file: str) -> Contender:
        raise ComparisonError(f"yardstick {file!r} is a model, expected a controller that learns nothing")

    found = resolve(names, refuse)
    if any(contender.name == BOUND for contender in found):
        raise ComparisonError(f"yardstick {BOUND!r} plays no episode")
    return found


def played(
    contenders: Sequence[Contender], study: Study, episodes: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, FloatArray]]:
    """Returns of the controllers in a study's judged episodes, {scenario: {controller: [episode]}}.

    Args:
        contenders: who plays.
        study: says where what was played is kept, and how many processes play.
        episodes: seeds of each scenario.
    """
    cache = Path(study.out) / "yardsticks"
    found = compare(contenders, episodes, make=make_grid, cache=cache, workers=study.workers)
    return {
        scenario: {name: figures["return"] for name, figures in by_name.items()}
        for scenario, by_name in found.items()
    }


def measured(
    rows: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    contenders: Sequence[Contender],
    returns: Returns,
) -> list[dict[str, Any]]:
    """A study's table with how far its variants are from the yardsticks, and the yardsticks as rows of their own.

    Args:
        rows: of the table (`marl.training.study_report.table`).
        results: of all runs, with the returns of their last policies.
        contenders: the yardsticks.
        returns: what those returned in the same episodes.

    Returns:
        In each row, by scenario: `returns`, `cost_ratio_to_NAME` (mean cost over the yardstick's) and `ahead_of_NAME`
        (return less the yardstick's), each of these with `mean`, `low` and `high`, a 95 % interval over pairs of
        episodes; and `episode_returns`, what all that is made of, means over the seeds. A yardstick's row has `title`
        and `information` beside them, and `seeds` of 0.
    """
    scenarios = list(returns)
    found = []
    for row in rows:
        mine = [r for r in results if r["variant"] == row["variant"]]
        own = {s: np.mean([r["judged"][s]["final"]["returns"] for r in mine], axis=0) for s in scenarios}
        found.append({**row, **_against(own, contenders, returns)})
    for contender in contenders:
        own = {s: returns[s][contender.name] for s in scenarios}
        about = {"variant": contender.name, "title": contender.title, "information": contender.information}
        found.append({**about, "seeds": 0, **_against(own, contenders, returns)})
    return found


class TableError(ValueError):
    """A table cannot stand beside another; the message says why."""


def read_table(path: Path, yardsticks: Sequence[str], study: Study) -> list[dict[str, Any]]:
    """An earlier table that is to stand beside a study's.

    How far its variants are ahead, by seed, stays as it is there and is counted from the runs of its first variant, so
    that has to be the study's first one too, trained alike, if with another number of seeds.

    Args:
        path: of the table.
        yardsticks: of the study.
        study: what is to be compared.

    Raises:
        TableError: it is no such table, or lacks a yardstick; or there are none to go by.
    """
    if not yardsticks:
        raise TableError("needs --yardsticks, by which episodes are known to be the same")
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{path} cannot be read ({error})") from error
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise TableError(f"{path} is no table of ablation.py with yardsticks")
    missing = [name for name in yardsticks if name not in [row["variant"] for row in rows]]
    if missing:
        raise TableError(f"{path} has no yardstick {missing[0]}")
    first = study.names[0]
    alike = {
        "variant": first,
        "episodes": configuration(VARIANTS[first], study, seed=0).total_episodes,
        "observation": configuration(VARIANTS[first], study, seed=0).observation,
        "scenario": study.judge_scenarios[0],
    }
    for what, here in alike.items():
        there = rows[0].get(what)
        if there != here:
            raise TableError(f"{path} begins with {what} {there}, this table with {here}")
    return rows


def _is_row(row: Any) -> bool:
    """Whether it has what a table is joined by."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("variant"), str)
        and isinstance(row.get("seeds"), int)
        and isinstance(row.get("returns"), dict)
        and all(isinstance(x, int | float) for x in row["returns"].values())
        and _are_episodes(row.get("episode_returns", {}))
    )


def _are_episodes(kept: Any) -> bool:
    """Whether these are numbers by scenario, as many in each."""
    return (
        isinstance(kept, dict)
        and all(
            isinstance(x, list) and x and all(isinstance(y, int | float) for y in x) for x in kept.values()
        )
        and len({len(x) for x in kept.values()}) <= 1
    )


def retold(
    earlier: Sequence[Mapping[str, Any]], contenders: Sequence[Contender], returns: Returns
) -> tuple[list[dict[str, Any]], list[str]]:
    """An earlier table in the yardsticks of now.

    A yardstick that returns what it did says that the episodes are the same. One that does not is another controller
    by now: what rows say of it is counted anew from their episodes, or left out where they do not tell of them.

    Args:
        earlier: the table.
        contenders: the yardsticks.
        returns: what those return in the episodes of now.

    Returns:
        The table, and the yardsticks that return something else.

    Raises:
        TableError: all of them do: its episodes, or its grid, are others.
    """
    known = {row["variant"]: row["returns"] for row in earlier}
    changed: dict[str, str] = {}
    for scenario, by_name in returns.items():
        for name, episodes in by_name.items():
            then, here = known[name].get(scenario), float(episodes.mean())
            if then is None or not math.isclose(then, here, rel_tol=SAME):
                changed[name] = f"{name} returned {then} in {scenario}, here {here}"
    if len(changed) == len(contenders):
        raise TableError(f"{next(iter(changed.values()))}: other episodes, or another grid")
    return [_retold_row(row, contenders, returns, changed) for row in earlier], list(changed)


def _retold_row(
    row: Mapping[str, Any], contenders: Sequence[Contender], returns: Returns, changed: Mapping[str, str]
) -> dict[str, Any]:
    own = row.get("episode_returns")
    if own is not None:
        lacks = [s for s in returns if len(own.get(s, ())) != len(next(iter(returns[s].values())))]
        if lacks:
            raise TableError(f"{row['variant']} tells of other episodes in {lacks[0]}")
        return {**row, **_against({s: np.array(own[s]) for s in returns}, contenders, returns)}
    stale = {f"{what}_{name}" for name in changed for what in ("cost_ratio_to", "ahead_of")}
    return {key: value for key, value in row.items() if key not in stale}


def joined(rows: Sequence[dict[str, Any]], earlier: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A table with the variants of an earlier one that it lacks, in front of the yardsticks."""
    own = {row["variant"] for row in rows}
    learned = [row for row in rows if row["seeds"] > 0]
    others = [row for row in earlier if row["seeds"] > 0 and row["variant"] not in own]
    return [*learned, *others, *(row for row in rows if row["seeds"] == 0)]


def _against(
    own: Mapping[str, FloatArray], contenders: Sequence[Contender], returns: Returns
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "returns": {scenario: float(x.mean()) for scenario, x in own.items()},
        "episode_returns": {scenario: x.tolist() for scenario, x in own.items()},
    }
    for name in (contender.name for contender in contenders):
        ratio, ahead = {}, {}
        for scenario, x in own.items():
            other = returns[scenario][name]
            ratios = statistics.cost_ratio(-x, -other)
            ratio[scenario] = None if ratios is None else _interval(*ratios)
            ahead[scenario] = _interval(*statistics.paired_difference(x, other))
        told |= {f"cost_ratio_to_{name}": ratio, f"ahead_of_{name}": ahead}
    return told


def _interval(mean: float, interval: tuple[float, float]) -> dict[str, float]:
    return {"mean": mean, "low": interval[0], "high": interval[1]}
