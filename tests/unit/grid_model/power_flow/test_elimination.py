"""The plan of the elimination, carried out with plain numbers."""

import numpy as np
import pytest

from grid_model.power_flow.elimination import plan_elimination


def eliminate(plan, matrix, right):
    """Solve with the plan, a number where the kernel has a 2x2 block; matrix and right in the order of buses."""
    n = len(plan.order)
    a = matrix[np.ix_(plan.order, plan.order)]
    block = np.full(plan.n_block, np.nan)
    block[plan.base] = np.diag(a)
    block[plan.fill] = 0.0
    for k in range(n):
        for e in range(plan.near_first[k], plan.near_first[k + 1]):
            block[plan.near_block[e]] = a[k, plan.near[e]]
    x = right[plan.order].copy()
    for k in range(n):
        later = plan.later[plan.first[k] : plan.first[k + 1]]
        t = plan.target_first[k]
        for i, other in enumerate(later):
            factor = block[plan.base[k] + 1 + len(later) + i] / block[plan.base[k]]
            x[other] -= factor * x[k]
            for j in range(len(later)):
                block[plan.target[t]] -= factor * block[plan.base[k] + 1 + j]
                t += 1
    for k in range(n - 1, -1, -1):
        later = plan.later[plan.first[k] : plan.first[k + 1]]
        x[k] = (x[k] - block[plan.base[k] + 1 :][: len(later)] @ x[later]) / block[plan.base[k]]
    solution = np.empty(n)
    solution[plan.order] = x
    return solution


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_solves_the_equations_of_any_grid(seed):
    """Random grid with parallel circuits; the solution is numpy's."""
    rng = np.random.default_rng(seed)
    n, n_branch = 30, 50
    f = rng.integers(0, n, n_branch)
    t = (f + rng.integers(1, n, n_branch)) % n
    matrix = np.zeros((n, n))
    matrix[f, t], matrix[t, f] = rng.standard_normal(n_branch), rng.standard_normal(n_branch)
    matrix += np.diag(10.0 + rng.random(n))
    right = rng.standard_normal(n)
    plan = plan_elimination(n, f, t, last=7)
    assert plan.order[-1] == 7
    # Diagonally dominant, so rounding stays near 1e-16 of numbers near 1.
    np.testing.assert_allclose(
        eliminate(plan, matrix, right), np.linalg.solve(matrix, right), rtol=0.0, atol=1e-13
    )


def test_a_chain_fills_nothing_and_a_ring_one_pair_of_blocks_a_bus():
    """Minimum degree takes a chain from its ends; a ring of n closes n - 3 chords whatever the order."""
    n = 12
    chain = plan_elimination(n, np.arange(n - 1), np.arange(1, n), last=n - 1)
    assert len(chain.fill) == 0
    ring = plan_elimination(n, np.arange(n), (np.arange(n) + 1) % n, last=0)
    assert len(ring.fill) == 2 * (n - 3)


def test_entries_of_circuits_are_found_from_both_ends():
    """Circuit 0-1 twice and 2-1: entries name the other end's place in each end's row."""
    f, t = np.array([0, 1, 2]), np.array([1, 0, 1])
    plan = plan_elimination(3, f, t, last=1)
    assert plan.near[plan.entry_from].tolist() == plan.place[t].tolist()
    assert plan.near[plan.entry_to].tolist() == plan.place[f].tolist()
    assert plan.entry_from[0] == plan.entry_to[1]
