"""One figure that must keep its limit, and why the limit is where it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure that must keep its limit: its size at most, or with `at_least` the figure itself no less."""

    what: str
    value: float
    limit: float
    unit: str
    reason: str  # of the limit
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its limit; one that is not a number does not."""
        return bool(self.value >= self.limit if self.at_least else abs(self.value) <= self.limit)
