"""Settings of proximal policy optimisation: optimisers, advantages, losses, and what rewards are turned into."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from marl.config.check import require, require_within

MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """The update: clipped surrogate, advantage estimation, value loss and optimisers."""

    # Adam's step size for the actors.
    lr_actor: float = 1e-3
    # Adam's step size for the critic.
    lr_critic: float = 1e-3
    # Both fall linearly to this fraction of themselves at the end of training; 1 keeps them.
    lr_final_fraction: float = 0.0
    # Discount per step; 0.96 looks 25 steps ahead. Longer horizons let gas take over sooner from batteries that fill or
    # empty, but drown an action's consequences in everything else that happens.
    gamma: float = 0.96
    # Discount per step of a slow layer's values (hierarchical): what it decides is held for a minute and tells within
    # many; 0.995 looks 200 steps ahead.
    slow_gamma: float = 0.995
    # Lambda of generalised advantage estimation (Schulman et al., 2016).
    gae_lambda: float = 0.9
    # Half-width of the clipped probability ratio (Schulman et al., 2017).
    clip: float = 0.2
    # Updates at the beginning in which only the critic learns: actors that begin with a good policy would lose it to
    # the advantages of a critic that knows nothing yet.
    critic_first_updates: int = 0
    # Weight of the entropy bonus.
    entropy_coef: float = 0.0
    # It falls linearly to this fraction of itself at the end of training.
    entropy_final_fraction: float = 1.0
    # Weight of the value loss.
    value_coef: float = 0.5
    # Largest gradient norm, for each network by itself.
    max_grad_norm: float = 0.5
    # Steps gathered for one update, over all environments.
    buffer_steps: int = 2048
    # Steps in one minibatch.
    minibatch_steps: int = 512
    # Steps of the sequences that networks with a memory learn from, gradients included; they divide a rollout.
    sequence_steps: int = 16
    # Steps before a sequence that only bring its memory up to date with weights that have moved meanwhile
    # (Kapturowski et al., 2019); none before a rollout's first step.
    burn_in_steps: int = 4
    # Passes over the buffer in one update.
    epochs: int = 5
    # Normalise advantages over the buffer, each reward's by itself.
    normalize_advantages: bool = True
    # Learn normalised values, the last layer rescaled when mean and spread move (PopArt, van Hasselt et al., 2016).
    normalize_values: bool = True
    # Weight of the past in the statistics of returns, per update.
    value_norm_decay: float = 0.9
    # Squared error, or Huber's: quadratic up to huber_delta, linear beyond.
    value_loss: Literal["squared", "huber"] = "huber"
    # Of the values the critic learns, normalised ones by default.
    huber_delta: float = 10.0
    # Clip value updates to +-clip around the old value (Yu et al., 2022, sec. 5.1).
    clip_value: bool = False
    # End an update after an epoch whose mean KL divergence exceeds 1.5 times this; 0 never does.
    target_kl: float = 0.0
    # Share of exploration noise that the agents of a type have in common; marginals stay as they are.
    noise_correlation: float = 0.8
    # Which density stands in the ratio where noise is shared: each agent's own (an update preconditioned by the noise's
    # correlation, with less variance, and biased where one network serves agents that see different things) or the
    # joint one of the type, agents out of service left out. See marl/algorithms/joint_density.py.
    exploration_density: Literal["marginal", "joint"] = "marginal"
    # Exploring actions inside the dead zone become zero as well, so that what is learned from is what is evaluated.
    explore_dead_zone: bool = False
    # What the logarithm of the spread ends at or below: the bound falls linearly from log_std_init. Moves cost in
    # proportion to their size, and what is best under much noise is not what is best without; none leaves the spread to
    # what is learned.
    log_std_final: float | None = None
    # Robust reward: beyond this size a reward no longer grows in proportion; 0 leaves it as it is. On the grid 60 is
    # 30 mHz rms at all buses: rare events count, and do not drown the everyday. With 20 learning is quicker at first,
    # outages are answered worse, and what was good on the whole may be lost again.
    robust_reward: float = 60.0
    # It grows with its root (Huber's cost of the root), or with its logarithm, which tames penalties too.
    robust_shape: Literal["root", "log"] = "log"
    # Weight of the past, per update, in the average of the actors that is evaluated and saved; 0 saves the last.
    policy_average: float = 0.98
    # Factor on rewards before learning; matters only where values and advantages are not normalised.
    reward_scale: float = 1.0
    # Violations of limits a step that are allowed for: what is more is charged at a price that finds itself, a
    # Lagrangian multiplier; none charges nothing beside the reward.
    violation_budget: float | None = None
    # Rate of that price, per update and violation a step.
    violation_rate: float = 1.0

    def __post_init__(self) -> None:
        require(
            self.violation_budget is None or 0 <= self.violation_budget < math.inf,
            f"violation_budget = {self.violation_budget}, expected >= 0",
        )
        require(
            self.violation_rate > 0 and math.isfinite(self.violation_rate),
            f"violation_rate = {self.violation_rate}, expected > 0",
        )
        for name in ("lr_actor", "lr_critic", "clip", "max_grad_norm", "huber_delta", "reward_scale"):
            value = getattr(self, name)
            require(value > 0 and math.isfinite(value), f"{name} = {value}, expected > 0")
        for name in ("entropy_coef", "value_coef", "target_kl", "robust_reward"):
            value = getattr(self, name)
            require(value >= 0 and math.isfinite(value), f"{name} = {value}, expected >= 0")
        for name in (
            "gamma",
            "slow_gamma",
            "gae_lambda",
            "lr_final_fraction",
            "entropy_final_fraction",
            "noise_correlation",
        ):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} = {value}, expected in [0, 1]")
        require(
            self.log_std_final is None or math.isfinite(self.log_std_final),
            f"log_std_final = {self.log_std_final}, expected finite",
        )
        require(
            self.exploration_density == "marginal" or self.noise_correlation < 1,
            f"noise_correlation = {self.noise_correlation}, which has no joint density: expected below 1",
        )
        require(
            0 <= self.value_norm_decay < 1, f"value_norm_decay = {self.value_norm_decay}, expected in [0, 1)"
        )
        require(0 <= self.policy_average < 1, f"policy_average = {self.policy_average}, expected in [0, 1)")
        require(
            self.critic_first_updates >= 0,
            f"critic_first_updates = {self.critic_first_updates}, expected >= 0",
        )
        require(self.burn_in_steps >= 0, f"burn_in_steps = {self.burn_in_steps}, expected >= 0")
        require_within(self, "buffer_steps", 1, MOST_STEPS, "on the grid a step takes 2 kB, so many 20 GB")
        for name in ("minibatch_steps", "sequence_steps", "epochs"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1")
        require(
            self.buffer_steps % self.minibatch_steps == 0,
            f"minibatch_steps = {self.minibatch_steps} does not divide buffer_steps = {self.buffer_steps}",
        )
