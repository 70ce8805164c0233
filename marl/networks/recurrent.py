"""Networks with a memory: gated recurrent units between a perceptron and a last linear layer.

    r = sigma(W_r x + U_r h)        z = sigma(W_z x + U_z h)
    n = tanh(W_n x + r * (U_n h))   h' = (1 - z) * n + z * h

with constants beside each product, and a layer normalisation before the last layer. The perceptron and the products
with x are taken for all steps of a sequence at once; only U h goes step by step.

References:
    K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine translation,
    EMNLP 2014 (the unit; r stands where torch's GRU has it).
    M. Hausknecht, P. Stone, Deep recurrent Q-learning for partially observable MDPs, AAAI fall symposium 2015.
    S. Kapturowski et al., Recurrent experience replay in distributed reinforcement learning, ICLR 2019 (burn-in).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from marl.config.network import NetworkConfig
from marl.networks.stacked import StackedLayerNorm, StackedLinear, StackedPerceptron
from marl.storage.sequences import Unroll

N_GATE = 3  # r, z, n: the order along the axis of width 3 x memory


@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """What came of it, of the steps after the burn-in."""

    outputs: Tensor  # [step, sequence, ..., output]
    before: Tensor  # what was remembered before each step, [step, sequence, ..., hidden]
    after: Tensor  # and after it


class RecurrentNetwork(nn.Module):
    """`n_network` networks of the same shape: perceptron -> gated recurrent unit -> layer norm -> linear."""

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
        self.n_network, self.size = n_network, config.memory_size
        wide = N_GATE * self.size
        # The perceptron's last layer is W x with its constants.
        self.encoder = StackedPerceptron(n_network, n_in, hidden, wide, last_gain=1.0, config=config)
        self.recurrence = StackedLinear(
            n_network, self.size, wide, gain=1.0, orthogonal=config.orthogonal_init
        )
        if config.orthogonal_init:  # each gate's square matrix by itself
            for layer in (self.encoder.last, self.recurrence):
                for k in range(n_network):
                    for gate in torch.split(layer.weight.data[k], self.size):
                        nn.init.orthogonal_(gate)
        self.norm = StackedLayerNorm(n_network, self.size)
        self.last = StackedLinear(
            n_network, self.size, n_out, gain=last_gain, orthogonal=config.orthogonal_init
        )

    def step(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """One step of [network, row, ...], or of any [..., ...] for a single network: output and memory after it."""
        after = self._remember(self.encoder.forward(x), hidden)
        return self._output(after), after

    def sequence(self, x: Tensor, unroll: Unroll) -> Unrolled:
        """Runs sequences from their beginning on; nothing is differentiated through the burn-in.

        Args:
            x: inputs, [step, sequence, ..., input]; with several networks [step, sequence, network, input].
            unroll: where sequences and episodes begin.
        """
        burn_in, hidden = unroll.burn_in, unroll.hidden
        if burn_in > 0:
            with torch.no_grad():
                hidden = self._run(x[:burn_in], hidden, unroll, first=0)[1][-1]
        before, after = self._run(x[burn_in:], hidden, unroll, first=burn_in)
        return Unrolled(outputs=self._by_network(self._output, after), before=before, after=after)

    def _run(self, x: Tensor, hidden: Tensor, unroll: Unroll, *, first: int) -> tuple[Tensor, Tensor]:
        """The memory before and after each of these steps, of which the first is this one of the sequences."""
        gates = self._by_network(self.encoder.forward, x)
        wide = (slice(None), *[None] * (hidden.dim() - 1))
        before, after = [], []
        # Taken apart at once: the gradient of gates[t] would be an array of all steps, for every step.
        for t, of_step in enumerate(gates.unbind()):
            known = torch.where(unroll.restart[first + t][wide], unroll.hidden, hidden)
            known = torch.where(unroll.continues[first + t][wide], known, torch.zeros_like(known))
            if self.n_network == 1:
                hidden = self._remember(of_step, known)
            else:
                hidden = self._remember(of_step.transpose(0, 1), known.transpose(0, 1)).transpose(0, 1)
            before.append(known)
            after.append(hidden)
        return torch.stack(before), torch.stack(after)

    def _by_network(self, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Layers on [step, sequence, ..., n], networks brought to the front and back where there are several."""
        if self.n_network == 1:
            return run(x)
        y = run(x.flatten(0, 1).transpose(0, 1)).transpose(0, 1)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    def _remember(self, gates: Tensor, hidden: Tensor) -> Tensor:
        reset_x, update_x, new_x = gates.chunk(N_GATE, dim=-1)
        reset_h, update_h, new_h = self.recurrence.forward(hidden).chunk(N_GATE, dim=-1)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return new + update * (hidden - new)

    def _output(self, hidden: Tensor) -> Tensor:
        return self.last.forward(self.norm.forward(hidden))
