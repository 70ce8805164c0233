"""Attention between agents: an agent weighs what others have told by what it sees itself, and by how far they are.

    w_j = softmax_j (q . k_j / sqrt(d) - s d_ij),      q = Q own,  k_j = K m_j,  v_j = V m_j
    answer = perceptron([own, sum_j w_j v_j])

for each head of the attention, with d_ij the distance that the environment gives and s >= 0 learned. Messages are those
that observations end with (`marl.protocol.Messages`): nothing reaches an agent that its observation does not hold. One
of a sender that takes no part has weight zero, and where nobody does the sum is zero; so weights learned with some
senders serve any number of them.

References:
    A. Vaswani et al., Attention is all you need, NeurIPS 2017, eq. 1.
    A. Das et al., TarMAC: targeted multi-agent communication, ICML 2019.
    O. Press, N. Smith, M. Lewis, Train short, test long: attention with linear biases, ICLR 2022 (bias by distance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from marl.config.network import NetworkConfig
from marl.networks.stacked import StackedLinear, StackedPerceptron
from marl.protocol import Messages

FIRST_SLOPE = 1.0  # s in a fresh network, of distances of order one


class AttentiveNetwork(nn.Module):
    """`n_network` networks of the same shape, over agents that share one or have one each."""

    distance: Tensor
    heard: Tensor

    def __init__(
        self,
        n_network: int,
        n_own: int,
        told: Messages,
        hidden: Sequence[int],
        n_out: int,
        *,
        last_gain: float,
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.n_network, self.n_head = n_network, config.attention_heads
        self.message_size = told.size
        self.width = config.attention_size
        orthogonal = config.orthogonal_init
        self.query = StackedLinear(n_network, n_own, self.width, gain=1.0, orthogonal=orthogonal)
        self.key = StackedLinear(n_network, told.size, self.width, gain=1.0, orthogonal=orthogonal)
        self.value = StackedLinear(n_network, told.size, self.width, gain=1.0, orthogonal=orthogonal)
        first = math.log(math.expm1(FIRST_SLOPE))
        self.slope = nn.Parameter(torch.full((n_network, self.n_head), first))  # softplus of it is s
        self.answer = StackedPerceptron(
            n_network, n_own + self.width, hidden, n_out, last_gain=last_gain, config=config
        )
        distance = torch.tensor(told.distance, dtype=torch.float32)  # [agent, sender]
        # Of the agents and senders at hand, not of the weights: the same ones serve others.
        self.register_buffer("heard", torch.isfinite(distance), persistent=False)
        self.register_buffer("distance", torch.where(self.heard, distance, 0.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[row, agent, observation] -> [row, agent, action]; all agents of a row have been told the same."""
        n_own, n_row = self.query.weight.shape[-1], x.shape[0]
        own, messages = x[..., :n_own], x[:, 0, n_own:].reshape(n_row, -1, 1 + self.message_size)
        takes_part, messages = messages[..., 0] > 0.0, messages[..., 1:]
        if self.n_network > 1:  # [network, row, n], an agent each
            own = own.transpose(0, 1).contiguous()
            messages = messages.reshape(1, -1, self.message_size).expand(self.n_network, -1, -1)
        attended = self._attend(self.query.forward(own), messages, takes_part)
        answer = self.answer.forward(torch.cat([own, attended], dim=-1))
        return answer if self.n_network == 1 else answer.transpose(0, 1)

    def _attend(self, query: Tensor, messages: Tensor, takes_part: Tensor) -> Tensor:
        """What each agent makes of the messages, [row, agent, width] or [network, row, width]."""
        n_row, n_sender = takes_part.shape
        # From here on [network, row, agent, ...], where networks or agents are one.
        size = self.width // self.n_head
        shape = (1, n_row, -1) if self.n_network == 1 else (self.n_network, n_row, 1)
        query = query.reshape(*shape, self.n_head, size)
        key = self.key.forward(messages).reshape(-1, n_row, n_sender, self.n_head, size)
        value = self.value.forward(messages).reshape(-1, n_row, n_sender, self.n_head, size)
        score = torch.einsum("nrahd,nrshd->nrahs", query, key) / math.sqrt(size)
        # [network, row, agent, head, sender]
        distance, heard = (
            (y if self.n_network == 1 else y.unsqueeze(1)).reshape(self.n_network, 1, -1, 1, n_sender)
            for y in (self.distance, self.heard)
        )
        slope = functional.softplus(self.slope).view(self.n_network, 1, 1, self.n_head, 1)
        listens = heard & takes_part.view(1, n_row, 1, 1, n_sender)
        score = score - slope * distance
        score = torch.where(listens, score, torch.full_like(score, -torch.inf))
        # A softmax that is zero and not undefined where nobody is listened to.
        most = score.amax(dim=-1, keepdim=True).clamp(min=-1e30).detach()
        weight = torch.exp(score - most)
        weight = weight / weight.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        attended = torch.einsum("nrahs,nrshd->nrahd", weight, value)
        width = (n_row, -1, self.width) if self.n_network == 1 else (self.n_network, n_row, self.width)
        return attended.reshape(*width)
