"""Tuning the baselines by an evolution strategy: who plays what in a generation, and what is kept in the end.

Candidates of a generation meet the same episodes, and another generation others, so that nothing is tuned to a few
seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.whole_file import write_json
from control.controllers.registry import BASELINES, content_of, make_baseline
from control.evaluation.evolution import LOST, EvolutionStrategy, TuningError, candidate_cost
from control.evaluation.grid_record import ByPlant, GridEnvironment
from control.evaluation.rollout import rollout
from control.evaluation.search_space import Problem, problem_of
from control.scenario.suites import VALIDATION_SEEDS, require_training_seed

__all__ = [
    "GENERATIONS",
    "ORDER",
    "Plan",
    "tune",
]

# Later ones start from earlier ones.
ORDER = (
    "agc", "agc_forecast", "area_agc", "local_pi", "linear", "linear_extended", "linear_bess", "linear_memory",
    "linear_wide", "mpc",
)  # fmt: skip
GENERATIONS = {
    "agc": 40,
    "agc_forecast": 25,
    "area_agc": 30,
    "local_pi": 45,
    "linear": 250,
    "linear_extended": 250,
    "linear_bess": 100,
    "linear_memory": 250,
    "linear_wide": 150,
    "mpc": 10,
}
# Candidates of a generation, and episodes that each of them plays; who plans in every interval plays fewer.
CANDIDATES, USUAL_CANDIDATES = {"mpc": 8}, 24
EPISODES, USUAL_EPISODES = {"mpc": 8}, 16
USUAL_INTERVALS = 400
SCENARIOS = {"linear_wide": "training_wide"}  # that baselines are tuned on unless another is asked for
USUAL_SCENARIO = "training_energy"
REFINED = 0.3  # of a whole search's spread
FIRST_SEED = 1_000_000  # of the episodes candidates are compared on
# From scenario, intervals of an episode (None: all of them), number of environments and observation.
Make = Callable[[str, int | None, int, str], GridEnvironment]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a search goes about it."""

    scenario: str  # training distribution the episodes come from; empty takes the baseline's usual one
    n_intervals: int | None  # of an episode while tuning; validation plays whole ones
    candidates: int | None  # of a generation; None: the baseline's usual number
    seeds: (
        int | None
    )  # episodes a candidate plays in a generation; None: as many as the baseline's usually do
    generations: int | None  # None: as many as the number of parameters asks for
    seed: int  # of the search
    validation_episodes: int
    workers: int  # processes that share the candidates
    state: Path  # folder of states to go on from
    out: Path  # folder of results
    physics: str = (
        "full"  # that candidates are played in, for the record; what is found is judged in the full one
    )
    restart: bool = False  # forget an earlier state
    refine: bool = False  # start closely around the stored parameters
    replace: bool = False  # what is found takes the place of better parameters too that are stored
    case: str = ""  # name or file of a grid of one's own, for the record

    def n_generation(self, name: str) -> int:
        """Generations of one baseline's search."""
        return self.generations or GENERATIONS[name]

    def n_candidate(self, name: str) -> int:
        """Candidates of a generation of its search."""
        return self.candidates or CANDIDATES.get(name, USUAL_CANDIDATES)

    def n_seed(self, name: str) -> int:
        """Episodes that each of them plays."""
        return self.seeds or EPISODES.get(name, USUAL_EPISODES)


@lru_cache(maxsize=8)
def _environment(
    make: Make, scenario: str, n_intervals: int | None, n_env: int, observation: str
) -> GridEnvironment:
    return make(scenario, n_intervals, n_env, observation)


def _play(
    make: Make,
    name: str,
    numbers: dict[str, Any],
    seeds: Sequence[int],
    scenario: str,
    n_intervals: int | None,
) -> FloatArray:
    """Returns of candidates side by side, [env]; `numbers` holds an entry for each environment."""
    for seed in seeds:
        require_training_seed(seed)
    baseline = BASELINES[name]
    environment = _environment(make, scenario, n_intervals, len(seeds), baseline.observation)
    assert baseline.parameters is not None
    controller = make_baseline(name, environment.description, len(seeds), baseline.parameters(numbers))
    return rollout(controller, ByPlant(environment), np.array(seeds)).returns


def _returns(
    make: Make,
    name: str,
    numbers: dict[str, Any],
    seeds: Sequence[int],
    plan: Plan,
    n_intervals: int | None,
    pool: Executor | None,
) -> FloatArray:
    """Returns of environments with these parameters and seeds, [env], shared among the workers."""
    if pool is None:
        return _play(make, name, numbers, seeds, plan.scenario, n_intervals)
    parts = np.array_split(np.arange(len(seeds)), plan.workers)
    jobs = [
        pool.submit(
            _play,
            make,
            name,
            {key: value[part] for key, value in numbers.items()},
            [seeds[i] for i in part],
            plan.scenario,
            n_intervals,
        )
        for part in parts
    ]
    return np.concatenate([job.result() for job in jobs])


def _search(name: str, problem: Problem, plan: Plan) -> tuple[EvolutionStrategy, Path]:
    """The search as it was left, or from its start; and the file of its state.

    Raises:
        TuningError: the state on disk is no state of a search, or of another one.
    """
    path = plan.state / f"{name}.json"
    if plan.restart or not path.is_file():
        return EvolutionStrategy(problem.start, problem.sigma, plan.n_candidate(name), plan.seed), path
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        search = EvolutionStrategy.from_state(state)
        asked = state.get("asked", {})  # earlier versions did not write it down
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError) as error:
        raise TuningError(f"{path} is broken: {error}; start anew with --restart") from error
    for option, now in _asked(name, plan).items():
        if asked and asked.get(option) != now:
            raise TuningError(
                f"{path} is a search with {option} {asked.get(option)}, not {now}; go on with that, or start anew with "
                "--restart"
            )
    if search.start.shape != problem.start.shape or not np.allclose(search.start, problem.start):
        raise TuningError(
            f"{path} is a search from another start, as where a simpler baseline has been tuned anew since; start anew "
            "with --restart"
        )
    if search.n_candidate != plan.n_candidate(name):
        raise TuningError(
            f"{path} is a search with {search.n_candidate} candidates, not {plan.n_candidate(name)}; "
            "start anew with --restart"
        )
    return search, path


def _asked(name: str, plan: Plan) -> dict[str, Any]:
    """The options that say what a search finds, as they stand in its state: with others it is another search."""
    return {
        "--scenario": plan.scenario,
        "--physics": plan.physics,
        "--n-intervals": plan.n_intervals,
        "--seeds": plan.n_seed(name),
        "--seed": plan.seed,
        "--case": plan.case,
    }


def tune(
    name: str,
    plan: Plan,
    make: Make,
    pool: Executor | None = None,
    on_generations: Callable[[int, str], None] = lambda n, text: None,
    *,
    case: Case | None = None,
    make_judged: Make | None = None,
) -> str:
    """Tune one baseline, from where its search stopped to the file of its results; returns the outcome in words.

    Args:
        name: of ORDER.
        plan: what is tuned on, for how long, and where states and results are kept.
        make: builds environments that candidates play in, a function of a module.
        pool: processes that share the candidates; None plays them here.
        on_generations: called with the number of generations done since, and what to say.
        case: the grid that `make` builds on; the 68-bus system if None.
        make_judged: builds those in which start and result are measured at the end; `make` if None.

    Raises:
        TuningError: an earlier state cannot be gone on from, or no validation episode is finite.
        ScenarioError: the seeds are not for training.
    """
    plan = replace(plan, scenario=plan.scenario or SCENARIOS.get(name, USUAL_SCENARIO))
    problem = problem_of(name, plan.out, case)
    stored = _stored_in(plan.out / f"{name}.json", name, problem)
    if plan.refine:
        if stored is None:
            raise TuningError(
                f"{plan.out / name}.json is not there: leave --refine out, which begins with it"
            )
        problem = replace(problem, start=problem.encode(stored), sigma=REFINED * problem.sigma)
    search, path = _search(name, problem, plan)
    generations, n_candidate, n_seed = plan.n_generation(name), plan.n_candidate(name), plan.n_seed(name)
    on_generations(min(search.generation, generations), name)
    while search.generation < generations:
        candidates, spread = search.ask(), search.spread()
        first = FIRST_SEED + 1000 * ORDER.index(name) + search.generation * n_seed
        seeds = [first + k for k in range(n_seed)]
        numbers = problem.decode(np.repeat(candidates, n_seed, axis=0))
        played = _returns(make, name, numbers, seeds * n_candidate, plan, plan.n_intervals, pool).reshape(
            n_candidate, n_seed
        )
        cost = candidate_cost(played)
        search.tell(cost)
        write_json(path, search.get_state() | {"asked": _asked(name, plan)}, indent=1)
        usual = np.median(played[cost < LOST]) if np.any(cost < LOST) else np.nan
        lost = _lost(int(np.sum(cost >= LOST)), n_candidate)
        on_generations(1, f"{name}: median return {usual:,.0f}, step {spread:.2f}{lost}")

    on_generations(0, f"{name}: validation")
    seeds = [int(s) for s in VALIDATION_SEEDS.seeds[: plan.validation_episodes]]
    measured, positions = {}, {"start": problem.start, "tuned": search.best}
    if stored is not None:
        positions["stored"] = problem.encode(stored)
    for what, position in positions.items():
        numbers = problem.decode(np.repeat(position[None], len(seeds), axis=0))
        measured[what] = _returns(make_judged or make, name, numbers, seeds, plan, None, pool)
    score = {what: float(x.mean()) if np.isfinite(x).all() else -np.inf for what, x in measured.items()}
    if max(score["start"], score["tuned"]) == -np.inf:
        raise TuningError(
            f"{name}: validation returns are not finite, neither of the start nor of what was found"
        )
    # Noise may have led the search astray; what it started from is kept then.
    chosen = "tuned" if score["tuned"] >= score["start"] else "start"
    best = search.best if chosen == "tuned" else problem.start
    outcome = (
        f"{name}: return {measured['start'].mean():,.0f} before, {measured['tuned'].mean():,.0f} after tuning, "
        f"{len(seeds)} validation episodes"
        + _lost(sum(x >= LOST for told in search.cost for x in told), n_candidate * search.generation)
    )
    if score.get("stored", -np.inf) > score[chosen] and not plan.replace:
        return (
            f"{outcome}; those stored in {plan.out / name}.json return {score['stored']:,.0f} there and are kept "
            "(--replace takes what was found)"
        )
    write_json(
        plan.out / f"{name}.json",
        {
            "parameters": {key: _plain(value) for key, value in problem.decode(best).items()},
            "provenance": {
                "command": _command(name, plan),
                "method": "CMA-ES, mean of the last generation"
                if chosen == "tuned"
                else "start of the search",
                "date": date.today().isoformat(),
                "scenario": plan.scenario,
                "physics": plan.physics,
                "n_intervals": plan.n_intervals,
                "generations": search.generation,
                "candidates": n_candidate,
                "seeds_per_generation": n_seed,
                "first_training_seed": FIRST_SEED + 1000 * ORDER.index(name),
                "validation_seeds": [seeds[0], seeds[-1]],
                "validation_return_start": _rounded(score["start"]),
                "validation_return_tuned": _rounded(score["tuned"]),
            },
        },
        indent=1,
    )
    return outcome


def _command(name: str, plan: Plan) -> str:
    """What searches so again: the options that are not the usual ones."""
    usual: dict[str, tuple[Any, Any]] = {
        "case": (plan.case, ""),
        "physics": (plan.physics, "reduced"),
        "scenario": (plan.scenario, SCENARIOS.get(name, USUAL_SCENARIO)),
        "n-intervals": (plan.n_intervals, USUAL_INTERVALS),
        "candidates": (plan.n_candidate(name), CANDIDATES.get(name, USUAL_CANDIDATES)),
        "seeds": (plan.n_seed(name), EPISODES.get(name, USUAL_EPISODES)),
        "generations": (plan.n_generation(name), GENERATIONS[name]),
    }
    options = "".join(f" --{option} {now}" for option, (now, before) in usual.items() if now != before)
    refined = " --refine" if plan.refine else ""
    return f"python scripts/tune_baselines.py --only {name} --seed {plan.seed}{options}{refined}"


def _stored_in(path: Path, name: str, problem: Problem) -> dict[str, Any] | None:
    """Parameters that a file holds; None where there is no such file.

    Raises:
        TuningError: it holds none of this baseline.
    """
    if not path.is_file():
        return None
    try:
        parameters: dict[str, Any] = content_of(path.read_text(encoding="utf-8"), name)["parameters"]
        problem.encode(parameters)
    except (KeyError, ValueError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise TuningError(f"{path} holds no parameters of {name}: {said}; delete it to tune anew") from error
    return parameters


def _lost(n: int, n_candidate: int) -> str:
    """How many candidates had episodes that are not finite, in words; nothing where there were none."""
    return f", {n} of {n_candidate} candidates with returns that are not finite" if n else ""


def _rounded(score: float) -> float | None:
    """As JSON knows it; None where it is not finite."""
    return round(score, 1) if np.isfinite(score) else None


def _plain(value: Any) -> Any:
    """Numbers and arrays as JSON knows them, to six digits."""
    array = np.asarray(value, dtype=np.float64)
    return np.array([float(f"{x:.6g}") for x in array.ravel()]).reshape(array.shape).tolist()
