"""The training loop: act, step, observe, update, evaluate, log, save.

The trainer knows its environments through `marl.protocol` and its algorithm through `marl.algorithms.algorithm`, and
names neither. Whatever stops it between two updates, a run directory holds enough to go on from the last checkpoint
bit for bit: the algorithm's state, the curriculum's, the environments themselves and the sums of their half-finished
episodes.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from marl import checkpoint
from marl.algorithms.algorithm import MakeAlgorithm, NonFiniteActions, NonFiniteLoss
from marl.cluster.connection import ClusterError
from marl.config.evaluation import FIRST_HELD_OUT_SEED
from marl.config.training import TrainingConfig
from marl.networks.policy import Policy
from marl.protocol import (
    BatchedEnvironment,
    BoolArray,
    Float32Array,
    FloatArray,
    Observation,
    Transition,
    begin_next,
    draw_from,
)
from marl.sampling.episode_statistics import EpisodeSums, mean_over_steps
from marl.training.curriculum import (
    ConstantCurriculum,
    Curriculum,
    Draw,
    LevelCurriculum,
    TellsValueErrors,
)
from marl.training.dump import write_dump
from marl.training.evaluation import Evaluation
from marl.training.evaluator import Judge
from marl.training.logger import MetricsLogger
from marl.training.rollouts_away import RolloutsAway
from marl.training.run_checkpoint import first_line, last_whole, take_learner
from marl.training.run_claim import RunClaim
from marl.training.run_directory import (
    BEFORE_LAST,
    BEST,
    CHECKPOINT,
    FINAL,
    STATISTICS,
    forget_rounds,
)
from marl.training.run_state import Progress, RunState, TrainingFailed, TrainingResult, speeds, statistics
from marl.training.step_check import check_step
from marl.training.stop_request import StopRequest
from marl.training.wandb_writer import WandbWriter

__all__ = ["FIRST_VALIDATION_SEED", "Trainer", "TrainingFailed", "choose_device"]

# Of an environment that keeps no seeds of its own: validation is the last thousand before those that are held out.
FIRST_VALIDATION_SEED = FIRST_HELD_OUT_SEED - 1000


class Trainer:
    """Trains one policy in one run directory.

    The environments it is handed are its own from then on: it closes them when the run is over, and where it cannot
    begin. A context manager, for whoever may not get as far as `run`.
    """

    def __init__(
        self,
        config: TrainingConfig,
        environment: BatchedEnvironment,
        *,
        algorithm: MakeAlgorithm,
        directory: Path,
        curriculum: Curriculum | None = None,
        judge: Judge | None = None,
        claim: RunClaim | None = None,
        resume: bool = False,
        start: Callable[[Policy], None] | None = None,
        learner_from: Path | None = None,
        share: tuple[float, float] = (0.0, 1.0),
        first_validation_seed: int = FIRST_VALIDATION_SEED,
        metadata: Mapping[str, Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        tensorboard: bool = True,
        wandb: str = "",
    ) -> None:
        """Starts a run, or takes one up from its last checkpoint.

        Args:
            config: all settings.
            environment: `config.n_envs` episodes to train in; closed at the end.
            algorithm: builds the learner, such as `marl.algorithms.mappo.MAPPO`.
            directory: of the run; made if it is not there.
            claim: on the directory, where it is made already; given up when the run is over.
            curriculum: says what episodes are drawn from; None draws from one scenario, seeds by `config.seed`.
            judge: plays held-out episodes with a policy, see `marl.environment.held_out`; None never evaluates. To
                evaluate in a process beside the learner (`config.evaluation.eval_process`) it must be picklable.
            resume: continue from the checkpoint in `directory`.
            start: puts weights to begin with into the fresh policy, see `marl.environment.warm_start`; a
                resumed run has its own.
            learner_from: checkpoint of another run whose learner begins this one, in the place of a fresh one and of
                `start`; see `marl.training.two_models`.
            share: of a longer run's progress that this one is, from where to where; schedules follow it.
            first_validation_seed: of the environment: training draws its seeds below, and evaluation begins with it
                where the configuration names no other.
            metadata: what model files should say about their origin.
            on_progress: called after every update.
            tensorboard: write events beside metrics.csv.
            wandb: project of Weights & Biases that receives metrics as well; empty sends nothing anywhere.

        Raises:
            ValueError: the environment has another number of episodes in parallel.
            TrainingFailed: the device is not there, or wandb is asked for and not installed.
            marl.training.run_claim.DirectoryClaimed: another run is going on in the directory.
            marl.checkpoint.CheckpointError: the checkpoint cannot be read, or is of another algorithm or network.
        """
        self.config = config = config.validated_from(first_validation_seed)
        self._share = share
        self.environment = environment
        self.curriculum: Curriculum = curriculum or ConstantCurriculum(config.seed, first_validation_seed)
        self._first_validation_seed = first_validation_seed
        self._ended: list[BoolArray] = []  # of the steps since the last update, [step][env]
        self.directory = directory
        self.on_progress = on_progress
        self.metadata = dict(metadata or {})
        self.run_state = RunState()
        self.sums = EpisodeSums(environment.n_env)
        self.stop = StopRequest()
        self.record: MetricsLogger | None = None
        self._evaluation: Evaluation | None = None
        self._saved_update = -1
        self._closed = False
        self._claim: RunClaim | None = None
        try:
            self._claim = claim or RunClaim(directory)
            if environment.n_env != config.n_envs:
                raise ValueError(
                    f"the environment has {environment.n_env} episodes in parallel, not {config.n_envs}"
                )
            torch.set_num_threads(config.torch_threads)
            self.device = choose_device(config.device)
            self.algorithm = algorithm(
                config,
                environment.groups,
                environment.state_size,
                # An environment whose rewards are the agents' own says so; without a word they are the team's.
                per_agent_rewards=bool(getattr(environment, "per_agent_rewards", False)),
                device=self.device,
            )
            self._away = RolloutsAway.of(environment, self.algorithm)
            if isinstance(self.curriculum, LevelCurriculum) and not isinstance(
                self.algorithm, TellsValueErrors
            ):
                raise ValueError(
                    f"the curriculum replays episodes by the critic's errors, of which {self.algorithm.name} tells none"
                )
            waiting: list[dict[str, Any]] = []
            judged: dict[str, Any] | None = None
            if resume:
                self.observation, waiting, judged = self._load_checkpoint()
                # Saved once more, it would push out the one before and leave two of one update.
                self._saved_update = self.run_state.update
            else:
                if learner_from is not None:
                    take_learner(self.algorithm, checkpoint.load(learner_from, "run"), learner_from)
                    self.algorithm.begin_episodes()
                elif start is not None:
                    self.algorithm.start_from(start)
                self._draw(self.curriculum.begin(environment.n_env))
            self.record = MetricsLogger(
                directory,
                tensorboard=tensorboard,
                resume_after=self.run_state.update if resume else None,
                waiting=waiting,
                more=[WandbWriter(directory, wandb, dataclasses.asdict(config))] if wandb else (),
            )
            self._evaluation = Evaluation(
                judge, config.evaluation, directory, self.run_state, self.record, self.stop, judged
            )
        except BaseException:
            self.close()
            raise

    # -- files ----------------------------------------------------------------

    def _load_checkpoint(self) -> tuple[Observation, list[dict[str, Any]], dict[str, Any] | None]:
        """Takes up the run.

        Returns:
            What the environments show, the rows of metrics that wait, and the policy whose evaluation was under way.

        Raises:
            CheckpointError: it cannot be read, or is of another algorithm, network or environment.
        """
        path = self.directory / CHECKPOINT
        content = last_whole(self.directory)
        take_learner(self.algorithm, content, path)
        # A file without a checksum may hold anything; one with it, what another version wrote.
        try:
            self.curriculum.load_state(content["curriculum"])
            if self.curriculum.scenario is not None:
                draw_from(self.environment, self.curriculum.scenario)
            self.environment.set_state(content["environment"])
            self.sums.load_state(content["sums"])
            self.run_state = RunState.from_state(content["run_state"])
            return Observation(**content["observation"]), content["waiting"], content["judged"]
        except ValueError as error:
            raise checkpoint.CheckpointError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise checkpoint.CheckpointError(
                f"{path} is not of this version, or damaged: {type(error).__name__} {first_line(error)}"
            ) from error

    def save_checkpoint(self) -> None:
        """Writes all that an exact resume needs."""
        observation = self.observation
        checkpoint.keep_also(self.directory / CHECKPOINT, self.directory / BEFORE_LAST)
        checkpoint.save(
            self.directory / CHECKPOINT,
            "run",
            {
                "algorithm": self.algorithm.name,
                "learner": self.algorithm.state(),
                "policy": self._policy_content(),
                "curriculum": self.curriculum.state(),
                "environment": self.environment.get_state(),
                "observation": {
                    "observations": observation.observations,
                    "state": observation.state,
                    "in_service": observation.in_service,
                },
                "sums": self.sums.state(),
                "run_state": self.run_state.state(),
                "judged": self.evaluation.policy,
                "waiting": self._logger.waiting,
            },
        )
        forget_rounds(self.directory)
        self._saved_update = self.run_state.update

    def _policy_content(self) -> dict[str, Any]:
        policy = self.algorithm.evaluation_policy
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
        """Trains until the budget is used up, a signal comes or patience runs out; then everything is closed.

        Raises:
            TrainingFailed: the environment or the algorithm returned something that is no number.
        """
        try:
            self._train()
            return self._finish()
        finally:
            self.close()  # metrics with the rows that were waiting: where a run failed, they tell why

    def _train(self) -> None:
        run_state, evaluation, n_updates = self.run_state, self.evaluation, self.config.n_updates
        with self.stop.on_signals():
            if evaluation.policy is not None:  # the checkpoint came before its end
                evaluation.begin_again(self._policy_content(), n_updates)
            elif run_state.update == 0 and run_state.last_return is None and evaluation.is_due(n_updates):
                began = time.perf_counter()
                if evaluation.begin(self._policy_content()):
                    evaluation.end_if_due(n_updates)
                    self._logger.add(0, 0, {})
                run_state.elapsed_s += time.perf_counter() - began
            while run_state.update < n_updates and self.stop.reason is None:
                self._train_once()
            # Before anything is waited for, and also after a signal that came when the last look at it was over.
            if self._saved_update != run_state.update:
                self.save_checkpoint()
            if evaluation.end_unless_stopped():
                self.save_checkpoint()

    def _train_once(self) -> None:
        """A rollout, an update, and what falls due after it."""
        run_state, evaluation, n_updates = self.run_state, self.evaluation, self.config.n_updates
        began, before_s, before_steps = time.perf_counter(), run_state.parts_s(), run_state.steps
        values, terms = self._gather()
        if evaluation.is_due(n_updates):
            evaluation.begin(self._policy_content())
        evaluation.end_if_due(n_updates)
        spent_s = time.perf_counter() - began
        run_state.elapsed_s += spent_s
        values |= self._measured(terms)
        values |= speeds(run_state, before_s, n_step=run_state.steps - before_steps, spent_s=spent_s)
        self._logger.add(run_state.update, run_state.steps, values)
        if isinstance(self.curriculum, LevelCurriculum):
            assert isinstance(self.algorithm, TellsValueErrors)  # as the constructor has seen
            self.curriculum.take_in(self.algorithm.value_error, np.array(self._ended))
        draw = self.curriculum.after_update(self._progress(), terms)
        if draw is not None:
            self._draw(draw)
            if draw.seeds is not None:
                self.algorithm.begin_episodes()
        if run_state.update % self.config.checkpoint_every == 0:
            self.save_checkpoint()
        if self.on_progress is not None:
            self.on_progress(Progress.of(run_state, self.config, terms))

    def _gather(self) -> tuple[dict[str, float], dict[str, float]]:
        """Steps the environments until the algorithm has learned; its diagnostics, and what the steps came to."""
        run_state = self.run_state
        collected: dict[str, list[FloatArray]] = {}
        diagnostics: dict[str, float] | None = None
        self._ended = []
        before = run_state.state(), self.sums.state(), self.observation
        while diagnostics is None:
            t0 = time.perf_counter()
            if self._away is None:
                actions = self._act()
                t1 = time.perf_counter()
                transition = self.environment.step(actions)
            else:
                t1, transition = t0, self._played(before)
            t2 = time.perf_counter()
            self._take_in(transition, collected)
            t3 = time.perf_counter()
            run_state.environment_s += t2 - t1
            run_state.act_s += (t1 - t0) + (t3 - t2)
            diagnostics = self._update()
            run_state.update_s += time.perf_counter() - t3
        if self._away is not None and self._away.sampler.n_ahead > 0:
            diagnostics["train/updates_behind"] = float(min(run_state.update, self._away.sampler.n_ahead))
        run_state.update += 1
        return diagnostics, mean_over_steps(collected, self.config.episode_steps)

    def _act(self) -> dict[str, Float32Array]:
        try:
            return self.algorithm.act(self.observation)
        except NonFiniteActions as error:
            raise self._failed(error) from error

    def _played(self, before: tuple[dict[str, Any], dict[str, Any], Observation]) -> Transition:
        """The next step that samplers have played by themselves.

        Args:
            before: counters, sums of episodes and what was seen at the last update.

        Raises:
            TrainingFailed: their actions are no numbers; or their cluster is gone, in which case all is saved as it
                stood at the last update.
        """
        assert self._away is not None
        try:
            return self._away.step()
        except NonFiniteActions as error:
            raise self._failed(error) from error
        except ClusterError as error:
            counters, sums, self.observation = before
            for name, value in counters.items():  # in place: the evaluation looks at the same ones
                setattr(self.run_state, name, value)
            self.sums.load_state(sums)
            self._away.forget()
            self.save_checkpoint()
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> TrainingFailed:
        return TrainingFailed(f"{error} after {self.run_state.steps} steps; {self._last_checkpoint()}")

    def _take_in(self, transition: Transition, collected: dict[str, list[FloatArray]]) -> None:
        """Hands a step to the algorithm, counts it, and adds its terms to those of the steps before.

        Raises:
            TrainingFailed: the environment returned something that is no number or has a wrong shape.
        """
        reward = np.asarray(transition.reward, dtype=np.float64)
        try:
            check_step(transition, reward)
            self.algorithm.observe(transition)
        except ValueError as error:
            raise self._failed(error) from error
        self.run_state.steps += self.environment.n_env
        team = reward if reward.ndim == 1 else reward.mean(axis=1)
        for name, x in {"return": team, **transition.terms}.items():
            collected.setdefault(name, []).append(np.asarray(x, dtype=np.float64))
        self._ended.append(np.asarray(transition.terminated) | np.asarray(transition.truncated))
        finished = self.sums.add(transition)
        if finished:
            self.run_state.add_episodes([float(x) for x in finished["return"]])
        self.observation = transition.observation

    def _update(self) -> dict[str, float] | None:
        progress = self._progress()
        try:
            return self.algorithm.update(progress)
        except NonFiniteLoss as error:
            path = write_dump(self.directory, error, algorithm=self.algorithm.name, progress=progress)
            raise TrainingFailed(
                f"update {self.run_state.update + 1}: {error}. {path} reproduces it "
                f"(marl.training.dump.replay_dump); {self._last_checkpoint()}"
            ) from error

    def _progress(self) -> float:
        """Of the whole run, 0 to 1; this one may be a part of it."""
        begin, end = self._share
        return begin + (end - begin) * (self.run_state.update / self.config.n_updates)

    def _last_checkpoint(self) -> str:
        path = self.directory / CHECKPOINT
        return f"the last checkpoint is {path}" if path.exists() else "no checkpoint has been written yet"

    def _draw(self, draw: Draw) -> None:
        """Has the environments draw their episodes as the curriculum says.

        Raises:
            ValueError: it asks for an episode that is held out.
        """
        if draw.scenario is not None:
            draw_from(self.environment, draw.scenario)
        for seeds in (draw.seeds, draw.then):
            if seeds is not None and seeds.size and int(seeds.max()) >= self._first_validation_seed:
                raise ValueError(
                    f"the curriculum draws seed {int(seeds.max())}, but those from {self._first_validation_seed} on "
                    "are held out"
                )
        if draw.seeds is not None:
            self.observation = self.environment.reset(draw.seeds)
            self.sums = EpisodeSums(self.environment.n_env)
        if draw.then is not None:
            begin_next(self.environment, draw.then)

    def _measured(self, terms: Mapping[str, float]) -> dict[str, float]:
        """Tags of what the rollout measured."""
        values = {f"grid/{name}": x for name, x in terms.items() if name != "return"}
        values["train/return"] = terms["return"]
        if self.run_state.recent_returns:
            values["train/episode_return"] = float(np.mean(self.run_state.recent_returns))
        values["train/episodes"] = float(self.run_state.episodes_finished)
        return values

    @property
    def _logger(self) -> MetricsLogger:
        assert self.record is not None  # made at the end of the constructor
        return self.record

    @property
    def evaluation(self) -> Evaluation:
        """On held-out episodes, as the configuration asks."""
        assert self._evaluation is not None  # made at the end of the constructor
        return self._evaluation

    def close(self) -> None:
        """Writes what waits, ends environments and evaluation, gives up the directory; again, it does no harm."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.record is not None:
                self.record.close()
        finally:
            self.environment.close()
            try:
                if self._evaluation is not None:
                    self._evaluation.close()
            finally:
                if self._claim is not None:
                    self._claim.release()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_whole(self) -> bool:
        """Whether all episodes are trained, and the last policy judged."""
        return self.run_state.update >= self.config.n_updates and self.evaluation.policy is None

    @property
    def has_ended(self) -> bool:
        """Whether it is whole and has written what it leaves at its end: a kill may have come in between."""
        try:
            told = json.loads((self.directory / STATISTICS).read_text(encoding="utf-8"))
            return self.is_whole and bool(told["finished"]) and told["updates"] == self.run_state.update
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _finish(self) -> TrainingResult:
        run_state = self.run_state
        finished = self.is_whole
        reason = self.stop.reason or "all episodes trained"
        self._save_policy(FINAL)
        if run_state.best_return is None:  # nothing was evaluated: the last is the best there is
            self._save_policy(BEST)
        report = statistics(run_state, self.config, finished=finished, reason=reason)
        text = json.dumps(report, indent=2) + "\n"
        checkpoint.write_atomically(self.directory / STATISTICS, text.encode("utf-8"))
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


def choose_device(name: str) -> torch.device:
    """The device of this name, `cpu` or `cuda`; `auto` is cuda where there is one.

    Raises:
        TrainingFailed: cuda is asked for and torch finds none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingFailed("--device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device(name)
