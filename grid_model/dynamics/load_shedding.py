"""Under-frequency load shedding: the last line of defence, by stages and area.

Every load has a relay. It measures the frequency of its area, counts how long it has stayed below its stage without a
break, and after the pick-up time opens the breakers of a fixed share of its load. Relays of an area act together, and
where it is split into islands, by island. Every stage operates once. Load that was shed stays shed until an operator
restores it by hand, which within an episode nobody does.

What they measure is the mean of its buses' frequencies weighted by their load, from the frequency divider:
half the loads of an area do not see the mean of its machines. Left out: breaker time (a cycle or two, part of the
pick-up here), relays on the rate of change of frequency, and the spread of settings within an area.

Stages, shares and pick-up are typical of the Northeast Power Coordinating Council's programme in order of magnitude,
not a copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.kernels.macro_step import nothing_to_count

__all__ = [
    "LoadSheddingConfig",
    "Operation",
    "SheddingRelays",
    "first_operation",
    "relay_weight",
]


@dataclass(frozen=True, kw_only=True)
class LoadSheddingConfig:
    """Settings of the relays, the same in every area."""

    stage_hz: tuple[float, ...] = (59.5, 59.3, 59.1, 58.9)
    share: float = 0.07  # of a load as it was before any stage, per stage
    pick_up_s: float = 0.3
    restore_within_hz: float = 0.05  # of nominal frequency, everywhere in the island
    restore_after_s: float = (
        300.0  # for which it has to hold before the first block; infinite: nobody restores
    )
    restore_every_s: float = 60.0  # between two blocks

    def __post_init__(self) -> None:
        if any(a <= b for a, b in zip(self.stage_hz[:-1], self.stage_hz[1:], strict=True)):
            raise ValueError(f"load shedding: stage_hz = {self.stage_hz}, expected falling stages")
        if any(not stage > 0.0 for stage in self.stage_hz):
            raise ValueError(f"load shedding: stage_hz = {self.stage_hz}, expected > 0")
        if not 0.0 <= self.share * self.n_stage <= 1.0:
            raise ValueError(
                f"load shedding: {self.n_stage} stages of share = {self.share}, expected 0 to 1 together"
            )
        if not self.pick_up_s >= 0.0:
            raise ValueError(f"load shedding: pick_up_s = {self.pick_up_s} s, expected >= 0")
        for name in ("restore_within_hz", "restore_after_s", "restore_every_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"load shedding: {name} = {getattr(self, name)}, expected > 0")

    @property
    def n_stage(self) -> int:
        """Number of stages."""
        return len(self.stage_hz)


def relay_weight(case: Case, bus_frequency: FloatArray, island: IntArray) -> FloatArray:
    """What the relay of each load measures, as weights of the groups' deviations, [load, group].

    It is the mean of its area's buses, or of those in its own island where the area is split.

    Args:
        case: the grid.
        bus_frequency: the frequency divider on groups, [bus, group].
        island: number of each bus's island, -1 where it is dark, [bus].

    Returns:
        Rows sum to one, or to zero where there is no voltage to measure.
    """
    at = island[case.load.bus]
    zone = (at + 1) * case.n_area + case.bus.area[case.load.bus]
    n_zone = int(zone.max(initial=0)) + 1
    weight = np.zeros((n_zone, bus_frequency.shape[1]))
    p_mw = np.where(at >= 0, case.load.p_mw, 0.0)
    total_mw = np.bincount(zone, p_mw, minlength=n_zone)
    np.add.at(weight, zone, p_mw[:, None] * bus_frequency[case.load.bus])
    weight /= np.where(total_mw > 0.0, total_mw, 1.0)[:, None]
    return weight[zone]


def first_operation(
    relay_hz: FloatArray,
    pending: IntArray,
    operated: BoolArray,
    stage_df_hz: FloatArray,
    pick_up_s: float,
    dt_s: float,
) -> tuple[int, BoolArray, IntArray]:
    """The first moment of a trace at which any relay operates.

    Args:
        relay_hz: deviation that the relays measure [Hz], row 0 where the last trace ended, [step, load].
        pending: steps for which each relay has seen its stage undercut, one for the first, [load, stage].
        operated: stages that have operated already, [load, stage].
        stage_df_hz: stages as deviations from nominal [Hz], [stage].
        pick_up_s: time for which a stage has to be undercut without a break before its relay operates [s].
        dt_s: length of a step [s].

    Returns:
        The step (-1 if no relay operates), the relays that operate at it, [load, stage], and `pending` at that step,
        or at the end of the trace.
    """
    none = np.zeros_like(operated)
    pending = pending.copy()
    for step in range(1, len(relay_hz)):
        below = (relay_hz[step][:, None] < stage_df_hz[None, :]) & ~operated
        pending = np.where(below, pending + 1, 0)
        ready = below & ((pending - 1) * dt_s >= pick_up_s - 1e-9 * dt_s)
        if ready.any():
            return step, ready, pending
    return -1, none, pending


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What the relays of one environment do in a macro step that has been integrated."""

    step: int  # of the macro step at which the first of them operates; -1: none
    stages: BoolArray  # that operate at it, [load, stage]
    pending: IntArray  # counters at that step, or at the macro step's end, [load, stage]


class SheddingRelays:
    """The relays of every environment.

    Attributes (read them, change them only through the methods):
        pending: steps for which each relay has seen its stage undercut, [env, load, stage].
        shed_stages: stages that have operated, [env, load, stage].
        threshold_hz: the highest stage, as a deviation from nominal.
        calm_s: for how long frequency has been close to nominal at each load that was shed [s], [env, load].
        since_restored_s: since a block was closed in [s], [env].
    """

    def __init__(self, config: LoadSheddingConfig | None, case: Case, n_env: int, dt_s: float) -> None:
        """No relay has picked up.

        Args:
            config: settings, None for a grid without relays.
            case: the grid.
            n_env: number of environments.
            dt_s: length of an integration step [s].
        """
        n_stage = 0 if config is None else config.n_stage
        self._config, self._dt_s = config, dt_s
        self._stage_df_hz = np.array(() if config is None else config.stage_hz) - case.f0_hz
        self.threshold_hz = float(self._stage_df_hz[0]) if n_stage > 0 else -np.inf
        self.pending = np.zeros((n_env, case.n_load, n_stage), dtype=np.int64)
        self.shed_stages = np.zeros((n_env, case.n_load, n_stage), dtype=np.bool_)
        self.calm_s = np.zeros((n_env, case.n_load))
        self.since_restored_s = np.full(n_env, np.inf)
        self._area_of_load = case.bus.area[case.load.bus]

    def start(self, envs: IntArray) -> None:
        """Everything is served again in these environments."""
        self.pending[envs] = 0
        self.shed_stages[envs] = False
        self.calm_s[envs] = 0.0
        self.since_restored_s[envs] = np.inf

    def operations(
        self, envs: IntArray, trace_hz: FloatArray, lowest_hz: FloatArray, weight: FloatArray
    ) -> dict[int, Operation]:
        """What the relays do in a macro step that has been integrated; changes nothing.

        Args:
            envs: positions of the environments integrated, [n].
            trace_hz: groups of all environments, [step, group, env].
            lowest_hz: lowest value of the interval of those integrated, [group, n].
            weight: of the groups in what relays measure, of all environments, [env, load, group].

        Returns:
            For each environment whose relays have something to count.
        """
        if self._config is None or self._config.n_stage == 0:
            return {}
        threshold_hz = self.threshold_hz
        if nothing_to_count(lowest_hz, threshold_hz, self.pending):
            return {}
        picked_up = self.pending[envs].any(axis=(1, 2))
        low = np.flatnonzero(picked_up | (lowest_hz.min(axis=0) < threshold_hz))
        found: dict[int, Operation] = {}
        for row in low:
            env = int(envs[row])
            # Element by element, so that relays that measure the same see the same to the bit, in any batch.
            relay_hz = np.einsum("sg,ig->si", np.ascontiguousarray(trace_hz[:, :, env]), weight[env])
            step, stages, pending = first_operation(
                relay_hz,
                self.pending[env],
                self.shed_stages[env],
                self._stage_df_hz,
                self._config.pick_up_s,
                self._dt_s,
            )
            found[env] = Operation(step=step, stages=stages, pending=pending)
        return found

    def count(self, env: int, operation: Operation) -> None:
        """The macro step of which `operations` told has been taken over: its counters are those of the relays."""
        self.pending[env] = operation.pending

    def operate(self, env: int, stages: BoolArray) -> FloatArray:
        """Open the breakers of these stages, [load, stage]; the share of each load that is left, [load]."""
        assert self._config is not None
        self.shed_stages[env] |= stages
        self.pending[env][stages] = 0
        self.calm_s[env] = 0.0
        return self._left(env)

    def block_to_restore(
        self, env: int, lowest_hz: FloatArray, highest_hz: FloatArray, interval_s: float
    ) -> BoolArray | None:
        """What an operator closes in at the end of an interval, [load, stage]; None if nothing.

        Args:
            env: an environment in which load was shed.
            lowest_hz: lowest deviation of the interval in the island of each load [Hz], NaN where there is no voltage,
                [load].
            highest_hz: the highest likewise, [load].
            interval_s: its length [s].
        """
        config, shed = self._config, self.shed_stages[env]
        if config is None or not shed.any():
            return None
        calm = (lowest_hz >= -config.restore_within_hz) & (highest_hz <= config.restore_within_hz)
        self.calm_s[env] = np.where(calm, self.calm_s[env] + interval_s, 0.0)
        self.since_restored_s[env] += interval_s
        # Intervals are sums of steps, which may fall short of a round number by a rounding error.
        ready = shed & (self.calm_s[env] >= config.restore_after_s - 1e-9)[:, None]
        if not ready.any() or self.since_restored_s[env] < config.restore_every_s - 1e-9:
            return None
        stage = int(np.flatnonzero(ready.any(axis=0))[-1])
        area = self._area_of_load[ready[:, stage]].min()
        block = np.zeros_like(shed)
        block[:, stage] = ready[:, stage] & (self._area_of_load == area)
        return block

    def restore(self, env: int, block: BoolArray) -> FloatArray:
        """Close the breakers of a block, [load, stage]; the share of each load that is then served, [load]."""
        self.shed_stages[env] &= ~block
        self.since_restored_s[env] = 0.0
        return self._left(env)

    def _left(self, env: int) -> FloatArray:
        """Share of each load that no stage holds out, [load]."""
        assert self._config is not None
        left: FloatArray = 1.0 - self._config.share * np.count_nonzero(self.shed_stages[env], axis=1)
        return left
