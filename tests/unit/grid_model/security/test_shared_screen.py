"""Outages that are shared out are judged as those that are screened in one go."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cases.ieee68 import load_ieee68
from grid_model.security.contingency import screen
from grid_model.security.outage import circuit_pairs, published_point
from grid_model.security.shared_screen import shared_screen


@pytest.mark.parametrize("pairs", [False, True])
def test_results_do_not_depend_on_the_parts(pairs):
    """Single outages in parts of eight, pairs of circuits in longer ones; equal to the last bit."""
    case = load_ieee68()
    point = published_point(case)
    outages = circuit_pairs(case)[:200] if pairs else None
    with ThreadPoolExecutor(1) as pool:
        shared = shared_screen(pool, case, point, outages=outages)
    whole = screen(case, point, outages=outages)
    assert shared.results == whole.results
    assert shared.base == whole.base
    assert shared.bridges == whole.bridges
