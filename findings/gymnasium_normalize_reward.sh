#!/usr/bin/env bash
# gymnasium 1.4.0: NormalizeReward carries the discounted sum of rewards over a time limit into the next episode.
#
# Expected: rewards are divided by the spread of the discounted return. Ten steps of reward 1 give a sum of at
#   most 9.56 (gamma 0.99), whether the tenth step says terminated or truncated, and whether one environment is
#   wrapped or a vector of them.
# What happens: the sum is set back by `terminated` alone; `truncated` and reset() leave it, so it grows
#   towards 1 / (1 - gamma) = 100. The vector wrapper does the same in the mode NEXT_STEP and clears
#   the sum in the mode SAME_STEP. One task therefore has its reward scaled by 0.07 or by 0.37.
# Documented: not in the wrapper's text. Reported for the single environment in 2023 (Gymnasium issue 760), when
#   it was held to be intended; the vector wrapper now disagrees with itself.
# Why it matters: tasks in a grid nearly always end by a time limit. Another autoreset_mode changes the reward's
#   scale fivefold, and with it the weight of the entropy bonus and the clipping of the value loss.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check gymnasium==1.4.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(gymnasium|numpy)='
"$dir/venv/bin/python" - <<'PY'
import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

class TenSteps(gymnasium.Env):
    observation_space, action_space = spaces.Box(-1.0, 1.0, (1,)), spaces.Discrete(2)
    def __init__(self, ends_by):
        self.ends_by = ends_by
    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}
    def step(self, action):
        self.steps += 1
        over = self.steps == 10
        ends = (over and self.ends_by == name for name in ("terminated", "truncated"))
        return np.zeros(1, np.float32), 1.0, *ends, {}

def scale(ends_by, mode):
    """What a reward of 1 has become after 200 episodes."""
    if mode is None:
        env = gymnasium.wrappers.NormalizeReward(TenSteps(ends_by), gamma=0.99)
        return float([(env.reset(), [env.step(0)[1] for _ in range(10)]) for _ in range(200)][-1][1][-1])
    vector = SyncVectorEnv([lambda: TenSteps(ends_by)] * 2, autoreset_mode=mode)
    env = gymnasium.wrappers.vector.NormalizeReward(vector, gamma=0.99)
    env.reset()
    return float([env.step(np.zeros(2, int))[1] for _ in range(2199)][-1][0])

found = {}
for mode in (None, AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
    for end in ("terminated", "truncated"):
        found[mode.name if mode else "one environment", end] = scale(end, mode)
for (name, end), value in found.items():
    print(f"{name:15s} {end:10s}: a reward of 1 becomes {value:.3f}")
assert all(value > 0.3 for (name, end), value in found.items() if end == "terminated" or name == "SAME_STEP")
assert found["one environment", "truncated"] < 0.1 and found["NEXT_STEP", "truncated"] < 0.1
print("as described")
PY
