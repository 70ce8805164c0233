"""The certificate's script, shrunk to two short episodes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import check_feasibility
from control.evaluation.suite_seeds import evaluation_seeds

ROOT = Path(__file__).resolve().parents[2]


def check(*options, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_feasibility.py"), *options],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
        check=False,
    )


def test_every_suite_asked_for_is_reported(tmp_path):
    pytest.importorskip("piqp", reason="needs the extra `piqp`")
    done = check(
        "--suites", "normal", "n1", "--episodes", "1", "--intervals", "30", "--json", "found.json", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found) == ["normal", "n1"]
    for figures in found.values():
        shares = [figures[f"share_within_{mhz}mhz"] for mhz in (36, 200, 500)]
        assert 0.0 < shares[0] <= shares[1] <= shares[2] == 1.0
        assert figures["unavoidable_violations"] == 0
        assert figures["plan"]["return_mean"] > figures["do_nothing"]["return_mean"]
        assert figures["adequacy"]["fleet_range_mw"] == pytest.approx(1130.0)
    assert "unavoidable" in done.stdout


@pytest.mark.parametrize(("episodes", "of_suite", "of_file"), [(None, 50, 20), (3, 3, 3), (60, 50, 60)])
def test_the_episodes_are_those_that_evaluate_plays(monkeypatch, tmp_path, episodes, of_suite, of_file):
    path = tmp_path / "short.toml"
    path.write_text("n_intervals = 2\n")
    played = []
    monkeypatch.setattr("marl.environment.batch.make_batch", lambda scenario, n_env, **options: None)
    monkeypatch.setattr(
        "control.evaluation.feasibility.check_suite", lambda batch, seeds, tick: played.append(seeds)
    )
    monkeypatch.setattr("control.evaluation.feasibility.report", lambda suite, figures: suite)
    check_feasibility.check(check_feasibility.Options(suites=("n1", str(path)), episodes=episodes))
    np.testing.assert_array_equal(played[0], evaluation_seeds("n1", of_suite))
    np.testing.assert_array_equal(played[1], evaluation_seeds(str(path), of_file))


def test_an_unknown_suite_is_one_line(tmp_path):
    done = check("--suites", "calm", cwd=tmp_path)
    assert done.returncode == 2
    assert "no scenario is called 'calm', expected one of normal" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
