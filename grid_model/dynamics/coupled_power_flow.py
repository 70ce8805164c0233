"""Power flow at the end of a macro step: solved with the laws that hold, failures counted, the solution adopted.

A power flow without a solution is ridden through; the grid is lost after `lost_after_s` without any.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.kernels.structs import GridArrays
from grid_model.kernels.synchronising import adopt_power_flow, adopt_solution
from grid_model.kernels.voltage_laws import adopt_voltages, limit_fields, write_laws
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["CoupledPowerFlow"]

MOST_CORRECTIONS = 4  # of which fields are at their limits, within one power flow


class CoupledPowerFlow:
    """Power flows of a batch as its frequency model needs them.

    Attributes (read them; the arrays stay):
        lost: whether there has been no solution for too long, [env].
        failed_solves: power flows of the interval without a solution, [env].
        failing: whose last power flow has none, [env]; unsolved_s: time since the first of them [s], [env].
    """

    def __init__(
        self,
        engine: NewtonEngine,
        arrays: GridArrays,
        terminal_voltage: TerminalVoltage,
        synchronising_power: SynchronisingPower,
        *,
        loads_depend: bool,
        lost_after_s: float,
    ) -> None:
        """No power flow has failed.

        Args:
            engine: solves them.
            arrays: of the grid, in which injections and solutions lie.
            terminal_voltage: what machines hold.
            synchronising_power: what flows between the groups, renewed at every solution.
            loads_depend: whether loads follow the voltage.
            lost_after_s: time without a solution after which the grid is lost [s].
        """
        self._engine, self._arrays, self._injected = engine, arrays, arrays.injected
        self._terminal_voltage, self._synchronising_power = terminal_voltage, synchronising_power
        self._loads_depend, self._lost_after_s = loads_depend, lost_after_s
        n_env = engine.n_env
        self.lost: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.failed_solves: IntArray = np.zeros(n_env, dtype=np.int64)
        self.failing: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.unsolved_s: FloatArray = np.zeros(n_env)

    def forget(self, envs: IntArray) -> None:
        """Nothing has failed in these environments, [n]."""
        self.lost[envs] = self.failing[envs] = False
        self.unsolved_s[envs] = 0.0

    def start(self, envs: IntArray, reactor_share: FloatArray) -> None:
        """Power flow of what is injected with these shares of the reactors, from the reference voltages."""
        self._engine.set_reactors(envs, reactor_share)
        self._engine.reset_voltages(envs)
        self._engine.solve(self._injected.total_mva, envs)
        self.failing[envs] = ~self._engine.converged[envs]

    def solve(self, envs: IntArray, length_s: float, *, quiet: bool = False) -> None:
        """Power flow of what is injected, from the last voltages, and what follows from it for the groups.

        Args:
            envs: environments, [n].
            length_s: time since the last one, whether it found a solution or not.
            quiet: without laws: voltages move by so little that loads may draw what the last ones let them.
        """
        engine, field = self._engine, self._terminal_voltage.state
        field.elapsed_s[envs] += length_s
        regulating = not quiet and bool(field.regulating[envs].any())
        by_law = regulating or (self._loads_depend and not quiet)
        law_mva = self._injected.law_mva if by_law else None
        if by_law:
            write_laws(self._arrays, envs)
        engine.solve(self._injected.total_mva, envs, law_mva)
        if regulating:
            remaining = envs
            for _ in range(MOST_CORRECTIONS):
                redo = np.empty(len(remaining), dtype=np.int64)
                remaining = redo[: limit_fields(self._arrays, remaining, redo)]
                if len(remaining) == 0:
                    break
                write_laws(self._arrays, remaining)
                engine.solve(self._injected.total_mva, remaining, law_mva)
        self._count_failures(envs, length_s)
        self.adopt(envs, by_law=by_law)

    def adopt(self, envs: IntArray, *, by_law: bool = False, at_rest: bool = False) -> None:
        """Take over the machines' powers and what joins the groups from the last power flow.

        At rest the loads' voltages become their references.
        """
        if not self._synchronising_power.is_stale(envs):
            adopt_solution(self._arrays, envs, by_law, at_rest)
            return
        adopt_voltages(self._arrays, envs, by_law, at_rest)
        self._synchronising_power.reduce_stale(envs)
        adopt_power_flow(self._arrays, envs)

    def _count_failures(self, envs: IntArray, length_s: float) -> None:
        """Who is without a solution, and since when; time counts from the first power flow that found none."""
        failed = ~self._engine.converged[envs]
        if not failed.any() and not self.failing.any():
            return
        self.unsolved_s[envs] = np.where(failed & self.failing[envs], self.unsolved_s[envs] + length_s, 0.0)
        self.failing[envs] = failed
        self.failed_solves[envs] += failed
        # Macro steps are sums of steps of dt_s, which may fall short of a round number by a rounding error.
        self.lost[envs] |= failed & (self.unsolved_s[envs] >= self._lost_after_s - 1e-9)
