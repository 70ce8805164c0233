"""An interval as macro steps: each is integrated, cut short where a relay operates, and solved at its end.

A quiet interval is one macro step. After an event, while groups swing against each other and until machines' voltages
have come to rest, macro steps are no longer than `renewal_s`; while a swing is ridden through at the rotors' angles,
no longer than `RIDING_RENEWAL_S`, for powers bend most there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.coupled_power_flow import CoupledPowerFlow
from grid_model.dynamics.events import Event
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.load_shedding import SheddingRelays
from grid_model.dynamics.over_frequency import OverFrequencyRelays
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.recorder import Recorder
from grid_model.dynamics.swing_state import SwingState
from grid_model.dynamics.switching import Switching
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["MacroSteps"]

RIDING_RENEWAL_S = 0.04  # most time between two networks at rotors' angles while these swing


@dataclass(frozen=True, kw_only=True)
class MacroSteps:
    """Takes environments of a batch through parts of an interval; see `GridSimulator` for what its parts are."""

    config: SwingConfig
    n_steps: int  # of an interval
    engine: NewtonEngine
    topology: GroupNetwork
    swing_state: SwingState
    terminal_voltage: TerminalVoltage
    flow: CoupledPowerFlow
    relays: SheddingRelays
    plant_relays: OverFrequencyRelays
    switching: Switching
    recorders: Mapping[int, Recorder]  # of environments that are recorded

    @property
    def machine_mvar(self) -> FloatArray:
        """What each machine sends out at the last power flow, [env, machine]; the simulator's array."""
        return self.switching.arrays.machine_state.q_mvar

    def whole_interval(self, envs: IntArray) -> None:
        """A quiet interval of some environments, [n], in one macro step."""
        self.terminal_voltage.recover(envs, self.n_steps * self.config.dt_s)
        self._macro_step(envs, 0, self.n_steps, quiet=True)

    def follow(self, envs: IntArray, step_a: int, step_b: int) -> None:
        """Take some environments, [n], from step_a to step_b, with a power flow at least every `renewal_s`."""
        renewal_s, rides = self.config.renewal_s, self.flow.riding[envs]
        if rides.any() and renewal_s > RIDING_RENEWAL_S:
            fast = rides & self._swings(envs)
            if fast.any() and not fast.all():
                self.follow(envs[fast], step_a, step_b)
                self.follow(envs[~fast], step_a, step_b)
                return
            renewal_s = RIDING_RENEWAL_S if fast.all() else renewal_s
        most = max(1, round(renewal_s / self.config.dt_s))
        n_macro_step = -(-(step_b - step_a) // most)
        for k in range(n_macro_step):
            first = step_a + k * (step_b - step_a) // n_macro_step
            last = step_a + (k + 1) * (step_b - step_a) // n_macro_step
            self._macro_step(envs, first, last)
            for env in envs[self.topology.n_island[envs] > 1].tolist():
                self.switching.trip_islands(env, last)
            if self.flow.riding.any() and last < step_b:
                # Who rides from now on goes on by itself, so that nobody else's steps depend on it.
                begins = self.flow.riding[envs] & ~rides
                if begins.any():
                    self.follow(envs[begins], last, step_b)
                    envs, rides = envs[~begins], rides[~begins]
                    if len(envs) == 0:
                        return

    def _swings(self, envs: IntArray) -> BoolArray:
        """Whose groups swing against each other now, [n]."""
        df_hz, turning = self.swing_state.df_hz[:, envs], self.topology.inertia[:, envs] > 0.0
        lowest = np.where(turning, df_hz, np.inf).min(axis=0)
        highest = np.where(turning, df_hz, -np.inf).max(axis=0)
        swings: BoolArray = highest - lowest > self.config.renewal_spread_hz
        return swings

    def _macro_step(self, envs: IntArray, step_a: int, step_b: int, *, quiet: bool = False) -> None:
        """Integrate some environments from step_a to step_b and solve the power flow there.

        Quiet: voltages move by so little that loads may draw what the last ones let them.
        """
        swing, n_steps = self.swing_state, self.n_steps
        length_s = (step_b - step_a) * self.config.dt_s
        if swing.integrate(envs, step_a, step_b, pause=bool(self.recorders)):
            self.flow.solve(envs, length_s, quiet=quiet, theta_rad=swing.theta_rad(len(envs)))
            return
        lowest_hz = swing.macro_step(len(envs)).record.df_min_hz
        operations = self.relays.operations(
            envs, swing.trace_hz[step_a : step_b + 1], lowest_hz, self.topology.relay_weight
        )
        trips = self.plant_relays.operations(
            envs,
            swing.trace_hz[step_a : step_b + 1],
            swing.macro_step(len(envs)).record.df_max_hz,
            self.topology.bus_frequency,
            self.engine.machine_in_service,
        )
        first = {env: operation.step for env, operation in operations.items() if operation.step >= 0}
        for env, trip in trips.items():
            if trip.step >= 0:
                first[env] = min(trip.step, first.get(env, trip.step))
        early = [env for env, step in first.items() if step < step_b - step_a]
        if early:
            # Relays operate before the macro step ends: it is cut there, for those whose relays they are.
            rest = np.setdiff1d(envs, early)
            if len(rest):
                self._macro_step(rest, step_a, step_b)
            for env in early:
                cut = step_a + first[env]
                self._macro_step(np.array([env]), step_a, cut)
                self._macro_step(np.array([env]), cut, step_b)
            return
        watched = {
            env: recorder.begin(self.machine_mvar, step_a / n_steps)
            for env, recorder in self.recorders.items()
            if env in envs
        }
        swing.adopt(envs, step_b)
        self.flow.solve(envs, length_s, quiet=quiet, theta_rad=swing.theta_rad(len(envs)))
        for env, begun in watched.items():
            self.recorders[env].end(begun, step_a, step_b)
        for env, operation in operations.items():
            self.relays.count(env, operation)
            if operation.step >= 0:
                self.switching.shed(env, operation.stages, step_b)
        for env, trip in trips.items():
            self.plant_relays.count(env, trip)
            for machine in np.flatnonzero(trip.machines).tolist():
                self.switching.switch(env, Event(time_s=0.0, kind="machine_out", index=machine), step_b)
