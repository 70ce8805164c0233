"""What the kernels of the batched power flow work on: rows of eight environments, and what is asked and answered.

Rows of the arrays [row, 8] of one block of environments, k a place in the order of elimination:

    net    8 k + G, B           admittance of the bus with itself
           8 k + LIVE, PQ, ..   masks, weight, number of the island, set-point of the voltage
           8 n + 2 e            admittance of entry e of the plan, real and imaginary part
    v, s   2 k                  voltage; injected power
    lu     4 b                  block b: P by theta, P by rho, Q by theta, Q by rho
    rhs    4 k                  mismatches of P and Q, column of lambda in P and Q
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.kernels.lanes import N_LANE
from grid_model.kernels.structs import N_LAW_ROW
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.elimination import Elimination

N_BUS_ROW = 8
G, B, LIVE, PQ, WEIGHT, GAUGE, ISLAND, VSET = range(N_BUS_ROW)
ACTIVE, WORST, ITERATIONS, FOUND = range(4)


class Work(NamedTuple):
    """Room for one block of environments, used again for the next one."""

    net: FloatArray  # [row, 8]
    branch_y: FloatArray  # [8 branch, 8]
    law: FloatArray  # [8 place, 8], or [0, 8] where all loads draw constant power
    v: FloatArray  # [2 place, 8]
    s: FloatArray  # [2 place, 8]
    drawn: FloatArray  # drawn by loads that depend on voltage: P, Q, dP/drho, dQ/drho; [4 place, 8] or [0, 8]
    out: FloatArray  # what leaves each bus into the grid, [2 place, 8]
    lu: FloatArray  # [4 block, 8]
    rhs: FloatArray  # [4 place, 8]
    slack: FloatArray  # lambda, [island, 8]
    change: FloatArray  # of lambda in one step, [island, 8]
    state: FloatArray  # rows ACTIVE, WORST, ITERATIONS, FOUND; [4, 8]
    flow: FloatArray  # [4 branch, 8]


class Grids(NamedTuple):
    """What is switched in of every environment; environment e is lane e % 8 of block e // 8."""

    net: FloatArray  # [block, row, 8]
    branch_y: FloatArray  # y_ff, y_ft, y_tf, y_tt of each circuit, re and im, [block, 8 branch, 8]; one block where all
    # environments have the same
    branch_end: IntArray  # places of the circuits' ends, [2, branch]
    branch_in_service: BoolArray  # [env, branch]
    held: IntArray  # places of the machines' buses


class Switched(NamedTuple):
    """What is in service of one environment."""

    branch_in_service: BoolArray  # [branch]
    shunt_pu: ComplexArray  # admittance to ground, [bus]
    island: IntArray  # number of each bus's living island, -1 where it is dead, [bus]
    weight: FloatArray  # share in the imbalance of the island, summing to one in each, [bus]
    vm_set_pu: FloatArray  # set-point of the machines at the bus, 0 where there is none in service, [bus]


class Question(NamedTuple):
    """Power flows to be solved; arrays have a row for every environment of the batch."""

    rows: IntArray  # environments to solve, [n]
    injection_mva: ComplexArray  # constant powers, [env, bus]
    law_mva: (
        FloatArray  # those that depend on voltage, [env, bus, 8] in the order of the rows of `law`; or empty
    )
    start_pu: ComplexArray  # voltages to start from, [env, bus]; machines' buses are brought to their set-points first
    base_mva: float
    tolerance_pu: float
    max_iteration: int  # negative to compute flows of `start_pu` as they are


class Answer(NamedTuple):
    """Solutions; voltages and powers of an environment without one stay as they are."""

    v_pu: ComplexArray  # [env, bus]
    s_bus_mva: ComplexArray  # from the buses into the grid, [env, bus]
    s_from_mva: ComplexArray  # into the circuits at their ends, [env, branch]
    s_to_mva: ComplexArray
    slack_mw: FloatArray  # shared by the machines of each island, [env, island]
    mismatch_pu: FloatArray  # largest mismatch, [env]
    iterations: IntArray  # [env]; left alone, as is `converged`, where only flows are asked for
    converged: BoolArray


def room(plan: Elimination, n_branch: int, n_law: int, n_island: int) -> Work:
    """Room for a block.

    Args:
        plan: of the elimination.
        n_branch: number of circuits.
        n_law: number of buses if loads depend on voltage, else 0.
        n_island: most living islands.
    """
    n_bus = len(plan.order)

    def rows(n_row: int) -> FloatArray:
        return np.zeros((n_row, N_LANE))

    return Work(
        net=rows(N_BUS_ROW * n_bus + 2 * len(plan.near)),
        branch_y=rows(8 * n_branch),
        law=rows(N_LAW_ROW * n_law),
        v=rows(2 * n_bus),
        s=rows(2 * n_bus),
        drawn=rows(4 * n_law),
        out=rows(2 * n_bus),
        lu=rows(4 * plan.n_block),
        rhs=rows(4 * n_bus),
        slack=rows(n_island),
        change=rows(n_island),
        state=rows(4),
        flow=rows(4 * n_branch),
    )
