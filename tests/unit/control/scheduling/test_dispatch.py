"""Economic dispatch: limits, ramps, the published schedule, and an independent solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from cases.ieee68 import load_ieee68
from cases.tables import MachineTable
from control.scheduling.dispatch import (
    DispatchConfig,
    DispatchLimits,
    area_demand,
    bounds_at_mark,
    dispatch_by_area,
    dispatch_limits,
    economic_dispatch,
)

ALL_SIXTEEN = np.ones(16, dtype=np.bool_)


@pytest.fixture(scope="module")
def machine() -> MachineTable:
    return load_ieee68().machine


def bounds(
    limits: DispatchLimits, before: np.ndarray | None, in_service: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return bounds_at_mark(limits.p_min_mw, limits.p_max_mw, limits.ramp_mw, before, in_service)


def solve(machine: MachineTable, demand_mw: float, before: np.ndarray | None = None) -> np.ndarray:
    low, high = bounds(dispatch_limits(machine, DispatchConfig()), before, ALL_SIXTEEN)
    return economic_dispatch(
        np.array([demand_mw]), machine.cost_linear, machine.cost_quadratic, low[None], high[None]
    )[0]


def test_the_published_schedule_is_the_optimum_of_the_base_case(machine: MachineTable) -> None:
    p = solve(machine, float(machine.p_mw.sum()))
    # dispatch_cost.csv prints costs to 8 decimals: half a unit of 0.0015 is 3e-6, of at most 4000 MW.
    np.testing.assert_allclose(p, machine.p_mw, atol=0.02)


@pytest.mark.parametrize("share", [0.15, 0.4, 0.6, 1.05])
def test_wind_and_sun_displace_machines_in_proportion_to_size(machine: MachineTable, share: float) -> None:
    p = solve(machine, share * float(machine.p_mw.sum()))
    np.testing.assert_allclose(p / machine.p_mw, share, rtol=1e-5)  # digits of dispatch_cost.csv, as above


def test_the_emptiest_moment_is_feasible(machine: MachineTable) -> None:
    """Load 0.38 of 18,234 MW, less all 4300 MW of wind and sun, is above the sum of the lower limits."""
    demand = 0.38 * 18_234.0 - 4300.0
    assert solve(machine, demand).sum() == pytest.approx(demand, rel=1e-12)


def test_the_dispatch_agrees_with_a_general_solver() -> None:
    rng = np.random.default_rng(5)
    n = 6
    for _ in range(20):
        c1, c2 = rng.uniform(10, 30, n), rng.uniform(0.005, 0.05, n)
        low = rng.uniform(0, 100, n)
        high = low + rng.uniform(50, 500, n)
        demand = rng.uniform(low.sum(), high.sum())
        found = economic_dispatch(np.array([demand]), c1, c2, low[None], high[None])[0]
        start = low + (high - low) * (demand - low.sum()) / (high.sum() - low.sum())
        oracle = minimize(
            lambda p, c1=c1, c2=c2: 1e-3 * np.sum(c1 * p + c2 * p**2),
            start,
            jac=lambda p, c1=c1, c2=c2: 1e-3 * (c1 + 2 * c2 * p),
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "eq", "fun": lambda p, d=demand: p.sum() - d, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-10, "maxiter": 500},
        )
        assert oracle.success
        # Ours is feasible and no dearer; rounding of a sum of six terms is the only excuse.
        assert found.sum() == pytest.approx(demand, rel=1e-12)
        assert np.all((found >= low) & (found <= high))
        assert 1e-3 * np.sum(c1 * found + c2 * found**2) <= oracle.fun * (1 + 1e-12)
        # SLSQP stops some 1e-3 USD above the optimum, which at 2 c2 >= 0.01 USD/MW² leaves sqrt(0.2) MW.
        np.testing.assert_allclose(found, oracle.x, atol=0.45)


def test_a_demand_out_of_reach_gets_the_nearer_end(machine: MachineTable) -> None:
    limits = dispatch_limits(machine, DispatchConfig())
    np.testing.assert_allclose(solve(machine, 0.0), limits.p_min_mw)
    np.testing.assert_allclose(solve(machine, 1e6), limits.p_max_mw)


def test_no_machine_changes_faster_than_its_ramp(machine: MachineTable) -> None:
    before = machine.p_mw.copy()
    limits = dispatch_limits(machine, DispatchConfig())
    after = solve(machine, 0.2 * float(machine.p_mw.sum()), before)
    assert np.all(before - after <= limits.ramp_mw * (1 + 1e-12))
    # 2 % a minute of 0.95 x 300 MVA over 15 minutes.
    assert limits.ramp_mw[0] == pytest.approx(85.5)


def test_a_machine_that_is_out_gives_nothing_and_the_others_replace_it(machine: MachineTable) -> None:
    limits = dispatch_limits(machine, DispatchConfig())
    in_service = ALL_SIXTEEN.copy()
    in_service[5] = False
    low, high = bounds(limits, machine.p_mw, in_service)
    demand = np.array([machine.p_mw.sum()])
    p = economic_dispatch(demand, machine.cost_linear, machine.cost_quadratic, low[None], high[None])[0]
    assert p[5] == 0.0
    assert p.sum() == pytest.approx(demand[0], rel=1e-12)


def test_a_batch_equals_its_rows(machine: MachineTable) -> None:
    low, high = bounds(dispatch_limits(machine, DispatchConfig()), None, ALL_SIXTEEN)
    demand = np.array([5000.0, 9000.0, 17_000.0])
    batch = economic_dispatch(
        demand, machine.cost_linear, machine.cost_quadratic, np.tile(low, (3, 1)), np.tile(high, (3, 1))
    )
    for row, d in zip(batch, demand, strict=True):
        np.testing.assert_array_equal(row, solve(machine, float(d)))


def test_area_demands_add_up_and_keep_the_published_interchange() -> None:
    load, nominal = np.array([90.0, 60.0]), np.array([100.0, 200.0])
    renewable, published = np.array([10.0, 5.0]), np.array([220.0, 90.0])
    demand = area_demand(load, renewable, 4.0, nominal, published)
    # By hand, level 0.5: 154 x 220/310 + 90 - 50 - 10 and 154 x 90/310 + 60 - 100 - 5.
    np.testing.assert_allclose(demand, [139.2903, -0.2903], atol=5e-5)
    assert demand.sum() == pytest.approx(90.0 + 60.0 + 4.0 - 15.0, rel=1e-12)


def test_the_base_case_dispatched_by_area_is_the_published_schedule() -> None:
    case = load_ieee68()
    n_area, machine_area = case.n_area, case.bus.area[case.machine.bus]
    load = np.bincount(case.bus.area[case.load.bus], case.load.p_mw, minlength=n_area)
    published = np.bincount(machine_area, case.machine.p_mw, minlength=n_area)
    loss = float(published.sum() - load.sum())
    demand = area_demand(load, np.zeros(n_area), loss, load, published)
    low, high = bounds(dispatch_limits(case.machine, DispatchConfig()), None, ALL_SIXTEEN)
    p = dispatch_by_area(
        demand, machine_area, case.machine.cost_linear, case.machine.cost_quadratic, low, high
    )
    np.testing.assert_allclose(p, case.machine.p_mw, atol=0.02)  # digits of dispatch_cost.csv, as above


def test_what_an_area_cannot_meet_is_spread_over_the_others() -> None:
    machine_area = np.array([0, 0, 1, 1])
    cost, low, high = np.full(4, 0.01), np.full(4, 10.0), np.full(4, 100.0)

    def solve_areas(*demand: float) -> list[float]:
        p = dispatch_by_area(np.array(demand), machine_area, np.zeros(4), cost, low, high)
        return [float(v) for v in p]

    assert solve_areas(60.0, 100.0) == pytest.approx([30.0, 30.0, 50.0, 50.0])
    assert solve_areas(260.0, 100.0) == pytest.approx([100.0, 100.0, 80.0, 80.0])
    assert solve_areas(-20.0, 100.0) == pytest.approx([10.0, 10.0, 30.0, 30.0])
    assert solve_areas(500.0, 500.0) == pytest.approx([100.0] * 4)
