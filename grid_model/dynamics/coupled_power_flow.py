"""Power flow at the end of a macro step: solved with the laws that hold, failures counted, the solution adopted.

Where machines go by their fields and a power flow has no solution, or one with a bus below `SAG_PU`, the swing is
ridden through: until it has come to rest the network is solved with the rotors at the angles to which they turn
(`rotor_angles`). Past the top of its power curve a tie carries what its angle lets it, and powers that were kept would
not. Where there is no solution for these angles either, or one in which a bus stands below `COLLAPSED_PU`, or where
rotors have lost step, the grid is without an AC solution that it could live on, and lost after `lost_after_s` of that.
Low-voltage solutions of a power flow (each bus whose loads draw current or impedance has one at zero volts) count as
none. Left out: protection against loss of step, which would trip a unit that slips alone, or open the ties between two
halves.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray, any_set
from grid_model.dynamics.over_excitation import OverExcitation
from grid_model.dynamics.rotor_angles import Demand, MachinesAtAngles, network_at_angles
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.kernels.field_laws import field_laws
from grid_model.kernels.structs import GridArrays
from grid_model.kernels.synchronising import adopt_power_flow, adopt_solution, internal_voltages
from grid_model.kernels.voltage_laws import adopt_voltages, limit_fields, write_laws
from grid_model.network.admittance import ComplexArray, bus_admittance
from grid_model.power_flow.load_law import dc_line_mva
from grid_model.power_flow.newton import COLLAPSED_PU, NewtonEngine

__all__ = ["CoupledPowerFlow"]

SAG_PU = (
    0.9  # below it the top of a power curve is near, and in quiet macro steps too loads feel every voltage
)
OUT_OF_STEP_RAD = np.pi  # between two rotors of an island: beyond it they are pushed further apart
MOST_CORRECTIONS = 4  # of which fields are at their limits, within one power flow


class CoupledPowerFlow:
    """Power flows of a batch as its frequency model needs them.

    Attributes (read them; the arrays stay):
        lost: whether there has been no solution for too long, [env].
        failed_solves: power flows of the interval without a solution, [env].
        failing: whose last power flow has none, [env]; unsolved_s: time since the first of them [s], [env].
        riding: whose network is solved at its rotors' angles, [env].
        sagging: where a bus has stood below `SAG_PU` and has not come back yet, [env]; all who ride are among them.
        rotor_rad: angles of these rotors, of as many turns as they have made, [env, machine].
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
        limiters: OverExcitation | None = None,
    ) -> None:
        """No power flow has failed.

        Args:
            engine: solves them.
            arrays: of the grid, in which injections and solutions lie.
            terminal_voltage: what machines hold.
            synchronising_power: what flows between the groups, renewed at every solution.
            loads_depend: whether loads follow the voltage.
            lost_after_s: time without a solution after which the grid is lost [s].
            limiters: of over-excitation, where machines keep to reactive limits.
        """
        self._engine, self._arrays, self._injected = engine, arrays, arrays.injected
        self._terminal_voltage, self._synchronising_power = terminal_voltage, synchronising_power
        self._loads_depend, self._lost_after_s, self._limiters = loads_depend, lost_after_s, limiters
        n_env = engine.n_env
        self.lost: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.failed_solves: IntArray = np.zeros(n_env, dtype=np.int64)
        self.failing: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.unsolved_s: FloatArray = np.zeros(n_env)
        self.riding: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.sagging: BoolArray = np.zeros(n_env, dtype=np.bool_)
        self.rotor_rad: FloatArray = np.zeros((n_env, engine.case.n_machine))

    def forget(self, envs: IntArray) -> None:
        """Nothing has failed in these environments, [n]."""
        self.lost[envs] = self.failing[envs] = self.riding[envs] = self.sagging[envs] = False
        self.unsolved_s[envs] = 0.0
        self.rotor_rad[envs] = 0.0
        if self._limiters is not None:
            self._limiters.forget(envs)

    def limiter_arrays(self) -> dict[str, FloatArray]:
        """State of the limiters of over-excitation by name; nothing where there are none."""
        if self._limiters is None:
            return {}
        return {"over_excited_s": self._limiters.late_s, "set_point_lowered_pu": self._limiters.lowered_pu}

    def start(self, envs: IntArray, reactor_share: FloatArray) -> None:
        """Power flow of what is injected with these shares of the reactors, from the reference voltages."""
        self._engine.set_reactors(envs, reactor_share)
        self._engine.reset_voltages(envs)
        self._engine.solve(self._injected.total_mva, envs)
        self.failing[envs] = ~self._engine.converged[envs]

    def solve(
        self, envs: IntArray, length_s: float, *, quiet: bool = False, theta_rad: FloatArray | None = None
    ) -> None:
        """Power flow of what is injected, from the last voltages, and what follows from it for the groups.

        Args:
            envs: environments, [n].
            length_s: time since the last one, whether it found a solution or not.
            quiet: without laws: voltages move by so little that loads may draw what the last ones let them.
            theta_rad: by how much the groups have turned in that time, [group, n]; None if rotors stood still.
        """
        engine, field = self._engine, self._terminal_voltage.state
        sagged = any_set(self.sagging)
        if sagged:
            self.riding[envs] &= field.regulating[envs]
            sagging = self.sagging[envs]
            if quiet and sagging.any():
                self.solve(envs[sagging], length_s)
                if not sagging.all():
                    self.solve(envs[~sagging], length_s, quiet=True)
                return
        field.elapsed_s[slice(None) if len(envs) == engine.n_env else envs] += length_s
        regulating = not quiet and any_set(field.regulating[envs])
        by_law = regulating or (self._loads_depend and not quiet)
        law_mva = self._injected.law_mva if by_law else None
        if by_law:
            write_laws(self._arrays, envs)
        if regulating:
            failed_before = self.failed_solves[envs]
            self._solve_swing(envs, theta_rad)
            self._count_failures(envs, length_s, self.failed_solves[envs] > failed_before)
        else:
            engine.solve(self._injected.total_mva, envs, law_mva)
            self._count_failures(envs, length_s)
        if sagged or regulating:
            self._look_at_voltages(envs)
        if not regulating or not any_set(self.riding[envs]):
            self.adopt(envs, by_law=by_law)
        else:
            riding = self.riding[envs]
            if not riding.all():
                self.adopt(envs[~riding], by_law=True)
            self.adopt(envs[riding], by_law=False)  # what their loads draw they know already
        if self._limiters is not None:
            self._limit_excitation(self._limiters, envs, length_s)

    def _limit_excitation(self, limiters: OverExcitation, envs: IntArray, length_s: float) -> None:
        """Limiters act in a swing; where machines hold their voltages the power flow keeps to the limits itself."""
        field, by_field = self._terminal_voltage.state, self._terminal_voltage.state.regulating[envs]
        limiters.forget(envs[~by_field])
        limiters.act(envs[by_field], self._arrays.machine_state.q_mvar, field, length_s)

    def _solve_swing(self, envs: IntArray, theta_rad: FloatArray | None) -> None:
        """Power flows of machines that go by their fields; who finds none rides on at its rotors' angles."""
        engine, law_mva = self._engine, self._injected.law_mva
        by_power = envs[~self.riding[envs]]
        if len(by_power):
            before_pu = engine.v_pu[by_power].copy()
            # No second start: in a swing it may end at another solution than the one that rotors are at.
            engine.solve(self._injected.total_mva, by_power, law_mva, again=False)
            remaining = by_power
            for _ in range(MOST_CORRECTIONS):
                redo = np.empty(len(remaining), dtype=np.int64)
                remaining = redo[: limit_fields(self._arrays, remaining, redo)]
                if len(remaining) == 0:
                    break
                write_laws(self._arrays, remaining)
                engine.solve(self._injected.total_mva, remaining, law_mva, again=False)
            lowest_pu = np.abs(np.where(engine.bus_live[by_power], engine.v_pu[by_power], 1.0)).min(axis=1)
            none = ~engine.converged[by_power] | (lowest_pu < COLLAPSED_PU)
            self.failed_solves[by_power[none]] += 1  # however the network at the rotors' angles turns out
            sags = none | (lowest_pu < SAG_PU)
            for env, v_pu in zip(by_power[sags].tolist(), before_pu[sags], strict=True):
                engine.take_voltages(env, v_pu, solved=False)
                self.riding[env] = self.sagging[env] = True
                self._find_rotors(env)
        for row in np.flatnonzero(self.riding[envs]).tolist():
            env = int(envs[row])
            if theta_rad is not None:
                self.rotor_rad[env] += theta_rad[self._arrays.placement.machine_group[env], row]
            self._ride(env)

    def _look_at_voltages(self, envs: IntArray) -> None:
        """Who has recovered from a sag, [n]."""
        if self.sagging.any():
            for env in envs[self.sagging[envs] & ~self.riding[envs]].tolist():
                engine = self._engine
                lowest_pu = np.abs(engine.v_pu[env, engine.bus_live[env]]).min()
                self.sagging[env] = not engine.converged[env] or lowest_pu < SAG_PU

    def _find_rotors(self, env: int) -> None:
        """Rotors' angles of one environment at its last solution."""
        engine, machine, one = self._engine, self._arrays.machine_state, slice(env, env + 1)
        e_pu = internal_voltages(
            engine.v_pu[one],
            machine.p_mw[one],
            machine.q_mvar[one],
            engine.case.machine.bus,
            self._arrays.machines.reactance_pu,
            engine.machine_in_service[one],
            engine.case.base_mva,
        )
        self.rotor_rad[env] = np.angle(e_pu[0])

    def _ride(self, env: int) -> None:
        """Network of one environment at its rotors' angles."""
        engine, arrays, case, one = self._engine, self._arrays, self._engine.case, slice(env, env + 1)
        reactance_pu, base_mva = arrays.machines.reactance_pu, case.base_mva
        live, before_pu = engine.bus_live[env], engine.v_pu[env].copy()
        bus, at = case.machine.bus, np.flatnonzero(engine.machine_in_service[env])
        loads, injected = arrays.loads, self._injected
        plants_mva = injected.others_mva[env] + injected.drawn_mva[env]
        demand = Demand(
            load_pu=injected.demand_mva[env] / base_mva,
            plant_pu=(plants_mva + dc_line_mva(case, engine.dc_line_in_service[one])[0]) / base_mva,
            reference_pu=loads.reference_pu[env],
            p_exponent=loads.p_exponent,
            q_exponent=loads.q_exponent,
            constant_share=loads.constant_share,
        )
        y_bus_pu = bus_admittance(case, engine.branch_in_service[env], engine.reactor_share[env])
        constant_pu, slope = np.empty(case.n_machine), np.empty(case.n_machine)
        names, redo = np.array([env]), np.empty(1, dtype=np.int64)
        v_pu: ComplexArray | None = before_pu
        for _ in range(1 + MOST_CORRECTIONS):
            field_laws(arrays, env, constant_pu, slope)
            machines = MachinesAtAngles(
                bus[at], reactance_pu[at], constant_pu[at], slope[at], self.rotor_rad[env, at]
            )
            v_pu = network_at_angles(y_bus_pu, live, machines, demand, before_pu)
            engine.take_voltages(env, before_pu if v_pu is None else v_pu, solved=v_pu is not None)
            if limit_fields(arrays, names, redo) == 0:
                break
        if v_pu is None:
            return
        engine.take_voltages(env, self._turned_back(env, v_pu, before_pu), solved=True)
        drawn_pu, given_pu = demand.drawn(np.where(live, np.abs(v_pu), 1.0))
        injected.drawn_mva[env] = base_mva * drawn_pu
        injected.others_mva[env] = base_mva * (given_pu - drawn_pu)

    def _turned_back(self, env: int, v_pu: ComplexArray, before_pu: ComplexArray) -> ComplexArray:
        """The same network with each island's slack bus at the angle it had before, as power flows leave it, [bus].

        Rotors turn on while frequency is off nominal, all of them alike, which no current feels; the frame of their
        angles is turned along.
        """
        engine, machine = self._engine, self._engine.case.machine
        slack_bus, island, turned = machine.bus[machine.slack], engine.island[env], v_pu.copy()
        for number in range(island.max() + 1):
            within = island == number
            of_slack = slack_bus[within[slack_bus]]
            at = of_slack[0] if len(of_slack) else np.flatnonzero(within)[0]
            turn_rad = float(np.angle(before_pu[at]) - np.angle(v_pu[at]))
            turned[within] *= np.exp(1j * turn_rad)
            self.rotor_rad[env, within[machine.bus]] += turn_rad
        return turned

    def _apart(self, env: int) -> bool:
        """Whether the network at its rotors' angles is none to live on: a bus collapsed, or machines out of step."""
        engine, live = self._engine, self._engine.bus_live[env]
        if np.abs(engine.v_pu[env, live]).min() < COLLAPSED_PU:
            return True
        island = np.where(engine.machine_in_service[env], engine.island[env, engine.case.machine.bus], -1)
        return any(
            np.ptp(self.rotor_rad[env, island == number]) > OUT_OF_STEP_RAD
            for number in range(island.max() + 1)
        )

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

    def _count_failures(self, envs: IntArray, length_s: float, counted: BoolArray | bool = False) -> None:
        """Who is without a solution, and since when; time counts from the first power flow that found none.

        Args:
            envs: environments, [n].
            length_s: time since their last power flow.
            counted: whose failed power flow of this instant has been counted, [n].
        """
        converged = self._engine.converged
        if np.count_nonzero(converged) == len(converged) and not any_set(self.failing | self.riding):
            return
        failed = ~converged[envs]
        for row in np.flatnonzero(self.riding[envs]).tolist():
            failed[row] |= self._apart(int(envs[row]))
        if not failed.any() and not self.failing.any():
            return
        self.unsolved_s[envs] = np.where(failed & self.failing[envs], self.unsolved_s[envs] + length_s, 0.0)
        self.failing[envs] = failed
        self.failed_solves[envs] += failed & ~counted
        # Macro steps are sums of steps of dt_s, which may fall short of a round number by a rounding error.
        self.lost[envs] |= failed & (self.unsolved_s[envs] >= self._lost_after_s - 1e-9)
