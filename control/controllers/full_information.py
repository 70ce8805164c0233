"""The yardstick: a controller that knows all there is to know now, and nothing of the noise to come.

It plans as MPC does (`receding_horizon.py`), on the same agents' plants within the same limits, but with

* the state as it is: frequency of the centre of inertia, reheaters, outputs, energies, what demand response owes;
* the disturbance as it is, schedules and renewables less load at 60 Hz and losses, and what it is known to become:
  the machines' schedules and the five-minute data ahead are real, and each kind of noise within five minutes fades
  from its present value with its own time constant, which is its conditional mean;
* the dynamics that the scenario plays, not the published ones; those of the episode where each has its own. Inertia
  and governors are those of the machines in service at the time: a commitment turns half of them off at low load.

Of outages to come it knows nothing: where one is to fall before the next mark of the dispatch, what the machines'
schedules do beyond that mark, which answers it, is left out.

So its cost is near what any controller of these plants could reach in quiet hours, while perfect information (the
bound) also foresees the noise, which nobody can. It is no lower bound where single outages or limits decide, as in
`n1`: like MPC it plans on one mass, for each class of plants as one, and its value of energy at the horizon is a
quadratic. With `HorizonConfig.in_reserve` it knows as little of outages and is ready for one.

How much of that is worth knowing is seen without it: where it does not `foresee`, the disturbance is as well known as
it is now and taken to stay, noise, schedules and all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.controllers.base import CLASSES
from control.controllers.one_mass import Start, as_committed, damping_mw_per_hz, imbalance_mw, one_mass
from control.controllers.receding_horizon import HorizonConfig, RecedingHorizon
from control.plants.fleet_state import BESS, DR, GAS
from control.task.closed_loop import ClosedLoop
from control.task.description import TaskDescription

__all__ = ["FullInformation"]


class FullInformation:
    """Reads the closed loop itself, so it can only act where the episodes are played: it needs the batch's loop.

    Args:
        task: the grid, its plants and the scenario.
        loop: where the episodes are played.
        config: how far a plan looks and what it values; the usual choices at the size of the grid if None.
        foresees: whether it knows what becomes of the disturbance, or takes it to stay.

    Attributes:
        horizon: the plans, and how often there was none.
    """

    def __init__(
        self,
        task: TaskDescription,
        loop: ClosedLoop,
        config: HorizonConfig | None = None,
        *,
        foresees: bool = True,
    ) -> None:
        self._foresees = foresees
        self._loop, self._fleet = loop, task.fleet
        self._model = one_mass(task, task.scenario_swing)
        self.horizon = RecedingHorizon(self._model, loop.n_env, config or HorizonConfig.of(task.case))
        self._member = (self._fleet.kind[:, None] == np.array(CLASSES)).astype(
            np.float64
        )  # [resource, class]
        scenario = loop.scenario
        tau_s = (scenario.load_slow_tau_s, scenario.load_fast_tau_s, scenario.wind_tau_s, scenario.pv_tau_s)
        # Load takes power, wind and sun give it: how far each has changed by then, of its present value.
        fades = np.exp(-self.horizon.ends_s[:, None] / np.array(tau_s)) - 1.0
        self._fades = fades * np.array([-1.0, -1.0, 1.0, 1.0])  # [stage + 1, noise]
        # Wind and sun less load without noise.
        self._base_mw = np.zeros((loop.n_env, scenario.n_intervals + 1))

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Take in what is known of the episodes that begin in these environments."""
        self.horizon.reset(envs)
        for env in envs:
            episode = self._loop.episode[env]
            if episode is not None:
                load, wind_and_sun = np.split(episode.noise_mw, 2, axis=1)
                real_mw = episode.p_renewable_mw.sum(axis=1) - episode.p_load_mw.sum(axis=1)
                self._base_mw[env] = real_mw - wind_and_sun.sum(axis=1) + load.sum(axis=1)
                self._plan_on_what_is_in_service(int(env))

    def _plan_on_what_is_in_service(self, env: int) -> None:
        """The grid as one mass as it is now; the loads' damping stays until machines come or go once more."""
        loop, grid = self._loop, self._loop.grid
        episode, model = loop.episode[env], self._model
        assert episode is not None
        if episode.dynamics is not None:
            dead_band_hz = episode.dynamics.governor_dead_band_hz
            model = replace(model, governor=replace(model.governor, dead_band_hz=dead_band_hz))
        model = as_committed(
            model,
            inertia_mws_per_hz=float(grid.topology.inertia.sum(axis=0)[env]),
            governor_share=float(grid.topology.group_share[:, env].sum()),
            damping_mw_per_hz=float(damping_mw_per_hz(grid)[env]),
        )
        self.horizon.plan_on(env, model)

    def act(self, observation: FloatArray) -> FloatArray:
        """Plan for each environment from all that is known, take the first move; [env, resource]."""
        loop, fleet = self._loop, self._fleet
        inertia = loop.grid.topology.inertia.sum(axis=0)
        planned = [program.model.inertia_mws_per_hz for program in self.horizon.program]
        changed = (inertia != planned) & (inertia > 0.0)  # of a lost grid nothing turns
        for env in np.flatnonzero(changed).tolist():
            self._plan_on_what_is_in_service(env)
        plants = loop.resources
        command_mw = plants.command_mw @ self._member
        output_mw = plants.output_mw @ self._member
        set_point_mw = plants.set_point_mw @ self._member
        energy_mwh = plants.energy_mwh @ self._member
        reheat_mw = loop.grid.swing_state.reheat_mw.sum(axis=0)
        starts = [
            Start(
                df_hz=float(loop.coi_df_hz[env]),
                reheat_mw=float(reheat_mw[env]),
                gas_mw=float(output_mw[env, GAS]),
                dr_mw=float(output_mw[env, DR]),
                energy_mwh=float(energy_mwh[env, BESS]),
                owed_mwh=float(energy_mwh[env, DR]),
                command_mw=tuple(command_mw[env]),
                dr_set_point_mw=float(set_point_mw[env, DR]),
            )
            for env in range(loop.n_env)
        ]
        target_mw = self.horizon.targets(starts, self._disturbance_mw())
        change_mw = self.horizon.moves(target_mw, command_mw)[:, fleet.kind]
        return np.clip(change_mw / fleet.step_mw, -1.0, 1.0)

    def tell(self) -> dict[str, FloatArray]:
        """What a rollout's record keeps, see `RecedingHorizon.tell`."""
        return self.horizon.tell()

    def _disturbance_mw(self) -> FloatArray:
        """Disturbance now and what is known of it at the stages' ends [MW], [env, stage + 1]."""
        loop, grid = self._loop, self._loop.grid
        now_mw = imbalance_mw(grid)
        # A unit that joins the schedule later counts by what it will be asked for; one that tripped does not.
        counts = grid.engine.machine_in_service | (grid.topology.committed_share == 0.0)
        last = loop.scenario.n_intervals
        ahead = self.horizon.ends_s / loop.scenario.interval_s
        d_mw = np.repeat(now_mw[:, None], len(ahead), axis=1)
        if not self._foresees:
            return d_mw
        for env in range(loop.n_env):
            k = int(loop.interval[env])
            episode = loop.episode[env]
            assert episode is not None
            rows = np.arange(last + 1 - k)
            known = min(self._known_until(env), last) - k
            known_mw = loop.schedule_mw[env][k:, counts[env]].sum(axis=1) + self._base_mw[env, k:]
            known_mw[known + 1 :] = known_mw[known]
            d_mw[env] += np.interp(ahead, rows, known_mw) - known_mw[0]
            d_mw[env] += self._fades @ episode.noise_mw[k]
        return d_mw

    def _known_until(self, env: int) -> int:
        """Interval up to which the schedule tells nothing of outages to come: the mark after the next one."""
        loop, episode = self._loop, self._loop.episode[env]
        assert episode is not None
        now_s = float(loop.interval[env]) * loop.scenario.interval_s
        coming = [event.time_s for event in episode.events if event.time_s > now_s]
        if not coming:
            return loop.scenario.n_intervals
        at = int(min(coming) // loop.scenario.interval_s) + 1
        marks = np.flatnonzero(loop.redispatched[env, at:])
        return at + int(marks[0]) if len(marks) else loop.scenario.n_intervals
