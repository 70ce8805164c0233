"""What the groups exchange while their rotors turn against each other, renewed at every power flow.

For areas and the whole grid it is linear in the angles, T theta, with the change of losses in T
(`grid_model.dynamics.coherency`). For single machines it is what their internal voltages E drive through the
reduced network of
`grid_model.dynamics.kron_reduction`,

    P_i(theta) = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)],

with C and S from E at that power flow; the network is reduced anew after every change of topology.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.kron_reduction import (
    bus_voltages,
    classical_stiffness,
    exchange_coefficients,
    internal_voltages,
    reduce_to_machines,
)
from grid_model.dynamics.parameters import Level
from grid_model.dynamics.synchronising import loss_matrix, renew_synchronising, spring_stiffness
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["SynchronisingPower"]


class SynchronisingPower:
    """The exchange between the groups of every environment at its last power flow.

    Attributes (read them, change them only through the methods):
        synchronising: T with the losses [MW/rad], [group, group, env]; areas and the whole grid.
        conductance_power, quadrature: C and S [MW], [machine, machine, env]; single machines.
        y_reduced: the reduced network [pu], [env, machine, machine]; single machines.
        stale: whether the topology has changed since the network was reduced, [env].
    """

    def __init__(self, level: Level, engine: NewtonEngine, topology: GroupNetwork, n_group: int) -> None:
        """Nothing is exchanged before the first `renew`.

        Args:
            level: of aggregation; engine: the power flows; topology: of the groups, of which there are n_group.
        """
        case, n_env = engine.case, engine.n_env
        self._level, self._engine, self._topology = level, engine, topology
        self._reactance_pu = machine_reactance_pu(case)
        self._susceptance_pu = 1.0 / self._reactance_pu
        self.synchronising = np.zeros((n_group, n_group, n_env))
        n_reduced = case.n_machine if level == "machine" else 0
        self.y_reduced = np.zeros((n_env, n_reduced, n_reduced), dtype=np.complex128)
        self.conductance_power = np.zeros((n_reduced, n_reduced, n_env))
        self.susceptance_power = np.zeros((n_reduced, n_reduced, n_env))
        self.stale: BoolArray = np.ones(n_env, dtype=np.bool_)

    def topology_changed(self, envs: IntArray | int) -> None:
        """The network has to be reduced anew at the next `renew`."""
        self.stale[envs] = True

    def renew(
        self, envs: IntArray, machine_mw: FloatArray, machine_mvar: FloatArray, others_mva: ComplexArray
    ) -> None:
        """Take over the last power flow of some environments.

        Args:
            envs: positions of the environments, [n].
            machine_mw, machine_mvar: what each machine sends out there, of all environments, [env, machine].
            others_mva: what everything but machines injects there, of all environments, [env, bus].
        """
        engine, topology, case = self._engine, self._topology, self._engine.case
        if self._level == "machine":
            which = envs[engine.converged[envs]]
            for env in which[self.stale[which]]:
                self._reduce(int(env), others_mva[env])
            self._renew_machines(which, machine_mw, machine_mvar)
            return
        renew_synchronising(
            envs,
            engine.v_pu,
            machine_mvar,
            topology.spring_pu,
            topology.conductance_pu,
            case.branch.from_bus,
            case.branch.to_bus,
            case.machine.bus,
            self._susceptance_pu,
            engine.machine_in_service,
            topology.impact_share,
            topology.shape,
            case.base_mva,
            self.synchronising,
        )

    def mw_per_rad(self, env: int) -> FloatArray:
        """d P_a / d theta_b of the groups of one environment, [group, group]."""
        if self._level == "machine":
            return classical_stiffness(self.susceptance_power[:, :, env])
        return self.synchronising[:, :, env].copy()

    def spring_mw_per_rad(self, env: int, machine_mvar: FloatArray) -> FloatArray:
        """Stiffness of every circuit and machine of one environment, [branch + machine].

        Args:
            env: the environment; machine_mvar: of all environments, [env, machine].
        """
        engine, topology, case, only = self._engine, self._topology, self._engine.case, slice(env, env + 1)
        stiffness = np.empty((1, case.n_branch + case.n_machine))
        spring_stiffness(
            engine.v_pu[only],
            machine_mvar[only],
            topology.spring_pu[only],
            case.branch.from_bus,
            case.branch.to_bus,
            case.machine.bus,
            self._susceptance_pu,
            engine.machine_in_service[only],
            case.base_mva,
            stiffness,
        )
        return stiffness[0]

    def _reduce(self, env: int, others_mva: ComplexArray) -> None:
        """Reduce the network of one environment to its machines; others_mva [bus] is held as admittances."""
        engine, case = self._engine, self._engine.case
        on, live, v_pu = engine.machine_in_service[env], engine.bus_live[env], engine.v_pu[env]
        square = np.where(live, np.abs(v_pu) ** 2, 1.0)
        shunt = np.where(live, -np.conj(others_mva) / (square * case.base_mva), 0.0)
        recovery = bus_voltages(
            case, engine.branch_in_service[env], on, live, shunt, engine.reactor_share[env]
        )
        # Loads and losses are the power flow's; what the rotors exchange between two of them is lossless.
        self.y_reduced[env] = 1j * reduce_to_machines(case, on, recovery).imag
        self.stale[env] = False

    def _renew_machines(self, envs: IntArray, machine_mw: FloatArray, machine_mvar: FloatArray) -> None:
        """Internal voltages of the machines, and what they drive through the reduced network."""
        engine, topology, case = self._engine, self._topology, self._engine.case
        e_pu = internal_voltages(
            engine.v_pu[envs],
            machine_mw[envs],
            machine_mvar[envs],
            case.machine.bus,
            self._reactance_pu,
            engine.machine_in_service[envs],
            case.base_mva,
        )
        conductance_power = np.empty((case.n_machine, case.n_machine, len(envs)))
        susceptance_power = np.empty_like(conductance_power)
        exchange_coefficients(e_pu, self.y_reduced[envs], case.base_mva, conductance_power, susceptance_power)
        losses = np.zeros_like(conductance_power)
        loss_matrix(
            engine.v_pu[envs],
            topology.conductance_pu[envs],
            case.branch.from_bus,
            case.branch.to_bus,
            topology.impact_share[envs],
            topology.shape[envs],
            case.base_mva,
            losses,
        )
        # Since its rows sum to zero, L theta = - sum_j L_ij (theta_i - theta_j): to first order the sines take it up.
        susceptance_power -= losses
        self.conductance_power[:, :, envs], self.susceptance_power[:, :, envs] = (
            conductance_power,
            susceptance_power,
        )
