"""Laws that hold exactly, checked at every level: first instant, steady state, rest, balance of energy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cases.case import Case
from grid_model.dynamics.events import Event
from grid_model.dynamics.governor import steady_state_deviation_hz
from grid_model.dynamics.load_model import LoadModel
from grid_model.dynamics.parameters import Level, SwingConfig
from grid_model.validation.check import Check
from grid_model.validation.classical import ClassicalGrid
from grid_model.validation.event_response import balanced_grid, event_of


def laws(case: Case, level: Level, rest_s: float = 3600.0) -> list[Check]:
    """First instant, steady state, rest and balance of energy of the coupled grid at one level.

    Rest is that of the default model; the other three are of constant power at held voltages.
    """
    return [
        _first_instant(case, level),
        _steady_state(case, level),
        _rest(case, level, rest_s),
        _energy(case, level),
    ]


def _constant_power(level: Level) -> SwingConfig:
    """Loads of constant power at voltages that are held, for which the formulas are exact."""
    load = LoadModel(p_exponent=0.0, q_exponent=0.0)
    return SwingConfig(level=level, load=load, terminal_voltage="held")


def _first_instant(case: Case, level: Level) -> Check:
    """RoCoF over one step of 10 us after a load step of 500 MW, against f0 dP / (2 sum H S)."""
    config = replace(_constant_power(level), dt_s=1e-5)
    grid, injections = balanced_grid(case, 1, config, interval_s=1e-3)
    before_mw = grid.machine_mw.sum()
    grid.advance(injections, {0: [Event(time_s=1e-3 - 1e-6, kind="load_step", index=0, p_mw=500.0)]})
    short_mw = float(grid.machine_mw.sum() - before_mw)
    grid.advance(injections)
    rocof = float(grid.coi_trace_hz()[0, 0]) / config.dt_s
    stored_mws = float((case.machine.h_s * case.machine.base_mva).sum())
    exact = -short_mw * case.f0_hz / (2.0 * stored_mws)
    return Check(
        what=f"first-instant RoCoF against f0 dP / (2 sum H S), {level} level",
        value=rocof / exact - 1.0,
        limit=1e-6,
        unit="",
        reason="rounding, and in 10 us damping and valves change the push by less than 1e-6",
    )


def _steady_state(case: Case, level: Level) -> Check:
    """Deviation 240 s after a load step of 400 MW, against D f + K (|f| - b) = dP."""
    config = _constant_power(level)
    grid, injections = balanced_grid(case, 1, config)
    before_mw = grid.machine_mw.sum() - injections.load_mw.sum()
    grid.advance(injections, {0: [Event(time_s=0.5, kind="load_step", index=0, p_mw=400.0)]})
    for _ in range(60):
        grid.advance(injections)
    df_hz = float(grid.coi_df_hz()[0])
    damping = config.load_damping / case.f0_hz * float(injections.load_mw.sum() + 400.0)
    losses_mw = float(grid.machine_mw.sum() - injections.load_mw.sum() - 400.0 - damping * df_hz - before_mw)
    expected = steady_state_deviation_hz(-(400.0 + losses_mw), damping, config.governor)
    return Check(
        what=f"steady state against dP / (D + K) outside the dead band, {level} level",
        value=1e3 * (df_hz - float(expected)),
        limit=1e-3,
        unit="mHz",
        reason="what is left of swings after 240 s, and the power flow's tolerance over 2800 MW/Hz",
    )


def _rest(case: Case, level: Level, rest_s: float) -> Check:
    """Largest deviation of an undisturbed grid."""
    grid, injections = balanced_grid(case, 1, SwingConfig(level=level), load_level=0.7)
    worst = 0.0
    for _ in range(round(rest_s / grid.interval_s)):
        grid.advance(injections)
        worst = max(worst, float(np.abs(grid.df_hz).max()))
    return Check(
        what=f"undisturbed grid, {rest_s:g} s, {level} level",
        value=worst,
        limit=1e-9,
        unit="Hz",
        reason="asked for; the power flow's tolerance of 1e-7 MW over 213 MW/Hz of damping is 5e-10 Hz",
    )


def _energy(case: Case, level: Level) -> Check:
    """Integral of the power imbalance against the change of momentum sum(M f) within an interval after an event.

    With a power flow at every step. Turbine power belongs to the middle of the step it drives, machines' power to both
    ends, hence midpoint rule for one and trapezoidal for the other.
    """
    config = replace(_constant_power(level), renewal_s=0.02, load_damping=0.0)
    grid, injections = balanced_grid(case, 1, config)
    recorder = grid.record(0)
    grid.advance(injections, {0: [Event(time_s=0.0, kind="load_step", index=0, p_mw=500.0)]})
    trace = recorder.trace()
    schedule_mw = float(injections.schedule_mw.sum())
    turbine_mw, machine_mw = trace.mechanical_mw.sum(axis=1), trace.electrical_mw.sum(axis=1)
    imbalance = schedule_mw + turbine_mw[1:] - 0.5 * (machine_mw[1:] + machine_mw[:-1])
    integral = float(np.sum(imbalance) * config.dt_s)
    change = float(trace.coi_hz[-1] * grid.topology.inertia.sum())
    return Check(
        what=f"integral of the imbalance against the change of kinetic energy, {level} level",
        value=100.0 * (integral / change - 1.0),
        limit=0.2,
        unit="%",
        reason="a power flow moves the machines' power by what its curvature left over: half of that is missed",
    )


def validate_energy(case: Case) -> list[Check]:
    """Integral of all powers in the classical model against the change of kinetic energy, after the loss of G5.

    The powers are computed anew from the trace. Kinetic energy above rest is f0 sum(M f) to first order in f / f0,
    which is the order of a swing equation written with powers instead of torques.
    """
    errors = []
    event = event_of(case, "loss of G5", 0.0)
    for dt_s in (0.02, 0.01):
        grid = ClassicalGrid(case, SwingConfig(level="machine", dt_s=dt_s, tie_damping_s=0.0))
        trace = grid.simulate([event], 5.0)
        network = trace.networks[-1][1]
        on = network.machine_in_service
        e_pu = grid.e_pu * np.exp(1j * trace.theta_rad) * on
        electrical = case.base_mva * (e_pu * np.conj(e_pu @ network.y_reduced_pu.T)).real
        push = (grid.p_mech_mw - grid.damping_mw_per_hz * trace.df_hz - electrical) * on
        # Turbine power belongs to the middle of the step it drives.
        push = 0.5 * (push[1:] + push[:-1]) + trace.mechanical_mw[1:]
        change = grid.inertia_mws_per_hz * trace.df_hz[-1]
        errors.append(float((push.sum(axis=0) * dt_s - change).sum() / change.sum()))
    return [
        Check(
            what="integral of the imbalance against the change of kinetic energy, classical model",
            value=errors[0],
            limit=2e-4,
            unit="",
            reason="second order in the step; (omega h)^2 / 24 = 1.6e-3 of the swinging part at 1.5 Hz",
        ),
        Check(
            what="the same: order of convergence less 2 (steps 20, 10 ms)",
            value=float(np.log2(abs(errors[0] / errors[1]))) - 2.0,
            limit=0.2,
            unit="",
            reason="order of the integration",
        ),
    ]
