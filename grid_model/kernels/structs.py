"""The nouns of the compiled functions: named tuples of arrays that live as long as the grid and are filled in place.

Arrays of groups have env last, as the integrators want them; all others lead with env. A macro step of some
environments only, n of them, works on columns of its own, [group, n]. Units are in the names; angles are in rad.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray

__all__ = [
    "ALPHA",
    "BETA",
    "N_LAW_ROW",
    "P_CURRENT",
    "P_EXPONENT",
    "P_IMPEDANCE",
    "Q_CURRENT",
    "Q_EXPONENT",
    "Q_IMPEDANCE",
    "BusInjections",
    "Drive",
    "Excitation",
    "ExcitationState",
    "GridArrays",
    "GroupParameters",
    "GroupState",
    "Injections",
    "IntervalRecord",
    "LoadShape",
    "MachineParameters",
    "MachineState",
    "MacroStep",
    "Network",
    "OverFrequency",
    "OverFrequencyStep",
    "Placement",
    "PowerFlow",
    "PrimaryControl",
    "Profile",
    "ReducedNetwork",
    "ServiceStatus",
    "StorageResponse",
    "StorageStep",
    "SwingConstants",
    "SwingParameters",
    "SwingVariables",
    "UnitLimits",
    "WorstMoment",
    "placement_of",
]

# Of a bus in a law: power drawn at 1 pu as constant current, as constant impedance, by an exponent, and those.
N_LAW_ROW = 8
P_CURRENT, Q_CURRENT, P_IMPEDANCE, Q_IMPEDANCE, P_EXPONENT, Q_EXPONENT, ALPHA, BETA = range(N_LAW_ROW)


class Placement(NamedTuple):
    """At which bus and in which group everything stands; positions, never labels."""

    load_bus: IntArray  # [load]
    renewable_bus: IntArray  # [renewable]
    resource_bus: IntArray  # [resource]
    machine_bus: IntArray  # [machine]
    next_at_bus: (
        IntArray  # the next machine at the same bus, round in a ring; itself where it is alone, [machine]
    )
    machine_group: IntArray  # differs between environments where islands live apart, [env, machine]
    from_bus: IntArray  # [branch]
    to_bus: IntArray  # [branch]


def placement_of(case: Case, machine_group: IntArray) -> Placement:
    """Of a case whose machines belong to these groups, [env, machine]; the array is shared."""
    next_at_bus = np.arange(case.n_machine)
    for bus in np.unique(case.machine.bus):
        at = np.flatnonzero(case.machine.bus == bus)
        next_at_bus[at] = np.roll(at, -1)
    return Placement(
        load_bus=case.load.bus,
        renewable_bus=case.renewable.bus,
        resource_bus=case.resource.bus,
        machine_bus=case.machine.bus,
        next_at_bus=next_at_bus,
        machine_group=machine_group,
        from_bus=case.branch.from_bus,
        to_bus=case.branch.to_bus,
    )


class Injections(NamedTuple):
    """Everything that acts on the grid at one instant."""

    load_mw: FloatArray  # at 60 Hz, [env, load]
    load_mvar: FloatArray  # [env, load]
    renewable_mw: FloatArray  # [env, renewable]
    schedule_mw: FloatArray  # [env, machine]
    set_point_mw: FloatArray  # of the resources, [env, resource]
    resource_mw: FloatArray  # their outputs, [env, resource]


class Profile(NamedTuple):
    """Injection profile of an interval: straight lines but for the resources' outputs."""

    begin: Injections
    end: Injections
    coming: Injections  # to be filled with what acts at the end of the interval that comes next
    load_step_mw: FloatArray  # steps of load that have happened, [env, load]
    served_share: FloatArray  # share of each load that shedding has left, [env, load]
    lag_s: FloatArray  # time constant of each resource, [resource]
    lag_kind: IntArray  # which of `SwingConstants.lag_s` that is, [resource]
    lag_decay: FloatArray  # exp(-t/T) at every step of an interval, [step, resource]


class ServiceStatus(NamedTuple):
    """What is in service; owned by the power flow, which knows the islands."""

    branch: BoolArray  # [env, branch]
    machine: BoolArray  # [env, machine]
    committed: BoolArray  # in the schedule, in service or not, [env, machine]
    bus: BoolArray  # energised, [env, bus]


class PowerFlow(NamedTuple):
    """The last solution of each environment."""

    v_pu: ComplexArray  # [env, bus]
    s_from_mva: ComplexArray  # entering each circuit, [env, branch]
    s_to_mva: ComplexArray  # [env, branch]
    s_bus_mva: ComplexArray  # from each bus into the grid, [env, bus]
    converged: BoolArray  # [env]


class BusInjections(NamedTuple):
    """What the next power flow is to solve: constant powers, and a law beside them of what depends on voltage."""

    others_mva: ComplexArray  # from everything but machines, loads at the last voltage, [env, bus]
    total_mva: ComplexArray  # of everything, without what the law says, [env, bus]
    demand_mva: ComplexArray  # what the loads want at their reference voltage, zero at dead buses, [env, bus]
    drawn_mva: ComplexArray  # what they draw, [env, bus]
    machine_mw: (
        FloatArray  # what the machines send out, without what the power flow leaves over, [env, machine]
    )
    law_mva: FloatArray  # what depends on voltage, see `grid_model.power_flow.newton.load_law`, [env, bus, 8]


class LoadShape(NamedTuple):
    """How loads depend on voltage, see `grid_model.dynamics.load_model`."""

    p_exponent: float
    q_exponent: float
    constant_share: float  # of P and Q that does not depend on voltage
    recovery_s: float
    reference_pu: FloatArray  # Vr, voltage at which a load draws what it wants, [env, bus]
    p_share: FloatArray  # what it draws of that at the last voltage, [env, bus]
    q_share: FloatArray  # [env, bus]


class Excitation(NamedTuple):
    """Field of the machines and what regulates it, see `grid_model.dynamics.terminal_voltage`; all [machine]."""

    reactance_ratio: FloatArray  # x_d / x'_d
    t_field_s: FloatArray  # T'd0, open-circuit time constant of the field; infinite where E' is held
    gain: FloatArray  # of the regulator at rest, field voltage per voltage
    transient_gain: FloatArray  # at once
    lag_s: FloatArray  # from the one to the other
    reset_per_s: FloatArray  # at which the integral part takes out what error is left
    efd_min_pu: FloatArray
    efd_max_pu: FloatArray


class ExcitationState(NamedTuple):
    """State of the machines' fields where `regulating`; elsewhere machines hold their voltage."""

    regulating: BoolArray  # [env]
    emf_pu: FloatArray  # E', [env, machine]
    lagging_pu: (
        FloatArray  # the part of the field voltage that follows with the regulator's lag, [env, machine]
    )
    bias_pu: FloatArray  # field voltage without an error, [env, machine]
    set_point_pu: FloatArray  # voltage that the regulator wants, [env, machine]
    reference_pu: (
        FloatArray  # that it compares with: the set-point, moved by its integral part, [env, machine]
    )
    side: IntArray  # -1 or 1 where the field voltage is at its floor or ceiling, [env, machine]
    cosine: FloatArray  # of the angle between E' and V when the law was written, [env, machine]
    elapsed_s: FloatArray  # time since the last solution, [env]


class WorstMoment(NamedTuple):
    """The worst of every power flow inside an interval."""

    loading_percent: FloatArray  # of the rating that held at the time, [env, branch]
    vm_lowest_pu: FloatArray  # of live buses; infinite where a bus was dead all along, [env, bus]
    vm_highest_pu: FloatArray  # minus infinite there


class Network(NamedTuple):
    """How the network joins the groups, see `grid_model.dynamics.coherency`; it changes with the topology alone."""

    impact_share: FloatArray  # Phi, share of each group in a change of power at a bus, [env, bus, group]
    angle_sensitivity: (
        FloatArray  # psi, drop of angle across each spring per radian, [env, branch + machine, group]
    )
    spring_pu: FloatArray  # of circuits in service, [env, branch]
    conductance_pu: FloatArray  # r / (r^2 + x^2) / t of circuits in service, [env, branch]
    bus_frequency: FloatArray  # F, the frequency divider on the groups, [env, bus, group]
    bus_gram: FloatArray  # F'F, [env, group, group]


class MachineParameters(NamedTuple):
    """Of the machines in service; zero for others."""

    inertia_mws_per_hz: FloatArray  # [env, machine]
    governor_share: FloatArray  # of the grid's governor, [env, machine]
    p_max_mw: FloatArray  # most that its turbine gives, [env, machine]
    p_min_mw: FloatArray  # least, [env, machine]
    reactance_pu: FloatArray  # x'd on the case's base, in service or not, [machine]
    susceptance_pu: FloatArray  # 1 / x'd, [machine]


class MachineState(NamedTuple):
    """What each machine sends out at the last power flow."""

    p_mw: FloatArray  # [env, machine]
    q_mvar: FloatArray  # [env, machine]


class GroupParameters(NamedTuple):
    """What the machines in service make of each group."""

    inertia_mws_per_hz: FloatArray  # M, zero without a machine, [group, env]
    governor_share: FloatArray  # of the grid's governor, [group, env]


class SwingParameters(NamedTuple):
    """What the integrators know of each group."""

    inertia_mws_per_hz: FloatArray  # M, above zero: one where a group has no machine, [group, env]
    gain_mw_per_hz: FloatArray  # of its governors together, as the next three, [group, env]
    limit_up_mw: FloatArray  # [group, env]
    limit_down_mw: FloatArray  # [group, env]
    rate_mw_per_s: FloatArray  # [group, env]
    dead_band_hz: FloatArray  # [env]


class GroupState(NamedTuple):
    """State of the swing equations between two macro steps; angles are zero there."""

    df_hz: FloatArray  # frequency deviation, [group, env]
    valve_mw: FloatArray  # governors of the group together, [group, env]
    reheat_mw: FloatArray  # [group, env]
    p_elec_mw: FloatArray  # what its machines send out at the last power flow, [group, env]


class Lanes(NamedTuple):
    """Which environments stand side by side in a block of rows of eight, see `grid_model.kernels.swing_rows`."""

    first: int  # environment of the first lane
    width: int  # number of environments
    n_part: int  # rows of eight that hold them, of every quantity
    n_group: int


class SwingVariables(NamedTuple):
    """State of the swing equations within a macro step; changed by the integrators."""

    df_hz: FloatArray  # frequency deviation, [group, n]
    theta_rad: FloatArray  # turn of each group since the last power flow, [group, n]
    valve_mw: FloatArray  # [group, n]
    reheat_mw: FloatArray  # [group, n]
    synchronising_mw: FloatArray  # what the angles make flow at the macro step's end, [group, n]


class Drive(NamedTuple):
    """What drives the groups through a macro step; powers follow straight lines between its two ends."""

    p_start_mw: FloatArray  # schedule + renewables - load at 60 Hz - losses - net export, [group, n]
    p_end_mw: FloatArray  # [group, n]
    damping_mw_per_hz: FloatArray  # D, [group, n]
    lagged_mw: (
        FloatArray  # output of the resources by kind of lag, changed by the integrators, [lag, group, n]
    )
    set_point_start_mw: FloatArray  # [lag, group, n]
    set_point_end_mw: FloatArray  # [lag, group, n]


class IntervalRecord(NamedTuple):
    """What an interval was like, added to by every macro step."""

    second_moment_hz2: FloatArray  # mean over the steps of f_a f_b, lower triangle, [group, group, env]
    df_min_hz: FloatArray  # extremes, [group, env]
    df_max_hz: FloatArray
    trace_hz: FloatArray  # at every step, [step, group, env]; length 0 for none
    trace_mechanical_mw: FloatArray  # governors' power likewise, [step, group, env]


class ReducedNetwork(NamedTuple):
    """Power between machines, P_i = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)].

    Rows and columns of machines out of service are zero.
    """

    conductance_mw: FloatArray  # C, [machine, machine, env]
    susceptance_mw: FloatArray  # S, [machine, machine, env]


class StorageResponse(NamedTuple):
    """Fast response of battery plants to frequency, see `grid_model.kernels.storage_response`."""

    resource: IntArray  # rows of the resource table, [storage]
    droop_mw_per_hz: FloatArray  # [storage]
    dead_band_hz: FloatArray  # [storage]
    inertia_mws_per_hz: FloatArray  # synthetic M, [storage]
    lag_s: FloatArray  # of the measured frequency, [storage]
    p_max_mw: FloatArray  # rating both ways, of set-point and response together, [storage]
    charging_efficiency: FloatArray  # [storage]
    discharging_efficiency: FloatArray  # [storage]
    measured_hz: FloatArray  # state: deviation as measured, [env, storage]
    response_mw: FloatArray  # state: power beyond the output that follows the set-point, [env, storage]
    drawn_mwh: (
        FloatArray  # energy that the response has taken from the store in this interval, [env, storage]
    )
    room_out_mwh: FloatArray  # most that it may take in this interval, [env, storage]
    room_in_mwh: FloatArray  # most that it may leave there, [env, storage]


class StorageStep(NamedTuple):
    """What `StorageResponse` is in a macro step of n environments."""

    plant: StorageResponse
    is_live: BoolArray  # whether the plant's bus is energised, [storage, n]
    bus_frequency: FloatArray  # F of the plants' buses, [storage, group, n]
    impact_share: FloatArray  # Phi of the plants' buses, [storage, group, n]
    straight_mw: FloatArray  # straight part of the output that follows the set-point, moved on, [storage, n]
    rise_mw: FloatArray  # its growth in a step, [storage, n]
    gap_mw: FloatArray  # its fading part, moved on, [storage, n]
    lag_decay: FloatArray  # of the fading part over a step, [storage]
    start_mw: FloatArray  # response at the beginning, [storage, n]
    response_mw: FloatArray  # [storage, n]
    measured_hz: FloatArray  # [storage, n]
    drawn_mwh: FloatArray  # [storage, n]
    room_out_mwh: FloatArray  # [storage, n]
    room_in_mwh: FloatArray  # [storage, n]


class UnitLimits(NamedTuple):
    """Governors of single machines in a macro step, where a group has several of them."""

    machine_group: IntArray  # [machine, n]
    gain_mw_per_hz: FloatArray  # [machine, n]
    up_mw: FloatArray  # from the schedule to the most its turbine gives, [machine, n]
    down_mw: FloatArray  # to the least, [machine, n]
    free_up_mw: FloatArray  # of the group, up to which none of its machines is at a limit, [group, n]
    free_down_mw: FloatArray  # [group, n]


class OverFrequency(NamedTuple):
    """Wind and sun above their threshold."""

    from_hz: float  # as a deviation from nominal
    share_per_hz: float  # of the output that is given up per Hz beyond it


class OverFrequencyStep(NamedTuple):
    """The same in a macro step."""

    from_hz: float
    gain_mw_per_hz: FloatArray  # what plants give up as the groups meet it, [group, n]


class PrimaryControl(NamedTuple):
    """What answers frequency within a macro step besides governors as designed; None for what does not."""

    storage: StorageStep | None
    units: UnitLimits | None
    over: OverFrequencyStep | None


class SwingConstants(NamedTuple):
    """Numbers of the integration."""

    lag_s: FloatArray  # the different time constants of the resources, [lag]
    t_valve_s: float
    t_reheat_s: float
    high_pressure_fraction: float
    tie_damping_s: float
    dt_s: float
    mean_weight: float  # of one step in the means: one over the steps of the whole interval


class MacroStep(NamedTuple):
    """A macro step of n environments: where it began, what drives it, and where it has come to."""

    start_hz: FloatArray  # frequency deviation at its beginning, [group, n]
    load_growth_mw: FloatArray  # growth of net load as the groups meet it, [group, n]
    output_start_mw: FloatArray  # of the resources, [group, n]
    swing: SwingVariables
    drive: Drive
    parameters: SwingParameters
    record: IntervalRecord  # its traces have length 0: they are kept for the interval alone
    synchronising_mw_per_rad: FloatArray  # T, [group, group, n]
    reduced: ReducedNetwork | None  # at the level of single machines
    control: PrimaryControl


class GridArrays(NamedTuple):
    """All that the compiled functions know of a batch of grids."""

    placement: Placement
    profile: Profile
    status: ServiceStatus
    power_flow: PowerFlow
    injected: BusInjections
    network: Network
    machines: MachineParameters
    machine_state: MachineState
    loads: LoadShape
    excitation: Excitation
    excitation_state: ExcitationState
    worst: WorstMoment
    rate_a_mva: FloatArray  # rating of circuits while the grid is whole, [branch]
    rate_b_mva: FloatArray  # while an element is out, [branch]
    groups: GroupParameters
    group_state: GroupState
    swing: SwingParameters
    record: IntervalRecord
    synchronising_mw_per_rad: (
        FloatArray  # T with the losses: power per radian of each group, [group, group, env]
    )
    y_reduced_pu: ComplexArray  # Y_red of the levels of single machines, [env, machine, machine]
    reduced: ReducedNetwork | None  # None at the other levels
    storage: StorageResponse | None  # None where no battery responds to frequency
    relay_pending: IntArray  # steps for which each relay has seen its stage undercut, [env, load, stage]
    relay_threshold_hz: float  # highest stage of load shedding, as a deviation
    over: OverFrequency | None  # None where wind and sun do not answer frequency
    trip_pending: IntArray  # steps for which each machine's relay has seen its stage exceeded, [env, machine]
    trip_threshold_hz: float  # lowest stage at which machines trip, as a deviation
    within_units: bool  # governors keep within the limits of their own units
    constants: SwingConstants
    load_per_hz: float  # relative growth of load with frequency
    base_mva: float
    n_steps: int  # integration steps of an interval
    interval_s: float
    renewal_spread_hz: float  # groups further apart swing against each other
