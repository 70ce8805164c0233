"""Gradient steps of plain actors and a plain critic by compiled kernels, without a trip to memory between layers.

The same step as torch's, from the same samples: loss, gradient, clipping and Adam of each network by itself. torch
remains the reference; sums are rounded in another order, so results agree to single precision and not to the bit.
Weights are torch's parameters and moments stand in torch's optimisers, so either may go on where the other stopped.

Networks know nothing of each other's samples, so several threads may work on them at a time, each on one network as a
whole: how many they are changes no sum, and so no bit.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from marl.algorithms.algorithm import NonFiniteLoss, not_finite
from marl.config.ppo import PPOConfig
from marl.kernels.adam import Step, adam_step
from marl.kernels.gradient import Loss, Samples, gradient
from marl.kernels.perceptron import zeros
from marl.networks.actor import Actor, ActorSet
from marl.networks.critic import Critic
from marl.networks.plain import FlatParameters, PlainNetwork, flat_array
from marl.protocol import Float32Array, FloatArray, IntArray
from marl.storage.rollout import Batch


def n_thread_of(asked: int, n_network: int) -> int:
    """Threads that an update takes.

    Args:
        asked: by the configuration; 0 leaves it to the machine: as many as there are processors, but one in a process
            that is itself one of several, such as a run of a study.
        n_network: that learn; more threads would have nothing to do.
    """
    if multiprocessing.parent_process() is not None:
        n_free = 1
    elif hasattr(os, "sched_getaffinity"):  # what this process may use; macOS and Windows do not tell
        n_free = len(os.sched_getaffinity(0))
    else:
        n_free = os.cpu_count() or 1
    return min(asked or n_free, n_network)


class FlatAdam:
    """Moments and steps of one network in torch's optimiser, as flat memory."""

    def __init__(self, flat: FlatParameters, optimizer: torch.optim.Optimizer) -> None:
        self.flat, self.optimizer = flat, optimizer
        self._moments = {name: torch.zeros(flat.size) for name in ("exp_avg", "exp_avg_sq")}
        first, second = (flat_array(memory) for memory in self._moments.values())
        self._arrays = (first, second)
        self._steps: list[Tensor] = []

    def begin(self) -> None:
        """Brings together what the optimiser holds: after its first step or a loaded state that lies elsewhere."""
        for name, memory in self._moments.items():
            for parameter, view in zip(self.flat.parameters, self.flat.shaped(memory), strict=True):
                state = self.optimizer.state[parameter]
                if name not in state:
                    state.setdefault("step", torch.tensor(0.0))
                    view.zero_()
                elif state[name].data_ptr() != view.data_ptr():
                    view.copy_(state[name])
                state[name] = view
        self._steps = [self.optimizer.state[parameter]["step"] for parameter in self.flat.parameters]

    def step(self, parameters: Float32Array, slope: Float32Array, scale: float) -> None:
        """One step of the flat parameters along their gradient times a number."""
        settings = self.optimizer.param_groups[0]
        torch._foreach_add_(self._steps, 1.0)
        n_step = float(self._steps[0])
        beta1, beta2 = settings["betas"]
        numbers = Step(
            scale=scale,
            beta1=beta1,
            beta2=beta2,
            step_size=settings["lr"] / (1.0 - beta1**n_step),
            root_correction=math.sqrt(1.0 - beta2**n_step),
            eps=settings["eps"],
        )
        adam_step(parameters, slope, self._arrays, numbers)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured of one network on one minibatch."""

    loss: float
    kl: float
    outside: float  # share of ratios outside the clipping range
    norm: float  # of the gradient


class FusedNetwork:
    """One network that learns: its kernels' view, its gradient and its part of an optimiser."""

    def __init__(self, plain: PlainNetwork, optimizer: torch.optim.Optimizer) -> None:
        self.plain = plain
        self.slope = zeros(plain.flat.size)  # the last gradient, flat in the order of `plain.flat`
        self._adam = FlatAdam(plain.flat, optimizer)
        self._network = plain.network
        self._measured: FloatArray = np.zeros(4)

    def begin(self) -> None:
        """Takes weights and moments from where they are now; until the last step nobody may move them elsewhere."""
        self._network = self.plain.network
        self._adam.begin()

    def gradient(self, samples: Samples, index: IntArray, loss: Loss) -> Found:
        """Loss and gradient on the samples at these positions."""
        gradient(self._network, self.plain.room, samples, index, loss, (self.slope, self._measured))
        lost, kl, outside, norm = self._measured.tolist()
        return Found(loss=lost, kl=kl, outside=outside, norm=norm)

    def step(self, found: Found, max_grad_norm: float) -> None:
        """One step of Adam along the last gradient, whose norm is clipped as torch clips it."""
        scale = min(max_grad_norm / (found.norm + 1e-6), 1.0)
        self._adam.step(self._network.parameters, self.slope, scale)


class FusedUpdate:
    """Gradient steps of all actors and the critic."""

    def __init__(
        self,
        actors: ActorSet,
        critic: Critic,
        optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
        config: PPOConfig,
        *,
        n_thread: int = 1,
    ) -> None:
        """Of networks that `serves` names.

        Args:
            actors: all of them.
            critic: a central one.
            optimizers: of actors and critic.
            config: of the update.
            n_thread: that work on networks at a time; 0 as many as `n_thread_of` finds.
        """
        self.config = config
        self.actors = {
            head: FusedNetwork(actor.plain, optimizers[0])
            for head, actor in actors.heads.items()
            if isinstance(actor, Actor)
        }
        self.critic = FusedNetwork(critic.plain["state"], optimizers[1])
        n_thread = n_thread_of(n_thread, len(self.actors) + 1)
        self._threads = ThreadPoolExecutor(n_thread, "update") if n_thread > 1 else None
        self._samples: dict[str, Samples] = {}
        self._of_critic: Samples | None = None

    @staticmethod
    def serves(actors: ActorSet, critic: Critic) -> bool:
        """Whether all networks are plain and the critic is central; if not, torch learns."""
        plain = critic.plain.get("state")  # none has a critic per group, or one that remembers
        return actors.plain and plain is not None and plain.serves

    def begin(self, batch: Batch) -> None:
        """Takes in the samples that the next steps learn from; networks that it has none of stay as they are."""

        def flat(x: Tensor) -> Float32Array:
            return flat_array(x.contiguous())

        self._samples, self._of_critic = {}, None
        for head in batch.weights:
            self.actors[head].begin()
            self._samples[head] = Samples(
                inputs=flat(batch.actor_inputs[head]),
                targets=flat(batch.actions[head]),
                before=flat(batch.log_probs[head]),
                advantages=flat(batch.advantages[head]),
                weights=flat(batch.weights[head]),
                n_agent=batch.weights[head].shape[1],
            )
        if not batch.critic_inputs:
            return
        self.critic.begin()
        self._of_critic = Samples(
            inputs=flat(batch.critic_inputs["state"]),
            targets=flat(batch.returns),
            before=flat(batch.values),
            advantages=zeros(0),
            weights=flat(batch.value_weights),
            n_agent=1,
        )

    def learn_from(self, index: Tensor, entropy_coef: float) -> dict[str, float]:
        """One gradient step on the samples at these positions; diagnostics by tag.

        Raises:
            NonFiniteLoss: a loss or a gradient is not finite; no weight has moved then.
            RuntimeError: no samples have been taken in.
        """
        found = self.gradients(index, entropy_coef)
        measured = self.measured(found)
        if not all(math.isfinite(x.loss) and math.isfinite(x.norm) for x in found.values()):
            raise NonFiniteLoss(not_finite(measured))
        self.step(found)
        return measured

    def gradients(self, index: Tensor, entropy_coef: float) -> dict[str, Found]:
        """Loss and gradient of every network on the samples at these positions; the critic's is called critic_state.

        Raises:
            RuntimeError: no samples have been taken in.
        """
        if self._of_critic is None and not self._samples:
            raise RuntimeError("there are no samples to learn from: call begin first")
        ppo = self.config
        positions = index.numpy()
        policy = Loss(policy=True, clip=ppo.clip, coefficient=entropy_coef, huber_delta=math.inf)
        value = Loss(
            policy=False,
            clip=ppo.clip if ppo.clip_value else math.inf,
            coefficient=ppo.value_coef,
            huber_delta=ppo.huber_delta if ppo.value_loss == "huber" else math.inf,
        )
        work: dict[str, Callable[[], Found]] = {
            head: partial(self.actors[head].gradient, samples, positions, policy)
            for head, samples in self._samples.items()
        }
        if self._of_critic is not None:
            work["critic_state"] = partial(self.critic.gradient, self._of_critic, positions, value)
        if self._threads is None or len(work) == 1:
            return {name: one() for name, one in work.items()}
        # The longest first, so that the last to begin are short; a thread that is free takes the next.
        under_way = {
            name: self._threads.submit(work[name]) for name in sorted(work, key=self._size, reverse=True)
        }
        return {name: under_way[name].result() for name in work}

    def _size(self, name: str) -> int:
        """Parameters times rows of a sample: what a network's gradient takes, nearly."""
        if name == "critic_state":
            return self.critic.plain.flat.size
        return self.actors[name].plain.flat.size * self._samples[name].n_agent

    def measured(self, found: Mapping[str, Found]) -> dict[str, float]:
        """Diagnostics by tag of what `gradients` found."""
        n_agent = sum(samples.n_agent for samples in self._samples.values())
        tags = {"train/kl": 0.0}
        if "critic_state" in found:
            tags["loss/value"] = found["critic_state"].loss
        for head, samples in self._samples.items():
            tags[f"loss/policy_{head}"] = found[head].loss
            tags[f"train/kl_{head}"] = found[head].kl
            tags[f"train/clip_fraction_{head}"] = found[head].outside
            tags["train/kl"] += found[head].kl * samples.n_agent / n_agent
        return tags | {f"train/gradient_norm_{name}": of_one.norm for name, of_one in found.items()}

    def step(self, found: Mapping[str, Found]) -> None:
        """Networks take their step along the gradients that were found last."""
        for name, of_one in found.items():
            network = self.critic if name == "critic_state" else self.actors[name]
            network.step(of_one, self.config.max_grad_norm)
