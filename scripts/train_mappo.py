"""Trains MAPPO on the coupled 68-bus grid.

Without arguments: the recommended preset, 1000 episodes of 500 steps. A run writes its configuration,
metrics, checkpoints and models to a directory of its own, and its models to checkpoints/ as well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import command_line
from marl.config.presets import PresetName, preset
from marl.config.training import ConfigError, TrainingConfig, check_resume

PROGRAM = "train_mappo.py"
EXIT_STATUS = {"SIGINT": 130, "SIGTERM": 143}


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where all other options take their defaults from."""

    preset: str = ""  # a name that is none is the second look's to refuse
    resume: str = ""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the training run."""

    # Hyper-parameters to start from: recommended learns best on this grid, reference is the specification's, residual
    # begins with the tuned linear policy.
    preset: PresetName = "recommended"
    # Continue the run of this directory from its last checkpoint.
    resume: str = ""
    # Directory of the run; without it runs/<case>-seed<k>-<time>.
    out: str = ""
    # Directory that receives the newest run's models.
    checkpoints: Path = Path("checkpoints")
    # Write TensorBoard events.
    tensorboard: bool = True
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
    training = preset(first.preset if first.preset in get_args(PresetName) else "recommended")  # type: ignore[arg-type]
    if first.resume:
        from marl.training.run_directory import read_config, run_directory

        training = read_config(run_directory(Path(first.resume)))
    parsed = command_line.parse(
        Arguments,
        program=PROGRAM,
        description=description,
        arguments=arguments,
        default=Arguments(training=training),
    )
    if first.resume:
        if first.preset:
            raise ConfigError("a resumed run keeps its settings: leave --preset out")
        if parsed.out:
            raise ConfigError("a resumed run stays in its directory: leave --out out")
        check_resume(training, parsed.training)
    return parsed


def train(arguments: Arguments) -> int:
    """Trains as asked and says what came of it; the exit status.

    Raises:
        ConfigError: the run that is to go on has trained all its episodes.
    """
    from marl.algorithms.registry import algorithm_named
    from marl.environment.grid_training import CASE, make_trainer
    from marl.training.curves import MetricsError, draw_training_curves
    from marl.training.progress_report import progress_reporter
    from marl.training.run_directory import (
        new_directory,
        publish,
        run_claim,
        run_directory,
        write_config,
        write_versions,
    )

    config, resume = arguments.training, bool(arguments.resume)
    if resume:
        directory = run_directory(Path(arguments.resume))
    else:
        directory = new_directory(config, Path(arguments.out) if arguments.out else None, CASE)
    reporter = progress_reporter(config)
    with (
        run_claim(directory, resume=resume) as claim,
        make_trainer(
            config,
            algorithm_named(config.algorithm),
            directory,
            claim=claim,
            resume=resume,
            on_progress=reporter,
            tensorboard=arguments.tensorboard,
        ) as trainer,
    ):
        if trainer.run_state.update >= config.n_updates:
            raise ConfigError(
                f"{directory} has trained all of its {config.total_episodes} episodes; "
                "ask for more by --total-episodes"
            )
        write_config(directory, trainer.config, CASE)
        if not resume:
            write_versions(directory)
        print(
            f"{'Resuming' if resume else 'Training'} {config.total_episodes} episodes of "
            f"{config.episode_steps} steps in {config.n_envs} environments on {trainer.device}: {directory}",
            flush=True,
        )
        result = trainer.run()
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
    print(f"Saved, {result.reason}. To resume: python scripts/{PROGRAM} --resume {directory}")
    return next((status for name, status in EXIT_STATUS.items() if name in result.reason), 0)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong option, 130 or 143 stopped by a signal and saved."""

    def work() -> int:
        parsed = parse(arguments)
        import torch

        from marl.checkpoint import CheckpointError
        from marl.environment.grid_training import check_scenarios
        from marl.sampling.workers import WorkerError
        from marl.training.trainer import TrainingFailed

        check_scenarios(parsed.training)  # before anything is built
        command_line.require_writable("checkpoints", parsed.checkpoints / "best_model.pt")
        try:
            return train(parsed)
        except command_line.OutputError:
            raise
        except OSError as error:
            # A full disk may also meet the metrics: checkpoints are replaced whole or not at all.
            raise command_line.WorkFailed(f"{error}; checkpoints written before are intact") from error
        except torch.cuda.OutOfMemoryError as error:
            raise command_line.WorkFailed("the GPU is out of memory; use --device cpu") from error
        except (CheckpointError, TrainingFailed, WorkerError) as error:
            raise command_line.WorkFailed(str(error)) from error

    stopped = "stopped; what was saved last can be resumed"
    return command_line.attempt(PROGRAM, work, failed=(OSError, command_line.WorkFailed), stopped=stopped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
