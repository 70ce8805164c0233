"""Dynamics drawn for every episode: their range, that both models take them over, and that nothing else changes."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from builders import real_year
from cases.ieee68 import load_ieee68
from control.scenario.config import ScenarioError
from control.scenario.episode import EpisodeBuilder
from control.scenario.file import read_scenario
from control.scenario.suites import HELD_OUT, SCENARIOS, STAGES, TRAINING
from control.scenario.wide import WideScenarioConfig
from control.task.open_task import make_task

CASE = load_ieee68()
WIDE = SCENARIOS["training_wide"]
SHORT = replace(WIDE, n_intervals=8, outage_rate_per_h=0.0)
RANGES = {
    "inertia_mws": (80_000.0, 250_000.0),
    "governor_dead_band_hz": (0.010, 0.036),
    "scada_delay_intervals": (1, 4),
    "renewable_scale": (1.0, 2.0),
}


def test_the_whole_range_is_covered_and_each_quantity_on_its_own():
    """Of 400 uniform draws the least and the largest are within 3 % of the ends but for a chance of 1e-5."""
    drawn = [WIDE.drawn(np.random.default_rng(seed)) for seed in range(400)]
    table = np.array([[getattr(d, name) for name in RANGES] for d in drawn], dtype=float)
    for column, (low, high) in zip(table.T, RANGES.values(), strict=True):
        assert low <= column.min() <= low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) <= column.max() <= high
    assert set(table[:, 2]) == {1.0, 2.0, 3.0, 4.0}
    # Five standard deviations of a correlation of 400 independent pairs, 1 / sqrt(400).
    assert np.abs(np.corrcoef(table.T) - np.eye(4)).max() < 0.25


def test_no_suite_is_drawn_like_this_and_the_range_reaches_the_unseen_one():
    assert not set(HELD_OUT) & {WIDE.name}
    assert not set(STAGES) & {WIDE.name}
    assert not any(isinstance(SCENARIOS[name], WideScenarioConfig) for name in HELD_OUT)
    shift = SCENARIOS["shift"]
    assert RANGES["inertia_mws"][0] < shift.inertia_scale_to_mws
    assert shift.governor_dead_band_hz == RANGES["governor_dead_band_hz"][1]


def test_near_dynamics_hold_the_published_and_none_of_the_unseen_suite():
    """Judged in `shift`, whoever has learned here meets each of the four quantities outside of what it has met."""
    near, shift, published = SCENARIOS["training_near"], SCENARIOS["shift"], SCENARIOS["normal"]
    inertia_mws = float((CASE.machine.h_s * CASE.machine.base_mva).sum())
    for (low, high), of_shift, usual in (
        (near.inertia_range_mws, shift.inertia_scale_to_mws, inertia_mws),
        (near.dead_band_range_hz, shift.governor_dead_band_hz, published.governor_dead_band_hz),
        (near.scada_delay_range_intervals, shift.scada_delay_intervals, published.scada_delay_intervals),
        (near.renewable_range, shift.renewable_scale, published.renewable_scale),
    ):
        assert low <= usual <= high
        assert not low <= of_shift <= high


def test_near_dynamics_come_with_an_outage_in_every_episode_as_well():
    builder = EpisodeBuilder(CASE, real_year(), SCENARIOS["training_near_n1"])
    for seed in range(4):
        episode = builder.build(np.random.default_rng(seed), lambda *_: 100.0)
        assert episode.events
        assert episode.dynamics is not None


def test_after_its_dynamics_an_episode_is_that_of_the_same_generator():
    """Wind and sun grow with what was drawn; all other draws are those of a plain scenario from there on."""
    seed = 5
    rng = np.random.default_rng(seed)
    dynamics = SHORT.drawn(rng)
    plain = replace(TRAINING, n_intervals=8, outage_rate_per_h=0.0, renewable_scale=dynamics.renewable_scale)
    one = EpisodeBuilder(CASE, real_year(), plain).build(rng, lambda *_: 100.0)
    builder = EpisodeBuilder(CASE, real_year(), SHORT)
    other = builder.build(np.random.default_rng(seed), lambda *_: 100.0)
    assert other.dynamics == dynamics
    assert one.dynamics is None
    np.testing.assert_array_equal(other.p_renewable_mw, one.p_renewable_mw)
    np.testing.assert_array_equal(other.p_load_mw, one.p_load_mw)
    np.testing.assert_array_equal(other.p_schedule_mw, one.p_schedule_mw)
    np.testing.assert_array_equal(
        builder.powers.capacity_mw, CASE.renewable.p_max_mw
    )  # itself it is as before


def test_the_full_simulator_plays_each_environment_with_its_own():
    task = make_task(SHORT, 4, check=False)
    task.reset(np.arange(4))
    loop, published_mws = task.loop, (CASE.machine.h_s * CASE.machine.base_mva).sum()
    shown, true = [], []
    dynamics = [episode.dynamics for episode in loop.episode]
    assert len({d.scada_delay_intervals for d in dynamics}) > 1
    machines = loop.grid.topology.machines
    for env, d in enumerate(dynamics):
        running = loop.grid.topology.committed_share[env] * CASE.machine.h_s * CASE.machine.base_mva
        # M = 2 H S / f0 of what runs, in proportion to the sum of all.
        expected = 2.0 / CASE.f0_hz * running.sum() * d.inertia_mws / published_mws
        assert machines.inertia_mws_per_hz[env].sum() == pytest.approx(expected, rel=1e-12)  # sums of 16
        assert loop.grid.topology.inertia[:, env].sum() == pytest.approx(expected, rel=1e-12)
        assert loop.grid.topology.swing.dead_band_hz[env] == d.governor_dead_band_hz
    for k in range(8):
        task.step(np.full((4, CASE.n_resource), 0.3 if k < 3 else -0.3))
        if k < 7:  # with the eighth the next episodes begin
            shown.append(loop.scada.shown[:, 0].copy())
            true.append(loop.coi_df_hz.copy())
    for env, d in enumerate(dynamics):
        late = d.scada_delay_intervals
        np.testing.assert_array_equal(np.array(shown)[late:, env], np.array(true)[: 7 - late, env])
    after = [episode.dynamics for episode in loop.episode]
    assert all(a != b for a, b in zip(after, dynamics, strict=True))


def test_the_reduced_model_draws_the_same_and_stays_close_to_the_full_one():
    full, reduced = (make_task(SHORT, 3, check=False, physics=p) for p in ("full", "reduced"))
    traces = []
    for task in (full, reduced):
        task.reset(np.array([3, 4, 5]))
        trace = [
            (task.step(np.full((3, CASE.n_resource), 0.5)), task.loop.coi_df_hz.copy())[1] for _ in range(7)
        ]
        traces.append(np.array(trace))
    assert [e.dynamics for e in full.loop.episode] == [e.dynamics for e in reduced.loop.episode]
    # The reduced model's own accuracy in this scenario's everyday motion: a few mHz of some tens.
    np.testing.assert_allclose(traces[1], traces[0], atol=3e-3)
    assert np.ptp(traces[0], axis=1).max() > 5e-3  # grids that differ move differently


@pytest.mark.parametrize("physics", ["full", "reduced"])
def test_a_copy_goes_on_to_the_bit(physics):
    task = make_task(SHORT, 2, check=False, physics=physics)
    task.reset(np.array([3, 4]))
    action = np.full((2, CASE.n_resource), 0.5)
    for _ in range(3):
        task.step(action)
    copy = pickle.loads(pickle.dumps(task))
    for _ in range(8):
        np.testing.assert_array_equal(
            copy.step(action).observation.agents, task.step(action).observation.agents
        )


def test_a_batch_of_one_grid_does_not_draw_from_it():
    task = make_task(replace(TRAINING, n_intervals=8), 1, check=False, physics="reduced")
    with pytest.raises(ScenarioError, match="dynamics drawn for every episode"):
        task.draw_from("training_wide")


def test_a_file_may_name_ranges_of_its_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "training_wide"\nscada_delay_range_intervals = [2, 3]\n')
    assert read_scenario(path, CASE).scada_delay_range_intervals == (2, 3)
    path.write_text('base = "training_wide"\nscada_delay_range_intervals = [3, 9]\n')
    with pytest.raises(ScenarioError, match="two whole numbers, 0 to 5, the lower first"):
        read_scenario(path, CASE)
    path.write_text('base = "training_wide"\ninertia_range_mws = "wide"\n')
    with pytest.raises(ScenarioError, match="expected two numbers"):
        read_scenario(path, CASE)
