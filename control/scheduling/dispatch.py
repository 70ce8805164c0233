"""Tertiary control: economic dispatch of the machines on the forecast, every fifteen minutes.

Each machine costs c1 P + c2 P² an hour. At the optimum all machines that are not at a limit have the same
marginal cost λ, so the problem has one unknown. With the case's costs (c1 equal for all, c2 inversely
proportional to the published output) the published schedule is the optimum of the base case.

Every area dispatches its own machines: for its own load, less its own wind and sun, plus the interchange it has
in the published case, scaled with the load level. Within an area machines give way in proportion to their
published output; P_i = P_i,published x demand / base demand there. One dispatch for the whole grid was tried
first and lets the ties carry what wind and regional loads happen to leave over: in 5 % of the hours of a
normal year bus 48 then rose above 1.10 pu, and with loads that follow their regions the power flow had no
solution in 3 %. Only what an area cannot meet within its limits is spread over the others.

Limits, all ours. With unit commitment (`commitment.py`): no machine in the schedule below 45 % of its published
output, 19 to 38 % of the units' ratings, which leaves their governors 5 % down to what their turbines give at least.
Without it: no machine below 10 %, so that every rotor keeps turning and the published inertia stays true, which a load
of 0.38 with all 4300 MW of wind and sun still allows (15 % in the mean). None above 0.95 of its rating; no more than
2 % of that a minute from mark to mark, but for a unit that joins, which is at its minimum at the next mark. Where
limits leave no solution the nearest one is returned and the rest stays as an imbalance, for the frequency to show.

Left out: the network (flows are checked by the power flow) and, but for the commitment's, reserves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.tables import MachineTable
from grid_model.compilation import compiled

ROUNDING_MW = 1e-6  # of sums of some 10,000 MW


@dataclass(frozen=True, kw_only=True)
class DispatchConfig:
    """How often machines are re-dispatched, and within which limits."""

    interval_s: float = 900.0
    p_min_share: float = 0.10  # of published output, where all machines are always in the schedule
    committed_min_share: float = 0.45  # likewise, where machines follow a commitment
    stable_min_share: float = (
        0.40  # likewise, the least that governors go down to [typical: 0.2 to 0.5 of rating]
    )
    min_up_s: float = 3600.0  # a unit is in the schedule so long before it is needed, and after
    must_run: tuple[str, ...] = ("G2", "G10")  # units kept in the schedule for the voltage's sake
    largest_loss_hz: float = 0.30  # to which the loss of a unit may let frequency settle, see `commitment`
    reserve_unit_mw: float = 800.0  # largest unit by published output whose loss reserve is sized for
    equivalent_min_share: float = 0.2  # least share of a neighbouring system that is in the schedule
    p_max_share: float = 0.95  # of rating: power factor at full output
    ramp_percent_per_min: float = 2.0  # of the maximum

    def __post_init__(self) -> None:
        if not self.interval_s > 0.0:
            raise ValueError(f"dispatch: interval_s = {self.interval_s}, expected > 0.")
        for name in ("p_min_share", "committed_min_share", "stable_min_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"dispatch: {name} = {getattr(self, name)}, expected 0 to 1.")
        object.__setattr__(self, "must_run", tuple(self.must_run))
        if not self.stable_min_share <= self.committed_min_share:
            raise ValueError(
                f"dispatch: stable_min_share = {self.stable_min_share}, expected at most committed_min_share."
            )
        if not 0.0 <= self.min_up_s <= 86_400.0:
            raise ValueError(f"dispatch: min_up_s = {self.min_up_s}, expected 0 to a day.")
        for name in ("largest_loss_hz", "reserve_unit_mw"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"dispatch: {name} = {getattr(self, name)}, expected > 0.")
        if not 0.0 < self.equivalent_min_share <= 1.0:
            raise ValueError(
                f"dispatch: equivalent_min_share = {self.equivalent_min_share}, expected above 0, at most 1."
            )
        if not 0.0 < self.p_max_share <= 1.0:
            raise ValueError(f"dispatch: p_max_share = {self.p_max_share}, expected above 0, at most 1.")
        if not self.ramp_percent_per_min > 0.0:
            raise ValueError(f"dispatch: ramp_percent_per_min = {self.ramp_percent_per_min}, expected > 0.")


@dataclass(frozen=True, kw_only=True)
class DispatchLimits:
    """What the dispatch may ask of each machine, shape [machine]."""

    p_min_mw: FloatArray
    p_max_mw: FloatArray
    ramp_mw: FloatArray  # largest change from one mark to the next

    def __post_init__(self) -> None:
        if np.any(self.p_min_mw > self.p_max_mw):
            k = int(np.argmax(self.p_min_mw - self.p_max_mw))
            raise ValueError(
                f"dispatch: machine row {k} has p_min {self.p_min_mw[k]:g} MW above "
                f"p_max {self.p_max_mw[k]:g} MW, expected the opposite."
            )


def dispatch_limits(machine: MachineTable, config: DispatchConfig) -> DispatchLimits:
    """Limits of every machine from its published output and rating."""
    p_max_mw = config.p_max_share * machine.rating_mva
    return DispatchLimits(
        p_min_mw=config.p_min_share * machine.p_mw,
        p_max_mw=p_max_mw,
        ramp_mw=config.ramp_percent_per_min / 100.0 * p_max_mw * config.interval_s / 60.0,
    )


@compiled
def bounds_at_mark(
    p_min_mw: FloatArray,
    p_max_mw: FloatArray,
    ramp_mw: FloatArray,
    p_before_mw: FloatArray | None,
    in_service: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest output at a mark, given that at the mark before [MW], shape [machine].

    A machine that is out has both at zero. There is no ramp where there is no mark before. The first three are those of
    `DispatchLimits`, of what is in the schedule.
    """
    low_mw, high_mw = np.zeros(p_min_mw.size), np.zeros(p_min_mw.size)
    for i in range(p_min_mw.size):
        low, high = p_min_mw[i], p_max_mw[i]
        if p_before_mw is not None:
            low = min(max(low, p_before_mw[i] - ramp_mw[i]), high)
            high = max(min(high, p_before_mw[i] + ramp_mw[i]), low)
        if in_service[i]:
            low_mw[i], high_mw[i] = low, high
    return low_mw, high_mw


@compiled
def economic_dispatch(
    demand_mw: FloatArray,
    cost_linear: FloatArray,
    cost_quadratic: FloatArray,
    p_low_mw: FloatArray,
    p_high_mw: FloatArray,
) -> FloatArray:
    """Cheapest outputs that meet a demand within limits, without iteration.

        minimise Σ c1_i P_i + c2_i P_i²   subject to   Σ P_i = D,   low_i <= P_i <= high_i
        P_i = clip((λ - c1_i) / (2 c2_i), low_i, high_i)

    Σ P_i is a rising, piecewise linear function of λ; its corners are sorted and the piece that holds D is
    found. A demand outside [Σ low, Σ high] gets the nearer end.

    Args:
        demand_mw: D, losses included [MW], shape [env].
        cost_linear: c1 [USD/MWh], shape [machine].
        cost_quadratic: c2 > 0 [USD/MW²h], shape [machine].
        p_low_mw: low [MW], shape [env, machine].
        p_high_mw: high [MW], shape [env, machine].

    Returns:
        Outputs [MW], shape [env, machine].

    Reference:
        A. J. Wood, B. F. Wollenberg, G. B. Sheblé, Power Generation, Operation, and Control, 3rd ed.,
        Wiley, 2014, sec. 3.1-3.2.
    """
    n_env, n_machine = p_low_mw.shape
    p_mw = np.empty((n_env, n_machine))
    corner = np.empty(2 * n_machine)
    for env in range(n_env):
        for i in range(n_machine):
            corner[2 * i] = cost_linear[i] + 2.0 * cost_quadratic[i] * p_low_mw[env, i]
            corner[2 * i + 1] = cost_linear[i] + 2.0 * cost_quadratic[i] * p_high_mw[env, i]
        for k in range(1, 2 * n_machine):  # by insertion: numba's sort takes a second to compile
            value, place = corner[k], k
            while place > 0 and corner[place - 1] > value:
                corner[place] = corner[place - 1]
                place -= 1
            corner[place] = value
        below_lambda = corner[0]
        below_mw = 0.0
        for i in range(n_machine):
            below_mw += p_low_mw[env, i]
        price = below_lambda  # Σ P = Σ low up to the first corner
        if demand_mw[env] > below_mw:
            price = corner[-1]  # Σ P = Σ high from the last corner on
            for k in range(1, 2 * n_machine):
                total_mw = 0.0
                for i in range(n_machine):
                    p = (corner[k] - cost_linear[i]) / (2.0 * cost_quadratic[i])
                    total_mw += min(max(p, p_low_mw[env, i]), p_high_mw[env, i])
                if total_mw >= demand_mw[env]:
                    share = (demand_mw[env] - below_mw) / (total_mw - below_mw)
                    price = below_lambda + share * (corner[k] - below_lambda)
                    break
                below_lambda, below_mw = corner[k], total_mw
        for i in range(n_machine):
            p = (price - cost_linear[i]) / (2.0 * cost_quadratic[i])
            p_mw[env, i] = min(max(p, p_low_mw[env, i]), p_high_mw[env, i])
    return p_mw


def area_demand(
    p_load_mw: FloatArray,
    p_renewable_mw: FloatArray,
    loss_mw: float | FloatArray,
    nominal_load_mw: FloatArray,
    p_published_mw: FloatArray,
) -> FloatArray:
    """What the machines of each area are to give together.

        D_a = share_a (Σ L + loss) + (L_a - level L_a,nominal) - R_a,    share_a = P_a,published / Σ P_published

    The first term less level x L_a,nominal is the published interchange (and the area's part of the losses),
    scaled with the load level Σ L / Σ L_nominal. The sum over areas is Σ L + loss - Σ R.

    Args:
        p_load_mw: L_a [MW], shape [area] or [mark, area].
        p_renewable_mw: R_a [MW], likewise.
        loss_mw: losses of the whole grid [MW], [mark, 1] where there are marks.
        nominal_load_mw: L_a,nominal [MW], shape [area].
        p_published_mw: P_a,published, of all machines of the area [MW], shape [area].
    """
    total_mw = p_load_mw.sum(axis=-1, keepdims=True)
    level = total_mw / nominal_load_mw.sum()
    share = p_published_mw / p_published_mw.sum()
    demand_mw: FloatArray = (
        share * (total_mw + loss_mw) + p_load_mw - level * nominal_load_mw - p_renewable_mw
    )
    return demand_mw


@compiled
def dispatch_by_area(
    demand_mw: FloatArray,
    machine_area: IntArray,
    cost_linear: FloatArray,
    cost_quadratic: FloatArray,
    p_low_mw: FloatArray,
    p_high_mw: FloatArray,
) -> FloatArray:
    """Economic dispatch of each area, and of the whole grid for what areas cannot meet on their own.

    Args:
        demand_mw: of each area [MW], shape [area].
        machine_area: position of each machine's area, shape [machine].
        cost_linear: c1 [USD/MWh], shape [machine].
        cost_quadratic: c2 > 0 [USD/MW²h], shape [machine].
        p_low_mw: lowest outputs [MW], shape [machine].
        p_high_mw: highest outputs [MW], shape [machine].

    Returns:
        Outputs [MW], shape [machine].
    """
    n_area, n_machine = len(demand_mw), len(p_low_mw)
    low_mw, high_mw = np.zeros((n_area, n_machine)), np.zeros((n_area, n_machine))
    for i in range(n_machine):
        low_mw[machine_area[i], i] = p_low_mw[i]
        high_mw[machine_area[i], i] = p_high_mw[i]
    by_area_mw = economic_dispatch(demand_mw, cost_linear, cost_quadratic, low_mw, high_mw)
    p_mw = np.zeros(n_machine)
    for area in range(n_area):
        for i in range(n_machine):
            p_mw[i] += by_area_mw[area, i]
    total_mw, asked_mw = 0.0, 0.0
    for i in range(n_machine):
        total_mw += p_mw[i]
    for area in range(n_area):
        asked_mw += demand_mw[area]
    unmet_mw = asked_mw - total_mw
    if abs(unmet_mw) > ROUNDING_MW:
        # Machines move only the way that helps, so areas that were met do not pay each other's way.
        low, high, whole_mw = np.empty((1, n_machine)), np.empty((1, n_machine)), np.empty(1)
        whole_mw[0] = total_mw + unmet_mw
        for i in range(n_machine):
            low[0, i] = p_mw[i] if unmet_mw > 0.0 else p_low_mw[i]
            high[0, i] = p_high_mw[i] if unmet_mw > 0.0 else p_mw[i]
        p_mw = economic_dispatch(whole_mw, cost_linear, cost_quadratic, low, high)[0]
    return p_mw
