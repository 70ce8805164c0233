"""Measures how fast the simulator and the learner are on one core, absolutely and against the same work on `runpp`.

Everything is measured in one run, in turns. All rounds do the same work, which what else runs on the machine can only
slow down: where a median of the rounds stands beside a figure, the figure is the fastest round's, and the median tells
how busy the machine was. All other figures are medians, ratios those of ratios taken within a round. The step on
`runpp` is the coupled step with its power flow replaced by pandapower's, warm-started from its last result.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported anywhere

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line  # noqa: E402

if TYPE_CHECKING:
    from marl.environment.batch import GridBatch

PROGRAM = "benchmark.py"
WORDS = {
    "env_steps_per_s_64": ("environment steps a second, 64 environments", ",.0f"),
    "env_steps_per_s_1": ("environment steps a second, 1 environment", ",.0f"),
    "pettingzoo_steps_per_s": ("steps a second through PettingZoo's dictionaries", ",.0f"),
    "ratio_to_runpp_64": ("a step of 64 environments, times faster than on runpp", ",.0f"),
    "ratio_to_runpp_1": ("a step of 1 environment, times faster than on runpp", ",.0f"),
    "power_flow_us": ("AC power flow, warm start, per environment [us]", ",.1f"),
    "series_load_s": ("start-up: the year of load, wind and sun from its cache [s]", ",.3f"),
    "runpp_us": ("the same with runpp, warm start [us]", ",.0f"),
    "dynamics_area_us": ("swing equations of an interval, level area, per environment [us]", ",.1f"),
    "dynamics_machine_us": ("swing equations of an interval, level machine, per environment [us]", ",.1f"),
    "two_process_ratio": ("steps of two worker processes, 64 environments each, over those of one", ",.2f"),
    "two_process_ratio_same_batch": ("the same 128 environments in two processes over one", ",.2f"),
    "dynamics_us": ("frequency dynamics and coupling, per environment [us]", ",.1f"),
    "outage_speed_ratio": ("speed with 20 times the outages of training, over that without any", ",.2f"),
    "n1_ac_ms": ("N-1 by AC power flow, all circuits and transformers, flows included [ms]", ",.1f"),
    "n1_ratio_to_pandapower": ("N-1, times faster than pandapower's run_contingency", ",.0f"),
    "lodf_us_per_env": ("N-1 by distribution factors, 64 environments, each [us]", ",.1f"),
    "observation_us": ("observations and state, per environment [us]", ",.1f"),
    "resources_us": ("resources, per environment [us]", ",.1f"),
    "rest_us": ("limits, reward, telemetry and resets, per environment [us]", ",.1f"),
    "training_steps_per_s": ("default training, steps a second, everything in one process", ",.0f"),
    "training_one_worker_ratio": ("the same with the environments in a process beside it, over that", ",.2f"),
    "training_two_workers_ratio": ("the same with the environments in two processes, over that", ",.2f"),
    "update_s": ("learner: update of 2048 steps, 20 agents, 10 epochs [s]", ".2f"),
    "update_ratio_to_floor": ("learner: times a plain torch loop of the same arithmetic", ".2f"),
    "act_64_ms": ("learner: acting for 64 environments [ms]", ".2f"),
    "act_ratio_to_floor": ("the same in times of plain torch", ".2f"),
}


# What the fastest round is told by: the largest of these speeds and the smallest of these times.
SPEEDS = frozenset({"env_steps_per_s_64", "env_steps_per_s_1", "pettingzoo_steps_per_s"})
TIMES = frozenset(
    {
        "power_flow_us",
        "series_load_s",
        "runpp_us",
        "dynamics_us",
        "observation_us",
        "resources_us",
        "rest_us",
        "update_s",
        "act_64_ms",
    }
)
MEDIANS = "median_of_rounds"  # their medians, under this key of the JSON file


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure."""

    json: Path | None = None
    """File to write the figures to."""
    repeats: int = 5
    """Rounds; of speeds and times the fastest is reported, of ratios the median."""
    learner: bool = True
    """Measure the learner too."""


def median(values: Sequence[float]) -> float:
    """Middle value."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def summary(rounds: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of all rounds, {key: value}: the fastest or, of ratios, the median; and medians of the former."""
    figures, medians = {}, {}
    for key, values in rounds.items():
        figures[key] = medians[key] = median(values)
        if key in SPEEDS:
            figures[key] = max(values)
        elif key in TIMES:
            figures[key] = min(values)
        else:
            del medians[key]
    return figures, medians


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call [s]."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def step_time_s(batch: GridBatch, n_step: int) -> float:
    """Time of one step of one environment in a batch [s], automatic resets included."""
    from marl.environment.episode_record import random_agents

    act = random_agents(batch)
    actions = [act({}) for _ in range(8)]
    batch.step(dict(actions[0]))
    began = time.perf_counter()
    for k in range(n_step):
        batch.step(dict(actions[k % 8]))
    return (time.perf_counter() - began) / (n_step * batch.n_env)


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
        (batch, "_observe", "observation"),
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
    from dataclasses import replace

    from control.scenario.episode import SCENARIOS
    from marl.environment.batch import make_batch

    training = SCENARIOS["training"]
    quiet = make_batch(replace(training, outage_rate_per_h=0.0), 64, check=False)
    stormy = make_batch(
        replace(training, outage_rate_per_h=20.0 * training.outage_rate_per_h), 64, check=False
    )
    quiet.reset()
    stormy.reset()
    return quiet, stormy


def runpp_s(batch: GridBatch, n: int) -> float:
    """Time of one power flow of the same grid with pandapower, warm-started, loads changing [s]."""
    import numpy as np
    import pandapower

    from grid_model.network.pandapower_net import build_network
    from grid_model.power_flow.oracle import solve_with_pandapower

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


def measure(options: Options) -> dict[str, list[float]]:
    """All figures, {key: its values, one or more a round}."""
    import warnings

    import numpy as np
    from tqdm import tqdm

    from cases.series import load_series
    from marl.environment.batch import make_batch
    from marl.environment.pettingzoo_env import parallel_env

    warnings.simplefilter("ignore", DeprecationWarning)
    # Episodes end one after the other, so that resets come in their true proportion.
    many, one = make_batch("training", 64, stagger=True), make_batch("training", 1, check=False)
    zoo = parallel_env(scenario="training", check=False)
    rng = np.random.default_rng(0)
    zoo.reset(seed=0)
    actions = [
        {agent: rng.uniform(-1.0, 1.0, 1).astype(np.float32) for agent in zoo.agents} for _ in range(8)
    ]
    n_step = many.scenario.n_intervals

    def zoo_steps() -> None:
        zoo.reset(seed=0)
        for k in range(n_step):
            if not zoo.agents:
                zoo.reset()
            zoo.step(actions[k % len(actions)])

    def again(batch: GridBatch) -> GridBatch:
        """Every round plays the same episodes; within one, each environment begins one anew."""
        batch.reset(np.arange(batch.n_env))
        return batch

    step_time_s(again(one), 20)  # the first rounds compile
    parts_s(again(many))
    zoo_steps()
    quiet, stormy = outage_batches()
    found: dict[str, list[float]] = {}
    for _ in tqdm(range(options.repeats), unit=" rounds", disable=not sys.stderr.isatty()):
        step_64, step_1 = step_time_s(again(many), n_step), step_time_s(again(one), n_step)
        parts = parts_s(again(many))
        runpp = runpp_s(many, 8)
        for key, value in {
            "env_steps_per_s_64": 1.0 / step_64,
            "env_steps_per_s_1": 1.0 / step_1,
            "pettingzoo_steps_per_s": n_step / seconds(zoo_steps),
            "ratio_to_runpp_64": (step_64 - parts["power_flow"] + runpp) / step_64,
            "ratio_to_runpp_1": (step_1 - parts["power_flow"] + runpp) / step_1,
            "power_flow_us": 1e6 * parts["power_flow"],
            "runpp_us": 1e6 * runpp,
            "dynamics_us": 1e6 * parts["dynamics"],
            "series_load_s": seconds(lambda: load_series(progress=False)),
            "observation_us": 1e6 * parts["observation"],
            "resources_us": 1e6 * parts["resources"],
            "rest_us": 1e6 * parts["rest"],
            # Whole episodes, so that outages, repairs and resets come in their true proportion.
            "outage_speed_ratio": step_time_s(quiet, 500) / step_time_s(stormy, 500),
        }.items():
            found.setdefault(key, []).append(value)
    import benchmark_dynamics
    import benchmark_processes
    from contingency_times import contingency_times

    for part in (contingency_times, benchmark_dynamics.measure, benchmark_processes.measure):
        found |= {key: [value] for key, value in part().items() if key in WORDS}
    if options.learner:
        from learner_floor import our_act, our_update, plain_act, plain_update

        found |= {key: [value] for key, value in benchmark_processes.measure_training().items()}
        odd = 2 * (options.repeats // 4) + 1  # of two values the median here would be the larger
        for _ in range(odd):
            floor, ours = plain_update(), our_update()
            found.setdefault("update_s", []).append(ours)
            found.setdefault("update_ratio_to_floor", []).append(ours / floor)
            for _ in range(3):
                plain_ms, ours_ms = plain_act(), our_act()
                found.setdefault("act_64_ms", []).append(ours_ms)
                found.setdefault("act_ratio_to_floor", []).append(ours_ms / plain_ms)
    return found


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    try:
        figures, medians = summary(measure(options))
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    print(f"{'':68s}{'figure':>14}{'median':>14}")
    for key, value in figures.items():
        text, form = WORDS.get(key, (key, ",.3g"))
        print(f"{text:68s}{value:>14{form}}" + (f"{medians[key]:>14{form}}" if key in medians else ""))
    if options.json is not None:
        from marl.checkpoint import write_atomically

        write_atomically(
            options.json, (json.dumps(figures | {MEDIANS: medians}, indent=2) + "\n").encode("utf-8")
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
