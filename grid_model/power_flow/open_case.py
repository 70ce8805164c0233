"""Bring your own grid: a name or a file -> Case, with what had to be assumed.

    rogers, tr18       the 68-bus system
    *.m, *.mat         a MATPOWER case
    *.json             a pandapower net
    case39, case118    one of pandapower's own

A pandapower net may hold elements that a `Case` has no table for. So the case made of it is solved again
and has to give the net's own voltages: a grid is taken as it is, or not at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.case import Case
from cases.grid_tables import ImportedCase, case_from_tables
from cases.ieee68 import VARIANTS, load_ieee68
from cases.matpower import read_matpower
from grid_model.network.pandapower_net import build_network, read_pandapower, set_reactor_share, solved_tables
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.solution import PowerFlowDiverged

# Both solves stop at a mismatch of 1e-8 MVA; anything a table lacks shows as more than this.
AGREEMENT_PU = 1e-6


def open_grid(source: str, dynamics: Path | None = None) -> ImportedCase:
    """Open a grid by its name or file.

    Args:
        source: see above.
        dynamics: side-car CSV with machine data, for grids that come without.

    Raises:
        CaseDataError: there is no such grid, or it cannot be true, or cannot be represented.
    """
    if source in VARIANTS:
        if dynamics is not None:
            raise CaseDataError(f"{source} has its own machine data, expected no side-car file.")
        return ImportedCase(case=load_ieee68(source), notes=())
    if Path(source).suffix in (".m", ".mat"):
        return case_from_tables(read_matpower(Path(source)), dynamics)
    tables, vm_pu, va_degree = solved_tables(read_pandapower(source))
    imported = case_from_tables(tables, dynamics)
    _require_same_voltages(imported.case, vm_pu, va_degree)
    return imported


def _require_same_voltages(case: Case, vm_pu: FloatArray, va_degree: FloatArray) -> None:
    """The case solves to the net's own voltages.

    Args:
        case: made from the net.
        vm_pu: magnitudes of the net's own solution, [bus].
        va_degree: its angles, [bus]; those of both solutions are compared against the slack's bus.

    Raises:
        CaseDataError: the case has no solution, or one further than AGREEMENT_PU from the net's.
    """
    net = build_network(case, distributed_slack=False)
    set_reactor_share(net, case, case.base_reactor_share)
    try:
        v_pu = solve_with_pandapower(net, distributed_slack=False).v_pu
    except PowerFlowDiverged as error:
        raise CaseDataError(
            f"{case.name}: the grid made of it has no solution, expected the net's own."
        ) from error
    slack = case.machine.bus[case.machine.slack_machine]
    expected = vm_pu * np.exp(1j * np.deg2rad(va_degree - va_degree[slack]))
    distance = np.abs(v_pu * np.exp(-1j * np.angle(v_pu[slack])) - expected)
    worst = int(distance.argmax())
    if not distance[worst] <= AGREEMENT_PU:
        raise CaseDataError(
            f"{case.name}: bus {case.bus.bus_number[worst]} comes out {distance[worst]:.1e} pu from the net's own "
            f"solution, expected at most {AGREEMENT_PU:g}: the net holds elements that cannot be represented."
        )
