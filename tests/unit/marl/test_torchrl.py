"""TorchRL's wrapper accepts the PettingZoo environment, critic's state included."""

import warnings
from dataclasses import replace

import pytest

from control.scenario import SCENARIOS
from marl.environment import parallel_env


def test_torchrl_wraps_the_environment_and_its_state():
    pytest.importorskip("torchrl", reason="needs the extra `torchrl`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchRL names the one version of PettingZoo it was tested with
        from torchrl.envs import PettingZooWrapper
        from torchrl.envs.utils import check_env_specs

        short = replace(SCENARIOS["normal"], name="short", n_intervals=8)
        env = PettingZooWrapper(parallel_env(scenario=short, check=False), return_state=True)
        assert {group: len(agents) for group, agents in env.group_map.items()} == {
            "bess": 5, "gas": 8, "dr": 7,
        }  # fmt: skip
        check_env_specs(env)
        steps = env.rollout(20, break_when_any_done=False)
    assert steps["state"].shape == (20, 140)
    assert steps["gas", "observation"].shape == (20, 8, 15)
    assert steps["next", "dr", "reward"].shape == (20, 7, 1)
