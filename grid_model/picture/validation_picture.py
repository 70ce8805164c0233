"""The frequency model's traces over those of ANDES, as pictures: classical machines, and full-order ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.case import Case
from grid_model.dynamics.parameters import SwingConfig
from grid_model.picture.style import INK, legend_above, new_figure, save, style
from grid_model.validation.classical import ClassicalGrid
from grid_model.validation.coupled import (
    LOAD_MODELS,
    coupled_config,
    coupled_traces,
    read_full_order,
    reference_of,
    with_reference_exciters,
)
from grid_model.validation.event_response import EVENT_S, event_of
from grid_model.validation.frequency_checks import NO_LIMITS, read_golden

PLOTTED = "loss of G9"
PLOTTED_COUPLED = ("loss of G3", "loss of G9")  # at the published load


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


def draw_against_full_order(path: Path, case: Case, golden: Path) -> None:
    """Centre of inertia of the coupled simulator by load model as lines, of full-order machines in ANDES as dots.

    Args:
        path: of the picture.
        case: the grid.
        golden: directory of the references of scripts/andes_reference.py.
    """
    title = "coupled simulator, area level, and full-order machines in ANDES: the same exciters and loads"
    figure = new_figure(11.0, 7.5, title)
    excited = with_reference_exciters(case, reference_of(golden)["exciter"])
    panels = figure.subplots(len(PLOTTED_COUPLED), 1, sharex=True)
    for k, load_model in enumerate(LOAD_MODELS):
        config = coupled_config(load_model, "area")
        traces_hz, end_s = coupled_traces(excited, config, 1.0, PLOTTED_COUPLED)
        for axes, event, trace_hz, last_s in zip(panels, PLOTTED_COUPLED, traces_hz.T, end_s, strict=True):
            time_s = EVENT_S + np.arange(len(trace_hz)) * config.dt_s
            line = style(k)
            axes.plot(
                time_s,
                np.where(time_s <= last_s, 1e3 * trace_hz, np.nan),
                label=load_model,
                linewidth=1.4,
                **line,
            )
            theirs_s, theirs_hz = read_full_order(golden, event, 1.0, load_model)
            axes.plot(
                theirs_s[::5],
                1e3 * theirs_hz[::5],
                "o",
                color=line["color"],
                markersize=2.8,
                markerfacecolor="white",
            )
    for axes, event in zip(panels, PLOTTED_COUPLED, strict=True):
        axes.plot([], [], "o", color=INK, markersize=2.8, markerfacecolor="white", label="ANDES")
        axes.set_ylabel(f"{event}\nfrequency deviation [mHz]")
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("time [s]")
    panels[-1].set_xlim(0.0, 60.0)
    legend_above(panels[0])
    save(figure, path)
