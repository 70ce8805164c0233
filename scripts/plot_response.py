"""Draw what one disturbance does to frequency, power and flows.

python scripts/plot_response.py --trip G11 --level machine
python scripts/plot_response.py --load "load 41" --step-mw 500 --level area --out step.png
python scripts/plot_response.py --outage "54-53 #1" --load-level 0.7 --duration-s 20

Exit status 2 if an option is wrong or the grid has no power flow after the disturbance.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from cases.case import Case
    from grid_model.dynamics.events import Event
    from grid_model.dynamics.recorder import Trace

PROGRAM = "plot_response.py"
EVENT_S = 1.0
SUFFIXES = (".png", ".svg", ".pdf")


class OptionError(ValueError):
    """An option names something that does not exist or cannot be."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The disturbance, one second after the start, and the model."""

    trip: str | None = None
    """Machine that is lost, by name: G11."""
    outage: str | None = None
    """Circuit that is lost, by name: "54-53 #1"."""
    load: str | None = None
    """Load that changes by --step-mw, by name: "load 41"."""
    step_mw: float = 500.0
    """Growth of --load; negative for a loss."""
    level: Literal["machine", "area", "system"] = "area"
    """Level of aggregation."""
    load_level: float = 0.8
    """Load and machine power as a share of nominal; shunt reactors follow it."""
    duration_s: float = 40.0
    """Time drawn."""
    load_shedding: bool = True
    """Whether under-frequency relays are in service."""
    out: Path = Path("response.png")
    """Picture to write: .png, .svg or .pdf."""

    def __post_init__(self) -> None:
        if sum(name is not None for name in (self.trip, self.outage, self.load)) != 1:
            raise OptionError("name one disturbance: --trip G11, --outage '54-53 #1' or --load 'load 41'")
        if self.out.suffix.lower() not in SUFFIXES:
            raise OptionError(f"--out {self.out}: expected one of {', '.join(SUFFIXES)}")
        if not self.out.resolve().parent.is_dir():
            raise OptionError(f"--out {self.out}: its directory does not exist")
        if not 0.0 < self.load_level <= 1.2:
            raise OptionError(f"--load-level {self.load_level:g}, expected more than 0 and at most 1.2")
        if not 4.0 <= self.duration_s <= 600.0:
            raise OptionError(f"--duration-s {self.duration_s:g}, expected 4 to 600")


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
    event = Event(time_s=EVENT_S, kind="load_step", index=index, p_mw=options.step_mw)
    return event, f"{options.load} {options.step_mw:+g} MW"


def simulate(case: Case, options: Options, event: Event) -> tuple[Trace, list[str]]:
    """The trace and the names of the groups."""
    from grid_model.dynamics.load_shedding import LoadSheddingConfig
    from grid_model.dynamics.parameters import SwingConfig
    from grid_model.validation.frequency_checks import balanced_grid

    relays = LoadSheddingConfig() if options.load_shedding else None
    config = SwingConfig(level=options.level, load_shedding=relays)
    grid, inputs = balanced_grid(case, 1, config, load_level=options.load_level)
    recorder = grid.record(0)
    for k in range(-(-round(options.duration_s) // round(grid.interval_s))):
        try:
            solved = grid.advance(inputs, {0: [event]} if k == 0 else None)[0]
        except ValueError as error:
            raise OptionError(str(error)) from error
        if not solved:
            raise OptionError(
                f"the grid has no AC power flow between {k * grid.interval_s:g} and "
                f"{(k + 1) * grid.interval_s:g} s; a lower --load-level may help"
            )
    names = {"machine": case.machine.name, "area": case.area_names, "system": ("whole grid",)}
    return recorder.trace(), list(names[options.level])


def draw(options: Options) -> None:
    """Frequency, turbine power and the flows that change most, below each other."""
    # Imported here, so that --help and a wrong option are answered at once.
    import numpy as np

    from cases.ieee68 import load_ieee68
    from control.evaluation import picture_style as look
    from grid_model.validation.response import nadir_hz, rocof_hz_per_s, settling_hz

    case = load_ieee68("rogers")
    event, title = event_of(case, options)
    trace, names = simulate(case, options, event)
    time_s = trace.time_s
    dt_s = float(time_s[1] - time_s[0])
    step = round(EVENT_S / dt_s)
    figure = look.new_figure(
        11.0, 10.0, f"{title}, {options.level} level, {100.0 * options.load_level:g} % of nominal load"
    )
    frequency, power, flow = figure.subplots(3, 1, sharex=True, height_ratios=(1.6, 1.0, 1.0))

    lowest, highest = trace.bus_hz.min(axis=1), trace.bus_hz.max(axis=1)
    frequency.fill_between(
        time_s, 60.0 + lowest, 60.0 + highest, color="#bbbbbb", alpha=0.5, linewidth=0.0, label="all 68 buses"
    )
    # The groups that move most against the centre of inertia; lost machines stand still and are left out.
    lost = {event.index} if event.kind == "machine_out" and options.level == "machine" else set()
    spread = np.abs(trace.df_hz - trace.coi_hz[:, None]).max(axis=0)
    shown = [int(group) for group in np.argsort(-spread) if group not in lost][:4]
    if options.level != "system":
        for k, group in enumerate(shown):
            frequency.plot(
                time_s, 60.0 + trace.df_hz[:, group], label=names[group], linewidth=1.1, **look.style(k)
            )
    frequency.plot(time_s, 60.0 + trace.coi_hz, color=look.INK, linewidth=1.8, label="centre of inertia")
    frequency.set_ylabel("frequency [Hz]")

    change = trace.electrical_mw - trace.electrical_mw[0]
    for k, group in enumerate(shown):
        if options.level != "system":
            power.plot(time_s, change[:, group], label=names[group], linewidth=1.1, **look.style(k))
    power.plot(
        time_s,
        trace.mechanical_mw.sum(axis=1),
        color=look.INK,
        linewidth=1.8,
        label="governors, all together",
    )
    if trace.unserved_mw.any():
        power.plot(time_s, trace.unserved_mw, color=look.LIMIT, linewidth=1.8, label="load not served")
    power.set_ylabel("change of power [MW]")

    gone = {event.index} if event.kind == "branch_out" else set()
    moved = np.abs(trace.flow_mw - trace.flow_mw[0]).max(axis=0)
    for k, branch in enumerate([int(b) for b in np.argsort(-moved) if b not in gone][:5]):
        flow.plot(
            time_s,
            trace.flow_mw[:, branch] - trace.flow_mw[0, branch],
            label=case.branch.name[branch],
            linewidth=1.1,
            **look.style(k),
        )
    flow.set_ylabel("change of flow [MW]")
    flow.set_xlabel("time [s]")
    flow.set_xlim(0.0, min(options.duration_s, float(time_s[-1])))
    for axes in (frequency, power, flow):
        axes.grid(alpha=0.3)
        look.legend_above(axes)
    look.save(figure, options.out)

    coi_hz = trace.coi_hz
    print(
        f"{title}, {options.level} level: RoCoF {rocof_hz_per_s(coi_hz, dt_s, step):.4f} Hz/s at once and "
        f"{rocof_hz_per_s(coi_hz, dt_s, step, 0.5):.4f} over 500 ms, nadir {60.0 + nadir_hz(coi_hz, step):.4f} Hz, "
        f"{60.0 + settling_hz(coi_hz, dt_s, 2.0):.4f} Hz at the end"
    )
    if trace.unserved_mw.any():
        print(f"load not served at the end: {trace.unserved_mw[-1]:.0f} MW")
    print(options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
