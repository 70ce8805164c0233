"""Trains MAPPO on the coupled 68-bus grid, or by --case on any other (docs/own_grid.md).

Without arguments: the recommended preset, 1000 episodes of 500 steps. A run writes its configuration,
metrics, checkpoints and models to a directory of its own, and its models to checkpoints/ as well.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import command_line
import option_checks
from marl.config.presets import PresetName, preset
from marl.config.training import ConfigError, TrainingConfig, check_resume

if TYPE_CHECKING:
    from control.scenario.task_grid import TaskGrid
    from marl.training.trainer import Trainer

PROGRAM = "train_mappo.py"
CASE = "ieee68"
EXIT_STATUS = {"SIGINT": 130, "SIGTERM": 143}
MORE_THAN_ASKED = 1.1  # steps, of which is told: an update takes a rollout whole


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where all other options take their defaults from."""

    preset: str = ""  # a name that is none is the second look's to refuse
    config: str = ""
    resume: str = ""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the training run."""

    # Hyper-parameters to start from: recommended learns best from nothing within minutes, quick is past tuned AGC in
    # seconds and ends after 150 episodes, reference is the specification's, thorough learns some ten minutes on the
    # reduced model before, residual begins with the tuned linear policy.
    preset: PresetName = "recommended"
    # Begin with the settings of a run that was made before: its directory or its config.json.
    config: str = ""
    # Continue the run of this directory from its last checkpoint.
    resume: str = ""
    # Directory of the run; without it runs/<case>-seed<k>-<time>.
    out: str = ""
    # Directory that receives the newest run's models; a resumed run keeps its own.
    checkpoints: Path = Path("checkpoints")
    # Write TensorBoard events.
    tensorboard: bool = True
    # Send metrics to this project of Weights & Biases as well (extra `wandb`; WANDB_MODE=offline keeps them here).
    wandb: str = ""
    # Play the environments in samplers of a Ray cluster (extra `ray`): local starts one on this machine, auto joins
    # that of this machine, HOST:PORT any other. Results are the same to the bit.
    ray: str = ""
    # Samplers of --ray; 0 takes one for each of the cluster's processors. A resumed run has as many as it began with.
    samplers: int = 0
    # The learner's settings.
    training: TrainingConfig = field(default_factory=TrainingConfig)


def parse(arguments: Sequence[str]) -> Arguments:
    """The arguments, with the preset's or the resumed run's values as defaults.

    Raises:
        ConfigError: a resumed run is given another preset, place or fixed setting.
    """
    description = (__doc__ or "").strip()
    first = command_line.parse(
        Beginning, program=PROGRAM, description=description, arguments=arguments, others_follow=True
    )
    checkpoints = Arguments.checkpoints
    training = preset(first.preset if first.preset in get_args(PresetName) else "recommended")  # type: ignore[arg-type]
    if first.config and (first.preset or first.resume):
        raise ConfigError("--config says all settings: leave --preset and --resume out")
    if first.config or first.resume:
        from marl.training.run_directory import (
            kept_checkpoints,
            read_config,
            require_checkpoint,
            run_directory,
        )

        if first.config:
            training = read_config(Path(first.config))
        else:
            training = read_config(directory := run_directory(Path(first.resume)))
            require_checkpoint(directory)
            checkpoints = kept_checkpoints(directory) or checkpoints
    parsed = command_line.parse(
        Arguments,
        program=PROGRAM,
        description=description,
        arguments=arguments,
        default=Arguments(training=training, checkpoints=checkpoints),
        may_be_empty=("start",),  # from nothing, where the preset or the configuration has a start
    )
    if first.resume:
        if first.preset:
            raise ConfigError("a resumed run keeps its settings: leave --preset out")
        if parsed.out:
            raise ConfigError("a resumed run stays in its directory: leave --out out")
        check_resume(training, parsed.training)
    require_parts(training, parsed.training)
    return parsed


def require_parts(before: TrainingConfig, asked: TrainingConfig) -> None:
    """Options of a start by imitation, or of a refinement, are for a run that has one.

    Raises:
        ConfigError: one was changed, and nobody is imitated, or nothing refined.
    """
    if asked.start.partition(":")[0] not in ("clone", "dagger"):
        refuse_changed(
            before.imitation,
            asked.imitation,
            f"a start by imitation, but start = {asked.start!r}: add --start dagger:EXPERT or clone:EXPERT",
        )
    if asked.refinement.refine_passes == 0:
        unrefined = replace(before.refinement, refine_passes=0)
        refuse_changed(
            unrefined, asked.refinement, "a refinement, but refine_passes = 0: add --refine-passes 40"
        )


def refuse_changed(before: Any, asked: Any, of: str) -> None:
    """Refuses a setting that is other than before, being of a part that the run has not.

    Raises:
        ConfigError: there is one.
    """
    for one in fields(asked):
        value = getattr(asked, one.name)
        if value != getattr(before, one.name):
            raise ConfigError(f"{one.name} = {value} is of {of} (docs/learners.md), or leave it out")


def directory_of(arguments: Arguments) -> Path:
    """Where the run is, or will be.

    Raises:
        ConfigError: a new run is to go where there is one already.
    """
    from marl.training.run_directory import new_directory, run_directory

    if arguments.resume:
        return run_directory(Path(arguments.resume))
    name = Path(arguments.training.case).stem or CASE
    return new_directory(arguments.training, Path(arguments.out) if arguments.out else None, name)


def tell_what_begins(config: TrainingConfig, directory: Path, grid: TaskGrid, *, resume: bool) -> None:
    """How long the run is and where, whether it plays many more steps than its episodes come to, and on what grid."""
    print(
        f"{'Resuming' if resume else 'Training'} {config.total_episodes} episodes of "
        f"{config.episode_steps} steps in {config.n_envs} environments: {directory}",
        flush=True,
    )
    steps = config.n_updates * config.ppo.buffer_steps
    if steps > MORE_THAN_ASKED * config.total_steps:
        print(
            f"An update takes {config.ppo.buffer_steps:,} steps: {steps:,} are played, where "
            f"{config.total_steps:,} were asked for; --buffer-steps sets it.",
            flush=True,
        )
    tell_of(grid)


def tell_of(grid: TaskGrid) -> None:
    """What was assumed of a grid of one's own, and what it breaks before anybody acts."""
    for note in grid.notes:
        print(f"grid: {note}")
    for warning in grid.warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)
    sys.stdout.flush()


def train(arguments: Arguments, directory: Path) -> int:
    """Trains as asked and says what came of it; the exit status.

    Raises:
        ConfigError: the run that is to go on has trained all its episodes and left its models where they belong.
    """
    from marl.training.run_directory import (
        VERSIONS,
        holds_run,
        publish,
        run_claim,
        write_config,
        write_versions,
    )

    config, resume = arguments.training, bool(arguments.resume)
    place = None if arguments.checkpoints == Arguments.checkpoints else arguments.checkpoints
    with run_claim(directory, resume=resume) as claim:
        from marl.algorithms.registry import algorithm_named
        from marl.cluster.connection import connected
        from marl.environment.grid_training import case_name, grid_of, make_trainer
        from marl.training.curves import MetricsError, draw_training_curves
        from marl.training.progress_report import ProgressReport
        from marl.training.two_models import parts_left

        # A cluster that is not there is told before anything is said to be trained.
        with connected(arguments.ray) if arguments.ray else contextlib.nullcontext() as cluster:
            # A run with a checkpoint may have nothing left to do, which is seen once it is taken up.
            taken_up = holds_run(directory)
            if not taken_up:
                tell_what_begins(config, directory, grid_of(config), resume=resume)
            if not resume:  # before an imitation, which goes on by it where it is broken off
                write_config(directory, config, case_name(config), place)
            for part in parts_left(config, directory):
                if part.directory != directory:
                    print(
                        f"First {part.config.total_episodes} episodes on the reduced model: {part.directory}"
                    )
                with make_trainer(
                    part.config,
                    algorithm_named(config.algorithm),
                    part.directory,
                    claim=claim if part.directory == directory else None,
                    resume=holds_run(part.directory),
                    tensorboard=arguments.tensorboard,
                    wandb=arguments.wandb,
                    cluster=cluster,
                    samplers=arguments.samplers,
                    learner_from=part.learner_from,
                    share=part.share,
                ) as trainer:
                    if part.directory == directory:
                        require_something_left(trainer, directory, arguments.checkpoints)
                        if taken_up:
                            tell_what_begins(config, directory, grid_of(config), resume=resume)
                        write_config(directory, trainer.config, case_name(config), place)
                    else:
                        write_config(directory, config, case_name(config), place)
                        write_config(part.directory, trainer.config, case_name(config))
                    if not resume or not (directory / VERSIONS).exists():  # stopped while it imitated
                        write_versions(directory)
                    if trainer.device.type != "cpu":
                        print(f"Networks on {trainer.device}.", flush=True)
                    episodes = trainer.run_state.steps / config.episode_steps
                    with ProgressReport(part.config, episodes=episodes) as trainer.on_progress:
                        result = trainer.run()
                if not result.finished:
                    break
    if not holds_run(directory):  # stopped on the reduced model
        print(f"Saved, {result.reason}. To resume: {resume_command(arguments, directory)}")
        return next((status for name, status in EXIT_STATUS.items() if name in result.reason), 0)
    try:
        draw_training_curves(directory)
    except MetricsError as error:  # metrics of a resumed run that somebody has broken: its models are whole
        print(f"{PROGRAM}: no training_curves.png: {error}", file=sys.stderr)
    publish(directory, arguments.checkpoints)
    if result.best_return is not None and result.last_return is not None:
        print(
            f"Held-out return: best {result.best_return:,.1f} at update {result.best_update}, "
            f"last {result.last_return:,.1f}."
        )
    if result.finished:
        print(f"Done: {directory}, models also in {arguments.checkpoints}/.")
        return 0
    print(f"Saved, {result.reason}. To resume: {resume_command(arguments, directory)}")
    return next((status for name, status in EXIT_STATUS.items() if name in result.reason), 0)


def require_something_left(trainer: Trainer, directory: Path, checkpoints: Path) -> None:
    """Refuses to go on with a run that has done all that is asked of it.

    Raises:
        ConfigError: it has trained more episodes than are asked for, or all of them, and left its models where they
            belong.
    """
    from marl.training.run_directory import is_published

    config, played = trainer.config, trainer.run_state
    if played.update > config.n_updates:
        raise ConfigError(
            f"{directory} has trained {played.steps // config.episode_steps} episodes already, "
            f"--total-episodes {config.total_episodes}, expected more than that, or leave it out"
        )
    # What was killed after its last episode has yet to write and publish its models.
    if trainer.has_ended and is_published(directory, checkpoints):
        raise ConfigError(
            f"{directory} has trained all of its {config.total_episodes} episodes; "
            "ask for more by --total-episodes"
        )


def resume_command(arguments: Arguments, directory: Path) -> str:
    """What to type, here and now, for the run to go on: with what it does not remember itself."""
    kept = ["--ray", arguments.ray] if arguments.ray else []
    return command_line.command(__file__, "--resume", str(directory), *kept)


def stopped_at_once(arguments: Arguments, directory: Path) -> str:
    """What is left of a run that had no time to save."""
    from marl.training.run_directory import has_begun

    if has_begun(directory):
        return f"stopped; what it saved last is kept, to resume: {resume_command(arguments, directory)}"
    return "stopped before anything was saved"


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong option, 130 or 143 stopped by a signal and saved."""

    def work() -> int:
        parsed = parse(arguments)
        import torch

        from control.controllers.base import BaselineError
        from control.evaluation.refusal import ComparisonError
        from marl.checkpoint import CheckpointError
        from marl.cluster.connection import ClusterError
        from marl.environment.grid_training import check_scenarios, require_samplers
        from marl.environment.trained_grid import OtherGrid
        from marl.sampling.child_process import WorkerError
        from marl.training.run_directory import forget_refused, has_begun
        from marl.training.trainer import TrainingFailed
        from marl.training.wandb_writer import require_wandb

        check_scenarios(parsed.training)  # before anything is built
        require_samplers(parsed.training, parsed.samplers, on_cluster=bool(parsed.ray))
        if parsed.wandb:
            require_wandb()
        option_checks.require_writable("checkpoints", parsed.checkpoints / "best_model.pt")
        directory = directory_of(parsed)
        option_checks.require_folder("resume" if parsed.resume else "out", directory)
        try:
            return train(parsed, directory)
        except KeyboardInterrupt:
            print(f"{PROGRAM}: {stopped_at_once(parsed, directory)}", file=sys.stderr)
            return 130
        except command_line.OutputError:
            raise
        except OSError as error:
            # A full disk may also meet the metrics: checkpoints are replaced whole or not at all.
            kept = "; checkpoints written before are intact" if has_begun(directory) else ""
            raise command_line.WorkFailed(f"{command_line.in_words(error)}{kept}") from error
        except torch.cuda.OutOfMemoryError as error:
            raise command_line.WorkFailed("the GPU is out of memory; use --device cpu") from error
        except (BaselineError, ComparisonError, OtherGrid) as error:
            raise ConfigError(f"--start {parsed.training.start}: {error}") from error
        except (CheckpointError, ClusterError, TrainingFailed, WorkerError) as error:
            raise command_line.WorkFailed(str(error)) from error
        finally:
            forget_refused(directory)

    failed = (OSError, command_line.WorkFailed)
    return command_line.attempt(PROGRAM, work, failed=failed, stopped=command_line.NOTHING_WRITTEN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
