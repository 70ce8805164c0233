"""A span is integrated on copies, and a group keeps of its governors what it keeps of its machines."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from grid_model.dynamics.parameters import SwingConfig
from grid_model.validation.frequency_checks import balanced_grid

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
    grid.profile.move_to(replace(inputs, load_mw=1.01 * inputs.load_mw))
    grid.motion.begin_interval()
    return grid


@pytest.mark.parametrize("level", ["machine", "area", "system"])
def test_integrating_changes_nothing_until_it_is_adopted(level):
    """So that a span which relays cut short begins where it began, with the same result."""
    motion = disturbed(2, level=level).motion
    before = {name: getattr(motion, name).copy() for name in STATE}
    first = motion.integrate(None, 0, 200, mechanical=False)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(motion, name), array, err_msg=name)
    again = motion.integrate(None, 0, 200, mechanical=False)
    np.testing.assert_array_equal(first.state, again.state)
    motion.adopt(again)
    assert (motion.df_hz < -1e-4).all()  # more load than before
    np.testing.assert_array_equal(motion.trace_hz[-1], motion.df_hz)


def test_nothing_is_lost_where_two_spans_meet():
    """The first half's angles become electrical power. Load damping, renewed there, is left out."""
    whole, parts = disturbed(1, load_damping=0.0).motion, disturbed(1, load_damping=0.0).motion
    whole.adopt(whole.integrate(None, 0, 100, mechanical=False))
    for step in (0, 50):
        parts.adopt(parts.integrate(None, step, step + 50, mechanical=False))
    # Rounding alone: 100 steps of numbers around 0.01 Hz, and powers of some 3,000 MW.
    np.testing.assert_allclose(parts.trace_hz[:101], whole.trace_hz[:101], rtol=0.0, atol=1e-13)
    np.testing.assert_allclose(parts.p_elec_mw, whole.p_elec_mw, rtol=0.0, atol=1e-9)


def test_some_environments_move_as_all_do():
    all_of_them, one = disturbed(3).motion, disturbed(3).motion
    whole = all_of_them.integrate(None, 0, 200, mechanical=True)
    part = one.integrate(np.array([1]), 0, 200, mechanical=True)
    np.testing.assert_array_equal(part.state[:, :, 0], whole.state[:, :, 1])
    np.testing.assert_array_equal(one.trace_hz[:, :, 1], all_of_them.trace_hz[:, :, 1])
    np.testing.assert_array_equal(one.trace_mechanical_mw[:, :, 1], all_of_them.trace_mechanical_mw[:, :, 1])


def test_a_machine_that_leaves_takes_its_part_of_the_governors_along():
    grid = disturbed(1)
    motion, topology = grid.motion, grid.topology
    motion.valve_mw[:, 0] = 100.0
    share_was = topology.group_share[:, 0].copy()
    on = np.ones(CASE.n_machine, dtype=np.bool_)
    on[0] = False
    grid.engine.set_topology(0, np.ones(CASE.n_branch, dtype=np.bool_), on)
    topology.adopt(0)
    motion.redistribute(0, share_was, np.zeros(grid.n_group, dtype=np.bool_))
    # Governor gain goes by rating, and the gains of those that stay are what they were.
    area, rating = CASE.bus.area[CASE.machine.bus], CASE.machine.rating_mva
    kept = np.bincount(area, rating * on) / np.bincount(area, rating)
    np.testing.assert_allclose(motion.valve_mw[:, 0], 100.0 * kept, rtol=1e-12)  # rounding of sums of ratings
    assert kept.min() < 0.97
