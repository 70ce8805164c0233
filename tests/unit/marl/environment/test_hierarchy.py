"""Coordinators of areas: what they see, how long their targets are held, and what these do to the plants."""

from dataclasses import replace

import numpy as np
import pytest

from control.controllers.agc import area_bias_mw_per_decihertz
from control.controllers.base import DF_HZ, OWN_OUTPUT, UTILISATION
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.scenario.suites import SCENARIOS
from control.task.action import ActionError
from control.task.area_telemetry import AREA_DF, AREA_TIES
from marl.config.training import NetworkConfig
from marl.environment.batch import make_batch
from marl.environment.held_out import LayeredByPlant, PolicyInGroups
from marl.environment.hierarchy import COORDINATOR, PULL
from marl.networks.policy import Policy

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=20)
SEEDS = np.array([3, 4])
MINUTE = 15  # intervals


def batch(observation="hierarchy"):
    return make_batch(SHORT, len(SEEDS), observation=observation, check=False)


def drawn(layers, rng):
    return {
        g.name: rng.uniform(-0.5, 0.5, (len(SEEDS), g.n_agent, g.action_size)).astype(np.float32)
        for g in layers.groups
    }


@pytest.fixture(scope="module")
def layers():
    return batch()


@pytest.fixture(scope="module")
def plants():
    return batch("areas")


def test_coordinators_decide_at_once_and_every_minute(layers):
    seen, rng, decided = layers.reset(SEEDS), np.random.default_rng(0), []
    for _ in range(MINUTE + 2):
        decided.append(bool(seen.in_service[COORDINATOR].all()))
        assert seen.in_service[COORDINATOR].all() == seen.in_service[COORDINATOR].any()
        seen = layers.step(drawn(layers, rng)).observation
    assert np.flatnonzero(decided).tolist() == [0, MINUTE]


def test_plants_are_pulled_towards_targets_held_for_a_minute(layers, plants):
    """action + PULL (target - output), by hand on the same grid without coordinators; orders in between do nothing."""
    fleet, area = plants.loop.fleet, plants.case.bus.area[plants.case.resource.bus]
    areas = list(np.unique(area))
    layers.reset(SEEDS)
    seen, rng = plants.reset(SEEDS), np.random.default_rng(0)
    held = None
    for t in range(MINUTE + 2):
        actions = drawn(layers, rng)
        if t % MINUTE == 0:
            held = actions[COORDINATOR].astype(np.float64)
        joint = {}
        for kind, own in seen.observations.items():
            rows = plants.case.resource.of_kind(kind)
            of_plant = held[:, [areas.index(a) for a in area[rows]]]
            is_bess = (fleet.kind[rows] == 0)[None]
            target = np.where(is_bess, own[:, :, UTILISATION] - of_plant[:, :, 1], of_plant[:, :, 0])
            joint[kind] = (actions[kind][:, :, 0] + PULL * (target - own[:, :, OWN_OUTPUT]))[:, :, None]
        ours, theirs = layers.step(actions), plants.step(joint)
        # The same sums in float64, in another order.
        np.testing.assert_allclose(ours.reward, theirs.reward, rtol=1e-9)
        for kind in joint:
            shown = ours.final_observation.observations[kind]
            of_plant = held[:, [areas.index(a) for a in area[plants.case.resource.of_kind(kind)]]]
            np.testing.assert_allclose(shown[:, :, 15:], of_plant, rtol=1e-6)
        seen = theirs.observation


def test_coordinators_see_the_control_error_of_their_area(layers, plants):
    """NERC: ACE = dNI - 10 B Df, in units of 100 MW."""
    layers.reset(SEEDS)
    actions = {g.name: np.zeros((2, g.n_agent, g.action_size), dtype=np.float32) for g in layers.groups}
    for _ in range(4):
        ours = layers.step(actions).observation.observations[COORDINATOR]
        assert ours.shape[2] == 13
    case, task = plants.case, plants.description
    area = case.bus.area[case.resource.bus]
    bias = area_bias_mw_per_decihertz(case, task.swing, task.load_share)
    shown = layers.task.observe().agents
    for k, a in enumerate(np.unique(area)):
        one = shown[:, np.flatnonzero(area == a)[0]].astype(np.float64)
        ace = one[:, AREA_TIES] - 10.0 * bias[a] * one[:, AREA_DF] * DF_HZ / 100.0
        np.testing.assert_allclose(ours[:, k, 0], ace, rtol=1e-5)


def test_a_saved_batch_goes_on_to_the_bit_from_within_a_held_minute(layers):
    layers.reset(SEEDS)
    rng = np.random.default_rng(0)
    for _ in range(7):
        layers.step(drawn(layers, rng))
    other = batch()
    other.set_state(layers.get_state())
    for _ in range(16):  # beyond the episodes' end
        actions = drawn(layers, rng)
        ours, theirs = layers.step(actions), other.step(actions)
        np.testing.assert_array_equal(ours.reward, theirs.reward)
        np.testing.assert_array_equal(ours.observation.state, theirs.observation.state)
        for name, seen in ours.observation.observations.items():
            np.testing.assert_array_equal(seen, theirs.observation.observations[name])


def test_a_policy_among_controllers_plays_as_it_was_taught(layers, plants):
    """Its own targets, held by itself, lead to the same episode as those that the environment holds."""
    policy = Policy(
        layers.groups,
        NetworkConfig(actor_hidden=(32,), critic_hidden=(32,), actor_last_gain=1.0, dead_zone=0.0),
    )
    taught = rollout(PolicyInGroups(policy), layers, SEEDS).returns
    played = rollout(LayeredByPlant(policy, plants.description, 2), ByPlant(plants), SEEDS).returns
    np.testing.assert_array_equal(taught, played)


def test_what_is_no_order_is_refused(layers):
    layers.reset(SEEDS)
    actions = drawn(layers, np.random.default_rng(0))
    with pytest.raises(ActionError, match="coordinator"):
        layers.step({kind: x for kind, x in actions.items() if kind != COORDINATOR})
    actions[COORDINATOR][0, 0, 0] = np.nan
    with pytest.raises(ActionError, match="coordinator"):
        layers.step(actions)
    assert layers.hierarchy.decides.all()
