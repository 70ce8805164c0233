"""Numbers of a scenario that are finite but beyond all sense, and the borders between seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.scenario.config import ScenarioError
from control.scenario.file import read_scenario
from control.scenario.suites import FIRST_HELD_OUT_SEED, VALIDATION_SEEDS
from control.task.open_task import Physics, make_task


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


@pytest.mark.parametrize(("physics", "pool"), [("full", 0), ("reduced", 0), ("reduced", 4)])
def test_batteries_begin_alike_and_anywhere_between_empty_and_full(physics: Physics, pool: int) -> None:
    task = make_task("training_energy", 40, 3, check=False, physics=physics, pool=pool)
    task.reset()
    bess = task.loop.fleet.bess
    share = task.loop.resources.energy_mwh[:, bess] / task.loop.fleet.energy_mwh[bess]
    np.testing.assert_allclose(share, np.repeat(share[:, :1], len(bess), axis=1), rtol=1e-12)
    assert share.min() >= 0.03
    assert share.max() <= 0.97
    # Of 40 uniform numbers none in the lowest or none in the highest fifth has a chance of 2 x 0.8^40 = 3e-4.
    assert share.min() < 0.03 + 0.2 * 0.94
    assert share.max() > 0.97 - 0.2 * 0.94


def test_batteries_begin_each_with_its_own_charge_elsewhere() -> None:
    task = make_task("training", 2, 3, check=False)
    task.reset()
    energy_mwh = task.loop.resources.energy_mwh[:, task.loop.fleet.bess]
    assert len(np.unique(energy_mwh)) == energy_mwh.size
