"""Synchronising power between groups at an operating point, and the change of losses with their angles."""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.network.admittance import ComplexArray

__all__ = ["loss_matrix", "renew_synchronising", "spring_stiffness"]


@numba.njit(cache=True, error_model="numpy")
def spring_stiffness(
    v_pu: ComplexArray,
    machine_q_mvar: FloatArray,
    spring_pu: FloatArray,
    from_bus: IntArray,
    to_bus: IntArray,
    machine_bus: IntArray,
    machine_susceptance_pu: FloatArray,
    machine_in_service: BoolArray,
    base_mva: float,
    stiffness_mw_per_rad: FloatArray,
) -> None:
    """Stiffness of circuits and machines at an operating point [MW/rad].

    A circuit gives V_f V_t cos(th_f - th_t) times its spring; a machine's internal voltage E behind x'd gives
    E V cos(delta - th) / x'd, which equals V^2 / x'd + Q because Q = (E V cos(delta - th) - V^2) / x'd.

    Args:
        v_pu: [env, bus]; machine_q_mvar: [env, machine]; spring_pu: zero where out of service, [env, branch].
        from_bus, to_bus: [branch]; machine_bus, machine_susceptance_pu: [machine].
        machine_in_service: [env, machine].
        stiffness_mw_per_rad: filled in, [env, branch + machine].
    """
    n_env, n_machine = machine_q_mvar.shape
    n_branch = from_bus.size
    for e in range(n_env):
        for k in range(n_branch):
            v_from, v_to = v_pu[e, from_bus[k]], v_pu[e, to_bus[k]]
            cosine = v_from.real * v_to.real + v_from.imag * v_to.imag
            stiffness_mw_per_rad[e, k] = base_mva * spring_pu[e, k] * cosine
        for i in range(n_machine):
            k = n_branch + i
            if machine_in_service[e, i]:
                v = v_pu[e, machine_bus[i]]
                square = v.real * v.real + v.imag * v.imag
                stiffness_mw_per_rad[e, k] = (
                    base_mva * square * machine_susceptance_pu[i] + machine_q_mvar[e, i]
                )
            else:
                stiffness_mw_per_rad[e, k] = 0.0


@numba.njit(cache=True, error_model="numpy")
def synchronising_matrix(
    stiffness_mw_per_rad: FloatArray, shape: FloatArray, matrix_mw_per_rad: FloatArray
) -> None:
    """T = psi' k psi: growth of each group's export per radian of each group [MW/rad].

    Symmetric with rows that sum to zero, because a common turn of all rotors strains no spring.

    Args:
        stiffness_mw_per_rad: [env, spring]; shape: psi, [env, spring, group].
        matrix_mw_per_rad: filled in, [group, group, env].
    """
    n_env, n_spring, n_group = shape.shape
    total = np.empty((n_group, n_group))
    for e in range(n_env):
        total[:] = 0.0
        for k in range(n_spring):
            for a in range(n_group):
                pull = stiffness_mw_per_rad[e, k] * shape[e, k, a]
                for b in range(a + 1):
                    total[a, b] += pull * shape[e, k, b]
        for a in range(n_group):
            for b in range(a + 1):
                matrix_mw_per_rad[a, b, e] = total[a, b]
                matrix_mw_per_rad[b, a, e] = total[a, b]


@numba.njit(cache=True, error_model="numpy")
def loss_matrix(
    v_pu: ComplexArray,
    conductance_pu: FloatArray,
    from_bus: IntArray,
    to_bus: IntArray,
    impact_share: FloatArray,
    shape: FloatArray,
    base_mva: float,
    matrix_mw_per_rad: FloatArray,
) -> None:
    """L: growth of what each group delivers into losses per radian of each group [MW/rad].

    A circuit loses g (V_f^2 + V_t^2 - 2 V_f V_t cos phi), so d loss / d phi = 2 g V_f V_t sin phi; phi grows by psi_lb
    per radian of group b, and the groups deliver a loss by the mean of their shares Phi at its two ends. Rows sum to 0.

    Args:
        v_pu: [env, bus]; conductance_pu: r / (r^2 + x^2) / t, zero where out of service, [env, branch].
        from_bus, to_bus: [branch]; reach: Phi, [env, bus, group]; shape: psi, [env, spring, group], branches first.
        matrix_mw_per_rad: L is added here, [group, group, env].
    """
    n_env, n_branch = conductance_pu.shape
    n_group = impact_share.shape[2]
    total = np.empty((n_group, n_group))
    for e in range(n_env):
        total[:] = 0.0
        for k in range(n_branch):
            f, t = from_bus[k], to_bus[k]
            sine = v_pu[e, f].imag * v_pu[e, t].real - v_pu[e, f].real * v_pu[e, t].imag
            slope = (
                base_mva * conductance_pu[e, k] * sine
            )  # half of 2 g V_f V_t sin phi, for the mean of both ends
            if slope != 0.0:
                for a in range(n_group):
                    delivered = slope * (impact_share[e, f, a] + impact_share[e, t, a])
                    for b in range(n_group):
                        total[a, b] += delivered * shape[e, k, b]
        for a in range(n_group):
            for b in range(n_group):
                matrix_mw_per_rad[a, b, e] += total[a, b]


@numba.njit(cache=True, error_model="numpy")
def renew_synchronising(
    rows: IntArray,
    v_pu: ComplexArray,
    machine_q_mvar: FloatArray,
    spring_pu: FloatArray,
    conductance_pu: FloatArray,
    from_bus: IntArray,
    to_bus: IntArray,
    machine_bus: IntArray,
    machine_susceptance_pu: FloatArray,
    machine_in_service: BoolArray,
    impact_share: FloatArray,
    shape: FloatArray,
    base_mva: float,
    synchronising_mw_per_rad: FloatArray,
) -> None:
    """T + L of some environments at their operating points; arguments as in the three functions above.

    Args:
        rows: environments, [n]; arrays are those of all environments.
        synchronising_mw_per_rad: rows named are filled in, [group, group, env].
    """
    n_spring, n_group = shape.shape[1:]
    stiffness, matrix = np.empty((1, n_spring)), np.empty((n_group, n_group, 1))
    for row in range(rows.size):
        e = rows[row]
        spring_stiffness(
            v_pu[e : e + 1],
            machine_q_mvar[e : e + 1],
            spring_pu[e : e + 1],
            from_bus,
            to_bus,
            machine_bus,
            machine_susceptance_pu,
            machine_in_service[e : e + 1],
            base_mva,
            stiffness,
        )
        synchronising_matrix(stiffness, shape[e : e + 1], matrix)
        loss_matrix(
            v_pu[e : e + 1],
            conductance_pu[e : e + 1],
            from_bus,
            to_bus,
            impact_share[e : e + 1],
            shape[e : e + 1],
            base_mva,
            matrix,
        )
        for a in range(n_group):
            for b in range(n_group):
                synchronising_mw_per_rad[a, b, e] = matrix[a, b, 0]
