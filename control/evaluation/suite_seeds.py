"""Which episodes a comparison plays: held-out ones of the suites by number, or seeds of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cases.arrays import IntArray
from cases.nearest_name import perhaps
from control.evaluation.contender import ComparisonError
from control.scenario.config import ScenarioError
from control.scenario.suites import FIRST_HELD_OUT_SEED, HELD_OUT, SCENARIOS

__all__ = [
    "EPISODES_OF_A_FILE",
    "episodes_by_number",
    "episodes_text",
    "evaluation_seeds",
    "own_seeds",
    "seeds_of",
    "seeds_there_are",
]

SUITES = ("normal", "n1", "renewable_ramp", "shift")
EPISODES_OF_A_FILE = 20
# Evaluation seeds of scenarios without a suite of their own.
OWN_SCENARIO_SEEDS = FIRST_HELD_OUT_SEED + 100_000


def evaluation_seeds(scenario: str, n_episodes: int, first: int = 0) -> IntArray:
    """Seeds of n held-out episodes of a scenario, from number `first` on, [episode].

    Raises:
        ComparisonError: the suite has fewer episodes.
    """
    if scenario in HELD_OUT:
        seeds = HELD_OUT[scenario].seeds
        if first + n_episodes > len(seeds):
            raise ComparisonError(
                f"suite {scenario} has {len(seeds)} held-out episodes, not {first + n_episodes}; "
                "ask for fewer or start earlier"
            )
        return seeds[first : first + n_episodes]
    return OWN_SCENARIO_SEEDS + first + np.arange(n_episodes, dtype=np.int64)


def episodes_by_number(scenario: str, first: int, n_episodes: int | None = None) -> str:
    """Whose episodes these are, in words: held-out ones of a suite, or of another scenario ones that nobody trains on.

    Args:
        scenario: a suite by name, or any other scenario.
        first: number of the first episode.
        n_episodes: how many from there on; None is this one alone, and names it.
    """
    held_out = "held-out " if scenario in HELD_OUT else ""
    if n_episodes is None:
        told = f"{held_out}episode {first}"
    else:
        told = f"{n_episodes} {held_out}episode{'' if n_episodes == 1 else 's'} from number {first} on"
    kind, seeds = ("Suite", "") if held_out else ("Scenario", ", of seeds that no training draws")
    return f"{kind} {Path(scenario).name}, {told}{seeds}"


def seeds_of(suite: str, n_episodes: int | None, first: int, own: str | None = None) -> dict[str, list[int]]:
    """Held-out seeds by suite; `all` are the four suites with all their episodes.

    Args:
        suite: names with commas between them, paths of scenario files among them, or `all`.
        n_episodes: of each suite; all of them, or EPISODES_OF_A_FILE of a file, if None.
        first: number of the first episode in each suite.
        own: FIRST:COUNT, seeds of one's own in their stead, in any scenario; see `own_seeds`.

    Raises:
        ScenarioError: no suite has this name.
        ComparisonError: it has no episode of this number.
    """
    names = SUITES if suite == "all" else tuple(suite.split(","))
    found = {}
    mine = None if own is None else own_seeds(own)
    for name in names:
        if mine is not None and name in SCENARIOS:
            found[name] = mine
            continue
        if name not in HELD_OUT and not name.endswith(".toml"):
            raise ScenarioError(
                f"no suite is called {name!r}, expected {', '.join(HELD_OUT)}, all or a .toml file"
                + perhaps(name, (*HELD_OUT, "all"))
            )
        found[name] = mine or seeds_there_are(name, n_episodes, first).tolist()
    return found


def own_seeds(text: str) -> list[int]:
    """Seeds FIRST:COUNT for a study of one's own.

    Raises:
        ComparisonError: it is no such text, or reaches the seeds that are held out for the published suites.
    """
    first, _, count = text.partition(":")
    if not (first.isascii() and first.isdigit() and count.isascii() and count.isdigit() and int(count) > 0):
        raise ComparisonError(f"seeds {text!r}, expected FIRST:COUNT, such as 5000:40")
    if int(first) + int(count) > FIRST_HELD_OUT_SEED:
        raise ComparisonError(
            f"seeds {text} reach the held-out ones, which begin at {FIRST_HELD_OUT_SEED}; episodes of the published "
            "suites are named by --suite, --seed and --n_episodes"
        )
    return list(range(int(first), int(first) + int(count)))


def seeds_there_are(scenario: str, n_episodes: int | None, first: int = 0) -> IntArray:
    """Held-out seeds of a scenario, as many as are asked for or there are, [episode].

    Args:
        scenario: a suite by name, or any other scenario.
        n_episodes: all of a suite and EPISODES_OF_A_FILE of others if None.
        first: number of the first episode.

    Raises:
        ComparisonError: there is no episode of this number.
    """
    there = HELD_OUT[scenario].count - first if scenario in HELD_OUT else n_episodes or EPISODES_OF_A_FILE
    if there < 1:
        raise ComparisonError(f"suite {scenario} has no episode number {first}")
    return evaluation_seeds(scenario, min(n_episodes or there, there), first)


def episodes_text(seeds: Sequence[int]) -> str:
    """How many episodes these are, and whether they are held out."""
    held_out = seeds[0] >= FIRST_HELD_OUT_SEED
    told = f"{len(seeds)} {'held-out ' if held_out else ''}episode{'' if len(seeds) == 1 else 's'}"
    return told if held_out else f"{told} of seeds of one's own"
