"""TorchRL's MAPPO beside the training here: what is told of both, and what TorchRL sees, where it is there."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

import time_torchrl
from benchmarks.torchrl_settings import SETTINGS
from control.evaluation import learning_figures
from control.scenario.suites import SCENARIOS
from marl.environment.batch import make_batch


@dataclass(frozen=True)
class Judged:
    """As `benchmarks.torchrl_mappo.Judgement`, which needs TorchRL."""

    steps: int
    seconds: float
    cpu_s: float
    held_out_return: float


COURSE = [Judged(1000, 2.0, 1.0, -30.0), Judged(2000, 4.0, 2.0, -9.0), Judged(3000, 6.0, 3.0, -12.0)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--settings", "recipe,own"], "--settings: no setting 'own', expected of tutorial, recipe"),
        (["--seconds", "0"], "--seconds 0.0, expected more than 0"),
        (["--steps", "0"], "--steps 0, expected at least 1"),
        (["--judge-every", "0"], "--judge-every 0, expected at least 1"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as end:
        time_torchrl.main(arguments)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"time_torchrl.py: error: {words}")


@pytest.mark.parametrize("missing", time_torchrl.LIBRARIES)
def test_without_torchrl_one_line_says_what_to_install(missing, monkeypatch, capsys):
    installed: Callable[[str], object] = lambda name: None if name == missing else object()  # noqa: E731
    monkeypatch.setattr(time_torchrl, "find_spec", installed)
    assert time_torchrl.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"time_torchrl.py: error: {missing} is not installed; pip install -e '.[torchrl]'")


def test_the_first_judgement_above_the_bar_counts_with_the_start_before_it():
    found = time_torchrl.row(COURSE, -10.0, start_s=5.0, start_cpu_s=3.5)
    assert (found["time_to_agc_s"], found["cpu_to_agc_s"], found["steps_to_agc"]) == (9.0, 5.5, 2000)
    assert (found["seconds"], found["cpu_s"], found["steps"]) == (11.0, 6.5, 3000)
    assert (found["steps_per_s"], found["steps_per_cpu_s"]) == (500.0, 1000.0)  # of the training alone
    assert found["best_return"] == -9.0


def test_a_bar_that_is_never_passed_is_told_as_never():
    """Equal to it is not above it."""
    found = time_torchrl.row(COURSE, -9.0, start_s=5.0, start_cpu_s=3.5)
    assert found["time_to_agc_s"] is found["cpu_to_agc_s"] is found["steps_to_agc"] is None
    ours = {"time_to_agc_s": 36.26, "cpu_to_agc_s": 50.4, "steps_to_agc": 102_400}
    _, _, first, second = learning_figures.torchrl({"bar": -9.0, "torchrl": {"recipe": found}, "ours": ours})
    assert first == "| the default training | 36 | 50 | 102,400 | - | - |"
    assert second.endswith("| never in 11 | never in 6 | never in 3,000 | 1,000 | -9 |")


def test_every_setting_has_words_for_the_table():
    assert set(learning_figures.TORCHRL) == set(SETTINGS)


def test_torchrl_sees_the_same_episodes_as_the_learner_here():
    """Episodes of 3 intervals: the third step shows their true last observation, the reset the next one's first."""
    pytest.importorskip("torchrl", reason="needs torchrl")
    from benchmarks.torchrl_mappo import ACTION, OBSERVATION, Grid, joint, of_groups

    short = replace(SCENARIOS["normal"], n_intervals=3)
    env, batch = Grid(make_batch(short, 2, 1, check=False)), make_batch(short, 2, 1, check=False)
    seen, expected = env.reset(), batch.reset()
    rng = np.random.default_rng(0)
    for k in range(1, 8):
        assert np.array_equal(seen[OBSERVATION].numpy(), joint(expected.observations))
        assert np.array_equal(seen["state"].numpy(), expected.state)
        actions = rng.uniform(-1.0, 1.0, (2, 20, 1)).astype(np.float32)
        step = batch.step(of_groups(batch.groups, actions))
        shown, seen = env.step_and_maybe_reset(seen.set(ACTION, env.full_action_spec[ACTION].encode(actions)))
        after, expected = shown["next"], step.observation
        assert np.array_equal(after[OBSERVATION].numpy(), joint(step.final_observation.observations))
        assert np.array_equal(after["reward"].numpy()[:, 0], step.reward.astype(np.float32))
        assert after["truncated"].numpy().all() == after["done"].numpy().all() == (k % 3 == 0)
        assert not after["terminated"].numpy().any()


def test_torchrl_trains_and_is_judged():
    """Two updates of a few steps."""
    pytest.importorskip("torchrl", reason="needs torchrl")
    from benchmarks.torchrl_mappo import train

    for setting in SETTINGS.values():
        small = replace(setting, n_env=4, buffer_steps=32, minibatch_steps=16, epochs=1)
        judged = train(small, steps=64, seconds=1e3, judge_every=32, n_judged=1)
        assert [one.steps for one in judged] == [32, 64]
        assert all(-1e9 < one.held_out_return < 0.0 for one in judged)
        assert 0.0 < judged[0].cpu_s < judged[1].cpu_s
