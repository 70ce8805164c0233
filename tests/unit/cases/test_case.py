"""Constructors of the tables refuse what cannot be true."""

from dataclasses import replace

import numpy as np
import pytest

from builders import grid, three_area, two_bus
from cases.arrays import CaseDataError
from cases.case import connected_buses
from cases.tables import ResourceTable


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("x_pu", 0.0, r"branch 1-2 #1: \|r_pu \+ j x_pu\| = 0\.0, expected > 0"),
        ("r_pu", np.inf, r"branch 1-2 #1: r_pu = inf, expected a finite number"),
        ("b_pu", np.nan, r"branch 1-2 #1: b_pu = nan, expected a finite number"),
        ("asymmetry_pu", -0.1j, r"branch 1-2 #1: \|z \+ asymmetry_pu\| = 0\.0, expected > 0"),
        ("shift_rad", 0.1, r"line 1-2 #1: tap = 1\.0, shift_rad = 0\.1, expected 1 and 0 on a line"),
        ("rate_a_mva", 0.0, r"branch 1-2 #1: rate_a_mva = 0\.0, expected > 0"),
        ("rate_b_mva", 1.0, r"branch 1-2 #1: rate_b_mva - rate_a_mva = -499\.0, expected >= 0"),
        ("tap", 1.1, r"line 1-2 #1: tap = 1\.1, shift_rad = 0\.0, expected 1 and 0 on a line"),
    ],
)
def test_a_branch_that_cannot_be_is_refused(column, value, message):
    branch = two_bus().branch
    with pytest.raises(CaseDataError, match=message):
        replace(branch, **{column: np.array([value])})


def test_a_column_of_another_length_is_refused():
    with pytest.raises(CaseDataError, match="branch table: x_pu has 2 entries, expected 1"):
        replace(two_bus().branch, x_pu=np.array([0.1, 0.1]))


def test_a_position_outside_the_bus_table_is_refused():
    case = two_bus()
    with pytest.raises(CaseDataError, match=r"load load 2: bus = 7, expected a position from 0 to 1"):
        replace(case, load=replace(case.load, bus=np.array([7])))


def test_an_islanded_bus_is_refused():
    with pytest.raises(CaseDataError, match="bus 3 has no path to the slack machine"):
        grid(branches=[(1, 2, 0.1), (3, 4, 0.1)], machines={1: 10.0}, loads={2: (10.0, 0.0)})


def test_each_island_has_one_slack_machine():
    case = three_area()
    with pytest.raises(CaseDataError, match=r"3 slack machines in the island of bus 11, expected one"):
        replace(case, machine=replace(case.machine, slack=np.ones(3, dtype=np.bool_)))
    with pytest.raises(CaseDataError, match="0 slack machines, expected one in each island"):
        replace(case.machine, slack=np.zeros(3, dtype=np.bool_))


def test_a_resource_is_of_a_known_kind():
    with pytest.raises(CaseDataError, match="resource x: kind = flywheel, expected one of bess, gas, dr"):
        ResourceTable(name=("x",), kind=("flywheel",), bus=np.array([0]))


def test_a_name_occurs_once():
    with pytest.raises(CaseDataError, match="resource table: name = a occurs twice"):
        ResourceTable(name=("a", "a"), kind=("gas", "dr"), bus=np.array([0, 1]))


def test_a_table_keeps_its_own_copy_of_an_array():
    bus = np.array([0])
    table = ResourceTable(name=("a",), kind=("gas",), bus=bus)
    bus[0] = 5
    assert table.bus[0] == 0


def test_a_bus_number_becomes_a_position():
    case = three_area()
    assert case.bus_position(21) == 2
    with pytest.raises(CaseDataError, match="no bus 23"):
        case.bus_position(23)


def test_islands_are_counted_by_their_lowest_bus():
    """0-4, 2-1, 2-3 and 5 apart: chains are followed to their ends in either direction."""
    island = connected_buses(6, np.array([4, 2, 2]), np.array([0, 1, 3]))
    np.testing.assert_array_equal(island, [0, 1, 1, 1, 0, 2])
