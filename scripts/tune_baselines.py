"""Tunes the baselines on training seeds and keeps the results as data in control/data.

Each baseline is tuned by CMA-ES on the reduced model; the candidates of a generation play the same episodes side by
side. What is found is judged in the full simulator, and the better of start and result is kept. A run that was
interrupted goes on where it stopped. Held-out seeds are never touched: every seed is checked.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import command_line
import option_checks
from cases.nearest_name import perhaps
from command_line import ROOT

PROGRAM = "tune_baselines.py"
ORDER = (
    "agc",
    "agc_forecast",
    "area_agc",
    "local_pi",
    "linear",
    "linear_extended",
    "linear_bess",
    "linear_memory",
    "linear_wide",
    "mpc",
)
LONGEST = 4000  # intervals, ten times the usual: four hours and a half of the grid
FULL_ONLY = ("area_agc",)  # sees flows over ties, of which the reduced model has none


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to tune, and for how long."""

    only: tuple[str, ...] = tuple(name for name in ORDER if name not in FULL_ONLY)
    """Baselines to tune, from agc, agc_forecast, local_pi, linear, linear_extended, linear_bess, linear_memory,
    linear_wide, mpc; and area_agc, which takes --physics full."""
    case: str = ""
    """Grid to tune for, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    physics: Literal["full", "reduced"] = "reduced"
    """Simulator that candidates are played in; what is found is judged in the full one."""
    scenario: str = ""
    """Training distribution the episodes come from; by default training_energy, for linear_wide training_wide."""
    n_intervals: int = 400
    """Length of an episode while tuning."""
    candidates: int | None = None
    """Candidates of a generation; by default 24, of mpc 8."""
    seeds: int | None = None
    """Episodes a candidate plays in a generation; by default 16, of mpc 8."""
    generations: int | None = None
    """Generations of each baseline; by default enough for its number of parameters."""
    seed: int = 0
    """Of the search."""
    validation_episodes: int = 64
    """Episodes of full length on which the result is measured at the end, from the validation seeds."""
    workers: int = 1
    """Processes, or tasks of --ray, that share the candidates."""
    ray: str = ""
    """Share the candidates out over a Ray cluster: local, auto or HOST:PORT (extra `ray`)."""
    state: Path = Path("runs/tuning")
    """Where the state of the search is kept for going on later."""
    out: Path | None = None
    """Where the results go; by default where controllers look for them: control/data, of other grids runs/tuned."""
    restart: bool = False
    """Forget the state of an earlier search."""
    refine: bool = False
    """Start from the stored parameters, closely around them, instead of from the simpler baselines."""
    replace: bool = False
    """Take what is found also where the stored parameters return more on the validation episodes."""

    def __post_init__(self) -> None:
        option_checks.require_at_least(
            self,
            n_intervals=1,
            candidates=4,
            seeds=1,
            generations=1,
            seed=0,
            validation_episodes=1,
            workers=1,
        )
        option_checks.require_at_most(
            self, "a generation is told of when all of it is played, hours later", n_intervals=LONGEST
        )
        option_checks.require_at_most(
            self,
            "all episodes of a generation are in memory side by side",
            candidates=1000,
            seeds=1000,
            validation_episodes=1000,
        )
        option_checks.require_at_most(self, "more processes than processors only wait", workers=256)
        unknown = [name for name in self.only if name not in ORDER]
        if unknown or not self.only:
            named = repr(unknown[0]) if unknown else "none"
            meant = perhaps(unknown[0], ORDER) if unknown else ""
            raise command_line.OptionError(f"unknown baseline {named}, expected of {', '.join(ORDER)}{meant}")
        if self.physics == "reduced" and (full := [name for name in self.only if name in FULL_ONLY]):
            raise command_line.OptionError(
                f"{full[0]} sees flows over ties, of which the reduced model has none: tune it with --physics full"
            )


def search(options: Options) -> None:
    """Every search from where it stands to its end."""
    from cases.ieee68 import variant_named
    from control.controllers.registry import tuned_directory
    from control.evaluation.tuning import Plan, tune
    from control.scenario.file import scenario_named
    from control.scenario.task_grid import PUBLISHED, open_task_grid
    from marl.environment.contenders import MakeTrainingGrid

    case = open_task_grid(options.case).case
    if options.scenario:
        scenario_named(options.scenario, case)  # before the bar: a wrong one is told in one line
    chosen = [name for name in ORDER if name in options.only]
    own = tuned_directory(case)  # of a grid that is not the 68-bus system
    is_own = options.case != "" and variant_named(options.case) != PUBLISHED
    places = {
        "out": options.out or (own if is_own else ROOT / "control" / "data"),
        "state": options.state / own.name if is_own else options.state,
    }
    for name, place in places.items():
        option_checks.require_folder(name, place)
    plan = Plan(
        **{field.name: places.get(field.name, getattr(options, field.name)) for field in fields(Plan)}
    )
    with players(options) as pool:
        total = sum(plan.n_generation(name) for name in chosen)
        from tqdm import tqdm

        with tqdm(total=total, unit="generation", mininterval=5.0) as bar:  # in a log as well: hours

            def tell(n: int, text: str) -> None:
                bar.set_postfix_str(text)
                bar.update(n)

            for name in chosen:
                make = MakeTrainingGrid(options.case, options.physics)
                judged = MakeTrainingGrid(options.case)
                print(tune(name, plan, make, pool, tell, case=case, make_judged=judged))


@contextlib.contextmanager
def players(options: Options) -> Iterator[Executor | None]:
    """Who plays the candidates: a cluster, processes of this machine, or None where they are played here.

    Raises:
        WorkFailed: one of the processes died.
    """
    if options.ray:
        from marl.cluster.tasks import pool_on

        with pool_on(options.ray) as tasks:
            yield tasks
        return
    from cases.processes.ending import process_pool

    pool = process_pool(options.workers) if options.workers > 1 else None
    try:
        yield pool
    except BrokenExecutor as error:
        raise command_line.WorkFailed(
            "a worker process died in the middle of an episode, as where memory is short; the same command goes on "
            "from the last generation"
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    stopped = "stopped; the same command goes on from here"
    # Processes share the work, not threads.
    return command_line.run(
        PROGRAM, Options, search, arguments, about=__doc__, single_thread=True, stopped=stopped
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
