"""Newton's equations of eight environments solved: 2x2 blocks eliminated by the plan, and solved back.

The column of lambda, the power that an island's machines share, would be full, so it is carried through the
elimination like a second right-hand side and solved for at the island's gauge bus. A bus turns by
(1 + j theta/2) / (1 - j theta/2), which keeps magnitudes and differs from exp(j theta) by theta^3/12: what Newton's
method does not notice. Rows are those of `batch_rows`.
"""

from __future__ import annotations

from grid_model.compilation import compiled
from grid_model.kernels.lanes import equal as same
from grid_model.kernels.lanes import fma, fnma, load, select, spread, store
from grid_model.power_flow.batch_rows import ACTIVE, GAUGE, ISLAND, N_BUS_ROW, Work
from grid_model.power_flow.elimination import Elimination


@compiled
def factorise(plan: Elimination, work: Work) -> None:
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


@compiled
def substitute(plan: Elimination, work: Work) -> None:
    """Solve back from the last place to the first, and move the voltages of environments that are active.

    theta and rho of each place take the place of its mismatches in `rhs`, the changes of lambda are added to `slack`.
    """
    first, later, base = plan.first, plan.later, plan.base
    net, lu, rhs, v, slack = work.net, work.lu, work.rhs, work.v, work.slack
    n_island, change = slack.shape[0], work.change
    for i in range(n_island):
        store(change, i, 0.0)
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
