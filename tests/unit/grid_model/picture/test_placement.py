"""Positions in drawings: no two buses on top of each other, inside the picture, whatever was given."""

import time
from dataclasses import replace

import numpy as np
import pytest

from builders import three_area
from cases.ieee68 import load_ieee68
from grid_model.picture.placement import HEIGHT, WIDTH, place_buses, placed


@pytest.mark.parametrize(
    "xy",
    [
        None,
        np.zeros((30, 2)),  # all at one place
        np.column_stack([np.arange(30.0), np.zeros(30)]),  # in a row
        np.random.default_rng(0).normal(size=(30, 2)) ** 3,  # a dense middle
        np.where(np.arange(30)[:, None] % 3 == 0, np.random.default_rng(0).normal(size=(30, 2)), np.nan),
    ],
    ids=["unknown", "one place", "a row", "dense", "partly known"],
)
def test_buses_stand_apart_inside_the_picture(xy):
    ring = np.arange(30)
    placed = place_buses(30, ring, (ring + 1) % 30, xy)
    distance = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    # Circles on a square lattice that fill half the picture are sqrt(0.5 x area / 30) = 3.3 apart; pushing stops
    # near there, and a third of it is still a legible picture.
    assert distance.min() > 0.33 * np.sqrt(0.5 * WIDTH * HEIGHT / 30)
    assert np.all((placed >= 0.0) & (placed <= [WIDTH, HEIGHT]))


def test_good_positions_are_left_alone_and_unknown_ones_found_when_drawn():
    case = load_ieee68()
    assert placed(case) is case
    without = three_area()
    without = replace(without, bus=replace(without.bus, x=np.full(6, np.nan), y=np.full(6, np.nan)))
    assert np.isfinite(placed(without).bus.x).all()


def test_a_bus_without_a_position_stands_between_its_neighbours():
    """Corners of a square known, the bus that all four lead to is not: the middle."""
    xy = np.array([[0.0, 0.0], [0.0, 18.0], [36.0, 0.0], [36.0, 18.0], [np.nan, np.nan]])
    found = place_buses(5, np.arange(4), np.full(4, 4), xy)
    # Buses at one place are parted by a hundredth of their distance, sqrt(0.5 x 648 / 5) = 8, times sqrt(4).
    np.testing.assert_allclose(found[4], [18.0, 9.0], atol=0.2)


@pytest.mark.slow
def test_ten_thousand_buses_are_placed_within_seconds():
    """A lattice of 100 x 100: neighbours stay nearer than strangers, and nothing takes the square of all buses."""
    number = np.arange(10_000).reshape(100, 100)
    from_bus = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    to_bus = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    start_s = time.process_time()
    xy = place_buses(10_000, from_bus, to_bus, None)
    assert time.process_time() - start_s < 15.0  # 3 s on two noisy cores
    joined = np.linalg.norm(xy[from_bus] - xy[to_bus], axis=1).mean()
    # Two places at random in the picture are some 14 apart.
    assert joined < 1.0
