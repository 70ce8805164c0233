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
        ConfigError: a resumed run is asked for with other settings or another directory.
    """
    resume = command_line.option(arguments, "resume")
    name = command_line.option(arguments, "preset") or "recommended"
    # A name that is none is the parser's to refuse.
    training = preset(name if name in get_args(PresetName) else "recommended")  # type: ignore[arg-type]
    if resume:
        from marl.training.run_directory import read_config, run_directory

        training = read_config(run_directory(Path(resume)))
    parsed = command_line.parse(
        Arguments,
        program=PROGRAM,
        description=(__doc__ or "").strip(),
        arguments=arguments,
        default=Arguments(training=training),
    )
    if resume:
        if command_line.option(arguments, "preset") is not None:
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
    from marl.algorithms.mappo import MAPPO
    from marl.environment.grid_training import CASE, make_trainer
    from marl.training.curves import MetricsError, draw_training_curves
    from marl.training.progress_report import progress_reporter
    from marl.training.run_directory import (
        new_directory,
        publish,
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
    with make_trainer(
        config, MAPPO, directory, resume=resume, on_progress=reporter, tensorboard=arguments.tensorboard
    ) as trainer:
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
    try:
        return _run(parse(arguments))
    except ConfigError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; what was saved last can be resumed", file=sys.stderr)
        return 130


def _run(parsed: Arguments) -> int:
    """`train`, with everything that may go wrong told in one line."""
    import torch

    from control.scenario.config import ScenarioError
    from marl.checkpoint import CheckpointError
    from marl.environment.grid_training import check_scenarios
    from marl.sampling.workers import WorkerError
    from marl.training.trainer import TrainingFailed

    status = 1
    try:
        check_scenarios(parsed.training)  # before anything is built
        command_line.require_writable("checkpoints", parsed.checkpoints / "best_model.pt")
        return train(parsed)
    except ScenarioError as error:
        status, said = 2, str(error)
    except (CheckpointError, TrainingFailed, WorkerError, command_line.OutputError) as error:
        said = str(error)
    except OSError as error:
        # A full disk may also meet the metrics: checkpoints are replaced whole or not at all.
        said = f"{error}; checkpoints written before are intact"
    except torch.cuda.OutOfMemoryError:
        said = "the GPU is out of memory; use --device cpu"
    print(f"{PROGRAM}: error: {said}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
