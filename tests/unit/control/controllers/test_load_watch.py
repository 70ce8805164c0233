"""All loads from those that are watched, on areas made up here and on the 68 buses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from builders import described
from control.controllers.base import OWN_LOAD
from control.controllers.load_watch import LoadWatch
from control.evaluation.grid_record import ByPlant
from control.scenario.suites import NORMAL
from marl.environment.batch import make_batch


def test_loads_at_the_agents_buses_stand_for_those_of_their_areas():
    """Two areas: three loads of 100, 200 and 300 MW, of which agents see the first two, and one of 50 MW, seen.

    Of u the best guess is (r1 + r2) / 3; so the first counts 100 + 300/3 MW, the second 200 + 300/3, the last 50.
    """
    task = described()
    case = task.case
    area = np.zeros(case.n_bus, dtype=np.int64)
    area[3:] = 1
    loads = SimpleNamespace(bus=np.array([0, 1, 2, 3]), p_mw=np.array([100.0, 200.0, 300.0, 50.0]))
    agents = SimpleNamespace(bus=np.array([0, 1, 1, 3, 9])[np.arange(case.n_resource) % 5])
    bus = SimpleNamespace(area=area)
    watch = LoadWatch(
        replace(task, case=SimpleNamespace(bus=bus, load=loads, resource=agents, n_resource=20))
    )
    share = np.full((1, case.n_resource), 0.7)
    assert watch.change_mw(share, np.ones(1, dtype=bool)).tolist() == [0.0]  # nothing was before
    shown = np.array([0.01, 0.02, 0.02, 0.04, 0.0])[np.arange(case.n_resource) % 5]
    found = watch.change_mw(share + shown, np.zeros(1, dtype=bool))
    assert found[0] == pytest.approx(-(0.01 * 200.0 + 0.02 * 300.0 + 0.04 * 50.0), rel=1e-12)


def test_more_than_half_of_what_all_loads_change_by_in_an_interval_is_known():
    """On the 68 buses, over 100 intervals of four episodes, by the agents' own readings."""
    batch = make_batch(replace(NORMAL, n_intervals=100), 4, check=False)
    shown = ByPlant(batch)
    observed = shown.reset(np.arange(40, 44))
    watch, loads = LoadWatch(batch.description), batch.loop.grid.injections
    known_mw, total_mw = [], []
    for k in range(99):
        known_mw.append(watch.change_mw(observed[:, :, OWN_LOAD], np.full(4, k == 0)))
        total_mw.append(loads.load_mw.sum(axis=1))
        observed = shown.step(np.zeros((4, batch.case.n_resource))).observation
    change_mw = -np.diff(total_mw, axis=0)
    left = change_mw - np.array(known_mw)[1:]
    assert np.var(left) < 0.5 * np.var(change_mw)
