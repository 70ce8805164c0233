"""What episodes come to."""

import numpy as np
import pytest

from marl.protocol import Observation, Transition
from marl.sampling.episode_statistics import EpisodeSums, episode_terms, mean_over_steps

NOTHING = Observation(observations={}, state=np.zeros((2, 1), np.float32))


def step(reward, done=(False, False), **terms) -> Transition:
    return Transition(
        observation=NOTHING,
        final_observation=NOTHING,
        reward=np.array(reward),
        terminated=np.zeros(2, dtype=np.bool_),
        truncated=np.array(done),
        terms={name: np.array(x, dtype=np.float64) for name, x in terms.items()},
    )


def test_terms_are_summed_up_as_their_names_say():
    sums = EpisodeSums(2)
    terms = {
        "reward_x": (-1.0, 0.0),
        "violations": (1.0, 0.0),
        "rms_f": (3.0, 0.0),
        "max_f": (3.0, 0.0),
        "soc": (0.2, 0.0),
    }
    assert sums.add(step((-1.0, 0.0), **terms)) == {}
    terms = {
        "reward_x": (-2.0, 0.0),
        "violations": (1.0, 0.0),
        "rms_f": (4.0, 0.0),
        "max_f": (-4.0, 0.0),
        "soc": (0.6, 0.0),
    }
    finished = sums.add(step((-2.0, 0.0), done=(True, False), **terms))
    found = {name: float(x[0]) for name, x in finished.items()}
    # rms of 3 and 4 is sqrt(12.5); max of 3 and -4 is 3; state of charge is averaged.
    assert found == pytest.approx(
        {
            "length": 2,
            "return": -3,
            "reward_x": -3,
            "violations": 2,
            "rms_f": 12.5**0.5,
            "max_f": 3,
            "soc": 0.4,
        },
        rel=1e-12,
    )


def test_the_next_episode_starts_from_nothing():
    sums = EpisodeSums(2)
    sums.add(step((-1.0, -5.0), done=(True, False)))
    finished = sums.add(step((-2.0, -7.0), done=(True, True)))
    assert finished["return"].tolist() == [-2.0, -12.0]
    assert finished["length"].tolist() == [1.0, 2.0]


def test_rewards_per_agent_count_by_their_mean():
    finished = EpisodeSums(2).add(step(((1.0, 3.0), (0.0, 8.0)), done=(True, True)))
    assert finished["return"].tolist() == [2.0, 4.0]


def test_a_few_steps_are_scaled_to_an_episode():
    terms = {
        "return": [np.array([-1.0, -3.0])],
        "rms_f": [np.array([3.0, 4.0])],
        "soc": [np.array([0.2, 0.4])],
    }
    found = mean_over_steps(terms, 500)
    assert found == pytest.approx({"return": -1000.0, "rms_f": 12.5**0.5, "soc": 0.3}, rel=1e-12)


def test_whole_episodes_come_to_what_their_steps_did_to_the_bit():
    """Two episodes of 3 and 2 steps with every kind of term: step by step, and as arrays with NaN at the end."""
    rng = np.random.default_rng(0)
    names = ("reward_x", "violations", "rms_f", "max_f", "min_f", "soc")
    terms = {name: rng.normal(size=(2, 3)) for name in names}
    reward = rng.normal(size=(2, 3))
    sums, expected = EpisodeSums(2), {}
    for k, done in enumerate(((False, False), (False, True), (True, False))):
        finished = sums.add(step(reward[:, k], done=done, **{name: x[:, k] for name, x in terms.items()}))
        for name, value in finished.items():
            expected.setdefault(name, np.zeros(2))[list(done)] = value
    for x in (reward, *terms.values()):
        x[1, 2] = np.nan
    found = episode_terms(reward, terms, np.array([3, 2]))
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
