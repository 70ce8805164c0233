"""The frequency model's trace of one event over that of ANDES, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.case import Case
from grid_model.dynamics.parameters import SwingConfig
from grid_model.picture.style import INK, legend_above, new_figure, save, style
from grid_model.validation.classical import ClassicalGrid
from grid_model.validation.frequency_checks import NO_LIMITS, event_of, read_golden

PLOTTED = "loss of G9"


def draw_against_andes(path: Path, case: Case, golden: Path) -> None:
    """Centre of inertia and machines of one event: ours as lines, ANDES' as dots, and the differences below.

    Args:
        path: of the picture.
        case: the grid.
        golden: directory of the references of scripts/andes_reference.py.
    """
    _, samples = read_golden(golden / f"andes_{PLOTTED.replace(' ', '_')}.csv")
    grid = ClassicalGrid(case, SwingConfig(level="machine", tie_damping_s=0.0, governor=NO_LIMITS))
    trace = grid.simulate([event_of(case, PLOTTED)], float(round(samples[-1, 0] + 0.1)))
    on = trace.networks[-1][1].machine_in_service
    weight = grid.inertia_mws_per_hz * on / (grid.inertia_mws_per_hz * on).sum()
    theirs = samples[:, 1 : 1 + case.n_machine]
    at = np.rint(samples[:, 0] / grid.config.dt_s).astype(int)
    figure = new_figure(11.0, 7.5, f"{PLOTTED}, classical model: ours every 20 ms, ANDES every 2.5 ms")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    shown = [case.machine.name.index(name) for name in ("G1", "G8", "G13")]
    rows = [("centre of inertia", 1e3 * trace.df_hz @ weight, theirs @ weight)]
    rows += [(case.machine.name[i], 1e3 * trace.df_hz[:, i], theirs[:, i]) for i in shown]
    for k, (name, ours, reference) in enumerate(rows):
        line = style(k)
        top.plot(
            trace.time_s,
            ours,
            label=name,
            linewidth=2.0 if k == 0 else 1.2,
            zorder=3 if k == 0 else 2,
            **line,
        )
        top.plot(
            samples[::3, 0], reference[::3], "o", color=line["color"], markersize=2.8, markerfacecolor="white"
        )
        bottom.plot(samples[:, 0], ours[at] - reference, linewidth=1.2, **line)
    top.plot([], [], "o", color=INK, markersize=2.8, markerfacecolor="white", label="ANDES")
    top.set_ylabel("frequency deviation [mHz]")
    bottom.set_ylabel("ours less ANDES [mHz]")
    bottom.set_xlabel("time [s]")
    bottom.set_xlim(0.0, trace.time_s[-1])
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    legend_above(top)
    save(figure, path)
