"""The golden files of full-order machines in ANDES, beside figures that others found with the same model."""

import json
from pathlib import Path

import numpy as np
import pytest

from grid_model.validation.coupled import DURATION_S, LOAD_MODELS, figures_of, read_full_order

GOLDEN = Path(__file__).resolve().parent / "golden"
REFERENCE = json.loads((GOLDEN / "full_order.json").read_text())
ENDED = {(run["event"], run["level"], run["load_model"]): run["end_s"] for run in REFERENCE["runs"]}


@pytest.mark.parametrize(
    ("load_model", "nadir_mhz", "rocof_mhz_per_s"),
    [("impedance", -246.9, -54.7), ("half", -306.1, -70.2), ("power", -398.4, -99.4)],
)
def test_the_loss_of_g3_has_the_nadir_that_was_found_before(load_model, nadir_mhz, rocof_mhz_per_s):
    """The same machines, exciter and event, set up independently in ANDES 2.0.0 beforehand."""
    time_s, coi_hz = read_full_order(GOLDEN, "loss of G3", 1.0, load_model)
    found = figures_of(coi_hz, time_s[1] - time_s[0], ENDED["loss of G3", 1.0, load_model])
    assert found["nadir_mhz"] == pytest.approx(nadir_mhz, abs=0.1)  # one unit of the last digit
    # At other integration steps the half second begins and ends a step apart: 0.02 s of 10 Hz/s^2 of swing.
    assert found["rocof_mhz_per_s"] == pytest.approx(rocof_mhz_per_s, abs=0.25)


def test_every_run_is_there_until_where_andes_found_no_solution():
    assert len(ENDED) == len(REFERENCE["events"]) * len(REFERENCE["levels"]) * len(LOAD_MODELS)
    for (event, level, load_model), end_s in ENDED.items():
        time_s, coi_hz = read_full_order(GOLDEN, event, level, load_model)
        assert time_s[0] == REFERENCE["event_s"]
        np.testing.assert_array_equal(np.isnan(coi_hz), time_s > end_s + 1e-9)


def test_the_loss_of_g9_is_survived_half_and_half_and_collapses_at_constant_power():
    assert ENDED["loss of G9", 1.0, "half"] == DURATION_S
    assert ENDED["loss of G9", 1.0, "power"] < 10.0


def test_at_constant_power_the_balance_of_governors_and_load_damping_is_where_frequency_settles():
    """D f + K (|f| - b) = dP, with 0.8 x 680 MW lost of 0.8 x 18234 MW."""
    time_s, coi_hz = read_full_order(GOLDEN, "loss of load 20", 0.8, "power")
    found = figures_of(coi_hz, time_s[1] - time_s[0], DURATION_S)
    gain, dead_band_hz, damping = 2500.0, 0.017, 0.01 / 0.6 * 0.8 * 18234.0
    lost_mw = 1e-3 * found["settling_mhz"] * (gain + damping) - gain * dead_band_hz
    assert lost_mw == pytest.approx(0.8 * 680.0, abs=25.0)  # losses change with the flows, by a tenth
