"""Actors go on along the gradient of what episodes cost, where the environment can be differentiated.

    d/dtheta  sum_kind log E sum_k cost(s_k, a_k),    a_k = pi_theta(o_k),    s_k+1 = f(s_k, a_k)

by backpropagation through policy, observations and environment, over windows of an episode; what happens behind a
window counts by the environment's own estimate. Exploration needs no noise here, and an action is not praised for what
others have done: where a likelihood-ratio gradient needs a thousand episodes, this one needs a few.

Over many steps such gradients may explode where a controller moves a little too much and back again. So a window is not
longer than it has to be, and its gradient has a bounded norm. A start that swings asks for more: a gradient with
respect to a state is cut, number by number, at a multiple of what is usual among the episodes of the batch. Its
direction is no longer the exact one then, and what few of the episodes tell is lost. A dead zone, which has no slope,
is passed straight through.

References:
    J. Xu et al., Accelerated policy learning with parallel differentiable simulation, ICLR 2022 (short windows).
    Y. Bengio, N. Leonard, A. Courville, Estimating or propagating gradients through stochastic neurons, 2013, sec. 3.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from marl import checkpoint
from marl.networks.memory import Memory
from marl.networks.policy import Policy
from marl.protocol import FloatArray, IntArray

__all__ = ["Differentiable", "Refined", "Refinement", "costs"]

State = TypeVar("State", bound=tuple[Any, ...])

LARGEST_STEP = 1.0  # norm of the gradient of what a window costs, by what it usually does
AVERAGED = 0.02  # least share of the newest actors in the running average, which is what is judged and kept
JUDGED_EVERY = 4  # passes
LEAST_RATE = 0.02  # of the step size at the beginning
SHORTEST_WINDOW = 20  # steps; nothing is learned from a shorter rest


class Differentiable(Protocol[State]):
    """Episodes that are played side by side and can be differentiated by their actions."""

    @property
    def n_interval(self) -> int:
        """Steps of an episode."""

    @property
    def n_env(self) -> int:
        """Episodes."""

    def some(self, envs: IntArray, /) -> Differentiable[State]:
        """Some of them."""

    def begin(self) -> State:
        """At their beginning; a state is a tuple of tensors and of tuples of them."""

    def observe(self, k: int, state: State, /) -> tuple[dict[str, Tensor], Any]:
        """What agents see at step k, {group: [env, agent, number]}, and what `step` is to be handed of it."""

    def step(self, k: int, state: State, seen: Any, action: Mapping[str, Tensor], /) -> tuple[State, Tensor]:
        """Step k with these actions, {group: [env, agent, action]}: the next state, and the cost [env]."""

    def ahead(self, state: State, /) -> Tensor:
        """What a state is expected to cost beyond a window's end, but for a constant, [env]."""


class _StraightThrough(torch.autograd.Function):
    """Zero inside a zone; its slope is taken to be one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, zone: float) -> Tensor:
        return torch.where(x.abs() < zone, torch.zeros_like(x), x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def _usual(gradient: Tensor, multiple: float) -> Tensor:
    """A state's gradient, episodes leading, cut at a multiple of the median of their largest."""
    largest = gradient.abs().flatten(1).amax(dim=1) if gradient.dim() > 1 else gradient.abs()
    most = multiple * float(torch.nan_to_num(largest).median()) + 1e-12
    return torch.nan_to_num(gradient).clamp(-most, most)


def _tensors(state: Any) -> list[Tensor]:
    """All tensors of a state."""
    return [state] if isinstance(state, Tensor) else [x for part in state for x in _tensors(part)]


def _cut_gradients(after: Any, before: Any, multiple: float) -> None:
    """Cuts gradients with respect to what is new in a state; what is only remembered on is cut already."""
    known = {id(x) for x in _tensors(before)}
    new = {id(x): x for x in _tensors(after) if id(x) not in known}
    for x in new.values():
        if x.requires_grad:
            x.register_hook(partial(_usual, multiple=multiple))  # type: ignore[no-untyped-call]


def _detached(state: Any) -> Any:
    """A state without its graph."""
    if isinstance(state, Tensor):
        return state.detach()
    parts = [_detached(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _actions(policy: Policy, seen: Mapping[str, Tensor], memory: Memory) -> dict[str, Tensor]:
    """As `Policy.act`, with the graph to differentiate, {group: [env, agent, action]}."""
    found, config = {}, policy.config
    for position, (name, mean) in enumerate(policy.means(seen, memory).items()):
        action = torch.tanh(mean) if policy.squashed else mean
        if config.soft_zones:
            drawn = (action.abs() - config.soft_zones[position]).clamp(min=0.0)
            action = torch.copysign(drawn, action)
        zone = config.dead_zones[position] if config.dead_zones else config.dead_zone
        found[name] = action if zone == 0.0 else _StraightThrough.apply(action, zone)  # type: ignore[no-untyped-call]
    return found


def _played(
    policy: Policy,
    episodes: Differentiable[Any],
    state: Any,
    memory: Memory,
    first: int,
    last: int,
    cut: float = 0.0,
) -> tuple[Any, Tensor]:
    """Steps from first to before last: the state then, and what they cost, [env]; for `cut` see `Refinement`."""
    cost = torch.zeros(episodes.n_env)
    for k in range(first, last):
        shown, seen = episodes.observe(k, state)
        actions = _actions(policy, shown, memory)
        before = state
        state, more = episodes.step(k, state, seen, actions)
        cost = cost + more
        if cut > 0.0 and torch.is_grad_enabled():
            _cut_gradients((state, tuple(memory.hidden.values())), before, cut)
    return state, cost


@torch.no_grad()
def costs(policy: Policy, episodes: Differentiable[Any]) -> FloatArray:
    """What a policy's deterministic actions cost, [env]."""
    _, cost = _played(policy, episodes, episodes.begin(), Memory(), 0, episodes.n_interval)
    return cost.numpy().astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Refined:
    """What came of it."""

    before: float  # mean cost of the judged episodes, of several kinds the geometric mean of theirs
    after: float  # with the actors that are kept
    at_pass: int  # after which these stood; 0 where no later ones were better


@dataclass(kw_only=True)
class Refinement(Generic[State]):
    """Passes over recorded episodes, each the same whenever it is done."""

    policy: Policy
    learned_from: Sequence[Differentiable[State]]  # a kind each, taken in turn, and all counted alike
    judged_on: Sequence[Differentiable[State]]  # of the same kinds
    passes: int
    n_env: int  # episodes of a pass
    window: int  # steps
    lr: float
    seed: int
    cut: float = 0.0  # of a state's gradient, as a multiple of the median among episodes; 0: none
    save: Callable[[dict[str, Any]], None] | None = None  # is handed what `load` goes on from
    on_pass: Callable[[], None] | None = None
    done: int = 0
    _parameters: list[torch.nn.Parameter] = field(init=False)
    _average: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        # The spread of exploration has no part in what a deterministic action costs.
        self._parameters = [x for name, x in self.policy.named_parameters() if not name.endswith("log_std")]
        self._begun = [x.detach().clone() for x in self._parameters]
        self._average = [x.clone() for x in self._begun]
        self._adam = torch.optim.Adam(self._parameters, lr=self.lr, betas=(0.9, 0.99))
        self._first: list[FloatArray] = []
        self._per_interval: list[float] = []
        self._n_update = 0
        self._best: tuple[float, int, list[Tensor]] = (1.0, 0, self._begun)

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on where `save` was handed this."""
        with torch.no_grad():
            for x, then in zip(self._parameters, state["actors"], strict=True):
                x.copy_(then)
        self._average = list(state["average"])
        self._best = (
            float(state["best"]["ratio"]),
            int(state["best"]["pass"]),
            list(state["best"]["actors"]),
        )
        self._adam.load_state_dict(state["adam"])
        self.done, self._n_update = int(state["done"]), int(state["updates"])

    def _state(self) -> dict[str, Any]:
        ratio, at_pass, actors = self._best
        content: dict[str, Any] = {
            "actors": [x.detach() for x in self._parameters],
            "average": self._average,
            "best": {"ratio": ratio, "pass": at_pass, "actors": actors},
            "adam": self._adam.state_dict(),
            "done": self.done,
            "updates": self._n_update,
        }
        return checkpoint.copied_state(content)

    def run(self) -> Refined:
        """All passes that are left; the policy ends with the average that was best on the judged episodes."""
        now = [x.detach().clone() for x in self._parameters]
        self._put(self._begun)
        self._first = [costs(self.policy, one) for one in self.judged_on]
        self._put(now)
        self._per_interval = [
            float(x.mean()) / one.n_interval for x, one in zip(self._first, self.judged_on, strict=True)
        ]
        while self.done < self.passes:
            self._pass()
            self.done += 1
            if self.done % JUDGED_EVERY == 0 or self.done == self.passes:
                self._judge()
                if self.save is not None:
                    self.save(self._state())
            if self.on_pass is not None:
                self.on_pass()
        ratio, at_pass, actors = self._best
        self._put(actors)
        before = float(np.exp(np.mean([np.log(x.mean()) for x in self._first])))
        return Refined(before=before, after=ratio * before, at_pass=at_pass)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for x, value in zip(self._parameters, values, strict=True):
            x.copy_(value)

    def _judge(self) -> None:
        """Keep the running average if it is the best so far: by the mean log ratio of what each kind costs."""
        now = [x.detach().clone() for x in self._parameters]
        self._put(self._average)
        ratios = [
            np.log(costs(self.policy, one).mean() / first.mean())
            for one, first in zip(self.judged_on, self._first, strict=True)
        ]
        ratio = float(np.exp(np.mean(ratios)))
        if ratio < self._best[0]:
            self._best = (ratio, self.done, [x.clone() for x in self._average])
        self._put(now)

    def _pass(self) -> None:
        """A batch of episodes from beginning to end; windows end elsewhere in every pass."""
        draws = np.random.default_rng([self.seed, self.done])
        which = self.done % len(self.learned_from)
        of = self.learned_from[which]
        episodes = of.some(draws.choice(of.n_env, min(self.n_env, of.n_env), replace=False))
        first = int(draws.integers(self.window))
        ends = sorted({0, episodes.n_interval, *range(first, episodes.n_interval, self.window)})
        if episodes.n_interval < 2 * SHORTEST_WINDOW:  # else both parts may be too short
            ends = [0, episodes.n_interval]
        state, memory = episodes.begin(), Memory()
        rate = max(1.0 - self.done / self.passes, LEAST_RATE)
        for group in self._adam.param_groups:
            group["lr"] = self.lr * rate
        for begin, end in itertools.pairwise(ends):
            if end - begin < min(SHORTEST_WINDOW, self.window, episodes.n_interval):
                with torch.no_grad():
                    state, _ = _played(self.policy, episodes, state, memory, begin, end)
                continue
            state, cost = _played(self.policy, episodes, state, memory, begin, end, self.cut)
            usual = self._per_interval[which] * (end - begin)
            loss = (cost + episodes.ahead(state)).mean() / usual
            self._adam.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, LARGEST_STEP)
            if torch.isfinite(norm):
                self._adam.step()
            self._n_update += 1
            state = _detached(state)
            memory.hidden = {name: x.detach() for name, x in memory.hidden.items()}
            with torch.no_grad():
                for mean, x in zip(self._average, self._parameters, strict=True):
                    mean.lerp_(x, max(AVERAGED, 1.0 / self._n_update))
