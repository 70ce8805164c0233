"""What one disturbance does to frequency, voltages, power and flows, as a picture of its trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.case import Case
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import Level
from grid_model.dynamics.recorder import Trace
from grid_model.picture.style import INK, LIMIT, legend_above, new_figure, save, style


def draw_response(
    path: Path,
    case: Case,
    trace: Trace,
    names: list[str],
    event: Event,
    *,
    level: Level,
    title: str,
    duration_s: float,
) -> None:
    """Frequency, the voltages and flows that change most, and turbine power, below each other.

    Args:
        path: of the picture.
        case: the grid.
        trace: what was recorded, a row each integration step.
        names: of the groups of machines at this level, [group].
        event: what happened; the lost element is left out of the machines and circuits shown.
        level: of aggregation, `machine`, `area` or `system`.
        title: one line above.
        duration_s: time drawn [s].
    """
    time_s = trace.time_s
    figure = new_figure(11.0, 12.5, title)
    frequency, voltage, power, flow = figure.subplots(4, 1, sharex=True, height_ratios=(1.6, 1.0, 1.0, 1.0))

    lowest, highest = trace.bus_hz.min(axis=1), trace.bus_hz.max(axis=1)
    frequency.fill_between(
        time_s,
        case.f0_hz + lowest,
        case.f0_hz + highest,
        color="#bbbbbb",
        alpha=0.5,
        linewidth=0.0,
        label=f"all {case.n_bus} buses",
    )
    # The groups that move most against the centre of inertia; lost machines stand still and are left out.
    lost = {event.index} if event.kind == "machine_out" and level == "machine" else set()
    spread = np.abs(trace.df_hz - trace.coi_hz[:, None]).max(axis=0)
    shown = [int(group) for group in np.argsort(-spread) if group not in lost][:4]
    if level != "system":
        for k, group in enumerate(shown):
            frequency.plot(
                time_s, case.f0_hz + trace.df_hz[:, group], label=names[group], linewidth=1.1, **style(k)
            )
    frequency.plot(time_s, case.f0_hz + trace.coi_hz, color=INK, linewidth=1.8, label="centre of inertia")
    frequency.set_ylabel("frequency [Hz]")

    # A dead bus has no voltage: it is left out from then on.
    vm_pu = np.where(trace.vm_pu > 0.0, trace.vm_pu, np.nan)
    moved_pu = np.abs(np.nan_to_num(vm_pu - vm_pu[0])).max(axis=0)
    voltage.fill_between(
        time_s,
        np.nanmin(vm_pu, axis=1),
        np.nanmax(vm_pu, axis=1),
        color="#bbbbbb",
        alpha=0.5,
        linewidth=0.0,
        label=f"all {case.n_bus} buses",
    )
    for k, bus in enumerate(np.argsort(-moved_pu)[:4].tolist()):
        name = f"bus {case.bus.bus_number[bus]}"
        voltage.plot(time_s, vm_pu[:, bus], label=name, linewidth=1.1, **style(k))
    for limit_pu, pattern in ((case.bus.vm_max_pu.max(), "-"), (case.bus.vm_min_pu.min(), (0, (4, 3)))):
        name = f"limit {limit_pu:g} pu"
        voltage.axhline(limit_pu, color=LIMIT, linewidth=0.8, linestyle=pattern, label=name)
    voltage.set_ylabel("voltage [pu]")

    change = trace.electrical_mw - trace.electrical_mw[0]
    for k, group in enumerate(shown[:3]):  # with the governors' sum and load not served five lines at most
        if level != "system":
            power.plot(time_s, change[:, group], label=names[group], linewidth=1.1, **style(k))
    power.plot(
        time_s,
        trace.mechanical_mw.sum(axis=1),
        color=INK,
        linewidth=1.8,
        label="governors, all together",
    )
    if trace.unserved_mw.any():
        power.plot(time_s, trace.unserved_mw, color=LIMIT, linewidth=1.8, label="load not served")
    power.set_ylabel("change of power [MW]")

    gone = {event.index} if event.kind == "branch_out" else set()
    moved = np.abs(trace.flow_mw - trace.flow_mw[0]).max(axis=0)
    for k, branch in enumerate([int(b) for b in np.argsort(-moved) if b not in gone][:4]):
        flow.plot(
            time_s,
            trace.flow_mw[:, branch] - trace.flow_mw[0, branch],
            label=case.branch.name[branch],
            linewidth=1.1,
            **style(k),
        )
    flow.set_ylabel("change of flow [MW]")
    flow.set_xlabel("time [s]")
    flow.set_xlim(0.0, min(duration_s, float(time_s[-1])))
    for axes in (frequency, voltage, power, flow):
        axes.grid(alpha=0.3)
        axes.axvline(event.time_s, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        legend_above(axes)
    save(figure, path)
