"""PPO in one file, in the manner of CleanRL, on the whole fleet as one agent; torch alone.

Eight episodes run side by side, 300 numbers in, 20 out. A few minutes of it show learning, not a good policy:
the project's own learner, with an actor for each kind of plant, gets further with less (scripts/train_mappo.py).
"""

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

ID = "marl.environment.gymnasium_env:FrequencyControl-v0"


def network(n_in, n_out, last_gain):
    """Two hidden layers with orthogonal weights."""
    layers = [nn.Linear(n_in, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, n_out)]
    for layer in layers[::2]:
        nn.init.orthogonal_(layer.weight, last_gain if layer is layers[-1] else 2.0**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def main(n_update=40, n_env=8, n_step=125, seed=0, scenario="normal"):
    """Mean reward of a step in every update."""
    torch.manual_seed(seed)
    vector = gymnasium.make_vec(ID, num_envs=n_env, scenario=scenario)
    n_in, n_out = vector.single_observation_space.shape[0], vector.single_action_space.shape[0]
    actor, critic = network(n_in, n_out, 0.01), network(n_in, 1, 1.0)
    log_std = nn.Parameter(torch.full((n_out,), -1.0))
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), log_std], lr=3e-4, eps=1e-5)
    gamma = lam = 0.9
    observation, _ = vector.reset(seed=seed)
    scale, means = 100.0, []
    for update in range(n_update):
        seen, actions, log_probs, rewards, ends = [], [], [], [], []
        for _ in range(n_step):
            x = torch.as_tensor(observation)
            with torch.no_grad():
                density = Normal(actor(x), log_std.exp())
                action = density.sample()
            seen.append(x)
            actions.append(action)
            log_probs.append(density.log_prob(action).sum(-1))
            observation, reward, terminated, truncated, _ = vector.step(np.clip(action.numpy(), -1.0, 1.0))
            # Violations cost thousands: compressed, one of them does not drown all that is learned.
            rewards.append(torch.as_tensor(-np.log1p(-reward / scale), dtype=torch.float32))
            ends.append(torch.as_tensor(terminated | truncated))
        with torch.no_grad():
            values = critic(torch.stack([*seen, torch.as_tensor(observation)])).squeeze(-1)
        advantage, later = torch.zeros(n_step, n_env), torch.zeros(n_env)
        for t in reversed(range(n_step)):
            goes_on = (~ends[t]).float()
            error = rewards[t] + gamma * goes_on * values[t + 1] - values[t]
            later = error + gamma * lam * goes_on * later
            advantage[t] = later
        returns = (advantage + values[:-1]).flatten()
        x, a, old = torch.cat(seen), torch.cat(actions), torch.cat(log_probs)
        weight = (advantage.flatten() - advantage.mean()) / (advantage.std() + 1e-8)
        for _ in range(5):
            for rows in torch.randperm(len(x)).split(250):
                log_prob = Normal(actor(x[rows]), log_std.exp()).log_prob(a[rows]).sum(-1)
                ratio = (log_prob - old[rows]).exp()
                gain = torch.minimum(ratio * weight[rows], ratio.clamp(0.8, 1.2) * weight[rows]).mean()
                loss = 0.5 * (critic(x[rows]).squeeze(-1) - returns[rows]).square().mean() - gain
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters(), log_std], 0.5)
                optimizer.step()
        means.append(float(torch.stack(rewards).mean()))
        print(f"update {update + 1:3d}: mean compressed reward of a step {means[-1]:7.3f}")
    vector.close()
    return means


if __name__ == "__main__":
    main()
