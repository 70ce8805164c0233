"""Where a run stands: what it counts, what it reports after each update, and what it says when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from marl.config.training import TrainingConfig

RECENT_EPISODES = 100


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says where the evidence is."""


@dataclass(kw_only=True)
class RunState:
    """Counters of a run; they travel in its checkpoints."""

    update: int = 0
    steps: int = 0
    episodes_finished: int = 0
    elapsed_s: float = 0.0
    best_return: float | None = None  # of the evaluations on held-out episodes
    best_update: int = 0
    last_return: float | None = None
    evaluations_without_gain: int = 0
    environment_s: float = 0.0
    act_s: float = 0.0
    update_s: float = 0.0
    evaluation_s: float = 0.0  # that the learner waited for
    recent_returns: list[float] = field(default_factory=list)  # of training episodes, the last hundred

    def add_episodes(self, returns: list[float]) -> None:
        """Counts finished training episodes."""
        self.episodes_finished += len(returns)
        self.recent_returns = (self.recent_returns + returns)[-RECENT_EPISODES:]

    def judge(self, score: float, update: int) -> bool:
        """Takes in the evaluation of the policy after this update; says whether it is the best so far."""
        self.last_return = score
        if self.best_return is None or score > self.best_return:
            self.best_return, self.best_update, self.evaluations_without_gain = score, update, 0
            return True
        self.evaluations_without_gain += 1
        return False

    def parts_s(self) -> dict[str, float]:
        """Seconds spent so far, by part of the loop."""
        return {
            "environment": self.environment_s,
            "act": self.act_s,
            "update": self.update_s,
            "evaluation": self.evaluation_s,
        }

    def state(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunState:
        """From what `state` returned."""
        return cls(**state)


def speeds(
    run_state: RunState, before_s: Mapping[str, float], *, n_step: int, spent_s: float
) -> dict[str, float]:
    """Steps per second of one update, over all and by the parts that every update has, by tag.

    Args:
        run_state: after the update.
        before_s: `parts_s` before it.
        n_step: steps of the update, over all environments.
        spent_s: seconds it took.
    """
    parts = {part: total - before_s[part] for part, total in run_state.parts_s().items()}
    parts.pop("evaluation")
    by_part = {f"time/steps_per_s_{part}": n_step / spent for part, spent in parts.items() if spent > 0}
    return {"time/steps_per_s": n_step / spent_s} | by_part


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands after an update."""

    update: int
    n_updates: int
    steps: int
    total_steps: int
    episodes: float  # worth of episodes, by steps
    steps_per_s: float
    time_left_s: float
    terms: Mapping[str, float]  # of this update's rollout, at an episode's length; `return` among them
    eval_return: float | None  # of the last evaluation
    best_return: float | None

    @classmethod
    def of(cls, run_state: RunState, config: TrainingConfig, terms: Mapping[str, float]) -> Progress:
        """As a run with this state and configuration reports it.

        Args:
            run_state: after the update.
            config: all settings.
            terms: means of the update's steps, by name.
        """
        rate = run_state.steps / run_state.elapsed_s if run_state.elapsed_s > 0 else 0.0
        total = config.n_updates * config.ppo.buffer_steps
        return cls(
            update=run_state.update,
            n_updates=config.n_updates,
            steps=run_state.steps,
            total_steps=total,
            episodes=run_state.steps / config.episode_steps,
            steps_per_s=rate,
            time_left_s=(total - run_state.steps) / rate if rate > 0 else float("inf"),
            terms=terms,
            eval_return=run_state.last_return,
            best_return=run_state.best_return,
        )


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a run ended."""

    finished: bool  # False where a signal or early stopping ended it before its budget
    reason: str
    update: int
    steps: int
    best_return: float | None
    best_update: int
    last_return: float | None
    statistics: Mapping[str, Any]  # training_stats.json


def statistics(run_state: RunState, config: TrainingConfig, *, finished: bool, reason: str) -> dict[str, Any]:
    """training_stats.json: how the run went, and how far its last policy is from its best."""
    best, last = run_state.best_return, run_state.last_return
    behind = None
    if best is not None and last is not None and best != 0.0:
        behind = 100.0 * (best - last) / abs(best)
    parts = {"overall": run_state.elapsed_s} | run_state.parts_s()
    return {
        "finished": finished,
        "reason": reason,
        "updates": run_state.update,
        "steps": run_state.steps,
        "episodes": run_state.steps / config.episode_steps,
        "episodes_finished": run_state.episodes_finished,
        "elapsed_s": run_state.elapsed_s,
        "time_s": run_state.parts_s(),
        "steps_per_s": {
            part: run_state.steps / spent if spent > 0 else None
            for part, spent in parts.items()
            if part != "evaluation"
        },
        "recent_episode_return_mean": float(np.mean(run_state.recent_returns))
        if run_state.recent_returns
        else None,
        "best_return": best,
        "best_update": run_state.best_update,
        "last_return": last,
        "last_behind_best_percent": behind,
        "config": asdict(config),
    }
