"""Recurrent networks: the unit beside torch's own, sequences beside single steps, and what is forgotten when."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.algorithms.mappo import MAPPO
from marl.config.training import ConfigError, NetworkConfig, PPOConfig, TrainingConfig
from marl.networks.policy import Policy
from marl.networks.recurrent import RecurrentNetwork
from marl.protocol import AgentGroup
from marl.storage.sequences import Unroll
from unit.marl.toys import Drift

CONFIG = NetworkConfig(actor="gru", memory_size=6, actor_hidden=(16,), critic_hidden=(16,), dead_zone=0.0)
GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=3, action_size=1),
    AgentGroup(name="b", agents=("b_0", "b_1", "b_2"), observation_size=4, action_size=2),
)
# Sums of a few dozen float32 numbers of size one, in another order.
ROUNDING = 1e-6


def network(n_network=1, config=CONFIG):
    torch.manual_seed(3)
    return RecurrentNetwork(n_network, 4, (16,), 2, last_gain=1.0, config=config)


def masks(n_step, n_sequence, burn_in=0):
    restart = torch.zeros(n_step, n_sequence, dtype=torch.bool)
    restart[0] = True
    return {"restart": restart, "continues": torch.ones_like(restart), "burn_in": burn_in}


def test_the_unit_is_torchs_gated_recurrent_unit():
    net = network()
    cell = torch.nn.GRUCell(16, 6)
    with torch.no_grad():
        cell.weight_ih.copy_(net.encoder.last.weight[0])
        cell.bias_ih.copy_(net.encoder.last.bias[0])
        cell.weight_hh.copy_(net.recurrence.weight[0])
        cell.bias_hh.copy_(net.recurrence.bias[0].normal_())
        x, hidden = torch.randn(7, 4), torch.randn(7, 6)
        found, after = net.step(x, hidden)
        expected = cell(net.encoder.hidden(x), hidden)
    torch.testing.assert_close(after, expected, rtol=0.0, atol=ROUNDING)
    assert found.shape == (7, 2)


@pytest.mark.parametrize("n_network", [1, 3])
def test_a_sequence_is_its_steps_one_after_the_other(n_network):
    net, n_step, n_sequence = network(n_network), 9, 5
    x, hidden = torch.randn(n_step, n_sequence, 3, 4), torch.randn(n_sequence, 3, 6)
    unroll = Unroll(hidden=hidden, **masks(n_step, n_sequence))
    unroll.continues[4, 1] = False  # an episode begins
    run = net.sequence(x, unroll)
    for t in range(n_step):
        if t == 4:
            hidden = hidden.clone()
            hidden[1] = 0.0
        torch.testing.assert_close(run.before[t], hidden, rtol=0.0, atol=ROUNDING)
        if n_network == 1:
            expected, hidden = net.step(x[t], hidden)
        else:
            expected, hidden = (
                y.transpose(0, 1) for y in net.step(x[t].transpose(0, 1), hidden.transpose(0, 1))
            )
        torch.testing.assert_close(run.outputs[t], expected, rtol=0.0, atol=ROUNDING)
        torch.testing.assert_close(run.after[t], hidden, rtol=0.0, atol=ROUNDING)


def test_networks_side_by_side_are_each_what_they_are_alone():
    stacked, alone = network(3), network()
    x, hidden = torch.randn(3, 5, 4), torch.randn(3, 5, 6)
    together, _ = stacked.step(x, hidden)
    for k in range(3):
        alone.load_state_dict({name: value[k : k + 1] for name, value in stacked.state_dict().items()})
        torch.testing.assert_close(alone.step(x[k], hidden[k])[0], together[k], rtol=0.0, atol=ROUNDING)


def test_nothing_is_differentiated_through_the_burn_in():
    net, x, hidden = network(), torch.randn(6, 5, 4, requires_grad=True), torch.zeros(5, 6)
    outputs = net.sequence(x, Unroll(hidden=hidden, **masks(6, 5, burn_in=2))).outputs
    assert outputs.shape == (4, 5, 2)
    outputs.sum().backward()
    slope = x.grad.abs().sum(dim=(1, 2))
    assert (slope[:2] == 0.0).all()
    assert (slope[2:] > 0.0).all()


def observed(n_env, seed=0):
    rng = np.random.default_rng(seed)
    return {
        g.name: rng.standard_normal((n_env, g.n_agent, g.observation_size)).astype(np.float32) for g in GROUPS
    }


@pytest.mark.parametrize("sharing", ["type", "agent"])
def test_a_policy_remembers_within_an_episode_and_forgets_where_one_begins(sharing):
    policy = Policy(GROUPS, dataclasses.replace(CONFIG, sharing=sharing, actor_last_gain=1.0)).eval()
    policy.reset(np.arange(4), np.arange(4))
    first = policy.act(observed(4))
    second = policy.act(observed(4))
    assert all((first[name] != second[name]).any(axis=(1, 2)).all() for name in first)
    policy.reset(np.array([1, 2]), np.array([7, 8]))
    policy.act(observed(4, seed=1))
    policy.reset(np.array([0, 3]), np.array([7, 8]))
    third = policy.act(observed(4))
    for name, before in first.items():
        np.testing.assert_array_equal(third[name][[0, 3]], before[[0, 3]])
        assert (third[name][[1, 2]] != before[[1, 2]]).any(axis=(1, 2)).all()


def test_a_policy_begins_anew_with_another_number_of_environments():
    policy = Policy(GROUPS, CONFIG).eval()
    policy.reset(np.arange(8), np.arange(8))
    policy.act(observed(8))
    policy.reset(np.arange(3), np.arange(3))
    policy.act(observed(3))
    policy.reset(np.arange(8), np.arange(8))
    again, fresh = policy.act(observed(8)), Policy.from_content(policy.content()).act(observed(8))
    for name, action in fresh.items():
        np.testing.assert_array_equal(again[name], action)


def settings(network, **ppo):
    return TrainingConfig(
        n_envs=4,
        device="cpu",
        network=network,
        ppo=PPOConfig(
            **{"buffer_steps": 64, "minibatch_steps": 32, "sequence_steps": 8, "noise_correlation": 0.0} | ppo
        ),
    )


def gathered(learner, length=5):
    """A full rollout of 16 steps in 4 environments whose episodes end in the midst of sequences."""
    environment = Drift(n_env=4, length=length)
    observation = environment.reset(np.arange(4))
    while not learner.storage.is_ready:
        transition = environment.step(learner.act(observation))
        learner.observe(transition)
        observation = transition.observation
    return learner.storage.rollout(learner.device)


@pytest.mark.parametrize("burn_in", [0, 3, 12])
@pytest.mark.parametrize("sharing", ["type", "agent"])
def test_sequences_run_again_have_the_probabilities_that_were_acted_with(sharing, burn_in):
    """Before the first step of an update nothing has moved: every ratio is one, whatever the burn-in."""
    config = settings(dataclasses.replace(CONFIG, sharing=sharing, critic_memory=True), burn_in_steps=burn_in)
    environment = Drift()
    learner = MAPPO(config, environment.groups, environment.state_size)
    batch, _ = learner.prepare(gathered(learner))
    seen = []
    for index in learner._minibatches(batch):
        part = learner._select(batch, index)
        seen.append(len(part.returns))
        for head in learner.policy.actors.heads:
            actor = learner.policy.actors.actor(head)
            mean = actor.learned_means(part.actor_inputs[head], part.unrolls[head])
            log_prob = actor.log_prob(mean, part.actions[head])
            torch.testing.assert_close(log_prob, part.log_probs[head], rtol=0.0, atol=10 * ROUNDING)
        # The critic's last layer moved with the value normaliser, and its values with it: to the rounding of sums.
        values = learner.critic(part.critic_inputs, part.critic_unrolls)
        torch.testing.assert_close(values, part.values, rtol=0.0, atol=1e-5)
    assert seen == [32, 32]


def test_a_critic_that_remembers_values_the_true_last_state_of_an_episode():
    """Beside the same network run step by step through each episode."""
    config = settings(dataclasses.replace(CONFIG, critic_memory=True))
    environment = Drift()
    learner = MAPPO(config, environment.groups, environment.state_size)
    rollout = gathered(learner)
    values, finals, _ = learner.critic.remembered_values(rollout, learner.critic_memory)
    net, hidden = learner.critic.heads["state"], torch.zeros(4, CONFIG.memory_size)
    with torch.no_grad():
        for t in range(16):
            expected, hidden = net.step(rollout.state[t], hidden)
            torch.testing.assert_close(values[t], expected, rtol=0.0, atol=ROUNDING)
            for k in torch.nonzero(rollout.truncated_step == t).flatten():
                env = rollout.truncated_env[k]
                last, _ = net.step(rollout.final_state[k], hidden[env])
                torch.testing.assert_close(finals[k], last, rtol=0.0, atol=ROUNDING)
                hidden[env] = 0.0
    # What the next rollout begins with.
    torch.testing.assert_close(learner.critic_memory.hidden["state"], hidden, rtol=0.0, atol=ROUNDING)


def test_sequences_that_do_not_divide_a_rollout_are_refused():
    with pytest.raises(ConfigError, match="sequence_steps = 5 does not divide"):
        settings(CONFIG, sequence_steps=5)


def test_memories_begin_anew_when_all_episodes_do():
    environment = Drift()
    learner = MAPPO(settings(CONFIG), environment.groups, environment.state_size)
    gathered(learner)
    assert learner.memory.hidden
    learner.begin_episodes()
    assert not learner.memory.hidden
