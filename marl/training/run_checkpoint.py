"""What a run's checkpoint is read for: the last one that is whole, and the learner in one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marl import checkpoint
from marl.algorithms.algorithm import Algorithm
from marl.training.run_directory import BEFORE_LAST, CHECKPOINT

__all__ = ["first_line", "last_whole", "take_learner"]


def last_whole(directory: Path) -> dict[str, Any]:
    """Content of a run's last checkpoint; of the one before where a disk or a copy has damaged that.

    Raises:
        CheckpointError: none can be read.
    """
    path, before = directory / CHECKPOINT, directory / BEFORE_LAST
    try:
        return checkpoint.load(path, "run")
    except checkpoint.CheckpointError as error:
        if path.exists() and not isinstance(error, checkpoint.BrokenCheckpoint):
            raise
        try:
            content = checkpoint.load(before, "run")
        except checkpoint.CheckpointError:
            raise error from None
        print(f"{str(error).split(';')[0]}: going on from {before}", file=sys.stderr)
    checkpoint.keep_also(before, path)  # or the next one would push it out and keep the damaged one
    return content


def take_learner(algorithm: Algorithm, content: Mapping[str, Any], path: Path) -> None:
    """Puts the learner of a checkpoint into an algorithm.

    Args:
        algorithm: fresh.
        content: of the checkpoint.
        path: its file, for messages.

    Raises:
        CheckpointError: it is of another algorithm or network.
    """
    name = content.get("algorithm")
    if name != algorithm.name:
        whose = f"of the algorithm {name}" if name else "of an earlier version, which names no algorithm"
        raise checkpoint.CheckpointError(
            f"{path} is {whose}, asked for is {algorithm.name}{checkpoint.alternative(path, 'run')}"
        )
    try:
        algorithm.load_state(content["learner"])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError(
            f"{path} was trained with other networks than asked for: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """What an exception says first; torch lists every layer."""
    return (str(error).splitlines() or [type(error).__name__])[0]
