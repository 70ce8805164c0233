"""What a year of unit commitment leaves of inertia and primary control, by load level and by share of wind and sun.

The commitment is that of a perfect forecast at the marks of the dispatch; units that a planned power flow asks for
besides, to keep clear of its limits, are not in it.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from control.scenario.episode import EpisodeBuilder
from grid_model.dynamics.governor import GovernorConfig

__all__ = ["CommitmentYear", "commitment_year", "table"]

LOAD_LEVELS = (0.0, 0.45, 0.55, 0.65, 0.75, 0.85, 2.0)
RENEWABLE_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Marks of the year of one kind."""

    what: str
    share_of_year: float
    units: float  # real units in the schedule, mean
    inertia_gws: float  # sum of H S of what is in the schedule, mean
    inertia_min_gws: float
    inertia_max_gws: float
    gain_mw_per_hz: float  # of its governors, mean
    gain_min_mw_per_hz: float
    gain_max_mw_per_hz: float


@dataclass(frozen=True, kw_only=True)
class CommitmentYear:
    """Inertia and gain of every mark of a year; all arrays [mark]."""

    load_level: FloatArray
    renewable_share: FloatArray  # wind and sun over load
    units: FloatArray
    inertia_gws: FloatArray
    gain_mw_per_hz: FloatArray

    def stretch(self, what: str, chosen: BoolArray) -> Stretch:
        """The marks chosen, at least one, [mark]."""
        inertia, gain = self.inertia_gws[chosen], self.gain_mw_per_hz[chosen]
        return Stretch(
            what=what,
            share_of_year=float(chosen.mean()),
            units=float(self.units[chosen].mean()),
            inertia_gws=float(inertia.mean()),
            inertia_min_gws=float(inertia.min()),
            inertia_max_gws=float(inertia.max()),
            gain_mw_per_hz=float(gain.mean()),
            gain_min_mw_per_hz=float(gain.min()),
            gain_max_mw_per_hz=float(gain.max()),
        )

    def stretches(self) -> dict[str, list[Stretch]]:
        """The year as a whole, by load level, and by share of wind and sun."""
        found = {"year": [self.stretch("the year", np.ones(len(self.units), dtype=np.bool_))]}
        for name, words, values, edges in (
            ("by_load_level", "load level", self.load_level, LOAD_LEVELS),
            ("by_renewable_share", "wind and sun", self.renewable_share, RENEWABLE_SHARES),
        ):
            found[name] = []
            for low, high in itertools.pairwise(edges):
                chosen = (values >= low) & (values < high)
                if chosen.any():
                    upper = "and more" if high == edges[-1] else f"to {high:.2f}"
                    found[name].append(self.stretch(f"{words} {low:.2f} {upper}", chosen))
        return found

    def summary(self) -> dict[str, Any]:
        """The same as plain numbers."""
        return {name: [asdict(row) for row in rows] for name, rows in self.stretches().items()}


def commitment_year(case: Case, builder: EpisodeBuilder, governor: GovernorConfig) -> CommitmentYear:
    """The commitment of a scenario over the year.

    Args:
        case: the grid.
        builder: of the scenario's episodes.
        governor: of the grid; its gain is shared by rating.
    """
    load_mw, renewable_mw, share = builder.year_of_commitment()
    machine, config = case.machine, builder.config
    stored_gws = machine.h_s * machine.base_mva / 1e3
    if config.inertia_scale_to_mws is not None:
        stored_gws = stored_gws * (config.inertia_scale_to_mws / 1e3 / stored_gws.sum())
    return CommitmentYear(
        load_level=load_mw / case.load.p_mw.sum(),
        renewable_share=renewable_mw / load_mw,
        units=(share[:, ~machine.is_equivalent] > 0.0).sum(axis=1).astype(np.float64),
        inertia_gws=share @ stored_gws,
        gain_mw_per_hz=share @ (governor.gain_mw_per_hz * machine.rating_mva / machine.rating_mva.sum()),
    )


def table(found: CommitmentYear) -> list[str]:
    """Inertia and gain over the year, as lines of text."""
    head = f"{'in the schedule':28s}{'of year':>8s}{'units':>7s}{'inertia [GW s]':>20s}{'gain [MW/Hz]':>20s}"
    lines = [head]
    for rows in found.stretches().values():
        for row in rows:
            inertia = f"{row.inertia_gws:.0f} ({row.inertia_min_gws:.0f}-{row.inertia_max_gws:.0f})"
            gain = f"{row.gain_mw_per_hz:.0f} ({row.gain_min_mw_per_hz:.0f}-{row.gain_max_mw_per_hz:.0f})"
            lines.append(
                f"{row.what:28s}{100.0 * row.share_of_year:7.1f}%{row.units:7.1f}{inertia:>20s}{gain:>20s}"
            )
    return lines
