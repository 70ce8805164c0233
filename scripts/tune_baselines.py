"""Tunes the baselines on training seeds and keeps the results as data in control/data.

Each baseline is tuned by CMA-ES; the candidates of a generation play the same episodes side by side. A run that was
interrupted goes on where it stopped. Held-out seeds are never touched: every seed is checked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Processes share the work, not threads.
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import command_line  # noqa: E402

PROGRAM = "tune_baselines.py"
# Later ones start from earlier ones.
ORDER = ("agc", "agc_forecast", "local_pi", "linear", "linear_extended", "linear_bess")
GENERATIONS = {
    "agc": 40,
    "agc_forecast": 25,
    "local_pi": 45,
    "linear": 160,
    "linear_extended": 160,
    "linear_bess": 80,
}
REFINED = 0.3  # of a whole search's spread
FIRST_SEED = 1_000_000  # of the episodes candidates are compared on


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to tune, and for how long."""

    only: tuple[str, ...] = ORDER
    """Baselines to tune, from agc, agc_forecast, local_pi, linear, linear_extended, linear_bess."""
    scenario: str = "training"
    """Training distribution the episodes come from."""
    n_intervals: int = 300
    """Length of an episode while tuning."""
    candidates: int = 16
    """Candidates of a generation."""
    seeds: int = 4
    """Episodes a candidate plays in a generation."""
    generations: int | None = None
    """Generations of each baseline; by default enough for its number of parameters."""
    seed: int = 0
    """Of the search."""
    validation_episodes: int = 64
    """Episodes of full length on which the result is measured at the end, from the validation seeds."""
    workers: int = 1
    """Processes that share the candidates."""
    state: Path = Path("runs/tuning")
    """Where the state of the search is kept for going on later."""
    out: Path = ROOT / "control" / "data"
    """Where the results go."""
    restart: bool = False
    """Forget the state of an earlier search."""
    refine: bool = False
    """Start from the stored parameters, closely around them, instead of from the simpler baselines."""


def environment(scenario: str, n_intervals: int | None, n_env: int, observation: str) -> Any:
    """A batch of training episodes."""
    from cases.ieee68 import load_ieee68
    from control.scenario.file import scenario_named
    from marl.environment.batch import make_batch

    config = scenario_named(scenario, load_ieee68())
    if n_intervals is not None:
        config = replace(config, n_intervals=n_intervals)
    return make_batch(config, n_env, observation=observation, check=False)


_batches: dict[tuple[Any, ...], Any] = {}  # of this process, by what they were made for


def play(
    name: str, numbers: dict[str, Any], seeds: list[int], scenario: str, n_intervals: int | None
) -> np.ndarray:
    """Returns of candidates side by side; `numbers` holds an entry for each environment."""
    from control.controllers.registry import BASELINES, make_baseline
    from control.evaluation.rollout import play_returns
    from control.scenario.suites import require_training_seed

    for seed in seeds:
        require_training_seed(seed)
    baseline = BASELINES[name]
    key = (scenario, n_intervals, len(seeds), baseline.observation)
    if key not in _batches:
        _batches[key] = environment(*key)
    batch = _batches[key]
    assert baseline.parameters is not None
    parameters = baseline.parameters(numbers)
    controller = make_baseline(name, batch.description, len(seeds), parameters)
    return play_returns(controller, batch, np.array(seeds))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A baseline as a search: where it starts, how far it looks, and what a position means."""

    start: np.ndarray
    sigma: np.ndarray
    decode: Callable[[np.ndarray], dict[str, Any]]  # positions [..., n] -> parameters
    encode: Callable[[dict[str, Any]], np.ndarray]  # parameters -> position [n]


def problem(name: str, out: Path) -> Problem:
    """The search for one baseline; it starts from the results of the simpler ones."""
    from control.controllers.agc import FEED_FORWARD, AgcParameters
    from control.controllers.local_pi import LocalPiParameters
    from control.evaluation.tuning import Space

    def stored(other: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((out / f"{other}.json").read_text(encoding="utf-8"))[
            "parameters"
        ]
        return content

    if name in ("agc", "agc_forecast"):
        space = Space.of(AgcParameters, without=FEED_FORWARD if name == "agc" else ())
        first: dict[str, Any] = asdict(
            AgcParameters(
                gain=0.2,
                time_s=80.0,
                filter_s=1.0,
                dead_band_mw=2.0,
                handover_s=60.0,
                fast_gas=0.3,
                fast_dr=0.1,
                slow_gas=0.6,
                slow_dr=0.2,
                soc_recovery_mw=20.0,
                zone_bess_mw=0.2,
                zone_gas_mw=0.3,
                zone_dr_mw=0.5,
            )
        )
        if name == "agc_forecast":
            first |= stored("agc") | {"forecast_gain": 0.2, "forecast_filter_s": 150.0}
        start = space.encode(first)
        return Problem(
            start=start,
            sigma=np.full(len(start), 0.15 if name == "agc" else 0.1),
            decode=space.decode,
            encode=space.encode,
        )
    if name == "local_pi":
        space = Space.of(LocalPiParameters)
        start = space.encode(asdict(LocalPiParameters()))
        return Problem(start=start, sigma=np.full(len(start), 0.12), decode=space.decode, encode=space.encode)
    return linear_problem(name, stored("local_pi"))


def linear_problem(name: str, local_pi: dict[str, Any]) -> Problem:
    """Linear policies start as the tuned local PI in velocity form, as well as their observation allows."""
    from cases.ieee68 import load_ieee68
    from control.controllers.base import (
        BEFORE_DF,
        CLASSES,
        DF_HZ,
        FORECAST,
        NEAREST_DF,
        OWN_DF,
        OWN_OUTPUT,
        SLOPE,
        SYSTEM_DF,
        UTILISATION,
    )
    from control.plants.fleet import BESS, make_fleet

    fleet = make_fleet(load_ieee68(), 4.0)
    size = 15 if name == "linear" else 18
    free = [BESS] if name == "linear_bess" else list(CLASSES)  # classes that act at all
    weight = np.zeros((3, size + 1))
    spread = np.full((3, size + 1), 0.05)
    spread[:, OWN_DF], spread[:, SYSTEM_DF], spread[:, NEAREST_DF] = 0.4, 0.3, 0.15
    spread[:, OWN_OUTPUT] = spread[:, UTILISATION] = spread[:, FORECAST] = 0.1
    zone = np.zeros(3)
    for code, kind in zip(CLASSES, ("bess", "gas", "dr"), strict=True):
        i = int(np.flatnonzero(fleet.kind == code)[0])
        per_step = DF_HZ / fleet.step_mw[i]
        gain, rate = local_pi[f"gain_{kind}"], local_pi[f"integral_{kind}"]
        weight[code, OWN_DF] = -(gain + rate * fleet.interval_s) * per_step
        if size == 18:
            weight[code, BEFORE_DF] = gain * per_step
            spread[code, BEFORE_DF], spread[code, SLOPE] = 0.4, 0.1
        else:  # the neighbours' frequency two intervals ago is the nearest thing to the own one before
            weight[code, OWN_DF] = -(0.5 * gain + rate * fleet.interval_s) * per_step
            weight[code, NEAREST_DF] = 0.1 * gain * per_step
        weight[code, OWN_OUTPUT] = (
            -fleet.interval_s / local_pi[f"leak_{kind}_s"] * fleet.range_mw[i] / fleet.step_mw[i]
        )
        zone[code] = min(local_pi[f"zone_{kind}_mw"] / fleet.step_mw[i], 0.5)
    n = len(free)
    start = np.concatenate([weight[free].ravel(), zone[free]])
    sigma = np.concatenate([spread[free].ravel(), np.full(n, 0.05)])
    # Large weights may be off by a part of themselves.
    sigma = np.maximum(sigma, 0.1 * np.abs(start))

    def decode(position: np.ndarray) -> dict[str, Any]:
        shape = position.shape[:-1]
        weights, zones = np.zeros((*shape, 3, size + 1)), np.ones((*shape, 3))
        weights[..., free, :] = position[..., :-n].reshape(*shape, n, size + 1)
        zones[..., free] = np.clip(position[..., -n:], 0.0, 1.0)
        return {"weight": weights, "zone": zones}

    def encode(parameters: dict[str, Any]) -> np.ndarray:
        weights, zones = np.array(parameters["weight"]), np.array(parameters["zone"])
        return np.concatenate([weights[free].ravel(), zones[free]])

    return Problem(start=start, sigma=sigma, decode=decode, encode=encode)


def plain(value: Any) -> Any:
    """Numbers and arrays as JSON knows them, to six digits."""
    array = np.asarray(value, dtype=np.float64)
    return np.array([float(f"{x:.6g}") for x in array.ravel()]).reshape(array.shape).tolist()


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def split(numbers: dict[str, Any], parts: list[np.ndarray]) -> list[dict[str, Any]]:
    return [{key: value[part] for key, value in numbers.items()} for part in parts]


def returns_of(
    name: str,
    numbers: dict[str, Any],
    seeds: list[int],
    options: Options,
    n_intervals: int | None,
    pool: ProcessPoolExecutor | None,
) -> np.ndarray:
    """Returns of environments with these parameters and seeds, shared among the workers."""
    if pool is None:
        return play(name, numbers, seeds, options.scenario, n_intervals)
    parts = np.array_split(np.arange(len(seeds)), options.workers)
    jobs = [
        pool.submit(play, name, some, [seeds[i] for i in part], options.scenario, n_intervals)
        for part, some in zip(parts, split(numbers, parts), strict=True)
    ]
    return np.concatenate([job.result() for job in jobs])


def tune(name: str, options: Options, pool: ProcessPoolExecutor | None, bar: Any) -> None:
    """One baseline, from where its search stopped to the file of its results."""
    from control.evaluation.tuning import CmaEs, candidate_cost
    from control.scenario.suites import VALIDATION_SEEDS

    search = problem(name, options.out)
    if options.refine:
        stored = json.loads((options.out / f"{name}.json").read_text(encoding="utf-8"))["parameters"]
        search = replace(search, start=search.encode(stored), sigma=REFINED * search.sigma)
    es = CmaEs(search.start, search.sigma, options.candidates, options.seed)
    state = options.state / f"{name}.json"
    if state.is_file() and not options.restart:
        es.set_state(json.loads(state.read_text(encoding="utf-8")))
    generations = options.generations or GENERATIONS[name]
    bar.update(min(es.generation, generations))
    while es.generation < generations:
        candidates = es.ask()
        first = FIRST_SEED + 1000 * ORDER.index(name) + es.generation * options.seeds
        seeds = [first + k for k in range(options.seeds)]
        numbers = search.decode(np.repeat(candidates, options.seeds, axis=0))
        played = returns_of(
            name, numbers, seeds * options.candidates, options, options.n_intervals, pool
        ).reshape(options.candidates, options.seeds)
        es.tell(candidates, candidate_cost(played))
        write(state, es.get_state())
        bar.set_postfix_str(f"{name}: median return {np.median(played):,.0f}, step {es.sigma:.2f}")
        bar.update()

    bar.set_postfix_str(f"{name}: validation")
    seeds = [int(s) for s in VALIDATION_SEEDS.seeds[: options.validation_episodes]]
    measured = {}
    for what, position in (("start", search.start), ("tuned", es.best)):
        numbers = search.decode(np.repeat(position[None], len(seeds), axis=0))
        measured[what] = returns_of(name, numbers, seeds, options, None, pool)
    # Noise may have led the search astray; what it started from is kept then.
    chosen = "tuned" if measured["tuned"].mean() >= measured["start"].mean() else "start"
    best = es.best if chosen == "tuned" else search.start
    write(
        options.out / f"{name}.json",
        {
            "parameters": {key: plain(value) for key, value in search.decode(best).items()},
            "provenance": {
                "command": f"python scripts/tune_baselines.py --only {name} --seed {options.seed}"
                + (" --refine" if options.refine else "")
                + (f" --generations {generations}" if generations != GENERATIONS[name] else ""),
                "method": "CMA-ES, mean of the last generation"
                if chosen == "tuned"
                else "start of the search",
                "date": date.today().isoformat(),
                "scenario": options.scenario,
                "n_intervals": options.n_intervals,
                "generations": es.generation,
                "candidates": options.candidates,
                "seeds_per_generation": options.seeds,
                "first_training_seed": FIRST_SEED + 1000 * ORDER.index(name),
                "validation_seeds": [seeds[0], seeds[-1]],
                "validation_return_start": round(float(measured["start"].mean()), 1),
                "validation_return_tuned": round(float(measured["tuned"].mean()), 1),
            },
        },
    )
    print(
        f"{name}: return {measured['start'].mean():,.0f} before, {measured['tuned'].mean():,.0f} after tuning, "
        f"{len(seeds)} validation episodes"
    )


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    options = command_line.parse(
        Options, program=PROGRAM, description=(__doc__ or "").strip(), arguments=arguments, default=Options()
    )
    from tqdm import tqdm

    from cases.ieee68 import load_ieee68
    from control.scenario.config import ScenarioError
    from control.scenario.file import scenario_named

    unknown = [name for name in options.only if name not in ORDER]
    if unknown:
        print(
            f"{PROGRAM}: error: unknown baseline {unknown[0]!r}, expected {', '.join(ORDER)}", file=sys.stderr
        )
        return 2
    chosen = [name for name in ORDER if name in options.only]
    total = sum(options.generations or GENERATIONS[name] for name in chosen)
    pool = ProcessPoolExecutor(options.workers) if options.workers > 1 else None
    try:
        scenario_named(options.scenario, load_ieee68())  # before the bar: a wrong one is told in one line
        with tqdm(total=total, unit="generation", mininterval=5.0) as bar:
            for name in chosen:
                tune(name, options, pool, bar)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ScenarioError) else 1
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
