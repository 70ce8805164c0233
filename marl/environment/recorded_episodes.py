"""Episodes of the reduced model, written down as a policy plays them, to be played again with other actions."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from cases.arrays import IntArray
from control.controllers.receding_horizon import HorizonConfig
from control.plants.fleet_state import BESS, DR
from control.task.layout import SIZE
from control.task.reduced_driving import Driving
from control.task.reduced_loop import ReducedLoop
from marl.config.check import ConfigError
from marl.environment.batch import GridBatch
from marl.environment.differentiable_grid import PlayedAgain, steps_of
from marl.networks.policy import Policy

__all__ = ["record"]


def record(environment: GridBatch, policy: Policy, seeds: IntArray) -> PlayedAgain:
    """Plays an episode of each seed with a policy; those in which the grid is lost are left out.

    Args:
        environment: on the reduced model, with episodes that all begin at once; one for each seed.
        policy: acts.
        seeds: [env].

    Raises:
        ConfigError: the agents see more than the numbers of `control.task.layout`, or the grid is lost in all episodes.
    """
    task = environment.task
    loop = cast(ReducedLoop, environment.loop)
    sizes = {g.observation_size for g in environment.groups}
    if not sizes <= set(SIZE.values()):
        raise ConfigError(
            f"recorded episodes show agents {' or '.join(map(str, SIZE))} numbers, not {max(sizes)} of them"
        )
    # Behind its last interval an episode is not looked at: the next one has begun by then.
    n_interval, fleet, swing = loop.scenario.n_intervals - 1, loop.fleet, task.description.scenario_swing
    shown = environment.reset(seeds)
    policy.reset(np.arange(environment.n_env), seeds)
    seen, done, df_hz, driving = [], [], [loop.coi_df_hz], []
    energy_mwh = loop.resources.energy_mwh
    whole = np.ones(environment.n_env, dtype=np.bool_)
    n_number = max(sizes)
    for _ in range(n_interval):
        every = np.zeros((environment.n_env, fleet.n_resource, n_number), dtype=np.float32)
        action = np.zeros((environment.n_env, fleet.n_resource))
        acted = policy.act(shown.observations)
        for kind, rows in task.of_kind.items():
            every[:, rows] = shown.observations[kind]
            action[:, rows] = acted[kind][..., 0]
        seen.append(every)
        done.append(action)
        driving.append(loop.driving)
        transition = environment.step(acted)
        whole &= ~transition.terminated
        shown = transition.observation
        df_hz.append(loop.coi_df_hz)
    if not whole.any():
        raise ConfigError(f"the grid is lost in all {len(seeds)} recorded episodes of {loop.scenario.name}")

    def tensor(x: object) -> Tensor:
        return torch.from_numpy(np.array(x, dtype=np.float32))

    reward, governor = task.description.reward, swing.governor
    dt = loop.scenario.interval_s / steps_of(loop.scenario.interval_s)
    numbers = {
        "range_mw": fleet.range_mw,
        "step_mw": fleet.step_mw,
        "low_mw": fleet.low_mw,
        "high_mw": fleet.high_mw,
        "lag_s": fleet.lag_s,
        "capacity_mwh": fleet.energy_mwh,
        "charging_efficiency": fleet.charging_efficiency,
        "discharging_efficiency": fleet.discharging_efficiency,
        "rebound_s": fleet.rebound_s,
        "movement_per_mw": reward.movement * fleet.cost_per_mw,
        "effort_per_mw2": reward.effort * fleet.cost_per_mw2,
    }
    kinds = {"is_battery": fleet.kind == BESS, "is_flexible_load": fleet.kind == DR}
    # Of the system's frequency, and of the first bus's: those of all are alike.
    delay = loop.scada.parameters.delay[:, :2]
    found = PlayedAgain(
        of_kind=task.of_kind,
        seen=tensor(seen),
        df_hz=tensor(df_hz),
        driving={name: tensor([getattr(one, name) for one in driving]) for name in Driving._fields},
        correction_mw=torch.zeros(n_interval, environment.n_env),
        energy_mwh=tensor(np.where(kinds["is_battery"], energy_mwh, 0.0)),
        delay=torch.from_numpy(delay.T.copy()),
        fleet={name: tensor(x) for name, x in numbers.items()}
        | {name: torch.from_numpy(x) for name, x in kinds.items()},
        frequency_per_hz2=reward.frequency_per_hz2 * loop.case.n_bus,
        governor_decay=(float(np.exp(-dt / governor.t_valve_s)), float(np.exp(-dt / governor.t_reheat_s))),
        high_pressure_fraction=governor.high_pressure_fraction,
        load_fade=loop.load_fade,
        interval_s=loop.scenario.interval_s,
        half_full_per_mwh2=HorizonConfig.of(loop.case).half_full_per_mwh2,
    )
    return found.corrected(np.array(done)).some(np.flatnonzero(whole))
