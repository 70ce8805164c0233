"""The plants this project adds leave the grid within its limits over the whole operating range.

Loads follow one level, reactors follow their rule, machines give way to wind and sun in proportion to their
published output, losses are theirs too. No branch may exceed rate A, no voltage leave its band.
"""

import numpy as np
import pytest

from cases.arrays import FloatArray
from cases.case import Case
from cases.ieee68 import load_ieee68
from grid_model.network.limits import (
    apparent_power_mva,
    branch_violations,
    loading_percent,
    voltage_violations,
)
from grid_model.power_flow.newton import NewtonEngine


class OperatingPoints:
    """Solves one operating point after the other on a warm engine and judges it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.engine = NewtonEngine(case, 1, check=False)

    def judge(self, load_level: float, p_renewable_mw: FloatArray, *, by_area: bool) -> tuple[int, int]:
        """Circuits above rate A and buses outside their band."""
        case, engine = self.case, self.engine
        engine.set_reactors(0, float(np.clip((1.0 - load_level) / 0.6, 0.0, 1.0)))
        losses_mw = 180.0 * load_level
        for _ in range(2):  # the second time with the losses of the first
            injection = np.zeros(case.n_bus, dtype=np.complex128)
            np.add.at(injection, case.load.bus, -load_level * (case.load.p_mw + 1j * case.load.q_mvar))
            np.add.at(injection, case.renewable.bus, p_renewable_mw)
            p_machine_mw = schedule_mw(case, load_level, p_renewable_mw, losses_mw, by_area=by_area)
            np.add.at(injection, case.machine.bus, p_machine_mw)
            assert engine.solve(injection[None, :]).all(), f"no solution at load level {load_level}"
            losses_mw = float((engine.s_from_mva + engine.s_to_mva).real.sum())
        flow_mva = apparent_power_mva(engine.s_from_mva, engine.s_to_mva)
        branches = branch_violations(loading_percent(flow_mva, case.branch.rate_a_mva))
        voltages = voltage_violations(
            np.abs(engine.v_pu), case.bus.vm_min_pu, case.bus.vm_max_pu, engine.bus_live
        )
        return int(branches.count[0]), int(voltages.count[0])


def schedule_mw(
    case: Case, load_level: float, p_renewable_mw: FloatArray, losses_mw: float, *, by_area: bool
) -> FloatArray:
    """Published outputs, scaled to the load; wind and sun displace all machines alike or those of their area."""
    published = case.machine.p_mw
    demand_mw = load_level * case.load.p_mw.sum() + losses_mw
    if not by_area:
        return published * (demand_mw - p_renewable_mw.sum()) / published.sum()
    machine_area, plant_area = case.bus.area[case.machine.bus], case.bus.area[case.renewable.bus]
    wanted = np.bincount(machine_area, published, case.n_area) * demand_mw / published.sum()
    rest = wanted - np.bincount(plant_area, p_renewable_mw, case.n_area)
    assert np.all(rest > 0.0)
    return published * demand_mw / published.sum() * (rest / wanted)[machine_area]


@pytest.fixture(scope="module")
def points():
    return OperatingPoints(load_ieee68())


def test_any_mix_of_wind_and_sun_is_within_limits_at_every_load_level(points):
    renewable = points.case.renewable
    is_wind = np.array([kind == "wind" for kind in renewable.kind])
    for load_level in (*np.arange(0.38, 1.13, 0.05), 1.13):
        for wind in (0.0, 0.25, 0.5, 0.75, 1.0):
            for sun in (0.0, 0.25, 0.5, 0.75, 1.0):
                p_mw = renewable.p_max_mw * np.where(is_wind, wind, sun)
                found = points.judge(load_level, p_mw, by_area=False)
                assert found == (0, 0), f"load level {load_level:.2f}, wind {wind}, sun {sun}"


def test_the_real_year_is_within_limits_where_plants_displace_machines_of_their_area(points):
    """Plant by plant the series are far from uniform; schedules by area keep that away from the ties.

    Every 37th sample, so that all hours of the day are met.
    """
    from cases.series import load_series

    series = load_series(progress=False)
    case = points.case
    level = series.load_mw.sum(axis=1, dtype=np.float64) / case.load.p_mw.sum()
    column = series.columns(case.renewable.series)
    for k in range(0, series.n_sample, 37):
        p_mw = case.renewable.p_max_mw * series.renewable_pu[k, column].astype(np.float64)
        assert points.judge(float(level[k]), p_mw, by_area=True) == (0, 0), (
            f"sample {k}, load level {level[k]:.2f}"
        )
