#!/usr/bin/env bash
# vmas 1.5.2: all environments of a process draw from one random stream, and creating one restarts it for all.
#
# Expected: an environment made with seed=1 meets the same episodes however many others live beside it. (VMAS does
#   take care to leave torch's own stream alone.)
# What happens: the state of VMAS's stream belongs to the module, not to the environment. A second environment sets
#   it to its own seed, and the first goes on from there; every reset of one moves the other on. Two
#   environments with the same seed meet different episodes if they take turns. A training environment
#   beside which a new evaluation environment is made with a fixed seed starts the same episode again and again.
# Documented: no; make_env calls it "Seed for the environment".
# Why it matters: evaluating more often changes the training data, and with a fresh evaluation environment each
#   time the training sees few different starts. Curves of two runs that differ in their evaluation
#   interval do not compare. An environment per process, or storing the stream around evaluation, avoids it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 vmas==1.5.2 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(torch|vmas|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import torch
import vmas

def make(seed):
    return vmas.make_env("navigation", num_envs=1, device="cpu", continuous_actions=True, seed=seed, n_agents=2)

def start(env):
    """Where the first agent stands after a reset."""
    return [round(x, 3) for x in env.reset()[0][0, :2].tolist()]

def training(evaluate):
    env, starts = make(1), []
    for _ in range(4):
        starts.append(start(env))
        if evaluate:
            make(99).reset()
    return starts

alone, evaluated = training(False), training(True)
print("starts of training alone:         ", alone)
print("with an evaluation after each one:", evaluated)
first, second = make(1), make(1)
twins = [start(first), start(second)]
print("two environments of seed 1, in turn:", *twins)
torch.manual_seed(5)
make(1)
after = torch.rand(1)
torch.manual_seed(5)
print("torch's own stream is left alone:", bool(after == torch.rand(1)))
assert alone == training(False) and len({tuple(x) for x in alone}) == 4
assert alone[0] == evaluated[0] and evaluated[1] == evaluated[2] == evaluated[3] != alone[1]
assert twins == alone[:2]
print("as described")
PY
