"""The name that was meant by one that does not exist: another letter case, a slip of the pen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["perhaps"]


def perhaps(name: str, known: Iterable[str]) -> str:
    """What to add to a message about an unknown name.

    Args:
        name: as it was given.
        known: names that there are.

    Returns:
        ` (perhaps you meant case39)`, or nothing where no name is near.
    """
    by_small = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_small, 1, 0.75)
    return f" (perhaps you meant {by_small[near[0]]})" if near else ""
