"""Figures by which the coupled simulator and full-order machines are compared."""

import math

import numpy as np
import pytest

from grid_model.validation.coupled import DURATION_S, EVENT_S, CoupledResult, KnownDeviation, figures_of

STEP_S = 0.1


def dip(settled_hz: float = -0.2, lowest_hz: float = -0.3, lowest_s: float = 5.0) -> np.ndarray:
    """A trace from the event on: down to its nadir along a straight line, back along another, then constant."""
    time_s = np.arange(round((DURATION_S - EVENT_S) / STEP_S) + 1) * STEP_S
    return np.interp(time_s, [0.0, lowest_s, 2.0 * lowest_s], [0.0, lowest_hz, settled_hz])


def result(**changed: float | str) -> CoupledResult:
    """A row in which both sides agree, but for what is changed."""
    figures = {"nadir_mhz": -300.0, "rocof_mhz_per_s": -60.0, "settling_mhz": -200.0}
    row = {
        "event": "loss of G3",
        "load_model": "half",
        "level": "area",
        "terminal_voltage": "held",
        "exciters": "reference",
    }
    row |= {"load_level": 1.0, "end_s": DURATION_S, "andes_end_s": DURATION_S}
    return CoupledResult(**(row | figures | {f"andes_{k}": v for k, v in figures.items()} | changed))


def test_nadir_rate_and_settling_of_a_dip():
    found = figures_of(dip(), STEP_S, DURATION_S)
    # -300 mHz in 5 s along a straight line; rounding.
    assert found == pytest.approx({"nadir_mhz": -300.0, "rocof_mhz_per_s": -60.0, "settling_mhz": -200.0})


def test_a_nadir_that_one_side_does_not_live_to_see_is_none():
    found = figures_of(dip(), STEP_S, EVENT_S + 5.0)
    assert math.isnan(found["nadir_mhz"])
    assert math.isnan(found["settling_mhz"])
    assert found["rocof_mhz_per_s"] == pytest.approx(-60.0)


def test_a_nadir_counts_though_one_side_is_lost_later():
    found = figures_of(dip(), STEP_S, EVENT_S + 9.0)
    assert found["nadir_mhz"] == pytest.approx(-300.0)
    assert math.isnan(found["settling_mhz"])


def test_a_grid_lost_at_the_event_has_no_figures():
    assert all(math.isnan(value) for value in figures_of(dip(), STEP_S, 0.0).values())


def test_deviations_have_the_sign_of_ours_less_theirs_and_their_limits():
    row = result(nadir_mhz=-350.0, rocof_mhz_per_s=-66.0, settling_mhz=-195.0)
    assert row.deviation == pytest.approx({"nadir": -50.0, "rocof": 10.0, "settling": 5.0})
    assert set(row.outside) == {"nadir"}  # 50 of 40 mHz; 10 of 15 %; 5 of 10 mHz


def test_a_figure_that_one_side_lacks_is_not_outside():
    assert "nadir" not in result(andes_nadir_mhz=math.nan).deviation


def test_a_known_deviation_covers_its_rows_up_to_its_size():
    known = KnownDeviation(
        at_most={"nadir": 60.0}, load_models=("half",), events=("loss of G3",), why="for a test"
    )
    assert known.covers(result(nadir_mhz=-350.0), "nadir")
    assert not known.covers(result(nadir_mhz=-370.0), "nadir")
    assert not known.covers(result(nadir_mhz=-350.0, load_model="power"), "nadir")
    assert not known.covers(result(settling_mhz=-150.0), "settling")
