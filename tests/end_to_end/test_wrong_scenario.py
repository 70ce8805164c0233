"""A wrong scenario file, no place for the results, Ctrl-C: every script that takes a scenario ends in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_feasibility
import evaluate
import plot_scenario
import random_rollout
import soak
import train_mappo
import tune_baselines
from marl.config.training import NetworkConfig
from marl.environment.batch import make_batch
from marl.networks.policy import Policy

WRONG = {
    "trip_of_an_equivalent.toml": '[[event]]\ntime_s = 10.0\nkind = "machine_out"\nelement = "G13"\n',
    "return_of_what_runs.toml": '[[event]]\ntime_s = 10.0\nkind = "machine_in"\nelement = "G6"\n',
    "upside_down.toml": "[dispatch]\np_max_share = 0.05\n",
    "no_number.toml": "start_minute = nan\n",
    "endless.toml": "[dispatch]\ninterval_s = inf\n",
    "one_bracket.toml": '[event]\ntime_s = 10.0\nkind = "machine_out"\nelement = "G6"\n',
    "between_steps.toml": "interval_s = 0.03\n",
    "no_delays.toml": "scada_class_delays = 3\n",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained policy."""
    path = tmp_path_factory.mktemp("model") / "model.pt"
    groups = make_batch("normal", 1, check=False).groups
    Policy(groups, NetworkConfig(), {"observation": "default"}).save(path)
    return path


@pytest.fixture
def call(model, capfd, monkeypatch, tmp_path):
    """Runs a script's main in an empty directory and returns its status and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    more = {
        evaluate: ["--model-path", str(model)],
        plot_scenario: ["--episodes", "2"],
        check_feasibility: ["--episodes", "1"],
        soak: ["--full-steps", "1", "--reduced-steps", "0", "--cases", "rogers"],
        train_mappo: ["--no-tensorboard"],
    }

    def run(script, *arguments):
        try:
            # All controllers are in the table of suites, and no single model.
            mine = [] if "--suite" in arguments else more.get(script, [])
            status = script.main([*mine, *map(str, arguments)])
        except SystemExit as end:
            status = end.code
        return status, capfd.readouterr().err

    return run


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize(
    ("script", "option"),
    [
        (plot_scenario, "--scenario"),
        (evaluate, "--scenario"),
        (evaluate, "--suite"),
        (train_mappo, "--scenario"),
        (train_mappo, "--eval-scenario"),
        (check_feasibility, "--suites"),
        (soak, "--suites"),
        (random_rollout, "--scenario"),
        (tune_baselines, "--scenario"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(call, tmp_path, script, option, name):
    path = tmp_path / name
    path.write_text(WRONG[name])
    status, said = call(script, option, path)
    assert status == 2
    assert said.count("\n") == 1
    assert said.startswith(f"{script.PROGRAM}: error: {path}: ")


@pytest.mark.parametrize(
    ("script", "option"),
    [
        (evaluate, "--scenario"),
        (evaluate, "--suite"),
        (random_rollout, "--scenario"),
        (tune_baselines, "--scenario"),
    ],
)
def test_a_scenario_that_nobody_knows_is_a_wrong_option(call, script, option):
    status, said = call(script, option, "calm")
    assert status == 2
    assert said.count("\n") == 1
    assert "'calm'" in said


@pytest.mark.parametrize(
    ("script", "option", "work"),
    [
        (check_feasibility, "--json", "check"),
        (soak, "--json", "run"),
        (evaluate, "--json", "one_policy"),
        (random_rollout, "--out", "run"),
        (plot_scenario, "--json", "show"),
        (plot_scenario, "--out", "show"),
        (train_mappo, "--checkpoints", "train"),
    ],
)
def test_the_place_of_the_results_is_looked_at_before_the_work(
    call, monkeypatch, tmp_path, script, option, work
):
    def begin(*arguments):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(script, work, begin)
    places = [tmp_path / "taken" / "x.png"]
    places[0].parent.write_text("a file where a directory would have to be")
    if option != "--checkpoints":
        places.append(tmp_path / "directory.png")
        places[1].mkdir()
    for place in places:
        status, said = call(script, option, place)
        assert status == (2 if script is plot_scenario and place is places[0] else 1)
        assert said.count("\n") == 1
        assert f"{option} {place}" in said


@pytest.mark.parametrize(
    ("script", "work"),
    [
        (check_feasibility, "check"),
        (soak, "run"),
        (evaluate, "one_policy"),
        (random_rollout, "run"),
        (plot_scenario, "show"),
    ],
)
def test_ctrl_c_ends_in_one_line(call, monkeypatch, script, work):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, work, interrupt)
    status, said = call(script)
    assert status == 130
    assert said.count("\n") == 1
    assert said.startswith(f"{script.PROGRAM}: stopped")


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        (check_feasibility, ("--episodes", "0"), "--episodes 0, expected at least 1"),
        (check_feasibility, ("--episodes", "-99"), "--episodes -99, expected at least 1"),
        (check_feasibility, ("--intervals", "0"), "--intervals 0, expected at least 1"),
        (check_feasibility, ("--suites",), "--suites names none"),
        (soak, ("--full-envs", "0"), "--full-envs 0, expected at least 1"),
        (soak, ("--reduced-steps", "-100"), "--reduced-steps -100, expected at least 0"),
        (soak, ("--full-steps", "0"), "leave nothing to play"),
        (soak, ("--cases",), "--cases names none"),
        (soak, ("--intervals", "0"), "--intervals 0, expected at least 1"),
        (soak, ("--seed", "-1"), "--seed -1, expected at least 0"),
        (soak, ("--suites",), "--suites names none"),
    ],
)
def test_numbers_out_of_range_are_refused(call, script, arguments, words):
    status, said = call(script, *arguments)
    assert status == 2
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.parametrize("script", [check_feasibility, soak])
def test_figures_that_cannot_be_written_after_all_end_in_one_line(call, monkeypatch, tmp_path, script):
    """The disk fills up meanwhile."""

    def full(path: Path, content: object) -> None:
        raise script.command_line.OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(script, "check" if script is check_feasibility else "run", lambda options: {})
    monkeypatch.setattr(script.command_line, "write_json", full)
    status, said = call(script, "--json", tmp_path / "x.json")
    assert status == 1
    assert said.count("\n") == 1
    assert "No space left" in said
