"""A grid under the real year before anybody acts and before anything is lost: does it keep its own limits?

Loads follow the year, machines their dispatch, wind and sun blow; episodes are built as those of training are and
their power flows solved. A grid that breaks its limits there would charge every policy alike for what none of them can
help. So either its limits are widened to what the year itself brings about (`fitted`), or it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from cases.series import Series
from control.scenario.episode import EpisodeBuilder
from control.scenario.fleet_sizing import sized
from control.scenario.suites import NORMAL, SHIFT
from control.scheduling.planned_grid import PlannedGrid

__all__ = ["BaseCase", "fitted", "in_words", "undisturbed"]

EPISODES = ((NORMAL, 24), (SHIFT, 8))
N_INTERVAL = 225  # a quarter of an hour
SEED = 68
# Beyond what was found, for noise, for what agents move, and for what the sample has not met.
MARGIN_PU, MARGIN_SHARE = 0.015, 0.10
EMERGENCY = 1.2  # rate B over rate A of a circuit whose ratings are raised


@dataclass(frozen=True, kw_only=True)
class BaseCase:
    """What the year makes of a grid."""

    n_state: int
    n_unsolved: int  # states without a power flow
    vm_low_pu: FloatArray  # [bus]
    vm_high_pu: FloatArray  # [bus]
    s_mva: FloatArray  # most that each circuit carries, [branch]


def undisturbed(case: Case, series: Series) -> BaseCase:
    """Power flows of quarters of an hour drawn from the year, nobody acting and nothing lost."""
    low_pu, high_pu = np.full(case.n_bus, np.inf), np.full(case.n_bus, -np.inf)
    s_mva = np.zeros(case.n_branch)
    n_state = n_unsolved = 0
    plan = PlannedGrid(case)
    for scenario, n_episode in EPISODES:
        quiet = replace(sized(scenario, case), n_intervals=N_INTERVAL)
        builder = EpisodeBuilder(case, series, quiet)
        for k in range(n_episode):
            episode = builder.build(np.random.default_rng([SEED, k]), plan.losses_mw)
            for at in (0, N_INTERVAL // 2, N_INTERVAL):
                n_state += 1
                found = plan.solved(
                    episode.p_load_mw[at], episode.p_renewable_mw[at], episode.p_schedule_mw[at]
                )
                if found is None:
                    n_unsolved += 1
                    continue
                vm_pu, carried_mva = found
                low_pu, high_pu = np.minimum(low_pu, vm_pu), np.maximum(high_pu, vm_pu)
                s_mva = np.maximum(s_mva, carried_mva)
    return BaseCase(n_state=n_state, n_unsolved=n_unsolved, vm_low_pu=low_pu, vm_high_pu=high_pu, s_mva=s_mva)


def _broken(case: Case, found: BaseCase, margin: float) -> tuple[BoolArray, BoolArray]:
    """Buses that leave their band and circuits beyond rate A, within a share of the margins of `fitted`."""
    bus = (found.vm_low_pu < case.bus.vm_min_pu + margin * MARGIN_PU) | (
        found.vm_high_pu > case.bus.vm_max_pu - margin * MARGIN_PU
    )
    branch = found.s_mva * (1.0 + margin * MARGIN_SHARE) > case.branch.rate_a_mva
    return bus, branch


def fitted(case: Case, found: BaseCase) -> tuple[Case, tuple[str, ...]]:
    """The case with limits widened to what the year brings about, and what was widened."""
    at_bus, at_branch = _broken(case, found, 1.0)
    if found.n_unsolved == found.n_state or not (at_bus.any() or at_branch.any()):
        return case, ()
    bus, branch = case.bus, case.branch
    low, high = found.vm_low_pu - MARGIN_PU, found.vm_high_pu + MARGIN_PU
    rate_a = np.maximum(branch.rate_a_mva, found.s_mva * (1.0 + MARGIN_SHARE))
    rate_b = np.maximum(branch.rate_b_mva, np.where(at_branch, EMERGENCY * rate_a, 0.0))
    wider = replace(
        case,
        bus=replace(bus, vm_min_pu=np.minimum(bus.vm_min_pu, low), vm_max_pu=np.maximum(bus.vm_max_pu, high)),
        branch=replace(
            branch, rate_a_mva=rate_a, rate_b_mva=rate_b, rate_c_mva=np.maximum(branch.rate_c_mva, rate_b)
        ),
    )
    said = []
    if at_bus.any():
        said.append(
            f"voltage bands of {np.count_nonzero(at_bus)} buses, {low.min():.3f} to {high.max():.3f} pu"
        )
    if at_branch.any():
        most = int((rate_a / branch.rate_a_mva).argmax())
        said.append(
            f"ratings of {np.count_nonzero(at_branch)} circuits, of {branch.name[most]} most, to "
            f"{100.0 * rate_a[most] / branch.rate_a_mva[most]:.0f} %"
        )
    return wider, (
        f"limits widened to what the year brings about before anybody acts: {'; '.join(said)} "
        '(limits = "file" in a grid file keeps them)',
    )


def in_words(case: Case, found: BaseCase) -> tuple[str, ...]:
    """What the grid breaks before anybody acts, and what to do; nothing where it breaks nothing."""
    said = []
    if found.n_unsolved:
        said.append(
            f"no power flow in {found.n_unsolved} of {found.n_state} states of the year: try load_scale = 0.9"
        )
    at_bus, at_branch = _broken(case, found, 0.0)
    if at_bus.any() or at_branch.any():
        parts = []
        if at_bus.any():
            worst = int(
                np.maximum(
                    case.bus.vm_min_pu - found.vm_low_pu, found.vm_high_pu - case.bus.vm_max_pu
                ).argmax()
            )
            parts.append(
                f"{np.count_nonzero(at_bus)} buses leave their voltage band, bus {case.bus.bus_number[worst]} with "
                f"{found.vm_low_pu[worst]:.3f} to {found.vm_high_pu[worst]:.3f} pu"
            )
        if at_branch.any():
            worst = int((found.s_mva / case.branch.rate_a_mva).argmax())
            parts.append(
                f"{np.count_nonzero(at_branch)} circuits exceed rate A, {case.branch.name[worst]} with "
                f"{100.0 * found.s_mva[worst] / case.branch.rate_a_mva[worst]:.0f} %"
            )
        said.append(
            f"limits are broken before anybody acts: {'; '.join(parts)}. Nobody can help that: take "
            'limits = "fit" or a smaller load_scale in a grid file'
        )
    return tuple(said)
