"""Grids of pandapower against runpp itself: a few at every run, all of them before a merge."""

import pytest

from grid_model.validation.power_flow_table import GRIDS, check_grid, check_grids

# Vector groups, switches, three windings and extended wards; shifts in loops; several sources; a radial feeder.
FEW = ("case33bw", "case89pegase", "example_multivoltage", "mv_oberrhein", "create_cigre_network_mv")


@pytest.mark.parametrize("name", FEW)
def test_a_grid_of_pandapowers_has_its_voltages(name):
    row = check_grid(name)
    assert row.refused == ""
    # What the project promises: both stop at 1e-9 pu of mismatch or less.
    assert row.max_dv_pu <= 1e-8
    assert row.holds
    assert row.n_bus > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in GRIDS if name not in FEW])
def test_every_grid_of_the_table_has_pandapowers_voltages(name):
    row = check_grid(name)
    assert row.refused == ""
    assert row.max_dv_pu <= 1e-8  # as above


@pytest.mark.slow
def test_ten_thousand_buses_open_and_solve_within_fifteen_seconds():
    (row,) = check_grids(("case9241pegase",))
    assert row.n_bus == 9241
    # One thread: on an idle machine that is the time one waits.
    assert row.cpu_seconds < 15.0


def test_a_name_that_is_no_grid_is_a_row_that_says_so():
    row = check_grid("case40")
    assert not row.holds
    assert "case40: neither a grid file nor a net" in row.line()
