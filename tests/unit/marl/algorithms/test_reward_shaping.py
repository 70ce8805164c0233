"""What rewards and advantages are turned into: each step by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.algorithms.reward_shaping import (
    RewardShaping,
    first_guess,
    normalized,
    per_value,
    robust_reward,
    start_value_normaliser,
)
from marl.config.ppo import PPOConfig
from marl.networks.normalization import ValueNormaliser


def test_the_first_guess_of_returns_is_that_of_a_discounted_sum():
    """Rewards 0 and 2: mean 1, std 1. At gamma 0.6 the sum's mean is 1/0.4 = 2.5, its std 1/sqrt(0.64) = 1.25."""
    mean, std = first_guess(torch.tensor([0.0, 2.0]), torch.zeros(2, dtype=torch.bool), 0.6)
    assert mean == pytest.approx(2.5, rel=1e-12)
    assert std == pytest.approx(1.25, rel=1e-12)


def test_the_first_guess_for_one_step_episodes_is_the_rewards_own():
    assert first_guess(torch.tensor([0.0, 2.0]), torch.ones(2, dtype=torch.bool), 0.99) == (1.0, 1.0)


def test_advantages_are_normalised_over_steps_and_environments_for_each_reward_alone():
    """Columns of different size must both come out with zero mean and unit variance."""
    x = torch.tensor([[[1.0, 1000.0], [2.0, 3000.0]], [[3.0, 7000.0], [6.0, 9000.0]]])
    y = normalized(x, torch.ones_like(x, dtype=torch.bool))
    # float32 rounding of values of order one.
    np.testing.assert_allclose(y.mean(dim=(0, 1)), [0.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(y.var(dim=(0, 1), unbiased=False), [1.0, 1.0], rtol=1e-6)
    # First column by hand: mean 3, std sqrt(3.5).
    np.testing.assert_allclose(y[..., 0].flatten(), np.array([-2, -1, 0, 3]) / 3.5**0.5, rtol=1e-6)


def test_what_does_not_count_does_not_move_the_normalisation():
    x = torch.tensor([[[1.0], [2.0]], [[3.0], [99.0]]])
    valid = torch.tensor([[[True], [True]], [[True], [False]]])
    y = normalized(x, valid)[valid]
    # Mean 2, std sqrt(2/3).
    np.testing.assert_allclose(y, np.array([-1, 0, 1]) / (2 / 3) ** 0.5, rtol=1e-6)


def test_advantages_without_spread_become_zero():
    x = torch.full((4, 3, 1), 0.1)
    assert torch.equal(normalized(x, torch.ones_like(x, dtype=torch.bool)), torch.zeros_like(x))


def test_a_robust_reward_is_hubers_function_of_the_root():
    """r = -k x^2 with Huber's rule at x0: -k (2 x0 |x| - x0^2) beyond x0; the threshold is c = k x0^2."""
    k, x0 = 4.0, 3.0
    x = np.array([0.5, 3.0, 5.0, 100.0])
    expected = np.where(x <= x0, -k * x**2, -k * (2 * x0 * x - x0**2))
    # One square root and a few products in float64.
    np.testing.assert_allclose(robust_reward(-k * x**2, k * x0**2), expected, rtol=1e-14)


def test_a_logarithmic_reward_joins_the_straight_line_smoothly():
    """At c = 20: r' = r up to 20, then 20 (1 + ln(r/20)): 20 e -> 40, 20 e^2 -> 60, with slope 1 at the joint."""
    r = np.array([-19.0, -20.0, -20.0 * np.e, 20.0 * np.e**2])
    np.testing.assert_allclose(robust_reward(r, 20.0, "log"), [-19.0, -20.0, -40.0, 60.0], rtol=1e-14)
    h = 1e-6
    slope = (robust_reward(np.array([20.0 + h]), 20.0, "log") - 20.0) / h
    np.testing.assert_allclose(slope, 1.0, rtol=1e-7)  # next term of the series: h/(2 c) = 2.5e-8


def test_a_robust_reward_without_threshold_is_the_reward():
    r = np.array([-1e9, 3.0])
    assert robust_reward(r, 0.0) is r


def test_a_teams_reward_is_every_agents_and_own_rewards_stay_their_own():
    assert per_value(np.array([1.0, 2.0]), 3).tolist() == [[1.0] * 3, [2.0] * 3]
    assert per_value(np.array([[1.0, 2.0]]), 2).tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="per_agent_rewards = True"):
        per_value(np.ones((4, 3)), 1)


def test_the_first_guess_is_made_once_for_each_output_by_itself():
    """Two values of one output and one of another: rewards 0 and 2, then 10 and 30; all episodes end at once."""
    normaliser, columns = ValueNormaliser(2, decay=0.5), torch.tensor([0, 0, 1])
    rewards = torch.tensor([[[0.0, 2.0, 10.0]], [[2.0, 0.0, 30.0]]])
    counted, ended = torch.ones_like(rewards, dtype=torch.bool), torch.ones(2, 1, dtype=torch.bool)
    start_value_normaliser(normaliser, columns, rewards, counted, ended, gamma=0.9)
    assert (normaliser.mean.tolist(), normaliser.std.tolist()) == ([1.0, 20.0], [1.0, 10.0])
    normaliser.update(0, torch.tensor([5.0, 7.0]))  # from now on returns decide: mean 6, spread 1
    start_value_normaliser(normaliser, columns, rewards, counted, ended, gamma=0.9)
    assert (float(normaliser.mean[0]), float(normaliser.std[0])) == (6.0, 1.0)


def test_only_agents_own_values_are_left_out_with_them():
    """Three agents, one out of service: with a value each its own does not count, the team's value always does."""
    in_service = torch.tensor([[[True, False, True]]])
    own = RewardShaping(config=PPOConfig(), n_agent=3, n_value=3)
    team = dataclasses.replace(own, n_value=1)
    assert own.counted(in_service).tolist() == [[[True, False, True]]]
    assert team.counted(in_service).tolist() == [[[True]]]
    advantages = torch.tensor([[[2.0]], [[-2.0]]])
    shaped = team.of_agents(advantages, torch.ones(2, 1, 1, dtype=torch.bool))
    assert shaped.tolist() == [[[1.0] * 3], [[-1.0] * 3]]
