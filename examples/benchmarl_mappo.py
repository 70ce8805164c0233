"""BenchMARL's MAPPO on the agents of the grid, with its own networks and defaults.

pip install "benchmarl>=1.5" "torchrl" ; in an environment of its own: it brings a build of torch with CUDA
"""

import tempfile

from benchmarl.algorithms import MappoConfig
from benchmarl.environments.common import TaskClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from torchrl.envs import PettingZooWrapper

from marl.environment import parallel_env


class FrequencyTask(TaskClass):
    """What BenchMARL asks about a task."""

    def get_env_fun(self, num_envs, continuous_actions, seed, device):
        """Builds one environment."""
        return lambda: PettingZooWrapper(
            parallel_env(seed=seed, **self.config), return_state=True, device=device
        )

    def supports_continuous_actions(self):
        """Set-points are continuous."""
        return True

    def supports_discrete_actions(self):
        """Nothing is switched."""
        return False

    def has_render(self, env):
        """No pictures while it learns."""
        return False

    def max_steps(self, env):
        """Intervals of an episode."""
        return 500

    def group_map(self, env):
        """Agents by kind of plant."""
        return env.group_map

    def observation_spec(self, env):
        """What agents see."""
        spec = env.observation_spec.clone()
        for key in set(spec.keys()) - set(env.group_map):
            del spec[key]
        return spec

    def state_spec(self, env):
        """What the critic sees."""
        spec = env.observation_spec.clone()
        for group in env.group_map:
            del spec[group]
        return spec

    def action_spec(self, env):
        """What agents do."""
        return env.full_action_spec

    def info_spec(self, env):
        """Nothing more."""
        return None

    def action_mask_spec(self, env):
        """Every action is open at any time."""
        return None

    @staticmethod
    def env_name():
        """In BenchMARL's logs."""
        return "ieee68_frequency"


def main(n_frame=20_000):
    """Frames that were played."""
    config = ExperimentConfig.get_from_yaml()
    config.save_folder, config.loggers, config.render = tempfile.mkdtemp(), [], False
    config.max_n_frames, config.on_policy_collected_frames_per_batch = n_frame, min(n_frame, 2_000)
    config.on_policy_n_envs_per_worker, config.on_policy_n_minibatch_iters = 2, 5
    config.on_policy_minibatch_size, config.evaluation = 200, False
    experiment = Experiment(
        task=FrequencyTask(name="training", config={"scenario": "training"}),
        algorithm_config=MappoConfig.get_from_yaml(),
        model_config=MlpConfig.get_from_yaml(),
        critic_model_config=MlpConfig.get_from_yaml(),
        seed=0,
        config=config,
    )
    experiment.run()
    return experiment.total_frames


if __name__ == "__main__":
    print(main(), "frames")
