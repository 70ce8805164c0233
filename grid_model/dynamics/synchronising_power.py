"""Synchronising power: what the groups send each other while their rotors turn, renewed at every power flow.

For areas and the whole grid it is linear in the angles, T theta, with the change of losses in T
(`grid_model.dynamics.coherency`). For single machines it is what their internal voltages E drive through the
reduced network of `grid_model.dynamics.kron_reduction`,

    P_i(theta) = sum_j [C_ij cos(theta_i - theta_j) + S_ij sin(theta_i - theta_j)],

with C and S from E at that power flow; the network is reduced anew after every change of topology. T, C and S are
filled in by `grid_model.kernels.synchronising`.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.kron_reduction import bus_voltages, classical_stiffness, reduce_to_machines
from grid_model.dynamics.parameters import Level
from grid_model.kernels.structs import Placement, ReducedNetwork
from grid_model.kernels.synchronising import spring_stiffness
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["SynchronisingPower"]


class SynchronisingPower:
    """Synchronising power between the groups of every environment at its last power flow.

    Attributes (read them, change them only through the methods; the arrays stay):
        matrix_mw_per_rad: T with the losses, [group, group, env]; areas and the whole grid.
        reduced: C and S, each [machine, machine, env]; None but at the level of single machines.
        y_reduced_pu: the reduced network, [env, machine, machine]; single machines.
        stale: whether the topology has changed since the network was reduced, [env].
    """

    def __init__(
        self,
        level: Level,
        engine: NewtonEngine,
        topology: GroupNetwork,
        placement: Placement,
        others_mva: ComplexArray,
    ) -> None:
        """No power flows between the groups before the first power flow has been adopted.

        Args:
            level: of aggregation: area, system or machine.
            engine: the power flows.
            topology: who is in service, and how the network joins the groups.
            placement: at which bus and in which group everything stands.
            others_mva: what everything but machines injects at the last power flow [MVA], [env, bus]; an array that
                stays.
        """
        case, n_env, n_group = engine.case, engine.n_env, topology.inertia.shape[0]
        self._engine, self._topology, self._placement = engine, topology, placement
        self._others_mva = others_mva
        self.matrix_mw_per_rad = np.zeros((n_group, n_group, n_env))
        n = case.n_machine if level == "machine" else 0
        self.y_reduced_pu = np.zeros((n_env, n, n), dtype=np.complex128)
        self.reduced: ReducedNetwork | None = None
        if level == "machine":
            self.reduced = ReducedNetwork(np.zeros((n, n, n_env)), np.zeros((n, n, n_env)))
        self.stale: BoolArray = np.ones(n_env, dtype=np.bool_)

    def topology_changed(self, envs: IntArray | int) -> None:
        """The network has to be reduced anew before the next power flow is adopted."""
        self.stale[envs] = True

    def is_stale(self, envs: IntArray) -> bool:
        """Whether the network of any of these environments, [n], is to be reduced anew, once loads are known."""
        return self.reduced is not None and bool(self.stale[envs].any())

    def reduce_stale(self, envs: IntArray) -> None:
        """Reduce the network anew where its topology has changed and a solution was found; envs [n]."""
        if self.is_stale(envs):
            for env in envs[self.stale[envs] & self._engine.converged[envs]].tolist():
                self._reduce(env, self._others_mva[env])

    def mw_per_rad(self, env: int) -> FloatArray:
        """d P_a / d theta_b of the groups of one environment, [group, group]."""
        if self.reduced is not None:
            return classical_stiffness(self.reduced.susceptance_mw[:, :, env])
        return self.matrix_mw_per_rad[:, :, env].copy()

    def spring_mw_per_rad(self, env: int, machine_mvar: FloatArray) -> FloatArray:
        """Stiffness of every circuit and machine of one environment [MW/rad], [branch + machine].

        Args:
            env: the environment.
            machine_mvar: reactive powers of the machines of all environments [Mvar], [env, machine].
        """
        engine, topology, case = self._engine, self._topology, self._engine.case
        stiffness = np.empty(case.n_branch + case.n_machine)
        spring_stiffness(
            engine.v_pu[env],
            machine_mvar[env],
            engine.machine_in_service[env],
            topology.network.spring_pu[env],
            topology.machines.susceptance_pu,
            self._placement,
            case.base_mva,
            stiffness,
        )
        return stiffness

    def _reduce(self, env: int, others_mva: ComplexArray) -> None:
        """Reduce the network of one environment to its machines; others_mva [bus] is held as admittances."""
        engine, case = self._engine, self._engine.case
        on, live, v_pu = engine.machine_in_service[env], engine.bus_live[env], engine.v_pu[env]
        square = np.where(live, np.abs(v_pu) ** 2, 1.0)
        shunt = np.where(live, -np.conj(others_mva) / (square * case.base_mva), 0.0)
        recovery = bus_voltages(
            case, engine.branch_in_service[env], on, live, shunt, engine.reactor_share[env]
        )
        # Loads and losses are the power flow's; what flows between the rotors from one to the next is lossless.
        self.y_reduced_pu[env] = 1j * reduce_to_machines(case, on, recovery).imag
        self.stale[env] = False
