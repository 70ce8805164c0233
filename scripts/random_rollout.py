"""Plays one episode with random agents and describes the environment: agents, observations, state, reward.

Needs no training. Writes a picture of the episode, test_results.png by default.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line

if TYPE_CHECKING:
    from marl.environment.batch import GridBatch

PROGRAM = "random_rollout.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which episode."""

    scenario: str = "training"
    """Suite, training distribution or path of a scenario file."""
    seed: int = 0
    """Seed of the episode and of the agents."""
    level: Literal["machine", "area", "system"] = "area"
    """Level of aggregation of the frequency model."""
    observation: str = "default"
    """What an agent observes: default (15 numbers) or extended (18)."""
    out: Path = Path("test_results.png")
    """Picture to write."""


def run(options: Options) -> None:
    """Describes, plays and draws."""
    from tqdm import tqdm

    from episode_pictures import Mark, draw_overview
    from marl.environment.batch import make_batch
    from marl.environment.episode_record import random_agents, record_episode
    from marl.environment.render import describe

    batch = make_batch(options.scenario, 1, observation=options.observation, level=options.level)
    case, scenario = batch.case, batch.scenario
    print(
        f"Case {case.name}: {case.n_bus} buses in {case.n_area} areas, {case.n_line} line circuits,", end=" "
    )
    print(
        f"{case.n_branch - case.n_line} transformers, {case.n_machine} machines, {case.n_load} loads,",
        end=" ",
    )
    print(f"{case.n_renewable} renewable plants ({case.renewable.p_max_mw.sum():.0f} MW).")
    print(
        f"Scenario {scenario.name}: {scenario.n_intervals} intervals of {scenario.interval_s:g} s,", end=" "
    )
    print(
        f"SCADA {scenario.scada_delay_intervals} intervals late, {scenario.outage_rate_per_h:g} outages an hour."
    )
    for group in batch.groups:
        rows = case.resource.of_kind(group.name)
        buses = ", ".join(str(case.bus.bus_number[b]) for b in case.resource.bus[rows])
        print(
            f"  {group.name:5s}{group.n_agent} agents at buses {buses}: {group.observation_size} observations, "
            f"set-point moves at most {batch.loop.fleet.step_mw[rows[0]]:.2f} MW an interval"
        )
    print(f"Critic's state: {batch.state_size} numbers. Actions in [-1, 1].")
    with tqdm(total=scenario.n_intervals, unit=" intervals", disable=not sys.stderr.isatty()) as bar:
        act = random_agents(batch, options.seed)

        condition = ""

        def count(grid: GridBatch) -> None:
            nonlocal condition
            bar.update()
            # A batch starts anew at the end of an episode, so the last interval before it is told.
            if grid.loop.interval[0] > 0:
                condition = describe(grid.task, 0)

        record = record_episode(act, batch, options.seed, count)
    print(
        f"\nEpisode of seed {options.seed}: {len(record.time_s)} intervals, return {record.reward.sum():,.0f}"
    )
    for name, values in record.terms.items():
        print(f"  {name:12s}{values.sum():16,.1f}")
    for time_s, words in record.marks:
        print(f"  at {time_s:6.1f} s: {words}")
    print(condition)
    draw_overview(
        options.out,
        record.time_s,
        df_hz=record.df_hz,
        p_mw=record.p_mw,
        kinds=case.resource.kind,
        loading_percent=record.loading_percent,
        branch_names=case.branch.name,
        terms=record.terms,
        f0_hz=case.f0_hz,
        marks=[Mark(time_s, words) for time_s, words in record.marks],
        title=f"random agents, scenario {scenario.name}, seed {options.seed}",
    )
    print(f"Picture: {options.out}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    try:
        command_line.require_writable("out", options.out)
        run(options)
    except (ValueError, OSError) as error:  # errors of case and scenario are ValueErrors of one line
        from control.scenario.config import ScenarioError

        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ScenarioError) else 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
