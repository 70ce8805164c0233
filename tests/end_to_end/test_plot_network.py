"""scripts/plot_network.py as its user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

import plot_network

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "plot_network.py"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_an_outage_is_drawn_and_the_bus_it_cuts_off_is_named(tmp_path):
    """Circuit 1-54 is the only one at bus 1: without it the bus is dead."""
    done = run("--outage", "1-54", "G11", "--load-level", "0.6", "--out", "grid.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cut off   buses 1\n" in done.stdout
    assert (tmp_path / "grid.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--color", "frequency"), "name one by --outage"),
        (("--load-level", "1.9"), "no solution"),
        (("--outage", "54-53"), "circuits of that corridor: 54-53 #1, 54-53 #2"),
        (("--time-s", "0.8"), "--time-s 0.8 is of --color frequency: add it, or leave --time-s out"),
        (
            ("--color", "frequency", "--outage", "G11", "--time-s", "0.03"),
            "--time-s 0.03, expected a multiple of 0.02 s",
        ),
        (("--outage", "G11", "G11"), "--outage G11: named twice, expected every element once"),
        (("--outage",), "--outage names none, expected circuits and machines by name"),
        (
            ("--case", "CASE39"),
            "CASE39: neither a grid file nor a net that pandapower has (perhaps you meant case39)",
        ),
        (("--out", "grid.gif"), "ends in '.gif'"),
        (("--out", "nowhere/grid.png"), "does not exist"),
    ],
)
def test_a_wrong_option_ends_in_one_line_that_says_what_is_wrong(tmp_path, arguments, words):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_lost_machine_is_seen_in_the_frequency_of_every_bus(tmp_path):
    """G11 sends 1000 MW of 18,400 MW: all buses fall below nominal, none by more than its RoCoF allows.

    f0 dP / (2 sum H S) with 2 sum H S / f0 from machine.csv; the nearest area starts faster than the mean, but
    at 0.8 s no area is more than twice as low as the centre of inertia.
    """
    from cases.ieee68 import load_ieee68

    case = load_ieee68()
    rocof_hz_per_s = 60.0 * 1000.0 / (2.0 * float(case.machine.h_s @ case.machine.base_mva))
    done = run(
        "--color", "frequency", "--outage", "G11", "--time-s", "0.8", "--out", "wave.png", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0].split()
    lowest_mhz, highest_mhz = float(first[1]), float(first[first.index("to") + 1])
    assert -2.0 * 1e3 * rocof_hz_per_s * 0.8 < lowest_mhz < highest_mhz < 0.0


def test_a_grid_of_ones_own_is_drawn_with_what_was_assumed_about_it(tmp_path, capsys):
    out = tmp_path / "case39.png"
    assert plot_network.main(["--case", "case39", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "10 machines have no dynamic data" in text
    assert out.stat().st_size > 10_000


def test_the_68_buses_are_drawn_alike_by_each_of_their_names(tmp_path, capsys):
    """Reactors of this project's rule, at 60 % of nominal load, and its own ratings."""
    told = []
    for case in ([], ["--case", "ieee68"], ["--case", "rogers"]):
        arguments = [*case, "--load-level", "0.6", "--out", str(tmp_path / "grid.svg")]
        assert plot_network.main(arguments) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] == told[2]
    assert "% of this project's rating A" in told[0]


def test_an_unknown_grid_ends_in_one_line(tmp_path, capsys):
    assert plot_network.main(["--case", "case40", "--out", str(tmp_path / "none.png")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "case39" in message
