"""Newton's equations of eight environments at the present voltages: mismatches and their derivatives.

Polar coordinates with logarithmic magnitudes: bus i changes by (1 + rho_i) and turns by theta_i. With the power that
flows from i towards k, T_ik = V_i conj(Y_ik V_k), and S_i = sum_k T_ik,

    dS_i = (rho_i + j theta_i) S_i + sum_k T_ik (rho_k - j theta_k),

so that beside the diagonal every 2x2 block is (Im T, Re T; -Re T, Im T), and no sine is ever taken. Equations of bus i,

    P_i - P_spec,i - w_i lambda = 0,     Q_i - Q_spec,i = 0 (load buses)     or     rho_i = 0 (machines' buses),

with lambda, the power that its island's machines share by the weights w. One bus of each island, the gauge, keeps
its angle; there the unknown theta gives its place to lambda. Dead buses have the equations theta = rho = 0. Rows are
those of `batch_rows`.

Reference: Tinney & Hart, Power flow solution by Newton's method, IEEE Trans. PAS 86(11), 1967; the block structure in
van Ness & Griffin, Elimination methods for load-flow studies, AIEE Trans. 80, 1961.
"""

from __future__ import annotations

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import equal as same
from grid_model.kernels.lanes import fma, fnma, larger_size, load, root, select, spread, store
from grid_model.kernels.structs import ALPHA, N_LAW_ROW, P_CURRENT, P_EXPONENT, P_IMPEDANCE
from grid_model.power_flow.batch_rows import (
    ISLAND,
    LIVE,
    N_BUS_ROW,
    PQ,
    VSET,
    WEIGHT,
    WORST,
    B,
    G,
    Work,
)
from grid_model.power_flow.elimination import Elimination


@compiled
def hold_voltages(held: IntArray, net: FloatArray, v: FloatArray) -> None:
    """Bring machines' buses to their set-points, angles kept."""
    for k in held:
        x, y = load(v, 2 * k), load(v, 2 * k + 1)
        to_set = load(net, N_BUS_ROW * k + VSET) / root(fma(x, x, y * y))
        scale = select(load(net, N_BUS_ROW * k + LIVE) - load(net, N_BUS_ROW * k + PQ), to_set, spread(1.0))
        store(v, 2 * k, x * scale)
        store(v, 2 * k + 1, y * scale)


@compiled
def draw(law: FloatArray, v: FloatArray, drawn: FloatArray) -> None:
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


@compiled
def evaluate(plan: Elimination, work: Work, begin: bool) -> None:
    """Mismatches, the largest of each environment, and the Jacobian at the present voltages.

    Args:
        plan: order and pattern of the elimination.
        work: arrays of one block of environments; mismatches and Jacobian are filled in.
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
