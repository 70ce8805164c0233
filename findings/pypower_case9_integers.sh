#!/usr/bin/env bash
# PYPOWER 5.1.21 (numpy 2.4.6): case9() stores its generators as int64, so runpf() reports whole megawatts.
#
# Expected: runpf(case9()) reports the well-known 71.95 MW and 24.07 Mvar at the slack, and after
#   ppc["gen"][1, PG] = 163.7 the second generator produces 163.7 MW.
# What happens: every number in that case's generator table is written without a decimal point, so
#   numpy makes it an integer array. The result is written back into it: 71 MW and 24 Mvar, cut off and
#   not rounded, with success 1. Setting 163.7 stores 163. The other cases that PYPOWER ships are float.
# Documented: no; the case format speaks of matrices only.
# Why it matters: case9 is the first case that most people try. Losses as generation minus load come out
#   as 4 MW in place of 4.95, and a redispatch by less than 1 MW (an agent's action, a finite difference
#   for a sensitivity) does nothing at all. The cure is ppc["gen"] = ppc["gen"].astype(float).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check PYPOWER==5.1.21 numpy==2.4.6 scipy==1.17.1
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(pypower|numpy|scipy)='
"$dir/venv/bin/python" - <<'PY'
import numpy as np
from pypower import api
from pypower.idx_bus import PD
from pypower.idx_gen import PG, QG

silent = api.ppoption(VERBOSE=0, OUT_ALL=0)

def solve(floats):
    case = api.case9()
    if floats:
        case["gen"] = case["gen"].astype(float)
    result, success = api.runpf(case, silent)
    assert success
    return result["gen"], result["bus"][:, PD].sum()

shipped, load_mw = solve(floats=False)
exact, _ = solve(floats=True)
print("generator table as shipped:", shipped.dtype, " PG", shipped[:, PG], " QG", shipped[:, QG])
print("the same as floats:        ", exact.dtype, "PG", exact[:, PG].round(4), " QG", exact[:, QG].round(4))
print("losses in MW:", shipped[:, PG].sum() - load_mw, "against", round(exact[:, PG].sum() - load_mw, 4))
case = api.case9()
case["gen"][1, PG] = 163.7
print("163.7 MW stored as", case["gen"][1, PG])
floats = [f.__name__ for f in (api.case6ww, api.case14, api.case30, api.case39) if f()["gen"].dtype == float]
print("float in:", floats)
assert shipped.dtype == np.int64 and case["gen"][1, PG] == 163
assert np.array_equal(shipped[:, PG], np.trunc(exact[:, PG])) and np.array_equal(shipped[:, QG], np.trunc(exact[:, QG]))
assert abs(exact[0, PG] - 71.9547) < 1e-3 and len(floats) == 4
print("as described")
PY
