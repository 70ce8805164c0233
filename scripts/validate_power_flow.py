"""Proves the power flow: published solution, two engines, Kirchhoff's laws.

python scripts/validate_power_flow.py
python scripts/validate_power_flow.py --variant tr18 --buses --json validation.json
python scripts/validate_power_flow.py --case case118

Exit status 0 only if every check holds, 1 if one does not, 2 if the case cannot be read or solved.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from grid_model.validation.power_flow_checks import ValidationReport

PROGRAM = "validate_power_flow.py"
HEAVIEST = 5  # circuits listed


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to validate and where to write it."""

    variant: Literal["tr18", "rogers", "all"] = "all"
    """tr18 has a published solution, rogers is the operating case."""
    case: str | None = None
    """A grid of your own instead: a pandapower .json, a MATPOWER .m or .mat, or case39, case118, ..."""
    buses: bool = False
    """Print every bus."""
    json: Path | None = None
    """Write the figures to this file, one object a variant."""
    data: Path | None = None
    """Read the case's tables from this directory instead of the package's own."""


def main(arguments: Sequence[str]) -> int:
    import command_line

    description = (
        "Proves the power flow. Exit status: 0 every check holds, 1 one does not, 2 no case or no solution."
    )
    options = command_line.parse(Options, program=PROGRAM, description=description, arguments=arguments)
    if options.json is not None and not options.json.resolve().parent.is_dir():
        print(f"{PROGRAM}: error: --json {options.json}: its directory does not exist", file=sys.stderr)
        return 2
    # Imported here, so that --help and a wrong option are answered at once.
    from cases.arrays import CaseDataError
    from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged

    try:
        if options.case is not None:
            reports = {options.case: report_own(options.case)}
        else:
            variants = ("tr18", "rogers") if options.variant == "all" else (options.variant,)
            reports = {variant: report(variant, options.data) for variant in variants}
    except (CaseDataError, EngineMismatch, PowerFlowDiverged) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    for variant, result in reports.items():
        print_report(variant, result, options.buses)
    if options.json is not None:
        try:
            figures = {variant: result.summary() for variant, result in reports.items()}
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
        except OSError as error:
            print(f"{PROGRAM}: error: --json {options.json}: {error.strerror}", file=sys.stderr)
            return 2
    return 0 if all(result.all_hold for result in reports.values()) else 1


def report(variant: str, directory: Path | None) -> ValidationReport:
    """Load a variant and validate it, against the published table where it has one."""
    from cases.arrays import CaseDataError
    from cases.ieee68 import DATA_DIRECTORY, load_ieee68, load_published_solution
    from grid_model.validation.power_flow_checks import Published, validate

    directory = DATA_DIRECTORY if directory is None else directory
    case = load_ieee68(variant, directory)
    if variant != "tr18":
        return validate(case)
    table = load_published_solution(directory)
    if sorted(table.bus_number) != sorted(case.bus.bus_number):
        raise CaseDataError(
            "published_solution_tr18.csv: its buses are not those of bus.csv, expected one row a bus."
        )
    row = [int((table.bus_number == number).argmax()) for number in case.bus.bus_number]
    return validate(case, Published(vm_pu=table.vm_pu[row], va_degree=table.va_degree[row]))


def report_own(source: str) -> ValidationReport:
    """Validate a grid of the user's own, after saying what had to be assumed for it."""
    from grid_model.power_flow.open_case import open_grid
    from grid_model.validation.power_flow_checks import validate

    opened = open_grid(source)
    for note in opened.notes:
        print(f"assumed: {note}")
    return validate(opened.case)


def print_report(variant: str, result: ValidationReport, buses: bool) -> None:
    """The summary of one variant, after its bus table if asked for."""
    case = result.case
    number = case.bus.bus_number
    print(f"== {variant}: {case.n_bus} buses, {case.n_branch} circuits, single slack {slack_name(result)}")
    if buses:
        print_buses(result)
    low, high = int(result.vm_pu.argmin()), int(result.vm_pu.argmax())
    outside = int(((result.vm_pu < case.bus.vm_min_pu) | (result.vm_pu > case.bus.vm_max_pu)).sum())
    generation_mw = result.total_load_mw + result.losses_mw
    print(f"   load        {result.total_load_mw:10.1f} MW {result.total_load_mvar:10.1f} Mvar")
    print(f"   generation  {generation_mw:10.1f} MW")
    print(f"   losses      {result.losses_mw:10.1f} MW  ({100.0 * result.losses_mw / generation_mw:.2f} %)")
    print(f"   slack       {result.slack_p_mw:10.1f} MW {result.slack_q_mvar:10.1f} Mvar")
    print(
        f"   voltage     {result.vm_pu[low]:.4f} pu at bus {number[low]} to {result.vm_pu[high]:.4f} pu "
        f"at bus {number[high]}; {outside} buses outside their band"
    )
    heaviest = ", ".join(
        f"{case.branch.name[k]} {result.loading_percent[k]:.1f} %" for k in result.heaviest(HEAVIEST)
    )
    whose = " (ratings are this project's own)" if case.name.startswith("ieee68") else ""
    print(f"   heaviest    {heaviest} of rate A{whose}")
    for check in result.checks:
        print(
            f"   {'ok    ' if check.holds else 'FAILED'}      {check.what} {check.value:.2e} {check.unit}, "
            f"limit {check.limit:.2e}"
        )


def print_buses(result: ValidationReport) -> None:
    """Voltage, angle and deviations of every bus."""
    published = result.published
    print("   bus  area     vm_pu   va_degree", end="")
    print("   published vm, va      dv_pu   dva_degree" if published else "", end="")
    print("   engine dv_pu  mismatch_mva")
    case = result.case
    for k, number in enumerate(case.bus.bus_number):
        area = case.area_names[int(case.bus.area[k])]
        line = f"   {number:3d}  {area:5s}  {result.vm_pu[k]:8.5f}  {result.va_degree[k]:9.4f}"
        if published is not None and result.dv_pu is not None and result.dva_degree is not None:
            line += f"   {published.vm_pu[k]:7.4f} {published.va_degree[k]:9.4f}"
            line += f"   {result.dv_pu[k]:8.1e}     {result.dva_degree[k]:8.1e}"
        print(f"{line}   {result.engine_dv_pu[k]:12.1e}  {result.mismatch_mva[k]:12.1e}")


def slack_name(result: ValidationReport) -> str:
    """Name and bus number of the slack machine."""
    machine = result.case.machine
    bus = machine.bus[machine.slack_machine]
    return f"{machine.name[machine.slack_machine]} at bus {result.case.bus.bus_number[bus]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
