"""Trains MAPPO on the coupled 68-bus grid.

Without arguments: the recommended preset, 1000 episodes of 500 steps. A run writes its configuration,
metrics, checkpoints and models to a directory of its own, and its models to checkpoints/ as well.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command_line
from marl.config.presets import PresetName, preset
from marl.config.training import ConfigError, TrainingConfig, check_resume, from_dict

if TYPE_CHECKING:
    from control.scenario.config import ScenarioConfig
    from marl.environment.batch import GridBatch
    from marl.protocol import BatchedEnvironment
    from marl.training.run_state import Progress
    from marl.training.trainer import Trainer

PROGRAM = "train_mappo.py"
CASE = "ieee68"
CHECKPOINT = "checkpoint_last.pt"
PUBLISHED = ("best_model.pt", "final_model.pt", "training_stats.json", "training_curves.png")
SECONDS_BETWEEN_LINES = 10.0
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
    """The arguments, with the preset's or the resumed run's values as defaults."""
    resume = command_line.option(arguments, "resume")
    name = command_line.option(arguments, "preset") or "recommended"
    # A name that is none is the parser's to refuse.
    training = preset(name if name in get_args(PresetName) else "recommended")  # type: ignore[arg-type]
    before = None
    if resume:
        before = read_config(run_directory(Path(resume)))
        training = before
    parsed = command_line.parse(
        Arguments,
        program=PROGRAM,
        description=(__doc__ or "").strip(),
        arguments=arguments,
        default=Arguments(training=training),
    )
    if before is not None:
        if command_line.option(arguments, "preset") is not None:
            raise ConfigError("a resumed run keeps its settings: leave --preset out")
        if parsed.out:
            raise ConfigError("a resumed run stays in its directory: leave --out out")
        check_resume(before, parsed.training)
    return parsed


def run_directory(path: Path) -> Path:
    """The run's directory, given itself or a file in it."""
    return path.parent if path.is_file() else path


def read_config(directory: Path) -> TrainingConfig:
    try:
        values = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{directory} is no run to resume: it has no config.json") from error
    except (OSError, ValueError) as error:  # no text, no JSON
        raise ConfigError(f"{directory / 'config.json'} cannot be read: {error}") from error
    try:
        return from_dict(values["training"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{directory / 'config.json'} describes no training of this project: {error!r}"
        ) from error


def write_config(directory: Path, config: TrainingConfig) -> None:
    from marl.checkpoint import write_atomically

    content = json.dumps({"case": CASE, "training": dataclasses.asdict(config)}, indent=2) + "\n"
    write_atomically(directory / "config.json", content.encode("utf-8"))


def write_versions(directory: Path) -> None:
    """What the run was made with: the commit, and the version of everything that could move a result."""
    import platform
    import subprocess
    from importlib import metadata

    from marl.checkpoint import write_atomically

    root = Path(__file__).resolve().parent.parent
    ask = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        commit = subprocess.run(ask, cwd=root, capture_output=True, text=True).stdout.strip()
    except OSError:  # a machine without git trains as well
        commit = ""
    names = ("torch", "numpy", "scipy", "pandapower", "lightsim2grid", "numba", "pettingzoo", "tyro")
    packages = {}
    for name in names:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "not installed"
    content = {
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
    }
    write_atomically(directory / "versions.json", (json.dumps(content, indent=2) + "\n").encode("utf-8"))


def new_directory(config: TrainingConfig, out: Path | None) -> Path:
    if out is not None:
        if (out / CHECKPOINT).exists():
            raise ConfigError(
                f"{out} already holds a run: continue it with --resume {out}, or choose another --out"
            )
        return out
    return Path("runs") / f"{CASE}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"


def publish(directory: Path, checkpoints: Path) -> None:
    """Copies the run's models and report to checkpoints/, each replaced atomically."""
    from marl.checkpoint import write_atomically

    for name in PUBLISHED:
        if (directory / name).exists():
            write_atomically(checkpoints / name, (directory / name).read_bytes())


def describe(progress: Progress) -> str:
    """Return, rms frequency deviation, violations, speed and time left, as one line."""
    parts = [f"return {progress.terms['return']:,.0f}"]
    for prefix in ("rms_", "violations"):
        for name in progress.terms:
            if name.startswith(prefix):
                parts.append(f"{name.replace('_', ' ')} {progress.terms[name]:.4g}")
                break
    if progress.eval_return is not None:
        parts.append(f"held-out {progress.eval_return:,.0f} (best {progress.best_return:,.0f})")
    parts.append(f"{progress.steps_per_s:,.0f} steps/s")
    left = int(progress.time_left_s)
    parts.append(f"{left // 60}:{left % 60:02d} left")
    return ", ".join(parts)


def progress_reporter(config: TrainingConfig) -> Callable[[Progress], None]:
    """A bar in a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(
            total=config.total_episodes,
            unit="episode",
            bar_format="{l_bar}{bar}| {n:.0f}/{total} episodes{postfix}",
            dynamic_ncols=True,
        )

        def show(progress: Progress) -> None:
            bar.n = min(progress.episodes, config.total_episodes)
            bar.set_postfix_str(describe(progress))
            if progress.update == progress.n_updates:
                bar.close()

        return show

    last = [-float("inf")]

    def line(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] >= SECONDS_BETWEEN_LINES or progress.update == progress.n_updates:
            last[0] = now
            print(
                f"{progress.episodes:.0f}/{config.total_episodes} episodes: {describe(progress)}", flush=True
            )

    return line


def scenario_of(config: TrainingConfig, name: str) -> ScenarioConfig:
    """The scenario of this name with episodes as long as the configuration says.

    Raises:
        ScenarioError: there is none, or its file is wrong. ConfigError: its file says another length.
    """
    from cases.ieee68 import load_ieee68
    from control.scenario.file import scenario_named
    from control.scenario.suites import SCENARIOS

    scenario = scenario_named(name, load_ieee68())
    if scenario.n_intervals != config.episode_steps and name not in SCENARIOS:
        raise ConfigError(
            f"{name}: n_intervals = {scenario.n_intervals}, but episodes are to have {config.episode_steps} steps; "
            f"ask for --episode-steps {scenario.n_intervals}"
        )
    return dataclasses.replace(scenario, n_intervals=config.episode_steps)


def batch_maker(config: TrainingConfig, name: str, *, stagger: bool) -> Callable[[int], GridBatch]:
    """Builds batches of the grid; staggered ones stand at different times. A partial, which processes can be sent."""
    from marl.environment.batch import make_batch

    return functools.partial(
        make_batch,
        scenario_of(config, name),
        seed=config.seed,
        observation=config.observation,
        level=config.level,
        stagger=stagger,
    )


def training_environments(config: TrainingConfig) -> BatchedEnvironment:
    """A batch of the grid to train in, in this process or in workers."""
    make = batch_maker(config, config.scenario, stagger=True)
    if config.n_workers == 0:
        return make(config.n_envs)
    from marl.sampling.workers import WorkerBatch

    return WorkerBatch(make, config.n_envs, config.n_workers)


def make_trainer(arguments: Arguments, directory: Path) -> Trainer:
    from marl.environment.held_out import HeldOut
    from marl.environment.warm_start import start_of
    from marl.training.trainer import Trainer

    config, settings = arguments.training, arguments.training.evaluation
    make_evaluation = batch_maker(config, settings.eval_scenario or config.scenario, stagger=False)
    return Trainer(
        config,
        training_environments(config),
        directory=directory,
        judge=HeldOut(functools.partial(make_evaluation, settings.eval_episodes)),
        resume=bool(arguments.resume),
        start=None if arguments.resume else start_of(config),
        metadata={"case": CASE},
        on_progress=progress_reporter(config),
        tensorboard=arguments.tensorboard,
    )


def train(arguments: Arguments) -> int:
    from training_curves import MetricsError, draw_training_curves

    config = arguments.training
    for name in (config.scenario, config.evaluation.eval_scenario):
        if name:
            scenario_of(config, name)  # both, before anything is built
    command_line.require_writable("checkpoints", arguments.checkpoints / PUBLISHED[0])
    if arguments.resume:
        directory = run_directory(Path(arguments.resume))
    else:
        directory = new_directory(config, Path(arguments.out) if arguments.out else None)
    trainer = make_trainer(arguments, directory)
    if trainer.run_state.update >= config.n_updates:
        raise ConfigError(
            f"{directory} has trained all of its {config.total_episodes} episodes; ask for more by --total-episodes"
        )
    write_config(directory, config)
    if not arguments.resume:
        write_versions(directory)
    print(
        f"{'Resuming' if arguments.resume else 'Training'} {config.total_episodes} episodes of "
        f"{config.episode_steps} steps in {config.n_envs} environments on {trainer.device}: {directory}",
        flush=True,
    )
    try:
        result = trainer.run()
    finally:
        trainer.close()
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
    from marl.sampling.workers import WorkerError
    from marl.training.trainer import TrainingFailed

    try:
        return train(parsed)
    except ScenarioError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except (CheckpointError, TrainingFailed, WorkerError, command_line.OutputError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk may also meet the metrics: checkpoints are replaced whole or not at all.
        print(f"{PROGRAM}: error: {error}; checkpoints written before are intact", file=sys.stderr)
        return 1
    except torch.cuda.OutOfMemoryError:
        print(f"{PROGRAM}: error: the GPU is out of memory; use --device cpu", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
