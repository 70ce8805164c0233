"""Where things stand in a drawing of the grid: a place for everything that is marked beside a bus.

Bus positions are data of the case, or worked out by `placement`. Machines, renewable plants and resources have none:
each is marked by a badge beside its bus, at a place that no branch, other bus or other badge touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from grid_model.picture.placement import nearest_distance

NEAR = 5.0  # radii; a badge stands at 2.2, and clearance beyond 2.1 more is not counted


@dataclass(frozen=True, kw_only=True)
class Badges:
    """Places of the marks of everything connected to a bus; shape [badge]."""

    kind: tuple[str, ...]
    row: IntArray  # row of the plant in the table of its kind
    bus: IntArray
    x: FloatArray
    y: FloatArray


def bus_radius(case: Case) -> float:
    """Radius of a bus in drawing units: three tenths of the least distance between two buses."""
    return 0.3 * nearest_distance(np.column_stack([case.bus.x, case.bus.y]))


def place_badges(case: Case) -> Badges:
    """A place beside its bus for every machine, renewable plant and resource.

    Each badge goes to the direction, out of 48 at two distances, that is farthest from branches, other buses
    and the badges placed before it. Greedy, in table order: a picture of the same case is always the same.
    """
    plants = [("machine", row, int(bus)) for row, bus in enumerate(case.machine.bus)]
    plants += [(case.renewable.kind[row], row, int(bus)) for row, bus in enumerate(case.renewable.bus)]
    plants += [(case.resource.kind[row], row, int(bus)) for row, bus in enumerate(case.resource.bus)]
    radius = bus_radius(case)
    xy = np.column_stack([case.bus.x, case.bus.y])
    start, end = xy[case.branch.from_bus], xy[case.branch.to_bus]
    angles = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    placed = np.empty((0, 2))
    near = NEAR * radius
    for _, _, bus in plants:
        # What is further away than a candidate's whole clearance cannot decide between candidates.
        here = distance_to_segments(xy[bus][None], start, end)[0] < near
        by_start, by_end = start[here], end[here]
        others = xy[(np.linalg.norm(xy - xy[bus], axis=1) < near) & (np.arange(len(xy)) != bus)]
        before = placed[np.linalg.norm(placed - xy[bus], axis=1) < near]
        best_clearance, best = -np.inf, xy[bus]
        for distance in (1.95 * radius, 2.2 * radius):
            candidates = xy[bus] + distance * ring
            clearance = np.minimum(
                distance_to_segments(candidates, by_start, by_end).min(axis=1, initial=near),
                np.linalg.norm(candidates[:, None] - others[None], axis=2).min(axis=1, initial=near) - radius,
            )
            if len(before):
                apart = np.linalg.norm(candidates[:, None] - before[None], axis=2).min(axis=1)
                clearance = np.minimum(clearance, 0.6 * apart)
            # The nearer ring wins unless the farther one is clearly freer.
            clearance = np.minimum(clearance, 1.1 * radius) - 0.15 * (distance - 1.95 * radius)
            if clearance.max() > best_clearance:
                best_clearance, best = float(clearance.max()), candidates[int(clearance.argmax())]
        placed = np.vstack([placed, best])
    return Badges(
        kind=tuple(kind for kind, _, _ in plants),
        row=np.array([row for _, row, _ in plants], dtype=np.int64),
        bus=np.array([bus for _, _, bus in plants], dtype=np.int64),
        x=placed[:, 0],
        y=placed[:, 1],
    )


def distance_to_segments(points: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """Distance of every point from every segment, shape [point, segment]."""
    along = end - start
    share = np.einsum("psk,sk->ps", points[:, None] - start[None], along) / np.einsum(
        "sk,sk->s", along, along
    )
    foot = start[None] + np.clip(share, 0.0, 1.0)[:, :, None] * along[None]
    distance: FloatArray = np.linalg.norm(points[:, None] - foot, axis=2)
    return distance
