"""What of a controller's actions a policy does, and what agents' numbers tell of them at all.

Where a policy plays, the controller is asked at every interval what it would do there. Of its actions a, by kind of
plants, three shares are found, each 1 - sum (a - b)^2 / sum a^2:

    policy      b is what the policy does
    own         b is linear in what a plant has seen in the last intervals (least squares, a ridge), clipped at -1, 1
    together    b is linear in that and in what all plants see at the same instant

The linear estimates of an episode are fitted on others.

Agents of a kind do nearly the same, so one stands for all in each episode, another one in the next; the first
intervals, which have no past, are left out. A controller that sees more than agents do, as full information does,
cannot be told whole from their numbers: what `own` lacks to one is an estimate of what a plant by itself does not know,
and what `together` lacks of what all plants do not know together. Both are estimates from below, for whoever reads
numbers along episodes in another way may find more. A share below zero is worse than doing nothing: a policy moves
where the controller does not, or an estimate was fitted on too few moves to hold elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.evaluation.contender import BOUND, ComparisonError, resolve
from control.scenario.suites import VALIDATION_SEEDS
from control.task.layout import SIZE
from marl.environment.contenders import learned
from marl.environment.expert import GridExpert
from marl.environment.policy_report import PolicyReport
from marl.networks.policy import Policy
from marl.protocol import Float32Array
from marl.training.imitation import gather

__all__ = ["Explained", "explained"]

PAST = 12  # intervals of its own numbers that a plant looks back over
# Of numbers in units of their spread, chosen on episodes of their own; the last leaves next to nothing of an estimate.
RIDGES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7)
FEWEST = 8  # episodes, two a quarter
MOVED = 0.02  # an action below moves a plant by less than a fiftieth of what it could


@dataclass(frozen=True)
class Explained:
    """Shares of a controller's squared actions, of one kind of plants."""

    moved: float  # of all intervals, those in which it moves such a plant by more than MOVED
    policy: float
    own: float
    together: float


def explained(
    report: PolicyReport, expert: str, n_episodes: int, progress: Callable[[int], Any]
) -> dict[str, Explained]:
    """Plays validation episodes and asks the controller, {kind: shares}.

    Args:
        report: the policy, and where it plays.
        expert: a controller that a comparison knows; one that sees no more numbers than the policy's agents, or the
            grid itself, as full information does.
        n_episodes: how many, FEWEST or more: a quarter is estimated from the others.
        progress: given the number of intervals in all, the progress bar (tqdm's `update`).

    Raises:
        ComparisonError: there is no such controller, it is several, or it sees more numbers than are shown.
        ValueError: there are fewer episodes than FEWEST, or more than there are seeds; or they are shorter than PAST.
        marl.environment.policy_report.ReportError: the policy was trained for other agents, or on another grid.
    """
    if not FEWEST <= n_episodes <= VALIDATION_SEEDS.count:
        raise ValueError(f"n_episodes = {n_episodes}, expected {FEWEST} to {VALIDATION_SEEDS.count}")
    found = resolve(expert, learned)
    if len(found) != 1 or len(found[0].builders) != 1 or found[0].name == BOUND:
        raise ComparisonError(f"{expert} is no single controller that could be asked what it would do")
    shown = report.policy.metadata.get("observation", "default")
    if shown not in SIZE:
        raise ComparisonError(
            f"the policy sees the {shown} observation, expected one of plants by themselves: {', '.join(SIZE)}"
        )
    if found[0].observation not in SIZE:
        raise ComparisonError(f"{expert} sees {found[0].observation} besides, which is not shown here")
    if SIZE[found[0].observation] > SIZE[shown]:
        raise ComparisonError(
            f"{expert} sees the {found[0].observation} observation, which agents that see {shown} do not have"
        )
    batch = report.batch(n_episodes)
    if batch.scenario.n_intervals < 2 * PAST:
        raise ValueError(
            f"n_intervals = {batch.scenario.n_intervals} of {report.scenario}, expected at least {2 * PAST}"
        )
    recorded = _Recorded(report.policy)
    with progress(batch.scenario.n_intervals) as bar:
        told = gather(
            batch,
            GridExpert(found[0], batch),
            cast(Policy, recorded),
            VALIDATION_SEEDS.first + np.arange(n_episodes),
            n_step=batch.scenario.n_intervals,
            led=False,
            on_step=bar.update,
        )
    # Of one round, in double precision: [interval, env, agent, number] of agents that take part.
    running = {kind: mask[0, 0, 0].numpy() for kind, mask in told.in_service.items()}
    seen = {kind: x[0].numpy()[:, :, running[kind]] for kind, x in told.observations.items()}
    wanted = {kind: x[0, ..., 0].double().numpy()[:, :, running[kind]] for kind, x in told.actions.items()}
    together = np.concatenate(list(seen.values()), axis=2)
    return {
        kind: _shares(wanted[kind], recorded.actions(kind)[:, :, agents], seen[kind], together)
        for kind, agents in running.items()
        if agents.any()
    }


class _Recorded:
    """A policy whose actions are kept."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._acted = policy, list[Mapping[str, Float32Array]]()
        self.groups, self.reset = policy.groups, policy.reset

    def act(self, observations: Mapping[str, Float32Array]) -> Mapping[str, Float32Array]:
        """{group: [env, agent, 1]}."""
        self._acted.append(self._policy.act(observations))
        return self._acted[-1]

    def actions(self, kind: str) -> FloatArray:
        """Of a kind of plants, [interval, env, agent]."""
        return np.array([acted[kind][..., 0] for acted in self._acted], dtype=np.float64)


def _shares(wanted: FloatArray, done: FloatArray, own: FloatArray, together: FloatArray) -> Explained:
    """Of one kind.

    Args:
        wanted: what the controller would do, [interval, env, agent].
        done: what the policy does, likewise.
        own: what the agents of the kind see, [interval, env, agent, number].
        together: what all agents see, likewise.
    """
    n_step, n_env, n_agent = wanted.shape
    one = np.arange(n_env), np.arange(n_env) % n_agent
    a, b, seen = wanted[:, *one], done[:, *one], own[:, *one]
    past = np.concatenate([seen[PAST - 1 - k : n_step - k] for k in range(PAST)], axis=2)
    now = together[PAST - 1 :].reshape(n_step - PAST + 1, n_env, -1)
    late = a[PAST - 1 :]
    return Explained(
        moved=float(np.mean(np.abs(late) > MOVED)),
        policy=_share(late, b[PAST - 1 :]),
        own=_share(late, _linear_estimate(late, past)),
        together=_share(late, _linear_estimate(late, np.concatenate([past, now], axis=2))),
    )


def _linear_estimate(wanted: FloatArray, seen: FloatArray) -> FloatArray:
    """Of what is wanted, [interval, env], linear in what is seen, [interval, env, number], clipped.

    Every quarter of the episodes is estimated from the others: one chooses the ridge, two are fitted.
    """
    estimate = np.zeros_like(wanted)
    quarters = np.array_split(np.arange(wanted.shape[1]), 4)
    for k, estimated in enumerate(quarters):
        to_choose = quarters[k - 1]
        to_fit = np.concatenate([quarters[k - 2], quarters[k - 3]])
        mean = seen[:, to_fit].mean(axis=(0, 1), dtype=np.float64)
        # A number that never changes tells nothing.
        spread = seen[:, to_fit].std(axis=(0, 1), dtype=np.float64) + 1e-6

        def rows(envs: IntArray, mean: FloatArray = mean, spread: FloatArray = spread) -> FloatArray:
            x = seen[:, envs].reshape(-1, seen.shape[2])
            return np.column_stack([(x - mean) / spread, np.ones(len(x))])

        x = rows(to_fit)
        squares, products = x.T @ x, x.T @ wanted[:, to_fit].ravel()
        weights = [np.linalg.solve(squares + ridge * np.eye(len(squares)), products) for ridge in RIDGES]
        x, a = rows(to_choose), wanted[:, to_choose].ravel()
        shares = [_share(a, np.clip(x @ w, -1.0, 1.0)) for w in weights]
        best = weights[int(np.argmax(shares))]
        estimate[:, estimated] = np.clip(rows(estimated) @ best, -1.0, 1.0).reshape(len(wanted), -1)
    return estimate


def _share(wanted: FloatArray, done: FloatArray) -> float:
    """Of the squares of one that the other explains; where nothing is wanted, none."""
    whole = float(np.square(wanted).sum())
    return 1.0 - float(np.square(wanted - done).sum()) / whole if whole > 0.0 else 0.0
