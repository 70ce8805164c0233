"""A simulator's state as arrays: copied, and put back so that it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grid_model.dynamics.coupled_power_flow import CoupledPowerFlow
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.injections import InjectionProfile
from grid_model.dynamics.load_shedding import SheddingRelays
from grid_model.dynamics.over_frequency import OverFrequencyRelays
from grid_model.dynamics.service import Service
from grid_model.dynamics.storage import response_state
from grid_model.dynamics.swing_state import SwingState
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.dynamics.unit_loading import UnitLoading
from grid_model.kernels.structs import GridArrays
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["SavedState"]


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """The parts of a simulator that have a state."""

    arrays: GridArrays
    engine: NewtonEngine
    topology: GroupNetwork
    profile: InjectionProfile
    swing_state: SwingState
    relays: SheddingRelays
    plant_relays: OverFrequencyRelays
    service: Service
    loading: UnitLoading
    synchronising_power: SynchronisingPower
    terminal_voltage: TerminalVoltage
    flow: CoupledPowerFlow

    def copied(self) -> dict[str, Any]:
        """All that `restore` needs."""
        state = {name: array.copy() for name, array in self._state().items()}
        state["v_pu"] = self.engine.v_pu.copy()
        state["reactor_share"] = self.engine.reactor_share.copy()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `copied` returned.

        Raises:
            ValueError: it lacks an array, as one of another version of the simulator does.
        """
        own = self._state()
        lacking = [name for name in (*own, "v_pu", "reactor_share") if name not in state]
        if lacking:
            raise ValueError(
                f"the saved state of the grid lacks {', '.join(lacking)}; it is of another version of the simulator"
            )
        for name in ("branch_wanted", "machine_wanted", "machine_tripped"):
            own[name][...] = state[name]
        for env in range(self.engine.n_env):
            self.service.take_commitment(env, state["committed_share"][env])
            self.engine.set_reactors(env, state["reactor_share"][env])
        for name, array in own.items():
            array[...] = state[name]
        self.loading.look()
        self.terminal_voltage.restore()
        self.engine.restore_voltages(state["v_pu"])

    def _state(self) -> dict[str, Any]:
        """The arrays that make up the state, besides the engine's; injections are those at the interval's end."""
        swing, profile, relays, flow = self.swing_state, self.profile, self.relays, self.flow
        machines, loads, injected = self.arrays.machine_state, self.arrays.loads, self.arrays.injected
        reduced, no_pairs = self.synchronising_power.reduced, np.zeros((0, 0, self.engine.n_env))
        return {
            "df_hz": swing.df_hz,
            "valve_mw": swing.valve_mw,
            "reheat_mw": swing.reheat_mw,
            "p_elec_mw": swing.p_elec_mw,
            "dead_band_hz": swing.dead_band_hz,
            "machine_mw": machines.p_mw,
            "machine_mvar": machines.q_mvar,
            "branch_wanted": self.service.branch_wanted,
            "machine_wanted": self.service.machine_wanted,
            "machine_tripped": self.service.machine_tripped,
            "committed_share": self.topology.committed_share,
            "loading_cap_mw": self.loading.cap_mw,
            "trip_pending": self.plant_relays.pending,
            "synchronising_mw_per_rad": self.synchronising_power.matrix_mw_per_rad,
            "y_reduced_pu": self.synchronising_power.y_reduced_pu,
            "conductance_mw": no_pairs if reduced is None else reduced.conductance_mw,
            "susceptance_mw": no_pairs if reduced is None else reduced.susceptance_mw,
            "stale": self.synchronising_power.stale,
            "relay_pending": relays.pending,
            "shed_stages": relays.shed_stages,
            "restoring_calm_s": relays.calm_s,
            "since_restored_s": relays.since_restored_s,
            "load_step_mw": profile.load_step_mw,
            "served_share": profile.served_share,
            **response_state(self.arrays.storage),
            "load_reference_pu": loads.reference_pu,
            "load_p_share": loads.p_share,
            "load_q_share": loads.q_share,
            "lost": flow.lost,
            "failing": flow.failing,
            "unsolved_s": flow.unsolved_s,
            "riding": flow.riding,
            "sagging": flow.sagging,
            "rotor_rad": flow.rotor_rad,
            "others_mva": injected.others_mva,
            "drawn_mva": injected.drawn_mva,
            **self.terminal_voltage.arrays(),
            **flow.limiter_arrays(),
        } | {f"injections_{name}": array for name, array in profile.end._asdict().items()}
