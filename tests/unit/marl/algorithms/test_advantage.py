"""Generalised advantages against hand-worked episodes."""

import pytest
import torch

from marl.algorithms.advantage import generalized_advantages


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1, 1)


def flags(*values: bool) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1)


NONE = (False, False, False)


def estimate(terminated=NONE, truncated=NONE, next_values=(0.5, 1.0, 2.0)):
    return generalized_advantages(
        rewards=column(1.0, 2.0, 3.0),
        values=column(0.0, 0.5, 1.0),
        next_values=column(*next_values),
        terminated=flags(*terminated),
        truncated=flags(*truncated),
        gamma=0.5,
        gae_lambda=0.5,
    )


def assert_column(found: torch.Tensor, *expected: float) -> None:
    # All numbers are dyadic fractions: float32 holds them exactly.
    assert found.flatten().tolist() == list(expected)


def test_a_running_episode_bootstraps_from_the_value_after_the_rollout():
    """delta = (1 + 0.25 - 0, 2 + 0.5 - 0.5, 3 + 1 - 1) = (1.25, 2, 3); A_2 = 3, A_1 = 2.75, A_0 = 1.9375."""
    found = estimate()
    assert_column(found.advantages, 1.9375, 2.75, 3.0)
    assert_column(found.returns, 1.9375, 3.25, 4.0)


def test_a_termination_is_worth_nothing_beyond_its_reward():
    """Ending at step 1: delta_1 = 2 - 0.5 = 1.5 = A_1; A_0 = 1.25 + 0.25 x 1.5 = 1.625."""
    assert_column(estimate(terminated=(False, True, False)).advantages, 1.625, 1.5, 3.0)


def test_a_truncation_is_worth_the_value_of_its_own_last_observation():
    """Cut at step 1, where that value is 4: delta_1 = 2 + 2 - 0.5 = 3.5 = A_1; A_0 = 1.25 + 0.25 x 3.5 = 2.125."""
    found = estimate(truncated=(False, True, False), next_values=(0.5, 4.0, 2.0))
    assert_column(found.advantages, 2.125, 3.5, 3.0)


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_no_advantage_leaks_from_the_next_episode(ending):
    """Whatever the step after an ending earns, the advantages before it stay what they were."""
    common = {
        "values": column(0.0, 0.5, 1.0),
        "next_values": column(0.5, 4.0, 2.0),
        "gamma": 0.9,
        "gae_lambda": 0.9,
    }
    end = {"terminated": flags(*NONE), "truncated": flags(*NONE)} | {ending: flags(False, True, False)}
    one = generalized_advantages(rewards=column(1.0, 2.0, 3.0), **common, **end).advantages
    two = generalized_advantages(rewards=column(1.0, 2.0, 1e6), **common, **end).advantages
    assert torch.equal(one[:2], two[:2])
    assert not torch.equal(one[2], two[2])


def test_a_value_behind_a_termination_is_never_read():
    found = estimate(terminated=(False, False, True), next_values=(0.5, 1.0, float("nan")))
    # A_2 = 3 - 1; A_1 = 2 + 0.25 x 2; A_0 = 1.25 + 0.25 x 2.5.
    assert_column(found.advantages, 1.875, 2.5, 2.0)


def test_lambda_one_gives_monte_carlo_returns():
    """Sum of discounted rewards of a terminated episode: 1 + 0.5 x 2 + 0.25 x 3 = 2.75, 3.5, 3."""
    found = generalized_advantages(
        rewards=column(1.0, 2.0, 3.0),
        values=column(7.0, -3.0, 11.0),
        next_values=column(-3.0, 11.0, 5.0),
        terminated=flags(False, False, True),
        truncated=flags(*NONE),
        gamma=0.5,
        gae_lambda=1.0,
    )
    assert_column(found.returns, 2.75, 3.5, 3.0)


def test_values_of_agents_are_estimated_side_by_side():
    """Two columns with different rewards come out as two estimates of one column each."""
    rewards = torch.tensor([[[1.0, -1.0]], [[2.0, 5.0]], [[3.0, 0.0]]])
    values = torch.tensor([[[0.0, 1.0]], [[0.5, 2.0]], [[1.0, 3.0]]])
    rest = {
        "terminated": flags(False, True, False),
        "truncated": flags(*NONE),
        "gamma": 0.9,
        "gae_lambda": 0.8,
    }
    both = generalized_advantages(rewards=rewards, values=values, next_values=values, **rest)
    for k in (0, 1):
        c = slice(k, k + 1)
        one = generalized_advantages(
            rewards=rewards[..., c], values=values[..., c], next_values=values[..., c], **rest
        )
        assert torch.equal(both.advantages[..., c], one.advantages)
