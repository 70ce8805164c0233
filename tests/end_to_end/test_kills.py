"""What is killed at any instant leaves whole files and ends as if it had not been: scripts/kills.py in short."""

import random

import pytest

import kills
from marl.verification.killing import Found, compare, results, torment, without_clock


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(kills.WORK))
def test_three_kills_of_each_kind_change_nothing(kind):
    figures = torment(kind, kills.WORK[kind], 3, random.Random(1), lambda n: None)
    assert figures["kills"] == 3
    assert figures["runs"] >= 1


def test_half_a_file_is_found(tmp_path):
    (tmp_path / "table.json").write_text('{"normal": ')
    with pytest.raises(Found, match="table.json cannot be read: JSONDecodeError"):
        results(tmp_path, kills.WORK["evaluation"])


def test_another_result_is_found():
    with pytest.raises(
        Found, match="tuning: out/agc.json is another than that of the run that was never killed"
    ):
        compare("tuning", {"out/agc.json": {"gain": 1.0}}, {"out/agc.json": {"gain": 1.0000000000000002}})
    compare("tuning", without_clock({"a": 1, "elapsed_s": 2}), {"a": 1})


def test_a_wrong_kind_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        kills.main(["--kinds", "cooking"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
