"""One episode as a page for a browser: the grid over time with its traces, in one HTML file that asks for nothing.

    players = play(contenders, seed, make)          each in a batch of one that does not begin anew by itself
    write_page(path, case, players, range_mw=..., limits_mhz=(200.0, 500.0), title=..., subtitle=...)

Several controllers that have played the same episode stand on one page, any two side by side. 500
intervals of three controllers on 68 buses are under one MB. Circuits' loading is in percent of rating A throughout,
also after an outage, when rating B is the one that applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from control.evaluation.contender import BOUND, Contender
from control.evaluation.grid_record import (
    TERMS,
    ByPlant,
    GridEnvironment,
    Traces,
    percent_of_rating_a,
    reward_terms,
)
from control.evaluation.page import grid_data, packed, write_html
from control.evaluation.rollout import Record, Step, rollout

__all__ = ["Frames", "PageError", "Player", "play", "write_page"]

TEMPLATE = "episode.html"


class PageError(ValueError):
    """These records cannot stand on one page; the message says why."""


class Frames(Traces):
    """All that the page shows of an interval, at its end; every array leads with [env].

    `bus_df_hz` and `vm_pu`, [bus], NaN and 0 at buses without voltage; `loading_percent` of rating A, [branch];
    `branch_on`, [branch]; `machine_mw`, and `machine_on`, 0 where one is lost or stands still, [machine]; `plant_mw`,
    outputs around schedule, [resource]; `charge`, state of charge, [bess]. The environment must not begin anew by
    itself: its grid is read after the interval.
    """

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """The interval just played."""
        environment, grid = self._environment, self._environment.loop.grid
        end, case = environment.last_result, environment.case
        assert end is not None
        engine = grid.engine
        return {
            "bus_df_hz": np.where(end.bus_live, end.bus_df_hz, np.nan),
            "vm_pu": np.where(end.bus_live, end.vm_pu, 0.0),
            "loading_percent": percent_of_rating_a(case, engine.s_from_mva, engine.s_to_mva),
            "branch_on": engine.branch_in_service.astype(np.float64),
            "machine_mw": grid.machine_mw.copy(),
            "machine_on": (engine.machine_in_service & end.bus_live[:, case.machine.bus]).astype(np.float64),
            "plant_mw": end.resource_mw,
            "charge": end.utilisation[:, case.resource.of_kind("bess")],
        }


@dataclass(frozen=True, kw_only=True)
class Player:
    """A controller's episode, as the page names it."""

    name: str  # in legends
    title: str  # above its grid
    record: Record  # with Frames, of one episode


def play(
    contenders: Sequence[Contender],
    seed: int,
    make: Callable[[str], GridEnvironment],
    progress: Callable[[int], Any],
) -> list[Player]:
    """One episode by each contender.

    Args:
        contenders: who plays; of one with several policies the first.
        seed: of the episode.
        make: a batch of one environment for a kind of observation; it must not begin anew by itself.
        progress: given the number of intervals in all, the progress bar (tqdm's `update` and `set_description`).

    Raises:
        PageError: the bound is among them, which plays nothing.
    """
    if any(contender.name == BOUND for contender in contenders):
        raise PageError("the bound is a plan and plays no episode; leave it out")
    players: list[Player] = []
    environments: dict[str, GridEnvironment] = {}
    for contender in contenders:
        if contender.observation not in environments:
            environments[contender.observation] = make(contender.observation)
    n_intervals = next(iter(environments.values())).loop.scenario.n_intervals if environments else 0
    with progress(len(contenders) * n_intervals) as bar:
        for contender in contenders:
            environment = environments[contender.observation]
            bar.set_description(contender.title)
            controller = contender.builders[0](environment)
            record = rollout(controller, ByPlant(environment), np.array([seed]), Frames, bar.update)
            players.append(Player(name=short(contender), title=contender.title, record=record))
    return players


def short(contender: Contender) -> str:
    """A name for legends."""
    return Path(contender.name).stem if contender.name.endswith(".pt") else contender.name


def write_page(
    path: Path,
    case: Case,
    players: Sequence[Player],
    *,
    range_mw: FloatArray,
    limits_mhz: Sequence[float],
    title: str,
    subtitle: str = "",
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file.
        case: the grid.
        players: who has played the episode, at least one.
        range_mw: largest output of each plant around its schedule [MW], [resource].
        limits_mhz: deviations at which a line is drawn, beside their negatives [mHz].
        title: of the page.
        subtitle: what was played.

    Raises:
        PageError: nobody has played, or not the same episode.
        OSError: the file cannot be written.
    """
    if not players:
        raise PageError("a page needs at least one record, there is none")
    first = players[0].record
    for player in players[1:]:
        if player.record.seed[0] != first.seed[0] or player.record.n_intervals != first.n_intervals:
            raise PageError(f"{player.name} has played another episode than {players[0].name}")
    data = {
        "n": first.n_intervals,
        "interval_s": first.interval_s,
        "first_s": first.interval_s,  # what is shown of an interval is its end
        "loading_words": "loading",
        "more": [],
        "marks": [[time_s, words] for time_s, words in (first.marks[0] if first.marks else ())],
        "limits_mhz": list(limits_mhz),
        "terms": list(TERMS),
        "players": [_player(player) for player in players],
        "worst": _farthest_bus(players),
        **grid_data(case, range_mw),
    }
    write_html(path, TEMPLATE, data, title=title, subtitle=subtitle)


def _farthest_bus(players: Sequence[Player]) -> int:
    """The bus with the largest deviation in any of the records."""
    largest = np.max([np.nanmax(np.abs(p.record["bus_df_hz"][0]), axis=0) for p in players], axis=0)
    return int(np.nanargmax(largest))


def _player(player: Player) -> dict[str, Any]:
    record = player.record
    terms = reward_terms(record)[0].T
    return {
        "name": player.name,
        "title": player.title,
        "total": f"{float(record.returns[0]):,.0f}",
        "arrays": {
            "df": packed(1e3 * record["bus_df_hz"][0].T, step=0.1),
            "vm": packed(record["vm_pu"][0].T, step=1e-4),
            "loading": packed(record["loading_percent"][0].T, step=0.1),
            "on": packed(record["branch_on"][0].T, step=1.0),
            "running": packed(record["machine_on"][0].T, step=1.0),
            "machine": packed(record["machine_mw"][0].T, step=1.0),
            "plant": packed(record["plant_mw"][0].T, step=0.05),
            "charge": packed(record["charge"][0].T, step=1e-3),
            "terms": packed(terms, step=0.05),
        },
    }
