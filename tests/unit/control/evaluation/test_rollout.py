"""One rollout for whatever shows something and can be stepped: here a counter of a dozen lines."""

from types import SimpleNamespace

import numpy as np
import pytest

from control.controllers.registry import make_baseline
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import Record, rollout
from marl.config.network import NetworkConfig
from marl.environment.batch import make_batch
from marl.networks.policy import Policy


class Counter:
    """Shows how often it was stepped; an episode ends after as many steps as its seed says, odd seeds by the task."""

    def __init__(self, n_env: int) -> None:
        self.n_env = n_env

    def reset(self, seeds):
        self.seed, self.k = np.array(seeds), np.zeros(self.n_env, dtype=int)
        return self.k.copy()

    def step(self, action):
        self.k += 1
        over = self.k >= self.seed
        reward = 10.0 * self.seed + self.k + np.asarray(action)
        self.k[over] = 0  # the next episode of the same kind begins at once
        odd = self.seed % 2 == 1
        return SimpleNamespace(
            observation=self.k.copy(),
            reward=reward,
            terms={"shown": reward - action},
            terminated=over & odd,
            truncated=over & ~odd,
        )


class Remembering:
    """Answers with the sum of all it has seen in an episode: a memory for each environment."""

    def __init__(self, n_env: int) -> None:
        self.sum = np.full(n_env, np.nan)
        self.began: list[list[int]] = []

    def reset(self, envs, seeds):
        self.sum[envs] = 0.0
        self.began.append(list(envs))

    def act(self, observation):
        self.sum += observation
        return self.sum.copy()


def test_episodes_of_unlike_length_end_each_at_its_time():
    """Seed s: rewards 10 s + k + (0 + 1 + .. + k - 1) for k = 1 .. s, worked out for s = 1, 2, 3."""
    found = rollout(Remembering(3), Counter(3), np.array([3, 1, 2]))
    nan = np.nan
    expected = [[31.0, 33.0, 36.0], [11.0, nan, nan], [21.0, 23.0, nan]]
    np.testing.assert_array_equal(found.reward, expected)
    assert found.returns.tolist() == [100.0, 11.0, 44.0]
    assert found.n_played.tolist() == [3, 1, 2]
    assert found.terminated.tolist() == [True, True, False]
    np.testing.assert_array_equal(found.terms["shown"], [[31, 32, 33], [11, nan, nan], [21, 22, nan]])


def test_an_episode_is_the_same_whatever_the_batch_it_is_played_in():
    """Five seeds in a batch of five, of two (with a half-filled last batch) and one at a time."""
    seeds = np.array([4, 1, 3, 5, 2])
    together = rollout(Remembering(5), Counter(5), seeds)
    for n_env in (2, 1):
        again = rollout(Remembering(n_env), Counter(n_env), seeds)
        for name in ("seed", "n_played", "terminated", "reward"):
            np.testing.assert_array_equal(getattr(again, name), getattr(together, name))


def test_a_memory_is_forgotten_where_an_episode_ends_and_nowhere_else():
    actor = Remembering(3)
    rollout(actor, Counter(3), np.array([3, 1, 2]))
    # All at the start; then 1 after each step, which its seed makes an episode, and 2 after two.
    assert actor.began == [[0, 1, 2], [1], [1, 2]]


def test_repeats_that_fill_up_a_batch_do_not_prolong_it():
    """The last batch holds seed 1 and two repeats: one step, and 4 for the batch before."""
    steps = []
    rollout(Remembering(3), Counter(3), np.array([4, 2, 3, 1]), on_interval=lambda: steps.append(1))
    assert len(steps) == 5


def test_details_are_kept_with_nan_where_nothing_was_played_and_filled_up_to_whole_episodes():
    class Twice:
        interval_s, n_intervals = 2.0, 4

        def __init__(self, environment) -> None:
            self.marks = tuple(((1.0, "begins"), (5.0, "is late")) for _ in range(environment.n_env))

        def measure(self, step):
            return {"pair": np.stack([step.reward, -step.reward], axis=1)}

    found = rollout(Remembering(2), Counter(2), np.array([2, 3]), Twice)
    assert found["pair"].shape == (2, 4, 2)
    np.testing.assert_array_equal(found["pair"][0, :, 1], [-21.0, -23.0, np.nan, np.nan])
    assert found.time_s(0).tolist() == [2.0, 4.0]
    assert (found.happened(0), found.happened(1)) == (
        ((1.0, "begins"),),
        ((1.0, "begins"), (5.0, "is late")),
    )


def test_rewards_of_agents_count_by_their_mean():
    class PerAgent(Counter):
        def step(self, action):
            step = super().step(action)
            step.reward = np.stack([step.reward, step.reward + 2.0], axis=1)
            return step

    assert rollout(Remembering(1), PerAgent(1), np.array([1])).returns.tolist() == [12.0]


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="no seeds"):
        rollout(Remembering(1), Counter(1), np.array([], dtype=np.int64))


def test_each_episode_of_two_records_is_chosen_by_itself():
    def record(value: float) -> Record:
        full = np.full((2, 3), value)
        return Record(
            seed=np.array([1, 2]), n_played=np.array([3, 3]), terminated=np.array([False, False]), reward=full,
            terms={"x": full}, arrays={"y": np.stack([full, full], axis=-1)},
        )  # fmt: skip

    found = record(1.0).either(record(2.0), np.array([False, True]))
    assert found.returns.tolist() == [3.0, 6.0]
    assert found["y"][:, 0, 0].tolist() == [1.0, 2.0]


def test_seeds_that_are_no_whole_numbers_are_refused():
    """Cut to whole ones they would be the seeds of other episodes than they say."""
    for seeds in (np.array([1.5, 2.0]), [True], ["1"]):
        with pytest.raises(TypeError, match="expected whole numbers"):
            rollout(None, None, seeds)


def test_an_environment_that_is_none_is_refused_in_one_line():
    with pytest.raises(
        TypeError, match="is a str without n_env and reset and step, expected a batch of episodes"
    ):
        rollout(Remembering(1), "normal", np.array([1]))


def test_a_controller_in_an_environment_of_another_kind_is_refused_in_one_line():
    """A controller of plants is shown groups, and agents by group are shown an array."""
    groups = make_batch("normal", 1, check=False)
    law = make_baseline("agc", groups.description, 1)
    for environment, shown in ((groups, "Observation"), (groups.task, "TaskObservation")):
        with pytest.raises(
            TypeError, match=f"^PiAgc cannot read an object of type {shown} .*ByPlant"
        ) as found:
            rollout(law, environment, np.array([1]))
        assert "\n" not in str(found.value)
    by_group = SimpleNamespace(reset=lambda envs, seeds: None, act=lambda seen: seen.observations)
    with pytest.raises(TypeError, match=r"cannot read an array of shape \(1, 20, 15\) as ByPlant shows it"):
        rollout(by_group, ByPlant(groups), np.array([1]))
    policy = Policy(groups.groups, NetworkConfig(), {})
    with pytest.raises(
        TypeError, match="of type ndarray, expected a mapping with an array for each of bess, gas, dr"
    ):
        rollout(policy, ByPlant(groups), np.array([1]))


def test_a_mistake_of_the_controllers_own_is_left_as_it_is():
    """What has nothing to do with what it was shown is told where it stands."""
    mistaken = SimpleNamespace(reset=lambda envs, seeds: None, act=lambda seen: None + 1.0)
    with pytest.raises(TypeError, match="unsupported operand"):
        rollout(mistaken, Counter(1), np.array([1]))
    mistaken.act = lambda seen: mistaken.gain * seen
    with pytest.raises(AttributeError, match="gain"):
        rollout(mistaken, Counter(1), np.array([1]))
