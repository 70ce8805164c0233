"""A run's metrics in Weights & Biases, for those who keep theirs there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marl.config.check import ConfigError
from marl.training.run_state import TrainingFailed


def require_wandb() -> None:
    """Refuses to send metrics to what is not installed, before anything is built.

    Raises:
        ConfigError: wandb is not.
    """
    try:
        import wandb  # noqa: F401, whether it can be
    except ImportError as error:
        raise ConfigError("--wandb: wandb is not installed; pip install wandb, or leave it out") from error


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
            ConfigError: wandb is not installed.
            TrainingFailed: it refuses.
        """
        require_wandb()
        import wandb

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
