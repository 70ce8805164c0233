"""A few hundred damaged inputs of each kind, as `make fuzz` tries ten thousand; and that it would notice."""

import json
import multiprocessing
import random
import re
import subprocess
import sys
import warnings

import pytest

import fuzz
from control.evaluation import damaged_grids
from control.evaluation.damage import damaged, try_damaged
from grid_model.power_flow.open_case import open_and_solve

N_INPUT = {"command_line": 100, "grid_file": 30, "pandapower": 30}  # some 10 ms each, 200 and 200


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_inputs_end_in_one_clear_line(kind):
    n_input = N_INPUT.get(kind, 200)
    counts = try_damaged(kind, fuzz.ways()[kind], n_input, 1, None, lambda: None)
    assert counts.wrong == []
    assert counts.accepted + counts.refused == n_input
    assert counts.refused > n_input // 5  # most damage is noticed; none would mean that nothing is damaged


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (ValueError("one line"), None),
        (ValueError("two\nlines"), "refused in 2 lines"),
        (ValueError(), "refused in 0 lines"),
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
def test_whatever_ends_otherwise_is_counted_and_kept(tmp_path, error, wrong):
    def take(content):
        raise error

    way = (lambda rng: b"input", take, (ValueError,))
    counts = try_damaged("config", lambda directory: way, 2, 0, tmp_path / "kept", lambda: None)
    if wrong is None:
        assert (counts.refused, counts.wrong) == (2, [])
        assert not (tmp_path / "kept").exists()
    else:
        assert [line.startswith(f"input {k}: {wrong}") for k, line in enumerate(counts.wrong)] == [True, True]
        assert (tmp_path / "kept" / "config-0-1").read_bytes() == b"input"


# Forks want a process of one thread, which a test's is not.
APART = """
import json, os, pathlib, signal
from dataclasses import asdict
from control.evaluation.damage import try_damaged

def take(content):
    if content == b"input 1":
        os.kill(os.getpid(), signal.SIGSEGV)
    if content == b"input 3":
        os._exit(7)
    if content == b"input 4":
        raise ValueError("one line")

names = iter(range(6))
way = (lambda rng: b"input %d" % next(names), take, (ValueError,))
counts = try_damaged("config", lambda place: way, 6, 0, pathlib.Path("kept"), lambda: None, apart=True)
print(json.dumps(asdict(counts)))
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no forks on this system")
def test_an_input_that_ends_the_process_is_told_of_and_kept_and_the_rest_is_tried(tmp_path):
    """A segmentation fault, here one that the process sends itself, leaves nobody to raise an exception."""
    done = subprocess.run(
        [sys.executable, "-c", APART], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["accepted"], counts["refused"]) == (3, 1)
    assert [line.split(" in ")[0] for line in counts["wrong"]] == [
        "input 1: ended the process by SIGSEGV", "input 3: ended the process with status 7",
    ]  # fmt: skip
    assert re.search(r'in File "<string>", line \d+ in take$', counts["wrong"][0])
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["config-0-1", "config-0-3"]
    assert (tmp_path / "kept" / "config-0-1").read_bytes() == b"input 1"


LONG = b"9" * 1000
ONCE = {
    "a column whose name holds a line separator": (
        "grid_file", "wind.csv\nname,ki\u2028nd,bus,mw,series\nw,wind,11,12,wind_3\n".encode(),
        r"wind.csv, row 1: unknown column ki\u2028nd, expected of",
    ),
    "an entry over two lines": (
        "grid_file", b'wind.csv\nname,kind,bus,mw,series\nw,wind,11,12,"wind\n_3"\n',
        r"series = wind\n_3, expected one of",
    ),
    "a machine as large as no grid": (
        "grid_file", b"machines.csv\nmachine,h_s,rating_mva\nG5,4,1e300\nG9,4,100\n", "turn with 4e+300 MWs, expected",
    ),
    "a name longer than any file's": (
        "grid_file", b'inline.toml\ngrid = "' + LONG + b'"\n', "neither a grid file nor a net that pandapower has",
    ),
    "a whole number that no float is": (
        "grid_file", b'grid.toml\ngrid = "ring.m"\nload_scale = ' + LONG + b"\n", "expected a number above 0",
    ),
    "reactances that make the matrix of DC power flow singular": (
        "matpower", damaged_grids.MATPOWER.replace(b"0.010\t0.08", b"0.010\t1e-300").replace(
            b"0.12\t0.02", b"0.12\t-1e300"
        ), "no AC power flow",
    ),
    "a setting that holds a line separator": (
        "config", rb'{"training": {"se\u2028ed": 1}}', "TrainingConfig of another version of this project",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ONCE)
def test_what_once_ended_otherwise_is_refused_in_one_line(tmp_path, what):
    kind, content, said = ONCE[what]
    _, take, refusals = fuzz.ways()[kind](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(refusals) as refusal:
            take(content)
    assert said in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_net_whose_buses_have_no_names_is_taken(tmp_path):
    """Pandapower solves it too; the bus's own number stands for the name."""
    import pandapower as pp
    import pandapower.networks

    net = pandapower.networks.simple_four_bus_system()
    del net.bus["name"]
    pp.to_json(net, str(tmp_path / "net.json"))
    opened = open_and_solve(str(tmp_path / "net.json"))
    assert set(opened.case.bus.bus_number.tolist()) <= set(net.bus.index)


def test_the_same_seed_does_the_same_damage_and_hardly_any_input_stays_whole():
    rng, again = random.Random(3), random.Random(3)
    inputs = [damaged(damaged_grids.SCENARIO, rng) for _ in range(200)]
    assert inputs == [damaged(damaged_grids.SCENARIO, again) for _ in range(200)]
    assert sum(content == damaged_grids.SCENARIO for content in inputs) < 20


def test_what_is_damaged_was_whole(tmp_path):
    """Or every input would be refused for what was wrong before."""
    _, take, _ = damaged_grids.scenario(tmp_path)
    take(damaged_grids.SCENARIO)
    _, take, _ = damaged_grids.matpower(tmp_path)
    take(damaged_grids.MATPOWER)
    _, take, _ = damaged_grids.grid_file(tmp_path)
    for name, content in damaged_grids.GRID_FILES.items():
        take(name.encode() + b"\n" + content)


def test_wrong_kinds_are_refused(capsys):
    with pytest.raises(SystemExit) as end:
        fuzz.main(["--kinds", "weather"])
    assert end.value.code == 2
    assert "--kinds weather, expected of scenario" in capsys.readouterr().err
