"""What a saved state of a task has to hold, asked before anything is changed: a state is taken whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["require_like", "require_options", "require_whole"]

# Earlier versions wrote none of these; which observation a state is of tells it from theirs.
_NOT_ALWAYS = ("scenario", "grid", "past_hz", "observation", "physics")
# Of a batch that a curriculum moves, and of no other.
_OF_CURRICULUM = ("draws_from", "drawn_from", "scenarios", "queued")


def require_options(state: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Whether a state is of a task that shows its agents the same, on the same physics.

    Args:
        state: what a task saved.
        options: of the task here, by name. A state of earlier versions does not say them.

    Raises:
        ValueError: it is of another.
    """
    # A grid stands in what the full simulator saves alone, which tells the physics of earlier versions too.
    said = {"physics": "full" if "grid" in state["loop"] else "reduced", **state}
    for name, own in options.items():
        found = said.get(name, own)
        if found != own:
            raise ValueError(
                f"the saved state is of {name} = {found!r}, this batch has {name} = {own!r}; go on with the {name} "
                "that it was saved with"
            )


def require_whole(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Whether a state has everything that the task's own has, in arrays of the same shape.

    Args:
        state: what a task saved.
        own: what the task here would save. What a curriculum adds is left to `draws.py`, and what a state of an
            earlier version never had is not asked for.

    Raises:
        ValueError: something is lacking, or is of another shape.
    """
    optional = _OF_CURRICULUM if "observation" in state else _OF_CURRICULUM + _NOT_ALWAYS
    require_like(state, {name: part for name, part in own.items() if name in state or name not in optional})


def require_like(state: Any, own: Any, where: str = "") -> None:
    """Whether a part of a state has every name that our own has, in arrays and lists of the same shape.

    Args:
        state: the part, as it was saved.
        own: the same part here; strings and numbers in it may be others.
        where: the names that lead to the part, each with a point behind it.

    Raises:
        ValueError: it has not.
    """
    advice = "it is of another version, grid, level or observation"
    if isinstance(own, Mapping):
        if not isinstance(state, Mapping):
            raise ValueError(
                f"the saved state has a {type(state).__name__} as {where[:-1] or 'its content'}, "
                f"expected a table of arrays; {advice}"
            )
        lacking = [where + name for name in own if name not in state]
        if lacking:
            raise ValueError(f"the saved state lacks {', '.join(lacking)}; {advice}")
        for name, part in own.items():
            require_like(state[name], part, f"{where}{name}.")
    elif isinstance(own, np.ndarray):
        # A list stands for an array here; what is neither has no numbers in it.
        if not isinstance(state, (np.ndarray, Sequence)) or isinstance(state, str):
            raise ValueError(
                f"the saved state has a {type(state).__name__} as {where[:-1]}, expected an array of shape "
                f"{own.shape}; {advice}"
            )
        if np.shape(state) != own.shape:
            raise ValueError(
                f"the saved state has {where[:-1]} of shape {np.shape(state)}, expected {own.shape}; {advice}"
            )
    elif isinstance(own, list) and (not isinstance(state, Sequence) or len(state) != len(own)):
        found = f"{len(state)} entries" if isinstance(state, Sequence) else f"a {type(state).__name__}"
        raise ValueError(f"the saved state has {found} as {where[:-1]}, expected {len(own)}; {advice}")
