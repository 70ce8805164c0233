"""Bring your own grid: a name or a file -> Case, with what had to be assumed.

    rogers, tr18       the 68-bus system
    *.m, *.mat         a MATPOWER case
    *.json             a pandapower net
    case39, case118    one of pandapower's own

Beside the case stand the reactive limits that its file gives to the machines; those of the 68-bus system, which has
none, are typical ones. A circuit without an emergency rating (B) has its normal one (A) after an outage too.

A pandapower net may hold elements that a `Case` has no table for. So the case made of it is solved again
and has to give the net's own voltages: a grid is taken as it is, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cases.arrays import CaseDataError, FloatArray
from cases.case import Case
from cases.grid_tables import (
    BUS_I,
    BUS_TYPE,
    GEN_BUS,
    GEN_STATUS,
    ISOLATED,
    PQ,
    RATE_A,
    RATE_B,
    RATE_C,
    UNLIMITED_MVA,
    GridTables,
    ImportedCase,
    case_from_tables,
)
from cases.ieee68 import VARIANTS, load_ieee68
from cases.matpower import read_matpower
from grid_model.network.pandapower_net import build_network, read_pandapower, set_reactor_share, solved_tables
from grid_model.power_flow.oracle import solve_with_pandapower
from grid_model.power_flow.reactive_limits import ReactiveLimits, typical_limits
from grid_model.power_flow.solution import PowerFlowDiverged

# Both solves stop at a mismatch of 1e-8 MVA; anything a table lacks shows as more than this.
AGREEMENT_PU = 1e-6
QMAX, QMIN = 3, 4  # columns of mpc.gen
NO_LIMIT_MVAR = 9999.0  # files write this or more for a machine without a limit


@dataclass(frozen=True, kw_only=True)
class OpenedGrid(ImportedCase):
    """A case, what had to be assumed for it, and what its machines can give."""

    reactive_limits: ReactiveLimits


def open_grid(source: str, dynamics: Path | None = None) -> OpenedGrid:
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
        case = load_ieee68(source)
        return OpenedGrid(case=case, notes=(), reactive_limits=typical_limits(case.machine))
    if Path(source).suffix in (".m", ".mat"):
        return _opened(read_matpower(Path(source)), dynamics)
    tables, vm_pu, va_degree = solved_tables(read_pandapower(source))
    opened = _opened(tables, dynamics)
    _require_same_voltages(opened.case, vm_pu, va_degree)
    return opened


def _opened(tables: GridTables, dynamics: Path | None) -> OpenedGrid:
    """The case of a file's tables with its machines' reactive limits."""
    imported = case_from_tables(fill_emergency_rating(tables), dynamics)
    return OpenedGrid(case=imported.case, notes=imported.notes, reactive_limits=reactive_limits_of(tables))


def fill_emergency_rating(tables: GridTables) -> GridTables:
    """Rate A as rate B wherever the file gives no rate B, or one below rate A; listed in the notes."""
    branch = tables.branch.copy()
    rate_a = np.where(branch[:, RATE_A] > 0.0, branch[:, RATE_A], UNLIMITED_MVA)
    rate_b, rate_c = branch[:, RATE_B], branch[:, RATE_C]
    missing = ~((rate_b >= rate_a) & np.isfinite(rate_b))
    rate_b[missing] = rate_a[missing]
    short = missing & ~((rate_c >= rate_b) & np.isfinite(rate_c))
    rate_c[short] = rate_b[short]
    notes = tables.notes
    if missing.any():
        notes += (f"{np.count_nonzero(missing)} circuits have no rate B: rate A holds after an outage too",)
    return replace(tables, branch=branch, notes=notes)


def reactive_limits_of(tables: GridTables) -> ReactiveLimits:
    """QMIN and QMAX of the machines that hold a voltage, in the order of the case; infinite where there is none."""
    type_of = dict(zip(tables.bus[:, BUS_I].tolist(), tables.bus[:, BUS_TYPE].tolist(), strict=True))
    holds = np.array([type_of.get(bus, PQ) not in (PQ, ISOLATED) for bus in tables.gen[:, GEN_BUS].tolist()])
    gen = tables.gen[(tables.gen[:, GEN_STATUS] > 0) & holds]
    low, high = gen[:, QMIN], gen[:, QMAX]
    limited = (np.abs(low) < NO_LIMIT_MVAR) | (np.abs(high) < NO_LIMIT_MVAR)
    return ReactiveLimits(
        q_min_mvar=np.where(np.abs(low) < NO_LIMIT_MVAR, low, -np.inf),
        q_max_mvar=np.where(np.abs(high) < NO_LIMIT_MVAR, high, np.inf),
        source=f"{tables.source}, which gives them for {np.count_nonzero(limited)} of {len(gen)} machines",
    )


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
