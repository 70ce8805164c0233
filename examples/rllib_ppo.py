"""RLlib's PPO with one policy for each kind of plant.

pip install "ray[rllib]>=2.50"
"""

import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

from marl.environment import parallel_env


def make(config):
    """One environment; Ray resets every copy with seed 42, a seed of its own lets each go its own way afterwards."""
    seed = 1000 * config.worker_index + config.vector_index
    return ParallelPettingZooEnv(parallel_env(seed=seed, **config))


def policy_of(agent, *args, **kwargs):
    """bess_0 -> bess."""
    return agent.split("_")[0]


def main(n_iteration=3, batch=1_000):
    """Steps that were sampled."""
    register_env("ieee68_frequency", make)
    ray.init(num_cpus=1, include_dashboard=False)
    try:
        config = PPOConfig().environment("ieee68_frequency", env_config={"scenario": "training"})
        config = config.multi_agent(policies={"bess", "gas", "dr"}, policy_mapping_fn=policy_of)
        config = config.env_runners(num_env_runners=0)
        config = config.training(train_batch_size_per_learner=batch, minibatch_size=batch // 2, num_epochs=2)
        algorithm = config.build_algo()
        for _ in range(n_iteration):
            found = algorithm.train()
    finally:
        ray.shutdown()
    return found["env_runners"]["num_env_steps_sampled_lifetime"]


if __name__ == "__main__":
    print(main(), "steps")
