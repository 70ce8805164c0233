"""Show what drives the grid: a year of load, wind and sun, the noise inside five minutes, and an episode.

python scripts/plot_scenario.py --out scenario.png
python scripts/plot_scenario.py --scenario n1 --seed 7 --json scenario.json
python scripts/plot_scenario.py --scenario my_evening.toml
python scripts/plot_scenario.py --commitment --json scenario.json

Prints a table, writes a picture.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
import option_checks
from command_line import OptionError

PROGRAM = "plot_scenario.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to show and where to write it."""

    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    scenario: str = "normal"
    """A suite or training distribution by name, or a .toml file of one's own."""
    seed: int = 0
    """Of the episode that is drawn."""
    episodes: int = 100
    """How many episodes the table's averages are taken over."""
    commitment: bool = False
    """Add a table of inertia and governors' gain over the year, by load level and share of wind and sun."""
    out: Path = Path("scenario.png")
    """Picture to write: .png, .svg or .pdf."""
    json: Path | None = None
    """File for the table's figures."""

    def __post_init__(self) -> None:
        option_checks.require_picture("out", self.out)
        option_checks.require_directory("json", self.json)
        option_checks.require_at_least(self, seed=0)
        if not 2 <= self.episodes <= 10_000:
            raise OptionError(f"--episodes {self.episodes}, expected 2 to 10000")


def show(options: Options) -> None:
    """Build the episodes, print the table, draw the picture.

    Raises:
        OptionError: the scenario is unknown or contradicts itself.
    """
    import numpy as np

    from cases.series import load_series
    from control.evaluation.commitment_year import commitment_year
    from control.evaluation.commitment_year import table as commitment_table
    from control.evaluation.scenario_pictures import draw
    from control.evaluation.scenario_statistics import scenario_figures, table
    from control.scenario.config import ScenarioError
    from control.scenario.episode import EpisodeBuilder
    from control.scenario.file import scenario_named
    from control.scenario.task_grid import open_task_grid
    from control.task.closed_loop import ClosedLoop

    case = open_task_grid(options.case).case
    try:
        config = scenario_named(options.scenario, case)
        series = load_series()
        loop = ClosedLoop(case, series, config, 1, check=False)
        found = scenario_figures(case, series, config, options.episodes)
    except ScenarioError as error:
        raise OptionError(str(error)) from error
    print("\n".join(table(found)))
    figures = found.summary()
    if options.commitment:
        year = commitment_year(case, EpisodeBuilder(case, series, config), loop.grid.config.governor)
        print("\n" + "\n".join(commitment_table(year)) + "\n")
        figures["commitment"] = year.summary()
    command_line.write_json(options.json, figures)
    # As an environment that is reset from this seed plays it: random outages that the grid could not stand drawn again.
    loop.reset(np.array([0]), [np.random.default_rng(options.seed)])
    draw(options.out, series, loop, found)
    print(f"picture    {options.out}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    first_line = str(__doc__).splitlines()[0]
    return command_line.run(PROGRAM, Options, show, arguments, about=first_line, writes=["out", "json"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
