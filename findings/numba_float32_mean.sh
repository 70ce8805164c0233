#!/usr/bin/env bash
# numba 0.68.1 (numpy 2.4.6): np.mean, np.sum and np.var of a float32 array lose digits that numpy keeps.
#
# Expected: np.mean(x) inside @njit gives what it gives outside, to float32's seven digits.
# What happens: numpy adds in pairs of blocks; numba compiles one running sum in the array's own precision. Each
#   addition rounds to the size of the sum so far. A million samples of a 50-Hz frequency average to 0.6 mHz too
#   much, ten million to 55.4 Hz; 2**25 ones have the mean 0.5, because 2**24 + 1 is 2**24 in float32.
#   float64 arrays are right, and so is np.mean(x.astype(np.float64)).
# Documented: in general words. The page on floating-point pitfalls says that algorithms may differ from numpy's
#   and that the difference should be small; summation is not named.
# Why it matters: rollouts and frequency traces are kept as float32 because networks want it, and statistics of
#   them (means of observations, advantage normalisation, the average frequency deviation) are the loops
#   that one moves into numba. Control of frequency works within a few mHz.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(numba|numpy)='
"$dir/venv/bin/python" - <<'PY'
import numpy as np
from numba import njit

def mean(x):
    return np.mean(x)

def variance(x):
    return np.var(x)

compiled_mean, compiled_variance = njit(mean), njit(variance)
errors_mhz = []
for count in (10_000, 100_000, 1_000_000, 10_000_000):
    wave = 50.0 + 0.02 * np.random.default_rng(0).standard_normal(count)
    trace = wave.astype(np.float32)
    exact = trace.astype(np.float64).mean()
    by_numpy, by_numba = 1e3 * (mean(trace) - exact), 1e3 * (compiled_mean(trace) - exact)
    errors_mhz.append((abs(by_numpy), abs(by_numba)))
    print(f"{count:9d} samples: error of the mean {by_numpy:+8.4f} mHz by numpy, {by_numba:+10.4f} mHz by numba,"
          f" deviation {1e3 * compiled_variance(trace) ** 0.5:8.3f} mHz of {1e3 * trace.astype(float).std():.3f}")
    assert abs(compiled_mean(trace.astype(np.float64)) - exact) < 1e-9
ones = np.ones(2**25, np.float32)
print("mean of 2**25 ones:", mean(ones), "by numpy,", compiled_mean(ones), "by numba")
assert max(numpy for numpy, _ in errors_mhz) < 0.01
assert errors_mhz[2][1] > 0.3 and errors_mhz[3][1] > 1.0
assert mean(ones) == 1.0 and compiled_mean(ones) == 0.5
print("as described")
PY
