"""The classical model by itself: constant E behind x'd, constant-impedance loads, governors, no controller, no renewal.

    M_i dDf_i/dt = P_mech,i + P_gov,i(Df_i) - P_i(theta + 2 pi K Df) - D_i Df_i,      d theta_i/dt = 2 pi Df_i
    P_i(theta) = Re[E_i conj(sum_j Y_red,ij E_j)],     E_i = E_i0 exp(j theta_i)

This is what textbooks and other simulators call a transient-stability run. It goes through the same compiled
integration as the coupled grid at the `machine` level and exists to prove it: against a stiff reference integration,
against ANDES, and for the modes of the published system. Events change the network and act at a whole integration
step; between them the network is fixed. Load damping D is placed on the machines by the share Phi each of them has in
the loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.dynamics.bus_frequency import frequency_divider, machine_reactance_pu
from grid_model.dynamics.coherency import swing_topology
from grid_model.dynamics.events import DisturbanceError, Event
from grid_model.dynamics.governor import unit_limits_mw
from grid_model.dynamics.kron_reduction import bus_voltages, reduce_to_machines
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.group_swing import integrate_swing
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    ReducedNetwork,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)
from grid_model.kernels.synchronising import internal_voltages, power_coefficients
from grid_model.network.admittance import ComplexArray
from grid_model.network.topology import live_buses
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.solution import PowerFlowDiverged

__all__ = ["ClassicalGrid", "ClassicalTrace", "Network", "TurbineStep"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network between two events."""

    branch_in_service: BoolArray  # [branch]
    machine_in_service: BoolArray  # [machine]
    load_share: FloatArray  # what is left of each load, or has been added, [load]
    bus_live: BoolArray  # [bus]
    recovery: ComplexArray  # V = recovery E, [bus, machine]
    y_reduced_pu: ComplexArray  # on Case.base_mva, [machine, machine]


@dataclass(frozen=True, kw_only=True)
class TurbineStep:
    """Turbine power that a machine loses at once, while the machine stays in step."""

    time_s: float
    index: int  # row of the machine table
    p_mw: float  # change, negative for a loss


@dataclass(frozen=True, kw_only=True)
class ClassicalTrace:
    """A run at every integration step; at an event's instant the values after it."""

    time_s: FloatArray  # [step]
    df_hz: FloatArray  # [step, machine]; zero for machines out of service
    theta_rad: FloatArray  # turn of each rotor since the start, [step, machine]
    mechanical_mw: FloatArray  # governors' part, [step, machine]
    networks: tuple[tuple[int, Network], ...]  # first step and network, in order


class ClassicalGrid:
    """The published operating point, ready to be disturbed.

    Attributes:
        v_pu: bus voltages, [bus]; e_pu: internal voltages, [machine]; p_mech_mw: turbine powers, [machine].
        inertia_mws_per_hz, damping_mw_per_hz: [machine].
        gain_mw_per_hz, limit_up_mw, limit_down_mw, rate_mw_per_s: governors, [machine].
    """

    def __init__(self, case: Case, config: SwingConfig) -> None:
        """Solve the published power flow, with its single slack and without this project's reactors and plants.

        Args:
            case: the grid.
            config: choices of the frequency model; its level does not matter here.

        Raises:
            PowerFlowDiverged: there is no solution.
        """
        self.case = case
        self.config = config
        slack = np.zeros(case.n_machine)
        slack[case.machine.slack_machine] = 1.0
        engine = NewtonEngine(case, 1, slack_share=slack, check=False)
        if not engine.solve(engine.reference_injection()[None, :])[0]:
            raise PowerFlowDiverged(f"case {case.name}: no solution at the published operating point.")
        load = np.zeros((1, case.n_bus), dtype=np.complex128)
        np.add.at(load[0], case.load.bus, case.load.p_mw + 1j * case.load.q_mvar)
        power = engine.machine_power(-load)
        self.v_pu: ComplexArray = engine.v_pu[0].copy()
        self.machine_mva: ComplexArray = power[0]
        self.e_pu: ComplexArray = internal_voltages(
            engine.v_pu,
            np.ascontiguousarray(power.real),
            np.ascontiguousarray(power.imag),
            case.machine.bus,
            machine_reactance_pu(case),
            engine.machine_in_service,
            case.base_mva,
        )[0]
        self.p_mech_mw: FloatArray = power[0].real.copy()
        topology = swing_topology(
            case,
            config,
            np.arange(case.n_machine),
            case.n_machine,
            self.v_pu,
            power[0].imag,
            engine.branch_in_service[0],
            engine.machine_in_service[0],
            engine.bus_live[0],
        )
        self.inertia_mws_per_hz = topology.group_inertia_mws_per_hz
        per_hz = config.load_damping / case.f0_hz
        self.damping_mw_per_hz: FloatArray = (per_hz * case.load.p_mw) @ topology.impact_share[case.load.bus]
        governor, share = config.governor, topology.governor_share
        self.gain_mw_per_hz = share * governor.gain_mw_per_hz
        if governor.headroom_up_mw is None or governor.headroom_down_mw is None:
            p_min_mw, p_max_mw = unit_limits_mw(case.machine, governor)
            self.limit_up_mw = np.maximum(p_max_mw - self.p_mech_mw, 0.0)
            self.limit_down_mw = np.maximum(self.p_mech_mw - p_min_mw, 0.0)
        else:
            self.limit_up_mw = share * governor.headroom_up_mw
            self.limit_down_mw = share * governor.headroom_down_mw
        self.rate_mw_per_s = share * governor.rate_mw_per_s

    def network(
        self, branch_in_service: BoolArray, machine_in_service: BoolArray, load_share: FloatArray
    ) -> Network:
        """The reduced network of one topology.

        Args:
            branch_in_service: which circuits are in service, [branch]; one with a dead end is switched off too.
            machine_in_service: which machines are, [machine]; one on a dead bus is switched off too.
            load_share: multiple of each published load, [load].
        """
        case = self.case
        live = live_buses(case, branch_in_service)
        load = np.zeros(case.n_bus, dtype=np.complex128)
        np.add.at(load, case.load.bus, load_share * (case.load.p_mw + 1j * case.load.q_mvar))
        shunt = np.conj(load) / (case.base_mva * np.abs(self.v_pu) ** 2)
        branch_on = branch_in_service & live[case.branch.from_bus] & live[case.branch.to_bus]
        machine_on = machine_in_service & live[case.machine.bus]
        recovery = bus_voltages(case, branch_on, machine_on, live, shunt.astype(np.complex128), 0.0)
        return Network(
            branch_in_service=branch_on,
            machine_in_service=machine_on,
            load_share=load_share,
            bus_live=live,
            recovery=recovery,
            y_reduced_pu=reduce_to_machines(case, machine_on, recovery),
        )

    def undisturbed(self) -> Network:
        """The network with everything in service."""
        case = self.case
        ones = np.ones
        return self.network(ones(case.n_branch, np.bool_), ones(case.n_machine, np.bool_), ones(case.n_load))

    def switched(self, network: Network, event: Event) -> Network:
        """The network after an event; a load step changes active and reactive power alike.

        Args:
            network: before the event; left as it is.
            event: a circuit out or in, a machine out, or a load step.

        Raises:
            DisturbanceError: an event of another kind.
        """
        branch, machine = network.branch_in_service.copy(), network.machine_in_service.copy()
        share = network.load_share.copy()
        if event.kind == "load_step":
            share[event.index] += event.p_mw / self.case.load.p_mw[event.index]
        elif event.kind in ("branch_out", "branch_in"):
            branch[event.index] = event.kind == "branch_in"
        elif event.kind == "machine_out":
            machine[event.index] = False
        else:
            raise DisturbanceError(f"event {event.kind}: the classical model by itself knows no such event.")
        return self.network(branch, machine, share)

    def coefficients(self, network: Network, theta_rad: FloatArray) -> ReducedNetwork:
        """C and S of the power between the machines around these rotor angles, [machine, machine, 1] each."""
        n = self.case.n_machine
        e_pu = (self.e_pu * np.exp(1j * theta_rad))[None, :]
        found = ReducedNetwork(np.empty((n, n, 1)), np.empty((n, n, 1)))
        power_coefficients(e_pu, network.y_reduced_pu[None], self.case.base_mva, *found)
        return found

    def simulate(self, events: Sequence[Event | TurbineStep], duration_s: float) -> ClassicalTrace:
        """Integrate from rest at 60 Hz.

        Args:
            events: in order of time; `time_s` is rounded to a whole integration step.
            duration_s: likewise.
        """
        dt_s, n = self.config.dt_s, self.case.n_machine
        n_steps = round(duration_s / dt_s)
        cuts = [round(event.time_s / dt_s) for event in events] + [n_steps]
        trace_hz = np.zeros((n_steps + 1, n, 1))
        mechanical = np.zeros_like(trace_hz)
        theta = np.zeros((n_steps + 1, n))
        swing = SwingVariables(*(np.zeros((n, 1)) for _ in SwingVariables._fields))
        network, turbine_mw = self.undisturbed(), self.p_mech_mw.copy()
        networks = [(0, network)]
        at = 0
        for k, cut in enumerate(cuts):
            if cut > at:
                rows = slice(at, cut + 1)
                trace_hz[rows], mechanical[rows], turn_rad = self._macro_step(
                    network, turbine_mw, theta[at], swing, cut - at
                )
                theta[rows] = theta[at] + turn_rad
                at = cut
            if k < len(events):
                event = events[k]
                if isinstance(event, TurbineStep):
                    turbine_mw[event.index] += event.p_mw
                    continue
                network = self.switched(network, event)
                networks.append((at, network))
                for state in (swing.df_hz, swing.valve_mw, swing.reheat_mw):
                    state[~network.machine_in_service] = 0.0
                trace_hz[at] = swing.df_hz
        return ClassicalTrace(
            time_s=np.arange(n_steps + 1) * np.float64(dt_s),
            df_hz=trace_hz[:, :, 0],
            theta_rad=theta,
            mechanical_mw=mechanical[:, :, 0],
            networks=tuple(networks),
        )

    def _macro_step(
        self,
        network: Network,
        turbine_mw: FloatArray,
        theta_rad: FloatArray,
        swing: SwingVariables,
        n_steps: int,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Integrate one network for n_steps from these rotor angles, [machine]; `swing` is changed in place.

        Returns:
            Frequency deviations and governors' powers, both [step, machine, 1], and the turn of the rotors, [step,
            machine], at steps 0 to n_steps.
        """
        n, governor, config = self.case.n_machine, self.config.governor, self.config
        on = network.machine_in_service
        reduced = self.coefficients(network, theta_rad)
        drive_mw = np.where(on, turbine_mw - reduced.conductance_mw[:, :, 0].sum(axis=1), 0.0)[:, None]
        no_lag = np.zeros((0, n, 1))
        trace_hz, trace_mechanical_mw = np.empty((n_steps + 1, n, 1)), np.empty((n_steps + 1, n, 1))

        def column(values: FloatArray) -> FloatArray:
            return np.where(on, values, 0.0)[:, None]

        swing.theta_rad[:] = 0.0
        integrate_swing(
            n_steps,
            swing,
            Drive(
                p_start_mw=drive_mw,
                p_end_mw=drive_mw,
                damping_mw_per_hz=column(self.damping_mw_per_hz),
                lagged_mw=no_lag,
                set_point_start_mw=no_lag,
                set_point_end_mw=no_lag,
            ),
            SwingParameters(
                inertia_mws_per_hz=np.where(on, self.inertia_mws_per_hz, 1.0)[:, None],
                gain_mw_per_hz=column(self.gain_mw_per_hz),
                limit_up_mw=column(self.limit_up_mw),
                limit_down_mw=column(self.limit_down_mw),
                rate_mw_per_s=column(self.rate_mw_per_s),
                dead_band_hz=np.full(1, governor.dead_band_hz),
            ),
            np.zeros((n, n, 1)),
            reduced,
            SwingConstants(
                lag_s=np.zeros(0),
                t_valve_s=governor.t_valve_s,
                t_reheat_s=governor.t_reheat_s,
                high_pressure_fraction=governor.high_pressure_fraction,
                tie_damping_s=config.tie_damping_s,
                dt_s=config.dt_s,
                mean_weight=1.0 / n_steps,
            ),
            IntervalRecord(
                second_moment_hz2=np.zeros((n, n, 1)),
                df_min_hz=np.zeros((n, 1)),
                df_max_hz=np.zeros((n, 1)),
                trace_hz=trace_hz,
                trace_mechanical_mw=trace_mechanical_mw,
            ),
        )
        # The scheme's own rule for the angle: theta(n+1) = theta(n) + pi h [f(n) + f(n+1)].
        growth = np.pi * config.dt_s * (trace_hz[:-1, :, 0] + trace_hz[1:, :, 0])
        turn_rad = np.zeros((n_steps + 1, n))
        turn_rad[1:] = np.cumsum(growth, axis=0)
        return trace_hz, trace_mechanical_mw, turn_rad

    def coi_hz(self, trace: ClassicalTrace) -> FloatArray:
        """Deviation of the centre of inertia of the machines in service [Hz], [step]."""
        out = np.empty(len(trace.time_s))
        for first, last, network in _stretches(trace):
            weight = np.where(network.machine_in_service, self.inertia_mws_per_hz, 0.0)
            out[first:last] = trace.df_hz[first:last] @ (weight / weight.sum())
        return out

    def bus_hz(self, trace: ClassicalTrace) -> FloatArray:
        """Deviation of every bus by the frequency divider [Hz], [step, bus]."""
        out = np.empty((len(trace.time_s), self.case.n_bus))
        for first, last, network in _stretches(trace):
            divider = frequency_divider(
                self.case, network.branch_in_service, network.machine_in_service, network.bus_live
            )
            out[first:last] = trace.df_hz[first:last] @ divider.T
        return out


def _stretches(trace: ClassicalTrace) -> list[tuple[int, int, Network]]:
    """First row, row after the last, and network of each stretch between events."""
    firsts = [first for first, _ in trace.networks] + [len(trace.time_s)]
    return [
        (first, firsts[k + 1], network)
        for k, (first, network) in enumerate(trace.networks)
        if firsts[k + 1] > first
    ]
