#!/usr/bin/env bash
# numba 0.68.1: the assignment of one array to a slice of another takes some thirty times as long to compile as a loop.
#
# Expected: `a[:] = b` becomes a check of two shapes and a loop, as the same three lines written out.
# What happens: if the shapes differ, the error message tells both, so numba compiles its formatting of integers and joining
#   of unicode strings into every function that holds such an assignment: eight times the intermediate code, most of it
#   about strings, and two seconds instead of a tenth. A message that is a literal costs nothing to speak of.
# Documented: no; the message is put together in numba/np/arrayobj.py, where slices are set.
# Why it matters: code that steps a model is full of such assignments, and its users wait for the compiler at the first
#   start, or at every start where nothing is cached.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(numba|numpy|llvmlite)='
"$dir/venv/bin/python" - <<'PY'
import time

import numba
import numpy as np


@numba.njit
def loop(a, b):
    if a.size != b.size:
        raise ValueError("sizes differ")
    for i in range(a.size):
        a[i] = b[i]


@numba.njit
def slice_(a, b):
    a[:] = b


def compiled(function):
    """Lines of intermediate code, how often they name strings, and seconds."""
    x, begun = np.zeros(8), time.process_time()
    function(x, x)
    taken_s = time.process_time() - begun
    (code,) = function.inspect_llvm().values()
    print(f"{function.py_func.__name__:6} {len(code.splitlines()):5} lines, {code.count('unicode'):4} of strings, {taken_s:.2f} s")
    return len(code.splitlines()), code.count("unicode")


numba.njit(lambda v: v + 1.0)(1.0)  # what the first compilation of a process takes is nobody's
(lines, strings), (more_lines, more_strings) = compiled(loop), compiled(slice_)
assert strings == 0 and more_strings > 50
assert more_lines > 4 * lines
print("as described")
PY
