"""Running moments, PopArt and robust rewards."""

import numpy as np
import pytest
import torch

from marl.networks.normalization import PopArt, RunningMoments, normalized, rescale_output, robust_reward


def test_moments_taken_in_pieces_are_those_of_the_whole():
    x = np.random.default_rng(0).normal(3.0, 2.0, (300, 4))
    moments = RunningMoments(4)
    for piece in np.split(x, [7, 100, 101]):
        moments.update(torch.from_numpy(piece))
    # Both in float64; 300 additions lose at most about 300 eps = 7e-14 of the size.
    np.testing.assert_allclose(moments.mean.numpy(), x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.var.numpy(), x.var(axis=0), rtol=1e-12)


def test_moments_are_the_identity_before_the_first_update():
    x = torch.tensor([[3.0, -7.0]])
    assert torch.equal(RunningMoments(2).normalize(x), x)


def test_a_constant_input_is_centred_and_not_blown_up():
    moments = RunningMoments(1)
    moments.update(torch.full((50, 1), 60.0))
    assert moments.normalize(torch.tensor([[60.0], [60.5]])).flatten().tolist() == [0.0, 0.5]


def test_popart_keeps_every_output_when_its_units_move():
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 2)
    units = PopArt(2, decay=0.9)
    columns = torch.tensor([0, 1])
    x = torch.randn(32, 8)
    before = units.denormalize(layer(x), columns)
    mean_old, std_old = units.mean.clone(), units.std.clone()
    units.update(0, torch.randn(100) * 3000.0 - 20000.0)
    units.update(1, torch.randn(100) * 0.01 + 5.0)
    rescale_output(
        layer.weight.data,
        layer.bias.data,
        mean_old=mean_old,
        std_old=std_old,
        mean_new=units.mean,
        std_new=units.std,
    )
    after = units.denormalize(layer(x), columns)
    # float32 cancellation of a mean 20000 against outputs of order 1: 20000 x 6e-8 x a few.
    np.testing.assert_allclose(after[:, 0].detach(), before[:, 0].detach(), atol=5e-3)
    # Mean 5 is 500 of the new std 0.01: 5 x 6e-8 x a few.
    np.testing.assert_allclose(after[:, 1].detach(), before[:, 1].detach(), atol=3e-6)
    assert not torch.equal(units.mean, mean_old)


def test_popart_units_are_the_moments_of_the_returns():
    """After one update the correction for the start leaves exactly mean and standard deviation."""
    x = torch.tensor([1.0, 2.0, 3.0, 6.0])  # mean 3, variance (4 + 1 + 0 + 9)/4 = 3.5
    units = PopArt(1, decay=0.99)
    units.update(0, x)
    assert float(units.mean[0]) == pytest.approx(3.0, rel=1e-12)
    assert float(units.std[0]) == pytest.approx(3.5**0.5, rel=1e-12)


def test_popart_units_follow_by_their_decay():
    """Returns of -1 then of +1, each with mean square 1: mean = (-0.5 x 0.5 + 0.5 x 1)/0.75 = 1/3."""
    units = PopArt(1, decay=0.5)
    units.update(0, torch.full((4,), -1.0))
    units.update(0, torch.full((4,), 1.0))
    assert float(units.mean[0]) == pytest.approx(1.0 / 3.0, rel=1e-12)
    assert float(units.std[0]) == pytest.approx((1.0 - 1.0 / 9.0) ** 0.5, rel=1e-12)


def test_normalising_undoes_denormalising():
    units = PopArt(1, decay=0.9)
    units.update(0, torch.tensor([-30000.0, -10000.0]))
    y, columns = torch.tensor([[0.3], [-1.7]]), torch.tensor([0])
    back = units.normalize(units.denormalize(y, columns), columns)
    # 30000 held in float32 is known to 2e-3, which is 2e-7 of the std 10000.
    np.testing.assert_allclose(back, y, atol=5e-7)


def test_the_first_units_are_those_of_a_discounted_sum():
    """Rewards 0 and 2: mean 1, std 1. At gamma 0.6 the sum's mean is 1/0.4 = 2.5, its std 1/sqrt(0.64) = 1.25."""
    units = PopArt(1, decay=0.9)
    units.start(0, torch.tensor([0.0, 2.0]), torch.zeros(2, dtype=torch.bool), 0.6)
    assert float(units.mean[0]) == pytest.approx(2.5, rel=1e-12)
    assert float(units.std[0]) == pytest.approx(1.25, rel=1e-12)


def test_the_first_units_of_one_step_episodes_are_those_of_the_reward():
    units = PopArt(1, decay=0.9)
    units.start(0, torch.tensor([0.0, 2.0]), torch.ones(2, dtype=torch.bool), 0.99)
    assert (float(units.mean[0]), float(units.std[0])) == (1.0, 1.0)


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
