"""Picture of one state of the grid: voltages or frequencies of its buses, loadings of its circuits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cases.case import Case
from grid_model.network.limits import apparent_power_mva, loading_percent
from grid_model.picture.network_picture import NETWORK_FIGSIZE, draw_network
from grid_model.picture.network_symbols import frequency_scale, voltage_scale
from grid_model.picture.style import save
from grid_model.security.outage_state import after_outages, in_service, steady_state

__all__ = ["draw_outages"]


def draw_outages(
    path: Path,
    case: Case,
    outages: Sequence[str],
    *,
    load_level: float,
    reactor_share: float,
    time_s: float | None = None,
    single_slack: bool = False,
    whose: str = "its",
    dpi: int = 150,
) -> list[str]:
    """Solves the grid without what is lost and draws it.

    Args:
        path: of the picture.
        case: the grid.
        outages: names of circuits and machines that are lost.
        load_level: share of nominal load and machine power.
        reactor_share: share of the shunt reactors in service.
        time_s: draws the buses' frequency this long after the outages [s]; None draws voltages in the steady state.
        single_slack: in the steady state the imbalance goes to the slack machine alone, else to all by rating.
        whose: ratings the loadings are of, in a word.
        dpi: resolution of a PNG.

    Returns:
        What the picture shows, in lines of text: the buses' extremes, the heaviest circuit, buses that are cut off.

    Raises:
        UnknownElement: there is no circuit or machine of a name.
        PowerFlowDiverged: there is no solution.
        ValueError: the time is no multiple of the integration step.
    """
    branch_in_service, machine_in_service = in_service(case, tuple(outages))
    left = case, branch_in_service, machine_in_service
    df_hz = None
    if time_s is None:
        engine = steady_state(
            *left, load_level=load_level, reactor_share=reactor_share, single_slack=single_slack
        )
    else:
        engine, df_hz = after_outages(
            *left, load_level=load_level, reactor_share=reactor_share, time_s=time_s
        )
    live = engine.bus_live[0]
    vm_pu = np.where(live, np.abs(engine.v_pu[0]), np.nan)
    carried_mva = apparent_power_mva(engine.s_from_mva, engine.s_to_mva)[0]
    # Against rating A with and without outages: two pictures can be laid side by side.
    loading = loading_percent(carried_mva, case.branch.rate_a_mva)
    emergency = loading_percent(carried_mva, case.branch.rate_b_mva)
    without = f" without {', '.join(outages)}" if outages else ""
    if df_hz is None:
        buses, what = voltage_scale(case, vm_pu), "AC power flow"
        color, shown, unit = "voltage", vm_pu, "pu"
    else:
        df_hz = np.where(live, df_hz, np.nan)
        buses = frequency_scale(df_hz)
        what, without = f"{time_s:g} s after the loss of {', '.join(outages)}", ""
        color, shown, unit = "frequency", 1e3 * df_hz, "mHz"
    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(
        case,
        figure,
        buses=buses,
        loading_percent=loading,
        loading_label=f"loading of the circuit [% of {whose} rating A]",
        branch_in_service=branch_in_service,
        machine_in_service=machine_in_service,
        title=f"{case.name}{without}: {what} at {100 * load_level:.0f} % of nominal load",
    )
    save(figure, path, dpi)

    number = case.bus.bus_number
    low, high, worst = int(np.nanargmin(shown)), int(np.nanargmax(shown)), int(np.nanargmax(loading))
    lines = [
        f"{color:10s}{shown[low]:.3f} {unit} at bus {number[low]} to {shown[high]:.3f} {unit} at bus {number[high]}",
        f"loading   at most {loading[worst]:.1f} % of {whose} rating A, on {case.branch.name[worst]}",
    ]
    if outages:
        worst = int(np.nanargmax(emergency))
        lines.append(
            f"          at most {emergency[worst]:.1f} % of {whose} rating B, which holds after an outage, "
            f"on {case.branch.name[worst]}"
        )
    if not live.all():
        lines.append(f"cut off   buses {', '.join(map(str, number[~live]))}")
    return lines
