"""Layers of several networks at once, stacked along the first axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from marl.config.network import NetworkConfig

HIDDEN_GAIN = math.sqrt(2.0)  # keeps the variance through a ReLU


class StackedLinear(nn.Module):
    """`n_network` linear layers side by side; one of them is an ordinary linear layer."""

    def __init__(self, n_network: int, n_in: int, n_out: int, *, gain: float, orthogonal: bool) -> None:
        super().__init__()
        self.n_network = n_network
        self.weight = nn.Parameter(torch.empty(n_network, n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_network, n_out))
        for k in range(n_network):
            if orthogonal:
                nn.init.orthogonal_(self.weight[k], gain)
            else:
                # The default of torch.nn.Linear, scaled so that a small last layer stays small.
                bound = min(gain, 1.0) / math.sqrt(n_in)
                nn.init.uniform_(self.weight[k], -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[network, row, in] -> [network, row, out]; with a single network any [..., in] -> [..., out]."""
        if self.n_network == 1:
            return functional.linear(x, self.weight[0], self.bias[0])
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))


class StackedLayerNorm(nn.Module):
    """Layer normalisation with gains and offsets of each network's own."""

    def __init__(self, n_network: int, size: int) -> None:
        super().__init__()
        self.n_network, self.size = n_network, size
        self.weight = nn.Parameter(torch.ones(n_network, size))
        self.bias = nn.Parameter(torch.zeros(n_network, size))

    def forward(self, x: Tensor) -> Tensor:
        """[network, row, size] normalised along its last axis, by each network's own weight and bias."""
        if self.n_network == 1:
            return functional.layer_norm(x, (self.size,), self.weight[0], self.bias[0])
        y = functional.layer_norm(x, (self.size,))
        return torch.addcmul(self.bias.unsqueeze(1), y, self.weight.unsqueeze(1))


class StackedPerceptron(nn.Module):
    """`n_network` perceptrons of the same shape."""

    def __init__(
        self,
        n_network: int,
        n_in: int,
        hidden: Sequence[int],
        n_out: int,
        *,
        last_gain: float,
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.n_network = n_network
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(
                StackedLinear(n_network, n_in, width, gain=HIDDEN_GAIN, orthogonal=config.orthogonal_init)
            )
            if config.layer_norm:
                layers.append(StackedLayerNorm(n_network, width))
            layers.append(nn.ReLU(inplace=True))
            n_in = width
        self.hidden = nn.Sequential(*layers)
        self.last = StackedLinear(n_network, n_in, n_out, gain=last_gain, orthogonal=config.orthogonal_init)

    def forward(self, x: Tensor) -> Tensor:
        """[network, row, input] to [network, row, output]."""
        # Layers are run without nn.Module's calling machinery (hooks, which none of them has): for a few hundred rows
        # it costs a tenth of the arithmetic.
        for layer in self.hidden:
            x = layer.forward(x)
        return self.last.forward(x)
