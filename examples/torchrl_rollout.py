"""TorchRL: the agents in groups by kind of plant, with the critic's view, in a random rollout.

pip install -e ".[torchrl]"
"""

from torchrl.envs import PettingZooWrapper

from marl.environment import parallel_env


def main(n_step=50):
    """The rollout as a TensorDict."""
    env = PettingZooWrapper(parallel_env(scenario="normal", seed=0), return_state=True)
    steps = env.rollout(n_step)
    for group, agents in env.group_map.items():
        mean = steps["next", group, "reward"].mean().item()
        print(f"{group:5s} {len(agents)} agents, mean reward of a step {mean:8.2f}")
    return steps


if __name__ == "__main__":
    main()
