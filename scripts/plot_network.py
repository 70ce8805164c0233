"""Draw the grid: buses by voltage, circuits by loading, areas, ties and plants marked.

python scripts/plot_network.py --out grid.png
python scripts/plot_network.py --variant tr18 --out published.svg
python scripts/plot_network.py --outage G11 "54-53 #2" --out n2.png
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a checkout, installed or not

import command_line

if TYPE_CHECKING:
    from cases.arrays import BoolArray
    from cases.case import Case

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Options:
    """A picture of the 68-bus grid."""

    variant: Literal["rogers", "tr18"] = "rogers"
    """rogers is the operating case, tr18 the one with a published solution."""
    load_level: float = 1.0
    """Load and machine power as a share of nominal; shunt reactors follow it."""
    outage: tuple[str, ...] = ()
    """Circuits and machines that are out, by name: "54-53 #2" or G11."""
    out: Path = field(default=Path("grid.png"))
    """Picture to write: .png, .svg or .pdf."""
    dpi: int = 150
    """Resolution of a PNG."""


def outages(case: Case, names: tuple[str, ...]) -> tuple[BoolArray, BoolArray]:
    """What stays in service, [branch] and [machine], when the elements named are out."""
    import numpy as np

    branch_in_service = np.ones(case.n_branch, dtype=np.bool_)
    machine_in_service = np.ones(case.n_machine, dtype=np.bool_)
    for name in names:
        if name in case.branch.name:
            branch_in_service[case.branch.name.index(name)] = False
        elif name in case.machine.name:
            machine_in_service[case.machine.name.index(name)] = False
        else:
            near = [other for other in case.branch.name if other.split(" ")[0] == name.split(" ")[0]]
            hint = f"circuits of that corridor: {', '.join(near)}" if near else "e.g. 54-53 #2 or G11"
            raise SystemExit(f"error: case {case.name} has no element {name!r}; {hint}")
    return branch_in_service, machine_in_service


def main(options: Options) -> None:
    if options.out.suffix.lower() not in SUFFIXES:
        raise SystemExit(
            f"error: --out {options.out} ends in {options.out.suffix!r}, expected one of {SUFFIXES}"
        )
    if not options.out.resolve().parent.is_dir():
        raise SystemExit(
            f"error: --out {options.out}: directory {options.out.resolve().parent} does not exist"
        )
    # Imported here, so that --help and a wrong option are answered at once.
    import numpy as np
    from matplotlib.figure import Figure

    from cases.ieee68 import load_ieee68
    from grid_model.limits import apparent_power_mva, applicable_rating_mva, loading_percent
    from grid_model.plot import NETWORK_FIGSIZE, draw_network, voltage_scale
    from grid_model.power_flow import PowerFlowDiverged, PowerFlowEngine

    case = load_ieee68(options.variant)
    branch_in_service, machine_in_service = outages(case, options.outage)
    reactor_share = float(np.clip((1.0 - options.load_level) / 0.6, 0.0, 1.0))
    try:
        # The published solution of tr18 leaves the imbalance to one machine; operation shares it by rating.
        slack_share = case.machine.slack.astype(np.float64) if options.variant == "tr18" else None
        engine = PowerFlowEngine(case, slack_share=slack_share, reactor_share=reactor_share)
        engine.set_topology(0, branch_in_service, machine_in_service)
        lost = np.zeros(case.n_bus)
        np.add.at(lost, case.machine.bus, np.where(machine_in_service, 0.0, case.machine.p_mw))
        injection_mva = options.load_level * (engine.reference_injection() - lost)
        if not engine.solve(injection_mva[None, :]).all():
            raise PowerFlowDiverged("no solution with these outages at this load")
    except PowerFlowDiverged as error:
        raise SystemExit(f"error: {error}") from error

    live = engine.bus_live[0]
    vm_pu = np.where(live, np.abs(engine.v_pu[0]), np.nan)
    out = np.array([not (branch_in_service.all() and machine_in_service.all())])
    rating_mva = applicable_rating_mva(case.branch.rate_a_mva, case.branch.rate_b_mva, out)
    loading = loading_percent(apparent_power_mva(engine.s_from_mva, engine.s_to_mva), rating_mva)[0]
    what = f"without {', '.join(options.outage)}" if options.outage else "whole"
    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(
        case,
        figure,
        buses=voltage_scale(case, vm_pu),
        loading_percent=loading,
        branch_in_service=branch_in_service,
        machine_in_service=machine_in_service,
        title=f"{case.name}, {what}: AC power flow at {100 * options.load_level:.0f} % of nominal load",
    )
    figure.savefig(options.out, dpi=options.dpi)
    worst = int(np.nanargmax(loading))
    low, high = int(np.nanargmin(vm_pu)), int(np.nanargmax(vm_pu))
    number = case.bus.bus_number
    print(f"voltage  {vm_pu[low]:.3f} pu at bus {number[low]} to {vm_pu[high]:.3f} pu at bus {number[high]}")
    print(
        f"loading  at most {loading[worst]:.1f} % of rating {'B' if out[0] else 'A'} on {case.branch.name[worst]}"
    )
    if not live.all():
        print(f"dead     buses {', '.join(map(str, number[~live]))}, cut off from the grid")
    print(f"wrote    {options.out}")


if __name__ == "__main__":
    main(
        command_line.parse(
            Options,
            program="plot_network.py",
            description=str(__doc__).splitlines()[0],
            arguments=sys.argv[1:],
        )
    )
