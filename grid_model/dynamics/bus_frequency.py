"""Frequency at every bus from the speeds of the machines: the frequency divider.

    Df_bus = F Df_machine,      F = -L_BB^-1 L_BG

L is the Laplacian of the series reactances 1/x of all circuits in service, with every machine behind its transient
reactance x'd; B are the buses, G the internal nodes of the machines. F. Milano, A. Ortega, Frequency Divider, IEEE
Trans. Power Systems 32(2), 2017, eq. 12, writes it with the full susceptance matrix. Charging, shunts and off-nominal
ratios are left out here on purpose: they make the rows of F sum to something other than one, and a deviation that is
the same everywhere would be reported wrong by up to a fifth. Without them F is a weighted mean: entries are not
negative and every row of a live bus sums to one.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.topology import weighted_laplacian

__all__ = ["frequency_divider", "machine_reactance_pu"]


def machine_reactance_pu(case: Case) -> FloatArray:
    """Transient reactance x'd of each machine on Case.base_mva, [machine]."""
    return case.machine.xd1_pu * case.base_mva / case.machine.base_mva


def frequency_divider(
    case: Case, branch_in_service: BoolArray, machine_in_service: BoolArray, bus_live: BoolArray
) -> FloatArray:
    """Weights of the machines' frequency deviations at each bus.

    Args:
        case: the grid.
        branch_in_service: which circuits are in service, [branch].
        machine_in_service: which machines are, [machine].
        bus_live: which buses are energised, [bus].

    Returns:
        F, dimensionless, [bus, machine]; rows of live buses sum to one, rows of dead buses and columns of machines
        out of service are zero.
    """
    n_bus, n_machine = case.n_bus, case.n_machine
    laplacian = weighted_laplacian(case, np.where(branch_in_service, 1.0 / case.branch.reactance_pu, 0.0))
    machine_weight = np.where(machine_in_service, 1.0 / machine_reactance_pu(case), 0.0)
    np.add.at(laplacian, (case.machine.bus, case.machine.bus), machine_weight)
    to_machine = np.zeros((n_bus, n_machine))
    to_machine[case.machine.bus, np.arange(n_machine)] = machine_weight
    live = np.flatnonzero(bus_live)
    divider = np.zeros((n_bus, n_machine))
    divider[live] = np.linalg.solve(laplacian[np.ix_(live, live)], to_machine[live])
    return divider
