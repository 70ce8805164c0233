"""Newton's method on eight environments at once, compiled.

Polar coordinates with logarithmic magnitudes: bus i changes by (1 + rho_i) and turns by theta_i. With the power that
flows from i towards k, T_ik = V_i conj(Y_ik V_k), and S_i = sum_k T_ik,

    dS_i = (rho_i + j theta_i) S_i + sum_k T_ik (rho_k - j theta_k),

so that beside the diagonal every 2x2 block is (Im T, Re T; -Re T, Im T), and no sine is ever taken. A bus turns by
(1 + j theta/2) / (1 - j theta/2), which keeps magnitudes and differs from exp(j theta) by theta^3/12: what Newton's
method does not notice. Equations of bus i,

    P_i - P_spec,i - w_i lambda = 0,     Q_i - Q_spec,i = 0 (load buses)     or     rho_i = 0 (machines' buses),

with lambda, the power that its island's machines share by the weights w. One bus of each island, the gauge, keeps
its angle; there the unknown theta gives its place to lambda. The column of lambda would be full, so it is carried
through the elimination like a second right-hand side. Dead buses have the equations theta = rho = 0.

Rows of the arrays [row, 8] of one block of environments, k a place in the order of elimination:

    net    8 k + G, B           admittance of the bus with itself
           8 k + LIVE, PQ, ..   masks, weight, number of the island, set-point of the voltage
           8 n + 2 e            admittance of entry e of the plan, real and imaginary part
    v, s   2 k                  voltage; injected power
    lu     4 b                  block b: P by theta, P by rho, Q by theta, Q by rho
    rhs    4 k                  mismatches of P and Q, column of lambda in P and Q

Reference: Tinney & Hart, Power flow solution by Newton's method, IEEE Trans. PAS 86(11), 1967; the block structure in
van Ness & Griffin, Elimination methods for load-flow studies, AIEE Trans. 80, 1961.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.kernels.lanes import N_LANE, fma, fnma, larger_size, load, root, select, spread, store
from grid_model.kernels.lanes import equal as same
from grid_model.network.admittance import ComplexArray
from grid_model.power_flow.elimination import Elimination

N_BUS_ROW = 8
G, B, LIVE, PQ, WEIGHT, GAUGE, ISLAND, VSET = range(N_BUS_ROW)
# Rows of a bus in `law`: power drawn at 1 pu as constant current, as constant impedance, by an exponent, and those.
N_LAW_ROW = 8
P_CURRENT, Q_CURRENT, P_IMPEDANCE, Q_IMPEDANCE, P_EXPONENT, Q_EXPONENT, ALPHA, BETA = range(N_LAW_ROW)


class Work(NamedTuple):
    """Room for one block of environments, used again for the next one."""

    net: FloatArray  # [row, 8]
    law: FloatArray  # [8 place, 8], or [0, 8] where all loads draw constant power
    v: FloatArray  # [2 place, 8]
    s: FloatArray  # [2 place, 8]
    drawn: FloatArray  # drawn by loads that depend on voltage: P, Q, dP/drho, dQ/drho; [4 place, 8] or [0, 8]
    out: FloatArray  # what leaves each bus into the grid, [2 place, 8]
    lu: FloatArray  # [4 block, 8]
    rhs: FloatArray  # [4 place, 8]
    slack: FloatArray  # lambda, [island, 8]
    state: FloatArray  # rows ACTIVE, WORST, ITERATIONS, FOUND; [4, 8]
    flow: FloatArray  # [4 branch, 8]
    branch_y: FloatArray  # [8 branch, 8]


ACTIVE, WORST, ITERATIONS, FOUND = range(4)


@numba.njit(cache=True, error_model="numpy")
def _hold_voltages(held: IntArray, net: FloatArray, v: FloatArray) -> None:
    """Bring machines' buses to their set-points, angles kept."""
    for k in held:
        x, y = load(v, 2 * k), load(v, 2 * k + 1)
        to_set = load(net, N_BUS_ROW * k + VSET) / root(fma(x, x, y * y))
        scale = select(load(net, N_BUS_ROW * k + LIVE) - load(net, N_BUS_ROW * k + PQ), to_set, spread(1.0))
        store(v, 2 * k, x * scale)
        store(v, 2 * k + 1, y * scale)


@numba.njit(cache=True, error_model="numpy")
def _draw(law: FloatArray, v: FloatArray, drawn: FloatArray) -> None:
    """Loads at the present voltages, P = P_I V + P_Z V^2 + P_E V^alpha, likewise Q, and derivatives by ln V."""
    for k in range(law.shape[0] // N_LAW_ROW):
        x, y = load(v, 2 * k), load(v, 2 * k + 1)
        square = fma(x, x, y * y)
        size = root(square)
        at = N_LAW_ROW * k
        for part in range(2):
            current = load(law, at + P_CURRENT + part) * size
            impedance = load(law, at + P_IMPEDANCE + part) * square
            store(drawn, 4 * k + part, current + impedance)
            store(drawn, 4 * k + 2 + part, current + 2.0 * impedance)
            for lane in range(law.shape[1]):
                power = law[at + P_EXPONENT + part, lane]
                if power != 0.0:
                    exponent = law[at + ALPHA + part, lane]
                    square_here = v[2 * k, lane] ** 2 + v[2 * k + 1, lane] ** 2
                    power *= square_here ** (0.5 * exponent)
                    drawn[4 * k + part, lane] += power
                    drawn[4 * k + 2 + part, lane] += exponent * power


@numba.njit(cache=True, error_model="numpy")
def _evaluate(plan: Elimination, work: Work, begin: bool) -> None:
    """Mismatches, the largest of each environment, and the Jacobian at the present voltages.

    Args:
        begin: choose lambda anew, so that each island's active power balances.
    """
    near_first, near, near_block, base = plan.near_first, plan.near, plan.near_block, plan.base
    net, v, s, out, lu, rhs, slack = work.net, work.v, work.s, work.out, work.lu, work.rhs, work.slack
    drawn = work.drawn
    n, n_island = base.size, slack.shape[0]
    depends = drawn.shape[0] > 0
    for b in plan.fill:
        for part in range(4):
            store(lu, 4 * b + part, 0.0)
    for k in range(n):
        at = N_BUS_ROW * k
        live, pq = load(net, at + LIVE), load(net, at + PQ)
        x, y = load(v, 2 * k), load(v, 2 * k + 1)
        square = fma(x, x, y * y)
        own_p, own_q = square * load(net, at + G), 0.0 - square * load(net, at + B)
        p, q = own_p, own_q
        for e in range(near_first[k], near_first[k + 1]):
            other = near[e]
            g, b = load(net, N_BUS_ROW * n + 2 * e), load(net, N_BUS_ROW * n + 2 * e + 1)
            ox, oy = load(v, 2 * other), load(v, 2 * other + 1)
            cx, cy = fnma(b, oy, g * ox), fma(b, ox, g * oy)  # Y_ik V_k
            tp, tq = fma(x, cx, y * cy), fnma(x, cy, y * cx)  # V_i conj(Y_ik V_k)
            p, q = p + tp, q + tq
            row = 4 * near_block[e]
            store(lu, row, tq)
            store(lu, row + 1, tp)
            store(lu, row + 2, 0.0 - tp * pq)
            store(lu, row + 3, tq * pq)
        store(out, 2 * k, p)
        store(out, 2 * k + 1, q)
        dp, dq = own_p + p, own_q + q
        lack_p, lack_q = load(s, 2 * k) - p, load(s, 2 * k + 1) - q
        if depends:
            lack_p, lack_q = lack_p - load(drawn, 4 * k), lack_q - load(drawn, 4 * k + 1)
            dp, dq = dp + load(drawn, 4 * k + 2), dq + load(drawn, 4 * k + 3)
        row = 4 * base[k]
        store(lu, row, own_q - q + (1.0 - live))
        store(lu, row + 1, dp * live)
        store(lu, row + 2, (p - own_p) * pq)
        store(lu, row + 3, fma(dq, pq, 1.0 - pq))
        store(rhs, 4 * k, lack_p * live)
        store(rhs, 4 * k + 1, lack_q * pq)
        store(rhs, 4 * k + 2, 0.0 - load(net, at + WEIGHT))
        store(rhs, 4 * k + 3, 0.0)
    if begin:
        for i in range(n_island):
            total = spread(0.0)
            for k in range(n):
                here = same(load(net, N_BUS_ROW * k + ISLAND), spread(float(i)))
                total = fnma(here, load(rhs, 4 * k), total)
            store(slack, i, total)
    worst = spread(0.0)
    for k in range(n):
        lack_p, weight = load(rhs, 4 * k), load(net, N_BUS_ROW * k + WEIGHT)
        for i in range(n_island):
            here = same(load(net, N_BUS_ROW * k + ISLAND), spread(float(i)))
            lack_p = fma(weight * here, load(slack, i), lack_p)
        store(rhs, 4 * k, lack_p)
        worst = larger_size(larger_size(worst, lack_p), load(rhs, 4 * k + 1))
    store(work.state, WORST, worst)


@numba.njit(cache=True, error_model="numpy")
def _factorise(plan: Elimination, work: Work) -> None:
    """Eliminate place after place; diagonal blocks become their inverses, right-hand sides go along."""
    first, later, base, target_first, target = (
        plan.first,
        plan.later,
        plan.base,
        plan.target_first,
        plan.target,
    )
    net, lu, rhs = work.net, work.lu, work.rhs
    for k in range(base.size):
        own, n_later = 4 * base[k], first[k + 1] - first[k]
        gauge = load(net, N_BUS_ROW * k + GAUGE)
        bp, bq, cp, cq = load(rhs, 4 * k), load(rhs, 4 * k + 1), load(rhs, 4 * k + 2), load(rhs, 4 * k + 3)
        a0, a1, a2, a3 = load(lu, own), load(lu, own + 1), load(lu, own + 2), load(lu, own + 3)
        a0, a2 = select(gauge, cp, a0), select(gauge, cq, a2)
        cp, cq = select(gauge, spread(0.0), cp), select(gauge, spread(0.0), cq)
        store(rhs, 4 * k + 2, cp)
        store(rhs, 4 * k + 3, cq)
        scale = 1.0 / fnma(a1, a2, a0 * a3)
        d0, d1, d2, d3 = a3 * scale, 0.0 - a1 * scale, 0.0 - a2 * scale, a0 * scale
        store(lu, own, d0)
        store(lu, own + 1, d1)
        store(lu, own + 2, d2)
        store(lu, own + 3, d3)
        right = own + 4
        below = right + 4 * n_later
        t = target_first[k]
        for i in range(n_later):
            row = 4 * later[first[k] + i]
            m0, m1, m2, m3 = (
                load(lu, below + 4 * i),
                load(lu, below + 4 * i + 1),
                load(lu, below + 4 * i + 2),
                load(lu, below + 4 * i + 3),
            )
            l0, l1 = fma(m1, d2, m0 * d0), fma(m1, d3, m0 * d1)
            l2, l3 = fma(m3, d2, m2 * d0), fma(m3, d3, m2 * d1)
            store(rhs, row, fnma(l1, bq, fnma(l0, bp, load(rhs, row))))
            store(rhs, row + 1, fnma(l3, bq, fnma(l2, bp, load(rhs, row + 1))))
            store(rhs, row + 2, fnma(l1, cq, fnma(l0, cp, load(rhs, row + 2))))
            store(rhs, row + 3, fnma(l3, cq, fnma(l2, cp, load(rhs, row + 3))))
            for j in range(n_later):
                to = 4 * target[t]
                t += 1
                u0, u1, u2, u3 = (
                    load(lu, right + 4 * j),
                    load(lu, right + 4 * j + 1),
                    load(lu, right + 4 * j + 2),
                    load(lu, right + 4 * j + 3),
                )
                store(lu, to, fnma(l1, u2, fnma(l0, u0, load(lu, to))))
                store(lu, to + 1, fnma(l1, u3, fnma(l0, u1, load(lu, to + 1))))
                store(lu, to + 2, fnma(l3, u2, fnma(l2, u0, load(lu, to + 2))))
                store(lu, to + 3, fnma(l3, u3, fnma(l2, u1, load(lu, to + 3))))


@numba.njit(cache=True, error_model="numpy")
def _substitute(plan: Elimination, work: Work) -> None:
    """Solve back from the last place to the first, and move the voltages of environments that are active.

    theta and rho of each place take the place of its mismatches in `rhs`, the changes of lambda are added to `slack`.
    """
    first, later, base = plan.first, plan.later, plan.base
    net, lu, rhs, v, slack = work.net, work.lu, work.rhs, work.v, work.slack
    n_island = slack.shape[0]
    change = np.zeros((n_island, N_LANE))
    active = load(work.state, ACTIVE)
    for k in range(base.size - 1, -1, -1):
        own = 4 * base[k]
        bp, bq, cp, cq = load(rhs, 4 * k), load(rhs, 4 * k + 1), load(rhs, 4 * k + 2), load(rhs, 4 * k + 3)
        for i in range(first[k + 1] - first[k]):
            other, right = 4 * later[first[k] + i], own + 4 + 4 * i
            theta, rho = load(rhs, other), load(rhs, other + 1)
            bp = fnma(load(lu, right + 1), rho, fnma(load(lu, right), theta, bp))
            bq = fnma(load(lu, right + 3), rho, fnma(load(lu, right + 2), theta, bq))
        island = load(net, N_BUS_ROW * k + ISLAND)
        for i in range(n_island):
            shared = same(island, spread(float(i))) * load(change, i)
            bp, bq = fnma(cp, shared, bp), fnma(cq, shared, bq)
        theta = fma(load(lu, own + 1), bq, load(lu, own) * bp)
        rho = fma(load(lu, own + 3), bq, load(lu, own + 2) * bp)
        gauge = load(net, N_BUS_ROW * k + GAUGE)
        for i in range(n_island):
            found = gauge * same(island, spread(float(i)))
            store(change, i, select(found, theta, load(change, i)))
        theta = select(gauge, spread(0.0), theta)
        store(rhs, 4 * k, theta)
        store(rhs, 4 * k + 1, rho)
        x, y = load(v, 2 * k), load(v, 2 * k + 1)
        half = 0.5 * theta
        square = half * half
        size = (1.0 + rho) / (1.0 + square)
        cosine, sine = (1.0 - square) * size, 2.0 * half * size
        store(v, 2 * k, select(active, fnma(sine, y, cosine * x), x))
        store(v, 2 * k + 1, select(active, fma(sine, x, cosine * y), y))
    for i in range(n_island):
        store(slack, i, select(active, load(slack, i) + load(change, i), load(slack, i)))


@numba.njit(cache=True, error_model="numpy")
def iterate(plan: Elimination, work: Work, tolerance_pu: float, max_iteration: int) -> None:
    """Newton's method on the active environments of a block, each until its own end.

    An environment ends when its largest mismatch is within tolerance, is not finite, or steps run out; from then on
    nothing of it changes while the others go on.
    """
    state = work.state
    for step in range(max_iteration + 1):
        if work.drawn.shape[0] > 0:
            _draw(work.law, work.v, work.drawn)
        _evaluate(plan, work, step == 0)
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
        _factorise(plan, work)
        _substitute(plan, work)


@numba.njit(cache=True, error_model="numpy")
def _gather(source: FloatArray, envs: IntArray, rows: FloatArray) -> None:
    """Bring environments of several blocks together, [block, row, 8] to [row, 8]."""
    for lane in range(envs.size):
        block, column = envs[lane] // N_LANE % source.shape[0], envs[lane] % N_LANE
        for row in range(rows.shape[0]):
            rows[row, lane] = source[block, row, column]


@numba.njit(cache=True, error_model="numpy")
def fill_lane(
    plan: Elimination,
    env: int,
    branch_y: FloatArray,
    from_bus: IntArray,
    to_bus: IntArray,
    branch_in_service: BoolArray,
    shunt_pu: ComplexArray,
    island: IntArray,
    weight: FloatArray,
    vm_set_pu: FloatArray,
    net: FloatArray,
) -> None:
    """Write what is switched in of one environment into its lane of `net`.

    Args:
        branch_in_service: [branch]; shunt_pu: admittance to ground, [bus]; island: number of the living island of each
            bus, -1 where it is dead, [bus].
        weight: share in the imbalance of the island, summing to one in each, [bus].
        vm_set_pu: set-point of the machines at the bus, 0 where there is none in service, [bus].
    """
    n, lane = plan.base.size, env % N_LANE
    rows, y = net[env // N_LANE], branch_y[env // N_LANE % branch_y.shape[0]]
    rows[N_BUS_ROW * n :, lane] = 0.0
    place = plan.place
    settled = np.zeros(n, dtype=np.bool_)  # islands that have their gauge
    for k in range(n - 1, -1, -1):
        bus, at = plan.order[k], N_BUS_ROW * k
        live, sets = island[bus] >= 0, vm_set_pu[bus] > 0.0
        rows[at + G, lane] = shunt_pu[bus].real if live else 0.0
        rows[at + B, lane] = shunt_pu[bus].imag if live else 0.0
        rows[at + LIVE, lane] = 1.0 if live else 0.0
        rows[at + PQ, lane] = 1.0 if live and not sets else 0.0
        rows[at + WEIGHT, lane] = weight[bus] if live else 0.0
        rows[at + GAUGE, lane] = 1.0 if live and not settled[island[bus]] else 0.0
        rows[at + ISLAND, lane] = island[bus]
        rows[at + VSET, lane] = vm_set_pu[bus]
        if live:
            settled[island[bus]] = True
    for b in range(branch_in_service.size):
        if branch_in_service[b]:
            f, t = N_BUS_ROW * place[from_bus[b]], N_BUS_ROW * place[to_bus[b]]
            ft, tf = N_BUS_ROW * n + 2 * plan.entry_from[b], N_BUS_ROW * n + 2 * plan.entry_to[b]
            for part in range(2):
                rows[f + G + part, lane] += y[8 * b + part, lane]
                rows[ft + part, lane] += y[8 * b + 2 + part, lane]
                rows[tf + part, lane] += y[8 * b + 4 + part, lane]
                rows[t + G + part, lane] += y[8 * b + 6 + part, lane]


@numba.njit(cache=True, error_model="numpy")
def solve_lanes(
    plan: Elimination,
    room: Work,
    held: IntArray,
    net: FloatArray,
    branch_y: FloatArray,
    branch_end: IntArray,
    rows: IntArray,
    branch_in_service: BoolArray,
    injection_mva: ComplexArray,
    law_mva: FloatArray,
    start_pu: ComplexArray,
    base_mva: float,
    tolerance_pu: float,
    max_iteration: int,
    v_pu: ComplexArray,
    s_bus_mva: ComplexArray,
    s_from_mva: ComplexArray,
    s_to_mva: ComplexArray,
    slack_mw: FloatArray,
    mismatch_pu: FloatArray,
    iterations: IntArray,
    converged: BoolArray,
) -> None:
    """Solve the environments named by `rows`, eight at a time; all other arguments have a row for every environment.

    Args:
        held: places of the machines' buses.
        net: rows of the module's table, [block, row, 8]; environment e is lane e % 8 of block e // 8.
        branch_y: y_ff, y_ft, y_tf, y_tt of each circuit, real and imaginary part, [block, 8 branch, 8]; a single block
            where all environments have the same.
        branch_end: places of the circuits' ends, [2, branch].
        injection_mva: constant powers, [env, bus]. law_mva: those that depend on voltage, [env, bus, 8] in the order of
            the rows of `law`; empty where there are none.
        start_pu: voltages to start from, [env, bus]; machines' buses are brought to their set-points first.
        max_iteration: most steps of Newton; negative to compute flows of `start_pu` as they are.
        v_pu, s_bus_mva, s_from_mva, s_to_mva: voltages, powers from the buses into the grid, powers into the circuits
            at their ends; those of an environment without solution stay as they are.
        slack_mw: shared by the machines of each island, [env, island]; mismatch_pu: largest mismatch, [env].
        iterations, converged: [env]; left alone where max_iteration is negative.
    """
    n, n_branch, state = plan.base.size, branch_end.shape[1], room.state
    order, only_flows = plan.order, max_iteration < 0
    n_lane = state.shape[
        1
    ]  # N_LANE, but unknown to the compiler, which would write out each loop eight times
    lane_of = np.empty(n_lane, dtype=np.int64)
    per_mva = 1.0 / base_mva  # a complex number divided by a real one is divided by a complex one
    for begin in range(0, rows.size, n_lane):
        envs = rows[begin : begin + n_lane]
        n_here, block = envs.size, envs[0] // n_lane
        together = True
        for i in range(n_here):
            together = together and envs[i] // n_lane == block
        # Environments of one block are solved where they stand. What else is in the lanes is computed along, leaves
        # no trace, and may be anything, NaN included.
        net_here, branch_y_here = net[block], branch_y[block % branch_y.shape[0]]
        if not together:
            _gather(net, envs, room.net)
            net_here = room.net
            if branch_y.shape[0] > 1:
                _gather(branch_y, envs, room.branch_y)
                branch_y_here = room.branch_y
        work = Work(
            net_here,
            room.law,
            room.v,
            room.s,
            room.drawn,
            room.out,
            room.lu,
            room.rhs,
            room.slack,
            state,
            room.flow,
            branch_y_here,
        )
        store(state, ACTIVE, 0.0)
        store(state, ITERATIONS, 0.0)
        store(state, FOUND, 0.0)
        n_law = 0 if work.law.shape[0] == 0 else N_LAW_ROW
        for i in range(n_here):
            e = envs[i]
            lane = e % n_lane if together else i
            lane_of[i] = lane
            state[ACTIVE, lane] = 1.0
            for k in range(n):
                bus = order[k]
                live = work.net[N_BUS_ROW * k + LIVE, lane] > 0.0
                s = injection_mva[e, bus] if live else 0.0j
                # A dead bus needs some voltage to divide by.
                start = start_pu[e, bus] if live or only_flows else 1.0 + 0.0j
                work.s[2 * k, lane], work.s[2 * k + 1, lane] = s.real * per_mva, s.imag * per_mva
                work.v[2 * k, lane], work.v[2 * k + 1, lane] = start.real, start.imag
                for part in range(n_law):
                    value = law_mva[e, bus, part] * (per_mva if part < ALPHA else 1.0)
                    work.law[N_LAW_ROW * k + part, lane] = value if live else 0.0
        if not only_flows:
            _hold_voltages(held, work.net, work.v)
        iterate(plan, work, tolerance_pu, max(max_iteration, 0))
        for i in range(n_here):
            e, lane = envs[i], lane_of[i]
            mismatch_pu[e] = state[WORST, lane]
            if only_flows:
                continue
            iterations[e] = int(state[ITERATIONS, lane])
            converged[e] = state[FOUND, lane] > 0.0
            for island in range(work.slack.shape[0]):
                slack_mw[e, island] = work.slack[island, lane] * base_mva
            if converged[e]:
                for k in range(n):
                    bus = order[k]
                    if work.net[N_BUS_ROW * k + LIVE, lane] > 0.0:
                        v_pu[e, bus] = complex(work.v[2 * k, lane], work.v[2 * k + 1, lane])
                    else:
                        v_pu[e, bus] = 0.0
        for k in range(n_branch):
            _flow(branch_end[0, k], branch_end[1, k], k, work)
        for i in range(n_here):
            e, lane = envs[i], lane_of[i]
            if not (only_flows or converged[e]):
                continue
            for k in range(n):
                p, q = work.out[2 * k, lane], work.out[2 * k + 1, lane]
                s_bus_mva[e, order[k]] = complex(base_mva * p, base_mva * q)
            for k in range(n_branch):
                scale = base_mva if branch_in_service[e, k] else 0.0
                p, q = work.flow[4 * k, lane], work.flow[4 * k + 1, lane]
                s_from_mva[e, k] = complex(scale * p, scale * q)
                p, q = work.flow[4 * k + 2, lane], work.flow[4 * k + 3, lane]
                s_to_mva[e, k] = complex(scale * p, scale * q)


@numba.njit(cache=True, error_model="numpy")
def _flow(f: int, t: int, k: int, work: Work) -> None:
    """Power entering circuit k at both ends, S_f = V_f conj(y_ff V_f + y_ft V_t), likewise S_t."""
    v, flow, branch_y = work.v, work.flow, work.branch_y
    fx, fy, tx, ty = load(v, 2 * f), load(v, 2 * f + 1), load(v, 2 * t), load(v, 2 * t + 1)
    for end in range(2):
        row = 8 * k + 4 * end  # y_ff and y_ft, or y_tf and y_tt
        g1, b1, g2, b2 = (
            load(branch_y, row),
            load(branch_y, row + 1),
            load(branch_y, row + 2),
            load(branch_y, row + 3),
        )
        ix = fnma(b2, ty, fma(g2, tx, fnma(b1, fy, g1 * fx)))
        iy = fma(b2, tx, fma(g2, ty, fma(b1, fx, g1 * fy)))
        x, y = (fx, fy) if end == 0 else (tx, ty)
        store(flow, 4 * k + 2 * end, fma(x, ix, y * iy))
        store(flow, 4 * k + 2 * end + 1, fnma(x, iy, y * ix))
