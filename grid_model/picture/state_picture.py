"""Picture of one state of the grid: voltages or frequencies of its buses, loadings of its circuits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.limits import apparent_power_mva, applicable_rating_mva, loading_percent
from grid_model.picture import network_picture as picture
from grid_model.picture.style import save
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["draw_state"]


def draw_state(
    path: Path,
    case: Case,
    engine: NewtonEngine,
    *,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    outages: Sequence[str],
    load_level: float,
    df_hz: FloatArray | None,
    time_s: float,
    whose: str,
    dpi: int,
) -> list[str]:
    """Draws the state of an engine's first environment.

    Args:
        path: of the picture.
        case: the grid.
        engine: solved for it.
        branch_in_service: which circuits are, [branch].
        machine_in_service: which machines are, [machine].
        outages: names of what is out.
        load_level: share of nominal load, for the title.
        df_hz: deviation from nominal frequency some time after the outages [Hz], [bus]; None draws voltages.
        time_s: that time [s].
        whose: ratings the loadings are of, in a word.
        dpi: resolution of a PNG.

    Returns:
        What the picture shows, in lines of text: the buses' extremes, the heaviest circuit, buses that are cut off.
    """
    live = engine.bus_live[0]
    vm_pu = np.where(live, np.abs(engine.v_pu[0]), np.nan)
    lost = np.array([bool(outages)])
    rating_mva = applicable_rating_mva(case.branch.rate_a_mva, case.branch.rate_b_mva, lost)
    loading = loading_percent(apparent_power_mva(engine.s_from_mva, engine.s_to_mva), rating_mva)[0]
    without = f" without {', '.join(outages)}" if outages else ""
    if df_hz is None:
        buses, what = picture.voltage_scale(case, vm_pu), "AC power flow"
        color, shown, unit = "voltage", vm_pu, "pu"
    else:
        df_hz = np.where(live, df_hz, np.nan)
        buses = picture.frequency_scale(df_hz)
        what, without = f"{time_s:g} s after the loss of {', '.join(outages)}", ""
        color, shown, unit = "frequency", 1e3 * df_hz, "mHz"
    figure = Figure(figsize=picture.NETWORK_FIGSIZE)
    picture.draw_network(
        case,
        figure,
        buses=buses,
        loading_percent=loading,
        loading_label=f"loading of the circuit [% of {whose} rating]",
        branch_in_service=branch_in_service,
        machine_in_service=machine_in_service,
        title=f"{case.name}{without}: {what} at {100 * load_level:.0f} % of nominal load",
    )
    save(figure, path, dpi)

    number = case.bus.bus_number
    low, high, worst = int(np.nanargmin(shown)), int(np.nanargmax(shown)), int(np.nanargmax(loading))
    lines = [
        f"{color:10s}{shown[low]:.3f} {unit} at bus {number[low]} to {shown[high]:.3f} {unit} at bus {number[high]}",
        f"loading   at most {loading[worst]:.1f} % of {whose} rating {'B' if lost[0] else 'A'}, "
        f"on {case.branch.name[worst]}",
    ]
    if not live.all():
        lines.append(f"cut off   buses {', '.join(map(str, number[~live]))}")
    return lines
