"""Other libraries take the environment as docs/environment.md says; each is tested where it is installed."""

import importlib
import re
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from control.scenario.suites import SCENARIOS
from marl.environment.pettingzoo_env import parallel_env

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "environment.md").read_text(encoding="utf-8")


def described(word: str, name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The one example of the text that holds this word, as a module: these libraries pickle classes by name."""
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if word in block]
    (directory / f"{name}.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(str(directory))
    return importlib.import_module(name)


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


def test_benchmarl_trains_on_the_task_of_the_text(tmp_path, monkeypatch):
    pytest.importorskip("benchmarl", reason="needs the extra `verify`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from benchmarl.algorithms import MappoConfig
        from benchmarl.experiment import Experiment, ExperimentConfig
        from benchmarl.models.mlp import MlpConfig

        text = described("class FrequencyTask", "task_for_benchmarl", tmp_path, monkeypatch)
        task = text.FrequencyTask(name="training", config={"scenario": "training"})
        config = ExperimentConfig.get_from_yaml()
        config.save_folder, config.loggers, config.render = str(tmp_path), [], False
        config.max_n_frames = config.on_policy_collected_frames_per_batch = 200
        config.on_policy_n_envs_per_worker, config.on_policy_n_minibatch_iters = 1, 1
        config.on_policy_minibatch_size, config.evaluation = 100, False
        experiment = Experiment(
            task=task,
            algorithm_config=MappoConfig.get_from_yaml(),
            model_config=MlpConfig.get_from_yaml(),
            critic_model_config=MlpConfig.get_from_yaml(),
            seed=0,
            config=config,
        )
        assert {group: len(agents) for group, agents in experiment.group_map.items()} == {
            "bess": 5, "gas": 8, "dr": 7,
        }  # fmt: skip
        experiment.run()
    assert experiment.total_frames == 200


def test_rllib_trains_a_policy_per_kind_of_plant(tmp_path, monkeypatch):
    pytest.importorskip("ray.rllib", reason="needs `ray[rllib]`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.rllib.algorithms.ppo import PPOConfig

        text = described("register_env(", "environment_for_rllib", tmp_path, monkeypatch)
        ray.init(num_cpus=1, include_dashboard=False)
        try:
            config = PPOConfig().environment("ieee68_frequency", env_config={"scenario": "training"})
            config = config.multi_agent(policies={"bess", "gas", "dr"}, policy_mapping_fn=text.policy_of)
            config = config.env_runners(num_env_runners=0)
            algorithm = config.training(
                train_batch_size_per_learner=500, minibatch_size=250, num_epochs=1
            ).build_algo()
            found = algorithm.train()
        finally:
            ray.shutdown()
    assert found["env_runners"]["num_env_steps_sampled_lifetime"] == 500
    assert {"bess", "gas", "dr"} <= set(found["learners"])
