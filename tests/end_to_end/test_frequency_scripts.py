"""The scripts of the frequency model as their users meet them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "script", ["validate_frequency.py", "plot_response.py", "benchmark.py", "andes_reference.py"]
)
def test_help_answers_at_once(script):
    start_s = time.monotonic()
    done = run(script, "--help")
    assert done.returncode == 0
    assert "usage" in done.stdout
    # 0.3 s on an idle machine; pandapower alone would take 2.5 s. Others may be at work.
    assert time.monotonic() - start_s < 5.0


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("validate_frequency.py", ["--level", "bus"], "level"),
        ("validate_frequency.py", ["--json", "/nowhere/f.json"], "directory does not exist"),
        ("validate_frequency.py", ["--plot", "f.txt"], ".png"),
        ("validate_frequency.py", ["--plot-coupled", "f.txt"], ".png"),
        ("validate_frequency.py", ["--golden", "/nowhere"], "andes.json"),
        ("plot_response.py", [], "name one disturbance"),
        ("plot_response.py", ["--trip", "G99"], "no machine 'G99'"),
        ("plot_response.py", ["--trip", "G9", "--load", "load 17"], "name one disturbance"),
        ("plot_response.py", ["--trip", "G9", "--out", "f.txt"], ".png"),
        ("plot_response.py", ["--load", "load 41", "--step-mw", "0"], "--step-mw 0 changes nothing"),
        ("plot_response.py", ["--trip", "G9", "--step-mw", "200"], "--step-mw 200 is of --load: name one"),
        ("plot_response.py", ["--load", "load 17", "--step-mw", "9000"], "no AC power flow"),
    ],
)
def test_a_wrong_option_is_one_clear_line(script, arguments, message, tmp_path):
    done = run(script, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_response_is_drawn_and_described(tmp_path):
    picture, page = tmp_path / "response.png", tmp_path / "response.html"
    what = ("--trip", "G11", "--level", "machine", "--duration-s", "8")
    done = run("plot_response.py", *what, "--out", str(picture), "--page", str(page))
    assert done.returncode == 0, done.stderr
    assert "nadir" in done.stdout
    assert picture.stat().st_size > 10_000
    assert "<canvas" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_validation_holds_and_writes_its_figures(tmp_path):
    figures, picture = tmp_path / "frequency.json", tmp_path / "frequency.png"
    coupled = tmp_path / "coupled.png"
    done = run(
        "validate_frequency.py",
        "--json",
        str(figures),
        "--plot",
        str(picture),
        "--plot-coupled",
        str(coupled),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(figures.read_text())
    assert set(written["modes_hz"]) == {"tr18", "rogers"}
    for modes in written["modes_hz"].values():
        assert len(modes) == 15
        assert modes == sorted(modes)
    keys = {
        "event",
        "model",
        "level",
        "rocof_hz_per_s",
        "nadir_hz",
        "settling_hz",
        "reference",
        "max_deviation_hz",
    }
    assert len(written["events"]) == 35
    assert all(keys <= set(event) for event in written["events"])
    assert {event["model"] for event in written["events"]} == {"classical by itself", "coupled"}
    # Four events, two load levels, four load models: at two levels of aggregation with the reference's exciters, and at
    # the default one with the published.
    assert len(written["coupled"]) == 96
    ours = {"nadir_mhz", "rocof_mhz_per_s", "settling_mhz"}
    keys = {"event", "load_model", "level", "outside", "why"} | ours | {f"andes_{name}" for name in ours}
    assert all(keys <= set(row) for row in written["coupled"])
    assert all(why for row in written["coupled"] for why in row["why"].values())
    assert written["inertia_mws"] == pytest.approx(198010.0)  # sum of H S of machine.csv
    assert coupled.stat().st_size > 10_000
    assert picture.stat().st_size > 10_000
