"""Which streams of random numbers are one stream, and that no two uses of an episode or a run share one.

numpy writes the integers of a seed as 32-bit words and fills them up with zeros to four: `[seed, 0]` is `seed`,
`[seed, k]` is `seed + k * 2**32`, and the k-th spawned child is `[seed, 0, 0, 0, k]`, five words
(findings/numpy_seed_list_zero.sh). Random outages that are drawn again take (key, 1) of a key of 63 bits: three words,
but for one key in 2**31.
"""

import numpy as np
import pytest

from control.controllers.simple import RandomActions
from control.scenario.config import ScenarioConfig
from control.scenario.fleet_sizing import fleet_of
from control.scenario.suites import FIRST_HELD_OUT_SEED, HELD_OUT, VALIDATION_SEEDS
from control.scenario.task_grid import published_case
from marl.environment.held_out import RandomAgents
from marl.protocol import AgentGroup
from marl.training.curriculum import training_seeds

SEEDS = (0, 7, VALIDATION_SEEDS.first, max(int(suite.seeds[-1]) for suite in HELD_OUT.values()))


def draws(seed):
    """The first numbers of a stream."""
    return np.random.default_rng(seed).random(4).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_library_takes_these_seeds_for_one(seed):
    assert draws([seed, 0]) == draws(seed)
    assert draws([seed, 3]) == draws(seed + 3 * 2**32)
    assert draws(np.random.SeedSequence(seed).spawn(3)[2]) == draws([seed, 0, 0, 0, 2])


def test_every_seed_of_an_episode_is_one_word_so_that_pairs_and_children_are_none_of_them():
    """A pair (seed, 1) is a number from 2**32 on, a child of a run has five words: neither is below 2**32."""
    assert all(0 < int(suite.seeds[-1]) < 2**32 for suite in (*HELD_OUT.values(), VALIDATION_SEEDS))
    assert FIRST_HELD_OUT_SEED < 2**32


def test_training_episodes_are_drawn_from_none_of_the_streams_of_validation_and_suites():
    """Environment 0's words are those of the run's own seed; what comes of them is one number below validation's."""
    of_runs = np.concatenate([training_seeds(seed, 64, VALIDATION_SEEDS.first) for seed in range(20)])
    assert len(set(of_runs.tolist())) == 20 * 64
    assert of_runs.max() < VALIDATION_SEEDS.first
    assert all(VALIDATION_SEEDS.first <= suite.first for suite in HELD_OUT.values())
    # The pair (run, 0) would be the run's own stream if it were drawn from; the episode's seed is another number.
    assert draws(int(training_seeds(5, 1, VALIDATION_SEEDS.first)[0])) != draws([5, 0])


@pytest.mark.parametrize("seed", SEEDS)
def test_random_actions_are_not_the_numbers_that_drew_the_episode(seed):
    """Both are uniform numbers of PCG64: of one stream, actions would be 2 u - 1 of what the episode was drawn from."""
    fleet = fleet_of(published_case(), ScenarioConfig())
    controller = RandomActions(fleet, 2)
    at_once = controller.act(np.zeros(0))[1]
    controller.reset(np.array([0]), np.array([seed]))
    for actions, of_seed in ((controller.act(np.zeros(0))[0], seed), (at_once, 1)):
        assert not np.isin(actions, 2.0 * np.random.default_rng(of_seed).random(100) - 1.0).any()


def test_random_agents_share_a_stream_with_the_episode_of_their_seed_unless_they_are_given_a_pair():
    """scripts/random_rollout.py plays the episode of a seed with agents of (seed, 1)."""
    group = (AgentGroup(name="gas", agents=("gas_0",), observation_size=1, action_size=1),)
    episode = (2.0 * np.random.default_rng(7).random(100) - 1.0).astype(np.float32)
    assert np.isin(RandomAgents(group, 1, 7).act()["gas"], episode).all()
    assert not np.isin(RandomAgents(group, 1, (7, 1)).act()["gas"], episode).any()
