"""What drives a reduced grid, its groups as one mass: by the model's own motion."""

from dataclasses import replace

import numpy as np
import pytest

from control.scenario.suites import N1, NORMAL
from control.task.reduced_loop import ReducedLoop
from marl.environment.batch import make_batch

SEEDS = np.arange(8_000, 8_003)


@pytest.mark.parametrize("level", ["area", "system"])
def test_the_mean_acceleration_of_an_interval_is_what_drives_it(level):
    """Nobody acts and governors rest within their dead band: M (f1 - f0) / h is the line's mean less the damping's.

    0.2 MW of some thousand: areas that swing have damping and inertia of their own.
    """
    batch = make_batch(
        replace(NORMAL, n_intervals=10), 3, physics="reduced", level=level, check=False, observation="default"
    )
    loop = batch.loop
    assert isinstance(loop, ReducedLoop)
    batch.reset(SEEDS)
    rest = {g.name: np.zeros((3, g.n_agent, 1), dtype=np.float32) for g in batch.groups}
    checked = 0
    for _ in range(4):
        before, f0 = loop.driving, loop.coi_df_hz
        batch.step(rest)
        f1 = loop.coi_df_hz
        quiet = np.maximum(np.abs(f0), np.abs(f1)) < before.dead_band_hz
        meets = before.inertia_mws_per_hz * (f1 - f0) / loop.scenario.interval_s
        given = 0.5 * (before.begin_mw + before.end_mw) - before.damping_mw_per_hz * 0.5 * (f0 + f1)
        np.testing.assert_allclose(meets[quiet], given[quiet], atol=0.2)
        checked += int(quiet.sum())
    assert checked >= 3


def test_a_line_goes_on_where_the_last_one_ended_and_falls_with_an_outage():
    """By what the unit gave, within its interval; inertia is less from then on, and plants are felt as they were."""
    batch = make_batch(replace(N1, n_intervals=400), 3, physics="reduced", check=False, observation="default")
    loop = batch.loop
    batch.reset(SEEDS)
    rest = {g.name: np.zeros((3, g.n_agent, 1), dtype=np.float32) for g in batch.groups}
    drivings = []
    for _ in range(399):
        drivings.append(loop.driving)
        batch.step(rest)
    begin, end = (np.array([getattr(one, name) for one in drivings]) for name in ("begin_mw", "end_mw"))
    np.testing.assert_allclose(begin[1:], end[:-1], atol=1e-2)  # single precision
    fall = (end - begin).min(axis=0)
    lost = np.array(
        [any(event.kind == "machine_out" for event in episode.events) for episode in loop.episode]
    )
    assert lost.any()
    assert np.all(fall[lost] < -100.0)
    inertia = np.array([one.inertia_mws_per_hz for one in drivings])
    assert np.any(np.diff(inertia, axis=0) < -1.0)
    share = np.array([one.plant_share for one in drivings])
    assert np.all((share > 0.85) & (share < 1.15))
