"""Every example runs, in small; those of other libraries where these are installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name):
    """The example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # other libraries pickle what it defines by name
    spec.loader.exec_module(module)
    return module


def test_the_list_names_every_example():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"`{path.name}`" in text


def test_a_law_of_ones_own_is_judged_beside_agc():
    """Any law of the right sign does better than nobody at the controls."""
    found = example("own_controller").main(n_env=2)
    assert 0.0 > found["own law"] > found["do_nothing"]
    assert 0.0 > found["agc"] > found["do_nothing"]


def test_dearer_movement_moves_less():
    found = example("own_reward").main(n_env=1)
    assert found[10.0] < found[1.0]


def test_a_grid_of_ones_own_goes_from_its_file_to_a_policy():
    """case39 has 46 branches and 10 machines; by rule 14 plants of wind and sun and 20 to control stand on it."""
    verdicts, returns = example("own_grid").main(episodes=4, steps=10, n_env=4)
    assert sum(verdicts.values()) == 46 + 10 + 14 + 20
    assert set(returns) == {"trained", "random", "do_nothing"}
    assert all(value < 0.0 for value in returns.values())


@pytest.mark.parametrize(
    ("name", "arguments", "status", "told"),
    [
        ("own_grid", ["--help"], 0, ""),
        ("own_grid", ["/nosuch.m"], 2, "own_grid.py: error: /nosuch.m: "),
        ("own_grid", ["case9", "case14"], 2, ""),
        ("onnx_policy", ["--help"], 0, ""),
        ("onnx_policy", [], 2, ""),
        ("onnx_policy", ["/nosuch.onnx"], 2, "onnx_policy.py: error: /nosuch.onnx: "),
    ],
)
def test_a_wrong_argument_of_an_example_ends_in_one_line(name, arguments, status, told):
    if name == "onnx_policy":
        pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == (1 if told else 0)
    assert bool(done.stdout) != bool(told)


def test_ppo_in_one_file_learns_something():
    """Exploration shrinks what random movement costs within a few updates; seeds are fixed."""
    means = example("cleanrl_style_ppo").main(n_update=2, n_env=2, n_step=20)
    assert len(means) == 2
    assert all(mean < 0.0 for mean in means)


@pytest.mark.parametrize(
    ("library", "name", "options", "expected"),
    [
        ("torchrl", "torchrl_rollout", {"n_step": 5}, None),
        ("benchmarl", "benchmarl_mappo", {"n_frame": 200}, 200),
        ("ray.rllib", "rllib_ppo", {"n_iteration": 1, "batch": 500}, 500),
        ("stable_baselines3", "sb3_ppo", {"total_timesteps": 1000}, None),
    ],
)
def test_examples_of_other_libraries_run(library, name, options, expected):
    pytest.importorskip(library, reason=f"needs {library}")
    found = example(name).main(**options)
    assert expected is None or found == expected
