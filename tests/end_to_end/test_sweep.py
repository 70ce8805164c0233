"""A sweep of hyper-parameters on a Ray cluster of this machine, killed in the middle and begun again."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("ray.tune", reason="sweeps need Ray Tune: pip install -e '.[ray]'")
pytestmark = pytest.mark.within(seconds=300)  # some thirty on a machine that does nothing else

ROOT = Path(__file__).resolve().parents[2]
N_TRIAL = 8
# Two updates of 64 steps each, evaluated after both. Early stopping judges after the second, which is the last.
SIZES = {"trials": N_TRIAL, "episodes": 32, "steps": 4, "n-envs": 2, "eval-every": 1, "at-a-time": 1}
WRITTEN_EVERY_S = 0.5


def ended(out: Path) -> set[str]:
    """Trials that Ray Tune has written down as over."""
    found = set()
    for path in out.glob("tune/*/result.json"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}") and json.loads(line)["done"]:
                found.add(json.loads(line)["trial_id"])
    return found


def results(out: Path, trials: set[str]) -> dict[Path, bytes]:
    """What these trials learned, and each update's figures, seconds of it included."""
    return {
        path: path.read_bytes()
        for trial in sorted(trials)
        for path in sorted((out / "runs" / trial).glob("*"))
        if path.suffix in {".csv", ".pt"}
    }


def test_a_sweep_that_was_killed_goes_on_and_repeats_no_trial_that_had_ended(tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, str(ROOT / "examples" / "sweep.py"), "--out", str(out)]
    command += [text for name, value in SIZES.items() for text in (f"--{name}", str(value))]
    # Whoever is killed leaves its files; Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="sweep-", ignore_cleanup_errors=True) as scratch:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": scratch}
        # These trials take a second: Ray Tune, which writes down how far it is every ten, has to do so more often.
        environment["TUNE_GLOBAL_CHECKPOINT_S"] = str(WRITTEN_EVERY_S)
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        ) as sweep:
            while len(before := ended(out)) < 2:
                assert sweep.poll() is None, "the sweep ended by itself"
                time.sleep(0.05)
            # Until Ray Tune has written how far the sweep is, too. What ends meanwhile may be taken up again.
            time.sleep(1.25 * WRITTEN_EVERY_S)
            # With its cluster: where nobody buries the dead, Ray's workers believe that theirs lives, and stay.
            os.killpg(sweep.pid, signal.SIGKILL)
        assert len(ended(out)) < N_TRIAL
        known = results(out, before)
        assert len(known) >= 2 * len(before)  # metrics and a policy each
        again = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, timeout=240.0, check=True
        )
    assert len(ended(out)) == N_TRIAL
    # Their results are all told, those from before the kill too.
    assert sum(line.startswith("return ") for line in again.stdout.splitlines()) == N_TRIAL
    assert results(out, before) == known
