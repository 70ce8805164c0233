"""A held-out episode of the grid, played by controllers: several as a page for a browser, one as a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from control.evaluation import episode_page, video
from control.evaluation.contender import Contender
from control.evaluation.episode_page import Player
from control.scenario.config import ScenarioConfig
from grid_model.dynamics.parameters import Level
from marl.environment.batch import GridBatch, make_batch

__all__ = ["play_to_page", "play_to_video"]

NARROW_MHZ = 200.0  # of the aim of the task, beside the limit


def play_to_page(
    path: Path,
    contenders: Sequence[Contender],
    scenario: str | ScenarioConfig,
    seed: int,
    *,
    case: str = "",
    level: Level = "area",
    title: str,
    subtitle: str = "",
    progress: Callable[[int], Any],
) -> list[Player]:
    """Play an episode by each contender and write it as one page.

    Args:
        path: the HTML file.
        contenders: who plays.
        scenario: a suite by name, the path of a scenario file, or a configuration.
        seed: of the episode.
        case: name or file of the grid; the 68-bus system if empty.
        level: of aggregation of the frequency model.
        title: of the page.
        subtitle: what is played.
        progress: see `control.evaluation.episode_page.play`.

    Returns:
        Who has played, with the records.

    Raises:
        PageError: a contender plays nothing. ScenarioError: there is no such scenario.
    """
    make = partial(_still, scenario, case, level)
    players = episode_page.play(contenders, seed, make, progress)
    batch = make("default")
    episode_page.write_page(
        path,
        batch.case,
        players,
        range_mw=batch.loop.fleet.range_mw,
        limits_mhz=(NARROW_MHZ, 1e3 * batch.loop.limits.violation_hz),
        title=title,
        subtitle=subtitle,
    )
    return players


def play_to_video(
    path: Path,
    contender: Contender,
    scenario: str | ScenarioConfig,
    seed: int,
    *,
    case: str = "",
    level: Level = "area",
    title: str,
    n_frame: int | None = None,
    per_second: int = 20,
    progress: Callable[[int], Any],
) -> Player:
    """Play an episode and write it as a video.

    Args:
        path: `.gif` or `.mp4`.
        contender: who plays.
        scenario: see `play_to_page`, as the next three.
        seed: see there.
        case: see there.
        level: see there.
        title: above every picture.
        n_frame: pictures, spread evenly over the episode; one each interval if None.
        per_second: pictures a second.
        progress: see `control.evaluation.episode_page.play`.

    Raises:
        VideoError: this video cannot be made here; nothing has been played. PageError: the contender plays nothing.
        OutputError: the file cannot be written. ScenarioError: there is no such scenario.
    """
    video.require_video(path)
    make = partial(_still, scenario, case, level)
    (player,) = episode_page.play([contender], seed, make, progress)
    batch = make("default")
    frames = video.frames_of(
        batch.case, player.record, range_mw=batch.loop.fleet.range_mw, title=title, n_frame=n_frame
    )
    video.write_video(path, frames, per_second=per_second)
    return player


def _still(scenario: str | ScenarioConfig, case: str, level: Level, observation: str) -> GridBatch:
    """One environment that stands where its episode has ended."""
    return make_batch(scenario, 1, observation=observation, case=case, level=level, auto_reset=False)
