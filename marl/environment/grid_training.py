"""Training on a grid: scenarios by name, batches of episodes, and the trainer of a configuration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases.compiler.announcement import announced
from control.scenario.config import ScenarioConfig
from control.scenario.file import scenario_named
from control.scenario.suites import SCENARIOS, VALIDATION_SEEDS
from control.scenario.task_grid import TaskGrid, open_task_grid
from marl.algorithms.algorithm import MakeAlgorithm
from marl.cluster.connection import Cluster
from marl.config.check import require
from marl.config.training import ConfigError, TrainingConfig
from marl.environment.curricula import curriculum_of
from marl.environment.held_out import HeldOut
from marl.environment.hierarchy import HIERARCHY
from marl.environment.trained_grid import PUBLISHED_NAME, about_grid
from marl.environment.warm_start import start_of, with_own_zones
from marl.networks.policy import Policy
from marl.sampling.inline import InlineSampler
from marl.sampling.sampler import Sampler
from marl.training.curriculum import Curriculum
from marl.training.run_claim import RunClaim
from marl.training.run_state import Progress
from marl.training.trainer import Trainer

if TYPE_CHECKING:
    from marl.environment.batch import GridBatch

CASE = PUBLISHED_NAME


def grid_of(config: TrainingConfig) -> TaskGrid:
    """The grid of a configuration, with what was assumed and what it breaks before anybody acts.

    Raises:
        cases.arrays.CaseDataError: there is none, or it cannot be played on.
    """
    return open_task_grid(config.case)


def case_name(config: TrainingConfig) -> str:
    """What a run on this grid is called by."""
    return grid_of(config).case.name if config.case else CASE


def scenario_of(config: TrainingConfig, name: str) -> ScenarioConfig:
    """The scenario of this name with episodes as long as the configuration says.

    Raises:
        control.scenario.config.ScenarioError: there is none, or its file is wrong.
        ConfigError: its file says another length.
    """
    scenario = scenario_named(name, grid_of(config).case)
    if scenario.n_intervals != config.episode_steps and name not in SCENARIOS:
        raise ConfigError(
            f"{name}: n_intervals = {scenario.n_intervals}, but episodes are to have {config.episode_steps} steps; "
            f"ask for --episode-steps {scenario.n_intervals}"
        )
    return dataclasses.replace(scenario, n_intervals=config.episode_steps)


def check_scenarios(config: TrainingConfig) -> None:
    """Raises what `scenario_of` does, for training and evaluation both, before anything is built.

    Raises:
        ConfigError: a slow layer is to learn where there are no coordinators, or nobody like that can be imitated.
    """
    require(
        config.algorithm != "hierarchical" or config.observation == HIERARCHY,
        f"algorithm = hierarchical learns with coordinators: add --observation {HIERARCHY}",
    )
    refined_in = config.refinement.scenarios_of("")
    for name in (config.scenario, config.evaluation.eval_scenario, *refined_in):
        if name:
            scenario_of(config, name)
    how, _, name = config.start.partition(":")
    if how in ("clone", "dagger"):
        from marl.environment.expert import experts_of

        experts_of(name, config)


def batch_maker(config: TrainingConfig, name: str, *, stagger: bool) -> Callable[[int], GridBatch]:
    """Builds batches of the grid; staggered ones stand at different times. A partial, which processes can be sent."""
    # Compiled kernels: seconds, after the names were looked at.
    from control.task.shield import ShieldConfig
    from marl.environment.batch import make_batch

    return functools.partial(
        make_batch,
        scenario_of(config, name),
        seed=config.seed,
        observation=config.observation,
        # The grid itself, where it is one's own: to open it again in every process would take seconds.
        case=grid_of(config).case if config.case else "",
        level=config.level,
        physics=config.physics,
        pool=config.pool if stagger and config.physics == "reduced" else 0,
        stagger=stagger,
        shield=ShieldConfig() if config.shield else None,
    )


def training_environments(
    config: TrainingConfig, cluster: Cluster | None = None, samplers: int = 0
) -> Sampler:
    """The grid to train in: in this process, or in samplers of a Ray cluster.

    Args:
        config: all settings.
        cluster: where samplers live; None keeps to this machine without Ray.
        samplers: how many; 0 takes one for each processor of the cluster.

    Raises:
        ConfigError: there are more samplers than environments, or what needs samplers has none.
    """
    require_samplers(config, samplers, on_cluster=cluster is not None)
    make = batch_maker(config, config.scenario, stagger=True)
    if cluster is None:
        return InlineSampler(make, config.n_envs)
    from marl.sampling.ray_sampler import RaySampler

    n_part = samplers or min(max(cluster.n_cpu, 1), config.n_envs)
    return RaySampler(cluster, make, config.n_envs, n_part, n_ahead=config.async_updates)


def require_samplers(config: TrainingConfig, samplers: int, *, on_cluster: bool) -> None:
    """Refuses samplers that there cannot be, and what needs them without any.

    Args:
        config: all settings.
        samplers: as they are asked for.
        on_cluster: whether there is a cluster for them.

    Raises:
        ConfigError: there are more samplers than environments, or what needs samplers has none.
    """
    if on_cluster:
        require(
            0 <= samplers <= config.n_envs,
            f"--samplers {samplers}, expected from 1 to n_envs = {config.n_envs}, or 0 for one a processor",
        )
        return
    require(samplers == 0, f"--samplers {samplers} are a Ray cluster's: add --ray local")
    require(
        config.async_updates == 0, f"--async-updates {config.async_updates} needs samplers: add --ray local"
    )


def beginning(config: TrainingConfig, directory: Path) -> Callable[[Policy], Any] | None:
    """What is done with a fresh policy: it is begun with, then refined if that is asked for; None leaves it as drawn.

    What both have done is kept in the run's directory.
    """
    start = _start(config, directory)
    if config.refinement.refine_passes == 0:
        return start
    from marl.environment.refined_start import begin_refining  # compiled kernels, as in `batch_maker`

    def build(scenario: str, n_env: int) -> GridBatch:
        level = "area" if config.level == "machine" else config.level
        reduced = dataclasses.replace(config, physics="reduced", level=level, reduced_episodes=0)
        return batch_maker(reduced, scenario, stagger=False)(n_env)

    return functools.partial(begin_refining, start=start, config=config, build=build, directory=directory)


def _start(config: TrainingConfig, directory: Path) -> Callable[[Policy], None] | None:
    """An expert is imitated, or see `marl.environment.warm_start.start_of`."""
    how, _, name = config.start.partition(":")
    if how not in ("clone", "dagger"):
        return start_of(config, grid_of(config).case)
    from marl.environment.expert import begin_imitating  # compiled kernels, as in `batch_maker`

    def build(n_env: int, observation: Any) -> GridBatch:
        shown = dataclasses.replace(config, observation=observation)
        return batch_maker(shown, config.scenario, stagger=True)(n_env)

    return functools.partial(
        begin_imitating, how=how, name=name, config=config, build=build, directory=directory
    )


def make_trainer(
    config: TrainingConfig,
    algorithm: MakeAlgorithm,
    directory: Path,
    *,
    curriculum: Curriculum | None = None,
    claim: RunClaim | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    tensorboard: bool = True,
    wandb: str = "",
    cluster: Cluster | None = None,
    samplers: int = 0,
    learner_from: Path | None = None,
    share: tuple[float, float] = (0.0, 1.0),
) -> Trainer:
    """A trainer of this configuration on the grid, which owns its environments.

    Args:
        config: all settings.
        algorithm: builds the learner.
        directory: of the run.
        curriculum: says by their names which scenarios episodes are drawn from; None asks the configuration.
        claim: on the directory, see `Trainer`.
        resume: take the run up from its last checkpoint.
        on_progress: called after every update.
        tensorboard: write events beside metrics.csv.
        wandb: project of Weights & Biases that receives metrics as well.
        cluster: see `training_environments`.
        samplers: see there.
        learner_from: see `Trainer`.
        share: see there.

    Raises:
        control.scenario.config.ScenarioError: see `scenario_of`.
        ConfigError: see `scenario_of`.
        marl.checkpoint.CheckpointError: see `marl.environment.warm_start.start_of` and `Trainer`.
        marl.training.trainer.TrainingFailed: see `Trainer`.
    """
    settings = config.evaluation
    make_held_out = batch_maker(config, settings.eval_scenario or config.scenario, stagger=False)
    config = with_own_zones(config, grid_of(config).case)
    start = None if resume or learner_from else beginning(config, directory)
    if config.network.fused == "auto":
        from marl.kernels.rehearsal import PACKAGES, rehearse

        with announced(PACKAGES):
            rehearse(learning=True)
    return Trainer(
        config,
        training_environments(config, cluster, samplers),
        algorithm=algorithm,
        directory=directory,
        curriculum=curriculum or curriculum_of(config),
        claim=claim,
        judge=HeldOut(functools.partial(make_held_out, settings.eval_episodes)),
        resume=resume,
        start=start,
        learner_from=learner_from,
        share=share,
        first_validation_seed=VALIDATION_SEEDS.first,
        metadata=about_grid(grid_of(config).case, config.case),
        on_progress=on_progress,
        tensorboard=tensorboard,
        wandb=wandb,
    )
