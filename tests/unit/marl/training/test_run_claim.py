"""One run in a directory at a time: whoever comes second is told who is there, a killed run keeps nobody out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marl.training.run_claim import CLAIM, DirectoryClaimed, RunClaim

ROOT = Path(__file__).resolve().parents[4]
HOLD = """
import pathlib, subprocess, sys, time
sys.path.insert(0, sys.argv[2])
from marl.training.run_claim import RunClaim
claim = RunClaim(pathlib.Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_second_is_told_who_is_there(tmp_path):
    with (
        RunClaim(tmp_path / "run"),
        pytest.raises(DirectoryClaimed, match=rf"run is in use by process {os.getpid()} on \S+ since 20"),
    ):
        RunClaim(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []  # nothing is left of a claim that ended
    RunClaim(tmp_path / "run").release()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process as POSIX does")
def test_the_claim_of_a_killed_run_is_void_at_once_though_its_children_live(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as run:
        child = int(run.stdout.readline())
        try:
            with pytest.raises(DirectoryClaimed, match=f"process {run.pid} "):
                RunClaim(tmp_path)
            run.kill()
            run.wait()
            assert (tmp_path / CLAIM).exists()  # stale, and recognised as such
            os.kill(child, 0)  # alive
            RunClaim(tmp_path).release()
        finally:
            run.kill()
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_hold_the_claim(tmp_path):
    claim = RunClaim(tmp_path)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        claim.release()
        RunClaim(tmp_path).release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, capsys):
    def refuse(file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("marl.training.run_claim._lock", refuse)
    RunClaim(tmp_path).release()
    assert "knows no locks" in capsys.readouterr().err
