"""Actors that go on by gradients, on a plant whose best controller is known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from marl.config.check import ConfigError
from marl.config.network import NetworkConfig
from marl.config.refinement import RefinementConfig
from marl.networks.policy import Policy
from marl.protocol import AgentGroup
from marl.training import refinement
from marl.training.refinement import Refinement, costs

PRICE = 0.5  # of an action's square
KEEPS = 0.9  # x' = 0.9 x + a + noise, cost x^2 + 0.5 a^2


class Place(NamedTuple):
    x: Tensor  # [env]


@dataclass(frozen=True)
class Line:
    """One agent that sees where it is."""

    noise: Tensor  # [interval, env]

    @property
    def n_interval(self):
        return len(self.noise)

    @property
    def n_env(self):
        return self.noise.shape[1]

    def some(self, envs):
        return Line(self.noise[:, torch.as_tensor(envs)])

    def begin(self):
        return Place(torch.zeros(self.n_env))

    def observe(self, k, state):
        return {"agent": state.x[:, None, None]}, None

    def step(self, k, state, seen, action):
        a = action["agent"][:, 0, 0]
        after = KEEPS * state.x + a + self.noise[k]
        return Place(after), after.square() + PRICE * a.square()

    def ahead(self, state):
        return torch.zeros(self.n_env)


def line(seed, n_env=32, n=60):
    return Line(0.1 * torch.randn(n, n_env, generator=torch.Generator().manual_seed(seed)))


def actors(**options):
    torch.manual_seed(0)
    network = NetworkConfig(actor_hidden=(16,), **options)
    return Policy((AgentGroup(name="agent", agents=("a",), observation_size=1, action_size=1),), network)


def refined(policy, passes=60, **options):
    settings = {"n_env": 16, "window": 30, "lr": 1e-2, "seed": 0} | options
    return Refinement(policy=policy, learned_from=[line(1)], judged_on=[line(2)], passes=passes, **settings)


def best_cost(episodes):
    """Of the optimal gain, by the Riccati equation; the cost of x' falls on the same action as that of x would."""
    p = linalg.solve_discrete_are(np.array([[KEEPS]]), np.eye(1), np.eye(1), PRICE * np.eye(1))[0, 0]
    gain, x, cost = KEEPS * p / (p + PRICE), np.zeros(episodes.n_env), 0.0
    for noise in episodes.noise.numpy():
        a = -gain * x
        x = KEEPS * x + a + noise
        cost = cost + x**2 + PRICE * a**2
    return cost


@pytest.mark.parametrize("actor", ["mlp", "gru"])
def test_actors_from_nothing_come_to_the_optimal_gain(actor):
    """Within 3 % of the Riccati equation's in episodes that were not learned from; what they begin with is far off."""
    policy = actors(actor=actor, dead_zone=0.0)
    fresh, unseen = costs(policy, line(3)).mean(), best_cost(line(3)).mean()
    found = refined(policy, passes=120).run()
    assert fresh > 1.5 * unseen
    assert costs(policy, line(3)).mean() < 1.03 * unseen
    assert found.after < 0.7 * found.before
    assert found.at_pass > 0


@pytest.mark.parametrize("zones", [{"dead_zone": 0.02}, {"dead_zone": 0.0, "soft_zones": (0.02,)}])
def test_costs_are_those_of_what_the_policy_does(zones):
    """Its zones included, and its memory: by `Policy.act`, step by step."""
    policy = actors(actor="gru", actor_last_gain=1.0, **zones)
    episodes = line(4, n_env=3, n=20)
    x, cost = np.zeros(3), np.zeros(3)
    policy.reset(np.arange(3), np.arange(3))
    for noise in episodes.noise.numpy():
        a = policy.act({"agent": x[:, None, None].astype(np.float32)})["agent"][:, 0, 0]
        x = KEEPS * x + a + noise
        cost += x**2 + PRICE * a**2
    np.testing.assert_allclose(costs(policy, episodes), cost, rtol=1e-4)


def test_actors_learn_through_a_dead_zone_in_which_they_begin():
    """A fresh actor's actions are all inside; the slope passes straight through."""
    policy = actors(dead_zone=0.01)
    assert not np.any(policy.act({"agent": np.full((1, 1, 1), 0.1, dtype=np.float32)})["agent"])
    found = refined(policy).run()
    assert found.after < 0.75 * found.before


def test_a_refinement_that_was_broken_off_ends_with_the_same_bits():
    whole = actors()
    refined(whole, passes=12).run()
    kept = []

    class Broken(Exception):
        pass

    def breaks():
        if len(kept) == 2:
            raise Broken

    first = actors()
    with pytest.raises(Broken):
        refined(first, passes=12, save=kept.append, on_pass=breaks).run()
    second = actors()
    again = refined(second, passes=12)
    again.load(kept[-1])
    assert again.done == 2 * refinement.JUDGED_EVERY
    again.run()
    for name, x in whole.state_dict().items():
        assert torch.equal(x, second.state_dict()[name]), name
    assert any(not torch.equal(x, first.state_dict()[name]) for name, x in whole.state_dict().items())


def test_the_actors_of_the_beginning_are_kept_where_no_others_are_better():
    policy = actors(dead_zone=0.0)
    refined(policy).run()
    before = {name: x.clone() for name, x in policy.state_dict().items()}
    found = refined(policy, passes=4, lr=0.5).run()
    assert found.at_pass == 0
    assert found.after == found.before
    assert all(torch.equal(x, before[name]) for name, x in policy.state_dict().items())


def test_every_pass_over_short_episodes_learns():
    """Whatever window is drawn: of an episode too short for two parts there is one."""
    policy = actors(dead_zone=0.0)
    work = Refinement(
        policy=policy,
        learned_from=[line(1, n=24)],
        judged_on=[line(2, n=24)],
        passes=12,
        n_env=8,
        window=30,
        lr=1e-3,
        seed=0,
    )
    work.run()
    assert work._n_update == 12


def test_the_spread_of_exploration_stays():
    policy = actors()
    before = {n: x.clone() for n, x in policy.named_parameters() if n.endswith("log_std")}
    refined(policy, passes=4).run()
    assert before
    assert all(torch.equal(x, before[n]) for n, x in policy.named_parameters() if n in before)


@dataclass(frozen=True)
class Worth(Line):
    """Beyond a window it is worth a lot to be at one; nothing else costs anything."""

    def some(self, envs):
        return Worth(self.noise[:, torch.as_tensor(envs)])

    def step(self, k, state, seen, action):
        after, cost = super().step(k, state, seen, action)
        return after, 1e-3 * cost + 1.0

    def ahead(self, state):
        return 100.0 * (state.x - 1.0).square()


def test_what_lies_beyond_a_window_counts_as_the_environment_says():
    """The only reason to leave zero is what a state is worth at the end; with the other sign actors would flee it."""
    policy = actors(dead_zone=0.0)
    refinement_of_worth = refined(policy, passes=60)
    refinement_of_worth.learned_from = refinement_of_worth.judged_on = [Worth(0.0 * line(1).noise)]
    refinement_of_worth.run()
    # Judged by costs alone nothing was better, so the running average is looked at, not what is kept.
    refinement_of_worth._put(refinement_of_worth._average)
    pushed = policy.act({"agent": np.zeros((1, 1, 1), dtype=np.float32)})["agent"]
    assert pushed[0, 0, 0] > 0.05


def test_kinds_are_taken_in_turn_and_each_by_what_it_usually_costs():
    """A kind a thousand times as dear as the other, which asks for the opposite, does not drown it."""

    @dataclass(frozen=True)
    class Wish(Line):
        at: float
        price: float

        def some(self, envs):
            return Wish(self.noise[:, torch.as_tensor(envs)], self.at, self.price)

        def step(self, k, state, seen, action):
            a = action["agent"][:, 0, 0]
            return state, self.price * (a - self.at).square() + 1e-6

    def ends_at(kinds):
        policy = actors(dead_zone=0.0)
        work = refined(policy, passes=80)
        work.learned_from = work.judged_on = kinds
        work.run()
        return float(policy.act({"agent": np.zeros((1, 1, 1), dtype=np.float32)})["agent"][0, 0, 0])

    noise = line(1).noise
    dear, cheap = Wish(noise, 0.3, 1000.0), Wish(noise, -0.3, 1.0)
    assert ends_at([dear]) > 0.2
    assert ends_at([cheap]) < -0.2
    assert abs(ends_at([dear, cheap])) < 0.1


def test_a_step_follows_the_exact_gradient_of_what_the_window_costs():
    """By differences of costs along eight random directions; only the gradient's length may be another."""
    policy = actors(dead_zone=0.0, layer_norm=False)  # a layer norm jumps at nothing
    episodes = line(1, n=30)  # too short for two windows
    work = refined(policy, passes=1, n_env=32, lr=1e-12)
    work.learned_from = [episodes]
    work.run()
    weights = work._parameters
    draws, along, slopes = torch.Generator().manual_seed(0), [], []
    for _ in range(8):
        direction = [torch.randn(x.shape, generator=draws) for x in weights]
        along.append(float(sum((x.grad * d).sum() for x, d in zip(weights, direction, strict=True))))
        found = []
        for step in (1e-4, -2e-4, 1e-4):  # forth, back, and where it was
            with torch.no_grad():
                for x, d in zip(weights, direction, strict=True):
                    x.add_(step * d)
            found.append(costs(policy, episodes).mean())
        slopes.append((found[0] - found[1]) / 2e-4)
    length = np.dot(slopes, along) / np.dot(along, along)
    assert length > 0.0
    # Differences are off by how the slope curves, and by single precision.
    np.testing.assert_allclose(slopes, length * np.array(along), atol=0.02 * np.abs(slopes).max())


def test_states_gradients_are_cut_along_the_way_where_that_is_asked_for(monkeypatch):
    """At each of the steps that are learned from but the last of a window; elsewhere none is."""
    cut = []
    usual = refinement._usual
    monkeypatch.setattr(refinement, "_usual", lambda g, multiple: cut.append(multiple) or usual(g, multiple))
    refined(actors(), passes=1).run()
    assert cut == []
    refined(actors(), passes=1, cut=7.0).run()
    assert len(cut) > 30
    assert set(cut) == {7.0}


def test_a_gradient_that_explodes_in_one_episode_is_cut_at_a_multiple_of_the_usual():
    usual = torch.tensor([[1.0, -2.0], [2.0, 1.0], [1e9, -3.0], [float("nan"), 0.5]])
    cut = refinement._usual(usual, 10.0)
    # The largest of each episode: 2, 2, 1e9 and 0.5, of which torch's median is the lower one in the middle.
    assert cut.abs().max() == 20.0
    assert torch.equal(cut[:2], usual[:2])
    assert cut[3, 0] == 0.0


def test_what_was_best_before_a_break_is_best_after_it():
    """All steps after the break make it worse: the actors from before it are kept."""
    kept = []
    policy = actors()
    first = refined(policy, passes=8, save=kept.append).run()
    assert first.at_pass > 0
    best = {name: x.clone() for name, x in policy.state_dict().items()}
    again = refined(actors(), passes=12, lr=0.5)
    again.load(kept[-1])
    for group in again._adam.param_groups:
        group["lr"] = 0.5
    found = again.run()
    assert found.at_pass == first.at_pass
    assert all(torch.equal(x, best[name]) for name, x in again.policy.state_dict().items())


def test_a_window_whose_gradient_is_no_number_moves_nothing():
    @dataclass(frozen=True)
    class Broken(Line):
        def some(self, envs):
            return Broken(self.noise[:, torch.as_tensor(envs)])

        def ahead(self, state):
            return (state.x - state.x).sqrt()  # its slope is infinite

    policy = actors(dead_zone=0.0)
    before = {name: x.clone() for name, x in policy.state_dict().items()}
    work = refined(policy, passes=2)
    work.learned_from = [Broken(line(1).noise)]
    work.run()
    work._put(work._average)
    assert all(torch.equal(x, before[name]) for name, x in policy.state_dict().items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refine_passes": -1}, "refine_passes = -1, expected at least 0"),
        ({"refine_passes": 1, "refine_episodes": 5}, "refine_episodes = 5, expected at least 6"),
        ({"refine_cut": -1.0}, "refine_cut = -1.0, expected a finite number of at least 0"),
        ({"refine_passes": 1, "refine_lr": 1.0}, "refine_lr = 1.0, expected above 0, below 1"),
        (
            {"refine_passes": 1, "refine_episodes": 10**9},
            "refine_episodes = 1000000000, expected at most 65536",
        ),
        ({"refine_passes": 1, "refine_scenarios": "normal,,n1"}, "expected names with commas between them"),
    ],
)
def test_settings_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        RefinementConfig(**options)
