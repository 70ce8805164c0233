"""The density of noise that is shared in part, and what the choice of density does to what is learned."""

import dataclasses

import pytest
import torch
from torch.distributions import MultivariateNormal

from marl.algorithms.joint_density import joint_log_density
from marl.algorithms.losses import policy_loss
from marl.algorithms.mappo import MAPPO
from marl.config.training import ConfigError, NetworkConfig, PPOConfig, TrainingConfig
from marl.networks.actor import log_density
from unit.marl.algorithms.test_mappo import GROUPS, N_AGENT, N_ENV, N_STATE, N_STEP, config, rollout_of


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_it_is_the_multivariate_normal_of_those_in_service(rho):
    """Against torch's, with the covariance written out; the second sample is without its first agent."""
    generator = torch.Generator().manual_seed(1)
    x, mean = torch.randn(2, 3, 2, 4, generator=generator, dtype=torch.float64).unbind()
    log_std = torch.randn(4, 2, generator=generator, dtype=torch.float64).T.T
    x, mean = x.transpose(1, 2), mean.transpose(1, 2)  # three samples, four agents, actions of two numbers
    in_service = torch.ones(3, 4, dtype=torch.float64)
    in_service[1, 0] = 0.0
    found = joint_log_density(x, mean, log_std, in_service, rho)
    for sample in range(3):
        on = in_service[sample] > 0.0
        n = int(on.sum())
        r = (1.0 - rho) * torch.eye(n, dtype=torch.float64) + rho
        expected = 0.0
        for k in range(2):
            sigma = log_std[on, k].exp()
            density = MultivariateNormal(mean[sample, on, k], sigma[:, None] * r * sigma)
            expected = expected + density.log_prob(x[sample, on, k])
        torch.testing.assert_close(
            found[sample], expected, rtol=1e-10, atol=1e-10
        )  # a Cholesky factor in float64


def learned(density: str, rho: float = 0.8, steps: int = 150) -> float:
    """Cost of what one shared weight comes to, with the update's own loss and densities.

    Two agents with observations 1 and -1/2 answer w and -w/2; the team pays 1/4 (a_0 - 1)^2 + (a_1 - 1)^2.
    """
    generator = torch.Generator().manual_seed(0)
    seen = torch.tensor([1.0, -0.5])
    weight = torch.zeros(1, requires_grad=True)
    log_std = torch.full((1, 1), -1.0)
    optimizer = torch.optim.Adam([weight], lr=0.02)

    def log_probs(actions, mean):
        if density == "marginal":
            return log_density(actions, mean, log_std).sum(dim=-1)
        return joint_log_density(actions, mean, log_std, torch.ones(actions.shape[:2]), rho)[:, None]

    for _ in range(steps):
        mean = (weight * seen)[None, :, None].expand(2048, 2, 1)
        own, common = (
            torch.randn(2048, 2, 1, generator=generator),
            torch.randn(2048, 1, 1, generator=generator),
        )
        actions = (mean + log_std.exp() * ((1.0 - rho) ** 0.5 * own + rho**0.5 * common)).detach()
        cost = 0.25 * (actions[:, 0, 0] - 1.0) ** 2 + (actions[:, 1, 0] - 1.0) ** 2
        log_prob = log_probs(actions, mean)
        ratio = (log_prob - log_prob.detach()).exp()
        advantage = (cost.mean() - cost) / cost.std()
        loss = policy_loss(ratio, advantage[:, None].expand_as(ratio), torch.ones_like(ratio), 0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    w = float(weight.detach())
    return 0.25 * (w - 1.0) ** 2 + (-0.5 * w - 1.0) ** 2


def test_the_joint_density_finds_the_optimum_from_which_marginal_ones_climb_away():
    """w^2/2 + w/2 + 5/4: at the start, w = 0, 1.25, and at the best, w = -1/2, 1.125.

    With the gradient of the costs (w - 1)/2 and -w - 2, marginal densities follow (1 - rho)(w + 1/2) +
    rho/2 (-w/2 - 5/2) = -0.9 for rho = 0.8, whatever w is: they climb for ever.
    """
    assert learned("joint") == pytest.approx(
        1.125, abs=0.005
    )  # Adam's steps of 0.02 cost 0.0002, the noise some more
    assert learned("marginal") > 3.0


def test_agents_that_explore_by_themselves_learn_the_same_either_way():
    assert learned("marginal", rho=0.0) == pytest.approx(1.125, abs=0.005)
    assert learned("joint", rho=0.0) == pytest.approx(1.125, abs=0.005)


@pytest.mark.parametrize("sharing", ["type", "agent"])
def test_an_update_with_the_joint_density_begins_at_a_ratio_of_one_and_leaves_out_who_is_out_of_service(
    sharing,
):
    settings = config(
        NetworkConfig(sharing=sharing), exploration_density="joint", noise_correlation=0.6, epochs=1
    )
    settings = dataclasses.replace(
        settings, ppo=dataclasses.replace(settings.ppo, minibatch_steps=N_STEP * N_ENV, value_coef=0.0)
    )
    moved = []
    for spoilt in (0.0, 100.0):
        learner = MAPPO(settings, GROUPS, N_STATE)
        in_service = torch.ones(N_STEP, N_ENV, N_AGENT, dtype=torch.bool)
        in_service[:, :, 1] = False
        rollout = rollout_of(learner, in_service=in_service)
        rollout.actions["a"][:, :, 1] += spoilt  # of one who is not there
        found = learner.learn(rollout, 0.0)
        assert found["train/kl_a"] == pytest.approx(0.0, abs=1e-6)  # float32
        assert found["train/clip_fraction_a"] == 0.0
        moved.append(torch.cat([p.detach().flatten() for p in learner.policy.actors.heads["a"].parameters()]))
        assert learner._fused is None
    torch.testing.assert_close(*moved, rtol=0.0, atol=0.0)


def test_a_joint_density_needs_noise_of_ones_own_actors_without_a_memory_and_mappo():
    with pytest.raises(ConfigError, match="noise_correlation = 1"):
        PPOConfig(noise_correlation=1.0, exploration_density="joint")
    with pytest.raises(ConfigError, match="without a memory"):
        TrainingConfig(network=NetworkConfig(actor="gru"), ppo=PPOConfig(exploration_density="joint"))
    with pytest.raises(ConfigError, match="of mappo alone"):
        TrainingConfig(algorithm="happo", ppo=PPOConfig(exploration_density="joint"))
