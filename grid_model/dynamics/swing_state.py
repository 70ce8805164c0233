"""How the groups of machines move through a macro step between two power flows.

    M_a dDf_a/dt = P_sched,a + P_gov,a - P_elec,a - D_a (Df_a - Df_a0) - tie damping
    P_elec,a(t) = P_elec,a(power flow) + sum_b Phi_ba [dP_load,b - dP_renewable,b - dP_resource,b](t) + T_ab theta_b(t)

The compiled half is `grid_model.kernels.macro_step`: a macro step is integrated on working arrays, since relays may
cut it short, and becomes the state when it is adopted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.dynamics.group_sums import centre_of_inertia
from grid_model.kernels.held import hold
from grid_model.kernels.macro_step import (
    adopt_macro_step,
    begin_interval,
    empty_macro_step,
    integrate_macro_step,
)
from grid_model.kernels.structs import GridArrays, GroupState, IntervalRecord, MacroStep

__all__ = ["Membership", "SwingState", "empty_record", "groups_at_rest"]


def groups_at_rest(n_group: int, n_env: int) -> GroupState:
    """Groups at nominal frequency, governors at rest, no electrical power yet."""
    return GroupState(*(np.zeros((n_group, n_env)) for _ in GroupState._fields))


def empty_record(n_steps: int, n_group: int, n_env: int) -> IntervalRecord:
    """Of an interval in which nothing has happened."""
    return IntervalRecord(
        second_moment_hz2=np.zeros((n_group, n_group, n_env)),
        df_min_hz=np.zeros((n_group, n_env)),
        df_max_hz=np.zeros((n_group, n_env)),
        trace_hz=np.zeros((n_steps + 1, n_group, n_env)),
        trace_mechanical_mw=np.zeros((n_steps + 1, n_group, n_env)),
    )


class Membership(NamedTuple):
    """Who makes up the groups of one environment."""

    machine_group: IntArray  # [machine]
    inertia_mws_per_hz: FloatArray  # zero where out of service, [machine]
    governor_share: FloatArray  # of the grid's governor, [machine]
    is_empty: BoolArray  # groups without a machine, [group]
    group_share: FloatArray  # of the grid's governor, [group]


class SwingState:
    """The groups of every environment: their state, and what the last interval was like.

    Attributes (single environments may be written; the arrays stay):
        df_hz: frequency deviation, [group, env].
        valve_mw, reheat_mw: states of the governors of a group together, [group, env].
        p_elec_mw: what the machines of a group send out at the last power flow, [group, env].
        dead_band_hz: of the governors, [env].
        second_moment_hz2: mean of f_a f_b over the last interval, lower triangle, [group, group, env].
        df_min_hz, df_max_hz: extremes of the last interval, [group, env].
        trace_hz: df_hz at every step of the last interval, [step, group, env].
        trace_mechanical_mw: governors' power of the groups likewise, where it was asked for.
    """

    def __init__(self, grid: GridArrays) -> None:
        """The state that lies in the grid's arrays."""
        self._grid = grid
        self._groups = grid.groups
        self._swinging = np.zeros(grid.power_flow.converged.size, dtype=np.bool_)
        self._macro_steps: dict[int, MacroStep] = {}  # working arrays by number of environments
        self.df_hz, self.valve_mw, self.reheat_mw, self.p_elec_mw = grid.group_state
        self.dead_band_hz = grid.swing.dead_band_hz
        record = grid.record
        self.second_moment_hz2, self.df_min_hz, self.df_max_hz = record[:3]
        self.trace_hz, self.trace_mechanical_mw = record.trace_hz, record.trace_mechanical_mw

    def start(self, envs: IntArray) -> None:
        """Put environments at rest at nominal frequency."""
        for state in (self.df_hz, self.valve_mw, self.reheat_mw, self.df_min_hz, self.df_max_hz):
            state[:, envs] = 0.0
        self.second_moment_hz2[:, :, envs] = 0.0

    def begin_interval(self) -> tuple[BoolArray, int]:
        """Go on to the injections that were announced, and forget what the last interval was like.

        Returns:
            Whose groups swing against each other, [env], to be read at once; and how many environments that are.
        """
        n_swinging = begin_interval(self._grid, self._swinging)
        return self._swinging, n_swinging

    def macro_step(self, n: int) -> MacroStep:
        """Working arrays of n environments, overwritten by the next macro step of as many."""
        if n not in self._macro_steps:
            self._macro_steps[n] = hold(empty_macro_step(self._grid, n))
        return self._macro_steps[n]

    def integrate(self, envs: IntArray, step_a: int, step_b: int, *, pause: bool) -> bool:
        """Integrate some environments from one step of the interval to another.

        Of the attributes only the traces are changed, unless it is adopted at once.

        Args:
            envs: environments in rising order, [n].
            step_a: step of the interval at which the macro step begins.
            step_b: step at which it ends.
            pause: keep the governors' power at every step too, and do not adopt.

        Returns:
            Whether the macro step has been adopted, as no relay of load shedding has anything to count.
        """
        n, n_group, n_env = len(envs), *self.df_hz.shape
        macro = self.macro_step(n)
        rows, mechanical_rows = slice(step_a, step_b + 1), slice(step_a, step_b + 1 if pause else step_a)
        if n == n_env:  # straight into the interval's traces; a macro step cut short is written again
            trace_hz, mechanical_mw = self.trace_hz[rows], self.trace_mechanical_mw[mechanical_rows]
        else:
            trace_hz = np.empty((step_b + 1 - step_a, n_group, n))
            mechanical_mw = np.empty_like(trace_hz[: len(trace_hz) if pause else 0])
        adopted: bool = integrate_macro_step(
            self._grid,
            macro,
            macro.reduced,
            trace_hz,
            mechanical_mw,
            envs,
            step_a,
            step_b,
            pause,
        )
        if n < n_env:
            self.trace_hz[rows, :, envs] = trace_hz
            self.trace_mechanical_mw[mechanical_rows, :, envs] = mechanical_mw
        return adopted

    def adopt(self, envs: IntArray, step_b: int) -> None:
        """Take over the macro step of these environments that was integrated last, which ended at step_b."""
        adopt_macro_step(self._grid, self.macro_step(len(envs)), envs, step_b)

    def theta_rad(self, n: int) -> FloatArray:
        """By how much the groups turned in the macro step of n environments integrated last, [group, n]."""
        return self.macro_step(n).swing.theta_rad

    def membership(self, env: int) -> Membership:
        """Who makes up the groups of one environment, to be noted before breakers move."""
        machines = self._grid.machines
        return Membership(
            self._grid.placement.machine_group[env].copy(),
            machines.inertia_mws_per_hz[env].copy(),
            machines.governor_share[env].copy(),
            self._groups.inertia_mws_per_hz[:, env] <= 0.0,
            self._groups.governor_share[:, env].copy(),
        )

    def redistribute(self, env: int, before: Membership, group_island: IntArray) -> None:
        """Machines of one environment left, came back or joined other groups; the topology has been adopted.

        A group without a machine has no frequency; with its first machine back it swings with the others of its island.
        A unit that leaves takes its part of the governors along; one that returns brings an idle one. Machines that
        make up a new group bring the frequencies and the governors' positions that they had.

        Args:
            env: the environment.
            before: who made up the groups before.
            group_island: island of each group now, [group].
        """
        group_now = self._grid.placement.machine_group[env]
        inertia = self._groups.inertia_mws_per_hz[:, env]
        was_empty, share_was = before.is_empty, before.group_share
        if np.any((group_now != before.machine_group) & (before.inertia_mws_per_hz > 0.0)):
            was_empty, share_was = self._regroup(env, before, group_now)
        empty = inertia <= 0.0
        again = was_empty & ~empty
        for island in np.unique(group_island[again]):
            here = again & (group_island == island)
            others = np.where(again | (group_island != island), 0.0, inertia)
            self.df_hz[here, env] = centre_of_inertia(
                np.ascontiguousarray(self.df_hz[None, :, env : env + 1]), others[:, None]
            )[0, 0]
        self.df_hz[empty, env] = 0.0
        self.keep_governors(env, share_was)

    def keep_governors(self, env: int, group_share_was: FloatArray) -> None:
        """What has left the grid's governor takes its part along.

        Args:
            env: the environment.
            group_share_was: the groups' shares in the grid's governor before, [group].
        """
        share = self._groups.governor_share[:, env]
        keep = np.minimum(1.0, share / np.maximum(group_share_was, 1e-12))
        self.valve_mw[:, env] *= keep
        self.reheat_mw[:, env] *= keep

    def _regroup(self, env: int, before: Membership, group_now: IntArray) -> tuple[BoolArray, FloatArray]:
        """States of the groups as the machines of before make them up now.

        Returns:
            Groups without such a machine, and shares of the groups in the governor as they would have been, [group].
        """
        n_group, was = len(self.df_hz), before.machine_group

        def total(values: FloatArray) -> FloatArray:
            return np.bincount(group_now, values, minlength=n_group).astype(np.float64)

        m, share = before.inertia_mws_per_hz, before.governor_share
        inertia = total(m)
        self.df_hz[:, env] = total(m * self.df_hz[was, env]) / np.where(inertia > 0.0, inertia, 1.0)
        part = share / np.maximum(before.group_share[was], 1e-12)
        for state in (self.valve_mw, self.reheat_mw):
            state[:, env] = total(part * state[was, env])
        return inertia <= 0.0, total(share)
