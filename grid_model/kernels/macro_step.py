"""A macro step from one power flow to the next, compiled: what drives the groups, how they move, what they inject.

`integrate_macro_step` integrates on working arrays: relays may cut a macro step short, and then it is integrated again
from where it began. `adopt_macro_step` makes what was integrated the state and fills in what the next power flow is to
solve; where no relay has anything to count the former does so itself.

Each function serves the environments named by `envs`, in rising order, [n], adds in a fixed order, environment by
environment, and so gives the same bits alone and in any batch. Steps are counted from the beginning of the interval.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.bus_injection import between, inject, resource_output, share_among_machines
from grid_model.kernels.group_swing import integrate_swing
from grid_model.kernels.over_frequency import adopt_curtailment, begin_curtailment, nothing_above
from grid_model.kernels.storage_response import adopt_storage, begin_storage, empty_storage_step
from grid_model.kernels.structs import (
    Drive,
    GridArrays,
    Injections,
    IntervalRecord,
    MacroStep,
    OverFrequencyStep,
    PrimaryControl,
    ReducedNetwork,
    SwingParameters,
    SwingVariables,
)
from grid_model.kernels.unit_limits import begin_units, empty_unit_limits
from grid_model.kernels.voltage_laws import forget_worst

__all__ = [
    "adopt_macro_step",
    "begin_interval",
    "empty_macro_step",
    "integrate_macro_step",
    "nothing_to_count",
    "share_and_inject",
]


@compiled
def begin_interval(grid: GridArrays, swinging: BoolArray) -> int:
    """A new interval, from where the last one ended to what is coming; moments to zero, extremes to the present.

    Args:
        grid: the grid; its injections and the record of its interval are changed.
        swinging: filled with whose groups swing against each other, [env]; a group without a machine has no inertia
            and swings against nobody.

    Returns:
        Number of environments that swing.
    """
    profile, record, df_hz = grid.profile, grid.record, grid.group_state.df_hz
    _copy_injections(profile.end, profile.begin)
    _copy_injections(profile.coming, profile.end)
    inertia = grid.groups.inertia_mws_per_hz
    n_group, n_env = df_hz.shape
    record.second_moment_hz2[:] = 0.0
    forget_worst(grid)
    n_swinging = 0
    for e in range(n_env):
        lowest, highest = np.inf, -np.inf
        for g in range(n_group):
            record.df_min_hz[g, e] = record.df_max_hz[g, e] = df_hz[g, e]
            if inertia[g, e] > 0.0:
                lowest, highest = min(lowest, df_hz[g, e]), max(highest, df_hz[g, e])
        swinging[e] = highest - lowest > grid.renewal_spread_hz
        n_swinging += int(swinging[e])
    return n_swinging


@compiled
def _copy_injections(given: Injections, taken: Injections) -> None:
    _copy(given.load_mw, taken.load_mw)
    _copy(given.load_mvar, taken.load_mvar)
    _copy(given.renewable_mw, taken.renewable_mw)
    _copy(given.schedule_mw, taken.schedule_mw)
    _copy(given.set_point_mw, taken.set_point_mw)
    _copy(given.resource_mw, taken.resource_mw)


@compiled
def _copy(given: FloatArray, taken: FloatArray) -> None:
    """Of two axes; numba takes seconds to compile an assignment of arrays, as it checks their shapes."""
    for e in range(given.shape[0]):
        for i in range(given.shape[1]):
            taken[e, i] = given[e, i]


def empty_macro_step(grid: GridArrays, n: int) -> MacroStep:
    """Working arrays for n environments of a grid."""
    n_group, n_lag = grid.group_state.df_hz.shape[0], grid.constants.lag_s.size
    n_machine, storage, over = grid.placement.machine_bus.size, grid.storage, grid.over

    def groups() -> FloatArray:
        return np.zeros((n_group, n))

    def lags() -> FloatArray:
        return np.zeros((n_lag, n_group, n))

    def pairs() -> FloatArray:
        return np.zeros((n_group, n_group, n))

    no_trace = np.zeros((0, n_group, n))
    return MacroStep(
        start_hz=groups(),
        load_growth_mw=groups(),
        output_start_mw=groups(),
        swing=SwingVariables(groups(), groups(), groups(), groups(), groups()),
        drive=Drive(groups(), groups(), groups(), lags(), lags(), lags()),
        parameters=SwingParameters(groups(), groups(), groups(), groups(), groups(), np.zeros(n)),
        record=IntervalRecord(pairs(), groups(), groups(), no_trace, no_trace),
        synchronising_mw_per_rad=pairs(),
        reduced=None if grid.reduced is None else ReducedNetwork(pairs(), pairs()),
        control=PrimaryControl(
            storage=None if storage is None else empty_storage_step(storage, n_group, n),
            # The limits of a group of one are those of its machine.
            units=empty_unit_limits(n_machine, n_group, n)
            if grid.within_units and n_group < n_machine
            else None,
            over=None if over is None else OverFrequencyStep(over.from_hz, groups()),
        ),
    )


@compiled
def integrate_macro_step(
    grid: GridArrays,
    macro: MacroStep,
    reduced: ReducedNetwork | None,
    trace_hz: FloatArray,
    trace_mechanical_mw: FloatArray,
    envs: IntArray,
    step_a: int,
    step_b: int,
    pause: bool,
) -> bool:
    """Integrate from one step of the interval to another; the grid itself changes only where it is adopted.

    Args:
        grid: the grid.
        macro: working arrays of n environments.
        reduced: that of `macro`, by itself so that the integrator of the level is known when this is compiled.
        trace_hz: frequencies of the groups, filled from step_a to step_b, [step, group, n].
        trace_mechanical_mw: their governors' power likewise, or of length 0 for none.
        envs: environments, [n].
        step_a: step of the interval at which the macro step begins.
        step_b: step at which it ends.
        pause: leave it to the caller to adopt.

    Returns:
        Whether the macro step has been adopted, as no relay has anything to count.
    """
    n_steps = step_b - step_a
    _begin(grid, envs, macro)
    _drive(grid, envs, step_a / grid.n_steps, step_b / grid.n_steps, step_a, macro)
    begin_storage(grid, envs, step_a, grid.storage, macro.control.storage)
    begin_curtailment(grid, envs, step_a / grid.n_steps, grid.over, macro.control.over)
    begin_units(grid, envs, step_a / grid.n_steps, macro.parameters, macro.control.units)
    moved = macro.record
    record = IntervalRecord(
        moved.second_moment_hz2, moved.df_min_hz, moved.df_max_hz, trace_hz, trace_mechanical_mw
    )
    integrate_swing(
        n_steps,
        macro.swing,
        macro.drive,
        macro.parameters,
        macro.synchronising_mw_per_rad,
        reduced,
        grid.constants,
        record,
        macro.control,
    )
    if pause or not nothing_to_count(moved.df_min_hz, grid.relay_threshold_hz, grid.relay_pending):
        return False
    if not nothing_above(moved.df_max_hz, grid.trip_threshold_hz, grid.trip_pending):
        return False
    _adopt(grid, envs, macro)
    share_and_inject(grid, envs, step_b)
    return True


@compiled
def adopt_macro_step(grid: GridArrays, macro: MacroStep, envs: IntArray, step_b: int) -> None:
    """Take over what was integrated up to step_b, and fill in what the power flow there is to solve."""
    _adopt(grid, envs, macro)
    share_and_inject(grid, envs, step_b)


@compiled
def share_and_inject(grid: GridArrays, envs: IntArray, step: int) -> None:
    """Share each group's electrical power among its machines at a step, and fill in what to solve there."""
    machine_mw = np.empty((envs.size, grid.placement.machine_bus.size))
    share_among_machines(grid, envs, step, machine_mw)
    inject(grid, envs, machine_mw, step)


@compiled
def nothing_to_count(lowest_hz: FloatArray, threshold_hz: float, pending: IntArray) -> bool:
    """Whether no group has fallen below the highest stage of load shedding and no relay has picked up.

    Args:
        lowest_hz: lowest deviation of each group [Hz], [group, n].
        threshold_hz: highest stage, as a deviation from nominal [Hz].
        pending: steps for which each relay has seen its stage undercut, of all environments, [env, load, stage].
    """
    if pending.size == 0:
        return True
    for value in lowest_hz.flat:
        if not value >= threshold_hz:
            return False
    counting = False
    for steps in pending.flat:
        counting |= steps != 0
    return not counting


@compiled
def _begin(grid: GridArrays, envs: IntArray, macro: MacroStep) -> None:
    """State and parameters of the environments named, to integrate on."""
    state, swing, record = grid.group_state, macro.swing, macro.record
    theirs, parameters = grid.swing, macro.parameters
    n_group = state.df_hz.shape[0]
    record.second_moment_hz2[:] = 0.0
    for row in range(envs.size):
        parameters.dead_band_hz[row] = theirs.dead_band_hz[envs[row]]
    for g in range(n_group):
        for row in range(envs.size):
            e = envs[row]
            macro.start_hz[g, row] = swing.df_hz[g, row] = state.df_hz[g, e]
            swing.theta_rad[g, row] = 0.0
            swing.valve_mw[g, row] = state.valve_mw[g, e]
            swing.reheat_mw[g, row] = state.reheat_mw[g, e]
            record.df_min_hz[g, row] = grid.record.df_min_hz[g, e]
            record.df_max_hz[g, row] = grid.record.df_max_hz[g, e]
            parameters.inertia_mws_per_hz[g, row] = theirs.inertia_mws_per_hz[g, e]
            parameters.gain_mw_per_hz[g, row] = theirs.gain_mw_per_hz[g, e]
            parameters.limit_up_mw[g, row] = theirs.limit_up_mw[g, e]
            parameters.limit_down_mw[g, row] = theirs.limit_down_mw[g, e]
            parameters.rate_mw_per_s[g, row] = theirs.rate_mw_per_s[g, e]
    _gather_network(grid, envs, macro, grid.reduced, macro.reduced)


@compiled
def _gather_network(
    grid: GridArrays,
    envs: IntArray,
    macro: MacroStep,
    whole: ReducedNetwork | None,
    reduced: ReducedNetwork | None,
) -> None:
    """What joins the groups of the environments named; whole, reduced: of the grid and of the macro step."""
    if reduced is None:
        _gather(grid.synchronising_mw_per_rad, envs, macro.synchronising_mw_per_rad)
    elif whole is not None:
        _gather(whole.conductance_mw, envs, reduced.conductance_mw)
        _gather(whole.susceptance_mw, envs, reduced.susceptance_mw)


@compiled
def _gather(values: FloatArray, envs: IntArray, taken: FloatArray) -> None:
    """taken[:, :, row] = values[:, :, envs[row]]."""
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            for row in range(envs.size):
                taken[a, b, row] = values[a, b, envs[row]]


@compiled
def _adopt(grid: GridArrays, envs: IntArray, macro: MacroStep) -> None:
    """Make what was integrated the state; the groups' electrical power follows from what changed.

    P_elec += growth of net load + D (f - f_a) - (output - output_a) + synchronising power
    """
    state, record, swing, moved = grid.group_state, grid.record, macro.swing, macro.record
    lagged_mw, damping_mw_per_hz = macro.drive.lagged_mw, macro.drive.damping_mw_per_hz
    n_group, n_lag = state.df_hz.shape[0], lagged_mw.shape[0]
    for g in range(n_group):
        for row in range(envs.size):
            e = envs[row]
            output = 0.0
            for k in range(n_lag):
                output += lagged_mw[k, g, row]
            state.p_elec_mw[g, e] = (
                state.p_elec_mw[g, e]
                + macro.load_growth_mw[g, row]
                + damping_mw_per_hz[g, row] * (swing.df_hz[g, row] - macro.start_hz[g, row])
                - (output - macro.output_start_mw[g, row])
                + swing.synchronising_mw[g, row]
            )
            state.df_hz[g, e] = swing.df_hz[g, row]
            state.valve_mw[g, e] = swing.valve_mw[g, row]
            state.reheat_mw[g, e] = swing.reheat_mw[g, row]
            record.df_min_hz[g, e] = moved.df_min_hz[g, row]
            record.df_max_hz[g, e] = moved.df_max_hz[g, row]
            for h in range(n_group):
                record.second_moment_hz2[g, h, e] += moved.second_moment_hz2[g, h, row]
    adopt_storage(envs, state, grid.storage, macro.control.storage)
    adopt_curtailment(envs, state, swing.df_hz, macro.start_hz, macro.control.over)


@compiled
def _drive(grid: GridArrays, envs: IntArray, a: float, b: float, step_a: int, macro: MacroStep) -> None:
    """Powers that act on the groups at fractions a and b of an interval, between which they follow straight lines.

    Args:
        grid: of it injections, topology and p_elec_mw at the last power flow are read.
        envs: environments, [n].
        a: fraction of the interval at which the macro step begins.
        b: fraction at which it ends.
        step_a: step of the interval at which it begins.
        macro: start_hz is read. Filled are load_growth_mw with the growth of net load from a to b as the groups meet
            it, output_start_mw with the resources' output at a, and all of `drive`: its p_start_mw and p_end_mw are
            what accelerates the groups at both ends, resources left out.
    """
    profile, status, placement = grid.profile, grid.status, grid.placement
    begin, end = profile.begin, profile.end
    load_bus, renewable_bus, resource_bus = (
        placement.load_bus,
        placement.renewable_bus,
        placement.resource_bus,
    )
    machine_group, lag_kind = placement.machine_group, profile.lag_kind
    impact_share, p_elec_mw, per_hz = grid.network.impact_share, grid.group_state.p_elec_mw, grid.load_per_hz
    start_hz, growth_mw, output_start_mw = macro.start_hz, macro.load_growth_mw, macro.output_start_mw
    damping_mw_per_hz, lagged_mw = macro.drive.damping_mw_per_hz, macro.drive.lagged_mw
    set_point_a_mw, set_point_b_mw = macro.drive.set_point_start_mw, macro.drive.set_point_end_mw
    p_a_mw, p_b_mw = macro.drive.p_start_mw, macro.drive.p_end_mw
    n_bus, n_group = impact_share.shape[1], impact_share.shape[2]
    n_lag = lagged_mw.shape[0]
    load_a_mw, load_b_mw = np.empty(n_bus), np.empty(n_bus)
    renewable_a_mw, renewable_b_mw = np.empty(n_bus), np.empty(n_bus)
    schedule_a, schedule_b = np.empty(n_group), np.empty(n_group)
    for row in range(envs.size):
        e = envs[row]
        for g in range(n_group):
            schedule_a[g] = schedule_b[g] = 0.0
            growth_mw[g, row] = damping_mw_per_hz[g, row] = 0.0
            for k in range(n_lag):
                lagged_mw[k, g, row] = set_point_a_mw[k, g, row] = set_point_b_mw[k, g, row] = 0.0
        load_a_mw[:] = 0.0
        load_b_mw[:] = 0.0
        renewable_a_mw[:] = 0.0
        renewable_b_mw[:] = 0.0
        for i in range(load_bus.size):
            at = load_bus[i]
            load_begin, load_end = begin.load_mw[e, i], end.load_mw[e, i]
            step_mw, share_left = profile.load_step_mw[e, i], profile.served_share[e, i]
            load_a = (between(load_begin, load_end, a) + step_mw) * share_left
            load_b = (between(load_begin, load_end, b) + step_mw) * share_left
            load_a_mw[at] += load_a
            load_b_mw[at] += load_b
            if status.bus[e, at]:
                for g in range(n_group):
                    damping_mw_per_hz[g, row] += load_a * per_hz * impact_share[e, at, g]
        for i in range(renewable_bus.size):
            renewable_begin, renewable_end = begin.renewable_mw[e, i], end.renewable_mw[e, i]
            renewable_a_mw[renewable_bus[i]] += between(renewable_begin, renewable_end, a)
            renewable_b_mw[renewable_bus[i]] += between(renewable_begin, renewable_end, b)
        for at in range(n_bus):
            if status.bus[e, at]:
                more = (load_b_mw[at] - renewable_b_mw[at]) - (load_a_mw[at] - renewable_a_mw[at])
                for g in range(n_group):
                    growth_mw[g, row] += more * impact_share[e, at, g]
        for i in range(machine_group.shape[1]):
            if status.machine[e, i]:
                schedule_begin, schedule_end = begin.schedule_mw[e, i], end.schedule_mw[e, i]
                schedule_a[machine_group[e, i]] += between(schedule_begin, schedule_end, a)
                schedule_b[machine_group[e, i]] += between(schedule_begin, schedule_end, b)
        for i in range(resource_bus.size):
            at, k = resource_bus[i], lag_kind[i]
            if status.bus[e, at]:
                u_begin, u_end = begin.set_point_mw[e, i], end.set_point_mw[e, i]
                u_a, u_b = between(u_begin, u_end, a), between(u_begin, u_end, b)
                output_mw = resource_output(profile, e, i, step_a, grid.n_steps, grid.interval_s)
                for g in range(n_group):
                    share = impact_share[e, at, g]
                    lagged_mw[k, g, row] += output_mw * share
                    set_point_a_mw[k, g, row] += u_a * share
                    set_point_b_mw[k, g, row] += u_b * share
        for g in range(n_group):
            output = 0.0
            for k in range(n_lag):
                output += lagged_mw[k, g, row]
            output_start_mw[g, row] = output
            held = schedule_a[g] - p_elec_mw[g, e] + damping_mw_per_hz[g, row] * start_hz[g, row] - output
            p_a_mw[g, row] = held
            p_b_mw[g, row] = held + (schedule_b[g] - schedule_a[g]) - growth_mw[g, row]
