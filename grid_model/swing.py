"""Aggregated swing equations: which machines swing as one, and with what inertia, damping and tie stiffness.

    M_a dDf_a/dt = P_mech,a + P_agents,a - P_load,a - P_loss,a - P_tie,a - D_a Df_a - K 2 pi T_ab (Df_a - Df_b)
    dP_tie,ab/dt = 2 pi T_ab (Df_a - Df_b),         M_a = 2 sum(H_i S_i) / f0

A group of machines that swing together (an area; at the `system` level the whole grid; at the `machine` level a
machine by itself) is one rotating mass.
Oscillations inside a group are not represented. T_ab follows from the AC operating point: with all angles of the
network and of the machines' internal voltages free to settle, it is the power that starts to flow from group a to
group b when the rotors of b fall back by one radian against those of a. Voltage magnitudes are held (no reactive
coupling), which makes the network a set of springs

    k_l = V_f V_t cos(th_f - th_t) x / (r^2 + x^2) / t     circuit,          k_i = V^2 / x'd + Q_i     machine,

and T the springs as seen from the rotors. By reciprocity the same angles Phi say who meets a change of power at a
bus at the first instant, while the rotors stand: group a takes the share Phi_ba, and every live bus's shares sum to
one. The springs are renewed at every power flow, their settled shape psi only when topology changes:
T_ab = sum_l k_l psi_la psi_lb. By Dirichlet's principle the error of keeping the shape is of second order in the
change of the springs.

Losses change as rotors turn, and after an outage by as much as half of themselves within a swing. To first order that
is one more matrix, `loss_matrix`, beside T; it makes the exchange no longer sum to zero.

Tie damping stands for what damper windings and stabilisers take out of swings; the published system with its
stabilisers damps most inter-area modes by 3 to 10 %. A mode of omega rad/s is damped by K omega / 2: K = 0.03 s gives
the four inter-area modes of 0.38 to 0.80 Hz 4 to 8 %, and those of single machines up to 17 %. It is a torque, not a
power on the ties.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.admittance import ComplexArray
from grid_model.bus_frequency import frequency_divider, machine_reactance_pu
from grid_model.governor import GovernorConfig
from grid_model.load_shedding import LoadSheddingConfig, relay_weight

__all__ = [
    "Level",
    "SwingConfig",
    "SwingTopology",
    "loss_matrix",
    "machine_inertia_mws_per_hz",
    "renew_synchronising",
    "spring_stiffness",
    "swing_topology",
]

Level = Literal["machine", "area", "system"]


@dataclass(frozen=True, kw_only=True)
class SwingConfig:
    """Choices of the frequency model."""

    level: Level = "area"
    dt_s: float = 0.02
    load_damping: float = 1.0  # % of load per % of frequency: Kundur 1994, sec. 7.1.2 gives 1 to 2
    tie_damping_s: float = 0.03  # K above: damps a mode by K omega / 2, the inter-area modes by 4 to 8 %
    # While machines swing against each other losses follow the swing; one power flow an interval would alias them.
    renewal_spread_hz: float = (
        0.02  # between groups at the start of an interval; beyond it, and after events,
    )
    renewal_s: float = 0.5  # the power flow is renewed this often
    inertia_to_mws: float | None = None  # scale all H so that sum H S is this; None: as published
    governor: GovernorConfig = field(default_factory=GovernorConfig)
    load_shedding: LoadSheddingConfig | None = field(default_factory=LoadSheddingConfig)  # None: no relays

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise ValueError(
                f"frequency model: level = {self.level!r}, expected one of {', '.join(get_args(Level))}"
            )
        if not self.dt_s > 0.0:
            raise ValueError(f"frequency model: dt_s = {self.dt_s} s, expected > 0")
        for name in ("load_damping", "tie_damping_s"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"frequency model: {name} = {getattr(self, name)}, expected >= 0")
        if not self.renewal_s > 0.0 or not self.renewal_spread_hz >= 0.0:
            raise ValueError(
                f"frequency model: renewal_s = {self.renewal_s} s, expected > 0; renewal_spread_hz = "
                f"{self.renewal_spread_hz} Hz, expected >= 0"
            )
        if self.inertia_to_mws is not None and not self.inertia_to_mws > 0.0:
            raise ValueError(f"frequency model: inertia_to_mws = {self.inertia_to_mws}, expected > 0")


def machine_inertia_mws_per_hz(case: Case, inertia_to_mws: float | None = None) -> FloatArray:
    """M_i = 2 H_i S_i / f0 of each machine [MW s/Hz], [machine].

    Args:
        case: the grid; H and S are the machine table's `h_s` and `base_mva`.
        inertia_to_mws: scale all machines alike so that sum(H S) is this [MW s]; None leaves them as published.
    """
    stored_mws = case.machine.h_s * case.machine.base_mva
    if inertia_to_mws is not None:
        stored_mws = stored_mws * (inertia_to_mws / stored_mws.sum())
    return 2.0 * stored_mws / case.f0_hz


@dataclass(frozen=True, kw_only=True)
class SwingTopology:
    """What the frequency model knows of one topology: who is in service, and how the network joins them."""

    group_inertia_mws_per_hz: FloatArray  # [group]
    machine_inertia_mws_per_hz: FloatArray  # zero where out of service, [machine]
    governor_share: FloatArray  # share of each machine in the whole grid's governor as designed, [machine]
    group_governor_share: FloatArray  # [group]
    bus_frequency: FloatArray  # frequency divider on groups, rows of live buses sum to one, [bus, group]
    relay_weight: (
        FloatArray  # what the load-shedding relays of an area measure, rows sum to one, [area, group]
    )
    reach: (
        FloatArray  # Phi, share of each group in what a change of power at a bus meets at once, [bus, group]
    )
    shape: (
        FloatArray  # psi, drop of angle across each spring per radian of a group, [branch + machine, group]
    )
    spring_pu: FloatArray  # x / (r^2 + x^2) / t in service, [branch]
    conductance_pu: FloatArray  # r / (r^2 + x^2) / t in service, [branch]


def swing_topology(
    case: Case,
    config: SwingConfig,
    group: IntArray,
    n_group: int,
    v_pu: ComplexArray,
    machine_q_mvar: FloatArray,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
) -> SwingTopology:
    """Build the frequency model of one topology around one operating point.

    Args:
        case: the grid; config: choices of the model.
        group: group of each machine, [machine]; n_group: their number.
        v_pu: voltages of the operating point that gives the settled shape, [bus]; any values on dead buses.
        machine_q_mvar: reactive power of the machines there, [machine].
        branch_in_service: [branch]; machine_in_service: [machine]; bus_live: [bus].
    """
    inertia = machine_inertia_mws_per_hz(case, config.inertia_to_mws) * machine_in_service
    share = case.machine.rating_mva / case.machine.rating_mva.sum() * machine_in_service
    member = np.zeros((case.n_machine, n_group))
    member[np.arange(case.n_machine), group] = machine_in_service
    divider = frequency_divider(case, branch_in_service, machine_in_service, bus_live)

    spring = np.where(
        branch_in_service,
        case.branch.x_pu / (case.branch.r_pu**2 + case.branch.x_pu**2) / case.branch.tap,
        0.0,
    )
    stiffness = np.empty((1, case.n_branch + case.n_machine))
    spring_stiffness(
        v_pu[None, :],
        machine_q_mvar[None, :],
        spring[None, :],
        case.branch.from_bus,
        case.branch.to_bus,
        case.machine.bus,
        1.0 / machine_reactance_pu(case),
        machine_in_service[None, :],
        case.base_mva,
        stiffness,
    )
    k_branch, k_machine = stiffness[0, : case.n_branch], stiffness[0, case.n_branch :]
    f, t = case.branch.from_bus, case.branch.to_bus
    laplacian = np.zeros((case.n_bus, case.n_bus))
    np.add.at(laplacian, (f, f), k_branch)
    np.add.at(laplacian, (t, t), k_branch)
    np.add.at(laplacian, (f, t), -k_branch)
    np.add.at(laplacian, (t, f), -k_branch)
    np.add.at(laplacian, (case.machine.bus, case.machine.bus), k_machine)
    pull = np.zeros((case.n_bus, n_group))
    np.add.at(pull, case.machine.bus, k_machine[:, None] * member)
    live = np.flatnonzero(bus_live)
    angle = np.zeros((case.n_bus, n_group))
    angle[live] = np.linalg.solve(laplacian[np.ix_(live, live)], pull[live])
    shape = np.concatenate(
        [angle[f] - angle[t], member - angle[case.machine.bus] * machine_in_service[:, None]]
    )
    return SwingTopology(
        group_inertia_mws_per_hz=member.T @ inertia,
        machine_inertia_mws_per_hz=inertia,
        governor_share=share,
        group_governor_share=member.T @ share,
        bus_frequency=divider @ member,
        relay_weight=relay_weight(case, divider @ member, bus_live),
        reach=angle,
        shape=shape,
        spring_pu=spring,
        conductance_pu=spring * case.branch.r_pu / case.branch.x_pu,
    )


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
    reach: FloatArray,
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
    n_group = reach.shape[2]
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
                    delivered = slope * (reach[e, f, a] + reach[e, t, a])
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
    reach: FloatArray,
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
            reach[e : e + 1],
            shape[e : e + 1],
            base_mva,
            matrix,
        )
        for a in range(n_group):
            for b in range(n_group):
                synchronising_mw_per_rad[a, b, e] = matrix[a, b, 0]
