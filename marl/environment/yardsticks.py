"""What the variants of a study are measured against: controllers that learn nothing, on the same judged episodes.

A controller plays each episode once; what a variant returned there is the mean over its seeds, so that every interval
is one over episodes, as in the comparison of controllers (`control.evaluation.suite_runner`, which plays them here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from control.evaluation import statistics
from control.evaluation.contender import BOUND, ComparisonError, Contender, resolve
from control.evaluation.suite_runner import compare
from marl.environment.contenders import make_grid
from marl.training.study import Study

__all__ = ["measured", "played", "yardsticks_named"]

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
        episodes. A yardstick's row has `title` and `information` beside them, and `seeds` of 0.
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


def _against(
    own: Mapping[str, FloatArray], contenders: Sequence[Contender], returns: Returns
) -> dict[str, Any]:
    told: dict[str, Any] = {"returns": {scenario: float(x.mean()) for scenario, x in own.items()}}
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
