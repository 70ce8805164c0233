"""What one control interval came to, and how it is judged against the limits.

The judgement is compiled, because it runs for every environment at every step; `grid_model/network/limits.py` says the
same in array arithmetic, with counts and severities, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.dynamics.group_sums import sum_square
from grid_model.dynamics.interruption import Interruption, mean_unserved_load
from grid_model.kernels.lanes import (
    N_LANE,
    larger_size,
    load,
    load_at,
    one_where_not_above,
    select,
    spread,
    store,
)
from grid_model.kernels.structs import GridArrays, PowerFlow, ServiceStatus, WorstMoment
from grid_model.network.limits import LOADING_TOLERANCE_PERCENT, VOLTAGE_TOLERANCE_PU

__all__ = [
    "FrequencyLimits",
    "GridLimits",
    "Judged",
    "Judgement",
    "LimitCheck",
    "check_limits",
    "empty_judgement",
    "judge_limits",
    "judge_worst",
    "largest_deviation",
    "share_within",
]

NARROW_HZ, WIDE_HZ = 0.036, 0.2  # of LimitCheck.within_36_mhz and within_200_mhz


@dataclass(frozen=True, kw_only=True)
class FrequencyLimits:
    """Deviations from nominal that count as a violation, and that end an episode [Hz]."""

    violation_hz: float = 0.5
    lost_hz: float = 2.2


class LimitCheck(NamedTuple):
    """What one control interval came to; the axes lead with env."""

    sum_bus_square_hz2: (
        FloatArray  # sum over buses of the interval's mean of Df^2; dark ones as at the limit, [env]
    )
    set_point_change_mw: FloatArray  # dP of the resources: change of their commands, [env, resource]
    rebound_change_mw: FloatArray  # what rebound moved their set-points by besides, [env, resource]
    frequency_violation: BoolArray  # any bus outside its limits at any step of the interval, [env]
    branch_violation: (
        BoolArray  # any circuit above its applicable rating at any power flow of the interval, [env]
    )
    voltage_violation: BoolArray  # any live bus outside its band at any of them, [env]
    unserved_violation: BoolArray  # any load not served at any moment of the interval, [env]
    violations: IntArray  # kinds of limit broken, 0 to 4, [env]
    grid_lost: BoolArray  # no AC solution for too long, or a bus beyond the outer frequency limit, [env]
    max_abs_df_hz: FloatArray  # largest deviation of any bus within the interval, [env]
    within_36_mhz: FloatArray  # share of the interval's steps with the centre of inertia inside, [env]
    within_200_mhz: FloatArray
    loading_percent: FloatArray  # of the applicable rating at the interval's end, [env, branch]
    vm_pu: FloatArray  # there, [env, bus]
    unserved_mw: FloatArray  # load not served, mean over the interval, [env]
    bus_df_hz: FloatArray  # frequency deviation at the interval's end, [env, bus]
    resource_mw: FloatArray  # outputs of the resources there, [env, resource]
    utilisation: FloatArray  # state of charge, or share of the range in use, [env, resource]
    bus_live: BoolArray  # [env, bus]

    @property
    def judged(self) -> Judged:
        """What compiled functions take of it."""
        return Judged(
            self.sum_bus_square_hz2,
            self.max_abs_df_hz,
            self.within_36_mhz,
            self.within_200_mhz,
            self.violations,
            self.frequency_violation,
            self.branch_violation,
            self.voltage_violation,
            self.unserved_violation,
            self.loading_percent,
            self.unserved_mw,
            self.grid_lost,
            self.set_point_change_mw,
        )


class Judged(NamedTuple):
    """The arrays of a LimitCheck that are charged and logged, [env] or [env, x]."""

    sum_bus_square_hz2: FloatArray
    max_abs_df_hz: FloatArray
    within_36_mhz: FloatArray
    within_200_mhz: FloatArray
    violations: IntArray
    frequency_violation: BoolArray
    branch_violation: BoolArray
    voltage_violation: BoolArray
    unserved_violation: BoolArray
    loading_percent: FloatArray
    unserved_mw: FloatArray
    grid_lost: BoolArray
    set_point_change_mw: FloatArray


class GridLimits(NamedTuple):
    """Limits of circuits and buses."""

    rate_a_mva: FloatArray  # rating while the grid is whole, [branch]
    rate_b_mva: FloatArray  # while an element is out, [branch]
    vm_min_pu: FloatArray  # voltage band, [bus]
    vm_max_pu: FloatArray  # [bus]


class Judgement(NamedTuple):
    """What `check_limits` fills in."""

    loading_percent: FloatArray  # of the rating that holds, [env, branch]
    vm_pu: FloatArray  # voltage magnitudes, [env, bus]
    max_abs_df_hz: FloatArray  # largest deviation of the groups, [env]
    within_narrow: FloatArray  # share of the steps with the centre of inertia within NARROW_HZ, [env]
    within_wide: FloatArray  # within WIDE_HZ, [env]
    sum_bus_square_hz2: FloatArray  # sum over the buses of the mean of Df^2, [env]
    unserved_mw: FloatArray  # load not served, mean over the interval, [env]
    elements_out: IntArray  # number of elements out of service, [env]
    violations: IntArray  # kinds of limit broken, [env]
    frequency_violation: BoolArray  # [env]
    branch_violation: BoolArray  # any circuit beyond its limit at any power flow of the interval, [env]
    voltage_violation: BoolArray  # any live bus, [env]
    unserved_violation: BoolArray  # any load not served, [env]
    grid_lost: BoolArray  # [env]


def empty_judgement(n_env: int, n_branch: int, n_bus: int) -> Judgement:
    """To be filled in."""
    return Judgement(
        np.empty((n_env, n_branch)),
        np.empty((n_env, n_bus)),
        *np.empty((5, n_env)),
        *np.empty((2, n_env), dtype=np.int64),
        *np.empty((5, n_env), dtype=np.bool_),
    )


@compiled
def judge_limits(
    power_flow: PowerFlow, status: ServiceStatus, limits: GridLimits, judgement: Judgement
) -> None:
    """Loading of every circuit and voltage of every bus against their limits, and how many elements are out."""
    s_from_mva, s_to_mva, v_pu = power_flow.s_from_mva, power_flow.s_to_mva, power_flow.v_pu
    loading_percent, vm_pu = judgement.loading_percent, judgement.vm_pu
    overloaded, out_of_band = judgement.branch_violation, judgement.voltage_violation
    vm_min_pu, vm_max_pu = limits.vm_min_pu, limits.vm_max_pu
    for e in range(s_from_mva.shape[0]):
        overloaded[e] = out_of_band[e] = False
        out = 0
        for k in range(status.branch.shape[1]):
            if not status.branch[e, k]:
                out += 1
        for k in range(status.machine.shape[1]):
            if status.committed[e, k] and not status.machine[e, k]:
                out += 1
        judgement.elements_out[e] = out
        rating = limits.rate_b_mva if out > 0 else limits.rate_a_mva
        for k in range(s_from_mva.shape[1]):
            a, b = s_from_mva[e, k], s_to_mva[e, k]
            square = max(a.real * a.real + a.imag * a.imag, b.real * b.real + b.imag * b.imag)
            loading_percent[e, k] = 100.0 * np.sqrt(square) / rating[k]
            if loading_percent[e, k] > 100.0 + LOADING_TOLERANCE_PERCENT:
                overloaded[e] = True
        for k in range(v_pu.shape[1]):
            v = v_pu[e, k]
            vm_pu[e, k] = np.sqrt(v.real * v.real + v.imag * v.imag)
            excess_pu = max(vm_pu[e, k] - vm_max_pu[k], vm_min_pu[k] - vm_pu[e, k])
            if status.bus[e, k] and excess_pu > VOLTAGE_TOLERANCE_PU:
                out_of_band[e] = True


@compiled
def judge_worst(worst: WorstMoment, limits: GridLimits, judgement: Judgement) -> None:
    """Count what was beyond its limit at any power flow of the interval, whether or not it still is at the end."""
    for e in range(worst.loading_percent.shape[0]):
        for k in range(worst.loading_percent.shape[1]):
            if worst.loading_percent[e, k] > 100.0 + LOADING_TOLERANCE_PERCENT:
                judgement.branch_violation[e] = True
        for bus in range(worst.vm_lowest_pu.shape[1]):
            above_pu = worst.vm_highest_pu[e, bus] - limits.vm_max_pu[bus]
            below_pu = limits.vm_min_pu[bus] - worst.vm_lowest_pu[e, bus]
            if max(above_pu, below_pu) > VOLTAGE_TOLERANCE_PU:
                judgement.voltage_violation[e] = True


@compiled
def share_within(
    df_hz: FloatArray,
    inertia: FloatArray,
    narrow_hz: float,
    wide_hz: float,
    narrow: FloatArray,
    wide: FloatArray,
) -> None:
    """Share of the steps at which the centre of inertia deviates by no more than each of two limits.

    Eight environments go side by side, see `grid_model.kernels.lanes`.

    Args:
        df_hz: of the groups, the first row left out, [step + 1, group, env].
        inertia: of the groups, [group, env].
        narrow_hz: the smaller limit [Hz].
        wide_hz: the larger one [Hz].
        narrow: filled with the share within the smaller one, [env].
        wide: filled with that within the larger one, [env].
    """
    n_row, n_group, n_env = df_hz.shape
    weight, found = np.zeros((n_group, N_LANE)), np.zeros((2, N_LANE))
    tail = np.zeros((1, N_LANE))
    for first in range(0, n_env, N_LANE):
        width = min(N_LANE, n_env - first)
        for g in range(n_group):
            for lane in range(width):
                weight[g, lane] = inertia[g, first + lane]
        total = spread(0.0)
        for g in range(n_group):
            total = total + load(weight, g)
        total = select(total, total, spread(1.0))  # a grid without a machine has no frequency
        within, within_wide = spread(0.0), spread(0.0)
        for step in range(1, n_row):
            weighed = spread(0.0)
            for g in range(n_group):
                if width == N_LANE:
                    f = load_at(df_hz, (step * n_group + g) * n_env + first)
                else:
                    for lane in range(width):
                        tail[0, lane] = df_hz[step, g, first + lane]
                    f = load(tail, 0)
                weighed = weighed + f * load(weight, g)
            mean = weighed / total
            size = larger_size(mean, mean)
            within = within + one_where_not_above(size, narrow_hz)
            within_wide = within_wide + one_where_not_above(size, wide_hz)
        store(found, 0, within)
        store(found, 1, within_wide)
        for lane in range(width):
            narrow[first + lane] = found[0, lane] / (n_row - 1)
            wide[first + lane] = found[1, lane] / (n_row - 1)


@compiled
def largest_deviation(lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """Largest size of what lies between the extremes of the groups, two times [group, env] -> [env]."""
    largest = np.zeros(lowest.shape[1])
    for g in range(lowest.shape[0]):
        for e in range(largest.size):
            # Unlike max(), this passes on what is not a number.
            largest[e] = np.maximum(largest[e], np.maximum(-lowest[g, e], highest[g, e]))
    return largest


@compiled
def _copy(given: FloatArray, taken: FloatArray) -> None:
    """Numba takes seconds to compile an assignment of arrays, as it checks their shapes."""
    for e in range(given.size):
        taken[e] = given[e]


@compiled
def check_limits(
    grid: GridArrays,
    limits: GridLimits,
    violation_hz: float,
    lost_hz: float,
    solved: BoolArray,
    interruption: Interruption,
    judgement: Judgement,
) -> int:
    """Everything an interval came to, by the functions above and those of the grid model.

    A dark bus has no frequency. It counts as the largest deviation allowed, and load that is not served as a broken
    limit, for as long as it lasts; otherwise a blackout would be the cheapest way to keep 60 Hz.

    Args:
        grid: at the interval's end.
        limits: of circuits and buses.
        violation_hz: deviation beyond which frequency has left its limits [Hz].
        lost_hz: deviation beyond which the grid is lost [Hz].
        solved: whether the grid still has a power flow, see `GridSimulator.advance`, [env].
        interruption: dark buses and load not served.
        judgement: filled in.

    Returns:
        Number of environments whose frequency left its limits.
    """
    record, profile = grid.record, grid.profile
    _copy(largest_deviation(record.df_min_hz, record.df_max_hz), judgement.max_abs_df_hz)
    inertia, narrow, wide = grid.groups.inertia_mws_per_hz, judgement.within_narrow, judgement.within_wide
    share_within(record.trace_hz, inertia, NARROW_HZ, WIDE_HZ, narrow, wide)
    _copy(sum_square(grid.network.bus_gram, record.second_moment_hz2), judgement.sum_bus_square_hz2)
    unserved_mw = mean_unserved_load(profile.end.load_mw, profile.load_step_mw, interruption.unserved_share)
    _copy(unserved_mw, judgement.unserved_mw)
    judge_limits(grid.power_flow, grid.status, limits, judgement)
    judge_worst(grid.worst, limits, judgement)
    n_beyond = 0
    for e in range(solved.size):
        for k in range(interruption.dark_share.shape[1]):
            judgement.sum_bus_square_hz2[e] += violation_hz * violation_hz * interruption.dark_share[e, k]
        judgement.unserved_violation[e] = judgement.unserved_mw[e] > 0.0
        largest_hz = judgement.max_abs_df_hz[e]
        beyond = largest_hz > violation_hz
        judgement.frequency_violation[e] = beyond
        judgement.grid_lost[e] = not solved[e] or largest_hz > lost_hz
        judgement.violations[e] = (
            int(beyond)
            + int(judgement.branch_violation[e])
            + int(judgement.voltage_violation[e])
            + int(judgement.unserved_violation[e])
        )
        n_beyond += int(beyond)
    return n_beyond
