"""Powers at the buses: from loads, renewables, plants and machines to injections."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.structs import GridArrays, OverFrequency, Placement, Profile, StorageResponse
from grid_model.network.admittance import ComplexArray

__all__ = [
    "between",
    "inject",
    "resource_output",
    "served_load",
    "share_among_machines",
    "split_injection",
    "unit_room",
    "unserved_load",
]


@compiled
def between(start: float, end: float, at: float) -> float:
    """Straight line between two values, exact at both ends."""
    if at == 0.0:
        return start
    if at == 1.0:
        return end
    return start + (end - start) * at


@compiled
def resource_output(
    profile: Profile, env: int, resource: int, step: int, n_steps: int, interval_s: float
) -> float:
    """Output of a resource at a step of the interval [MW]: exact at both ends, a lag behind its set-point between.

    T dx/dt = u - x,   u = u0 + s t:   x(t) = u(t) - s T + (x0 - u0 + s T) exp(-t/T)
    """
    if step == 0:
        return profile.begin.resource_mw[env, resource]
    if step == n_steps:
        return profile.end.resource_mw[env, resource]
    start_mw, u0_mw = profile.begin.resource_mw[env, resource], profile.begin.set_point_mw[env, resource]
    slope = (profile.end.set_point_mw[env, resource] - u0_mw) / interval_s
    behind = slope * profile.lag_s[resource]
    t_s = step / n_steps * interval_s
    return u0_mw + slope * t_s - behind + (start_mw - u0_mw + behind) * profile.lag_decay[step, resource]


@compiled
def unit_room(grid: GridArrays, env: int, machine: int, schedule_mw: float) -> tuple[float, float]:
    """Headroom of a machine's governor, up and down, on a schedule [MW]; none out of service."""
    if not grid.status.machine[env, machine]:
        return 0.0, 0.0
    machines = grid.machines
    up_mw = max(machines.p_max_mw[env, machine] - schedule_mw, 0.0)
    return up_mw, max(schedule_mw - machines.p_min_mw[env, machine], 0.0)


@compiled
def _share_governors(
    grid: GridArrays, env: int, at: float, group_mw: FloatArray, given_mw: FloatArray
) -> None:
    """Share what each group's governors give among its machines by gain; none gives more than its unit can.

    What machines at their limits leave undone the others of the group do, and where a schedule has moved beneath what
    was asked of all of them, all do by gain.

    Args:
        grid: the grid.
        env: the environment.
        at: fraction of the interval.
        group_mw: of each group [MW], [group].
        given_mw: filled in [MW], [machine].
    """
    group, share = grid.placement.machine_group, grid.machines.governor_share
    n_machine = group.shape[1]
    begin, end = grid.profile.begin.schedule_mw, grid.profile.end.schedule_mw
    for g in range(group_mw.size):
        left_mw, share_left = group_mw[g], grid.groups.governor_share[g, env]
        per_share = left_mw / max(share_left, 1e-12)
        for i in range(n_machine):
            if group[env, i] == g:
                given_mw[i] = share[env, i] * per_share
        if not grid.within_units or left_mw == 0.0:
            continue
        is_free = group[env] == g
        for _ in range(n_machine):
            found = False
            for i in range(n_machine):
                if is_free[i]:
                    up_mw, down_mw = unit_room(grid, env, i, between(begin[env, i], end[env, i], at))
                    asked_mw = share[env, i] * per_share
                    if asked_mw > up_mw or asked_mw < -down_mw:
                        given_mw[i] = min(max(asked_mw, -down_mw), up_mw)
                        left_mw -= given_mw[i]
                        share_left -= share[env, i]
                        is_free[i], found = False, True
            if not found:
                break
            anybody = False
            for i in range(n_machine):
                anybody |= is_free[i] and share[env, i] > 0.0
            if not anybody:
                per_share = left_mw / max(grid.groups.governor_share[g, env], 1e-12)
                for i in range(n_machine):
                    if group[env, i] == g:
                        given_mw[i] += share[env, i] * per_share
                break
            per_share = left_mw / max(share_left, 1e-12)
            for i in range(n_machine):
                if is_free[i]:
                    given_mw[i] = share[env, i] * per_share


@compiled
def share_among_machines(grid: GridArrays, envs: IntArray, step: int, machine_mw: FloatArray) -> None:
    """What each machine sends out: its turbine's power less the part of its group's acceleration by inertia.

    Args:
        grid: the grid; the state of its groups is that at this step.
        envs: environments, [n].
        step: step of the interval.
        machine_mw: filled in [MW], [n, machine].
    """
    state, groups, machines = grid.group_state, grid.groups, grid.machines
    schedule_begin_mw, schedule_end_mw = grid.profile.begin.schedule_mw, grid.profile.end.schedule_mw
    machine_group, in_service, p_elec_mw = grid.placement.machine_group, grid.status.machine, state.p_elec_mw
    at = step / grid.n_steps
    n_group, n_machine = p_elec_mw.shape[0], machine_group.shape[1]
    high = grid.constants.high_pressure_fraction
    low = 1.0 - high
    governor, accelerating = np.empty(n_group), np.empty(n_group)
    mechanical = np.empty(n_machine)
    for row in range(envs.size):
        e = envs[row]
        for g in range(n_group):
            governor[g] = high * state.valve_mw[g, e] + low * state.reheat_mw[g, e]
            accelerating[g] = 0.0
        _share_governors(grid, e, at, governor, mechanical)
        for i in range(n_machine):
            g = machine_group[e, i]
            scheduled = between(schedule_begin_mw[e, i], schedule_end_mw[e, i], at)
            mechanical[i] = (scheduled if in_service[e, i] else 0.0) + mechanical[i]
            accelerating[g] += mechanical[i]
        for g in range(n_group):
            accelerating[g] -= p_elec_mw[g, e]
        for i in range(n_machine):
            g = machine_group[e, i]
            by_inertia = machines.inertia_mws_per_hz[e, i] / max(groups.inertia_mws_per_hz[g, e], 1e-12)
            machine_mw[row, i] = mechanical[i] - by_inertia * accelerating[g]


@compiled
def inject(grid: GridArrays, envs: IntArray, machine_mw: FloatArray, step: int) -> None:
    """Complex power into every bus at a step of the interval, loads at the frequency of their own bus.

    Loads draw what the last voltages let them; where voltages move fast, `grid_model.kernels.voltage_laws` makes a law
    of it.

    Args:
        grid: of which `injected` but for its law is filled for the environments named; zero at dead buses.
        envs: environments, [n].
        machine_mw: what the machines send out there [MW], [n, machine].
        step: step of the interval.
    """
    profile, placement, status = grid.profile, grid.placement, grid.status
    begin, end = profile.begin, profile.end
    load_bus, renewable_bus, resource_bus = (
        placement.load_bus,
        placement.renewable_bus,
        placement.resource_bus,
    )
    machine_bus, impact_share, df_hz = (
        placement.machine_bus,
        grid.network.impact_share,
        grid.group_state.df_hz,
    )
    others_mva, total_mva = grid.injected.others_mva, grid.injected.total_mva
    demand_mva, kept_mw = grid.injected.demand_mva, grid.injected.machine_mw
    drawn_mva = grid.injected.drawn_mva
    p_share, q_share = grid.loads.p_share, grid.loads.q_share
    n_steps, interval_s, per_hz = grid.n_steps, grid.interval_s, grid.load_per_hz
    at = step / n_steps
    n_bus, n_group = impact_share.shape[1], impact_share.shape[2]
    plants, load, mvar = np.empty(n_bus), np.empty(n_bus), np.empty(n_bus)
    agents = np.empty(n_bus)
    for row in range(envs.size):
        e = envs[row]
        plants[:] = 0.0
        agents[:] = 0.0
        load[:] = 0.0
        mvar[:] = 0.0
        for i in range(load_bus.size):
            bus, share_left = load_bus[i], profile.served_share[e, i]
            wanted = between(begin.load_mw[e, i], end.load_mw[e, i], at) + profile.load_step_mw[e, i]
            df = 0.0
            for g in range(n_group):
                df += impact_share[e, bus, g] * df_hz[g, e]
            load[bus] += wanted * share_left * (1.0 + per_hz * df)
            mvar[bus] += between(begin.load_mvar[e, i], end.load_mvar[e, i], at) * share_left
        for i in range(renewable_bus.size):
            plants[renewable_bus[i]] += between(begin.renewable_mw[e, i], end.renewable_mw[e, i], at)
        _curtail(grid, grid.over, e, plants)
        for i in range(resource_bus.size):
            agents[resource_bus[i]] += resource_output(profile, e, i, step, n_steps, interval_s)
        _add_response(grid.storage, placement, e, agents)
        for bus in range(n_bus):
            s, demand, drawn = complex(0.0, 0.0), complex(0.0, 0.0), complex(0.0, 0.0)
            if status.bus[e, bus]:
                drawn = complex(load[bus] * p_share[e, bus], mvar[bus] * q_share[e, bus])
                s = complex(plants[bus] + agents[bus] - drawn.real, -drawn.imag)
                demand = complex(load[bus], mvar[bus])
            others_mva[e, bus] = s
            total_mva[e, bus] = s
            demand_mva[e, bus] = demand
            drawn_mva[e, bus] = drawn
        for i in range(machine_bus.size):
            kept_mw[e, i] = machine_mw[row, i]
            if status.machine[e, i]:
                total_mva[e, machine_bus[i]] += machine_mw[row, i]


@compiled
def _curtail(grid: GridArrays, over: OverFrequency | None, env: int, plants_mw: FloatArray) -> None:
    """What wind and sun still give at the frequencies of their buses [MW], [bus]."""
    if over is not None:
        impact_share, df_hz = grid.network.impact_share, grid.group_state.df_hz
        for bus in range(plants_mw.size):
            if plants_mw[bus] > 0.0:
                # As the groups meet it: each gives its own part, at its own frequency.
                beyond = 0.0
                for g in range(df_hz.shape[0]):
                    beyond += impact_share[env, bus, g] * max(df_hz[g, env] - over.from_hz, 0.0)
                plants_mw[bus] *= max(1.0 - over.share_per_hz * beyond, 0.0)


@compiled
def _add_response(
    storage: StorageResponse | None, placement: Placement, env: int, agents_mw: FloatArray
) -> None:
    """Add the batteries' responses to what plants give at their buses [MW], [bus]."""
    if storage is not None:
        for i in range(storage.resource.size):
            agents_mw[placement.resource_bus[storage.resource[i]]] += storage.response_mw[env, i]


@compiled
def split_injection(
    rows: IntArray,
    injection_mva: ComplexArray,
    bus_live: BoolArray,
    step_mw: float,
    p_mw: npt.NDArray[np.float32],
    q_mvar: npt.NDArray[np.float32],
    finite: BoolArray,
) -> None:
    """Demand at every bus as the sum of two 32-bit floats, coarse and rest, on whole steps; zero at dead buses.

    Args:
        rows: environments, [n].
        injection_mva: power into every bus of all environments [MVA], [env, bus].
        bus_live: which buses are energised, [env, bus].
        step_mw: whole multiples of this are given [MW, Mvar].
        p_mw: filled for the environments of `rows` with the demand, coarse parts first [MW], [n, 2 bus].
        q_mvar: filled likewise with the reactive demand [Mvar], [n, 2 bus].
        finite: filled with whether all of an environment's numbers are finite, [n].
    """
    n_bus = bus_live.shape[1]
    for row in range(rows.size):
        e = rows[row]
        finite[row] = True
        for bus in range(n_bus):
            p, q = 0.0, 0.0
            if bus_live[e, bus]:
                s = injection_mva[e, bus]
                p, q = np.rint(-s.real / step_mw) * step_mw, np.rint(-s.imag / step_mw) * step_mw
            finite[row] = finite[row] and np.isfinite(p) and np.isfinite(q)
            p_mw[row, bus] = np.float32(p)
            q_mvar[row, bus] = np.float32(q)
            p_mw[row, n_bus + bus] = np.float32(p - np.float64(p_mw[row, bus]))
            q_mvar[row, n_bus + bus] = np.float32(q - np.float64(q_mvar[row, bus]))


@compiled
def served_load(
    load_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    bus_live: BoolArray,
    load_bus: IntArray,
    served_mw: FloatArray,
) -> None:
    """Every load after steps, shedding and lost buses, at 60 Hz [MW]; arguments as in `unserved_load`."""
    for e in range(load_mw.shape[0]):
        for i in range(load_bus.size):
            served_mw[e, i] = 0.0
            if bus_live[e, load_bus[i]]:
                served_mw[e, i] = (load_mw[e, i] + load_step_mw[e, i]) * served_share[e, i]


@compiled
def unserved_load(
    load_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    bus_live: BoolArray,
    load_bus: IntArray,
) -> FloatArray:
    """Load on dead buses and load that was shed [MW], all [env, load] but bus_live [env, bus] -> [env]."""
    unserved_mw = np.zeros(load_mw.shape[0])
    for e in range(load_mw.shape[0]):
        for i in range(load_bus.size):
            wanted = load_mw[e, i] + load_step_mw[e, i]
            unserved_mw[e] += (1.0 - served_share[e, i]) * wanted if bus_live[e, load_bus[i]] else wanted
    return unserved_mw
