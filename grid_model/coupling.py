"""Frequency and AC power flow together: one control interval of a batch of grids.

An interval runs in this order, and `CoupledGrid.advance` reads so:

    1. loads, renewables, schedules and set-points move along straight lines to the interval's end;
    2. the swing equations of the groups are integrated with governors and the resources' lags;
    3. the electrical power of every machine at the end follows: a group's power is what it had at the last power flow,
       plus its share Phi of every change of injection, plus what the angles between the groups make flow, and inside a
       group the accelerating power is shared by inertia;
    4. the AC power flow is solved at that point. What is left over (the change of losses and the curvature of the
       network) is shared by the machines by governor gain;
    5. the machines' powers of that solution, with its losses and tie flows in them, and tie stiffness at its voltages
       are where the next interval starts.

    M_a dDf_a/dt = P_sched,a + P_gov,a - P_elec,a - D_a (Df_a - Df_a0) - tie damping
    P_elec,a(t) = P_elec,a(power flow) + sum_b Phi_ba [dP_load,b - dP_renewable,b - dP_resource,b](t) + T_ab theta_b(t)

At the `machine` level T theta is not linear: it is what the machines' internal voltages E, recomputed from every AC
solution, exchange through the reduced network of `grid_model.reduction`, sum_j E_i E_j B_ij [sin delta_ij - sin
delta_ij(power flow)]. Its conductances, which are the loads and the losses, are left out: loads here draw constant
power and are the power flow's. With them in, voltages that sag in a swing would unload the grid by hundreds of MW for
as long as the next power flow is away, and it would load it again. At every level the change of losses with the angles
is there to first order. The classical model with constant-impedance loads, which has none of that, is in
`grid_model.classical`.

After an event, and while groups swing against each other by more than `renewal_spread_hz`, spans are no longer than
`renewal_s`.

Since P_elec,a is the sum of what an area's machines send out in the AC solution, it equals load plus losses plus net
export of the area there; the terms of the textbook equation are this one's parts.

Load-shedding relays act at the integration step at which their pick-up time is over: the span is integrated, looked
at, and cut there.

Events are met at their instant, rounded to the integration step: the span before it is integrated and solved, the
element switched, and the span after it starts from a power flow of its own. At the instant itself rotors stand
still; the power of what was lost is met by the groups through Phi of the new topology, which for a circuit is
its flow taken back at both ends. Left out: reactive dynamics, exciters, voltage dependence of loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from grid_model.admittance import ComplexArray
from grid_model.bus_frequency import machine_reactance_pu
from grid_model.disturbance import Event
from grid_model.group_topology import GroupTopology
from grid_model.integration import compiled_width, integrate_groups, integrate_machines
from grid_model.load_shedding import first_operation, nothing_to_count
from grid_model.power_flow import PowerFlowEngine
from grid_model.projection import (
    centre_of_inertia,
    project,
    sum_groups,
    weigh_groups,
)
from grid_model.recording import Recorder
from grid_model.reduction import (
    bus_voltages,
    classical_stiffness,
    exchange_coefficients,
    internal_voltages,
    reduce_to_machines,
)
from grid_model.span import (
    adopt_machine_power,
    begin_interval,
    begin_span,
    drive_groups,
    end_span,
    inject,
    served_load,
    share_among_machines,
    unserved_load,
)
from grid_model.swing import (
    SwingConfig,
    loss_matrix,
    renew_synchronising,
    spring_stiffness,
)

__all__ = ["CoupledGrid", "GridInputs"]


@dataclass(frozen=True, kw_only=True)
class GridInputs:
    """Everything that acts on the grid at one instant; the axes lead with env."""

    load_mw: FloatArray  # at 60 Hz, [env, load]
    load_mvar: FloatArray  # [env, load]
    renewable_mw: FloatArray  # [env, renewable]
    schedule_mw: FloatArray  # [env, machine]
    set_point_mw: FloatArray  # of the resources, [env, resource]
    resource_mw: FloatArray  # their outputs, [env, resource]

    def rows(self, envs: IntArray) -> GridInputs:
        """The same for some environments only."""
        return GridInputs(**{name: getattr(self, name)[envs] for name in self.__dataclass_fields__})


def lagged_response(
    start_mw: FloatArray, u0_mw: FloatArray, u1_mw: FloatArray, lag_s: FloatArray, t_s: float, span_s: float
) -> FloatArray:
    """Output after t_s of a first-order lag whose set-point moves from u0 to u1 along a line of length span_s.

    T dx/dt = u - x,   u = u0 + s t,   s = (u1 - u0) / span:   x(t) = u(t) - s T + (x0 - u0 + s T) exp(-t/T)
    """
    slope = (u1_mw - u0_mw) / span_s
    behind = slope * lag_s
    return u0_mw + slope * t_s - behind + (start_mw - u0_mw + behind) * np.exp(-t_s / lag_s)


class CoupledGrid:
    """A batch of grids in which swing equations and AC power flow advance together.

    Attributes (read them, change them only through the methods):
        topology: who is in service, and how the network joins the groups.
        engine: the power flows, with voltages, circuit flows and topology of every environment.
        df_hz: frequency deviation of each group, [group, env].
        machine_mw, machine_mvar: what each machine sends out at the last power flow, [env, machine].
        trace_hz: frequency deviation of the groups at every step of the last interval, [step, group, env].
        trace_mechanical_mw: governors' power of the groups likewise, kept only while an environment is recorded.
        shed_stages: stages of load shedding that have operated in each area, [env, area, stage].
        served_share: share of each load that shedding has left, [env, load].
        second_moment_hz2: mean of f_a f_b over the last interval, symmetric, [group, group, env].
        df_min_hz, df_max_hz: extremes of the last interval, [group, env].
        inputs: what acts at the end of the last interval.
    """

    def __init__(
        self,
        case: Case,
        n_env: int,
        config: SwingConfig,
        *,
        resource_lag_s: FloatArray,
        interval_s: float = 4.0,
        check: bool = True,
    ) -> None:
        """Build engine and frequency model; every environment stands in the published state.

        Args:
            case: the grid; n_env: number of environments; config: choices of the frequency model.
            resource_lag_s: time constant of each resource [s], [resource].
            interval_s: length of a control interval, a whole number of integration steps [s].
            check: let pandapower confirm the engine, see `PowerFlowEngine`.
        """
        n_steps = round(interval_s / config.dt_s)
        if n_steps < 1 or abs(n_steps * config.dt_s - interval_s) > 1e-9:
            raise ValueError(
                f"control interval {interval_s} s is not a whole number of integration steps of {config.dt_s} s"
            )
        self.case = case
        self.n_env = n_env
        self.config = config
        self.interval_s = interval_s
        self.n_steps = n_steps
        self.engine = PowerFlowEngine(case, n_env, check=check)
        if config.level == "area":
            self.group_of_machine = case.bus.area[case.machine.bus]
            self.n_group = case.n_area
        elif config.level == "machine":
            self.group_of_machine = np.arange(case.n_machine)
            self.n_group = case.n_machine
        else:
            self.group_of_machine = np.zeros(case.n_machine, dtype=np.int64)
            self.n_group = 1
        self._lag_s = np.unique(resource_lag_s)
        self._resource_lag_s = resource_lag_s
        self._lag_of = np.searchsorted(
            self._lag_s, resource_lag_s
        )  # which of them a resource has, [resource]
        self._reactance_pu = machine_reactance_pu(case)
        self._susceptance_pu = 1.0 / self._reactance_pu
        self._per_hz = config.load_damping / case.f0_hz  # relative change of load per Hz
        self._others_mva = np.zeros((n_env, case.n_bus), dtype=np.complex128)
        self._injection_mva = np.zeros((n_env, case.n_bus), dtype=np.complex128)
        self._all = np.arange(n_env)

        g = self.n_group
        self.df_hz = np.zeros((g, n_env))
        self._theta_rad = np.zeros((g, n_env))
        self._valve_mw = np.zeros((g, n_env))
        self._reheat_mw = np.zeros((g, n_env))
        self._p_elec_mw = np.zeros((g, n_env))
        self._synchronising = np.zeros((g, g, n_env))
        # The reduced network; only the machine level reads it.
        n_reduced = case.n_machine if config.level == "machine" else 0
        self._y_reduced = np.zeros((n_env, n_reduced, n_reduced), dtype=np.complex128)
        self._in_phase = np.zeros((n_reduced, n_reduced, n_env))
        self._quadrature = np.zeros((n_reduced, n_reduced, n_env))
        self._recorders: dict[int, Recorder] = {}
        self._stale = np.ones(n_env, dtype=np.bool_)  # the topology changed since the last reduction
        self.second_moment_hz2 = np.zeros((g, g, n_env))
        self.df_min_hz = np.zeros((g, n_env))
        self.df_max_hz = np.zeros((g, n_env))
        self.trace_hz = np.zeros((n_steps + 1, g, n_env))
        self.trace_mechanical_mw = np.zeros((n_steps + 1, g, n_env))
        self.machine_mw = np.zeros((n_env, case.n_machine))
        self.machine_mvar = np.zeros((n_env, case.n_machine))
        self.load_step_mw = np.zeros((n_env, case.n_load))
        self._branch_wanted = np.ones((n_env, case.n_branch), dtype=np.bool_)
        self._machine_wanted = np.ones((n_env, case.n_machine), dtype=np.bool_)
        self.topology = GroupTopology(config, self.engine, self.group_of_machine, g)
        # Under-frequency load shedding.
        n_stage = 0 if config.load_shedding is None else config.load_shedding.n_stage
        self._relay_pending = np.zeros((n_env, case.n_area, n_stage), dtype=np.int64)
        self.shed_stages = np.zeros((n_env, case.n_area, n_stage), dtype=np.bool_)
        self.served_share = np.ones((n_env, case.n_load))
        governor = config.governor
        self.dead_band_hz = np.full(n_env, governor.dead_band_hz)
        zero = np.zeros
        self.inputs = GridInputs(
            load_mw=np.repeat(case.load.p_mw[None, :], n_env, axis=0),
            load_mvar=np.repeat(case.load.q_mvar[None, :], n_env, axis=0),
            renewable_mw=zero((n_env, case.n_renewable)),
            schedule_mw=np.repeat(case.machine.p_mw[None, :], n_env, axis=0),
            set_point_mw=zero((n_env, case.n_resource)),
            resource_mw=zero((n_env, case.n_resource)),
        )
        self._begin = self._end = self.inputs

    def start(
        self,
        envs: IntArray,
        inputs: GridInputs,
        reactor_share: FloatArray,
        *,
        next_share: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
        n_switching: int = 0,
    ) -> FloatArray:
        """Put environments at rest at 60 Hz with everything in service.

        The power flow is solved with the scheduled powers and what it leaves over is shared by governor gain; the
        machines' powers there are what a schedule in balance would have said.

        Args:
            envs: positions of the environments to start, [n].
            inputs: what acts at the start, rows for these environments only.
            reactor_share: share of each shunt reactor switched in, [n, reactor] or [n, 1].
            next_share: the shares that an operator would choose from the present ones and the voltages at the
                reactors' buses [pu], all [n, reactor]; n_switching: how often this was done before the start.

        Returns:
            Machines' powers in balance minus their schedule [MW], [n, machine].
        """
        if next_share is None and n_switching > 0:
            raise ValueError(f"n_switching = {n_switching} without next_share, which says what to switch")
        everything = np.ones(self.case.n_branch, dtype=np.bool_)
        machines = np.ones(self.case.n_machine, dtype=np.bool_)
        for env in envs:
            if not (self._branch_wanted[env].all() and self._machine_wanted[env].all()):
                self._branch_wanted[env] = True
                self._machine_wanted[env] = True
                self.engine.set_topology(int(env), everything, machines)
                self._adopt_topology(int(env))
        for name in GridInputs.__dataclass_fields__:
            getattr(self.inputs, name)[envs] = getattr(inputs, name)
        for env in envs:
            if env in self._recorders:
                self._recorders[env].clear()
        self.load_step_mw[envs] = 0.0
        self.served_share[envs] = 1.0
        self.shed_stages[envs] = False
        self._relay_pending[envs] = 0
        self._stale[envs] = True
        for state in (
            self.df_hz,
            self._theta_rad,
            self._valve_mw,
            self._reheat_mw,
            self.df_min_hz,
            self.df_max_hz,
        ):
            state[:, envs] = 0.0
        self.second_moment_hz2[:, :, envs] = 0.0
        self._begin = self._end = self.inputs
        # Where no solution is found, the schedule stands in for what the machines send out.
        self.machine_mw[envs] = inputs.schedule_mw
        self.machine_mvar[envs] = 0.0
        self._p_elec_mw[:, envs] = sum_groups(inputs.schedule_mw, self.group_of_machine, self.n_group)
        self._inject(envs, inputs.schedule_mw, 1.0)
        self._start_power_flow(envs, reactor_share)
        for _ in range(n_switching):
            vm_pu = np.abs(self.engine.v_pu[envs][:, self.case.reactor.bus])
            reactor_share = next_share(reactor_share, vm_pu)  # type: ignore[misc]
            self._start_power_flow(envs, reactor_share)
        self._adopt_solution(envs)
        return self.machine_mw[envs] - inputs.schedule_mw

    def shift_schedule(self, envs: IntArray, offset_mw: FloatArray) -> None:
        """Add to the schedules that act now, so that an episode starts in balance; offset_mw [n, machine]."""
        self.inputs.schedule_mw[envs] += offset_mw

    def set_reactors(self, env: int, share: FloatArray) -> None:
        """Switch the shunt reactors of one environment, [reactor]; takes effect at the next power flow."""
        self.engine.set_reactors(env, share)

    def advance(self, inputs: GridInputs, events: Mapping[int, Sequence[Event]] | None = None) -> BoolArray:
        """One control interval.

        Args:
            inputs: what acts at the interval's end; it starts where the last one ended.
            events: switching events and load steps of some environments, in order of time, `time_s` counted from the
                start of this interval and less than its length.

        Returns:
            Whether every power flow of the interval found a solution, [env]. Where one did not, the voltages are
            those of the last that did.
        """
        for recorder in self._recorders.values():
            recorder.next_interval()
        self._begin, self._end = self.inputs, inputs
        swinging = begin_interval(
            self.df_hz,
            self.topology.inertia,
            self.config.renewal_spread_hz,
            self.second_moment_hz2,
            self.df_min_hz,
            self.df_max_hz,
        )
        eventful = sorted(events) if events else []
        if eventful:
            swinging[eventful] = False
        n_swinging = np.count_nonzero(swinging)
        if not eventful and n_swinging == 0:
            self._span(None, 0, self.n_steps)
        elif len(eventful) + n_swinging < self.n_env:
            quiet = ~swinging
            quiet[eventful] = False
            self._span(np.flatnonzero(quiet), 0, self.n_steps)
        converged = self.engine.converged.copy()
        if n_swinging > 0:
            converged &= self._short_spans(np.flatnonzero(swinging), 0, self.n_steps)
        for env in eventful:
            assert events is not None
            only = np.array([env])
            solved, at = True, 0
            for event in events[env]:
                step = min(max(round(event.time_s / self.config.dt_s), at), self.n_steps)
                if step > at:
                    solved &= bool(self._short_spans(only, at, step)[env])
                    at = step
                self._switch(env, event, at / self.n_steps)
                solved &= bool(self.engine.converged[env])
            if at < self.n_steps:
                solved &= bool(self._short_spans(only, at, self.n_steps)[env])
            converged[env] = solved
        self._begin = self.inputs = inputs
        return converged

    def bus_df_hz(self) -> FloatArray:
        """Frequency deviation of every bus at the interval's end [Hz], [env, bus]; zero at dead buses."""
        return weigh_groups(self.topology.bus_frequency, self.df_hz)

    def bus_extremes_hz(self, env: int) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest frequency deviation of each bus within the interval [Hz], two arrays [bus]."""
        trace = self.topology.bus_frequency[env] @ np.ascontiguousarray(self.trace_hz[:, :, env].T)
        return trace.min(axis=1), trace.max(axis=1)

    def coi_df_hz(self) -> FloatArray:
        """Frequency deviation of the centre of inertia at the interval's end [Hz], [env]."""
        return centre_of_inertia(self.df_hz[None], self.topology.inertia)[0]

    def coi_trace_hz(self) -> FloatArray:
        """Deviation of the centre of inertia at the end of every step of the last interval [Hz], [step, env]."""
        return centre_of_inertia(self.trace_hz[1:], self.topology.inertia)

    def served_mw(self) -> FloatArray:
        """Loads as they are at the interval's end, at 60 Hz: after steps, shedding and lost buses [MW], [env, load]."""
        return served_load(
            self.inputs.load_mw,
            self.load_step_mw,
            self.served_share,
            self.engine.bus_live,
            self.case.load.bus,
        )

    def unserved_mw(self) -> FloatArray:
        """Load on dead buses and load that was shed [MW], [env]."""
        return unserved_load(
            self.inputs.load_mw,
            self.load_step_mw,
            self.served_share,
            self.engine.bus_live,
            self.case.load.bus,
        )

    def record(self, env: int) -> Recorder:
        """Record an environment from now on at every integration step; `start` begins its trace anew."""
        return self._recorders.setdefault(env, Recorder(env))

    def exchange_mw_per_rad(self, env: int) -> FloatArray:
        """d P_a / d theta_b of the groups of one environment at its last power flow, [group, group]."""
        if self.config.level == "machine":
            return classical_stiffness(self._quadrature[:, :, env])
        return self._synchronising[:, :, env].copy()

    def spring_stiffness_mw_per_rad(self, env: int) -> FloatArray:
        """Stiffness of every circuit and machine of one environment at its last power flow, [branch + machine]."""
        case, engine, only = self.case, self.engine, slice(env, env + 1)
        stiffness = np.empty((1, case.n_branch + case.n_machine))
        spring_stiffness(
            engine.v_pu[only],
            self.machine_mvar[only],
            self.topology.spring_pu[only],
            case.branch.from_bus,
            case.branch.to_bus,
            case.machine.bus,
            self._susceptance_pu,
            engine.machine_in_service[only],
            case.base_mva,
            stiffness,
        )
        return stiffness[0]

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit, as arrays."""
        state = {name: getattr(self, name).copy() for name in _STATE}
        state |= {
            f"inputs_{name}": getattr(self.inputs, name).copy() for name in GridInputs.__dataclass_fields__
        }
        state["v_pu"] = self.engine.v_pu.copy()
        state["reactor_share"] = self.engine.reactor_share.copy()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        for name in ("_branch_wanted", "_machine_wanted"):
            getattr(self, name)[...] = state[name]
        for name in GridInputs.__dataclass_fields__:
            np.copyto(getattr(self.inputs, name), state[f"inputs_{name}"])
        self._begin = self._end = self.inputs
        for env in range(self.n_env):
            self.engine.set_topology(env, self._branch_wanted[env], self._machine_wanted[env])
            self.engine.set_reactors(env, state["reactor_share"][env])
            self._adopt_topology(env)
        self.engine.restore_voltages(state["v_pu"])
        for name in _STATE:
            getattr(self, name)[...] = state[name]

    def _short_spans(self, envs: IntArray, step_a: int, step_b: int) -> BoolArray:
        """Go from step_a to step_b with a power flow at least every `renewal_s`; whether all of them solved, [env]."""
        most = max(1, round(self.config.renewal_s / self.config.dt_s))
        solved = np.ones(self.n_env, dtype=np.bool_)
        n_span = -(-(step_b - step_a) // most)
        for k in range(n_span):
            first = step_a + k * (step_b - step_a) // n_span
            self._span(envs, first, step_a + (k + 1) * (step_b - step_a) // n_span)
            solved &= self.engine.converged
        return solved

    # One span of an interval --------------------------------------------------------------------------------------

    def _span(self, envs: IntArray | None, step_a: int, step_b: int) -> None:
        """Integrate from step_a to step_b and solve the power flow there; all environments if envs is None."""
        case, config, engine = self.case, self.config, self.engine
        governor, begin, end = config.governor, self._begin, self._end
        names = self._all if envs is None else envs
        n_env = len(names)
        a, b = step_a / self.n_steps, step_b / self.n_steps
        state = np.empty((7, self.n_group, n_env))
        begin_span(
            names,
            self.df_hz,
            self._theta_rad,
            self._valve_mw,
            self._reheat_mw,
            self.df_min_hz,
            self.df_max_hz,
            state,
        )
        df, start_hz, theta, valve, reheat, lowest, highest = state
        moment = np.zeros((self.n_group, self.n_group, n_env))
        delta, damping, out_start, p_a, p_b = np.empty((5, self.n_group, n_env))
        lagged, u_a, u_b = np.empty((3, len(self._lag_s), self.n_group, n_env))
        drive_groups(
            names,
            a,
            b,
            begin.load_mw,
            end.load_mw,
            self.load_step_mw,
            self.served_share,
            begin.renewable_mw,
            end.renewable_mw,
            begin.schedule_mw,
            end.schedule_mw,
            begin.set_point_mw,
            end.set_point_mw,
            self._resource_mw(slice(None) if envs is None else envs, a),
            engine.bus_live,
            engine.machine_in_service,
            self.topology.reach,
            self._p_elec_mw,
            start_hz,
            case.load.bus,
            case.renewable.bus,
            case.resource.bus,
            self._lag_of,
            self.group_of_machine,
            self._per_hz,
            delta,
            damping,
            out_start,
            lagged,
            u_a,
            u_b,
            p_a,
            p_b,
        )
        n_steps = step_b - step_a
        if envs is None:  # straight into the interval's traces; a span cut short is written again
            trace = self.trace_hz[step_a : step_b + 1]
            trace_mechanical = self.trace_mechanical_mw[step_a : step_b + 1 if self._recorders else step_a]
        else:
            trace = np.empty((n_steps + 1, self.n_group, n_env))
            trace_mechanical = np.empty_like(trace if self._recorders else trace[:0])
        inertia = _columns(self.topology.moving_inertia, envs)
        before: tuple[Any, ...] = (
            compiled_width(n_env),
            df,
            theta,
            valve,
            reheat,
            lagged,
            p_a,
            p_b,
            u_a,
            u_b,
        )
        after: tuple[Any, ...] = (
            *(_columns(x, envs) for x in self.topology.governors),
            _columns(self.dead_band_hz, envs),
            self._lag_s,
            governor.t_valve_s,
            governor.t_reheat_s,
            governor.high_pressure_fraction,
            config.tie_damping_s,
            config.dt_s,
            n_steps,
            1.0 / self.n_steps,
            moment,
            lowest,
            highest,
            trace,
            trace_mechanical,
        )
        exchange = np.empty_like(df)
        if self.config.level == "machine":
            in_phase, quadrature = _columns(self._in_phase, envs), _columns(self._quadrature, envs)
            step_machines: Any = integrate_machines
            step_machines(*before, inertia, damping, in_phase, quadrature, exchange, *after)
        else:
            step_groups: Any = integrate_groups
            step_groups(*before, inertia, damping, _columns(self._synchronising, envs), exchange, *after)

        operations = self._relay_operations(envs, trace, lowest)
        early = [env for env, (step, _, _) in operations.items() if 0 <= step < n_steps]
        if early:
            # Relays operate before the span ends: it is cut there, for those whose relays they are.
            rest = np.setdiff1d(np.arange(self.n_env) if envs is None else envs, early)
            if len(rest):
                self._span(rest, step_a, step_b)
            for env in early:
                cut = step_a + operations[env][0]
                self._span(np.array([env]), step_a, cut)
                self._span(np.array([env]), cut, step_b)
            return
        watched = {env: self._recorders[env].begin(self) for env in self._recorders if env in names}
        end_span(
            names,
            state,
            delta,
            damping,
            out_start,
            lagged,
            exchange,
            moment,
            self.df_hz,
            self._theta_rad,
            self._valve_mw,
            self._reheat_mw,
            self.df_min_hz,
            self.df_max_hz,
            self.second_moment_hz2,
            self._p_elec_mw,
        )
        if envs is not None:
            self.trace_hz[step_a : step_b + 1, :, envs] = trace
            if self._recorders:
                self.trace_mechanical_mw[step_a : step_b + 1, :, envs] = trace_mechanical
        self._settle(envs, b)
        for env, begun in watched.items():
            self._recorders[env].end(self, begun, step_a, step_b)
        for env, (step, operated, pending) in operations.items():
            self._relay_pending[env] = pending
            if step >= 0:
                self._shed(env, operated, b)

    def _relay_operations(
        self, envs: IntArray | None, trace_hz: FloatArray, lowest_hz: FloatArray
    ) -> dict[int, tuple[int, BoolArray, IntArray]]:
        """What the load-shedding relays do in a span that has been integrated; changes nothing.

        Args:
            envs: the environments integrated; all if None.
            trace_hz: their groups, [step, group, env]; lowest_hz: lowest value of the interval, [group, env].

        Returns:
            For each environment whose relays have something to count: the first step of the span at which any of them
            operates (-1: none), which do, [area, stage], and the pick-up counters at that step or the span's end.
        """
        relays = self.config.load_shedding
        if relays is None or relays.n_stage == 0:
            return {}
        threshold_hz = relays.stage_hz[0] - self.case.f0_hz
        if nothing_to_count(lowest_hz, threshold_hz, self._relay_pending):
            return {}
        names = self._all if envs is None else envs
        picked_up = self._relay_pending[names].any(axis=(1, 2))
        low = np.flatnonzero(picked_up | (lowest_hz.min(axis=0) < threshold_hz))
        found: dict[int, tuple[int, BoolArray, IntArray]] = {}
        for row in low:
            env = int(names[row])
            # Contiguous, so that the product is the same to the bit in a batch of any size.
            area_hz = np.ascontiguousarray(trace_hz[:, :, row]) @ self.topology.relay_weight[env].T
            found[env] = first_operation(
                area_hz,
                self._relay_pending[env],
                self.shed_stages[env],
                np.array(relays.stage_hz) - self.case.f0_hz,
                relays.pick_up_s,
                self.config.dt_s,
            )
        return found

    def _settle(self, envs: IntArray | None, at: float) -> None:
        """Power flow at a fraction of the interval, with each group's electrical power shared among its machines."""
        names = self._all if envs is None else envs
        machine_mw = np.empty((len(names), self.case.n_machine))
        share_among_machines(
            names,
            at,
            self._begin.schedule_mw,
            self._end.schedule_mw,
            self.engine.machine_in_service,
            self._valve_mw,
            self._reheat_mw,
            self.config.governor.high_pressure_fraction,
            self.topology.group_share,
            self.topology.governor_share,
            self.topology.inertia,
            self.topology.machine_inertia,
            self._p_elec_mw,
            self.group_of_machine,
            machine_mw,
        )
        self._inject(envs, machine_mw, at)
        self.engine.solve(self._injection_mva, envs)
        self._adopt_solution(envs)

    def _start_power_flow(self, envs: IntArray, reactor_share: FloatArray) -> None:
        """Power flow of what is injected with these shares of the reactors, from the reference voltages."""
        for env, share in zip(envs.tolist(), reactor_share, strict=True):
            self.engine.set_reactors(env, share)
            self.engine.reset_voltages(env)
        self.engine.solve(self._injection_mva, envs)

    def _inject(self, envs: IntArray | None, machine_mw: FloatArray, at: float) -> None:
        """What goes into every bus with these powers of the machines, a row per environment named."""
        case, engine, begin, end = self.case, self.engine, self._begin, self._end
        rows: Any = slice(None) if envs is None else envs
        names = self._all if envs is None else envs
        inject(
            names,
            at,
            begin.load_mw,
            end.load_mw,
            self.load_step_mw,
            begin.load_mvar,
            end.load_mvar,
            self.served_share,
            begin.renewable_mw,
            end.renewable_mw,
            self._resource_mw(rows, at),
            machine_mw,
            engine.machine_in_service,
            engine.bus_live,
            self.topology.reach,
            self.df_hz,
            case.load.bus,
            case.renewable.bus,
            case.resource.bus,
            case.machine.bus,
            self._per_hz,
            self._others_mva,
            self._injection_mva,
        )

    def _adopt_solution(self, envs: IntArray | None) -> None:
        """Take over the machines' powers and the stiffness between the groups from the last power flow."""
        case, engine = self.case, self.engine
        names = self._all if envs is None else envs
        adopt_machine_power(
            names,
            engine.converged,
            engine.machine_power(self._others_mva, envs),
            engine.machine_in_service,
            self.group_of_machine,
            self.machine_mw,
            self.machine_mvar,
            self._p_elec_mw,
        )
        if self.config.level == "machine":
            which = names[engine.converged[names]]
            for env in which[self._stale[which]]:
                self._reduce(int(env), self._others_mva[env])
            self._renew_exchange(which)
        else:
            renew_synchronising(
                names,
                engine.v_pu,
                self.machine_mvar,
                self.topology.spring_pu,
                self.topology.conductance_pu,
                case.branch.from_bus,
                case.branch.to_bus,
                case.machine.bus,
                self._susceptance_pu,
                engine.machine_in_service,
                self.topology.reach,
                self.topology.shape,
                case.base_mva,
                self._synchronising,
            )

    def _reduce(self, env: int, others_mva: ComplexArray) -> None:
        """Reduce the network of one environment to its machines at the last power flow.

        Args:
            others_mva: what everything but machines injects there, [bus]; held as admittances.
        """
        engine = self.engine
        on, live, v_pu = engine.machine_in_service[env], engine.bus_live[env], engine.v_pu[env]
        square = np.where(live, np.abs(v_pu) ** 2, 1.0)
        shunt = np.where(live, -np.conj(others_mva) / (square * self.case.base_mva), 0.0)
        recovery = bus_voltages(
            self.case, engine.branch_in_service[env], on, live, shunt, engine.reactor_share[env]
        )
        # Loads and losses are the power flow's; what the rotors exchange between two of them is lossless.
        self._y_reduced[env] = 1j * reduce_to_machines(self.case, on, recovery).imag
        self._stale[env] = False

    def _renew_exchange(self, envs: IntArray) -> None:
        """Internal voltages of the machines at the last power flow, and what they drive through the reduced network."""
        engine = self.engine
        e_pu = internal_voltages(
            engine.v_pu[envs],
            self.machine_mw[envs],
            self.machine_mvar[envs],
            self.case.machine.bus,
            self._reactance_pu,
            engine.machine_in_service[envs],
            self.case.base_mva,
        )
        in_phase = np.empty((self.case.n_machine, self.case.n_machine, len(envs)))
        quadrature = np.empty_like(in_phase)
        exchange_coefficients(e_pu, self._y_reduced[envs], self.case.base_mva, in_phase, quadrature)
        losses = np.zeros_like(in_phase)
        loss_matrix(
            engine.v_pu[envs],
            self.topology.conductance_pu[envs],
            self.case.branch.from_bus,
            self.case.branch.to_bus,
            self.topology.reach[envs],
            self.topology.shape[envs],
            self.case.base_mva,
            losses,
        )
        # Since its rows sum to zero, L theta = - sum_j L_ij (theta_i - theta_j): to first order the sines take it up.
        quadrature -= losses
        self._in_phase[:, :, envs], self._quadrature[:, :, envs] = in_phase, quadrature

    # Events -------------------------------------------------------------------------------------------------------

    def _switch(self, env: int, event: Event, at: float) -> None:
        """Apply one event of one environment at a fraction of the interval, rotors standing still."""
        engine, case = self.engine, self.case
        only = np.array([env])
        demand = np.zeros((1, case.n_bus))  # change of net load as the network after the event sees it
        relieved = np.zeros((1, case.n_bus))  # as the network before it does
        met = np.zeros((self.n_group, 1))
        reach_was = self.topology.reach[only].copy()
        if event.kind == "load_step":
            self.load_step_mw[env, event.index] += event.p_mw
            demand[0, case.load.bus[event.index]] = event.p_mw * self.served_share[env, event.index]
        else:
            wanted = self._branch_wanted if event.kind.startswith("branch") else self._machine_wanted
            wanted[env, event.index] = event.kind.endswith("_in")
            branch_was, live_was = engine.branch_in_service[env].copy(), engine.bus_live[env].copy()
            machine_was, share_was = (
                engine.machine_in_service[env].copy(),
                self.topology.group_share[:, env].copy(),
            )
            p_from, p_to = engine.s_from_mva[env].real.copy(), engine.s_to_mva[env].real.copy()
            empty_was = self.topology.inertia[:, env] <= 0.0
            engine.set_topology(env, self._branch_wanted[env], self._machine_wanted[env])
            self._adopt_topology(env)
            gone = branch_was & ~engine.branch_in_service[env]
            np.add.at(demand[0], case.branch.from_bus[gone], -p_from[gone])
            np.add.at(demand[0], case.branch.to_bus[gone], -p_to[gone])
            tripped = machine_was & ~engine.machine_in_service[env]
            np.add.at(demand[0], case.machine.bus[tripped], self.machine_mw[env, tripped])
            back = engine.bus_live[env] & ~live_was
            demand[0, back] += self._net(only, at)[0, back]
            demand[0, ~engine.bus_live[env]] = 0.0
            # A unit returns synchronised and loaded: at the angle at which it carries its schedule.
            returned = engine.machine_in_service[env] & ~machine_was
            self.machine_mw[env, returned] = self._at("schedule_mw", only, at)[0, returned]
            # What it carries the others give up, as the network joined them without it.
            np.add.at(
                relieved[0],
                case.machine.bus[returned & live_was[case.machine.bus]],
                -self.machine_mw[env, returned & live_was[case.machine.bus]],
            )
            project(relieved, np.arange(case.n_bus), reach_was, met)
            fresh = returned & ~live_was[case.machine.bus]
            np.add.at(demand[0], case.machine.bus[fresh], -self.machine_mw[env, fresh])
            # A group without a machine has no frequency; with its first machine back it swings with the others.
            empty = self.topology.inertia[:, env] <= 0.0
            again = empty_was & ~empty
            if again.any():
                others = np.where(again, 0.0, self.topology.inertia[:, env])
                self.df_hz[again, env] = centre_of_inertia(
                    np.ascontiguousarray(self.df_hz[None, :, env : env + 1]), others[:, None]
                )[0, 0]
            self.df_hz[empty, env] = 0.0
            # A unit that leaves takes its part of the governors along; one that returns brings an idle one.
            keep = np.minimum(1.0, self.topology.group_share[:, env] / np.maximum(share_was, 1e-12))
            self._valve_mw[:, env] *= keep
            self._reheat_mw[:, env] *= keep
        self._meet(env, demand, at, met)

    def _shed(self, env: int, operated: BoolArray, at: float) -> None:
        """Open the breakers of the load-shedding stages that operated, [area, stage], at a fraction of the interval."""
        case, relays = self.case, self.config.load_shedding
        assert relays is not None
        only = np.array([env])
        before = self._load(only, at)
        self.shed_stages[env] |= operated
        self._relay_pending[env][operated] = 0
        left = 1.0 - relays.share * np.count_nonzero(self.shed_stages[env], axis=1)
        self.served_share[env] = left[case.bus.area[case.load.bus]]
        demand = np.zeros((1, case.n_bus))
        np.add.at(demand[0], case.load.bus, (self._load(only, at) - before)[0])
        demand[0, ~self.engine.bus_live[env]] = 0.0
        self._meet(env, demand, at, np.zeros((self.n_group, 1)))

    def _meet(self, env: int, demand: FloatArray, at: float, met: FloatArray) -> None:
        """Machines meet a sudden change of net load [MW], [1, bus], on top of `met`, [group, 1]; rotors stand still."""
        case, only = self.case, np.array([env])
        on = self.engine.machine_in_service[env]
        project(demand, np.arange(case.n_bus), self.topology.reach[only], met)
        kept = sum_groups(self.machine_mw[only] * on, self.group_of_machine, self.n_group)
        self._p_elec_mw[:, env] = kept[:, 0] + met[:, 0]
        self._settle(only, at)

    def _adopt_topology(self, env: int) -> None:
        """Take over what the frequency model knows of the engine's topology of one environment."""
        self.topology.adopt(env)
        self._stale[env] = True

    # Small parts --------------------------------------------------------------------------------------------------

    def _at(self, name: str, rows: Any, at: float) -> FloatArray:
        """One of the inputs at a fraction of the interval, rows of the environments named."""
        return _between(getattr(self._begin, name)[rows], getattr(self._end, name)[rows], at)

    def _load(self, rows: Any, at: float) -> FloatArray:
        """Load that is served at a fraction of the interval, at 60 Hz [MW], [env, load]."""
        wanted = self._at("load_mw", rows, at) + self.load_step_mw[rows]
        served: FloatArray = wanted * self.served_share[rows]
        return served

    def _net(self, rows: Any, at: float) -> FloatArray:
        """Load less renewables and resources at a fraction of the interval, at 60 Hz [MW], [env, bus]."""
        case, load_mw = self.case, self._load(rows, at)
        net = np.zeros((len(load_mw), case.n_bus))
        for bus, power_mw in (
            (case.load.bus, load_mw),
            (case.renewable.bus, -self._at("renewable_mw", rows, at)),
            (case.resource.bus, -self._resource_mw(rows, at)),
        ):
            for column, at_bus in enumerate(bus):  # loads and plants may share a bus
                net[:, at_bus] += power_mw[:, column]
        return net

    def _resource_mw(self, rows: Any, at: float) -> FloatArray:
        """Outputs of the resources at a fraction of the interval [MW], [env, resource]."""
        if at in (0.0, 1.0):
            return self._at("resource_mw", rows, at)
        return lagged_response(
            self._begin.resource_mw[rows],
            self._begin.set_point_mw[rows],
            self._end.set_point_mw[rows],
            self._resource_lag_s,
            at * self.interval_s,
            self.interval_s,
        )


_STATE = (
    "df_hz",
    "_theta_rad",
    "_valve_mw",
    "_reheat_mw",
    "_p_elec_mw",
    "_synchronising",
    "machine_mw",
    "machine_mvar",
    "load_step_mw",
    "_branch_wanted",
    "_machine_wanted",
    "dead_band_hz",
    "_y_reduced",
    "_in_phase",
    "_quadrature",
    "_stale",
    "_relay_pending",
    "shed_stages",
    "served_share",
)


def _columns(array: FloatArray, envs: IntArray | None) -> FloatArray:
    """The environments named, which are the last axis; the array itself for all."""
    return array if envs is None else np.ascontiguousarray(array[..., envs])


def _between(start: FloatArray, end: FloatArray, at: float) -> FloatArray:
    """Straight line between two values; exact at both ends."""
    if at == 0.0:
        return start
    if at == 1.0:
        return end
    return start + (end - start) * at
