"""Evaluation while training: when one is due, the best policy so far, and when patience runs out.

At most one evaluation is under way. Beside the learner it may still be playing when a checkpoint is written, so the
policy that it judges travels there, and a resumed run has it judged anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from marl import checkpoint
from marl.config.evaluation import EvaluationConfig
from marl.training.evaluator import Evaluator, EvaluatorBeside, EvaluatorHere, Judge
from marl.training.logger import MetricsLogger
from marl.training.run_directory import BEST
from marl.training.run_state import RunState, TrainingFailed
from marl.training.stop_request import StopRequest


class Evaluation:
    """The evaluations of one run.

    Attributes:
        policy: the content of the one that is judged at present; None where no evaluation is under way.
    """

    def __init__(
        self,
        judge: Judge | None,
        settings: EvaluationConfig,
        directory: Path,
        run_state: RunState,
        logger: MetricsLogger,
        stop: StopRequest,
        under_way: dict[str, Any] | None = None,
    ) -> None:
        """Builds nothing before the first evaluation.

        Args:
            judge: plays held-out episodes; None never evaluates.
            settings: how often and what.
            directory: of the run, which receives the best policy.
            run_state: counts what is found.
            logger: has rows wait for it.
            stop: is told when patience runs out.
            under_way: the policy that a checkpoint found being judged, for `begin` to hand in once more.
        """
        self.policy = under_way
        self._judge, self._settings, self._directory = judge, settings, directory
        self._run_state, self._logger, self._stop = run_state, logger, stop
        self._evaluator: Evaluator | None = None

    def is_due(self, n_updates: int) -> bool:
        """Whether the policy after this update of so many is to be judged."""
        update, every = self._run_state.update, self._settings.eval_every
        return every > 0 and (update % every == 0 or update == n_updates)

    def begin(self, policy: dict[str, Any]) -> bool:
        """Has a policy's content judged, one at a time; False where there are no held-out episodes."""
        if self._judge is None:
            self.policy = None
            return False
        began, settings = time.perf_counter(), self._settings
        if self._evaluator is None:
            kind = EvaluatorBeside if settings.eval_process else EvaluatorHere
            self._evaluator = kind(self._judge)
        elif self.policy is not None:
            self.end()
        assert settings.eval_seed is not None  # named by the trainer where the configuration did not
        seeds = settings.eval_seed + np.arange(settings.eval_episodes, dtype=np.int64)
        self._evaluator.begin(policy, seeds)
        self.policy = policy
        self._logger.wait_for(policy["metadata"]["update"])
        self._run_state.evaluation_s += time.perf_counter() - began
        return True

    def end_if_due(self, n_updates: int) -> None:
        """Takes in an evaluation that is over, or waits for it where what comes next depends on it."""
        if self.policy is None or self._evaluator is None:
            return
        needed = self._settings.patience > 0 or self._run_state.update == n_updates
        if needed or self._evaluator.is_ready():
            began = time.perf_counter()
            self.end()
            self._run_state.evaluation_s += time.perf_counter() - began

    def end(self) -> None:
        """Waits for the evaluation and keeps its policy if it is the best so far; patience may run out.

        Raises:
            TrainingFailed: the episodes returned something that is no number.
        """
        assert self._evaluator is not None
        assert self.policy is not None
        policy, self.policy = self.policy, None
        self._take_in(policy, self._evaluator.finish())

    def _take_in(self, policy: dict[str, Any], terms: Mapping[str, Any]) -> None:
        run_state, patience = self._run_state, self._settings.patience
        update, score = policy["metadata"]["update"], float(terms["return"].mean())
        if not math.isfinite(score):
            raise TrainingFailed(f"the held-out episodes returned {score} after update {update}")
        if run_state.judge(score, update):
            policy["metadata"]["eval_return"] = score
            checkpoint.save(self._directory / BEST, "policy", policy)
        best = run_state.best_return
        assert best is not None
        found = {f"eval/{name}": float(x.mean()) for name, x in terms.items()} | {"eval/best_return": best}
        self._logger.complete(update, found)
        if 0 < patience <= run_state.evaluations_without_gain:
            self._stop.reason = f"no better policy in {patience} evaluations"

    def close(self) -> None:
        """Ends the process beside the learner and lets go of the episodes; a second time does no harm."""
        if self._evaluator is not None:
            self._evaluator.close()
            self._evaluator = None
