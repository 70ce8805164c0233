"""An area that goes dark and is brought back: the same at every level of aggregation."""

import numpy as np
import pytest

from grid_model.dynamics.events import Event
from grid_model.dynamics.island_groups import NO_GROUP
from grid_model.dynamics.parameters import SwingConfig
from tests.physics.test_coupling import CASE, balanced

TIES = [CASE.branch.name.index(name) for name in ("41-42", "42-18")]
AREA = CASE.area_names.index("area4")


@pytest.mark.parametrize("level", ["area", "machine", "system"])
def test_an_area_that_goes_dark_and_comes_back_leaves_no_trace(level):
    """Area 4 holds G15 and one load; without G15 and both its ties it is dead, its load unserved."""
    grid, inputs = balanced(2, SwingConfig(level=level, load_shedding=None))
    unit = CASE.machine.name.index("G15")
    out = [Event(time_s=1.0 + k, kind="branch_out", index=tie) for k, tie in enumerate(TIES)]
    back = [Event(time_s=1.0 + k, kind="branch_in", index=tie) for k, tie in enumerate(TIES)]
    reason = NO_GROUP
    if level != "system":  # which has one frequency, so that G15 cannot keep another
        out.append(Event(time_s=2.0, kind="machine_out", index=unit))
        back.insert(0, Event(time_s=0.5, kind="machine_in", index=unit))
        reason = "no machine in service"
    assert grid.advance(inputs, {0: out}).all()
    load_mw = inputs.load_mw[0, CASE.bus.area[CASE.load.bus] == AREA].sum()
    assert [dark.reason for dark in grid.dark[0]] == [reason]
    # The same numbers added in another order.
    np.testing.assert_allclose(grid.unserved_mw(), [load_mw, 0.0], rtol=1e-12)
    for _ in range(5):
        assert grid.advance(inputs).all()
    dead = CASE.bus.area == AREA
    assert not grid.bus_df_hz()[0, dead].any()
    assert np.all(grid.bus_df_hz()[0, ~dead] > 0.01)  # more generation than load was lost
    assert grid.advance(inputs, {0: back}).all()
    for _ in range(400):
        grid.advance(inputs)
    # 1600 s later swings, reheaters and what loads had to recover (60 s) have decayed beyond the last digit that the
    # power flow's tolerance leaves.
    np.testing.assert_allclose(grid.df_hz[:, 0], grid.df_hz[:, 1], rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(grid.engine.v_pu[0], grid.engine.v_pu[1], rtol=0.0, atol=1e-7)
