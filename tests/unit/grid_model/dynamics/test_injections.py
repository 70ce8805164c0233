"""What acts on the grid in the course of an interval, against quadrature and values worked out by hand."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cases.ieee68 import load_ieee68
from grid_model.dynamics.injections import InjectionProfile, Injections, lagged_response
from grid_model.dynamics.parameters import SwingConfig
from grid_model.kernels.bus_injection import resource_output
from grid_model.validation.event_response import balanced_grid

CASE = load_ieee68()
LAG_S = np.linspace(0.2, 8.0, CASE.n_resource)
INTERVAL_S = 4.0


def inputs(n_env: int, load: float, plant_mw: float = 0.0, renewable_mw: float = 0.0) -> Injections:
    return Injections(
        load_mw=np.full((n_env, CASE.n_load), load),
        load_mvar=np.zeros((n_env, CASE.n_load)),
        renewable_mw=np.full((n_env, CASE.n_renewable), renewable_mw),
        schedule_mw=np.zeros((n_env, CASE.n_machine)),
        set_point_mw=np.full((n_env, CASE.n_resource), plant_mw),
        resource_mw=np.full((n_env, CASE.n_resource), plant_mw),
    )


def profile(n_env: int = 2) -> InjectionProfile:
    """From 100 MW a load to 140 MW."""
    made = InjectionProfile(CASE, n_env, LAG_S, INTERVAL_S, 200)
    made.start(np.arange(n_env), inputs(n_env, 100.0))
    for end, given in zip(made.end, inputs(n_env, 140.0, plant_mw=10.0, renewable_mw=6.0), strict=True):
        end[:] = given
    return made


@pytest.mark.parametrize("lag_s", [0.05, 0.5, 8.0])
def test_a_lag_behind_a_straight_line_is_that_of_its_differential_equation(lag_s):
    def slope(t, x):
        return ((20.0 + (50.0 - 20.0) * t / INTERVAL_S) - x) / lag_s

    t_s = 2.7
    exact = solve_ivp(slope, (0.0, t_s), [35.0], method="DOP853", rtol=1e-11, atol=1e-11).y[0, -1]
    found = lagged_response(
        np.array([35.0]), np.array([20.0]), np.array([50.0]), np.array([lag_s]), t_s, INTERVAL_S
    )
    np.testing.assert_allclose(found, exact, rtol=1e-8)  # the solver's own error adds up over its steps


def test_the_compiled_output_of_a_resource_is_that_of_the_array_arithmetic():
    """To the bit, at both ends and between: so it does not matter who asks for it."""
    grid, _ = balanced_grid(CASE, 2, SwingConfig(), load_level=0.8)
    rng = np.random.default_rng(0)
    for powers in (grid.profile.begin, grid.profile.end):
        powers.set_point_mw[:] = rng.uniform(-20.0, 20.0, (2, CASE.n_resource))
        powers.resource_mw[:] = rng.uniform(-20.0, 20.0, (2, CASE.n_resource))
    for step in (0, 1, 77, 199, 200):
        expected = grid.profile.resource_mw(slice(None), step / 200)
        found = [
            [resource_output(grid.profile.arrays, env, i, step, 200, 4.0) for i in range(CASE.n_resource)]
            for env in (0, 1)
        ]
        np.testing.assert_array_equal(found, expected)


def test_loads_follow_a_line_and_their_ends_are_exact():
    made = profile()
    assert (made.load_mw(slice(None), 0.0) == 100.0).all()
    assert (made.load_mw(slice(None), 0.25) == 110.0).all()
    assert (made.load_mw(slice(None), 1.0) == 140.0).all()


def test_steps_and_shedding_act_on_top():
    """120 MW half way, 30 MW more, of which three quarters are left: 112.5 MW."""
    made = profile()
    made.load_step_mw[1, 4] = 30.0
    made.served_share[1, 4] = 0.75
    found = made.load_mw(np.array([1]), 0.5)
    assert found[0, 4] == 112.5
    assert (np.delete(found[0], 4) == 120.0).all()
    assert (made.load_mw(np.array([0]), 0.5) == 120.0).all()
    made.start(np.array([1]), inputs(1, 100.0))
    assert not made.load_step_mw.any()
    assert (made.served_share == 1.0).all()


def test_the_net_load_of_all_buses_is_load_less_plants():
    """Half way plants have followed their lags, each by its own."""
    made = profile()
    slope = 10.0 / INTERVAL_S  # MW/s from rest at zero: u - s T (1 - exp(-t/T))
    plants = slope * (2.0 - LAG_S * (1.0 - np.exp(-2.0 / LAG_S)))
    net = made.net_load_mw(np.array([0]), 0.5)
    assert net.shape == (1, CASE.n_bus)
    expected = 120.0 * CASE.n_load - 3.0 * CASE.n_renewable - plants.sum()
    np.testing.assert_allclose(net.sum(), expected, rtol=1e-13)  # rounding of a sum over 68 buses
    empty = np.setdiff1d(
        np.arange(CASE.n_bus), np.concatenate([CASE.load.bus, CASE.renewable.bus, CASE.resource.bus])
    )
    assert not net[0, empty].any()


def test_what_is_not_served_is_the_rest_of_the_load():
    """Load 3 has lost its bus, load 5 half of what it wants."""
    made = profile()
    live = np.ones((2, CASE.n_bus), dtype=np.bool_)
    live[0, CASE.load.bus[3]] = False
    made.served_share[0, 5] = 0.5
    np.testing.assert_array_equal(made.unserved_mw(live), [140.0 + 70.0, 0.0])
    served = made.served_mw(live)
    assert served[0, 3] == 0.0
    assert served[0, 5] == 70.0
    assert served[0].sum() == 140.0 * (CASE.n_load - 2) + 70.0
