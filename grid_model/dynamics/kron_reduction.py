"""The network as the machines see it: classical machines on the Kron-reduced admittance matrix.

A classical machine is a constant voltage E behind its transient reactance x'd. With every load, plant and reactor
taken as the admittance it is at the operating point, the buses can be eliminated,

    Y_red = Y_EE - Y_EB Y_BB^-1 Y_BE,     V = -Y_BB^-1 Y_BE E,

and the power that machine i sends out is (P. Kundur, Power System Stability and Control, 1994, sec. 12.3 and 13.3)

    P_i = Re[E_i conj(sum_j Y_red,ij E_j)].

Turning the rotors by theta from there gives, with W_ij = E_i conj(Y_red,ij E_j),

    P_i(theta) = sum_j [Re W_ij cos(theta_i - theta_j) - Im W_ij sin(theta_i - theta_j)],

so that C = Re W and S = -Im W hold all that the integration needs, absolute angles included. At the operating point
itself the reduced network gives back the machines' powers of the AC solution exactly.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.network.admittance import ComplexArray, bus_admittance

__all__ = [
    "bus_voltages",
    "classical_stiffness",
    "reduce_to_machines",
]


def bus_voltages(
    case: Case,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
    shunt_pu: ComplexArray,
    reactor_share: FloatArray | float,
) -> ComplexArray:
    """Voltages of the buses per volt of each machine: the matrix in V = recovery E, [bus, machine].

    Args:
        case: the grid.
        branch_in_service: which circuits are in service, [branch].
        machine_in_service: which machines are, [machine].
        bus_live: which buses are energised, [bus].
        shunt_pu: what stands at each bus as an admittance: loads, and with a minus plants, on Case.base_mva, [bus].
        reactor_share: share of each reactor bank switched in, [reactor] or one for all.
    """
    behind = np.where(machine_in_service, 1.0 / (1j * machine_reactance_pu(case)), 0.0)
    full = bus_admittance(case, branch_in_service, reactor_share)
    at = np.arange(case.n_bus)
    full[at, at] += shunt_pu
    np.add.at(full, (case.machine.bus, case.machine.bus), behind)
    to_machine = np.zeros((case.n_bus, case.n_machine), dtype=np.complex128)
    to_machine[case.machine.bus, np.arange(case.n_machine)] = behind
    live = np.flatnonzero(bus_live)
    recovery = np.zeros((case.n_bus, case.n_machine), dtype=np.complex128)
    recovery[live] = np.linalg.solve(full[np.ix_(live, live)], to_machine[live])
    return recovery


def reduce_to_machines(case: Case, machine_in_service: BoolArray, recovery: ComplexArray) -> ComplexArray:
    """Y_red on Case.base_mva, [machine, machine]; zero rows and columns for machines out of service.

    Args:
        case: the grid.
        machine_in_service: which machines are in service, [machine].
        recovery: R in V = R E, as from `bus_voltages`, [bus, machine].
    """
    behind = np.where(machine_in_service, 1.0 / (1j * machine_reactance_pu(case)), 0.0)
    return np.diag(behind) - behind[:, None] * recovery[case.machine.bus]


def classical_stiffness(susceptance_mw: FloatArray) -> FloatArray:
    """d P_i / d theta_j of the machines at theta = 0, from S of one environment, [machine, machine]."""
    matrix: FloatArray = -susceptance_mw.copy()
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix
