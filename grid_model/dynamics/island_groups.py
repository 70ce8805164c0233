"""Which islands live on, and which of their machines swing as one: groups that lie in one island each.

The frequency model has a fixed number of groups, one for each area of the whole grid (one in all at the `system` level,
one for each machine at `machine`) and those to spare. A group has one frequency, so it cannot lie in two islands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import BoolArray, IntArray
from cases.case import Case
from grid_model.network.topology import DarkIsland, is_whole, islands_that_live

__all__ = ["MOST_ISLANDS", "NO_GROUP", "Grouping", "group_by_island"]

MOST_ISLANDS = 4  # that live at once; another goes dark
NO_GROUP = "no group of the frequency model is free for its machines"


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which islands live, and which machines swing as one there."""

    island: IntArray  # number of each bus's island by falling machine rating, -1 where dark, [bus]
    machine_group: IntArray  # [machine]
    machine_in_service: BoolArray  # those asked for, less those of dark islands, [machine]
    dark: tuple[DarkIsland, ...]  # and why


def group_by_island(
    case: Case, area: IntArray, n_group: int, branch_in_service: BoolArray, machine_in_service: BoolArray
) -> Grouping:
    """Groups that lie in one island each; those of a whole grid are the areas themselves.

    An area that lies in one island keeps its own group. Parts of an area that is split take groups that are free; where
    none is, they swing with another group of their island, and an island that would have no group at all goes dark.

    Args:
        case: the grid.
        area: group of each machine in the whole grid, [machine].
        n_group: number of groups, those to spare included.
        branch_in_service: [branch].
        machine_in_service: [machine].
    """
    if is_whole(case, branch_in_service):
        nothing = np.zeros(case.n_bus, dtype=np.int64)
        return Grouping(
            island=nothing, machine_group=area.copy(), machine_in_service=machine_in_service.copy(), dark=()
        )
    alive, dark = islands_that_live(case, branch_in_service, machine_in_service, MOST_ISLANDS)
    members: list[dict[int, IntArray]] = []  # of each island: machines by area
    for bus in alive:
        inside = np.isin(case.machine.bus, bus) & machine_in_service
        members.append({int(a): np.flatnonzero(inside & (area == a)) for a in np.unique(area[inside])})
    taken: dict[int, int] = {}  # group -> island
    group = area.copy()
    homeless = []
    for k, parts in enumerate(members):
        for own, machines in parts.items():
            if own in taken:
                homeless.append((k, machines))
            else:
                taken[own] = k
    for k, machines in homeless:
        free = [g for g in range(n_group) if g not in taken]
        shared = [g for g, island in taken.items() if island == k]
        if free:
            taken[free[0]] = k
        if free or shared:
            group[machines] = (free or shared)[0]
    island, number = np.full(case.n_bus, -1, dtype=np.int64), 0
    living = np.zeros(case.n_bus, dtype=np.bool_)
    for k, bus in enumerate(alive):
        if members[k] and k not in taken.values():
            dark.append(DarkIsland(bus=bus, reason=NO_GROUP))
        else:
            island[bus], number = number, number + 1
            living[bus] = True
    return Grouping(
        island=island,
        machine_group=group,
        machine_in_service=machine_in_service & living[case.machine.bus],
        dark=tuple(dark),
    )
