"""Speed of the environments: steps a second, where the time of a step goes, and the same work on `runpp`."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from statistics import median_high as median
from typing import Any

import numpy as np
import pandapower
from tqdm import tqdm

from benchmarks.probe import random_actions, steps_s, zoo_steps_s
from cases.series import load_series
from control.scenario.suites import SCENARIOS
from grid_model.network.pandapower_net import build_network
from grid_model.power_flow.oracle import solve_with_pandapower
from marl.environment.batch import GridBatch, make_batch
from marl.environment.pettingzoo_env import parallel_env


def step_time_s(batch: GridBatch, n_step: int) -> float:
    """Time of one step of one environment in a batch [s], automatic resets included."""
    actions = random_actions(batch)
    batch.step(dict(actions[0]))
    return steps_s(batch, actions, n_step) / (n_step * batch.n_env)


def parts_s(batch: GridBatch) -> dict[str, float]:
    """Where the time of a step goes, per environment [s]."""
    engine, grid = batch.loop.grid.engine, batch.loop.grid
    spent: dict[str, float] = {}
    running: list[str] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            running.append(name)
            began = time.perf_counter()
            result = function(*arguments, **keywords)
            running.pop()
            # Power flows of a reset are part of the rest.
            if name != "power_flow" or "grid" in running:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
            return result

        return call

    watched: list[tuple[Any, str, str]] = [
        (engine, "solve", "power_flow"),
        (grid, "advance", "grid"),
        (batch.task, "observe", "observation"),
        (batch.loop, "_begin_interval", "resources"),
        (batch, "step", "step"),
    ]
    for owner, method, name in watched:
        setattr(owner, method, timed(name, getattr(owner, method)))
    n_step = batch.scenario.n_intervals
    try:
        step_time_s(batch, n_step)
    finally:
        for owner, method, _ in watched:
            delattr(owner, method)
    spent = {name: value / ((n_step + 1) * batch.n_env) for name, value in spent.items()}
    dynamics = spent["grid"] - spent["power_flow"]
    rest = spent["step"] - spent["grid"] - spent["observation"] - spent["resources"]
    return {
        "power_flow": spent["power_flow"],
        "dynamics": dynamics,
        "resources": spent["resources"],
        "observation": spent["observation"],
        "rest": rest,
    }


def outage_batches() -> tuple[GridBatch, GridBatch]:
    """64 environments without outages, and 64 with 20 times the outages of the training scenario."""
    training = SCENARIOS["training"]
    rate_per_h = 20.0 * training.outage_rate_per_h
    quiet = make_batch(replace(training, outage_rate_per_h=0.0), 64, check=False)
    stormy = make_batch(replace(training, outage_rate_per_h=rate_per_h), 64, check=False)
    quiet.reset()
    stormy.reset()
    return quiet, stormy


def series_s() -> float:
    """Wall time of loading the year of load, wind and sun [s]."""
    began = time.perf_counter()
    load_series(progress=False)
    return time.perf_counter() - began


def runpp_s(batch: GridBatch, n: int) -> float:
    """Time of one power flow of the same grid with pandapower, warm-started, loads changing [s]."""
    net = build_network(batch.case)
    net.shunt["q_mvar"] = 0.0
    solve_with_pandapower(net)
    rng = np.random.default_rng(0)
    nominal = net.load["p_mw"].to_numpy().copy()
    times = []
    for _ in range(n):
        net.load["p_mw"] = nominal * (1.0 + 0.002 * rng.standard_normal(len(nominal)))
        began = time.perf_counter()
        pandapower.runpp(net, init="results", distributed_slack=True, lightsim2grid=False)
        times.append(time.perf_counter() - began)
    return median(times)


def measure(rounds: int) -> dict[str, list[float]]:
    """All figures of the simulator, {key: its value of every round}."""
    warnings.simplefilter("ignore", DeprecationWarning)
    # Episodes end one after the other, so that resets come in their true proportion.
    many, one = make_batch("training", 64, stagger=True), make_batch("training", 1, check=False)
    zoo = parallel_env(scenario="training", check=False)
    n_step = many.scenario.n_intervals

    def again(batch: GridBatch) -> GridBatch:
        """Every round plays the same episodes; within one, each environment begins one anew."""
        batch.reset(np.arange(batch.n_env))
        return batch

    step_time_s(again(one), 20)  # the first rounds compile
    parts_s(again(many))
    zoo_steps_s(zoo, n_step)
    quiet, stormy = outage_batches()
    found: dict[str, list[float]] = {}
    for _ in tqdm(range(rounds), unit=" rounds", disable=not sys.stderr.isatty()):
        step_64, step_1 = step_time_s(again(many), n_step), step_time_s(again(one), n_step)
        parts = parts_s(again(many))
        runpp = runpp_s(many, 8)
        for key, value in {
            "env_steps_per_s_64": 1.0 / step_64,
            "env_steps_per_s_1": 1.0 / step_1,
            "pettingzoo_steps_per_s": n_step / zoo_steps_s(zoo, n_step),
            "ratio_to_runpp_64": (step_64 - parts["power_flow"] + runpp) / step_64,
            "ratio_to_runpp_1": (step_1 - parts["power_flow"] + runpp) / step_1,
            "power_flow_us": 1e6 * parts["power_flow"],
            "runpp_us": 1e6 * runpp,
            "dynamics_us": 1e6 * parts["dynamics"],
            "series_load_s": series_s(),
            "observation_us": 1e6 * parts["observation"],
            "resources_us": 1e6 * parts["resources"],
            "rest_us": 1e6 * parts["rest"],
            # Whole episodes, so that outages, repairs and resets come in their true proportion.
            "outage_speed_ratio": step_time_s(quiet, 500) / step_time_s(stormy, 500),
        }.items():
            found.setdefault(key, []).append(value)
    return found
