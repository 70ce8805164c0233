"""What is switched in of an environment, written into its lane of the batch."""

from __future__ import annotations

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.batch_rows import (
    GAUGE,
    ISLAND,
    LIVE,
    N_BUS_ROW,
    PQ,
    VSET,
    WEIGHT,
    B,
    G,
    Switched,
)
from grid_model.power_flow.elimination import Elimination


@compiled
def switch_lane(
    plan: Elimination, env: int, branch_y: FloatArray, branch_end: IntArray, on: Switched, net: FloatArray
) -> None:
    """Fill in all rows of one environment; each island's gauge is its bus that is eliminated last.

    Args:
        plan: of the elimination.
        env: the environment.
        branch_y: admittances of the circuits, [block, 8 branch, 8].
        branch_end: places of their ends, [2, branch].
        on: what is in service.
        net: rows of the batch, [block, row, 8].
    """
    n, lane = plan.base.size, env % N_LANE
    rows, y = net[env // N_LANE], branch_y[env // N_LANE % branch_y.shape[0]]
    for row in range(N_BUS_ROW * n, rows.shape[0]):
        rows[row, lane] = 0.0
    settled = np.zeros(n, dtype=np.bool_)  # islands that have their gauge
    for k in range(n - 1, -1, -1):
        bus, at = plan.order[k], N_BUS_ROW * k
        island = on.island[bus]
        live, sets = island >= 0, on.vm_set_pu[bus] > 0.0
        rows[at + G, lane] = on.shunt_pu[bus].real if live else 0.0
        rows[at + B, lane] = on.shunt_pu[bus].imag if live else 0.0
        rows[at + LIVE, lane] = 1.0 if live else 0.0
        rows[at + PQ, lane] = 1.0 if live and not sets else 0.0
        rows[at + WEIGHT, lane] = on.weight[bus] if live else 0.0
        rows[at + GAUGE, lane] = 1.0 if live and not settled[island] else 0.0
        rows[at + ISLAND, lane] = island
        rows[at + VSET, lane] = on.vm_set_pu[bus]
        if live:
            settled[island] = True
    for b in range(on.branch_in_service.size):
        if on.branch_in_service[b]:
            f, t = N_BUS_ROW * branch_end[0, b], N_BUS_ROW * branch_end[1, b]
            ft, tf = N_BUS_ROW * n + 2 * plan.entry_from[b], N_BUS_ROW * n + 2 * plan.entry_to[b]
            for part in range(2):
                rows[f + G + part, lane] += y[8 * b + part, lane]
                rows[ft + part, lane] += y[8 * b + 2 + part, lane]
                rows[tf + part, lane] += y[8 * b + 4 + part, lane]
                rows[t + G + part, lane] += y[8 * b + 6 + part, lane]


@compiled
def switch_voltages(
    plan: Elimination, envs: IntArray, bus: IntArray, on: BoolArray, vm_set_pu: FloatArray, net: FloatArray
) -> None:
    """Other voltages for machines that hold one already; the rows become what `switch_lane` would fill in.

    Args:
        plan: of the elimination.
        envs: environments, [n].
        bus: of each machine, [machine].
        on: which machines are in service, [n, machine].
        vm_set_pu: voltage that each holds, [n, machine].
        net: rows of the batch, [block, row, 8].
    """
    for i in range(envs.size):
        rows, lane = net[envs[i] // N_LANE], envs[i] % N_LANE
        for k in range(bus.size):
            if on[i, k]:
                rows[N_BUS_ROW * plan.place[bus[k]] + VSET, lane] = vm_set_pu[i, k]


@compiled
def switch_shunts(
    plan: Elimination,
    envs: IntArray,
    bus: IntArray,
    shunt_pu: ComplexArray,
    branch_y: FloatArray,
    branch_end: IntArray,
    branch_in_service: BoolArray,
    net: FloatArray,
) -> None:
    """Other admittances to ground at some buses; the rows become what `switch_lane` would fill in, bit for bit.

    Args:
        plan: of the elimination.
        envs: environments, [n].
        bus: the buses, [m].
        shunt_pu: all that is to ground there, [n, m].
        branch_y: as in `switch_lane`, as are the next but one and the last.
        branch_end: places of the circuits' ends.
        branch_in_service: of all environments, [env, branch].
        net: rows of the batch.
    """
    touched = np.zeros(plan.base.size, dtype=np.bool_)
    for i in range(envs.size):
        env = envs[i]
        lane, rows = env % N_LANE, net[env // N_LANE]
        y = branch_y[env // N_LANE % branch_y.shape[0]]
        for j in range(bus.size):
            k = plan.place[bus[j]]
            touched[k] = True
            at = N_BUS_ROW * k
            live = rows[at + LIVE, lane] > 0.0
            rows[at + G, lane] = shunt_pu[i, j].real if live else 0.0
            rows[at + B, lane] = shunt_pu[i, j].imag if live else 0.0
        for b in range(branch_end.shape[1]):
            if branch_in_service[env, b]:
                for end in range(2):
                    if touched[branch_end[end, b]]:
                        at = N_BUS_ROW * branch_end[end, b] + G
                        for part in range(2):
                            rows[at + part, lane] += y[8 * b + 6 * end + part, lane]
