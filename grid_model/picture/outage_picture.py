"""The grid with its single outages: circuits by the worst loading after their loss, insecure ones marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from grid_model.picture.network_picture import NETWORK_FIGSIZE, draw_network
from grid_model.picture.placement import placed
from grid_model.security.verdict import Screening

# Worst first; colours that differ in grey as well.
MARKS = {
    "diverged": ("X", "#7a0177", "no solution after this loss (drawn as 100 %)"),
    "violated": ("D", "#d95f0e", "a limit is broken after this loss"),
    "secure": ("o", "#fed976", "cuts buses off, the rest is secure"),
}


def draw_outages(screening: Screening, path: Path) -> None:
    """The grid, circuits coloured by the worst loading after their loss, insecure outages marked."""
    from matplotlib.figure import Figure

    case = placed(screening.case)
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
