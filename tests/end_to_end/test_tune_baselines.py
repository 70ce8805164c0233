"""scripts/tune_baselines.py as its users run it, shrunk to a few intervals."""

import json
import os

import pytest

import command_line
import tune_baselines


@pytest.mark.slow
def test_tuning_goes_on_from_its_saved_state_and_keeps_its_provenance(tmp_path):
    arguments = [
        "--replace", "--only", "local_pi", "--candidates", "4", "--seeds", "2", "--n_intervals", "5",
        "--validation_episodes", "2", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert tune_baselines.main([*arguments, "--generations", "1"]) == 0
    assert tune_baselines.main([*arguments, "--generations", "3"]) == 0
    stopped = json.loads((tmp_path / "out" / "local_pi.json").read_text())
    whole = [a.replace("/state", "/state2") for a in arguments]
    assert tune_baselines.main([*whole, "--generations", "3"]) == 0
    assert json.loads((tmp_path / "out" / "local_pi.json").read_text()) == stopped
    provenance = stopped["provenance"]
    assert provenance["generations"] == 3
    assert provenance["validation_return_tuned"] < 0.0
    assert provenance["first_training_seed"] < 2**31


def test_a_baseline_that_cannot_be_tuned_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        tune_baselines.main(["--only", "do_nothing"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "--n-intervals",
            "100000",
            "expected at most 4000: a generation is told of when all of it is played",
        ),
        ("--seeds", "100000", "expected at most 1000: all episodes of a generation are in memory"),
        ("--validation-episodes", "1001", "expected at most 1000"),
        ("--workers", "100000", "expected at most 256"),
    ],
)
def test_a_search_that_nobody_would_wait_for_is_refused_in_one_line(capsys, option, value, said):
    try:
        status = tune_baselines.main(["--only", "agc", option, value])
    except SystemExit as end:
        status = end.code
    assert status == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert f"{option} {value}, {said}" in line


def test_a_process_that_dies_is_told_in_words_of_this_project():
    """As the system ends one where memory is short."""
    options = tune_baselines.Options(workers=2)
    with (
        pytest.raises(command_line.WorkFailed, match="a worker process died in the middle of an episode"),
        tune_baselines.players(options) as pool,
    ):
        pool.submit(os._exit, 9).result()
