"""Draws training_curves.png of a run from its metrics.csv.

python scripts/training_curves.py RUN
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def read_metrics(path: Path) -> dict[str, FloatArray]:
    """Columns of metrics.csv; what a row does not say is nan."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(row[name]) if row[name] else np.nan for row in rows])
        for name in (rows[0] if rows else {})
    }


def draw_training_curves(directory: Path) -> Path:
    """Six panels: return, frequency, violations, reward terms, exploration, fit of the critic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    metrics = read_metrics(directory / "metrics.csv")
    steps = metrics.get("step", np.zeros(0))

    def having(prefix: str) -> list[str]:
        return [name for name in metrics if name.startswith(prefix)]

    panels: list[tuple[str, list[str]]] = [
        ("return of an episode", ["train/return", "eval/return"]),
        ("rms deviation", having("grid/rms_") + having("eval/rms_")),
        ("violations in an episode", having("grid/violations") + having("eval/violations")),
        ("reward terms of an episode", having("grid/reward_")),
        ("log standard deviation", having("train/log_std_")),
        ("KL divergence, explained variance", ["train/kl", "train/explained_variance"]),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for axis, (title, names) in zip(axes.flat, panels, strict=True):
        for name in names:
            if name not in metrics:
                continue
            known = np.isfinite(metrics[name])
            held_out = name.startswith("eval/")
            axis.plot(
                steps[known],
                metrics[name][known],
                marker="o" if held_out else None,
                markersize=4,
                linewidth=1.8 if held_out else 1.0,
                label=f"{name.split('/', 1)[1].replace('_', ' ')}{', held out' if held_out else ''}",
            )
        if title.startswith(("return", "reward")):
            axis.set_yscale("symlog", linthresh=1000.0)
        axis.set_title(title)
        axis.set_xlabel("environment steps")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    path = directory / "training_curves.png"
    temporary = directory / ".training_curves.part.png"
    figure.savefig(temporary, dpi=120)
    plt.close(figure)
    temporary.replace(path)
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: training_curves.py RUN")
    print(draw_training_curves(Path(sys.argv[1])))
