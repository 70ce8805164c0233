"""Attention between agents: beside torch's own, and for any number of senders."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from marl.config.training import ConfigError, NetworkConfig
from marl.networks.attention import AttentiveNetwork
from marl.networks.policy import Policy
from marl.protocol import AgentGroup, Messages

N_OWN, SIZE = 3, 4
CONFIG = NetworkConfig(
    actor="attention",
    attention_size=8,
    attention_heads=2,
    actor_hidden=(16,),
    actor_last_gain=1.0,
    dead_zone=0.0,
)
# Sums of a few dozen float32 numbers of size one, in another order.
ROUNDING = 1e-6


def messages(n_agent, n_sender=None):
    n_sender = n_sender or n_agent
    distance = np.abs(np.arange(n_agent)[:, None] - np.arange(n_sender)).astype(float)
    distance[distance == 0.0] = np.inf
    return Messages(size=SIZE, distance=tuple(tuple(row) for row in distance.tolist()))


def team(n_agent, told=True):
    told = messages(n_agent) if told else None
    size = N_OWN + (told.length if told else 0)
    names = tuple(f"a_{i}" for i in range(n_agent))
    return (AgentGroup(name="a", agents=names, observation_size=size, action_size=1, messages=told),)


def observed(n_row, n_agent, seed=0):
    """[row, agent, own, then messages]: a 1 and four numbers of every agent, the same for all."""
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((n_row, n_agent, N_OWN))
    told = rng.standard_normal((n_row, n_agent, 1 + SIZE))
    told[..., 0] = 1.0
    beside = np.broadcast_to(told.reshape(n_row, 1, -1), (n_row, n_agent, n_agent * (1 + SIZE)))
    return np.concatenate([own, beside], axis=-1).astype(np.float32)


def test_it_is_torchs_attention_with_a_bias_by_distance():
    torch.manual_seed(0)
    told = messages(5)
    net = AttentiveNetwork(1, N_OWN, told, (16,), 1, last_gain=1.0, config=CONFIG)
    x = torch.from_numpy(observed(7, 5))
    own, sent = x[..., :N_OWN], x[:, 0, N_OWN:].reshape(7, 5, 1 + SIZE)[..., 1:]

    def by_head(y):
        return y.reshape(7, -1, 2, 4).transpose(1, 2)  # [row, head, agent or sender, 4]

    with torch.no_grad():
        slope = functional.softplus(net.slope)[0]
        bias = -slope[:, None, None] * torch.tensor(told.distance)  # minus infinity where nobody listens
        attended = functional.scaled_dot_product_attention(
            by_head(net.query(own)), by_head(net.key(sent)), by_head(net.value(sent)), attn_mask=bias
        )
        expected = net.answer(torch.cat([own, attended.transpose(1, 2).reshape(7, 5, 8)], dim=-1))
        torch.testing.assert_close(net(x), expected, rtol=0.0, atol=ROUNDING)


def acted(policy, x):
    return policy.act({"a": x})["a"]


def test_senders_that_take_no_part_are_not_listened_to():
    policy, x = Policy(team(4), CONFIG).eval(), observed(6, 4)
    flag = N_OWN + 2 * (1 + SIZE)
    x[:, :, flag] = 0.0
    before = acted(policy, x)
    x[:, :, flag + 1 : flag + 1 + SIZE] = 100.0
    np.testing.assert_array_equal(acted(policy, x), before)
    x[:, :, flag] = 1.0
    assert (acted(policy, x)[:, [0, 1, 3]] != before[:, [0, 1, 3]]).all()


def test_nobody_listens_to_itself_and_an_agent_alone_still_acts():
    policy, x = Policy(team(1), CONFIG).eval(), observed(6, 1)
    before = acted(policy, x)
    assert np.isfinite(before).all()
    x[:, :, N_OWN + 1 :] = 100.0
    np.testing.assert_array_equal(acted(policy, x), before)


def test_gradients_are_finite_where_nobody_is_heard():
    policy, x = Policy(team(1), CONFIG), torch.from_numpy(observed(6, 1))
    policy.means({"a": x})["a"].sum().backward()
    for name, p in policy.named_parameters():
        assert p.grad is None or torch.isfinite(p.grad).all(), name


def test_weights_learned_in_a_team_serve_a_larger_one():
    """Two more agents that take no part change nothing for the first three."""
    small, large = Policy(team(3), CONFIG).eval(), Policy(team(5), CONFIG).eval()
    large.load_state_dict(small.state_dict())
    x = observed(6, 5)
    for absent in (3, 4):
        x[:, :, N_OWN + absent * (1 + SIZE)] = 0.0
    fewer = x[:, :3, : N_OWN + 3 * (1 + SIZE)]
    np.testing.assert_allclose(acted(large, x)[:, :3], acted(small, fewer), rtol=0.0, atol=ROUNDING)


@pytest.mark.parametrize("sharing", ["agent", "all"])
def test_actors_of_other_kinds_of_sharing_act_and_are_kept(sharing, tmp_path):
    policy = Policy(team(4), dataclasses.replace(CONFIG, sharing=sharing)).eval()
    policy.save(tmp_path / "p.pt")
    again = Policy.load(tmp_path / "p.pt")
    assert again.groups == policy.groups
    np.testing.assert_array_equal(acted(again, observed(6, 4)), acted(policy, observed(6, 4)))


def test_networks_side_by_side_are_each_what_they_are_alone():
    torch.manual_seed(0)
    told = messages(3)
    stacked = AttentiveNetwork(3, N_OWN, told, (16,), 1, last_gain=1.0, config=CONFIG)
    x = torch.from_numpy(observed(6, 3))
    for k in range(3):
        own = dataclasses.replace(told, distance=told.distance[k : k + 1])
        alone = AttentiveNetwork(1, N_OWN, own, (16,), 1, last_gain=1.0, config=CONFIG)
        alone.load_state_dict({name: value[k : k + 1] for name, value in stacked.state_dict().items()})
        torch.testing.assert_close(alone(x[:, k : k + 1]), stacked(x)[:, k : k + 1], rtol=0.0, atol=ROUNDING)


def test_observations_without_messages_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="--observation telemetry"):
        Policy(team(3, told=False), CONFIG)


def test_distances_must_be_of_the_agents():
    with pytest.raises(ValueError, match="distances for 2 of 3"):
        AgentGroup(
            name="a", agents=("x", "y", "z"), observation_size=30, action_size=1, messages=messages(2, 3)
        )
