"""A team's policy by itself: what acts in evaluation, and what a model file holds.

Whoever plays a policy calls `reset` where episodes begin and `act` at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from marl import checkpoint
from marl.config.check import ConfigError
from marl.config.network import LATER, NetworkConfig
from marl.networks.actor import ActorSet, log_density
from marl.networks.exploration import Exploration
from marl.networks.memory import Memory
from marl.protocol import AgentGroup, Float32Array, IntArray, Messages


class Policy(nn.Module):
    """Decentralised actors of all groups; every agent acts on its own observation."""

    def __init__(
        self,
        groups: tuple[AgentGroup, ...],
        config: NetworkConfig,
        metadata: Mapping[str, Any] | None = None,
        *,
        squashed: bool = False,
    ) -> None:
        """Fresh actors.

        Args:
            groups: of agents.
            config: of the networks.
            metadata: what the model file should say about where the policy comes from.
            squashed: an action is tanh of what the actors give, as soft actor-critic learns it; else it is clipped.

        Raises:
            ConfigError: there is not a dead zone for each group.
        """
        super().__init__()
        if config.soft_zones and len(config.soft_zones) != len(groups):
            raise ConfigError(
                f"soft_zones = {config.soft_zones}, expected one for each of {[g.name for g in groups]}"
            )
        if config.dead_zones and len(config.dead_zones) != len(groups):
            raise ConfigError(
                f"dead_zones = {config.dead_zones}, expected one for each of {[g.name for g in groups]}"
            )
        self.groups = groups
        self.config = config
        self.squashed = squashed
        # What the file should say about where the policy comes from: scenario, observation, score.
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.actors = ActorSet(groups, config)
        self._exploration = Exploration(self.actors)
        self._memory = Memory()  # of the episodes that `act` plays

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        # Of a tensor as good as any, found without a walk through all modules.
        return self.actors.log_std_index.device

    def observations_to_tensors(self, observations: Mapping[str, Float32Array]) -> dict[str, Tensor]:
        """{group: [env, agent, observation]} on the policy's device, sizes checked.

        Raises:
            ValueError: a group is missing, or its observations have another shape than in training.
            TypeError: they do not come by group.
        """
        if not isinstance(observations, Mapping):
            raise TypeError(
                f"a policy was shown an object of type {type(observations).__name__}, expected a mapping with an array "
                f"for each of {', '.join(g.name for g in self.groups)}"
            )
        tensors, device = {}, self.device
        for g in self.groups:
            if g.name not in observations:
                raise ValueError(f"no observations for group {g.name!r}, only for {sorted(observations)}")
            x = np.asarray(observations[g.name], dtype=np.float32)
            if x.shape[1:] != (g.n_agent, g.observation_size):
                raise ValueError(
                    f"observations of group {g.name!r} have shape {x.shape}, "
                    f"expected [env, {g.n_agent}, {g.observation_size}]"
                )
            tensors[g.name] = torch.from_numpy(x).to(device)
        return tensors

    def reset(self, envs: IntArray, seeds: IntArray) -> None:
        """Episodes with these seeds begin in these environments: a policy with a memory forgets what was before."""
        self._memory.begin(envs)

    @torch.inference_mode()
    def act(self, observations: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """Deterministic actions in [-1, 1]: the mean, with the zones around zero; [env, agent, action].

        A memory is carried on from the last call, see `reset`.
        """
        means = self.means(self.observations_to_tensors(observations), self._memory)
        actions = {}
        for name, mean in means.items():
            if self.squashed:
                mean = torch.tanh(mean)
            drawn = self.apply_soft_zone(name, mean.cpu().numpy())
            actions[name] = np.clip(self.apply_dead_zone(name, drawn), -1.0, 1.0)
        return actions

    def apply_soft_zone(self, group: str, action: Float32Array) -> Float32Array:
        """Actions of a group drawn towards zero: sign(a) max(|a| - s, 0)."""
        if not self.config.soft_zones:
            return action
        position = next(i for i, g in enumerate(self.groups) if g.name == group)
        zone = np.float32(self.config.soft_zones[position])
        return np.copysign(np.maximum(np.abs(action) - zone, np.float32(0.0)), action)

    def explored(self, actions: Mapping[str, Float32Array], *, dead_zone: bool) -> dict[str, Float32Array]:
        """What environments are given of exploring actions as they were drawn, by group.

        Args:
            actions: {group: [env, agent, action]}.
            dead_zone: those inside the dead zone become zero as well.
        """
        found = {name: self.apply_soft_zone(name, x) for name, x in actions.items()}
        return {name: self.apply_dead_zone(name, x) for name, x in found.items()} if dead_zone else found

    def apply_dead_zone(self, group: str, action: Float32Array) -> Float32Array:
        """Actions of a group with those inside its dead zone made zero."""
        position = next(i for i, g in enumerate(self.groups) if g.name == group)
        dead_zone = self.config.dead_zones[position] if self.config.dead_zones else self.config.dead_zone
        return np.where(np.abs(action) < dead_zone, np.float32(0.0), action)

    def means(self, observations: Mapping[str, Tensor], memory: Memory | None = None) -> dict[str, Tensor]:
        """Mean actions by group, [env, agent, action]; a memory is carried on, None is that of a first step."""
        return self.actors.split(self.actors.means(self.actors.scale(observations), memory))

    @torch.inference_mode()
    def sample(
        self,
        observations: Mapping[str, Tensor],
        *,
        noise_correlation: float,
        generator: torch.Generator,
        memory: Memory | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Unclipped actions by group [env, agent, action] and their log-probabilities [env, all agents].

        The agents of a group share part of their noise: z = sqrt(rho) z_group + sqrt(1 - rho) z_agent. Each
        agent's own distribution stays the standard normal, so its log-probability is that of its Gaussian. A memory is
        carried on.
        """
        if self.actors.plain:
            return self._exploration.sample(observations, noise_correlation, generator)
        means = list(self.means(observations, memory).values())
        # From here on every component of every agent's action is a column: a few operations on one matrix instead of
        # many on small ones, which cost as much as the networks do.
        noise = []
        for g, mean in zip(self.groups, means, strict=True):
            z = torch.randn(*mean.shape, generator=generator)
            if noise_correlation > 0.0:
                common = torch.randn(mean.shape[0], 1, g.action_size, generator=generator)
                z = z.mul_((1.0 - noise_correlation) ** 0.5).add_(common, alpha=noise_correlation**0.5)
            noise.append(z.flatten(1))
        mean = torch.cat([x.flatten(1) for x in means], dim=1)
        log_std = self.actors.log_std_columns()
        action = mean + log_std.exp() * torch.cat(noise, dim=1).to(mean.device)
        density = log_density(action, mean, log_std)
        if any(g.action_size > 1 for g in self.groups):
            density = torch.cat([x.sum(-1) for x in self._by_group(density).values()], dim=1)
        return self._by_group(action), density

    def _by_group(self, columns: Tensor) -> dict[str, Tensor]:
        """[env, column] -> {group: [env, agent, action]}."""
        pieces = torch.split(columns, [g.n_agent * g.action_size for g in self.groups], dim=1)
        return {
            g.name: piece.reshape(-1, g.n_agent, g.action_size)
            for g, piece in zip(self.groups, pieces, strict=True)
        }

    def content(self) -> dict[str, Any]:
        """Everything `from_content` needs, as plain data."""
        network = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.config).items()}
        return {
            "groups": [_described(g) for g in self.groups],
            "network": network,
            "squashed": self.squashed,
            "metadata": self.metadata,
            "weights": {name: x.detach().cpu().clone() for name, x in self.state_dict().items()},
        }

    def save(self, path: Path) -> None:
        """Write a model file, whole or not at all.

        Args:
            path: of the file.

        Raises:
            CheckpointError: it cannot be written.
        """
        checkpoint.save(path, "policy", self.content())

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Policy:
        """The policy that `content` describes, ready to act on the CPU.

        Raises:
            KeyError: a part or a setting is missing.
            RuntimeError: the weights are of another network.
            ValueError: a weight is not a finite number.
        """
        groups = tuple(_group(g) for g in content["groups"])
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content["network"].items()
        }
        missing = [f.name for f in fields(NetworkConfig) if f.name not in (*settings, *LATER)]
        if missing:  # a default of today may not be what it was trained with
            raise KeyError(f"network setting {missing[0]}")
        network = NetworkConfig(**settings)
        # Files of before there was a choice do not say it.
        policy = cls(groups, network, content["metadata"], squashed=bool(content.get("squashed", False)))
        policy.load_state_dict(content["weights"])
        for name, x in policy.state_dict().items():
            if not torch.isfinite(x).all():
                raise ValueError(f"{name} holds what is no finite number")
        return policy.eval()

    @classmethod
    def load(cls, path: Path | str) -> Policy:
        """The policy of a model file, ready to act on the CPU.

        Raises:
            CheckpointError: the file cannot be read, or holds no policy of this version.
        """
        content = checkpoint.load(Path(path), "policy")
        try:
            return cls.from_content(content)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines() or [type(error).__name__]
            raise checkpoint.CheckpointError(
                f"{path} does not describe a policy of this version: {' '.join(line.strip() for line in reason)}"
            ) from error


def _described(group: AgentGroup) -> dict[str, Any]:
    """A group as plain data; what it has not, is not named, as in files from before it could."""
    known = {**asdict(group), "agents": list(group.agents)}
    if group.messages is None:
        del known["messages"]
    if group.held_steps == 1:
        del known["held_steps"]
    return known


def _group(known: Mapping[str, Any]) -> AgentGroup:
    """The group that `_described` told of."""
    messages = known.get("messages")
    if messages is not None:
        distance = tuple(tuple(float(x) for x in row) for row in messages["distance"])
        messages = Messages(size=messages["size"], distance=distance)
    return AgentGroup(**{**known, "agents": tuple(known["agents"]), "messages": messages})
