"""The look that all pictures share: readable in grey, legends above the axes and never on the data."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases.whole_file import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#222222"
LIMIT = "#8c2d04"
# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a pattern of its own.
STYLES: tuple[tuple[str, Any], ...] = (
    ("#0072b2", "-"),
    ("#d55e00", (0, (5, 1.5))),
    ("#009e73", (0, (1.2, 1.2))),
    ("#cc79a7", (0, (6, 1.5, 1.2, 1.5))),
    ("#56b4e9", (0, (3, 1, 1, 1, 1, 1))),
    ("#e69f00", (0, (8, 3))),
)


def style(position: int) -> dict[str, Any]:
    """Colour and pattern of the line at this position of a legend."""
    color, pattern = STYLES[position % len(STYLES)]
    return {"color": color, "linestyle": pattern}


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """A figure that makes room for legends above its axes; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return figure


def legend_above(axes: Axes) -> None:
    """The legend above the axes, in several lines where panels stand side by side."""
    spec = axes.get_subplotspec()
    beside = 1 if spec is None else spec.get_gridspec().ncols
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols={1: 6, 2: 3}.get(beside, 2),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.2,
        handlelength=2.6,
        columnspacing=1.2,
    )


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write the picture whole or not at all: a reader never finds half a file.

    Raises:
        OSError: it cannot be written.
    """
    # Drawn in memory: on a full disk matplotlib's PDF ends in an error of zlib, and Pillow's in one without words.
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=dpi)
    write_bytes(path, picture.getvalue())
