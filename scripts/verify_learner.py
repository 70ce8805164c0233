"""Proves the learner on tasks that are not ours: VMAS navigation, beside BenchMARL's published result.

    python scripts/verify_learner.py [--seeds 5] [--frames 150000] [--json FILE]

Three agents steer to goals of their own through continuous accelerations, with rewards of each agent's own. VMAS is
not needed for anything else here: it is in the extra `verify`. BenchMARL's MAPPO reaches an evaluation return of
0.9 to 1.0 on this task within 120,000 to 300,000 frames; its figure here is 0.96.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line
from marl.config.training import EvaluationConfig, NetworkConfig, PPOConfig, TrainingConfig

if TYPE_CHECKING:
    from marl.protocol import BatchedEnvironment, FloatArray

PROGRAM = "verify_learner.py"
BENCHMARL_RETURN = 0.96
AIM = 0.9
EPISODE_STEPS = 100
N_AGENT = 3
EVALUATION_EPISODES = 100


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to verify."""

    # Independent runs, with seeds 0, 1, ...
    seeds: int = 5
    # Environment steps of each run.
    frames: int = 150_000
    # Write the result to this file.
    json: str = ""


def navigation(n_env: int) -> BatchedEnvironment:
    """VMAS navigation behind the learner's protocol, with BenchMARL's settings of the task."""
    import numpy as np
    import torch
    import vmas  # type: ignore[import-not-found,unused-ignore]

    from marl.protocol import AgentGroup, Float32Array, IntArray, Observed, Transition

    class Navigation:
        per_agent_rewards = True

        def __init__(self) -> None:
            self.env = vmas.make_env(
                "navigation",
                num_envs=n_env,
                continuous_actions=True,
                n_agents=N_AGENT,
                collisions=True,
                shared_rew=False,
                lidar_range=0.35,
                agent_radius=0.1,
            )
            self.n_env = n_env
            first = self._observed(self.env.reset())
            size = first.observations["agent"].shape[-1]
            names = tuple(f"agent_{i}" for i in range(N_AGENT))
            self.groups = (AgentGroup(name="agent", agents=names, observation_size=size, action_size=2),)
            self.state_size = first.state.shape[-1]
            self.age = np.zeros(n_env, dtype=np.int64)

        def _observed(self, observations: list[torch.Tensor]) -> Observed:
            agents = torch.stack(observations, dim=1).numpy().astype(np.float32)
            return Observed(observations={"agent": agents}, state=agents.reshape(self.n_env, -1))

        def reset(self, seeds: IntArray | None = None) -> Observed:
            if seeds is not None:
                self.env.seed(int(seeds[0]) % 2**31)  # VMAS has one generator for the whole batch
            self.age[:] = 0
            return self._observed(self.env.reset())

        def step(self, actions: Mapping[str, Float32Array]) -> Transition:
            a = torch.from_numpy(np.clip(actions["agent"], -1.0, 1.0))
            observations, rewards, done, _ = self.env.step([a[:, i] for i in range(N_AGENT)])
            self.age += 1
            final = observed = self._observed(observations)
            terminated = done.numpy().copy()
            truncated = (self.age >= EPISODE_STEPS) & ~terminated
            ended = np.flatnonzero(terminated | truncated)
            if len(ended):
                for k in ended:
                    self.env.reset_at(int(k))
                self.age[ended] = 0
                observed = self._observed([self.env.scenario.observation(agent) for agent in self.env.agents])
            return Transition(
                observation=observed,
                final_observation=final,
                reward=torch.stack(rewards, dim=1).numpy().astype(np.float64),
                terminated=terminated,
                truncated=truncated,
                terms={"reached": terminated.astype(np.float64)},
            )

        def get_state(self) -> dict[str, Any]:
            return {}  # VMAS cannot be saved: these runs are short and not resumed

        def set_state(self, state: Mapping[str, Any]) -> None:
            raise NotImplementedError("a VMAS run cannot be resumed")

    return Navigation()


def configuration(frames: int, seed: int) -> TrainingConfig:
    """The learner's settings for navigation: the project's defaults but for the task's horizon and noise."""
    return TrainingConfig(
        total_episodes=frames // EPISODE_STEPS,
        episode_steps=EPISODE_STEPS,
        n_envs=100,
        seed=seed,
        device="cpu",
        checkpoint_every=10**6,
        network=NetworkConfig(
            critic="agent", normalize_inputs=True, log_std_init=math.log(0.5), dead_zone=0.0
        ),
        ppo=PPOConfig(
            lr_final_fraction=0.1,
            gamma=0.99,
            gae_lambda=0.9,
            buffer_steps=3000,
            minibatch_steps=500,
            epochs=8,
            noise_correlation=0.0,
            robust_reward=0.0,
            policy_average=0.8,
        ),
        evaluation=EvaluationConfig(eval_every=0),
    )


def train(frames: int, seed: int) -> float:
    """Mean evaluation return, over episodes and agents, of the policy that one run ends with."""
    import numpy as np

    from marl.environment.held_out import HeldOut
    from marl.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as directory:
        config = configuration(frames, seed)
        trainer = Trainer(config, navigation(config.n_envs), directory=Path(directory), tensorboard=False)
        trainer.run()
        judge = HeldOut(lambda: navigation(EVALUATION_EPISODES))
        terms = judge(trainer.learner.averaged_policy, np.arange(10_000, 10_000 + EVALUATION_EPISODES))
        return float(terms["return"].mean())


def interquartile_mean(x: FloatArray) -> float:
    """Mean of the middle half (Agarwal et al., Deep reinforcement learning at the edge of the precipice, 2021)."""
    from scipy import stats

    return float(stats.trim_mean(x, 0.25))


def bootstrap_interval(x: FloatArray) -> tuple[float, float]:
    """95 % interval of the interquartile mean by resampling runs."""
    import numpy as np

    rng = np.random.default_rng(0)
    means = [interquartile_mean(rng.choice(x, len(x))) for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def main(arguments: Sequence[str]) -> int:
    """Exit status 0 if the aim is reached, 1 if not, 2 for a wrong option or a missing library."""
    parsed = command_line.parse(
        Arguments, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments
    )
    import importlib.util

    import numpy as np

    if importlib.util.find_spec("vmas") is None:
        print(f"{PROGRAM}: error: VMAS is not installed; pip install -e '.[verify]'", file=sys.stderr)
        return 2
    scores = []
    for seed in range(parsed.seeds):
        began = time.perf_counter()
        scores.append(train(parsed.frames, seed))
        spent = time.perf_counter() - began
        print(
            f"seed {seed}: evaluation return {scores[-1]:.3f} after {parsed.frames:,} frames, {spent:.0f} s",
            flush=True,
        )
    x = np.array(scores)
    iqm, (low, high) = interquartile_mean(x), bootstrap_interval(x)
    print(
        f"VMAS navigation: interquartile mean {iqm:.3f} [{low:.3f}, {high:.3f}], aim {AIM}, "
        f"BenchMARL {BENCHMARL_RETURN}"
    )
    if parsed.json:
        content = {
            "task": "vmas navigation, 3 agents, continuous, own rewards",
            "frames": parsed.frames,
            "returns": scores,
            "iqm": iqm,
            "iqm_ci95": [low, high],
            "benchmarl": BENCHMARL_RETURN,
            "config": dataclasses.asdict(configuration(parsed.frames, 0)),
        }
        Path(parsed.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if iqm >= AIM else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
