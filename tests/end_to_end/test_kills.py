"""What is killed at any instant leaves whole files and ends as if it had not been: scripts/kills.py in short."""

import json
import subprocess
import sys
import time

import pytest

import kills
from marl.verification.killing import Found, Torment, compare, difference, results, run, without_clock


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(kills.WORK))
def test_three_kills_of_each_kind_change_nothing(tmp_path, kind):
    # Of new processes: this one may have threads, which a fork would lack.
    torment = Torment(kind, kills.WORK[kind], tmp_path, 1, forked=False)
    while torment.figures["kills"] < 3:
        torment.run(3 - int(torment.figures["kills"]), lambda n: None)
    assert torment.figures["kills_of_new_processes"] == torment.figures["kills"] == 3
    assert torment.figures["runs"] >= 1


COUNTS = """
import pathlib, sys, time
place = pathlib.Path(sys.argv[1])
said = place / "said.json"
n = int(said.read_text()) if said.exists() else 0
while n < 30:
    end = time.process_time() + 0.005
    while time.process_time() < end:
        pass
    n += 1
    {write}
"""
# Forks want a process of one thread, which a test's is not.
TORMENT = """
import json, pathlib, sys
from marl.verification.killing import Torment, Work
script, folder, forked = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "forked"
command = lambda place: [script, str(place)]
torment = Torment("count", Work(command, command, ("said.json",)), folder, 0, forked=forked)
while torment.figures["runs"] < 4:
    torment.run(5, lambda n: None)
print(json.dumps(torment.figures))
"""


def tormented(tmp_path, write, how):
    """A script that counts to thirty, 5 ms each, and writes down how far it has come, in four runs that are killed."""
    script = tmp_path / "count.py"
    script.write_text(COUNTS.format(write=write))
    return subprocess.run(
        [sys.executable, "-c", TORMENT, str(script), str(tmp_path), how],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["forked", "new"])
def test_what_writes_whole_files_survives(tmp_path, how):
    done = tormented(tmp_path, 'new = place / "new"; new.write_text(str(n)); new.replace(said)', how)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["runs"] == 4
    assert figures["kills"] > 0  # a run is killed with five chances in six
    assert figures["kills_of_new_processes"] <= figures["kills"]
    assert 0.15 < figures["whole_run_cpu_s"] < 5.0  # 30 times 5 ms, and the start of Python


def test_what_cuts_its_file_while_it_writes_is_found(tmp_path):
    """The file is empty for six sevenths of the time: all of some five kills miss it once in 10,000 times."""
    busy = "end = time.process_time() + 0.03\n    while time.process_time() < end: pass\n    "
    done = tormented(tmp_path, f'said.write_text("")\n    {busy}said.write_text(str(n))', "new")
    assert done.returncode == 1
    assert "said.json cannot be read: JSONDecodeError" in done.stderr


def test_a_kill_ends_what_the_work_has_started(tmp_path):
    """A child that would write a file after a second does not live to do it."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1); open(\"late\", \"w\")'])\n"
        "while True: pass\n"
    )
    assert not run([str(script)], tmp_path, 0.2)
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


def test_figures_are_added_to(tmp_path):
    """As many kills are left as have not been counted, and the next run has instants of its own."""
    options = kills.Options(kills=10, kinds=("policy",), json=tmp_path / "kills.json", go_on=True)
    assert kills.earlier(options) == {}
    counts = {"kills": 4, "kills_of_new_processes": 1, "runs": 3, "whole_run_cpu_s": 2.5}
    (tmp_path / "kills.json").write_text(json.dumps({"policy": counts, "total": counts}))
    assert json.dumps(kills.earlier(options)) == json.dumps({"policy": counts})  # counts stay whole numbers
    (tmp_path / "kills.json").write_text('{"policy": {}}')
    with pytest.raises(kills.command_line.OptionError, match="holds no figures of kills"):
        kills.earlier(options)


def test_kills_are_shared_out_by_what_a_run_takes():
    shares = kills.shares(1000, kills.Options().kinds)
    assert sum(shares.values()) == 1000
    assert shares["ablation"] == pytest.approx(1000 * 0.2 / 7.2, abs=1.0)  # to a whole kill


def test_half_a_file_is_found(tmp_path):
    (tmp_path / "table.json").write_text('{"normal": ')
    with pytest.raises(Found, match="table.json cannot be read: JSONDecodeError"):
        results(tmp_path, kills.WORK["evaluation"])


def test_another_result_is_found():
    with pytest.raises(
        Found,
        match=r"tuning: out/agc.json is another than that of the run that was never killed: "
        r"gain is 1\.0000000000000002, expected 1\.0$",
    ):
        compare("tuning", {"out/agc.json": {"gain": 1.0}}, {"out/agc.json": {"gain": 1.0000000000000002}})
    compare("tuning", without_clock({"a": 1, "elapsed_s": 2}), {"a": 1})


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1] is 3, expected 2"),
        ([{"step": "1"}, {"step": "2"}], [{"step": "1"}, {"step": "4"}], "[1].step is '4', expected '2'"),
        ({"rows": [1, 2]}, {"rows": [1]}, "rows has 1 entries, expected 2"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is there, expected the contrary"),
        ({"a": 1, "b": 2}, {"a": 1}, "b is not there, expected the contrary"),
        ("page", "leaf", "it is 'leaf', expected 'page'"),
        ("x" * 999, None, "it is None, expected '" + "x" * 39 + "... (1001 characters)"),
    ],
)
def test_where_two_results_differ_is_told(expected, found, told):
    assert difference(expected, found) == told


def test_a_wrong_kind_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        kills.main(["--kinds", "cooking"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
