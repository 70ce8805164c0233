"""The checks of the power flow can fail, and say what failed."""

from dataclasses import replace

import numpy as np
import pytest

from builders import three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.validation.check import Check
from grid_model.validation.power_flow_checks import Published, kirchhoff_mismatch_mva, validate


def test_two_buses_balance_where_the_quadratic_says():
    """V2 and its angle from the closed form of a lossless line; then no bus has a mismatch."""
    p, q, x = 0.8, 0.3, 0.1
    case = two_bus(p_load_mw=80.0, q_load_mvar=30.0, x_pu=x)
    half = 0.5 - q * x
    v2 = np.sqrt(half + np.sqrt(half**2 - x**2 * (p**2 + q**2)))
    v_pu = np.array([1.0, v2 * np.exp(-1j * np.arcsin(p * x / v2))])
    # Currents of 10 pu from admittances of 10 pu, rounded to 1e-16 each, times 100 MVA.
    np.testing.assert_allclose(kirchhoff_mismatch_mva(case, v_pu, np.ones(1)), 0.0, atol=1e-11)


def test_a_voltage_that_is_off_shows_as_power_that_does_not_balance():
    """At flat voltages nothing flows: the load bus lacks its whole load, |80 + 30j| = 85.44 MVA."""
    case = two_bus(p_load_mw=80.0, q_load_mvar=30.0)
    mismatch = kirchhoff_mismatch_mva(case, np.ones(2, dtype=np.complex128), np.ones(1))
    assert mismatch[1] == pytest.approx(np.hypot(80.0, 30.0), rel=1e-12)


def test_the_machines_may_keep_their_share_of_the_imbalance_and_no_more():
    """A solution for one sharing is a mismatch under another."""
    case = replace(three_area(), machine=replace(three_area().machine, p_mw=np.array([300.0, 250.0, 200.0])))
    report = validate(case)
    v_pu = report.vm_pu * np.exp(1j * np.deg2rad(report.va_degree))
    assert kirchhoff_mismatch_mva(case, v_pu, np.array([1.0, 0.0, 0.0])).max() < 1e-6  # solver mismatch
    assert (
        kirchhoff_mismatch_mva(case, v_pu, np.full(3, 1.0 / 3.0)).max() > 50.0
    )  # 100 MW short, a third each


def test_a_healthy_case_passes_and_balances():
    report = validate(three_area())
    assert report.all_hold
    # Lossless circuits: what the machines send is what the loads take.
    assert report.losses_mw == pytest.approx(0.0, abs=1e-6)
    assert report.slack_p_mw == pytest.approx(400.0, abs=1e-6)
    assert "max_dv_pu" not in report.summary()


def test_a_wrong_published_voltage_fails():
    case = load_ieee68("tr18")
    report = validate(case, Published(vm_pu=np.ones(68), va_degree=np.zeros(68)))
    failed = [check.what for check in report.checks if not check.holds]
    assert failed == ["published voltages, largest distance", "published angles, largest distance"]
    assert not report.all_hold


def test_not_a_number_does_not_hold():
    assert not Check(what="x", value=float("nan"), limit=1.0, unit="pu", reason="x").holds
