"""HAPPO: a game in which actors that move at once overshoot, and what those who move later learn from."""

import math

import numpy as np
import pytest
import torch

from marl.algorithms.happo import HAPPO
from marl.algorithms.mappo import MAPPO
from marl.config.training import NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import AgentGroup, Observation, Transition
from unit.marl.toys import Drift

N_ENV, AIM = 128, 0.5


class Sum:
    """One step: all agents are charged (a_1 + ... + a_n - aim)^2 together, and see nothing that would help.

    Each that believes the others to stay closes the whole gap g by itself. If all n do so at once, the new gap is
    g - n g: the cost grows (n - 1)^2-fold. One after the other, the first closes it and nobody else moves.
    """

    def __init__(self, groups):
        self.groups, self.n_env, self.state_size = groups, N_ENV, 1

    def observation(self):
        seen = {g.name: np.ones((N_ENV, g.n_agent, 1), dtype=np.float32) for g in self.groups}
        return Observation(observations=seen, state=np.ones((N_ENV, 1), dtype=np.float32))

    def step(self, actions):
        total = np.sum([x[..., 0].sum(axis=1) for x in actions.values()], axis=0, dtype=np.float64)
        shown, ended = self.observation(), np.ones(N_ENV, dtype=np.bool_)
        return Transition(
            observation=shown,
            final_observation=shown,
            reward=-np.square(total - AIM),
            terminated=ended,
            truncated=~ended,
            terms={},
        )


def team(n_agent, sharing):
    if sharing == "agent":
        return (
            AgentGroup(
                name="all", agents=tuple(f"a_{i}" for i in range(n_agent)), observation_size=1, action_size=1
            ),
        )
    return tuple(
        AgentGroup(name=f"type_{i}", agents=(f"a_{i}",), observation_size=1, action_size=1)
        for i in range(n_agent)
    )


def returns(make, n_agent, sharing, n_update=6):
    """Expected return before and after every update: -(sum of means - aim)^2 - sum of variances, exactly."""
    groups = team(n_agent, sharing)
    config = TrainingConfig(
        n_envs=N_ENV,
        device="cpu",
        network=NetworkConfig(
            actor_hidden=(32,),
            critic_hidden=(32,),
            dead_zone=0.0,
            sharing=sharing,
            log_std_init=math.log(0.2),
        ),
        ppo=PPOConfig(
            lr_actor=3e-3,
            lr_critic=3e-3,
            clip=0.5,
            max_grad_norm=10.0,
            buffer_steps=2048,
            minibatch_steps=512,
            epochs=20,
            noise_correlation=0.0,
            robust_reward=0.0,
            policy_average=0.0,
        ),
    )
    learner, game = make(config, groups, 1), Sum(groups)

    @torch.no_grad()
    def expected():
        means = learner.policy.means({g.name: torch.ones(1, g.n_agent, 1) for g in groups})
        gap = float(sum(x.sum() for x in means.values())) - AIM
        return -(gap**2) - float((2.0 * learner.policy.actors.log_std_columns()).exp().sum())

    found, update = [expected()], 0
    while update < n_update:
        learner.observe(game.step(learner.act(game.observation())))
        if learner.update(0.0) is not None:
            update += 1
            found.append(expected())
    return np.array(found)


# Moving one after the other, the gap that is left is the error of a mean over 2048 samples of costs of spread 0.6
# (n sigma^2 = 0.64, n = 16), seen through a slope of 1 / sigma: 0.6 / sqrt(2048) / 0.2 = 0.07, a cost of 0.005.
ERROR = 0.01


def test_actors_that_move_one_after_the_other_never_lower_the_return():
    found = returns(HAPPO, 16, "type")
    assert (np.diff(found) > -ERROR).all()
    # From a gap of 0.5 and variances of 16 x 0.04: the gap is closed by the first update.
    assert found[1] > found[0] + 0.2


def test_actors_that_move_at_once_overshoot_and_lower_it():
    """By much more than an error of sampling, although the spread that shrinks meanwhile raises the return."""
    assert np.diff(returns(MAPPO, 16, "type")).min() < -5 * ERROR


def test_actors_of_one_head_move_one_after_the_other_too():
    found = returns(HAPPO, 6, "agent", n_update=3)
    assert (np.diff(found) > -ERROR).all()
    assert found[1] > found[0] + 0.2


def settings(**network):
    return TrainingConfig(
        n_envs=4,
        device="cpu",
        network=NetworkConfig(actor_hidden=(32,), critic_hidden=(32,), memory_size=8, **network),
        ppo=PPOConfig(buffer_steps=64, minibatch_steps=32, sequence_steps=8, epochs=2),
    )


def filled(config, **toy):
    environment = Drift(n_env=4, length=5, **toy)
    learner = HAPPO(config, environment.groups, environment.state_size)
    observation = environment.reset(np.arange(4))
    while not learner.storage.is_ready:
        transition = environment.step(learner.act(observation))
        learner.observe(transition)
        observation = transition.observation
    return learner


@pytest.mark.parametrize(
    "network", [{}, {"sharing": "agent"}, {"actor": "gru"}, {"actor": "gru", "sharing": "agent"}]
)
def test_advantages_carry_the_ratios_of_all_who_moved_before(network, monkeypatch):
    """Every mover is given a spread larger by a factor e^0.1, whose ratio is known in closed form."""
    learner = filled(settings(**network), out_of_service=(1,))
    batch, _ = learner.prepare(learner.storage.rollout(learner.device))
    expected, seen = torch.ones(batch.n_sample), []

    def move(samples, schedule):
        nonlocal expected
        for name, weights in samples.weights.items():
            mover = next(m for m in learner.movers if m.name == name)
            before = batch.advantages[mover.head][:, mover.agents]
            torch.testing.assert_close(samples.advantages[name], before * expected.unsqueeze(-1))
            actor = learner.learners[name]
            z = (samples.actions[name] - _mean(learner, samples, name)) / actor.log_std.detach().exp()
            with torch.no_grad():
                actor.log_std.add_(0.1)
            change = (0.5 * z.square() * (1.0 - math.exp(-0.2)) - 0.1).sum(dim=-1)
            expected = expected * (change * weights).sum(dim=1).exp()
            seen.append(name)
        return {"train/kl": 0.0}

    monkeypatch.setattr(learner, "_epochs", move)
    learner._improve(batch, learner._schedule(0.0))
    assert sorted(seen) == sorted(m.name for m in learner.movers)
    # What was moved is the policy's own.
    assert torch.allclose(
        learner.policy.actors.log_std_columns(), torch.tensor(learner.config.network.log_std_init + 0.1)
    )


@torch.no_grad()
def _mean(learner, samples, name):
    """Means in the rollout's order, whatever sequences they are found by."""
    found = torch.empty_like(samples.actions[name])
    index = torch.arange(samples.n_sample // learner._layout.length)
    part = learner._select(samples, index)
    means = learner.learners[name].learned_means(part.actor_inputs[name], part.unrolls.get(name))
    found[learner._layout.learned(index)] = means
    return found


def test_kernels_and_torch_find_the_same():
    found = []
    for fused in ("auto", "off"):
        learner = filled(settings(fused=fused))
        assert (learner._fused is not None) == (fused == "auto")
        found.append(learner.update(0.0))
    assert found[0].keys() == found[1].keys()
    for tag, value in found[0].items():
        # Eight steps of Adam in single precision: gradients near zero are rounded to either side.
        assert value == pytest.approx(found[1][tag], rel=1e-3, abs=1e-4), tag


def test_an_update_tells_of_heads_and_not_of_every_network():
    tags = filled(settings(sharing="agent")).update(0.0)
    assert {tag for tag in tags if tag.startswith("loss/")} == {
        "loss/policy_left",
        "loss/policy_right",
        "loss/value",
    }
