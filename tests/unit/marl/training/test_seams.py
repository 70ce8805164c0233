"""The trainer names no algorithm and owns its environments: what it is handed, it uses and closes."""

import numpy as np
import pytest
import torch

from marl.algorithms.mappo import MAPPO
from marl.checkpoint import CheckpointError, load, save
from marl.config.training import NetworkConfig
from marl.networks.policy import Policy
from marl.sampling.inline import InlineSampler
from marl.training.trainer import Trainer, TrainingFailed
from unit.marl.toys import Drift
from unit.marl.training.test_trainer import small


class ShiftEveryThird:
    """An algorithm of another kind: no gradient, no rollout; it learns every third step by adding 0.1 to a bias."""

    name = "shift"

    def __init__(self, config, groups, state_size, *, per_agent_rewards=False, device=None):
        self.evaluation_policy = Policy(groups, NetworkConfig(actor_hidden=(8,), dead_zone=0.0))
        self.seen, self.n_step, self.progress = 0, 0, []

    def start_from(self, change):
        change(self.evaluation_policy)

    def act(self, observation):
        return self.evaluation_policy.act(observation.observations)

    def observe(self, transition):
        self.n_step += 1
        self.seen += len(transition.truncated)

    def update(self, progress):
        if self.n_step < 3:
            return None
        self.n_step = 0
        self.progress.append(progress)
        with torch.no_grad():
            self.evaluation_policy.actors.heads["left"].net.last.bias.add_(0.1)
        return {"train/seen": float(self.seen)}

    def state(self):
        weights = {name: x.clone() for name, x in self.evaluation_policy.state_dict().items()}
        return {"weights": weights, "seen": self.seen}

    def load_state(self, state):
        self.evaluation_policy.load_state_dict(state["weights"])
        self.seen = state["seen"]


class Closed(Drift):
    """Counts how often it is closed."""

    def __init__(self, **options):
        super().__init__(**options)
        self.n_close = 0

    def close(self):
        self.n_close += 1


def trainer_of(directory, environment, **options):
    options = {"algorithm": MAPPO, "tensorboard": False} | options
    return Trainer(small(), environment, directory=directory, **options)


def test_any_algorithm_is_trained_and_resumed(tmp_path):
    """Eight updates of three steps in eight environments: the bias of a fresh network, zero, becomes 0.8."""
    trainer = trainer_of(tmp_path, Drift(), algorithm=ShiftEveryThird)
    result = trainer.run()
    assert (result.update, result.steps) == (8, 8 * 3 * 8)
    assert trainer.algorithm.progress == [k / 8 for k in range(8)]
    bias = Policy.load(tmp_path / "final_model.pt").actors.heads["left"].net.last.bias.detach()
    assert float(bias) == pytest.approx(0.8, rel=1e-6)  # float32
    again = trainer_of(tmp_path, Drift(), algorithm=ShiftEveryThird, resume=True)
    assert again.algorithm.seen == 8 * 3 * 8
    again.close()


def test_a_checkpoint_of_another_algorithm_is_refused_by_name(tmp_path):
    trainer_of(tmp_path, Drift(), algorithm=ShiftEveryThird).run()
    assert load(tmp_path / "checkpoint_last.pt", "run")["algorithm"] == "shift"
    with pytest.raises(CheckpointError, match=r"is of the algorithm shift, asked for is mappo; .* --start "):
        trainer_of(tmp_path, Drift(), resume=True)


def test_a_checkpoint_that_names_no_algorithm_is_of_an_earlier_version(tmp_path):
    trainer_of(tmp_path, Drift()).run()
    content = load(tmp_path / "checkpoint_last.pt", "run")
    content.pop("algorithm")
    save(tmp_path / "checkpoint_last.pt", "run", content)
    with pytest.raises(CheckpointError, match="of an earlier version, which names no algorithm"):
        trainer_of(tmp_path, Drift(), resume=True)


def test_the_environments_are_closed_once_however_a_run_ends(tmp_path):
    class Broken(Closed):
        def step(self, actions):
            raise ArithmeticError("no solution")

    environment = Closed()
    with trainer_of(tmp_path / "whole", environment) as trainer:
        trainer.run()
    assert environment.n_close == 1
    broken = Broken()
    with pytest.raises(ArithmeticError):
        trainer_of(tmp_path / "broken", broken).run()
    assert broken.n_close == 1
    refused = Closed(n_env=3)  # the trainer cannot begin: nobody would be left to close it
    with pytest.raises(ValueError, match="3 episodes"):
        trainer_of(tmp_path / "refused", refused)
    assert refused.n_close == 1
    unused = Closed()
    with trainer_of(tmp_path / "unused", unused):
        pass
    assert unused.n_close == 1


def test_actions_come_before_their_consequences(tmp_path):
    with trainer_of(tmp_path, Drift()) as trainer:
        transition = trainer.environment.step(trainer.algorithm.act(trainer.observation))
        trainer.algorithm.observe(transition)
        with pytest.raises(RuntimeError, match="call act first"):
            trainer.algorithm.observe(transition)


def test_a_sampler_in_this_process_is_the_batch_itself():
    alone = Drift(n_env=4)
    with InlineSampler(lambda n_env: Drift(n_env=n_env), 4) as sampler:
        assert (sampler.n_env, sampler.state_size, sampler.groups) == (4, alone.state_size, alone.groups)
        assert not sampler.per_agent_rewards
        seeds = np.arange(4)
        assert np.array_equal(sampler.reset(seeds).state, alone.reset(seeds).state)
        actions = {"left": np.ones((4, 2, 1), np.float32), "right": np.ones((4, 1, 2), np.float32)}
        assert np.array_equal(sampler.step(actions).reward, alone.step(actions).reward)
        saved = sampler.get_state()
        alone.step(actions)
        alone.set_state(saved)
        assert np.array_equal(sampler.step(actions).reward, alone.step(actions).reward)
        with pytest.raises(TypeError, match="has no draw_from"):
            sampler.draw_from("calm")


def test_steps_are_counted_as_they_are_made(tmp_path):
    """A reward that is no number in the third step: two steps of eight environments were whole."""

    class Broken(Drift):
        n = 0

        def step(self, actions):
            transition = super().step(actions)
            self.n += 1
            if self.n == 3:
                transition.reward[1] = np.nan
            return transition

    with pytest.raises(TrainingFailed, match="environment 1 returned reward nan .* after 16 steps"):
        trainer_of(tmp_path, Broken()).run()
