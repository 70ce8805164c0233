"""Sums over episodes, and playing whole ones."""

import numpy as np
import pytest

from marl.protocol import Observation, Transition
from marl.sampling.episode_statistics import EpisodeSums, mean_over_steps, play
from unit.marl.toys import Drift

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


def idle(observations):
    n = observations["left"].shape[0]
    return {"left": np.zeros((n, 2, 1), np.float32), "right": np.zeros((n, 1, 2), np.float32)}


def test_an_episode_is_the_same_whatever_the_batch_it_is_played_in():
    """Five seeds in a batch of five, of two (with a half-filled last batch) and one at a time."""
    seeds = np.array([11, 7, 3, 99, 5])
    together = play(idle, Drift(n_env=5), seeds)
    for n_env in (2, 1):
        again = play(idle, Drift(n_env=n_env), seeds)
        assert again.keys() == together.keys()
        for name in together:
            np.testing.assert_array_equal(again[name], together[name])
    assert together["return"].shape == (5,)
    assert (together["length"] == 10).all()
