"""A study of recipes: one switch changed at a time, every variant trained with several seeds and judged alike.

Every variant is trained with every seed on the same episodes and judged on the same validation episodes of each
condition, by the policy the run ends with and by its best one. Runs that are done are not repeated, one that was broken
off goes on from its last checkpoint, and only conditions that are new are judged. Validation seeds, not the published
suites': this chooses recipes. What is played comes in as a `World`: nothing here knows the grid.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cases.processes.ending import process_pool
from marl.algorithms.registry import algorithm_named
from marl.checkpoint import CheckpointError, write_atomically
from marl.config.network import GONE
from marl.config.presets import preset
from marl.config.training import LATER, ConfigError, TrainingConfig
from marl.networks.policy import Policy
from marl.training.curriculum import Curriculum
from marl.training.curves import read_metrics
from marl.training.evaluator import Judge
from marl.training.run_claim import RunClaim
from marl.training.run_directory import (
    BEFORE_LAST,
    BEST,
    CHECKPOINT,
    FINAL,
    REDUCED,
    forget_rounds,
    has_begun,
    holds_run,
    read_config,
    write_config,
)
from marl.training.run_state import RunState, TrainingResult
from marl.training.trainer import Trainer
from marl.training.two_models import Part, parts_of
from marl.training.variants import VARIANTS, Variant

GOES_ON = "the same command goes on with the runs that are missing"


@dataclass(frozen=True, kw_only=True)
class World:
    """What a study needs of the environments; functions that another process can be sent."""

    make_batch: Callable[
        ..., Any
    ]  # (scenario, n_env, seed, observation, *, stagger, check) -> BatchedEnvironment
    # What fresh actors of a run begin with, in its directory.
    warm_start: Callable[[TrainingConfig, Path], Callable[[Policy], None] | None]
    held_out: Callable[
        [Callable[[], Any]], Judge
    ]  # a judge, from what builds the environment of its episodes
    require_scenario: Callable[[str], None]  # raises where there is no such scenario
    validation_seeds: range  # training draws below
    case: str  # name of the grid
    complete: Callable[[TrainingConfig], TrainingConfig] = lambda config: (
        config
    )  # fills in what only the grid knows, such as the dead zones of a law that actors begin with
    curriculum: Callable[[TrainingConfig], Curriculum | None] = lambda config: (
        None
    )  # what training episodes are drawn from; None is one scenario


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is compared, in which conditions, and where it is kept."""

    names: tuple[str, ...]  # of the variants
    seeds: int  # runs of each, with seeds 0, 1, ...
    total_episodes: int  # of each run
    observation: Literal["default", "extended", "memory", "telemetry", "areas", "hierarchy"]
    scenario: str  # to train in
    judge_scenarios: tuple[str, ...]  # to judge in; rows are of the first
    judge_episodes: int  # in each
    out: Path  # directory of the runs
    workers: int = 1  # runs at a time, one thread each
    train: bool = True  # what is missing; without it only runs that are done are told of


def configuration(variant: Variant, study: Study, seed: int) -> TrainingConfig:
    """The recipe of one run."""
    base = preset(variant.preset)
    ppo = dataclasses.replace(base.ppo, **variant.ppo)
    config = dataclasses.replace(
        base,
        seed=seed,
        device="cpu",
        network=dataclasses.replace(base.network, **variant.network),
        ppo=ppo,
        **{
            "observation": study.observation,
            "scenario": study.scenario,
            **variant.training,
            # A variant may need fewer than the study has, never more.
            "total_episodes": min(study.total_episodes, variant.training.get("total_episodes", math.inf)),
        },
    )
    if config.reduced_episodes:
        share = study.total_episodes / base.total_episodes
        config = dataclasses.replace(config, reduced_episodes=max(1, round(share * config.reduced_episodes)))
    if ppo.policy_average == 0.0 or config.n_updates >= base.n_updates:
        return config
    # A shorter run averages over the same share of its updates; with the whole of them its beginning would stay in.
    updates = config.n_updates / base.n_updates / (1.0 - ppo.policy_average)
    return dataclasses.replace(
        config, ppo=dataclasses.replace(ppo, policy_average=max(0.0, 1.0 - 1.0 / updates))
    )


def recipe(name: str, study: Study, seed: int, world: World) -> TrainingConfig:
    """The configuration of a variant's run in this world."""
    config = configuration(VARIANTS[name], study, seed).validated_from(world.validation_seeds.start)
    return world.complete(config)


class ResultError(RuntimeError):
    """The result of an earlier run cannot be read; the message says what to do."""


def directory_of(name: str, study: Study, seed: int) -> Path:
    """Where the run of a variant with a seed is."""
    return study.out / f"{name}-seed{seed}"


def earlier_result(directory: Path) -> dict[str, Any]:
    """What a run in this directory left; empty if there was none.

    Raises:
        ResultError: the file is broken or no result.
    """
    path = directory / "result.json"
    try:
        result: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ResultError(f"{path} is broken ({error}); delete it to have it written anew") from error
    if not isinstance(result, dict):
        raise ResultError(f"{path} is no result of a run; delete it to have it written anew")
    return result


def check(study: Study, world: World) -> None:
    """Raises before the first run what would else be noticed after it.

    Raises:
        ConfigError: the study cannot be meant. ResultError: what an earlier run left is broken. And what the world
        raises where a scenario is unknown.
    """
    if not study.names:
        raise ConfigError("no variant is named, expected some of " + ", ".join(VARIANTS))
    unknown = [n for n in study.names if n not in VARIANTS]
    if unknown:
        raise ConfigError(f"no variant {unknown[0]}, only {', '.join(VARIANTS)}")
    for option in ("workers", "seeds", "judge_episodes"):
        if getattr(study, option) < 1:
            raise ConfigError(f"--{option} {getattr(study, option)}, expected at least 1")
    if not study.judge_scenarios:
        raise ConfigError("--judge_scenarios names none")
    configs = [configuration(VARIANTS[name], study, seed=0) for name in study.names]
    # Past the seeds that choose the best model, and not into those of the published suites.
    most = len(world.validation_seeds) - max(config.evaluation.eval_episodes for config in configs)
    if study.judge_episodes > most:
        raise ConfigError(
            f"--judge_episodes {study.judge_episodes}, expected at most {most}: there are no more validation seeds"
        )
    for scenario in [*(config.scenario for config in configs), *study.judge_scenarios]:
        world.require_scenario(scenario)
    for name in study.names:
        for seed in range(study.seeds):
            earlier_result(directory_of(name, study, seed))


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """What moves a result: not how often a run is saved, nor which process evaluates; as JSON gives it."""

    def filled(value: Any, usual: Any) -> Any:
        """A part that came later with what came into it later still."""
        return usual | value if isinstance(value, dict) else value

    def told(part: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
        """Without what came later and is as it was before there was a choice: earlier runs do not name it."""
        return {
            name: told(value, usual[name]) if isinstance(value, dict) and name in usual else value
            for name, value in part.items()
            if name not in GONE and not (name in LATER and filled(value, usual[name]) == usual[name])
        }

    kept = {
        name: value
        for name, value in told(config, plain(TrainingConfig())).items()
        if name != "checkpoint_every"
    }
    evaluation = {k: v for k, v in kept.get("evaluation", {}).items() if k != "eval_process"}
    return kept | {"evaluation": evaluation}


def is_this_run(known: Any, config: TrainingConfig) -> bool:
    """Whether a configuration that an earlier run has left is this one."""
    return isinstance(known, dict) and settings(known) == settings(plain(config))


def is_broken_off(directory: Path, config: TrainingConfig) -> bool:
    """Whether a run of these settings has left a checkpoint here, or a round of its imitation."""
    try:
        return has_begun(directory) and is_this_run(plain(read_config(directory)), config)
    except ConfigError:
        return False


def train(name: str, config: TrainingConfig, directory: Path, world: World) -> dict[str, Any]:
    """One run of training; its description, its learning curve and how far its last policy is from its best.

    A run of the same settings that was broken off in this directory goes on from its last checkpoint.

    Raises:
        ResultError: the run cannot go on from its checkpoint.
        CheckpointError: the model that a new run starts from cannot be read.
        marl.training.run_claim.DirectoryClaimed: another process trains in this directory.
        KeyboardInterrupt: a signal ended the run.
    """
    with RunClaim(directory) as claim:  # before anything in it is looked at or removed
        training, states = _trained(config, directory, world, claim)
    if not training.finished:
        raise KeyboardInterrupt  # a signal ended the run: its result is none, and the next must not begin
    metrics = read_metrics(directory / "metrics.csv")
    known_at = np.isfinite(metrics["eval/return"])
    elapsed_s, n_update = (sum(getattr(state, what) for state in states) for what in ("elapsed_s", "update"))
    return {
        "variant": name,
        "seed": config.seed,
        "config": plain(config),
        "curve": {
            "steps": metrics["step"][known_at].tolist(),
            "return": metrics["eval/return"][known_at].tolist(),
        },
        "last_behind_best_percent": training.statistics["last_behind_best_percent"],
        "elapsed_s": elapsed_s,
        "steps_per_s": sum(state.steps for state in states) / max(elapsed_s, 1e-9),
        "update_ms": 1e3 * sum(state.update_s for state in states) / max(n_update, 1),
        "parameters": sum(p.numel() for p in Policy.load(directory / FINAL).parameters()),
        "judged": {},
    }


def _trained(
    config: TrainingConfig, directory: Path, world: World, claim: RunClaim
) -> tuple[TrainingResult, list[RunState]]:
    """The run itself, from its beginning or from where it was broken off, and how its parts went.

    Raises:
        ResultError: see `train`, as for the others.
        CheckpointError: see there.
    """
    broken_off = is_broken_off(directory, config)
    if not broken_off:  # in this order: never what tells of one run beside the weights of another
        for folder in (directory, directory / REDUCED):
            for file in ("result.json", CHECKPOINT, BEFORE_LAST, BEST, FINAL):
                (folder / file).unlink(missing_ok=True)
            forget_rounds(folder)
        write_config(directory, config, world.case)
    states: list[RunState] = []
    for part in parts_of(config, directory):
        resume = broken_off and holds_run(part.directory)
        own = claim if part.directory == directory else None
        if own is None:
            write_config(part.directory, part.config, world.case)
        try:
            trainer = _trainer(part, world, resume=resume, claim=own)
        except CheckpointError as error:
            if not resume:
                raise
            reason = str(error).split(";")[0]  # without what `train_mappo.py` could do instead
            again = f"delete {directory} to have its run done again"
            raise ResultError(f"{reason}; {again}") from error
        with trainer:
            training = trainer.run()
        states.append(trainer.run_state)
        if not training.finished:
            break
    return training, states


def _trainer(part: Part, world: World, *, resume: bool, claim: RunClaim | None) -> Trainer:
    """The trainer of a part of a run.

    Raises:
        CheckpointError: it cannot go on from its checkpoint, or cannot begin with the model it is to start from.
    """
    config = part.config
    model = {"physics": config.physics} if config.physics != "full" else {}
    pool = {"pool": config.pool} if model else {}
    return Trainer(
        # Variants run side by side: they need the cores for themselves.
        dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, eval_process=False)),
        world.make_batch(
            config.scenario, config.n_envs, config.seed, config.observation, stagger=True, **model, **pool
        ),
        algorithm=algorithm_named(config.algorithm),
        directory=part.directory,
        curriculum=world.curriculum(config),
        claim=claim,
        first_validation_seed=world.validation_seeds.start,
        resume=resume,
        start=None if resume or part.learner_from else world.warm_start(config, part.directory),
        learner_from=part.learner_from,
        share=part.share,
        judge=world.held_out(
            lambda: world.make_batch(
                config.scenario, config.evaluation.eval_episodes, config.seed, config.observation, **model
            )
        ),
        tensorboard=False,
    )


def judge(
    directory: Path, config: TrainingConfig, scenario: str, n_episode: int, world: World
) -> dict[str, Any]:
    """Mean terms of the run's last and best policy in validation episodes of one condition, and what each returned.

    Raises:
        ResultError: a policy of the run cannot be read.
    """
    batch = world.make_batch(scenario, n_episode, config.seed, config.observation, check=False)
    play = world.held_out(lambda: batch)
    seeds = np.array(judged_seeds(config, n_episode, world))
    found: dict[str, Any] = {"episodes": n_episode}
    for which, file in (("final", FINAL), ("best", BEST)):
        try:
            policy = Policy.load(directory / file)
        except CheckpointError as error:
            raise ResultError(f"{error}; delete {directory} to have its run done again") from error
        terms = play(policy, seeds)
        found[which] = {term: float(x.mean()) for term, x in terms.items()}
        found[which]["returns"] = terms["return"].tolist()
        found[which] |= typical_costs(-terms["return"])
    return found


def judged_seeds(config: TrainingConfig, n_episode: int, world: World) -> range:
    """Seeds of the episodes that judge: of the validation, past those that chose the best model during training."""
    first = world.validation_seeds.start + config.evaluation.eval_episodes
    return range(first, first + n_episode)


def typical_costs(costs: npt.NDArray[np.float64]) -> dict[str, float]:
    """Median and geometric mean of what episodes cost, [episode]: one of forty may hold half of the mean.

    Where an episode costs nothing there is no geometric mean, and it is left out.
    """
    found = {"cost_median": float(np.median(costs))}
    if np.all(costs > 0.0):
        found["cost_geometric_mean"] = float(np.exp(np.log(costs).mean()))
    return found


def plain(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as JSON gives it back."""
    described: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return described


def run(name: str, study: Study, seed: int, world: World) -> dict[str, Any]:
    """Trains one variant with one seed and judges it; what is in its directory already is not done again."""
    directory = directory_of(name, study, seed)
    path = directory / "result.json"
    config = recipe(name, study, seed, world)
    result = earlier_result(directory)
    if not is_this_run(result.get("config"), config):
        result = train(name, config, directory, world)
        write_atomically(path, json.dumps(result, indent=2).encode("utf-8"))
    for scenario in study.judge_scenarios:
        known = result["judged"].get(scenario)
        if known is None or known["episodes"] != study.judge_episodes or "returns" not in known["final"]:
            result["judged"][scenario] = judge(directory, config, scenario, study.judge_episodes, world)
            write_atomically(path, json.dumps(result, indent=2).encode("utf-8"))
    return result


def is_done(name: str, study: Study, seed: int, world: World) -> bool:
    """Whether this run stands in --out, with the settings that it would have today."""
    known = earlier_result(directory_of(name, study, seed)).get("config")
    return is_this_run(known, recipe(name, study, seed, world))


def runs(study: Study, world: World, pool: Executor | None = None) -> Iterator[dict[str, Any]]:
    """Every variant with every seed, as they end; of those that are done alone where nothing is to be trained.

    Args:
        study: what is compared.
        world: what is played.
        pool: trains `study.workers` of them at a time, in place of processes of this machine's.

    Raises:
        ResultError: what an earlier run left is broken, or the process of a run was killed.
        CheckpointError: a file of a run cannot be read or written.
        marl.training.trainer.TrainingFailed: a run cannot go on.
    """
    jobs = [(name, study, seed) for seed in range(study.seeds) for name in study.names]
    todo = iter([(*job, world) for job in jobs if study.train or is_done(*job, world)])
    if study.workers == 1 and pool is None:
        yield from (run(*job) for job in todo)
        return
    try:
        with (
            process_pool(study.workers, max_tasks_per_child=1) if pool is None else nullcontext(pool)
        ) as trainers:
            yield from _side_by_side(todo, study.workers, trainers)
    except BrokenExecutor as error:
        raise ResultError(f"the process of a run was killed; {GOES_ON}") from error


def results(
    study: Study, world: World, tell: Callable[[str], None], pool: Executor | None = None
) -> list[dict[str, Any]]:
    """What every run came to, by variant and seed; `tell` is given a line as each ends.

    Args:
        study: what is compared.
        world: what is played.
        tell: takes a line.
        pool: see `runs`.

    Raises:
        ResultError: no run is done and none is to be trained; see also `runs`.
    """
    found = []
    for result in runs(study, world, pool):
        found.append(result)
        returns = {s: result["judged"][s]["final"]["return"] for s in study.judge_scenarios}
        judged = ", ".join(f"{scenario} {value:,.0f}" for scenario, value in returns.items())
        tell(f"{result['variant']} seed {result['seed']}, trained in {result['elapsed_s']:.0f} s: {judged}")
    if not found:
        raise ResultError(f"{study.out} holds none of these runs; without --no-train they are done")
    return sorted(found, key=lambda result: (study.names.index(result["variant"]), result["seed"]))


def _side_by_side(
    todo: Iterator[tuple[str, Study, int, World]], workers: int, pool: Executor
) -> Iterator[dict[str, Any]]:
    """Runs in processes of their own, as they end."""
    # As many at a time as there are workers: one more in the pool's queue would still begin after Ctrl-C.
    going = {pool.submit(run, *job) for job in islice(todo, workers)}
    while going:
        done, going = wait(going, return_when=FIRST_COMPLETED)
        for error in (job.exception() for job in done):
            if going and isinstance(error, Exception):  # else nobody would know until they have ended
                print(f"{error}; runs that are under way go on to their end", file=sys.stderr, flush=True)
        yield from (job.result() for job in done)
        going |= {pool.submit(run, *job) for job in islice(todo, len(done))}
