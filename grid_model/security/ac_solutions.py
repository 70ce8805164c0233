"""AC solutions of a list of outages, whichever engine found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from grid_model.network.admittance import ComplexArray, branch_admittance, branch_flows
from grid_model.network.limits import apparent_power_mva

__all__ = ["BY_ENGINE", "BY_NONE", "BY_PANDAPOWER", "BY_SECOND_START", "AcSolutions", "larger_flows_mva"]

BY_ENGINE, BY_SECOND_START, BY_PANDAPOWER, BY_NONE = "engine", "second start", "pandapower", "none"


@dataclass(frozen=True, kw_only=True)
class AcSolutions:
    """AC solutions of a list of outages; dead and unsolved buses are at zero."""

    v_pu: ComplexArray  # [outage, bus]
    flow_mva: FloatArray  # larger apparent power of both ends, [outage, branch]
    solved: BoolArray  # [outage]
    solved_by: tuple[str, ...]  # [outage]


def larger_flows_mva(case: Case, v_pu: ComplexArray, in_service: BoolArray) -> FloatArray:
    """Apparent power of every circuit, larger end [MVA], shape [outage, branch]."""
    s_from = np.empty(in_service.shape, dtype=np.complex128)
    s_to = np.empty(in_service.shape, dtype=np.complex128)
    branch_flows(
        np.arange(len(in_service)),
        v_pu,
        in_service,
        branch_admittance(case),
        case.base_mva,
        s_from,
        s_to,
    )
    return apparent_power_mva(s_from, s_to)
