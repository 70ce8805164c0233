#!/usr/bin/env bash
# numpy 2.4.6: default_rng([seed, 0]) is default_rng(seed), so worker 0 repeats whatever the plain seed drew.
#
# Expected: a list of integers as the seed keeps its entries apart: [seed, 0], [seed, 1], ... are
#   streams of their own, different from that of the bare seed.
# What happens: integers are written as 32-bit words and short input is filled up with zeros to four words, so
#   zeros at the end change nothing: 7, [7], [7, 0] and [7, 0, 0, 0] are one stream (five entries are not).
#   [7, 3] is the integer 7 + 3 * 2**32, and the child that spawn() gives is [7, 0, 0, 0, number].
# Documented: half. The chapter on parallel streams calls [root_seed, worker_id] "less good" for fear of a
#   collision with spawned children, and says of it that it works; the fill with zeros is not mentioned.
# Why it matters: a trainer that seeds its sampling with `seed` and environment k with [seed, k] has the noise of
#   the policy and of environment 0's load identical, draw for draw; an evaluation on `seed` repeats episodes
#   of training. Putting the number first ([k, seed]) or counting from 1 avoids it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^numpy='
"$dir/venv/bin/python" - <<'PY'
import numpy as np
from numpy.random import SeedSequence, default_rng

def draws(seed):
    return tuple(int(x) for x in default_rng(seed).integers(1000, size=6))

seed = 7
for given in (seed, [seed], [seed, 0], [seed, 0, 0, 0], [seed, 0, 0, 0, 0], [seed, 1], [0, seed]):
    print(f"{given!s:16s}", *draws(given), " <- the bare seed's" if draws(given) == draws(seed) else "")

policy = default_rng(seed).standard_normal(1000)
loads = [default_rng([seed, worker]).standard_normal(1000) for worker in range(3)]
print("correlation of the policy's noise with the load of worker 0, 1, 2:",
      *(round(float(np.corrcoef(policy, load)[0, 1]), 3) for load in loads))
child = SeedSequence(seed).spawn(3)[2]
assert draws(seed) == draws([seed]) == draws([seed, 0]) == draws([seed, 0, 0, 0])
assert len({draws(x) for x in (seed, [seed, 1], [seed, 0, 0, 0, 0], [0, seed])}) == 4
assert draws([seed, 3]) == draws(seed + 3 * 2**32)
assert draws(child) == draws([seed, 0, 0, 0, 2])
print("as described")
PY
