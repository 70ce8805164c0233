"""Batteries that answer frequency within an interval: droop, synthetic inertia, rating, energy, against formulas."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from grid_model.dynamics.storage import StoragePlants, storage_at_rest
from grid_model.kernels.group_swing import integrate_swing
from grid_model.kernels.storage_response import empty_storage_step
from grid_model.kernels.structs import (
    Drive,
    IntervalRecord,
    PrimaryControl,
    StorageStep,
    SwingConstants,
    SwingParameters,
    SwingVariables,
)

DROOP_MW_PER_HZ, DEAD_BAND_HZ, H_S, LAG_S, P_MAX_MW, EFFICIENCY = 300.0, 0.017, 6.0, 0.1, 50.0, 0.92
M_MWS_PER_HZ, D_MW_PER_HZ, STEP_MW = 400.0, 30.0, -60.0


def battery(
    *, droop: float = DROOP_MW_PER_HZ, h_s: float = H_S, dead_band_hz: float = DEAD_BAND_HZ
) -> StoragePlants:
    """One battery."""
    return StoragePlants(
        resource=np.array([0]),
        droop_mw_per_hz=np.array([droop]),
        dead_band_hz=np.array([dead_band_hz]),
        synthetic_inertia_s=np.array([h_s]),
        lag_s=np.array([LAG_S]),
        p_max_mw=np.array([P_MAX_MW]),
        charging_efficiency=np.array([EFFICIENCY]),
        discharging_efficiency=np.array([EFFICIENCY]),
    )


def step_of(plants: StoragePlants, output_mw: float = 0.0, room_mwh: float = 10.0) -> StorageStep:
    """A macro step of one grid of one mass in which the battery's set-point rests at an output."""
    step = empty_storage_step(storage_at_rest(plants, 1, 60.0), 1, 1)
    step.is_live[:] = True
    step.bus_frequency[:] = step.impact_share[:] = 1.0
    step.straight_mw[:] = output_mw
    step.room_out_mwh[:] = step.room_in_mwh[:] = room_mwh
    return step


def integrate(
    step: StorageStep, *, time_s: float, dt_s: float = 0.02, df_hz: float = 0.0, m=M_MWS_PER_HZ, p=STEP_MW
):
    """The trace of one mass without governors, pushed by p MW, [step]."""
    n_steps, zero, nothing = round(time_s / dt_s), np.zeros((1, 1)), np.zeros((0, 1, 1))
    trace = np.empty((n_steps + 1, 1, 1))
    integrate_swing(
        n_steps,
        SwingVariables(np.full((1, 1), df_hz), *(zero.copy() for _ in range(4))),
        Drive(zero + p, zero + p, zero + D_MW_PER_HZ, nothing, nothing, nothing),
        SwingParameters(zero + m, zero, zero, zero, zero + 1.0, dead_band_hz=np.zeros(1)),
        np.zeros((1, 1, 1)),
        None,
        SwingConstants(
            lag_s=np.zeros(0),
            t_valve_s=0.2,
            t_reheat_s=8.0,
            high_pressure_fraction=0.3,
            tie_damping_s=0.0,
            dt_s=dt_s,
            mean_weight=1.0,
        ),
        IntervalRecord(np.zeros((1, 1, 1)), zero.copy(), zero.copy(), trace, np.empty_like(trace)),
        PrimaryControl(storage=step, units=None, over=None),
    )
    return trace[:, 0, 0]


@pytest.mark.parametrize(("droop", "h_s"), [(300.0, 0.0), (0.0, 6.0), (300.0, 6.0)])
def test_a_mass_with_a_battery_moves_as_the_equations_say(droop, h_s):
    """M df/dt = dP - D f + r,  T dy/dt = f - y,  r = clip(-K db(y) - M_v dy/dt), by an adaptive Runge-Kutta method."""
    m_v = 2.0 * h_s * P_MAX_MW / 60.0

    def slope(_: float, state: np.ndarray) -> list[float]:
        f, y = state
        y_rate = (f - y) / LAG_S
        beyond = np.sign(y) * max(abs(y) - DEAD_BAND_HZ, 0.0)
        r = np.clip(-droop * beyond - m_v * y_rate, -P_MAX_MW, P_MAX_MW)
        return [(STEP_MW - D_MW_PER_HZ * f + r) / M_MWS_PER_HZ, y_rate]

    time_s = np.arange(201) * 0.02
    exact = solve_ivp(slope, (0.0, 4.0), [0.0, 0.0], t_eval=time_s, rtol=1e-10, atol=1e-12, max_step=0.01).y[
        0
    ]
    plants = battery(droop=droop, h_s=h_s)
    error = np.abs(integrate(step_of(plants), time_s=4.0) - exact).max()
    halved = np.abs(integrate(step_of(plants), time_s=4.0, dt_s=0.01)[::2] - exact).max()
    # Synthetic inertia acts on the change of the last step, half a step late: M_v / M of it is 5 %, and 10 ms of a
    # slope of 0.15 Hz/s are 1.5 mHz, of which 5 % remain. Droop is of second order but at the dead band's corner.
    assert error < 1e-4
    assert halved < 0.6 * error


def test_in_steady_state_the_droop_law_holds():
    """D f + K (f - b) = dP."""
    settled = integrate(step_of(battery(h_s=0.0)), time_s=40.0, p=-20.0)[-1]
    # Time constants M / (D + K) = 1.2 s: 40 s leave e^-33.
    assert settled == pytest.approx(
        (-20.0 - DROOP_MW_PER_HZ * DEAD_BAND_HZ) / (D_MW_PER_HZ + DROOP_MW_PER_HZ), abs=1e-9
    )


@pytest.mark.parametrize(
    ("output_mw", "df_hz", "total_mw"), [(0.0, -0.1, 30.0), (0.0, 0.1, -30.0), (10.0, 0.1, -20.0)]
)
def test_the_store_pays_for_what_response_and_set_point_give_together(output_mw, df_hz, total_mw):
    """A frequency held for 4 s: the response is K f, and what the set-point alone would take is not counted."""

    def from_store(p_mw: float) -> float:
        return p_mw / EFFICIENCY if p_mw > 0.0 else p_mw * EFFICIENCY

    step = step_of(battery(h_s=0.0, dead_band_hz=0.0), output_mw)
    step.measured_hz[:] = df_hz
    integrate(step, time_s=4.0, df_hz=df_hz, m=1e18)  # so heavy that its frequency stays
    # Rounding of 200 additions.
    assert step.response_mw[0, 0] == pytest.approx(total_mw - output_mw, rel=1e-12)
    expected_mwh = (from_store(total_mw) - from_store(output_mw)) * 4.0 / 3600.0
    assert step.drawn_mwh[0, 0] == pytest.approx(expected_mwh, rel=1e-12)


@pytest.mark.parametrize(("output_mw", "df_hz", "response_mw"), [(35.0, -0.5, 15.0), (35.0, 0.5, -85.0)])
def test_set_point_and_response_stay_within_the_rating(output_mw, df_hz, response_mw):
    step = step_of(battery(h_s=0.0), output_mw)
    integrate(step, time_s=4.0, df_hz=df_hz, m=1e18)
    assert step.response_mw[0, 0] == response_mw


@pytest.mark.parametrize("df_hz", [-0.5, 0.5])
def test_a_battery_at_the_end_of_its_room_gives_no_more(df_hz):
    """50 MW for 4 s would be 0.06 MWh either way."""
    step = step_of(battery(), room_mwh=0.01)
    integrate(step, time_s=4.0, df_hz=df_hz, m=1e18)
    assert step.response_mw[0, 0] == pytest.approx(0.0, abs=1e-6)  # MW; the last of the room is shared out
    # Charging counts 0.92 of the power where the bound assumes 1 / 0.92, so the room is used up to geometric rests.
    assert abs(step.drawn_mwh[0, 0]) <= 0.01
    assert abs(step.drawn_mwh[0, 0]) == pytest.approx(0.01, rel=1e-6)


def test_a_battery_on_a_dead_bus_gives_nothing():
    step = step_of(battery())
    step.is_live[:] = False
    integrate(step, time_s=1.0, df_hz=-0.5)
    assert step.response_mw[0, 0] == step.drawn_mwh[0, 0] == 0.0
