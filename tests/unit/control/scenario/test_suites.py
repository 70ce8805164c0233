"""Numbers of a scenario that are finite but beyond all sense, and the borders between seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.ieee68 import load_ieee68
from control.scenario.config import ScenarioError
from control.scenario.file import read_scenario
from control.scenario.suites import FIRST_HELD_OUT_SEED, VALIDATION_SEEDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_intervals = 1000000000", "scenario 'slip': n_intervals = 1000000000, expected 1 to a million"),
        ("outage_rate_per_h = 1e300", r"outage_rate_per_h = 1e\+300, expected -1e\+09 to 1e\+09"),
        (
            "[dispatch]\ninterval_s = 1e-9",
            "scenario 'slip': dispatch.interval_s = 1e-09, expected 1 to 86400",
        ),
        ("[dispatch]\ninterval_s = 1e300", r"dispatch.interval_s = 1e\+300, expected -1e\+09 to 1e\+09"),
        (
            "[forecast]\npv_growth = 1e9",
            "scenario 'slip': forecast.pv_growth = 1000000000.0, expected -10 to 10",
        ),
    ],
)
def test_a_slip_of_the_pen_does_not_end_in_a_lack_of_memory(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "slip.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=f"slip.toml: {message}"):
        read_scenario(path, load_ieee68())


def test_validation_seeds_end_where_the_suites_begin():
    assert VALIDATION_SEEDS.first + VALIDATION_SEEDS.count == FIRST_HELD_OUT_SEED
