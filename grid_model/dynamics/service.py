"""Who is to be in service: circuits and machines as they are switched and scheduled, and which islands live on that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.island_groups import group_by_island
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.network.topology import DarkIsland
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["Service"]


class Service:
    """What is wanted in service, and in the schedule, in every environment.

    Attributes (read them, and write to single entries before `adopt`; the arrays stay):
        branch_wanted: [env, branch]; machine_wanted: [env, machine].
        machine_tripped: with their island, [env, machine].
        committed: in the schedule, [env, machine].
        dark: islands that went dark, and why, [env].
    """

    def __init__(
        self,
        engine: NewtonEngine,
        topology: GroupNetwork,
        synchronising_power: SynchronisingPower,
        group_of_machine: IntArray,
        island_trip_hz: float,
    ) -> None:
        """Everything is in service.

        Args:
            engine: to which breakers are handed on.
            topology: likewise.
            synchronising_power: likewise.
            group_of_machine: while the grid is whole, [machine].
            island_trip_hz: deviation beyond which an island's machines trip [Hz].
        """
        case, n_env = engine.case, engine.n_env
        self._engine, self._topology, self._group_of_machine = engine, topology, group_of_machine
        self._synchronising_power = synchronising_power
        self._island_trip_hz = island_trip_hz
        self.branch_wanted: BoolArray = np.ones((n_env, case.n_branch), dtype=np.bool_)
        self.machine_wanted: BoolArray = np.ones((n_env, case.n_machine), dtype=np.bool_)
        self.machine_tripped: BoolArray = np.zeros((n_env, case.n_machine), dtype=np.bool_)
        self.committed: BoolArray = np.ones((n_env, case.n_machine), dtype=np.bool_)
        self.dark: list[tuple[DarkIsland, ...]] = [()] * n_env

    def start(self, env: int, committed_share: FloatArray) -> None:
        """Everything is in service again that is in the schedule, [machine]."""
        whole = self.branch_wanted[env].all() and self.machine_wanted[env].all()
        if not whole or np.any(committed_share != self._topology.committed_share[env]):
            self.branch_wanted[env] = True
            self.machine_wanted[env] = True
            self.machine_tripped[env] = False
            self.take_commitment(env, committed_share)

    def take_commitment(self, env: int, committed_share: FloatArray) -> None:
        """Hand engine and frequency model what is wanted and in the schedule, rotors standing still."""
        self._topology.committed_share[env] = committed_share
        self.committed[env] = committed_share > 0.0
        self.adopt(env)

    def adopt(self, env: int) -> None:
        """Find out which islands of one environment live, and take over what the frequency model knows of them."""
        found = group_by_island(
            self._engine.case,
            self._group_of_machine,
            len(self._topology.inertia),
            self.branch_wanted[env],
            self.machine_wanted[env] & self.committed[env],
        )
        tripped_bus = self._engine.case.machine.bus[self.machine_tripped[env]]
        self.dark[env] = tuple(
            replace(dark, reason=f"its machines tripped {self._island_trip_hz:g} Hz away from nominal")
            if np.isin(tripped_bus, dark.bus).any()
            else dark
            for dark in found.dark
        )
        self._engine.set_topology(env, self.branch_wanted[env], found.machine_in_service)
        self._topology.adopt(env)
        self._synchronising_power.topology_changed(env)
