"""Settings of off-policy learning: the replay, how it is drawn from, and soft actor-critic on it.

Step sizes, discount, gradient clipping, value loss and what rewards are turned into are those of `PPOConfig`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from marl.config.check import require, require_within

MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig:
    """What `--algorithm masac` is told beside the settings that all algorithms share."""

    # Steps kept for replay, over all environments; they travel in checkpoints, on the grid 2 kB each.
    replay_steps: int = 100_000
    # Transitions gathered before anything is learned.
    replay_first: int = 2_000
    # Transitions in one gradient step.
    replay_batch: int = 256
    # Gradient steps after each step of all environments.
    gradient_steps: int = 8
    # Steps of reward before the critic's own value takes over (Hessel et al., 2018).
    n_step: int = 3
    # Exponent of the priorities: 0 draws all alike (Schaul et al., 2016, eq. 1).
    priority_exponent: float = 0.6
    # Exponent of the importance weights at the beginning; it rises linearly to 1 at the end of training.
    importance_exponent: float = 0.4
    # Share by which target critics follow at each gradient step.
    polyak: float = 0.005
    # Temperature of the entropy at the beginning, in units of the spread of returns; it is tuned from then on.
    temperature: float = 0.01
    # Entropy that the temperature is tuned to, per component of an agent's action (Haarnoja et al., 2018b: -1).
    entropy_target: float = -1.0

    def __post_init__(self) -> None:
        for name in ("replay_steps", "replay_first", "replay_batch", "gradient_steps", "n_step"):
            require_within(self, name, 1, MOST_STEPS, "on the grid a step takes 2 kB, so many 20 GB")
        for name in ("priority_exponent", "importance_exponent"):
            require(0 <= getattr(self, name) <= 1, f"{name} = {getattr(self, name)}, expected in [0, 1]")
        require(0 < self.polyak <= 1, f"polyak = {self.polyak}, expected above 0, at most 1")
        require(
            self.temperature > 0 and math.isfinite(self.temperature),
            f"temperature = {self.temperature}, expected > 0",
        )
        require(
            math.isfinite(self.entropy_target), f"entropy_target = {self.entropy_target}, expected finite"
        )
        require(
            self.replay_first <= self.replay_steps,
            f"replay_first = {self.replay_first}, expected at most replay_steps = {self.replay_steps}",
        )
