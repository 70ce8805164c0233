"""Switching at an instant of an interval, rotors standing still: circuits, machines, load steps, shedding, islands.

The power of what was lost is met by the groups through Phi of the new topology, which for a circuit is its flow taken
back at both ends; then a power flow of its own is solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.dynamics.coupled_power_flow import CoupledPowerFlow
from grid_model.dynamics.events import Event
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.group_sums import project, sum_groups
from grid_model.dynamics.injections import InjectionProfile
from grid_model.dynamics.interruption import Interruptions
from grid_model.dynamics.load_shedding import SheddingRelays
from grid_model.dynamics.service import Service
from grid_model.dynamics.swing_state import SwingState
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.dynamics.unit_loading import UnitLoading
from grid_model.kernels.macro_step import share_and_inject
from grid_model.kernels.structs import GridArrays
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["Switching"]


@dataclass(frozen=True, kw_only=True)
class Switching:
    """Switches parts of one grid of a batch; see `GridSimulator` for what they are."""

    case: Case
    engine: NewtonEngine
    topology: GroupNetwork
    profile: InjectionProfile
    swing_state: SwingState
    relays: SheddingRelays
    interruptions: Interruptions
    terminal_voltage: TerminalVoltage
    service: Service
    loading: UnitLoading
    flow: CoupledPowerFlow
    arrays: GridArrays
    island_trip_hz: float  # deviation beyond which machines of a smaller island trip

    @property
    def n_group(self) -> int:
        """Groups of machines."""
        return len(self.topology.inertia)

    @property
    def machine_mw(self) -> FloatArray:
        """What each machine sends out at the last power flow, [env, machine]; the simulator's array."""
        return self.arrays.machine_state.p_mw

    def switch(self, env: int, event: Event, step: int) -> None:
        """Apply one event of one environment at a step of the interval, rotors standing still."""
        case = self.case
        if event.kind == "load_step":
            self.terminal_voltage.begin(self.arrays, np.array([env]))
            self.profile.step_load(env, event.index, event.p_mw)
            demand = np.zeros((1, case.n_bus))
            demand[0, case.load.bus[event.index]] = event.p_mw * self.profile.served_share[env, event.index]
            self._meet(env, demand, step, np.zeros((self.n_group, 1)))
        else:
            wanted = (
                self.service.branch_wanted if event.kind.startswith("branch") else self.service.machine_wanted
            )
            wanted[env, event.index] = event.kind.endswith("_in")
            self.follow_breakers(env, step, self.topology.committed_share[env])

    def blocks_to_restore(self, interval_s: float) -> dict[int, BoolArray]:
        """What operators close in as an interval begins, by what the last one was, [load, stage] by environment."""
        state, island, found = self.swing_state, self.topology.group_island, {}
        for env in np.flatnonzero(self.relays.shed_stages.any(axis=(1, 2))).tolist():
            lowest_hz, highest_hz = np.full((2, self.case.n_load), np.nan)
            at = self.engine.island[env, self.case.load.bus]
            for number in range(self.topology.n_island[env]):
                here = (island[env] == number) & (self.topology.inertia[:, env] > 0.0)
                lowest_hz[at == number] = state.df_min_hz[here, env].min()
                highest_hz[at == number] = state.df_max_hz[here, env].max()
            block = self.relays.block_to_restore(env, lowest_hz, highest_hz, interval_s)
            if block is not None:
                found[env] = block
        return found

    def trip_islands(self, env: int, step: int) -> None:
        """Islands that have left the frequency their machines stand go dark, but for the largest one.

        Until the machines are disconnected nothing beyond that frequency is anybody's: the record ends there.
        """
        record, limit_hz = self.arrays.record, self.island_trip_hz
        lowest, highest = record.df_min_hz[:, env], record.df_max_hz[:, env]
        beyond = (self.topology.group_island[env] > 0) & (np.maximum(-lowest, highest) > limit_hz)
        if beyond.any():
            islands = self.topology.group_island[env][beyond]
            gone = np.isin(self.topology.group_island[env], islands)[self.topology.machine_group[env]]
            gone &= self.engine.machine_in_service[env]
            self.service.machine_wanted[env, gone] = False
            self.service.machine_tripped[env, gone] = True
            self.follow_breakers(env, step, self.topology.committed_share[env])
            lowest[beyond] = np.maximum(lowest[beyond], -limit_hz)
            highest[beyond] = np.minimum(highest[beyond], limit_hz)

    def follow_breakers(self, env: int, step: int, committed_share: FloatArray) -> None:
        """Switch one environment to the circuits and machines wanted, of which this much is in the schedule.

        At a step of the interval, rotors standing still.
        """
        engine, case, topology, at = self.engine, self.case, self.topology, step / self.arrays.n_steps
        only = np.array([env])
        self.terminal_voltage.begin(self.arrays, only)
        demand = np.zeros((1, case.n_bus))  # change of net load as the network after the event sees it
        relieved = np.zeros((1, case.n_bus))  # as the network before it does
        met = np.zeros((self.n_group, 1))
        share_before = topology.impact_share[only].copy()
        branch_was, live_was = engine.branch_in_service[env].copy(), engine.bus_live[env].copy()
        machine_was = engine.machine_in_service[env].copy()
        p_from, p_to = engine.s_from_mva[env].real.copy(), engine.s_to_mva[env].real.copy()
        before = self.swing_state.membership(env)
        self.service.take_commitment(env, committed_share)
        gone = branch_was & ~engine.branch_in_service[env]
        np.add.at(demand[0], case.branch.from_bus[gone], -p_from[gone])
        np.add.at(demand[0], case.branch.to_bus[gone], -p_to[gone])
        tripped = machine_was & ~engine.machine_in_service[env]
        np.add.at(demand[0], case.machine.bus[tripped], self.machine_mw[env, tripped])
        back = engine.bus_live[env] & ~live_was
        demand[0, back] += self.profile.net_load_mw(only, at)[0, back]
        demand[0, ~engine.bus_live[env]] = 0.0
        # A unit returns synchronised: at the angle at which it carries its schedule, which begins at zero.
        returned = engine.machine_in_service[env] & ~machine_was
        self.loading.cap_mw[env, tripped] = np.inf
        self.loading.limit(env, returned, at)
        self.machine_mw[env, returned] = self.profile.value("schedule_mw", only, at)[0, returned]
        # What it carries the others give up, as the network joined them without it.
        np.add.at(
            relieved[0],
            case.machine.bus[returned & live_was[case.machine.bus]],
            -self.machine_mw[env, returned & live_was[case.machine.bus]],
        )
        project(relieved, np.arange(case.n_bus), share_before, met)
        self.terminal_voltage.topology_changed(self.arrays, env, returned, self.machine_mw[env])
        fresh = returned & ~live_was[case.machine.bus]
        np.add.at(demand[0], case.machine.bus[fresh], -self.machine_mw[env, fresh])
        self.swing_state.redistribute(env, before, topology.group_island[env])
        self.interruptions.change(env, at)
        self._meet(env, demand, step, met)

    def shed(self, env: int, stages: BoolArray, step: int) -> None:
        """Stages of load shedding operate, [load, stage], at a step of the interval."""
        self._serve(env, self.relays.operate(env, stages), step)

    def restore(self, env: int, block: BoolArray, step: int) -> None:
        """Load that was shed is closed in again, [load, stage], at a step of the interval."""
        self._serve(env, self.relays.restore(env, block), step)

    def _serve(self, env: int, share_left: FloatArray, step: int) -> None:
        """From now on this share of each load is served, [load]."""
        case, profile, only, at = self.case, self.profile, np.array([env]), step / self.arrays.n_steps
        self.terminal_voltage.begin(self.arrays, only)
        before = profile.load_mw(only, at)
        profile.shed(env, share_left)
        self.interruptions.change(env, at)
        demand = np.zeros((1, case.n_bus))
        np.add.at(demand[0], case.load.bus, (profile.load_mw(only, at) - before)[0])
        demand[0, ~self.engine.bus_live[env]] = 0.0
        self._meet(env, demand, step, np.zeros((self.n_group, 1)))

    def _meet(self, env: int, demand: FloatArray, step: int, met: FloatArray) -> None:
        """Machines meet a sudden change of net load while rotors stand still.

        Args:
            env: the environment.
            demand: change of net load as the network meets it now [MW], [1, bus].
            step: of the interval.
            met: what the groups meet besides [MW], [group, 1]; what they meet of `demand` is added here.
        """
        case, only = self.case, np.array([env])
        on = self.engine.machine_in_service[env]
        project(demand, np.arange(case.n_bus), self.topology.impact_share[only], met)
        kept = sum_groups(
            self.machine_mw[only] * on,
            self.topology.machine_group[only],
            self.n_group,
        )
        self.swing_state.p_elec_mw[:, env] = kept[:, 0] + met[:, 0]
        share_and_inject(self.arrays, only, step)
        self.flow.solve(only, 0.0)
