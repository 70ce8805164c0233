#!/usr/bin/env bash
# cmaes 0.13.1: one NaN among the values given to tell() switches off the selection around it.
#
# Expected: a candidate whose simulation diverged, told as NaN, counts as the worst one, as in the package
#   cma 4.5.0, or is refused.
# What happens: tell() sorts the candidates by value with Python's sort. Every comparison with NaN is false,
#   so the order after the sort depends on the order before it and bad or diverged candidates stand among
#   the parents. Nothing is raised or logged. Where the best point lies at the edge of a region that
#   diverges, the search walks into the region and stays there; with inf in place of NaN it finds the edge.
# Documented: no; tell() says "Tell evaluation values".
# Why it matters: gains and settings of controllers are tuned this way, the stability limit is exactly such
#   an edge, and a power flow or a frequency trace that diverges gives NaN.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check cmaes==0.13.1 cma==4.5.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(cmaes|cma|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import cma
import numpy as np
from cmaes import CMA

BEST = np.array([1.0, 0.0, 0.0, 0.0])

def cost(x, diverged):
    """Least at BEST, on the edge of the half of the space where there is no answer."""
    return x[0] + x[1:] @ x[1:] if x[0] >= 1.0 else diverged

def by_cmaes(seed, diverged):
    search, lost = CMA(mean=np.full(4, 3.0), sigma=1.0, seed=seed), 0
    for _ in range(150):
        points = [search.ask() for _ in range(search.population_size)]
        told = [(x, cost(x, diverged)) for x in points]
        lost += sum(not np.isfinite(value) for _, value in told)
        search.tell(told)
    return np.linalg.norm(search.mean - BEST), lost / (150 * search.population_size)

def by_cma(seed, diverged):
    search = cma.CMAEvolutionStrategy(np.full(4, 3.0), 1.0, {"seed": seed, "verbose": -9})
    for _ in range(150):
        points = search.ask()
        search.tell(points, [cost(x, diverged) for x in points])
    return np.linalg.norm(search.mean - BEST)

astray = 0
print("distance from the best point after 150 generations (share of candidates that diverged)")
for seed in range(1, 6):
    with_nan, lost = by_cmaes(seed, np.nan)
    with_inf, fewer = by_cmaes(seed, np.inf)
    peer = by_cma(seed, np.nan)
    print(f"cmaes NaN {with_nan:7.3f} ({lost:.0%})   cmaes inf {with_inf:7.4f} ({fewer:.0%})   cma NaN {peer:7.4f}")
    assert with_inf < 0.02 and peer < 0.05
    astray += with_nan > 0.2 and lost > 1.5 * fewer
assert astray >= 4  # of five
print("as described")
PY
