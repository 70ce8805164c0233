"""The drawing positions of the 68 buses: ours, fixed as data, and checked here for legibility."""

import csv
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import cases

DATA = Path(cases.__file__).parent / "data" / "ieee68"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def position() -> dict[int, np.ndarray]:
    return {int(row["bus"]): np.array([float(row["x"]), float(row["y"])]) for row in rows("position.csv")}


@pytest.fixture(scope="module")
def corridors() -> list[tuple[int, int]]:
    return [(int(row["from_bus_number"]), int(row["to_bus_number"])) for row in rows("branch.csv")]


def distance_to_segment(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0.0, 1.0)
    return float(np.linalg.norm(point - start - along * (end - start)))


def test_every_bus_has_one_position(position):
    assert sorted(position) == list(range(1, 69))
    assert len(rows("position.csv")) == 68


def test_no_two_buses_touch(position):
    """A bus is drawn as a circle 0.9 wide; 1.4 between centres leaves room for the gap and a badge."""
    assert min(np.linalg.norm(position[a] - position[b]) for a, b in combinations(position, 2)) > 1.4


def test_no_branch_runs_through_a_third_bus(position, corridors):
    """Half a circle is 0.45; 0.8 leaves the branch clearly beside it."""
    nearest = min(
        distance_to_segment(position[bus], position[a], position[b])
        for bus in position
        for a, b in corridors
        if bus not in (a, b)
    )
    assert nearest > 0.8


def test_no_two_corridors_cross(position, corridors):
    """The grid is planar, so a drawing without a single crossing exists; this is one."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float(np.sign((q - p)[0] * (r - p)[1] - (q - p)[1] * (r - p)[0]))

    assert nx.check_planarity(nx.Graph(corridors))[0]
    for (a, b), (c, d) in combinations(corridors, 2):
        if {a, b} & {c, d}:
            continue
        pa, pb, pc, pd = position[a], position[b], position[c], position[d]
        crossing = side(pa, pb, pc) != side(pa, pb, pd) and side(pc, pd, pa) != side(pc, pd, pb)
        assert not crossing, f"{a}-{b} crosses {c}-{d}"
