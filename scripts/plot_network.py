"""Draw the grid: buses by voltage or frequency, circuits by loading, areas, ties and plants marked.

python scripts/plot_network.py --out grid.png
python scripts/plot_network.py --variant tr18 --out published.svg
python scripts/plot_network.py --outage "54-53 #2" 21-68 --load-level 0.9 --out n2.png
python scripts/plot_network.py --color frequency --outage G11 --time-s 0.8 --out wave.png

Exit status 2 if an option is wrong or the power flow has no solution.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import command_line
import option_checks
from command_line import OptionError

PROGRAM = "plot_network.py"
STEP_S = 0.02  # of the integration


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to draw and where to write it."""

    variant: Literal["rogers", "tr18"] = "rogers"
    """rogers is the operating case, tr18 the one with a published solution."""
    case: str | None = None
    """A grid of your own instead: a .json of pandapower, .m or .mat of MATPOWER, a grid file .toml, or case39, ..."""
    dynamics: Path | None = None
    """Machine data of a grid that comes without, as CSV; stated defaults otherwise."""
    color: Literal["voltage", "frequency"] = "voltage"
    """Colour of the buses: voltage of the state with the outages, or frequency some time after they happened."""
    time_s: float | None = None
    """Time after the outages at which the frequency is shown, a multiple of 0.02 s; with --color frequency, 1 s by
    default."""
    load_level: float = 1.0
    """Load and machine power as a share of nominal; shunt reactors follow it."""
    outage: tuple[str, ...] | None = None
    """Circuits and machines that are lost, by name: "54-53 #2" or G11."""
    out: Path = Path("grid.png")
    """Picture to write: .png, .svg or .pdf."""
    dpi: int = 150
    """Resolution of a PNG."""

    def __post_init__(self) -> None:
        option_checks.require_picture("out", self.out)
        if self.case and self.variant != "rogers":
            raise OptionError("--variant is of the 68-bus system: leave it out beside --case")
        if not 0.0 < self.load_level <= 2.0:
            raise OptionError(f"--load-level {self.load_level:g}, expected more than 0 and at most 2")
        if self.outage is not None and not any(self.outage):
            raise OptionError("--outage names none, expected circuits and machines by name: --outage G11")
        if self.time_s is not None:
            if self.color != "frequency":
                raise OptionError(
                    f"--time-s {self.time_s:g} is of --color frequency: add it, or leave --time-s out"
                )
            if not 0.0 < self.time_s <= 60.0:
                raise OptionError(f"--time-s {self.time_s:g}, expected more than 0 and at most 60 s")
            steps = self.time_s / STEP_S
            if abs(steps - round(steps)) > 1e-9 * steps:
                raise OptionError(f"--time-s {self.time_s:g}, expected a multiple of {STEP_S:g} s")
        if not 20 <= self.dpi <= 1000:
            raise OptionError(f"--dpi {self.dpi}, expected 20 to 1000")
        if self.color == "frequency" and not self.outage:
            raise OptionError(
                "--color frequency shows what an outage does to the frequency: name one by --outage"
            )


def published(options: Options) -> str | None:
    """Which variant of the 68-bus system is asked for, by whatever name; None for a grid of one's own."""
    from cases.ieee68 import variant_named

    return options.variant if options.case is None else variant_named(options.case)


def draw(options: Options) -> None:
    """Solve, draw, and say in a few lines what the picture shows.

    Raises:
        OptionError: the grid cannot be read, or an element is unknown.
    """
    from cases.arrays import CaseDataError
    from control.scenario.task_grid import open_as_it_is, open_task_grid
    from grid_model.picture.state_picture import draw_outages
    from grid_model.power_flow.solution import PowerFlowDiverged
    from grid_model.security.outage_state import UnknownElement

    try:
        source = options.case or options.variant
        # A grid file says what stands on the grid: it is drawn with its plants.
        with_plants = source.endswith(".toml") and options.dynamics is None
        opened = open_task_grid(source) if with_plants else open_as_it_is(source, options.dynamics)
    except (CaseDataError, OSError) as error:
        raise OptionError(str(error)) from error
    for note in opened.notes:
        print(f"assumed   {note}")
    # As a re-dispatch would begin to set the reactors at this load; all of an own grid's.
    lost, variant = options.outage or (), published(options)
    time_s = 1.0 if options.time_s is None else options.time_s
    at_level = min(1.0, max(0.0, (1.0 - options.load_level) / 0.6))
    try:
        lines = draw_outages(
            options.out,
            opened.case,
            lost,
            load_level=options.load_level,
            reactor_share=opened.case.base_reactor_share if variant is None else at_level,
            time_s=time_s if options.color == "frequency" else None,
            # The published solution of tr18 leaves the imbalance to one machine; operation shares it by rating.
            single_slack=variant == "tr18",
            whose="its" if variant is None else "this project's",
            dpi=options.dpi,
        )
    except UnknownElement as error:
        raise OptionError(f"--outage {error}") from error
    except PowerFlowDiverged as error:
        raise OptionError(f"{error}: {', '.join(lost) or 'nothing'}") from error
    except ValueError as error:
        raise OptionError(f"--time-s {time_s:g}: {error}") from error
    print("\n".join(lines))
    print(f"wrote     {options.out}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 drawn, 2 wrong option or no solution, 130 stopped."""
    first_line = str(__doc__).splitlines()[0]
    return command_line.run(
        PROGRAM, Options, draw, arguments, about=first_line, writes=["out"], failed=(OSError,)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
