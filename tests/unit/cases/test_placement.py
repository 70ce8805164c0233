"""Positions in drawings: no two buses on top of each other, inside the picture, whatever was given."""

import numpy as np
import pytest

from cases.placement import HEIGHT, WIDTH, place_buses


@pytest.mark.parametrize(
    "xy",
    [
        None,
        np.zeros((30, 2)),  # all at one place
        np.column_stack([np.arange(30.0), np.zeros(30)]),  # in a row
        np.random.default_rng(0).normal(size=(30, 2)) ** 3,  # a dense middle
    ],
    ids=["unknown", "one place", "a row", "dense"],
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
