"""The whole fleet as one agent: the same episodes behind Gymnasium's interface."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from control.scenario.suites import SCENARIOS
from marl.environment.batch import ActionError
from marl.environment.gymnasium_env import joint_env
from marl.environment.pettingzoo_env import parallel_env

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=6)


def test_the_joint_view_is_as_gymnasium_wants_it():
    env = joint_env(scenario=SHORT, check=False)
    with warnings.catch_warnings():
        # It advises finite bounds and gymnasium.make; deviations of frequency have no bounds.
        warnings.simplefilter("ignore", UserWarning)
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize(("view", "size"), [("agents", 300), ("state", 140)])
def test_the_joint_view_plays_the_episode_of_the_agents(view, size):
    env, agents = joint_env(scenario=SHORT, view=view, check=False), parallel_env(scenario=SHORT, check=False)
    seen, _ = env.reset(seed=11)
    apart, _ = agents.reset(seed=11)
    assert env.names == tuple(agents.possible_agents)
    rng = np.random.default_rng(0)
    for t in range(1, 7):
        expected = np.concatenate(list(apart.values())) if view == "agents" else agents.state()
        np.testing.assert_array_equal(seen, expected)
        assert seen.shape == (size,)
        action = rng.uniform(-1.0, 1.0, 20).astype(np.float32)
        seen, reward, terminated, truncated, info = env.step(action)
        apart, rewards, *_ = agents.step({a: action[i : i + 1] for i, a in enumerate(env.names)})
        assert reward == rewards["dr_6"]
        assert sum(x for name, x in info.items() if name.startswith("reward_")) == pytest.approx(reward)
        assert (terminated, truncated) == (False, t == 6)


def test_a_bad_joint_action_is_refused():
    env = joint_env(scenario=SHORT, check=False)
    env.reset(seed=0)
    with pytest.raises(ActionError, match=r"shape \(19,\), expected \(20,\)"):
        env.step(np.zeros(19))
    with pytest.raises(ActionError, match="gas_0.* nan"):
        env.step(np.where(np.arange(20) == 5, np.nan, 0.0))
    env.step(np.zeros(20))
    with pytest.raises(ValueError, match="view = 'all'"):
        joint_env(scenario=SHORT, view="all")


def test_a_pickled_joint_view_goes_on():
    env = joint_env(scenario=SHORT, check=False)
    env.reset(seed=3)
    env.step(np.full(20, 0.5))
    copy = pickle.loads(pickle.dumps(env))
    mine, its = env.step(np.zeros(20)), copy.step(np.zeros(20))
    np.testing.assert_array_equal(mine[0], its[0])
    assert mine[1] == its[1]


def first_numbers(env, **reset):
    """What the first agent sees at the start of an episode."""
    seen, _ = env.reset(**reset)
    return next(iter(seen.values())) if isinstance(seen, dict) else seen


@pytest.mark.parametrize("make", [parallel_env, joint_env])
def test_without_a_seed_every_environment_and_every_copy_plays_its_own_episode(make):
    """Two episodes of a year that begin at random agree in all their numbers with probability zero."""
    one, other = make(SHORT, check=False), make(SHORT, check=False)
    copies = [pickle.loads(pickle.dumps(one)), pickle.loads(pickle.dumps(one))]
    found = [first_numbers(env).tobytes() for env in (one, other, *copies)]
    assert len(set(found)) == 4


def test_with_a_seed_the_episodes_are_the_same_again():
    envs = [parallel_env(SHORT, seed=5, check=False) for _ in range(2)]
    for _ in range(2):
        first, second = (first_numbers(env) for env in envs)
        np.testing.assert_array_equal(first, second)


def test_copies_that_a_checker_has_reset_alike_part_again():
    """RLlib's checker resets every worker's environment with seed 42; workers have seeds of their own."""
    workers = [parallel_env(SHORT, seed=k, check=False) for k in (1, 2)]
    again = parallel_env(SHORT, seed=2, check=False)
    checked = [first_numbers(env, seed=42) for env in (*workers, again)]
    np.testing.assert_array_equal(checked[0], checked[1])
    after = [first_numbers(env) for env in (*workers, again)]
    assert not np.array_equal(after[0], after[1])
    np.testing.assert_array_equal(after[1], after[2])
    goes_on = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(first_numbers(goes_on), first_numbers(again))


def test_gymnasium_vectors_and_make_play_different_episodes():
    import gymnasium

    vector = gymnasium.make_vec(
        "marl.environment.gymnasium_env:FrequencyControl-v0", num_envs=3, scenario=SHORT, check=False
    )
    seen, _ = vector.reset()
    assert len({row.tobytes() for row in seen}) == 3
    vector.close()


def test_supersuit_copies_play_different_episodes():
    supersuit = pytest.importorskip("supersuit", reason="needs SuperSuit")
    vector = supersuit.pettingzoo_env_to_vec_env_v1(
        supersuit.black_death_v3(parallel_env(SHORT, check=False))
    )
    both = supersuit.concat_vec_envs_v1(vector, 2, num_cpus=0, base_class="gymnasium")
    seen, _ = both.reset()
    assert not np.array_equal(seen[:20], seen[20:])


def test_spaces_are_finite_and_hold_what_is_seen():
    """Under the hardest scenario with wild actions the largest number stays far within the bound."""
    wild = replace(SCENARIOS["stress"], name="wild", n_intervals=25)
    env = parallel_env(wild, seed=1, observation="extended", check=False)
    rng = np.random.default_rng(0)
    for space in (*env.observation_spaces.values(), env.state_space):
        assert np.isfinite(space.high).all()
        assert np.isfinite(space.low).all()
    largest = 0.0
    for _ in range(2):
        env.reset()
        while env.agents:
            seen, *_ = env.step({a: rng.choice([-1.0, 1.0], 1) for a in env.agents})
            assert all(env.observation_space(a).contains(x) for a, x in seen.items())
            assert env.state_space.contains(env.state())
            largest = max(largest, max(np.abs(x).max() for x in seen.values()), np.abs(env.state()).max())
    assert 0.0 < largest < 100.0


def test_render_before_the_first_episode_is_refused():
    for env in (parallel_env(SHORT, check=False, render_mode="ansi"), joint_env(SHORT, render_mode="ansi")):
        with pytest.raises(RuntimeError, match="call reset first"):
            env.render()


def test_a_mistyped_option_is_named_by_python():
    with pytest.raises(TypeError, match="scenari"):
        parallel_env(scenari="normal")
