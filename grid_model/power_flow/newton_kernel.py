"""Newton's method on a batch of environments, eight at a time, compiled.

The equations are in `newton_equations`, their solution in `block_elimination`. Each environment goes on until its own
end, and what the others do leaves no trace in it, not even a bit.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import N_LANE, store
from grid_model.kernels.structs import ALPHA, N_LAW_ROW
from grid_model.power_flow.batch_rows import (
    ACTIVE,
    FOUND,
    ITERATIONS,
    LIVE,
    N_BUS_ROW,
    WORST,
    Answer,
    Grids,
    Question,
    Work,
)
from grid_model.power_flow.block_elimination import factorise, substitute
from grid_model.power_flow.circuit_power import circuit_power
from grid_model.power_flow.elimination import Elimination
from grid_model.power_flow.newton_equations import draw, evaluate, hold_voltages


@compiled
def solve_batch(plan: Elimination, room: Work, grids: Grids, asked: Question, answer: Answer) -> None:
    """Solve the environments asked for, eight at a time."""
    n_block = grids.branch_y.shape[0]
    # N_LANE, but unknown to the compiler, which would write out each loop eight times
    n_lane = room.state.shape[1]
    lane_of = np.empty(n_lane, dtype=np.int64)
    for begin in range(0, asked.rows.size, n_lane):
        envs = asked.rows[begin : begin + n_lane]
        block = envs[0] // n_lane
        together = True
        for i in range(envs.size):
            together = together and envs[i] // n_lane == block
            lane_of[i] = envs[i] % n_lane
        # Environments of one block are solved where they stand. What else is in the lanes is computed along, leaves
        # no trace, and may be anything, NaN included.
        net, branch_y = grids.net[block], grids.branch_y[block % n_block]
        if not together:
            for i in range(envs.size):
                lane_of[i] = i
            _gather(grids.net, envs, room.net)
            net = room.net
            if n_block > 1:
                _gather(grids.branch_y, envs, room.branch_y)
                branch_y = room.branch_y
        work = Work(
            net,
            branch_y,
            room.law,
            room.v,
            room.s,
            room.drawn,
            room.out,
            room.lu,
            room.rhs,
            room.slack,
            room.change,
            room.state,
            room.flow,
        )
        _begin(plan, work, envs, lane_of, asked)
        if asked.max_iteration >= 0:
            hold_voltages(grids.held, work.net, work.v)
        _iterate(plan, work, asked.tolerance_pu, max(asked.max_iteration, 0))
        circuit_power(grids.branch_end, work)
        _answer(plan, work, envs, lane_of, asked, grids, answer)


@compiled
def _gather(source: FloatArray, envs: IntArray, rows: FloatArray) -> None:
    """Bring environments of several blocks together, [block, row, 8] to [row, 8]."""
    for lane in range(envs.size):
        block, column = envs[lane] // N_LANE % source.shape[0], envs[lane] % N_LANE
        for row in range(rows.shape[0]):
            rows[row, lane] = source[block, row, column]


@compiled
def _begin(plan: Elimination, work: Work, envs: IntArray, lane_of: IntArray, asked: Question) -> None:
    """Powers and voltages of a block's environments, brought to their lanes."""
    state, net, law = work.state, work.net, work.law
    store(state, ACTIVE, 0.0)
    store(state, ITERATIONS, 0.0)
    store(state, FOUND, 0.0)
    n_law = 0 if law.shape[0] == 0 else N_LAW_ROW
    per_mva = 1.0 / asked.base_mva  # a complex number divided by a real one is divided by a complex one
    for i in range(envs.size):
        e, lane = envs[i], lane_of[i]
        state[ACTIVE, lane] = 1.0
        for k in range(plan.order.size):
            bus = plan.order[k]
            live = net[N_BUS_ROW * k + LIVE, lane] > 0.0
            s, start = asked.injection_mva[e, bus], asked.start_pu[e, bus]
            # A dead bus needs some voltage to divide by.
            alive = live or asked.max_iteration < 0
            work.s[2 * k, lane] = s.real * per_mva if live else 0.0
            work.s[2 * k + 1, lane] = s.imag * per_mva if live else 0.0
            work.v[2 * k, lane] = start.real if alive else 1.0
            work.v[2 * k + 1, lane] = start.imag if alive else 0.0
            for part in range(n_law):
                value = asked.law_mva[e, bus, part] * (per_mva if part < ALPHA else 1.0)
                law[N_LAW_ROW * k + part, lane] = value if live else 0.0


@compiled
def _iterate(plan: Elimination, work: Work, tolerance_pu: float, max_iteration: int) -> None:
    """Newton's method on the active environments of a block, each until its own end.

    An environment ends when its largest mismatch is within tolerance, is not finite, or steps run out; from then on
    nothing of it changes while the others go on.
    """
    state = work.state
    for step in range(max_iteration + 1):
        if work.drawn.shape[0] > 0:
            draw(work.law, work.v, work.drawn)
        evaluate(plan, work, step == 0)
        going_on = False
        for lane in range(state.shape[1]):
            if state[ACTIVE, lane] > 0.0:
                if state[WORST, lane] <= tolerance_pu:
                    state[FOUND, lane] = 1.0
                    state[ACTIVE, lane] = 0.0
                elif step == max_iteration or not np.isfinite(state[WORST, lane]):
                    state[ACTIVE, lane] = 0.0
                else:
                    state[ITERATIONS, lane] += 1.0
                    going_on = True
        if not going_on:
            break
        factorise(plan, work)
        substitute(plan, work)


@compiled
def _answer(
    plan: Elimination,
    work: Work,
    envs: IntArray,
    lane_of: IntArray,
    asked: Question,
    grids: Grids,
    answer: Answer,
) -> None:
    """What a block's environments came to; where there is no solution, voltages and powers stay as they are."""
    state, base_mva, only_flows = work.state, asked.base_mva, asked.max_iteration < 0
    for i in range(envs.size):
        e, lane = envs[i], lane_of[i]
        answer.mismatch_pu[e] = state[WORST, lane]
        found = state[FOUND, lane] > 0.0
        if not only_flows:
            answer.iterations[e] = int(state[ITERATIONS, lane])
            answer.converged[e] = found
            for island in range(work.slack.shape[0]):
                answer.slack_mw[e, island] = work.slack[island, lane] * base_mva
        if not (only_flows or found):
            continue
        for k in range(plan.order.size):
            bus = plan.order[k]
            if not only_flows:
                live = work.net[N_BUS_ROW * k + LIVE, lane] > 0.0
                x, y = work.v[2 * k, lane], work.v[2 * k + 1, lane]
                answer.v_pu[e, bus] = complex(x if live else 0.0, y if live else 0.0)
            p, q = work.out[2 * k, lane], work.out[2 * k + 1, lane]
            answer.s_bus_mva[e, bus] = complex(base_mva * p, base_mva * q)
        for k in range(grids.branch_end.shape[1]):
            scale = base_mva if grids.branch_in_service[e, k] else 0.0
            p, q = work.flow[4 * k, lane], work.flow[4 * k + 1, lane]
            answer.s_from_mva[e, k] = complex(scale * p, scale * q)
            p, q = work.flow[4 * k + 2, lane], work.flow[4 * k + 3, lane]
            answer.s_to_mva[e, k] = complex(scale * p, scale * q)
