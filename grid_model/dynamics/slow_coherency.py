"""Coherent areas of a grid that has none: slow coherency of its machines.

In the slowest swings of a grid whole groups of machines move together. Of the undamped machines

    M d2(delta)/dt2 = -K delta,        K = K_mm - K_mb K_bb^-1 K_bm

(K the synchronising powers of the operating point, reduced to the machines) the modes of the r smallest eigenvalues,
the common motion among them, are taken as columns of V. Gaussian elimination with complete pivoting finds the r
machines whose rows of V are the most linearly independent: the reference machines. With V_ref their rows, the grouping
matrix L = V V_ref^-1 has a row for each machine that says how much of each reference's motion it makes; a machine
belongs to the area of the largest entry. Buses follow the machines by their angles, K_bb^-1 K_bm, and go by the same
rule.

How many areas there are the grid says itself, if nobody does: r is where the next eigenvalue is the largest multiple
of the last one that is kept.

References:
    J. H. Chow (ed.), Time-Scale Modeling of Dynamic Networks with Applications to Power Systems, Springer, 1982, ch. 5.
    J. H. Chow (ed.), Power System Coherency and Model Reduction, Springer, 2013, ch. 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from grid_model.dynamics.bus_frequency import machine_reactance_pu
from grid_model.dynamics.parameters import machine_inertia_mws_per_hz
from grid_model.network.topology import weighted_laplacian
from grid_model.power_flow.newton import NewtonEngine

__all__ = ["MOST_AREAS", "SlowCoherency", "reference_rows", "slow_coherency", "with_coherent_areas"]

MOST_AREAS = 8  # looked for where nobody says how many


@dataclass(frozen=True, kw_only=True)
class SlowCoherency:
    """Areas of a grid, numbered by their first bus."""

    area_of_machine: IntArray  # [machine]
    area_of_bus: IntArray  # [bus]
    frequency_hz: FloatArray  # of the modes, the slowest first, the common motion left out, [machine - 1]
    n_area: int


def slow_coherency(case: Case, n_area: int | None = None) -> SlowCoherency:
    """Coherent areas at the published operating point.

    Args:
        case: the grid, in one island.
        n_area: how many areas; by the largest gap between the modes, MOST_AREAS at most, if None.

    Raises:
        ValueError: there are fewer machines than areas.
    """
    n_machine = case.n_machine
    if n_area is not None and not 1 <= n_area <= n_machine:
        raise ValueError(
            f"{n_area} areas, expected 1 to {n_machine}, the number of machines of case {case.name}"
        )
    stiffness, recovery = _reduced(case)
    root_m = np.sqrt(machine_inertia_mws_per_hz(case) / (2.0 * np.pi))
    # M^-1/2 K M^-1/2 is symmetric; its vectors y are M^1/2 times the modes.
    eigenvalue, y = np.linalg.eigh(stiffness / np.outer(root_m, root_m))
    mode = y / root_m[:, None]
    frequency_hz = np.sqrt(np.maximum(eigenvalue[1:], 0.0)) / (2.0 * np.pi)
    r = n_area if n_area is not None else _number_of_areas(eigenvalue)
    slow = mode[:, :r]
    grouping = slow @ np.linalg.inv(slow[reference_rows(slow)])
    area_of_bus = (recovery @ grouping).argmax(axis=1)
    area_of_machine = grouping.argmax(axis=1)
    # An area without a bus of its own cannot be: a machine's bus is of its machine's area.
    area_of_bus[case.machine.bus] = area_of_machine
    used, first = np.unique(area_of_bus, return_index=True)
    number = np.full(r, -1, dtype=np.int64)
    number[used[np.argsort(first)]] = np.arange(len(used))
    by_bus: IntArray = number[area_of_bus]
    # Several machines at one bus are one area.
    return SlowCoherency(
        area_of_machine=by_bus[case.machine.bus],
        area_of_bus=by_bus,
        frequency_hz=frequency_hz,
        n_area=len(used),
    )


def with_coherent_areas(case: Case, n_area: int | None = None) -> Case:
    """The case with its coherent areas in the place of those of its file; arguments as of `slow_coherency`.

    Raises:
        ValueError: as `slow_coherency`.
    """
    found = slow_coherency(case, n_area)
    return replace(
        case,
        area_names=tuple(f"area {k + 1}" for k in range(found.n_area)),
        bus=replace(case.bus, area=found.area_of_bus),
    )


def reference_rows(modes: FloatArray) -> IntArray:
    """Rows that Gaussian elimination with complete pivoting chooses, as many as there are columns, [column]."""
    left, row = modes.copy(), np.arange(len(modes))
    n = modes.shape[1]
    for k in range(n):
        at, column = np.unravel_index(np.abs(left[k:, k:]).argmax(), left[k:, k:].shape)
        i, j = k + int(at), k + int(column)
        left[[k, i]], row[[k, i]] = left[[i, k]], row[[i, k]]
        left[:, [k, j]] = left[:, [j, k]]
        left[k + 1 :] -= np.outer(left[k + 1 :, k] / left[k, k], left[k])
    chosen: IntArray = row[:n].astype(np.int64)
    return chosen


def _number_of_areas(eigenvalue: FloatArray) -> int:
    """Where the modes part: r with the largest ratio of eigenvalue r + 1 to eigenvalue r, from 2 on."""
    n = len(eigenvalue)
    if n <= 2:
        return n
    most = min(MOST_AREAS, n - 1)
    ratio = eigenvalue[2 : most + 1] / np.maximum(eigenvalue[1:most], 1e-12)
    return 2 + int(ratio.argmax())


def _reduced(case: Case) -> tuple[FloatArray, FloatArray]:
    """Synchronising power of the machines [MW/rad], [machine, machine], and angles of buses per angle of a machine."""
    engine = NewtonEngine(case, 1, reactor_share=case.base_reactor_share, check=False)
    v_pu = engine.v_pu[0]
    others_mva = engine.reference_injection()[None] - _machine_mva(case)
    q_mvar = engine.machine_power(others_mva)[0].imag
    branch, f, t = case.branch, case.branch.from_bus, case.branch.to_bus
    angle = np.angle(v_pu[f] * np.conj(v_pu[t])) - branch.shift_rad
    spring = branch.x_pu / (branch.r_pu**2 + branch.x_pu**2) / branch.tap
    k_branch = case.base_mva * spring * np.abs(v_pu[f]) * np.abs(v_pu[t]) * np.cos(angle)
    k_machine = case.base_mva * np.abs(v_pu[case.machine.bus]) ** 2 / machine_reactance_pu(case) + q_mvar
    laplacian = weighted_laplacian(case, k_branch)
    np.add.at(laplacian, (case.machine.bus, case.machine.bus), k_machine)
    pull = np.zeros((case.n_bus, case.n_machine))
    pull[case.machine.bus, np.arange(case.n_machine)] = k_machine
    recovery = np.asarray(np.linalg.solve(laplacian, pull), dtype=np.float64)
    stiffness = np.diag(k_machine) - k_machine[:, None] * recovery[case.machine.bus]
    return np.asarray(0.5 * (stiffness + stiffness.T), dtype=np.float64), recovery


def _machine_mva(case: Case) -> FloatArray:
    """Scheduled power of the machines at their buses [MVA], [1, bus]."""
    mva = np.zeros((1, case.n_bus))
    np.add.at(mva[0], case.machine.bus, case.machine.p_mw)
    return mva
