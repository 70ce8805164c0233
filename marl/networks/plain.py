"""Plain networks on the CPU: compiled kernels run them, in blocks of rows that stay in cache.

torch stays the reference, and serves every network that `PlainNetwork.serves` does not name: the parameters are
torch's own, and both read and change the same memory. What the kernels compute differs from torch in the order in
which sums are rounded; a row's result does not depend on how many rows are run beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from marl.config.network import NetworkConfig
from marl.kernels.lanes import N_LANE
from marl.kernels.perceptron import WIDTH, Network, Room, outputs, room_for
from marl.networks.stacked import StackedLayerNorm, StackedLinear, StackedPerceptron
from marl.protocol import Float32Array


def flat_array(x: Tensor) -> Float32Array:
    """A contiguous tensor's own memory, flat."""
    return x.detach().view(-1).numpy()


class FlatParameters:
    """Parameters one after the other in one piece of memory, each from a multiple of sixteen numbers on."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = tuple(parameters)
        self.starts = [0]
        for parameter in self.parameters:
            self.starts.append(self.starts[-1] + -(-parameter.numel() // N_LANE) * N_LANE)
        self._bytes = [4 * start for start in self.starts[:-1]]
        self._memory: Tensor | None = None

    @property
    def size(self) -> int:
        """Numbers in all, those between two parameters included."""
        return self.starts[-1]

    def shaped(self, flat: Tensor) -> Iterator[Tensor]:
        """Views of a flat tensor of this size in the parameters' shapes."""
        for parameter, start in zip(self.parameters, self.starts[:-1], strict=True):
            yield flat[start : start + parameter.numel()].view(parameter.shape)

    def numbers(self) -> Float32Array:
        """The parameters' own memory, flat; they are brought together first where they are not, as after a copy."""
        if self._memory is None or not self._together(self._memory.data_ptr()):
            # Not in inference mode, whose tensors torch refuses to learn.
            with torch.inference_mode(False), torch.no_grad():
                memory = torch.zeros(self.size)
                for parameter, view in zip(self.parameters, self.shaped(memory), strict=True):
                    view.copy_(parameter)
                    parameter.data = view
            self._memory = memory
        return self._memory.numpy()

    def _together(self, base: int) -> bool:
        return [parameter.data_ptr() - base for parameter in self.parameters] == self._bytes


class PlainNetwork:
    """A perceptron as the kernels know it, and the room they work in."""

    def __init__(
        self,
        network: StackedPerceptron,
        config: NetworkConfig,
        linear: StackedLinear | None = None,
        free: Sequence[nn.Parameter] = (),
    ) -> None:
        """Nothing is moved or compiled before it is needed.

        Args:
            network: which it is.
            config: it was made with.
            linear: the linear map of the input beside it.
            free: parameters that learn with it and belong to no layer.
        """
        hidden = [layer for layer in network.hidden if isinstance(layer, StackedLinear)]
        self._first = hidden[0].weight
        self.widths = np.array(
            [layer.weight.shape[-1] for layer in (*hidden, network.last)] + [network.last.weight.shape[1]],
            dtype=np.int64,
        )
        self._may_serve = (
            config.fused == "auto"
            and config.layer_norm
            and network.n_network == 1
            and all(int(width) % WIDTH == 0 for width in self.widths[1:-1])
        )
        layers = [layer for layer in network.hidden if isinstance(layer, StackedLinear | StackedLayerNorm)]
        layers += [network.last] if linear is None else [network.last, linear]
        self.flat = FlatParameters([*(p for layer in layers for p in (layer.weight, layer.bias)), *free])
        self._linear = linear is not None
        self._room: Room | None = None
        self._narrow: Room | None = None

    @property
    def serves(self) -> bool:
        """Whether the kernels run this network.

        They do where it is one network of float32 on the CPU, its hidden layers are Linear -> LayerNorm -> ReLU whose
        widths are multiples of 32, and the configuration does not say `fused = "off"`.
        """
        return self._may_serve and self._first.device.type == "cpu" and self._first.dtype == torch.float32

    @property
    def network(self) -> Network:
        """The network with its weights as they are."""
        return Network(parameters=self.flat.numbers(), widths=self.widths, linear=self._linear)

    @property
    def room(self) -> Room:
        """Where blocks are worked on."""
        if self._room is None:
            self._room = room_for(self.widths)
        return self._room

    def outputs(self, x: Tensor) -> Tensor:
        """[..., input] -> [..., output], without a graph to differentiate."""
        y = torch.empty(*x.shape[:-1], int(self.widths[-1]))
        self.write_outputs(x, flat_array(y))
        return y

    def write_outputs(self, x: Tensor, y: Float32Array) -> None:
        """[..., input] -> flat [..., output]."""
        if self._narrow is None:
            # Nothing is differentiated: x' may take the place of n, and half the memory has to stay in cache.
            self._narrow = self.room._replace(active=self.room.normal)
        outputs(self.network, self._narrow, x.reshape(-1).numpy(), y)
