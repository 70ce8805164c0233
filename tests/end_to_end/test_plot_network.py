"""scripts/plot_network.py as its user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "plot_network.py"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_an_outage_is_drawn_and_the_bus_it_cuts_off_is_named(tmp_path):
    """Circuit 1-54 is the only one at bus 1: without it the bus is dead."""
    done = run("--outage", "1-54", "G11", "--load-level", "0.6", "--out", "grid.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "buses 1, cut off" in done.stdout
    assert (tmp_path / "grid.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--outage", "54-53"), "circuits of that corridor: 54-53 #1, 54-53 #2"),
        (("--out", "grid.gif"), "ends in '.gif'"),
        (("--out", "nowhere/grid.png"), "does not exist"),
    ],
)
def test_a_wrong_option_ends_in_one_line_that_says_what_is_wrong(tmp_path, arguments, words):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
