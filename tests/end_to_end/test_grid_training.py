"""Training on the real grid from the command line: killed, resumed, and evaluated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def train(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train_mappo.py"), "--no-tensorboard", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )


def steps_in(path: Path) -> int:
    lines = path.read_text().splitlines() if path.exists() else []
    return max(len(lines) - 1, 0)


@pytest.mark.slow
def test_a_killed_run_resumes_and_loses_at_most_what_came_after_its_last_checkpoint(tmp_path):
    """SIGKILL at some moment after the second checkpoint; the resumed run ends as one that was never killed."""
    shape = [
        *("--n-envs", "4", "--total-episodes", "8", "--episode-steps", "50", "--buffer-steps", "40"),
        *(
            "--minibatch-steps",
            "20",
            "--checkpoint-every",
            "1",
            "--eval-episodes",
            "2",
            "--eval-every",
            "100",
        ),
    ]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = train(*shape, "--out", str(killed), "--checkpoints", str(tmp_path / "a"))
    end = time.monotonic() + 120.0
    while steps_in(killed / "metrics.csv") < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / "checkpoint_last.pt").exists()
    assert not (killed / "final_model.pt").exists()

    resumed = train("--resume", str(killed), "--checkpoints", str(tmp_path / "a"))
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, output
    other = train(*shape, "--out", str(whole), "--checkpoints", str(tmp_path / "b"))
    output, _ = other.communicate(timeout=300)
    assert other.returncode == 0, output
    import torch

    from marl.networks.policy import Policy

    a, b = (Policy.load(run / "final_model.pt").state_dict() for run in (killed, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)
    statistics = json.loads((killed / "training_stats.json").read_text())
    assert statistics["finished"] is True
