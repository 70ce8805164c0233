"""Screens every single outage of the grid (N-1) and ranks them, the worst first.

python scripts/screen_contingencies.py
python scripts/screen_contingencies.py --variant tr18 --engine pandapower --top 30 --json n1.json
python scripts/screen_contingencies.py --load-level 0.6 --wind 0.5 --sun 0.3 --plot n1.png
python scripts/screen_contingencies.py --case case118

Exit status 0 once the table is complete, whatever it says; 2 if the case cannot be read or solved.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from grid_model.security.verdict import OutageResult, Screening

PROGRAM = "screen_contingencies.py"
SUFFIXES = (".png", ".svg", ".pdf")
# Worst first; colours that differ in grey as well.
MARKS = {
    "diverged": ("X", "#7a0177", "no solution after this loss (drawn as 100 %)"),
    "violated": ("D", "#d95f0e", "a limit is broken after this loss"),
    "secure": ("o", "#fed976", "cuts buses off, the rest is secure"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to screen and where to write it."""

    variant: Literal["rogers", "tr18"] = "rogers"
    """rogers is the operating case, tr18 the one with a published solution."""
    case: str | None = None
    """A grid of your own instead: a pandapower .json, a MATPOWER .m or .mat, or case39, case118, ..."""
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
    top: int = 20
    """Number of outages listed."""
    json: Path | None = None
    """Write every outage to this file."""
    plot: Path | None = None
    """Draw the grid with its insecure outages marked: .png, .svg or .pdf."""


def main(arguments: Sequence[str]) -> int:
    import command_line

    description = (
        "Screens every single outage (N-1). Exit status: 0 the table is complete, 2 no case or no solution."
    )
    options = command_line.parse(Options, program=PROGRAM, description=description, arguments=arguments)
    mistake = what_is_wrong(options)
    if mistake is not None:
        print(f"{PROGRAM}: error: {mistake}", file=sys.stderr)
        return 2
    # Imported here, so that --help and a wrong option are answered at once.
    from cases.arrays import CaseDataError
    from grid_model.power_flow.open_case import open_grid
    from grid_model.power_flow.solution import EngineMismatch, PowerFlowDiverged
    from grid_model.security.contingency import screen
    from grid_model.security.outage import published_point, scaled_point

    try:
        opened = open_grid(options.case or options.variant, options.dynamics)
        case = opened.case
        for note in opened.notes:
            print(f"assumed: {note}")
        if (options.load_level, options.wind, options.sun) == (1.0, 0.0, 0.0):
            point = published_point(case)
        else:
            point = scaled_point(case, load_level=options.load_level, wind=options.wind, sun=options.sun)
        screening = screen(case, point, options.engine)
        print_table(screening, options.top)
        if options.json is not None:
            options.json.write_text(json.dumps(as_json(screening), indent=2) + "\n")
        if options.plot is not None:
            draw(screening, options.plot)
            print(f"wrote {options.plot}")
    except (CaseDataError, EngineMismatch, PowerFlowDiverged) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{PROGRAM}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def what_is_wrong(options: Options) -> str | None:
    """The first option that cannot be followed, before any work is done."""
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and not path.resolve().parent.is_dir():
            return f"{flag} {path}: its directory does not exist"
    if options.plot is not None and options.plot.suffix.lower() not in SUFFIXES:
        return (
            f"--plot {options.plot}: ends in {options.plot.suffix!r}, expected one of {', '.join(SUFFIXES)}"
        )
    if not 0.0 < options.load_level < 10.0:
        return f"--load-level {options.load_level}: expected a share of nominal load, such as 0.6"
    for flag, share in (("--wind", options.wind), ("--sun", options.sun)):
        if not 0.0 <= share <= 1.0:
            return f"{flag} {share}: expected a share of capacity from 0 to 1"
    if options.top < 0:
        return f"--top {options.top}: expected 0 or more"
    return None


def print_table(screening: Screening, top: int) -> None:
    """Base case, ranked outages, totals and bridges."""
    case, base, ranked = screening.case, screening.base, screening.ranked()
    print(f"== {case.name}, engine {screening.engine}: {len(screening.results)} outages")
    print(f"   base case: {condition_text(base)}; {len(base.violations)} limits broken (rate A)")
    if top:
        print(
            "   rank  element    kind         verdict    rest      worst branch after it (rate B)   voltages"
        )
    for rank, result in enumerate(ranked[:top], start=1):
        outage = result.outage
        print(f"   {rank:4d}  {outage.name:9s}  {outage.kind:11s}  {result.verdict:9s}  {details(result)}")
    count = screening.count()
    print(
        "   totals: " + ", ".join(f"{count[v]} {v}" for v in ("secure", "violated", "islanded", "diverged"))
    )
    rest = [result for result in ranked if result.verdict == "islanded" and result.rest != "secure"]
    if rest:
        print("   of the islanded, not secure: " + ", ".join(f"{r.outage.name} {r.rest}" for r in rest))
    print("   bridges: " + ", ".join(f"{a}-{b}" for a, b in screening.bridges))


def condition_text(condition: Any) -> str:
    """Worst branch and voltage extremes of a state."""
    text = f"{condition.worst_branch:9s} {condition.worst_loading_percent:6.1f} %"
    if condition.vm_min_pu is not None:
        low = f"{condition.vm_min_pu:.3f} at {condition.vm_min_bus}"
        text += f"   {low} to {condition.vm_max_pu:.3f} at {condition.vm_max_bus}"
    return text


def details(result: OutageResult) -> str:
    """What is left and what is lost."""
    text = f"{result.rest:8s}  "
    if result.condition is None:
        text += "no solution from any start, nor by pandapower"
    else:
        text += condition_text(result.condition)
        kinds = {"loading_percent": "overloaded", "vm_min_pu": "low", "vm_max_pu": "high"}
        for limit, word in kinds.items():
            elements = [v.element for v in result.condition.violations if v.limit == limit]
            if elements:
                text += f"; {word}: {', '.join(elements[:3])}{' ...' if len(elements) > 3 else ''}"
    if result.lost_load_mw or result.lost_generation_mw:
        text += f"; lost {result.lost_generation_mw:.0f} MW generation, {result.lost_load_mw:.0f} MW load"
    return text


def as_json(screening: Screening) -> dict[str, Any]:
    """Every outage as a flat object."""
    outages = []
    for result in screening.results:
        condition, outage = result.condition, result.outage
        outages.append(
            {
                "element": outage.name,
                "kind": outage.kind,
                "from_bus": outage.from_bus_number,
                "to_bus": outage.to_bus_number,
                "verdict": result.verdict,
                "rest": result.rest,
                "worst_branch": condition.worst_branch if condition else None,
                "worst_loading_percent": condition.worst_loading_percent if condition else None,
                "vm_min_pu": condition.vm_min_pu if condition else None,
                "vm_min_bus": condition.vm_min_bus if condition else None,
                "vm_max_pu": condition.vm_max_pu if condition else None,
                "vm_max_bus": condition.vm_max_bus if condition else None,
                "violations": [
                    {"limit": v.limit, "element": v.element, "value": v.value, "allowed": v.allowed}
                    for v in (condition.violations if condition else ())
                ],
                "islanded_buses": list(result.islanded_bus_numbers),
                "lost_load_mw": result.lost_load_mw,
                "lost_generation_mw": result.lost_generation_mw,
                "solved_by": result.solved_by,
            }
        )
    return {
        "case": screening.case.name,
        "engine": screening.engine,
        "base": {
            "worst_branch": screening.base.worst_branch,
            "worst_loading_percent": screening.base.worst_loading_percent,
            "vm_min_pu": screening.base.vm_min_pu,
            "vm_max_pu": screening.base.vm_max_pu,
            "violations": [v.element for v in screening.base.violations],
        },
        "totals": dict(screening.count()),
        "outages": outages,
        "bridges": [list(ends) for ends in screening.bridges],
    }


def draw(screening: Screening, path: Path) -> None:
    """The grid, circuits coloured by the worst loading after their loss, insecure outages marked."""
    import numpy as np
    from matplotlib.figure import Figure

    from grid_model.picture.network_picture import NETWORK_FIGSIZE, draw_network

    case = screening.case
    loading = np.full(case.n_branch, 100.0)
    circuits: dict[str, list[tuple[float, float]]] = {rest: [] for rest in MARKS}
    machines: dict[str, list[tuple[float, float]]] = {rest: [] for rest in MARKS}
    for result in screening.results:
        row = result.outage.row
        if result.outage.kind == "machine" and result.verdict != "secure":
            bus = case.machine.bus[row]
            machines[result.rest].append((float(case.bus.x[bus]), float(case.bus.y[bus])))
        elif result.outage.kind in ("line", "transformer"):
            if result.condition is not None:
                loading[row] = result.condition.worst_loading_percent
            if result.verdict != "secure":
                ends = np.array([case.branch.from_bus[row], case.branch.to_bus[row]])
                circuits[result.rest].append((float(case.bus.x[ends].mean()), float(case.bus.y[ends].mean())))
    whose = ", ours" if case.name.startswith("ieee68") else ""
    figure = Figure(figsize=NETWORK_FIGSIZE)
    axes = draw_network(
        case,
        figure,
        loading_percent=loading,
        loading_label=f"worst loading anywhere after losing this circuit [% of rate B{whose}]",
        title=f"{case.name}: single outages that leave the grid insecure or cut buses off",
    )
    for rest, (marker, color, label) in MARKS.items():
        if circuits[rest]:
            x, y = np.array(circuits[rest]).T
            axes.scatter(x, y, s=90, marker=marker, c=color, edgecolors="white", zorder=20, label=label)
        if machines[rest]:  # a ring, so that the bus number stays legible
            x, y = np.array(machines[rest]).T
            axes.scatter(
                x, y, s=900, marker="o", facecolors="none", edgecolors=color, linewidths=3.0, zorder=20
            )
    axes.legend(
        loc="lower left", fontsize=10, framealpha=0.95, title="loss of a circuit; ring: of the machine"
    )
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
