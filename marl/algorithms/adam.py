"""torch's Adam as it is, entered beside the doors that torch.compile has put before it.

Those doors import the graph compiler, some 900 modules and more than a second, before the first parameter is taken
in; nothing here is compiled as a graph. Behind them stands the same arithmetic, so results are the same bit for bit.
Where another version of torch has no such doors, its own methods are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _behind(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself where a decorator keeps it, as functools.wraps does."""
    inner: Callable[..., Any] = getattr(method, "__wrapped__", method)
    return inner


class Adam(torch.optim.Adam):
    """Kingma & Ba, Adam: a method for stochastic optimization, ICLR 2015."""

    add_param_group = _behind(torch.optim.Optimizer.add_param_group)
    zero_grad = _behind(torch.optim.Optimizer.zero_grad)
    state_dict = _behind(torch.optim.Optimizer.state_dict)
    load_state_dict = _behind(torch.optim.Optimizer.load_state_dict)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients; the loss is not evaluated again."""
        _behind(torch.optim.Adam.step)(self, closure)
