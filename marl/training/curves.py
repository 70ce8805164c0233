"""A run's learning curves: its metrics.csv as arrays, and training_curves.png drawn from them.

Pictures are readable in grey, with legends above the axes and never on the data.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marl.checkpoint import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

INK = "#222222"
GRID = "#d9dde0"
# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a pattern of its own.
STYLES: tuple[tuple[str, Any], ...] = (
    ("#0072b2", "-"),
    ("#d55e00", (0, (5, 1.5))),
    ("#009e73", (0, (1.2, 1.2))),
    ("#cc79a7", (0, (6, 1.5, 1.2, 1.5))),
    ("#56b4e9", (0, (3, 1, 1, 1, 1, 1))),
    ("#e69f00", (0, (8, 3))),
)
# Panel by panel: axis label with unit, columns to draw (all that begin so, if it ends in _), scale of the axis.
PANELS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("return of an episode [1]", ("train/return", "eval/return"), "symlog"),
    ("rms frequency deviation [mHz]", ("grid/rms_df_mhz", "eval/rms_df_mhz"), "log"),
    ("reward terms of an episode [1]", ("grid/reward_",), "symlog"),
    ("violations in an episode, by kind [1]", ("grid/violations_", "eval/violations"), "linear"),
    ("moved in an interval [MW]", ("grid/moved_mw_",), "linear"),
    ("exploration, standard deviation [1]", ("train/log_std_",), "linear"),
    ("KL divergence of an update [1]", ("train/kl",), "log"),
    ("explained variance of the critic [1]", ("train/explained_variance",), "linear"),
)
# Below this symlog axes are linear: a return of -1000 is what a good policy costs in a few minutes.
LINEAR_BELOW = {"return of an episode [1]": 1000.0, "reward terms of an episode [1]": 10.0}
FEWEST_NUMBERS = 2  # on an axis: with one alone nobody can read a value off
AVERAGED_OVER = 0.03  # training curves are running means over this share of the run


class MetricsError(ValueError):
    """metrics.csv is not what a run writes; the message says where."""


def read_metrics(path: Path) -> dict[str, FloatArray]:
    """Columns of metrics.csv; what a row does not say is nan.

    The last row of a run that was killed may be cut off, also in the middle of a number: it is left out, and a line
    on the terminal says so.

    Raises:
        MetricsError: a row before it has more or fewer fields than there are columns, or one that is no number.
    """
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        text = file.read()
    try:
        lines = [(k, x) for k, x in enumerate(csv.reader(io.StringIO(text, newline="")), start=1) if x]
    except csv.Error as error:
        raise MetricsError(f"{path} is no table: {error}") from error
    header = lines[0][1] if lines else []
    rows: list[list[float]] = []
    for number, fields in lines[1:]:
        wrong = _what_is_wrong(header, fields)
        if number == lines[-1][0] and (wrong or not text.endswith("\n")):
            print(f"{path}: the last row is cut off and left out", file=sys.stderr)
        elif wrong:
            raise MetricsError(f"{path}, row {number}: {wrong}")
        else:
            rows.append([float(field or "nan") for field in fields])
    return dict(zip(header, np.array(rows).T, strict=True)) if rows else {}


def _what_is_wrong(header: list[str], fields: list[str]) -> str:
    """Why these fields are no row of the table; empty if they are one."""
    if len(fields) != len(header):
        return f"{len(fields)} fields, expected {len(header)}"
    for name, field in zip(header, fields, strict=True):
        try:
            float(field or "nan")
        except ValueError:
            shown = name if name.isprintable() else repr(name)  # a damaged one may hold a line break
            return f"{shown} is {field!r}, expected a number"
    return ""


def draw_training_curves(directory: Path) -> Path:
    """Eight panels from metrics.csv in a run's directory: what was learned, and how the learner fared.

    Args:
        directory: holds metrics.csv; training_curves.png is written beside it.

    Returns:
        Path of the picture.

    Raises:
        MetricsError: metrics.csv is not what a run writes. CheckpointError: the picture cannot be written.
    """
    metrics = read_metrics(directory / "metrics.csv")
    if metrics and "step" not in metrics:
        raise MetricsError(f"{directory / 'metrics.csv'} has no column step")
    steps = metrics.get("step", np.zeros(0))
    figure = new_figure(17.0, 8.2, f"Training of {directory.name}")
    for axes, (label, columns, scale) in zip(figure.subplots(2, 4).flat, PANELS, strict=True):
        names = [
            name
            for column in columns
            for name in metrics
            if name == column or (column.endswith("_") and name.startswith(column))
        ]
        _plot(axes, steps / 1000.0, {name: metrics[name] for name in names})
        _scale(axes, scale, LINEAR_BELOW.get(label, 1.0))
        axes.set_xlabel("environment steps [1000]")
        axes.set_ylabel(label)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.01)
        if axes.lines:
            legend_above(axes, 2)
        else:
            axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=INK)
    path = directory / "training_curves.png"
    save(figure, path)
    return path


def _plot(axes: Axes, steps: FloatArray, columns: dict[str, FloatArray]) -> None:
    """Training columns as running means, held-out ones as dots, the best held-out return marked."""
    for position, (name, values) in enumerate(columns.items()):
        known = np.isfinite(values)
        x, y = steps[known], values[known]
        label = (
            name.split("/", 1)[1]
            .replace("reward_", "")
            .replace("moved_mw_", "")
            .replace("violations_", "")
            .replace("log_std_", "")
            .replace("_", " ")
        )
        if name.startswith("train/log_std_"):
            y = np.exp(y)
        if name.startswith("eval/"):
            axes.plot(x, y, marker="o", markersize=3.5, linewidth=1.0, color=INK, label="held out")
            if name == "eval/return" and len(y):
                best = int(np.argmax(y))
                axes.plot(
                    x[best],
                    y[best],
                    marker="*",
                    markersize=12,
                    color="#e69f00",
                    markeredgecolor=INK,
                    linestyle="none",
                    label=f"best {y[best]:,.0f}",
                )
        elif len(y):
            if name in ("train/return", "grid/rms_df_mhz"):
                label = "training"
            axes.plot(x, _running_mean(y), linewidth=1.3, label=label, **style(position))


def _scale(axes: Axes, scale: str, linear_below: float) -> None:
    """Scale of the vertical axis, with plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, SymmetricalLogLocator

    positive = all((np.asarray(line.get_ydata()) > 0.0).all() for line in axes.lines)
    if scale == "symlog":
        axes.set_yscale("symlog", linthresh=linear_below)
        axes.yaxis.set_major_locator(
            SymmetricalLogLocator(base=10.0, linthresh=linear_below, subs=[1.0, 2.0, 5.0])
        )
    elif scale == "log" and axes.lines and positive:
        axes.set_yscale("log")
        # As many numbers as stand beneath each other: few a decade where there are many decades.
        low, high = axes.get_ylim()
        decades = np.log10(high / low)
        subs = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0] if decades < 1.5 else [1.0, 3.0] if decades < 4.0 else [1.0]
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
    else:
        return
    low, high = axes.get_ylim()
    if sum(low < at < high for at in axes.yaxis.get_majorticklocs()) < FEWEST_NUMBERS:
        # A short run, or one that hardly moves, lies between two of the round numbers of its scale; all that is left
        # of them are the ends of the axis.
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _running_mean(values: FloatArray) -> FloatArray:
    """Centred mean over a window that shrinks towards both ends, so that no end is bent."""
    half = int(AVERAGED_OVER * len(values) / 2.0)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(at, len(values) - 1 - at), half)
    mean: FloatArray = (total[at + reach + 1] - total[at - reach]) / (2 * reach + 1)
    return mean


def new_figure(width: float, height: float, title: str) -> Figure:
    """A figure that makes room for legends above its axes; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK)
    return figure


def style(position: int) -> dict[str, Any]:
    """Colour and pattern of the line at this position of a legend."""
    color, pattern = STYLES[position % len(STYLES)]
    return {"color": color, "linestyle": pattern}


def legend_above(axes: Axes, columns: int) -> None:
    """The legend above the axes, in this many columns."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, fontsize=8.5, frameon=False,
        borderaxespad=0.2, handlelength=2.6, columnspacing=1.2,
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Writes the picture whole or not at all: a reader never finds half a file.

    Raises:
        CheckpointError: it cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=130)
    write_atomically(path, picture.getvalue())
