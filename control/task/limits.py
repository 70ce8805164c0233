"""What one control interval came to, and how it is judged against the limits.

The judgement is compiled, because it runs for every environment at every step; `grid_model/network/limits.py` says the
same in array arithmetic, with counts and severities, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.group_sums import centre_of_inertia, sum_square
from grid_model.kernels.bus_injection import unserved_load
from grid_model.network.limits import Violations, branch_violations, voltage_violations

__all__ = [
    "FrequencyLimits",
    "LimitCheck",
    "check_limits",
    "judge_limits",
    "largest_deviation",
    "share_within",
]

ComplexArray = npt.NDArray[np.complex128]

NARROW_HZ, WIDE_HZ = 0.036, 0.2  # of LimitCheck.within_36_mhz and within_200_mhz


@dataclass(frozen=True, kw_only=True)
class FrequencyLimits:
    """Deviations from nominal that count as a violation, and that end an episode [Hz]."""

    violation_hz: float = 0.5
    lost_hz: float = 2.2


@dataclass(frozen=True, kw_only=True)
class LimitCheck:
    """What one control interval came to; the axes lead with env."""

    sum_bus_square_hz2: FloatArray  # sum over buses of the interval's mean of Df^2, [env]
    set_point_change_mw: FloatArray  # dP of the resources, [env, resource]
    frequency_violation: BoolArray  # any bus outside its limits at any step of the interval, [env]
    branch_violation: BoolArray  # any circuit above its applicable rating at the interval's end, [env]
    voltage_violation: BoolArray  # any live bus outside its band at the interval's end, [env]
    violations: IntArray  # kinds of limit broken, 0 to 3, [env]
    grid_lost: BoolArray  # no AC solution, or a bus beyond the outer frequency limit, [env]
    max_abs_df_hz: FloatArray  # largest deviation of any bus within the interval, [env]
    within_36_mhz: FloatArray  # share of the interval's steps with the centre of inertia inside, [env]
    within_200_mhz: FloatArray
    loading_percent: FloatArray  # of the applicable rating, [env, branch]
    vm_pu: FloatArray  # [env, bus]
    unserved_mw: FloatArray  # load not served at the interval's end, [env]
    bus_df_hz: FloatArray  # frequency deviation at the interval's end, [env, bus]
    resource_mw: FloatArray  # outputs of the resources there, [env, resource]
    utilisation: FloatArray  # state of charge, or share of the range in use, [env, resource]
    bus_live: BoolArray  # [env, bus]

    @property
    def branch_limits(self) -> Violations:
        """Circuits above their applicable rating: count, severity and flag, each [env]."""
        return branch_violations(self.loading_percent)

    def voltage_limits(self, vm_min_pu: FloatArray, vm_max_pu: FloatArray) -> Violations:
        """Live buses outside their band, two arrays [bus]: count, severity and flag, each [env]."""
        return voltage_violations(self.vm_pu, vm_min_pu, vm_max_pu, self.bus_live)


@numba.njit(cache=True)
def judge_limits(
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
    v_pu: ComplexArray,
    rate_a_mva: FloatArray,
    rate_b_mva: FloatArray,
    vm_min_pu: FloatArray,
    vm_max_pu: FloatArray,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
    loading_percent: FloatArray,
    vm_pu: FloatArray,
    elements_out: IntArray,
    overloaded: BoolArray,
    out_of_band: BoolArray,
) -> None:
    """Loading of every circuit and voltage of every bus against their limits.

    Args:
        s_from_mva, s_to_mva: complex power entering each circuit, [env, branch]; v_pu: voltages, [env, bus].
        rate_a_mva, rate_b_mva: rating while the grid is whole, and while an element is out, [branch].
        vm_min_pu, vm_max_pu: voltage band, [bus].
        branch_in_service, machine_in_service, bus_live: topology, [env, branch], [env, machine] and [env, bus].
        loading_percent: filled with the loading in percent of the rating that holds, [env, branch].
        vm_pu: filled with voltage magnitudes, [env, bus]; elements_out: with the number of elements out, [env].
        overloaded, out_of_band: filled with whether any circuit and any live bus is beyond its limit, [env].
    """
    for e in range(s_from_mva.shape[0]):
        overloaded[e] = out_of_band[e] = False
        out = 0
        for k in range(branch_in_service.shape[1]):
            if not branch_in_service[e, k]:
                out += 1
        for k in range(machine_in_service.shape[1]):
            if not machine_in_service[e, k]:
                out += 1
        elements_out[e] = out
        rating = rate_b_mva if out > 0 else rate_a_mva
        for k in range(s_from_mva.shape[1]):
            a, b = s_from_mva[e, k], s_to_mva[e, k]
            square = max(a.real * a.real + a.imag * a.imag, b.real * b.real + b.imag * b.imag)
            loading_percent[e, k] = 100.0 * np.sqrt(square) / rating[k]
            if loading_percent[e, k] > 100.0:
                overloaded[e] = True
        for k in range(v_pu.shape[1]):
            v = v_pu[e, k]
            vm_pu[e, k] = np.sqrt(v.real * v.real + v.imag * v.imag)
            if bus_live[e, k] and (vm_pu[e, k] > vm_max_pu[k] or vm_pu[e, k] < vm_min_pu[k]):
                out_of_band[e] = True


@numba.njit(cache=True)
def share_within(
    df_hz: FloatArray, narrow_hz: float, wide_hz: float, narrow: FloatArray, wide: FloatArray
) -> None:
    """Share of the steps at which |df| is no larger than each of two limits; df_hz [step, env], two filled [env]."""
    n_step, n_env = df_hz.shape
    narrow[:] = 0.0
    wide[:] = 0.0
    for s in range(n_step):
        for e in range(n_env):
            size = abs(df_hz[s, e])
            if size <= narrow_hz:
                narrow[e] += 1.0
            if size <= wide_hz:
                wide[e] += 1.0
    for e in range(n_env):
        narrow[e] /= n_step
        wide[e] /= n_step


@numba.njit(cache=True)
def largest_deviation(lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """Largest size of what lies between the extremes of the groups, two times [group, env] -> [env]."""
    largest = np.zeros(lowest.shape[1])
    for g in range(lowest.shape[0]):
        for e in range(largest.size):
            # Unlike max(), this passes on what is not a number.
            largest[e] = np.maximum(largest[e], np.maximum(-lowest[g, e], highest[g, e]))
    return largest


@numba.njit(cache=True)
def check_limits(
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
    trace_hz: FloatArray,
    inertia: FloatArray,
    bus_gram: FloatArray,
    second_moment_hz2: FloatArray,
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
    v_pu: ComplexArray,
    rate_a_mva: FloatArray,
    rate_b_mva: FloatArray,
    vm_min_pu: FloatArray,
    vm_max_pu: FloatArray,
    branch_in_service: BoolArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
    load_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    load_bus: IntArray,
    solved: BoolArray,
    violation_hz: float,
    lost_hz: float,
    loading_percent: FloatArray,
    vm_pu: FloatArray,
    figures: FloatArray,
    counts: IntArray,
    flags: BoolArray,
) -> int:
    """Everything an interval came to, by the functions above and those of the grid model.

    Args:
        df_min_hz .. second_moment_hz2: of the groups, see `GridSimulator`; s_from_mva .. bus_live: see `judge_limits`.
        load_mw .. load_bus: see `grid_model.kernels.bus_injection.unserved_load`; solved: every power flow
        found a solution, [env].
        violation_hz, lost_hz: see FrequencyLimits.
        loading_percent, vm_pu: filled as by `judge_limits`.
        figures: filled with the largest deviation of the groups, both shares within, the sum over the buses of the mean
            of Df^2, and the load not served, [5, env].
        counts: filled with elements out and kinds of limit broken, [2, env].
        flags: filled with frequency, branch and voltage beyond their limits and the grid lost, [4, env].

    Returns:
        Environments whose frequency left its limits.
    """
    figures[0] = largest_deviation(df_min_hz, df_max_hz)
    share_within(centre_of_inertia(trace_hz, inertia), NARROW_HZ, WIDE_HZ, figures[1], figures[2])
    figures[3] = sum_square(bus_gram, second_moment_hz2)
    figures[4] = unserved_load(load_mw, load_step_mw, served_share, bus_live, load_bus)
    judge_limits(
        s_from_mva,
        s_to_mva,
        v_pu,
        rate_a_mva,
        rate_b_mva,
        vm_min_pu,
        vm_max_pu,
        branch_in_service,
        machine_in_service,
        bus_live,
        loading_percent,
        vm_pu,
        counts[0],
        flags[1],
        flags[2],
    )
    n_beyond = 0
    for e in range(solved.size):
        flags[0, e] = figures[0, e] > violation_hz
        flags[3, e] = not solved[e] or figures[0, e] > lost_hz
        counts[1, e] = int(flags[0, e]) + int(flags[1, e]) + int(flags[2, e])
        n_beyond += int(flags[0, e])
    return n_beyond
