"""Plays a hundred million steps of the reduced model and two million of the full one, and looks for what should not be.

python scripts/soak.py --json soak.json
python scripts/soak.py --full-steps 100000 --reduced-steps 1000000 --cases rogers --suites normal n1

All suites and training distributions are played on each grid, by agents that act at random and by trained ones: the
shipped policies on the 68-bus system, a tuned linear law on any other grid. Looked for: exceptions, numbers that are
not finite, frequency out of all bounds, limits of resources that are exceeded, memory that grows; on the full model
also power that does not balance at the end of an interval and energy that does not balance over an episode, of the
grid and of every plant. Exit status 1 if any is found; the rest is played nevertheless.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import command_line
import option_checks

if TYPE_CHECKING:
    from control.evaluation.rollout import Actor
    from control.scenario.config import ScenarioConfig
    from control.task.task import Physics
    from marl.environment.batch import GridBatch

PROGRAM = "soak.py"
LAW = "linear"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long, and what."""

    full_steps: int = 2_000_000
    """Environment steps of the full model in all, shared by grids, suites and actors; 0 leaves it out."""
    reduced_steps: int = 100_000_000
    """Those of the reduced model."""
    cases: tuple[str, ...] = ("rogers", "case39", "case118")
    """Grids, names or files (docs/own_grid.md)."""
    suites: tuple[str, ...] = (
        "normal", "n1", "renewable_ramp", "shift", "stress", "training", "training_n1", "training_ramp",
        "training_calm", "training_inertia", "training_delay", "training_wide", "training_energy",
    )  # fmt: skip
    """Suites to play, or files of your own."""
    policies: tuple[Path, ...] = tuple(sorted((command_line.ROOT / "marl" / "data").glob("*.pt")))
    """Model files of the trained agents of the 68-bus system, each of which plays everything."""
    full_envs: int = 16
    """Environments of a batch of the full model."""
    reduced_envs: int = 512
    """Those of the reduced model."""
    pool: int = 32
    """Episodes of each suite that are drawn for the reduced model, with other states of charge each time."""
    intervals: int | None = None
    """Length of an episode, if not the suite's own."""
    seed: int = 0
    """Of episodes and agents; stays clear of the held-out ranges."""
    max_growth_mb: float = 200.0
    """Memory that may be added once every environment of a batch has begun anew, or from one suite to the last."""
    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        for name in ("suites", "cases"):
            if not getattr(self, name):
                raise command_line.OptionError(f"--{name} names none, expected at least one")
        option_checks.require_at_least(
            self, full_steps=0, reduced_steps=0, full_envs=1, reduced_envs=1, pool=1, intervals=1, seed=0
        )
        if self.full_steps == self.reduced_steps == 0:
            raise command_line.OptionError("--full-steps 0 and --reduced-steps 0 leave nothing to play")
        if not self.max_growth_mb > 0.0:
            raise command_line.OptionError(f"--max-growth-mb {self.max_growth_mb:g}, expected > 0")


@dataclass(frozen=True)
class Seat:
    """Who acts on a grid."""

    name: str
    observation: str
    sit: Callable[[GridBatch], Actor[Any, Any]]  # in the environments of a batch


def seats(case: str, options: Options) -> list[Seat]:
    """Those who act on a grid: agents at random, and trained policies or a tuned law.

    Raises:
        OptionError: a policy is none, or of another grid.
    """
    from control.controllers.registry import BASELINES, is_tuned, make_baseline, stored_parameters
    from control.evaluation.contender import known
    from control.evaluation.soak import RestlessAgents
    from control.scenario.task_grid import open_task_grid
    from marl.checkpoint import CheckpointError
    from marl.environment.expert import GridExpert
    from marl.environment.held_out import PolicyInGroups
    from marl.environment.trained_grid import OtherGrid, require_its_grid
    from marl.networks.policy import Policy

    grid = open_task_grid(case).case
    found = [
        Seat("random", "default", lambda batch: RestlessAgents(batch.groups, batch.n_env, [options.seed, 1]))
    ]
    if grid.setting.is_published:
        for path in options.policies:
            try:
                policy = Policy.load(path)
                require_its_grid(policy.metadata, grid, str(path))
            except (CheckpointError, OtherGrid, OSError) as error:
                raise command_line.OptionError(f"--policies: {error}") from error
            actor = PolicyInGroups(policy)
            observation = str(policy.metadata.get("observation", "default"))
            found.append(Seat(path.stem, observation, lambda batch, actor=actor: actor))  # type: ignore[misc]
        return found
    # A law of shares of ranges and ramps fits any grid: where none has been tuned for this one, that of the 68 buses.
    baseline, stored = BASELINES[LAW], stored_parameters(LAW, grid if is_tuned(LAW, grid) else None)
    assert baseline.parameters is not None
    numbers = baseline.parameters(stored["parameters"])

    def law(place: Any) -> Any:
        return make_baseline(LAW, place.description, place.n_env, numbers)

    contender = replace(known(LAW), builders=(law,))
    return [*found, Seat(LAW, baseline.observation, lambda batch: GridExpert(contender, batch))]


@dataclass(frozen=True)
class Game:
    """What is played: one scenario of one grid in one model, by one actor."""

    physics: Physics
    case: str
    suite: str
    scenario: ScenarioConfig
    seat: Seat

    @property
    def names(self) -> dict[str, str]:
        """Of its row."""
        return {"model": self.physics, "grid": self.case, "suite": self.suite, "actor": self.seat.name}


def games(options: Options) -> list[Game]:
    """All that is played, suite by suite.

    Raises:
        ScenarioError: there is no such suite on a grid. CaseDataError: there is no such grid.
        OptionError: see `seats`.
    """
    from control.scenario.file import scenario_named
    from control.scenario.task_grid import open_task_grid
    from control.task.task import Physics
    from marl.environment.hierarchy import HIERARCHY

    scenarios, seated = {}, {}
    for case in options.cases:
        for suite in options.suites:
            scenario = scenario_named(suite, open_task_grid(case).case)
            if options.intervals is not None:
                scenario = replace(scenario, n_intervals=options.intervals)
            scenarios[case, suite] = scenario
        seated[case] = seats(case, options)
    steps = {"full": options.full_steps, "reduced": options.reduced_steps}
    return [
        Game(physics, case, suite, scenarios[case, suite], seat)
        for physics in get_args(Physics)
        for suite in options.suites
        for case in options.cases
        for seat in seated[case]
        # Coordinators of areas see flows, of which the reduced model has none.
        if steps[physics] > 0 and not (physics == "reduced" and seat.observation == HIERARCHY)
    ]


def play(
    options: Options, to_play: Sequence[Game], intervals: dict[str, int], tick: Any
) -> Iterator[dict[str, Any]]:
    """Plays one game after the other; their rows. Batches are shared by actors of one game that see the same."""
    from control.evaluation.soak import soak_row
    from marl.environment.batch import make_batch

    of_which: tuple[str, ...] = ()
    batches: dict[str, GridBatch] = {}
    for game in to_play:
        if of_which != (game.physics, game.case, game.suite):
            of_which, batches = (game.physics, game.case, game.suite), {}
        full, seen = game.physics == "full", game.seat.observation
        if seen not in batches:
            batches[seen] = make_batch(
                game.scenario,
                options.full_envs if full else options.reduced_envs,
                options.seed,
                seen,
                case=game.case,
                physics=game.physics,
                pool=0 if full else options.pool,
            )
        row = soak_row(
            batches[seen],
            game.seat.sit(batches[seen]),
            intervals[game.physics],
            ", ".join(game.names.values()),
            tick,
            full=full,
            max_growth_mb=options.max_growth_mb,
        )
        if row["found"]:  # nobody knows how it stands now
            del batches[seen]
        yield game.names | row


def run(options: Options) -> dict[str, Any]:
    """Plays everything; rows and what they come to."""
    from control.evaluation import soak

    to_play = games(options)
    envs = {"full": options.full_envs, "reduced": options.reduced_envs}
    asked = {"full": options.full_steps, "reduced": options.reduced_steps}
    n_game = {physics: max(1, sum(game.physics == physics for game in to_play)) for physics in envs}
    intervals = {physics: -(-asked[physics] // (n_game[physics] * n_env)) for physics, n_env in envs.items()}
    rows: list[dict[str, Any]] = []
    began = time.perf_counter()
    total = sum(intervals[game.physics] * envs[game.physics] for game in to_play)
    with command_line.progress_bar(total, " steps", unit_scale=True) as bar:
        for row in play(options, to_play, intervals, bar.update):
            rows.append(row)
            bar.write(soak.in_words(row))
    by_model = {physics: soak.total([row for row in rows if row["model"] == physics]) for physics in envs}
    found = [row["found"] for row in rows if row["found"]]
    for physics, figures in by_model.items():
        growth_mb = figures.get("memory_growth_mb", 0.0)
        if growth_mb > options.max_growth_mb:
            found.append(f"{physics}: memory grew by {growth_mb:.0f} MB from the first suite to the last")
    seconds = time.perf_counter() - began
    steps = sum(row["steps"] for row in rows)
    print(f"{steps:,.0f} steps in {seconds:.0f} s: {'; '.join(found) or 'nothing found'}")
    return {"rows": rows, "total": by_model | {"seconds": seconds, "found": found}}


def run_and_keep(options: Options) -> int:
    """The exit status: whether anything was found."""
    content = run(options)
    command_line.write_json(options.json, content)
    return int(bool(content["total"]["found"]))


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 nothing found, 1 something found or not done, 2 wrong option, 130 stopped."""
    return command_line.run(
        PROGRAM, Options, run_and_keep, arguments,
        about=__doc__, writes=["json"], single_thread=True, stopped=command_line.NOTHING_WRITTEN,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
