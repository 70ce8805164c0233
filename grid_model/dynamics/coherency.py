"""Aggregated swing equations: which machines swing as one, and with what inertia, damping and tie stiffness.

    M_a dDf_a/dt = P_mech,a + P_agents,a - P_load,a - P_loss,a - P_tie,a - D_a Df_a - K 2 pi T_ab (Df_a - Df_b)
    dP_tie,ab/dt = 2 pi T_ab (Df_a - Df_b),         M_a = 2 sum(H_i S_i) / f0

A group of machines that swing together (an area; at the `system` level the whole grid; at the `machine` level a
machine by itself) is one rotating mass. Oscillations inside a group are not represented. T_ab follows from the AC
operating point: with all angles of the network and of the machines' internal voltages free to settle, it is the
power that starts to flow from group a to group b when the rotors of b fall back by one radian against those of a.
Voltage magnitudes are held (no reactive coupling), which makes the network a set of springs

    k_l = V_f V_t cos(th_f - th_t) x / (r^2 + x^2) / t     circuit,          k_i = V^2 / x'd + Q_i     machine,

and T the springs as seen from the rotors. By reciprocity the same angles are the impact shares Phi: they say who
meets a change of power at a bus at the first instant, while the rotors stand. Group a takes the share Phi_ba, and
every live bus's shares sum to one. The springs are renewed at every power flow, the angle sensitivities psi only
when topology changes: T_ab = sum_l k_l psi_la psi_lb. By Dirichlet's principle the error of keeping psi is of
second order in the change of the springs.

Losses change as rotors turn, and after an outage by as much as half of themselves within a swing. To first order
that is one more matrix beside T, L of `grid_model.kernels.synchronising`; with it the synchronising powers no longer
sum to zero.

Tie damping stands for what damper windings and stabilisers take out of swings; the published system with its
stabilisers damps most inter-area modes by 3 to 10 %. A mode of omega rad/s is damped by K omega / 2: K = 0.03 s
gives the four inter-area modes of 0.38 to 0.80 Hz 4 to 8 %, and those of single machines up to 17 %. It is a
torque, not a power on the ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.dynamics.bus_frequency import frequency_divider, machine_reactance_pu
from grid_model.dynamics.island_groups import group_by_island
from grid_model.dynamics.load_shedding import relay_weight
from grid_model.dynamics.parameters import SwingConfig, machine_inertia_mws_per_hz
from grid_model.kernels.structs import placement_of
from grid_model.kernels.synchronising import spring_stiffness
from grid_model.network.admittance import ComplexArray
from grid_model.network.topology import weighted_laplacian

__all__ = ["SwingTopology", "swing_topology"]


@dataclass(frozen=True, kw_only=True)
class SwingTopology:
    """What the frequency model knows of one topology: who is in service, and how the network joins them."""

    group_inertia_mws_per_hz: FloatArray  # [group]
    machine_inertia_mws_per_hz: FloatArray  # zero where out of service, [machine]
    governor_share: FloatArray  # share of each machine in the whole grid's governor as designed, [machine]
    group_governor_share: FloatArray  # [group]
    bus_frequency: FloatArray  # frequency divider on groups, rows of live buses sum to one, [bus, group]
    relay_weight: FloatArray  # what the relay of each load measures, rows sum to one, [load, group]
    impact_share: (
        FloatArray  # Phi, share of each group in what a change of power at a bus meets at once, [bus, group]
    )
    angle_sensitivity: (
        FloatArray  # psi, drop of angle across each spring per radian of a group, [branch + machine, group]
    )
    spring_pu: FloatArray  # x / (r^2 + x^2) / t in service, [branch]
    conductance_pu: FloatArray  # r / (r^2 + x^2) / t in service, [branch]
    machine_group: IntArray  # [machine]
    island: IntArray  # of each bus, -1 where dark, [bus]
    group_island: IntArray  # of each group, -1 without a machine, [group]


def swing_topology(
    case: Case,
    config: SwingConfig,
    area: IntArray,
    n_group: int,
    v_pu: ComplexArray,
    machine_q_mvar: FloatArray,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
) -> SwingTopology:
    """Build the frequency model of one topology around one operating point.

    Args:
        case: the grid.
        config: choices of the model.
        area: group of each machine in the whole grid, [machine]; where it is split, see `group_by_island`.
        n_group: number of groups.
        v_pu: voltages of the operating point at which impact shares and angle sensitivities are taken, [bus]; any
            values on dead buses.
        machine_q_mvar: reactive power of the machines there [Mvar], [machine].
        branch_in_service: which circuits are in service, [branch].
        machine_in_service: which machines are, [machine].
        bus_live: which buses are energised, [bus].
    """
    inertia = machine_inertia_mws_per_hz(case, config.inertia_to_mws) * machine_in_service
    share = case.machine.rating_mva / case.machine.rating_mva.sum() * machine_in_service
    grouping = group_by_island(case, area, n_group, branch_in_service, machine_in_service)
    group, island = grouping.machine_group, np.where(bus_live, grouping.island, -1)
    group_island = np.full(n_group, -1, dtype=np.int64)
    group_island[group[machine_in_service]] = island[case.machine.bus[machine_in_service]]
    member = np.zeros((case.n_machine, n_group))
    member[np.arange(case.n_machine), group] = machine_in_service
    divider = frequency_divider(case, branch_in_service, machine_in_service, bus_live)

    spring = np.where(
        branch_in_service,
        case.branch.x_pu / (case.branch.r_pu**2 + case.branch.x_pu**2) / case.branch.tap,
        0.0,
    )
    if np.any(case.branch.shift_rad):
        spring = spring * _shifted(case, v_pu)
    stiffness = np.empty(case.n_branch + case.n_machine)
    spring_stiffness(
        v_pu,
        machine_q_mvar,
        machine_in_service,
        spring,
        1.0 / machine_reactance_pu(case),
        placement_of(case, group[None]),
        case.base_mva,
        stiffness,
    )
    k_branch, k_machine = stiffness[: case.n_branch], stiffness[case.n_branch :]
    f, t = case.branch.from_bus, case.branch.to_bus
    laplacian = weighted_laplacian(case, k_branch)
    np.add.at(laplacian, (case.machine.bus, case.machine.bus), k_machine)
    pull = np.zeros((case.n_bus, n_group))
    np.add.at(pull, case.machine.bus, k_machine[:, None] * member)
    live = np.flatnonzero(bus_live)
    angle = np.zeros((case.n_bus, n_group))
    angle[live] = np.linalg.solve(laplacian[np.ix_(live, live)], pull[live])
    angle_sensitivity = np.concatenate(
        [angle[f] - angle[t], member - angle[case.machine.bus] * machine_in_service[:, None]]
    )
    return SwingTopology(
        group_inertia_mws_per_hz=member.T @ inertia,
        machine_inertia_mws_per_hz=inertia,
        governor_share=share,
        group_governor_share=member.T @ share,
        bus_frequency=divider @ member,
        relay_weight=relay_weight(case, divider @ member, island),
        impact_share=angle,
        angle_sensitivity=angle_sensitivity,
        spring_pu=spring,
        conductance_pu=spring * case.branch.r_pu / case.branch.reactance_pu,
        machine_group=group,
        island=island,
        group_island=group_island,
    )


def _shifted(case: Case, v_pu: ComplexArray) -> FloatArray:
    """cos(phi - shift) / cos(phi) of each circuit: what the angle across its reactance makes of a stiffness, [branch].

    phi is the angle between its buses at the operating point. How its losses grow is left to phi alone.
    """
    f, t = case.branch.from_bus, case.branch.to_bus
    phi = np.angle(v_pu[f] * np.conj(v_pu[t]))
    factor: FloatArray = np.cos(phi - case.branch.shift_rad) / np.cos(phi)
    return np.where(case.branch.shift_rad != 0.0, factor, 1.0)
