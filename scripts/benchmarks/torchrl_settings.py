"""Hyper-parameters with which TorchRL's MAPPO is tried on this grid; needs no TorchRL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All that is chosen; the unit of all counts is the step of one environment, as in `marl.config.training`."""

    n_env: int = 64
    buffer_steps: int
    minibatch_steps: int
    epochs: int
    learning_rate: float
    falls: bool  # linearly, to nothing at the end of the budget
    gamma: float
    gae_lambda: float = 0.9
    clip: float = 0.2
    entropy: float
    max_grad_norm: float
    spread: float  # of a fresh policy's actions, before they are squashed
    layer_norm: bool  # LayerNorm and ReLU behind a hidden layer, or Tanh alone
    value_norm: bool  # `PopArtValueNorm` in the value loss
    reward_scale: float = 1.0  # `RewardScaling`
    robust_reward: float = 0.0  # beyond it a reward grows with its logarithm; 0: all are as they are
    last_gain: float = 1.0  # by which the actors' last layer begins smaller
    actor_hidden: tuple[int, ...] = (128, 128)  # as in the default training here
    critic_hidden: tuple[int, ...] = (256, 256)


SETTINGS: Mapping[str, Setting] = {
    # TorchRL's multi-agent PPO tutorial; 64 environments x 94 steps in place of 60 x 100.
    "tutorial": Setting(
        buffer_steps=6016,
        minibatch_steps=400,
        epochs=30,
        learning_rate=3e-4,
        falls=False,
        gamma=0.99,
        entropy=1e-4,
        max_grad_norm=1.0,
        spread=1.0,
        layer_norm=False,
        value_norm=False,
    ),
    # The default training here, as far as TorchRL has parts for it. Rewards of a step are hundreds on most days and
    # thousands in the worst: they are cut and scaled so that the values of a good policy are of order one.
    "recipe": Setting(
        buffer_steps=2048,
        minibatch_steps=512,
        epochs=5,
        learning_rate=1e-3,
        falls=True,
        gamma=0.96,
        entropy=0.0,
        max_grad_norm=0.5,
        spread=0.35,
        layer_norm=True,
        value_norm=True,
        reward_scale=0.005,
        robust_reward=60.0,
        last_gain=0.01,
    ),
}
