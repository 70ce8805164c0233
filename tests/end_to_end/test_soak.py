"""The soak script itself, shrunk: a few short episodes of two suites in both models; a longer one is marked slow."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from control.evaluation import trust_figures
from control.evaluation.soak import RestlessAgents, soak_row, total
from control.scenario.suites import N1
from marl.environment.batch import make_batch

ROOT = Path(__file__).resolve().parents[2]
POLICY = str(ROOT / "marl" / "data" / "recommended_seed0.pt")


def soak(*options, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "soak.py"), *options],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=1800,
        check=False,
    )


def test_a_short_soak_finds_nothing(tmp_path):
    done = soak(
        "--full-steps", "640", "--full-envs", "4", "--reduced-steps", "5120", "--reduced-envs", "32", "--pool", "2",
        "--intervals", "20", "--suites", "shift", "training_n1", "--cases", "rogers", "--policies", POLICY,
        "--json", "soak.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nothing found" in done.stdout
    found = json.loads((tmp_path / "soak.json").read_text())
    played = [(row["model"], row["suite"], row["actor"]) for row in found["rows"]]
    actors, suites = ("random", "recommended_seed0"), ("shift", "training_n1")
    assert played == [(m, s, a) for m in ("full", "reduced") for s in suites for a in actors]
    # 640 steps over 2 suites and 2 actors are 40 intervals of 4 environments: two episodes of 20 intervals in each.
    assert [row["episodes_ended"] for row in found["rows"]] == 4 * [8.0] + 4 * [64.0]
    assert (found["total"]["full"]["steps"], found["total"]["reduced"]["steps"]) == (640.0, 5120.0)
    # As the table of the results has it: a row for each model and actor.
    lines = trust_figures.soak(found)
    assert [line.split("|")[1].strip() for line in lines[2:6]] == [
        f"{model}, rogers, {actor}" for model in ("full", "reduced") for actor in actors
    ]
    assert lines[-1].endswith("Found: nothing.")


@pytest.fixture(scope="module")
def batch():
    return make_batch(replace(N1, n_intervals=6), 2, physics="reduced", check=False)


class Spoilt:
    """A batch whose third interval is not as it was played."""

    def __init__(self, batch, spoil):
        self._batch, self._spoil, self._k = batch, spoil, 0
        self.loop, self.n_env = batch.loop, batch.n_env
        self.last_result = None

    def reset(self):
        return self._batch.reset()

    def step(self, actions):
        transition = self._batch.step(actions)
        self.last_result = self._batch.last_result
        self._k += 1
        if self._k == 3:
            transition, self.last_result = self._spoil(transition, self.last_result)
        return transition


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            lambda t, r: (replace(t, reward=t.reward * np.nan), r),
            "here, step 2: reward is not finite in environment 0",
        ),
        (
            lambda t, r: (t, r._replace(max_abs_df_hz=np.array([0.1, 11.0]))),
            "here, step 2: frequency is 11 Hz from",
        ),
        (lambda t, r: (t, r._replace(max_abs_df_hz=np.array([0.1, np.inf]))), "frequency is not finite"),
        (lambda t, r: (t, r._replace(resource_mw=r.resource_mw + 1e4)), "is outside its range"),
        (lambda t, r: (t, r._replace(utilisation=r.utilisation + 1.1)), "a battery's state of charge is"),
        (lambda t, r: 1 // 0, "here: ZeroDivisionError: "),
    ],
)
def test_what_should_not_happen_is_told_and_the_rest_is_played(batch, spoil, found):
    agents = RestlessAgents(batch.groups, 2, 0)
    row = soak_row(Spoilt(batch, spoil), agents, 9, "here", lambda n: None, full=False, max_growth_mb=200.0)
    assert found in row["found"]
    assert row["steps"] == 4.0  # of two environments, before the third interval
    assert total([{"suite": "n1"} | row]) == {"steps": 4.0}
    row = soak_row(batch, agents, 9, "here", lambda n: None, full=False, max_growth_mb=200.0)
    assert (row["found"], row["steps"]) == ("", 18.0)


def test_memory_that_grows_is_found(batch):
    """34 MB are kept of each interval; once an episode has ended there are six more of them.

    So large that the allocator asks the system for every one, whatever other tests have left free.
    """
    kept = []

    def act(seen):
        kept.append(np.ones(4_300_000))
        return agents.act(seen)

    agents = RestlessAgents(batch.groups, 2, 0)
    hoarder = SimpleNamespace(act=act, reset=agents.reset)
    row = soak_row(batch, hoarder, 18, "here", lambda n: None, full=False, max_growth_mb=100.0)
    assert "memory grew by" in row["found"]


def test_agents_reach_the_ends_of_their_ranges(batch):
    """A third of the environments is pushed each way; the rest is uniform over the range."""
    agents = RestlessAgents(batch.groups, 3000, 7)
    action = agents.act(None)["bess"][:, :, 0]
    pushed = [np.all(action == end, axis=1).mean() for end in (-1.0, 1.0)]
    assert pushed == pytest.approx([1 / 3, 1 / 3], abs=0.03)  # three standard errors of a share of 3000
    between = action[np.abs(action).max(axis=1) < 1.0]
    assert between.std() == pytest.approx(1 / np.sqrt(3), abs=0.01)


@pytest.mark.slow
def test_a_long_soak_finds_nothing(tmp_path):
    """All suites on all grids in a hundredth of the steps; the whole is `make soak`."""
    done = soak("--full-steps", "20000", "--reduced-steps", "1000000", "--reduced-envs", "64", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing found" in done.stdout
