"""One fair table: figures of each episode, summaries over episodes, and paired differences between controllers.

Every controller plays the same episodes, so differences are taken episode by episode. The perfect-information bound is
no controller: it is computed on the one-mass model from the imbalance of the same episodes, and knows no violations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from cases.tables import RESOURCE_KINDS
from control.controllers.agc import area_bias_mw_per_decihertz, area_control_error_mw
from control.controllers.one_mass import OneMass
from control.controllers.quadratic_program import perfect_information
from control.evaluation import metrics, statistics
from control.evaluation.grid_record import (
    KINDS,
    TERMS,
    masses,
    return_by_terms,
    reward_terms,
)
from control.evaluation.rollout import Record
from control.scenario.task_grid import published_series
from control.task.description import mean_load_share
from grid_model.dynamics.parameters import swing_of

__all__ = [
    "BIN_MHZ",
    "bound_figures",
    "compared",
    "episode_figures",
    "paired",
    "summary",
    "without_events",
]

AFTER_EVENT = 3  # intervals from an event's own on, in which frequency falls whatever anybody does
FIVE_PERCENT = math.log(1.05)  # a difference of 5 % in a log ratio of costs
BIN_MHZ = np.concatenate([np.arange(0.0, 100.0, 1.0), np.arange(100.0, 1000.0, 10.0), [np.inf]])  # of |Df|
Figures = dict[str, FloatArray]  # each [episode]; `histogram` [episode, bin]


def episode_figures(record: Record, case: Case) -> Figures:
    """Figures of merit of each episode; `metrics.py` and `grid_model.validation.response` say what they are.

    Args:
        record: with the arrays of `grid_record.Figures`.
        case: the grid.

    Returns:
        `return`, `cost` (movement and effort), the reward's terms, `mean_square_mhz2`, `p95_mhz`, shares of time,
        `nadir_mhz` (largest deviation by size) beside `lowest_mhz` and `highest_mhz`, `rocof_mhz_per_s` over any 0.5 s,
        `alert_s` (a lost grid is in alert to the end), violations by kind, `unserved_mwh` as far as the episode was
        played, `lost`, MW moved by command and MWh by class, `rebound_mw_dr`, `cps1_percent` (mean of the areas),
        `return_without_events` (see `without_events`), `soc_end`, `histogram` of |Df| over BIN_MHZ, and `unsolved` of a
        controller that tells of it: intervals in which its program had no solution.
    """
    h, n_episode = record.interval_s, len(record.seed)
    df_hz = record["df_hz"].reshape(n_episode, -1)  # sample after sample
    violation = record["violation"]
    term = np.nansum(reward_terms(record), axis=1)
    found: Figures = {"return": return_by_terms(record)}
    found |= {f"reward_{name}": term[:, i] for i, name in enumerate(TERMS)}
    found["return_without_events"] = without_events(record)
    found["cost"] = -(found["reward_movement"] + found["reward_effort"])
    found["mean_square_mhz2"] = 1e6 * np.nanmean(record["sum_bus_square_hz2"], axis=1) / case.n_bus
    found["p95_mhz"] = 1e3 * metrics.percentile_hz(df_hz)
    # A grid that is lost is outside for the rest of its episode.
    found["within_36_mhz"] = np.nan_to_num(record["within_36_mhz"], nan=0.0).mean(axis=1)
    found["within_200_mhz"] = np.nan_to_num(record["within_200_mhz"], nan=0.0).mean(axis=1)
    found["lowest_mhz"] = 1e3 * np.nanmin(record["lowest_hz"], axis=1)
    found["highest_mhz"] = 1e3 * np.nanmax(record["highest_hz"], axis=1)
    found["nadir_mhz"] = np.maximum(-found["lowest_mhz"], found["highest_mhz"])
    found["rocof_mhz_per_s"] = 1e3 * np.nanmax(record["rocof_hz_per_s"], axis=1)
    found["alert_s"] = h * np.nan_to_num(record["alert"], nan=1.0).sum(axis=1)
    for i, kind in enumerate(KINDS):
        found[f"violations_{kind}"] = np.nansum(violation[:, :, i], axis=1)
    found["violations"] = np.nansum(violation, axis=(1, 2))
    found["unserved_mwh"] = metrics.unserved_mwh(record["unserved_mw"], h)
    found["lost"] = record.terminated.astype(np.float64)
    for i, kind in enumerate(RESOURCE_KINDS):
        found[f"moved_mw_{kind}"] = metrics.mileage_mw(record["moved_mw"][:, :, i])
        found[f"energy_mwh_{kind}"] = metrics.energy_mwh(record["output_mw"][:, :, i], h)
    found["rebound_mw_dr"] = metrics.mileage_mw(record["rebound_mw"])
    if record.n_intervals * h >= metrics.S_PER_MIN:
        bias = area_bias_mw_per_decihertz(case, swing_of(case), mean_load_share(published_series()))
        ace = area_control_error_mw(record["interchange_mw"], 0.0, record["area_df_hz"], bias)
        factor = metrics.control_performance_1(
            np.swapaxes(ace, 1, 2), np.swapaxes(record["area_df_hz"], 1, 2), bias, h
        )
        found["cps1_percent"] = metrics.control_performance_1_percent(factor).mean(axis=1)
    else:
        found["cps1_percent"] = np.full(n_episode, np.nan)
    found["soc_end"] = record["soc"][np.arange(n_episode), np.maximum(record.n_played - 1, 0)]
    if (
        "unsolved" in record.arrays
    ):  # of a controller that solves programs; counted from the episode's beginning on
        found["unsolved"] = np.nanmax(record["unsolved"], axis=1)
    found["histogram"] = _histogram(df_hz)
    return found


def without_events(record: Record) -> FloatArray:
    """Return of each episode without the interval of every event in it and the two that follow, [episode].

    What is charged there is the fall of frequency before any controller's plants have moved, which hides in `n1` what
    controllers differ by. A grid that is lost is charged all the same. Of an episode without events it is the return.
    """
    terms = reward_terms(record)
    kept = np.ones(terms.shape[:2], dtype=np.bool_)
    for episode, marks in enumerate(record.marks):
        for time_s, _ in marks:
            first = int(time_s // record.interval_s)
            kept[episode, first : first + AFTER_EVENT] = False
    lost = terms[:, :, TERMS.index("lost")]
    total: FloatArray = np.nansum(np.where(kept[:, :, None], terms, 0.0), axis=(1, 2))
    return total + np.nansum(np.where(kept, 0.0, lost), axis=1)


def bound_figures(idle: Record, model: OneMass) -> Figures:
    """What perfect information could have reached in the same episodes, by the one-mass model.

    Args:
        idle: the episodes played without any control; their imbalance is what is to be met.
        model: the grid as one mass, with all machines; of each episode those count that were in service.
    """
    rows: list[dict[str, Any]] = []
    for k, mass in enumerate(masses(model, idle)):
        # An episode that lost its grid without control ends in an unknown imbalance: the last known one.
        d_mw = idle["imbalance_mw"][k].copy()
        known = np.flatnonzero(~np.isnan(d_mw))
        d_mw[known[-1] + 1 :] = d_mw[known[-1]]
        best = perfect_information(mass, np.concatenate([[0.0], d_mw]), float(idle["soc"][k, 0]))
        moved = np.abs(np.diff(np.vstack([np.zeros(3), best.command_mw]), axis=0))
        df_mhz = 1e3 * best.df_hz
        movement = float((model.reward.movement * moved @ model.cost_per_mw).sum())
        effort = float((model.reward.effort * moved**2 @ (model.cost_per_mw2 / model.count)).sum())
        rows.append(
            {
                "return": -(best.frequency_cost + movement + effort),
                "cost": movement + effort,
                "reward_frequency": -best.frequency_cost,
                "reward_movement": -movement,
                "reward_effort": -effort,
                "reward_violations": 0.0,
                "reward_lost": 0.0,
                "mean_square_mhz2": float(np.mean(df_mhz**2)),
                "p95_mhz": float(np.percentile(np.abs(df_mhz), 95.0)),
                "within_36_mhz": float(np.mean(np.abs(df_mhz) <= 36.0)),
                "within_200_mhz": float(np.mean(np.abs(df_mhz) <= 200.0)),
                "violations": 0.0,
                **{f"moved_mw_{kind}": float(moved[:, i].sum()) for i, kind in enumerate(RESOURCE_KINDS)},
                "histogram": _histogram(best.df_hz[None])[0],
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _histogram(df_hz: FloatArray) -> FloatArray:
    """Samples of |Df| in each bin of BIN_MHZ, [episode, bin]."""
    return np.stack([np.histogram(1e3 * np.abs(x[~np.isnan(x)]), BIN_MHZ)[0] for x in df_hz]).astype(
        np.float64
    )


def summary(figures: Mapping[str, FloatArray], seeds: IntArray) -> dict[str, Any]:
    """What the table says of a controller on a suite; plain numbers."""
    mean = {
        name: float(np.nanmean(value))
        for name, value in figures.items()
        if name != "histogram" and not np.isnan(value).all()
    }
    found: dict[str, Any] = {
        "return_mean": mean["return"],
        "return_ci95": list(statistics.bootstrap_ci95(figures["return"])),
        "return_iqm": statistics.interquartile_mean(figures["return"]),
        "rms_mhz": float(np.sqrt(mean["mean_square_mhz2"])),
        "p95_mhz": mean["p95_mhz"],
        "share_within_36mhz": mean["within_36_mhz"],
        "share_within_200mhz": mean["within_200_mhz"],
        "violations_per_episode": mean["violations"],
        "cost_mean": mean["cost"],
        # Of all that an episode costs, minus its return: one episode in forty may hold half of the mean.
        "episode_cost_median": float(np.median(-figures["return"])),
        "episode_cost_geometric_mean": statistics.geometric_mean(-figures["return"]),
        "episodes": len(seeds),
        "worst_seeds": statistics.worst(figures["return"], seeds),
        "terms": {name: mean[f"reward_{name}"] for name in TERMS},
    }
    for name in (
        "cps1_percent", "nadir_mhz", "lowest_mhz", "highest_mhz", "rocof_mhz_per_s", "alert_s", "unserved_mwh", "lost",
        "soc_end", "rebound_mw_dr", "unsolved",
        *(f"violations_{kind}" for kind in KINDS),
        *(f"{what}_{kind}" for what in ("moved_mw", "energy_mwh") for kind in RESOURCE_KINDS),
    ):  # fmt: skip
        if name in mean:
            found[name] = mean[name]
    return found


def paired(figures: Mapping[str, Mapping[str, FloatArray]], reference: str) -> dict[str, dict[str, Any]]:
    """Return of every controller less that of the reference on the same episodes, with its interval.

    A limit that is just broken, or just not, costs as much as hours of everything else, so that a few intervals of one
    episode may decide a mean: `without_violations` is the same of returns without that term, where a limit was broken.
    """
    found: dict[str, dict[str, Any]] = {}
    others = figures[reference]
    for name, own in figures.items():
        if name == reference:
            continue
        found[name] = _difference(own["return"], others["return"])
        violations = [one.get("reward_violations", np.zeros(1)) for one in (own, others)]
        if any(np.any(one) for one in violations):
            found[name]["without_violations"] = _difference(
                own["return"] - violations[0], others["return"] - violations[1]
            )
    return found


def _difference(own: FloatArray, others: FloatArray) -> dict[str, Any]:
    mean, interval = statistics.paired_difference(own, others)
    return {"mean": mean, "ci95": list(interval)}


def compared(
    figures: Mapping[str, Mapping[str, FloatArray]], full_information: str, bound: str
) -> dict[str, dict[str, Any]]:
    """What paired episodes tell of each controller: its cost in units of full information, and against the next better.

    Args:
        figures: of all who took part in a suite, {contender: {figure: [episode]}}.
        full_information: who the unit is, if it took part.
        bound: no controller, so nobody's neighbour.

    Returns:
        {contender: {...}}: `cost_ratio_to_full_information` and `cost_ratio_ci95`, and against the neighbour that is
        `to`, the next better in the order of mean returns, `paired_difference_to_previous` and
        `paired_log_ratio_to_previous`; the same without events in `without_events` where there are any. A ratio is None
        where an episode's costs allow none, and so are the neighbour's numbers for the best.
    """
    found: dict[str, dict[str, Any]] = {
        name: _against_others(figures, name, "return", full_information, bound) for name in figures
    }
    key = "return_without_events"
    known = {name: own for name, own in figures.items() if key in own}
    if any(np.any(own[key] != own["return"]) for own in known.values()):
        for name, own in known.items():
            found[name]["without_events"] = {
                "return_mean": float(own[key].mean()),
                "return_ci95": list(statistics.bootstrap_ci95(own[key])),
                **_against_others(known, name, key, full_information, bound),
            }
    return found


def _against_others(
    figures: Mapping[str, Mapping[str, FloatArray]], name: str, key: str, full_information: str, bound: str
) -> dict[str, Any]:
    """See `compared`; `key` is the figure that is compared."""
    own = figures[name][key]
    ratio = None
    if full_information in figures:
        ratio = statistics.cost_ratio(-own, -figures[full_information][key])
    found: dict[str, Any] = {
        "cost_ratio_to_full_information": None if ratio is None else ratio[0],
        "cost_ratio_ci95": None if ratio is None else list(ratio[1]),
        "paired_difference_to_previous": None,
        "paired_log_ratio_to_previous": None,
    }
    order = sorted((who for who in figures if who != bound), key=lambda who: -figures[who][key].mean())
    if name == bound or name == order[0]:
        return found
    previous = order[order.index(name) - 1]
    other = figures[previous][key]
    mean, interval = statistics.paired_difference(own, other)
    found["paired_difference_to_previous"] = {"to": previous, "mean": mean, "ci95": list(interval)}
    log = statistics.paired_log_ratio(-own, -other)
    if log is not None:
        found["paired_log_ratio_to_previous"] = {
            "to": previous,
            "mean": log.mean,
            "ci95": list(log.ci95),
            "episodes_left_out": log.left_out,
            # To show this difference, and one of 5 %, with a power of 80 %.
            "episodes_needed": statistics.episodes_needed(log.mean, log.spread),
            "episodes_needed_for_5_percent": statistics.episodes_needed(FIVE_PERCENT, log.spread),
        }
    return found
