"""Unit commitment: order by cost, adequacy after the loss of the largest unit, times, and what episodes are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.series import load_series
from control.scenario.episode import EpisodeBuilder
from control.scenario.suites import N1, NORMAL
from control.scheduling.commitment import commit, needed_units, priority_list, settles_within
from control.scheduling.dispatch import DispatchConfig
from control.scheduling.planned_grid import PlannedGrid

NETS = 0


@pytest.fixture(scope="module")
def case() -> Case:
    return load_ieee68()


def p_max_mw(case: Case) -> np.ndarray:
    return 0.95 * case.machine.rating_mva


def names(case: Case, chosen: np.ndarray) -> set[str]:
    return {case.machine.name[i] for i in np.flatnonzero(chosen)}


def test_units_stand_in_the_order_of_their_full_load_cost(case: Case) -> None:
    """c1 is equal for all and c2 inverse to published output: by rating over published output, by hand."""
    ratio = {
        "G1": 1.2,
        "G3": 1.231,
        "G9": 1.25,
        "G4": 1.266,
        "G6": 1.286,
        "G5": 1.386,
        "G12": 1.407,
        "G7": 1.429,
    }
    ratio |= {"G2": 1.468, "G8": 1.481, "G11": 1.6, "G10": 2.4}
    order = [case.machine.name[i] for i in priority_list(case.machine, p_max_mw(case))]
    assert order == sorted(ratio, key=lambda name: ratio[name])


def test_the_units_of_an_area_carry_its_demand_without_the_largest(case: Case) -> None:
    """NETS at 1700 MW: G1, G3, G9 leave 285 + 760 MW without G9, too little; with G4 it is 1805 MW."""
    area = case.bus.area[case.machine.bus]
    demand_mw = np.zeros(case.n_area)
    demand_mw[NETS] = 1700.0
    needed = needed_units(demand_mw[None], case.machine, area, p_max_mw(case))[0]
    assert names(case, needed & (area == NETS)) == {"G1", "G3", "G9", "G4"}
    # Without demand two, and those that must run besides.
    demand_mw[NETS] = 0.0
    needed = needed_units(demand_mw[None], case.machine, area, p_max_mw(case), ("G2",))[0]
    assert names(case, needed & (area == NETS)) == {"G1", "G3", "G2"}
    demand_mw[NETS] = 1e6
    needed = needed_units(demand_mw[None], case.machine, area, p_max_mw(case))[0]
    assert np.all(needed[area == NETS])


def test_a_unit_runs_for_its_least_time_around_its_need_and_equivalents_by_their_share(case: Case) -> None:
    """A peak of one mark keeps its units in the schedule two marks before and after; half the demand is half G16."""
    area, config = case.bus.area[case.machine.bus], DispatchConfig(min_up_s=1800.0)
    published_mw = np.bincount(area, case.machine.p_mw)
    level = np.full(9, 0.3)
    level[4] = 1.0
    share = commit(level[:, None] * published_mw, case.machine, area, p_max_mw(case), config)
    g8, g16 = case.machine.name.index("G8"), case.machine.name.index("G16")
    assert share[:, g8].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(share[:, g16], level, rtol=1e-12)
    low = commit(0.05 * published_mw[None, :], case.machine, area, p_max_mw(case), config)
    assert low[0, g16] == 0.2


@pytest.fixture(scope="module")
def plan(case: Case) -> PlannedGrid:
    return PlannedGrid(case, commitment=True)


def test_episodes_schedule_what_is_committed_and_lose_what_runs(case: Case, plan: PlannedGrid) -> None:
    # Without the rule of frequency, under which nearly all units run at most hours of this grid.
    dispatch = replace(N1.dispatch, largest_loss_hz=10.0)
    config = replace(N1, outage_unit_share=1.0, outage_screened=False, dispatch=dispatch)
    builder = EpisodeBuilder(case, load_series(), config)
    off = 0
    for seed in range(12):
        episode = builder.build(np.random.default_rng(seed), plan.losses_mw, None, plan.base_cases_hold)
        share, p_mw = episode.committed_share, episode.p_schedule_mw
        off += int(np.count_nonzero(share[0] == 0.0))
        assert np.all(p_mw[share == 0.0] == 0.0)
        for event in episode.events:
            if event.kind == "machine_out":
                assert share[int(event.time_s / 4.0), event.index] == 1.0
        assert plan.base_cases_hold(episode.p_load_mw[:1], episode.p_renewable_mw[:1], p_mw[:1])
    assert off > 12  # more than one a time


def test_a_unit_that_joins_begins_at_zero_at_a_mark(case: Case, plan: PlannedGrid) -> None:
    """A morning of ten hours of rising load: units join without power and rise along straight lines."""
    scenario = replace(NORMAL, n_intervals=9000, start_minute=200.0 * 1440.0 + 180.0)
    episode = EpisodeBuilder(case, load_series(), scenario).build(np.random.default_rng(1), plan.losses_mw)
    on = episode.committed_share > 0.0
    joins = [(t, i) for t, i in zip(*np.nonzero(on[1:] & ~on[:-1]), strict=True)]
    assert joins
    for t, i in joins:
        # The next end of an interval is at most 4 s after the mark: 1.1 MVA/s for the largest unit at its minimum.
        assert 0.0 <= episode.p_schedule_mw[t + 1, i] < 5.0
        assert episode.p_schedule_mw[t + 226, i] >= 0.4 * case.machine.p_mw[i]


def test_without_commitment_all_machines_run(case: Case, plan: PlannedGrid) -> None:
    builder = EpisodeBuilder(case, load_series(), replace(NORMAL, commitment=False))
    episode = builder.build(np.random.default_rng(0), plan.losses_mw)
    assert np.all(episode.committed_share == 1.0)
    assert np.all(episode.p_schedule_mw >= 0.1 * case.machine.p_mw - 1e-9)


def test_the_worst_loss_settles_where_governors_and_load_of_what_is_left_hold_it(case: Case) -> None:
    """Losing 400 MW with 1,500 of 2,000 MW/Hz and 100 MW/Hz of load left: 400 / 1,600 = 0.25 Hz; an equivalent's 5,000
    MW are never lost."""
    machine = case.machine
    unit, other = (int(k) for k in np.flatnonzero(~machine.is_equivalent)[:2])
    equivalent = int(np.flatnonzero(machine.is_equivalent)[0])
    p_mw, share, gain = (np.zeros(case.n_machine) for _ in range(3))
    p_mw[[unit, other, equivalent]] = 400.0, 100.0, 5000.0
    share[[unit, other, equivalent]] = 1.0, 1.0, 0.5
    gain[[unit, other, equivalent]] = 500.0, 700.0, 1600.0
    credible = ~machine.is_equivalent
    assert settles_within(p_mw, share, credible, gain, 100.0) == pytest.approx(0.25, rel=1e-12)
    assert settles_within(0.0 * p_mw, share, credible, gain, 100.0) == 0.0
