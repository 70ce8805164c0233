"""Admittances of a case: of each rated circuit, and of all buses together.

Pi model with an ideal transformer at the from end (Kundur, Power System Stability and Control, 1994, sec. 6.2 and
6.4): with y = 1/(r + jx), charging b and ratio t,

    y_ff = (y + jb/2) / |t|^2,   y_ft = -y / conj(t),   y_tf = -y / t,   y_tt = y + jb/2,

where a phase shifter's t is complex; what else a `BranchTable` may hold of a circuit is added as said there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cases.case import Case
from grid_model.compilation import compiled

__all__ = [
    "BranchAdmittance",
    "ComplexArray",
    "branch_admittance",
    "branch_flows",
    "bus_admittance",
    "fixed_shunt_pu",
    "machine_outflow",
]


class BranchAdmittance(NamedTuple):
    """Two-port admittances on Case.base_mva, every array [branch]."""

    from_bus: IntArray
    to_bus: IntArray
    y_ff_pu: ComplexArray
    y_ft_pu: ComplexArray
    y_tf_pu: ComplexArray  # differs from y_ft for phase shifters and unequal directions
    y_tt_pu: ComplexArray


def branch_admittance(case: Case) -> BranchAdmittance:
    """Two-port admittances of all rated circuits of a case."""
    branch = case.branch
    z_pu = branch.r_pu + 1j * branch.x_pu
    series = np.complex128(1.0) / z_pu
    back = series if not np.any(branch.asymmetry_pu) else np.complex128(1.0) / (z_pu + branch.asymmetry_pu)
    ratio: ComplexArray = branch.tap.astype(np.complex128)
    if np.any(branch.shift_rad):
        ratio = ratio * np.exp(1j * branch.shift_rad)
    charging = 0.5j * branch.b_pu
    return BranchAdmittance(
        from_bus=branch.from_bus,
        to_bus=branch.to_bus,
        y_ff_pu=(series + (charging + branch.shunt_from_pu)) / (ratio * np.conj(ratio)),
        y_ft_pu=-series / np.conj(ratio),
        y_tf_pu=-back / ratio,
        y_tt_pu=back + (charging + branch.shunt_to_pu),
    )


def fixed_shunt_pu(case: Case) -> ComplexArray:
    """Admittance to ground of the shunts that nobody switches, on Case.base_mva, [bus]."""
    shunt_pu = np.zeros(case.n_bus, dtype=np.complex128)
    np.add.at(shunt_pu, case.shunt.bus, (case.shunt.p_mw - 1j * case.shunt.q_mvar) / case.base_mva)
    return shunt_pu


def bus_admittance(
    case: Case, branch_in_service: BoolArray, reactor_share: FloatArray | float
) -> ComplexArray:
    """Dense bus admittance matrix [bus, bus] on Case.base_mva.

    Args:
        case: the grid.
        branch_in_service: [branch].
        reactor_share: share of each reactor bank that is switched in, 0 to 1, [reactor] or one for all.
    """
    y = branch_admittance(case)
    matrix = np.zeros((case.n_bus, case.n_bus), dtype=np.complex128)
    on = branch_in_service.astype(np.float64)
    np.add.at(matrix, (y.from_bus, y.from_bus), on * y.y_ff_pu)
    np.add.at(matrix, (y.to_bus, y.to_bus), on * y.y_tt_pu)
    np.add.at(matrix, (y.from_bus, y.to_bus), on * y.y_ft_pu)
    np.add.at(matrix, (y.to_bus, y.from_bus), on * y.y_tf_pu)
    reactor = -1j * reactor_share * case.reactor.q_mvar / case.base_mva
    np.add.at(matrix, (case.reactor.bus, case.reactor.bus), reactor)
    if len(case.shunt.bus):
        at = np.arange(case.n_bus)
        matrix[at, at] += fixed_shunt_pu(case)
    return matrix


@compiled
def branch_flows(
    rows: IntArray,
    v_pu: ComplexArray,
    in_service: BoolArray,
    admittance: BranchAdmittance,
    base_mva: float,
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
) -> None:
    """Complex power entering every circuit at its two ends, S = V conj(I) [MVA]; zero where out of service.

        S_from = V_from conj(y_ff V_from + y_ft V_to),     S_to = V_to conj(y_tf V_from + y_tt V_to)

    Args:
        rows: environments whose flows are computed, [n].
        v_pu: bus voltages, [env, bus].
        in_service: circuits in service, [env, branch].
        admittance: of the circuits, on base_mva.
        base_mva: base of the per-unit system [MVA].
        s_from_mva: filled in for these environments, [env, branch].
        s_to_mva: filled in for these environments, [env, branch].
    """
    from_bus, to_bus = admittance.from_bus, admittance.to_bus
    y_ff_pu, y_ft_pu = admittance.y_ff_pu, admittance.y_ft_pu
    y_tf_pu, y_tt_pu = admittance.y_tf_pu, admittance.y_tt_pu
    n_branch = in_service.shape[1]
    for e in rows:
        for k in range(n_branch):
            if in_service[e, k]:
                v_from = v_pu[e, from_bus[k]]
                v_to = v_pu[e, to_bus[k]]
                s_from_mva[e, k] = base_mva * v_from * np.conj(y_ff_pu[k] * v_from + y_ft_pu[k] * v_to)
                s_to_mva[e, k] = base_mva * v_to * np.conj(y_tf_pu[k] * v_from + y_tt_pu[k] * v_to)
            else:
                s_from_mva[e, k] = 0.0
                s_to_mva[e, k] = 0.0


@compiled
def machine_outflow(
    rows: IntArray,
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
    from_bus: IntArray,
    to_bus: IntArray,
    machine_bus: IntArray,
    machine_in_service: BoolArray,
    others_mva: ComplexArray,
    power_mva: ComplexArray,
) -> None:
    """What leaves each machine's bus through its circuits, less what others inject there [MVA]; zero out of service.

    Args:
        rows: environments whose machines are asked for, [n].
        s_from_mva: power entering the circuits at their beginning, [env, branch].
        s_to_mva: power entering them at their end, [env, branch].
        from_bus: position of the bus at each circuit's beginning, [branch].
        to_bus: position of the bus at its end, [branch].
        machine_bus: position of each machine's bus, [machine].
        machine_in_service: [env, machine].
        others_mva: injected at every bus by everything but machines, [env, bus].
        power_mva: filled in, [n, machine].
    """
    s_bus = np.empty(others_mva.shape[1], dtype=np.complex128)
    for row in range(rows.size):
        e = rows[row]
        s_bus[:] = 0.0
        for k in range(from_bus.size):
            s_bus[from_bus[k]] += s_from_mva[e, k]
            s_bus[to_bus[k]] += s_to_mva[e, k]
        for i in range(machine_bus.size):
            bus = machine_bus[i]
            power_mva[row, i] = s_bus[bus] - others_mva[e, bus] if machine_in_service[e, i] else 0.0
