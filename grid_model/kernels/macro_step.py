"""Both ends of a macro step, compiled: what drives the groups through it, and what its end injects into the power flow.

`grid_model.dynamics.simulator` and `grid_model.dynamics.swing_state` say in which order these are used. Each
function serves the
environments named by `rows`, adds in a fixed order, environment by environment, and so gives the same bits alone and
in any batch. Arrays lead with env; those of groups have env last, as the integrators want them. `whole` arrays have a
row for every environment of the grid, `named` ones a row for each of `rows`.
"""

from __future__ import annotations

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.kernels.bus_injection import between

__all__ = ["begin_interval", "begin_macro_step", "drive_groups", "end_macro_step"]


@numba.njit(cache=True, error_model="numpy")
def begin_interval(
    df_hz: FloatArray,
    inertia: FloatArray,
    renewal_spread_hz: float,
    second_moment_hz2: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
) -> BoolArray:
    """Put an interval's moments to zero and its extremes to the present; who swings against each other, [env].

    Args:
        df_hz, inertia: of the groups; one without a machine has no inertia and swings against nobody, [group, env].
        second_moment_hz2, df_min_hz, df_max_hz: changed.
    """
    n_group, n_env = df_hz.shape
    second_moment_hz2[:] = 0.0
    swinging = np.zeros(n_env, dtype=np.bool_)
    for e in range(n_env):
        lowest, highest = np.inf, -np.inf
        for g in range(n_group):
            df_min_hz[g, e] = df_max_hz[g, e] = df_hz[g, e]
            if inertia[g, e] > 0.0:
                lowest, highest = min(lowest, df_hz[g, e]), max(highest, df_hz[g, e])
        swinging[e] = highest - lowest > renewal_spread_hz
    return swinging


@numba.njit(cache=True, error_model="numpy")
def begin_macro_step(
    rows: IntArray,
    df_hz: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
    state: FloatArray,
) -> None:
    """Copies to integrate on: a macro step that relays cut short is integrated again from where it began.

    Args:
        rows: environments, [n]; states: whole, [group, env].
        state: filled with df twice, the angle since the last power flow, which is zero, and the others in this order,
            named, [7, group, n].
    """
    for g in range(df_hz.shape[0]):
        for row in range(rows.size):
            e = rows[row]
            state[0, g, row] = state[1, g, row] = df_hz[g, e]
            state[2, g, row] = 0.0
            state[3, g, row] = valve_mw[g, e]
            state[4, g, row] = reheat_mw[g, e]
            state[5, g, row] = df_min_hz[g, e]
            state[6, g, row] = df_max_hz[g, e]


@numba.njit(cache=True, error_model="numpy")
def end_macro_step(
    rows: IntArray,
    state: FloatArray,
    delta_mw: FloatArray,
    damping_mw_per_hz: FloatArray,
    output_a_mw: FloatArray,
    lagged_mw: FloatArray,
    exchange_mw: FloatArray,
    moment_hz2: FloatArray,
    df_hz: FloatArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    df_min_hz: FloatArray,
    df_max_hz: FloatArray,
    second_moment_hz2: FloatArray,
    p_elec_mw: FloatArray,
) -> None:
    """Take over what was integrated; the groups' electrical power follows from what changed.

        P_elec += delta + D (f - f_a) - (output - output_a) + exchange

    Args:
        rows: environments, [n]; state: of `begin_macro_step`, integrated; the next five: as in `drive_groups`, named.
        exchange_mw: what the angles between the groups make flow, [group, n]; moment_hz2: [group, group, n].
        df_hz .. p_elec_mw: changed, whole, [group, env]; second_moment_hz2: added to, [group, group, env].
    """
    n_group, n_lag = df_hz.shape[0], lagged_mw.shape[0]
    for g in range(n_group):
        for row in range(rows.size):
            e = rows[row]
            output = 0.0
            for k in range(n_lag):
                output += lagged_mw[k, g, row]
            p_elec_mw[g, e] = (
                p_elec_mw[g, e]
                + delta_mw[g, row]
                + damping_mw_per_hz[g, row] * (state[0, g, row] - state[1, g, row])
                - (output - output_a_mw[g, row])
                + exchange_mw[g, row]
            )
            df_hz[g, e] = state[0, g, row]
            valve_mw[g, e] = state[3, g, row]
            reheat_mw[g, e] = state[4, g, row]
            df_min_hz[g, e] = state[5, g, row]
            df_max_hz[g, e] = state[6, g, row]
            for h in range(n_group):
                second_moment_hz2[g, h, e] += moment_hz2[g, h, row]


@numba.njit(cache=True, error_model="numpy")
def drive_groups(
    rows: IntArray,
    a: float,
    b: float,
    load_begin_mw: FloatArray,
    load_end_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    renewable_begin_mw: FloatArray,
    renewable_end_mw: FloatArray,
    schedule_begin_mw: FloatArray,
    schedule_end_mw: FloatArray,
    set_point_begin_mw: FloatArray,
    set_point_end_mw: FloatArray,
    output_mw: FloatArray,
    bus_live: BoolArray,
    machine_in_service: BoolArray,
    impact_share: FloatArray,
    p_elec_mw: FloatArray,
    df_hz: FloatArray,
    load_bus: IntArray,
    renewable_bus: IntArray,
    resource_bus: IntArray,
    lag_of: IntArray,
    group_of: IntArray,
    per_hz: float,
    delta_mw: FloatArray,
    damping_mw_per_hz: FloatArray,
    output_a_mw: FloatArray,
    lagged_mw: FloatArray,
    set_point_a_mw: FloatArray,
    set_point_b_mw: FloatArray,
    p_a_mw: FloatArray,
    p_b_mw: FloatArray,
) -> None:
    """Powers that act on the groups at fractions a and b of an interval, between which they follow straight lines.

    Args:
        rows: environments, [n].
        load_begin_mw .. set_point_end_mw: inputs at the interval's two ends; load_step_mw and served_share hold
            throughout; whole.
        output_mw: of the resources at a, named, [n, resource].
        bus_live, machine_in_service, reach: topology, whole; p_elec_mw: at the last power flow, whole, [group, env].
        df_hz: at a, named, [group, n].
        load_bus .. resource_bus: where they stand; lag_of: which kind of lag a resource has; group_of: of a machine.
        per_hz: relative growth of load with frequency.
        delta_mw: filled with the growth of net load from a to b as the groups meet it, [group, n].
        damping_mw_per_hz: filled with D; output_a_mw: with the resources' output at a, both [group, n].
        lagged_mw, set_point_a_mw, set_point_b_mw: filled with the resources' outputs at a and set-points at a and b,
            [lag, group, n].
        p_a_mw, p_b_mw: filled with what accelerates the groups at both ends, resources left out, [group, n].
    """
    n_load, n_renewable = load_bus.size, renewable_bus.size
    n_bus, n_group = impact_share.shape[1], impact_share.shape[2]
    n_lag = lagged_mw.shape[0]
    load_a_mw, load_b_mw = np.empty(n_bus), np.empty(n_bus)
    renewable_a_mw, renewable_b_mw = np.empty(n_bus), np.empty(n_bus)
    schedule_a, schedule_b = np.empty(n_group), np.empty(n_group)
    for row in range(rows.size):
        e = rows[row]
        for g in range(n_group):
            schedule_a[g] = schedule_b[g] = 0.0
            delta_mw[g, row] = damping_mw_per_hz[g, row] = 0.0
            for k in range(n_lag):
                lagged_mw[k, g, row] = set_point_a_mw[k, g, row] = set_point_b_mw[k, g, row] = 0.0
        load_a_mw[:] = 0.0
        load_b_mw[:] = 0.0
        renewable_a_mw[:] = 0.0
        renewable_b_mw[:] = 0.0
        for i in range(n_load):
            at = load_bus[i]
            begin, end = load_begin_mw[e, i], load_end_mw[e, i]
            load_a = (between(begin, end, a) + load_step_mw[e, i]) * served_share[e, i]
            load_b = (between(begin, end, b) + load_step_mw[e, i]) * served_share[e, i]
            load_a_mw[at] += load_a
            load_b_mw[at] += load_b
            if bus_live[e, at]:
                for g in range(n_group):
                    damping_mw_per_hz[g, row] += load_a * per_hz * impact_share[e, at, g]
        for i in range(n_renewable):
            begin, end = renewable_begin_mw[e, i], renewable_end_mw[e, i]
            renewable_a_mw[renewable_bus[i]] += between(begin, end, a)
            renewable_b_mw[renewable_bus[i]] += between(begin, end, b)
        for at in range(n_bus):
            if bus_live[e, at]:
                more = (load_b_mw[at] - renewable_b_mw[at]) - (load_a_mw[at] - renewable_a_mw[at])
                for g in range(n_group):
                    delta_mw[g, row] += more * impact_share[e, at, g]
        for i in range(group_of.size):
            if machine_in_service[e, i]:
                begin, end = schedule_begin_mw[e, i], schedule_end_mw[e, i]
                schedule_a[group_of[i]] += between(begin, end, a)
                schedule_b[group_of[i]] += between(begin, end, b)
        for i in range(resource_bus.size):
            at, k = resource_bus[i], lag_of[i]
            if bus_live[e, at]:
                begin, end = set_point_begin_mw[e, i], set_point_end_mw[e, i]
                u_a, u_b = between(begin, end, a), between(begin, end, b)
                for g in range(n_group):
                    share = impact_share[e, at, g]
                    lagged_mw[k, g, row] += output_mw[row, i] * share
                    set_point_a_mw[k, g, row] += u_a * share
                    set_point_b_mw[k, g, row] += u_b * share
        for g in range(n_group):
            output = 0.0
            for k in range(n_lag):
                output += lagged_mw[k, g, row]
            output_a_mw[g, row] = output
            held = schedule_a[g] - p_elec_mw[g, e] + damping_mw_per_hz[g, row] * df_hz[g, row] - output
            p_a_mw[g, row] = held
            p_b_mw[g, row] = held + (schedule_b[g] - schedule_a[g]) - delta_mw[g, row]
