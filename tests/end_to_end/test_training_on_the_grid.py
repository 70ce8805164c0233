"""The learner on the real grid, shrunk to seconds: it trains, is killed, and resumes as if nothing had happened."""

import contextlib
from dataclasses import replace

import numpy as np
import torch

from control.scenario.suites import SCENARIOS, VALIDATION_SEEDS
from marl import checkpoint
from marl.algorithms.registry import algorithm_named
from marl.config.training import EvaluationConfig, NetworkConfig, OffPolicyConfig, PPOConfig, TrainingConfig
from marl.environment.batch import make_batch
from marl.environment.curricula import GRID_STAGES
from marl.sampling.inline import InlineSampler
from marl.training.curriculum import Draw
from marl.training.level_replay import LevelReplay
from marl.training.stages import StageCurriculum
from marl.training.trainer import Trainer

SETTINGS = TrainingConfig(
    total_episodes=1,
    episode_steps=320,
    n_envs=4,
    device="cpu",
    checkpoint_every=3,
    scenario="training_n1",
    network=NetworkConfig(actor_hidden=(16,), critic_hidden=(16,), normalize_inputs=True),
    ppo=PPOConfig(buffer_steps=64, minibatch_steps=32, epochs=2),
    evaluation=EvaluationConfig(eval_every=0),
)


class Killed(BaseException):
    """Ends a run as a SIGKILL would: nothing after it is executed."""


class CalmThenOutages:
    """Two stages: `training` at first, and new episodes of `training_n1` from the middle of the run on."""

    def __init__(self):
        self.scenario = None

    def begin(self, n_env):
        return Draw(seeds=10 + np.arange(n_env))

    def after_update(self, progress, terms):
        if progress < 0.5 or self.scenario is not None:
            return None
        self.scenario = "training_n1"
        return Draw(scenario=self.scenario)

    def state(self):
        return {"scenario": self.scenario}

    def load_state(self, state):
        self.scenario = state["scenario"]


def train(directory, *, config=SETTINGS, resume=False, on_progress=None, curriculum=None):
    environment = InlineSampler(
        lambda n: make_batch(
            replace(SCENARIOS[config.scenario], n_intervals=config.episode_steps),
            n,
            stagger=True,
            check=False,
        ),
        config.n_envs,
    )
    trainer = Trainer(
        config,
        environment,
        algorithm=algorithm_named(config.algorithm),
        directory=directory,
        resume=resume,
        on_progress=on_progress,
        curriculum=curriculum,
        tensorboard=False,
    )
    trainer.run()
    return trainer


def test_a_killed_run_on_the_grid_resumes_bit_for_bit(tmp_path):
    def kill(progress):
        if progress.update == 4:
            raise Killed

    assert train(tmp_path / "whole").run_state.update == 5
    with contextlib.suppress(Killed):
        train(tmp_path / "killed", on_progress=kill)
    assert train(tmp_path / "killed", resume=True).run_state.update == 5
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "killed")


def test_a_killed_run_with_replay_resumes_bit_for_bit(tmp_path):
    """Five rows of 16 steps in four environments; learning begins in the third, the kill comes after the fourth."""
    config = replace(
        SETTINGS,
        algorithm="masac",
        off_policy=OffPolicyConfig(
            replay_steps=200, replay_first=100, replay_batch=16, gradient_steps=1, n_step=3
        ),
    )

    def kill(progress):
        if progress.update == 4:
            raise Killed

    train(tmp_path / "whole", config=config)
    with contextlib.suppress(Killed):
        train(tmp_path / "killed", config=config, on_progress=kill)
    train(tmp_path / "killed", config=config, resume=True)
    whole, resumed = (
        checkpoint.load(tmp_path / run / "checkpoint_last.pt", "run")["learner"]
        for run in ("whole", "killed")
    )
    for part in ("policy", "critics", "targets"):
        for name, x in whole[part].items():
            assert torch.equal(resumed[part][name], x), f"{part} {name}"
    assert whole["draws"] == resumed["draws"]
    assert np.array_equal(whole["storage"]["priorities"], resumed["storage"]["priorities"])
    for name, x in whole["storage"]["arrays"].items():
        assert np.array_equal(resumed["storage"]["arrays"][name], x), name


def test_a_curriculum_of_two_stages_trains_on_the_grid_and_resumes_between_them(tmp_path):
    """Ten updates of four steps, episodes of 20: outages are asked for after the fifth, killed in the seventh."""
    config = replace(
        SETTINGS,
        total_episodes=8,
        episode_steps=20,
        checkpoint_every=1,
        scenario="training",
        ppo=replace(SETTINGS.ppo, buffer_steps=16, minibatch_steps=8),
    )

    def kill(progress):
        if progress.update == 7:
            raise Killed

    whole = train(tmp_path / "whole", config=config, curriculum=CalmThenOutages())
    task = whole.environment.environment.task
    assert whole.run_state.update == 10
    assert whole.curriculum.state() == {"scenario": "training_n1"}
    begun = [env for env, name in enumerate(task.draws.source_of) if name == "training_n1"]
    assert begun  # some episode has ended since
    assert all(task.loop.episode[env].events for env in begun)  # one outage in every episode
    with contextlib.suppress(Killed):
        train(tmp_path / "killed", config=config, curriculum=CalmThenOutages(), on_progress=kill)
    between = checkpoint.load(tmp_path / "killed" / "checkpoint_last.pt", "run")["environment"]
    assert between["draws_from"] == "training_n1"
    assert "" in between["drawn_from"]  # an episode of the first stage is still under way
    train(tmp_path / "killed", config=config, curriculum=CalmThenOutages(), resume=True)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "killed")


SHORT = replace(
    SETTINGS,
    total_episodes=8,
    episode_steps=20,
    checkpoint_every=1,
    scenario="training",
    ppo=replace(SETTINGS.ppo, buffer_steps=16, minibatch_steps=8),
)


def killed_and_resumed(directory, config, make_curriculum, at):
    """The same run whole, and killed after this update and taken up again."""

    def kill(progress):
        if progress.update == at:
            raise Killed

    whole = train(directory / "whole", config=config, curriculum=make_curriculum())
    with contextlib.suppress(Killed):
        train(directory / "killed", config=config, curriculum=make_curriculum(), on_progress=kill)
    resumed = train(directory / "killed", config=config, curriculum=make_curriculum(), resume=True)
    assert_same_checkpoint(directory / "whole", directory / "killed")
    return whole, resumed


def test_stages_of_the_grid_change_inertia_and_delay_and_resume_in_them(tmp_path):
    """Whatever is measured is enough: a stage for two updates each; the kill comes in the last, with a late SCADA."""

    def make():
        return StageCurriculum(GRID_STAGES, threshold=-1.0, n_update=2, seed=0, below=VALIDATION_SEEDS.first)

    whole, resumed = killed_and_resumed(tmp_path, SHORT, make, at=9)
    for trainer in (whole, resumed):
        task = trainer.environment.environment.task
        assert trainer.curriculum.scenario == task.scenario.name == "training_delay"
        assert task.scenario.scada_delay_intervals == 3
        assert task.scenario.inertia_scale_to_mws == 110_000.0


def test_levels_are_replayed_on_the_grid_and_resumed(tmp_path):
    def make():
        return LevelReplay(
            size=4, share=0.5, temperature=0.1, staleness=0.1, seed=0, below=VALIDATION_SEEDS.first
        )

    whole, resumed = killed_and_resumed(tmp_path, SHORT, make, at=7)
    assert whole.curriculum.levels == resumed.curriculum.levels
    assert len(whole.curriculum.levels) == 4  # forty steps are one or two episodes of each environment
    queued = [t.environment.environment.task.get_state()["queued"] for t in (whole, resumed)]
    assert queued[0] == queued[1] == [row[1:] for row in whole.curriculum.state()["playing"]]


def assert_same_checkpoint(*runs):
    whole, resumed = (checkpoint.load(run / "checkpoint_last.pt", "run") for run in runs)
    for part in ("policy", "critic"):
        for name, x in whole["learner"][part].items():
            assert torch.equal(resumed["learner"][part][name], x), f"{part} {name}"
    assert torch.equal(resumed["learner"]["noise"], whole["learner"]["noise"])
    assert (resumed["observation"]["state"] == whole["observation"]["state"]).all()
