"""What happens to the grid from outside, as data on a time axis.

An event says when, what and to which row of which table of the case. Switching events (a circuit or a machine
goes out or comes back) and load steps take effect at an instant and are applied by whoever integrates the
grid. Ramps last; they are folded into the power profiles with `ramp_profile_mw` before the integration
begins, so that an integrator never meets one. Nothing here draws random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from cases.arrays import FloatArray

SWITCHING_KINDS = ("branch_out", "branch_in", "machine_out", "machine_in")
INSTANT_KINDS = SWITCHING_KINDS + ("load_step",)
RAMP_KINDS = ("load_ramp", "renewable_ramp")
EVENT_KINDS = INSTANT_KINDS + RAMP_KINDS

# Which table of the case `Event.index` is a row of.
TABLE_OF_KIND = {
    "branch_out": "branch",
    "branch_in": "branch",
    "machine_out": "machine",
    "machine_in": "machine",
    "load_step": "load",
    "load_ramp": "load",
    "renewable_ramp": "renewable",
}


class DisturbanceError(ValueError):
    """An event, or a sequence of them, cannot happen; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One disturbance.

    branch_out, branch_in, machine_out, machine_in: the row of that table leaves or returns.
    load_step: the active power of that row's load rises by p_mw at once (falls where p_mw < 0) and stays there; its
        reactive power stays as it was, while a load_ramp keeps the load's power factor.
    load_ramp, renewable_ramp: it changes by p_mw along a straight line of duration_s and stays there.
    """

    time_s: float  # from the beginning of the episode
    kind: str
    index: int  # row of the branch, machine, load or renewable table
    p_mw: float = 0.0  # steps and ramps: change of consumption, or of renewable power
    duration_s: float = 0.0  # ramps only

    def __post_init__(self) -> None:
        if self.kind not in EVENT_KINDS:
            raise DisturbanceError(f"event kind = {self.kind!r}, expected one of {', '.join(EVENT_KINDS)}.")
        where = f"event {self.kind} of {TABLE_OF_KIND[self.kind]} row {self.index}"
        if not (isfinite(self.time_s) and self.time_s >= 0.0):
            raise DisturbanceError(f"{where}: time_s = {self.time_s}, expected >= 0.")
        if self.index < 0:
            raise DisturbanceError(f"{where}: expected a row >= 0.")
        if not isfinite(self.p_mw):
            raise DisturbanceError(f"{where}: p_mw = {self.p_mw}, expected a finite number.")
        if self.kind in SWITCHING_KINDS and self.p_mw != 0.0:
            raise DisturbanceError(f"{where}: p_mw = {self.p_mw}, expected 0: switching carries no power.")
        if self.kind in RAMP_KINDS and not (isfinite(self.duration_s) and self.duration_s > 0.0):
            raise DisturbanceError(f"{where}: duration_s = {self.duration_s}, expected > 0 for a ramp.")
        if self.kind not in RAMP_KINDS and self.duration_s != 0.0:
            raise DisturbanceError(f"{where}: duration_s = {self.duration_s}, expected 0: it has no length.")


def sort_events(events: Sequence[Event]) -> tuple[Event, ...]:
    """Events in order of time; of two at one instant the return comes first, so that a swap is possible."""
    return tuple(sorted(events, key=lambda event: (event.time_s, event.kind.endswith("_out"), event.index)))


def check_events(
    events: Sequence[Event],
    *,
    n_branch: int,
    n_machine: int,
    n_load: int,
    n_renewable: int,
    can_trip: Sequence[bool] | None = None,
) -> None:
    """Raise DisturbanceError unless every event names an existing row and outages and returns alternate.

    Args:
        events: in order of time.
        n_branch: rows of the branch table.
        n_machine: rows of the machine table.
        n_load: rows of the load table.
        n_renewable: rows of the renewable table.
        can_trip: for each machine, whether it is one unit; an equivalent of a region never trips whole.

    Raises:
        DisturbanceError: an event is earlier than the one before, names a row that the case lacks, takes out what is
            out, brings back what is in service, or trips a machine that is not one unit.
    """
    rows = {"branch": n_branch, "machine": n_machine, "load": n_load, "renewable": n_renewable}
    out: set[tuple[str, int]] = set()
    last_s = 0.0
    for event in events:
        table = TABLE_OF_KIND[event.kind]
        where = f"event at {event.time_s:g} s, {event.kind} of {table} row {event.index}"
        if event.time_s < last_s:
            raise DisturbanceError(f"{where}: earlier than the one before, expected order of time.")
        last_s = event.time_s
        if event.index >= rows[table]:
            raise DisturbanceError(f"{where}: the {table} table has {rows[table]} rows.")
        element = (table, event.index)
        if event.kind.endswith("_out"):
            if element in out:
                raise DisturbanceError(f"{where}: it is out already.")
            if event.kind == "machine_out" and can_trip is not None and not can_trip[event.index]:
                raise DisturbanceError(f"{where}: it stands for a whole region, expected a single unit.")
            out.add(element)
        elif event.kind.endswith("_in"):
            if element not in out:
                raise DisturbanceError(f"{where}: it is in service already.")
            out.discard(element)


def ramp_profile_mw(events: Sequence[Event], kind: str, time_s: FloatArray, n_row: int) -> FloatArray:
    """Sum of the ramps of one kind [MW], shape [time, row]; other kinds of event are passed over.

    p(t) = p_mw min(1, max(0, (t - t0) / duration))
    """
    profile_mw = np.zeros((len(time_s), n_row))
    for event in events:
        if event.kind == kind:
            share = np.clip((time_s - event.time_s) / event.duration_s, 0.0, 1.0)
            profile_mw[:, event.index] += event.p_mw * share
    return profile_mw
