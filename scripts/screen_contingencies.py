"""Screens every single outage of the grid (N-1), or a list of others, and ranks them, the worst first.

python scripts/screen_contingencies.py
python scripts/screen_contingencies.py --variant tr18 --engine pandapower --top 30 --json n1.json
python scripts/screen_contingencies.py --load-level 0.6 --wind 0.5 --sun 0.3 --plot n1.png
python scripts/screen_contingencies.py --page n1.html
python scripts/screen_contingencies.py --case case118 --pairs
python scripts/screen_contingencies.py --outages outages.txt
python scripts/screen_contingencies.py --case case39 --emergency-rating-percent 110 --reactive-limits on

Exit status 0 once the table is complete, whatever it says; 2 if the case cannot be read or solved.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import command_line
import option_checks
from command_line import OptionError

PROGRAM = "screen_contingencies.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to screen and where to write it."""

    variant: Literal["rogers", "tr18"] = "rogers"
    """rogers is the operating case, tr18 the one with a published solution."""
    case: str | None = None
    """A grid of your own instead: a .json of pandapower, .m or .mat of MATPOWER, a grid file .toml, or case39, ..."""
    dynamics: Path | None = None
    """Machine data of your own grid, a CSV: machine,base_mva,h_s,xd_pu,xd1_pu,rating_mva."""
    engine: Literal["newton", "lightsim2grid", "pandapower", "dc"] = "newton"
    """newton is quick, lightsim2grid a second opinion, pandapower the oracle (some 10 s), dc looks at loading only."""
    load_level: float = 1.0
    """Load as a share of nominal; machines and shunt reactors follow it."""
    wind: float = 0.0
    """Output of all wind plants as a share of their capacity."""
    sun: float = 0.0
    """Output of all photovoltaic plants as a share of their capacity."""
    emergency_rating_percent: float | None = None
    """Rating after an outage as a share of rate A, the normal one; else the case's rate B, or A where it has none."""
    reactive_limits: Literal["auto", "on", "off"] = "auto"
    """Hold machines to their reactive limits, and tell what that moves: auto does so on the 68-bus system and leaves a
    grid of your own as its own solver does, without; newton and pandapower only."""
    outages: Path | None = None
    """List to screen instead of single outages: one a line, elements lost at once joined by +, as 54-53 #2 + G11."""
    pairs: bool = False
    """Screen every pair of circuits (N-2) instead."""
    ray: str = ""
    """Share the outages out over a Ray cluster: local, auto or HOST:PORT (extra `ray`)."""
    top: int = 20
    """Number of outages listed."""
    json: Path | None = None
    """Write every outage to this file."""
    plot: Path | None = None
    """Draw the grid with its insecure outages marked: .png, .svg or .pdf."""

    page: Path | None = None
    """Write a page for the browser: choose an outage in the list, and the grid shows what is left."""

    @property
    def is_own(self) -> bool:
        """Whether it is another grid than the 68-bus system, by whatever name that is asked for."""
        from cases.ieee68 import variant_named

        return self.case is not None and variant_named(self.case) is None

    @property
    def holds_reactive_limits(self) -> bool:
        """Files' own solvers, `runpp` and `runpf`, enforce none unless asked to; a grid is taken as it solves there."""
        if self.reactive_limits == "auto":
            return not self.is_own and self.engine in ("newton", "pandapower")
        return self.reactive_limits == "on"

    def __post_init__(self) -> None:
        option_checks.require_directory("json", self.json)
        option_checks.require_page("page", self.page)
        if self.case and self.variant != "rogers":
            raise OptionError("--variant is of the 68-bus system: leave it out beside --case")
        option_checks.require_picture("plot", self.plot)
        if not 0.0 < self.load_level < 10.0:
            raise OptionError(
                f"--load-level {self.load_level}: expected a share of nominal load, such as 0.6"
            )
        for flag, share in (("--wind", self.wind), ("--sun", self.sun)):
            if not 0.0 <= share <= 1.0:
                raise OptionError(f"{flag} {share}: expected a share of capacity from 0 to 1")
        if self.outages is not None and self.pairs:
            raise OptionError("--outages and --pairs are two lists: leave one out")
        if self.outages is not None or self.pairs:
            if self.engine not in ("newton", "pandapower"):
                raise OptionError(
                    f"--engine {self.engine} screens single outages only: expected newton or pandapower"
                )
            if self.plot is not None:
                raise OptionError("--plot draws single outages: leave it out, or --outages and --pairs")
        if self.page is not None and (self.pairs or self.ray or self.engine == "dc"):
            raise OptionError(
                "--page shows voltages and flows of a list: leave out --pairs, --ray and --engine dc"
            )
        percent = self.emergency_rating_percent
        if percent is not None and not 100.0 <= percent < 1000.0:
            raise OptionError(
                f"--emergency-rating-percent {percent:g}: expected a share of the normal rating, 100 or more"
            )
        if self.reactive_limits == "on" and self.engine not in ("newton", "pandapower"):
            raise OptionError(
                f"--engine {self.engine} knows no reactive limits: expected newton or pandapower for them"
            )
        if self.ray and self.engine not in ("newton", "pandapower"):
            raise OptionError(
                f"--ray shares out what newton and pandapower solve: leave --engine {self.engine} out"
            )
        if self.top < 0:
            raise OptionError(f"--top {self.top}: expected 0 or more")


def screen(options: Options) -> None:
    """Screens, prints, writes and draws.

    Raises:
        OptionError: the case cannot be read, or has no solution before any outage.
    """
    from cases.arrays import CaseDataError
    from control.scenario.task_grid import open_as_it_is
    from grid_model.network.limits import with_emergency_rating
    from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged
    from grid_model.security import contingency, report
    from grid_model.security.outage import (
        UnknownOutage,
        circuit_pairs,
        outages_named,
        published_point,
        scaled_point,
    )
    from grid_model.security.shared_screen import shared_screen
    from marl.cluster.tasks import pool_on

    try:
        opened = open_as_it_is(options.case or options.variant, options.dynamics)
        for note in opened.notes:
            print(f"assumed: {note}")
        case = opened.case
        if not options.holds_reactive_limits:
            print(
                "assumed: machines give any reactive power, as runpp and runpf let them; see --reactive-limits"
            )
        if options.emergency_rating_percent is not None:
            case = with_emergency_rating(case, options.emergency_rating_percent)
        for flag, share, kind in (("--wind", options.wind, "wind"), ("--sun", options.sun, "pv")):
            if share > 0.0 and kind not in case.renewable.kind:
                raise OptionError(
                    f"{flag} {share:g}: {case.name} has no such plants in a screening, which takes a grid as its file "
                    f"has it; leave {flag} out"
                )
        if (options.load_level, options.wind, options.sun) == (1.0, 0.0, 0.0):
            point = published_point(case)
        else:
            point = scaled_point(case, load_level=options.load_level, wind=options.wind, sun=options.sun)
        outages = circuit_pairs(case) if options.pairs else None
        if options.outages is not None:
            try:
                outages = outages_named(case, options.outages.read_text(encoding="utf-8").splitlines())
            except UnicodeDecodeError as error:
                raise OptionError(
                    f"{options.outages} is not UTF-8 text (byte {error.start}), expected one outage a line, its "
                    "elements joined by +"
                ) from error
            except UnknownOutage as error:
                raise OptionError(f"{options.outages}: {error}") from error
        with pool_on(options.ray) as pool:
            screen_all = contingency.screen if pool is None else partial(shared_screen, pool)
            if options.page is not None:
                screen_all = partial(contingency.screen, with_states=True)
            free = screen_all(case, point, options.engine, outages)
            screening = free
            if options.holds_reactive_limits:
                screening = screen_all(case, point, options.engine, outages, opened.reactive_limits)
    except (CaseDataError, EngineMismatch, PowerFlowDiverged) as error:
        raise OptionError(str(error)) from error
    print("\n".join(report.table_lines(screening, options.top)))
    if screening is not free:
        print("\n".join(report.moved_lines(screening, free, options.top)))
    if options.json is not None:
        written = report.as_json(screening, free if screening is not free else None)
        command_line.write_json(options.json, written)
    if options.plot is not None:
        from grid_model.picture.outage_picture import draw_outages

        draw_outages(screening, options.plot)
        print(f"wrote {options.plot}")
    if options.page is not None:
        from control.evaluation.screening_page import ScreeningPageError, write_screening_page

        try:
            write_screening_page(options.page, screening)
        except ScreeningPageError as error:
            raise OptionError(str(error)) from error
        print(f"wrote {options.page}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 the table is complete, 1 no place for it, 2 no case, no solution or wrong option, 130 stopped."""
    description = (
        "Screens every single outage (N-1) or a list of others. Exit status: 0 the table is complete, 2 no case or no "
        "solution."
    )
    return command_line.run(
        PROGRAM,
        Options,
        screen,
        arguments,
        about=description,
        writes=["json", "plot", "page"],
        refused=(OSError,),
        failed=(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
