"""What one disturbance does to the grid, as a page for a browser: the page of an episode, at the integration step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.case import Case
from control.evaluation.page import grid_data, packed, write_html
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import Level
from grid_model.dynamics.recorder import Trace

__all__ = ["write_response_page"]

TEMPLATE = "episode.html"
MOST_FRAMES = 800  # a screen has not many more columns; 40 s at 50 ms
MOST_CURVES = 4  # groups of machines in one panel, beside what all give together


def write_response_page(
    path: Path,
    case: Case,
    trace: Trace,
    names: list[str],
    event: Event,
    *,
    level: Level,
    title: str,
    duration_s: float,
) -> int:
    """Write the page of a recorded response.

    Circuits show the active power that enters them in percent of rating A: the trace has no reactive power between
    power flows.

    Args:
        path: the HTML file.
        case: the grid.
        trace: what was recorded, a row each integration step; thinned evenly to at most 800 rows.
        names: of the groups of machines at this level, [group].
        event: what happened.
        level: of aggregation, `machine`, `area` or `system`.
        title: of the page.
        duration_s: time shown [s].

    Returns:
        How many rows the page holds.

    Raises:
        OutputError: the file cannot be written.
    """
    within = np.flatnonzero(trace.time_s <= duration_s + 1e-9)
    rows = within[:: -(-len(within) // MOST_FRAMES)]
    time_s, vm_pu = trace.time_s[rows], trace.vm_pu[rows]
    live, after = vm_pu > 0.0, time_s >= event.time_s - 1e-9
    branch, machine = case.branch, case.machine
    on = live[:, branch.from_bus] & live[:, branch.to_bus]
    running = live[:, machine.bus]
    if event.kind == "branch_out":
        on[after, event.index] = False
    if event.kind == "machine_out":
        running[after, event.index] = False
    flow_percent = 100.0 * np.abs(trace.flow_mw[rows]) / branch.rate_a_mva
    # Groups whose machines moved most, of those that are left.
    change_mw = trace.electrical_mw[rows] - trace.electrical_mw[0]
    lost = {event.index} if event.kind == "machine_out" and level == "machine" else set()
    order = np.argsort(-np.abs(change_mw).max(axis=0), kind="stable").tolist()
    shown = [group for group in order if group not in lost][:MOST_CURVES]
    governors_mw = trace.mechanical_mw[rows].sum(axis=1)
    player = {
        "name": "grid",
        "title": title,
        "total": None,
        "arrays": {
            "df": packed(np.where(live, 1e3 * trace.bus_hz[rows], np.nan).T, step=0.1),
            "vm": packed(vm_pu.T, step=1e-4),
            "loading": packed(np.where(on, flow_percent, 0.0).T, step=0.1),
            "on": packed(on.T.astype(np.float64), step=1.0),
            "running": packed(running.T.astype(np.float64), step=1.0),
            "centre": packed(1e3 * trace.coi_hz[rows][None], step=0.1),
            "governors": packed(np.stack([governors_mw, trace.unserved_mw[rows]]), step=0.1),
            "electrical": packed(change_mw[:, shown].T, step=0.1),
        },
    }
    largest = np.nanmax(np.abs(np.where(live, trace.bus_hz[rows], np.nan)), axis=0)
    data = {
        "n": len(rows),
        "interval_s": float(time_s[1] - time_s[0]),
        "first_s": float(time_s[0]),
        "loading_words": "active power",
        "marks": [[float(event.time_s), _words(case, event)]],
        "limits_mhz": [],
        "terms": [],
        "players": [player],
        "worst": int(np.nanargmax(largest)),
        "more": [
            {"id": "centre", "title": "centre of inertia [mHz]", "names": ["centre of inertia"]},
            {
                "id": "governors",
                "title": "governors, and load that is not served [MW]",
                "names": ["governors, all together", "load not served"],
            },
            {
                "id": "electrical",
                "title": "change of what machines send out, where it is largest [MW]",
                "names": [names[group] for group in shown],
            },
        ],
        **grid_data(case, np.ones(case.n_resource)),
    }
    subtitle = f"{case.name}, {level} level; a picture every {1e3 * data['interval_s']:.0f} ms"
    write_html(path, TEMPLATE, data, title=title, subtitle=subtitle)
    return len(rows)


def _words(case: Case, event: Event) -> str:
    if event.kind == "machine_out":
        return f"{case.machine.name[event.index]} lost"
    if event.kind == "branch_out":
        return f"circuit {case.branch.name[event.index]} lost"
    return f"{case.load.name[event.index]} {event.p_mw:+g} MW"
