"""What joins the groups at an operating point, compiled: synchronising power, and the change of losses with angles.

For areas and the whole grid that is a matrix T + L of power per radian; for single machines the coefficients C and
S of what their internal voltages drive through the reduced network (`grid_model.dynamics.kron_reduction`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, load, store
from grid_model.kernels.structs import GridArrays, Placement, ReducedNetwork
from grid_model.kernels.voltage_laws import adopt_voltages, note_worst
from grid_model.network.admittance import ComplexArray

__all__ = [
    "adopt_power_flow",
    "internal_voltages",
    "power_coefficients",
    "spring_stiffness",
    "synchronising_matrix",
]


@compiled
def adopt_solution(grid: GridArrays, envs: IntArray, by_law: bool, at_rest: bool) -> None:
    """Everything that follows from the last power flow; see `adopt_voltages` and `adopt_power_flow`."""
    adopt_voltages(grid, envs, by_law, at_rest)
    adopt_power_flow(grid, envs)


@compiled
def adopt_power_flow(grid: GridArrays, envs: IntArray) -> None:
    """Start the next macro step from the last power flow: machines' powers, and what joins the groups there.

    Its loadings and voltages are taken into the worst of the interval. Where it found no solution the powers stay what
    they were.

    Args:
        grid: the grid, with the loads of that solution in `injected.others_mva`.
        envs: environments, [n].
    """
    note_worst(grid, envs)
    _adopt_machine_power(grid, envs)
    _renew(grid, envs, grid.reduced)


@compiled
def _adopt_machine_power(grid: GridArrays, envs: IntArray) -> None:
    """Machines' powers of the environments that found a solution, and their groups' sums.

    A machine sends out what leaves its bus less what else is injected there; several share it, see `_own_part`.
    """
    s_bus_mva, others_mva, machine_bus = (
        grid.power_flow.s_bus_mva,
        grid.injected.others_mva,
        grid.placement.machine_bus,
    )
    converged, in_service = grid.power_flow.converged, grid.status.machine
    machine_mw, machine_mvar = grid.machine_state.p_mw, grid.machine_state.q_mvar
    p_elec_mw, machine_group = grid.group_state.p_elec_mw, grid.placement.machine_group
    for row in range(envs.size):
        e = envs[row]
        if not converged[e]:
            continue
        for g in range(p_elec_mw.shape[0]):
            p_elec_mw[g, e] = 0.0
        for i in range(machine_group.shape[1]):
            power_mva = complex(0.0, 0.0)
            if in_service[e, i]:
                power_mva = s_bus_mva[e, machine_bus[i]] - others_mva[e, machine_bus[i]]
                if grid.placement.next_at_bus[i] != i:
                    power_mva = _own_part(grid, e, i, power_mva)
            machine_mw[e, i] = power_mva.real
            machine_mvar[e, i] = power_mva.imag
            if in_service[e, i]:
                p_elec_mw[machine_group[e, i], e] += machine_mw[e, i]


@compiled
def _own_part(grid: GridArrays, env: int, machine: int, together_mva: complex) -> complex:
    """What a machine sends out of what all machines at its bus do.

    Active power is what the power flow was given of it, and of what that left unbalanced its share by governor;
    reactive power goes by susceptance 1 / x'd, as internal voltages of the same size have it.

    Args:
        grid: the grid, with the machines' powers of that power flow in `injected.machine_mw`.
        env: the environment.
        machine: in service.
        together_mva: what leaves its bus less what else is injected there.
    """
    injected_mw, susceptance_pu = grid.injected.machine_mw, grid.machines.susceptance_pu
    governor_share = grid.machines.governor_share
    given_mw, governors, susceptances, n = 0.0, 0.0, 0.0, 0
    i = machine
    while True:
        if grid.status.machine[env, i]:
            given_mw += injected_mw[env, i]
            governors += governor_share[env, i]
            susceptances += susceptance_pu[i]
            n += 1
        i = grid.placement.next_at_bus[i]
        if i == machine:
            break
    share = governor_share[env, machine] / governors if governors > 0.0 else 1.0 / n
    p_mw = injected_mw[env, machine] + share * (together_mva.real - given_mw)
    return complex(p_mw, together_mva.imag * susceptance_pu[machine] / susceptances)


@compiled
def _renew(grid: GridArrays, envs: IntArray, reduced: ReducedNetwork | None) -> None:
    """What joins the groups of some environments, by the level; which one is known when this is compiled."""
    if reduced is None:
        _renew_matrix(grid, envs)
    else:
        _renew_coefficients(grid, envs, reduced)


class _Stretch(NamedTuple):
    """Rows of a block of eight environments from which T and L are made, each counted from its first."""

    stiffness: int  # of circuits and machines, [spring]
    slope: int  # half of d loss / d angle of each circuit, [branch]
    angle_sensitivity: int  # psi, [spring, group]
    impact_share: int  # Phi, [bus, group]
    tie: int  # T, [group, group]
    loss: int  # L, [group, group]
    n: int  # all rows


@compiled
def _stretch(n_spring: int, n_branch: int, n_bus: int, n_group: int) -> _Stretch:
    slope, angle_sensitivity = n_spring, n_spring + n_branch
    impact_share = angle_sensitivity + n_spring * n_group
    tie = impact_share + n_bus * n_group
    loss = tie + n_group * n_group
    return _Stretch(0, slope, angle_sensitivity, impact_share, tie, loss, loss + n_group * n_group)


@compiled
def _bring_losses(grid: GridArrays, envs: IntArray, first: int, block: FloatArray, rows: _Stretch) -> None:
    """Fill the rows that L is made of for up to eight environments from the first on.

    A circuit loses g (V_f^2 + V_t^2 - 2 V_f V_t cos phi), so d loss / d phi = 2 g V_f V_t sin phi. Lanes without an
    environment are left as they are.
    """
    network, placement, v_pu = grid.network, grid.placement, grid.power_flow.v_pu
    from_bus, to_bus = placement.from_bus, placement.to_bus
    n_spring, n_group = network.angle_sensitivity.shape[1:]
    n_bus, width = network.impact_share.shape[1], min(N_LANE, envs.size - first)
    for k in range(from_bus.size):
        f, t = from_bus[k], to_bus[k]
        for lane in range(width):
            e = envs[first + lane]
            sine = v_pu[e, f].imag * v_pu[e, t].real - v_pu[e, f].real * v_pu[e, t].imag
            block[rows.slope + k, lane] = grid.base_mva * network.conductance_pu[e, k] * sine
    for k in range(n_spring):
        for g in range(n_group):
            row = rows.angle_sensitivity + k * n_group + g
            for lane in range(width):
                block[row, lane] = network.angle_sensitivity[envs[first + lane], k, g]
    for bus in range(n_bus):
        for g in range(n_group):
            row = rows.impact_share + bus * n_group + g
            for lane in range(width):
                block[row, lane] = network.impact_share[envs[first + lane], bus, g]


@compiled
def _renew_matrix(grid: GridArrays, envs: IntArray) -> None:
    """T + L at the operating points of some environments, eight of them side by side."""
    n_spring, n_group = grid.network.angle_sensitivity.shape[1:]
    n_bus = grid.network.impact_share.shape[1]
    rows = _stretch(n_spring, grid.placement.from_bus.size, n_bus, n_group)
    block, stiffness = np.zeros((rows.n, N_LANE)), np.empty(n_spring)
    for first in range(0, envs.size, N_LANE):
        for lane in range(min(N_LANE, envs.size - first)):
            e = envs[first + lane]
            spring_stiffness(
                grid.power_flow.v_pu[e],
                grid.machine_state.q_mvar[e],
                grid.status.machine[e],
                grid.network.spring_pu[e],
                grid.machines.susceptance_pu,
                grid.placement,
                grid.base_mva,
                stiffness,
            )
            for k in range(n_spring):
                block[rows.stiffness + k, lane] = stiffness[k]
        _bring_losses(grid, envs, first, block, rows)
        _synchronising_rows(n_spring, n_group, block, rows.stiffness, rows.angle_sensitivity, rows.tie)
        _loss_rows(grid.placement, n_group, block, rows)
        for a in range(n_group):
            for b in range(n_group):
                at = a * n_group + b
                for lane in range(min(N_LANE, envs.size - first)):
                    both = block[rows.tie + at, lane] + block[rows.loss + at, lane]
                    grid.synchronising_mw_per_rad[a, b, envs[first + lane]] = both


@compiled
def _renew_coefficients(grid: GridArrays, envs: IntArray, reduced: ReducedNetwork) -> None:
    """C and S of the machines, losses included, in the environments that found a solution."""
    v_pu, machine, status, n = (
        grid.power_flow.v_pu,
        grid.machine_state,
        grid.status,
        grid.placement.machine_bus.size,
    )
    conductance_mw, susceptance_mw = np.empty((n, n, 1)), np.empty((n, n, 1))
    n_spring, n_bus = grid.network.angle_sensitivity.shape[1], grid.network.impact_share.shape[1]
    rows = _stretch(n_spring, grid.placement.from_bus.size, n_bus, n)
    block = np.zeros((rows.n, N_LANE))
    for row in range(envs.size):
        e, lane = envs[row], row % N_LANE
        if lane == 0:
            _bring_losses(grid, envs, row, block, rows)
            _loss_rows(grid.placement, n, block, rows)
        if not grid.power_flow.converged[e]:
            continue
        e_pu = internal_voltages(
            v_pu[e : e + 1],
            machine.p_mw[e : e + 1],
            machine.q_mvar[e : e + 1],
            grid.placement.machine_bus,
            grid.machines.reactance_pu,
            status.machine[e : e + 1],
            grid.base_mva,
        )
        power_coefficients(e_pu, grid.y_reduced_pu[e : e + 1], grid.base_mva, conductance_mw, susceptance_mw)
        # Rows sum to zero, so L theta = - sum_j L_ij (theta_i - theta_j): to first order the sines take it up.
        for i in range(n):
            for j in range(n):
                reduced.conductance_mw[i, j, e] = conductance_mw[i, j, 0]
                loss = block[rows.loss + i * n + j, lane]
                reduced.susceptance_mw[i, j, e] = susceptance_mw[i, j, 0] - loss


@compiled
def spring_stiffness(
    v_pu: ComplexArray,
    machine_q_mvar: FloatArray,
    machine_in_service: BoolArray,
    spring_pu: FloatArray,
    susceptance_pu: FloatArray,
    placement: Placement,
    base_mva: float,
    stiffness_mw_per_rad: FloatArray,
) -> None:
    """Stiffness of circuits and machines of one environment at an operating point [MW/rad].

    A circuit gives V_f V_t cos(th_f - th_t) times its spring; a machine's internal voltage E behind x'd gives
    E V cos(delta - th) / x'd, which equals V^2 / x'd + Q because Q = (E V cos(delta - th) - V^2) / x'd.

    Args:
        v_pu: bus voltages, [bus].
        machine_q_mvar: Q, reactive powers of the machines [Mvar], [machine].
        machine_in_service: which machines are in service, [machine].
        spring_pu: x / (r^2 + x^2) / t of circuits on base_mva, zero where out of service, [branch].
        susceptance_pu: 1 / x'd on base_mva, [machine].
        placement: at which buses circuits and machines stand.
        base_mva: base of the quantities in pu [MVA].
        stiffness_mw_per_rad: filled in, [branch + machine].
    """
    from_bus, to_bus, machine_bus = placement.from_bus, placement.to_bus, placement.machine_bus
    n_branch = from_bus.size
    for k in range(n_branch):
        v_from, v_to = v_pu[from_bus[k]], v_pu[to_bus[k]]
        cosine = v_from.real * v_to.real + v_from.imag * v_to.imag
        stiffness_mw_per_rad[k] = base_mva * spring_pu[k] * cosine
    for i in range(machine_bus.size):
        k = n_branch + i
        if machine_in_service[i]:
            v = v_pu[machine_bus[i]]
            square = v.real * v.real + v.imag * v.imag
            stiffness_mw_per_rad[k] = base_mva * square * susceptance_pu[i] + machine_q_mvar[i]
        else:
            stiffness_mw_per_rad[k] = 0.0


@compiled
def synchronising_matrix(
    stiffness_mw_per_rad: FloatArray, angle_sensitivity: FloatArray, matrix_mw_per_rad: FloatArray
) -> None:
    """T = psi' k psi: growth of each group's export per radian of each group [MW/rad].

    Symmetric with rows that sum to zero, because a common turn of all rotors strains no spring.

    Args:
        stiffness_mw_per_rad: k [MW/rad], [branch + machine].
        angle_sensitivity: psi, drop of angle across each spring per radian of a group, [branch + machine, group].
        matrix_mw_per_rad: filled with T [MW/rad], [group, group].
    """
    n_spring, n_group = angle_sensitivity.shape
    tie = n_spring + n_spring * n_group
    block = np.zeros((tie + n_group * n_group, N_LANE))
    for k in range(n_spring):
        block[k, 0] = stiffness_mw_per_rad[k]
        for g in range(n_group):
            block[n_spring + k * n_group + g, 0] = angle_sensitivity[k, g]
    _synchronising_rows(n_spring, n_group, block, 0, n_spring, tie)
    for a in range(n_group):
        for b in range(n_group):
            matrix_mw_per_rad[a, b] = block[tie + a * n_group + b, 0]


@compiled
def _synchronising_rows(
    n_spring: int, n_group: int, block: FloatArray, stiffness: int, angle_sensitivity: int, tie: int
) -> None:
    """The same of eight environments side by side: rows of a block, each counted from its first."""
    for a in range(n_group):
        for b in range(a + 1):
            store(block, tie + a * n_group + b, 0.0)
    for k in range(n_spring):
        of = angle_sensitivity + k * n_group
        for a in range(n_group):
            pull = load(block, stiffness + k) * load(block, of + a)
            for b in range(a + 1):
                at = tie + a * n_group + b
                store(block, at, load(block, at) + pull * load(block, of + b))
    for a in range(n_group):
        for b in range(a):
            store(block, tie + b * n_group + a, load(block, tie + a * n_group + b))


@compiled
def _loss_rows(placement: Placement, n_group: int, block: FloatArray, rows: _Stretch) -> None:
    """L: growth of what each group delivers into losses per radian of each group [MW/rad].

    The angle phi of a circuit grows by the angle sensitivity psi_lb per radian of group b, and the groups deliver a
    loss by the mean of their impact shares Phi at its two ends. Rows of L sum to 0.
    """
    for at in range(n_group * n_group):
        store(block, rows.loss + at, 0.0)
    for k in range(placement.from_bus.size):
        begin = rows.impact_share + placement.from_bus[k] * n_group
        end = rows.impact_share + placement.to_bus[k] * n_group
        of = rows.angle_sensitivity + k * n_group
        for a in range(n_group):
            delivered = load(block, rows.slope + k) * (load(block, begin + a) + load(block, end + a))
            for b in range(n_group):
                at = rows.loss + a * n_group + b
                store(block, at, load(block, at) + delivered * load(block, of + b))


@compiled
def internal_voltages(
    v_pu: ComplexArray,
    machine_mw: FloatArray,
    machine_mvar: FloatArray,
    machine_bus: IntArray,
    reactance_pu: FloatArray,
    machine_in_service: BoolArray,
    base_mva: float,
) -> ComplexArray:
    """E = V + j x'd conj(S / V) of each machine, zero where out of service, [env, machine].

    Args:
        v_pu: V, bus voltages, [env, bus].
        machine_mw: P, what the machines send out [MW], [env, machine].
        machine_mvar: Q likewise [Mvar], [env, machine].
        machine_bus: position of each machine's bus, [machine].
        reactance_pu: x'd on base_mva, [machine].
        machine_in_service: which machines are in service, [env, machine].
        base_mva: base of S = P + jQ in pu [MVA].
    """
    n_env, n_machine = machine_mw.shape
    e_pu = np.zeros((n_env, n_machine), dtype=np.complex128)
    for env in range(n_env):
        for i in range(n_machine):
            if machine_in_service[env, i]:
                v = v_pu[env, machine_bus[i]]
                s = complex(machine_mw[env, i], machine_mvar[env, i]) / base_mva
                e_pu[env, i] = v + 1j * reactance_pu[i] * (s / v).conjugate()
    return e_pu


@compiled
def power_coefficients(
    e_pu: ComplexArray,
    y_reduced_pu: ComplexArray,
    base_mva: float,
    conductance_mw: FloatArray,
    susceptance_mw: FloatArray,
) -> None:
    """C and S of P_i(theta), see `grid_model.dynamics.kron_reduction`.

    Args:
        e_pu: internal voltages E, [env, machine].
        y_reduced_pu: Y_red on base_mva, [env, machine, machine].
        base_mva: base of the power in pu [MVA].
        conductance_mw: filled with C, conductance power [MW], [machine, machine, env].
        susceptance_mw: filled with S, susceptance power [MW], [machine, machine, env].
    """
    n_env, n_machine = e_pu.shape
    for env in range(n_env):
        for i in range(n_machine):
            for j in range(n_machine):
                w = base_mva * e_pu[env, i] * (y_reduced_pu[env, i, j] * e_pu[env, j]).conjugate()
                conductance_mw[i, j, env] = w.real
                susceptance_mw[i, j, env] = -w.imag
