"""Draw what one disturbance does to frequency, voltages, power and flows.

python scripts/plot_response.py --trip G11 --level machine
python scripts/plot_response.py --load "load 41" --step-mw 500 --level area --out step.png
python scripts/plot_response.py --trip G9 --load-model half
python scripts/plot_response.py --outage "54-53 #1" --load-level 0.7 --duration-s 20
python scripts/plot_response.py --trip G11 --page response.html

Exit status 2 if an option is wrong or the grid has no power flow after the disturbance.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import command_line
import option_checks
from command_line import OptionError

if TYPE_CHECKING:
    from cases.case import Case
    from grid_model.dynamics.events import Event

PROGRAM = "plot_response.py"
EVENT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """The disturbance, one second after the start, and the model."""

    case: str = ""
    """Grid, a name or a file (docs/own_grid.md); the 68-bus system by default."""
    trip: str | None = None
    """Machine that is lost, by name: G11."""
    outage: str | None = None
    """Circuit that is lost, by name: "54-53 #1"."""
    load: str | None = None
    """Load that changes by --step-mw, by name: "load 41"."""
    step_mw: float | None = None
    """Growth of --load, 500 by default; negative for a loss."""
    level: Literal["machine", "area", "system"] = "area"
    """Level of aggregation."""
    load_model: Literal["default", "impedance", "half", "power"] = "default"
    """How loads depend on voltage: P at constant current and Q at constant impedance, both at constant impedance, half
    and half of constant impedance and power, or constant power."""
    terminal_voltage: Literal["held", "regulated", "classical"] = "regulated"
    """What machines do with theirs in a swing: hold it, regulate it with their lag, or keep E' constant."""
    load_level: float = 0.8
    """Load and machine power as a share of nominal; shunt reactors follow it."""
    duration_s: float = 40.0
    """Time drawn."""
    load_shedding: bool = True
    """Whether under-frequency relays are in service."""
    out: Path = Path("response.png")
    """Picture to write: .png, .svg or .pdf."""
    page: Path | None = None
    """Write a page for the browser as well: the grid over time at up to the integration step, with traces."""

    def __post_init__(self) -> None:
        if sum(name is not None for name in (self.trip, self.outage, self.load)) != 1:
            raise OptionError("name one disturbance: --trip G11, --outage '54-53 #1' or --load 'load 41'")
        if self.step_mw is not None and self.load is None:
            raise OptionError(f"--step-mw {self.step_mw:g} is of --load: name one, or leave it out")
        if self.step_mw == 0.0:
            raise OptionError("--step-mw 0 changes nothing, expected a growth of the load, or a loss below 0")
        option_checks.require_picture("out", self.out)
        option_checks.require_page("page", self.page)
        if not 0.0 < self.load_level <= 1.2:
            raise OptionError(f"--load-level {self.load_level:g}, expected more than 0 and at most 1.2")
        if not 4.0 <= self.duration_s <= 600.0:
            raise OptionError(f"--duration-s {self.duration_s:g}, expected 4 to 600")


def event_of(case: Case, options: Options) -> tuple[Event, str]:
    """The disturbance and its name in the title."""
    from grid_model.dynamics.events import Event

    def row(names: tuple[str, ...], name: str, what: str) -> int:
        if name not in names:
            raise OptionError(f"no {what} {name!r}; there are {', '.join(names[:4])} ... {names[-1]}")
        return names.index(name)

    if options.trip is not None:
        index = row(case.machine.name, options.trip, "machine")
        return Event(time_s=EVENT_S, kind="machine_out", index=index), f"loss of {options.trip}"
    if options.outage is not None:
        index = row(case.branch.name, options.outage, "circuit")
        return Event(time_s=EVENT_S, kind="branch_out", index=index), f"loss of circuit {options.outage}"
    assert options.load is not None
    index = row(case.load.name, options.load, "load")
    step_mw = 500.0 if options.step_mw is None else options.step_mw
    event = Event(time_s=EVENT_S, kind="load_step", index=index, p_mw=step_mw)
    return event, f"{options.load} {step_mw:+g} MW"


def draw(options: Options) -> None:
    """Simulates the disturbance, draws it and prints its nadir, rate of change and end.

    Raises:
        OptionError: the grid does not stand it, or an option contradicts another.
    """
    from control.scenario.task_grid import open_task_grid
    from grid_model.dynamics.load_model import load_model
    from grid_model.dynamics.parameters import swing_of
    from grid_model.picture.response_picture import draw_response
    from grid_model.validation.event_response import simulate_event
    from grid_model.validation.response import nadir_hz, rocof_hz_per_s, settling_hz

    case = open_task_grid(options.case).case
    usual = swing_of(case)
    event, title = event_of(case, options)
    relays = usual.load_shedding if options.load_shedding else None
    config = replace(
        usual,
        level=options.level,
        load_shedding=relays,
        load=load_model(options.load_model),
        terminal_voltage=options.terminal_voltage,
    )
    try:
        trace, names = simulate_event(case, config, options.load_level, event, options.duration_s)
    except (ValueError, RuntimeError) as error:
        raise OptionError(str(error)) from error
    draw_response(
        options.out, case, trace, names, event,
        level=options.level,
        title=f"{title}, {options.level} level, {100.0 * options.load_level:g} % of nominal load",
        duration_s=options.duration_s,
    )  # fmt: skip
    if options.page is not None:
        from control.evaluation.response_page import write_response_page

        write_response_page(
            options.page, case, trace, names, event,
            level=options.level,
            title=f"{title}, {100.0 * options.load_level:g} % of nominal load",
            duration_s=options.duration_s,
        )  # fmt: skip
    dt_s = float(trace.time_s[1] - trace.time_s[0])
    step = round(EVENT_S / dt_s)
    coi_hz, f0_hz = trace.coi_hz, case.f0_hz
    print(
        f"{title}, {options.level} level: RoCoF {rocof_hz_per_s(coi_hz, dt_s, step):.4f} Hz/s at once and "
        f"{rocof_hz_per_s(coi_hz, dt_s, step, 0.5):.4f} over 500 ms, nadir {f0_hz + nadir_hz(coi_hz, step):.4f} Hz, "
        f"{f0_hz + settling_hz(coi_hz, dt_s, 2.0):.4f} Hz at the end"
    )
    live_pu = trace.vm_pu[trace.vm_pu > 0.0]
    print(f"voltages {live_pu.min():.3f} to {live_pu.max():.3f} pu")
    if trace.unserved_mw.any():
        print(f"load not served at the end: {trace.unserved_mw[-1]:.0f} MW")
    print(options.out)
    if options.page is not None:
        print(f"Page: {options.page}")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 drawn, 2 wrong option or no solution, 130 stopped."""
    first_line = str(__doc__).splitlines()[0]
    return command_line.run(
        PROGRAM, Options, draw, arguments, about=first_line, writes=["out", "page"], failed=(OSError,)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
