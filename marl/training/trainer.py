"""The training loop: collect, estimate, update, evaluate, log, save.

The trainer knows its environment through `marl.protocol` alone. Whatever stops it between two updates, a run
directory holds enough to go on from the last checkpoint bit for bit: weights, optimisers, value units, input
statistics, random generators, the environments themselves and the sums of their half-finished episodes.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from marl import checkpoint
from marl.algorithms.mappo import MAPPO, NonFiniteLoss
from marl.config.training import FIRST_VALIDATION_SEED, TrainingConfig
from marl.networks.normalization import robust_reward
from marl.networks.policy import Policy
from marl.protocol import BatchedEnvironment, FloatArray, IntArray, Observed, Transition
from marl.sampling.episode_statistics import EpisodeSums, mean_over_steps
from marl.sampling.workers import WorkerBatch
from marl.storage.rollout import Rollout, RolloutBuffer
from marl.training.evaluator import Evaluator, EvaluatorBeside, EvaluatorHere, Judge
from marl.training.logger import MetricsLogger
from marl.training.run_state import Progress, RunState, TrainingResult, statistics

CHECKPOINT, BEST, FINAL = "checkpoint_last.pt", "best_model.pt", "final_model.pt"
STATISTICS, DUMP = "training_stats.json", "nonfinite_dump.pt"


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says where the evidence is."""


def training_seeds(seed: int, n_env: int) -> IntArray:
    """One seed per environment, below all validation seeds; environment k's does not depend on how many there are."""
    words = [int(np.random.SeedSequence([seed, k]).generate_state(1, np.uint64)[0]) for k in range(n_env)]
    return np.array([word % FIRST_VALIDATION_SEED for word in words], dtype=np.int64)


class Trainer:
    """Trains one policy in one run directory."""

    def __init__(
        self,
        config: TrainingConfig,
        environment: BatchedEnvironment,
        *,
        directory: Path,
        judge: Judge | None = None,
        resume: bool = False,
        start: Callable[[Policy], None] | None = None,
        metadata: Mapping[str, Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        tensorboard: bool = True,
    ) -> None:
        """Starts a run, or takes one up from its last checkpoint.

        Args:
            config: all settings. environment: `config.n_envs` episodes to train in.
            directory: of the run; made if it is not there.
            judge: plays held-out episodes with a policy, see `marl.environment.held_out`; None never evaluates. To
                evaluate in a process beside the learner (`config.evaluation.eval_process`) it must be picklable.
            resume: continue from the checkpoint in `directory`.
            start: puts weights to begin with into the fresh policy, see `marl.environment.warm_start`; a
            resumed run has its own.
            metadata: what model files should say about their origin.
            on_progress: called after every update.
            tensorboard: write events beside metrics.csv.
        """
        if environment.n_env != config.n_envs:
            raise ValueError(
                f"the environment has {environment.n_env} episodes in parallel, not {config.n_envs}"
            )
        torch.set_num_threads(config.torch_threads)
        self.config = config
        self.environment = environment
        self.judge = judge
        self.directory = directory
        self.on_progress = on_progress
        self.metadata = dict(metadata or {})
        self.device = choose_device(config.device)
        # An environment whose rewards are the agents' own says so; without a word they are the team's.
        self.per_agent_rewards = bool(getattr(environment, "per_agent_rewards", False))
        self.learner = MAPPO(
            config,
            environment.groups,
            environment.state_size,
            per_agent_rewards=self.per_agent_rewards,
            device=self.device,
        )
        self.buffer = RolloutBuffer(
            environment.groups,
            n_step=config.rollout_steps,
            n_env=environment.n_env,
            state_size=environment.state_size,
            n_value=self.learner.n_value,
        )
        self.run_state = RunState()
        self.sums = EpisodeSums(environment.n_env)
        self._evaluator: Evaluator | None = None
        self._judged: dict[str, Any] | None = None  # the policy whose evaluation is under way
        self._stop: str | None = None
        self._saved_update = -1
        directory.mkdir(parents=True, exist_ok=True)
        waiting: list[dict[str, Any]] = []
        if resume:
            self.observation, waiting = self._load_checkpoint()
        else:
            if start is not None:
                self.learner.start_from(start)
            self.observation = environment.reset(training_seeds(config.seed, environment.n_env))
        self.record = MetricsLogger(
            directory,
            tensorboard=tensorboard,
            resume_after=self.run_state.update if resume else None,
            waiting=waiting,
        )

    # -- files ----------------------------------------------------------------

    def _load_checkpoint(self) -> tuple[Observed, list[dict[str, Any]]]:
        """Takes up the run; returns what the environments show, and the rows of metrics that wait."""
        path = self.directory / CHECKPOINT
        content = checkpoint.load(path, "run")
        try:
            self.learner.load_state(content["learner"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise checkpoint.CheckpointError(
                f"{path} was trained with other networks than asked for: {str(error).splitlines()[0]}"
            ) from error
        try:
            self.environment.set_state(content["environment"])
        except ValueError as error:
            raise checkpoint.CheckpointError(f"{path}: {error}") from error
        self.sums.load_state(content["sums"])
        self.run_state = RunState.from_state(content["standing"])
        self._judged = content["judged"]
        return Observed(**content["observed"]), content["waiting"]

    def save_checkpoint(self) -> None:
        """Writes all that an exact resume needs."""
        observed = self.observation
        checkpoint.save(
            self.directory / CHECKPOINT,
            "run",
            {
                "learner": self.learner.state(),
                "policy": self._policy_content(),
                "environment": self.environment.get_state(),
                "observed": {
                    "observations": observed.observations,
                    "state": observed.state,
                    "in_service": observed.in_service,
                },
                "sums": self.sums.state(),
                "standing": self.run_state.state(),
                "judged": self._judged,
                "waiting": self.record.waiting,
            },
        )
        self._saved_update = self.run_state.update

    def _policy_content(self) -> dict[str, Any]:
        policy = self.learner.averaged_policy
        policy.metadata = {
            **self.metadata,
            "scenario": self.config.scenario,
            "observation": self.config.observation,
            "seed": self.config.seed,
            "update": self.run_state.update,
            "steps": self.run_state.steps,
            "eval_return": self.run_state.last_return,
        }
        return policy.content()

    def _save_policy(self, name: str) -> None:
        checkpoint.save(self.directory / name, "policy", self._policy_content())

    # -- the loop -------------------------------------------------------------

    def run(self) -> TrainingResult:
        """Trains until the budget is used up, a signal comes or patience runs out."""
        settings, run_state = self.config.evaluation, self.run_state
        try:
            with self._signals():
                if self._judged is not None:  # the checkpoint came before its end
                    self._begin_evaluation(self._judged)
                elif run_state.update == 0 and run_state.last_return is None and settings.eval_every > 0:
                    began = time.perf_counter()
                    if self._begin_evaluation(self._policy_content()):
                        self._end_evaluation_if_due()
                        self.record.add(0, 0, {})
                    run_state.elapsed_s += time.perf_counter() - began
                while run_state.update < self.config.n_updates and self._stop is None:
                    self._train_once()
                # Before anything is waited for, and also after a signal that came when the last look at it was over.
                if self._saved_update != run_state.update:
                    self.save_checkpoint()
                if self._judged is not None:
                    self._end_evaluation()
                    self.save_checkpoint()
        except Exception:
            self.record.close()  # with the rows that were waiting: they tell why
            raise
        return self._finish()

    def _train_once(self) -> None:
        """A rollout, an update, and what falls due after it."""
        run_state, every = self.run_state, self.config.evaluation.eval_every
        began, before_s = time.perf_counter(), run_state.parts_s()
        rollout, terms = self._collect()
        values = self._learn(rollout)
        if every > 0 and (run_state.update % every == 0 or run_state.update == self.config.n_updates):
            self._begin_evaluation(self._policy_content())
        self._end_evaluation_if_due()
        spent_s = time.perf_counter() - began
        run_state.elapsed_s += spent_s
        values |= self._measured(terms) | self._speeds(before_s, spent_s)
        self.record.add(run_state.update, run_state.steps, values)
        if run_state.update % self.config.checkpoint_every == 0:
            self.save_checkpoint()
        if self.on_progress is not None:
            self.on_progress(Progress.of(run_state, self.config, terms))

    def _collect(self) -> tuple[Rollout, dict[str, float]]:
        """Fills the buffer with the present policy."""
        ppo, run_state = self.config.ppo, self.run_state
        collected: dict[str, list[FloatArray]] = {}
        for _ in range(self.config.rollout_steps):
            t0 = time.perf_counter()
            actions, log_probs = self.learner.act(self.observation)
            if not bool(torch.isfinite(log_probs).all()):
                raise TrainingFailed(
                    f"the policy's actions are no longer finite after {run_state.steps} steps; "
                    f"{self._last_checkpoint()}"
                )
            arrays = {name: x.cpu().numpy() for name, x in actions.items()}
            if ppo.explore_dead_zone:
                arrays = {name: self.learner.policy.apply_dead_zone(name, x) for name, x in arrays.items()}
            t1 = time.perf_counter()
            transition = self.environment.step(arrays)
            t2 = time.perf_counter()
            reward = np.asarray(transition.reward, dtype=np.float64)
            self._check(transition, reward)
            self.buffer.add(
                self.observation,
                actions=actions,
                log_probs=log_probs,
                rewards=self._per_value(robust_reward(reward, ppo.robust_reward, ppo.robust_shape)),
                terminated=np.asarray(transition.terminated),
                truncated=np.asarray(transition.truncated),
                final_observation=transition.final_observation,
            )
            team = reward if reward.ndim == 1 else reward.mean(axis=1)
            for name, x in {"return": team, **transition.terms}.items():
                collected.setdefault(name, []).append(np.asarray(x, dtype=np.float64))
            finished = self.sums.add(transition)
            if finished:
                run_state.add_episodes([float(x) for x in finished["return"]])
            self.observation = transition.observation
            run_state.environment_s += t2 - t1
            run_state.act_s += (t1 - t0) + (time.perf_counter() - t2)
        rollout = self.buffer.rollout(self.observation, self.device)
        return rollout, mean_over_steps(collected, self.config.episode_steps)

    def _check(self, transition: Transition, reward: FloatArray) -> None:
        """Stops where the environment returned something that is not a number, and says where."""
        observed, final = transition.observation, transition.final_observation
        arrays: dict[str, npt.NDArray[Any]] = {
            "reward": reward,
            "state": observed.state,
            **observed.observations,
        }
        if final is not observed:
            arrays |= {f"last {what}": x for what, x in {"state": final.state, **final.observations}.items()}
        for what, x in arrays.items():
            if not np.isfinite(x).all():
                position = np.argwhere(~np.isfinite(x))[0]
                raise TrainingFailed(
                    f"environment {position[0]} returned {what} {x[tuple(position)]} at {position[1:].tolist()} "
                    f"after {self.run_state.steps} steps; {self._last_checkpoint()}"
                )

    def _last_checkpoint(self) -> str:
        path = self.directory / CHECKPOINT
        return f"the last checkpoint is {path}" if path.exists() else "no checkpoint has been written yet"

    def _per_value(self, reward: FloatArray) -> npt.NDArray[np.float32]:
        """Rewards [env] or [env, agent] as [env, value]."""
        if reward.ndim == 1:
            reward = np.repeat(reward[:, None], self.learner.n_value, axis=1)
        if reward.shape[1] != self.learner.n_value:
            raise TrainingFailed(
                f"the environment returned rewards of shape {reward.shape} to a critic with "
                f"{self.learner.n_value} values; rewards per agent need `per_agent_rewards = True`"
            )
        return reward.astype(np.float32)

    def _learn(self, rollout: Rollout) -> dict[str, float]:
        began, run_state = time.perf_counter(), self.run_state
        progress = run_state.update / self.config.n_updates
        before = self.learner.state()
        try:
            values = self.learner.update(rollout, progress)
        except NonFiniteLoss as error:
            path = self.directory / DUMP
            checkpoint.save(path, "dump", dump_content(before, rollout, progress, self.per_agent_rewards))
            raise TrainingFailed(
                f"update {run_state.update + 1}: {error}. {path} reproduces it (marl.training.trainer.replay_dump); "
                f"{self._last_checkpoint()}"
            ) from error
        run_state.update += 1
        run_state.steps += self.config.ppo.buffer_steps
        run_state.update_s += time.perf_counter() - began
        return values

    def _begin_evaluation(self, policy: dict[str, Any]) -> bool:
        """Has a policy judged by held-out episodes, one at a time; False where there are none."""
        if self.judge is None:
            self._judged = None
            return False
        began, settings = time.perf_counter(), self.config.evaluation
        if self._evaluator is None:
            kind = EvaluatorBeside if settings.eval_process else EvaluatorHere
            self._evaluator = kind(self.judge)
        elif self._judged is not None:
            self._end_evaluation()
        seeds = settings.eval_seed + np.arange(settings.eval_episodes, dtype=np.int64)
        self._evaluator.begin(policy, seeds)
        self._judged = policy
        self.record.wait_for(policy["metadata"]["update"])
        self.run_state.evaluation_s += time.perf_counter() - began
        return True

    def _end_evaluation_if_due(self) -> None:
        """Takes in an evaluation that is over, or waits for it where what comes next depends on it."""
        if self._judged is None or self._evaluator is None:
            return
        needed = self.config.evaluation.patience > 0 or self.run_state.update == self.config.n_updates
        if needed or self._evaluator.is_ready():
            began = time.perf_counter()
            self._end_evaluation()
            self.run_state.evaluation_s += time.perf_counter() - began

    def _end_evaluation(self) -> None:
        """Waits for the evaluation and keeps its policy if it is the best so far; patience may run out."""
        run_state, policy, patience = self.run_state, self._judged, self.config.evaluation.patience
        assert self._evaluator is not None
        assert policy is not None
        terms = self._evaluator.finish()
        update, score = policy["metadata"]["update"], float(terms["return"].mean())
        if not math.isfinite(score):
            raise TrainingFailed(f"the held-out episodes returned {score} after update {update}")
        if run_state.judge(score, update):
            policy["metadata"]["eval_return"] = score
            checkpoint.save(self.directory / BEST, "policy", policy)
        best = run_state.best_return
        assert best is not None
        found = {f"eval/{name}": float(x.mean()) for name, x in terms.items()} | {"eval/best_return": best}
        self.record.complete(update, found)
        self._judged = None
        if 0 < patience <= run_state.evaluations_without_gain:
            self._stop = f"no better policy in {patience} evaluations"

    def _measured(self, terms: Mapping[str, float]) -> dict[str, float]:
        """Tags of what the rollout measured."""
        values = {f"grid/{name}": x for name, x in terms.items() if name != "return"}
        values["train/return"] = terms["return"]
        if self.run_state.recent_returns:
            values["train/episode_return"] = float(np.mean(self.run_state.recent_returns))
        values["train/episodes"] = float(self.run_state.episodes_finished)
        return values

    def _speeds(self, before_s: Mapping[str, float], spent_s: float) -> dict[str, float]:
        """Steps per second of this update, over all and by the parts that every update has."""
        n = self.config.ppo.buffer_steps
        parts = {part: total - before_s[part] for part, total in self.run_state.parts_s().items()}
        parts.pop("evaluation")
        speeds = {f"time/steps_per_s_{part}": n / spent for part, spent in parts.items() if spent > 0}
        return {"time/steps_per_s": n / spent_s} | speeds

    def close(self) -> None:
        """Ends the processes of environments and evaluation, where there are any."""
        if isinstance(self.environment, WorkerBatch):
            self.environment.close()
        if self._evaluator is not None:
            self._evaluator.close()

    def _finish(self) -> TrainingResult:
        run_state = self.run_state
        finished = run_state.update >= self.config.n_updates
        reason = self._stop or "all episodes trained"
        self._save_policy(FINAL)
        if run_state.best_return is None:  # nothing was evaluated: the last is the best there is
            self._save_policy(BEST)
        report = statistics(run_state, self.config, finished=finished, reason=reason)
        text = json.dumps(report, indent=2) + "\n"
        checkpoint.write_atomically(self.directory / STATISTICS, text.encode("utf-8"))
        self.record.close()
        return TrainingResult(
            finished=finished,
            reason=reason,
            update=run_state.update,
            steps=run_state.steps,
            best_return=run_state.best_return,
            best_update=run_state.best_update,
            last_return=run_state.last_return,
            statistics=report,
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the run after the present update; a second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop is not None:
                raise KeyboardInterrupt
            self._stop = f"stopped by {signal.Signals(number).name}"

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def choose_device(name: str) -> torch.device:
    """auto: cuda where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingFailed("--device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device(name)


def dump_content(
    before: Mapping[str, Any], rollout: Rollout, progress: float, per_agent: bool
) -> dict[str, Any]:
    """What `replay_dump` needs: the learner before the update that failed, and what it was to learn from."""
    return {
        "learner": before,
        "rollout": {name: getattr(rollout, name) for name in Rollout.__dataclass_fields__},
        "progress": progress,
        "per_agent_rewards": per_agent,
    }


def replay_dump(path: Path, config: TrainingConfig, environment: BatchedEnvironment) -> dict[str, float]:
    """Runs the update of a dump again, which raises `NonFiniteLoss` as it did."""
    content = checkpoint.load(path, "dump")
    learner = MAPPO(
        config, environment.groups, environment.state_size, per_agent_rewards=content["per_agent_rewards"]
    )
    learner.load_state(content["learner"])
    return learner.update(Rollout(**content["rollout"]), content["progress"])


def load_policy_of_run(directory: Path) -> Policy:
    """The policy of a run's last checkpoint."""
    content = checkpoint.load(directory / CHECKPOINT, "run")
    return Policy.from_content(content["policy"])
