"""What the frequency model knows of every environment's topology: who is in service, how the network joins the groups.

`grid_model.dynamics.coherency` derives it from one topology; here the results of all environments stand side
by side, as the compiled functions want them, and those of topologies seen before are kept.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import IntArray
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.coherency import SwingTopology, swing_topology
from grid_model.dynamics.governor import unit_limits_mw
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.structs import GroupParameters, MachineParameters, Network, SwingParameters
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["GroupNetwork"]

MOST_KEPT = 4096  # topologies; two outages at once would fill the memory


class GroupNetwork:
    """Rows of `SwingTopology` for each environment.

    Attributes (read them; `adopt` changes them in place):
        network, machines, groups, swing: as the compiled functions take them.
        bus_frequency, impact_share, angle_sensitivity, conductance_pu: those of `network`.
        committed_share: how much of each machine is in the schedule: none or all, or any share of an equivalent,
            [env, machine]; set it by `GridSimulator.start` and `commit`.
        inertia_share: factor on the machines' inertia, one unless an episode has its own; set before a start, [env].
        inertia: M of the machines in service [MW s/Hz], [group, env].
        group_share: share of each group in the grid's governor, [group, env].
        relay_weight: what the load-shedding relay of each load measures, [env, load, group].
        machine_group: group of each machine, [env, machine].
        group_island: island of each group, 0 the largest, -1 for a group without a machine, [env, group].
        bus_island: island of each bus, -1 where it is dark, [env, bus].
        n_island: islands that live, [env].
    """

    def __init__(self, config: SwingConfig, engine: NewtonEngine, area: IntArray, n_group: int) -> None:
        """Take over the topology of every environment.

        Args:
            config: choices of the frequency model.
            engine: the power flows, whose state is the published one.
            area: group of each machine in the whole grid, [machine].
            n_group: number of groups.
        """
        case, n_env = engine.case, engine.n_env
        self._config, self._engine, self._area, self._n_group = config, engine, area, n_group
        self._reference_v_pu = engine.v_pu[0].copy()
        nothing = np.zeros((n_env, case.n_bus), dtype=np.complex128)
        self._reference_q_mvar = engine.machine_power(nothing)[0].imag.copy()
        self._kept: dict[bytes, SwingTopology] = {}
        self.network = Network(
            impact_share=np.zeros((n_env, case.n_bus, n_group)),
            angle_sensitivity=np.zeros((n_env, case.n_branch + case.n_machine, n_group)),
            spring_pu=np.zeros((n_env, case.n_branch)),
            conductance_pu=np.zeros((n_env, case.n_branch)),
            bus_frequency=np.zeros((n_env, case.n_bus, n_group)),
            bus_gram=np.zeros((n_env, n_group, n_group)),
        )
        reactance_pu = machine_reactance_pu(case)
        self.committed_share = np.ones((n_env, case.n_machine))
        self.inertia_share = np.ones(n_env)
        self._p_min_mw, self._p_max_mw = unit_limits_mw(case.machine, config.governor)
        self.machines = MachineParameters(
            inertia_mws_per_hz=np.zeros((n_env, case.n_machine)),
            governor_share=np.zeros((n_env, case.n_machine)),
            p_max_mw=np.zeros((n_env, case.n_machine)),
            p_min_mw=np.zeros((n_env, case.n_machine)),
            reactance_pu=reactance_pu,
            susceptance_pu=1.0 / reactance_pu,
        )
        self.groups = GroupParameters(
            inertia_mws_per_hz=np.zeros((n_group, n_env)), governor_share=np.zeros((n_group, n_env))
        )
        self.swing = SwingParameters(
            inertia_mws_per_hz=np.ones((n_group, n_env)),
            gain_mw_per_hz=np.zeros((n_group, n_env)),
            limit_up_mw=np.zeros((n_group, n_env)),
            limit_down_mw=np.zeros((n_group, n_env)),
            rate_mw_per_s=np.zeros((n_group, n_env)),
            dead_band_hz=np.full(n_env, config.governor.dead_band_hz),
        )
        self.bus_frequency, self.impact_share = self.network.bus_frequency, self.network.impact_share
        self.angle_sensitivity = self.network.angle_sensitivity
        self.conductance_pu = self.network.conductance_pu
        self.inertia, self.group_share = self.groups
        self.relay_weight = np.zeros((n_env, case.n_load, n_group))
        self.machine_group = np.zeros((n_env, case.n_machine), dtype=np.int64)
        self.group_island = np.zeros((n_env, n_group), dtype=np.int64)
        self.bus_island = np.zeros((n_env, case.n_bus), dtype=np.int64)
        self.n_island = np.ones(n_env, dtype=np.int64)
        for env in range(n_env):
            self.adopt(env)

    def adopt(self, env: int) -> None:
        """Take over the engine's topology of one environment."""
        found, network, swing = self._find(env), self.network, self.swing
        network.bus_frequency[env] = found.bus_frequency
        network.bus_gram[env] = found.bus_frequency.T @ found.bus_frequency
        network.impact_share[env] = found.impact_share
        network.angle_sensitivity[env] = found.angle_sensitivity
        network.spring_pu[env] = found.spring_pu
        network.conductance_pu[env] = found.conductance_pu
        self._commit(env, found)
        # A group without a machine has no power that could move it either.
        swing.inertia_mws_per_hz[:, env] = np.where(self.inertia[:, env] > 0.0, self.inertia[:, env], 1.0)
        governor = self._config.governor
        swing.gain_mw_per_hz[:, env] = self.group_share[:, env] * governor.gain_mw_per_hz
        if governor.headroom_up_mw is not None and governor.headroom_down_mw is not None:
            # Else they follow the schedule, see `grid_model.kernels.unit_limits`.
            swing.limit_up_mw[:, env] = self.group_share[:, env] * governor.headroom_up_mw
            swing.limit_down_mw[:, env] = self.group_share[:, env] * governor.headroom_down_mw
        swing.rate_mw_per_s[:, env] = self.group_share[:, env] * governor.rate_mw_per_s
        self.relay_weight[env] = found.relay_weight
        self.machine_group[env] = found.machine_group
        self.group_island[env] = found.group_island
        self.bus_island[env] = found.island
        self.n_island[env] = found.island.max() + 1

    def _commit(self, env: int, found: SwingTopology) -> None:
        """Inertia, gain and limits of what is in service and in the schedule.

        The reactance of an equivalent stays, and with it the network: it stands for its lines as well.
        """
        share, machines = self.committed_share[env], self.machines
        machines.inertia_mws_per_hz[env] = found.machine_inertia_mws_per_hz * share * self.inertia_share[env]
        machines.governor_share[env] = found.governor_share * share
        on = self._engine.machine_in_service[env]
        machines.p_max_mw[env] = self._p_max_mw * share * on
        machines.p_min_mw[env] = self._p_min_mw * share * on
        if np.all(share[on] == 1.0):
            self.inertia[:, env] = found.group_inertia_mws_per_hz * self.inertia_share[env]
            self.group_share[:, env] = found.group_governor_share
        else:
            group, n = found.machine_group, self._n_group
            self.inertia[:, env] = np.bincount(group, machines.inertia_mws_per_hz[env], minlength=n)
            self.group_share[:, env] = np.bincount(group, machines.governor_share[env], minlength=n)

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
                self._area,
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
