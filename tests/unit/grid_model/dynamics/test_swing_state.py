"""A macro step is integrated on copies, and a group keeps of its governors what it keeps of its machines."""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.event_response import balanced_grid

CASE = load_ieee68()
STATE = (
    "df_hz",
    "valve_mw",
    "reheat_mw",
    "p_elec_mw",
    "df_min_hz",
    "df_max_hz",
    "second_moment_hz2",
)


def disturbed(n_env: int, **choices):
    """Grids at the beginning of an interval in which load grows by 1 %."""
    grid, inputs = balanced_grid(CASE, n_env, SwingConfig(**choices), load_level=0.7)
    grid.profile.announce(inputs._replace(load_mw=1.01 * inputs.load_mw))
    grid.swing_state.begin_interval()
    return grid


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_integrating_changes_nothing_until_it_is_adopted(level):
    """So that a macro step which relays cut short begins where it began, with the same result."""
    swing, both = disturbed(2, level=level).swing_state, np.arange(2)
    before = {name: getattr(swing, name).copy() for name in STATE}
    assert not swing.integrate(both, 0, 200, pause=True)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(swing, name), array, err_msg=name)
    first = [array.copy() for array in swing.macro_step(2).swing]
    assert not swing.integrate(both, 0, 200, pause=True)
    for once, again in zip(first, swing.macro_step(2).swing, strict=True):
        np.testing.assert_array_equal(once, again)
    swing.adopt(both, 200)
    assert (swing.df_hz < -1e-4).all()  # more load than before
    np.testing.assert_array_equal(swing.trace_hz[-1], swing.df_hz)


@pytest.mark.parametrize("level", ["machine", "area"])
def test_what_is_adopted_at_once_is_what_is_adopted_after_a_pause(level):
    """State, and what is injected into the power flow."""
    at_once, paused, both = disturbed(2, level=level), disturbed(2, level=level), np.arange(2)
    assert at_once.swing_state.integrate(both, 0, 200, pause=False)
    assert not paused.swing_state.integrate(both, 0, 200, pause=True)
    paused.swing_state.adopt(both, 200)
    for name in STATE:
        np.testing.assert_array_equal(
            getattr(at_once.swing_state, name), getattr(paused.swing_state, name), err_msg=name
        )
    np.testing.assert_array_equal(at_once.arrays.injected.total_mva, paused.arrays.injected.total_mva)


def test_a_relay_that_counts_stops_a_macro_step_before_it_is_adopted():
    """One relay of one environment has seen its stage undercut for a step."""
    grid = disturbed(2)
    grid.relays.pending[1, 0, 0] = 1
    before = grid.df_hz.copy()
    assert not grid.swing_state.integrate(np.arange(2), 0, 200, pause=False)
    np.testing.assert_array_equal(grid.df_hz, before)


def test_nothing_is_lost_where_two_macro_steps_meet():
    """The first half's angles become electrical power. Load damping, renewed there, is left out."""
    whole, parts = (disturbed(1, load_damping=0.0).swing_state for _ in range(2))
    only = np.array([0])
    assert whole.integrate(only, 0, 100, pause=False)
    for step in (0, 50):
        assert parts.integrate(only, step, step + 50, pause=False)
    # Rounding alone: 100 steps of numbers around 0.01 Hz, and powers of some 3,000 MW.
    np.testing.assert_allclose(parts.trace_hz[:101], whole.trace_hz[:101], rtol=0.0, atol=1e-13)
    np.testing.assert_allclose(parts.p_elec_mw, whole.p_elec_mw, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("level", ["machine", "area"])
def test_some_environments_move_as_all_do(level):
    all_of_them, one = disturbed(3, level=level).swing_state, disturbed(3, level=level).swing_state
    all_of_them.integrate(np.arange(3), 0, 200, pause=True)
    one.integrate(np.array([1]), 0, 200, pause=True)
    whole, part = all_of_them.macro_step(3).swing, one.macro_step(1).swing
    for of_all, of_one in zip(whole, part, strict=True):
        np.testing.assert_array_equal(of_one[:, 0], of_all[:, 1])
    np.testing.assert_array_equal(one.trace_hz[:, :, 1], all_of_them.trace_hz[:, :, 1])
    np.testing.assert_array_equal(one.trace_mechanical_mw[:, :, 1], all_of_them.trace_mechanical_mw[:, :, 1])


def test_a_machine_that_leaves_takes_its_part_of_the_governors_along():
    grid = disturbed(1)
    swing, topology = grid.swing_state, grid.topology
    swing.valve_mw[:, 0] = 100.0
    before = swing.membership(0)
    on = np.ones(CASE.n_machine, dtype=np.bool_)
    on[0] = False
    grid.engine.set_topology(0, np.ones(CASE.n_branch, dtype=np.bool_), on)
    topology.adopt(0)
    swing.redistribute(0, before, topology.group_island[0])
    # Governor gain goes by rating, and the gains of those that stay are what they were.
    area, rating = CASE.bus.area[CASE.machine.bus], CASE.machine.rating_mva
    kept = np.bincount(area, rating * on) / np.bincount(area, rating)
    np.testing.assert_allclose(swing.valve_mw[:, 0], 100.0 * kept, rtol=1e-12)  # rounding of sums of ratings
    assert kept.min() < 0.97


def test_machines_that_make_up_a_new_group_bring_what_they_had():
    """G10 leaves the group of its area for the one to spare: same frequency, its part of the governors, and no more."""
    grid = disturbed(1, spare_groups=1)
    swing, topology = grid.swing_state, grid.topology
    unit, spare = CASE.machine.name.index("G10"), CASE.n_area
    area = CASE.bus.area[CASE.machine.bus]
    swing.valve_mw[:spare, 0] = 10.0 * (1.0 + np.arange(spare))
    swing.df_hz[:spare, 0] = 0.01 * (1.0 + np.arange(spare))
    before = swing.membership(0)
    own = area[unit]
    topology.machine_group[0, unit] = spare
    for array, of_machine in (
        (topology.inertia, topology.machines.inertia_mws_per_hz[0]),
        (topology.group_share, topology.machines.governor_share[0]),
    ):
        array[:, 0] = np.bincount(topology.machine_group[0], of_machine, minlength=spare + 1)
    swing.redistribute(0, before, np.zeros(spare + 1, dtype=np.int64))
    rating = CASE.machine.rating_mva
    part = rating[unit] / rating[area == own].sum()
    expected_mw = np.append(10.0 * (1.0 + np.arange(spare)), 10.0 * (1.0 + own) * part)
    expected_mw[own] *= 1.0 - part
    expected_hz = 0.01 * (1.0 + np.append(np.arange(spare), own))
    # Rounding of sums over machines.
    np.testing.assert_allclose(swing.valve_mw[:, 0], expected_mw, rtol=1e-12)
    np.testing.assert_allclose(swing.df_hz[:, 0], expected_hz, rtol=1e-12)
