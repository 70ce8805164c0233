"""Slow coherency against areas that are published, and against grids whose areas can be seen."""

import numpy as np
import pytest

from builders import grid
from cases.ieee68 import load_ieee68
from grid_model.dynamics.slow_coherency import reference_rows, slow_coherency, with_coherent_areas


def three_groups():
    """Three pairs of machines, each joined by 0.05 pu, the pairs by 1 pu: areas are {1, 2}, {3, 4}, {5, 6}."""
    return grid(
        branches=[(1, 2, 0.05), (3, 4, 0.05), (5, 6, 0.05), (2, 3, 1.0), (4, 5, 1.0)],
        machines=dict.fromkeys((1, 2, 3, 4, 5, 6), 50.0),
        loads=dict.fromkeys((1, 2, 3, 4, 5, 6), (50.0, 5.0)),
        h_s=5.0,
    )


def test_the_areas_of_the_68_buses_are_the_published_ones():
    # B. Pal, B. Chaudhuri, Robust Control in Power Systems, 2005: NETS is G1 to G9, NYPS G10 to G13, and three
    # neighbours; nobody says how many.
    case = load_ieee68()
    found = slow_coherency(case)
    assert found.n_area == 5
    np.testing.assert_array_equal(found.area_of_machine, case.bus.area[case.machine.bus])
    # Buses in the middle of a tie are as near to one side as to the other: 40 and 50 go to their neighbours.
    assert np.count_nonzero(found.area_of_bus != case.bus.area) <= 2
    # The four slow swings of this system lie between 0.38 and 0.80 Hz.
    assert 0.36 < found.frequency_hz[0] < 0.45
    assert 0.7 < found.frequency_hz[3] < 0.85
    assert found.frequency_hz[4] > 1.0


@pytest.mark.parametrize("asked", [None, 3])
def test_machines_that_are_joined_closely_are_an_area(asked):
    found = slow_coherency(three_groups(), asked)
    np.testing.assert_array_equal(found.area_of_bus, [0, 0, 1, 1, 2, 2])


def test_one_area_is_the_whole_grid_and_six_are_the_machines():
    case = three_groups()
    np.testing.assert_array_equal(slow_coherency(case, 1).area_of_bus, np.zeros(6))
    np.testing.assert_array_equal(slow_coherency(case, 6).area_of_bus, np.arange(6))
    assert with_coherent_areas(case, 3).area_names == ("area 1", "area 2", "area 3")
    with pytest.raises(ValueError, match="7 areas, expected 1 to 6"):
        slow_coherency(case, 7)


def test_reference_rows_are_the_most_independent_ones():
    # The largest entry is 4 in row 2; what is left of the others then is -1 in row 0 and 3 in row 3 (by hand).
    rows = np.array([[2.0, 0.0], [1.0, 0.1], [4.0, 2.0], [0.0, 3.0]])
    np.testing.assert_array_equal(reference_rows(rows), [2, 3])
