"""Actors and critics: sizes, densities, sharing and symmetry."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from marl.config.training import NetworkConfig
from marl.networks.actor import Actor, ActorSet
from marl.networks.critic import Critic
from marl.networks.normalization import InputScaling
from marl.networks.stacked import StackedLayerNorm, StackedLinear
from marl.protocol import AgentGroup

FLEET = tuple(
    AgentGroup(name=name, agents=tuple(f"{name}_{i}" for i in range(n)), observation_size=15, action_size=1)
    for name, n in (("bess", 5), ("gas", 8), ("dr", 7))
)
UNLIKE = (
    AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=3, action_size=1),
    AgentGroup(name="b", agents=("b_0",), observation_size=5, action_size=2),
)


def observations(groups, n_env=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {g.name: torch.randn(n_env, g.n_agent, g.observation_size, generator=generator) for g in groups}


def n_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def means(actors: ActorSet, observed):
    inputs = actors.scale(observed)
    return actors.split({head: actor(inputs[head]) for head, actor in actors.heads.items()})


def test_networks_have_the_specified_sizes():
    """15-128-128-1 and 140-256-256-1, each hidden layer with LayerNorm's gain and offset."""
    actors = ActorSet(FLEET, NetworkConfig())
    one_actor = (15 * 128 + 128) + 2 * 128 + (128 * 128 + 128) + 2 * 128 + (128 * 1 + 1) + 1  # last: log-std
    assert n_parameters(actors) == 3 * one_actor
    critic = Critic(FLEET, 140, 1, NetworkConfig(), value_norm_decay=0.9)
    assert n_parameters(critic) == (140 * 256 + 256) + 2 * 256 + (256 * 256 + 256) + 2 * 256 + (256 + 1)


def test_hidden_weights_are_orthogonal_and_the_last_layer_is_small():
    actor = Actor(1, 15, 1, NetworkConfig())
    w = next(m for m in actor.net.hidden if isinstance(m, StackedLinear)).weight[0].detach()  # [128, 15]
    # Gain sqrt(2): W^T W = 2 I; float32 sums of 128 products.
    np.testing.assert_allclose(w.T @ w, 2.0 * np.eye(15), atol=1e-5)
    assert float(actor.net.last.weight.detach().norm()) == pytest.approx(0.01, rel=1e-5)


def test_a_fresh_policy_acts_near_zero_with_the_configured_spread():
    actors = ActorSet(FLEET, NetworkConfig())
    for mean in means(actors, observations(FLEET)).values():
        # |mean| <= gain x norm of a normalised hidden layer of 128 = 0.01 x sqrt(128).
        assert float(mean.detach().abs().max()) < 0.01 * math.sqrt(128)
    for actor in actors.heads.values():
        assert float(actor.log_std.detach().exp()) == pytest.approx(0.35, rel=1e-6)


def test_log_probability_and_entropy_are_those_of_the_normal_distribution():
    actor = Actor(1, 3, 2, NetworkConfig(log_std_init=-0.4))
    with torch.no_grad():
        actor.log_std.copy_(torch.tensor([[-0.4, 0.3]]))
        mean = torch.tensor([[[0.2, -0.1]]])
        action = torch.tensor([[[3.0, -2.5]]])  # far outside [-1, 1]: the density is the unclipped action's
        sigma = np.exp([-0.4, 0.3])
        expected = stats.norm.logpdf([3.0, -2.5], [0.2, -0.1], sigma).sum()
        # float32 rounding of terms of order ten.
        assert float(actor.log_prob(mean, action)) == pytest.approx(expected, rel=1e-6)
        assert float(actor.entropy()) == pytest.approx(stats.norm.entropy([0, 0], sigma).sum(), rel=1e-6)


@pytest.mark.parametrize("sharing", ["type", "all"])
def test_permuting_equal_agents_permutes_their_outputs(sharing):
    config = NetworkConfig(sharing=sharing, agent_id=False)
    actors = ActorSet(FLEET, config)
    observed = observations(FLEET)
    order = torch.tensor([3, 0, 7, 1, 2, 6, 5, 4])
    swapped = observed | {"gas": observed["gas"][:, order]}
    plain, permuted = means(actors, observed), means(actors, swapped)
    assert torch.equal(permuted["gas"], plain["gas"][:, order])
    assert torch.equal(permuted["bess"], plain["bess"])
    assert torch.equal(permuted["dr"], plain["dr"])


def test_an_agent_acts_on_its_own_observation_only():
    for sharing in ("type", "all", "agent"):
        actors = ActorSet(FLEET, NetworkConfig(sharing=sharing))
        observed = observations(FLEET)
        changed = {name: x.clone() for name, x in observed.items()}
        changed["gas"][:, 3] += 1.0
        before, after = means(actors, observed), means(actors, changed)
        moved = {
            (name, k)
            for name in before
            for k in range(before[name].shape[1])
            if not torch.allclose(before[name][:, k], after[name][:, k], rtol=0, atol=1e-7)
        }
        assert moved == {("gas", 3)}, sharing


def test_agents_with_actors_of_their_own_equal_as_many_separate_networks():
    """The batched product against one ordinary network at a time with the same weights."""
    config = NetworkConfig(sharing="agent")
    actors = ActorSet(FLEET, config)
    observed = observations(FLEET)
    together = means(actors, observed)["gas"]
    stacked, inputs = actors.heads["gas"], actors.scale(observed)["gas"]
    for k in range(8):
        alone = Actor(1, 15, 1, config)
        alone.load_state_dict({name: x[k : k + 1] for name, x in stacked.state_dict().items()})
        expected = alone(inputs[:, k : k + 1])
        # float32: the batched product may add in another order.
        np.testing.assert_allclose(together[:, k : k + 1].detach(), expected.detach(), atol=1e-6)


def test_stacked_layer_norm_equals_torchs():
    norm = StackedLayerNorm(3, 6)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(3, 5, 6)
    for k in range(3):
        expected = torch.nn.functional.layer_norm(x[k], (6,), norm.weight[k], norm.bias[k])
        np.testing.assert_allclose(norm(x)[k].detach(), expected.detach(), atol=1e-6)  # float32


def test_types_of_different_sizes_need_no_padding():
    actors = ActorSet(UNLIKE, NetworkConfig())
    assert {name: tuple(x.shape) for name, x in means(actors, observations(UNLIKE)).items()} == {
        "a": (4, 2, 1),
        "b": (4, 1, 2),
    }


def test_one_actor_for_unlike_types_is_refused():
    with pytest.raises(ValueError, match="equal sizes"):
        ActorSet(UNLIKE, NetworkConfig(sharing="all"))


def test_the_identity_tells_agents_apart_only_where_asked_for():
    same = {g.name: torch.ones(1, g.n_agent, g.observation_size) for g in FLEET}
    blind = means(ActorSet(FLEET, NetworkConfig(sharing="all", agent_id=False)), same)
    assert len({round(float(v), 9) for x in blind.values() for v in x.detach().flatten()}) == 1
    told = means(ActorSet(FLEET, NetworkConfig(sharing="all", agent_id=True)), same)
    assert len({round(float(v), 9) for x in told.values() for v in x.detach().flatten()}) == 20


def test_a_central_critic_has_one_value_or_one_per_agent():
    observed, state = observations(FLEET), torch.randn(4, 140)
    for n_value in (1, 20):
        critic = Critic(FLEET, 140, n_value, NetworkConfig(), value_norm_decay=0.9)
        assert critic(critic.scale(observed, state)).shape == (4, n_value)


def test_a_local_critic_values_each_agent_by_its_own_observation():
    critic = Critic(FLEET, 140, 20, NetworkConfig(critic="local"), value_norm_decay=0.9)
    observed = observations(FLEET)
    before = critic(critic.scale(observed, torch.randn(4, 140)))
    observed["gas"][:, 2] += 1.0
    after = critic(critic.scale(observed, torch.randn(4, 140)))
    moved = (before != after).any(dim=0).nonzero().flatten().tolist()
    assert moved == [5 + 2]  # after the five bess, the third gas


def test_an_agents_critic_sees_its_own_observation_and_the_state_and_nobody_elses():
    critic = Critic(FLEET, 140, 20, NetworkConfig(critic="agent"), value_norm_decay=0.9)
    observed, state = observations(FLEET), torch.randn(4, 140)
    before = critic(critic.scale(observed, state))
    other_state = critic(critic.scale(observed, state + 1.0))
    assert (before != other_state).all()
    observed["dr"][:, 6] += 1.0
    after = critic(critic.scale(observed, state))
    moved = (before != after).any(dim=0).nonzero().flatten().tolist()
    assert moved == [5 + 8 + 6]


def test_moving_the_value_normaliser_leaves_every_value_where_it_was():
    for config, n_value in (
        (NetworkConfig(), 1),
        (NetworkConfig(), 20),
        (NetworkConfig(critic="agent"), 20),
        (NetworkConfig(critic="local"), 20),
    ):
        critic = Critic(FLEET, 140, n_value, config, value_norm_decay=0.9)
        inputs = critic.scale(observations(FLEET), torch.randn(4, 140))
        before = critic.denormalize(critic(inputs)).detach()
        returns = 300.0 * torch.randn(64, n_value) - 1000.0 * torch.arange(1, n_value + 1)
        critic.update_value_normaliser(returns, torch.ones_like(returns, dtype=torch.bool))
        after = critic.denormalize(critic(inputs)).detach()
        # float32 cancellation of means up to 20000 against values of order one.
        np.testing.assert_allclose(after, before, atol=2e-2)
        assert float(critic.value_normaliser.std.min()) > 100.0


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ({"compress_inputs": True, "magnify_inputs": 0.0}, lambda x: np.arcsinh(x)),
        ({"magnify_inputs": 8.0}, lambda x: x + np.arcsinh(8.0 * x)),
    ],
)
def test_inputs_are_compressed_or_what_is_small_in_them_magnified(switch, expected):
    actors = ActorSet(FLEET, dataclasses.replace(NetworkConfig(), **switch))
    x = observations(FLEET)
    scaled = actors.scale(x)["bess"].numpy()
    np.testing.assert_allclose(scaled, expected(x["bess"].numpy()), rtol=1e-6)  # float32


def test_a_magnified_input_is_steeper_by_its_gain_near_zero_and_by_one_far_out():
    """d/dx (x + asinh(g x)) = 1 + g/sqrt(1 + g^2 x^2): 1 + g at zero, towards 1 + 1/x far out."""
    scaling = InputScaling(1, compress=False, magnify=10.0, normalize=False)
    x = torch.tensor([0.0, 10.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(scaling(x).sum(), x)
    np.testing.assert_allclose(slope, [11.0, 1.0 + 10.0 / math.sqrt(1.0 + 100.0**2)], rtol=1e-12)


@pytest.mark.parametrize("sharing", ["type", "agent"])
def test_a_linear_part_of_an_actor_adds_a_product_with_its_inputs(sharing):
    config = dataclasses.replace(NetworkConfig(), sharing=sharing, actor_linear=True)
    actors = ActorSet(FLEET, config)
    x = observations(FLEET)
    actor = actors.heads["gas"]
    before = means(actors, x)["gas"].detach()
    with torch.no_grad():
        actor.linear.weight.zero_()
        actor.linear.weight[:, 0, 3] = 2.0  # twice the fourth input, for every agent
        actor.linear.bias.fill_(0.5)
        without = dataclasses.replace(config, actor_linear=False)
        plain = Actor(actor.n_network, 15, 1, without)
        plain.load_state_dict({k: v for k, v in actor.state_dict().items() if not k.startswith("linear")})
        expected = plain(x["gas"]) + 2.0 * x["gas"][..., 3:4] + 0.5
        np.testing.assert_allclose(actor(x["gas"]), expected, rtol=1e-6, atol=1e-6)  # float32
    assert before.abs().max() < 0.1  # as near zero as a fresh policy without it
