"""Time of AC power flows: the batched Newton method against lightsim2grid, on one core, in one run.

On the 68 buses both solve the same recorded power flows of 64 environments in training, warm-started, to a mismatch of
1e-9 pu. On pandapower's grids active loads vary by half a per cent from one solve to the next; lightsim2grid solves one
after the other, the batch 64 (16 above 1,000, 8 above 2,000 buses) at a time. Turns alternate, the best of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandapower
import pandapower.networks
from lightsim2grid.network import init_from_pandapower

from cases.ieee68 import load_ieee68
from control.scenario.suites import SCENARIOS
from grid_model.power_flow.lightsim import PowerFlowEngine
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.solved_network import solved_network
from marl.environment.batch import make_batch
from marl.environment.held_out import RandomAgents

GRIDS = ("case118", "case300", "case1354pegase", "case2869pegase", "case9241pegase")
N_ENV = 64
TOLERANCE_PU = 1e-9
TURNS = 5


def best_s(works: list[Callable[[], object]], turns: int = TURNS) -> list[float]:
    """Shortest time of each work on the processor [s], turn by turn, so that a busy machine troubles all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for work, found in zip(works, times, strict=True):
            began = time.process_time()
            work()
            found.append(time.process_time() - began)
    return [min(found) for found in times]


def recorded_injections(n_step: int) -> tuple[Any, Any]:
    """Bus injections of 64 environments in training without outages [MVA], [step, env, bus]; their reactors."""
    batch = make_batch(replace(SCENARIOS["training"], outage_rate_per_h=0.0), N_ENV, check=False)
    batch.reset()
    engine = batch.loop.grid.engine
    record: list[Any] = []
    solve = engine.solve

    def solve_and_keep(injection_mva: Any, envs: Any = None, law_mva: Any = None) -> Any:
        if envs is None or len(envs) == N_ENV:  # not those of single environments after events
            record.append(injection_mva.copy())
        return solve(injection_mva, envs, law_mva)

    setattr(engine, "solve", solve_and_keep)  # noqa: B010  on this one engine only
    agents = RandomAgents(batch.groups, batch.n_env)
    for _ in range(n_step):
        batch.step(agents.act())
    return np.stack(record), engine.reactor_share.copy()


def ratio_68(n_step: int = 20) -> dict[str, float]:
    """Both engines on recorded power flows of this project's grid."""
    injections, share = recorded_injections(n_step)
    case = load_ieee68()
    newton, lightsim = NewtonEngine(case, N_ENV, check=False), PowerFlowEngine(case, N_ENV, check=False)
    for engine in (newton, lightsim):
        for env in range(N_ENV):
            engine.set_reactors(env, share[env])
    steps: list[float] = []

    def solve_all(engine: Any) -> None:
        for injection in injections:
            engine.solve(injection)
            if engine is newton:
                steps.append(float(np.mean(newton.iterations)))

    best_s([lambda: solve_all(newton), lambda: solve_all(lightsim)], 1)  # compiles
    newton_s, lightsim_s = best_s([lambda: solve_all(newton), lambda: solve_all(lightsim)])
    n = len(injections) * N_ENV
    return {
        "power_flow_newton_us": 1e6 * newton_s / n,
        "power_flow_lightsim2grid_us": 1e6 * lightsim_s / n,
        "power_flow_newton_iterations": float(np.mean(steps)),
        "power_flow_max_dv_pu": float(np.abs(newton.v_pu - lightsim.v_pu).max()),
        "power_flow_ratio_to_lightsim2grid": lightsim_s / newton_s,
    }


def ratio_on(name: str) -> dict[str, float]:
    """Both programs on one of pandapower's grids."""
    net = getattr(pandapower.networks, name)()
    net.trafo["tap_dependency_table"] = False
    pandapower.runpp(net, numba=False, lightsim2grid=False, init="dc", calculate_voltage_angles=True)
    network = solved_network(net)
    n_bus = len(network.v_pu)
    n_env, n_solve = (8, 10) if n_bus > 2000 else (64, 40) if n_bus < 1000 else (16, 40)
    solver, rows = network.solver(n_env), np.arange(n_env)
    lightsim = init_from_pandapower(net, pp_orig_file="pandapower_v3")
    lightsim.deactivate_result_computation()
    rng = np.random.default_rng(0)
    p_mw = net.load["p_mw"].to_numpy().astype(np.float32)
    all_loads = np.ones(len(p_mw), dtype=np.bool_)
    v_pu = lightsim.ac_pf(np.ones(len(net.bus), dtype=np.complex128), 30, TOLERANCE_PU)
    lookup = net._pd2ppc_lookups["bus"]
    injection = np.repeat(network.injection_mva[None, :], n_env, axis=0)
    solver.v_pu[:] = network.v_pu

    def solve_lightsim() -> None:
        nonlocal v_pu
        for _ in range(n_solve):
            lightsim.update_loads_p(
                all_loads, p_mw * (1.0 + 0.005 * rng.standard_normal(len(p_mw))).astype("f4")
            )
            v_pu = lightsim.ac_pf(v_pu, 15, TOLERANCE_PU)
            if v_pu.size == 0:
                raise RuntimeError(f"lightsim2grid found no solution of {name}")

    place = lookup[net.load["bus"].to_numpy()]
    changes = []
    for _ in range(3):
        change = np.zeros((n_env, n_bus))
        np.add.at(change.T, place, (0.005 * rng.standard_normal((n_env, len(p_mw))) * p_mw).T)
        changes.append(injection - change)

    def solve_newton() -> None:
        for changed in changes:
            solver.solve(rows, changed, solver.v_pu, tolerance_pu=TOLERANCE_PU, max_iteration=15)
            if not solver.converged.all():
                raise RuntimeError(f"no solution of {name}")

    best_s([solve_newton, solve_lightsim], 1)
    newton_s, lightsim_s = best_s([solve_newton, solve_lightsim])
    newton_us, lightsim_us = 1e6 * newton_s / (len(changes) * n_env), 1e6 * lightsim_s / n_solve
    return {
        key(name, "power_flow_newton_us"): newton_us,
        key(name, "power_flow_lightsim2grid_us"): lightsim_us,
        key(name): lightsim_us / newton_us,
    }


def key(grid: str, figure: str = "power_flow_ratio_to_lightsim2grid") -> str:
    """The name of a figure of a grid, by its number of buses."""
    return f"{figure}_{''.join(c for c in grid if c.isdigit())}"


def measure(wanted: Sequence[str]) -> dict[str, float]:
    """Ratios of the grids whose keys are wanted, and what they are made of."""
    figures = ratio_68() if "power_flow_ratio_to_lightsim2grid" in wanted else {}
    for grid in GRIDS:
        if key(grid) in wanted:
            figures |= ratio_on(grid)
    return figures
