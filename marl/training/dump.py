"""Evidence of an update that failed: the algorithm from before it, enough to make it fail again."""

from __future__ import annotations

from pathlib import Path

from marl import checkpoint
from marl.algorithms.algorithm import MakeAlgorithm, NonFiniteLoss
from marl.config.training import TrainingConfig
from marl.protocol import BatchedEnvironment

__all__ = ["DUMP", "replay_dump", "write_dump"]

DUMP = "nonfinite_dump.pt"


def write_dump(directory: Path, error: NonFiniteLoss, *, algorithm: str, progress: float) -> Path:
    """Keeps what the error knows of the update that it ended.

    Args:
        directory: of the run.
        error: with the state from before.
        algorithm: its name.
        progress: share of the training that was over.
    """
    path = directory / DUMP
    checkpoint.save(path, "dump", {"algorithm": algorithm, "state": error.before, "progress": progress})
    return path


def replay_dump(
    path: Path, config: TrainingConfig, environment: BatchedEnvironment, make: MakeAlgorithm
) -> dict[str, float] | None:
    """Runs the update of a dump again.

    Args:
        path: of the dump.
        config: of the run.
        environment: any one with the run's agents.
        make: builds the run's algorithm.

    Raises:
        NonFiniteLoss: as in the run, unless what made it fail has been mended.
        marl.checkpoint.CheckpointError: the dump is of another algorithm, or cannot be read.
    """
    content = checkpoint.load(path, "dump")
    algorithm = make(
        config,
        environment.groups,
        environment.state_size,
        per_agent_rewards=bool(getattr(environment, "per_agent_rewards", False)),
    )
    if content["algorithm"] != algorithm.name:
        raise checkpoint.CheckpointError(f"{path} is of {content['algorithm']}, not of {algorithm.name}")
    algorithm.load_state(content["state"])
    return algorithm.update(content["progress"])
