"""How the groups of machines move through a macro step between two power flows.

    M_a dDf_a/dt = P_sched,a + P_gov,a - P_elec,a - D_a (Df_a - Df_a0) - tie damping
    P_elec,a(t) = P_elec,a(power flow) + sum_b Phi_ba [dP_load,b - dP_renewable,b - dP_resource,b](t) + T_ab theta_b(t)

A macro step is integrated on copies: relays may cut it short, and then it is integrated again from where it began. What
`integrate` returns becomes the state with `adopt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.group_sums import centre_of_inertia
from grid_model.dynamics.injections import InjectionProfile
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.kernels.group_swing import integrate_groups
from grid_model.kernels.leapfrog import compiled_width
from grid_model.kernels.machine_swing import integrate_machines
from grid_model.kernels.macro_step import begin_interval, begin_macro_step, drive_groups, end_macro_step
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["MovedSpan", "SwingState"]


@dataclass(frozen=True, kw_only=True)
class MovedSpan:
    """A macro step that has been integrated, of n environments."""

    envs: IntArray  # positions of the environments, [n]
    state: FloatArray  # as `grid_model.kernels.macro_step.begin_macro_step` orders it, [7, group, n]
    delta_mw: FloatArray  # growth of net load as the groups meet it, [group, n]
    damping_mw_per_hz: FloatArray  # D, [group, n]
    output_start_mw: FloatArray  # of the resources, [group, n]
    lagged_mw: FloatArray  # of the resources by kind of lag, [lag, group, n]
    exchange_mw: FloatArray  # what the angles make flow at the end, [group, n]
    moment_hz2: FloatArray  # what the macro step adds to the means of f_a f_b, [group, group, n]
    trace_hz: FloatArray  # [step, group, n]

    @property
    def lowest_hz(self) -> FloatArray:
        """Lowest value of each group in the interval so far [Hz], [group, n]."""
        lowest: FloatArray = self.state[5]
        return lowest


class SwingState:
    """The groups of every environment: their state, and what the last interval was like.

    Attributes (single environments may be written; the arrays stay):
        df_hz: frequency deviation, [group, env].
        valve_mw, reheat_mw: states of the governors of a group together, [group, env].
        p_elec_mw: what the machines of a group send out at the last power flow, [group, env].
        dead_band_hz: of the governors, [env].
        second_moment_hz2: mean of f_a f_b over the last interval, symmetric, [group, group, env].
        df_min_hz, df_max_hz: extremes of the last interval, [group, env].
        trace_hz: df_hz at every step of the last interval, [step, group, env].
        trace_mechanical_mw: governors' power of the groups likewise, where it was asked for.
    """

    def __init__(
        self,
        config: SwingConfig,
        n_steps: int,
        engine: NewtonEngine,
        topology: GroupNetwork,
        exchange: SynchronisingPower,
        profile: InjectionProfile,
        *,
        group_of_machine: IntArray,
        n_group: int,
        resource_lag_s: FloatArray,
    ) -> None:
        """Everything at rest.

        Args:
            config: choices of the frequency model; n_steps: integration steps of an interval.
            engine, topology, exchange, course: of the same environments.
            group_of_machine: [machine]; n_group: number of groups.
            resource_lag_s: time constant of each resource [s], [resource].
        """
        case, n_env, g = engine.case, engine.n_env, n_group
        self._config, self._n_steps = config, n_steps
        self._engine, self._topology, self._exchange, self._course = engine, topology, exchange, profile
        self._group_of_machine, self._n_group = group_of_machine, n_group
        self._lag_s = np.unique(resource_lag_s)
        self._lag_of = np.searchsorted(
            self._lag_s, resource_lag_s
        )  # which of them a resource has, [resource]
        self._per_hz = config.load_damping / case.f0_hz  # relative change of load per Hz
        self._all = np.arange(n_env)
        self.df_hz = np.zeros((g, n_env))
        self.valve_mw = np.zeros((g, n_env))
        self.reheat_mw = np.zeros((g, n_env))
        self.p_elec_mw = np.zeros((g, n_env))
        self.dead_band_hz = np.full(n_env, config.governor.dead_band_hz)
        self.second_moment_hz2 = np.zeros((g, g, n_env))
        self.df_min_hz = np.zeros((g, n_env))
        self.df_max_hz = np.zeros((g, n_env))
        self.trace_hz = np.zeros((n_steps + 1, g, n_env))
        self.trace_mechanical_mw = np.zeros((n_steps + 1, g, n_env))

    def start(self, envs: IntArray) -> None:
        """Put environments at rest at nominal frequency."""
        for state in (self.df_hz, self.valve_mw, self.reheat_mw, self.df_min_hz, self.df_max_hz):
            state[:, envs] = 0.0
        self.second_moment_hz2[:, :, envs] = 0.0

    def begin_interval(self) -> BoolArray:
        """Forget what the last interval was like; whose groups swing against each other, [env]."""
        swinging: BoolArray = begin_interval(
            self.df_hz,
            self._topology.inertia,
            self._config.renewal_spread_hz,
            self.second_moment_hz2,
            self.df_min_hz,
            self.df_max_hz,
        )
        return swinging

    def integrate(self, envs: IntArray | None, step_a: int, step_b: int, *, mechanical: bool) -> MovedSpan:
        """Integrate some environments from one step of the interval to another; all of them if envs is None.

        Of the attributes only the traces are changed.

        Args:
            envs: environments, [n]; step_a, step_b: first and last step.
            mechanical: keep the governors' power at every step too.
        """
        case, config, engine, profile = self._engine.case, self._config, self._engine, self._course
        governor, begin, end = config.governor, profile.begin, profile.end
        names = self._all if envs is None else envs
        n_env = len(names)
        a, b = step_a / self._n_steps, step_b / self._n_steps
        state = np.empty((7, self._n_group, n_env))
        begin_macro_step(
            names,
            self.df_hz,
            self.valve_mw,
            self.reheat_mw,
            self.df_min_hz,
            self.df_max_hz,
            state,
        )
        df, start_hz, theta, valve, reheat, lowest, highest = state
        moment = np.zeros((self._n_group, self._n_group, n_env))
        delta, damping, out_start, p_a, p_b = np.empty((5, self._n_group, n_env))
        lagged, u_a, u_b = np.empty((3, len(self._lag_s), self._n_group, n_env))
        drive_groups(
            names,
            a,
            b,
            begin.load_mw,
            end.load_mw,
            profile.load_step_mw,
            profile.served_share,
            begin.renewable_mw,
            end.renewable_mw,
            begin.schedule_mw,
            end.schedule_mw,
            begin.set_point_mw,
            end.set_point_mw,
            profile.resource_mw(slice(None) if envs is None else envs, a),
            engine.bus_live,
            engine.machine_in_service,
            self._topology.impact_share,
            self.p_elec_mw,
            start_hz,
            case.load.bus,
            case.renewable.bus,
            case.resource.bus,
            self._lag_of,
            self._group_of_machine,
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
        if envs is None:  # straight into the interval's traces; a macro step cut short is written again
            trace = self.trace_hz[step_a : step_b + 1]
            trace_mechanical = self.trace_mechanical_mw[step_a : step_b + 1 if mechanical else step_a]
        else:
            trace = np.empty((n_steps + 1, self._n_group, n_env))
            trace_mechanical = np.empty_like(trace if mechanical else trace[:0])
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
            _columns(self._topology.moving_inertia, envs),
            damping,
        )
        after: tuple[Any, ...] = (
            *(_columns(x, envs) for x in self._topology.governors),
            _columns(self.dead_band_hz, envs),
            self._lag_s,
            governor.t_valve_s,
            governor.t_reheat_s,
            governor.high_pressure_fraction,
            config.tie_damping_s,
            config.dt_s,
            n_steps,
            1.0 / self._n_steps,
            moment,
            lowest,
            highest,
            trace,
            trace_mechanical,
        )
        exchange = np.empty_like(df)
        if config.level == "machine":
            step_machines: Any = integrate_machines
            conductance_power = _columns(self._exchange.conductance_power, envs)
            susceptance_power = _columns(self._exchange.susceptance_power, envs)
            step_machines(*before, conductance_power, susceptance_power, exchange, *after)
        else:
            step_groups: Any = integrate_groups
            step_groups(*before, _columns(self._exchange.synchronising, envs), exchange, *after)
        if envs is not None:
            self.trace_hz[step_a : step_b + 1, :, envs] = trace
            if mechanical:
                self.trace_mechanical_mw[step_a : step_b + 1, :, envs] = trace_mechanical
        return MovedSpan(
            envs=names,
            state=state,
            delta_mw=delta,
            damping_mw_per_hz=damping,
            output_start_mw=out_start,
            lagged_mw=lagged,
            exchange_mw=exchange,
            moment_hz2=moment,
            trace_hz=trace,
        )

    def adopt(self, moved: MovedSpan) -> None:
        """Take over a macro step that was integrated."""
        end_macro_step(
            moved.envs,
            moved.state,
            moved.delta_mw,
            moved.damping_mw_per_hz,
            moved.output_start_mw,
            moved.lagged_mw,
            moved.exchange_mw,
            moved.moment_hz2,
            self.df_hz,
            self.valve_mw,
            self.reheat_mw,
            self.df_min_hz,
            self.df_max_hz,
            self.second_moment_hz2,
            self.p_elec_mw,
        )

    def redistribute(self, env: int, group_share_was: FloatArray, was_empty: BoolArray) -> None:
        """Machines of one environment left or came back; the topology has been adopted.

        A group without a machine has no frequency; with its first machine back it swings with the others. A unit
        that leaves takes its part of the governors along; one that returns brings an idle one.

        Args:
            env: the environment; group_share_was: the groups' shares in the governor before, [group].
            was_empty: groups that had no machine before, [group].
        """
        topology = self._topology
        empty = topology.inertia[:, env] <= 0.0
        again = was_empty & ~empty
        if again.any():
            others = np.where(again, 0.0, topology.inertia[:, env])
            self.df_hz[again, env] = centre_of_inertia(
                np.ascontiguousarray(self.df_hz[None, :, env : env + 1]), others[:, None]
            )[0, 0]
        self.df_hz[empty, env] = 0.0
        keep = np.minimum(1.0, topology.group_share[:, env] / np.maximum(group_share_was, 1e-12))
        self.valve_mw[:, env] *= keep
        self.reheat_mw[:, env] *= keep


def _columns(array: FloatArray, envs: IntArray | None) -> FloatArray:
    """The environments named, which are the last axis; the array itself for all."""
    return array if envs is None else np.ascontiguousarray(array[..., envs])
