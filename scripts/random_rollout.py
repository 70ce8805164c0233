"""Plays one episode with random agents and describes the environment: agents, observations, state, reward.

Needs no training. Writes a picture of the episode, test_results.png by default.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line

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
    import numpy as np
    from tqdm import tqdm

    from control.evaluation.episode_pictures import draw_overview_of, terms_of_reward
    from control.evaluation.grid_record import Traces
    from control.evaluation.rollout import rollout
    from marl.environment.batch import make_batch
    from marl.environment.held_out import RandomAgents
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
        condition = ""

        def tick() -> None:
            nonlocal condition
            bar.update()
            # A batch starts anew at the end of an episode, so the last interval before it is told.
            if batch.loop.interval[0] > 0:
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
    title = f"random agents, scenario {scenario.name}, seed {options.seed}"
    draw_overview_of(options.out, record, case, title)
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
