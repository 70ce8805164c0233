"""Injection profile of a control interval: loads, wind and sun, schedules and resources.

All of it moves along straight lines between the interval's two ends, but for the resources' outputs, which follow
their set-points with a first-order lag. Load steps and load shedding act on top, from one instant to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.kernels.bus_injection import served_load, unserved_load
from grid_model.kernels.structs import Injections, Profile

__all__ = ["InjectionProfile", "Injections", "lagged_response"]


def lagged_response(
    start_mw: FloatArray, u0_mw: FloatArray, u1_mw: FloatArray, lag_s: FloatArray, t_s: float, length_s: float
) -> FloatArray:
    """Output of a first-order lag whose set-point moves along a straight line.

        T dx/dt = u - x,   u = u0 + s t,   s = (u1 - u0) / length:   x(t) = u(t) - s T + (x0 - u0 + s T) exp(-t/T)

    Args:
        start_mw: x0, output at the line's beginning [MW].
        u0_mw: set-point there [MW], as start_mw.
        u1_mw: set-point at the line's end [MW], as start_mw.
        lag_s: T, above zero [s], [resource] or as start_mw.
        t_s: time since the line's beginning [s].
        length_s: time from the line's beginning to its end [s].

    Returns:
        x(t) [MW], as start_mw.
    """
    slope = (u1_mw - u0_mw) / length_s
    behind = slope * lag_s
    return u0_mw + slope * t_s - behind + (start_mw - u0_mw + behind) * np.exp(-t_s / lag_s)


class InjectionProfile:
    """The injections of every environment at an interval's two ends, and what follows from them in between.

    `at` is a fraction of the interval, `rows` the environments asked for: a slice or positions.

    Attributes (read them, change them only through the methods; the arrays stay):
        arrays: everything as the compiled functions take it; the next four are parts of it.
        begin, end: injections at the two ends of the last interval.
        load_step_mw: steps of load that have happened, [env, load].
        served_share: share of each load that shedding has left, [env, load].
    """

    def __init__(
        self, case: Case, n_env: int, resource_lag_s: FloatArray, interval_s: float, n_steps: int
    ) -> None:
        """Loads and machines stand in the published state, everything else at zero.

        Args:
            case: the grid.
            n_env: number of environments.
            resource_lag_s: time constant of each resource [s], [resource].
            interval_s: length of an interval [s].
            n_steps: integration steps of an interval.
        """
        self._case, self._interval_s = case, interval_s

        def published() -> Injections:
            return Injections(
                load_mw=np.repeat(case.load.p_mw[None, :], n_env, axis=0),
                load_mvar=np.repeat(case.load.q_mvar[None, :], n_env, axis=0),
                renewable_mw=np.zeros((n_env, case.n_renewable)),
                schedule_mw=np.repeat(case.machine.p_mw[None, :], n_env, axis=0),
                set_point_mw=np.zeros((n_env, case.n_resource)),
                resource_mw=np.zeros((n_env, case.n_resource)),
            )

        self._lag_s = np.array(resource_lag_s, dtype=np.float64)
        # Row by row, as numpy may round an array of another shape differently.
        decay = [np.exp(-(step / n_steps * interval_s) / self._lag_s) for step in range(n_steps + 1)]
        self.arrays = Profile(
            begin=published(),
            end=published(),
            coming=published(),
            load_step_mw=np.zeros((n_env, case.n_load)),
            served_share=np.ones((n_env, case.n_load)),
            lag_s=self._lag_s,
            lag_kind=np.searchsorted(np.unique(self._lag_s), self._lag_s),
            lag_decay=np.stack(decay),
        )
        self.begin, self.end = self.arrays.begin, self.arrays.end
        self.load_step_mw, self.served_share = self.arrays.load_step_mw, self.arrays.served_share

    def start(self, envs: IntArray, injections: Injections) -> None:
        """Put environments to these injections, a row for each of them, without load steps or shedding."""
        for begin, end, given in zip(self.begin, self.end, injections, strict=True):
            begin[envs] = end[envs] = given
        self.load_step_mw[envs] = 0.0
        self.served_share[envs] = 1.0

    def announce(self, injections: Injections) -> None:
        """What acts at the end of the next interval, of all environments; copied, unless it is `arrays.coming`."""
        if injections is not self.arrays.coming:
            for coming, given in zip(self.arrays.coming, injections, strict=True):
                coming[...] = given

    def shift_schedule(self, envs: IntArray, offset_mw: FloatArray) -> None:
        """Add to the schedules that act now, [n, machine]."""
        self.end.schedule_mw[envs] += offset_mw

    def step_load(self, env: int, load: int, p_mw: float) -> None:
        """A load of one environment grows at once [MW], on top of what it wants."""
        self.load_step_mw[env, load] += p_mw

    def shed(self, env: int, served_share: FloatArray) -> None:
        """This share of each load of one environment is left, [load]."""
        self.served_share[env] = served_share

    def value(self, name: str, rows: Any, at: float) -> FloatArray:
        """One of the fields of `Injections` by its name, rows of the environments asked for."""
        start: FloatArray = getattr(self.begin, name)[rows]
        end: FloatArray = getattr(self.end, name)[rows]
        if at == 0.0:  # exact at both ends
            return start
        if at == 1.0:
            return end
        return start + (end - start) * at

    def load_mw(self, rows: Any, at: float) -> FloatArray:
        """Load that is served, at 60 Hz [MW], [env, load]."""
        wanted = self.value("load_mw", rows, at) + self.load_step_mw[rows]
        served: FloatArray = wanted * self.served_share[rows]
        return served

    def resource_mw(self, rows: Any, at: float) -> FloatArray:
        """Outputs of the resources [MW], [env, resource]."""
        if at in (0.0, 1.0):
            return self.value("resource_mw", rows, at)
        return lagged_response(
            self.begin.resource_mw[rows],
            self.begin.set_point_mw[rows],
            self.end.set_point_mw[rows],
            self._lag_s,
            at * self._interval_s,
            self._interval_s,
        )

    def net_load_mw(self, rows: Any, at: float) -> FloatArray:
        """Load less renewables and resources, at 60 Hz [MW], [env, bus]."""
        case, load_mw = self._case, self.load_mw(rows, at)
        net = np.zeros((len(load_mw), case.n_bus))
        for bus, power_mw in (
            (case.load.bus, load_mw),
            (case.renewable.bus, -self.value("renewable_mw", rows, at)),
            (case.resource.bus, -self.resource_mw(rows, at)),
        ):
            for column, at_bus in enumerate(bus):  # loads and plants may share a bus
                net[:, at_bus] += power_mw[:, column]
        return net

    def served_mw(self, bus_live: BoolArray) -> FloatArray:
        """Loads at the interval's end, at 60 Hz: after steps, shedding and lost buses [MW], [env, load].

        Args:
            bus_live: which buses are energised, [env, bus].
        """
        served_mw = np.empty_like(self.load_step_mw)
        load_bus = self._case.load.bus
        served_load(self.end.load_mw, self.load_step_mw, self.served_share, bus_live, load_bus, served_mw)
        return served_mw

    def unserved_mw(self, bus_live: BoolArray, at: float = 1.0) -> FloatArray:
        """Load on dead buses and load that was shed [MW], [env]; bus_live [env, bus]."""
        return unserved_load(
            self.value("load_mw", slice(None), at),
            self.load_step_mw,
            self.served_share,
            bus_live,
            self._case.load.bus,
        )
