"""Soft actor-critic: its equations by hand, an optimum that Riccati knows, and a run that is killed."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

from marl.algorithms.algorithm import NonFiniteLoss
from marl.algorithms.masac import MASAC
from marl.algorithms.soft_losses import (
    action_value_loss,
    soft_policy_loss,
    soft_target,
    squash_log_slope,
    temperature_loss,
)
from marl.checkpoint import load
from marl.config.training import (
    ConfigError,
    EvaluationConfig,
    NetworkConfig,
    OffPolicyConfig,
    PPOConfig,
    TrainingConfig,
    from_dict,
)
from marl.networks.action_critic import TwinCritics
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Observation, Transition
from marl.training.trainer import Trainer
from unit.marl.toys import Drift

GAMMA, B, PRICE = 0.8, 0.4, 0.3  # of the linear-quadratic task


class Regulator:
    """x' = x + B (a_left + a_right) + noise, charged x^2 + PRICE (a_left^2 + a_right^2); 20 steps, then truncated."""

    groups = tuple(
        AgentGroup(name=name, agents=(f"{name}_0",), observation_size=1, action_size=1)
        for name in ("left", "right")
    )
    state_size = 1

    def __init__(self, n_env=8):
        self.n_env, self.rng = n_env, np.random.default_rng(0)

    def _seen(self):
        x = self.x.astype(np.float32)
        return Observation(
            observations={g.name: x[:, None, None].copy() for g in self.groups}, state=x[:, None].copy()
        )

    def reset(self, seeds=None):
        if seeds is not None:
            self.rng = np.random.default_rng(int(seeds[0]))
        self.x, self.t = self.rng.uniform(-1, 1, self.n_env), np.zeros(self.n_env, dtype=np.int64)
        return self._seen()

    def step(self, actions):
        a = np.clip(np.stack([actions[g.name][:, 0, 0] for g in self.groups]), -1, 1).astype(np.float64)
        reward = -(self.x**2 + PRICE * np.square(a).sum(axis=0))
        self.x = self.x + B * a.sum(axis=0) + self.rng.normal(0.0, 0.02, self.n_env)
        self.t += 1
        final, over = self._seen(), self.t >= 20
        self.x = np.where(over, self.rng.uniform(-1, 1, self.n_env), self.x)
        self.t = np.where(over, 0, self.t)
        return Transition(
            observation=self._seen(),
            final_observation=final,
            reward=reward,
            terminated=np.zeros(self.n_env, dtype=np.bool_),
            truncated=over,
            terms={},
        )

    def get_state(self):
        return {"x": self.x.copy(), "t": self.t.copy(), "rng": self.rng.bit_generator.state}

    def set_state(self, state):
        self.x, self.t = state["x"].copy(), state["t"].copy()
        self.rng.bit_generator.state = state["rng"]

    def close(self):
        pass


def settings(*, episodes=160, network=None, **off_policy) -> TrainingConfig:
    chosen = {"replay_steps": 4000, "replay_first": 200, "replay_batch": 64, "gradient_steps": 2, "n_step": 2}
    return TrainingConfig(
        algorithm="masac",
        total_episodes=episodes,
        episode_steps=20,
        n_envs=8,
        device="cpu",
        network=network or NetworkConfig(actor_hidden=(32,), critic_hidden=(64, 64), dead_zone=0.0),
        ppo=PPOConfig(
            buffer_steps=160,
            minibatch_steps=80,
            gamma=GAMMA,
            lr_actor=3e-3,
            lr_critic=3e-3,
            robust_reward=0.0,
            noise_correlation=0.0,
        ),
        off_policy=OffPolicyConfig(**(chosen | off_policy)),
        evaluation=EvaluationConfig(eval_every=0),
    )


def trainer(directory, config=None, environment=None, **options) -> Trainer:
    environment = environment or Regulator()
    config = config or settings()
    return Trainer(config, environment, algorithm=MASAC, directory=directory, tensorboard=False, **options)


class Handshake:
    """Every step is a whole episode: x in [-1, 1] is seen by two agents, charged (a + b - x)^2 + PRICE (a^2 + b^2).

    The best reply to b is (x - b) / (1 + PRICE): what an agent should do hangs on what the other does. Together they
    are best at a = b = x / (2 + PRICE), which costs x^2 PRICE / (2 + PRICE); idle agents pay x^2.
    """

    groups = Regulator.groups
    state_size = 1

    def __init__(self, n_env=8):
        self.n_env, self.rng = n_env, np.random.default_rng(0)

    def _seen(self):
        x = self.x.astype(np.float32)
        return Observation(
            observations={g.name: x[:, None, None].copy() for g in self.groups}, state=x[:, None].copy()
        )

    def reset(self, seeds=None):
        if seeds is not None:
            self.rng = np.random.default_rng(int(seeds[0]))
        self.x = self.rng.uniform(-1, 1, self.n_env)
        return self._seen()

    def step(self, actions):
        a, b = (actions[g.name][:, 0, 0].astype(np.float64) for g in self.groups)
        reward, final = -((a + b - self.x) ** 2 + PRICE * (a**2 + b**2)), self._seen()
        self.x = self.rng.uniform(-1, 1, self.n_env)
        return Transition(
            observation=self._seen(),
            final_observation=final,
            reward=reward,
            terminated=np.ones(self.n_env, dtype=np.bool_),
            truncated=np.zeros(self.n_env, dtype=np.bool_),
            terms={},
        )

    def get_state(self):
        return {"x": self.x.copy(), "rng": self.rng.bit_generator.state}

    def set_state(self, state):
        self.x, self.rng.bit_generator.state = state["x"].copy(), state["rng"]

    def close(self):
        pass


def discounted_cost(act, x):
    """Of the noiseless task from these states, 200 steps: gamma^200 is 1e-9 of it."""
    total = np.zeros_like(x)
    for t in range(200):
        a = act(x)
        total += GAMMA**t * (x**2 + PRICE * np.square(a).sum(axis=0))
        x = x + B * a.sum(axis=0)
    return total


def played(policy, x):
    """Both agents' deterministic actions at these states, [agent, state]."""
    seen = x.astype(np.float32)[:, None, None]
    return np.stack([a[:, 0, 0] for a in policy.act({"left": seen, "right": seen}).values()])


def test_two_agents_find_the_best_that_they_can_do_together(tmp_path):
    """Idle agents pay 7.7 times the optimum; 1,600 steps come within a fifth of it (3 and 5 % at two seeds tried)."""
    config = settings(episodes=80, n_step=1, temperature=0.01)
    trainer(tmp_path, config, Handshake()).run()
    x = np.linspace(-0.9, 0.9, 7)
    a, b = played(Policy.load(tmp_path / "final_model.pt"), x)
    cost = ((a + b - x) ** 2 + PRICE * (a**2 + b**2)).mean()
    assert cost < 1.2 * np.square(x).mean() * PRICE / (2 + PRICE)


@pytest.mark.slow
def test_the_regulator_learns_what_riccati_says(tmp_path):
    """Discounted LQR: cost P x^2, a = -K x, by the algebraic Riccati equation with sqrt(gamma) (A, B).

    Doing nothing costs x^2 / (1 - gamma) = 5 x^2. 6,000 steps come within 2 % of the optimum, 0.2 % where tried.
    """
    root = math.sqrt(GAMMA)
    b = np.full((1, 2), B)
    p = solve_discrete_are(np.array([[root]]), root * b, np.eye(1), PRICE * np.eye(2)).item()
    k = (GAMMA * p * b / (PRICE + 2 * GAMMA * p * B**2)).ravel()  # the same for both, by symmetry
    x = np.array([-0.9, -0.5, 0.3, 0.8])
    # The formulas agree with the task as it is played: that is their own check.
    np.testing.assert_allclose(discounted_cost(lambda x: -np.outer(k, x), x), p * x**2, rtol=1e-8)
    chosen = {"n_step": 1, "polyak": 0.02, "temperature": 0.05}
    config = settings(episodes=300, gradient_steps=4, replay_batch=128, **chosen)
    slower = dataclasses.replace(config.ppo, lr_actor=2e-3, lr_critic=2e-3)
    trainer(tmp_path, dataclasses.replace(config, ppo=slower)).run()
    policy = Policy.load(tmp_path / "final_model.pt")
    assert discounted_cost(lambda x: played(policy, x), x).sum() < 1.02 * (p * x**2).sum()


def test_a_killed_run_goes_on_with_its_replay_bit_for_bit(tmp_path):
    class Killed(BaseException):
        pass

    def kill(progress):
        if progress.update == 4:
            raise Killed

    config = dataclasses.replace(settings(episodes=40), checkpoint_every=3)
    trainer(tmp_path / "whole", config).run()
    with contextlib.suppress(Killed):
        trainer(tmp_path / "killed", config, on_progress=kill).run()
    kept = load(tmp_path / "killed" / "checkpoint_last.pt", "run")["learner"]["storage"]
    assert kept["n_added"] == 3 * 20
    trainer(tmp_path / "killed", config, resume=True).run()
    whole, resumed = (load(tmp_path / d / "checkpoint_last.pt", "run") for d in ("whole", "killed"))
    same(whole["learner"], resumed["learner"])
    same(whole["environment"], resumed["environment"])


def same(a, b, where="learner"):
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{where}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, np.ndarray):
        assert np.array_equal(a, b), where
    else:
        assert a == b, where


def test_agents_out_of_service_and_groups_of_other_sizes_are_learned_with(tmp_path):
    """Drift has two groups of other sizes, and here one agent out of service: its action moves no critic."""
    run = trainer(
        tmp_path, dataclasses.replace(settings(episodes=24), n_envs=8), Drift(out_of_service=(1,), length=20)
    )
    run.run()
    batch = run.algorithm.storage.sample(16, 1.0, np.random.default_rng(0))
    assert not batch.in_service["left"][:, 1].any()
    critics = run.algorithm.critics
    values = critics(batch.state, critics.joint(batch.actions, batch.in_service))
    batch.actions["left"][:, 1] += 1.0
    assert torch.equal(values, critics(batch.state, critics.joint(batch.actions, batch.in_service)))
    assert values.shape == (2, 2, 16)


def test_each_type_climbs_its_critics_by_its_own_actions_alone():
    groups = Regulator.groups
    critics = TwinCritics(groups, 1, NetworkConfig(critic_hidden=(8,)))
    actions = {g.name: torch.rand(5, 1, 1, requires_grad=True) for g in groups}
    service = {g.name: torch.ones(5, 1, dtype=torch.bool) for g in groups}
    state = torch.rand(5, 1)
    values = critics(state, critics.joint(actions, service, own=True))
    torch.testing.assert_close(values, critics(state, critics.joint(actions, service)))
    values[0].sum().backward()
    assert actions["left"].grad.abs().min() > 0
    assert actions["right"].grad is None or not actions["right"].grad.any()


def test_the_density_of_a_squashed_action():
    """log da/du by autograd of tanh, where float64 still knows it; at u = 40 it is log 4 - 80 to e^-80."""
    u = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(torch.tanh(u).sum(), u)[0]
    torch.testing.assert_close(squash_log_slope(u), slope.log(), rtol=1e-10, atol=1e-10)
    assert float(squash_log_slope(torch.tensor(40.0))) == pytest.approx(math.log(4.0) - 80.0, rel=1e-6)


def test_the_target_by_hand():
    """mu = 2, sigma = 4: R = 1, g = 1/2, min Q' = 0.5, H = 0.25: (1 + (2 + 4 x 0.75)/2 - 2)/4 = 0.375; ended -1/4."""
    y = soft_target(
        torch.tensor([1.0, 1.0]),
        torch.tensor([0.5, 0.0]),
        torch.tensor([[[0.5, 9.0], [3.0, 9.0]]]),
        torch.tensor([[0.25, 0.25]]),
        mean=2.0,
        std=4.0,
    )
    assert y.tolist() == [[0.375, -0.25]]


def test_the_losses_by_hand():
    values = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    target, weights = torch.tensor([[0.0, 1.0]]), torch.tensor([1.0, 0.5])
    # Halves of squares (1, 1), (9, 1); weighted (1, 1/2); means 0.375 and 2.375.
    assert float(action_value_loss(values, target, weights, huber_delta=None)) == pytest.approx(2.75)
    # Huber with delta 1 makes 4.5 into 3 - 1/2 = 2.5: mean (2.5 + 0.25) / 2 = 1.375.
    assert float(action_value_loss(values, target, weights, huber_delta=1.0)) == pytest.approx(1.75)
    log_prob = torch.tensor([[-1.0, 2.0]])
    # alpha = 2: (-2 - 1 + 4 - 0) / 2
    assert float(soft_policy_loss(values, log_prob, torch.tensor([2.0]))) == pytest.approx(0.5)
    log_temperature = torch.tensor([0.5], requires_grad=True)
    loss = temperature_loss(log_temperature, log_prob, torch.tensor([[-1.0]]))
    # log pi + H_target: (-2, 1), mean -1/2; -0.5 (-1/2) = 0.25. An entropy of -1/2 is above the target -1: it cools.
    assert float(loss.detach()) == pytest.approx(0.25)
    loss.backward()
    assert float(log_temperature.grad) == pytest.approx(0.5)


def test_a_number_that_is_none_ends_the_update_before_any_weight_moves(tmp_path):
    run = trainer(tmp_path, settings(episodes=40))
    run.run()
    learner = run.algorithm
    before = {name: x.clone() for name, x in learner.policy.state_dict().items()}
    learner.storage._rewards[:] = np.nan
    with pytest.raises(NonFiniteLoss, match=r"not finite.*loss/value") as caught:
        learner.update(0.5)
    assert all(torch.equal(x, before[name]) for name, x in learner.policy.state_dict().items())
    again = MASAC(learner.config, learner.groups, 1)
    again.load_state(caught.value.before)
    with pytest.raises(NonFiniteLoss, match="not finite"):
        again.update(0.5)


def test_the_saved_policy_squashes_as_the_learner_does(tmp_path):
    learner = MASAC(settings(), Regulator.groups, 1)
    with torch.no_grad():
        learner.policy.actors.heads["left"].net.last.bias.fill_(0.7)
        learner.policy.actors.heads["left"].net.last.weight.zero_()
    learner.policy.save(tmp_path / "model.pt")
    seen = {name: np.zeros((1, 1, 1), np.float32) for name in ("left", "right")}
    acted = Policy.load(tmp_path / "model.pt").act(seen)["left"]
    assert float(acted[0, 0, 0]) == pytest.approx(math.tanh(0.7), rel=1e-6)  # float32
    explored = learner.act(Observation(observations=seen, state=np.zeros((1, 1), np.float32)))
    assert abs(float(explored["left"][0, 0, 0])) < 1.0


def test_what_it_cannot_learn_with_is_refused():
    network = NetworkConfig(critic="local")
    with pytest.raises(ConfigError, match='critic = "local", but masac'):
        MASAC(settings(network=network), Regulator.groups, 1)
    base = settings()
    gru = dataclasses.replace(
        base, network=NetworkConfig(actor="gru"), ppo=dataclasses.replace(base.ppo, sequence_steps=20)
    )
    with pytest.raises(ConfigError, match='actor = "gru", but masac'):
        MASAC(gru, Regulator.groups, 1)
    with pytest.raises(ConfigError, match="n_step = 0"):
        OffPolicyConfig(n_step=0)
    with pytest.raises(ConfigError, match="replay_first = 2000, expected at most replay_steps = 10"):
        OffPolicyConfig(replay_steps=10)
    config = settings()
    assert from_dict(dataclasses.asdict(config)) == config
