"""The arrays of a simulator's parts in one place, as compiled functions take them."""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.injections import InjectionProfile
from grid_model.dynamics.load_model import LoadModel
from grid_model.dynamics.load_shedding import SheddingRelays
from grid_model.dynamics.over_frequency import OverFrequencyRelays, curtailment_of
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.service import Service
from grid_model.dynamics.swing_state import empty_record, groups_at_rest
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.kernels.structs import (
    BusInjections,
    GridArrays,
    LoadShape,
    MachineState,
    Placement,
    PowerFlow,
    ServiceStatus,
    StorageResponse,
    SwingConstants,
    WorstMoment,
)
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["arrays_of", "no_injections"]


def no_injections(case: Case, n_env: int) -> BusInjections:
    """Nothing injected at any bus of a batch of grids."""
    of_buses = (n_env, case.n_bus)
    return BusInjections(
        others_mva=np.zeros(of_buses, dtype=np.complex128),
        total_mva=np.zeros(of_buses, dtype=np.complex128),
        demand_mva=np.zeros(of_buses, dtype=np.complex128),
        drawn_mva=np.zeros(of_buses, dtype=np.complex128),
        machine_mw=np.zeros((n_env, case.n_machine)),
        law_mva=np.zeros((*of_buses, 8)),
    )


def _loads_at_reference(load: LoadModel, case: Case, n_env: int) -> LoadShape:
    """Loads at the voltages where they draw what was asked for, which are one until a power flow says others."""
    return LoadShape(
        p_exponent=float(load.p_exponent) if load.depends_on_voltage else 0.0,
        q_exponent=float(load.q_exponent) if load.depends_on_voltage else 0.0,
        constant_share=float(load.constant_share),
        recovery_s=float(load.recovery_s),
        reference_pu=np.ones((n_env, case.n_bus)),
        p_share=np.ones((n_env, case.n_bus)),
        q_share=np.ones((n_env, case.n_bus)),
    )


def arrays_of(
    config: SwingConfig,
    *,
    interval_s: float,
    n_steps: int,
    n_group: int,
    lag_s: FloatArray,
    placement: Placement,
    injected: BusInjections,
    engine: NewtonEngine,
    topology: GroupNetwork,
    profile: InjectionProfile,
    service: Service,
    synchronising_power: SynchronisingPower,
    terminal_voltage: TerminalVoltage,
    storage: StorageResponse | None,
    relays: SheddingRelays,
    plant_relays: OverFrequencyRelays,
) -> GridArrays:
    """What the parts own and hand out, shared with them, beside states that are made here.

    Args:
        config: choices of the frequency model.
        interval_s: length of a control interval [s].
        n_steps: integration steps in it.
        n_group: groups of machines that swing as one.
        lag_s: time constant of each resource [s], [resource].
        placement: where loads, plants and machines are.
        injected: what is injected at every bus.
        engine: the power flows.
        topology: the groups, and how the network joins them.
        profile: what acts on the grid.
        service: who is to be in service.
        synchronising_power: what flows between groups as they turn against each other.
        terminal_voltage: what the machines hold.
        storage: batteries that respond to frequency; None where none does.
        relays: load shedding.
        plant_relays: machines that trip at over-frequency.
    """
    case, n_env, governor = engine.case, engine.n_env, config.governor
    return GridArrays(
        placement=placement,
        profile=profile.arrays,
        status=ServiceStatus(
            engine.branch_in_service, engine.machine_in_service, service.committed, engine.bus_live
        ),
        power_flow=PowerFlow(
            engine.v_pu, engine.s_from_mva, engine.s_to_mva, engine.s_bus_mva, engine.converged
        ),
        injected=injected,
        network=topology.network,
        machines=topology.machines,
        machine_state=MachineState(
            p_mw=np.zeros((n_env, case.n_machine)), q_mvar=np.zeros((n_env, case.n_machine))
        ),
        loads=_loads_at_reference(config.load, case, n_env),
        excitation=terminal_voltage.data,
        excitation_state=terminal_voltage.state,
        worst=WorstMoment(
            loading_percent=np.zeros((n_env, case.n_branch)),
            vm_lowest_pu=np.ones((n_env, case.n_bus)),
            vm_highest_pu=np.ones((n_env, case.n_bus)),
        ),
        rate_a_mva=np.array(case.branch.rate_a_mva),
        rate_b_mva=np.array(case.branch.rate_b_mva),
        groups=topology.groups,
        group_state=groups_at_rest(n_group, n_env),
        swing=topology.swing,
        record=empty_record(n_steps, n_group, n_env),
        synchronising_mw_per_rad=synchronising_power.matrix_mw_per_rad,
        y_reduced_pu=synchronising_power.y_reduced_pu,
        reduced=synchronising_power.reduced,
        storage=storage,
        relay_pending=relays.pending,
        relay_threshold_hz=relays.threshold_hz,
        over=curtailment_of(config.over_frequency, case.f0_hz),
        trip_pending=plant_relays.pending,
        trip_threshold_hz=plant_relays.threshold_hz,
        within_units=governor.within_units,
        constants=SwingConstants(
            lag_s=np.unique(lag_s),
            t_valve_s=governor.t_valve_s,
            t_reheat_s=governor.t_reheat_s,
            high_pressure_fraction=governor.high_pressure_fraction,
            tie_damping_s=config.tie_damping_s,
            dt_s=config.dt_s,
            mean_weight=1.0 / n_steps,
        ),
        load_per_hz=config.load_damping / case.f0_hz,
        base_mva=case.base_mva,
        n_steps=n_steps,
        interval_s=interval_s,
        renewal_spread_hz=config.renewal_spread_hz,
    )
