"""scripts/plot_scenario.py as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "plot_scenario.py"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_the_year_the_noise_and_an_episode_are_shown(tmp_path):
    done = run(
        "--scenario",
        "n1",
        "--episodes",
        "40",
        "--commitment",
        "--out",
        "s.svg",
        "--json",
        "s.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.svg").read_text(encoding="utf-8").startswith("<?xml")
    figures = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    for noise in figures["noise"].values():
        # 40 episodes of 500 steps hold some 40 x 6 independent values of the slowest noise, times the plants.
        assert noise["found"] == pytest.approx(noise["designed"], rel=0.15)
    assert figures["clean"]["changes_over_3_percent"] < figures["raw"]["changes_over_3_percent"] / 3
    # Inertia and gain fall with load and rise to what is published: 198 GW s, sum of H S, and 2500 MW/Hz.
    assert "inertia [GW s]" in done.stdout
    by_level = figures["commitment"]["by_load_level"]
    assert by_level[0]["inertia_gws"] < 0.6 * by_level[-1]["inertia_gws"]
    assert by_level[0]["gain_mw_per_hz"] < 0.6 * by_level[-1]["gain_mw_per_hz"]
    year = figures["commitment"]["year"][0]
    assert 150.0 < year["inertia_max_gws"] <= 198.01 * (1.0 + 1e-9)
    assert year["gain_max_mw_per_hz"] <= 2500.0 * (1.0 + 1e-9)
    # Its size in `normal` has a test of its own; without its outages n1 is the same.
    assert 0.5 < figures["imbalance_percent_of_load"] < 1.0


def test_a_scenario_of_ones_own_is_measured_without_its_trip_and_drawn_with_it(tmp_path):
    """No noise either, so that there is no spectrum to show."""
    (tmp_path / "trip.toml").write_text(
        "start_minute = 281000\nload_slow_percent = 0\nload_fast_percent = 0\nwind_percent = 0\npv_percent = 0\n"
        '[[event]]\ntime_s = 300\nkind = "machine_out"\nelement = "G6"\n'
        '[[event]]\ntime_s = 900\nkind = "load_step"\nelement = "load 41"\np_mw = 150\n'
    )
    done = run(
        "--scenario", "trip.toml", "--episodes", "2", "--out", "s.svg", "--json", "s.json", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    figures = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert figures["noise"] == {}
    # What dispatch errors and ramps leave of some 9,000 MW, without the 630 MW of the unit.
    assert 10.0 < figures["imbalance_rms_mw"] < 300.0
    picture = (tmp_path / "s.svg").read_text(encoding="utf-8")
    for words in ("G6 lost", "load 41 +150 MW"):
        assert picture.count(f"<!-- {words} -->") == 2  # in the panels of the episode and of its imbalance


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scenario", "abnormal"), "expected one of normal"),
        (("--out", "s.gif"), "ends in '.gif'"),
        (("--json", "nowhere/s.json"), "does not exist"),
        (("--episodes", "1"), "expected 2 to 10000"),
    ],
)
def test_a_wrong_option_ends_in_one_line_that_says_what_is_wrong(tmp_path, arguments, words):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
