"""Which grid a policy was trained on: a model file says so, and refuses any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cases.case import Case
from cases.ieee68 import VARIANTS

__all__ = [
    "PUBLISHED_NAME",
    "OtherGrid",
    "about_grid",
    "case_of",
    "require_its_grid",
    "require_source_of_grid",
]

PUBLISHED_NAME = "ieee68"  # of the 68-bus system, in runs and model files


class OtherGrid(ValueError):
    """A policy is to act on another grid than it was trained on."""


def about_grid(case: Case, source: str) -> dict[str, str]:
    """What a model file says of the grid it was trained on.

    Args:
        case: the grid.
        source: name or file it was opened by; empty is the 68-bus system.
    """
    if not source:
        return {"case": PUBLISHED_NAME}
    return {"case": case.name, "grid": case.identity, "grid_source": source}


def case_of(metadata: Mapping[str, Any]) -> str:
    """Name or file of the grid that a model was trained on; empty is the 68-bus system."""
    return str(metadata.get("grid_source", ""))


def require_its_grid(metadata: Mapping[str, Any], case: Case, where: str) -> None:
    """Refuse a policy on a grid that is not its own.

    Args:
        metadata: of the model.
        case: the grid it is to act on.
        where: what messages call the model.

    Raises:
        OtherGrid: it was trained on another one, or this one has changed since.
    """
    trained = _trained_on(metadata)
    if trained in (case.identity, PUBLISHED_NAME) and (
        trained != PUBLISHED_NAME or case.setting.is_published
    ):
        return
    if trained.split(" ")[0] == case.name:
        raise OtherGrid(
            f"{where} was trained on {trained}, which has changed since: it is {case.identity} now; train anew"
        )
    raise OtherGrid(_other(metadata, case.identity, where))


def require_source_of_grid(metadata: Mapping[str, Any], source: str, where: str) -> None:
    """Refuse, before a grid is opened, a policy of which its name says already that it was trained on another.

    What is left is for `require_its_grid`: a grid file may be of the 68-bus system, or have changed.

    Args:
        metadata: of the model.
        source: name or file of the grid it is to act on; empty is the 68-bus system.
        where: what messages call the model.

    Raises:
        OtherGrid: it was trained on another one.
    """
    trained = _trained_on(metadata)
    if not source or source in VARIANTS:
        other = trained != PUBLISHED_NAME and not trained.startswith(f"{PUBLISHED_NAME}-")
    elif trained == PUBLISHED_NAME:
        other = not Path(source).suffix
    else:
        # A grid is called by the stem of its file, whatever that is.
        other = trained.split(" ")[0] != Path(source).stem
    if other:
        raise OtherGrid(_other(metadata, source or PUBLISHED_NAME, where))


def _trained_on(metadata: Mapping[str, Any]) -> str:
    """Identity of the grid that a model says it was trained on."""
    return str(metadata.get("grid", metadata.get("case", PUBLISHED_NAME)))


def _other(metadata: Mapping[str, Any], grid: str, where: str) -> str:
    """That a policy was trained on another grid than this one, and where to play it."""
    source = case_of(metadata)
    advice = f"play it there by --case {source}" if source else "play it there, without --case"
    return f"{where} was trained on {_trained_on(metadata)}, not on {grid}: {advice}"
