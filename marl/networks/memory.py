"""What recurrent actors remember of every environment's episode, beside the networks that write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from marl.protocol import BoolArray, IntArray


class Memory:
    """One vector for each agent of each environment; zero where an episode begins.

    Attributes:
        hidden: {name: [env, agent, hidden]}, names as the networks' owner has them; empty before the first step and
            where nothing remembers.
    """

    def __init__(self) -> None:
        """Nothing is remembered."""
        self.hidden: dict[str, Tensor] = {}

    def of(self, name: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """What stands under this name; zeros where nothing does, or only of another number of environments."""
        known = self.hidden.get(name)
        return torch.zeros(shape, device=device) if known is None or known.shape != shape else known

    def begin(self, envs: IntArray) -> None:
        """Episodes begin in these environments; where there is one that nothing is known of, in all."""
        for name, hidden in self.hidden.items():
            ended = np.zeros(max(len(hidden), int(np.max(envs, initial=-1)) + 1), dtype=np.bool_)
            ended[envs] = True
            if len(ended) > len(hidden):
                self.hidden = {}
                return
            self.hidden[name] = _without(hidden, ended)

    def begin_where(self, ended: BoolArray) -> None:
        """Episodes begin where this is true, [env]."""
        if self.hidden and ended.any():
            self.hidden = {name: _without(hidden, ended) for name, hidden in self.hidden.items()}

    def state(self) -> dict[str, Any]:
        """What is remembered, copied."""
        return {name: hidden.detach().cpu().clone() for name, hidden in self.hidden.items()}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Goes on from what `state` returned."""
        self.hidden = {name: hidden.to(device) for name, hidden in state.items()}


def _without(hidden: Tensor, ended: BoolArray) -> Tensor:
    # A new tensor: what acting has left behind may have been made in torch's inference mode, where none is changed.
    goes_on = torch.from_numpy(~ended).to(hidden.device).view(-1, *[1] * (hidden.dim() - 1))
    return torch.where(goes_on, hidden, torch.zeros_like(hidden))
