"""Powers at the buses: from loads, renewables, plants and machines to injections, and back to the machines."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.network.admittance import ComplexArray

__all__ = [
    "adopt_machine_power",
    "between",
    "inject",
    "served_load",
    "share_among_machines",
    "split_injection",
    "unserved_load",
]


@numba.njit(cache=True, error_model="numpy")
def between(start: float, end: float, at: float) -> float:
    """Straight line between two values, exact at both ends."""
    if at == 0.0:
        return start
    if at == 1.0:
        return end
    return start + (end - start) * at


@numba.njit(cache=True, error_model="numpy")
def share_among_machines(
    rows: IntArray,
    at: float,
    schedule_begin_mw: FloatArray,
    schedule_end_mw: FloatArray,
    machine_in_service: BoolArray,
    valve_mw: FloatArray,
    reheat_mw: FloatArray,
    high_pressure_fraction: float,
    group_share: FloatArray,
    governor_share: FloatArray,
    group_inertia: FloatArray,
    machine_inertia: FloatArray,
    p_elec_mw: FloatArray,
    group_of: IntArray,
    machine_mw: FloatArray,
) -> None:
    """What each machine sends out: its turbine's power less the part of its group's acceleration by inertia.

    Args:
        rows: environments, [n]; at: fraction of the interval; schedules: whole, [env, machine].
        valve_mw, reheat_mw, group_share, group_inertia, p_elec_mw: whole, [group, env].
        governor_share, machine_inertia, machine_in_service: whole, [env, machine].
        machine_mw: filled, named, [n, machine].
    """
    n_group, n_machine = valve_mw.shape[0], group_of.size
    low = 1.0 - high_pressure_fraction
    per_share, accelerating = np.empty(n_group), np.empty(n_group)
    mechanical = np.empty(n_machine)
    for row in range(rows.size):
        e = rows[row]
        for g in range(n_group):
            governor = high_pressure_fraction * valve_mw[g, e] + low * reheat_mw[g, e]
            per_share[g] = governor / max(group_share[g, e], 1e-12)
            accelerating[g] = 0.0
        for i in range(n_machine):
            g = group_of[i]
            scheduled = between(schedule_begin_mw[e, i], schedule_end_mw[e, i], at)
            mechanical[i] = (scheduled if machine_in_service[e, i] else 0.0) + governor_share[
                e, i
            ] * per_share[g]
            accelerating[g] += mechanical[i]
        for g in range(n_group):
            accelerating[g] -= p_elec_mw[g, e]
        for i in range(n_machine):
            g = group_of[i]
            by_inertia = machine_inertia[e, i] / max(group_inertia[g, e], 1e-12)
            machine_mw[row, i] = mechanical[i] - by_inertia * accelerating[g]


@numba.njit(cache=True, error_model="numpy")
def inject(
    rows: IntArray,
    at: float,
    load_begin_mw: FloatArray,
    load_end_mw: FloatArray,
    load_step_mw: FloatArray,
    mvar_begin: FloatArray,
    mvar_end: FloatArray,
    served_share: FloatArray,
    renewable_begin_mw: FloatArray,
    renewable_end_mw: FloatArray,
    resource_mw: FloatArray,
    machine_mw: FloatArray,
    machine_in_service: BoolArray,
    bus_live: BoolArray,
    impact_share: FloatArray,
    df_hz: FloatArray,
    load_bus: IntArray,
    renewable_bus: IntArray,
    resource_bus: IntArray,
    machine_bus: IntArray,
    per_hz: float,
    others_mva: ComplexArray,
    injection_mva: ComplexArray,
) -> None:
    """Complex power into every bus at a fraction of the interval, loads at the frequency of their own bus.

    Args:
        rows: environments, [n]; inputs at the interval's two ends, topology and df_hz [group, env]: whole.
        resource_mw, machine_mw: what resources and machines send out there, named, [n, resource] and [n, machine].
        others_mva: filled with what everything but machines injects, whole, [env, bus]; rows not named stay.
        injection_mva: filled with all of it, likewise. Both are zero at dead buses.
    """
    n_bus, n_group = impact_share.shape[1], impact_share.shape[2]
    plants, load, mvar = np.empty(n_bus), np.empty(n_bus), np.empty(n_bus)
    agents = np.empty(n_bus)
    for row in range(rows.size):
        e = rows[row]
        plants[:] = 0.0
        agents[:] = 0.0
        load[:] = 0.0
        mvar[:] = 0.0
        for i in range(load_bus.size):
            bus = load_bus[i]
            wanted = between(load_begin_mw[e, i], load_end_mw[e, i], at) + load_step_mw[e, i]
            df = 0.0
            for g in range(n_group):
                df += impact_share[e, bus, g] * df_hz[g, e]
            load[bus] += wanted * served_share[e, i] * (1.0 + per_hz * df)
            mvar[bus] += between(mvar_begin[e, i], mvar_end[e, i], at) * served_share[e, i]
        for i in range(renewable_bus.size):
            plants[renewable_bus[i]] += between(renewable_begin_mw[e, i], renewable_end_mw[e, i], at)
        for i in range(resource_bus.size):
            agents[resource_bus[i]] += resource_mw[row, i]
        for bus in range(n_bus):
            s = complex(0.0, 0.0)
            if bus_live[e, bus]:
                s = complex(plants[bus] + agents[bus] - load[bus], -mvar[bus])
            others_mva[e, bus] = s
            injection_mva[e, bus] = s
        for i in range(machine_bus.size):
            if machine_in_service[e, i]:
                injection_mva[e, machine_bus[i]] += machine_mw[row, i]


@numba.njit(cache=True, error_model="numpy")
def adopt_machine_power(
    rows: IntArray,
    converged: BoolArray,
    power_mva: ComplexArray,
    machine_in_service: BoolArray,
    group_of: IntArray,
    machine_mw: FloatArray,
    machine_mvar: FloatArray,
    p_elec_mw: FloatArray,
) -> None:
    """Take over the machines' powers of a power flow that found a solution, and their groups' sums.

    Args:
        rows: environments, [n]; converged: whole, [env]; power_mva: of the machines, named, [n, machine].
        machine_mw, machine_mvar: changed, whole, [env, machine]; p_elec_mw: changed, whole, [group, env].
    """
    for row in range(rows.size):
        e = rows[row]
        if not converged[e]:
            continue
        for g in range(p_elec_mw.shape[0]):
            p_elec_mw[g, e] = 0.0
        for i in range(group_of.size):
            machine_mw[e, i] = power_mva[row, i].real
            machine_mvar[e, i] = power_mva[row, i].imag
            if machine_in_service[e, i]:
                p_elec_mw[group_of[i], e] += machine_mw[e, i]


@numba.njit(cache=True, error_model="numpy")
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
        rows: environments, [n]; injection_mva, bus_live: whole, [env, bus].
        p_mw, q_mvar: filled, named, float32, [n, 2 bus], coarse parts first.
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


@numba.njit(cache=True, error_model="numpy")
def served_load(
    load_mw: FloatArray,
    load_step_mw: FloatArray,
    served_share: FloatArray,
    bus_live: BoolArray,
    load_bus: IntArray,
) -> FloatArray:
    """Every load after steps, shedding and lost buses, at 60 Hz [MW]; arguments as in `unserved_load`."""
    served_mw = np.zeros(load_mw.shape)
    for e in range(load_mw.shape[0]):
        for i in range(load_bus.size):
            if bus_live[e, load_bus[i]]:
                served_mw[e, i] = (load_mw[e, i] + load_step_mw[e, i]) * served_share[e, i]
    return served_mw


@numba.njit(cache=True, error_model="numpy")
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
