"""The training loop: collect, estimate, update, evaluate, log, save.

The trainer knows its environment through `marl.protocol` alone. Whatever stops it between two updates, a run
directory holds enough to go on from the last checkpoint bit for bit: weights, optimisers, value units, input
statistics, random generators, the environments themselves and the sums of their half-finished episodes.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from marl import checkpoint
from marl.agent import MAPPO, NonFiniteLoss
from marl.buffer import Rollout, RolloutBuffer
from marl.config import FIRST_VALIDATION_SEED, TrainingConfig
from marl.episodes import EpisodeSums, mean_over_steps, play
from marl.normalization import robust_reward
from marl.policy import Policy
from marl.protocol import BatchedEnvironment, FloatArray, IntArray, Observed
from marl.record import Record

RECENT_EPISODES = 100
CHECKPOINT, BEST, FINAL = "checkpoint_last.pt", "best_model.pt", "final_model.pt"
STATISTICS, DUMP = "training_stats.json", "nonfinite_dump.pt"


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says where the evidence is."""


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


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a run ended."""

    finished: bool  # False where a signal or early stopping ended it before its budget
    reason: str
    update: int
    steps: int
    best_return: float | None
    last_return: float | None
    statistics: Mapping[str, Any] = field(default_factory=dict)


def training_seeds(seed: int, n_env: int) -> IntArray:
    """One seed per environment; environment k's does not depend on how many there are."""
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
        make_evaluation: Callable[[], BatchedEnvironment] | None = None,
        resume: bool = False,
        metadata: Mapping[str, Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        tensorboard: bool = True,
    ) -> None:
        if environment.n_env != config.n_envs:
            raise ValueError(
                f"the environment has {environment.n_env} episodes in parallel, not {config.n_envs}"
            )
        torch.set_num_threads(config.torch_threads)
        self.config = config
        self.environment = environment
        self.make_evaluation = make_evaluation
        self.directory = directory
        self.on_progress = on_progress
        self.metadata = dict(metadata or {})
        self.device = choose_device(config.device)
        directory.mkdir(parents=True, exist_ok=True)

        self.update = 0
        self.steps = 0
        self.episodes_finished = 0
        self.elapsed_s = 0.0
        self.best_return: float | None = None
        self.best_update = 0
        self.last_return: float | None = None
        self.evaluations_without_gain = 0
        self.time_s = {"environment": 0.0, "act": 0.0, "update": 0.0, "evaluation": 0.0}
        self.recent_returns: deque[float] = deque(maxlen=RECENT_EPISODES)
        self.sums = EpisodeSums(environment.n_env)
        self._evaluation: BatchedEnvironment | None = None
        self._stop: str | None = None
        self._saved_update = -1

        content = checkpoint.load(directory / CHECKPOINT, "run") if resume else None
        self.observed = self._start(content)
        self.buffer = RolloutBuffer(
            environment.groups,
            n_step=config.rollout_steps,
            n_env=environment.n_env,
            state_size=environment.state_size,
            n_value=self.learner.n_value,
        )
        self.record = Record(directory, tensorboard=tensorboard, resume_after=self.update if resume else None)

    # -- starting and resuming ------------------------------------------------

    def _start(self, content: Mapping[str, Any] | None) -> Observed:
        environment = self.environment
        if content is None:
            observed = environment.reset(training_seeds(self.config.seed, environment.n_env))
            per_agent = self._rewards_per_agent()
        else:
            observed = _observed_from(content["observed"])
            per_agent = bool(content["per_agent_rewards"])
        self.per_agent_rewards = per_agent
        self.learner = MAPPO(
            self.config,
            environment.groups,
            environment.state_size,
            per_agent_rewards=per_agent,
            device=self.device,
        )
        if content is not None:
            environment.set_state(content["environment"])
            try:
                self.learner.load_state(content["learner"])
            except (RuntimeError, ValueError, KeyError) as error:
                raise checkpoint.CheckpointError(
                    f"{self.directory / CHECKPOINT} was trained with other networks than asked for: "
                    f"{str(error).splitlines()[0]}"
                ) from error
            self.sums.load_state(content["sums"])
            counters = content["counters"]
            self.update, self.steps = counters["update"], counters["steps"]
            self.episodes_finished = counters["episodes_finished"]
            self.elapsed_s = counters["elapsed_s"]
            self.best_return, self.best_update = counters["best_return"], counters["best_update"]
            self.last_return = counters["last_return"]
            self.evaluations_without_gain = counters["evaluations_without_gain"]
            self.time_s = dict(counters["time_s"])
            self.recent_returns.extend(counters["recent_returns"])
        return observed

    def _rewards_per_agent(self) -> bool:
        """Whether the environment's rewards are the agents' own: it says so, or shares them."""
        return bool(getattr(self.environment, "per_agent_rewards", False))

    def save_checkpoint(self) -> None:
        """Writes all that an exact resume needs."""
        self._saved_update = self.update
        checkpoint.save(
            self.directory / CHECKPOINT,
            "run",
            {
                "learner": self.learner.state(),
                "policy": self.policy_content(),
                "environment": self.environment.get_state(),
                "observed": _observed_to(self.observed),
                "per_agent_rewards": self.per_agent_rewards,
                "sums": self.sums.state(),
                "counters": {
                    "update": self.update,
                    "steps": self.steps,
                    "episodes_finished": self.episodes_finished,
                    "elapsed_s": self.elapsed_s,
                    "best_return": self.best_return,
                    "best_update": self.best_update,
                    "last_return": self.last_return,
                    "evaluations_without_gain": self.evaluations_without_gain,
                    "time_s": self.time_s,
                    "recent_returns": list(self.recent_returns),
                },
            },
        )

    def policy_content(self) -> dict[str, Any]:
        policy = self.learner.kept_policy
        policy.metadata = {
            **self.metadata,
            "scenario": self.config.scenario,
            "observation": self.config.observation,
            "seed": self.config.seed,
            "update": self.update,
            "steps": self.steps,
            "eval_return": self.last_return,
        }
        return policy.content()

    def _save_policy(self, name: str) -> None:
        checkpoint.save(self.directory / name, "policy", self.policy_content())

    # -- the loop ------------------------------------------------

    def run(self) -> TrainingResult:
        """Trains until the budget is used up, a signal comes or patience runs out."""
        config = self.config
        with self._signals():
            if self.update == 0 and config.evaluation.eval_every > 0:
                self._evaluate()
            while self.update < config.n_updates and self._stop is None:
                began = time.perf_counter()
                before_s = dict(self.time_s)
                rollout, terms = self._collect()
                values = self._learn(rollout)
                self.update += 1
                self.steps += config.ppo.buffer_steps
                values |= {f"grid/{name}": x for name, x in terms.items() if name != "return"}
                values["train/return"] = terms["return"]
                if self.recent_returns:
                    values["train/episode_return"] = float(np.mean(self.recent_returns))
                values["train/episodes"] = float(self.episodes_finished)
                every = config.evaluation.eval_every
                last = self.update == config.n_updates
                if every > 0 and (self.update % every == 0 or last):
                    values |= self._evaluate()
                spent = time.perf_counter() - began
                self.elapsed_s += spent
                values["time/steps_per_s"] = config.ppo.buffer_steps / spent
                for part, total in self.time_s.items():
                    if total > before_s[part]:
                        rate = config.ppo.buffer_steps / (total - before_s[part])
                        values[f"time/steps_per_s_{part}"] = rate
                self.record.add(self.update, self.steps, values)
                patience = config.evaluation.patience
                if patience > 0 and self.evaluations_without_gain >= patience:
                    self._stop = f"no better policy in {patience} evaluations"
                if self.update % config.checkpoint_every == 0 or last or self._stop is not None:
                    self.save_checkpoint()
                self._report(terms)
            # A signal may have come after the last look at it.
            if self._saved_update != self.update:
                self.save_checkpoint()
        return self._finish()

    def _collect(self) -> tuple[Rollout, dict[str, float]]:
        """Fills the buffer with the present policy."""
        ppo = self.config.ppo
        collected: dict[str, list[FloatArray]] = {}
        for _ in range(self.config.rollout_steps):
            t0 = time.perf_counter()
            actions, log_probs = self.learner.act(self.observed)
            arrays = {name: x.cpu().numpy() for name, x in actions.items()}
            t1 = time.perf_counter()
            transition = self.environment.step(arrays)
            t2 = time.perf_counter()
            reward = np.asarray(transition.reward, dtype=np.float64)
            if not np.isfinite(reward).all():
                env = int(np.argwhere(~np.isfinite(reward))[0][0])
                raise TrainingFailed(
                    f"environment {env} returned reward {reward[env]} after {self.steps} steps"
                )
            team = reward if reward.ndim == 1 else reward.mean(axis=1)
            self.buffer.add(
                self.observed,
                actions=actions,
                log_probs=log_probs,
                rewards=self._per_value(robust_reward(reward, ppo.robust_reward, ppo.robust_shape)),
                terminated=np.asarray(transition.terminated),
                truncated=np.asarray(transition.truncated),
                final=transition.final,
            )
            for name, x in {"return": team, **transition.terms}.items():
                collected.setdefault(name, []).append(np.asarray(x, dtype=np.float64))
            finished = self.sums.add(transition)
            if finished:
                self.recent_returns.extend(float(x) for x in finished["return"])
                self.episodes_finished += len(finished["return"])
            self.observed = transition.observed
            t3 = time.perf_counter()
            self.time_s["environment"] += t2 - t1
            self.time_s["act"] += (t1 - t0) + (t3 - t2)
        rollout = self.buffer.rollout(self.observed, self.device)
        return rollout, mean_over_steps(collected, self.config.episode_steps)

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
        began = time.perf_counter()
        progress = self.update / self.config.n_updates
        before = self.learner.state()
        try:
            values = self.learner.update(rollout, progress)
        except NonFiniteLoss as error:
            path = self.directory / DUMP
            checkpoint.save(path, "dump", dump_content(before, rollout, progress, self.per_agent_rewards))
            raise TrainingFailed(
                f"update {self.update + 1}: {error}. {path} reproduces it (marl.trainer.replay_dump); the "
                f"last checkpoint is {self.directory / CHECKPOINT}"
            ) from error
        self.time_s["update"] += time.perf_counter() - began
        return values

    def _evaluate(self) -> dict[str, float]:
        """Held-out episodes with the deterministic policy; keeps the policy if it is the best so far."""
        if self.make_evaluation is None:
            return {}
        began = time.perf_counter()
        if self._evaluation is None:
            self._evaluation = self.make_evaluation()
        settings = self.config.evaluation
        seeds = np.arange(settings.eval_seed, settings.eval_seed + settings.eval_episodes, dtype=np.int64)
        terms = play(self.learner.kept_policy.act, self._evaluation, seeds)
        score = float(terms["return"].mean())
        self.last_return = score
        if self.best_return is None or score > self.best_return:
            self.best_return, self.best_update = score, self.update
            self.evaluations_without_gain = 0
            self._save_policy(BEST)
        else:
            self.evaluations_without_gain += 1
        self.time_s["evaluation"] += time.perf_counter() - began
        values = {f"eval/{name}": float(x.mean()) for name, x in terms.items()}
        return values | {"eval/best_return": self.best_return}

    def _report(self, terms: Mapping[str, float]) -> None:
        if self.on_progress is None:
            return
        rate = self.steps / self.elapsed_s if self.elapsed_s > 0 else 0.0
        total = self.config.n_updates * self.config.ppo.buffer_steps
        self.on_progress(
            Progress(
                update=self.update,
                n_updates=self.config.n_updates,
                steps=self.steps,
                total_steps=total,
                episodes=self.steps / self.config.episode_steps,
                steps_per_s=rate,
                time_left_s=(total - self.steps) / rate if rate > 0 else float("inf"),
                terms=terms,
                eval_return=self.last_return,
                best_return=self.best_return,
            )
        )

    def _finish(self) -> TrainingResult:
        finished = self.update >= self.config.n_updates
        reason = self._stop or "all episodes trained"
        self._save_policy(FINAL)
        if not (self.directory / BEST).exists():
            self._save_policy(BEST)
        statistics = self._statistics(reason, finished)
        checkpoint.write_atomically(
            self.directory / STATISTICS, (json.dumps(statistics, indent=2) + "\n").encode("utf-8")
        )
        self.record.close()
        return TrainingResult(
            finished=finished,
            reason=reason,
            update=self.update,
            steps=self.steps,
            best_return=self.best_return,
            last_return=self.last_return,
            statistics=statistics,
        )

    def _statistics(self, reason: str, finished: bool) -> dict[str, Any]:
        """training_stats.json: how the run went, and how far its last policy is from its best."""
        behind = None
        if self.best_return is not None and self.last_return is not None and self.best_return != 0.0:
            behind = 100.0 * (self.best_return - self.last_return) / abs(self.best_return)
        steps_per_s = {
            part: self.steps / spent if spent > 0 else None
            for part, spent in (
                ("overall", self.elapsed_s),
                ("environment", self.time_s["environment"]),
                ("act", self.time_s["act"]),
                ("update", self.time_s["update"]),
            )
        }
        recent = list(self.recent_returns)
        return {
            "finished": finished,
            "reason": reason,
            "updates": self.update,
            "steps": self.steps,
            "episodes": self.steps / self.config.episode_steps,
            "episodes_finished": self.episodes_finished,
            "elapsed_s": self.elapsed_s,
            "time_s": dict(self.time_s),
            "steps_per_s": steps_per_s,
            "recent_episode_return_mean": float(np.mean(recent)) if recent else None,
            "best_return": self.best_return,
            "best_update": self.best_update,
            "last_return": self.last_return,
            "last_behind_best_percent": behind,
            "config": asdict(self.config),
        }

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


def _observed_to(observed: Observed) -> dict[str, Any]:
    return {
        "observations": dict(observed.observations),
        "state": observed.state,
        "in_service": None if observed.in_service is None else dict(observed.in_service),
    }


def _observed_from(content: Mapping[str, Any]) -> Observed:
    return Observed(
        observations=content["observations"], state=content["state"], in_service=content["in_service"]
    )
