"""N-1 and any other list of outages: one result for each, always.

Four engines stand behind `screen`: the batched Newton method (quick), lightsim2grid's contingency analysis (a
second opinion), pandapower outage by outage (the oracle), and DC sensitivities (`sensitivity.LinearScreen`, the
quickest, blind to voltages and losses). An outage that a quick one leaves unsolved is never dropped: it is tried
from a second start, then by pandapower. Power that is lost is picked up by the remaining machines by governor gain,
without regard to their headroom. The Newton method and pandapower can hold the machines to reactive limits; then an
outage has a solution only within them. Verdicts are told in `verdict.py`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cases.case import Case
from grid_model.network.limits import LOADING_TOLERANCE_PERCENT
from grid_model.power_flow.reactive_limits import ReactiveLimits
from grid_model.security.ac_solutions import BY_ENGINE, larger_flows_mva
from grid_model.security.lightsim_screen import LightsimScreen
from grid_model.security.newton_outages import NewtonOutages
from grid_model.security.outage import (
    OperatingPoint,
    Outage,
    outage_topology,
    part_of,
    single_outages,
)
from grid_model.security.pandapower_screen import PandapowerScreen
from grid_model.security.sensitivity import LinearScreen
from grid_model.security.verdict import (
    Condition,
    OutageResult,
    OutageStates,
    Screening,
    Violation,
    bridge_ends,
    joined,
    judge,
    outage_results,
)

EngineName = Literal["newton", "lightsim2grid", "pandapower", "dc"]


def screen(
    case: Case,
    point: OperatingPoint,
    engine: EngineName = "newton",
    outages: tuple[Outage, ...] | None = None,
    limits: ReactiveLimits | None = None,
    *,
    with_states: bool = False,
) -> Screening:
    """Screen outages of a case at one operating point.

    Args:
        case: the grid.
        point: loads, plants, machines and reactors before any outage.
        engine: that solves the outages, `newton`, `lightsim2grid`, `pandapower` or `dc`.
        outages: every single outage if None; another list goes through `newton` and `pandapower` only.
        limits: reactive powers that the machines keep to, before any outage too; `newton` and `pandapower` only.
        with_states: keep voltages and flows of every outage, for pictures; not of `dc`.

    Returns:
        One result for every outage, and the state before any.

    Raises:
        PowerFlowDiverged: the grid has no solution even before any outage.
        ValueError: the engine takes no list, or no limits, or knows no voltages to keep.
    """
    if with_states and engine == "dc":
        raise ValueError("engine dc knows no voltages, expected another for states")
    if limits is not None and engine not in ("newton", "pandapower"):
        raise ValueError(f"engine {engine} knows no reactive limits, expected newton or pandapower for them")
    if outages is not None and engine not in ("newton", "pandapower"):
        raise ValueError(
            f"engine {engine} screens single outages only, expected newton or pandapower for a list"
        )
    if engine == "dc":
        return _screen_dc(case, point)
    ac: NewtonOutages | LightsimScreen | PandapowerScreen
    if engine == "newton":
        ac = NewtonOutages(case, outages, limits)
        parts = ac.parts(point)
    elif engine == "lightsim2grid":
        ac = LightsimScreen(case)
        parts = iter([(slice(None), ac.confirm(point, ac.solve(point)))])
    else:
        ac = PandapowerScreen(case, outages, limits)
        parts = iter([(slice(None), ac.solve(point))])
    results: list[OutageResult] = []
    states: list[OutageStates] = []
    for part, solutions in parts:  # only one part's voltages and flows are kept at a time
        topology = part_of(ac.topology, part)
        conditions = [
            judge(case, solutions.v_pu[k], solutions.flow_mva[k], on, case.branch.rate_b_mva)
            if solutions.solved[k]
            else None
            for k, on in enumerate(topology.branch_in_service)
        ]
        results += outage_results(case, point, ac.outages[part], topology, conditions, solutions.solved_by)
        if with_states:
            lost = ~solutions.solved[:, None]
            states.append(
                OutageStates(
                    vm_pu=np.where(lost, np.nan, np.abs(solutions.v_pu)),
                    flow_mva=np.where(lost, np.nan, solutions.flow_mva),
                    branch_in_service=topology.branch_in_service,
                    machine_in_service=topology.machine_in_service,
                )
            )
    everything = np.ones((1, case.n_branch), dtype=np.bool_)
    base_flow_mva = larger_flows_mva(case, ac.base_v_pu[None, :], everything)[0]
    if with_states:
        before = OutageStates(
            vm_pu=np.abs(ac.base_v_pu)[None],
            flow_mva=base_flow_mva[None],
            branch_in_service=everything,
            machine_in_service=np.ones((1, case.n_machine), dtype=np.bool_),
        )
        states.insert(0, before)
    return Screening(
        case=case,
        engine=engine,
        base=judge(case, ac.base_v_pu, base_flow_mva, everything[0], case.branch.rate_a_mva),
        results=tuple(results),
        bridges=bridge_ends(case, single_outages(case)),
        reactive_limits=limits.source if limits is not None else None,
        states=joined(states) if with_states else None,
    )


def _screen_dc(case: Case, point: OperatingPoint) -> Screening:
    """Screen by sensitivities: loading only, and of the violations only the worst."""
    linear = LinearScreen(case)
    percent, worst = linear.worst((point,))
    base_percent, base_worst = linear.base((point,))

    def condition(loading: float, branch: int) -> Condition:
        name = case.branch.name[branch]
        over = Violation(limit="loading_percent", element=name, value=loading, allowed=100.0)
        return Condition(
            worst_branch=name,
            worst_loading_percent=loading,
            violations=(over,) if loading > 100.0 + LOADING_TOLERANCE_PERCENT else (),
        )

    conditions: list[Condition | None] = [
        condition(float(p), int(w)) for p, w in zip(percent[0], worst[0], strict=True)
    ]
    outages = linear.outages
    by = (BY_ENGINE,) * len(outages)
    return Screening(
        case=case,
        engine="dc",
        base=condition(float(base_percent[0]), int(base_worst[0])),
        results=outage_results(case, point, outages, outage_topology(case, outages), conditions, by),
        bridges=bridge_ends(case, outages),
    )
