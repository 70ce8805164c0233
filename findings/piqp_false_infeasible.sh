#!/usr/bin/env bash
# piqp 0.7.0 (osqp 1.1.3 beside it): a program with an obvious solution is called infeasible, by default settings.
#
# Expected: PIQP_PRIMAL_INFEASIBLE means that nothing satisfies the constraints, to the accuracy that was asked for.
# What happens: nine variables, six equations, no cost; a battery within 250 MW meets 63 MW alone, what a grid lacks is
#   fixed at zero, energies lie between 0 and 100. After two iterations sparse and dense solver alike say infeasible.
#   The test for it is coarse (eps_primal_inf = 1e-4, where eps_abs is 1e-8) and looks at early iterates, where
#   a multiplier that still grows passes for a proof. At 1e-5 the program is solved in nine iterations.
# Documented: the setting is, the verdict is not; PREDICT-EPFL/piqp issue 33, open, tells of wrong verdicts since 0.6.0.
# Why it matters: predictive control falls back on its last plan where there is none. Here grids without demand response
#   had no plan in half of all intervals. eps_primal_inf = 1e-10 costs nothing: what is infeasible is still found to be.
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

# Set-point and power of a class that is not there, its move, energy owed; battery, a lag; three energies.
A = np.array([
    [1.0, -1.0, 0, 0, 0, 0, 0, 0, 0],
    [-1.0, 0, -1.0, 0, 0, 0, 0, 0, 0],
    [0, -5e-4, 0, -1.0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, -0.28, -0.25, 0, 0, 0],
    [0, 0, 0, -1.0, 0, -5e-4, 0, 0, 0],
    [0, 0, 0, 4000.0, 0, 1.0, 0, 0, 0],
])
b = np.array([0.0, 0, 0, 63.4, 0, 0])
low = np.array([0, -np.inf, 0, -np.inf, -250.0, -np.inf, 0, 0, 0])
high = np.array([0, np.inf, 0, np.inf, 250.0, np.inf, 100.0, 100.0, 100.0])
P, q = np.zeros((9, 9)), np.zeros(9)
by_hand = np.array([0, 0, 0, 0, -63.4 / 0.28, 0, 50.0, 50.0, 50.0])
assert np.abs(A @ by_hand - b).max() < 1e-12 and (low <= by_hand).all() and (by_hand <= high).all()

def verdict(solver, matrix, least, **settings):
    for name, value in settings.items():
        setattr(solver.settings, name, value)
    solver.setup(matrix(P), q, matrix(A), b, x_l=least, x_u=high)
    return f"{solver.solve().name} after {solver.result.info.iter}"

too_weak = np.where(low == -250.0, -200.0, low)
found = [verdict(piqp.SparseSolver(), sparse.csc_matrix, low), verdict(piqp.DenseSolver(), np.asfortranarray, low)]
found += [verdict(piqp.SparseSolver(), sparse.csc_matrix, low, eps_primal_inf=1e-5)]
found += [verdict(piqp.SparseSolver(), sparse.csc_matrix, too_weak, eps_primal_inf=1e-10)]
other = osqp.OSQP()
both = sparse.csc_matrix(np.vstack([A, np.eye(9)]))
other.setup(sparse.csc_matrix(P), q, both, np.append(b, low), np.append(b, high), verbose=False)
found.append(f"osqp {other.solve().info.status}")
print(*found, sep="\n")
assert found[0] == found[1] == "PIQP_PRIMAL_INFEASIBLE after 2" and found[2] == "PIQP_SOLVED after 9"
assert found[3].startswith("PIQP_PRIMAL_INFEASIBLE") and found[4] == "osqp solved"
print("as described")
PY
