"""Evaluation beside the learner: the same results, taken in later, and nothing lost when the run is killed."""

import dataclasses
import functools
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from marl.algorithms.mappo import MAPPO
from marl.checkpoint import load
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig
from marl.environment.held_out import HeldOut
from marl.networks.policy import Policy
from marl.sampling.child_process import WorkerError
from marl.training.evaluator import EvaluatorBeside, EvaluatorHere
from marl.training.trainer import Trainer, TrainingFailed
from unit.marl.toys import Drift
from unit.marl.training.test_trainer import Killed, rows

LENGTH = 7
make_held_out = functools.partial(Drift, n_env=4, length=LENGTH)


class Broken(Drift):
    def step(self, actions):
        raise ArithmeticError("no solution in environment 0")


def settings(*, eval_process: bool, patience: int = 0) -> TrainingConfig:
    """12 updates of 16 steps; evaluations fall between checkpoints."""
    return TrainingConfig(
        total_episodes=24,
        episode_steps=8,
        n_envs=8,
        checkpoint_every=2,
        device="cpu",
        network=NetworkConfig(actor_hidden=(16,), critic_hidden=(16,)),
        ppo=PPOConfig(buffer_steps=16, minibatch_steps=8, epochs=2, policy_average=0.5),
        evaluation=EvaluationConfig(
            eval_every=3, eval_episodes=4, eval_process=eval_process, patience=patience
        ),
    )


def train(config, directory, *, resume=False, on_progress=None, make=make_held_out):
    trainer = Trainer(
        config,
        Drift(length=LENGTH),
        algorithm=MAPPO,
        directory=directory,
        judge=HeldOut(make),
        resume=resume,
        on_progress=on_progress,
        tensorboard=False,
    )
    try:
        return trainer.run()
    finally:
        trainer.close()


def policy_content() -> dict:
    return Policy(Drift().groups, NetworkConfig(actor_hidden=(16,))).content()


class Late(EvaluatorHere):
    """Is never ready before somebody waits for it: the slowest process there can be."""

    def is_ready(self, timeout_s=0.0):
        return timeout_s > 0.0 and super().is_ready()


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr("marl.training.evaluation.EvaluatorHere", Late)


def test_a_process_finds_the_same_bits_and_can_be_used_again():
    seeds = np.arange(40, 46)  # more than its four environments
    here, beside = EvaluatorHere(HeldOut(make_held_out)), EvaluatorBeside(HeldOut(make_held_out))
    try:
        for content in (policy_content(), policy_content()):
            for evaluator in (here, beside):
                evaluator.begin(content, seeds)
            expected, found = here.finish(), beside.finish()
            assert expected["return"].shape == (6,)
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[name], expected[name]) for name in expected)
    finally:
        beside.close()


def test_what_is_raised_in_the_process_arrives_and_a_dead_process_is_named():
    evaluator = EvaluatorBeside(HeldOut(functools.partial(Broken, n_env=4)))
    try:
        evaluator.begin(policy_content(), np.arange(4))
        with pytest.raises(ArithmeticError, match="no solution in environment 0"):
            evaluator.finish()
        os.kill(evaluator._process.process.pid, signal.SIGKILL)
        evaluator._process.process.join()
        with pytest.raises(WorkerError, match="evaluates held-out episodes died with exit status -9"):
            evaluator.begin(policy_content(), np.arange(4))
    finally:
        evaluator.close()


def test_what_no_process_can_be_sent_is_refused_in_words():
    with pytest.raises(TypeError, match=r"evaluates held-out episodes cannot be sent .*functools\.partial"):
        EvaluatorBeside(HeldOut(lambda: Drift(n_env=4)))


def test_a_run_with_the_process_leaves_the_same_metrics_and_models(tmp_path):
    for name, eval_process in (("here", False), ("beside", True)):
        train(settings(eval_process=eval_process), tmp_path / name)
    assert rows(tmp_path / "beside") == rows(tmp_path / "here")
    assert [row["update"] for row in rows(tmp_path / "here") if row["eval/return"]] == [
        "0",
        "3",
        "6",
        "9",
        "12",
    ]
    for name in ("best_model.pt", "final_model.pt"):
        a, b = (load(tmp_path / run / name, "policy") for run in ("here", "beside"))
        assert a["metadata"] == b["metadata"]
        assert all((a["weights"][key] == b["weights"][key]).all() for key in a["weights"])


def test_a_run_killed_during_an_evaluation_resumes_to_the_same_metrics_and_models(tmp_path, late):
    """Killed after update 5: the last checkpoint is of update 4, when that of update 3 was still under way."""
    config = settings(eval_process=False)
    train(config, tmp_path / "whole")

    def kill(progress):
        if progress.update == 5:
            raise Killed

    with pytest.raises(Killed):
        train(config, tmp_path / "killed", on_progress=kill)
    saved = load(tmp_path / "killed" / "checkpoint_last.pt", "run")
    assert saved["judged"]["metadata"]["update"] == 3
    assert [row["update"] for row in saved["waiting"]] == [3, 4]
    assert train(config, tmp_path / "killed", resume=True).finished
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    best = [load(tmp_path / run / "best_model.pt", "policy")["metadata"] for run in ("whole", "killed")]
    assert best[0] == best[1]


def test_metrics_do_not_depend_on_when_an_evaluation_ends(tmp_path, monkeypatch):
    config = settings(eval_process=False)
    train(config, tmp_path / "prompt")
    monkeypatch.setattr("marl.training.evaluation.EvaluatorHere", Late)
    train(config, tmp_path / "late")
    assert rows(tmp_path / "late") == rows(tmp_path / "prompt")


def test_a_stopped_run_leaves_the_evaluation_that_is_under_way_to_the_resumed_one(tmp_path, late):
    config = settings(eval_process=False)
    train(config, tmp_path / "whole")

    def stop(progress):
        if progress.update == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    result = train(config, tmp_path / "stopped", on_progress=stop)
    assert (result.update, result.reason, result.finished) == (4, "stopped by SIGTERM", False)
    assert [row["update"] for row in rows(tmp_path / "stopped") if row["eval/return"]] == ["0"]
    saved = load(tmp_path / "stopped" / "checkpoint_last.pt", "run")
    assert saved["judged"]["metadata"]["update"] == 3
    assert_goes_on_to(config, tmp_path, "stopped")


def assert_goes_on_to(config, tmp_path, name):
    """What is resumed ends with the metrics and models of the run called `whole`."""
    assert train(config, tmp_path / name, resume=True).finished
    assert rows(tmp_path / name) == rows(tmp_path / "whole")
    for file in ("best_model.pt", "final_model.pt"):
        a, b = (load(tmp_path / run / file, "policy") for run in ("whole", name))
        assert a["metadata"] == b["metadata"]
        assert all((a["weights"][key] == b["weights"][key]).all() for key in a["weights"])


class Interrupted(Drift):
    """Ctrl-C comes in the middle of the first held-out episode, of which each step takes longer than any test."""

    def step(self, actions):
        learner = os.getppid() if multiprocessing.parent_process() else os.getpid()
        os.kill(learner, signal.SIGINT)
        if learner != os.getpid():
            time.sleep(60.0)
        return super().step(actions)


@pytest.mark.parametrize("eval_process", [False, True])
def test_a_signal_in_the_middle_of_an_evaluation_ends_the_run_without_it(tmp_path, eval_process):
    """One update for all, so that the signal meets a learner that has nothing left but to wait for the evaluation."""
    config = dataclasses.replace(settings(eval_process=eval_process), total_episodes=2)
    make = functools.partial(Interrupted, n_env=4, length=LENGTH)
    train(config, tmp_path / "whole")
    result = train(config, tmp_path / "stopped", make=make)
    assert (result.reason, result.finished) == ("stopped by SIGINT", False)
    assert not any(row.get("eval/return") for row in rows(tmp_path / "stopped"))
    assert_goes_on_to(config, tmp_path, "stopped")


def test_patience_waits_for_each_evaluation(tmp_path, late):
    """It decides whether there is a next update at all."""
    config = settings(eval_process=False, patience=1)
    worse = iter(range(100))

    class Worsening(Drift):
        def step(self, actions):
            transition = super().step(actions)
            return dataclasses.replace(transition, reward=np.full(self.n_env, -float(next(worse))))

    result = train(config, tmp_path, make=lambda: Worsening(n_env=4, length=LENGTH))
    assert (result.update, result.reason) == (3, "no better policy in 1 evaluations")


def test_a_run_that_fails_leaves_the_rows_that_were_waiting(tmp_path, late):
    config = settings(eval_process=False)
    trainer = Trainer(
        config,
        Drift(length=LENGTH),
        algorithm=MAPPO,
        directory=tmp_path,
        judge=HeldOut(make_held_out),
        tensorboard=False,
    )

    def poison(progress):
        if progress.update == 5:
            trainer.algorithm.critic.heads["state"].last.bias.data.fill_(float("nan"))

    trainer.on_progress = poison
    with pytest.raises(TrainingFailed):
        trainer.run()
    assert [row["update"] for row in rows(tmp_path)] == ["0", "1", "2", "3", "4", "5"]
    assert rows(tmp_path)[3]["eval/return"] == ""
