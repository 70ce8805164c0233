#!/usr/bin/env bash
# gymnasium 1.4.0: in a vector environment the first one's info decides the type, and 0.7 of the others becomes 0.
#
# Expected: what single environments say in their infos arrives as it was said, in an array that holds it (float64 for 0 and
#   0.7) or in one of objects.
# What happens: the array for a key takes the Python type of the value that comes first, by the environments' order in
#   this very step, and later values are cast to it: after an int fractions are cut off, after a bool 0.7 and 3 are True.
#   Arrays are treated the same way. The same environments in another order keep their numbers. Nothing is said
#   (a NaN after an int raises, so an undefined value is noticed and a wrong one is not).
# Documented: no; VectorEnv tells that infos become arrays with a mask `_key`. In its source: VectorEnv._add_info.
# Why it matters: a cost, an overload or a share of load shed is written as 0 where there is none. As soon as the first
#   environment is fine, the violations of all others below one are zero in that step: constrained learning sees
#   less cost than there was, and how much less depends on the number of environments.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check gymnasium==1.4.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(gymnasium|numpy)='
"$dir/venv/bin/python" - <<'PY'
import gymnasium
import numpy as np


class Line(gymnasium.Env):
    """A line with a random flow; its info tells by how much of the limit it is overloaded."""

    observation_space, action_space = gymnasium.spaces.Box(0.0, 2.0, (1,)), gymnasium.spaces.Discrete(2)
    in_all = 0.0

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        flow = self.np_random.uniform(0.0, 2.0)
        cost = flow - 1.0 if flow > 1.0 else 0
        Line.in_all += cost
        return np.array([flow], np.float32), 0.0, False, False, {"overload": cost}


for number in (1, 4, 16):
    lines, Line.in_all, seen = gymnasium.vector.SyncVectorEnv([Line] * number), 0.0, 0.0
    lines.reset(seed=1)
    for _ in range(1600 // number):
        seen += lines.step(np.zeros(number, int))[-1]["overload"].sum()
    print(f"{number:2d} lines: overload {Line.in_all:.1f} in all, {seen:.1f} in the infos")
    assert np.isclose(seen, Line.in_all) if number == 1 else 0.3 < seen / Line.in_all < 0.7
print("as described")
PY
