"""How voltages and losses answer a change of power, to first order, at one AC power flow.

    dP + share dlambda = P_theta dtheta + P_V dV,      dQ = Q_theta dtheta + Q_V dV

with voltages held where machines are, and what is left over, lambda, shared among the machines by governor gain, as
in the full power flow. What dP does not find again in dlambda is lost: dlosses = sum dP + dlambda.

Reference: A. J. Wood, B. F. Wollenberg, Power Generation, Operation and Control, 2nd ed., 1996, sec. 4.2 (penalty
factors from the Jacobian).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.admittance import bus_admittance

__all__ = ["Sensitivity", "sensitivity_at"]

ComplexArray = npt.NDArray[np.complex128]


class Sensitivity(NamedTuple):
    """Answers to one MW or Mvar more into a bus."""

    voltage_pu_per_mw: FloatArray  # [bus of the voltage, bus of the power]
    voltage_pu_per_mvar: FloatArray
    losses_mw_per_mw: FloatArray  # [bus]
    losses_mw_per_mvar: FloatArray


def sensitivity_at(
    case: Case,
    v_pu: ComplexArray,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    reactor_share: FloatArray,
    balancing_share: FloatArray,
) -> Sensitivity:
    """Solve the Jacobian of one power flow for a change at every bus.

    Args:
        case: the grid.
        v_pu: its solution, [bus].
        branch_in_service: [branch].
        machine_in_service: those hold their voltage, [machine].
        reactor_share: share of each reactor switched in, [reactor].
        balancing_share: of each machine in what is left over, sums to one, [machine].
    """
    n = case.n_bus
    y = bus_admittance(case, branch_in_service, reactor_share)
    current = y @ v_pu
    unit = v_pu / np.abs(v_pu)
    by_angle = 1j * v_pu[:, None] * np.conj(np.diag(current) - y * v_pu)
    by_size = v_pu[:, None] * np.conj(y * unit) + np.diag(np.conj(current) * unit)
    free = np.ones(n, dtype=np.bool_)
    free[case.machine.bus[machine_in_service]] = False
    share = np.zeros(n)
    np.add.at(share, case.machine.bus, balancing_share)
    k = np.flatnonzero(free)
    # Unknown are all angles but the first, the free voltages, and lambda.
    matrix = np.zeros((n + len(k), n + len(k)))
    matrix[:n, : n - 1] = by_angle.real[:, 1:]
    matrix[:n, n - 1 : -1] = by_size.real[:, k]
    matrix[:n, -1] = -share
    matrix[n:, : n - 1] = by_angle.imag[k, 1:]
    matrix[n:, n - 1 : -1] = by_size.imag[np.ix_(k, k)]
    change = np.zeros((n + len(k), n + len(k)))
    np.fill_diagonal(change, 1.0)
    answer = np.linalg.solve(matrix, change)
    of_mw, of_mvar = np.zeros((n, n)), np.zeros((n, n))
    of_mw[k] = answer[n - 1 : -1, :n]
    of_mvar[np.ix_(k, k)] = answer[n - 1 : -1, n:]
    losses_mvar = np.zeros(n)
    losses_mvar[k] = answer[-1, n:]
    losses_mw = np.asarray(answer[-1, :n], dtype=np.float64)
    return Sensitivity(
        voltage_pu_per_mw=of_mw / case.base_mva,
        voltage_pu_per_mvar=of_mvar / case.base_mva,
        losses_mw_per_mw=1.0 + losses_mw,
        losses_mw_per_mvar=losses_mvar,
    )
