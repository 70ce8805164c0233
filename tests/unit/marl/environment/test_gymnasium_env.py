"""The whole fleet as one agent: the same episodes behind Gymnasium's interface."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from control.scenario.episode import SCENARIOS
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
