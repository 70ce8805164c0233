"""Exploring actions of plain actors: torch's noise, compiled kernels for all the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from marl.kernels.exploration import Noise, explore
from marl.networks.actor import Actor, ActorSet
from marl.networks.plain import flat_array
from marl.protocol import Float32Array, IntArray


class Exploration:
    """Draws the actions of all actors at once, and keeps in mind where what stands for a number of environments."""

    def __init__(self, actors: ActorSet) -> None:
        """Of actors that are all plain when they are asked."""
        self.actors = actors
        self._heads = {head: actor for head, actor in actors.heads.items() if isinstance(actor, Actor)}
        self._n_env = -1
        self._own = self._common = torch.empty(0)
        self._draws: list[tuple[Tensor, Tensor]] = []  # of each group, where its noise and the group's go
        self._slices: dict[str, slice] = {}  # of each head, in all mean actions
        self._table: IntArray = np.empty((0, 5), dtype=np.int64)

    def _lay_out(self, n_env: int) -> None:
        groups = self.actors.groups
        # Not in inference mode: what is kept may be written to at any time.
        with torch.inference_mode(False):
            self._own = torch.empty(n_env * sum(g.n_agent * g.action_size for g in groups))
            self._common = torch.empty(n_env * sum(g.action_size for g in groups))
        self._draws = list(
            zip(
                torch.split(self._own, [n_env * g.n_agent * g.action_size for g in groups]),
                torch.split(self._common, [n_env * g.action_size for g in groups]),
                strict=True,
            )
        )
        rows, start, spread = {}, 0, 0
        for head, served in self.actors.head_groups.items():
            n_action = served[0].action_size
            row, first = sum(g.n_agent for g in served) * n_action, 0
            for g in served:
                rows[g.name] = (g.n_agent, n_action, start + first, row, spread)
                first += g.n_agent * n_action
            self._slices[head] = slice(start, start + n_env * row)
            start, spread = start + n_env * row, spread + n_action
        self._table = np.array([rows[g.name] for g in groups], dtype=np.int64)
        self._n_env = n_env

    def draw(self, n_env: int, correlation: float, generator: torch.Generator) -> None:
        """Draws the noise of one step, in the same numbers and portions as without kernels.

        Args:
            n_env: environments.
            correlation: share of the noise's variance that the agents of a group have in common.
            generator: of the noise.
        """
        if n_env != self._n_env:
            self._lay_out(n_env)
        for own, common in self._draws:
            torch.randn(len(own), generator=generator, out=own)
            if correlation > 0.0:
                torch.randn(len(common), generator=generator, out=common)

    def noise(self) -> Float32Array:
        """A copy of the noise of one step, [env, component]: agents' own, group by group, and the groups' common."""
        columns = [x.view(self._n_env, -1) for pair in zip(*self._draws, strict=True) for x in pair]
        return torch.cat(columns, dim=1).numpy()

    def put_noise(self, noise: Float32Array) -> None:
        """Takes the noise of one step from what `noise` returned, or from rows of it."""
        if len(noise) != self._n_env:
            self._lay_out(len(noise))
        places = [x.view(self._n_env, -1) for pair in zip(*self._draws, strict=True) for x in pair]
        given = torch.from_numpy(noise)
        for place, part in zip(places, torch.split(given, [x.shape[1] for x in places], dim=1), strict=True):
            place.copy_(part)

    def sample(
        self, observations: Mapping[str, Tensor], correlation: float, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Unclipped actions by group [env, agent, action] and their log-probabilities [env, all agents].

        Args:
            observations: raw, group -> [env, agent, observation].
            correlation: share of the noise's variance that the agents of a group have in common.
            generator: of the noise.
        """
        self.draw(next(iter(observations.values())).shape[0], correlation, generator)
        return self.explored(observations, correlation)

    def explored(
        self, observations: Mapping[str, Tensor], correlation: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """As `sample`, with the noise that was drawn or put last."""
        inputs = self.actors.scale(observations)
        n_env = next(iter(inputs.values())).shape[0]
        mean = torch.empty(len(self._own))
        numbers = mean.numpy()
        by_head = {}
        for head, actor in self._heads.items():
            place = self._slices[head]
            actor.plain.write_outputs(inputs[head], numbers[place])
            by_head[head] = mean[place].view(n_env, inputs[head].shape[1], -1)
        log_std = np.concatenate([flat_array(actor.log_std) for actor in self._heads.values()])
        log_probs = torch.empty(n_env, int(self._table[:, 0].sum()))
        noise = Noise(own=self._own.numpy(), common=self._common.numpy(), correlation=correlation)
        explore(numbers, log_std, noise, self._table, flat_array(log_probs))
        return self.actors.split(by_head), log_probs
