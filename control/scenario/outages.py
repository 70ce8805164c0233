"""Random outages of an episode: which element, when, until when, and which ones are drawn again.

One element is out at a time (N-1): a circuit or transformer that comes back within the episode or not, or a real
unit that does not. A circuit whose loss islands a bus is a step-up; its loss is that of its unit, and drawn as such.

Operators run a grid so that no single loss takes it out of its limits, and would have moved it away from a state in
which one does. That preparation is not modelled. Instead an element whose loss would leave a bus outside its band or
a circuit above its emergency rating, whatever agents do, gives its place to another of the same kind, or of the
other kind if none is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.scenario.config import ScenarioConfig
from grid_model.dynamics.events import Event, sort_events
from grid_model.network.topology import bridges

__all__ = ["Plan", "RandomOutages", "SecureFunction"]

# Whether the grid stays within its voltage band and emergency ratings after an outage (an event that switches an
# element off) at given powers [MW] of loads, renewable plants and machines; the flag says whether the reactors
# have been set for the outage already.
SecureFunction = Callable[[Event, FloatArray, FloatArray, FloatArray, bool], bool]
# A dispatch: machines' powers at the marks [mark, machine] and the share of wind and sun that is kept [mark].
Plan = tuple[FloatArray, FloatArray]
# Powers [MW] of loads, renewable plants and machines under a dispatch at a time [s].
PowersFunction = Callable[[Plan, float], tuple[FloatArray, FloatArray, FloatArray]]
# Whether a machine is in the schedule at a time [s].
RunningFunction = Callable[[int, float], bool]

MOST_DRAWS = 12  # of another element in the place of one whose loss the grid could not stand


@dataclass(frozen=True, kw_only=True)
class RandomOutages:
    """Draws the outages of a configuration on one grid."""

    config: ScenarioConfig
    units: IntArray  # machines that may trip
    circuits: IntArray  # rows of the branch table that may be lost

    @classmethod
    def of(cls, case: Case, config: ScenarioConfig) -> RandomOutages:
        """Finds what may be lost."""
        in_range = (case.machine.p_mw >= config.unit_p_min_mw) & (case.machine.p_mw <= config.unit_p_max_mw)
        return cls(
            config=config,
            units=np.flatnonzero(in_range & ~case.machine.is_equivalent),
            circuits=np.setdiff1d(np.arange(case.n_branch), bridges(case)),
        )

    def draw(self, rng: np.random.Generator) -> tuple[Event, ...]:
        """Random outages, one element at a time, and the events of the configuration, in order of time."""
        config = self.config
        count = int(rng.poisson(config.outage_rate_per_h * config.duration_s / 3600.0))
        count = max(count, config.outages_min)
        if len(self.units) == 0 and len(self.circuits) == 0:
            count = 0  # nothing of this grid may be lost
        last_s = min(config.outage_last_s, config.duration_s)
        first_s = min(config.outage_first_s, last_s)
        events = list(config.events)
        back_s = 0.0
        for time_s in np.sort(rng.uniform(first_s, last_s, count)):
            is_unit = rng.uniform() < config.outage_unit_share and len(self.units) > 0
            if len(self.circuits) == 0:  # a grid without meshes: its circuits are step-ups and radial lines
                is_unit = True
            rows = self.units if is_unit else self.circuits
            row = int(rows[rng.integers(len(rows))])
            returns = rng.uniform() < config.repair_probability and not is_unit
            repair_s = rng.uniform(config.repair_min_s, config.repair_max_s)
            kind = "machine" if is_unit else "branch"
            clash = any(event.index == row and event.kind.startswith(kind) for event in config.events)
            if time_s < back_s or clash:
                continue  # another element is still out: this would be N-2
            events.append(Event(time_s=float(time_s), kind=f"{kind}_out", index=row))
            back_s = float(time_s + repair_s) if returns else np.inf
            if back_s < config.duration_s:
                events.append(Event(time_s=back_s, kind=f"{kind}_in", index=row))
        return sort_events(events)

    def of_running_units(
        self, events: tuple[Event, ...], is_running: RunningFunction, key: int
    ) -> tuple[Event, ...]:
        """Random outages of units that are in the schedule, those of others moved to one of these.

        Args:
            events: as drawn, with those of the configuration, which are left alone.
            is_running: whether a machine is in the schedule at a time.
            key: of the episode, from which other elements are drawn.
        """
        rng = np.random.default_rng([key, 2])
        moved = []
        for event in events:
            if (
                event in self.config.events
                or event.kind != "machine_out"
                or is_running(event.index, event.time_s)
            ):
                moved.append(event)
                continue
            running = [int(row) for row in self.units if is_running(int(row), event.time_s)]
            # Without a unit that could trip a circuit does.
            rows = running if running else self.circuits.tolist()
            kind = "machine_out" if running else "branch_out"
            moved.append(replace(event, kind=kind, index=rows[int(rng.integers(len(rows)))]))
        return sort_events(moved)

    def secured(
        self,
        events: tuple[Event, ...],
        plan: Plan,
        make_plan: Callable[[tuple[Event, ...]], Plan],
        powers_at: PowersFunction,
        is_running: RunningFunction,
        secure: SecureFunction,
        key: int,
    ) -> tuple[tuple[Event, ...], Plan]:
        """Events in which each random outage is one the grid can stand, with the dispatch that follows from them.

        Judged are the moment of the outage and its end.

        Args:
            events: as drawn, with those of the configuration, which are left alone.
            plan: their dispatch.
            make_plan: dispatch for other events.
            powers_at: loads, plants and machines at a time under a dispatch.
            is_running: whether a machine is in the schedule at a time; of the others none is lost.
            secure: says whether the grid can stand an outage at these powers.
            key: of the episode, from which other elements are drawn.
        """
        config = self.config
        rng = np.random.default_rng([key, 1])
        drawn = [event for event in events if event not in config.events and event.kind.endswith("_out")]
        for event in drawn:
            back = [e for e in events if e.time_s > event.time_s and _undoes(e, event)]
            end_s = back[0].time_s if back else config.duration_s

            def stands(outage: Event, plan: Plan, until_s: float) -> bool:
                return all(
                    secure(outage, *powers_at(plan, at_s), reactors_follow)
                    for at_s, reactors_follow in ((outage.time_s, False), (until_s, True))
                )

            if stands(event, plan, end_s):
                continue
            is_unit = event.kind == "machine_out"
            tables = [("machine", self.units), ("branch", self.circuits)]
            candidates = [
                (table, int(row))
                for table, rows in (tables if is_unit else tables[::-1])
                for row in rng.permutation(rows)[:MOST_DRAWS]
            ]
            rest = tuple(e for e in events if e is not event and e not in back)
            found = None
            for table, row in candidates:
                if any(e.index == row and e.kind.startswith(table) for e in config.events):
                    continue
                if table == "machine" and not is_running(row, event.time_s):
                    continue
                other = replace(event, kind=f"{table}_out", index=row)
                # A unit does not return within the episode; a circuit does when the one drawn first did.
                ends = [replace(e, kind="branch_in", index=row) for e in back if table == "branch"]
                tried = sort_events((*rest, other, *ends))
                its_plan = make_plan(tried) if is_unit or table == "machine" else plan
                if stands(other, its_plan, end_s if ends or table == "branch" else config.duration_s):
                    found = tried, its_plan
                    break
            events, plan = found if found is not None else (rest, make_plan(rest))  # nothing may be lost now
        return events, plan


def _undoes(event: Event, outage: Event) -> bool:
    """Whether the event puts back what the outage took."""
    return event.index == outage.index and event.kind == outage.kind.replace("_out", "_in")
