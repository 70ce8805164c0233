"""How a comparison refuses what it is asked for; it imports nothing, so that whoever tells of it need not either."""

from __future__ import annotations

__all__ = ["ComparisonError"]


class ComparisonError(ValueError):
    """The comparison cannot be done as asked; the message says why."""
