"""Plays one episode with random agents and describes the environment: agents, observations, state, reward.

Needs no training. Writes a picture of the episode, test_results.png by default.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import command_line
import option_checks

PROGRAM = "random_rollout.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which episode."""

    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    scenario: str = "training"
    """Suite, training distribution or path of a scenario file."""
    seed: int = 0
    """Seed of the episode and of the agents."""
    level: Literal["machine", "area", "system"] = "area"
    """Level of aggregation of the frequency model."""
    observation: Literal["default", "extended", "memory", "telemetry", "areas", "hierarchy"] = "default"
    """What an agent observes: default (15 numbers), extended (18), memory (22), or the default ones and telemetry of
    all plants or of its area; hierarchy has coordinators of areas besides."""
    out: Path = Path("test_results.png")
    """Picture to write: .png, .svg or .pdf."""

    def __post_init__(self) -> None:
        option_checks.require_ending("out", self.out, option_checks.PICTURES)
        option_checks.require_at_least(self, seed=0)


def run(options: Options) -> None:
    """Describes, plays and draws."""
    import numpy as np

    from control.evaluation.episode_pictures import draw_overview_of, terms_of_reward
    from control.evaluation.grid_record import Traces
    from control.evaluation.rollout import rollout
    from marl.environment.batch import make_batch
    from marl.environment.held_out import RandomAgents
    from marl.environment.render import describe, describe_task

    batch = make_batch(
        options.scenario,
        1,
        observation=options.observation,
        case=options.case,
        level=options.level,
        auto_reset=False,
    )
    print(describe_task(batch.task))
    with command_line.progress_bar(batch.scenario.n_intervals) as bar:
        condition = ""

        def tick() -> None:
            nonlocal condition
            bar.update()
            condition = describe(batch.task, 0)

        agents = RandomAgents(batch.groups, batch.n_env, (options.seed, 1))
        record = rollout(agents, batch, np.array([options.seed]), Traces, tick)
    terms = terms_of_reward(record)
    print(
        f"\nEpisode of seed {options.seed}: {record.n_played[0]} intervals, return {record.returns[0]:,.0f}"
    )
    for name, values in terms.items():
        print(f"  {name:12s}{values.sum():16,.1f}")
    for time_s, words in record.happened():
        print(f"  at {time_s:6.1f} s: {words}")
    print(condition)
    title = f"{batch.case.name}, random agents, scenario {batch.scenario.name}, seed {options.seed}"
    draw_overview_of(options.out, record, batch.case, title)
    print(f"Picture: {options.out}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, run, arguments, about=__doc__, writes=["out"], stopped=command_line.NOTHING_WRITTEN
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
