"""Compiled gradient steps are torch's: autograd's gradients, torch.optim.Adam's steps, resumed to the bit."""

import copy
import dataclasses
import math
import multiprocessing
import os

import numpy as np
import pytest
import torch

from cases.compiler.announcement import announced
from marl.algorithms.algorithm import NonFiniteLoss
from marl.algorithms.fused_update import FusedUpdate, n_thread_of
from marl.algorithms.losses import policy_loss, value_loss
from marl.algorithms.mappo import MAPPO
from marl.config.training import NetworkConfig, PPOConfig, TrainingConfig, from_dict
from marl.kernels.adam import Step, adam_step
from marl.kernels.rehearsal import PACKAGES, rehearse
from marl.protocol import AgentGroup, Observation
from marl.storage.rollout import Rollout

GROUPS = (
    AgentGroup(name="a", agents=("a_0", "a_1", "a_2"), observation_size=15, action_size=2),
    AgentGroup(name="b", agents=("b_0", "b_1"), observation_size=15, action_size=2),
)
N_AGENT, N_STATE, N_STEP, N_ENV = 5, 37, 8, 10
NETWORK = NetworkConfig(actor_hidden=(64, 96), critic_hidden=(96, 64))


def learner_of(network=NETWORK, *, per_agent_rewards=False, **ppo):
    settings = {"buffer_steps": N_STEP * N_ENV, "minibatch_steps": 40, "epochs": 2} | ppo
    config = TrainingConfig(n_envs=N_ENV, network=network, ppo=PPOConfig(**settings), device="cpu")
    return MAPPO(config, GROUPS, N_STATE, per_agent_rewards=per_agent_rewards)


def rollout_of(learner, seed=0):
    """Random actions near those of the policy, so that some ratios are clipped, and some agents out of service."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    lead = (N_STEP, N_ENV)
    actions = {g.name: 0.35 * normal(*lead, g.n_agent, 2) for g in GROUPS}
    # Of normal actions with spread 0.35 as the policy has it at first, give or take.
    density = [
        (-0.5 * (x / 0.35).square() - math.log(0.35 * math.sqrt(2 * math.pi))).sum(-1)
        for x in actions.values()
    ]
    return Rollout(
        observations={g.name: normal(N_STEP + 1, N_ENV, g.n_agent, 15) for g in GROUPS},
        state=normal(N_STEP + 1, N_ENV, N_STATE),
        actions=actions,
        log_probs=torch.cat(density, dim=-1) + 0.2 * normal(*lead, N_AGENT),
        in_service=normal(*lead, N_AGENT) > -1.0,
        rewards=normal(*lead, learner.n_value),
        terminated=torch.zeros(lead, dtype=torch.bool),
        truncated=torch.zeros(lead, dtype=torch.bool),
        truncated_step=torch.zeros(0, dtype=torch.long),
        truncated_env=torch.zeros(0, dtype=torch.long),
        final_observations={g.name: torch.zeros(0, g.n_agent, 15) for g in GROUPS},
        final_state=torch.zeros(0, N_STATE),
    )


def stirred(learner):
    """The learner with weights of which none is zero or one any more, and its samples, old values away from new."""
    with torch.no_grad():
        torch.manual_seed(3)
        for parameter in (*learner.policy.parameters(), *learner.critic.parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter))
    batch, _ = learner.prepare(rollout_of(learner))
    return learner, dataclasses.replace(batch, values=batch.values + 0.3 * torch.randn_like(batch.values))


def in_double(learner, batch, index, entropy_coef):
    """Loss and gradients of each network by autograd in double precision: {name: (loss, gradient by parameter)}."""
    ppo = learner.config.ppo
    part = batch.select(index)
    found = {}
    for head, actor in copy.deepcopy(learner.policy.actors.heads).items():
        actor.double()
        mean = actor(part.actor_inputs[head].double())
        log_prob = actor.log_prob(mean, part.actions[head].double())
        ratio = (log_prob - part.log_probs[head].double()).exp()
        loss = policy_loss(ratio, part.advantages[head].double(), part.weights[head].double(), ppo.clip)
        (loss - entropy_coef * actor.entropy().mean()).backward()
        found[head] = (float(loss.detach()), dict(actor.named_parameters()))
    critic = copy.deepcopy(learner.critic.heads["state"]).double()
    loss = value_loss(
        critic(part.critic_inputs["state"].double()),
        part.returns.double(),
        part.values.double(),
        part.value_weights.double(),
        huber_delta=ppo.huber_delta if ppo.value_loss == "huber" else None,
        clip=ppo.clip if ppo.clip_value else None,
    )
    (ppo.value_coef * loss).backward()
    found["critic_state"] = (float(loss.detach()), dict(critic.named_parameters()))
    return found


OPTIONS = [
    (NETWORK, {}, False),
    (dataclasses.replace(NETWORK, actor_linear=True), {"value_loss": "huber", "huber_delta": 0.5}, False),
    (dataclasses.replace(NETWORK, sharing="all"), {"clip_value": True, "value_loss": "squared"}, True),
    (
        dataclasses.replace(NETWORK, actor_hidden=(32,), critic_hidden=(32, 32, 64)),
        {"clip": 0.05, "clip_value": True, "value_coef": 2.0},
        False,
    ),
]


@pytest.mark.parametrize(("network", "ppo", "per_agent"), OPTIONS)
def test_gradients_of_the_whole_loss_are_autograds(network, ppo, per_agent):
    learner, batch = stirred(learner_of(network, per_agent_rewards=per_agent, **ppo))
    fused = learner._fused
    assert fused is not None
    fused.begin(batch)
    index = torch.randperm(batch.n_sample, generator=torch.Generator().manual_seed(1))[:50]
    measured = fused.gradients(index, 0.01)
    for name, (loss, parameters) in in_double(learner, batch, index, 0.01).items():
        network = fused.critic if name == "critic_state" else fused.actors[name]
        mine = learner.critic.heads["state"] if name == "critic_state" else learner.policy.actors.heads[name]
        of_parameter = {id(p): key for key, p in mine.named_parameters()}
        views = network.plain.flat.shaped(torch.from_numpy(network.slope))
        ours, exact = [], []
        for parameter, view in zip(network.plain.flat.parameters, views, strict=True):
            ours.append(view.flatten().double())
            exact.append(parameters[of_parameter[id(parameter)]].grad.flatten())
        ours, exact = torch.cat(ours), torch.cat(exact)
        assert len(ours) == sum(p.numel() for p in mine.parameters())
        # Sums in single precision, whose unit is 1.2e-7.
        assert float((ours - exact).norm() / exact.norm()) < 1e-6
        assert measured[name].norm == pytest.approx(float(exact.norm()), rel=1e-6)
        assert measured[name].loss == pytest.approx(loss, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("n_thread", [2, 3])
def test_threads_change_no_bit(n_thread):
    # Two updates, so that moments and weights of the first enter the second.
    def learned(threads):
        config = dataclasses.replace(learner_of().config, update_threads=threads)
        learner = MAPPO(config, GROUPS, N_STATE)
        told = [learner.learn(rollout_of(learner, seed), 0.0) for seed in (0, 1)]
        return learner, told

    (one, told_one), (many, told_many) = learned(1), learned(n_thread)
    assert many._fused._threads is not None
    assert one._fused._threads is None
    assert told_one == told_many
    for network in ("policy", "critic"):
        for (name, ours), (_, theirs) in zip(
            getattr(one, network).named_parameters(), getattr(many, network).named_parameters(), strict=True
        ):
            assert torch.equal(ours, theirs), name


def test_a_loss_that_is_no_number_stops_threads_as_it_stops_one():
    config = dataclasses.replace(learner_of().config, update_threads=2)
    learner = MAPPO(config, GROUPS, N_STATE)
    before = copy.deepcopy(learner.policy.state_dict())
    rollout = rollout_of(learner)
    rollout.log_probs[0, 0, 0] = math.nan
    with pytest.raises(NonFiniteLoss, match="loss/policy_a"):
        learner.learn(rollout, 0.0)
    assert all(torch.equal(x, learner.policy.state_dict()[name]) for name, x in before.items())


def test_as_many_threads_as_processors_but_one_beside_other_runs(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})
    assert n_thread_of(0, 4) == 3
    assert n_thread_of(0, 2) == 2
    assert n_thread_of(8, 4) == 4
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    assert n_thread_of(0, 4) == 1
    assert n_thread_of(2, 4) == 2


def test_the_gradient_is_the_slope_of_the_loss():
    """Central differences along it: (L(theta + h g) - L(theta - h g)) / 2h = |g|^2."""
    learner, batch = stirred(learner_of(clip=10.0))  # without the kinks of clipping
    fused, index = learner._fused, torch.arange(60)
    fused.begin(batch)
    for name, network in (*fused.actors.items(), ("critic_state", fused.critic)):
        found = fused.gradients(index, 0.0)[name]
        coefficient = learner.config.ppo.value_coef if name == "critic_state" else 1.0
        parameters, slope = network.plain.flat.numbers(), network.slope.copy()
        start = parameters.copy()
        h = 1e-3 / found.norm  # a thousandth of a unit of length
        losses = []
        for sign in (1.0, -1.0):
            parameters[:] = start + np.float32(sign * h) * slope
            losses.append(coefficient * fused.gradients(index, 0.0)[name].loss)
        parameters[:] = start
        # Losses of size 1 are known to 1e-7, and differ by 2e-3 times the norm; what curvature changes is of h^2.
        assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(found.norm**2, rel=1e-3)


def test_steps_of_adam_are_torchs():
    rng = np.random.default_rng(0)
    start = rng.standard_normal(64).astype(np.float32)
    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.Adam([parameter], lr=1e-2, eps=1e-5)
    ours, first, second = start.copy(), np.zeros(64, np.float32), np.zeros(64, np.float32)
    for k in range(1, 21):
        gradient = rng.standard_normal(64).astype(np.float32)
        parameter.grad = 0.25 * torch.tensor(gradient)
        optimizer.step()
        numbers = Step(
            scale=0.25,
            beta1=0.9,
            beta2=0.999,
            step_size=1e-2 / (1 - 0.9**k),
            root_correction=math.sqrt(1 - 0.999**k),
            eps=1e-5,
        )
        adam_step(ours, gradient, (first, second), numbers)
    # Twenty steps of 0.01, each rounded at a number of size 1, and in itself to a few parts in ten million.
    np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=0.0, atol=20 * 2.0**-24 + 1e-7)


@pytest.mark.parametrize("norm", [1e-3, 1e9])
def test_an_update_with_and_without_kernels_leads_to_the_same_weights(norm):
    """Two epochs of two minibatches, clipped and not; then the other one goes on from the state of each."""
    learners = [
        learner_of(dataclasses.replace(NETWORK, fused=fused), max_grad_norm=norm) for fused in ("auto", "off")
    ]
    assert learners[0]._fused is not None
    assert learners[1]._fused is None

    def compare():
        for ours, torchs in (
            (learners[0].policy, learners[1].policy),
            (learners[0].critic, learners[1].critic),
        ):
            for p, q in zip(ours.parameters(), torchs.parameters(), strict=True):
                # Steps of 1e-3: where a gradient is near zero beside eps = 1e-5, rounding shows in its step.
                torch.testing.assert_close(p, q, rtol=0.0, atol=2e-6)

    reports = [learner.learn(rollout_of(learner), 0.0) for learner in learners]
    assert reports[0].keys() == reports[1].keys()
    for tag, value in reports[0].items():
        assert value == pytest.approx(reports[1][tag], rel=1e-3, abs=1e-5), tag
    compare()
    states = [learner.state() for learner in learners]
    learners[0].load_state(states[1])
    learners[1].load_state(states[0])
    for learner in learners:
        learner.learn(rollout_of(learner, seed=1), 0.0)
    compare()


def test_after_a_rehearsal_nothing_is_left_to_compile():
    rehearse(learning=True)
    with announced(PACKAGES) as told:
        for network in (NETWORK, dataclasses.replace(NETWORK, actor_linear=True, sharing="all")):
            learner = learner_of(network)
            rollout = rollout_of(learner)
            first = {name: x[0].numpy() for name, x in rollout.observations.items()}
            learner.act(Observation(observations=first, state=rollout.state[0].numpy()))
            learner.evaluation_policy.act(first)
            learner.learn(rollout, 0.0)
    assert told.n_compiled == 0


def test_a_resumed_learner_goes_on_to_the_bit():
    first = learner_of()
    first.learn(rollout_of(first), 0.0)
    second = learner_of()
    second.learn(rollout_of(second, seed=7), 0.5)  # it has moments and a place in memory of its own
    second.load_state(first.state())
    for learner in (first, second):
        learner.learn(rollout_of(learner, seed=1), 0.1)
    ours, resumed = first.state(), second.state()
    for part in ("policy", "critic"):
        assert all(torch.equal(ours[part][name], resumed[part][name]) for name in ours[part])
    for part in ("actor_optimizer", "critic_optimizer"):
        for k, moments in ours[part]["state"].items():
            assert all(torch.equal(x, resumed[part]["state"][k][name]) for name, x in moments.items())
            assert float(moments["step"]) == 8.0  # two updates of two epochs of two minibatches


def test_nothing_moves_where_a_number_is_not_finite():
    learner, batch = stirred(learner_of())
    batch.advantages["b"][3, 1] = math.nan
    batch.weights["b"][3, 1] = 1.0
    learner._fused.begin(batch)
    before = copy.deepcopy(learner.policy.state_dict())
    with pytest.raises(NonFiniteLoss, match="loss/policy_b"):
        learner._fused.learn_from(torch.arange(batch.n_sample), 0.0)
    assert all(torch.equal(x, before[name]) for name, x in learner.policy.state_dict().items())


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({}, True),
        ({"fused": "off"}, False),
        ({"sharing": "agent"}, False),
        ({"critic": "local"}, False),
        ({"layer_norm": False}, False),
        ({"critic_hidden": (100,)}, False),
    ],
)
def test_torch_learns_what_the_kernels_do_not_serve(change, serves):
    learner = learner_of(dataclasses.replace(NETWORK, **change))
    assert FusedUpdate.serves(learner.policy.actors, learner.critic) == serves
    assert (learner._fused is not None) == serves
    assert math.isfinite(learner.learn(rollout_of(learner), 0.0)["loss/value"])


def test_configurations_of_before_the_kernels_still_load():
    values = dataclasses.asdict(TrainingConfig())
    del values["network"]["fused"]
    assert from_dict(values) == TrainingConfig()
