"""Draws training_curves.png of a run from its metrics.csv.

python scripts/training_curves.py RUN
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import command_line

PROGRAM = "training_curves.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the run."""

    def __post_init__(self) -> None:
        if not (self.run / "metrics.csv").is_file():
            raise command_line.OptionError(f"no metrics.csv in {self.run}, expected a run's directory")


def draw(options: Options) -> None:
    """Draws the picture and says where it is."""
    from marl.training.curves import draw_training_curves

    print(draw_training_curves(options.run))


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 drawn, 1 metrics that are broken or no place for the picture, 2 no run, 130 stopped."""
    return command_line.run(PROGRAM, Options, draw, arguments, about=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
