"""How long N-1 takes: AC with flows, the same by pandapower's own contingency analysis, and DC by sensitivities."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable

import numpy as np
from pandapower.contingency import run_contingency

from cases.ieee68 import load_ieee68
from grid_model.network.pandapower_net import build_network
from grid_model.security.lightsim_screen import LightsimScreen
from grid_model.security.newton_screen import NewtonScreen
from grid_model.security.outage import bus_injection_mva, published_point
from grid_model.security.sensitivity import LinearScreen

N_ENV = 64


def contingency_times(repeats: int = 30) -> dict[str, float]:
    """Medians on the published state of variant rogers.

    n1_ac_ms: AC N-1 of all circuits and transformers with flows, islanding ones included [ms].
    n1_ratio_to_lightsim2grid: the same circuits by lightsim2grid's contingency analysis, over the first.
    n1_pandapower_s: the same circuits by pandapower.contingency.run_contingency, measured once [s].
    n1_ratio_to_pandapower: that over the first.
    lodf_us_per_env: DC screen of every circuit, machine and plant at 64 environments, per environment [us].
    """

    case = load_ieee68()
    point = published_point(case)
    lightsim = LightsimScreen(case)
    fast, circuits_only = NewtonScreen(case, lightsim.topology), np.arange(case.n_branch)
    ac_s = median_s(lambda: fast.solve(point, circuits_only), repeats)
    lightsim_s = median_s(lambda: lightsim.solve(point, circuits_only=True), repeats)

    net = build_network(case, resources=False, renewables=False, reactors=False)
    circuits = {"line": {"index": net.line.index.to_numpy()}, "trafo": {"index": net.trafo.index.to_numpy()}}
    logging.getLogger("pandapower").setLevel(logging.CRITICAL)  # it logs the outages that it skips
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandapower_s = median_s(
            lambda: run_contingency(net, circuits, distributed_slack=True, lightsim2grid=False, numba=False),
            1,
        )

    linear = LinearScreen(case)
    p_bus_mw = np.repeat(bus_injection_mva(case, point).real[None, :], N_ENV, axis=0)
    p_plant_mw = np.concatenate([point.p_machine_mw, point.p_renewable_mw, point.p_resource_mw])
    p_plant_mw = np.repeat(p_plant_mw[None, :], N_ENV, axis=0)
    dc_s = median_s(lambda: linear.worst_of(p_bus_mw, p_plant_mw), repeats)
    return {
        "n1_ac_ms": 1e3 * ac_s,
        "n1_ratio_to_lightsim2grid": lightsim_s / ac_s,
        "n1_pandapower_s": pandapower_s,
        "n1_ratio_to_pandapower": pandapower_s / ac_s,
        "lodf_us_per_env": 1e6 * dc_s / N_ENV,
    }


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of one call [s]; the first call of several only warms up."""
    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]
