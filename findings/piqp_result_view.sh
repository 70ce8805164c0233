#!/usr/bin/env bash
# piqp 0.7.0 (osqp 1.1.3 beside it): a solution that was kept is the next one.
#
# Expected: what a solver handed out stays, as osqp's does, or the array says that it belongs to somebody else.
# What happens: result and result.x are windows on the solver's own memory, read-only ones. The next solve() changes
#   every x that was taken before. A loop that solves anew until the plan no longer changes sees no change after its
#   first pass, because it compares the plan with itself.
#   Here: a battery's plan whose price depends on the plan before; copied, the plan settles at 1/3, kept without a
#   copy the loop ends at 1/4 and takes it for settled.
# Documented: no; the README speaks of "allocation free problem updates and re-solves".
# Why it matters: predictive control keeps plans, as a fallback, as a warm start and to see whether passes over a kink
#   (dead band, losses) have come to rest. numpy.array(result.x) makes the copy.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check piqp==0.7.0 osqp==1.1.3 numpy==2.4.6 scipy==1.17.1
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(piqp|osqp|numpy)='
"$dir/venv/bin/python" - <<'PY'
import numpy as np
import osqp
import piqp
from scipy import sparse

one = sparse.csc_matrix(np.eye(1))
by_osqp, by_piqp = osqp.OSQP(), piqp.SparseSolver()
limits = {"l": np.array([-9.0]), "u": np.array([9.0])}
by_osqp.setup(one, np.zeros(1), one, **limits, verbose=False, eps_abs=1e-9, eps_rel=1e-9)
by_piqp.setup(one, np.zeros(1), x_l=limits["l"], x_u=limits["u"])

def osqp_plan(price):
    by_osqp.update(q=np.array([price]))
    return by_osqp.solve(raise_error=True).x

def piqp_plan(price):
    by_piqp.update(c=np.array([price]))
    assert by_piqp.solve() == piqp.PIQP_SOLVED
    return by_piqp.result.x

def settled(plan_of):
    """min x^2/2 + c x with c = (plan before - 1) / 2: solved until plan and plan before are the same."""
    plan = plan_of(-0.5)
    for passes in range(1, 100):
        before, plan = plan, plan_of(0.5 * float(plan[0]) - 0.5)
        if np.allclose(before, plan, rtol=0.0, atol=1e-6):
            return round(float(plan[0]), 4), passes

found = [settled(osqp_plan), settled(piqp_plan), settled(lambda price: np.array(piqp_plan(price)))]
print("settled at, after passes: osqp {}, piqp {}, piqp copied {}".format(*found))
assert found[0][0] == found[2][0] == 0.3333 and found[1] == (0.25, 1)
first = piqp_plan(-2.0)
print(f"x is {first}", end=", ")
piqp_plan(-3.0)
print(f"and after another solve {first}")
assert np.allclose(first, 3.0) and not first.flags.writeable
print("as described")
PY
