#!/usr/bin/env bash
# numba 0.68.1: np.zeros, np.sum and np.median are compiled anew for a caller that differs in an option without meaning for them.
#
# Expected: what numba has written in Python (`@overload`) is compiled once for the types it is called with, like any other
#   function; no_cfunc_wrapper tells only that the caller itself gets no entry for C.
# What happens: implementations are looked up by types and by all options of whoever calls. One option that differs, and each
#   function that the caller names is compiled again; what those call in turn is found again.
# Documented: no; the key is put together in numba/core/typing/templates.py, _OverloadFunctionTemplate._get_impl.
# Why it matters: a code base whose kernels have one set of options and whose helpers have another waits for its compiler twice.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(numba|numpy|llvmlite)='
"$dir/venv/bin/python" - <<'PY'
import numba
import numpy as np
from numba.core import event


def total(n):
    x = np.zeros((n, n))
    return np.sum(np.sqrt(x)) + np.median(x[0])


numba.njit(lambda v: v + 1.0)(1.0)
found = []
for name, options in (("first", {}), ("same options", {}), ("no entry for C", {"no_cfunc_wrapper": True})):
    function = numba.njit(**options)(total)
    with event.install_recorder("numba:compile") as recorded:
        function(3)
    names = [e.data["dispatcher"].py_func.__qualname__.split(".")[0] for _, e in recorded.buffer if e.is_start]
    found.append(names[1:])
    print(f"{name:15} {len(names) - 1:2} of numba's own compiled: {', '.join(names[1:])}")
assert len(found[0]) > 10 and found[1] == []
assert found[2] == ["ol_np_zeros", "array_sum", "np_median"]
print("as described")
PY
