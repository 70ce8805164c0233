"""Proves the power flow: published solution, pandapower, lightsim2grid, Kirchhoff's laws.

python scripts/validate_power_flow.py
python scripts/validate_power_flow.py --variant tr18 --buses --json validation.json
python scripts/validate_power_flow.py --case case118
python scripts/validate_power_flow.py --all --json results/power_flow_grids.json

Exit status 0 only if every check holds, 1 if one does not, 2 if the case cannot be read or solved.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import command_line
import option_checks

PROGRAM = "validate_power_flow.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to validate and where to write it."""

    variant: Literal["tr18", "rogers", "all"] = "all"
    """tr18 has a published solution, rogers is the operating case."""
    case: str | None = None
    """A grid of your own instead: a .json of pandapower, .m or .mat of MATPOWER, a grid file .toml, or case39, ..."""
    all: bool = False
    """A table over the grids of pandapower instead: voltages against runpp, seconds and MB of each."""
    buses: bool = False
    """Print every bus."""
    json: Path | None = None
    """Write the figures to this file, one object a variant."""
    data: Path | None = None
    """Read the case's tables from this directory instead of the package's own."""

    def __post_init__(self) -> None:
        option_checks.require_directory("json", self.json)
        if self.case and self.variant != "all":
            raise command_line.OptionError("--variant is of the 68-bus system: leave it out beside --case")
        if self.data is not None and (self.case or self.all):
            raise command_line.OptionError(
                "--data holds tables of the 68-bus system: leave it out beside --case and --all"
            )
        if self.case and self.all:
            raise command_line.OptionError("--case is one grid, --all a table of many: leave one out")


def tabulate(options: Options) -> int:
    """Prints the table over pandapower's grids and writes it; 0 if every grid that pandapower solves holds."""
    from dataclasses import asdict

    from grid_model.validation.power_flow_table import HEADER, check_grids

    print(HEADER)
    rows = []
    for row in check_grids():
        print(row.line(), flush=True)
        rows.append(row)
    unsolved = [row for row in rows if "pandapower cannot solve it" in row.refused]
    print(
        f"{sum(row.holds for row in rows)} of {len(rows)} grids hold; pandapower does not solve {len(unsolved)}"
    )
    command_line.write_json(options.json, {row.name: asdict(row) for row in rows})
    return 0 if all(row.holds or row in unsolved for row in rows) else 1


def validate(options: Options) -> int:
    """Checks, prints and writes; the exit status.

    Raises:
        OptionError: there is no such case, or it has no solution.
    """
    if options.all:
        return tabulate(options)
    from cases.arrays import CaseDataError
    from control.scenario.task_grid import open_as_it_is
    from grid_model.power_flow.open_case import SolvedGrid, distance_to_net
    from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged
    from grid_model.validation import power_flow_checks
    from grid_model.validation.power_flow_report import report_lines

    try:
        if options.case is not None:
            opened = open_as_it_is(options.case)
            for note in opened.notes:
                print(f"assumed: {note}")
            distance_pu = None
            if isinstance(opened, SolvedGrid) and opened.net is not None:
                distance_pu = distance_to_net(opened.case, opened.v_pu, opened.net)
            reports = {options.case: power_flow_checks.validate(opened.case, source_dv_pu=distance_pu)}
        else:
            variants = ("tr18", "rogers") if options.variant == "all" else (options.variant,)
            reports = {name: power_flow_checks.validate_variant(name, options.data) for name in variants}
    except (CaseDataError, EngineMismatch, PowerFlowDiverged) as error:
        raise command_line.OptionError(str(error)) from error
    for variant, result in reports.items():
        print("\n".join(report_lines(variant, result, buses=options.buses)))
    command_line.write_json(options.json, {variant: result.summary() for variant, result in reports.items()})
    return 0 if all(result.all_hold for result in reports.values()) else 1


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 every check holds, 1 one does not, 2 no case, no solution or wrong option, 130 stopped."""
    about = (
        "Proves the power flow. Exit status: 0 every check holds, 1 one does not, 2 no case or no solution."
    )
    return command_line.run(
        PROGRAM, Options, validate, arguments, about=about, writes=["json"], refused=(OSError,), failed=()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
