"""Traces of an episode at the integration step: frequency, power and flows of one environment.

Frequency and the governors' power are integrated at every step and recorded as they are. Flows and electrical powers
are known at the power flows; between two of them a straight line is drawn and the swing of the rotors put on top,

    x(t) = x_a + s (x_b - x_a) + G [theta(t) - s theta_b],      s from 0 to 1,

with G the springs of the network (grid_model.swing), so that both ends are the AC solution's. Where an event acts, the
values after it are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import FloatArray

if TYPE_CHECKING:
    from grid_model.coupling import CoupledGrid

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


@dataclass(frozen=True, kw_only=True)
class SpanStart:
    """What is known at the beginning of a span."""

    flow_mw: FloatArray  # [branch]
    electrical_mw: FloatArray  # [group]
    flow_per_rad: FloatArray  # [branch, group]
    power_per_rad: FloatArray  # [group, group]
    unserved_mw: float


class Recorder:
    """Collects the trace of one environment; obtained from `CoupledGrid.record`."""

    def __init__(self, env: int) -> None:
        self.env = env
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded; the next interval is the first."""
        self._interval = -1
        self._rows: list[dict[str, FloatArray]] = []

    def next_interval(self) -> None:
        """A control interval begins."""
        self._interval += 1

    def begin(self, grid: CoupledGrid) -> SpanStart:
        """Note the state at the beginning of a span, before anything of it is adopted."""
        env = self.env
        stiffness = grid.exchange.spring_mw_per_rad(env, grid.machine_mvar)
        shape = grid.topology.shape[env]
        n_branch = grid.case.n_branch
        return SpanStart(
            flow_mw=grid.engine.s_from_mva[env].real.copy(),
            electrical_mw=grid.motion.p_elec_mw[:, env].copy(),
            flow_per_rad=stiffness[:n_branch, None] * shape[:n_branch],
            power_per_rad=shape.T @ (stiffness[:, None] * shape),
            unserved_mw=float(grid.unserved_mw()[env]),
        )

    def end(self, grid: CoupledGrid, start: SpanStart, step_a: int, step_b: int) -> None:
        """Take in a span whose end has been adopted."""
        env, dt_s = self.env, grid.config.dt_s
        df_hz = grid.motion.trace_hz[step_a : step_b + 1, :, env].copy()
        theta = np.zeros_like(df_hz)
        theta[1:] = np.pi * dt_s * np.cumsum(df_hz[:-1] + df_hz[1:], axis=0)
        share = np.linspace(0.0, 1.0, len(df_hz))[:, None]
        swing = theta - share * theta[-1]
        flow_mw = grid.engine.s_from_mva[env].real
        electrical_mw = grid.motion.p_elec_mw[:, env]
        weight = grid.topology.inertia[:, env]
        row = {
            "time_s": self._interval * grid.interval_s + dt_s * np.arange(step_a, step_b + 1),
            "df_hz": df_hz,
            "coi_hz": df_hz @ (weight / weight.sum()),
            "bus_hz": df_hz @ grid.topology.bus_frequency[env].T,
            "mechanical_mw": grid.motion.trace_mechanical_mw[step_a : step_b + 1, :, env].copy(),
            "electrical_mw": start.electrical_mw
            + share * (electrical_mw - start.electrical_mw)
            + swing @ start.power_per_rad.T,
            "flow_mw": start.flow_mw + share * (flow_mw - start.flow_mw) + swing @ start.flow_per_rad.T,
            "unserved_mw": np.full(len(df_hz), start.unserved_mw),
        }
        if self._rows:  # the last row of the span before is this one's first
            self._rows[-1] = {name: values[:-1] for name, values in self._rows[-1].items()}
        self._rows.append(row)

    def trace(self) -> Trace:
        """Everything recorded so far."""
        if not self._rows:
            raise ValueError(f"environment {self.env}: nothing recorded yet, advance the grid first")
        return Trace(
            **{name: np.concatenate([row[name] for row in self._rows]) for name in Trace.__dataclass_fields__}
        )
