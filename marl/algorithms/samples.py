"""From a rollout to the samples that an update of actors and critic learns from; shared by on-policy algorithms."""

from __future__ import annotations

import torch
from torch import Tensor

from marl.algorithms.advantage import generalized_advantages
from marl.algorithms.losses import explained_variance
from marl.algorithms.reward_shaping import RewardShaping, start_value_normaliser
from marl.networks.actor import ActorSet
from marl.networks.critic import Critic
from marl.networks.memory import Memory
from marl.storage.rollout import Batch, Rollout


@torch.no_grad()
def samples_of(
    rollout: Rollout,
    actors: ActorSet,
    critic: Critic,
    shaping: RewardShaping,
    memory: Memory | None = None,
) -> tuple[Batch, dict[str, float]]:
    """Samples with shaped advantages and normalised targets; moves the critic's value normaliser.

    Args:
        rollout: as it was gathered.
        actors: that gathered it.
        critic: as it is before the update.
        shaping: what rewards and advantages are turned into.
        memory: of a critic that has one, carried on to the next rollout.

    Returns:
        The samples, one for each step of each environment, and diagnostics by tag.
    """
    ppo = shaping.config
    rewards = shaping.of_rollout(rollout.rewards)
    counted = shaping.counted(rollout.in_service)
    normaliser, gamma = critic.value_normaliser, shaping.discount(rewards.device)
    if ppo.normalize_values:
        start_value_normaliser(normaliser, critic.columns, rewards, counted, rollout.terminated, gamma=gamma)
    critic_hidden: dict[str, Tensor] = {}
    final_values: Tensor | None = None
    if critic.remembers:
        assert memory is not None
        values, final_values, critic_hidden = critic.remembered_values(rollout, memory)
    else:
        values = critic.values(rollout.observations, rollout.state)
        if len(rollout.truncated_step):
            final_values = critic.values(rollout.final_observations, rollout.final_state)
    next_values = values[1:].clone()
    if final_values is not None:
        next_values[rollout.truncated_step, rollout.truncated_env] = final_values
    values = values[:-1]
    estimated = generalized_advantages(
        rewards=rewards,
        values=values,
        next_values=next_values,
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        gamma=gamma,
        gae_lambda=shaping.trace(rollout.in_service),
    )
    diagnostics = {
        "train/explained_variance": explained_variance(values, estimated.returns, counted),
        "train/advantage_std": float(estimated.advantages.std(unbiased=False)),
    }
    if ppo.normalize_values:
        critic.update_value_normaliser(estimated.returns, counted)
    diagnostics["train/value_mean"] = float(normaliser.mean.mean())
    diagnostics["train/value_std"] = float(normaliser.std.mean())
    advantages = shaping.of_agents(estimated.advantages, shaping.acted_on(rollout.in_service))
    agent_slices = actors.agent_slices()

    def flat(x: Tensor) -> Tensor:
        return x.reshape(-1, *x.shape[2:])

    def by_head(x: Tensor) -> dict[str, Tensor]:
        return {head: flat(x[..., s]).contiguous() for head, s in agent_slices.items()}

    observations = {name: flat(x[:-1]) for name, x in rollout.observations.items()}
    batch = Batch(
        actor_inputs=actors.scale(observations),
        critic_inputs=critic.scale(observations, flat(rollout.state[:-1])),
        actions=actors.gather({name: flat(x) for name, x in rollout.actions.items()}),
        log_probs=by_head(rollout.log_probs),
        weights=by_head(rollout.in_service.to(torch.float32)),
        advantages=by_head(advantages),
        returns=critic.normalize(flat(estimated.returns)),
        values=critic.normalize(flat(values)),
        value_weights=flat(counted.to(torch.float32)),
        hidden=actors.gather({name: flat(x) for name, x in rollout.hidden.items()}) if rollout.hidden else {},
        critic_hidden={name: flat(x) for name, x in critic_hidden.items()},
        continues=flat(rollout.continues),
    )
    return batch, diagnostics
