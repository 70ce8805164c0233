"""Running moments of inputs, and the value normaliser (PopArt)."""

import numpy as np
import pytest
import torch

from marl.networks.normalization import RunningMoments, ValueNormaliser, rescale_output


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


def test_popart_keeps_every_output_when_mean_and_spread_move():
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 2)
    normaliser = ValueNormaliser(2, decay=0.9)
    columns = torch.tensor([0, 1])
    x = torch.randn(32, 8)
    before = normaliser.denormalize(layer(x), columns)
    mean_old, std_old = normaliser.mean.clone(), normaliser.std.clone()
    normaliser.update(0, torch.randn(100) * 3000.0 - 20000.0)
    normaliser.update(1, torch.randn(100) * 0.01 + 5.0)
    rescale_output(
        layer.weight.data,
        layer.bias.data,
        mean_old=mean_old,
        std_old=std_old,
        mean_new=normaliser.mean,
        std_new=normaliser.std,
    )
    after = normaliser.denormalize(layer(x), columns)
    # float32 cancellation of a mean 20000 against outputs of order 1: 20000 x 6e-8 x a few.
    np.testing.assert_allclose(after[:, 0].detach(), before[:, 0].detach(), atol=5e-3)
    # Mean 5 is 500 of the new std 0.01: 5 x 6e-8 x a few.
    np.testing.assert_allclose(after[:, 1].detach(), before[:, 1].detach(), atol=3e-6)
    assert not torch.equal(normaliser.mean, mean_old)


def test_the_value_normaliser_has_the_moments_of_the_returns():
    """After one update the correction for the start leaves exactly mean and standard deviation."""
    x = torch.tensor([1.0, 2.0, 3.0, 6.0])  # mean 3, variance (4 + 1 + 0 + 9)/4 = 3.5
    normaliser = ValueNormaliser(1, decay=0.99)
    normaliser.update(0, x)
    assert float(normaliser.mean[0]) == pytest.approx(3.0, rel=1e-12)
    assert float(normaliser.std[0]) == pytest.approx(3.5**0.5, rel=1e-12)


def test_the_value_normaliser_follows_by_its_decay():
    """Returns of -1 then of +1, each with mean square 1: mean = (-0.5 x 0.5 + 0.5 x 1)/0.75 = 1/3."""
    normaliser = ValueNormaliser(1, decay=0.5)
    normaliser.update(0, torch.full((4,), -1.0))
    normaliser.update(0, torch.full((4,), 1.0))
    assert float(normaliser.mean[0]) == pytest.approx(1.0 / 3.0, rel=1e-12)
    assert float(normaliser.std[0]) == pytest.approx((1.0 - 1.0 / 9.0) ** 0.5, rel=1e-12)


def test_normalising_undoes_denormalising():
    normaliser = ValueNormaliser(1, decay=0.9)
    normaliser.update(0, torch.tensor([-30000.0, -10000.0]))
    y, columns = torch.tensor([[0.3], [-1.7]]), torch.tensor([0])
    back = normaliser.normalize(normaliser.denormalize(y, columns), columns)
    # 30000 held in float32 is known to 2e-3, which is 2e-7 of the std 10000.
    np.testing.assert_allclose(back, y, atol=5e-7)
