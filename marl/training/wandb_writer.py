"""A run's metrics in Weights & Biases, for those who keep theirs there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marl.training.run_state import TrainingFailed


class WandbWriter:
    """Sends what metrics.csv holds. The run goes by its directory's name, so that a resumed one goes on there.

    Whether anything leaves the machine is wandb's own setting: WANDB_MODE=offline keeps it in the directory.
    """

    def __init__(self, directory: Path, project: str, config: Mapping[str, Any]) -> None:
        """Begins, or goes on with, the run.

        Args:
            directory: of the run; wandb's own files go there.
            project: its name at Weights & Biases.
            config: all settings.

        Raises:
            TrainingFailed: wandb is not installed, or refuses.
        """
        try:
            import wandb
        except ImportError as error:
            raise TrainingFailed(
                "--wandb: wandb is not installed; pip install wandb, or leave it out"
            ) from error
        name = directory.resolve().name
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._run: Any = wandb.init(
                project=project, name=name, id=name, dir=str(directory), config=dict(config), resume="allow"
            )
        except wandb.errors.Error as error:
            raise TrainingFailed(f"--wandb {project}: {error}") from error

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """The tags of an update, at this number of environment steps."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Ends the run there; wandb sends what is left."""
        self._run.finish()
