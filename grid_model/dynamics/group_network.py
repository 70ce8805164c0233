"""What the frequency model knows of every environment's topology: who is in service, how the network joins the groups.

`grid_model.dynamics.coherency` derives it from one topology; here the results of all environments stand side
by side, as the
compiled functions want them, and those of topologies seen before are kept.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import IntArray
from grid_model.dynamics.coherency import SwingTopology, swing_topology
from grid_model.dynamics.parameters import SwingConfig
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["GroupNetwork"]

MOST_KEPT = 4096  # topologies; two outages at once would fill the memory


class GroupNetwork:
    """Rows of `SwingTopology` for each environment.

    Attributes (read them; `adopt` changes them):
        bus_frequency: F, frequency divider on the groups, [env, bus, group]; bus_gram: F'F, [env, group, group].
        reach: Phi, share of each group in a change of power at a bus, [env, bus, group].
        shape: psi, drop of angle across each spring per radian of a group, [env, branch + machine, group].
        spring_pu, conductance_pu: of circuits in service, [env, branch].
        inertia: M of the machines in service [MW s/Hz], [group, env]; machine_inertia: of each, [env, machine].
        moving_inertia: the same, but one where a group has no machine: it has no power to move it either.
        governor_share: share of each machine in the grid's governor, [env, machine]; group_share: [group, env].
        governors: gain, room up, room down and rate of each group's governors, [4, group, env].
        relay_weight: what the load-shedding relays of an area measure, [env, area, group].
    """

    def __init__(self, config: SwingConfig, engine: NewtonEngine, group: IntArray, n_group: int) -> None:
        """Take over the topology of every environment.

        Args:
            config: choices of the frequency model; engine: the power flows, whose state is the published one.
            group: of each machine, [machine]; n_group: their number.
        """
        case, n_env = engine.case, engine.n_env
        self._config, self._engine, self._group, self._n_group = config, engine, group, n_group
        self._reference_v_pu = engine.v_pu[0].copy()
        nothing = np.zeros((n_env, case.n_bus), dtype=np.complex128)
        self._reference_q_mvar = engine.machine_power(nothing)[0].imag
        self._kept: dict[bytes, SwingTopology] = {}
        self.bus_frequency = np.zeros((n_env, case.n_bus, n_group))
        self.bus_gram = np.zeros((n_env, n_group, n_group))
        self.impact_share = np.zeros((n_env, case.n_bus, n_group))
        self.shape = np.zeros((n_env, case.n_branch + case.n_machine, n_group))
        self.spring_pu = np.zeros((n_env, case.n_branch))
        self.conductance_pu = np.zeros((n_env, case.n_branch))
        self.inertia = np.zeros((n_group, n_env))
        self.machine_inertia = np.zeros((n_env, case.n_machine))
        self.moving_inertia = np.ones((n_group, n_env))
        self.governor_share = np.zeros((n_env, case.n_machine))
        self.group_share = np.zeros((n_group, n_env))
        self.governors = np.zeros((4, n_group, n_env))
        self.relay_weight = np.zeros((n_env, case.n_area, n_group))
        for env in range(n_env):
            self.adopt(env)

    def adopt(self, env: int) -> None:
        """Take over the engine's topology of one environment."""
        found = self._find(env)
        self.bus_frequency[env] = found.bus_frequency
        self.bus_gram[env] = found.bus_frequency.T @ found.bus_frequency
        self.impact_share[env] = found.impact_share
        self.shape[env] = found.shape
        self.spring_pu[env] = found.spring_pu
        self.conductance_pu[env] = found.conductance_pu
        self.inertia[:, env] = found.group_inertia_mws_per_hz
        self.moving_inertia[:, env] = np.where(self.inertia[:, env] > 0.0, self.inertia[:, env], 1.0)
        self.machine_inertia[env] = found.machine_inertia_mws_per_hz
        self.governor_share[env] = found.governor_share
        self.group_share[:, env] = found.group_governor_share
        governor = self._config.governor
        whole = (
            governor.gain_mw_per_hz,
            governor.headroom_up_mw,
            governor.headroom_down_mw,
            governor.rate_mw_per_s,
        )
        for of_group, of_grid in zip(self.governors, whole, strict=True):
            of_group[:, env] = self.group_share[:, env] * of_grid
        self.relay_weight[env] = found.relay_weight

    def _find(self, env: int) -> SwingTopology:
        """Of the topology that one environment has."""
        engine = self._engine
        on, machine_on = engine.branch_in_service[env], engine.machine_in_service[env]
        key = on.tobytes() + machine_on.tobytes()
        found = self._kept.get(key)
        if found is None:
            found = swing_topology(
                engine.case,
                self._config,
                self._group,
                self._n_group,
                self._reference_v_pu,
                self._reference_q_mvar,
                on,
                machine_on,
                engine.bus_live[env],
            )
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found
