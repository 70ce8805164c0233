"""Evaluation while training: when one is due, the best policy so far, and when patience runs out.

At most one evaluation is under way. Beside the learner it may still be playing when a checkpoint is written, so the
policy that it judges travels there, and a resumed run has it judged anew. So it goes too where a signal ends the run:
nobody waits for held-out episodes then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from marl import checkpoint
from marl.config.evaluation import EvaluationConfig
from marl.training.evaluator import (
    EvaluationStopped,
    Evaluator,
    EvaluatorBeside,
    EvaluatorHere,
    Judge,
)
from marl.training.logger import MetricsLogger
from marl.training.run_directory import BEST
from marl.training.run_state import RunState, TrainingFailed
from marl.training.stop_request import StopRequest

LOOK_S = 0.1  # between two looks at whether the run is to end


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
        """Has a policy's content judged, one at a time; False where there are no held-out episodes.

        Where another is under way it is waited for; a signal ends that, and this one is left to `begin_again`.
        """
        if self._judge is None:
            self.policy = None
            return False
        began, settings = time.perf_counter(), self._settings
        if self._evaluator is None:
            self._evaluator = (
                EvaluatorBeside(self._judge)
                if settings.eval_process
                else EvaluatorHere(self._judge, lambda: self._stop.is_urgent)
            )
        elif self.policy is not None:
            self._logger.wait_for(policy["metadata"]["update"])
            if not self._has_come():
                return True
            self.end()
        assert settings.eval_seed is not None  # named by the trainer where the configuration did not
        seeds = settings.eval_seed + np.arange(settings.eval_episodes, dtype=np.int64)
        with suppress(EvaluationStopped):  # it stays under way
            self._evaluator.begin(policy, seeds)
        self.policy = policy
        self._logger.wait_for(policy["metadata"]["update"])
        self._run_state.evaluation_s += time.perf_counter() - began
        return True

    def begin_again(self, policy: dict[str, Any], n_updates: int) -> None:
        """What was under way when the checkpoint was written, and what fell due while that was waited for.

        Args:
            policy: content of the one that the run goes on with.
            n_updates: of the whole run.
        """
        earlier = self.policy
        if earlier is None:
            return
        self.begin(earlier)
        # Had it begun, it would be the one under way.
        if earlier["metadata"]["update"] < self._run_state.update and self.is_due(n_updates):
            self.begin(policy)

    def end_if_due(self, n_updates: int) -> None:
        """Takes in an evaluation that is over, or waits for it where what comes next depends on it.

        Waiting ends with a signal; the evaluation stays under way then, for the checkpoint.
        """
        if self.policy is None or self._evaluator is None:
            return
        needed = self._settings.patience > 0 or self._run_state.update == n_updates
        began = time.perf_counter()
        if self._evaluator.is_ready() or (needed and self._has_come()):
            self.end()
        self._run_state.evaluation_s += time.perf_counter() - began

    def _has_come(self) -> bool:
        """Waits until the evaluation is over; False where the run is to end before."""
        assert self._evaluator is not None
        while not self._stop.is_urgent:
            if self._evaluator.is_ready(LOOK_S):
                return True
        return self._evaluator.is_ready()

    def end_unless_stopped(self) -> bool:
        """Waits for the evaluation that is under way, if there is one; whether it was taken in."""
        if self.policy is None or self._evaluator is None or not self._has_come():
            return False
        self.end()
        return True

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
