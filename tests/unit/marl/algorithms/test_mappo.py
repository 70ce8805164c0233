"""The MAPPO update: its traps, one by one."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from marl.algorithms.algorithm import NonFiniteLoss
from marl.algorithms.losses import (
    clip_gradients,
    explained_variance,
    linear_schedule,
    policy_loss,
    value_loss,
)
from marl.algorithms.mappo import MAPPO
from marl.config.training import NetworkConfig, PPOConfig, TrainingConfig
from marl.protocol import AgentGroup, Observation
from marl.storage.rollout import Rollout
from unit.marl.toys import Drift

GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1", "a_2"), observation_size=3, action_size=1),
    AgentGroup(name="b", agents=("b_0",), observation_size=2, action_size=2),
)
N_AGENT, N_STATE, N_STEP, N_ENV = 4, 5, 16, 4


def config(network: NetworkConfig | None = None, **ppo) -> TrainingConfig:
    network = network or NetworkConfig()
    network = dataclasses.replace(network, actor_hidden=(16,), critic_hidden=(16,))
    settings = {"buffer_steps": N_STEP * N_ENV, "minibatch_steps": 32, "epochs": 2} | ppo
    return TrainingConfig(n_envs=N_ENV, network=network, ppo=PPOConfig(**settings), device="cpu")


def rollout_of(learner: MAPPO, seed: int = 0, **replace) -> Rollout:
    """A rollout of random observations acted on by the learner itself."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    groups = learner.groups
    observations = {g.name: normal(N_STEP + 1, N_ENV, g.n_agent, g.observation_size) for g in groups}
    state = normal(N_STEP + 1, N_ENV, N_STATE)
    actions = {g.name: torch.empty(N_STEP, N_ENV, g.n_agent, g.action_size) for g in groups}
    log_probs = torch.empty(N_STEP, N_ENV, N_AGENT)
    for t in range(N_STEP):
        decision = learner.decide(
            Observation(
                observations={name: x[t].numpy() for name, x in observations.items()}, state=state[t].numpy()
            )
        )
        log_probs[t] = decision.log_probs
        for name, x in decision.actions.items():
            actions[name][t] = x
    rollout = Rollout(
        observations=observations,
        state=state,
        actions=actions,
        log_probs=log_probs,
        in_service=torch.ones(N_STEP, N_ENV, N_AGENT, dtype=torch.bool),
        rewards=normal(N_STEP, N_ENV, learner.n_value),
        terminated=torch.zeros(N_STEP, N_ENV, dtype=torch.bool),
        truncated=torch.zeros(N_STEP, N_ENV, dtype=torch.bool),
        truncated_step=torch.zeros(0, dtype=torch.long),
        truncated_env=torch.zeros(0, dtype=torch.long),
        final_observations={g.name: torch.zeros(0, g.n_agent, g.observation_size) for g in groups},
        final_state=torch.zeros(0, N_STATE),
    )
    return dataclasses.replace(rollout, **replace)


def make(settings: TrainingConfig | None = None, **options) -> MAPPO:
    return MAPPO(settings or config(), GROUPS, N_STATE, **options)


def weights(learner: MAPPO) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in learner.policy.parameters()])


# Losses, by hand.


def test_the_clipped_surrogate_takes_the_pessimistic_branch():
    """A = 1: min(r, clip r) = 1.2 at r = 1.5 and 0.5 at r = 0.5; A = -1: -1.5 and -0.8. Mean -0.15."""
    ratio = torch.tensor([[1.5, 0.5], [1.5, 0.5]])
    advantages = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss = policy_loss(ratio, advantages, torch.ones(2, 2), 0.2)
    assert float(loss) == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4, rel=1e-6)


def test_samples_of_weight_zero_are_not_in_the_mean():
    loss = policy_loss(
        torch.ones(1, 3), torch.tensor([[2.0, 4.0, 99.0]]), torch.tensor([[1.0, 1.0, 0.0]]), 0.2
    )
    assert float(loss) == -3.0


def test_value_losses_by_hand():
    """Errors 1 and 3: squared (0.5 + 4.5)/2; Huber at 2: (0.5 + 2 x 3 - 2)/2; both from old value 0."""
    args = (torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1), torch.zeros(2, 1), torch.ones(2, 1))
    assert float(value_loss(*args, huber_delta=None, clip=None)) == 2.5
    assert float(value_loss(*args, huber_delta=2.0, clip=None)) == 2.25


def test_a_clipped_value_loss_takes_the_larger_error():
    """Old 0, new 1, target 1: unclipped error 0, clipped to 0.2 it is 0.5 x 0.8^2 = 0.32."""
    one = torch.ones(1, 1)
    loss = value_loss(one, one, torch.zeros(1, 1), one, huber_delta=None, clip=0.2)
    assert float(loss) == pytest.approx(0.32, rel=1e-6)


def test_schedules_are_straight_lines():
    assert [linear_schedule(2.0, 0.5, p) for p in (0.0, 0.5, 1.0, 1.5)] == [2.0, 1.5, 1.0, 1.0]


@pytest.mark.parametrize("fused", ["auto", "off"])
def test_the_spread_comes_under_a_bound_that_falls_linearly(fused):
    """From -1 to -3: at most -2 half way and -3 at the end; without a bound learning moves it by far less than one."""
    learner = make(config(NetworkConfig(log_std_init=-1.0, fused=fused), log_std_final=-3.0))
    free = make(config(NetworkConfig(log_std_init=-1.0, fused=fused)))
    for progress, bound in ((0.0, -1.0), (0.5, -2.0), (1.0, -3.0)):
        found = learner.learn(rollout_of(learner), progress)
        for head in learner.policy.actors.heads:
            assert float(learner.policy.actors.log_std(head).detach().max()) <= bound
            assert found[f"train/log_std_{head}"] == pytest.approx(bound, abs=0.2)
        free.learn(rollout_of(free), progress)
    assert float(free.policy.actors.log_std_columns().detach().mean()) == pytest.approx(-1.0, abs=0.2)


# Acting.


def test_the_log_probability_kept_is_that_of_the_unclipped_action():
    """With a wide spread most samples leave [-1, 1]; their density is still the Gaussian's at the sample."""
    learner = make(config(NetworkConfig(log_std_init=math.log(3.0))))
    rollout = rollout_of(learner)
    assert float(rollout.actions["a"].abs().max()) > 1.0
    means = learner.policy.means({g.name: rollout.observations[g.name][0] for g in GROUPS})
    z = (rollout.actions["a"][0] - means["a"].detach()).squeeze(-1) / 3.0
    expected = -0.5 * z**2 - math.log(3.0) - 0.5 * math.log(2 * math.pi)
    # float32 rounding of terms of order five.
    np.testing.assert_allclose(rollout.log_probs[0][:, :3], expected, atol=2e-6)


def test_noise_is_shared_within_a_type_and_leaves_each_agents_distribution_alone():
    learner = make(config(noise_correlation=0.8))
    n = 20000
    observed = Observation(
        observations={g.name: np.zeros((n, g.n_agent, g.observation_size), dtype=np.float32) for g in GROUPS},
        state=np.zeros((n, N_STATE), dtype=np.float32),
    )
    actions = learner.decide(observed).actions
    columns = torch.cat([actions["a"].squeeze(-1), actions["b"][..., 0]], dim=1).numpy()
    c = np.corrcoef(columns.T)
    # Sampling error of a correlation is below 1/sqrt(n) = 0.007; four of them.
    np.testing.assert_allclose(c[0, 1], 0.8, atol=0.028)
    np.testing.assert_allclose(c[1, 2], 0.8, atol=0.028)
    np.testing.assert_allclose(c[0, 3], 0.0, atol=0.028)
    # Of a standard deviation: sigma/sqrt(2 n) = 0.0018; four of them.
    np.testing.assert_allclose(columns.std(axis=0), 0.35, atol=0.007)


# The update.


@pytest.mark.parametrize("sharing", ["type", "agent"])
@pytest.mark.parametrize("normalize_inputs", [False, True])
def test_the_probability_ratio_is_one_at_the_first_minibatch(sharing, normalize_inputs):
    network = NetworkConfig(sharing=sharing, normalize_inputs=normalize_inputs, compress_inputs=True)
    learner = make(config(network, epochs=1, minibatch_steps=N_STEP * N_ENV))
    learner.learn(rollout_of(learner, seed=1), 0.0)  # from here on input statistics are in use
    batch, _ = learner.prepare(rollout_of(learner, seed=2))
    for head, actor in learner.policy.actors.heads.items():
        ratio = (
            actor.log_prob(actor(batch.actor_inputs[head]), batch.actions[head]) - batch.log_probs[head]
        ).exp()
        # float32: a batch of another size may add in another order.
        np.testing.assert_allclose(ratio.detach(), 1.0, atol=1e-5)


def test_the_ratio_of_one_actor_for_all_is_one_too():
    alike = tuple(dataclasses.replace(g, observation_size=3, action_size=1) for g in GROUPS)
    learner = MAPPO(config(NetworkConfig(sharing="all"), epochs=1, minibatch_steps=64), alike, N_STATE)
    found = learner.learn(rollout_of(learner, seed=2), 0.0)
    assert abs(found["train/kl"]) < 1e-6  # rounding of single precision
    assert found["train/clip_fraction_all"] == 0.0


def whole_batch(**ppo):
    """A learner, and its rollout prepared as one minibatch."""
    learner = make(config(minibatch_steps=N_STEP * N_ENV, epochs=1, **ppo))
    batch, _ = learner.prepare(rollout_of(learner, seed=3))
    return learner, batch


@pytest.mark.parametrize(("ratio", "clipped"), [(2.0, 1.0), (1.1, 0.0), (0.7, 1.0)])
def test_divergence_and_clip_fraction_by_hand(ratio, clipped):
    """All ratios are r: KL = r - 1 - ln r (Schulman, Approximating KL divergence, 2020), clipped beyond 1 +- 0.2."""
    learner, batch = whole_batch()
    shifted = {head: x - math.log(ratio) for head, x in batch.log_probs.items()}
    found = learner._torch.learn_from(dataclasses.replace(batch, log_probs=shifted), 0.0)
    for head in ("a", "b"):
        assert float(found[f"train/kl_{head}"]) == pytest.approx(ratio - 1.0 - math.log(ratio), rel=1e-4)
        assert float(found[f"train/clip_fraction_{head}"]) == clipped
    assert float(found["train/kl"]) == pytest.approx(ratio - 1.0 - math.log(ratio), rel=1e-4)


def test_gradients_are_clipped_for_each_network_by_itself():
    loose, batch = whole_batch(max_grad_norm=1e9)
    free = loose._torch.learn_from(batch, 0.0)
    tight, batch = whole_batch(max_grad_norm=1e-3)
    tight._torch.learn_from(batch, 0.0)
    for prefix, networks in (("", tight.policy.actors.heads), ("critic_", tight.critic.heads)):
        for head, network in networks.items():
            assert float(free[f"train/gradient_norm_{prefix}{head}"]) > 1e-3  # there was something to clip
            norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
            assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_with_an_actor_each_one_agents_surprise_leaves_the_others_steps_alone():
    """Networks stacked in one module: agent 1 gets a thousandfold gradient, the others keep theirs below the bound."""
    learner = make(config(NetworkConfig(sharing="agent")))
    actor = learner.policy.actors.heads["a"]
    generator = torch.Generator().manual_seed(0)
    for p in actor.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
        p.grad[1] *= 1000.0
    before = [p.grad.clone() for p in actor.parameters()]
    norms = [torch.cat([g[k].flatten() for g in before]).norm() for k in range(3)]
    largest = 1.5 * float(max(norms[0], norms[2]))
    assert float(clip_gradients(actor, 3, largest)) == pytest.approx(float(norms[1]), rel=1e-6)
    for p, was in zip(actor.parameters(), before, strict=True):
        torch.testing.assert_close(p.grad[[0, 2]], was[[0, 2]], rtol=0.0, atol=0.0)
    clipped = torch.cat([p.grad[1].flatten() for p in actor.parameters()]).norm()
    assert float(clipped) == pytest.approx(largest, rel=1e-5)


def test_knowing_each_agents_mean_explains_nothing():
    """Returns of two agents, 0 +- 1 and 100 +- 1: values 0 and 100 are the means; exact values explain all."""
    returns = torch.tensor([[[-1.0, 99.0]], [[1.0, 101.0]]])
    valid = torch.ones_like(returns, dtype=torch.bool)
    assert explained_variance(torch.tensor([0.0, 100.0]).expand_as(returns), returns, valid) == 0.0
    assert explained_variance(returns, returns, valid) == 1.0


def test_the_value_coefficient_scales_the_critics_gradient():
    norms = []
    for coefficient in (0.5, 2.0):
        learner, batch = whole_batch(value_coef=coefficient, max_grad_norm=1e9)
        norms.append(float(learner._torch.learn_from(batch, 0.0)["train/gradient_norm_critic_state"]))
    assert norms[1] == pytest.approx(4.0 * norms[0], rel=1e-4)


def test_an_entropy_bonus_that_decays_ends_at_its_final_fraction():
    """No advantage at all: at the end of training nothing moves the spread any more."""
    zero = torch.zeros(N_STEP, N_ENV, 1)
    settings = config(
        entropy_coef=0.01, entropy_final_fraction=0.0, lr_final_fraction=1.0, normalize_values=False,
        gae_lambda=0.0, gamma=0.0,
    )  # fmt: skip
    for progress, moves in ((0.5, True), (1.0, False)):
        learner = make(settings)
        learner.critic.heads["state"].last.weight.data.zero_()
        before = float(learner.policy.actors.heads["a"].log_std.detach())
        learner.learn(rollout_of(learner, rewards=zero), progress)
        assert (float(learner.policy.actors.heads["a"].log_std.detach()) > before) is moves


def test_what_agents_out_of_service_see_is_not_in_the_input_statistics():
    learner = make(config(NetworkConfig(normalize_inputs=True, critic="local")))
    rollout = rollout_of(learner, seed=5)
    in_service = torch.ones(N_STEP, N_ENV, N_AGENT, dtype=torch.bool)
    in_service[:, :, 1] = False  # a_1
    rollout.observations["a"][:, :, 1] = 1e6
    learner.learn(dataclasses.replace(rollout, in_service=in_service), 0.0)
    counted = rollout.observations["a"][:-1][:, :, [0, 2]].double().reshape(-1, 3)
    for scaling in (learner.policy.actors.scaling["a"], learner.critic.scaling["a"]):
        torch.testing.assert_close(scaling.moments.mean, counted.mean(dim=0))
        assert float(scaling.moments.count) == len(counted)


def test_rewards_in_other_units_teach_the_same_thing():
    """r and 1000 r + 500: the same normalised advantages and targets, update after update."""
    plain, scaled = make(), make()
    for k in range(3):
        rollout = rollout_of(plain, seed=k)
        other = rollout_of(scaled, seed=k, rewards=1000.0 * rollout.rewards + 500.0)
        one, _ = plain.prepare(rollout)
        two, _ = scaled.prepare(other)
        for head in one.advantages:
            # float32: returns of 5000 known to 3e-4, of a spread of 1000; later updates add Adam's own rounding.
            np.testing.assert_allclose(two.advantages[head], one.advantages[head], atol=2e-4)
        np.testing.assert_allclose(two.returns, one.returns, atol=2e-4)
        plain.learn(rollout, 0.0)
        scaled.learn(other, 0.0)
    np.testing.assert_allclose(weights(scaled), weights(plain), atol=2e-4)


def test_a_truncation_bootstraps_from_the_old_episodes_last_observation(monkeypatch):
    """A critic that returns the state's first number, gamma 0.5, lambda 0: A = r + 0.5 V(s') - V(s)."""
    learner = make(config(gamma=0.5, gae_lambda=0.0, normalize_advantages=False, normalize_values=False))
    monkeypatch.setattr(learner.critic, "values", lambda observations, state: state[..., :1].clone())
    state = torch.zeros(N_STEP + 1, N_ENV, N_STATE)
    state[3, :, 0] = 100.0  # the new episode's first state: must not be used
    truncated = torch.zeros(N_STEP, N_ENV, dtype=torch.bool)
    truncated[2, 1] = True
    terminated = torch.zeros(N_STEP, N_ENV, dtype=torch.bool)
    terminated[2, 2] = True
    final = torch.zeros(1, N_STATE)
    final[0, 0] = 8.0
    batch, _ = learner.prepare(
        rollout_of(
            learner,
            state=state,
            rewards=torch.ones(N_STEP, N_ENV, 1),
            truncated=truncated,
            terminated=terminated,
            truncated_step=torch.tensor([2]),
            truncated_env=torch.tensor([1]),
            final_observations={g.name: torch.zeros(1, g.n_agent, g.observation_size) for g in GROUPS},
            final_state=final,
        )
    )
    advantages = batch.advantages["a"].reshape(N_STEP, N_ENV, 3)[2, :, 0]
    # Running on: 1 + 50; truncated: 1 + 4; terminated: 1; running on.
    assert advantages.tolist() == [51.0, 5.0, 1.0, 51.0]


def test_agents_out_of_service_teach_nothing():
    """What a_1 saw and did while out of service, and what it was paid, leaves every weight where it was."""
    out = torch.ones(N_STEP, N_ENV, N_AGENT, dtype=torch.bool)
    out[:, :, 1] = False
    results = []
    for noise in (0.0, 5.0):
        learner = make(per_agent_rewards=True)
        rollout = rollout_of(learner, in_service=out)
        rollout.observations["a"][:, :, 1] += noise
        rollout.actions["a"][:, :, 1] -= noise / 50
        rollout.rewards[:, :, 1] += noise
        learner.learn(rollout, 0.0)
        results.append(weights(learner))
    assert torch.equal(results[0], results[1])


def test_an_agents_own_reward_teaches_that_agent_alone():
    """Paying b_0 differently changes b's actor and leaves a's actor exactly where it was."""
    results = []
    for extra in (0.0, 1.0):
        learner = make(per_agent_rewards=True)
        rollout = rollout_of(learner)
        rollout.rewards[::2, :, 3] += extra
        learner.learn(rollout, 0.0)
        results.append({k: v.clone() for k, v in learner.policy.actors.heads["a"].state_dict().items()})
        results.append({k: v.clone() for k, v in learner.policy.actors.heads["b"].state_dict().items()})
    # Of the first minibatches at least; the critic's shared trunk couples the agents' values from then on.
    learner_a = [
        {k: v.clone() for k, v in learner.policy.actors.heads["a"].state_dict().items()}
        for learner in _after_one_minibatch()
    ]
    assert all(torch.equal(learner_a[0][k], learner_a[1][k]) for k in learner_a[0])
    assert any(not torch.equal(results[1][k], results[3][k]) for k in results[1])


def _after_one_minibatch():
    for extra in (0.0, 1.0):
        learner = make(config(epochs=1, minibatch_steps=N_STEP * N_ENV), per_agent_rewards=True)
        rollout = rollout_of(learner)
        rollout.rewards[::2, :, 3] += extra
        learner.learn(rollout, 0.0)
        yield learner


def test_input_statistics_stand_still_in_an_update_and_in_evaluation():
    learner = make(config(NetworkConfig(normalize_inputs=True)))
    learner.learn(rollout_of(learner, seed=1), 0.0)
    moments = learner.policy.actors.scaling["a"].moments
    mean = moments.mean.clone()
    learner.policy.act({g.name: np.ones((2, g.n_agent, g.observation_size), np.float32) for g in GROUPS})
    rollout = rollout_of(learner, seed=2)
    learner.prepare(rollout)
    assert torch.equal(moments.mean, mean)
    learner.learn(rollout, 0.0)
    assert not torch.equal(moments.mean, mean)


def test_an_update_sees_inputs_on_the_scale_they_were_acted_on():
    """With one minibatch the policy is still the one that acted: the divergence is zero but for float32."""
    learner = make(
        config(NetworkConfig(normalize_inputs=True), epochs=1, minibatch_steps=N_STEP * N_ENV, lr_actor=0.05)
    )
    for seed in (1, 2):  # the statistics move after each
        assert abs(learner.learn(rollout_of(learner, seed=seed), 0.0)["train/kl"]) < 1e-6


def test_what_an_agent_out_of_service_did_teaches_nothing():
    """With a shared reward and outages for part of the time: its other actions would have changed nothing."""
    in_service = torch.ones(N_STEP, N_ENV, N_AGENT, dtype=torch.bool)
    in_service[::2, :, 1] = False  # a_1 every other step
    in_service[:, 0, 3] = False  # b_0 in the first environment
    results = []
    for shift in (0.0, 3.0):
        learner = make()
        rollout = rollout_of(learner, in_service=in_service)
        rollout.actions["a"][::2, :, 1] += shift
        rollout.actions["b"][:, 0, 0] -= shift
        learner.learn(rollout, 0.0)
        results.append(weights(learner))
    assert torch.equal(results[0], results[1])
    learner = make()
    learner.learn(rollout_of(learner), 0.0)
    assert not torch.equal(weights(learner), results[0])  # in service they do teach something


def test_a_divergence_beyond_the_target_ends_the_update():
    eager = make(config(lr_actor=0.05, epochs=8, target_kl=1e-4))
    assert eager.learn(rollout_of(eager), 0.0)["train/epochs"] == 1.0
    patient = make(config(lr_actor=0.05, epochs=8, target_kl=0.0))
    assert patient.learn(rollout_of(patient), 0.0)["train/epochs"] == 8.0


def test_learning_rates_follow_their_schedule():
    learner = make(config(lr_actor=1e-3, lr_critic=2e-3, lr_final_fraction=0.0))
    found = learner.learn(rollout_of(learner), 0.75)
    assert found["train/lr_actor"] == pytest.approx(2.5e-4)
    assert found["train/lr_critic"] == pytest.approx(5e-4)
    before = weights(learner)
    learner.learn(rollout_of(learner), 1.0)
    assert torch.equal(weights(learner), before)


def test_an_entropy_bonus_widens_the_policy():
    """With no advantage at all, only the bonus moves the spread."""
    zero = torch.zeros(N_STEP, N_ENV, 1)
    for coefficient, compare in ((0.01, float.__gt__), (0.0, float.__eq__)):
        learner = make(config(entropy_coef=coefficient, normalize_values=False, gae_lambda=0.0, gamma=0.0))
        learner.critic.heads["state"].last.weight.data.zero_()
        before = float(learner.policy.actors.heads["a"].log_std.detach())
        learner.learn(rollout_of(learner, rewards=zero), 0.0)
        assert compare(float(learner.policy.actors.heads["a"].log_std.detach()), before)


def test_a_loss_that_is_not_finite_stops_before_any_weight_moves():
    learner = make()
    rollout = rollout_of(learner)
    rollout.log_probs[0] = float("nan")
    before = weights(learner)
    with pytest.raises(NonFiniteLoss, match="loss/policy_a"):
        learner.learn(rollout, 0.0)
    moved = weights(learner)
    # Minibatches before the poisoned one may have been learned from; none of it may be NaN.
    assert torch.isfinite(moved).all()
    assert before.shape == moved.shape


def test_the_kept_policy_is_the_mean_of_recent_ones():
    """Decay 0.5: after updates 1, 2, 3 the average is p1, (p1 + p2)/2, (p1 + p2)/4 + p3/2."""
    learner = make(config(policy_average=0.5))
    seen = []
    for k in range(3):
        learner.learn(rollout_of(learner, seed=k), 0.0)
        seen.append(weights(learner))
    kept = torch.cat([p.flatten() for p in learner.evaluation_policy.parameters()])
    np.testing.assert_allclose(kept, seen[0] / 4 + seen[1] / 4 + seen[2] / 2, atol=1e-7)  # float32
    plain = make(config(policy_average=0.0))
    assert plain.evaluation_policy is plain.policy


def test_the_critic_may_learn_first():
    """Two updates with the actors as they were, then one that moves them; the critic moves every time."""
    learner = make(config(critic_first_updates=2))
    n = learner.config.n_updates
    actors, critics = [weights(learner)], []
    for k in range(3):
        learner.learn(rollout_of(learner, seed=k), k / n)
        actors.append(weights(learner))
        critics.append(torch.cat([p.detach().flatten().clone() for p in learner.critic.parameters()]))
    assert torch.equal(actors[0], actors[1])
    assert torch.equal(actors[0], actors[2])
    assert not torch.equal(actors[2], actors[3])
    assert not torch.equal(critics[0], critics[1])


def test_a_local_critic_ignores_the_state():
    settings = config(NetworkConfig(critic="local"))
    results = []
    for shift in (0.0, 9.0):
        learner = make(settings)
        rollout = rollout_of(learner)
        learner.learn(dataclasses.replace(rollout, state=rollout.state + shift), 0.0)
        results.append(weights(learner))
    assert torch.equal(results[0], results[1])


def test_a_loaded_state_continues_exactly():
    one = make()
    one.learn(rollout_of(one, seed=0), 0.1)
    two = make(config(), per_agent_rewards=False)
    two.load_state(one.state())
    for k in (1, 2):
        for learner in (one, two):
            learner.learn(rollout_of(learner, seed=k), 0.5)
        assert torch.equal(weights(one), weights(two))


def test_the_buffer_of_a_real_environment_fits_the_update():
    """Unlike types, a mask for agents out of service and truncations, all at once."""
    environment = Drift(n_env=N_ENV, length=5, out_of_service=(1,))
    observed = environment.reset()
    assert not observed.in_service["left"][:, 1].any()
    learner = MAPPO(config(), environment.groups, environment.state_size)
    decision = learner.decide(observed)
    actions, log_probs = decision.actions, decision.log_probs
    assert {k: tuple(v.shape) for k, v in actions.items()} == {"left": (4, 2, 1), "right": (4, 1, 2)}
    assert log_probs.shape == (4, 3)
