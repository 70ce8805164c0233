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
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from cases.arrays import BoolArray, FloatArray
    from cases.case import Case
    from grid_model.power_flow.newton import NewtonEngine

PROGRAM = "plot_network.py"
SUFFIXES = (".png", ".svg", ".pdf")


class OptionError(ValueError):
    """An option names something that does not exist or cannot be."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to draw and where to write it."""

    variant: Literal["rogers", "tr18"] = "rogers"
    """rogers is the operating case, tr18 the one with a published solution."""
    case: str | None = None
    """A grid of your own instead: a pandapower .json, a MATPOWER .m or .mat, or case39, case118, ..."""
    dynamics: Path | None = None
    """Machine data of a grid that comes without, as CSV; stated defaults otherwise."""
    color: Literal["voltage", "frequency"] = "voltage"
    """Colour of the buses: voltage of the state with the outages, or frequency some time after they happened."""
    time_s: float = 1.0
    """Time after the outages at which the frequency is shown, a multiple of 0.02 s."""
    load_level: float = 1.0
    """Load and machine power as a share of nominal; shunt reactors follow it."""
    outage: tuple[str, ...] = ()
    """Circuits and machines that are lost, by name: "54-53 #2" or G11."""
    out: Path = Path("grid.png")
    """Picture to write: .png, .svg or .pdf."""
    dpi: int = 150
    """Resolution of a PNG."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            raise OptionError(
                f"--out {self.out} ends in {self.out.suffix!r}, expected one of {', '.join(SUFFIXES)}"
            )
        if not self.out.resolve().parent.is_dir():
            raise OptionError(f"--out {self.out}: its directory does not exist")
        if not 0.0 < self.load_level <= 2.0:
            raise OptionError(f"--load-level {self.load_level:g}, expected more than 0 and at most 2")
        if not 0.0 < self.time_s <= 60.0:
            raise OptionError(f"--time-s {self.time_s:g}, expected more than 0 and at most 60 s")
        if not 20 <= self.dpi <= 1000:
            raise OptionError(f"--dpi {self.dpi}, expected 20 to 1000")
        if self.color == "frequency" and not self.outage:
            raise OptionError(
                "--color frequency shows what an outage does to the frequency: name one by --outage"
            )


def main(arguments: Sequence[str]) -> int:
    import command_line

    try:
        options = command_line.parse(
            Options, program=PROGRAM, description=str(__doc__).splitlines()[0], arguments=arguments
        )
        draw(options)
    except OptionError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    return 0


def draw(options: Options) -> None:
    """Solve, draw, and say in a few lines what the picture shows."""
    # Imported here, so that --help and a wrong option are answered at once.
    import numpy as np
    from matplotlib.figure import Figure

    from cases.arrays import CaseDataError
    from grid_model.network.limits import apparent_power_mva, applicable_rating_mva, loading_percent
    from grid_model.picture.network_picture import (
        NETWORK_FIGSIZE,
        draw_network,
        frequency_scale,
        voltage_scale,
    )
    from grid_model.power_flow.open_case import open_grid
    from grid_model.power_flow.solution import PowerFlowDiverged

    try:
        opened = open_grid(options.case or options.variant, options.dynamics)
    except (CaseDataError, OSError) as error:
        raise OptionError(str(error)) from error
    case = opened.case
    for note in opened.notes:
        print(f"assumed   {note}")
    branch_in_service, machine_in_service = in_service(case, options.outage)
    try:
        if options.color == "frequency":
            engine, df_hz = after_outages(case, options, branch_in_service, machine_in_service)
        else:
            engine, df_hz = steady_state(case, options, branch_in_service, machine_in_service), None
    except PowerFlowDiverged as error:
        raise OptionError(str(error)) from error

    live = engine.bus_live[0]
    vm_pu = np.where(live, np.abs(engine.v_pu[0]), np.nan)
    lost = np.array([bool(options.outage)])
    rating_mva = applicable_rating_mva(case.branch.rate_a_mva, case.branch.rate_b_mva, lost)
    loading = loading_percent(apparent_power_mva(engine.s_from_mva, engine.s_to_mva), rating_mva)[0]
    without = f" without {', '.join(options.outage)}" if options.outage else ""
    if df_hz is None:
        buses, what = voltage_scale(case, vm_pu), "AC power flow"
    else:
        buses = frequency_scale(np.where(live, df_hz, np.nan))
        what = f"{options.time_s:g} s after the loss of {', '.join(options.outage)}"
        without = ""
    whose = "its" if options.case else "this project's"
    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(
        case,
        figure,
        buses=buses,
        loading_percent=loading,
        loading_label=f"loading of the circuit [% of {whose} rating]",
        branch_in_service=branch_in_service,
        machine_in_service=machine_in_service,
        title=f"{case.name}{without}: {what} at {100 * options.load_level:.0f} % of nominal load",
    )
    figure.savefig(options.out, dpi=options.dpi)

    number = case.bus.bus_number
    shown, unit = (vm_pu, "pu") if df_hz is None else (1e3 * np.where(live, df_hz, np.nan), "mHz")
    low, high = int(np.nanargmin(shown)), int(np.nanargmax(shown))
    worst = int(np.nanargmax(loading))
    print(
        f"{options.color:10s}{shown[low]:.3f} {unit} at bus {number[low]} to {shown[high]:.3f} {unit} "
        f"at bus {number[high]}"
    )
    rating = "B" if lost[0] else "A"
    print(
        f"loading   at most {loading[worst]:.1f} % of {whose} rating {rating}, on {case.branch.name[worst]}"
    )
    if not live.all():
        print(f"cut off   buses {', '.join(map(str, number[~live]))}")
    print(f"wrote     {options.out}")


def in_service(case: Case, lost: tuple[str, ...]) -> tuple[BoolArray, BoolArray]:
    """What stays in service, [branch] and [machine], when the elements named are lost."""
    import numpy as np

    branch_in_service = np.ones(case.n_branch, dtype=np.bool_)
    machine_in_service = np.ones(case.n_machine, dtype=np.bool_)
    for name in lost:
        if name in case.branch.name:
            branch_in_service[case.branch.name.index(name)] = False
        elif name in case.machine.name:
            machine_in_service[case.machine.name.index(name)] = False
        else:
            near = [other for other in case.branch.name if other.split(" ")[0] == name.split(" ")[0]]
            hint = (
                f"circuits of that corridor: {', '.join(near)}" if near else "expected e.g. 54-53 #2 or G11"
            )
            raise OptionError(f"--outage {name}: case {case.name} has no such element; {hint}")
    return branch_in_service, machine_in_service


def reactor_share(case: Case, options: Options) -> float:
    """Share of the shunt reactors at this load, as a re-dispatch would begin to set it; all of an own grid's."""
    if options.case:
        return case.base_reactor_share
    return min(1.0, max(0.0, (1.0 - options.load_level) / 0.6))


def steady_state(
    case: Case, options: Options, branch_in_service: BoolArray, machine_in_service: BoolArray
) -> NewtonEngine:
    """The AC power flow with what stays in service."""
    import numpy as np

    from grid_model.power_flow.newton import NewtonEngine
    from grid_model.power_flow.solution import PowerFlowDiverged

    # The published solution of tr18 leaves the imbalance to one machine; operation shares it by rating.
    single = options.variant == "tr18" and not options.case
    slack_share = case.machine.slack.astype(np.float64) if single else None
    engine = NewtonEngine(case, slack_share=slack_share, reactor_share=reactor_share(case, options))
    engine.set_topology(0, branch_in_service, machine_in_service)
    injection_mva = engine.reference_injection()
    np.add.at(injection_mva, case.machine.bus, np.where(machine_in_service, 0.0, -case.machine.p_mw))
    if not engine.solve(options.load_level * injection_mva[None, :]).all():
        raise PowerFlowDiverged(
            f"no solution without {', '.join(options.outage)} at load level {options.load_level:g}"
        )
    return engine


def after_outages(
    case: Case, options: Options, branch_in_service: BoolArray, machine_in_service: BoolArray
) -> tuple[NewtonEngine, FloatArray]:
    """State some time after the outages hit a grid at rest: power flow, and deviation of every bus [Hz], [bus]."""
    import numpy as np

    from grid_model.dynamics.events import Event
    from grid_model.dynamics.injections import Injections
    from grid_model.dynamics.parameters import SwingConfig
    from grid_model.dynamics.simulator import GridSimulator
    from grid_model.power_flow.solution import PowerFlowDiverged

    try:
        grid = GridSimulator(
            case, 1, SwingConfig(), resource_lag_s=np.ones(case.n_resource), interval_s=options.time_s
        )
    except ValueError as error:
        raise OptionError(f"--time-s: {error}") from error
    level = options.load_level
    inputs = Injections(
        load_mw=level * case.load.p_mw[None, :],
        load_mvar=level * case.load.q_mvar[None, :],
        renewable_mw=np.zeros((1, case.n_renewable)),
        schedule_mw=level * case.machine.p_mw[None, :],
        set_point_mw=np.zeros((1, case.n_resource)),
        resource_mw=np.zeros((1, case.n_resource)),
    )
    only = np.array([0])
    unbalanced_mw = grid.start(only, inputs, np.array([[reactor_share(case, options)]]))
    grid.shift_schedule(only, unbalanced_mw)
    events = [Event(time_s=0.0, kind="branch_out", index=int(k)) for k in np.flatnonzero(~branch_in_service)]
    events += [
        Event(time_s=0.0, kind="machine_out", index=int(k)) for k in np.flatnonzero(~machine_in_service)
    ]
    if not grid.advance(grid.inputs, {0: events}).all():
        raise PowerFlowDiverged(f"no solution without {', '.join(options.outage)} at load level {level:g}")
    return grid.engine, grid.bus_df_hz()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
