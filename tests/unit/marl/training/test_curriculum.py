"""What training episodes are drawn from: constant by default, and whatever a curriculum says."""

import dataclasses

import numpy as np
import pytest

from marl.algorithms.mappo import MAPPO
from marl.checkpoint import load
from marl.sampling.inline import InlineSampler
from marl.training.curriculum import ConstantCurriculum, Draw, training_seeds
from marl.training.trainer import FIRST_VALIDATION_SEED, Trainer
from unit.marl.toys import Drift
from unit.marl.training.test_trainer import small


class Staged(Drift):
    """Remembers what it was told to draw from, and when it was begun anew."""

    def __init__(self, **options):
        super().__init__(**options)
        self.told, self.seeded = [], []

    def draw_from(self, scenario):
        self.told.append(scenario)

    def reset(self, seeds=None):
        self.seeded.append(None if seeds is None else np.asarray(seeds).tolist())
        return super().reset(seeds)


class HarderHalfway:
    """`calm` at first, `severe` with new episodes once half of the training is over."""

    def __init__(self):
        self.scenario, self.seen = None, []

    def begin(self, n_env):
        self.scenario = "calm"
        return Draw(scenario="calm", seeds=np.arange(n_env))

    def after_update(self, progress, terms):
        self.seen.append((progress, terms["return"]))
        if progress < 0.5 or self.scenario == "severe":
            return None
        self.scenario = "severe"
        return Draw(scenario="severe", seeds=100 + np.arange(8))

    def state(self):
        return {"scenario": self.scenario}

    def load_state(self, state):
        self.scenario = state["scenario"]


def trainer_of(directory, environment, **options):
    return Trainer(small(), environment, algorithm=MAPPO, directory=directory, tensorboard=False, **options)


def test_the_constant_one_gives_every_environment_its_seed_and_then_leaves_all_alone(tmp_path):
    environment = Staged()
    trainer_of(tmp_path, environment).run()
    assert environment.seeded == [training_seeds(0, 8, FIRST_VALIDATION_SEED).tolist()]
    assert environment.told == []
    assert ConstantCurriculum(5, 100).begin(3).seeds.tolist() == training_seeds(5, 3, 100).tolist()


def test_a_curriculum_changes_scenario_and_episodes_in_the_middle_of_a_run(tmp_path):
    """Eight updates: it is asked after each, and acts after the fourth."""
    environment, curriculum = Staged(), HarderHalfway()
    trainer_of(tmp_path, InlineSampler(lambda n: environment, 8), curriculum=curriculum).run()
    assert [progress for progress, _ in curriculum.seen] == [k / 8 for k in range(1, 9)]
    assert environment.told == ["calm", "severe"]
    assert environment.seeded == [list(range(8)), list(range(100, 108))]


def test_a_resumed_run_draws_from_where_its_curriculum_stood(tmp_path):
    trainer_of(tmp_path, Staged(), curriculum=HarderHalfway()).run()
    assert load(tmp_path / "checkpoint_last.pt", "run")["curriculum"] == {"scenario": "severe"}
    environment = Staged()
    longer = dataclasses.replace(small(), total_episodes=120)
    Trainer(
        longer,
        environment,
        algorithm=MAPPO,
        directory=tmp_path,
        curriculum=HarderHalfway(),
        resume=True,
        tensorboard=False,
    ).run()
    assert environment.told == ["severe"]
    assert environment.seeded == []


def test_an_environment_of_one_scenario_says_so(tmp_path):
    with pytest.raises(TypeError, match="'calm' is asked for, but Drift draws from one alone"):
        trainer_of(tmp_path, Drift(), curriculum=HarderHalfway())
