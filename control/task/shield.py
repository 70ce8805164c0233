"""A shield: joint actions are moved onto limits that are known to be safe, before plants are asked to follow them.

Three limits. Every plant moves by a share of its ramp only; every battery keeps its state of charge between two
bounds; and the batteries of an area together never go below a reserve of energy. The first two are an interval of
actions for each plant, [low, high]. The third is one sum over the batteries of an area,

    sum_i w_i a_i <= b,

the energy that they would give if they held their set-points for a few intervals, against what is stored above the
reserve. Charging is not counted before it is done. An action outside is replaced by the nearest one inside,

    a = clip(a0 - lambda w, low, high)   with the smallest lambda >= 0 that keeps the sum,

the Euclidean projection (the Karush-Kuhn-Tucker conditions of min |a - a0|^2), in closed form but for lambda, which is
found by bisection.

The bounds of a battery are those of a smaller battery, so they leave room to come to rest (`control.plants.battery`);
the look-ahead must be long enough to bring the largest set-point to zero. So whoever is within the limits can always
stay there. Who begins below a reserve is not made to charge: batteries there are brought to rest, and wait for an
action that charges them. What an inverter takes by itself to answer the frequency (`BatteryParameters.responds`) is
not known beforehand, and may carry a battery below its reserve by as much.

    E. Altman, Constrained Markov Decision Processes, 1999; G. Dalal et al., Safe exploration in continuous action
    spaces, arXiv:1801.08757, 2018, whose safety layer is the same projection with learned limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.plants.battery import S_PER_H, limit_battery
from control.plants.fleet import Fleet
from control.plants.fleet_state import BESS, FleetState, PlantParameters
from control.plants.lag import lag_end, lag_integral_by_sign
from grid_model.compilation import compiled

__all__ = ["SHIELD_TERMS", "Shield", "ShieldConfig", "nearest_within"]

SHIELD_TERMS = (
    "shielded",  # 1 where any action of the interval was moved
    "shielded_actions",  # how many of them
    "shielded_mw",  # by how much in all, sum of |a - a0| x ramp
)
BISECTIONS = 200  # at most: until two numbers have none between them


@dataclass(frozen=True, kw_only=True)
class ShieldConfig:
    """What is known to be safe."""

    soc_min: float = 0.1  # of each battery
    soc_max: float = 0.9
    ramp_share: float = 1.0  # of the plants' own largest change in an interval
    area_reserve_share: float = 0.2  # of the energy of all batteries of an area
    look_ahead_intervals: int = 20  # for which set-points are thought of as held

    def __post_init__(self) -> None:
        if not 0.0 <= self.soc_min < self.soc_max <= 1.0:
            raise ValueError(
                f"shield: soc_min = {self.soc_min}, soc_max = {self.soc_max}, expected 0 <= soc_min < soc_max <= 1"
            )
        if not 0.0 < self.ramp_share <= 1.0:
            raise ValueError(f"shield: ramp_share = {self.ramp_share}, expected above 0, at most 1")
        if not 0.0 <= self.area_reserve_share < 1.0:
            raise ValueError(f"shield: area_reserve_share = {self.area_reserve_share}, expected 0 to below 1")
        if self.look_ahead_intervals < 1:
            raise ValueError(
                f"shield: look_ahead_intervals = {self.look_ahead_intervals}, expected at least 1"
            )


class _Limits(NamedTuple):
    """`ShieldConfig` and the areas as the compiled functions take them."""

    soc_min: float
    soc_max: float
    ramp_share: float
    n_held: int  # intervals of the look-ahead
    area: IntArray  # of each plant, [resource]
    reserve_mwh: FloatArray  # [area]


class Shield:
    """The shield of one fleet; it remembers nothing."""

    def __init__(self, config: ShieldConfig, case: Case, fleet: Fleet) -> None:
        """Args: config: the limits. case: whose areas they are in. fleet: the plants.

        Raises:
            ValueError: the look-ahead is too short for a battery to come to rest in it.
        """
        self.config = config
        self._plants: PlantParameters = fleet.parameters
        bess = fleet.bess
        needed = 0.5 + fleet.high_mw[bess] / (config.ramp_share * fleet.step_mw[bess])
        if len(bess) > 0 and config.look_ahead_intervals < needed.max():
            slowest = bess[int(np.argmax(needed))]
            raise ValueError(
                f"shield: look_ahead_intervals = {config.look_ahead_intervals}, but {fleet.name[slowest]} needs "
                f"{int(np.ceil(needed.max()))} to come to rest from its largest set-point"
            )
        area = case.bus.area[fleet.bus]
        capacity_mwh: FloatArray = np.zeros(case.n_area)
        np.add.at(capacity_mwh, area[bess], fleet.energy_mwh[bess])
        self._limits = _Limits(
            float(config.soc_min),
            float(config.soc_max),
            float(config.ramp_share),
            int(config.look_ahead_intervals),
            np.ascontiguousarray(area, dtype=np.int64),
            config.area_reserve_share * capacity_mwh,
        )

    def project(self, action: FloatArray, plants: FleetState, counted: FloatArray) -> FloatArray:
        """The nearest joint action within the limits.

        Args:
            action: from -1 to 1, [env, resource]; left as it is.
            plants: state of the plants at the interval's beginning.
            counted: filled with SHIELD_TERMS, [term, env].

        Returns:
            A new array; entries within the limits are the same to the bit, [env, resource].
        """
        safe = np.empty_like(action)
        _project(action, plants, self._plants, self._limits, safe, counted)
        return safe


@compiled
def nearest_within(
    action: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    most: float,
    nearest: FloatArray,
) -> None:
    """Euclidean projection onto low <= a <= high and sum_i w_i a_i <= most, all [plant].

    Where even `low` exceeds the sum, that is the answer: no less can be had.

    Args:
        action: what is asked for.
        low: of the interval.
        high: of the interval, not below `low`.
        weight: w, zero or more.
        most: that the sum may come to.
        nearest: filled.
    """
    n = action.size
    total = 0.0
    beyond = 0.0  # a shift by which every weighted action is at its low end
    for i in range(n):
        nearest[i] = min(max(action[i], low[i]), high[i])
        total += weight[i] * nearest[i]
        if weight[i] > 0.0:
            beyond = max(beyond, (action[i] - low[i]) / weight[i])
    if total <= most:
        return
    within = 0.0
    for _ in range(BISECTIONS):
        shift = 0.5 * (within + beyond)
        if shift <= within or shift >= beyond:
            break
        total = 0.0
        for i in range(n):
            total += weight[i] * min(max(action[i] - shift * weight[i], low[i]), high[i])
        if total <= most:
            beyond = shift
        else:
            within = shift
    for i in range(n):
        if weight[i] > 0.0:
            nearest[i] = min(max(action[i] - beyond * weight[i], low[i]), high[i])


@compiled
def _given_mwh(
    u: float, x0: float, u0: float, lag_s: float, h_s: float, n_held: int, efficiency: float
) -> float:
    """Energy that a battery gives if its set-point goes from u0 to u in an interval and is held until n are over."""
    x1 = lag_end(x0, u0, u, lag_s, h_s)
    out_mws = lag_integral_by_sign(x0, x1, u0, u, lag_s, h_s)[0]
    if n_held > 1:
        held_s = (n_held - 1) * h_s
        out_mws += lag_integral_by_sign(x1, lag_end(x1, u, u, lag_s, held_s), u, u, lag_s, held_s)[0]
    return out_mws / (efficiency * S_PER_H)


@compiled
def _project(
    action: FloatArray,
    state: FleetState,
    plants: PlantParameters,
    limits: _Limits,
    safe: FloatArray,
    counted: FloatArray,
) -> None:
    """See Shield.project; `safe` [env, resource] and `counted` [term, env] are filled."""
    n_env, n = action.shape
    low, high, weight, nearest = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    share, h_s = limits.ramp_share, plants.interval_s
    for e in range(n_env):
        room_mwh = -limits.reserve_mwh.copy()  # what an area stores above its reserve, and gives at `low`
        for i in range(n):
            low[i], high[i], weight[i] = -share, share, 0.0
            if plants.kind[i] != BESS:
                continue
            u0, x0, e0 = state.set_point_mw[e, i], state.output_mw[e, i], state.energy_mwh[e, i]
            step_mw, p_max_mw, lag_s = plants.step_mw[i], plants.high_mw[i], plants.lag_s[i]
            capacity_mwh = plants.capacity_mwh[i]
            charging, discharging = plants.charging_efficiency[i], plants.discharging_efficiency[i]
            # Emptied down to soc_min as a battery that ends there, and, seen in a mirror, filled up to soc_max.
            moved_mw = share * step_mw
            top_mw = min(u0 + moved_mw, p_max_mw)
            up_mw = limit_battery(
                top_mw,
                e0 - limits.soc_min * capacity_mwh,
                x0,
                u0,
                p_max_mw,
                np.inf,
                moved_mw,
                lag_s,
                h_s,
                charging,
                discharging,
            )[0]
            if up_mw < top_mw:
                high[i] = (up_mw - u0) / step_mw
            bottom_mw = max(u0 - moved_mw, -p_max_mw)
            down_mw = -limit_battery(
                -bottom_mw,
                limits.soc_max * capacity_mwh - e0,
                -x0,
                -u0,
                p_max_mw,
                np.inf,
                moved_mw,
                lag_s,
                h_s,
                1.0 / discharging,
                1.0 / charging,
            )[0]
            if down_mw > bottom_mw:
                low[i] = (down_mw - u0) / step_mw
            high[i] = max(high[i], low[i])
            area = limits.area[i]
            room_mwh[area] += e0
            # What is given is convex in the action, so the chord between the ends is never less than it. Below rest
            # nothing is given: an action there is left where it is.
            rest = min(max(-u0 / step_mw, low[i]), high[i])
            given_mwh = _given_mwh(u0 + rest * step_mw, x0, u0, lag_s, h_s, limits.n_held, discharging)
            room_mwh[area] -= given_mwh
            if action[e, i] > rest and high[i] > rest:
                most_mwh = _given_mwh(u0 + high[i] * step_mw, x0, u0, lag_s, h_s, limits.n_held, discharging)
                weight[i] = max(most_mwh - given_mwh, 0.0) / (high[i] - rest)
                low[i] = rest
                room_mwh[area] += weight[i] * rest
        for area in range(room_mwh.size):
            mine = np.flatnonzero(limits.area == area)
            found = np.empty(mine.size)
            nearest_within(action[e][mine], low[mine], high[mine], weight[mine], room_mwh[area], found)
            nearest[mine] = found
        n_moved, moved_mw = 0, 0.0
        for i in range(n):
            safe[e, i] = nearest[i]
            n_moved += int(nearest[i] != action[e, i])
            moved_mw += abs(nearest[i] - action[e, i]) * plants.step_mw[i]
        counted[0, e] = 1.0 if n_moved > 0 else 0.0
        counted[1, e] = n_moved
        counted[2, e] = moved_mw
