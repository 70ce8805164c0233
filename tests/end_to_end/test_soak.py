"""The soak script itself, shrunk: a few short episodes of every suite; a longer one is marked slow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def soak(*options, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "soak.py"), *options],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=1800,
        check=False,
    )


def test_a_short_soak_finds_nothing(tmp_path):
    done = soak(
        "--steps", "600", "--n-envs", "4", "--intervals", "20", "--suites", "shift", "training_n1",
        "--json", "soak.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["total"]["steps"] == 600
    assert found["shift"]["episodes_ended"] == 12  # 21 and 54 steps of 4 environments, 20 an episode
    assert "nothing found" in done.stdout


@pytest.mark.slow
def test_a_long_soak_finds_nothing(tmp_path):
    """A hundred thousand steps; the full million is `python scripts/soak.py`."""
    done = soak("--steps", "100000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
