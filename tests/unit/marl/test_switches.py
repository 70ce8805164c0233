"""Every switch of the learner, where it is wired in: what it turns on happens, and without it does not.

The formulas themselves have tests of their own; here a run, a rollout or one update must follow the setting.
"""

import csv
import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from marl.algorithms.mappo import MAPPO
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import AgentGroup
from marl.storage.rollout import Rollout
from marl.training.trainer import Trainer
from unit.marl.toys import Drift, Target

N_STEP, N_ENV, N_STATE = 16, 8, 5
GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=3, action_size=1),
    AgentGroup(name="b", agents=("b_0",), observation_size=2, action_size=2),
)
N_AGENT = 3


def settings(*, episodes=96, n_envs=N_ENV, network=None, **ppo) -> TrainingConfig:
    """Rollouts of 16 steps of 8 environments, everything that is tested here switched off."""
    plain = {
        "buffer_steps": N_STEP * N_ENV,
        "minibatch_steps": N_STEP * N_ENV,
        "epochs": 1,
        "lr_final_fraction": 1.0,
        "normalize_advantages": False,
        "normalize_values": False,
        "noise_correlation": 0.0,
        "robust_reward": 0.0,
        "policy_average": 0.0,
        "max_grad_norm": 1e9,
    }
    network = {"actor_hidden": (16,), "critic_hidden": (16,), "dead_zone": 0.0} | (network or {})
    return TrainingConfig(
        total_episodes=episodes,
        episode_steps=10,
        n_envs=n_envs,
        device="cpu",
        network=NetworkConfig(**network),
        ppo=PPOConfig(**(plain | ppo)),
        evaluation=EvaluationConfig(eval_every=0),
    )


# In a run.


class Watched(Drift):
    """A drifting mass that remembers the actions it was handed, and can pay fixed rewards instead of its own."""

    def __init__(self, *, rewards=None, **options) -> None:
        super().__init__(**options)
        self.rewards = rewards
        self.handed = []

    def step(self, actions):
        self.handed.append({name: x.copy() for name, x in actions.items()})
        transition = super().step(actions)
        return transition if self.rewards is None else dataclasses.replace(transition, reward=self.rewards)


def trainer_of(directory, environment=None, **options) -> Trainer:
    return Trainer(
        settings(**options),
        environment or Watched(n_env=N_ENV),
        algorithm=MAPPO,
        directory=directory,
        tensorboard=False,
    )


def first_rollout(trainer) -> tuple[Rollout, dict[str, float]]:
    """What the algorithm is given to learn from at its first update, and what the run reports of it."""
    kept = []

    def remember(rollout, progress):
        kept.append(rollout)
        return {}

    trainer.algorithm.learn = remember
    _, terms = trainer._gather()
    return kept[0], terms


def column(directory, tag):
    with open(directory / "metrics.csv", newline="") as file:
        return np.array([float(row[tag]) for row in csv.DictReader(file)])


def parameters(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_a_rollout_keeps_the_true_last_observation_and_not_the_one_after_the_reset(tmp_path):
    """The mass sees the share of its episode that is over: 1 at its end, 0 after the reset."""
    rollout, _ = first_rollout(trainer_of(tmp_path))
    assert rollout.truncated_step.tolist() == [9] * N_ENV  # episodes of 10 steps, rollouts of 16
    assert rollout.final_state[:, 1].tolist() == [1.0] * N_ENV
    for name, x in rollout.final_observations.items():
        assert (x[..., 1] == 1.0).all(), name
        assert (rollout.observations[name][10, ..., 1] == 0.0).all(), name
    assert rollout.state[10, :, 1].tolist() == [0.0] * N_ENV


@pytest.mark.parametrize(
    ("threshold", "shape", "size"),
    [
        (0.0, "log", 180.0),
        (20.0, "root", 2.0 * 60.0 - 20.0),  # 2 sqrt(20 x 180) - 20
        (20.0, "log", 20.0 * (1.0 + math.log(9.0))),  # 180 = 9 x 20
    ],
)
def test_rewards_are_learned_from_in_the_robust_shape_and_reported_as_they_were(
    tmp_path, threshold, shape, size
):
    paid = np.array([-180.0, -5.0, 0.0, 180.0] * 2)
    environment = Watched(n_env=N_ENV, rewards=paid)
    trainer = trainer_of(tmp_path, environment, robust_reward=threshold, robust_shape=shape)
    rollout, terms = first_rollout(trainer)
    expected = torch.tensor([-size, -5.0, 0.0, size] * 2).expand(N_STEP, N_ENV)
    np.testing.assert_allclose(rollout.rewards[..., 0], expected, rtol=1e-6)  # float32
    assert terms["return"] == pytest.approx(10 * paid.mean())  # of an episode of 10 steps


def test_learning_rates_fall_along_a_straight_line_over_a_run(tmp_path):
    """Eight updates from 1e-3 to a tenth, which would be reached after the last: 1 - 0.9 k/8 of the first."""
    trainer = trainer_of(
        tmp_path, episodes=102, lr_actor=1e-3, lr_critic=2e-3, lr_final_fraction=0.1
    )  # 1020 steps in updates of 128
    trainer.run()
    line = 1.0 - 0.9 * np.arange(8) / 8
    # Eight printed digits.
    np.testing.assert_allclose(column(tmp_path, "train/lr_actor"), 1e-3 * line, rtol=1e-7)
    np.testing.assert_allclose(column(tmp_path, "train/lr_critic"), 2e-3 * line, rtol=1e-7)


def test_the_entropy_bonus_falls_along_a_straight_line_over_a_run(tmp_path):
    """Nothing is paid and the critic says nothing: the bonus alone pulls at the spread.

    Entropy is sum log sigma + constant, so its gradient is the coefficient for each of a network's log sigma:
    one of `left`, two of `right`.
    """
    environment = Watched(n_env=N_ENV, rewards=np.zeros(N_ENV))
    trainer = trainer_of(tmp_path, environment, episodes=102, entropy_coef=0.01, entropy_final_fraction=0.2)
    trainer.algorithm.critic.heads["state"].last.weight.data.zero_()
    trainer.run()
    line = 0.01 * (1.0 - 0.8 * np.arange(8) / 8)
    np.testing.assert_allclose(column(tmp_path, "train/gradient_norm_left"), line, rtol=1e-5)  # float32
    np.testing.assert_allclose(
        column(tmp_path, "train/gradient_norm_right"), math.sqrt(2.0) * line, rtol=1e-5
    )


@pytest.mark.parametrize("explore", [False, True])
def test_small_exploring_actions_are_left_out_of_what_the_environment_gets_only(tmp_path, explore):
    """What is learned from is the sample, whose probability is known; what acts may have a dead zone, here of 0.2."""
    environment = Watched(n_env=N_ENV)
    trainer = trainer_of(tmp_path, environment, network={"dead_zone": 0.2}, explore_dead_zone=explore)
    rollout, _ = first_rollout(trainer)
    for name, stored in rollout.actions.items():
        stored = stored.numpy()
        handed = np.stack([actions[name] for actions in environment.handed])
        inside = np.abs(stored) < 0.2
        assert inside.any()
        assert (stored[inside] != 0.0).all()
        np.testing.assert_array_equal(handed, np.where(inside, 0.0, stored) if explore else stored)


def test_while_the_critic_learns_first_the_actors_of_a_run_stand_still(tmp_path):
    """Two updates of four: actors move in the third and fourth, the critic in each."""
    trainer = trainer_of(tmp_path, episodes=51, critic_first_updates=2)
    actors = [parameters(trainer.algorithm.policy)]
    critics = [parameters(trainer.algorithm.critic)]

    def remember(progress):
        actors.append(parameters(trainer.algorithm.policy))
        critics.append(parameters(trainer.algorithm.critic))

    trainer.on_progress = remember
    trainer.run()
    moved = [not torch.equal(a, b) for a, b in pairwise(actors)]
    assert moved == [False, False, True, True]
    assert not any(torch.equal(a, b) for a, b in pairwise(critics))


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_agents_of_a_type_share_as_much_noise_as_the_run_says(tmp_path, correlation):
    """A fresh policy acts near zero, so that actions are the noise."""
    n_env = 128  # 2048 actions of each agent
    trainer = trainer_of(
        tmp_path, Target(n_env=n_env), n_envs=n_env, buffer_steps=16 * n_env, minibatch_steps=16 * n_env,
        noise_correlation=correlation,
    )  # fmt: skip
    rollout, _ = first_rollout(trainer)
    one, two = rollout.actions["mover"][..., 0].reshape(-1, 2).T.numpy()
    # Sampling error of a correlation: at most 1/sqrt(2048) = 0.022; four of them.
    assert np.corrcoef(one, two)[0, 1] == pytest.approx(correlation, abs=0.09)


# In one update.


def learner_of(**options) -> MAPPO:
    return MAPPO(settings(**options), GROUPS, N_STATE)


def rollout_of(learner: MAPPO, seed: int = 0) -> Rollout:
    """Normal random numbers everywhere, no episode ends."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    lead = (N_STEP, N_ENV)
    return Rollout(
        observations={
            g.name: 3.0 + 2.0 * normal(N_STEP + 1, N_ENV, g.n_agent, g.observation_size) for g in GROUPS
        },
        state=normal(N_STEP + 1, N_ENV, N_STATE),
        actions={g.name: normal(*lead, g.n_agent, g.action_size) for g in GROUPS},
        log_probs=normal(*lead, N_AGENT),
        in_service=torch.ones(*lead, N_AGENT, dtype=torch.bool),
        rewards=normal(*lead, learner.n_value) - 2.0,
        terminated=torch.zeros(lead, dtype=torch.bool),
        truncated=torch.zeros(lead, dtype=torch.bool),
        truncated_step=torch.zeros(0, dtype=torch.long),
        truncated_env=torch.zeros(0, dtype=torch.long),
        final_observations={g.name: torch.zeros(0, g.n_agent, g.observation_size) for g in GROUPS},
        final_state=torch.zeros(0, N_STATE),
    )


@pytest.mark.parametrize("clip_value", [False, True])
def test_value_updates_are_clipped_when_told_to(clip_value):
    """The old value stands one above the new: clipped to 0.2 the estimate is V + 0.8, and the larger error counts."""
    learner = learner_of(value_loss="squared", clip=0.2, clip_value=clip_value)
    batch, _ = learner.prepare(rollout_of(learner))
    v, target = batch.values, batch.returns
    found = learner._torch.learn_from(dataclasses.replace(batch, values=v + 1.0), 0.0)
    error = 0.5 * (v - target) ** 2
    if clip_value:
        error = torch.maximum(error, 0.5 * (v + 0.8 - target) ** 2)
    assert float(found["loss/value"]) == pytest.approx(float(error.mean()), rel=1e-5)  # float32


@pytest.mark.parametrize(("loss", "slope"), [("squared", 1000.0), ("huber", 3.0)])
def test_hubers_loss_bounds_how_hard_a_surprise_pulls_at_the_critic(loss, slope):
    """Every target a thousand above the value: the slope is the error itself, or huber_delta = 3 at most.

    The last layer's bias adds to every value, so its gradient is -0.5 times the slope, 0.5 being value_coef.
    """
    learner = learner_of(value_loss=loss, huber_delta=3.0, value_coef=0.5)
    batch, _ = learner.prepare(rollout_of(learner))
    learner._torch.learn_from(dataclasses.replace(batch, returns=batch.values + 1000.0), 0.0)
    (gradient,) = learner.critic.heads["state"].last.bias.grad.flatten().tolist()
    assert gradient == pytest.approx(-0.5 * slope, rel=1e-5)  # float32


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_rewards_are_scaled_before_learning(scale):
    """A critic that says zero, gamma 0: advantage and target are both the scaled reward."""
    learner = learner_of(reward_scale=scale, gamma=0.0, gae_lambda=0.0)
    learner.critic.heads["state"].last.weight.data.zero_()
    rollout = rollout_of(learner)
    batch, _ = learner.prepare(rollout)
    expected = scale * rollout.rewards.reshape(-1, 1)
    np.testing.assert_allclose(batch.returns, expected, rtol=1e-6)
    np.testing.assert_allclose(batch.advantages["a"], expected.expand(-1, 2), rtol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_advantages_are_normalised_over_the_buffer_or_left_as_they_are(normalize):
    """The same critic: advantages are the rewards, of mean -2, or the same ones with mean 0 and spread 1."""
    learner = learner_of(normalize_advantages=normalize, gamma=0.0, gae_lambda=0.0)
    learner.critic.heads["state"].last.weight.data.zero_()
    rollout = rollout_of(learner)
    batch, _ = learner.prepare(rollout)
    r = rollout.rewards.reshape(-1)
    expected = (r - r.mean()) / r.std(unbiased=False) if normalize else r
    np.testing.assert_allclose(batch.advantages["b"][:, 0], expected, atol=1e-5)  # float32


def test_the_kept_policy_sees_its_inputs_on_the_scale_of_the_policy_that_learns():
    """After one update the statistics of both are those of what was seen: mean near 3, variance near 4."""
    learner = learner_of(network={"normalize_inputs": True}, policy_average=0.5)
    rollout = rollout_of(learner)
    learner.learn(rollout, 0.0)
    assert learner.evaluation_policy is not learner.policy
    for g in GROUPS:
        seen = rollout.observations[g.name][:-1].double().reshape(-1, g.observation_size)
        for policy in (learner.policy, learner.evaluation_policy):
            moments = policy.actors.scaling[g.name].moments
            np.testing.assert_allclose(moments.mean, seen.mean(dim=0), rtol=1e-9)
            np.testing.assert_allclose(moments.var, seen.var(dim=0, unbiased=False), rtol=1e-9)


# In the networks as the learner builds them.


def perceptrons(learner: MAPPO):
    """Every one of them with the gain of its last layer, as configured below."""
    return [(actor.net, 0.3) for actor in learner.policy.actors.heads.values()] + [
        (head, 1.0) for head in learner.critic.heads.values()
    ]


def layers_of(orthogonal):
    """(weights, gain) of the layers that have at least as many inputs as outputs: all but the first."""
    hidden = (24, 16)
    network = {"actor_hidden": hidden, "critic_hidden": hidden, "actor_last_gain": 0.3}
    learner = learner_of(network=network | {"orthogonal_init": orthogonal})
    for net, last_gain in perceptrons(learner):
        linear = [layer for layer in net.hidden if hasattr(layer, "bias") and layer.weight.ndim == 3]
        assert [layer.weight.shape[1] for layer in linear] == [24, 16]
        yield linear[1].weight[0].detach(), math.sqrt(2.0)
        yield net.last.weight[0].detach(), last_gain


def test_orthogonal_weights_have_rows_at_right_angles_and_of_the_gains_length():
    """W W^T = gain^2 I: sqrt(2) in hidden layers, the last layer's own gain there."""
    for weight, gain in layers_of(True):
        # float32, of numbers of order one.
        np.testing.assert_allclose(weight @ weight.T, gain**2 * np.eye(len(weight)), atol=1e-5)


def test_uniform_weights_stay_within_one_over_the_root_of_the_number_of_inputs():
    """And fill that range: of 16 x 24 numbers the largest stays below 0.9 of it once in 0.9^-384 = 4e17 draws."""
    for weight, gain in layers_of(False):
        bound = min(gain, 1.0) / math.sqrt(weight.shape[1])
        assert float(weight.abs().max()) <= bound
        if weight.shape == (16, 24):
            assert float(weight.abs().max()) > 0.9 * bound


@pytest.mark.parametrize("layer_norm", [False, True])
def test_layer_normalisation_takes_the_size_out_of_what_a_network_sees(layer_norm):
    """Biases begin at zero, so a network of linear layers and ReLU doubles with its input; a normalised one does not.

    Inputs of a hundred keep the guard against division by zero, 1e-5 beside a variance of 1e4, out of sight.
    """
    learner = learner_of(network={"layer_norm": layer_norm, "actor_last_gain": 1.0})
    for net, _ in perceptrons(learner):
        n_in = net.hidden[0].weight.shape[-1]
        x = 100.0 * torch.randn(32, n_in, generator=torch.Generator().manual_seed(1))
        once, twice = net(x).detach(), net(2.0 * x).detach()
        assert float(once.abs().max()) > 0.1
        np.testing.assert_allclose(twice, once if layer_norm else 2.0 * once, rtol=1e-5, atol=1e-5)  # float32
