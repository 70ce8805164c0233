"""Stable-Baselines3's PPO on the whole fleet as one agent, through `gymnasium.make`.

pip install "stable-baselines3>=2.7"
"""

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

ID = "marl.environment.gymnasium_env:FrequencyControl-v0"


def main(total_timesteps=20_000, n_env=4):
    """The trained model."""
    vector = DummyVecEnv([lambda k=k: gymnasium.make(ID, scenario="normal", seed=k) for k in range(n_env)])
    model = PPO(
        "MlpPolicy", vector, n_steps=250, batch_size=250, gamma=0.9, gae_lambda=0.9, verbose=1, seed=0
    )
    return model.learn(total_timesteps)


if __name__ == "__main__":
    main()
