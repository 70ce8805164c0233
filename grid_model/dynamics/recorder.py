"""Traces of an episode at the integration step: frequency, power and flows of one environment.

Frequency and the governors' power are integrated at every step and recorded as they are. Flows and electrical powers
are known at the power flows; between two of them a straight line is drawn and the swing of the rotors put on top,

    x(t) = x_a + s (x_b - x_a) + G [theta(t) - s theta_b],      s from 0 to 1,

with G the springs of the network (grid_model.dynamics.coherency), so that both ends are the AC solution's. Where an
event acts, the values after it are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.injections import InjectionProfile
from grid_model.dynamics.swing_state import SwingState
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["Recorder", "Trace"]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """An episode, or its part recorded so far, of one environment; a row a step."""

    time_s: FloatArray  # [step]
    df_hz: FloatArray  # of the groups, [step, group]
    coi_hz: FloatArray  # deviation of the centre of inertia, [step]
    bus_hz: FloatArray  # deviation of every bus, [step, bus]
    mechanical_mw: FloatArray  # governors' part of the groups' turbine power, [step, group]
    electrical_mw: FloatArray  # what the groups' machines send out, [step, group]
    flow_mw: FloatArray  # entering each circuit at its from end, [step, branch]
    unserved_mw: FloatArray  # load on dead buses and load shed, constant between power flows, [step]
    vm_pu: FloatArray  # voltages of the buses, zero at dead ones, [step, bus]


@dataclass(frozen=True, kw_only=True)
class MacroStepStart:
    """What is known at the beginning of a macro step."""

    flow_mw: FloatArray  # [branch]
    electrical_mw: FloatArray  # [group]
    flow_per_rad: FloatArray  # [branch, group]
    power_per_rad: FloatArray  # [group, group]
    unserved_mw: float
    vm_pu: FloatArray  # [bus]


class Recorder:
    """Collects the trace of one environment; obtained from `GridSimulator.record`."""

    def __init__(
        self,
        env: int,
        engine: NewtonEngine,
        topology: GroupNetwork,
        synchronising_power: SynchronisingPower,
        swing_state: SwingState,
        profile: InjectionProfile,
        *,
        dt_s: float,
        interval_s: float,
    ) -> None:
        """Nothing recorded yet.

        Args:
            env: which environment.
            engine: the power flows of its grid.
            topology: who is in service there, and how the network joins the groups.
            synchronising_power: what flows between the groups.
            swing_state: states and traces of the groups.
            profile: what acts on the grid.
            dt_s: length of an integration step [s].
            interval_s: length of a control interval [s].
        """
        self.env = env
        self._engine, self._topology, self._synchronising_power = engine, topology, synchronising_power
        self._swing_state, self._profile = swing_state, profile
        self._dt_s, self._interval_s = dt_s, interval_s
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded; the next interval is the first."""
        self._interval = -1
        self._rows: list[dict[str, FloatArray]] = []

    def next_interval(self) -> None:
        """A control interval begins."""
        self._interval += 1

    def begin(self, machine_mvar: FloatArray, at: float) -> MacroStepStart:
        """Note the state at the beginning of a macro step, before anything of it is adopted.

        Args:
            machine_mvar: what each machine sends out at the last power flow, of all environments, [env, machine].
            at: where the macro step begins, as a fraction of the interval.
        """
        env, engine = self.env, self._engine
        stiffness = self._synchronising_power.spring_mw_per_rad(env, machine_mvar)
        sensitivity = self._topology.angle_sensitivity[env]
        n_branch = engine.case.n_branch
        return MacroStepStart(
            flow_mw=engine.s_from_mva[env].real.copy(),
            electrical_mw=self._swing_state.p_elec_mw[:, env].copy(),
            flow_per_rad=stiffness[:n_branch, None] * sensitivity[:n_branch],
            power_per_rad=sensitivity.T @ (stiffness[:, None] * sensitivity),
            unserved_mw=float(self._profile.unserved_mw(engine.bus_live, at)[env]),
            vm_pu=np.abs(engine.v_pu[env]),
        )

    def end(self, start: MacroStepStart, step_a: int, step_b: int) -> None:
        """Take in a macro step whose end has been adopted."""
        env, dt_s, state, topology = self.env, self._dt_s, self._swing_state, self._topology
        df_hz = state.trace_hz[step_a : step_b + 1, :, env].copy()
        theta = np.zeros_like(df_hz)
        theta[1:] = np.pi * dt_s * np.cumsum(df_hz[:-1] + df_hz[1:], axis=0)
        share = np.linspace(0.0, 1.0, len(df_hz))[:, None]
        swing = theta - share * theta[-1]
        flow_mw = self._engine.s_from_mva[env].real
        electrical_mw = state.p_elec_mw[:, env]
        weight = topology.inertia[:, env]
        row = {
            "time_s": self._interval * self._interval_s + dt_s * np.arange(step_a, step_b + 1),
            "df_hz": df_hz,
            "coi_hz": df_hz @ (weight / weight.sum()),
            "bus_hz": df_hz @ topology.bus_frequency[env].T,
            "mechanical_mw": state.trace_mechanical_mw[step_a : step_b + 1, :, env].copy(),
            "electrical_mw": start.electrical_mw
            + share * (electrical_mw - start.electrical_mw)
            + swing @ start.power_per_rad.T,
            "flow_mw": start.flow_mw + share * (flow_mw - start.flow_mw) + swing @ start.flow_per_rad.T,
            "unserved_mw": np.full(len(df_hz), start.unserved_mw),
            "vm_pu": start.vm_pu + share * (np.abs(self._engine.v_pu[env]) - start.vm_pu),
        }
        if self._rows:  # the last row of the macro step before is this one's first
            self._rows[-1] = {name: values[:-1] for name, values in self._rows[-1].items()}
        self._rows.append(row)

    def trace(self) -> Trace:
        """Everything recorded so far.

        Raises:
            ValueError: no macro step has been recorded yet.
        """
        if not self._rows:
            raise ValueError(f"environment {self.env}: nothing recorded yet, advance the grid first")
        return Trace(
            **{name: np.concatenate([row[name] for row in self._rows]) for name in Trace.__dataclass_fields__}
        )
