"""What actors begin with: the linear policy's own actions, and another model's."""

import dataclasses

import numpy as np
import pytest
import torch

from builders import described
from cases.ieee68 import load_ieee68
from control.controllers.linear import LinearParameters, LinearPolicy
from control.controllers.registry import stored_parameters
from control.task.layout import EXTENDED_SIZE
from marl.algorithms.mappo import MAPPO
from marl.config.presets import recommended
from marl.config.training import ConfigError, NetworkConfig
from marl.environment.warm_start import begin_linear, begin_with, start_of
from marl.networks.policy import Policy
from marl.protocol import AgentGroup

CASE = load_ieee68()
GROUPS = tuple(
    AgentGroup(
        name=kind,
        agents=tuple(CASE.resource.name[i] for i in CASE.resource.of_kind(kind)),
        observation_size=EXTENDED_SIZE,
        action_size=1,
    )
    for kind in ("bess", "gas", "dr")
)
# Dead zones of a law that moves every class of plants by degrees; the stored one may leave some to full ramps.
NUMBERS = {
    **stored_parameters("linear_extended")["parameters"],
    "dead_zone": [0.2, 0.6, 0.6],
    "soft_zone": [0.1, 0.0, 0.3],
}
LINEAR = NetworkConfig(
    actor_hidden=(8,),
    critic_hidden=(8,),
    actor_linear=True,
    dead_zones=tuple(NUMBERS["dead_zone"]),
    soft_zones=tuple(NUMBERS["soft_zone"]),
)


def observations(n_env=16):
    rng = np.random.default_rng(4)
    return {g.name: rng.normal(size=(n_env, g.n_agent, EXTENDED_SIZE)).astype(np.float32) for g in GROUPS}


def test_a_linear_start_acts_as_the_linear_policy_does():
    policy = Policy(GROUPS, LINEAR)
    begin_linear(policy, NUMBERS)
    for (
        actor
    ) in policy.actors.heads.values():  # what the perceptron adds is small from the start; here it is nothing
        torch.nn.init.zeros_(actor.net.last.weight)
        torch.nn.init.zeros_(actor.net.last.bias)
    seen = observations()
    controller = LinearPolicy(
        described(observation_size=EXTENDED_SIZE),
        16,
        LinearParameters(**{name: np.array(x) for name, x in NUMBERS.items()}),
    )
    by_plant = np.concatenate([seen[g.name] for g in GROUPS], axis=1).astype(np.float64)
    expected = controller.act(by_plant)
    found = np.concatenate([x[:, :, 0] for x in policy.act(seen).values()], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)  # single precision
    assert (expected == 0.0).any()  # the dead zones were met
    assert (np.abs(expected) == 1.0).any()  # and the ends of the range


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actor_linear": False}, "needs actor_linear"),
        ({"magnify_inputs": 10.0}, "compressed or scaled"),
        ({"sharing": "all", "dead_zones": ()}, "a row of weights for each type"),
    ],
)
def test_a_linear_start_needs_a_linear_part_that_sees_the_observation_as_it_is(change, message):
    with pytest.raises(ConfigError, match=message):
        begin_linear(Policy(GROUPS, dataclasses.replace(LINEAR, **change)), NUMBERS)


def test_a_run_may_begin_with_a_model_and_explores_as_it_is_told(tmp_path):
    model = Policy(GROUPS, LINEAR)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    path = tmp_path / "model.pt"
    model.save(path)
    network = dataclasses.replace(LINEAR, log_std_init=-2.0)
    config = dataclasses.replace(recommended(), network=network, start=str(path), observation="extended")
    learner = MAPPO(config, GROUPS, 5)
    change = start_of(config)
    assert change is not None
    learner.start_from(change)
    seen = learner.policy.observations_to_tensors(observations())
    for policy in (learner.policy, learner.evaluation_policy):
        for name, mean in policy.means(seen).items():
            torch.testing.assert_close(mean, model.means(seen)[name], rtol=0.0, atol=0.0)
        for actor in policy.actors.heads.values():
            assert (actor.log_std == -2.0).all()


def test_a_model_of_other_networks_is_refused():
    with pytest.raises(ConfigError, match=r"m\.pt has actor_hidden = \(8,\), the run asks for \(16,\)"):
        begin_with(
            Policy(GROUPS, dataclasses.replace(LINEAR, actor_hidden=(16,))), Policy(GROUPS, LINEAR), "m.pt"
        )
    fewer = (dataclasses.replace(GROUPS[0], observation_size=3), *GROUPS[1:])
    with pytest.raises(ConfigError, match="other agents or observations"):
        begin_with(Policy(GROUPS, LINEAR), Policy(fewer, LINEAR), "m.pt")


def test_nothing_asked_for_leaves_the_policy_as_drawn():
    assert start_of(recommended()) is None


def test_every_type_has_its_soft_zone_in_exploring_actions_too():
    policy = Policy(
        GROUPS, dataclasses.replace(LINEAR, dead_zones=(0.1, 0.1, 0.1), soft_zones=(0.25, 0.0, 0.5))
    )
    drawn = np.array([-1.5, -0.5, 0.125, 0.375], dtype=np.float32)
    expected = {
        "bess": [-1.25, -0.25, 0.0, 0.125],
        "gas": [-1.5, -0.5, 0.125, 0.375],
        "dr": [-1.0, 0.0, 0.0, 0.0],
    }
    found = policy.explored(dict.fromkeys(expected, drawn), dead_zone=False)
    for group, left in expected.items():
        np.testing.assert_array_equal(found[group], np.array(left, dtype=np.float32))
    with pytest.raises(ConfigError, match="soft_zones = .*one for each of"):
        Policy(GROUPS, dataclasses.replace(LINEAR, soft_zones=(0.1,)))


def test_every_type_has_its_dead_zone():
    policy = Policy(GROUPS, dataclasses.replace(LINEAR, dead_zones=(0.1, 0.3, 0.5)))
    action = np.array([-0.6, -0.4, -0.2, 0.05], dtype=np.float32)
    expected = {"bess": [-0.6, -0.4, -0.2, 0.0], "gas": [-0.6, -0.4, 0.0, 0.0], "dr": [-0.6, 0.0, 0.0, 0.0]}
    for group, left in expected.items():
        np.testing.assert_array_equal(policy.apply_dead_zone(group, action), np.array(left, dtype=np.float32))
    with pytest.raises(ConfigError, match="one for each of"):
        Policy(GROUPS, dataclasses.replace(LINEAR, dead_zones=(0.1,)))
