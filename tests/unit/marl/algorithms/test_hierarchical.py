"""Two layers: the semi-Markov return of a held action by hand, and a task that only what is held can solve."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from marl.algorithms.advantage import generalized_advantages
from marl.algorithms.hierarchical import FAST, SLOW, HierarchicalMAPPO, LayeredShaping
from marl.algorithms.mappo import MAPPO
from marl.config.training import ConfigError, NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import AgentGroup, Observation, Transition

N_ENV, HELD, AIM = 64, 4, 0.8


def shaping(gamma=0.25, slow_gamma=0.5, gae_lambda=0.5):
    """A fast agent and a slow one."""
    ppo = PPOConfig(gamma=gamma, slow_gamma=slow_gamma, gae_lambda=gae_lambda, normalize_advantages=False)
    return LayeredShaping(config=ppo, n_agent=2, n_value=2, layer=(FAST, SLOW))


def estimated(rewards, values, last, decides, truncated=None, **settings):
    """Advantages of one environment, [step, value]."""
    n = len(rewards)
    layered = shaping(**settings)
    in_service = torch.ones(n, 1, 2, dtype=torch.bool)
    in_service[:, 0, 1] = torch.tensor(decides)
    v = torch.tensor([*values, last]).reshape(-1, 1, 1).expand(-1, 1, 2)
    next_values = v[1:].clone()
    ended = torch.zeros(n, 1, dtype=torch.bool)
    if truncated is not None:
        step, value = truncated
        ended[step], next_values[step] = True, value
    return generalized_advantages(
        rewards=torch.tensor(rewards).reshape(-1, 1, 1).expand(-1, 1, 2),
        values=v[:-1],
        next_values=next_values,
        terminated=torch.zeros(n, 1, dtype=torch.bool),
        truncated=ended,
        gamma=layered.discount(torch.device("cpu")),
        gae_lambda=layered.trace(in_service),
    ).advantages[:, 0]


def test_the_return_of_a_held_action_is_that_of_a_semi_markov_step():
    """Held for 3 steps, then for 2; slow gamma 1/2, lambda 1/2; V = 2 at the first decision, 4 at the second, 8 last.

    R_0 = 1 + 2/2 + 4/4 = 3, Delta_0 = 3 + 4/8 - 2 = 3/2.  R_1 = 8 + 16/2 = 16, Delta_1 = 16 + 8/4 - 4 = 14.
    A_1 = 14, A_0 = 3/2 + (1/2)^3 (1/2) 14 = 19/8. Values in between cancel, whatever they are.
    """
    decides = [True, False, False, True, False]
    for between in (0.0, 64.0):
        values = [2.0, between, between, 4.0, between]
        found = estimated([1.0, 2.0, 4.0, 8.0, 16.0], values, 8.0, decides)
        assert found[0, SLOW] == 2.375  # dyadic fractions: exact in float32
        assert found[3, SLOW] == 14.0


def test_an_interval_that_is_cut_short_ends_with_the_episode():
    """Truncated with its second step, where V' = 6: R = 1 + 2/2 = 2, A = 2 + 6/4 - 2 = 3/2."""
    found = estimated(
        [1.0, 2.0, 4.0, 8.0],
        [2.0, 0.0, 4.0, 0.0],
        8.0,
        [True, False, True, False],
        truncated=(1, 6.0),
    )
    assert found[0, SLOW] == 1.5


def test_the_fast_layer_learns_as_without_a_slow_one():
    """gamma 1/4, lambda 1/2: deltas (1 + 1 - 2, 2 + 2 - 4) = (0, 0) with V = 2, 4, 8; then r_1 = 3."""
    assert estimated([1.0, 2.0], [2.0, 4.0], 8.0, [True, False])[:, FAST].tolist() == [0.0, 0.0]
    assert estimated([1.0, 3.0], [2.0, 4.0], 8.0, [True, False])[:, FAST].tolist() == [0.125, 1.0]


def test_advantages_of_the_slow_layer_are_normalised_over_decisions_alone():
    """Two decisions with 1 and 3 become -1 and 1, whatever stands between them."""
    layered = LayeredShaping(config=PPOConfig(), n_agent=2, n_value=2, layer=(FAST, SLOW))
    in_service = torch.tensor([[[True, True]], [[True, False]], [[True, True]]])
    advantages = torch.tensor([[[0.0, 1.0]], [[1.0, 1e6]], [[2.0, 3.0]]])
    found = layered.of_agents(advantages, layered.acted_on(in_service))
    assert found[[0, 2], 0, 1].tolist() == pytest.approx([-1.0, 1.0])
    assert found[:, 0, 0].tolist() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])


class Relay:
    """A target g is drawn for every four steps; only the coordinator sees it, and only at their first.

    What it answers then is held: all are charged (order + mean action - g)^2 in each step. The best is 0; agents
    alone, who see nothing, do no better than -E[g^2] = -AIM^2 / 3, and so does an order that does not depend on g.
    """

    def __init__(self, n_env=N_ENV, seed=0):
        self.n_env, self.state_size = n_env, 3
        self.groups = (
            AgentGroup(name="fast", agents=("f_0", "f_1"), observation_size=1, action_size=1),
            AgentGroup(name="slow", agents=("s",), observation_size=1, action_size=1, held_steps=HELD),
        )
        self.rng = np.random.default_rng(seed)
        self.clock, self.aim, self.order = 0, np.zeros(n_env), np.zeros(n_env)

    def observation(self):
        decides = self.clock == 0
        if decides:
            self.aim = self.rng.uniform(-AIM, AIM, self.n_env)
        state = np.stack(
            [self.aim, self.order * (not decides), np.full(self.n_env, self.clock / HELD)], axis=1
        )
        return Observation(
            observations={
                "fast": np.ones((self.n_env, 2, 1), dtype=np.float32),
                # What it is shown in between is of no use.
                "slow": (self.aim * decides).astype(np.float32)[:, None, None],
            },
            state=state.astype(np.float32),
            in_service={
                "fast": np.ones((self.n_env, 2), dtype=np.bool_),
                "slow": np.full((self.n_env, 1), decides),
            },
        )

    def step(self, actions):
        if self.clock == 0:
            self.order = np.clip(actions["slow"][:, 0, 0], -1.0, 1.0).astype(np.float64)
        gap = self.order + np.clip(actions["fast"][..., 0], -1.0, 1.0).mean(axis=1) - self.aim
        self.clock = (self.clock + 1) % HELD
        shown, never = self.observation(), np.zeros(self.n_env, dtype=np.bool_)
        return Transition(
            observation=shown,
            final_observation=shown,
            reward=-np.square(gap),
            terminated=never,
            truncated=never,
            terms={},
        )


def settings(**ppo):
    return TrainingConfig(
        n_envs=N_ENV,
        device="cpu",
        algorithm="hierarchical",
        observation="hierarchy",
        network=NetworkConfig(actor_hidden=(32,), critic_hidden=(32,), dead_zone=0.0),
        ppo=PPOConfig(
            **(
                {
                    "lr_actor": 5e-3,
                    "lr_critic": 5e-3,
                    "lr_final_fraction": 0.1,
                    "buffer_steps": 2048,
                    "minibatch_steps": 512,
                    "robust_reward": 0.0,
                    "policy_average": 0.0,
                    "slow_gamma": 0.9,
                }
                | ppo
            )
        ),
    )


def learned(n_update, learner, game, observation, first=0):
    update = first
    while update < n_update:
        transition = game.step(learner.act(observation))
        learner.observe(transition)
        observation = transition.observation
        if learner.update(update / n_update) is not None:
            update += 1
    return observation


def worth(policy):
    """Mean reward of deterministic play over a grid of targets, exactly."""
    aim = np.linspace(-AIM, AIM, 201, dtype=np.float32)
    answers = policy.act(
        {"fast": np.ones((201, 2, 1), dtype=np.float32), "slow": aim[:, None, None]},
    )
    gap = answers["slow"][:, 0, 0] + answers["fast"][..., 0].mean(axis=1) - aim
    return -float(np.square(gap).mean())


def test_only_what_is_held_can_solve_it():
    """Without the coordinator's target the best is -AIM^2 / 3 = -0.213; a tenth of that loss is left at most."""
    game = Relay()
    learner = HierarchicalMAPPO(settings(), game.groups, game.state_size)
    learned(40, learner, game, game.observation())
    assert worth(learner.evaluation_policy) > -0.1 * AIM**2 / 3.0


def test_a_learner_that_is_taken_up_goes_on_to_the_bit():
    game = Relay()
    one = HierarchicalMAPPO(settings(), game.groups, game.state_size)
    observation = learned(2, one, game, game.observation())
    other = HierarchicalMAPPO(settings(), game.groups, game.state_size)
    other.load_state(one.state())
    for learner in (one, other):
        again = Relay(seed=3)
        learned(4, learner, again, again.observation(), first=2)
    assert observation is not None
    for a, b in zip(one.policy.state_dict().values(), other.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_saved_policy_still_says_whose_actions_are_held(tmp_path):
    game = Relay()
    learner = HierarchicalMAPPO(settings(), game.groups, game.state_size)
    learner.policy.save(tmp_path / "model.pt")
    assert type(learner.policy).load(tmp_path / "model.pt").groups == game.groups


def test_where_no_action_is_held_it_is_mappo_to_the_bit():
    game = Relay()
    groups = tuple(replace(g, held_steps=1) for g in game.groups)
    found = []
    for make in (MAPPO, HierarchicalMAPPO):
        game, learner = Relay(), make(settings(), groups, game.state_size)
        learned(2, learner, game, game.observation())
        found.append(learner.policy.state_dict())
    for name, x in found[0].items():
        assert torch.equal(x, found[1][name])


def test_what_has_no_two_layers_of_one_team_is_refused():
    slow = [
        AgentGroup(name=f"s_{k}", agents=("s",), observation_size=1, action_size=1, held_steps=k)
        for k in (2, 3)
    ]
    with pytest.raises(ConfigError, match="2, 3"):
        HierarchicalMAPPO(settings(), tuple(slow), 1)
    with pytest.raises(ConfigError, match="own"):
        HierarchicalMAPPO(settings(), (slow[0],), 1, per_agent_rewards=True)
