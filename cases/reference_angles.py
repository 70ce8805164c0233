"""Angles of an imported grid: which machines keep them, and by how much vector groups turn the buses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import CaseDataError, FloatArray, IntArray
from cases.case import connected_buses
from cases.matpower_matrices import (
    BUS_I,
    BUS_TYPE,
    REFERENCE,
    SHIFT,
    VA,
)


@dataclass(frozen=True, kw_only=True)
class HeldAngle:
    """A machine at a second reference of its island: its power is what keeps its bus at this angle.

    The machine is a row of the case's table, the angle in radians is that against the island's slack bus as this
    project counts angles. The power in the table is only the source's first guess.
    """

    machine: int
    angle_rad: float


def slack_machines(bus: FloatArray, machine_bus: IntArray, island: IntArray) -> list[int]:
    """The first machine at a bus of type 3 of each island, in order of the islands."""
    first: dict[int, int] = {}
    for k in np.flatnonzero(bus[machine_bus, BUS_TYPE] == REFERENCE).tolist():
        first.setdefault(int(island[machine_bus[k]]), k)
    return [first[name] for name in sorted(first)]


def further_references(bus: FloatArray, machine_bus: IntArray, root: IntArray, notes: list[str]) -> list[int]:
    """The first machine at each bus of type 3 that is not its island's slack bus."""
    found: dict[int, int] = {}
    for k in np.flatnonzero(bus[machine_bus, BUS_TYPE] == REFERENCE).tolist():
        if machine_bus[k] not in root:
            found.setdefault(int(machine_bus[k]), k)
    if found:
        numbers = ", ".join(f"{bus[k, BUS_I]:g}" for k in found)
        notes.append(
            f"{len(found)} further reference buses ({numbers}): machines with the power that keeps their angle"
        )
    return list(found.values())


def turns(
    bus: FloatArray, branch: FloatArray, from_bus: IntArray, to_bus: IntArray, root: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Angles by which buses are turned, [bus], and shifts that are left of each branch, [branch], both in radians.

    theta_source = theta + turn with turn_to = turn_from - shift along a tree. Branches without a shift come first, so
    that what does not add up around a loop is left to branches with one. At each root the turn is the angle given.

    Raises:
        CaseDataError: a root has no angle that is a number.
    """
    for k in root.tolist():
        if not np.isfinite(bus[k, VA]):
            raise CaseDataError(
                f"bus {bus[k, BUS_I]:g}: angle {bus[k, VA]:g} degrees at a reference bus, expected a number."
            )
    shift_degree = branch[:, SHIFT]
    plain = shift_degree == 0.0
    group = connected_buses(len(bus), from_bus[plain], to_bus[plain])
    shifted = np.flatnonzero(~plain)
    ways: dict[int, list[tuple[int, float]]] = {}
    for k in shifted.tolist():
        a, b = int(group[from_bus[k]]), int(group[to_bus[k]])
        ways.setdefault(a, []).append((b, -shift_degree[k]))
        ways.setdefault(b, []).append((a, shift_degree[k]))
    turn = dict(zip(group[root].tolist(), bus[root, VA].tolist(), strict=True))
    waiting = list(turn)
    while waiting:
        here = waiting.pop(0)
        for there, step in ways.get(here, ()):
            if there not in turn:
                turn[there] = turn[here] + step
                waiting.append(there)
    turn_degree = np.array([turn[g] for g in group.tolist()])
    left_degree = shift_degree - turn_degree[from_bus] + turn_degree[to_bus]
    left_degree = (left_degree + 180.0) % 360.0 - 180.0
    # Sums of shifts round in the last digits; a real shifter turns by a thousand times more.
    left_degree[plain | (np.abs(left_degree) < 1e-9)] = 0.0
    return np.deg2rad(turn_degree), np.deg2rad(left_degree)
