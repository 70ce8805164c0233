"""Running mean and variance: of inputs, of returns (PopArt), and what else is put into comfortable units.

Statistics move only when told to, between updates. While a rollout is gathered, learned from or evaluated
they stand still, so that the policy that acted is the policy that is learned about.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from marl.protocol import FloatArray

# Below this standard deviation an input is taken as constant and left unscaled.
SMALLEST_STD = 1e-6
# With gamma = 1 the first guess of a value's size counts this share of it as carried on per step.
LONGEST_MEMORY = 0.999
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
    """What stands between a raw input and a network: asinh or magnification of the small, then running moments."""

    def __init__(self, size: int, *, compress: bool, magnify: float, normalize: bool) -> None:
        super().__init__()
        self.compress, self.magnify = compress, magnify
        self.moments = RunningMoments(size) if normalize else None

    def forward(self, x: Tensor) -> Tensor:
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


class PopArt(nn.Module):
    """Units of the returns, for critics that learn in normalised ones.

    Exponential moving first and second moments, corrected for their start. When they move, `rescale` adapts a
    linear output layer so that its outputs in real units stay exactly what they were.

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
    def start(self, column: int, rewards: Tensor, terminated: Tensor, gamma: float) -> None:
        """First guess of one output's units from rewards alone, before there are returns to speak of.

            mean = E[r] / (1 - c)        std = Std[r] / sqrt(1 - c^2)        c = gamma (1 - share terminated)

        the moments of a discounted sum of independent rewards. A fresh critic then starts at the size of its
        task, and rewards in other units (a r + b) give the same normalised values from the first step on.
        """
        carried = gamma * (1.0 - float(terminated.to(torch.float64).mean()))
        carried = min(carried, LONGEST_MEMORY)
        r = rewards.double()
        self.mean[column] = r.mean() / (1.0 - carried)
        std = float(r.std(unbiased=False)) / math.sqrt(1.0 - carried**2)
        self.std[column] = std if std > 0.0 else 1.0

    @torch.no_grad()
    def update(self, column: int, x: Tensor) -> None:
        """Takes the returns of one output [sample] into its statistics."""
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
        # A return that hardly varies would make the units so small that the next surprise is astronomical.
        floor = SMALLEST_RELATIVE_STD * abs(float(mean)) or 1.0
        std = math.sqrt(max(float(var), 0.0))
        self.std[column] = std if std > floor or (std > 0.0 and float(mean) == 0.0) else floor

    def normalize(self, x: Tensor, columns: Tensor) -> Tensor:
        """Real units to the critic's; `columns` names the output of each component of the last axis."""
        return ((x - self.mean[columns]) / self.std[columns]).to(torch.float32)

    def denormalize(self, x: Tensor, columns: Tensor) -> Tensor:
        """The critic's units to real ones."""
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
        mean_old, std_old, mean_new, std_new: shape [output].
    """
    weight.copy_((weight.double() * (std_old / std_new).unsqueeze(-1)).to(weight.dtype))
    bias.copy_(((std_old * bias.double() + mean_old - mean_new) / std_new).to(bias.dtype))


def normalized(x: Tensor, valid: Tensor) -> Tensor:
    """Advantages to zero mean and unit variance over [step, env], each column of the last axis by itself.

    Args:
        x: shape [step, env, value].
        valid: boolean, same shape; samples that do not count, such as those of agents out of service.
    """
    weight = valid.to(torch.float64)
    n = weight.sum(dim=(0, 1)).clamp(min=1.0)
    mean = (x.double() * weight).sum(dim=(0, 1)) / n
    centred = x.double() - mean
    std = ((centred.square() * weight).sum(dim=(0, 1)) / n).sqrt()
    # A column without spread carries no preference: its normalised advantages are zero, not noise blown up.
    scale = torch.where(std > 1e-8 * (1.0 + mean.abs()), 1.0 / std, torch.zeros_like(std))
    return (centred * scale).to(x.dtype)


def robust_reward(reward: FloatArray, threshold: float, shape: str = "root") -> FloatArray:
    """Keeps rare large rewards from drowning the everyday ones; the threshold c = 0 leaves all as they are.

        r' = r                               |r| <= c
        r' = sign(r) (2 sqrt(c |r|) - c)     |r| > c, shape "root"
        r' = sign(r) c (1 + ln(|r| / c))     |r| > c, shape "log"

    Value and slope are continuous at c, and larger rewards stay larger. For r = -k x^2 the root is -k times
    Huber's function of x: quadratic for small deviations, linear for large ones.
    """
    if threshold == 0.0:
        return reward
    size = np.abs(reward)
    beyond = np.maximum(size, threshold)
    grown = 2.0 * np.sqrt(threshold * beyond) - threshold
    if shape == "log":
        grown = threshold * (1.0 + np.log(beyond / threshold))
    return np.where(size <= threshold, reward, np.sign(reward) * grown)
