"""The loop as a whole on toy tasks: it learns, resumes, stops and reports."""

import csv
import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import torch

from control.evaluation.rollout import rollout
from marl.algorithms.algorithm import NonFiniteLoss
from marl.algorithms.mappo import MAPPO
from marl.algorithms.registry import algorithm_named
from marl.checkpoint import CheckpointError, load
from marl.config.training import (
    ConfigError,
    EvaluationConfig,
    NetworkConfig,
    PPOConfig,
    TrainingConfig,
    check_resume,
)
from marl.environment.held_out import HeldOut, IdleAgents, PolicyInGroups
from marl.networks.policy import Policy
from marl.protocol import AgentGroup
from marl.training.curriculum import training_seeds
from marl.training.dump import replay_dump
from marl.training.trainer import FIRST_VALIDATION_SEED, Trainer, TrainingFailed
from unit.marl.toys import Drift, Target

OPPOSITE = tuple(
    AgentGroup(name=name, agents=(f"{name}_0", f"{name}_1"), observation_size=2, action_size=1)
    for name in ("plus", "minus")
)
SIGNS = {"plus": 1.0, "minus": -1.0}


def settings(*, episodes=4000, steps=1, n_envs=16, network=None, evaluation=None, seed=0, **ppo):
    defaults = {
        "buffer_steps": 128,
        "minibatch_steps": 64,
        "lr_actor": 3e-3,
        "lr_critic": 3e-3,
        "robust_reward": 0.0,
        "policy_average": 0.0,
    }
    network = network or NetworkConfig()
    return TrainingConfig(
        total_episodes=episodes,
        episode_steps=steps,
        n_envs=n_envs,
        seed=seed,
        device="cpu",
        network=dataclasses.replace(network, actor_hidden=(32,), critic_hidden=(32,), dead_zone=0.0),
        ppo=PPOConfig(**(defaults | ppo)),
        evaluation=evaluation or EvaluationConfig(eval_every=0),
    )


def train(config, environment, directory, **options):
    return Trainer(
        config,
        environment,
        algorithm=algorithm_named(config.algorithm),
        directory=directory,
        tensorboard=False,
        **options,
    ).run()


def score(policy, environment) -> float:
    """Mean return of held-out episodes."""
    return float(rollout(PolicyInGroups(policy), environment, np.arange(10_000, 10_200)).returns.mean())


def policy_of(directory):
    return Policy.load(directory / "final_model.pt")


def weights_of(directory):
    return load(directory / "checkpoint_last.pt", "run")["learner"]["policy"]


# Learning. Acting zero costs E[x^2] = 1/3; a twentieth of that is an rms error of 0.13 over a range of 2.
SOLVED = -1.0 / 60.0


@pytest.mark.parametrize("sharing", ["type", "agent"])
def test_the_trainer_solves_a_one_step_task(tmp_path, sharing):
    train(settings(network=NetworkConfig(sharing=sharing)), Target(), tmp_path)
    assert score(policy_of(tmp_path), Target()) > SOLVED


def test_rewards_in_the_thousands_are_solved_as_well(tmp_path):
    train(settings(), Target(reward_factor=1000.0, reward_offset=500.0), tmp_path)
    assert score(policy_of(tmp_path), Target()) > SOLVED


def test_types_that_need_opposite_actions_are_solved_by_an_actor_per_type(tmp_path):
    train(settings(episodes=6000), Target(groups=OPPOSITE, signs=SIGNS), tmp_path)
    assert score(policy_of(tmp_path), Target(groups=OPPOSITE, signs=SIGNS)) > SOLVED


def test_types_that_need_opposite_actions_cannot_be_solved_by_one_blind_actor(tmp_path):
    """Whatever it answers to x, half the agents wanted the opposite: no better than -E[x^2] = -1/3."""
    network = NetworkConfig(sharing="all", agent_id=False)
    train(settings(network=network), Target(groups=OPPOSITE, signs=SIGNS), tmp_path)
    # The sample of 200 x 4 targets has E[x^2] = 1/3 within 4 x 0.3/sqrt(800) = 0.042.
    assert score(policy_of(tmp_path), Target(groups=OPPOSITE, signs=SIGNS)) < -1.0 / 3.0 + 0.042


def test_one_actor_that_knows_who_it_is_solves_them(tmp_path):
    network = NetworkConfig(sharing="all", agent_id=True)
    train(settings(episodes=8000, network=network), Target(groups=OPPOSITE, signs=SIGNS), tmp_path)
    # Half way to solved is far beyond what a blind actor can do.
    assert score(policy_of(tmp_path), Target(groups=OPPOSITE, signs=SIGNS)) > -0.1


def test_rewards_of_each_agents_own_are_learned_from(tmp_path):
    train(settings(), Target(groups=OPPOSITE, signs=SIGNS, per_agent_rewards=True), tmp_path)
    assert score(policy_of(tmp_path), Target(groups=OPPOSITE, signs=SIGNS)) > SOLVED


@pytest.mark.parametrize("critic", ["agent", "local"])
def test_critics_that_value_each_agent_solve_the_task_too(tmp_path, critic):
    train(settings(network=NetworkConfig(critic=critic)), Target(per_agent_rewards=True), tmp_path)
    assert score(policy_of(tmp_path), Target()) > SOLVED


def test_types_of_unlike_sizes_learn_together(tmp_path):
    """Two of `left` and one of `right` steer one mass: left alone it drifts, steered it is soon at rest."""
    train(settings(episodes=800, steps=10, n_envs=8, gamma=0.9), Drift(), tmp_path)
    seeds = np.arange(10_000, 10_064)
    idle = rollout(IdleAgents(Drift().groups, 8), Drift(), seeds).returns
    learned = rollout(PolicyInGroups(policy_of(tmp_path)), Drift(), seeds).returns
    assert learned.mean() > idle.mean() / 4.0


@pytest.mark.parametrize("explore", [False, True])
def test_exploring_keeps_out_of_the_dead_zone_when_told_to(tmp_path, explore):
    """With a spread of 0.35 around zero, actions within 0.2 are common unless they are left out."""
    config = settings(episodes=128, explore_dead_zone=explore)
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, dead_zone=0.2))
    seen = []

    class Watched(Target):
        def step(self, actions):
            seen.extend(x.copy() for x in actions.values())
            return super().step(actions)

    train(config, Watched(), tmp_path)
    size = np.abs(np.concatenate([x.ravel() for x in seen]))
    inside = (size > 0.0) & (size < 0.2)
    assert (size > 0.2).any()
    assert inside.any() != explore
    assert (size == 0.0).any() == explore


# Runs.


def small(**changes):
    base = settings(
        episodes=96,
        steps=10,
        n_envs=8,
        network=NetworkConfig(normalize_inputs=True),
        evaluation=EvaluationConfig(eval_every=3, eval_episodes=4, eval_process=False),
        lr_final_fraction=0.1,
        entropy_coef=0.01,
        policy_average=0.8,
    )
    return dataclasses.replace(base, checkpoint_every=2, **changes)


def rows(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in csv.DictReader(file)]


def run_small(directory, *, resume=False, on_progress=None, length=7, config=None):
    # Episodes of 7 steps against rollouts of 16: checkpoints fall inside episodes.
    return train(
        config or small(),
        Drift(length=length),
        directory,
        resume=resume,
        on_progress=on_progress,
        judge=HeldOut(lambda: Drift(n_env=4, length=length)),
    )


run_recipe = run_small


class Killed(BaseException):
    """Ends a run as a SIGKILL would: nothing after it is executed."""


SMALL = NetworkConfig(actor_hidden=(32,), critic_hidden=(32,))
GRU = NetworkConfig(actor="gru", memory_size=8, actor_hidden=(16,), critic_hidden=(16,), dead_zone=0.0)
RECIPES = {
    "plain": small(),
    "one after the other": small(algorithm="happo", network=SMALL),
    "one after the other, each by itself": small(
        algorithm="happo", network=dataclasses.replace(SMALL, sharing="agent")
    ),
    "memory": small(network=dataclasses.replace(GRU, sharing="agent", critic_memory=True)),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tmp_path, recipe):
    def run_small(directory, **options):
        return run_recipe(directory, config=RECIPES[recipe], **options)

    run_small(tmp_path / "whole")

    def kill(progress):
        if progress.update == 5:
            raise Killed

    with pytest.raises(Killed):
        run_small(tmp_path / "killed", on_progress=kill)
    assert load(tmp_path / "killed" / "checkpoint_last.pt", "run")["run_state"]["update"] == 4
    result = run_small(tmp_path / "killed", resume=True)
    assert result.finished
    whole, resumed = (load(tmp_path / name / "checkpoint_last.pt", "run") for name in ("whole", "killed"))

    def compare(a, b, where):
        if isinstance(a, dict):
            assert a.keys() == b.keys(), where
            for key in a:
                compare(a[key], b[key], f"{where}/{key}")
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, np.ndarray):
            assert np.array_equal(a, b), where
        elif isinstance(a, list | tuple):
            assert len(a) == len(b), where
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}[{k}]")
        else:
            assert a == b, where

    for content in (whole, resumed):  # wall-clock times differ by nature
        content["run_state"].pop("elapsed_s")
        for part in ("environment_s", "act_s", "update_s", "evaluation_s"):
            content["run_state"].pop(part)
    compare(whole, resumed, "checkpoint")
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_at_once_saves_and_the_run_can_go_on(tmp_path, capfd, number):
    def interrupt(progress):
        if progress.update == 3:
            os.kill(os.getpid(), number)

    result = run_small(tmp_path, on_progress=interrupt)
    assert not result.finished
    assert signal.Signals(number).name in result.reason
    assert f"{signal.Signals(number).name}: stopping after this update, then saving" in capfd.readouterr().err
    # The signal falls after update 3 was reported: the run ends there, and that update is saved.
    saved = load(tmp_path / "checkpoint_last.pt", "run")["run_state"]["update"]
    assert saved == result.update == 3
    assert run_small(tmp_path, resume=True).finished


def test_a_checkpoint_whose_episodes_are_others_is_refused_in_one_line(tmp_path, monkeypatch):
    """A scenario file was changed meanwhile: the environment says so, the run ends as with any wrong checkpoint."""
    run_small(tmp_path)

    def refuse(environment, state):
        raise ValueError("the saved state is of another scenario")

    monkeypatch.setattr(Drift, "set_state", refuse)
    with pytest.raises(CheckpointError, match=r"checkpoint_last.pt: the saved state is of another scenario$"):
        run_small(tmp_path, resume=True)


def test_a_run_leaves_its_files_and_says_how_far_the_last_is_from_the_best(tmp_path):
    result = run_small(tmp_path)
    for name in (
        "metrics.csv",
        "checkpoint_last.pt",
        "best_model.pt",
        "final_model.pt",
        "training_stats.json",
    ):
        assert (tmp_path / name).stat().st_size > 0
    statistics = json.loads((tmp_path / "training_stats.json").read_text())
    assert statistics["steps"] == 8 * 128  # 960 steps asked for, in whole updates of 128
    best, last = statistics["best_return"], statistics["last_return"]
    assert best >= last
    assert statistics["last_behind_best_percent"] == pytest.approx(100 * (best - last) / abs(best))
    assert result.best_return == best
    tags = rows(tmp_path)[-1].keys()
    for tag in ("train/return", "train/kl_left", "train/clip_fraction_left", "train/log_std_right",
                "train/explained_variance", "train/entropy_left", "train/gradient_norm_critic_state",
                "train/value_std", "loss/value", "grid/reward_position", "grid/violations", "eval/return"):  # fmt: skip
        assert tag in tags


def test_the_best_model_is_the_one_with_the_best_held_out_return(tmp_path):
    run_small(tmp_path)
    statistics = json.loads((tmp_path / "training_stats.json").read_text())
    best = Policy.load(tmp_path / "best_model.pt")
    assert best.metadata["update"] == statistics["best_update"]
    first = FIRST_VALIDATION_SEED
    again = rollout(
        PolicyInGroups(best), Drift(n_env=4, length=7), np.arange(first, first + 4)
    ).returns.mean()
    assert float(again) == pytest.approx(statistics["best_return"], rel=1e-12)


def test_a_loaded_policy_acts_as_the_saved_one(tmp_path):
    environment = Drift(length=7)
    trainer = Trainer(
        small(),
        environment,
        algorithm=MAPPO,
        directory=tmp_path,
        tensorboard=False,
        judge=HeldOut(lambda: Drift(n_env=4)),
    )
    trainer.run()
    observed = environment.reset(np.arange(8))
    expected = trainer.algorithm.evaluation_policy.act(observed.observations)
    kept = Policy.from_content(load(tmp_path / "checkpoint_last.pt", "run")["policy"])
    for loaded in (Policy.load(tmp_path / "final_model.pt"), kept):
        found = loaded.act(observed.observations)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_patience_ends_a_run_that_no_longer_improves(tmp_path):
    class Indifferent(Drift):
        """Pays nothing, whatever is done: no policy is better than the first."""

        def step(self, actions):
            transition = super().step(actions)
            return dataclasses.replace(transition, reward=np.zeros(self.n_env))

    config = small(evaluation=EvaluationConfig(eval_every=1, eval_episodes=4, eval_process=False, patience=2))
    result = train(config, Indifferent(), tmp_path, judge=HeldOut(lambda: Indifferent(n_env=4)))
    assert "no better policy in 2 evaluations" in result.reason
    assert (result.update, result.best_return) == (2, 0.0)


def test_a_loss_that_is_not_finite_leaves_a_dump_that_reproduces_it(tmp_path):
    config = small()
    trainer = Trainer(config, Drift(length=7), algorithm=MAPPO, directory=tmp_path, tensorboard=False)

    def poison(progress):
        if progress.update == 3:
            trainer.algorithm.critic.heads["state"].last.bias.data.fill_(float("nan"))

    trainer.on_progress = poison
    with pytest.raises(TrainingFailed, match="nonfinite_dump.pt"):
        trainer.run()
    assert load(tmp_path / "checkpoint_last.pt", "run")["run_state"]["update"] == 2
    with pytest.raises(NonFiniteLoss):
        replay_dump(tmp_path / "nonfinite_dump.pt", config, Drift(length=7), MAPPO)


def test_weights_that_the_last_step_ruined_are_not_saved(tmp_path):
    """A step of 1e38 leaves weights beyond float32, and no loss comes after it that would tell."""
    base = small()
    ppo = dataclasses.replace(base.ppo, lr_actor=1e38, epochs=1, minibatch_steps=base.ppo.buffer_steps)
    config = dataclasses.replace(base, ppo=ppo)
    with pytest.raises(TrainingFailed, match=r"weights of the policy.*no checkpoint has been written yet"):
        train(config, Drift(), tmp_path)
    assert (tmp_path / "nonfinite_dump.pt").exists()
    with pytest.raises(NonFiniteLoss):
        replay_dump(tmp_path / "nonfinite_dump.pt", config, Drift(), MAPPO)


def test_actions_that_are_not_finite_end_the_run_in_words(tmp_path):
    base = small()
    config = dataclasses.replace(base, network=dataclasses.replace(base.network, log_std_init=100.0))
    with pytest.raises(TrainingFailed, match="actions are no longer finite"):
        train(config, Drift(), tmp_path)


def test_the_first_evaluation_is_on_record(tmp_path):
    config = small()
    train(config, Drift(), tmp_path, judge=HeldOut(lambda: Drift(n_env=4)))
    found = rows(tmp_path)
    assert [row["update"] for row in found] == [str(k) for k in range(config.n_updates + 1)]
    untrained = Trainer(
        config, Drift(), algorithm=MAPPO, directory=tmp_path / "other", tensorboard=False
    ).algorithm.evaluation_policy
    seeds = np.arange(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + 4)
    expected = rollout(PolicyInGroups(untrained), Drift(n_env=4), seeds).returns.mean()
    assert float(found[0]["eval/return"]) == pytest.approx(expected, rel=1e-7)  # eight digits are written


def test_a_resumed_run_without_evaluation_has_one_row_an_update(tmp_path):
    """Nobody builds held-out episodes: there is nothing to record before the first update, nor after resuming."""
    train(small(), Drift(), tmp_path)
    longer = dataclasses.replace(small(), total_episodes=small().total_episodes + 32)
    train(longer, Drift(), tmp_path, resume=True)
    assert [row["update"] for row in rows(tmp_path)] == [str(k) for k in range(1, longer.n_updates + 1)]


def test_a_resumed_run_keeps_its_held_out_episodes():
    before = small()
    for change in (
        {"eval_seed": 1},
        {"eval_episodes": 2},
        {"eval_scenario": "n1"},
    ):
        now = dataclasses.replace(before, evaluation=dataclasses.replace(before.evaluation, **change))
        with pytest.raises(ConfigError, match=next(iter(change))):
            check_resume(before, now)


def test_a_reward_that_is_not_finite_names_its_environment(tmp_path):
    class Broken(Drift):
        def step(self, actions):
            transition = super().step(actions)
            transition.reward[3] = np.nan
            return transition

    with pytest.raises(TrainingFailed, match="environment 3 returned reward nan"):
        train(small(), Broken(), tmp_path)


def test_rewards_per_agent_that_were_not_announced_are_refused(tmp_path):
    environment = Target(per_agent_rewards=True)
    environment.per_agent_rewards = False

    class Liar(Target):
        def step(self, actions):
            transition = super().step(actions)
            return dataclasses.replace(transition, reward=np.repeat(transition.reward[:, None], 2, axis=1))

    with pytest.raises(TrainingFailed, match="per_agent_rewards"):
        train(settings(), Liar(), tmp_path)


def test_resuming_with_other_networks_is_refused(tmp_path):
    run_small(tmp_path)
    other = dataclasses.replace(small(), network=dataclasses.replace(small().network, actor_hidden=(8,)))
    with pytest.raises(CheckpointError, match="other networks"):
        run_small(tmp_path, resume=True, config=other)


def test_an_environment_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 episodes"):
        train(small(), Drift(n_env=3), tmp_path)


def test_training_seeds_do_not_depend_on_the_number_of_environments():
    assert training_seeds(5, 64, 2**31)[:8].tolist() == training_seeds(5, 8, 2**31).tolist()
    assert len(set(training_seeds(5, 64, 2**31)) | set(training_seeds(6, 64, 2**31))) == 128
    assert training_seeds(0, 64, 1000).max() < 1000


def test_the_environment_says_below_which_seeds_to_train_and_where_to_evaluate(tmp_path):
    """The configuration has the last word on the evaluation, none on training."""
    for asked, first in ((None, 1000), (7, 7)):
        config = dataclasses.replace(small(), evaluation=EvaluationConfig(eval_seed=asked))
        trainer = Trainer(
            config,
            Drift(),
            algorithm=MAPPO,
            directory=tmp_path,
            tensorboard=False,
            first_validation_seed=1000,
        )
        assert trainer.config.evaluation.eval_seed == first
        assert trainer.curriculum.begin(64).seeds.max() < 1000
        trainer.close()


def test_without_evaluation_the_best_model_is_the_last_after_a_resumed_run_too(tmp_path):
    short = settings(episodes=20, steps=10)
    train(short, Drift(n_env=16), tmp_path)
    train(dataclasses.replace(short, total_episodes=60), Drift(n_env=16), tmp_path, resume=True)
    best = Policy.load(tmp_path / "best_model.pt").state_dict()
    for name, x in policy_of(tmp_path).state_dict().items():
        assert torch.equal(best[name], x), name


def test_a_run_that_goes_on_lets_no_second_one_into_its_directory(tmp_path):
    """Neither a new one nor one that resumes it; once it is over, anyone may."""
    tried = []

    def second(progress):
        if progress.update == 4:
            for resume in (False, True):
                with pytest.raises(TrainingFailed, match=f"is in use by process {os.getpid()} on ") as caught:
                    run_small(tmp_path, resume=resume)
                tried.append("\n" in str(caught.value))

    whole = run_small(tmp_path, on_progress=second)
    assert tried == [False, False]
    assert whole.finished
    assert not (tmp_path / "run.lock").exists()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, capsys):
    """The run ends with the same weights to the bit: it does again what came after the earlier checkpoint."""
    run_small(tmp_path / "whole")

    def kill(progress):
        if progress.update == 5:
            raise Killed

    with pytest.raises(Killed):
        run_small(tmp_path / "hurt", on_progress=kill)
    path = tmp_path / "hurt" / "checkpoint_last.pt"
    weights = max(weights_of(tmp_path / "hurt").values(), key=lambda x: x.numel()).numpy().tobytes()
    whole = path.read_bytes()
    assert weights in whole
    path.write_bytes(whole.replace(weights, bytes([weights[0] ^ 0x81]) + weights[1:]))
    with pytest.raises(CheckpointError, match=r"checkpoint_last.pt is broken"):
        load(path, "run")
    assert run_small(tmp_path / "hurt", resume=True).finished
    told = capsys.readouterr().err
    assert "checkpoint_last.pt is broken" in told
    assert "going on from" in told
    assert told.count("\n") == 1
    for name, weight in weights_of(tmp_path / "whole").items():
        assert torch.equal(weight, weights_of(tmp_path / "hurt")[name])
    assert rows(tmp_path / "hurt") == rows(tmp_path / "whole")


def test_with_both_checkpoints_damaged_one_line_says_so(tmp_path):
    run_small(tmp_path)
    for name in ("checkpoint_last.pt", "checkpoint_previous.pt"):
        (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"checkpoint_last.pt is broken") as caught:
        run_small(tmp_path, resume=True)
    assert "\n" not in str(caught.value)
