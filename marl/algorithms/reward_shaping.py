"""Everything that shapes a reward or an advantage, in the order in which a reward goes through it.

What the environment pays is reported as it is. What is learned from it is shaped in these steps, each with its setting
in `marl.config.ppo.PPOConfig`:

    1. robust reward       r <- sign(r) c (1 + ln(|r| / c)) beyond |r| = c        `robust_reward`, `robust_shape`
    2. one per value       [env] or [env, agent] -> [env, value]                  `per_value`
    3. scale               r <- s r                                               `reward_scale`
    4. value normaliser    the critic learns (V - mu) / sigma; first guess of     `normalize_values`
                           mu and sigma here, then moved by returns with the
                           critic's last layer rescaled (PopArt,
                           `marl.networks.normalization.ValueNormaliser`)
    5. advantages          A = sum (gamma lambda)^k delta, `advantage.py`         `gamma`, `gae_lambda`
    6. normalised          A <- (A - mean A) / std A over [step, env]             `normalize_advantages`
    7. one per agent       [step, env, value] -> [step, env, agent]               `RewardShaping.of_agents`

Steps 1 and 2 happen as rewards arrive, the others when a whole rollout is learned from. Rewards and values of an agent
that is out of service do not count anywhere: `RewardShaping.counted`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marl.config.ppo import PPOConfig
from marl.networks.normalization import ValueNormaliser
from marl.protocol import FloatArray

__all__ = [
    "RewardShaping",
    "first_guess",
    "normalized",
    "per_value",
    "robust_reward",
    "start_value_normaliser",
]

# With gamma = 1 the first guess of a value's size counts this share of it as carried on per step.
LONGEST_MEMORY = 0.999


def robust_reward(reward: FloatArray, threshold: float, shape: str = "root") -> FloatArray:
    """Keeps rare large rewards from drowning the everyday ones; the threshold c = 0 leaves all as they are.

        r' = r                               |r| <= c
        r' = sign(r) (2 sqrt(c |r|) - c)     |r| > c, shape "root"
        r' = sign(r) c (1 + ln(|r| / c))     |r| > c, shape "log"

    Value and slope are continuous at c, and larger rewards stay larger. For r = -k x^2 the root is -k times
    Huber's function of x: quadratic for small deviations, linear for large ones.

    Args:
        reward: r, any shape.
        threshold: c, in the reward's unit, 0 or more.
        shape: "root" or "log".

    Reference:
        P. J. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964.
    """
    if threshold == 0.0:
        return reward
    size = np.abs(reward)
    beyond = np.maximum(size, threshold)
    grown = 2.0 * np.sqrt(threshold * beyond) - threshold
    if shape == "log":
        grown = threshold * (1.0 + np.log(beyond / threshold))
    return np.where(size <= threshold, reward, np.sign(reward) * grown)


def per_value(reward: FloatArray, n_value: int) -> npt.NDArray[np.float32]:
    """The team's reward [env] or the agents' own [env, agent], one for each value of the critic.

    A team's reward is every agent's where the critic values each agent by itself.

    Returns:
        Shape [env, value].

    Raises:
        ValueError: there are neither one reward nor as many as values.
    """
    if reward.ndim == 1:
        reward = np.repeat(reward[:, None], n_value, axis=1)
    if reward.shape[1] != n_value:
        raise ValueError(
            f"the environment returned rewards of shape {reward.shape} to a critic with {n_value} values; "
            "rewards per agent need `per_agent_rewards = True`"
        )
    return reward.astype(np.float32)


def first_guess(rewards: Tensor, terminated: Tensor, gamma: float) -> tuple[float, float]:
    """Mean and standard deviation of returns, from rewards alone, before there are returns to speak of.

        mean = E[r] / (1 - c)        std = Std[r] / sqrt(1 - c^2)        c = gamma (1 - share terminated)

    the moments of a discounted sum of independent rewards. A fresh critic then starts at the size of its
    task, and rewards in other units (a r + b) give the same normalised values from the first step on.

    Args:
        rewards: r of one output, shape [sample].
        terminated: boolean, any shape.
        gamma: discount per step.
    """
    carried = gamma * (1.0 - float(terminated.to(torch.float64).mean()))
    carried = min(carried, LONGEST_MEMORY)
    r = rewards.double()
    std = float(r.std(unbiased=False)) / math.sqrt(1.0 - carried**2)
    return float(r.mean() / (1.0 - carried)), std if std > 0.0 else 1.0


def start_value_normaliser(
    normaliser: ValueNormaliser,
    columns: Tensor,
    rewards: Tensor,
    counted: Tensor,
    terminated: Tensor,
    *,
    gamma: float | Tensor,
) -> None:
    """Sets the critic's units to the first guess, where nothing has been learned yet; afterwards does nothing.

    Args:
        normaliser: of the critic.
        columns: output of the critic that each value belongs to, shape [value].
        rewards: shape [step, env, value].
        counted: samples that count, boolean, same shape.
        terminated: boolean, shape [step, env].
        gamma: discount per step; a number, or one for each value, [value].
    """
    if bool((normaliser.weight > 0).any()):
        return
    for column in range(len(normaliser.mean)):
        mine = columns == column
        own = rewards[..., mine][counted[..., mine]]
        if own.numel() > 0:
            of_column = float(gamma[mine][0]) if isinstance(gamma, Tensor) else gamma
            normaliser.mean[column], normaliser.std[column] = first_guess(own, terminated, of_column)


def normalized(x: Tensor, counted: Tensor) -> Tensor:
    """Advantages to zero mean and unit variance over [step, env], each column of the last axis by itself.

        A' = (A - mean A) / std A

    Args:
        x: A, shape [step, env, value].
        counted: boolean, same shape; False for what does not count, such as agents out of service.
    """
    weight = counted.to(torch.float64)
    n = weight.sum(dim=(0, 1)).clamp(min=1.0)
    mean = (x.double() * weight).sum(dim=(0, 1)) / n
    centred = x.double() - mean
    std = ((centred.square() * weight).sum(dim=(0, 1)) / n).sqrt()
    # A column without spread carries no preference: its normalised advantages are zero, not noise blown up.
    scale = torch.where(std > 1e-8 * (1.0 + mean.abs()), 1.0 / std, torch.zeros_like(std))
    return (centred * scale).to(x.dtype)


@dataclass(frozen=True, kw_only=True)
class RewardShaping:
    """The steps as one run is set up to take them."""

    config: PPOConfig
    n_agent: int
    n_value: int  # 1 for the team, or one for each agent

    def of_step(self, reward: FloatArray) -> npt.NDArray[np.float32]:
        """Steps 1 and 2: rewards as they arrive, [env] or [env, agent], to [env, value].

        Raises:
            ValueError: the number of rewards fits neither the team nor the critic's values.
        """
        return per_value(
            robust_reward(reward, self.config.robust_reward, self.config.robust_shape), self.n_value
        )

    def of_rollout(self, rewards: Tensor) -> Tensor:
        """Step 3: rewards as they were kept, scaled, [step, env, value]."""
        return rewards * self.config.reward_scale

    def counted(self, in_service: Tensor) -> Tensor:
        """Which values count, boolean [step, env, value]: an agent's own while it is in service, the team's always.

        Args:
            in_service: boolean, shape [step, env, agent].
        """
        if self.n_value == self.n_agent > 1:
            return in_service
        return torch.ones(*in_service.shape[:2], self.n_value, dtype=torch.bool, device=in_service.device)

    def discount(self, device: torch.device) -> float | Tensor:
        """Gamma per step, of all values or of each, [value]."""
        return self.config.gamma

    def trace(self, in_service: Tensor) -> float | Tensor:
        """Lambda of advantage estimation, the same everywhere or that between each step and the next.

        Args:
            in_service: boolean, shape [step, env, agent].

        Returns:
            A number, or shape [step, env, value].
        """
        return self.config.gae_lambda

    def acted_on(self, in_service: Tensor) -> Tensor:
        """Which advantages an actor learns from, and are normalised together, boolean [step, env, value]."""
        return self.counted(in_service)

    def of_agents(self, advantages: Tensor, counted: Tensor) -> Tensor:
        """Steps 6 and 7: advantages [step, env, value] to what each agent's actor learns from, [step, env, agent]."""
        if self.config.normalize_advantages:
            advantages = normalized(advantages, counted)
        return advantages.expand(*advantages.shape[:2], self.n_agent)
