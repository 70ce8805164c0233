"""Compiled kernels run plain networks as torch runs them, on torch's own weights."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from marl.config.network import NetworkConfig
from marl.networks.actor import Actor
from marl.networks.policy import Policy
from marl.protocol import AgentGroup

GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1", "a_2"), observation_size=15, action_size=1),
    AgentGroup(name="b", agents=("b_0", "b_1"), observation_size=15, action_size=1),
)
CONFIG = NetworkConfig(actor_hidden=(64, 96))


def policy_of(config=CONFIG, groups=GROUPS):
    torch.manual_seed(0)
    policy = Policy(groups, config)
    with torch.no_grad():
        for parameter in policy.parameters():  # nothing is zero or one, as it is at the beginning
            parameter.add_(0.1 * torch.randn_like(parameter))
    return policy


def observed(n_env, groups=GROUPS):
    generator = torch.Generator().manual_seed(1)
    return {g.name: torch.randn(n_env, g.n_agent, g.observation_size, generator=generator) for g in groups}


@pytest.mark.parametrize("sharing", ["type", "all"])
@pytest.mark.parametrize("linear", [False, True])
def test_mean_actions_are_torchs(sharing, linear):
    policy = policy_of(dataclasses.replace(CONFIG, sharing=sharing, actor_linear=linear))
    seen = observed(50)  # rows that do not fill a block
    assert policy.actors.plain
    with torch.no_grad():
        found = policy.means(seen)
        exact = copy.deepcopy(policy).double().means({name: x.double() for name, x in seen.items()})
    for name, mean in found.items():
        # Single precision of values up to 3; torch's own single precision is as far from double.
        torch.testing.assert_close(mean.double(), exact[name], rtol=0.0, atol=3e-6)


def test_an_environment_is_acted_on_alike_alone_and_in_a_batch():
    policy, seen = policy_of(), observed(50)
    together = policy.act({name: x.numpy() for name, x in seen.items()})
    for env in (0, 17, 49):
        alone = policy.act({name: x[env : env + 1].numpy() for name, x in seen.items()})
        for name, action in alone.items():
            np.testing.assert_array_equal(action[0], together[name][env])


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("n_action", [1, 2])
def test_exploration_draws_torchs_noise(correlation, n_action):
    """The same stream with and without kernels, and where it stands afterwards."""
    groups = tuple(dataclasses.replace(g, action_size=n_action) for g in GROUPS)
    with_kernels = policy_of(groups=groups)
    without = Policy(groups, dataclasses.replace(CONFIG, fused="off"))
    without.load_state_dict(with_kernels.state_dict())
    seen, results = observed(9), []
    for policy in (with_kernels, without):
        generator = torch.Generator().manual_seed(5)
        results.append(policy.sample(seen, noise_correlation=correlation, generator=generator))
        results[-1] += (torch.rand(1, generator=generator),)
    (actions, log_probs, after), (expected, expected_log_probs, expected_after) = results
    assert torch.equal(after, expected_after)
    for g in groups:
        assert actions[g.name].shape == (9, g.n_agent, n_action)
        # Single precision of values up to 3.
        torch.testing.assert_close(actions[g.name], expected[g.name], rtol=0.0, atol=3e-6)
    torch.testing.assert_close(log_probs, expected_log_probs, rtol=0.0, atol=3e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"fused": "off"},
        {"layer_norm": False},
        {"sharing": "agent"},
        {"actor_hidden": (64, 100)},
    ],
)
def test_torch_runs_what_the_kernels_do_not_serve(change):
    policy = policy_of(dataclasses.replace(CONFIG, **change))
    assert not policy.actors.plain
    seen = observed(4)
    assert policy.act({name: x.numpy() for name, x in seen.items()})["a"].shape == (4, 3, 1)


def test_gradients_and_double_precision_are_torchs():
    actor = policy_of().actors.heads["a"]
    assert isinstance(actor, Actor)
    assert actor(observed(4)["a"]).requires_grad
    assert actor.plain.serves
    assert not actor.double().plain.serves


def test_weights_stay_torchs_parameters():
    """Acting brings them together in memory; what torch then writes into them, or a copy of them, is acted on."""
    policy = policy_of()
    seen = {name: x.numpy() for name, x in observed(4).items()}
    before = policy.act(seen)["a"]
    twin = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.5)
    assert (policy.act(seen)["a"] != before).any()
    np.testing.assert_array_equal(twin.act(seen)["a"], before)
    policy.load_state_dict(twin.state_dict())
    np.testing.assert_array_equal(policy.act(seen)["a"], before)
    actor = policy.actors.heads["a"]
    actor.plain.flat.numbers()[:] = 0.0
    assert all(not parameter.any() for parameter in actor.parameters())


def test_models_of_before_the_kernels_still_load():
    content = policy_of().content()
    del content["network"]["fused"]
    assert Policy.from_content(content).config == CONFIG
