"""Limiters of over-excitation: their delay, their rate and their way back, by hand."""

import numpy as np
import pytest

from grid_model.dynamics.over_excitation import OverExcitation
from grid_model.kernels.structs import ExcitationState


def regulators():
    one = np.ones((2, 1))
    return ExcitationState(
        regulating=np.ones(2, dtype=np.bool_),
        emf_pu=one.copy(),
        lagging_pu=one.copy(),
        bias_pu=one.copy(),
        set_point_pu=one.copy(),
        reference_pu=one.copy(),
        side=np.zeros((2, 1), dtype=np.int64),
        cosine=one.copy(),
        elapsed_s=np.zeros(2),
    )


def test_a_set_point_is_lowered_after_twenty_seconds_in_proportion_to_the_excess_and_comes_back():
    """100 Mvar above on 500 MVA: 0.004 pu/s from the 40th half second on; 200 below: twice as fast back."""
    limiter, state = OverExcitation(2, np.array([250.0]), np.array([500.0])), regulators()
    env = np.array([1])
    above, below = np.full((2, 1), 350.0), np.full((2, 1), 50.0)
    for _ in range(39):
        limiter.act(env, above, state, 0.5)
    assert state.set_point_pu[1, 0] == 1.0
    for _ in range(10):  # the 40th to the 49th
        limiter.act(env, above, state, 0.5)
    assert state.set_point_pu[1, 0] == pytest.approx(1.0 - 10 * 0.5 * 0.004, abs=1e-12)
    assert state.reference_pu[1, 0] == pytest.approx(0.98, abs=1e-12)
    limiter.act(env, below, state, 0.5)
    assert state.set_point_pu[1, 0] == pytest.approx(0.98 + 0.5 * 0.008, abs=1e-12)
    for _ in range(20):
        limiter.act(env, below, state, 0.5)
    assert state.set_point_pu[1, 0] == pytest.approx(1.0, abs=1e-12)  # never above what it was
    assert state.set_point_pu[0, 0] == 1.0  # the environment beside it


def test_a_break_begins_the_delay_anew():
    limiter, state = OverExcitation(1, np.array([250.0]), np.array([500.0])), regulators()
    for q_mvar in (300.0, 200.0, 300.0):
        for _ in range(15):
            limiter.act(np.array([0]), np.full((1, 1), q_mvar), state, 1.0)
    assert state.set_point_pu[0, 0] == 1.0
