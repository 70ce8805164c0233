"""The grid as environments: the batch of the learner, PettingZoo and Gymnasium. Only this folder of `marl`
knows the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marl.environment.batch import ActionError, GridBatch, make_batch

if TYPE_CHECKING:
    from marl.environment.pettingzoo_env import GridParallelEnv, parallel_env

__all__ = ["ActionError", "GridBatch", "GridParallelEnv", "make_batch", "parallel_env"]


def __getattr__(name: str) -> Any:
    """PettingZoo's face of the grid, imported when it is asked for: gymnasium takes a third of a second.

    Raises:
        AttributeError: there is nothing of this name.
    """
    if name in ("GridParallelEnv", "parallel_env"):
        from marl.environment import pettingzoo_env

        return getattr(pettingzoo_env, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
