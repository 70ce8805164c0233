"""The price of a violation: by hand, in checkpoints, and strong enough where it must be."""

import dataclasses

import numpy as np
import pytest

from marl.algorithms.lagrangian import Lagrangian
from marl.algorithms.mappo import MAPPO
from marl.checkpoint import load
from marl.config.training import ConfigError
from marl.training.trainer import Trainer, TrainingFailed
from unit.marl.toys import Drift, Target
from unit.marl.training.test_trainer import small


def test_dual_ascent_by_hand():
    """Budget 1/4, rate 2: a mean of 3/4 adds 2 x 1/2; a mean of zero takes 2 x 1/4 off, and never below zero."""
    price = Lagrangian(budget=0.25, rate=2.0)
    assert price.charge({"violations": np.array([1.0, 0.0])}).tolist() == [0.0, 0.0]
    price.charge({"violations": np.array([2.0, 0.0])})
    assert price.move() == {"train/violations_per_step": 0.75, "train/violation_price": 1.0}
    assert price.charge({"violations": np.array([0.0, 0.0])}).tolist() == [0.0, 0.0]
    price.move()
    assert price.multiplier == 0.5
    assert price.charge({"violations": np.array([2.0])}).tolist() == [1.0]
    for _ in range(2):
        price.move()  # nothing was counted the second time: nothing is known, and the price stays
    assert price.multiplier == 0.5 + 2.0 * (2.0 - 0.25)
    price.multiplier = 0.1
    price.charge({"violations": np.array([0.0])})
    price.move()
    assert price.multiplier == 0.0


def run(directory, environment, **options):
    base = small()
    ppo = dataclasses.replace(base.ppo, violation_budget=0.0, violation_rate=0.5)
    trainer = Trainer(
        dataclasses.replace(base, ppo=ppo),
        environment,
        algorithm=MAPPO,
        directory=directory,
        tensorboard=False,
        **options,
    )
    trainer.run()
    return trainer


def test_the_price_is_learned_with_told_of_and_kept_in_checkpoints(tmp_path):
    class Beyond(Drift):
        def step(self, actions):
            transition = super().step(actions)
            transition.terms["violations"][:] = 1.0
            return transition

    trainer = run(tmp_path, Beyond())
    # Eight updates of one violation a step, budget none, rate 1/2.
    assert trainer.algorithm.lagrangian.multiplier == 4.0
    assert load(tmp_path / "checkpoint_last.pt", "run")["learner"]["lagrangian"]["multiplier"] == 4.0
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert "train/violation_price" in header
    again = MAPPO(trainer.config, trainer.environment.groups, 2)
    again.load_state(trainer.algorithm.state())
    assert again.lagrangian.multiplier == 4.0
    again.act(trainer.observation)
    again.observe(trainer.environment.step(again.act(trainer.observation)))
    kept = again.storage.rewards[0, :, 0].numpy()
    assert (kept < -3.9).all()  # 4 for the violation beside -x^2 in [-1.., 0]


def test_without_a_budget_there_is_no_price_and_nothing_in_the_state(tmp_path):
    learner = MAPPO(small(), Drift().groups, 2)
    assert learner.lagrangian is None
    assert "lagrangian" not in learner.state()


def test_an_environment_that_counts_none_and_settings_that_cannot_be_meant_are_refused(tmp_path):
    with pytest.raises(TrainingFailed, match="needs an environment that counts them"):
        run(tmp_path, Target(n_env=8))
    for wrong in ({"violation_budget": -1.0}, {"violation_rate": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            dataclasses.replace(small().ppo, **wrong)
    base = dataclasses.replace(small().ppo, violation_budget=0.1)
    with pytest.raises(ConfigError, match="violation_budget"):
        dataclasses.replace(small(), algorithm="masac", ppo=base)
