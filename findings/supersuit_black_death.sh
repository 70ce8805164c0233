#!/usr/bin/env bash
# SuperSuit 3.11.0 (PettingZoo 1.27.0): black_death_v3 turns a time limit into a termination, one step late.
#
# Expected: the wrapper keeps agents that have left in the dictionaries, with zeros, and changes nothing else: where all are
#   truncated at step 5 the wrapped episode is truncated at step 5.
# What happens: at step 5 it reports neither. The learner must take a sixth step that the environment never made: all
#   observations and rewards are zero, and every agent is terminated and truncated at once. An agent that
#   terminates alone at step 2 is reported so at step 6 as well, together with those that only ran out of time.
# Documented: no; the text says that observations and rewards of dead agents are 0 and their actions ignored.
# Why it matters: the wrapper is the usual way to hand PettingZoo environments to single-agent learners through
#   pettingzoo_env_to_vec_env_v1. Truncation, where the value of the last state must be added, arrives as
#   termination, where it must not; the terminal observation is zeros, each episode holds a made-up step.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check SuperSuit==3.11.0 pettingzoo==1.27.0 gymnasium==1.4.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(supersuit|pettingzoo|gymnasium)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv
from supersuit import black_death_v3

class FiveSteps(ParallelEnv):
    metadata, render_mode, possible_agents = {"name": "five_steps"}, None, ["gas_0", "gas_1", "battery_0"]
    def __init__(self, leaves):
        self.leaves = leaves
        self.observation_space, self.action_space = lambda _: spaces.Box(0.0, 10.0, (1,)), lambda _: spaces.Discrete(2)
    def reset(self, seed=None, options=None):
        self.now, self.agents = 0, list(self.possible_agents)
        return {agent: np.zeros(1, np.float32) for agent in self.agents}, {agent: {} for agent in self.agents}
    def step(self, actions):
        self.now += 1
        seen = {agent: np.full(1, self.now, np.float32) for agent in self.agents}
        gone = {agent: self.leaves.get(agent) == self.now for agent in self.agents}
        late = {agent: self.now == 5 and not gone[agent] for agent in self.agents}
        rewards, infos = dict.fromkeys(self.agents, 1.0), {agent: {} for agent in self.agents}
        self.agents = [agent for agent in self.agents if not gone[agent] and not late[agent]]
        return seen, rewards, gone, late, infos

def ends(name, env):
    env.reset()
    for step in range(1, 10):
        seen, rewards, gone, late, _ = env.step(dict.fromkeys(env.agents, 0))
        who = [sorted(agent for agent, said in flags.items() if said) for flags in (gone, late)]
        if any(who):
            print(f"{name:13s} step {step}: terminated {who[0]}, truncated {who[1]}, sees {[float(x[0]) for x in seen.values()]}")
            yield step, *who
        if not env.agents:
            return
everyone = sorted(FiveSteps.possible_agents)
assert list(ends("as it is", FiveSteps({}))) == [(5, [], everyone)]
assert list(ends("black_death", black_death_v3(FiveSteps({})))) == [(6, everyone, everyone)]
assert list(ends("one leaves", FiveSteps({"gas_0": 2}))) == [(2, ["gas_0"], []), (5, [], ["battery_0", "gas_1"])]
assert list(ends("black_death", black_death_v3(FiveSteps({"gas_0": 2})))) == [(6, everyone, everyone)]
print("as described")
PY
