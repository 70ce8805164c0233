"""Running mean and variance: of what networks are shown, and of the values they learn (PopArt).

Statistics move only when told to, between updates. While a rollout is gathered, learned from or evaluated
they stand still, so that the policy that acted is the policy that is learned about.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Below this standard deviation an input is taken as constant and left unscaled.
SMALLEST_STD = 1e-6
# Returns count as spread out by at least this share of their mean.
SMALLEST_RELATIVE_STD = 1e-4
# Normalised inputs beyond this many standard deviations are cut, so that one outlier cannot drive a network.
LARGEST_INPUT = 10.0


class RunningMoments(nn.Module):
    """Mean and variance of everything seen so far, per component.

    Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Takes in samples of shape [..., component]."""
        x = x.reshape(-1, x.shape[-1]).double()
        n = float(x.shape[0])
        if n == 0:
            return
        batch_mean, batch_var = x.mean(dim=0), x.var(dim=0, unbiased=False)
        total = self.count + n
        delta = batch_mean - self.mean
        mean = self.mean + delta * n / total
        var = (self.var * self.count + batch_var * n + delta.square() * self.count * n / total) / total
        self.mean.copy_(mean)
        self.var.copy_(var)
        self.count.copy_(total)

    def normalize(self, x: Tensor) -> Tensor:
        """(x - mean) / std, cut at +-10; the identity before the first update."""
        if float(self.count) == 0.0:
            return x
        std = self.var.sqrt()
        std = torch.where(std < SMALLEST_STD, torch.ones_like(std), std)
        y = (x - self.mean.to(x.dtype)) / std.to(x.dtype)
        return y.clamp(-LARGEST_INPUT, LARGEST_INPUT)


class InputScaling(nn.Module):
    """Scales what a network is shown: asinh or magnification of the small, then running mean and variance."""

    def __init__(self, size: int, *, compress: bool, magnify: float, normalize: bool) -> None:
        super().__init__()
        self.compress, self.magnify = compress, magnify
        self.moments = RunningMoments(size) if normalize else None

    def forward(self, x: Tensor) -> Tensor:
        """Inputs shaped and, where that is asked for, normalised; any leading axes."""
        x = self._shaped(x)
        return x if self.moments is None else self.moments.normalize(x)

    def update(self, x: Tensor) -> None:
        """Takes raw inputs into the moments."""
        if self.moments is not None:
            self.moments.update(self._shaped(x))

    def _shaped(self, x: Tensor) -> Tensor:
        if self.compress:
            x = torch.asinh(x)
        return x + torch.asinh(self.magnify * x) if self.magnify > 0.0 else x


class ValueNormaliser(nn.Module):
    """Mean mu and standard deviation sigma of returns, for critics that learn the normalised value (V - mu) / sigma.

        m1 <- d m1 + (1 - d) E[R]        m2 <- d m2 + (1 - d) E[R^2]        w <- d w + (1 - d)
        mu = m1 / w                      sigma = sqrt(m2 / w - mu^2)

    exponential moving moments with decay d, corrected by w for their start at zero. When mu and sigma move,
    `rescale_output` adapts a linear output layer so that its values in real units stay exactly what they were.
    Before the first returns, `marl.algorithms.reward_shaping.start_value_normaliser` guesses both from rewards.

    Reference:
        H. van Hasselt, A. Guez, M. Hessel, V. Mnih, D. Silver, Learning values across many orders of
        magnitude, NeurIPS 2016, sec. 2.
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, size: int, *, decay: float) -> None:
        super().__init__()
        self.decay = decay
        for name in ("first", "second", "weight", "mean"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("std", torch.ones(size, dtype=torch.float64))

    @torch.no_grad()
    def update(self, column: int, x: Tensor) -> None:
        """Takes the returns of one output [sample] into its moments."""
        if x.numel() == 0:
            return
        x = x.double()
        keep = self.decay
        self.first[column] = keep * self.first[column] + (1 - keep) * x.mean()
        self.second[column] = keep * self.second[column] + (1 - keep) * x.square().mean()
        self.weight[column] = keep * self.weight[column] + (1 - keep)
        mean = self.first[column] / self.weight[column]
        var = self.second[column] / self.weight[column] - mean.square()
        self.mean[column] = mean
        # A return that hardly varies would make sigma so small that the next surprise is astronomical.
        floor = SMALLEST_RELATIVE_STD * abs(float(mean)) or 1.0
        std = math.sqrt(max(float(var), 0.0))
        self.std[column] = std if std > floor or (std > 0.0 and float(mean) == 0.0) else floor

    def normalize(self, x: Tensor, columns: Tensor) -> Tensor:
        """Values in the rewards' unit to normalised ones; `columns` names the output that each belongs to."""
        return ((x - self.mean[columns]) / self.std[columns]).to(torch.float32)

    def denormalize(self, x: Tensor, columns: Tensor) -> Tensor:
        """Normalised values to the rewards' unit."""
        return (x * self.std[columns] + self.mean[columns]).to(torch.float32)


@torch.no_grad()
def rescale_output(
    weight: Tensor, bias: Tensor, *, mean_old: Tensor, std_old: Tensor, mean_new: Tensor, std_new: Tensor
) -> None:
    """Preserves std y + mean of a linear layer y = W x + b when mean and std move (PopArt, eq. 9).

        W' = W std / std'        b' = (std b + mean - mean') / std'

    Args:
        weight: W, shape [output, input], changed in place.
        bias: b, shape [output], changed in place.
        mean_old: mean, shape [output].
        std_old: std, shape [output].
        mean_new: mean', shape [output].
        std_new: std', shape [output].
    """
    weight.copy_((weight.double() * (std_old / std_new).unsqueeze(-1)).to(weight.dtype))
    bias.copy_(((std_old * bias.double() + mean_old - mean_new) / std_new).to(bias.dtype))
