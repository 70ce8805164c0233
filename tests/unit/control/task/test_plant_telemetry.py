"""What plants are told of each other: nothing that has not arrived at the control centre."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from control.scenario.suites import SCENARIOS
from control.task.layout import OBSERVATION_SIZE, OWN_DF, OWN_LOAD, OWN_OUTPUT, UTILISATION
from control.task.open_task import make_task
from control.task.plant_telemetry import MESSAGE_SIZE
from marl.environment.batch import GridBatch

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=6)
SENT = [OWN_DF, OWN_LOAD, OWN_OUTPUT, UTILISATION]


def played(scenario, n_step, seeds=(3, 4)):
    """Own views and messages of all plants at each instant, from the first on, within one episode."""
    task = make_task(scenario, len(seeds), observation="telemetry", check=False)
    seen, rng = [task.reset(np.array(seeds)).agents], np.random.default_rng(0)
    for _ in range(n_step):
        seen.append(task.step(rng.uniform(-1.0, 1.0, (len(seeds), 20))).final_observation.agents)
    every = np.stack(seen)
    own, told = np.split(every, [OBSERVATION_SIZE], axis=-1)
    return own, told.reshape(*told.shape[:3], 20, 1 + MESSAGE_SIZE)


def test_every_plant_is_told_the_same_of_all():
    _, told = played(SHORT, 3)
    assert (told == told[:, :, :1]).all()
    assert (told[..., 0] == 1.0).all()


def test_messages_are_the_plants_own_numbers_two_intervals_late():
    """The suite loses no values and has no noise: what arrives is what was measured, as if the first stood for long."""
    own, told = played(SHORT, 6)
    for t in range(7):
        np.testing.assert_array_equal(told[t, :, 0, :, 1:], own[max(t - 2, 0)][:, :, SENT])


def test_a_value_that_is_lost_leaves_the_last_one_that_arrived():
    own, told = played(replace(SHORT, packet_loss=0.5, n_intervals=12), 12)
    arrived, held = 0, 0
    for t in range(3, 13):
        now, before = told[t, :, 0, :, 1:], told[t - 1, :, 0, :, 1:]
        fresh = now == own[t - 2][:, :, SENT]
        assert (fresh | (now == before)).all()
        arrived += int((fresh & (now != before)).sum())
        held += int((~fresh).sum())
    # Frequencies of 20 plants in 2 environments move in every interval, half of their values are lost: of 10 x 40 about
    # 200 each way, with a standard deviation of 10; the other numbers move too.
    assert arrived > 150
    assert held > 150


def test_noise_of_transducers_is_in_the_frequencies_alone():
    own, told = played(replace(SHORT, scada_noise=1.0), 6)
    off = np.abs(told[6, :, 0, :, 1:] - own[4][:, :, SENT])
    assert (off[..., 0] > 0.0).all()
    assert (off[..., 1:] == 0.0).all()


def test_own_numbers_are_those_of_the_default_observation():
    plain = make_task(SHORT, 2, check=False)
    own, _ = played(SHORT, 0)
    np.testing.assert_array_equal(own[0], plain.reset(np.array([3, 4])).agents)


def test_a_saved_task_goes_on_to_the_bit():
    task = make_task(replace(SHORT, packet_loss=0.3), 2, observation="telemetry", check=False)
    task.reset(np.array([3, 4]))
    rng = np.random.default_rng(0)
    for _ in range(4):
        task.step(rng.uniform(-1.0, 1.0, (2, 20)))
    other = pickle.loads(pickle.dumps(task))
    for _ in range(4):  # beyond the episode's end
        action = rng.uniform(-1.0, 1.0, (2, 20))
        np.testing.assert_array_equal(
            task.step(action).observation.agents, other.step(action).observation.agents
        )
    state = make_task(SHORT, 2, check=False)
    state.reset(np.array([3, 4]))
    with pytest.raises(ValueError, match="the saved state is of observation = 'default', this batch"):
        task.set_state(state.get_state())


def test_groups_tell_the_learner_what_their_observations_end_with():
    batch = GridBatch(make_task(SHORT, 1, observation="telemetry", check=False))
    for group in batch.groups:
        assert group.messages is not None
        assert (group.messages.n_sender, group.messages.size) == (20, MESSAGE_SIZE)
        assert group.observation_size == OBSERVATION_SIZE + group.messages.length
    distance = np.concatenate([group.messages.distance for group in batch.groups])
    rows = np.concatenate(list(batch.task.of_kind.values()))
    np.testing.assert_array_equal(np.isinf(distance), np.eye(20, dtype=bool)[rows])
    # The median plant is at distance one from the median other, by definition.
    assert np.median(distance[np.isfinite(distance)]) == pytest.approx(1.0)
    assert all(group.messages is None for group in GridBatch(make_task(SHORT, 1, check=False)).groups)
