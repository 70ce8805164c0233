"""Newton's method on grids with everything a two-port can be, and on its own Jacobian."""

import numpy as np
import pytest

from grid_model.kernels.lanes import N_LANE
from grid_model.power_flow import batch_solver, newton_equations, newton_kernel
from grid_model.power_flow.batch_rows import room
from grid_model.power_flow.batch_solver import BatchSolver, TwoPorts
from grid_model.power_flow.solved_network import solved_network

TOLERANCE_PU = 1e-11


def random_ports(rng, n_bus, n_branch):
    """Two-ports without any symmetry, with negative resistances and reactances among them."""
    f = np.concatenate([np.arange(n_bus - 1), rng.integers(0, n_bus, n_branch - n_bus + 1)])
    t = np.concatenate([np.arange(1, n_bus), (f[n_bus - 1 :] + rng.integers(1, n_bus)) % n_bus])
    t = np.where(t == f, (t + 1) % n_bus, t)
    z = rng.uniform(-0.01, 0.03, n_branch) + 1j * rng.uniform(0.05, 0.2, n_branch)
    z[-1] = 0.01 - 0.3j  # series compensation beyond the line's own reactance
    ratio = rng.uniform(0.95, 1.05, n_branch) * np.exp(1j * rng.uniform(-0.2, 0.2, n_branch))
    return TwoPorts(
        from_bus=f,
        to_bus=t,
        y_ff_pu=(1.0 / z + 0.02j) / abs(ratio) ** 2 + 0.01,
        y_ft_pu=-1.0 / z / ratio.conj(),
        y_tf_pu=-1.0 / z / ratio,
        y_tt_pu=1.0 / z + 0.05j,
    )


def admittance_matrix(ports, on, shunt_pu):
    matrix = np.diag(shunt_pu).astype(complex)
    for row, column, value in (
        (ports.from_bus, ports.from_bus, ports.y_ff_pu),
        (ports.from_bus, ports.to_bus, ports.y_ft_pu),
        (ports.to_bus, ports.from_bus, ports.y_tf_pu),
        (ports.to_bus, ports.to_bus, ports.y_tt_pu),
    ):
        np.add.at(matrix, (row, column), value * on)
    return matrix


def test_blocks_of_the_jacobian_are_differences_of_mismatches():
    """Central differences of what the kernel itself calls mismatches, voltage-dependent loads included."""
    rng = np.random.default_rng(1)
    n, h = 9, 1e-5
    ports = random_ports(rng, n, 14)
    solver = BatchSolver(n, ports, machine_bus=np.array([3]), reference_bus=0)
    vm_set = np.zeros(n)
    vm_set[3] = 1.02
    weight = np.full(n, 1.0 / n)
    shunt = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    solver.switch(0, np.ones(14, np.bool_), shunt, np.zeros(n, np.int64), weight, vm_set)
    work, plan = room(solver.plan, 14, n, 1), solver.plan
    work.net[:] = solver._net[0, :, :1]
    work.law[:] = rng.uniform(0.1, 2.0, (8 * n, 1))
    start = rng.uniform(0.9, 1.1, n) * np.exp(1j * rng.uniform(-0.3, 0.3, n))

    def mismatch(v):
        work.v[0::2], work.v[1::2] = v.real[plan.order, None], v.imag[plan.order, None]
        newton_equations.draw(work.law, work.v, work.drawn)
        newton_equations.evaluate(plan, work, False)
        return work.rhs.reshape(n, 4, N_LANE)[:, :2, 0].copy()

    mismatch(start)
    lu = work.lu.reshape(-1, 2, 2, N_LANE)[..., 0].copy()
    jacobian = np.zeros((n, 2, n, 2))
    for k in range(n):
        jacobian[k, :, k] = lu[plan.base[k]]
        for e in range(plan.near_first[k], plan.near_first[k + 1]):
            jacobian[k, :, plan.near[e]] = lu[plan.near_block[e]]
    for k in range(n):
        for unknown, step in enumerate((1j * h, h)):
            up, down = start.copy(), start.copy()
            up[plan.order[k]] *= np.exp(step)
            down[plan.order[k]] *= np.exp(-step)
            slope = -(mismatch(up) - mismatch(down)) / (2.0 * h)
            held = plan.place[3]
            slope[held, 1] = unknown == 1 and k == held  # its second equation is rho = 0
            # Third derivatives of up to 1e2 times h^2/6, and rounding 1e-15 * 1e2 / h.
            np.testing.assert_allclose(jacobian[:, :, k, unknown], slope, rtol=0.0, atol=1e-8)


def test_any_two_port_shunt_and_share_of_slack_is_solved():
    """Phase shifters, negative r and x, unequal ends, shunt conductance, circuits out; Kirchhoff is the judge."""
    rng = np.random.default_rng(0)
    n, n_branch, n_env = 12, 22, 11
    ports = random_ports(rng, n, n_branch)
    machine = np.array([0, 4, 8])
    solver = BatchSolver(n, ports, machine_bus=machine, reference_bus=0, n_env=n_env)
    injection = np.zeros((n_env, n), complex)
    set_pu = np.zeros(n)
    set_pu[machine] = [1.0, 1.02, 0.99]
    on = np.ones((n_env, n_branch), np.bool_)
    shunt = 0.05 * (rng.random((n_env, n)) + 1j * rng.standard_normal((n_env, n)))
    weight = np.zeros((n_env, n))
    weight[:, machine] = rng.dirichlet(np.ones(3), n_env)
    for env in range(n_env):
        on[env, rng.integers(n, n_branch)] = False  # the first n - 1 keep the grid together
        injection[env] = 100.0 * (rng.uniform(-0.2, 0.1, n) + 1j * rng.uniform(-0.1, 0.1, n))
        solver.switch(env, on[env], shunt[env], np.zeros(n, np.int64), weight[env], set_pu)
    flat = np.where(set_pu > 0.0, set_pu, 1.0) + np.zeros((n_env, n), complex)
    solver.solve(np.arange(n_env), injection, flat, tolerance_pu=TOLERANCE_PU, max_iteration=20)
    assert solver.converged.all()
    for env in range(n_env):
        v = solver.v_pu[env]
        power = 100.0 * v * np.conj(admittance_matrix(ports, on[env], shunt[env]) @ v)
        missing = power - injection[env] - weight[env] * solver.slack_mw[env, 0]
        missing[machine] = missing[machine].real  # reactive power of machines is what it is
        # Mismatch of 1e-11 pu on 100 MVA.
        np.testing.assert_allclose(missing, 0.0, rtol=0.0, atol=2e-9)
        np.testing.assert_allclose(solver.s_bus_mva[env], power, rtol=0.0, atol=1e-11)
        np.testing.assert_allclose(np.abs(v[machine]), set_pu[machine], rtol=1e-15)
        assert np.angle(v[0]) == 0.0
        s_from = v[ports.from_bus] * np.conj(
            ports.y_ff_pu * v[ports.from_bus] + ports.y_ft_pu * v[ports.to_bus]
        )
        np.testing.assert_allclose(solver.s_from_mva[env], 100.0 * s_from * on[env], rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("name", ["case118", "case300"])
def test_other_peoples_grids_are_solved_from_a_flat_start(name):
    """Phase shifters, shunts, off-nominal ratios and negative reactances of the IEEE grids, as pandapower has them."""
    import pandapower.networks

    net = getattr(pandapower.networks, name)()
    net.trafo["tap_dependency_table"] = False
    pandapower.runpp(net, tolerance_mva=1e-10, numba=False, lightsim2grid=False, init="dc")
    network = solved_network(net)
    solver = network.solver(1)
    flat = np.full((1, len(network.v_pu)), network.v_pu[network.reference_bus])
    flat /= np.abs(flat)
    solver.solve(np.array([0]), network.injection_mva[None], flat, tolerance_pu=1e-10, max_iteration=20)
    assert solver.converged[0]
    # Mismatches of 1e-10 pu on sensitivities below ten.
    np.testing.assert_allclose(solver.v_pu[0], network.v_pu, rtol=0.0, atol=1e-8)


def test_an_environment_that_takes_long_is_solved_apart_with_the_same_result(monkeypatch):
    """Of 24, two have no solution and begin far off: with an early stop and without, all arrays agree bit for bit.

    What is repacked is told by the kernel's calls: 24 at first, the two alone after that.
    """
    rng = np.random.default_rng(4)
    n, n_env = 12, 24
    ports = random_ports(rng, n, 20)
    vm_set, weight = np.zeros(n), np.full(n, 1.0 / n)
    vm_set[3] = 1.0
    injection = rng.uniform(-1.0, 1.0, (n_env, n)) + 1j * rng.uniform(-1.0, 1.0, (n_env, n))
    injection[[2, 17]] *= 1e4
    found, sizes = [], []

    def solve_and_note(plan, work, grids, asked, answer):
        sizes.append(len(asked.rows))
        newton_kernel.solve_batch(plan, work, grids, asked, answer)

    for early in (batch_solver.EARLY_ITERATION, 1000):
        monkeypatch.setattr(batch_solver, "EARLY_ITERATION", early)
        monkeypatch.setattr(batch_solver, "solve_batch", solve_and_note)
        solver = BatchSolver(n, ports, machine_bus=np.array([3]), reference_bus=0, n_env=n_env)
        for env in range(n_env):
            solver.switch(
                env, np.ones(20, np.bool_), np.zeros(n, complex), np.zeros(n, np.int64), weight, vm_set
            )
        start = np.ones((n_env, n), complex)
        solver.solve(np.arange(n_env), injection, start, tolerance_pu=1e-9, max_iteration=15)
        found.append((solver.v_pu, solver.s_from_mva, solver.slack_mw, solver.iterations, solver.converged))
    for early, late in zip(*found, strict=True):
        np.testing.assert_array_equal(early, late)
    assert np.flatnonzero(~found[0][4]).tolist() == [2, 17]
    assert sizes == [24, 2, 24]
