"""Thermal loading and voltage-band violations, for a batch of grids.

A circuit is judged on the larger of the apparent powers at its two ends, against rate A while the grid is
whole and rate B (emergency) while an element is out. A bus is judged against its voltage band. Each kind of
limit gives a count, a severity and a flag; nothing is clipped. What exceeds a limit by no more than a tolerance, far
above the rounding of a power flow and far below what anybody could measure, keeps it, so that two solvers never
disagree over a state that stands exactly at a limit. Left out: conductor temperature (ratings are
continuous, so a short overload counts as much as a long one) and stability limits of corridors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case

LOADING_TOLERANCE_PERCENT = 1e-4  # a solve is right to 1e-9 pu: 1e-7 % of a circuit of 100 MVA
VOLTAGE_TOLERANCE_PU = 1e-6  # engines agree to 1e-8 pu


@dataclass(frozen=True, kw_only=True)
class Violations:
    """How far one kind of limit is broken; every array has shape [env]."""

    count: IntArray  # elements beyond their limit
    severity: FloatArray  # sum over the elements of what exceeds the limit
    flag: BoolArray  # any element beyond its limit


def apparent_power_mva(
    s_from_mva: npt.NDArray[np.complex128], s_to_mva: npt.NDArray[np.complex128]
) -> FloatArray:
    """Larger of the apparent powers at the two ends of each circuit.

        S = max(|S_from|, |S_to|)

    Args:
        s_from_mva: complex power entering at the from end [MVA], shape [env, branch].
        s_to_mva: complex power entering at the to end [MVA], shape [env, branch].

    Returns:
        [MVA], shape [env, branch].
    """
    larger: FloatArray = np.maximum(np.abs(s_from_mva), np.abs(s_to_mva))
    return larger


def applicable_rating_mva(
    rate_a_mva: FloatArray, rate_b_mva: FloatArray, element_out: BoolArray
) -> FloatArray:
    """Rating that holds now: A while the grid is whole, B while any element is out.

    Args:
        rate_a_mva: normal rating [MVA], shape [branch].
        rate_b_mva: emergency rating [MVA], shape [branch].
        element_out: whether a circuit, transformer or unit is out, shape [env].

    Returns:
        [MVA], shape [env, branch].
    """
    return np.where(element_out[:, None], rate_b_mva, rate_a_mva)


def with_emergency_rating(case: Case, percent: float) -> Case:
    """The same grid with an emergency rating (B) of this share of the normal one (A) on every circuit.

        B = percent / 100 A,   C = max(C, B)

    Args:
        case: the grid.
        percent: at least 100.

    Raises:
        ValueError: the emergency rating would lie below the normal one.
    """
    if not 100.0 <= percent < np.inf:
        raise ValueError(f"emergency rating of {percent:g} % of rate A, expected at least 100")
    rate_b_mva = case.branch.rate_a_mva * (percent / 100.0)
    rate_c_mva = np.maximum(case.branch.rate_c_mva, rate_b_mva)
    return replace(case, branch=replace(case.branch, rate_b_mva=rate_b_mva, rate_c_mva=rate_c_mva))


def loading_percent(flow_mva: FloatArray, rating_mva: FloatArray) -> FloatArray:
    """Flow in percent of the rating, shape [env, branch]."""
    percent: FloatArray = 100.0 * flow_mva / rating_mva
    return percent


def branch_violations(loading: FloatArray) -> Violations:
    """Circuits above their rating by more than the tolerance.

        severity = sum_k max(0, loading_k / 100 - 1)        [ratings]

    Args:
        loading: loading of each circuit [percent], shape [env, branch].
    """
    excess = loading / 100.0 - 1.0
    return _violations(excess, LOADING_TOLERANCE_PERCENT / 100.0)


def voltage_violations(
    vm_pu: FloatArray, vm_min_pu: FloatArray, vm_max_pu: FloatArray, bus_live: BoolArray
) -> Violations:
    """Live buses outside their voltage band by more than the tolerance.

        severity = sum_b max(0, vm_b - vm_max, vm_min - vm_b)        [pu]

    A dead bus has no voltage to judge; its load counts as unserved elsewhere.

    Args:
        vm_pu: voltage magnitude [pu], shape [env, bus].
        vm_min_pu: lower end of the band [pu], shape [bus].
        vm_max_pu: upper end of the band [pu], shape [bus].
        bus_live: whether the bus belongs to the main island, shape [env, bus].
    """
    excess = np.maximum(vm_pu - vm_max_pu, vm_min_pu - vm_pu)
    return _violations(np.where(bus_live, excess, -np.inf), VOLTAGE_TOLERANCE_PU)


def _violations(excess: FloatArray, tolerance: float) -> Violations:
    """Count, sum and any of the entries of each row that are beyond the tolerance."""
    beyond = excess > tolerance
    count: IntArray = np.count_nonzero(beyond, axis=1).astype(np.int64)
    return Violations(count=count, severity=np.where(beyond, excess, 0.0).sum(axis=1), flag=count > 0)
