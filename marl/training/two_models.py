"""A run that learns on the reduced model first and goes on in the full simulator: its two parts.

The first part is a run of its own in the folder `reduced` of the run's directory, with checkpoints and metrics. Its
learner, critic, normalisers, optimisers and averages included, begins the second. Step sizes and whatever else follows
the progress of a run fall once, over the steps of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from marl.config.training import TrainingConfig
from marl.training.run_directory import CHECKPOINT, REDUCED, holds_run

__all__ = ["Part", "parts_left", "parts_of"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the parts that a run is trained in."""

    config: TrainingConfig
    directory: Path
    share: tuple[float, float]  # of the whole run's progress: where it begins and ends
    learner_from: Path | None = None  # checkpoint whose learner begins it


def parts_of(config: TrainingConfig, directory: Path) -> tuple[Part, ...]:
    """The parts of a run: one, or the reduced model's and then the full simulator's.

    Args:
        config: of the run.
        directory: of the run.
    """
    if not config.reduced_episodes:
        return (Part(config=config, directory=directory, share=(0.0, 1.0)),)
    first = replace(config, physics="reduced", total_episodes=config.reduced_episodes, reduced_episodes=0)
    border = first.n_updates / (first.n_updates + config.n_updates)
    folder = directory / REDUCED
    return (
        Part(config=first, directory=folder, share=(0.0, border)),
        Part(config=config, directory=directory, share=(border, 1.0), learner_from=folder / CHECKPOINT),
    )


def parts_left(config: TrainingConfig, directory: Path) -> tuple[Part, ...]:
    """The same without those that are over: the second has begun once the run's own directory holds a checkpoint."""
    parts = parts_of(config, directory)
    return parts[-1:] if holds_run(directory) else parts
